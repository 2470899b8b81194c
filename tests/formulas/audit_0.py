"""What the formulas that article 0 prints, wrong as they are, say: what the printed rules compute.

The rules are those of `optlearn.misprints`; a slip of our own in the typesetting is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from worlds import world

from optlearn.losses import binary_cross_entropy
from optlearn.misprints import misprint
from optlearn.networks import MLP

World = dict[str, Any]


def cubic(theta: float) -> float:
    """A slope that is no multiple of its argument."""
    return theta**3 - 0.4 * theta + 0.3


def points() -> Iterator[tuple[int, float, float, World]]:
    for t, theta, last in ((2, 0.7, -0.9), (5, -1.3, 0.4)):
        names = {"t": t, r"\theta_t": theta, r"\theta_{t-1}": last, r"\nabla J": cubic}
        yield t, theta, last, names


@world("eq-audit-e0-05")
def delayed() -> Iterator[World]:
    rule = misprint("E0-05").printed
    for _, theta, last, names in points():
        after = rule(lambda x: np.atleast_1d(cubic(x)), theta, last, [0], 0.03, 0.7)
        yield {**names, r"\alpha": 0.03, r"\beta": 0.7, r"\theta_{t+1}": after}


@world("eq-audit-e0-06")
def position() -> Iterator[World]:
    rule = misprint("E0-06").printed
    for _, theta, last, names in points():
        after = rule(theta, last, cubic(theta), 0.03, 0.7)
        yield {**names, r"\alpha": 0.03, r"\beta": 0.7, r"\theta_{t+1}": after}


@world("eq-audit-e0-07")
def squashed() -> Iterator[World]:
    rule = misprint("E0-07").printed
    for _, theta, _, names in points():
        step, _ = rule(np.float64(cubic(theta)), np.zeros(()), 0.03, 0.7)
        yield {**names, r"\alpha": 0.03, r"\beta": 0.7, r"\theta_{t+1}": theta - step}


@world("eq-audit-e0-08")
def one_plus() -> Iterator[World]:
    rule = misprint("E0-08").printed
    for t, theta, _, names in points():
        step, _, _ = rule(cubic(theta), t, 0.0, 0.0, 0.03)
        betas = {r"\beta_1": 0.9, r"\beta_2": 0.999}
        yield {**names, **betas, r"\alpha": 0.03, r"\theta_{t+1}": theta - step}


@world("eq-audit-e0-11")
def cross_entropy() -> Iterator[World]:
    """The formula is right; only its words are not."""
    z, y = np.array([1.5, -0.4, 0.3, -2.0]), np.array([1.0, 0.0, 0.0, 1.0])
    p = np.exp(-np.logaddexp(0, -z))
    value = binary_cross_entropy(z, y)[0]
    yield {
        "m": 4, r"\theta": 0.0, "J": lambda _: value,
        "y_i": {"i": lambda i: y[i - 1]}, r"\hat y_i": {"i": lambda i: p[i - 1]},
    }  # fmt: skip


@world("eq-audit-e0-12")
def gradients() -> Iterator[World]:
    """One hidden unit, as in the article; its two inputs one after the other."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    network = MLP([2, 1, 1], "sigmoid")
    theta = network.init(rng)
    _, hidden, logits = network.activations(theta, x)
    output = np.exp(-np.logaddexp(0, -logits))
    for (reading, h, o), k in product((("A", hidden, output), ("B", output, hidden)), (0, 1)):
        w_in, b_hid, w_out, b_out = misprint("E0-12").printed(network, theta, x, y, reading)
        printed = {1.5: w_in[k, 0], 2.5: w_out[0, 0], 3.5: b_hid[0], 4.5: b_out[0]}
        yield {
            "m": 5, r"\nabla J": lambda name, printed=printed: printed[float(name)],
            "W_{in}": 1.5, "W_{out}": 2.5, "b_{hid}": 3.5, "b_{out}": 4.5,
            "h_i": {"i": lambda i, h=h: h[i - 1, 0]}, "o_i": {"i": lambda i, o=o: o[i - 1, 0]},
            "y_i": {"i": lambda i: y[i - 1, 0]}, "x_i": {"i": lambda i, k=k: x[i - 1, k]},
        }  # fmt: skip
