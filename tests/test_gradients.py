"""Gradient checks against derivatives known in closed form and the theory of their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from optlearn.gradients import complex_step, finite_difference, relative_error


def wave(theta: Any) -> Any:
    """Return exp(x) sin(y) + x y^2, analytic, with a mixed term."""
    x, y = theta
    return np.exp(x) * np.sin(y) + x * y * y


def wave_gradient(theta: Any) -> Any:
    """Return the gradient of `wave`, derived by hand."""
    x, y = theta
    return np.array([np.exp(x) * np.sin(y) + y * y, np.exp(x) * np.cos(y) + 2 * x * y])


points = st.tuples(st.floats(-2, 2), st.floats(-2, 2)).map(np.array)


@given(theta=points)
def test_the_complex_step_is_exact_to_rounding(theta: Any) -> None:
    assert_allclose(complex_step(wave, theta), wave_gradient(theta), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("h", [1e-8, 1e-30, 1e-200])
def test_the_complex_step_does_not_mind_a_tiny_step(h: float) -> None:
    theta = np.array([0.5, 1.0])
    # The error is of order h^2; at 1e-8 that is the rounding error.
    assert_allclose(complex_step(wave, theta, h=h), wave_gradient(theta), rtol=1e-14)


@given(theta=points)
def test_central_differences_are_good_to_ten_digits_and_forward_ones_to_seven(theta: Any) -> None:
    exact = wave_gradient(theta)
    # h^2 f''' / 6 at h = 6e-6 and h f'' / 2 at h = 1.5e-8, with derivatives up to 30.
    assert_allclose(finite_difference(wave, theta), exact, rtol=0, atol=1e-8)
    assert_allclose(finite_difference(wave, theta, scheme="forward"), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("scheme", "order"), [("forward", 1), ("central", 2)])
def test_the_error_of_a_difference_falls_with_the_order_of_its_scheme(
    scheme: str, order: int
) -> None:
    theta = np.array([0.5, 1.0])
    exact = wave_gradient(theta)
    errors = [
        np.abs(finite_difference(wave, theta, h=h, scheme=scheme) - exact).max()
        for h in (1e-2, 1e-3)
    ]
    # Ten times smaller steps, 10^order smaller errors, up to the next term of the series.
    assert_allclose(np.log10(errors[0] / errors[1]), order, atol=0.02)


@pytest.mark.parametrize("scheme", ["central", "forward"])
def test_differences_of_a_linear_function_have_no_truncation_error(scheme: str) -> None:
    slope = np.array([3.0, -2.0, 0.0])
    numeric = finite_difference(
        lambda x: slope @ x, np.array([1.0, 2.0, 3.0]), h=0.5, scheme=scheme
    )
    assert_array_equal(numeric, slope)  # all numbers are exact in binary


@pytest.mark.parametrize("scheme", ["central", "forward"])
def test_the_step_that_was_taken_is_the_one_divided_by(scheme: str) -> None:
    # 1e10 + 1e-6 is rounded to a neighbour 1.9e-6 away; a naive division by h is off by half.
    numeric = finite_difference(lambda x: 2 * x[0], np.array([1e10]), h=1e-6, scheme=scheme)
    assert_array_equal(numeric, [2.0])


@pytest.mark.parametrize("scheme", ["central", "forward"])
def test_a_default_step_that_drowns_in_theta_is_refused(scheme: str) -> None:
    with pytest.raises(ValueError, match=r"h must be large enough .*, got .* at 1e\+20"):
        finite_difference(lambda x: x[0], np.array([1e20]), scheme=scheme)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_theta_is_not_changed_and_its_dtype_is_kept(dtype: type) -> None:
    theta = np.array([0.5, 1.0], dtype=dtype)
    before = theta.copy()
    for gradient in (
        finite_difference(wave, theta),
        finite_difference(wave, theta, scheme="forward"),
        complex_step(wave, theta),
    ):
        assert gradient.dtype == dtype
        assert_allclose(gradient, wave_gradient(theta), rtol=1e-2 if dtype is np.float32 else 1e-6)
    assert_array_equal(theta, before)


def test_differences_ask_once_or_twice_a_coordinate() -> None:
    calls: list[Any] = []

    def counted(theta: Any) -> float:
        calls.append(theta.copy())
        return float(wave(theta))

    finite_difference(counted, np.array([0.5, 1.0]))
    assert len(calls) == 4
    calls.clear()
    finite_difference(counted, np.array([0.5, 1.0]), scheme="forward")
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0),
        ([3.0, 4.0], [0.0, 0.0], 1.0),
        ([3.0, 4.0], [-3.0, -4.0], 1.0),
        ([3.0, 4.0], [6.0, 8.0], 1 / 3),
        ([1.0, 0.0], [0.0, 1.0], np.sqrt(0.5)),
        ([0.0], [0.0], 0.0),
    ],
)
def test_relative_errors_by_hand(a: list[float], b: list[float], error: float) -> None:
    assert_allclose(relative_error(np.array(a), np.array(b)), error, rtol=1e-15)
    assert isinstance(relative_error(np.array(a), np.array(b)), float)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-6, 1e6))
def test_the_relative_error_is_symmetric_scale_free_and_at_most_one(
    seed: int, scale: float
) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 5))
    error = relative_error(a, b)
    assert 0 <= error <= 1
    assert error == relative_error(b, a)
    assert_allclose(relative_error(scale * a, scale * b), error, rtol=1e-12)
