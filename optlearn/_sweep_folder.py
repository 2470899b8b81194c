"""The folder of a sweep: one file a run, so that an interrupted sweep goes on where it stopped.

A file appears whole or not at all: it is written under another name, then renamed. Its name is
the digest of the run's setting and seed, so two sweeps that meet in one folder write the same
results under the same names. `optlearn.sweeps` is what a reader calls.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optlearn._sweep_code import name_of

__all__ = ["Folder", "Result", "Run", "write_whole"]

_ABOUT = "sweep.json"
_RUN_FILE = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, eq=False)
class Run:
    """One row of the table to be: a value for each parameter, and a seed."""

    setting: dict[str, Any]
    seed: int

    @functools.cached_property
    def file(self) -> str:
        """The file's name. An integer and the equal float are one value, 1 and True are two."""
        described = [[name, _exact(value)] for name, value in sorted(self.setting.items())]
        text = json.dumps([described, self.seed])
        return hashlib.sha256(text.encode()).hexdigest()[:32] + ".json"


@dataclass(frozen=True)
class Result:
    """What a run gave.

    `error` is empty where all went well. Seconds, host and process id are for people to read;
    they are not in the table, which is the same however the sweep was run.
    """

    values: dict[str, float]
    error: str = ""
    seconds: float = 0.0
    host: str = ""
    pid: int = 0


class Folder:
    """The files of one sweep.

    Parameters
    ----------
    path : Path
        New, empty, or the folder of an earlier sweep of the same function.
    train : callable
    code : str
        Its digest.
    parameters : iterable of str
        The names in the grid.

    Raises
    ------
    ValueError
        If the folder holds anything else, or a sweep of another function.
    """

    def __init__(
        self, path: Path, train: Callable[..., Any], code: str, parameters: Iterable[str]
    ) -> None:
        """Find or make the folder, and write what it is for."""
        self.path = path
        if path.exists() and not path.is_dir():
            raise ValueError(f"folder must be a folder, got the file {str(path)!r}")
        path.mkdir(parents=True, exist_ok=True)
        about = {
            "train": name_of(train),
            "code": code,
            "parameters": sorted(parameters),
        }
        names = {entry.name for entry in os.scandir(path) if not entry.name.startswith(".")}
        foreign = sorted(
            name for name in names if name != _ABOUT and not _RUN_FILE.fullmatch(name)
        )
        if foreign and _ABOUT not in names:
            raise ValueError(
                f"folder must be new, empty or of an earlier sweep, got {str(path)!r}, "
                f"which has {foreign[0]!r}"
            )
        if _ABOUT not in names:
            write_whole(path / _ABOUT, json.dumps(about, indent=1) + "\n", replace=False)
        self._refuse_another_sweep(about)
        self._stored = {name for name in names if _RUN_FILE.fullmatch(name)}

    def _refuse_another_sweep(self, about: dict[str, Any]) -> None:
        """Compare what the folder says of itself with the sweep that is about to use it."""
        path = self.path / _ABOUT
        found = _read(path)
        place = f"folder {str(self.path)!r}"
        for name, kind in (("train", str), ("code", str), ("parameters", list)):
            if not isinstance(found.get(name), kind):
                raise ValueError(f"{path} must say the {name} of a sweep, got {found.get(name)!r}")
        if found["train"] != about["train"]:
            raise ValueError(
                f"train must be {found['train']}, whose sweep {place} holds, "
                f"got {about['train']}; use another folder"
            )
        if found["parameters"] != about["parameters"]:
            raise ValueError(
                f"grid must have the parameters {', '.join(found['parameters'])} of the sweep "
                f"that {place} holds, got {', '.join(about['parameters'])}; use another folder"
            )
        if found["code"] != about["code"]:
            raise ValueError(
                f"train must have the code, the values it holds and the version of Python with "
                f"which the sweep in {place} was begun, got other code of {about['train']}; use "
                f"another folder, or, if the change cannot alter a result, delete {_ABOUT} there "
                "to keep the results"
            )

    def stored(self, run: Run) -> Result | None:
        """Return the result of a run, or None if it has no file."""
        if run.file not in self._stored:
            return None
        path = self.path / run.file
        found = _read(path)
        try:
            if (found["setting"], found["seed"]) != (_plain(run.setting), run.seed):
                raise ValueError("another setting")
            values = {str(name): float(value) for name, value in found["values"].items()}
            return Result(
                {name: math.nan if math.isnan(value) else value for name, value in values.items()},
                str(found["error"]),
                float(found["seconds"]),
                str(found["host"]),
                int(found["pid"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{path} must be the result of {run.setting} with seed {run.seed}, got something "
                "else; delete it to run that again"
            ) from error

    def store(self, run: Run, result: Result) -> None:
        """Write the file of a run."""
        content = {
            "setting": _plain(run.setting),
            "seed": run.seed,
            "values": _plain(result.values),
            "error": result.error,
            "seconds": result.seconds,
            "host": result.host,
            "pid": result.pid,
        }
        write_whole(self.path / run.file, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_whole(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file that nobody ever sees half written.

    With ``replace=False`` a file that is there already stays.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())  # or a power cut could leave the new name on an empty file
        if replace:
            temporary.replace(path)
        elif not path.exists():
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass  # another sweep was faster
            except OSError:  # a file system without links
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} must be a JSON file that a sweep wrote, got something else; delete it"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(found).__name__}; delete it")
    return found


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` as JSON has them; it knows no infinity and no NaN."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _exact(value: Any) -> list[str]:
    """Return a value's kind and all its digits."""
    if isinstance(value, bool | str):
        return [type(value).__name__, str(value)]
    whole = isinstance(value, int) or value.is_integer()
    return ["number", str(int(value)) if whole else repr(value)]
