"""Losses against recorded PyTorch, hand arithmetic, derivatives and convexity."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from comparisons import distance, load, loss_distance
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn import losses
from optlearn.gradients import complex_step, finite_difference
from optlearn.losses import (
    binary_cross_entropy,
    hinge,
    huber,
    log_softmax,
    mean_absolute_error,
    mean_squared_error,
    sigmoid,
    softmax,
    softmax_cross_entropy,
)

Array = NDArray[Any]
ORACLE = load("losses")
LOSSES: dict[str, Callable[..., Any]] = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": partial(huber, delta=0.7),
    "binary_cross_entropy": binary_cross_entropy,
    "softmax_cross_entropy": softmax_cross_entropy,
    "hinge": hinge,
}
every_loss = pytest.mark.parametrize("name", LOSSES)
every_elementwise_loss = pytest.mark.parametrize(
    "name", [name for name in LOSSES if name != "softmax_cross_entropy"]
)
seeds = st.integers(0, 2**32 - 1)


def targets(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw targets that suit the loss."""
    if name == "softmax_cross_entropy":
        return rng.integers(shape[-1], size=shape[:-1])
    if name == "binary_cross_entropy":
        return rng.uniform(size=shape)
    if name == "hinge":
        return rng.choice([-1, 1], size=shape)
    return rng.normal(size=shape)


# Recorded numbers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", ORACLE["cases"], ids=lambda case: f"{case['loss']}-{case['scale']:g}"
)
def test_value_and_gradient_agree_with_pytorch(case: dict[str, Any]) -> None:
    # 24 elements are summed in another order: a few roundings of 1e-16.
    assert loss_distance(case) < 1e-14


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "log_softmax"])
def test_probabilities_agree_with_pytorch(name: str) -> None:
    recorded = ORACLE["squashed"]
    ours = getattr(losses, name)(np.array(recorded["logits"]))
    # Exponentials of two libraries differ in the last bits; e^-1000 is 0 in both.
    assert_allclose(ours, recorded[name], rtol=1e-14, atol=0)


# Hand arithmetic --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "value", "gradient"),
    [
        (mean_squared_error, [1.0, 2.0], [0, 4], 2.5, [1.0, -2.0]),
        (mean_absolute_error, [1.0, 2.0, 3.0, 4.0], [0, 4, 3, 4], 0.75, [0.25, -0.25, 0.0, 0.0]),
        (huber, [1.0, -2.0], [0, 0], 1.0, [0.5, -0.5]),
        (partial(huber, delta=2.0), [1.0, -4.0], [0, 0], 3.25, [0.5, -1.0]),
        (binary_cross_entropy, [0.0, 0.0], [1, 0], math.log(2), [-0.25, 0.25]),
        (binary_cross_entropy, [[0.0, 0.0]], [[0.25, 1]], math.log(2), [[0.125, -0.25]]),
        (
            softmax_cross_entropy,
            [[0.0, 0.0, 0.0, 0.0]],
            [2],
            math.log(4),
            [[0.25, 0.25, -0.75, 0.25]],
        ),
        (
            softmax_cross_entropy,
            [[0.0, math.log(3)], [math.log(3), 0.0]],
            [0, 0],
            (math.log(4) + math.log(4 / 3)) / 2,
            [[-0.375, 0.375], [-0.125, 0.125]],
        ),
        (hinge, [0.25, -3.0, -0.5, 1.0], [1, -1, 1, 1], 0.5625, [-0.25, 0.0, -0.25, 0.0]),
    ],
)
def test_values_and_gradients_by_hand(
    loss: Callable[..., Any], prediction: Any, target: Any, value: float, gradient: Any
) -> None:
    ours = loss(np.array(prediction), np.array(target))
    # Logarithms and exponentials round once or twice.
    assert_allclose(ours[0], value, rtol=1e-15)
    assert_allclose(ours[1], gradient, rtol=1e-15)


