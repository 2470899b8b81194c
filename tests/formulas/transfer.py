"""Where the formulas of chapter 14, transfer and fusion, must hold.

Expectations are means over all equally likely subsets of inputs, listed one by one, or come from
`scipy.stats`; what networks compute comes from `optlearn`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import invwishart
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
        # One after the other, so that a squared length is a sum over all outcomes.
        yield {
            r"\mathbb E": lambda total: total, "N": labels, "d": d,
            "w_N": np.concatenate(ends), "w^*": np.tile(truth, len(ends)),
            "w_0": np.tile(w0, len(ends)),
        }  # fmt: skip


@world("eq-transfer-frozen")
def frozen() -> Iterator[World]:
    for labels, k, outside in ((9, 3, 0.3), (14, 5, 0.7)):
        wishart = np.trace(invwishart(df=labels, scale=np.eye(k)).mean())
        yield {
            r"\mathbb E": lambda error: error, "F": 2.5, "w^*": 0.8, "b": outside,
            "c_N": (0.8 + np.sqrt(outside * (1 + wishart))) / 2.5, "N": labels, "k": k,
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


@world("eq-transfer-basin", slack=2)  # the mean of A (theta_k - mean) is zero, times anything
def basin() -> Iterator[World]:
    root = RNG.normal(size=(4, 4))
    bowl = Quadratic(root @ root.T, center=RNG.normal(size=4))
    for members in (3, 5):
        theta = RNG.normal(size=(members, 4))
        yield {
            "J": bowl.value, r"\bar\theta": average_weights(theta), "K": members,
            r"\theta_k": {"k": lambda k, theta=theta: theta[k - 1]}, "A": root @ root.T,
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
        (w_a, _), _ = network.unpack(theta_a)
        (w_b, _), _ = network.unpack(theta_b)
        (w_c, _), _ = network.unpack(renamed)
        matrix = np.eye(5)[:, order]
        np.testing.assert_array_equal(w_c, w_b @ matrix)
        yield {"W_a": w_a, "W_b": w_b, "P": matrix}


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
