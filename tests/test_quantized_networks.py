"""Quantized networks: trained through rounding, run in integers, kept in files."""

from __future__ import annotations

import hashlib
import io
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn._integer import fixed_point, requantize
from optlearn._storage import pack, unpack
from optlearn.datasets import blobs, load_digits
from optlearn.losses import mean_squared_error
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.quantization import (
    FakeQuantizedMLP,
    Quantized,
    QuantizedMLP,
    binarize,
    calibrate,
    fake_quantize,
    load,
    quantize,
    save,
)
from optlearn.training import accuracy, fit

Array = NDArray[Any]


def problem(activation: str = "relu", *, runs: int | None = None) -> tuple[MLP, Array, Array]:
    """Draw a network, its parameters with biases that are not 0, and inputs."""
    rng = np.random.default_rng(11)
    network = MLP((6, 7, 5, 3), activation)
    front = () if runs is None else (runs,)
    theta = rng.normal(size=(*front, network.n_parameters))
    return network, theta, rng.normal(size=(20, 6)) + 0.5


# Binary weights ----------------------------------------------------------------------------


def test_signs_and_their_scale_by_hand() -> None:
    signs, scale = binarize(np.array([[-3.0, 0.0], [1.0, -0.0]]))
    assert signs.dtype == np.int8
    assert signs.tolist() == [[-1, 1], [1, 1]]
    assert scale == 1.0
    _, scale = binarize(np.array([[-3.0, 0.0], [1.0, 0.5]]), axis=1)
    assert scale.tolist() == [[2.0, 0.25]]
    assert binarize(np.zeros(3))[1] == 0.0
    assert binarize(np.full(4, 1.7e308))[1] == 1.7e308
    assert binarize(np.array([5e-324, -5e-324]))[1] == 5e-324
    assert binarize(np.array([1.0, 3.0], dtype=np.float32))[1].dtype == np.float64


def test_the_mean_size_is_the_best_scale_of_the_signs() -> None:
    w = np.random.default_rng(0).normal(size=10_000)
    signs, scale = binarize(w)
    errors = {a: np.sum((w - a * signs) ** 2) for a in np.linspace(0.5, 1.1, 61)}
    best = np.sum((w - scale * signs) ** 2)
    assert best <= min(errors.values())
    # The squared error is a parabola in a with its vertex at <w, sign w> / n.
    assert_allclose(scale, w @ signs / len(w), rtol=1e-12)
    # A Gaussian loses 1 - 2/pi of its power; 10,000 numbers give two digits of it.
    assert_allclose(best / np.sum(w**2), 1 - 2 / math.pi, atol=0.01)


# Training through the rounding ---------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_computes_with_the_weights_that_quantize_would_store(
    dtype: type, bits: int, symmetric: bool, axis: int | None
) -> None:
    plain, theta, x = problem()
    theta = theta.astype(dtype)
    network = FakeQuantizedMLP(plain, bits=bits, symmetric=symmetric, axis=axis)
    before = theta.copy()
    expected = theta.copy()
    for weights, _ in plain.unpack(expected):
        if bits == 1:
            signs, scale = binarize(weights, axis=axis)
            weights[...] = signs * scale
        else:
            weights[...] = fake_quantize(weights, bits=bits, symmetric=symmetric, axis=axis)
    # A mean over float32 is rounded in another order; all else is the same to the bit.
    tolerance = 1e-5 if bits == 1 else 0
    assert_allclose(network.quantized(theta), expected, rtol=tolerance)
    assert network.quantized(theta).dtype == dtype
    assert_allclose(network.forward(theta, x), plain.forward(expected, x), rtol=10 * tolerance)
    assert_array_equal(network.predict(theta, x), plain.predict(expected, x))
    assert_array_equal(theta, before)
    assert isinstance(network, MLP)
    assert (network.sizes, network.activation) == (plain.sizes, plain.activation)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_gradient_is_the_one_at_the_quantized_weights(bits: int, symmetric: bool) -> None:
    plain, theta, x = problem()
    y = np.arange(20) % 3
    network = FakeQuantizedMLP(plain, bits=bits, symmetric=symmetric)
    value, grad = network.loss_and_grad(theta, x, y)
    expected_value, expected = plain.loss_and_grad(network.quantized(theta), x, y)
    passes = np.ones_like(theta)
    if bits == 1:
        for (weights, _), (mask, _) in zip(plain.unpack(theta), plain.unpack(passes), strict=True):
            mask[...] = np.abs(weights) <= 1
        assert 0 < passes.mean() < 1
    assert value == expected_value
    assert_array_equal(grad, expected * passes)


