"""Where the formulas of chapter 12, quantization, must hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm
from worlds import world

from optlearn._integer import IntegerLayer, fixed_point, requantize
from optlearn.functions import Quadratic
from optlearn.networks import MLP
from optlearn.quantization import (
    FakeQuantizedMLP,
    QuantizedMLP,
    binarize,
    calibrate,
    fake_quantize,
    quantize,
)

World = dict[str, Any]
Array = np.ndarray

ROUND, LOW, HIGH = r"\operatorname{round}", r"q_{\min}", r"q_{\max}"
DISTORTION = r"\mathcal{D}"


def from_one(values: Array) -> Array:
    """Let the first value have the index 1, as on the page."""
    return np.r_[np.nan, values.astype(float)]


# The grid --------------------------------------------------------------------------------------


@world("eq-quantization-affine")
def integers() -> Iterator[World]:
    """Inside the grid, at both ends and beyond them, and halfway, as the package rounds."""
    for bits, scale, zero in ((3, 0.375, -1), (4, 0.25, 3)):
        for w in scale * np.array([-11.3, -2.6, -1.5, -0.4, 0.5, 1.7, 5.6]):
            grid: dict[str, Any] = {"scale": scale, "zero_point": zero}
            yield {
                "q": float(quantize(np.array([w]), bits=bits, **grid).q[0]),
                "r": float(quantize(np.array([w]), bits=8, **grid).q[0]),  # far from its ends
                "w": w,
                "S": scale,
                "Z": zero,
                ROUND: np.rint,
                LOW: -(2.0 ** (bits - 1)),
                HIGH: 2.0 ** (bits - 1) - 1,
            }


@world("eq-quantization-read", rtol=1e-12)
def read() -> Iterator[World]:
    rng = np.random.default_rng(0)
    stored = quantize(rng.uniform(-1, 4, size=30), bits=5)
    grid = {"S": float(stored.scale), "Z": float(stored.zero_point)}
    assert abs(grid["Z"]) > 2
    yield {r"\hat w": stored.dequantize(), "q": stored.q.astype(float), **grid}


RANGES = ((-0.33, 1.21, 3), (-2.7, 0.45, 5), (0.0, 1.3, 4))


@world("eq-quantization-range", rtol=2e-7)
def ranges() -> Iterator[World]:
    """The package rounds the scale up to 24 bits, by 2^-23 at the most."""
    for low, high, bits in RANGES:
        scale, zero = calibrate(np.array([low, high, 0.1]), bits=bits)
        yield {
            "S": float(scale),
            "Z": float(zero),
            "l": low,
            "u": high,
            "b": bits,
            LOW: -(2.0 ** (bits - 1)),
            ROUND: np.rint,
        }


@world("eq-quantization-symmetric", rtol=2e-7)
def symmetric() -> Iterator[World]:
    """Both ends of the grid occur, so that the bounds on q are tight."""
    for w, bits in ((np.array([-1.7, 0.3, 0.9, 1.7]), 3), (np.array([0.2, 2.3, -2.3]), 5)):
        stored = quantize(w, bits=bits, symmetric=True)
        top = 2.0 ** (bits - 1) - 1
        for q in stored.q[np.abs(w) == np.abs(w).max()].astype(float):
            weights = {"w_i": {"i": w}, r"\max_i": ("i", range(len(w)))}
            yield {"S": float(stored.scale), "q": q, "Q": top, **weights}


@world("eq-quantization-bound")
def bound() -> Iterator[World]:
    """The two ends of a cell, where the error is the largest, and places inside."""
    scale = 2.0**-3
    for place in (1.5, -2.5, 0.49999, 3.2):
        w = np.array([place * scale])
        hat = fake_quantize(w, bits=5, symmetric=True, scale=scale)
        yield {r"\hat w": hat[0], "w": w[0], "S": scale}


# Noise -----------------------------------------------------------------------------------------


@world("eq-quantization-noise", rtol=1e-6)
def noise() -> Iterator[World]:
    """The error of the package over 2,001 places in each of seven cells."""
    for scale in (0.25, 0.75):
        w = scale * (np.arange(-7 * 1000, 7 * 1000) + 0.5) / 2000
        hat = fake_quantize(w, bits=4, symmetric=True, scale=scale)
        yield {DISTORTION: np.mean((hat - w) ** 2), "S": scale}


@world("eq-quantization-uniform", "eq-quantization-decibel", rtol=1e-4)
def uniform() -> Iterator[World]:
    for bits in (2, 3, 5):
        w = np.linspace(-1.3, 1.3, 400_001)
        stored = quantize(w, bits=bits)
        yield {
            "P": np.mean(w**2),
            DISTORTION: np.mean((stored.dequantize() - w) ** 2),
            r"\log_{10}": np.log10,
            "S": float(stored.scale),
            "b": bits,
            "u": 1.3,
            "l": -1.3,
        }


def overload(c: float) -> float:
    """What clipping a Gaussian at c costs, by quadrature."""
    return 2 * quad(lambda w: (w - c) ** 2 * norm.pdf(w), c, c + 12)[0]


@world("eq-quantization-clipping", rtol=1e-7)
def clipping() -> Iterator[World]:
    for c in (0.3, 0.9, 1.7):
        phi = {r"\Phi": norm.cdf, r"\varphi": norm.pdf}
        yield {DISTORTION + "_c": overload(c), "c": c, **phi}


@world("eq-quantization-tradeoff", approx=0.01)
def tradeoff() -> Iterator[World]:
    """The error of a Gaussian on a clipped grid, by quadrature over its cells."""
    for c, bits in ((2.5, 4), (2.9, 5), (1.2, 5)):
        top = 2 ** (bits - 1) - 1
        scale = c / top
        edges = np.r_[-12, (np.arange(-top, top) + 0.5) * scale, 12]
        total = sum(
            quad(lambda w, level=level: (w - level) ** 2 * norm.pdf(w), left, right)[0]
            for level, left, right in zip(
                np.arange(-top, top + 1) * scale, edges[:-1], edges[1:], strict=True
            )
        )
        yield {DISTORTION: total, "c": c, "Q": top, DISTORTION + "_c": overload(c)}


# Integers --------------------------------------------------------------------------------------


@world("eq-quantization-product")
def product() -> Iterator[World]:
    for q, p, zx, zw in ((7, -3, 5, 4), (-6, 11, 3, -9)):
        x = quantize(np.array([0.5 * (q - zx)]), scale=0.5, zero_point=zx).q.astype(float)[0]
        assert x == q
        yield {"q_i": q, "p_{ij}": p, "Z_x": zx, "Z_w": zw}


def small_problem() -> tuple[MLP, Array, Array]:
    """A network of five inputs with biases, and a batch of inputs."""
    rng = np.random.default_rng(3)
    network = MLP((5, 4, 3))
    theta = network.init(rng)
    for _, bias in network.unpack(theta):
        bias[:] = rng.normal(size=bias.shape)
    return network, theta, rng.normal(size=(40, 5)) + 0.3


def small_network() -> tuple[QuantizedMLP, Array]:
    """The same in integers."""
    network, theta, x = small_problem()
    integers = QuantizedMLP.from_network(network, theta, x)
    return integers, integers.quantize_input(x * 1.3)


@world("eq-quantization-accumulator")
def accumulator() -> Iterator[World]:
    integers, inputs = small_network()
    layer = integers.layers[0]
    sums = layer.accumulate(inputs)
    for k, j in ((0, 1), (7, 2)):
        q = inputs[k].astype(float)
        yield {
            "A_j": float(sums[k, j]),
            "q_i": {"i": from_one(q)},
            "p_{ij}": {"i": from_one(layer.weights[:, j])},
            "Z_x": layer.input_zero_point,
            "c_j": float(layer.bias[j]),
            "d": len(q),
        }


@world("eq-quantization-overflow")
def overflow() -> Iterator[World]:
    """A layer is given the worst inputs, weights and bias of b bits: the bound is reached."""
    for bits, d, bias in ((8, 9, 77), (4, 5, 20)):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        weights = np.full((d, 1), high, dtype=np.int8)
        c = np.array([bias], dtype=np.int32)
        layer = IntegerLayer(weights, c, low, 0, 1.0, 0, 0)
        worst = float(layer.accumulate(np.full((1, d), high, dtype=np.int8))[0, 0])
        lowest = replace(layer, weights=-weights, bias=-c)
        for q in (high, 1):
            inputs = np.full((1, d), q, dtype=np.int8)
            for one in (layer, lowest):
                yield {
                    "A_j": float(one.accumulate(inputs)[0, 0]),
                    r"A_{\max}": worst,
                    "d": d,
                    "b": bits,
                    "Q": high,
                    "c_j": float(one.bias[0]),
                }


@world("eq-quantization-multiplier", rtol=1e-12, approx=2.0**-31, slack=3)
def multiplier() -> Iterator[World]:
    """Numbers whose multiplier is near either end of its range, and those of a network."""
    for exact in (0.5, 0.0123, 2.0**-9 * (1 - 2.0**-30), 0.731):
        integer, shift = fixed_point(np.float64(exact))
        parts = {"S_x": 0.375, "S_w": exact / 3, "S_y": 0.125}
        yield {"M": exact, "M_0": float(integer), "k": float(shift), **parts}
    network, theta, x = small_problem()
    inputs, hidden = network.activations(theta, x)[:2]
    first = QuantizedMLP.from_network(network, theta, x).layers[0]
    scales = {
        "S_x": float(calibrate(inputs)[0]),
        "S_w": float(calibrate(network.unpack(theta)[0][0], symmetric=True)[0]),
        "S_y": float(calibrate(hidden)[0]),
    }
    ratio = float(first.multiplier) / 2.0 ** float(first.shift)
    exact = scales["S_x"] * scales["S_w"] / scales["S_y"]
    assert abs(ratio / exact - 1) <= 2.0**-31
    yield {"M": exact, "M_0": float(first.multiplier), "k": float(first.shift), **scales}


@world("eq-quantization-multiplier-error", slack=2)
def multiplier_error() -> Iterator[World]:
    """The worst case: half a step off the smallest multiplier."""
    for exact in (Fraction(2**31 + 1, 2**40), Fraction(1, 3), Fraction(2**31 + 1, 2**45)):
        integer, shift = fixed_point(np.float64(float(exact)))
        yield {"M": np.longdouble(float(exact)), "M_0": int(integer), "k": int(shift)}


@world("eq-quantization-requantize")
def requantized() -> Iterator[World]:
    """The middle layer's integers, which a last layer of ones and zeros hands through.

    Once with the network's own multiplier, and once with 1/2, where halves occur.
    """
    integers, inputs = small_network()
    first, last = integers.layers
    width = first.weights.shape[1]
    through = replace(
        last,
        weights=np.eye(width, dtype=np.int8),
        bias=np.zeros(width, dtype=np.int32),
        input_zero_point=0,
    )
    sums = first.accumulate(inputs).ravel()
    quarter = replace(first, multiplier=np.int32(2**30), shift=np.int32(38))
    for layer in (first, quarter):
        network = QuantizedMLP(
            [layer, through], activation="relu", bits=8, activation_bits=8, input_scale=1.0
        )
        y, zero = network.forward_integers(inputs).ravel(), int(layer.output_zero_point)
        inside = np.flatnonzero((y > zero) & (y < 127))
        halves = inside[sums[inside] % 256 == 128]
        assert layer is first or len(halves)
        for k in (int(sums.argmin()), *inside[:3], *halves[:2], int(sums.argmax())):
            yield {
                "y_j": float(y[k]),
                "r_j": float(zero + requantize(sums[k], layer.multiplier, layer.shift)),
                "A_j": float(sums[k]),
                "M_0": float(layer.multiplier),
                "k": float(layer.shift),
                "Z_y": zero,
                HIGH: 127.0,
            }


@world("eq-quantization-binary", "eq-quantization-binary-parabola", "eq-quantization-binary-error")
def binary() -> Iterator[World]:
    for seed, n in ((0, 7), (1, 12)):
        w = np.random.default_rng(seed).normal(size=n) + 0.2
        signs, a = binarize(w)
        a = float(a)
        # the error as the minimum over a fine grid would find it: by least squares
        best = np.linalg.lstsq(signs[:, None].astype(float), w, rcond=None)[1][0]
        yield {
            "a": a,
            "n": n,
            "w_i": {"i": from_one(w)},
            "s_i": {"i": from_one(signs)},
            "E": best / np.dot(w, w),
        }


@world("eq-quantization-straight")
def straight() -> Iterator[World]:
    """A step with the gradient of the package's network with rounded weights."""
    rng = np.random.default_rng(4)
    network = MLP((3, 4, 2))
    rounded = FakeQuantizedMLP(network, bits=3)
    x, y = rng.normal(size=(6, 3)), rng.integers(2, size=6)
    theta = network.init(rng)
    for lr in (0.3, 0.07):
        after = theta - lr * rounded.loss_and_grad(theta, x, y)[1]
        yield {
            r"\theta_{t+1}": after,
            r"\theta_t": theta,
            r"\eta": lr,
            r"\nabla J": lambda point: network.loss_and_grad(point, x, y)[1],
            r"\hat\theta_t": rounded.quantized(theta),
        }


