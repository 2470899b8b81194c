"""The studies that are too slow for a chapter: their tables are whole, and a slice is run again.

A script of ``experiments/`` writes ``book/_data/<its name>.csv``, and names in ``CHECK`` the
arguments of its ``one_seed`` that give a slice of a few seconds.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections import Counter
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "experiments"
DATA = ROOT / "book" / "_data"
STUDIES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
# What is measured, and by how much another processor may change it: two test images, the members
# of a soup that two images decide, one look at whether a target has been reached, or the gradients
# that a loss takes.
MEASURED = {
    "accuracy": 0.005,
    "correct": 2.0,
    "edge": 0.01,
    "gradients": 3.0,
    "lean": 3.0,
    "length": 0.1,
    "loss": 1e-3,
    "members": 7.0,
    "rising": 0.01,
    "target": 5.0,
    "validation": 0.005,
}
# Columns of such a name that hold what was chosen.
CHOSEN = {"rates_budgets": {"gradients"}, "second_order_race": {"target"}}


# Other slices than those that the chapters run.
MORE: dict[str, dict[str, Any]] = {
    "comparing_methods": {
        "seed": 7,
        "tasks": ("Rosenbrock", "Beale", "2-1-1", "MNIST"),
        "methods": ("Momentum",),
        "rates": (0.001, 0.00316),
    },
    "comparing_one_pass": {"seed": 1, "schedules": ("cosine",)},
    "comparing_sizes": {"seed": 13, "sizes": (200,), "rates": (0.01, 0.1)},
    "practice_programs": {"seed": 3, "program": "article 2"},
    "practice_scales": {
        "seed": 4,
        "methods": ("SGD",),
        "cases": (("He", 1),),
        "rates": (1e-2,),
    },
    "practice_widths": {"seed": 5, "widths": (8,), "noises": ("0",)},
    "compression_bytes": {"seed": 2, "data": "mnist", "methods": ("float", "prune by layer")},
    "compression_distilled": {"seed": 1, "data": "mnist", "students": ("16-16",), "times": (1,)},
    "parallel_async": {"seed": 7, "durations": ("straggler",), "modes": ("free",)},
    "parallel_compression": {"seed": 2, "splits": ("shuffled",), "methods": ("sign", "4 bits")},
    "quantization_bits": {"seed": 1, "data": "mnist", "bits": (1,)},
    "rates_budgets": {"seed": 3, "gradients": ("exact", "noisy, cosine"), "budgets": (30,)},
    "rates_edge": {"seed": 2, "rates": (0.25,)},
    "rates_folds": {"seed": 5, "sizes": (1000,), "stages": ("fold 3",)},
    "rates_schedules": {"seed": 7, "epochs": (1,), "names": ("restarts", "warm-up, cosine")},
    "second_order_race": {"seed": 5, "methods": ("momentum",)},
    "transfer_barriers": {"seed": 3, "width": 64},
    "transfer_budgets": {"seed": 4, "pair": "MNIST to digits", "labels": 25},
    "transfer_rates": {"seed": 102, "pair": "clean to noisy", "labels": 25},
    "transfer_soups": {"seed": 7},
}


@pytest.fixture
def study(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script, which may import its neighbours."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(name)


def lines(name: str) -> list[str]:
    return (DATA / f"{name}.csv").read_text(encoding="utf-8").splitlines()


def table(name: str) -> list[dict[str, str]]:
    """Read the rows of a result."""
    return list(csv.DictReader(line for line in lines(name) if not line.startswith("#")))


def measured(row: dict[str, Any], name: str) -> set[str]:
    """Return the columns of a study that were measured."""
    return MEASURED.keys() & row.keys() - CHOSEN.get(name, set())


def setting(row: dict[str, Any], name: str, *but: str) -> tuple[str, ...]:
    """Return what was chosen, as it stands in the table, not what was measured."""
    left_out = {*measured(row, name), *but}
    return tuple(str(value) for key, value in row.items() if key not in left_out)


def differences(live: list[dict[str, Any]], stored: list[dict[str, str]], name: str) -> list[str]:
    """Say which rows of a slice are not those of the table."""
    by_setting = {setting(row, name): row for row in stored}
    found, changed = [], 0
    for row in live:
        chosen = setting(row, name)
        if chosen not in by_setting:
            found.append(f"the table has no row {chosen}")
            continue
        for key in measured(row, name):
            was = float(by_setting[chosen][key])
            changed += was != row[key]
            if abs(was - row[key]) > MEASURED[key]:
                found.append(f"{chosen}: {key} is {row[key]}, the table says {was}")
    if changed > len(live) / 10:
        found.append(f"{changed} of {len(live)} rows have changed")
    return found


def test_there_are_studies_and_no_table_without_one() -> None:
    assert STUDIES
    assert {path.stem for path in DATA.glob("*.csv")} == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_a_table_says_how_it_was_made(name: str, study: ModuleType) -> None:
    command, seeds, header = lines(name)[:3]
    assert command == f"# python experiments/{name}.py"
    assert seeds == f"# seeds {study.SEEDS[0]} to {study.SEEDS[-1]}"
    assert header == ",".join(study.COLUMNS)
    assert (DATA / f"{name}.csv").stat().st_size < 250_000


@pytest.mark.parametrize("name", STUDIES)
def test_a_table_has_every_seed_once_in_each_setting(name: str, study: ModuleType) -> None:
    rows = table(name)
    assert measured(rows[0], name)
    settings = {setting(row, name, "seed") for row in rows}
    expected = Counter(product(settings, map(str, study.SEEDS)))
    assert Counter((setting(row, name, "seed"), row["seed"]) for row in rows) == expected
    for row in rows:
        assert 0 <= float(row.get("accuracy", 0)) <= 1
        assert float(row.get("correct", 0)) <= float(row.get("images", 0))


@pytest.mark.parametrize("name", STUDIES)
def test_slices_run_again_are_in_the_table(name: str, study: ModuleType) -> None:
    for arguments in (study.CHECK, MORE[name]):
        live = study.one_seed(**arguments)
        assert live
        assert differences(live, table(name), name) == []


@pytest.mark.parametrize("name", STUDIES)
def test_a_chapter_uses_the_study(name: str) -> None:
    notebooks = (ROOT / "book").glob("[0-9]*.ipynb")
    used = [json.loads(path.read_bytes())["metadata"]["optlearn"]["modules"] for path in notebooks]
    files = {f"experiments/{name}.py", f"book/_data/{name}.csv"}
    assert any(files <= set(modules) for modules in used)


def test_a_changed_result_is_noticed() -> None:
    live: list[dict[str, Any]] = [
        {"bits": b, "seed": 0, "correct": 400 + b, "images": 450} for b in range(20)
    ]
    stored = [{key: str(value) for key, value in row.items()} for row in live]
    assert differences(live, stored, "bits") == []
    for row in live[:2]:
        row["correct"] += 2
    assert differences(live, stored, "bits") == []
    live[2]["correct"] += 1
    assert differences(live, stored, "bits") == ["3 of 20 rows have changed"]
    live[2]["correct"] -= 1
    live[1]["correct"] += 1
    assert differences(live, stored, "bits") == [
        "('1', '0', '450'): correct is 404, the table says 401.0"
    ]
    live[1]["correct"] -= 1
    live[0]["bits"] = 99
    assert differences(live, stored, "bits") == ["the table has no row ('99', '0', '450')"]