def test_fixed_grids_clip_and_stop_the_gradient_of_what_is_clipped() -> None:
    # S = 1 from -2 to 1: weights 1.5 and -2.5 are half a step outside, which is still rounded.
    network = FakeQuantizedMLP(MLP((5, 1)), bits=2, symmetric=False, grids=[(1.0, 0)])
    theta = np.array([1.5, 1.51, -2.5, -2.51, 0.4, 7.0])
    assert network.quantized(theta).tolist() == [1.0, 1.0, -2.0, -2.0, 0.0, 7.0]
    x, y = np.ones((1, 5)), np.array([[4.5]])  # the output is 5, the error 1/2
    assert network.loss_and_grad(theta, x, y, mean_squared_error)[1].tolist() == [1, 0, 1, 0, 1, 1]
    # With a zero point of 1 the grid goes from -3 to 0.
    network = FakeQuantizedMLP(MLP((3, 1)), bits=2, symmetric=False, grids=[(1.0, 1)])
    theta = np.array([0.6, -3.4, -3.6, 0.0])
    assert network.quantized(theta).tolist() == [0.0, -3.0, -3.0, 0.0]
    grad = network.loss_and_grad(theta, np.ones((1, 3)), np.array([[-7.0]]), mean_squared_error)[1]
    assert grad.tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [1, 3])
def test_runs_are_quantized_each_for_itself(bits: int, symmetric: bool, axis: int | None) -> None:
    plain, theta, x = problem(runs=4)
    theta *= np.array([[1.0], [10.0], [0.1], [0.0]])
    network = FakeQuantizedMLP(plain, bits=bits, symmetric=symmetric, axis=axis)
    values, grads = network.loss_and_grad(theta, x, np.arange(20) % 3)
    for run in range(4):
        value, grad = network.loss_and_grad(theta[run], x, np.arange(20) % 3)
        assert_allclose(values[run], value, rtol=1e-13)
        assert_allclose(grads[run], grad, rtol=1e-12, atol=1e-14)


def test_fixed_grids_serve_every_run() -> None:
    plain, theta, x = problem(runs=3)
    grids = [calibrate(w[0], bits=3, axis=1, symmetric=True) for w, _ in plain.unpack(theta)]
    network = FakeQuantizedMLP(plain, bits=3, axis=1, grids=grids)
    together = network.forward(theta, x)
    for run in range(3):
        assert_allclose(together[run], network.forward(theta[run], x), rtol=1e-13)
    first = FakeQuantizedMLP(plain, bits=3, axis=1).forward(theta[0], x)
    assert_allclose(together[0], first, rtol=1e-13)


@pytest.mark.parametrize("bits", [1, 2])
def test_training_through_the_rounding_beats_rounding_after_training(bits: int) -> None:
    data = load_digits(rng=np.random.default_rng(0))
    plain, rng = MLP((64, 32, 10)), np.random.default_rng(1)
    start = plain.init(rng)
    how: dict[str, Any] = {"epochs": 6, "batch_size": 32, "rng": rng}
    theta = fit(plain, start, data.train, Adam(3e-3), **how).theta
    network = FakeQuantizedMLP(plain, bits=bits)
    after = accuracy(network, theta, *data.test)
    history = fit(network, start, data.train, Adam(3e-3), **how)
    assert history.loss[-1] < history.loss[0] / 2
    assert accuracy(plain, theta, *data.test) > 0.9
    assert accuracy(network, history.theta, *data.test) > after + 0.05


def test_the_shape_of_the_network_is_shown() -> None:
    shown = repr(FakeQuantizedMLP(MLP((2, 1)), bits=3, axis=1, symmetric=False))
    assert shown == "FakeQuantizedMLP((2, 1), 3 bits, asymmetric, a scale per neuron)"


# Inference in integers -------------------------------------------------------------------------


