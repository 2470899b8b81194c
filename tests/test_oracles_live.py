"""The recorders run again, with other random numbers too, where the libraries are installed.

The oracles need PyTorch and optax together; of the conventions page each library is asked alone.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from comparisons import FOLDER, distance, load, loss_distance, network_distance, optimizer_distance

pytestmark = pytest.mark.oracle_live
ROOT = Path(__file__).parent.parent
CONVENTIONS = json.loads((ROOT / "book/_data/conventions.json").read_text(encoding="utf-8"))


def import_tool(name: str) -> ModuleType:
    """Import one of the recording scripts."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    """The script that records PyTorch and optax."""
    pytest.importorskip("torch")
    pytest.importorskip("optax")
    return import_tool("record_oracles")


def numbers(node: Any) -> list[float]:
    """Return all numbers of a record, in order."""
    if isinstance(node, dict):
        return [x for key in node if key != "versions" for x in numbers(node[key])]
    if isinstance(node, list):
        return [x for item in node for x in numbers(item)]
    return [float(node)] if isinstance(node, int | float) else []


@pytest.mark.parametrize("topic", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_the_committed_numbers_are_what_the_recorder_writes(
    recorder: ModuleType, topic: str
) -> None:
    committed, fresh = numbers(load(topic)), numbers(recorder.RECORDERS[topic](seed=0))
    # Other versions and processors may differ in the last bits.
    np.testing.assert_allclose(fresh, committed, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("seed", [1, 2])
def test_optimizers_agree_on_other_gradients(recorder: ModuleType, seed: int) -> None:
    record = recorder.record_optimizers(seed)
    distances = {name: optimizer_distance(record, name, in_place=True) for name in record["runs"]}
    assert max(distances.values()) < 1e-12, distances


def test_losses_and_networks_agree_on_other_data(recorder: ModuleType) -> None:
    assert max(loss_distance(case) for case in recorder.record_losses(1)["cases"]) < 1e-14
    record = recorder.record_networks(1)
    assert max(network_distance(record, case) for case in record["cases"]) < 1e-12


@pytest.mark.parametrize("library", CONVENTIONS["libraries"])
def test_a_library_still_computes_what_the_conventions_page_says(library: str) -> None:
    conventions = import_tool("record_conventions")
    if not conventions.installed(library):
        pytest.skip(f"{library} is not installed")
    committed, fresh = CONVENTIONS["libraries"][library], conventions.record(library)
    assert fresh["defaults"] == committed["defaults"]
    assert fresh["runs"].keys() == committed["runs"].keys()
    for name, run in committed["runs"].items():
        assert fresh["runs"][name]["call"] == run["call"]
        theirs = np.array(run["theta"])
        assert distance(np.array(fresh["runs"][name]["theta"]), theirs) < 1e-12, name
    np.testing.assert_allclose(
        numbers(fresh.get("penalty", {})), numbers(committed.get("penalty", {})), rtol=1e-11
    )


def test_distances_notice_a_difference() -> None:
    assert distance(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    case = load("losses")["cases"][0]
    assert loss_distance(case | {"value": case["value"] * 1.001}) > 1e-4
