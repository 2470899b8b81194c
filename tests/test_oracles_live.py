"""The recorder run again, where PyTorch and optax are installed, with other random numbers too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from comparisons import FOLDER, distance, load, loss_distance, network_distance, optimizer_distance

pytestmark = pytest.mark.oracle_live
RECORDER = Path(__file__).parent.parent / "tools" / "record_oracles.py"


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    """Import the recording script."""
    pytest.importorskip("torch")
    pytest.importorskip("optax")
    spec = importlib.util.spec_from_file_location("record_oracles", RECORDER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_distances_notice_a_difference() -> None:
    assert distance(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    case = load("losses")["cases"][0]
    assert loss_distance(case | {"value": case["value"] * 1.001}) > 1e-4