def in_python(network: QuantizedMLP, q: Array) -> list[list[int]]:
    """Run the integer network with Python's own integers and fractions: nothing can overflow."""
    outputs = []
    last = len(network.layers) - 1
    low, high = -(2 ** (network.activation_bits - 1)), 2 ** (network.activation_bits - 1) - 1
    for sample in q.tolist():
        for index, layer in enumerate(network.layers):
            weights, bias = layer.weights.tolist(), layer.bias.tolist()
            sums = [
                sum(
                    (sample[i] - layer.input_zero_point) * weights[i][j]
                    for i in range(len(sample))
                )
                + bias[j]
                for j in range(len(bias))
            ]
            assert all(-(2**31) <= total < 2**31 for total in sums)
            if index == last:
                outputs.append(sums)
                break
            multipliers = np.broadcast_to(layer.multiplier, len(bias)).tolist()
            shifts = np.broadcast_to(layer.shift, len(bias)).tolist()
            scaled = [
                math.floor(Fraction(a * m, 2**k) + Fraction(1, 2))
                for a, m, k in zip(sums, multipliers, shifts, strict=True)
            ]
            floor = layer.output_zero_point if network.activation == "relu" else low
            sample = [min(max(v + layer.output_zero_point, floor), high) for v in scaled]
    return outputs


@pytest.mark.parametrize("method", ["min-max", "percentile", "mse"])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize(("bits", "activation_bits"), [(8, 8), (5, 8), (2, 8), (8, 3), (2, 2)])
def test_integers_are_those_of_plain_python(
    bits: int, activation_bits: int, activation: str, axis: int | None, method: str
) -> None:
    plain, theta, x = problem(activation)
    network = QuantizedMLP.from_network(
        plain,
        theta,
        x,
        bits=bits,
        activation_bits=activation_bits,
        axis=axis,
        method=method,
        percentile=95,
    )
    q = network.quantize_input(3 * x)  # some inputs saturate
    assert q.dtype == np.int8
    integers = network.forward_integers(q)
    assert integers.dtype == np.int32
    assert integers.tolist() == in_python(network, q)
    logits = network.forward(3 * x)
    assert_array_equal(logits, integers * network.layers[-1].scale)
    assert_array_equal(network.predict(3 * x), logits.argmax(axis=1))
    for layer in network.layers:
        assert layer.weights.dtype == np.int8
        assert np.abs(layer.weights).max() == 2 ** (bits - 1) - 1
        assert layer.bias.dtype == layer.multiplier.dtype == layer.shift.dtype == np.int32
        assert layer.scale.shape == (() if axis is None else layer.bias.shape)
    for layer in network.layers[:-1]:
        assert layer.multiplier.shape == layer.scale.shape
        assert (layer.multiplier >= 2**30).all()


@pytest.mark.parametrize("method", ["min-max", "percentile", "mse"])
@pytest.mark.parametrize("axis", [None, 1])
def test_its_tables_are_those_of_the_definition(axis: int | None, method: str) -> None:
    plain, theta, x = problem()
    how: dict[str, Any] = {"method": method, "percentile": 90}
    network = QuantizedMLP.from_network(plain, theta, x, axis=axis, **how)
    grids = [calibrate(a, **how) for a in plain.activations(theta, x)[:-1]]
    assert (network.input_scale, network.input_zero_point) == grids[0]
    for index, (weights, bias) in enumerate(plain.unpack(theta)):
        layer = network.layers[index]
        scale, _ = calibrate(weights, symmetric=True, axis=axis, **how)
        stored = quantize(weights, symmetric=True, axis=axis, scale=scale)
        unit = grids[index][0] * np.ravel(stored.scale)
        assert_array_equal(layer.weights, stored.q)
        assert_allclose(np.ravel(layer.scale), unit, rtol=1e-15)
        assert_array_equal(layer.bias, np.rint(bias / unit))
        assert layer.input_zero_point == grids[index][1]
        if index + 1 < len(grids):
            assert layer.output_zero_point == grids[index + 1][1]
            ratio = np.ldexp(np.ravel(layer.multiplier).astype(float), -np.ravel(layer.shift))
            # 31 bits: half a unit of 2**-30 at most.
            assert_allclose(ratio, unit / grids[index + 1][0], rtol=2.0**-31)