@world("eq-quantization-bias")
def bias() -> Iterator[World]:
    A = np.array([[3.0, 1.0], [1.0, 2.0]])
    bowl = Quadratic(A, center=np.array([0.3, -0.4]))
    for theta in (np.array([0.7, 1.2]), np.array([-1.6, 2.3])):
        hat = fake_quantize(theta, bits=8, symmetric=True, scale=1.0)
        yield {r"\theta": theta, r"\hat\theta": hat, r"\nabla J": bowl.gradient, "A": A}


@world("eq-quantization-average")
def average() -> Iterator[World]:
    """Runs on a quadratic whose grid is the integers."""
    A = np.array([[3.0, 1.0], [1.0, 2.0]])
    center = np.array([0.3, -0.4])
    bowl = Quadratic(A, center=center)
    for lr, count in ((0.05, 37), (0.11, 90)):
        start = theta = np.array([0.7, 0.2])
        seen = []
        for _ in range(count):
            seen.append(fake_quantize(theta, bits=8, symmetric=True, scale=1.0))
            theta = theta - lr * bowl.gradient(seen[-1])
        yield {
            "A": A,
            r"\bar\theta": np.mean(seen, axis=0),
            r"\theta^*": center,
            r"\theta_0": start,
            r"\theta_T": theta,
            r"\eta": lr,
            "T": count,
        }
