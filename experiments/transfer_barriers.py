"""The loss on the straight line between two networks, before and after alignment (chapter 14).

Every seed trains two networks of 64-W-W-10 on MNIST at 8 x 8 pixels, from two starts and in two
orders, and a third and fourth that share their first two epochs of ten. ``python
experiments/transfer_barriers.py`` takes about three minutes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from _tables import make
from transfer_budgets import small_mnist

from optlearn.losses import softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.runs import accuracies, fit_runs
from optlearn.transfer import align_hidden_units, ensemble, interpolate

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed"]

COLUMNS = ("width", "way", "alpha", "seed", "loss", "accuracy")
SEEDS = range(10)
CHECK = {"seed": 0, "width": 16}
WIDTHS = (16, 64, 256)
ALPHAS = np.linspace(0, 1, 11)
LR, EPOCHS, SHARED, BATCH = 1e-3, 10, 2, 50


@cache
def pair_of_networks(seed: int, width: int) -> tuple[MLP, Any]:
    """Train two networks that share nothing but the data; return them as a runs axis."""
    x, y, _, _ = small_mnist()
    network = MLP((64, width, width, 10))
    rngs = [np.random.default_rng([seed, k]) for k in (0, 1)]
    theta = np.stack([network.init(rng) for rng in rngs])
    run = fit_runs(network, theta, (x, y), Adam(LR), epochs=EPOCHS, batch_size=BATCH, rngs=rngs)
    return network, run.theta


@cache
def branches(seed: int, width: int) -> Any:
    """Train one network for two epochs, then two copies of it in two orders."""
    x, y, _, _ = small_mnist()
    network = MLP((64, width, width, 10))
    rng = np.random.default_rng([seed, 2])
    trunk = fit_runs(
        network, network.init(rng)[None], (x, y), Adam(LR), epochs=SHARED, batch_size=BATCH,
        rngs=rng,
    ).theta[0]  # fmt: skip
    rngs = [np.random.default_rng([seed, k]) for k in (3, 4)]
    return fit_runs(
        network, np.stack([trunk, trunk]), (x, y), Adam(LR), epochs=EPOCHS - SHARED,
        batch_size=BATCH, rngs=rngs,
    ).theta  # fmt: skip


def one_seed(seed: int, width: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of one seed, of one width or of all."""
    x, _, x_test, y_test = small_mnist()
    rows: list[dict[str, Any]] = []
    for size in WIDTHS if width is None else (width,):
        network, (first, second) = pair_of_networks(seed, size)
        ends = {
            "as trained": (first, second),
            "aligned by activations": (first, align_hidden_units(network, second, first, x)),
            "aligned by weights": (first, align_hidden_units(network, second, first)),
            "shared start": tuple(branches(seed, size)),
        }
        for way, (one, other) in ends.items():
            line = interpolate(one, other, ALPHAS)
            loss, _ = softmax_cross_entropy(network.forward(line, x_test), y_test)
            score = accuracies(network, line, x_test, y_test)
            for alpha, height, accuracy in zip(ALPHAS, loss, score, strict=True):
                rows.append(_row(size, way, alpha, seed, height, accuracy))
        mean = ensemble(network, np.stack([first, second]), x_test)
        loss = -np.log(mean[np.arange(len(y_test)), y_test]).mean()
        score = (mean.argmax(axis=1) == y_test).mean()
        rows.append(_row(size, "ensemble", 0.5, seed, loss, score))
    return rows


def _row(
    width: int, way: str, alpha: float, seed: int, loss: float, accuracy: float
) -> dict[str, Any]:
    found = float(f"{loss:.4g}"), round(float(accuracy), 4)
    values = (width, way, round(float(alpha), 1), seed, *found)
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Run all seeds and write the table."""
    make("transfer_barriers", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