@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_eight_bits_are_close_to_the_floating_network(activation: str, axis: int | None) -> None:
    plain, theta, x = problem(activation)
    network = QuantizedMLP.from_network(plain, theta, x, axis=axis)
    logits = plain.forward(theta, x)
    # Each of six roundings (inputs, weights, activations) is off by at most 1/2 in 127.
    assert np.abs(network.forward(x) - logits).max() < 0.03 * np.abs(logits).max()


def test_a_network_by_hand() -> None:
    # x from 0 to 255 (S = 1, Z = -128), w = 127 and -127 (S = 1), b = 3 (S = 1).
    network = QuantizedMLP.from_network(
        MLP((2, 1)), np.array([127.0, -127.0, 3.0]), np.array([[0.0, 255.0]])
    )
    assert (network.input_scale, network.input_zero_point) == (1.0, -128)
    assert network.quantize_input(np.array([[2.0, 300.0]])).tolist() == [[-126, 127]]
    assert network.layers[0].bias.tolist() == [3]
    assert network.forward_integers(np.array([[-126, -127]], dtype=np.int8)).tolist() == [[130]]
    assert network.forward(np.array([[2.0, 1.0]])).tolist() == [[130.0]]
    assert network.predict(np.array([[2.0, 1.0], [1.0, 2.0]])).tolist() == [1, 0]
    assert network.n_parameters == 3
    assert network.sizes == (2, 1)


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    st.floats(2.0**-80, 2.0**29),
)
def test_requantization_is_exact_to_the_half(accumulators: list[int], ratio: float) -> None:
    multiplier, shift = fixed_point(ratio)
    assert 2**30 <= multiplier < 2**31
    assert 1 <= shift <= 62
    exact = [
        math.floor(Fraction(a * int(multiplier), 2 ** int(shift)) + Fraction(1, 2))
        for a in accumulators
    ]
    assert requantize(np.array(accumulators, dtype=np.int32), multiplier, shift).tolist() == exact
    # And it rounds what it stands for, to the 31 bits of its multiplier.
    for a, rounded in zip(accumulators, exact, strict=True):
        assert (
            abs(rounded - a * Fraction(ratio)) <= Fraction(1, 2) + abs(a) * Fraction(ratio) / 2**31
        )


def test_halves_are_rounded_up() -> None:
    multiplier, shift = fixed_point(0.5)
    assert (multiplier, shift) == (2**30, 31)
    halves = np.array([-3, -2, -1, 0, 1, 2, 3], dtype=np.int32)
    assert requantize(halves, multiplier, shift).tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_a_ratio_just_below_a_power_of_two_is_carried() -> None:
    assert fixed_point(1 - 2.0**-40) == (2**30, 30)
    with pytest.raises(ValueError, match=r"a rescaling must be below 2\*\*30, got"):
        fixed_point(2.0**31)


def test_the_largest_sum_fits_int32() -> None:
    # The widest layer allowed, the largest inputs and weights, and the largest bias.
    width = (2**30 - 1) // (255 * 127)
    assert width * 255 * 127 + 2**30 < 2**31
    theta = np.append(np.full(width, 127.0), 1e18)
    network = QuantizedMLP.from_network(MLP((width, 1)), theta, np.full((1, width), 255.0))
    layer = network.layers[0]
    assert layer.bias[0] == 2**30
    theta[-1] = 0
    network = QuantizedMLP.from_network(MLP((width, 1)), theta, np.full((1, width), 255.0))
    q = np.full((1, width), 127, dtype=np.int8)
    assert network.forward_integers(q).tolist() == [[255 * 127 * width]]
    with pytest.raises(ValueError, match=rf"sizes must be <= {width} for sums in int32"):
        QuantizedMLP.from_network(MLP((width + 1, 1)), np.ones(width + 2), np.ones((1, width + 1)))


@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize(
    ("weight", "bias", "largest"),
    [
        (5e-324, 0.0, 0.9),  # the product of the scales vanishes
        (1e-200, 0.0, 1e-200),
        (1e-160, 0.0, 1e-155),  # or has lost bits
        (1e200, 0.0, 1e200),  # or is too large
        (1.0, 1.0, 5e-324),  # a bias that the inputs' grid cannot carry
    ],
)
def test_scales_without_a_product_are_refused(
    weight: float, bias: float, largest: float, axis: int | None
) -> None:
    network = MLP((2, 2))
    # The weights meet an input that is 0, so that no float overflows.
    theta = np.array([weight, -weight, 0.0, 0.0, bias, bias])
    x = np.array([[0.0, largest / 2], [0.0, largest]])
    with pytest.raises(ValueError, match="scales whose product is a normal number"):
        QuantizedMLP.from_network(network, theta, x, axis=axis)


