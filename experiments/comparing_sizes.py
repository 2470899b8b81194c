"""Four ways to train on 50, 200 and 1,000 digits, at every rate of one grid (chapter 10).

"For small data gradient descent, for large data Momentum, RMSProp, Adam" is a claim about sizes.
Here only the size changes: the same network (64-32-10), the same 400 steps of 32 samples, the
same 600 images for validation and the same 197 for the test of each seed. A seed draws the split,
the start and the order. Nothing is selected: the chapter chooses rates on seeds 0 to 3 by the
validation loss and reports the test of seeds 4 to 13.

"Adam, then SGD" is Adam at 10**-2.5 for 200 steps and then plain SGD at the rate of the row, so
that each method is tuned with one number and the same number of trials.

Run from the root of the repository:  python experiments/comparing_sizes.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.losses import softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent, Momentum

COLUMNS = ("size", "method", "rate", "seed", "loss", "correct", "images")
SEEDS = range(14)
SIZES = (50, 200, 1000)
RATES = [float(f"{rate:.3g}") for rate in 10.0 ** (np.arange(-8, 3) / 2)]
FIRST_RATE = 10**-2.5
METHODS = {
    "SGD": (GradientDescent, GradientDescent),
    "Momentum": (Momentum, Momentum),
    "Adam": (Adam, Adam),
    "Adam, then SGD": (Adam, GradientDescent),
}
STEPS, BATCH = 400, 32

# A slice that takes about a second: what the chapter runs again.
CHECK = {"seed": 4, "sizes": (50,), "rates": (0.01, 0.0316)}


def load(seed: int, size: int) -> tuple[Any, Any, Any]:
    """Return training, validation and test set; smaller sizes are parts of larger ones."""
    digits = load_digits(rng=np.random.default_rng(seed), test_fraction=797 / 1797)
    x, y = digits.test
    train = digits.x_train[:size], digits.y_train[:size]
    return train, (x[:600], y[:600]), (x[600:], y[600:])


def train(network: MLP, data: Any, method: str, seed: int, rates: Sequence[float]) -> Any:
    """Train with all rates at once, with the same start and the same batches."""
    x, y = data
    rng = np.random.default_rng((seed, 1))
    theta = np.tile(network.init(rng), (len(rates), 1))
    before, after = METHODS[method]
    own = np.array(rates)[:, None]
    first = before(FIRST_RATE if before is not after else own)
    second = first if before is after else after(own)
    order = np.empty(0, dtype=int)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(STEPS):
            if len(order) < BATCH:
                order = rng.permutation(len(x))
            batch, order = order[:BATCH], order[BATCH:]
            _, grad = network.loss_and_grad(theta, x[batch], y[batch], softmax_cross_entropy)
            theta = (first if step < STEPS // 2 else second).step(theta, grad)
    return theta


def one_seed(
    seed: int, sizes: Sequence[int] = SIZES, rates: Sequence[float] = RATES
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of all sizes and rates or of some."""
    network, rows = MLP((64, 32, 10)), []
    for size in sizes:
        data, validation, (x, y) = load(seed, size)
        for method in METHODS:
            theta = train(network, data, method, seed, rates)
            loss, _ = softmax_cross_entropy(network.forward(theta, validation[0]), validation[1])
            hits = (network.predict(theta, x) == y).sum(axis=1)
            for rate, value, right in zip(rates, loss, hits, strict=True):
                values = (size, method, rate, seed, float(f"{value:.4g}"), int(right), len(y))
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("comparing_sizes", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
