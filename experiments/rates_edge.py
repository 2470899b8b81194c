"""Follow the largest curvature while full-batch gradient descent trains a network (chapter 09).

A tanh network 64-16-10 learns 300 of scikit-learn's digits with the mean squared error against
one-hot targets, 3,000 steps at each of four constant rates. Every 100 steps the largest eigenvalue
of the Hessian is found by power iteration on Hessian-vector products. Rows are means over 500
steps:

- edge: the rate times that eigenvalue; gradient descent on a quadratic would be stable below 2;
- rising: the share of the steps on which the loss rose;
- loss: its mean.

Run from the root of the repository:  python experiments/rates_edge.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.curvature import hessian_vector_product, largest_eigenvalue
from optlearn.datasets import load_digits
from optlearn.losses import mean_squared_error
from optlearn.networks import MLP

COLUMNS = ("seed", "lr", "part", "edge", "rising", "loss")
SEEDS = range(5)
RATES = (0.25, 0.5, 0.7, 1.0)
STEPS, PART, EVERY = 3000, 500, 100

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 0, "rates": (0.5,)}


def follow(seed: int, lr: float) -> tuple[Any, Any]:
    """Return the loss before each step and lr times the largest eigenvalue every 100 steps."""
    digits, rng = load_digits(rng=np.random.default_rng(seed)), np.random.default_rng(seed)
    x, y = digits.x_train[:300], np.eye(10)[digits.y_train[:300]]
    network = MLP((64, 16, 10), "tanh")
    theta = 0.3 * network.init(rng, scheme="glorot")

    def gradient(point: Any) -> Any:
        return network.loss_and_grad(point, x, y, mean_squared_error)[1]

    losses, edges = [], []
    for t in range(STEPS):
        if t % EVERY == 0:
            here = theta.copy()
            found = largest_eigenvalue(
                lambda v, here=here: hessian_vector_product(gradient, here, v),
                theta.size,
                rng=rng,
                tolerance=0.02,  # of the residual; that of the eigenvalue is of second order
            )
            edges.append(lr * found.value)
        loss, grad = network.loss_and_grad(theta, x, y, mean_squared_error)
        losses.append(loss)
        theta = theta - lr * grad
    return np.array(losses), np.array(edges)


def one_seed(seed: int, rates: Sequence[float] = RATES) -> list[dict[str, Any]]:
    """Return the rows of one seed, for all rates or for some."""
    rows = []
    for lr in rates:
        losses, edges = follow(seed, lr)
        rose = np.diff(losses, append=losses[-1]) > 0
        for part in range(STEPS // PART):
            steps = slice(part * PART, (part + 1) * PART)
            some = slice(part * PART // EVERY, (part + 1) * PART // EVERY)
            means = (edges[some].mean(), rose[steps].mean(), losses[steps].mean())
            values = (seed, lr, part, *(round(float(m), 4) for m in means))
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("rates_edge", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