def test_tiny_scales_whose_product_is_normal_are_exact() -> None:
    theta = np.array([1e-140, -1e-140, -1e-140, 1e-140, 1e-290, 0.0])
    x = np.array([[1e-150, 2e-150], [0.0, 1e-150]])
    network = QuantizedMLP.from_network(MLP((2, 2)), theta, x)
    q = network.quantize_input(x)
    assert network.forward_integers(q).tolist() == in_python(network, q)
    assert_allclose(network.forward(x), MLP((2, 2)).forward(theta, x), rtol=0, atol=3e-292)


def test_a_multiplier_that_vanishes_is_one_that_rounds_everything_to_zero() -> None:
    assert fixed_point(0.0) == fixed_point(1e-300) == (2**30, 62)
    ends = np.array([-(2**31), 2**31 - 1], dtype=np.int32)
    assert requantize(ends, *fixed_point(0.0)).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"a rescaling must be below 2\*\*30, got inf"):
        fixed_point(np.inf)


@pytest.mark.parametrize("axis", [None, 1])
def test_a_bias_that_dwarfs_its_weights_is_kept(axis: int | None) -> None:
    theta = np.array([1e-30, 1.0, 1e-30, 1.0, 1e6, 0.5])
    network = QuantizedMLP.from_network(MLP((2, 2)), theta, np.array([[0.0, 1.0]]), axis=axis)
    logits = network.forward(np.array([[1.0, 1.0]]))
    assert_allclose(logits[0, 0], 1e6, rtol=1e-8)
    # With one scale for the layer the other neuron pays: its weights are whole steps of 0.24.
    assert_allclose(logits[0, 1], 2.5, rtol=0.05 if axis is None else 0.01)


def test_a_neuron_that_never_fires_is_no_trouble() -> None:
    plain, theta, x = problem()
    for weights, bias in plain.unpack(theta)[:2]:
        weights[...], bias[...] = -np.abs(weights), -50.0
    network = QuantizedMLP.from_network(plain, theta, x)
    expected = np.broadcast_to(plain.unpack(theta)[2][1], (20, 3))
    assert_allclose(network.forward(x), expected, atol=0.01)


def test_digits_are_read_as_well_in_eight_bits() -> None:
    data = load_digits(rng=np.random.default_rng(0))
    plain, rng = MLP((64, 32, 10)), np.random.default_rng(1)
    theta = fit(
        plain, plain.init(rng), data.train, Adam(3e-3), epochs=6, batch_size=32, rng=rng
    ).theta
    x, y = data.test
    before = np.mean(plain.predict(theta, x) == y)
    for axis in (None, 1):
        network = QuantizedMLP.from_network(plain, theta, data.train[0], axis=axis)
        # 450 digits: at most two of them change.
        assert abs(np.mean(network.predict(x) == y) - before) <= 2.5 / 450
    assert network.n_parameters == plain.n_parameters
    assert theta.nbytes / network.nbytes > 6


# Files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(1, 17))
def test_packing_keeps_every_bit(bits: int) -> None:
    low = -(2 ** (bits - 1))
    q = np.arange(low, -low).astype(np.int8 if bits <= 8 else np.int16)
    q = np.concatenate([q, q[:1]]).reshape(-1, 1)
    packed = pack(q, bits)
    assert packed.nbytes == math.ceil(bits * q.size / 8)
    back = unpack(packed, bits, q.shape)
    assert back.dtype == q.dtype
    assert_array_equal(back, q)


