"""Quantization against recorded kernels, hand arithmetic, plain Python integers and symmetries."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from comparisons import load as oracle
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn import quantization
from optlearn._fake_quantized import FakeQuantizedMLP
from optlearn.networks import MLP
from optlearn.quantization import (
    Quantized,
    binarize,
    calibrate,
    fake_quantize,
    quantize,
)

Array = NDArray[Any]
MAX = float(np.finfo(np.float64).max)
TINY = 5e-324  # the smallest float64

BITS = range(1, 17)
every_bits = pytest.mark.parametrize("bits", BITS)
both = pytest.mark.parametrize("symmetric", [False, True])


def tensors(dtype: type = np.float64) -> dict[str, Array]:
    """Draw matrices of every kind that weights, and hostile weights, may be."""
    rng = np.random.default_rng(7)
    most, least = float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)
    whole = rng.integers(-300, 301, size=(12, 5)).astype(float)
    drawn = {
        "uniform": rng.uniform(-1, 1, size=(12, 5)),
        "Gaussian": rng.normal(size=(12, 5)),
        "positive": rng.uniform(1, 2, size=(12, 5)),
        "negative": -rng.uniform(1, 2, size=(12, 5)),
        "subnormal": whole * least,
        "small": rng.normal(size=(12, 5)) * least * 1e9,
        "huge": rng.uniform(-0.49, 0.49, size=(12, 5)) * most,
        "largest": rng.choice([-1.0, 1.0, 0.3], size=(12, 5)) * most,
        "even": np.linspace(-1, 1, 60).reshape(12, 5),
        "half a step below 0": np.concatenate([[-0.5, 2.5], rng.uniform(-0.5, 2.5, 58)]).reshape(
            12, 5
        ),
        "constant": np.full((12, 5), -0.7),
        "zeros": np.zeros((12, 5)),
        "a column of zeros": rng.normal(size=(12, 5)) * [1, 0, 1e-5, 1e5, 1],
        "outlier": np.where(np.arange(60) == 31, 1e6, rng.normal(size=60)).reshape(12, 5),
    }
    return {name: w.astype(dtype) for name, w in drawn.items()}


KINDS = tuple(tensors())
every_kind = pytest.mark.parametrize("kind", KINDS)


def limits(bits: int, symmetric: bool) -> tuple[int, int]:
    top = 2 ** (bits - 1) - 1
    return (-top if symmetric else -top - 1), top


def too_wide(w: Array, bits: int) -> bool:
    """Tell whether a step would be beyond the largest float64, as it may at one bit."""
    return bits == 1 and w.dtype == np.float64 and float(np.abs(w).max()) > 0.9 * MAX


# What must hold for every tensor ---------------------------------------------------------


@every_kind
@both
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_properties_of_a_quantized_tensor(dtype: type, symmetric: bool, kind: str) -> None:
    w = tensors(dtype)[kind]
    for bits in BITS:
        for axis in (None, 0, 1) if bits in (1, 2, 3, 8, 12) else (None,):
            if too_wide(w, bits):
                with pytest.raises(ValueError, match=r"w must span less than 2\*\*1024 at 1 bit"):
                    quantize(w, bits=bits, symmetric=symmetric, axis=axis)
            else:
                check_properties(w, {"bits": bits, "symmetric": symmetric, "axis": axis})


def check_properties(w: Array, how: dict[str, Any]) -> None:
    stored = quantize(w, **how)
    q, scale, zero_point = stored.q, stored.scale, stored.zero_point
    low, high = limits(how["bits"], how["symmetric"])
    assert q.dtype == (np.int8 if how["bits"] <= 8 else np.int16)
    assert q.shape == stored.shape == w.shape
    assert low <= q.min()
    assert q.max() <= high
    assert np.isfinite(scale).all()
    assert (scale > 0).all()
    assert (scale.dtype, zero_point.dtype) == (np.float64, np.int32)
    shape = {None: (), 0: (12, 1), 1: (1, 5)}[how["axis"]]
    assert scale.shape == zero_point.shape == shape
    # 0 is on the grid, exactly.
    assert (low <= zero_point).all()
    assert (zero_point <= high).all()
    assert (q == zero_point)[w == 0].all()
    if how["symmetric"]:
        assert (zero_point == 0).all()
        assert np.array_equal(quantize(-w, **how).q, -q)
    # The error is at most half a step; exact in float64, and in the tensor's own precision.
    real = stored.dequantize(w.dtype.type)
    assert real.dtype == w.dtype
    with np.errstate(over="ignore"):
        assert (2 * np.abs(real.astype(np.float64) - w) <= scale).all()
    # Monotone along each channel.
    lines = zip(
        *[
            [a.ravel()] if how["axis"] is None else list(np.moveaxis(a, how["axis"], 0))
            for a in (w, q)
        ],
        strict=True,
    )
    for line, whole in lines:
        assert (np.diff(whole[np.argsort(line)].astype(int)) >= 0).all()
    # Quantizing twice is quantizing once, on a grid chosen anew and on the same grid.
    assert np.array_equal(fake_quantize(w, **how), real)
    assert np.array_equal(fake_quantize(real, **how), real)
    grid = {"scale": scale, "zero_point": zero_point}
    assert np.array_equal(quantize(w, **how, **grid).q, q)
    assert np.array_equal(quantize(real, **how, **grid).q, q)


finite = {
    np.float64: st.floats(-MAX / 4, MAX / 4),
    np.float32: st.floats(-(2.0**126), 2.0**126, width=32),
}
small_integers = st.integers(-6, 6).map(float)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data(), bits=st.integers(1, 16), symmetric=st.booleans())
def test_quantizing_twice_changes_nothing_and_errors_stay_below_half_a_step(
    dtype: type, data: st.DataObject, bits: int, symmetric: bool
) -> None:
    elements = data.draw(st.sampled_from([finite[dtype], small_integers]))
    w = data.draw(arrays(dtype, array_shapes(max_dims=2, max_side=6), elements=elements))
    stored = quantize(w, bits=bits, symmetric=symmetric)
    once = stored.dequantize(dtype)
    assert (2 * np.abs(once.astype(np.float64) - w) <= stored.scale).all()
    assert_array_equal(fake_quantize(once, bits=bits, symmetric=symmetric), once)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_quantizing_twice_changes_nothing_wherever_the_zero_falls(bits: int) -> None:
    # Ranges in eighths of a step: the zero point is a tie in many of them.
    steps = 2**bits - 1
    for left in range(8 * steps + 1):
        w = np.array([-left / 8, 0.3, steps - left / 8])
        once = fake_quantize(w, bits=bits)
        assert_array_equal(fake_quantize(once, bits=bits), once)


@both
@every_bits
def test_a_power_of_two_changes_the_scale_alone(bits: int, symmetric: bool) -> None:
    w = tensors()["Gaussian"]
    first = quantize(w, bits=bits, symmetric=symmetric)
    for factor in (2.0**-900, 0.25, 2.0**900):
        second = quantize(factor * w, bits=bits, symmetric=symmetric)
        assert_array_equal(second.q, first.q)
        assert second.scale == factor * first.scale


def test_channels_are_quantized_as_if_each_were_alone() -> None:
    w = np.random.default_rng(0).normal(size=(3, 4, 5)) * np.array([1, 10, 0, 1e-9])[:, None]
    for axis in (0, 1, 2, -3):
        for symmetric in (False, True):
            for method in ("min-max", "percentile", "mse")[: 3 if axis == 1 else 2]:
                scale, zero = calibrate(
                    w, bits=3, axis=axis, symmetric=symmetric, method=method, percentile=80
                )
                for index in range(w.shape[axis]):
                    part = np.take(w, index, axis=axis)
                    alone = calibrate(
                        part, bits=3, symmetric=symmetric, method=method, percentile=80
                    )
                    assert (scale.ravel()[index], zero.ravel()[index]) == alone


# The grid, by hand ------------------------------------------------------------------------


def test_a_grid_by_hand() -> None:
    # From -1 to 2 in three steps: S = 1, and -1 becomes the smallest integer, -2.
    stored = quantize(np.array([-1.0, -0.4, 0.0, 0.6, 1.4, 2.0]), bits=2)
    assert (stored.scale, stored.zero_point) == (1.0, -1)
    assert stored.q.tolist() == [-2, -1, -1, 0, 0, 1]
    assert stored.dequantize().tolist() == [-1.0, 0.0, 0.0, 1.0, 1.0, 2.0]
    # From -3.5 to 3.5 around 0 in steps of one half: S = 3.5 / 7.
    stored = quantize(np.array([-3.5, -0.2, 0.26, 3.0]), bits=4, symmetric=True)
    assert (stored.scale, stored.zero_point) == (0.5, 0)
    assert stored.q.tolist() == [-7, 0, 1, 6]


@every_bits
def test_the_scale_is_the_range_over_the_number_of_steps_rounded_up(bits: int) -> None:
    for w in (tensors()["Gaussian"], tensors()["positive"], tensors()["negative"]):
        low, high = min(w.min(), 0.0), max(w.max(), 0.0)
        scale, zero_point = calibrate(w, bits=bits)
        exact = (Fraction(high) - Fraction(low)) / (2**bits - 1)
        assert exact <= Fraction(float(scale)) <= exact * (1 + Fraction(1, 2**23))
        assert math.frexp(scale)[0] * 2**24 % 1 == 0
        assert zero_point == -(2 ** (bits - 1)) + round(-low / scale)
        scale, zero_point = calibrate(w, bits=bits, symmetric=True)
        exact = Fraction(np.abs(w).max()) / (Fraction(2 ** (bits - 1) - 1) or Fraction(1, 2))
        assert exact <= Fraction(float(scale)) <= exact * (1 + Fraction(1, 2**23))
        assert zero_point == 0


@pytest.mark.parametrize(("bits", "digits"), [(2, 22), (8, 16), (11, 13), (12, 1), (16, 1)])
def test_the_scale_of_float32_leaves_room_for_the_integers(bits: int, digits: int) -> None:
    w = tensors(np.float32)["Gaussian"]
    for symmetric in (False, True):
        scale, _ = calibrate(w, bits=bits, symmetric=symmetric)
        assert scale.dtype == np.float64
        assert math.frexp(scale)[0] * 2**digits % 1 == 0
        steps = 2 ** (bits - 1) - 1 if symmetric else 2**bits - 1
        span = np.abs(w).max() if symmetric else float(w.max()) - float(w.min())
        assert 1 <= scale * steps / span <= 1 + 2.0 ** (1 - digits)


def test_dequantizing_is_exact() -> None:
    rng = np.random.default_rng(3)
    for bits in BITS:
        stored = quantize(rng.normal(size=100) * 10.0 ** rng.uniform(-300, 300), bits=bits)
        real, step = stored.dequantize(), Fraction(float(stored.scale))
        for q, number in zip(stored.q.tolist(), real.tolist(), strict=True):
            assert Fraction(number) == step * (q - int(stored.zero_point))


def test_zeros_and_constants_are_defined() -> None:
    for symmetric in (False, True):
        stored = quantize(np.zeros((2, 3)), bits=8, symmetric=symmetric)
        assert (stored.scale, stored.zero_point) == (1.0, 0)
        assert_array_equal(stored.q, np.zeros((2, 3)))
        assert calibrate(np.zeros(3), bits=4, symmetric=symmetric, method="mse")[0] == 1.0
        assert calibrate(np.zeros(3), bits=4, symmetric=symmetric, method="percentile")[0] == 1.0
    # A constant spans the range from 0 to itself: it is one end of the grid.
    for constant, q in ((3.0, 127), (-3.0, -128)):
        stored = quantize(np.full(4, constant), bits=8)
        assert_array_equal(stored.q, q)
        assert_allclose(stored.dequantize(), constant, rtol=1e-7)
    mixed = quantize(np.array([[0.0, 1.0], [0.0, 3.0]]), bits=2, axis=1)
    assert mixed.scale.tolist() == [[1.0, 1.0]]
    assert mixed.zero_point.tolist() == [[0, -2]]
    assert mixed.q.tolist() == [[0, -1], [0, 1]]


def test_the_smallest_numbers_have_steps() -> None:
    stored = quantize(np.array([0.0, TINY]), bits=8, symmetric=True)
    assert stored.scale == TINY
    assert stored.q.tolist() == [0, 1]
    # 100 units in 7 steps need 14.3 of them: the next power of two is 16.
    stored = quantize(np.array([100 * TINY, -30 * TINY]), bits=4, symmetric=True)
    assert stored.scale == 16 * TINY
    assert stored.q.tolist() == [6, -2]


def test_numbers_out_of_range_saturate_and_do_not_wrap() -> None:
    w = np.array([-MAX, -200.0, -1.0, 126.6, 127.4, 200.0, 400.0, MAX])
    stored = quantize(w, bits=8, scale=1.0)
    assert stored.q.tolist() == [-128, -128, -1, 127, 127, 127, 127, 127]
    assert quantize(w, bits=8, symmetric=True, scale=1).q.tolist()[0] == -127
    stored = quantize(w, bits=16, scale=TINY, zero_point=5)
    assert stored.q.tolist() == [-32768] * 3 + [32767] * 5
    stored = quantize(np.array([0.0]), bits=8, scale=TINY, zero_point=-128)
    assert stored.q.tolist() == [-128]


def test_ties_go_to_the_even_integer() -> None:
    w = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert quantize(w, bits=8, scale=1.0).q.tolist() == [-2, -2, 0, 0, 2, 2]
    assert quantize(w, bits=8, scale=1.0, zero_point=1).q.tolist() == [-2, 0, 0, 2, 2, 4]


def test_what_dequantizes_beyond_the_largest_number_is_that_number() -> None:
    stored = Quantized(np.array([-128, 0, 127], dtype=np.int8), MAX / 64, 0, bits=8)
    assert stored.dequantize().tolist() == [-MAX, 0.0, MAX]
    largest = float(np.finfo(np.float32).max)
    assert stored.dequantize(np.float32).tolist() == [-largest, 0.0, largest]


def test_grids_are_taken_as_vectors_as_calibrated_or_as_one_number() -> None:
    w = np.random.default_rng(0).normal(size=(3, 4))
    scale, zero_point = calibrate(w, bits=5, axis=1)
    expected = quantize(w, bits=5, axis=1)
    for grid in ((scale, zero_point), (scale.ravel(), zero_point.ravel().tolist())):
        stored = quantize(w, bits=5, axis=1, scale=grid[0], zero_point=grid[1])
        assert_array_equal(stored.q, expected.q)
        assert stored.scale.shape == stored.zero_point.shape == (1, 4)
        real = fake_quantize(w, bits=5, axis=1, scale=grid[0], zero_point=grid[1])
        assert_array_equal(real, expected.dequantize())
    one = quantize(w, bits=5, axis=1, scale=0.25)
    assert_array_equal(one.q, quantize(w, bits=5, scale=0.25).q)
    assert one.scale.tolist() == [[0.25] * 4]


def test_nothing_given_is_changed() -> None:
    w = np.random.default_rng(0).normal(size=(3, 4))
    before = w.copy()
    w.flags.writeable = False
    for method in ("min-max", "percentile", "mse"):
        calibrate(w, method=method)
    quantize(w)
    fake_quantize(w, axis=0)
    binarize(w)
    assert_array_equal(w, before)


# How large the error is --------------------------------------------------------------------


@pytest.mark.parametrize("bits", [3, 4, 8, 12, 16])
@both
def test_the_mean_squared_error_of_uniform_numbers_is_a_twelfth_of_a_squared_step(
    bits: int, symmetric: bool
) -> None:
    w = np.random.default_rng(bits).uniform(-1, 1, size=1_000_000)
    stored = quantize(w, bits=bits, symmetric=symmetric)
    error = np.mean((stored.dequantize() - w) ** 2)
    # 1e6 squares of a uniform number: a relative standard error of 0.0009; at 3 bits the two
    # half steps at the ends are the rest.
    assert_allclose(error, stored.scale**2 / 12, rtol=0.02)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_numbers_over_the_whole_range_have_the_textbook_signal_to_noise_ratio(bits: int) -> None:
    # From 0 to 1 the grid's range is used to the last step: power 1/12 over S**2 / 12.
    w = np.random.default_rng(0).uniform(0, 1, size=200_000)
    stored = quantize(w, bits=bits)
    ratio = np.var(w) / np.mean((stored.dequantize() - w) ** 2)
    assert abs(10 * np.log10(ratio) - 20 * np.log10(2**bits - 1)) < 0.05


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@both
def test_no_other_range_has_a_lower_squared_error(bits: int, symmetric: bool) -> None:
    w = np.random.default_rng(1).normal(size=4000)
    scale, _ = calibrate(w, bits=bits, symmetric=symmetric, method="mse")
    full, _ = calibrate(w, bits=bits, symmetric=symmetric)

    def error(step: float) -> float:
        low = min(w.min(), 0) * step / full
        zero = 0 if symmetric else -(2 ** (bits - 1)) - np.rint(low / step)
        real = fake_quantize(
            w, bits=bits, symmetric=symmetric, scale=step, zero_point=np.int32(zero)
        )
        return float(np.mean((real - w) ** 2))

    trials = [error(percent / 100 * float(full)) for percent in range(1, 101)]
    # Steps here are not rounded to 24 bits: a few numbers near a tie may go the other way.
    assert_allclose(error(float(scale)), min(trials), rtol=1e-5)
    assert error(float(scale)) < error(float(full))


def test_clipping_a_gaussian_at_four_bits_gains_five_decibels() -> None:
    w = np.random.default_rng(0).normal(size=50_000)
    ratio = {}
    for method in ("min-max", "percentile", "mse"):
        scale, zero_point = calibrate(w, bits=4, method=method)
        real = fake_quantize(w, bits=4, scale=scale, zero_point=zero_point)
        ratio[method] = 10 * np.log10(np.var(w) / np.mean((real - w) ** 2))
    # The best uniform grid of 16 levels has 19.4 dB (Max, IRE Trans. Inf. Theory 1960, table II:
    # an error of 0.01154); a level at 0 costs some of it. The full range is as wide as the largest
    # of 50,000 numbers, about 4.3.
    assert 19.0 < ratio["mse"] < 19.5
    assert 12.5 < ratio["min-max"] < 15.5
    assert ratio["min-max"] < ratio["percentile"] < ratio["mse"] + 1e-9


def test_the_percentile_is_the_middle_of_the_values() -> None:
    w = np.arange(-200.0, 801.0)  # 1001 values, so percentiles are values
    scale, zero_point = calibrate(w, bits=8, method="percentile", percentile=90)
    # 5 percent off at either end: from -150 to 750.
    assert_allclose(scale, 900 / 255, rtol=1e-6)
    assert zero_point == -128 + round(150 / (900 / 255))
    scale, zero_point = calibrate(w, bits=8, method="percentile", percentile=90, symmetric=True)
    # Of abs(w) 1 to 200 come twice: the 900th of 1001 in order is 700; the signs do not matter.
    how = {"bits": 8, "method": "percentile", "percentile": 90, "symmetric": True}
    assert calibrate(-w, **how) == (scale, zero_point)
    assert_allclose(scale, 700 / 127, rtol=1e-6)
    assert zero_point == 0
    for symmetric in (False, True):
        everything = calibrate(w, method="percentile", percentile=100, symmetric=symmetric)
        assert everything == calibrate(w, symmetric=symmetric)


def test_a_percentile_of_zeros_keeps_the_whole_range() -> None:
    w = np.zeros(10_000)
    w[5] = 3.0
    for symmetric in (False, True):
        given = calibrate(w, method="percentile", symmetric=symmetric)
        assert given == calibrate(w, symmetric=symmetric)


def test_a_single_number_and_single_numbers_are_tensors_too() -> None:
    for method in ("min-max", "percentile", "mse"):
        scale, zero_point = calibrate(np.array(2.5), bits=8, method=method)
        assert (scale, zero_point) == calibrate(np.array([2.5]), bits=8, method=method)
        scales, _ = calibrate(np.array([2.5, -5.0]), bits=8, axis=0, method=method)
        assert_array_equal(scales, [scale, 2 * scale])
    stored = quantize(np.array(2.5), bits=8)
    assert stored.shape == ()
    assert stored.q == 127
    assert binarize(np.array(-2.5)) == (-1, 2.5)


def test_every_method_keeps_zero_in_the_range() -> None:
    w = np.random.default_rng(0).uniform(5, 6, size=500)
    for method in ("min-max", "percentile", "mse"):
        for sign, zero in ((1, -128), (-1, 127)):
            assert calibrate(sign * w, method=method)[1] == zero


@pytest.mark.parametrize("factor", [2.0**-1040, 2.0**1000])
def test_the_best_range_of_tiny_and_huge_numbers_is_found(factor: float) -> None:
    w = np.random.default_rng(0).normal(size=500)
    w = np.ldexp(np.rint(w * 2**20), -20)  # few digits, so that subnormals hold them
    for symmetric in (False, True):
        scale, zero = calibrate(w, bits=4, method="mse", symmetric=symmetric)
        other, other_zero = calibrate(factor * w, bits=4, method="mse", symmetric=symmetric)
        assert_allclose(other / factor, scale, rtol=1e-5)
        assert zero == other_zero


# Recorded kernels --------------------------------------------------------------------------


@pytest.mark.parametrize("case", oracle("quantization")["cases"])
def test_integers_and_numbers_agree_with_recorded_kernels(case: dict[str, Any]) -> None:
    w = np.array(case["w"], dtype=np.float32)
    how = {key: case[key] for key in ("bits", "symmetric", "axis", "scale")}
    how["zero_point"] = np.array(case["zero_point"])
    real = fake_quantize(w, **how)
    assert real.dtype == np.float32
    if w.ndim == 2:  # the cases of ties are on one line: there the two kernels differ
        # Products of two float32, rounded once on both sides.
        assert_allclose(real, case["fake"], rtol=1.2e-7)
    if "q" in case:
        stored = quantize(w, **how)
        assert_array_equal(stored.q, case["q"])
        assert_allclose(stored.dequantize(np.float32), case["real"], rtol=1.2e-7)


@pytest.mark.parametrize(
    "case", [case for case in oracle("quantization")["cases"] if np.ndim(case["w"]) == 2]
)
def test_the_gradient_passes_where_the_recorded_one_does(case: dict[str, Any]) -> None:
    w = np.array(case["w"])
    network = FakeQuantizedMLP(
        MLP(w.shape),
        bits=case["bits"],
        symmetric=case["symmetric"],
        axis=case["axis"],
        grids=[(case["scale"], np.array(case["zero_point"]))],
    )
    theta = np.append(w.ravel(), np.zeros(w.shape[1]))
    # One sample of ones and the sum of the outputs as loss: the gradient by a weight is 1.
    grad = network.loss_and_grad(
        theta, np.ones((1, len(w))), None, lambda z, y: (z.sum(), np.ones_like(z))
    )[1]
    assert_array_equal(grad[: w.size].reshape(w.shape), case["passes"])
    assert_array_equal(grad[w.size :], 1.0)


# What is refused ---------------------------------------------------------------------------------

W = np.array([[0.5, -1.0, 2.0], [0.25, 0.0, 1.0]])
Q = np.array([[1, -1, 7], [0, 0, -8]], dtype=np.int8)
# For each function a call that works.
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "calibrate": (calibrate, {"w": W}),
    "quantize": (quantize, {"w": W}),
    "fake_quantize": (fake_quantize, {"w": W}),
    "binarize": (binarize, {"w": W}),
    "Quantized": (Quantized, {"q": Q, "scale": 0.5, "zero_point": 0, "bits": 4}),
}
TENSORS = ("calibrate", "quantize", "fake_quantize", "binarize")
GRIDS = ("quantize", "fake_quantize", "Quantized")
BAD: list[tuple[tuple[str, ...], dict[str, Any], type[Exception], str]] = [
    (TENSORS, {"w": W * np.nan}, ValueError, "w must be finite, got nan"),
    (TENSORS, {"w": W + np.inf}, ValueError, "w must be finite, got inf"),
    (TENSORS, {"w": -W - np.inf}, ValueError, "w must be finite, got -inf"),
    (TENSORS, {"w": W.astype(int)}, TypeError, "w must be floating point, got int64"),
    (TENSORS, {"w": W > 0}, TypeError, "w must be floating point, got bool"),
    (TENSORS, {"w": W * 1j}, TypeError, "w must be float32 or float64, got complex128"),
    (TENSORS, {"w": W.astype(np.float16)}, TypeError, "w must be float32 or float64, got float16"),
    (TENSORS, {"w": np.empty(0)}, ValueError, r"w must not be empty, got shape \(0,\)"),
    (TENSORS, {"w": None}, TypeError, "w must be floating point, got object"),
    (TENSORS, {"axis": 2}, ValueError, r"axis must be < 2 for shape \(2, 3\), got 2"),
    (TENSORS, {"axis": -3}, ValueError, "axis must be >= -2, got -3"),
    (TENSORS, {"axis": 1.0}, TypeError, "axis must be an integer >= -2, got 1.0"),
    (TENSORS, {"axis": True}, TypeError, "axis must be an integer >= -2, got True"),
    (("Quantized",), {"axis": 2}, ValueError, r"axis must be < 2 for shape \(2, 3\), got 2"),
    (TENSORS[:3], {"bits": 0}, ValueError, "bits must be >= 1, got 0"),
    (TENSORS[:3], {"bits": 17}, ValueError, "bits must be <= 16, got 17"),
    (TENSORS[:3], {"bits": 8.0}, TypeError, "bits must be an integer >= 1, got 8.0"),
    (TENSORS[:3], {"bits": True}, TypeError, "bits must be an integer >= 1, got True"),
    (("Quantized",), {"bits": 17}, ValueError, "bits must be <= 16, got 17"),
    (TENSORS[:3], {"symmetric": 1}, TypeError, "symmetric must be True or False, got 1"),
    (TENSORS[:3], {"symmetric": None}, TypeError, "symmetric must be True or False, got None"),
    (("Quantized",), {"symmetric": 1}, TypeError, "symmetric must be True or False, got 1"),
    (("calibrate",), {"method": "max"}, ValueError, "method must be one of min-max, .*'max'"),
    (("calibrate",), {"method": None}, TypeError, "method must be one of min-max, .*None"),
    (("calibrate",), {"percentile": 0}, ValueError, r"percentile must be in \(0, 100\], got 0"),
    (("calibrate",), {"percentile": 101}, ValueError, r"percentile .* \(0, 100\], got 101"),
    (("calibrate",), {"percentile": np.nan}, ValueError, r"percentile .* \(0, 100\], got nan"),
    (("calibrate",), {"percentile": "99"}, TypeError, "percentile must be a real number"),
    (GRIDS, {"scale": 0.0}, ValueError, "scale must be > 0, got 0.0"),
    (GRIDS, {"scale": -1}, ValueError, "scale must be > 0, got -1"),
    (GRIDS, {"scale": np.nan}, ValueError, "scale must be finite, got nan"),
    (GRIDS, {"scale": np.inf}, ValueError, "scale must be finite, got inf"),
    (GRIDS, {"scale": "1"}, TypeError, "scale must be floating point, got <U1"),
    (GRIDS, {"scale": 1j}, TypeError, "scale must be real"),
    (GRIDS, {"scale": True}, TypeError, "scale must be real"),
    (GRIDS, {"scale": np.ones(2)}, ValueError, r"scale must be one number .* got \(2,\)"),
    (GRIDS, {"scale": np.ones(2), "axis": 1}, ValueError, r"scale must have shape \(1, 3\) or"),
    (GRIDS, {"scale": 1.0, "zero_point": 0.0}, TypeError, "zero_point must be integers .*0.0"),
    (GRIDS, {"scale": 1.0, "zero_point": True}, TypeError, "zero_point must be integers .*True"),
    (GRIDS, {"scale": 1.0, "zero_point": 128}, ValueError, "zero_point must be integers .*128"),
    (GRIDS, {"scale": 1.0, "zero_point": -129}, ValueError, "zero_point must be .*got -129"),
    (GRIDS[:2], {"zero_point": 3}, ValueError, "zero_point needs a scale, got zero_point=3 alone"),
    (
        GRIDS[:2],
        {"scale": 1.0, "zero_point": 1, "symmetric": True},
        ValueError,
        "zero_point must be 0 on a symmetric grid, got 1",
    ),
    (
        ("Quantized",),
        {"q": Q.tolist()},
        TypeError,
        "q must be an array of int8 .* got list",
    ),
    (("Quantized",), {"q": Q.astype(int)}, TypeError, "q must be an array of int8 .*got int64"),
    (("Quantized",), {"q": Q[:0]}, ValueError, r"q must not be empty, got shape \(0, 3\)"),
    (("Quantized",), {"q": Q, "bits": 3}, ValueError, "q must be from -4 to 3, got -8"),
    (("Quantized",), {"q": -Q[:1] - 7, "bits": 4}, ValueError, "q must be from -8 to 7, got -14"),
    (("Quantized",), {"q": Q, "symmetric": True}, ValueError, "q must be from -7 to 7, got -8"),
]


@pytest.mark.parametrize(
    ("name", "changes", "error", "message"),
    [(name, *row[1:]) for row in BAD for name in row[0]],
)
def test_bad_input_is_refused_with_name_rule_and_value(
    name: str, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    call, arguments = CALLS[name]
    call(**arguments)
    with pytest.raises(error, match=message):
        call(**(arguments | changes))


@pytest.mark.parametrize("dtype", [np.int8, "float64x", None, np.float16])
def test_dequantizing_needs_a_floating_dtype(dtype: Any) -> None:
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got"):
        quantize(W).dequantize(dtype)


def test_a_quantized_tensor_is_frozen() -> None:
    with pytest.raises(AttributeError):
        quantize(W).bits = 3  # type: ignore[misc]


def test_every_public_name_has_bad_input() -> None:
    networks = {"FakeQuantizedMLP", "QuantizedMLP", "load", "save"}
    assert set(quantization.__all__) == set(CALLS) | networks
