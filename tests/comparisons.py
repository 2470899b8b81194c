"""How far `optlearn` is from what PyTorch and optax computed.

The tests with recorded numbers and the tests that run the libraries both use these
functions. A record is what ``tools/record_oracles.py`` makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlearn import losses, networks, optimizers

FOLDER = Path(__file__).parent / "oracles"
Record = dict[str, Any]


def load(topic: str) -> Record:
    """Read one recorded file."""
    return json.loads((FOLDER / f"{topic}.json").read_text())


def distance(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest difference, relative to the largest number in `theirs`."""
    scale = np.abs(theirs).max()
    return float(np.abs(ours - theirs).max() / (scale if scale > 0 else 1.0))


def build_optimizer(run: Record) -> optimizers.Optimizer:
    """Make our optimizer of a recorded run; a list of rates becomes a schedule."""
    lr = run["lr"]
    schedule = (lambda taken: lr[taken]) if isinstance(lr, list) else lr
    return getattr(optimizers, run["class"])(schedule, **run["arguments"])


def optimizer_distance(record: Record, name: str, *, in_place: bool) -> float:
    """Largest distance over all coordinates, each on its own scale."""
    run = record["runs"][name]
    optimizer = build_optimizer(run)
    theta, path = np.array(record["start"]), []
    for gradient in np.array(record["gradients"]):
        theta = optimizer.step(theta, gradient, out=theta if in_place else None)
        path.append(theta.copy())
    ours = np.array([path[t - 1] for t in record["steps"]])
    theirs = np.array(run["theta"])
    return max(distance(ours[:, j], theirs[:, j]) for j in range(theirs.shape[1]))


def loss_distance(case: Record) -> float:
    """Distance of value and gradient of one loss."""
    value, gradient = getattr(losses, case["loss"])(
        np.array(case["logits"]), np.array(case["target"]), **case["arguments"]
    )
    return max(
        distance(value, np.array(case["value"])),
        distance(gradient, np.array(case["gradient"])),
    )


def network_distance(record: Record, case: Record) -> float:
    """Distance of loss and gradient of one network."""
    depth = str(case["depth"])
    network = networks.MLP(record["sizes"][depth], activation=case["activation"])
    value, gradient = network.loss_and_grad(
        np.array(record["theta"][depth]),
        np.array(record["x"]),
        np.array(record["y"][case["loss"]]),
        loss=getattr(losses, case["loss"]),
    )
    return max(
        distance(value, np.array(case["value"])),
        distance(gradient, np.array(case["gradient"])),
    )