def test_two_bits_are_packed_four_to_a_byte_lowest_bit_first() -> None:
    # -2, -1, 0, 1 are stored as 0, 1, 2, 3: 00 10 01 11.
    assert pack(np.array([-2, -1, 0, 1], dtype=np.int8), 2).tolist() == [0b00100111]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [1, 3, 8, 11, 16])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_a_tensor_comes_back_to_the_bit(
    tmp_path: Path, axis: int | None, bits: int, symmetric: bool
) -> None:
    w = np.random.default_rng(0).normal(size=(40, 30))
    stored = quantize(w, bits=bits, symmetric=symmetric, axis=axis)
    path = tmp_path / "w.npz"
    save(path, stored)
    back = load(str(path))
    assert isinstance(back, Quantized)
    assert_array_equal(back.q, stored.q)
    assert back.q.dtype == stored.q.dtype
    for name in ("scale", "zero_point"):
        assert_array_equal(getattr(back, name), getattr(stored, name))
        assert getattr(back, name).dtype == getattr(stored, name).dtype
        assert getattr(back, name).shape == getattr(stored, name).shape
    assert (back.bits, back.axis, back.symmetric) == (bits, axis, symmetric)
    channels = {None: 1, 0: 40, 1: 30}[axis]
    assert stored.nbytes == 1200 * bits / 8 + channels * (8 if symmetric else 12) == back.nbytes
    assert stored.nbytes < path.stat().st_size < stored.nbytes + 1500
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("axis", [None, 1])
def test_a_network_comes_back_to_the_bit(tmp_path: Path, axis: int | None, bits: int) -> None:
    plain, theta, x = problem("identity")
    network = QuantizedMLP.from_network(plain, theta, x, bits=bits, axis=axis, activation_bits=6)
    path = tmp_path / "network.npz"
    save(path, network)
    back = load(path)
    assert isinstance(back, QuantizedMLP)
    assert_array_equal(back.forward(x), network.forward(x))
    for name in ("sizes", "activation", "bits", "activation_bits", "input_scale", "nbytes"):
        assert getattr(back, name) == getattr(network, name)
    for ours, theirs in zip(network.layers, back.layers, strict=True):
        for name, value in vars(ours).items():
            assert_array_equal(getattr(theirs, name), value)
            assert np.asarray(getattr(theirs, name)).dtype == np.asarray(value).dtype
    assert abs(path.stat().st_size - network.nbytes) < 2500


def stored_file(folder: Path) -> tuple[Path, bytes]:
    path = folder / "tensor.npz"
    save(path, quantize(np.random.default_rng(0).normal(size=64), bits=4))
    return path, path.read_bytes()


def test_the_same_numbers_make_the_same_file(tmp_path: Path) -> None:
    _, content = stored_file(tmp_path)
    assert stored_file(tmp_path)[1] == content
    assert b"pickle" not in content


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path, content = stored_file(tmp_path)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"tensor\.npz is no whole \.npz file"):
            load(path)


def test_no_changed_byte_changes_a_number(tmp_path: Path) -> None:
    path, content = stored_file(tmp_path)
    whole, refused = load(path), 0
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 0x41
        path.write_bytes(changed)
        try:
            back = load(path)
        except ValueError:
            refused += 1
        else:  # a date or a flag of the archive, of which nothing is read
            assert isinstance(back, Quantized)
            assert_array_equal(back.dequantize(), whole.dequantize())
    assert refused > len(content) / 6


def rewrite(path: Path, change: Any, *, sign: bool) -> None:
    """Change header and data of a file, and make the digest fit if asked."""
    with np.load(path) as archive:
        header, data = json.loads(archive["header"].tobytes()), archive["data"].tobytes()
    header, data = change(header, data)
    if sign:
        header.pop("sha256", None)
        text = json.dumps(header, sort_keys=True).encode()
        header["sha256"] = hashlib.sha256(text + data).hexdigest()
    np.savez(
        path,
        header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        data=np.frombuffer(data, dtype=np.uint8),
    )


