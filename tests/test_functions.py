"""Test functions against published values, differences of themselves and geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from optlearn.functions import (
    Function,
    Quadratic,
    beale,
    double_well,
    himmelblau,
    monkey_saddle,
    rastrigin,
    rosenbrock,
    saddle,
)
from optlearn.gradients import complex_step, finite_difference

FUNCTIONS: dict[str, Function] = {
    "quadratic": Quadratic(np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([1.0, -2.0])),
    "diagonal quadratic": Quadratic(np.array([1.0, 10.0, 100.0])),
    "rosenbrock": rosenbrock,
    "beale": beale,
    "himmelblau": himmelblau,
    "rastrigin": rastrigin,
    "saddle": saddle,
    "monkey saddle": monkey_saddle,
    "double well": double_well,
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
seeds = st.integers(0, 2**32 - 1)


def points(function: Function, seed: int, shape: tuple[int, ...] = ()) -> Any:
    """Draw points in the window of the function, shape (..., n)."""
    low, high = function.domain.T
    return np.random.default_rng(seed).uniform(low, high, size=(*shape, len(low)))


@pytest.mark.parametrize(
    ("function", "theta", "value"),
    [
        (rosenbrock, [-1.2, 1.0], 24.2),  # the start Rosenbrock (1960) used
        (rosenbrock, [0.0, 0.0], 1.0),
        (beale, [0.0, 0.0], 14.203125),  # 1.5^2 + 2.25^2 + 2.625^2
        (beale, [1.0, 1.0], 14.203125),
        (himmelblau, [0.0, 0.0], 170.0),  # 121 + 49
        (himmelblau, [-0.270845, -0.923039], 181.617),  # its local maximum
        (rastrigin, [1.0, 1.0], 2.0),
        (rastrigin, [0.5, 0.5], 40.5),
        (rastrigin, [4.52299366, 4.52299366], 80.70658039),  # its maximum on the window
        (saddle, [3.0, 2.0], 5.0),
        (monkey_saddle, [2.0, 1.0], 2.0),
        (monkey_saddle, [1.0, 2.0], -11.0),
        (double_well, [2.0], 2.2),
        (double_well, [-1.0], -0.35),
        (double_well, [1.0], -0.15),
        (FUNCTIONS["quadratic"], [2.0, 0.0], 7.5),  # (3 + 2 * 1 * 1 * 2 + 2 * 4) / 2
        (FUNCTIONS["diagonal quadratic"], [1.0, 1.0, 1.0], 55.5),
    ],
)
def test_published_and_hand_computed_values(
    function: Function, theta: list[float], value: float
) -> None:
    # Published values are printed with six to ten digits.
    assert_allclose(function.value(np.array(theta)), value, rtol=3e-6 if value > 80 else 1e-13)


@every_function
@given(seed=seeds)
def test_gradients_agree_with_the_complex_step_and_with_differences(
    function: Function, seed: int
) -> None:
    theta = points(function, seed)
    gradient = function.gradient(theta)
    size = 1 + np.abs(gradient).max() + np.abs(function.value(theta))
    # Rounding only, then truncation (third derivatives up to 5,000) and cancellation.
    assert_allclose(gradient, complex_step(function.value, theta), rtol=0, atol=1e-13 * size)
    assert_allclose(gradient, finite_difference(function.value, theta), rtol=0, atol=1e-6 * size)


@every_function
@given(seed=seeds)
def test_hessians_agree_with_the_complex_step_of_the_gradient(
    function: Function, seed: int
) -> None:
    theta = points(function, seed)
    hessian = function.hessian(theta)
    rows = [
        complex_step(lambda moved, j=j: function.gradient(moved)[j], theta)
        for j in range(len(theta))
    ]
    assert hessian.shape == (len(theta), len(theta))
    assert_array_equal(hessian, hessian.T)
    assert_allclose(hessian, rows, rtol=0, atol=1e-13 * (1 + np.abs(hessian).max()))


@every_function
def test_the_listed_minima_are_stationary_and_curve_upwards(function: Function) -> None:
    if function.minimum is None:
        assert function.name in ("saddle", "monkey saddle")
        return
    for theta in function.minimum:
        curvature = np.linalg.eigvalsh(function.hessian(theta))
        assert curvature[0] > 0
        # Minima are stored with 16 digits: the gradient is off by curvature times 1e-15.
        assert np.abs(function.gradient(theta)).max() < 1e-13 * max(1, curvature[-1])


@pytest.mark.parametrize("function", [rosenbrock, beale, himmelblau, rastrigin])
def test_the_listed_minima_have_value_zero_and_nothing_on_a_grid_lies_below(
    function: Function,
) -> None:
    assert_allclose(function.value(function.minimum), 0, atol=1e-25)
    axes = [np.linspace(low, high, 201) for low, high in function.domain]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    assert (function.value(grid) >= 0).all()


def test_himmelblau_has_four_minima_and_the_double_well_two() -> None:
    assert himmelblau.minimum.shape == (4, 2)
    # The wells are roots of a cubic, known in closed form (Viete).
    angle = np.arccos(-0.15 * np.sqrt(3)) / 3
    wells = 2 / np.sqrt(3) * np.cos(angle - 2 * np.pi * np.array([2, 0]) / 3)
    assert_allclose(np.sort(double_well.minimum[:, 0]), np.sort(wells), rtol=0, atol=1e-15)
    left, right = double_well.value(double_well.minimum)
    assert left < right


def test_the_saddles_have_no_minimum_and_are_flat_at_the_origin() -> None:
    origin = np.zeros(2)
    assert saddle.minimum is None
    assert monkey_saddle.minimum is None
    assert not saddle.gradient(origin).any()
    assert not monkey_saddle.gradient(origin).any()
    assert_array_equal(np.linalg.eigvalsh(saddle.hessian(origin)), [-2.0, 2.0])
    assert not monkey_saddle.hessian(origin).any()


@given(seed=seeds)
def test_the_monkey_saddle_is_a_harmonic_function_with_three_fold_symmetry(seed: int) -> None:
    theta = points(monkey_saddle, seed)
    turn = 2 * np.pi / 3
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ theta
    assert_allclose(monkey_saddle.value(turned), monkey_saddle.value(theta), rtol=0, atol=1e-13)
    assert np.trace(monkey_saddle.hessian(theta)) == 0


@every_function
def test_leading_axes_give_what_a_loop_gives(function: Function) -> None:
    theta = points(function, 0, (3, 4))
    n = theta.shape[-1]
    values, gradients, hessians = (
        function.value(theta),
        function.gradient(theta),
        function.hessian(theta),
    )
    assert (values.shape, gradients.shape, hessians.shape) == ((3, 4), (3, 4, n), (3, 4, n, n))
    for at in np.ndindex(3, 4):
        # A matrix product of one row may add in another order.
        assert_allclose(values[at], function.value(theta[at]), rtol=1e-14)
        assert_allclose(gradients[at], function.gradient(theta[at]), rtol=1e-13, atol=1e-13)
        assert_allclose(hessians[at], function.hessian(theta[at]), rtol=1e-14)


@every_function
def test_points_are_not_changed_and_the_window_holds_the_minima(function: Function) -> None:
    theta = points(function, 1, (5,))
    before = theta.copy()
    for method in (function.value, function.gradient, function.hessian):
        result = np.asarray(method(theta))
        result[...] = 0
    assert_array_equal(theta, before)
    assert_array_equal(function.hessian(theta), function.hessian(before))
    low, high = function.domain.T
    assert (low < high).all()
    if function.minimum is not None:
        assert ((function.minimum > low) & (function.minimum < high)).all()


def test_a_quadratic_knows_its_eigenvalues_its_centre_and_whether_it_has_a_minimum() -> None:
    bowl = Quadratic(np.array([100.0, 1.0]), np.array([3.0, 4.0]))
    assert_array_equal(bowl.eigenvalues, [1.0, 100.0])
    assert_array_equal(bowl.minimum, [[3.0, 4.0]])
    assert_array_equal(bowl.matrix, np.diag([100.0, 1.0]))
    assert Quadratic(np.array([[0.0, 1.0], [1.0, 0.0]])).minimum is None
    assert Quadratic(np.array([1.0, -1.0])).minimum is None


@every_function
def test_float32_points_get_float32_answers(function: Function) -> None:
    theta = points(function, 2, (5,))
    single = theta.astype(np.float32)
    for method in (function.value, function.gradient, function.hessian):
        expected = method(theta)
        assert method(single).dtype == np.float32
        # Points and results round to 6e-8; steep functions enlarge the rounding of the point.
        assert_allclose(method(single), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_quadratic_keeps_its_own_matrix() -> None:
    matrix, centre = np.diag([1.0, 2.0]), np.ones(2)
    bowl = Quadratic(matrix, centre)
    before = bowl.value(np.array([3.0, 5.0]))
    matrix[:] = 0
    centre[:] = 7
    assert bowl.value(np.array([3.0, 5.0])) == before
    assert_array_equal(bowl.minimum, [[1.0, 1.0]])


def test_a_function_of_our_own_is_vectorised_and_described() -> None:
    sphere = Function(
        "sphere",
        lambda theta: (theta**2).sum(axis=-1),
        lambda theta: 2 * theta,
        lambda theta: np.broadcast_to(2 * np.eye(3), (*theta.shape, 3)),
        np.zeros((1, 3)),
        np.array([[-1.0, 1.0]] * 3),
    )
    assert "sphere" in repr(sphere)
    assert sphere.dimension == 3
    assert_array_equal(sphere.value(np.ones((4, 3))), np.full(4, 3.0))
