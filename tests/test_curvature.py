"""Products with the Hessian and its largest eigenvalue, against closed forms and SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from optlearn.curvature import hessian_vector_product, largest_eigenvalue
from optlearn.functions import Function, Quadratic, beale, himmelblau, rosenbrock, saddle
from optlearn.losses import mean_squared_error
from optlearn.networks import MLP

Array = NDArray[np.float64]
RNG = np.random.default_rng


def product_of(matrix: Array) -> Callable[[Array], Array]:
    return lambda vector: matrix @ vector


@pytest.mark.parametrize("function", [rosenbrock, beale, himmelblau, saddle])
def test_the_product_is_that_of_the_closed_hessian(function: Function) -> None:
    theta, vector = np.array([0.7, -0.4]), np.array([-1.5, 2.0])
    expected = function.hessian(theta) @ vector
    np.testing.assert_allclose(
        hessian_vector_product(function.gradient, theta, vector), expected, rtol=1e-13
    )


@pytest.mark.parametrize("scale", [1e-200, 1e-5, 1.0, 1e200])
def test_the_product_is_linear_in_the_vector_at_every_scale(scale: float) -> None:
    theta, vector = np.array([0.7, -0.4]), np.array([-1.5, 2.0])
    at = hessian_vector_product(rosenbrock.gradient, theta, scale * vector)
    np.testing.assert_allclose(at / scale, rosenbrock.hessian(theta) @ vector, rtol=1e-13)


def test_the_product_with_zero_is_zero() -> None:
    at = hessian_vector_product(rosenbrock.gradient, np.ones(2), np.zeros(2))
    np.testing.assert_array_equal(at, np.zeros(2))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("classes", [True, False])
def test_a_networks_products_are_differences_of_its_gradients_and_symmetric(
    activation: str, classes: bool
) -> None:
    rng = RNG(3)
    network = MLP((4, 6, 5, 3), activation=activation)
    theta, x = network.init(rng), rng.normal(size=(7, 4))
    y = rng.integers(0, 3, 7) if classes else rng.normal(size=(7, 3))
    options = {} if classes else {"loss": mean_squared_error}

    def gradient(at: Array) -> Array:
        return network.loss_and_grad(at, x, y, **options)[1]

    a, b = rng.normal(size=(2, theta.size))
    product = hessian_vector_product(gradient, theta, a)
    h = 1e-6
    differences = (gradient(theta + h * a) - gradient(theta - h * a)) / (2 * h)
    np.testing.assert_allclose(product, differences, rtol=1e-6, atol=1e-7)
    assert b @ product == pytest.approx(a @ hessian_vector_product(gradient, theta, b), rel=1e-11)


@pytest.mark.parametrize(
    "values",
    [[3.0, 1.0, 0.5], [-5.0, 1.0, 3.0], [-5.0, -4.0, -1.0], [2.0, 2.0, 1.0], [7.0], [-7.0]],
)
def test_the_largest_eigenvalue_is_the_largest_not_that_of_largest_modulus(
    values: list[float],
) -> None:
    n = len(values)
    basis = np.linalg.qr(RNG(5).normal(size=(n, n)))[0]
    matrix = basis @ np.diag(values) @ basis.T
    found = largest_eigenvalue(product_of(matrix), n, rng=RNG(0), tolerance=1e-10)
    assert found.converged
    assert found.value == pytest.approx(max(values), rel=1e-9)
    np.testing.assert_allclose(matrix @ found.vector, found.value * found.vector, atol=1e-8)
    assert np.linalg.norm(found.vector) == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1.0, 1e200, 1e300])
def test_the_size_of_the_matrix_does_not_matter(scale: float) -> None:
    found = largest_eigenvalue(
        lambda vector: np.array([1.0, 3.0, 2.0]) * vector * scale, 3, rng=RNG(0), tolerance=1e-9
    )
    assert found.converged
    assert found.value / scale == pytest.approx(3, rel=1e-9)


def test_a_matrix_without_positive_eigenvalues_has_the_largest_zero() -> None:
    turn = np.linalg.qr(RNG(1).normal(size=(2, 2)))[0]
    matrix = turn @ np.diag([0.0, -1.0]) @ turn.T
    found = largest_eigenvalue(product_of(matrix), 2, rng=RNG(0), max_products=100)
    assert found.converged
    assert found.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("values", [[1.0, 0.9999], [-1.0, 0.5, 0.49999], [-1.0, -0.9999]])
def test_giving_up_is_said_in_either_iteration_and_within_the_limit(values: list[float]) -> None:
    calls: list[int] = []

    def product(vector: Array) -> Array:
        calls.append(1)
        return np.array(values) * vector

    found = largest_eigenvalue(product, len(values), rng=RNG(0), tolerance=1e-12, max_products=60)
    assert not found.converged
    assert found.products == len(calls) <= 60


def test_a_networks_largest_curvature_is_that_of_lanczos() -> None:
    rng = RNG(1)
    network = MLP((5, 8, 3), activation="tanh")
    theta, x, y = network.init(rng), rng.normal(size=(40, 5)), rng.integers(0, 3, 40)

    def product(vector: Array) -> Array:
        return hessian_vector_product(lambda at: network.loss_and_grad(at, x, y)[1], theta, vector)

    found = largest_eigenvalue(product, theta.size, rng=rng, tolerance=1e-8)
    operator = LinearOperator((theta.size, theta.size), matvec=product, dtype=float)
    assert found.value == pytest.approx(eigsh(operator, k=1, which="LA")[0][0], rel=1e-10)


def test_the_number_of_products_follows_the_ratio_of_the_eigenvalues() -> None:
    # The residual falls by lambda_2/lambda_1 a step: from 1 to 1e-8 in ln(1e-8)/ln(0.9) = 175.
    found = largest_eigenvalue(product_of(np.diag([1.0, 0.9])), 2, rng=RNG(2), tolerance=1e-8)
    assert found.products == pytest.approx(np.log(1e-8) / np.log(0.9), rel=0.1)


def test_it_counts_every_product_and_says_when_it_gave_up() -> None:
    calls: list[int] = []

    def product(vector: Array) -> Array:
        calls.append(1)
        return np.diag([1.0, -0.999999]) @ vector

    found = largest_eigenvalue(product, 2, rng=RNG(0), max_products=7)
    assert (found.products, len(calls), found.converged) == (7, 7, False)


def test_the_products_of_both_iterations_are_counted() -> None:
    calls: list[int] = []

    def product(vector: Array) -> Array:
        calls.append(1)
        return np.diag([-5.0, 1.0]) @ vector

    assert largest_eigenvalue(product, 2, rng=RNG(0)).products == len(calls)


def test_the_edge_of_gradient_descent_is_two_over_it() -> None:
    bowl = Quadratic(np.array([[3.0, 1.0], [1.0, 2.0]]))

    def product(vector: Array) -> Array:
        return hessian_vector_product(bowl.gradient, np.zeros(2), vector)

    edge = 2 / largest_eigenvalue(product, 2, rng=RNG(0), tolerance=1e-12).value
    for rate, grows in ((0.999 * edge, False), (1.001 * edge, True)):
        theta = np.array([1.0, 1.0])
        for _ in range(20_000):
            theta = theta - rate * bowl.gradient(theta)
        assert (np.linalg.norm(theta) > 1) == grows


def test_the_zero_matrix_has_eigenvalue_zero() -> None:
    found = largest_eigenvalue(lambda v: 0 * v, 3, rng=RNG(0))
    assert (found.value, found.products, found.converged) == (0.0, 1, True)


@pytest.mark.parametrize(
    ("product", "message"),
    [
        (lambda v: v[0], r"product must return \(2,\) real numbers, got float64 of shape \(\)"),
        (lambda v: 1j * v, r"product must return \(2,\) real numbers, got complex128"),
        (lambda v: np.nan * v, "product must return finite numbers, got NaN or infinity"),
    ],
)
def test_a_product_that_is_none_is_refused(
    product: Callable[[Array], Array], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        largest_eigenvalue(product, 2, rng=RNG(0))