@pytest.mark.parametrize(
    ("change", "sign", "message"),
    [
        (lambda h, d: (h, bytes([d[0] ^ 1]) + d[1:]), False, "its digest does not fit"),
        (lambda h, d: (h | {"sha256": "0" * 64}, d), False, "its digest does not fit"),
        (
            lambda h, d: ({k: h[k] for k in h if k != "sha256"}, d),
            False,
            "its digest does not fit",
        ),
        (lambda h, d: (h | {"values": h["values"] | {"axis": 0}}, d), False, "its digest does"),
        (lambda h, d: (h | {"format": "another"}, d), True, "holds nothing that optlearn"),
        (lambda h, d: (h | {"version": 2}, d), True, "must be of version 1, got 2"),
        (
            lambda h, d: (h | {"values": h["values"] | {"bits": 17}}, d),
            True,
            "integers of 17 bits",
        ),
        (lambda h, d: (h | {"values": h["values"] | {"shape": [65]}}, d), True, "does not hold a"),
        (lambda h, d: (h | {"values": h["values"] | {"kind": "pie"}}, d), True, "does not hold a"),
        (lambda h, d: (h, d[:-1]), True, "does not hold a quantized tensor or network"),
        (lambda h, d: (h | {"values": []}, d), True, "does not hold a quantized tensor"),
    ],
)
def test_a_file_that_was_changed_is_refused(
    tmp_path: Path, change: Any, sign: bool, message: str
) -> None:
    path, _ = stored_file(tmp_path)
    rewrite(path, lambda h, d: (h, d), sign=True)
    load(path)
    rewrite(path, change, sign=sign)
    with pytest.raises(ValueError, match=message) as error:
        load(path)
    assert "tensor.npz" in str(error.value)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.npz"
    np.savez(path, q=np.zeros(3))
    with pytest.raises(ValueError, match=r"foreign\.npz is no whole \.npz file"):
        load(path)
    np.savez(path, header=np.zeros(3, dtype=np.uint8), data=np.zeros(3, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"foreign\.npz holds nothing that optlearn has saved"):
        load(path)
    np.savez(path, header=np.array([print], dtype=object), data=np.zeros(3))  # a pickle
    with pytest.raises(ValueError, match=r"foreign\.npz is no whole \.npz file"):
        load(path)
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    for other in (content.getvalue(), b"", b"no archive at all", b"PK\x03\x04"):
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"foreign\.npz is no whole \.npz file"):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.npz")


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = stored_file(tmp_path)

    def write_half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="no space left"):
        save(path, quantize(np.ones(3)))
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["tensor.npz"]


def test_blobs_are_told_apart_by_three_bits_from_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = blobs(200, spread=0.1, rng=rng)
    plain = MLP((2, 16, 3))
    network = FakeQuantizedMLP(plain, bits=3, axis=1)
    theta = fit(
        network, network.init(rng), (x, y), Adam(0.01), epochs=20, batch_size=20, rng=rng
    ).theta
    save(tmp_path / "blobs.npz", QuantizedMLP.from_network(plain, theta, x, bits=3, axis=1))
    back = load(tmp_path / "blobs.npz")
    assert isinstance(back, QuantizedMLP)
    # The network was trained on the very weights that the file holds.
    assert_array_equal(
        back.layers[0].weights,
        quantize(plain.unpack(theta)[0][0], bits=3, symmetric=True, axis=1).q,
    )
    assert np.mean(back.predict(x) == y) > 0.98


# What is refused ---------------------------------------------------------------------------------

NETWORK = MLP((2, 3, 1))
THETA = np.linspace(-1, 1, NETWORK.n_parameters)
X = np.array([[0.5, 1.0], [-1.0, 0.25]])
INTEGERS = QuantizedMLP.from_network(NETWORK, THETA, X, activation_bits=4)
GRID = (0.5, 0)


def fake(**changes: Any) -> FakeQuantizedMLP:
    return FakeQuantizedMLP(**({"network": NETWORK, "bits": 4} | changes))


