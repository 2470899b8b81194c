"""Where the formulas of chapter 11, training in practice, must hold.

Expectations over random weights are means over all sign patterns of weights plus or minus one
standard deviation, each computed by `optlearn`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from worlds import world

from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent, Momentum
from optlearn.training import clip_by_norm

World = dict[str, Any]

RNG = np.random.default_rng(0)
SLOPE = np.array([0.7, -1.1, 0.4])  # what the loss sends back to the logits, whatever they are


def linear_loss(logits: Any, _: Any) -> Any:
    return (logits * SLOPE).sum(axis=-1).mean(axis=-1), np.broadcast_to(SLOPE, logits.shape).copy()


@cache
def all_signs(g: float) -> World:
    """Mean squares in networks 2-2-2-3 whose weights are +- their standard deviation.

    The two first units have opposite weights: a layer of two, unlike a wide one, would otherwise
    often be off as a whole. All other signs are independent.
    """
    network, x = MLP((2, 2, 2, 3)), np.array([[1.0, 0.3]])
    signs = np.array(list(product((-1.0, 1.0), repeat=12)))
    thetas = np.zeros((len(signs), network.n_parameters))
    (w1, _), (w2, _), (w3, _) = network.unpack(thetas)  # 2 g^2 / d = g^2 with d = 2
    w1[:] = g * signs[:, :2, None] * [1.0, -1.0]
    w2[:], w3[:] = g * signs[:, 2:6].reshape(-1, 2, 2), g * signs[:, 6:].reshape(-1, 2, 3)
    a = network.activations(thetas, x)[:-1]
    _, grad = network.loss_and_grad(thetas, x, np.zeros(1), linear_loss)
    layers = network.unpack(grad)  # the delta of one sample is the bias' gradient
    return {
        "m": [np.mean(layer**2) for layer in a],
        "s": [None, *(np.mean(np.sum(b**2, axis=-1)) for _, b in layers)],
        "v": [None, *(np.mean(w**2) for w, _ in layers)],
        "d": network.sizes,
    }


@world("eq-practice-forward")
def forwards() -> Iterator[World]:
    for g in (0.6, 1.7):
        m = all_signs(g)["m"]
        for layer in (1, 2):
            yield {"g": g, "l": layer, "m_0": m[0], "m_l": m[layer]}


@world("eq-practice-backward", "eq-practice-flat")
def backwards() -> Iterator[World]:
    for g in (0.6, 1.7):
        seen = all_signs(g)
        for layer in (1, 2, 3):
            yield {
                "g": g, "l": layer, "D": 3, "m_0": seen["m"][0], "s_D": SLOPE @ SLOPE,
                "m_{l-1}": seen["m"][layer - 1], "s_l": seen["s"][layer],
                "v_l": seen["v"][layer], "d_l": seen["d"][layer],
            }  # fmt: skip


NETWORK = MLP((4, 5, 3))
INPUTS, LABELS = RNG.normal(size=(6, 4)), RNG.integers(3, size=6)


def first(theta: Any) -> Any:
    return NETWORK.unpack(theta)[0][0]


def scaled_runs(rule: Any, k: float) -> Iterator[tuple[Any, Any, Any]]:
    """Steps on inputs times k: V before, its gradient on the inputs themselves, V after."""
    theta = NETWORK.init(np.random.default_rng(1))
    for _ in range(4):
        _, grad = NETWORK.loss_and_grad(theta, k * INPUTS, LABELS)
        after = rule.step(theta, grad)
        twin = theta.copy()
        first(twin)[:] *= k
        slope = first(NETWORK.loss_and_grad(twin, INPUTS, LABELS)[1])
        yield first(twin).copy(), slope.copy(), k * first(after)
        theta = after


@world("eq-practice-scale")
def scale() -> Iterator[World]:
    for k, lr in ((3.0, 0.04), (0.7, 0.3)):
        for before, slope, after in scaled_runs(GradientDescent(lr), k):
            yield {
                "V_{t+1}": after, "V_t": before, "k": k, r"\eta": lr,
                r"\nabla J": lambda _, slope=slope: slope,
            }  # fmt: skip


@world("eq-practice-scale-adam")
def scale_adam() -> Iterator[World]:
    for k, lr in ((3.0, 0.04), (0.7, 0.3)):
        m = v = 0.0
        for t, (before, slope, after) in enumerate(scaled_runs(Adam(lr, eps=0.0), k), 1):
            m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
            moved = v > 0  # a dead unit has no gradient and does not move
            hats = {r"\hat m": (m / (1 - 0.9**t))[moved], r"\hat v": (v / (1 - 0.999**t))[moved]}
            steps = {"V_{t+1}": after[moved], "V_t": before[moved]}
            yield {**steps, **hats, "k": k, r"\eta": lr}


@world("eq-practice-clip")
def clip() -> Iterator[World]:
    g = np.array([1.3, -2.1, 0.4])
    for c in (0.7, 2.0, 5.0):
        yield {"g'": clip_by_norm(g, c)[0], "g": g, "c": c}


@world("eq-practice-clip-bound", slack=1)
def clip_bound() -> Iterator[World]:
    for lr, beta, c in ((0.3, 0.6, 0.7), (1.7, 0.4, 2.5)):
        rule, theta = Momentum(lr, beta=beta), np.array([1.0, -2.0])
        for _ in range(400):
            before, theta = theta, rule.step(theta, clip_by_norm(np.array([30.0, 40.0]), c)[0])
        yield {r"\theta_{t+1}": theta, r"\theta_t": before, r"\eta": lr, "c": c, r"\beta": beta}


@world("eq-practice-implicit")
def implicit() -> Iterator[World]:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x, y, start = rng.normal(size=(3, 7)), rng.normal(size=3), rng.normal(size=7)
        rule, theta = GradientDescent(0.3), start
        for _ in range(3000):
            theta = rule.step(theta, x.T @ (x @ theta - y) / 3)
        alpha = np.linalg.lstsq(x.T, theta - start)[0]
        yield {"X": x, r"\hat\theta": theta, "y": y, r"\theta_0": start, r"\alpha": alpha}


@world("eq-practice-redrawn")
def redrawn() -> Iterator[World]:
    """All equally likely cases: one of ten tickets, some for a new label, and that label."""
    for tickets, classes in ((3, 10), (7, 3)):
        labels = [
            new if ticket < tickets else 0  # the true label is 0
            for ticket, new in product(range(10), range(classes))
        ]
        yield {"w": np.mean(np.array(labels) != 0), "r": tickets / 10, "C": classes}
