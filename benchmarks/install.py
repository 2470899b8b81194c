"""Install the peers one after another, so that one that does not install stops no other.

    .venv-bench/bin/python benchmarks/install.py

Reads the blocks of `requirements.txt`, leaves out what is there at its version, and writes what
failed, with pip's last line, to `missing.json` in the environment; the results name it.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1")


def blocks(text: str) -> dict[str, list[str]]:
    """Return the requirements under each heading; a heading is a line of one word."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        heading = re.fullmatch(r"# (\S+)", line)
        if heading:
            requirements = found.setdefault(heading[1], [])
        elif line and not line.startswith("#"):
            requirements.append(line)
    return found


def is_installed(requirement: str) -> bool:
    """Say whether a pinned requirement is there; a local version such as 2.0+cpu counts."""
    name, _, version = requirement.partition("==")
    try:
        there = importlib.metadata.version("optlearn" if requirement == "-e ." else name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement == "-e ." or there.split("+")[0] == version


def last_line(text: str) -> str:
    """Return what pip said last, without addresses."""
    said = [re.sub(r"\S*://\S*", "...", line) for line in text.splitlines() if line.strip()]
    return said[-1].strip() if said else "pip failed and said nothing"


def install(wanted: Iterable[str], base: Iterable[str]) -> str | None:
    """Install a block and keep the base at its versions; return why it failed, if it did."""
    options: list[str] = []
    pinned = [line for line in wanted if line != "-e ."]
    if len(pinned) < len(list(wanted)):  # the package itself, by the backend beside it
        run = subprocess.run([*PIP, *pinned], capture_output=True, text=True, check=False)
        if run.returncode:
            return last_line(run.stderr)
        pinned, options = ["-e", "."], ["--no-deps", "--no-build-isolation"]
    command = [*PIP, *options, *([] if options else base), *pinned]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=REQUIREMENTS.parents[1]
    )
    return last_line(run.stderr) if run.returncode else None


def main() -> int:
    """Install what is missing; fail only if nothing could be measured at all."""
    wanted = blocks(REQUIREMENTS.read_text(encoding="utf-8"))
    missing: dict[str, str] = {}
    for name, requirements in wanted.items():
        if all(map(is_installed, requirements)):
            continue
        print(f"Installing {', '.join(requirements)}", flush=True)
        reason = install(requirements, () if name == "base" else wanted["base"])
        if reason:
            missing[name] = reason
            print(f"{name} is not installed: {reason}", flush=True)
    Path(sys.prefix, "missing.json").write_text(json.dumps(missing), encoding="utf-8")
    return 1 if {"base"} & missing.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