def integer(**changes: Any) -> QuantizedMLP:
    call: dict[str, Any] = {"network": NETWORK, "theta": THETA, "calibration_data": X}
    return QuantizedMLP.from_network(**(call | changes))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fake(network=None), TypeError, "network must be an optlearn MLP, got None"),
        (lambda: fake(bits=0), ValueError, "bits must be >= 1, got 0"),
        (lambda: fake(bits=17), ValueError, "bits must be <= 16, got 17"),
        (lambda: fake(bits=2.0), TypeError, "bits must be an integer >= 1, got 2.0"),
        (lambda: fake(symmetric=1), TypeError, "symmetric must be True or False, got 1"),
        (lambda: fake(axis=2), ValueError, "axis must be None, 0 or 1, got 2"),
        (lambda: fake(axis=True), ValueError, "axis must be None, 0 or 1, got True"),
        (lambda: fake(axis="1"), ValueError, "axis must be None, 0 or 1, got '1'"),
        (lambda: fake(grids=[GRID]), ValueError, "grids must be 2, one a layer, got 1"),
        (lambda: fake(grids=3), ValueError, "grids must be 2, one a layer, got int"),
        (lambda: fake(grids=[GRID, 0.5]), TypeError, r"grids must be tuples \(scale, zero"),
        (lambda: fake(grids=[GRID, (0.5,)]), TypeError, r"grids must be tuples \(scale, zero"),
        (lambda: fake(grids=[GRID, (0.0, 0)]), ValueError, "scale must be > 0, got 0.0"),
        (lambda: fake(grids=[GRID, (1.0, 3)]), ValueError, "zero_point must be 0 on a symm.* 3"),
        (lambda: fake(bits=1, grids=[GRID] * 2), ValueError, "grids must be None at 1 bit"),
        (lambda: fake().forward(THETA[1:], X), ValueError, "theta must have shape"),
        (lambda: fake().forward(THETA * 1j, X), TypeError, "theta must be float32 or float64"),
        (lambda: fake().forward(THETA * np.nan, X), ValueError, "theta must be finite, got nan"),
        (lambda: fake().quantized(THETA[1:]), ValueError, "theta must have shape"),
        (lambda: integer(network=3), TypeError, "network must be an optlearn MLP, got 3"),
        (
            lambda: integer(network=MLP((2, 3, 1), "tanh")),
            ValueError,
            "activation must be relu or identity, got 'tanh'",
        ),
        (lambda: integer(theta=THETA[1:]), ValueError, r"theta must have shape \(13,\), got"),
        (lambda: integer(theta=THETA[None]), ValueError, r"theta must have shape \(13,\), got"),
        (lambda: integer(theta=THETA.astype(int)), TypeError, "theta must be floating point"),
        (lambda: integer(theta=THETA + np.inf), ValueError, "theta must be finite, got inf"),
        (lambda: integer(calibration_data=X[0]), ValueError, "x must have shape"),
        (lambda: integer(calibration_data=X * np.nan), ValueError, "x must be finite, got nan"),
        (lambda: integer(bits=1), ValueError, "bits must be >= 2, got 1"),
        (lambda: integer(bits=9), ValueError, "bits must be <= 8, got 9"),
        (lambda: integer(activation_bits=1), ValueError, "activation_bits must be >= 2, got 1"),
        (lambda: integer(activation_bits=9), ValueError, "activation_bits must be <= 8, got 9"),
        (lambda: integer(axis=0), ValueError, "axis must be None or 1, got 0"),
        (lambda: integer(axis=True), ValueError, "axis must be None or 1, got True"),
        (lambda: integer(method="best"), ValueError, "method must be one of min-max, .*'best'"),
        (lambda: integer(percentile=0), ValueError, r"percentile must be in \(0, 100\], got 0"),
        (lambda: INTEGERS.forward(X[0]), ValueError, r"x must be real of shape \(batch, 2\)"),
        (lambda: INTEGERS.forward(X * 1j), ValueError, r"x must be real of shape \(batch, 2\)"),
        (lambda: INTEGERS.predict(X[:, :1]), ValueError, r"x must be real of shape \(batch, 2\)"),
        (lambda: INTEGERS.forward(X * np.nan), ValueError, "x must be finite, got nan"),
        (lambda: INTEGERS.forward_integers(X), TypeError, "q must be int8, got float64"),
        (lambda: INTEGERS.forward_integers([[1, 2]]), TypeError, "q must be int8, got list"),
        (
            lambda: INTEGERS.forward_integers(np.zeros(2, dtype=np.int8)),
            ValueError,
            r"q must have shape \(batch, 2\), got \(2,\)",
        ),
        (
            lambda: INTEGERS.forward_integers(np.array([[0, 8]], dtype=np.int8)),
            ValueError,
            "q must be from -8 to 7, got 0 to 8",
        ),
        (lambda: save("a.npz", THETA), TypeError, "quantized must be a Quantized or"),
        (lambda: save("a.npy", INTEGERS), ValueError, "path must end in .npz, got 'a.npy'"),
        (lambda: save(3, INTEGERS), TypeError, "path must be a path ending in .npz, got 3"),
        (lambda: load("a"), ValueError, "path must end in .npz, got 'a'"),
        (lambda: load(None), TypeError, "path must be a path ending in .npz, got None"),
    ],
)
def test_bad_input_is_refused_with_name_rule_and_value(
    call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
