"""Count what first- and second-order methods pay for a training loss (chapter 15).

A network 196-16-10 with tanh is trained on the first 500 MNIST digits of 14 x 14 pixels. Every
method starts from the same point and may spend 400 gradients of the 500 images. Costs are counted
in real multiplications of matrix products and divided by those of one such gradient; 10 batches
of 50 images are one. The first layer needs no slope at its input, so a forward pass is almost
half of a gradient here, and not a third (`prices`).

- "gradient descent", "momentum" (beta = 0.9) and "Adam" use all images in every step;
- "Adam, batches" uses 50 at a time;
- "L-BFGS" is SciPy's, with its 10 pairs and its own line search;
- "L-BFGS, penalty" and "gradient descent, penalty" minimise the loss plus half of the penalty
  times the squared norm of theta (targets are those of the loss alone); the latter has the
  penalty 0.001;
- "Hessian-free" solves (G + damping I) p = -g by SciPy's conjugate gradients (at most 20, to half
  of the residual), halves the step until it descends, and multiplies the damping by 2/3 where the
  ratio of the real to the predicted decrease is above 3/4, by 3/2 where it is below 1/4.

The column "lr" is the learning rate, the damping at the start for "Hessian-free", the penalty for
"L-BFGS, penalty", and 0 where nothing is chosen. A row says after how many gradients the loss was
at or below the target (401: never; "lean" counts a Gauss-Newton product as real arithmetic on
stored activations would), and what was true of theta then, or at the end for "never": the
accuracy on 1,000 other training images ("validation") and on the 2,000 test images, and the norm
of theta over that of the start ("length"). Target 0 is the end of the run.

Run from the root of the repository:  python experiments/second_order_race.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from _tables import make

from optlearn.adaptive import Adam
from optlearn.datasets import load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent, Momentum
from optlearn.second_order import backtrack, gauss_newton_product
from optlearn.training import minibatches

COLUMNS = (
    "method", "lr", "seed", "target", "gradients", "lean", "validation", "accuracy", "length",
)  # fmt: skip
SEEDS = range(13)
TARGETS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
BUDGET = 400
PENALTY = 1e-3
GRIDS: dict[str, tuple[float, ...]] = {
    "gradient descent": (0.5, 1.0, 2.0, 4.0),
    "gradient descent, penalty": (0.5, 1.0, 2.0, 4.0),
    "momentum": (0.25, 0.5, 1.0, 2.0, 4.0),
    "Adam": (0.01, 0.03, 0.1, 0.3),
    "Adam, batches": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
    "L-BFGS": (0.0,),
    "L-BFGS, penalty": (0.0001, 0.0003, 0.001, 0.003, 0.01),
    "Hessian-free": (0.0001, 0.001, 0.01, 0.1),
}

# A slice that takes a second: what the chapter runs again.
CHECK = {"seed": 3, "methods": ("L-BFGS",)}

Curve = list[tuple[float, float, float, Any]]  # gradients spent (lean, too), loss, theta

mnist = load_mnist10k()
network = MLP([196, 16, 10], "tanh")


def halve(images: Any) -> Any:
    """Average 28 x 28 pixels to 14 x 14."""
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


def prices(sizes: Sequence[int]) -> dict[str, float]:
    """Return what passes cost for one image, in multiplications; the rest in gradients."""
    products = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    forward, later = sum(products), sum(products[1:])
    gradient = forward + forward + later  # slopes of the weights, slopes at inner activations
    return {
        "forward pass": forward,
        "gradient": gradient,
        "loss": forward / gradient,
        "product": (4 * forward + gradient) / gradient,  # complex forward pass, then a gradient
        "lean": (forward + later + forward + later) / gradient,  # tangents; activations are stored
    }


PRICES = prices(network.sizes)
x, y = halve(mnist.x_train[:500]), mnist.y_train[:500]
x_validation, y_validation = halve(mnist.x_train[500:1500]), mnist.y_train[500:1500]
x_test, y_test = halve(mnist.x_test), mnist.y_test


def first_order(optimizer: Any, theta: Any, penalty: float = 0.0) -> Curve:
    """Take a step with each of the gradients."""
    curve: Curve = []
    for spent in range(1, BUDGET + 1):
        value, grad = network.loss_and_grad(theta, x, y)
        curve.append((spent, spent, value, theta))
        theta = optimizer.step(theta, grad + penalty * theta)
    return curve


def in_batches(optimizer: Any, theta: Any, seed: int) -> Curve:
    """Take ten steps for each of the gradients."""
    curve: Curve = []
    rng = np.random.default_rng((seed, 15))
    for spent in range(1, BUDGET + 1):
        for rows in minibatches(500, 50, rng):
            theta = optimizer.step(theta, network.loss_and_grad(theta, x[rows], y[rows])[1])
        curve.append((spent, spent, network.loss_and_grad(theta, x, y)[0], theta))
    return curve


def lbfgs(theta: Any, penalty: float) -> Curve:
    """Let SciPy spend the gradients."""
    from scipy.optimize import minimize

    curve: Curve = []

    def objective(point: Any) -> tuple[float, Any]:
        value, grad = network.loss_and_grad(point, x, y)
        curve.append((len(curve) + 1, len(curve) + 1, value, point.copy()))
        return value + penalty / 2 * (point @ point), grad + penalty * point

    options = {"maxcor": 10, "maxfun": BUDGET, "maxiter": BUDGET}
    minimize(objective, theta, jac=True, method="L-BFGS-B", options=options)
    return curve


def hessian_free(theta: Any, damping: float) -> Curve:
    """Solve for Gauss-Newton steps with products only."""
    from scipy.sparse.linalg import LinearOperator, cg

    curve: Curve = []
    spent, lean, n = 0.0, 0.0, len(theta)
    while True:
        value, grad = network.loss_and_grad(theta, x, y)
        spent, lean = spent + 1, lean + 1
        curve.append((spent, lean, value, theta))
        products = 0

        def curved(p: Any, theta: Any = theta) -> Any:
            nonlocal products
            products += 1
            return gauss_newton_product(network, theta, x, y, p)

        system = LinearOperator((n, n), lambda p, d=damping, c=curved: c(p) + d * p, dtype=float)
        step, _ = cg(system, -grad, rtol=0.5, maxiter=20)
        promised = -(grad @ step + step @ curved(step) / 2)
        tries: list[float] = []

        def loss(point: Any, tries: list[float] = tries) -> float:
            tries.append(network.loss_and_grad(point, x, y)[0])
            return tries[-1]

        fraction = backtrack(loss, theta, grad, step)
        searching = (len(tries) - 1) * PRICES["loss"]  # the first is known
        spent += products * PRICES["product"] + searching
        lean += products * PRICES["lean"] + searching
        if spent >= BUDGET:
            return curve
        ratio = (value - tries[1]) / promised
        damping *= 2 / 3 if ratio > 0.75 else 3 / 2 if ratio < 0.25 else 1
        theta = theta + fraction * step


def train(method: str, lr: float, seed: int) -> Curve:
    """Return the points of a run."""
    theta = network.init(np.random.default_rng(seed), scheme="glorot")
    rules: dict[str, Callable[[], Any]] = {
        "gradient descent": lambda: GradientDescent(lr),
        "momentum": lambda: Momentum(lr, beta=0.9),
        "Adam": lambda: Adam(lr),
    }
    if method in rules:
        return first_order(rules[method](), theta)
    if method == "gradient descent, penalty":
        return first_order(GradientDescent(lr), theta, PENALTY)
    if method == "Adam, batches":
        return in_batches(Adam(lr), theta, seed)
    if method == "Hessian-free":
        return hessian_free(theta, lr)
    return lbfgs(theta, lr)


def one_seed(seed: int, methods: Sequence[str] = tuple(GRIDS)) -> list[dict[str, Any]]:
    """Return the rows of one seed, of all methods or of some."""
    rows = []
    for method in methods:
        for lr in GRIDS[method]:
            curve = train(method, lr, seed)
            born = np.linalg.norm(curve[0][3])
            for target in (*TARGETS, 0.0):
                reached = next((point for point in curve if point[2] <= target), None)
                spent, lean, _, theta = reached or (BUDGET + 1, BUDGET + 1, 0.0, curve[-1][3])
                right = [
                    float(np.mean(network.predict(theta, images) == labels))
                    for images, labels in ((x_validation, y_validation), (x_test, y_test))
                ]
                length = round(float(np.linalg.norm(theta) / born), 2)
                values = (method, lr, seed, target, round(spent), round(lean), *right, length)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("second_order_race", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
