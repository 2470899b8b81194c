"""How the tests themselves are run: what starts first, and what is said of their time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("suite", ROOT / "conftest.py")
suite = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(suite)


def item(name: str, *marks: str) -> Any:
    path = ROOT / name.split("::")[0]
    return SimpleNamespace(
        name=name, path=path, get_closest_marker=lambda mark: mark if mark in marks else None
    )


def report(name: str, seconds: float, *marks: str) -> Any:
    return SimpleNamespace(nodeid=name, duration=seconds, keywords=dict.fromkeys(marks, 1))


def test_long_files_start_first_then_notebooks_then_files_of_many_tests() -> None:
    items = [
        item("tests/test_few.py::a"),
        item("tests/test_many.py::b"),
        item("tests/test_many.py::a"),
        item("tests/test_long.py::quick"),
        item("tests/test_long.py::slow", "long"),
        item("book/short.ipynb::Cell 0"),
        item("book/whole.ipynb::Cell 0"),
        item("book/whole.ipynb::Cell 1"),
        item("book/whole.ipynb::Cell 2"),
        item("tests/test_alike.py::a"),
    ]
    suite.longest_first(items)
    assert [found.name for found in items] == [
        "tests/test_long.py::quick",
        "tests/test_long.py::slow",
        "book/whole.ipynb::Cell 0",
        "book/whole.ipynb::Cell 1",
        "book/whole.ipynb::Cell 2",
        "book/short.ipynb::Cell 0",
        "tests/test_many.py::b",
        "tests/test_many.py::a",
        "tests/test_alike.py::a",
        "tests/test_few.py::a",
    ]


@pytest.mark.parametrize("worker", [True, False])
def test_only_workers_reorder(worker: bool) -> None:
    config = SimpleNamespace(workerinput={}) if worker else SimpleNamespace()
    items = [item("tests/test_a.py::a"), item("book/a.ipynb::Cell 0")]
    before = list(items)
    suite.pytest_collection_modifyitems(config, items)
    assert items == (before[::-1] if worker else before)


def test_the_slowest_files_are_named_and_what_should_start_earlier_is_said() -> None:
    short = [report(f"optlearn/{k}.py::optlearn.f", 0.0) for k in range(17)]
    reports = [
        report("tests/test_a.py::one", 3.0),
        report("tests/test_a.py::two[x::y]", 3.0),
        report("tests/test_b.py::one", 20.0, "long"),
        report("book/c.ipynb::Cell 0", 69.0),
        report("tests/test_d.py::one", 5.0),
    ]
    listed = ["69.00s book/c.ipynb", "20.00s tests/test_b.py", "6.00s tests/test_a.py"]
    assert suite.slowest_files([*reports, *short], 4) == [
        *listed[:2],
        "6.00s tests/test_a.py (mark it long)",
        "5.00s tests/test_d.py",
    ]
    # A run of a few files says nothing about the suite.
    assert suite.slowest_files(reports, 3) == listed


def test_whole_files_are_handed_out_in_our_order() -> None:
    """Without the option, xdist would begin with the files of most tests."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (workers,) = (line for line in makefile.splitlines() if line.startswith("WORKERS = "))
    assert workers.endswith("--dist loadfile --no-loadscope-reorder")
    assert makefile.count("$(WORKERS)") == 2
    assert makefile.count("--dist") == 1
