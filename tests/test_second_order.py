"""Second-order steps against SciPy, closed forms and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize
from scipy.optimize import approx_fprime
from scipy.special import softmax

from optlearn.functions import (
    Function,
    Quadratic,
    beale,
    double_well,
    himmelblau,
    rosenbrock,
    saddle,
)
from optlearn.gradients import finite_difference
from optlearn.losses import binary_cross_entropy, huber, mean_squared_error, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.second_order import (
    backtrack,
    gauss_newton_product,
    newton,
    newton_step,
    trust_region,
    trust_region_step,
)

Array = NDArray[Any]
RNG = np.random.default_rng(15)


def symmetric(eigenvalues: list[float]) -> Array:
    turn = np.linalg.qr(RNG.normal(size=(len(eigenvalues),) * 2))[0]
    matrix = (turn * eigenvalues) @ turn.T
    return np.asarray((matrix + matrix.T) / 2)


def model(grad: Array, hessian: Array, p: Array) -> Any:
    return p @ grad + ((p @ hessian) * p).sum(axis=-1) / 2


# Newton's step and walk


def test_one_newton_step_ends_on_the_stationary_point_of_any_quadratic() -> None:
    for eigenvalues in ([1.0, 110.0], [2.0, -3.0, 0.5], [-1.0, -2.0]):
        bowl = Quadratic(symmetric(eigenvalues), center=RNG.normal(size=len(eigenvalues)))
        path = newton(bowl, RNG.normal(size=len(eigenvalues)), 1)
        np.testing.assert_allclose(path.theta[-1], bowl.center, atol=1e-12)
        assert path.theta.shape == (2, len(eigenvalues))
        assert not path.diverged


def test_damping_gives_ridge_regression_and_in_the_end_gradient_descent() -> None:
    x, y = RNG.normal(size=(20, 3)), RNG.normal(size=20)
    ridge = np.linalg.lstsq(
        np.vstack([x, np.sqrt(0.7) * np.eye(3)]), np.append(y, np.zeros(3)), rcond=None
    )[0]
    np.testing.assert_allclose(newton_step(-x.T @ y, x.T @ x, damping=0.7), ridge, rtol=1e-10)
    g = RNG.normal(size=3)
    step = newton_step(g, symmetric([1.0, 2.0, 3.0]), damping=1e9)
    np.testing.assert_allclose(step, -g / 1e9, rtol=1e-8)


def test_newton_walks_like_scipys_root_finder_on_the_gradient() -> None:
    found = optimize.newton(
        lambda t: t**3 - t + 0.1, 1.4, fprime=lambda t: 3 * t**2 - 1, tol=1e-14
    )
    path = newton(double_well, [1.4], 12)
    np.testing.assert_allclose(path.theta[-1, 0], found, rtol=1e-12)
    np.testing.assert_allclose(path.loss, double_well.value(path.theta), rtol=1e-14)


def test_newton_does_not_change_with_affine_coordinates() -> None:
    matrix, shift = np.array([[3.0, 1.0], [-20.0, 0.1]]), np.array([0.3, -2.0])
    turned = Function(
        "turned",
        lambda phi: rosenbrock.value(phi @ matrix.T + shift),
        lambda phi: rosenbrock.gradient(phi @ matrix.T + shift) @ matrix,
        lambda phi: matrix.T @ rosenbrock.hessian(phi @ matrix.T + shift) @ matrix,
        None,
        [[-1.0, 1.0], [-1.0, 1.0]],
    )
    start = np.array([0.2, 0.1])
    path = newton(turned, start, 5).theta @ matrix.T + shift
    np.testing.assert_allclose(newton(rosenbrock, matrix @ start + shift, 5).theta, path, 1e-7)


def test_newton_tells_where_it_stops() -> None:
    flat = Quadratic([1.0, 0.0])
    path = newton(flat, [1.0, 1.0], 5)
    assert path.diverged
    assert len(path.theta) == 1
    assert path.message.startswith("diverged after 0 steps: hessian must not be singular")
    uphill = newton(saddle, [0.1, 1.0], 5, line_search=True)
    assert not uphill.diverged
    assert "stopped after 0 steps: step must lead downhill" in uphill.message
    far = Function(
        "far",
        lambda t: np.sqrt(1 + t**2)[..., 0],
        lambda t: t / np.sqrt(1 + t**2),
        lambda t: ((1 + t**2) ** -1.5)[..., None],
        [[0.0]],
        [[-2.0, 2.0]],
    )
    runaway = newton(far, [1.1], 20)
    assert runaway.diverged
    assert 3 < len(runaway.theta) < 12
    np.testing.assert_allclose(runaway.theta[3, 0], -(1.1**27), rtol=1e-9)
    assert abs(newton(far, [50.0], 30, line_search=True).theta[-1, 0]) < 1e-10


def test_a_line_search_stops_where_no_fraction_helps() -> None:
    liar = Function(  # the gradient points the wrong way
        "liar",
        lambda t: (t**2).sum(axis=-1),
        lambda t: -2 * t,
        lambda t: 2 + 0 * t[..., None],
        None,
        [[-1.0, 1.0]],
    )
    path = newton(liar, [1.0], 5, line_search=True)
    assert len(path.theta) == 1
    assert "no fraction of the step" in path.message


# Line search


def test_backtracking_takes_the_first_halving_that_meets_armijos_condition() -> None:
    def value(t: Array) -> float:
        return float(np.cosh(3 * t[0]) + t[1] ** 2)

    theta = np.array([0.7, -1.0])
    grad = np.array([3 * np.sinh(2.1), -2.0])
    for step in (-grad, -10 * grad, np.array([-0.7, 1.0]), -0.1 * grad):
        for decrease in (1e-4, 0.3, 0.9):
            enough = [
                value(theta + step / 2**k) <= value(theta) + decrease / 2**k * (grad @ step)
                for k in range(40)
            ]
            expected = 0.5 ** enough.index(True)
            assert backtrack(value, theta, grad, step, decrease=decrease) == expected


def test_backtracking_gives_up_with_zero_and_survives_nan() -> None:
    assert backtrack(lambda t: float(t[0]), [0.0], [-1.0], [1.0]) == 0.0
    assert backtrack(lambda t: float(t[0]), [0.0], [-1.0], [1.0], halvings=1) == 0.0
    cliff = backtrack(lambda t: float(np.log(t[0]) ** 2), [0.5], [-2.77], [-4.0 * -1.0])
    assert 0 < cliff < 1
    wall = backtrack(lambda t: np.nan if t[0] < 0 else t[0] ** 2, [1.0], [2.0], [-3.0])
    assert wall == 0.25


# Trust region


@pytest.mark.parametrize(
    "eigenvalues", [[1.0, 5.0, 9.0], [-2.0, 1.0, 4.0], [-3.0, -2.0, -1.0], [0.0, 1.0, 2.0]]
)
@pytest.mark.parametrize("radius", [0.05, 0.7, 20.0])
def test_no_point_of_the_ball_has_a_lower_model(eigenvalues: list[float], radius: float) -> None:
    hessian, grad = symmetric(eigenvalues), RNG.normal(size=3)
    p = trust_region_step(grad, hessian, radius)
    assert np.linalg.norm(p) <= radius * (1 + 1e-9)
    points = RNG.normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= radius * RNG.uniform(size=(4000, 1)) ** (1 / 3)
    lowest = model(grad, hessian, p)
    assert lowest <= model(grad, hessian, points).min()
    for point in points[np.argsort(model(grad, hessian, points))[:3]]:
        polished = optimize.minimize(
            lambda q: model(grad, hessian, q),
            point * 0.999,
            jac=lambda q: grad + hessian @ q,
            constraints={"type": "ineq", "fun": lambda q: radius**2 - q @ q},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 300},
        )
        assert lowest <= polished.fun + 1e-6 * abs(lowest)


def test_the_step_is_newtons_where_that_is_short_enough() -> None:
    hessian, grad = symmetric([1.0, 2.0, 6.0]), RNG.normal(size=3)
    full = np.linalg.solve(hessian, -grad)
    length = float(np.linalg.norm(full))
    np.testing.assert_allclose(trust_region_step(grad, hessian, 1.01 * length), full, rtol=1e-10)
    short = trust_region_step(grad, hessian, length / 3)
    np.testing.assert_allclose(np.linalg.norm(short), length / 3, rtol=1e-12)


def test_the_hard_case_fills_the_ball_along_the_lowest_eigenvector() -> None:
    step = trust_region_step([1.0, 0.0], [[2.0, 0.0], [0.0, -2.0]], 1.0)
    np.testing.assert_allclose(step, [-0.25, np.sqrt(1 - 1 / 16)], rtol=1e-12)
    flat = trust_region_step([1.0, 0.0], [[2.0, 0.0], [0.0, 0.0]], 1.0)
    np.testing.assert_allclose(flat, [-0.5, 0.0], atol=1e-14)
    assert not trust_region_step([0.0, 0.0], np.zeros((2, 2)), 1.0).any()


def test_a_trust_region_ends_in_minima_and_never_climbs() -> None:
    for a in np.linspace(-4.9, 4.9, 5):
        for b in np.linspace(-4.7, 4.9, 5):
            path = trust_region(himmelblau, [a, b], 30)
            assert np.all(np.diff(path.loss) <= 0)
            assert path.loss[-1] < 1e-20
    path = trust_region(beale, [1.0, 1.0], 60)  # Newton ends at a saddle from here
    assert path.loss[-1] < 1e-20
    assert newton(beale, [1.0, 1.0], 60).loss[-1] > 14


def test_the_radius_follows_the_ratio() -> None:
    away = Quadratic([1.0, 1.0])
    path = trust_region(away, [100.0, 0.0], 6, radius=1.0)
    np.testing.assert_allclose(np.diff(path.theta[:, 0]), [-1, -2, -4, -8, -16, -32], rtol=1e-9)
    capped = trust_region(away, [100.0, 0.0], 6, radius=1.0, limit=3.0)
    np.testing.assert_allclose(np.diff(capped.theta[:, 0]), [-1, -2, -3, -3, -3, -3], rtol=1e-9)
    # far from a wall of high order the model promises too much, and the point is repeated
    wall = Function(
        "wall",
        lambda t: (t + np.exp(20 * (-t - 1)))[..., 0],
        lambda t: 1 - 20 * np.exp(20 * (-t - 1)),
        lambda t: (400 * np.exp(20 * (-t - 1)))[..., None],
        None,
        [[-2.0, 2.0]],
    )
    repeated = trust_region(wall, [0.0], 4, radius=4.0)
    np.testing.assert_allclose(repeated.theta[:4, 0], [0, 0, 0, -0.25], atol=1e-9)
    assert repeated.loss[2] == repeated.loss[0]
    nowhere = trust_region(wall, [0.0], 2, radius=60.0)  # overflow is no decrease
    assert nowhere.theta[1, 0] == 0.0


# Gauss-Newton


def dense(product: Any, n: int) -> Array:
    return np.array([product(e) for e in np.eye(n)])


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_the_product_is_jacobian_times_softmax_hessian_times_jacobian(activation: str) -> None:
    network = MLP((3, 4, 3), activation)
    theta, x = network.init(RNG) + 0.1, RNG.normal(size=(5, 3))
    y = np.array([0, 2, 1, 1, 0])
    jacobian = np.array(
        [
            finite_difference(lambda t, i=i, c=c: network.forward(t, x)[i, c], theta)  # type: ignore[misc]
            for i in range(5)
            for c in range(3)
        ]
    ).reshape(5, 3, -1)
    p = softmax(network.forward(theta, x), axis=1)
    matrix = sum(z.T @ (np.diag(q) - np.outer(q, q)) @ z for z, q in zip(jacobian, p, strict=True))
    g = dense(lambda v: gauss_newton_product(network, theta, x, y, v), network.n_parameters)
    np.testing.assert_allclose(g, matrix / 5, atol=1e-8)
    np.testing.assert_allclose(g, g.T, atol=1e-14)
    assert np.linalg.eigvalsh(g)[0] > -1e-14


def test_least_squares_gives_twice_the_mean_of_jacobians_squared() -> None:
    network = MLP((2, 3, 2), "tanh")
    theta, x, y = network.init(RNG), RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2))
    jacobian = approx_fprime(theta, lambda t: network.forward(t, x).ravel(), 1e-7)
    v = RNG.normal(size=theta.size)
    product = gauss_newton_product(network, theta, x, y, v, loss=mean_squared_error)
    np.testing.assert_allclose(product, 2 / 8 * jacobian.T @ (jacobian @ v), rtol=1e-4, atol=1e-6)


def test_without_a_hidden_layer_it_is_the_hessian() -> None:
    for loss, y in (
        (softmax_cross_entropy, np.array([0, 2, 1, 1])),
        (binary_cross_entropy, RNG.integers(2, size=(4, 3)).astype(float)),
        (huber, RNG.normal(size=(4, 3))),
    ):
        network = MLP((2, 3))
        theta, x = RNG.normal(size=9), RNG.normal(size=(4, 2))

        def gradient(t: Array, loss: Any = loss, x: Array = x, y: Array = y) -> Array:
            return MLP((2, 3)).loss_and_grad(t, x, y, loss)[1]

        v = RNG.normal(size=9)
        hv = (gradient(theta + 1e-6 * v) - gradient(theta - 1e-6 * v)) / 2e-6
        product = gauss_newton_product(network, theta, x, y, v, loss=loss)
        np.testing.assert_allclose(product, hv, atol=1e-7)


def test_the_product_is_linear_over_many_orders_and_leaves_its_inputs_alone() -> None:
    network = MLP((2, 3, 2), "tanh")
    theta, x, y = network.init(RNG), RNG.normal(size=(4, 2)), np.array([0, 1, 1, 0])
    v, before = RNG.normal(size=theta.size), theta.copy()
    one = gauss_newton_product(network, theta, x, y, v)
    for scale in (1e-200, 1e-6, 1e200):
        many = gauss_newton_product(network, theta, x, y, scale * v)
        np.testing.assert_allclose(many, scale * one, rtol=1e-10)
    assert not gauss_newton_product(network, theta, x, y, 0 * v).any()
    assert np.array_equal(theta, before)


# Rules that only a closer look shows


def test_only_a_symmetric_hessian_is_a_model() -> None:
    for step in (newton_step, lambda g, h: trust_region_step(g, h, 1.0)):
        with pytest.raises(ValueError, match="hessian must be symmetric"):
            step([1.0, 1.0], [[1.0, 0.01], [0.0, 1.0]])


def test_backtracking_asks_for_a_ten_thousandth_and_allows_a_level_step() -> None:
    def parabola(theta: Array) -> float:
        return float(theta @ theta) / 2

    # the step keeps 0.05 of what the slope promised
    assert backtrack(parabola, [1.0], [1.0], [-1.9]) == 1.0
    assert backtrack(parabola, [1.0], [1.0], [-1.9999]) == 0.5
    assert backtrack(parabola, [1.0], [1.0], [0.0]) == 1.0


@pytest.mark.parametrize("angle", [0.3, 1.2, 2.0, 2.9, 4.1, 5.5])
def test_in_the_hard_case_the_largest_entry_of_the_filling_is_positive(angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    step = trust_region_step([0.0, 0.0], turn @ np.diag([-2.0, 2.0]) @ turn.T, 0.5)
    assert step[np.abs(step).argmax()] > 0
    np.testing.assert_allclose(np.abs(step), 0.5 * np.abs(turn[:, 0]), rtol=1e-9)


def test_radii_are_those_of_algorithm_4_1(monkeypatch: pytest.MonkeyPatch) -> None:
    radii: list[float] = []

    def spy(grad: Any, hessian: Any, radius: float) -> Array:
        radii.append(radius)
        return trust_region_step(grad, hessian, radius)

    monkeypatch.setattr("optlearn.second_order.trust_region_step", spy)
    seen = set()
    for function in (himmelblau, rosenbrock, beale):
        for start in ([-1.2, 1.0], [0.3, -0.2], [2.1, -2.5], [0.1, 4.0]):
            radii.clear()
            path = trust_region(function, start, 25)
            assert radii[0] == 1.0
            for at, to, radius, following in zip(
                path.theta[:-2], path.theta[1:-1], radii[:-1], radii[1:], strict=True
            ):
                g, h = function.gradient(at), function.hessian(at)
                p = trust_region_step(g, h, radius)
                promised = -float(g @ p + p @ h @ p / 2)
                if promised < 1e-9 * abs(float(function.value(at))) or promised < 1e-12:
                    continue  # rounding decides there
                ratio = float(function.value(at) - function.value(at + p)) / promised
                full = bool(np.linalg.norm(p) > 0.99 * radius)
                assert np.array_equal(to, at + p) == (ratio > 0.1)
                factor = 0.25 if ratio < 0.25 else 2.0 if ratio > 0.75 and full else 1.0
                assert following == min(factor * radius, 100.0)
                seen.add((min(int(ratio * 10), 8) if ratio > 0 else -1, full))
    # what tells the thresholds apart has come up
    assert {(8, True), (8, False), (-1, True)} <= seen
    assert any(2 <= ratio <= 5 for ratio, _ in seen)
    assert any(4 <= ratio <= 6 and full for ratio, full in seen)


def test_at_a_stationary_point_the_radius_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    radii: list[float] = []

    def spy(grad: Any, hessian: Any, radius: float) -> Array:
        radii.append(radius)
        return trust_region_step(grad, hessian, radius)

    monkeypatch.setattr("optlearn.second_order.trust_region_step", spy)
    trust_region(Quadratic([1.0, 3.0]), [0.0, 0.0], 3)
    np.testing.assert_allclose(radii, [1.0, 0.25, 0.0625])
