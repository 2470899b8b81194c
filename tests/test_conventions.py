"""The conventions page's tables against what the libraries have recorded.

nbval runs the page, which compares every recorded run. These tests read its tables as a reader
does: the defaults a row prints must be those of the signature, and the call it names must take the
library's steps, and must not if one of its constants were another.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import numpy as np
import pytest
from numpy.typing import NDArray

from optlearn import optimizers

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book" / "conventions.ipynb"
RECORD = json.loads((ROOT / "book" / "_data" / "conventions.json").read_text(encoding="utf-8"))
LIBRARIES = RECORD["libraries"]
SIGNATURES = {
    name: values for part in LIBRARIES.values() for name, values in part["defaults"].items()
}
GRADIENTS, RECORDED = np.array(RECORD["gradients"]), np.array(RECORD["steps"])
DECAY = 0.1

Step = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
Row = tuple[str, str, str, str]  # section, who, defaults, call


def cells(kind: str) -> list[str]:
    notebook = nbformat.read(PAGE, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def table_rows() -> list[Row]:
    """Rows that name a function of a library, or a class of ours."""
    found, section = [], ""
    for line in "\n".join(cells("markdown")).splitlines():
        if label := re.fullmatch(r"\(conventions-(\w+)\)=", line):
            section = label[1]
        parts = [part.strip() for part in line.strip("|").split("|")]
        if len(parts) == 4 and (who := re.fullmatch(r"`([\w.]+)`", parts[0])):
            found.append((section, who[1], parts[2].strip("`"), parts[3]))
    return found


ROWS = table_rows()
rows = pytest.mark.parametrize("row", ROWS, ids=["-".join(row[:2]) for row in ROWS])


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The page's names after its cells have run, without the figure and the glue."""
    namespace: dict[str, Any] = {"print": lambda *_: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PAGE.parent)
        for source in cells("code"):
            if "matplotlib" not in source and "myst_nb" not in source:
                exec(source, namespace)
    return namespace


# Defaults ------------------------------------------------------------------------------------


@rows
def test_the_defaults_of_a_row_are_those_of_the_signature(row: Row) -> None:
    _, who, printed, _ = row
    call = ast.parse(f"f({printed})", mode="eval").body
    assert isinstance(call, ast.Call)
    claimed = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    if who.startswith("optlearn."):
        parameters = constructor(getattr(optimizers, who.removeprefix("optlearn.")))
        known = {name: parameters[name].default for name in claimed}
    else:
        known = {name: SIGNATURES[who][name] for name in claimed}
    assert claimed, "a row without defaults"
    assert json.loads(json.dumps(claimed)) == known


def constructor(kind: type) -> dict[str, inspect.Parameter]:
    """Parameters of a class, with those it hands on to the class it extends."""
    found: dict[str, inspect.Parameter] = {}
    for cls in reversed(kind.__mro__[:-1]):
        found |= inspect.signature(cls).parameters
    return found


def test_every_recorded_signature_has_a_row_and_every_class_of_ours() -> None:
    named = {who for _, who, _, _ in ROWS}
    assert set(SIGNATURES) <= named
    ours = {f"optlearn.{name}" for name in optimizers.__all__}
    assert ours - named == {"optlearn.GradientDescent", "optlearn.Optimizer"}


# Steps ---------------------------------------------------------------------------------------


def recorded_run(row: Row) -> tuple[str, str]:
    """Which recorded run a row speaks of."""
    section, who, _, call = row
    library = "sklearn" if who == "MLPClassifier" else who.split(".")[0]
    if "velocity(" in call:
        return library, f"{section}-falling"
    if section == "adamw" and who.split(".")[-1] != "AdamW" and who != "optax.adamw":
        return library, "adam-decay" if who.endswith("Adam") else "momentum-decay"
    return library, section


def rule_of(row: Row, page: dict[str, Any]) -> tuple[Any, Step]:
    """What a row's call makes, and its step; words after the call say what it is fed."""
    found = re.match(r"`([^`]+)`(.*)", row[3])
    assert found, row
    made = eval(found[1], page)
    plain = getattr(made, "step", made)
    if r"fed $\tilde g_t$" in found[2]:
        return made, lambda theta, g: plain(theta, g + DECAY * theta)
    if r"from $\tilde\theta_{t-1}$" in found[2]:
        return made, lambda theta, g: plain(theta * (1 - page["lr"] * DECAY), g)
    assert found[2].strip() in ("", "below"), row
    return made, plain