@pytest.mark.parametrize("shape", [(12,), (4, 3), (1, 12), (12, 1)])
@every_elementwise_loss
def test_the_mean_runs_over_batch_and_outputs(name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    prediction, target = rng.normal(size=12), targets(name, (12,), rng)
    value, gradient = LOSSES[name](prediction, target)
    other, other_gradient = LOSSES[name](prediction.reshape(shape), target.reshape(shape))
    assert np.ndim(other) == 0
    assert_allclose(other, value, rtol=1e-15)  # another order of summation
    assert_array_equal(other_gradient.ravel(), gradient)


# Derivatives ------------------------------------------------------------------------


@every_loss
@given(seed=seeds)
def test_gradients_agree_with_finite_differences(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = rng.normal(scale=2.0, size=(3, 4))
    target = targets(name, (3, 4), rng)
    if name in ("mean_absolute_error", "hinge", "huber"):
        prediction = np.round(prediction, 2) + 0.003  # at least 0.002 away from every kink
        target = np.round(target, 2)
    numeric = finite_difference(
        lambda flat: float(LOSSES[name](flat.reshape(3, 4), target)[0]), prediction.ravel()
    )
    # Central differences: 1e-10 from truncation, 1e-10 from rounding of values near 1.
    assert_allclose(LOSSES[name](prediction, target)[1].ravel(), numeric, rtol=0, atol=1e-8)


@every_loss
@given(seed=seeds)
def test_gradients_agree_with_the_complex_step(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = rng.normal(scale=5.0, size=(3, 4))
    target = targets(name, (3, 4), rng)
    exact = complex_step(
        lambda flat: LOSSES[name](flat.reshape(3, 4), target)[0], prediction.ravel()
    )
    # The complex step subtracts nothing: only rounding is left.
    assert_allclose(LOSSES[name](prediction, target)[1].ravel(), exact, rtol=1e-12, atol=1e-15)


@every_loss
@given(seed=seeds)
def test_every_loss_is_convex_and_its_gradient_supports_it_from_below(
    name: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    here, there = rng.normal(scale=3.0, size=(2, 3, 4))
    target = targets(name, (3, 4), rng)
    if seed % 2:
        here, there = np.round(here), np.round(there)  # kinks are hit, too
        target = target if name == "softmax_cross_entropy" else np.round(target)
    value, slope = LOSSES[name](here, target)
    reached = LOSSES[name](there, target)[0]
    assert reached >= value + (slope * (there - here)).sum() - 1e-13 * (1 + abs(value))


# Logits of any size -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e3, 1e4])
@every_loss
def test_extreme_logits_raise_no_floating_point_warning(
    name: str, size: float, dtype: type
) -> None:
    z = np.array([[size, -size, 0.0], [-size, size, size]], dtype=dtype)
    rng = np.random.default_rng(0)
    with np.errstate(all="raise"):
        for target in [targets(name, (2, 3), rng) for _ in range(5)]:
            value, gradient = LOSSES[name](z, target)
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e3, 1e4])
def test_extreme_logits_have_the_values_of_the_limit(size: float, dtype: type) -> None:
    z = np.array([size, -size], dtype=dtype)
    with np.errstate(all="raise"):
        assert_array_equal(sigmoid(z), [1.0, 0.0])
        assert_array_equal(softmax(z), [1.0, 0.0])
        assert_array_equal(log_softmax(z), [0.0, -2 * size])
        for labels, wrong in (([1, 0], 0), ([0, 1], size), ([0, 0], size / 2)):
            value, gradient = binary_cross_entropy(z, np.array(labels))
            assert value == wrong
            assert_array_equal(gradient, (np.array([1.0, 0.0]) - labels) / 2)
        for label, wrong in ((0, 0), (1, 2 * size)):
            value, gradient = softmax_cross_entropy(z[None, :], np.array([label]))
            assert value == wrong
            assert_array_equal(gradient[0], np.array([1.0, 0.0]) - np.eye(2)[label])


def test_a_confident_wrong_answer_costs_its_logit_not_infinity() -> None:
    # log(1 - sigmoid(40)) is log(0) in float64; the loss on logits is 40 + e^-40.
    assert 1 - sigmoid(np.array([40.0]))[0] == 0
    assert binary_cross_entropy(np.array([40.0]), np.array([0]))[0] == 40.0


# Relations --------------------------------------------------------------------------


@given(seed=seeds)
def test_binary_cross_entropy_is_softmax_cross_entropy_of_zero_and_the_logit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(scale=10.0, size=6), rng.integers(2, size=6)
    value, gradient = binary_cross_entropy(z, labels)
    other, two = softmax_cross_entropy(np.stack([0 * z, z], axis=1), labels)
    # Two formulas for one number, each with a handful of roundings of numbers up to 1.
    assert_allclose(value, other, rtol=1e-13)
    assert_allclose(gradient, two[:, 1], rtol=0, atol=1e-15)
    assert_allclose(gradient, -two[:, 0], rtol=0, atol=1e-15)


@given(z=st.floats(-50, 50), p=st.floats(0, 1))
def test_a_soft_label_mixes_the_two_hard_ones(z: float, p: float) -> None:
    logit = np.array([z])
    soft, no, yes = (binary_cross_entropy(logit, np.array([y]))[0] for y in (p, 0.0, 1.0))
    assert_allclose(soft, p * yes + (1 - p) * no, rtol=1e-12, atol=1e-14)


@given(seed=seeds, shift=st.floats(-100, 100))
def test_softmax_does_not_see_a_common_shift(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(scale=3.0, size=(4, 5)), rng.integers(5, size=4)
    # Adding 100 rounds z to 1e-14.
    assert_allclose(softmax(z + shift), softmax(z), rtol=1e-12)
    value, gradient = softmax_cross_entropy(z, labels)
    moved, moved_gradient = softmax_cross_entropy(z + shift, labels)
    assert_allclose(moved, value, rtol=1e-12, atol=1e-13)
    assert_allclose(moved_gradient, gradient, rtol=1e-12, atol=1e-13)
    assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)


@given(seed=seeds)
def test_softmax_gives_probabilities_and_log_softmax_their_logarithms(seed: int) -> None:
    z = np.random.default_rng(seed).normal(scale=10.0, size=(4, 5))
    p = softmax(z)
    assert (p > 0).all()
    assert_allclose(p.sum(axis=-1), 1, rtol=1e-14)
    assert_allclose(np.log(p), log_softmax(z), rtol=1e-12, atol=1e-14)
    assert_allclose(sigmoid(z) + sigmoid(-z), 1, rtol=1e-15)
    assert_allclose(np.log(sigmoid(z)) - np.log(sigmoid(-z)), z, rtol=1e-12, atol=1e-12)


def test_huber_is_half_the_square_inside_and_delta_times_the_distance_far_outside() -> None:
    rng = np.random.default_rng(1)
    prediction, target = rng.normal(size=(2, 20))
    value, gradient = huber(prediction, target, delta=100.0)
    square, square_gradient = mean_squared_error(prediction, target)
    assert_allclose(value, square / 2, rtol=1e-15)
    assert_allclose(gradient, square_gradient / 2, rtol=1e-15)
    value, gradient = huber(prediction, target, delta=1e-9)
    distance_, sign = mean_absolute_error(prediction, target)
    assert_allclose(value / 1e-9, distance_, rtol=1e-8)  # delta^2 / 2 is left out
    assert_allclose(gradient / 1e-9, sign, rtol=1e-15)


def test_each_loss_is_least_at_its_own_centre_of_the_data() -> None:
    # Mean, median and log-odds: textbook minimisers of a constant prediction.
    data = np.array([0.0, 1.0, 5.0])
    assert mean_squared_error(np.full(3, 2.0), data)[1].sum() == 0
    assert mean_absolute_error(np.full(3, 1.0), data)[1].sum() == 0
    log_odds = np.full(4, math.log(3))
    assert_allclose(binary_cross_entropy(log_odds, np.array([1, 1, 1, 0]))[1].sum(), 0, atol=1e-16)
    assert hinge(np.array([1.0, -1.0]), np.array([1, -1]))[0] == 0
    assert not hinge(np.array([1.0, -1.0]), np.array([1, -1]))[1].any()


# Shapes and dtypes ------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True], ids=["own targets", "shared targets"])
@every_loss
def test_leading_axes_are_independent_runs(name: str, shared: bool) -> None:
    rng = np.random.default_rng(2)
    prediction = rng.normal(size=(2, 3, 5, 4))
    target = targets(name, (5, 4) if shared else (2, 3, 5, 4), rng)
    value, gradient = LOSSES[name](prediction, target)
    assert value.shape == (2, 3)
    assert gradient.shape == prediction.shape
    for run in np.ndindex(2, 3):
        alone, alone_gradient = LOSSES[name](prediction[run], target if shared else target[run])
        assert_allclose(value[run], alone, rtol=1e-15)  # another order of summation
        assert_array_equal(gradient[run], alone_gradient)


@every_loss
def test_float32_stays_float32_and_agrees_with_float64(name: str) -> None:
    rng = np.random.default_rng(3)
    prediction, target = rng.normal(size=(6, 4)), targets(name, (6, 4), rng)
    prediction = prediction.astype(np.float32)
    value, gradient = LOSSES[name](prediction, target)
    assert np.asarray(value).dtype == np.float32
    assert gradient.dtype == np.float32
    reference = LOSSES[name](prediction.astype(np.float64), target)
    # Float32 rounds targets and results to 6e-8.
    assert distance(np.asarray(value), np.asarray(reference[0])) < 1e-6
    assert distance(gradient, reference[1]) < 1e-6


@pytest.mark.parametrize("function", [sigmoid, softmax, log_softmax])
def test_float32_probabilities_stay_float32(function: Callable[[Array], Array]) -> None:
    z = np.linspace(-20, 20, 12, dtype=np.float32).reshape(3, 4)
    assert function(z).dtype == np.float32
    assert_allclose(function(z), function(z.astype(np.float64)), rtol=1e-5)


@every_loss
def test_arguments_are_not_changed(name: str) -> None:
    rng = np.random.default_rng(4)
    prediction, target = rng.normal(size=(6, 4)), targets(name, (6, 4), rng)
    before, target_before = prediction.copy(), target.copy()
    _, gradient = LOSSES[name](prediction, target)
    gradient[:] = 0
    assert_array_equal(prediction, before)
    assert_array_equal(target, target_before)


@every_loss
def test_the_order_of_the_batch_does_not_matter(name: str) -> None:
    rng = np.random.default_rng(5)
    prediction, target = rng.normal(size=(6, 4)), targets(name, (6, 4), rng)
    order = rng.permutation(6)
    value, gradient = LOSSES[name](prediction, target)
    shuffled, shuffled_gradient = LOSSES[name](prediction[order], target[order])
    assert_allclose(shuffled, value, rtol=1e-15)  # another order of summation
    assert_array_equal(shuffled_gradient, gradient[order])


def test_the_complex_step_is_right_where_a_logit_is_exactly_zero() -> None:
    # sigma'(0) = 1/4; d/dz of -log sigma(z) is sigma(z) - 1 = -1/2. Zero is where the two stable
    # branches of the formulas meet, so both must take the same side there.
    zero = np.zeros(1)
    assert_allclose(complex_step(lambda z: sigmoid(z)[0], zero), 0.25, rtol=1e-15)
    slope = complex_step(lambda z: binary_cross_entropy(z, np.ones(1))[0], zero)
    assert_allclose(slope, -0.5, rtol=1e-15)
