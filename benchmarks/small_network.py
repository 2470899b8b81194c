"""A network of three neurons, 2-1-1: a thousand full-batch steps in float64.

Nothing here is arithmetic: what a step costs is what its calls cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import jax_peers, torch_peers
from benchmarks.turns import FAST, PURE, Contender, chosen, rows
from optlearn.datasets import two_moons
from optlearn.losses import binary_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.training import fit

TABLE = "small network"
POINTS, STEPS, RATE = (4, 32), 1000, 0.1
JAX = {"jax jit": "batch", "jax scan": "scan"}
CONTENDERS = (PURE, FAST, "torch eager", *JAX)
NOTES = {"jax scan": "one program of all steps; the others are called for every step"}


def ours(network: MLP, theta: Any, data: tuple[Any, Any], steps: int) -> Contender:
    """Train with `fit`, an epoch a step."""
    box: list[Any] = [theta]

    def run() -> None:
        box[0] = fit(
            network,
            theta,
            data,
            GradientDescent(RATE),
            loss=binary_cross_entropy,
            epochs=steps,
            batch_size=len(data[0]),
            rng=np.random.default_rng(0),
        ).theta

    return Contender(run, result=lambda: box[0], per=steps)


def logistic(logits: Any, labels: Any) -> Any:
    """Return optax's loss, averaged over the batch."""
    import optax

    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


def makers(points: int, steps: int) -> dict[str, Any]:
    """Return a maker for every contender, all with the same start and points."""
    network, rng = MLP((2, 1, 1), "tanh"), np.random.default_rng(0)
    theta = network.init(rng)
    x, labels = two_moons(points, noise=0.1, rng=rng)
    data = x, labels.reshape(-1, 1).astype(np.float64)
    common = {"epochs": steps, "batch_size": points}
    made: dict[str, Any] = {
        name: lambda: ours(network, theta, data, steps) for name in (PURE, FAST)
    }
    made["torch eager"] = lambda: torch_peers.train(
        network,
        theta,
        data,
        criterion=lambda torch: torch.nn.BCEWithLogitsLoss(),
        optimizer=lambda torch, p: torch.optim.SGD(p, lr=RATE),
        **common,
    )
    for name, style in JAX.items():
        made[name] = lambda style=style: jax_peers.train(
            network,
            theta,
            data,
            loss=logistic,
            optimizer=lambda optax: optax.sgd(RATE),
            style=style,
            **common,
        )
    return made


def measure(
    rounds: int,
    missing: dict[str, str],
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    points: tuple[int, ...] = POINTS,
    steps: int = STEPS,
) -> list[dict[str, Any]]:
    """Return a row for every number of points and contender."""
    found = []
    for n in points:
        case, some = {"network": "2-1-1", "points": n}, chosen(contenders, makers(n, steps))
        found += rows(TABLE, case, some, rounds=rounds, missing=missing, notes=NOTES)
    return found
