"""Where the formulas of chapter 14, transfer and fusion, must hold.

Expectations are means over all equally likely subsets of inputs, listed one by one, or over heads
fitted on many drawn inputs; what networks compute comes from `optlearn`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import chi2
from worlds import world

from optlearn.functions import Quadratic, himmelblau
from optlearn.losses import softmax
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.transfer import (
    average_weights,
    ensemble,
    interpolate,
    layer_rates,
    permute_hidden_units,
)

World = dict[str, Any]

RNG = np.random.default_rng(0)
NETWORK = MLP((4, 5, 3, 6))
THETAS = np.stack([NETWORK.init(RNG) for _ in range(3)]) + 0.1
INPUTS, LABELS = RNG.normal(size=(7, 4)), RNG.integers(6, size=7)


@world("eq-transfer-head")
def head() -> Iterator[World]:
    for theta in THETAS:
        a = NETWORK.activations(theta, INPUTS)
        weights, bias = NETWORK.unpack(theta)[-1]
        yield {"z": a[-1], "h": a[-2], "W^{(D)}": weights, "b^{(D)}": bias}


@world("eq-transfer-rates")
def rates() -> Iterator[World]:
    lr = layer_rates(NETWORK, [0.0, 0.3, 0.7])
    _, grad = NETWORK.loss_and_grad(THETAS[0], INPUTS, LABELS)
    new = GradientDescent(lr).step(THETAS[0], grad)
    for j in np.flatnonzero(grad)[[0, -9, -1]]:
        yield {
            r"\theta_{t+1,j}": new[j], r"\theta_{t,j}": THETAS[0, j], r"\eta_j": lr[j],
            "g_{t,j}": grad[j],
        }  # fmt: skip


@world("eq-transfer-count")
def count() -> Iterator[World]:
    for sizes in ((4, 5, 3, 6), (7, 9, 4)):
        yield {
            "n": MLP(sizes).n_parameters, "D": len(sizes) - 1,
            "d_l": {"l": lambda layer, sizes=sizes: sizes[layer]},
            "d_{l-1}": {"l": lambda layer, sizes=sizes: sizes[layer - 1]},
        }  # fmt: skip


@world("eq-transfer-start")
def start() -> Iterator[World]:
    d = 5
    basis, _ = np.linalg.qr(RNG.normal(size=(d, d)))
    truth = RNG.normal(size=d)
    for labels, w0 in ((2, np.zeros(d)), (3, RNG.normal(size=d))):
        ends = []
        for rows in combinations(range(d), labels):  # their projectors average to N/d
            x = RNG.normal(size=(labels, labels)) @ basis[list(rows)]
            step, *_ = np.linalg.lstsq(x, x @ (truth - w0), rcond=None)
            ends.append(w0 + step)
        yield {
            r"\mathbb E": np.mean, "R": lambda w: np.sum((w - truth) ** 2, axis=-1),
            "N": labels, "d": d, "w_N": np.array(ends), "w_0": w0,
        }  # fmt: skip


@world("eq-transfer-projection", rtol=1e-7)
def projection() -> Iterator[World]:
    truth = RNG.normal(size=5)
    for w0 in (np.zeros(5), RNG.normal(size=5)):
        x = RNG.normal(size=(2, 5))
        w, rule = w0, GradientDescent(1 / np.linalg.norm(x, 2) ** 2)
        for _ in range(2000):
            w = rule.step(w, x.T @ (x @ (w - truth)))
        span, _ = np.linalg.qr(x.T)
        yield {"w_N": w, "w_0": w0, "w^*": truth, "P": span @ span.T}


@world("eq-transfer-chi", rtol=1e-6)
def chi() -> Iterator[World]:
    for labels, k in ((14, 3), (19, 5)):
        squares = np.linspace(0.0, 200.0, 200_001)[1:]
        density = chi2(labels - k + 1).pdf(squares) * np.diff(squares)[0]
        yield {
            r"\mathbb E": lambda values, density=density: np.sum(values * density),
            r"\chi": np.sqrt(squares), "N": labels, "k": k,
        }  # fmt: skip


@world("eq-transfer-frozen", rtol=1e-2)  # heads fitted on drawn features: the mean is within 0.5 %
def frozen() -> Iterator[World]:
    for labels, k, outside in ((12, 3, 0.3), (17, 5, 0.7)):
        rng, d = np.random.default_rng(0), 7
        basis, _ = np.linalg.qr(rng.normal(size=(d, d)))
        body, missed = basis[:, :k], basis[:, k] * outside**0.5
        truth = body @ rng.normal(size=k) + missed
        features = rng.normal(size=(4000, labels, k))
        # What the features miss has mean 0 and is independent: each sample alone stands for all.
        targets = (features @ (body.T @ truth))[..., None] + np.eye(labels) * (
            labels * outside
        ) ** 0.5
        heads = np.linalg.pinv(features) @ targets
        yield {
            r"\mathbb E": np.mean, "F": body, "b": missed @ missed, "N": labels, "k": k,
            "c_N": np.moveaxis(heads, 1, 0).reshape(k, -1),
            "R": lambda w, truth=truth: np.sum((w - truth[:, None]) ** 2, axis=0),
        }  # fmt: skip


def predictions() -> tuple[np.ndarray, np.ndarray]:
    return softmax(NETWORK.forward(THETAS, INPUTS)), ensemble(NETWORK, THETAS, INPUTS)


@world("eq-transfer-brier")
def brier() -> Iterator[World]:
    each, mean = predictions()
    for i in range(3):
        yield {
            r"\bar y": mean[i], "y": np.eye(6)[LABELS[i]], "K": 3,
            r"\hat y_k": {"k": lambda k, i=i: each[k - 1, i]},
        }  # fmt: skip


@world("eq-transfer-jensen", slack=2)  # it holds for all positive numbers, and has room
def jensen() -> Iterator[World]:
    each, _ = predictions()
    same = np.repeat(each[:1], 3, axis=0)
    for p in (each, same, 1 + same):
        for i in range(2):
            yield {"p_k": {"k": lambda k, i=i, p=p: p[k - 1, i, LABELS[i]]}, "K": 3}


@world("eq-transfer-basin")
def basin() -> Iterator[World]:
    root = RNG.normal(size=(4, 4))
    bowl = Quadratic(root @ root.T, center=RNG.normal(size=4))
    for members in (3, 5):
        theta = RNG.normal(size=(members, 4))
        yield {
            "J": bowl.value, r"\bar\theta": average_weights(theta), "K": members,
            r"\theta_k": {"k": lambda k, theta=theta: theta[k - 1]}, "A": root @ root.T,
            r"\Delta_k": {"k": lambda k, theta=theta: theta[k - 1] - average_weights(theta)},
        }  # fmt: skip


@world("eq-transfer-line")
def line() -> Iterator[World]:
    for alpha in (0.3, 0.8):
        yield {
            r"\theta": lambda alpha: interpolate(THETAS[0], THETAS[1], [alpha])[0],
            r"\alpha": alpha, r"\theta_a": THETAS[0], r"\theta_b": THETAS[1],
        }  # fmt: skip


@world("eq-transfer-barrier")
def barrier() -> Iterator[World]:
    alphas = np.linspace(0, 1, 11)
    for first, last in ((0, 1), (2, 1)):
        one, other = himmelblau.minimum[[first, last]] + [[0.3, 0.2], [-0.1, 0.4]]
        loss = himmelblau.value(interpolate(one, other, alphas))
        height = (loss - np.interp(alphas, [0, 1], loss[[0, -1]])).max()
        assert height > 10
        yield {
            "B": height, "J": himmelblau.value, r"\max_{\alpha}": (r"\alpha", alphas),
            r"\theta": lambda alpha, ends=(one, other): interpolate(*ends, [alpha])[0],
            r"\theta_a": one, r"\theta_b": other,
        }  # fmt: skip


@world("eq-transfer-assignment")
def assignment() -> Iterator[World]:
    network = MLP((1, 5, 2))
    for _ in range(2):
        theta_a, theta_b = network.init(RNG), network.init(RNG)
        order = RNG.permutation(5)
        renamed = permute_hidden_units(network, theta_b, [order])
        theta_a, theta_b, renamed = np.stack([theta_a, theta_b, renamed]) + 0.1  # biases too
        layers = [network.unpack(theta) for theta in (theta_a, theta_b, renamed)]
        v_a, v_b, v_c = (np.vstack([w, b, w_next.T]) for (w, b), (w_next, _) in layers)
        matrix = np.eye(5)[:, order]
        np.testing.assert_array_equal(v_c, v_b @ matrix)
        yield {"V_a": v_a, "V_b": v_b, "P": matrix}


@world("eq-transfer-permutation")
def permutation() -> Iterator[World]:
    orders = [RNG.permutation(5), RNG.permutation(3)]
    matrices = [np.eye(4), np.eye(5)[:, orders[0]], np.eye(3)[:, orders[1]], np.eye(6)]
    old = NETWORK.unpack(THETAS[0])
    new = NETWORK.unpack(permute_hidden_units(NETWORK, THETAS[0], orders))
    for layer in range(3):
        yield {
            r"\tilde W^{(l)}": new[layer][0], "W^{(l)}": old[layer][0],
            r"\tilde b^{(l)}": new[layer][1][None], "b^{(l)}": old[layer][1][None],
            "P_{l-1}": matrices[layer], "P_l": matrices[layer + 1],
        }  # fmt: skip


@world("eq-transfer-twin")
def twin() -> Iterator[World]:
    order = np.array([2, 0, 1, 4, 3])
    both = np.stack([THETAS[0], permute_hidden_units(NETWORK, THETAS[0], [order, range(3)])])
    weights = NETWORK.unpack(both)[0][0]
    np.testing.assert_allclose(NETWORK.unpack(average_weights(both))[0][0], weights.mean(axis=0))
    yield {"W": weights[0], "P": np.eye(5)[:, order], "I": np.eye(5)}


@world("eq-transfer-parabola")
def parabola() -> Iterator[World]:
    bowl = Quadratic([[3.0, 0.7], [0.7, 1.9]], center=[0.4, -0.3])
    for alpha in (0.3, 0.8):
        one, other = RNG.normal(size=(2, 2))
        yield {
            "J": bowl.value, r"\alpha": alpha, "s": (one - other) @ bowl.gradient(one)
            - (one - other) @ bowl.gradient(other), "J_a": bowl.value(one),
            "J_b": bowl.value(other),
            r"\theta": lambda alpha, ends=(one, other): interpolate(*ends, [alpha])[0],
        }  # fmt: skip


@world("eq-transfer-best-point")
def best_point() -> Iterator[World]:
    bowl = Quadratic([[3.0, 0.7], [0.7, 1.9]], center=[0.4, -0.3])
    for _ in range(2):
        one, other = RNG.normal(size=(2, 2))
        curve = np.polyfit([0, 0.5, 1], bowl.value(interpolate(one, other, [0, 0.5, 1])), 2)
        yield {
            r"\alpha^*": np.roots(np.polyder(curve))[0], "s": 2 * curve[0],
            "J_a": bowl.value(one), "J_b": bowl.value(other),
        }  # fmt: skip


@world("eq-transfer-rescale")
def rescale() -> Iterator[World]:
    network = MLP((1, 1, 1))
    for c in (0.4, 3.0):
        theta = np.array([0.7, 0.0, 1.3, 0.0])
        both = np.stack([theta, theta * [c, c, 1 / c, 1]])
        np.testing.assert_allclose(*network.forward(both, np.ones((1, 1))))
        (w, _), (v, _) = network.unpack(average_weights(both))
        yield {
            r"\bar w": w[0, 0], r"\bar v": v[0, 0], "w": 0.7, "v": 1.3, "c": c,
        }  # fmt: skip