def distance(step: Step, run: dict[str, Any]) -> float:
    """Largest difference from the recorded steps, each coordinate on its own scale."""
    theta, path = np.full(6, run["start"]), []
    for gradient in GRADIENTS:
        theta = step(theta, gradient)
        path.append(theta)
    ours, theirs = np.array(path)[RECORDED - 1], np.array(run["theta"])
    return float((np.abs(ours - theirs).max(axis=0) / np.abs(theirs).max(axis=0)).max())


# A row of our own class has no library; scikit-learn's penalty has a record of another kind.
COMPARED = [
    row
    for row in ROWS
    if not row[1].startswith("optlearn.") and row[:2] != ("adamw", "MLPClassifier")
]
compared = pytest.mark.parametrize("row", COMPARED, ids=["-".join(row[:2]) for row in COMPARED])


@compared
def test_the_call_of_a_row_takes_the_recorded_steps(row: Row, page: dict[str, Any]) -> None:
    library, run = recorded_run(row)
    assert distance(rule_of(row, page)[1], LIBRARIES[library]["runs"][run]) < 1e-12


@compared
def test_another_constant_in_a_call_would_be_seen(row: Row, page: dict[str, Any]) -> None:
    library, run = recorded_run(row)
    for name in ("beta", "rho", "beta1", "beta2", "eps", "weight_decay"):
        made, step = rule_of(row, page)
        if hasattr(made, name):
            setattr(made, name, getattr(made, name) * (2 if name == "eps" else 1.0001))
            assert distance(step, LIBRARIES[library]["runs"][run]) > 1e-10, name


@rows
def test_the_call_of_a_row_is_run_on_the_page(row: Row) -> None:
    code = "\n".join(cells("code"))
    assert all(call in code for call in re.findall(r"`([^`]+)`", row[3]))


def test_the_page_compares_every_recorded_run(page: dict[str, Any]) -> None:
    recorded = {(run, name) for name, part in LIBRARIES.items() for run in part["runs"]}
    assert set(page["agreement"]) == recorded
    assert len(recorded) > 40


def test_recorded_runs_that_are_said_to_differ_do() -> None:
    end = {
        (run, name): np.array(part["runs"][run]["theta"][-1])
        for name, part in LIBRARIES.items()
        for run in part["runs"]
    }
    assert not np.allclose(end["rmsprop", "torch"], end["rmsprop", "keras"], rtol=1e-3)
    assert not np.allclose(end["amsgrad", "torch"], end["amsgrad", "optax"], rtol=1e-3)
    assert not np.allclose(end["adam-decay", "torch"], end["adam-decay", "keras"], rtol=1e-3)
    falling = "momentum-falling"
    assert not np.allclose(end[falling, "torch"], end[falling, "sklearn"], rtol=1e-3)


# The recorder --------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path: Path) -> ModuleType:
    """The recording script, which needs none of the libraries, writing to a copy."""
    path = ROOT / "tools" / "record_conventions.py"
    spec = importlib.util.spec_from_file_location("record_conventions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.FILE = tmp_path / "conventions.json"
    module.FILE.write_text(module.text(RECORD), encoding="utf-8")
    return module


def test_what_was_recorded_of_a_missing_library_is_kept_and_its_name_printed(
    recorder: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorder, "installed", lambda library: False)
    recorder.main()
    assert json.loads(recorder.FILE.read_text(encoding="utf-8")) == RECORD
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{library}: not installed, its old record is kept" for library in LIBRARIES]


def test_other_gradients_are_refused_while_a_library_is_missing(
    recorder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "installed", lambda library: False)
    old = copy.deepcopy(RECORD)
    old["gradients"][3][2] += 1.0
    recorder.FILE.write_text(recorder.text(old), encoding="utf-8")
    with pytest.raises(SystemExit, match="torch, optax, keras, sklearn must be installed"):
        recorder.main()


def test_the_committed_file_is_as_the_recorder_writes_it(recorder: ModuleType) -> None:
    committed = (ROOT / "book" / "_data" / "conventions.json").read_text(encoding="utf-8")
    assert committed == recorder.text(RECORD)
    assert {key: RECORD[key] for key in ("gradients", "steps", "rates")} == recorder.conditions()
