"""The network against recorded autograd, hand arithmetic, derivatives and symmetries."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from comparisons import distance, load, network_distance
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn import losses
from optlearn.gradients import complex_step, finite_difference
from optlearn.losses import mean_squared_error, softmax_cross_entropy
from optlearn.networks import MLP

Array = NDArray[Any]
ORACLE = load("networks")
# The square layer of the deepest network hides a missing transpose from the shapes.
SIZES = {1: (3, 4), 2: (3, 5, 4), 3: (3, 5, 6, 4), 4: (3, 5, 5, 2, 4)}
ACTIVATIONS = ("relu", "tanh", "sigmoid", "identity")
LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "binary_cross_entropy",
    "softmax_cross_entropy",
    "hinge",
)
every_depth = pytest.mark.parametrize("depth", SIZES)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_loss = pytest.mark.parametrize("loss", LOSSES)
seeds = st.integers(0, 2**32 - 1)


def problem(
    depth: int, activation: str, loss: str, *, runs: int | None = None, seed: int = 0
) -> tuple[MLP, Array, Array, Array]:
    """Draw a network, its parameters, inputs and fitting targets; one of each a run if asked."""
    rng = np.random.default_rng([seed, depth])
    network = MLP(SIZES[depth], activation=activation)
    front = () if runs is None else (runs,)
    theta = 0.7 * rng.normal(size=(*front, network.n_parameters))
    x = rng.normal(size=(*front, 6, 3))
    shape = (*front, 6, 4)
    y: Array = {
        "softmax_cross_entropy": lambda: rng.integers(4, size=shape[:-1]),
        "binary_cross_entropy": lambda: rng.uniform(size=shape),
        "hinge": lambda: rng.choice([-1, 1], size=shape),
    }.get(loss, lambda: rng.normal(size=shape))()
    return network, theta, x, y


# Derivatives ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    ORACLE["cases"],
    ids=lambda case: f"{case['depth']}-{case['activation']}-{case['loss']}",
)
def test_loss_and_gradient_agree_with_autograd(case: dict[str, Any]) -> None:
    # Sums of at most seven products a layer, in another order: some roundings of 1e-16.
    assert network_distance(ORACLE, case) < 1e-12


@every_loss
@every_activation
@every_depth
def test_gradients_agree_with_finite_differences(depth: int, activation: str, loss: str) -> None:
    network, theta, x, y = problem(depth, activation, loss)
    function = getattr(losses, loss)
    gradient = network.loss_and_grad(theta, x, y, function)[1]
    numeric = finite_difference(
        lambda moved: float(network.loss_and_grad(moved, x, y, function)[0]), theta
    )
    # Truncation and cancellation of central differences, for derivatives near 1.
    assert distance(gradient, numeric) < 1e-6


@every_loss
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "identity", "relu"])
@every_depth
def test_gradients_agree_with_the_complex_step(depth: int, activation: str, loss: str) -> None:
    # Kinks are no trouble: each piece of a piecewise function is analytic.
    network, theta, x, y = problem(depth, activation, loss, seed=1)
    function = getattr(losses, loss)
    gradient = network.loss_and_grad(theta, x, y, function)[1]
    exact = complex_step(lambda moved: function(network.forward(moved, x), y)[0], theta)
    # The complex step subtracts nothing: rounding only.
    assert distance(gradient, exact) < 1e-12


def test_a_small_network_by_hand() -> None:
    # x = (1, 2); W1 = [[1, -1], [1, 1]], b1 = (0, -2): z1 = (3, -1), relu gives (3, 0).
    # W2 = [[2], [5]], b2 = (1): the output is 7, the target 6: loss 1, delta2 = 2.
    # dW2 = (6, 0), db2 = 2, delta1 = (4, 0), dW1 = [[4, 0], [8, 0]], db1 = (4, 0).
    network = MLP((2, 2, 1))
    theta = np.array([1.0, -1.0, 1.0, 1.0, 0.0, -2.0, 2.0, 5.0, 1.0])
    x, y = np.array([[1.0, 2.0]]), np.array([[6.0]])
    layers = network.activations(theta, x)
    assert [layer.tolist() for layer in layers] == [[[1.0, 2.0]], [[3.0, 0.0]], [[7.0]]]
    value, gradient = network.loss_and_grad(theta, x, y, mean_squared_error)
    assert value == 1.0
    assert_array_equal(gradient, [4.0, 0.0, 8.0, 0.0, 4.0, 0.0, 6.0, 0.0, 2.0])


def test_relu_has_slope_zero_at_its_kink() -> None:
    network = MLP((1, 1, 1))
    theta = np.array([1.0, -1.0, 1.0, 0.0])  # z1 = x - 1 is 0 at x = 1
    _, gradient = network.loss_and_grad(
        theta, np.array([[1.0]]), np.array([[5.0]]), mean_squared_error
    )
    assert_array_equal(gradient, [0.0, 0.0, 0.0, -10.0])


@every_activation
def test_the_gradient_of_a_batch_is_the_mean_of_the_gradients_of_its_samples(
    activation: str,
) -> None:
    network, theta, x, y = problem(3, activation, "softmax_cross_entropy")
    value, gradient = network.loss_and_grad(theta, x, y)
    singles = [network.loss_and_grad(theta, x[i : i + 1], y[i : i + 1]) for i in range(6)]
    # Another order of summation.
    assert_allclose(value, np.mean([single[0] for single in singles]), rtol=1e-14)
    assert_allclose(
        gradient, np.mean([single[1] for single in singles], axis=0), rtol=1e-13, atol=1e-15
    )


# The layout of theta ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "count"), [((784, 64, 64, 10), 55_050), ((784, 128, 10), 101_770), ((2, 1), 3)]
)
def test_parameters_are_counted_as_weights_and_biases(sizes: tuple[int, ...], count: int) -> None:
    network = MLP(sizes)
    assert network.n_parameters == count
    assert network.sizes == sizes
    assert network.activation == "relu"
    shapes = [(w.shape, b.shape) for w, b in network.unpack(np.zeros(count))]
    assert shapes == [((a, b), (b,)) for a, b in pairwise(sizes)]


def test_layers_are_views_in_the_order_w1_b1_w2_b2_row_by_row() -> None:
    network = MLP((2, 3, 1))
    theta = np.arange(13.0)
    (w1, b1), (w2, b2) = network.unpack(theta)
    assert w1.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert b1.tolist() == [6, 7, 8]
    assert w2.tolist() == [[9], [10], [11]]
    assert b2.tolist() == [12]
    w1[1, 0], b2[0] = -1.0, -2.0
    assert theta[3] == -1.0
    assert theta[12] == -2.0


def test_layers_of_many_runs_are_views_too() -> None:
    network = MLP((2, 3, 1))
    theta = np.arange(26.0).reshape(2, 13)
    layers = network.unpack(theta)
    for run in range(2):
        for (w, b), (w_one, b_one) in zip(layers, network.unpack(theta[run]), strict=True):
            assert_array_equal(w[run], w_one)
            assert_array_equal(b[run], b_one)
            assert np.may_share_memory(w, theta)
            assert np.may_share_memory(b, theta)


# Forward ----------------------------------------------------------------------------


@every_activation
@every_depth
def test_forward_is_the_textbook_formula_layer_by_layer(depth: int, activation: str) -> None:
    network, theta, x, _ = problem(depth, activation, "mean_squared_error")
    phi = {
        "relu": lambda z: np.where(z > 0, z, 0.0),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "identity": lambda z: z,
    }[activation]
    layers = network.activations(theta, x)
    assert len(layers) == depth + 1
    assert_array_equal(layers[0], x)
    assert_array_equal(layers[-1], network.forward(theta, x))
    for index, (w, b) in enumerate(network.unpack(theta)):
        z = layers[index] @ w + b
        expected = z if index == depth - 1 else phi(z)
        # Two ways to write the sigmoid round differently.
        assert_allclose(layers[index + 1], expected, rtol=1e-14, atol=1e-15)


def test_without_activation_a_deep_network_is_one_matrix() -> None:
    network, theta, x, _ = problem(4, "identity", "mean_squared_error")
    matrix, shift = np.eye(3), np.zeros(3)
    for w, b in network.unpack(theta):
        matrix, shift = matrix @ w, shift @ w + b
    assert_allclose(network.forward(theta, x), x @ matrix + shift, rtol=1e-13, atol=1e-14)


def test_a_class_is_the_largest_logit_and_a_single_output_votes_by_its_sign() -> None:
    identity = MLP((3, 3))
    theta = np.concatenate([np.eye(3).ravel(), np.zeros(3)])
    x = np.array([[0.1, 0.3, 0.2], [-1.0, -3.0, -2.0], [5.0, 6.0, 7.0]])
    assert identity.predict(theta, x).tolist() == [1, 0, 2]
    single = MLP((1, 1))
    logits = np.array([[-2.0], [0.0], [1e-9], [3.0]])
    assert single.predict(np.array([1.0, 0.0]), logits).tolist() == [0, 0, 1, 1]
    runs = np.stack([theta, -theta])
    assert identity.predict(runs, x).tolist() == [[1, 0, 2], [0, 1, 0]]
    assert identity.predict(runs, x).dtype.kind == "i"


# Runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("shared_x", [False, True], ids=["own x", "shared x"])
@pytest.mark.parametrize("shared_y", [False, True], ids=["own y", "shared y"])
@every_loss
@every_activation
@every_depth
def test_a_leading_axis_means_independent_runs(
    depth: int, activation: str, loss: str, shared_y: bool, shared_x: bool
) -> None:
    network, theta, x, y = problem(depth, activation, loss, runs=3)
    x, y = x[0] if shared_x else x, y[0] if shared_y else y
    function = getattr(losses, loss)
    values, gradients = network.loss_and_grad(theta, x, y, function)
    logits = network.forward(theta, x)
    assert values.shape == (3,)
    assert gradients.shape == theta.shape
    for run in range(3):
        x_one, y_one = x if shared_x else x[run], y if shared_y else y[run]
        value, gradient = network.loss_and_grad(theta[run], x_one, y_one, function)
        # A stacked matrix product may add in another order.
        assert_allclose(logits[run], network.forward(theta[run], x_one), rtol=1e-13, atol=1e-14)
        assert_allclose(values[run], value, rtol=1e-13)
        assert distance(gradients[run], gradient) < 1e-13


def test_a_single_run_keeps_its_axis() -> None:
    network, theta, x, y = problem(2, "tanh", "softmax_cross_entropy", runs=1)
    values, gradients = network.loss_and_grad(theta, x, y)
    assert values.shape == (1,)
    assert gradients.shape == theta.shape
    assert network.predict(theta, x).shape == (1, 6)


# Symmetries -------------------------------------------------------------------------


@every_activation
@given(seed=seeds)
def test_renaming_hidden_units_renames_the_gradient_and_leaves_the_loss(
    activation: str, seed: int
) -> None:
    network, theta, x, y = problem(3, activation, "softmax_cross_entropy", seed=seed % 1000)
    rng = np.random.default_rng(seed)
    first, second = rng.permutation(5), rng.permutation(6)

    def rename(vector: Array) -> Array:
        renamed = vector.copy()
        (w1, b1), (w2, b2), (w3, _) = network.unpack(renamed)
        w1[:], b1[:] = w1[:, first], b1[first]
        w2[:], b2[:] = w2[first][:, second], b2[second]
        w3[:] = w3[second]
        return renamed

    value, gradient = network.loss_and_grad(theta, x, y)
    renamed_value, renamed_gradient = network.loss_and_grad(rename(theta), x, y)
    # Sums over hidden units run in another order.
    assert_allclose(renamed_value, value, rtol=1e-13)
    assert distance(renamed_gradient, rename(gradient)) < 1e-13


@given(seed=seeds, power=st.integers(-8, 8))
def test_relu_lets_a_power_of_two_pass_from_one_layer_to_the_next(seed: int, power: int) -> None:
    # (W1, b1, W2) -> (c W1, c b1, W2 / c) is the same function; powers of two are exact.
    network, theta, x, y = problem(2, "relu", "softmax_cross_entropy", seed=seed % 1000)
    scaled = theta.copy()
    (w1, b1), (w2, _) = network.unpack(scaled)
    w1 *= 2.0**power
    b1 *= 2.0**power
    w2 /= 2.0**power
    assert_array_equal(network.forward(scaled, x), network.forward(theta, x))
    # Euler: along that orbit the loss is constant, so the two products of theta and
    # gradient balance: sum of W1 dW1 + b1 db1 equals sum of W2 dW2.
    gradient = network.loss_and_grad(theta, x, y)[1]
    (w1, b1), (w2, _) = network.unpack(theta)
    (g1, h1), (g2, _) = network.unpack(gradient)
    incoming = (w1 * g1).sum() + (b1 * h1).sum()
    assert_allclose(incoming, (w2 * g2).sum(), rtol=0, atol=1e-14)


def test_hidden_units_that_start_alike_stay_alike() -> None:
    network = MLP((3, 4, 2), activation="tanh")
    theta = np.full(network.n_parameters, 0.1)
    gradient = network.loss_and_grad(
        theta, np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 1, 0, 1, 1])
    )[1]
    (w1, b1), (w2, _) = network.unpack(gradient)
    assert_allclose(w1, w1[:, :1] * np.ones((1, 4)), rtol=1e-14)
    assert_allclose(b1, b1[0] * np.ones(4), rtol=1e-14)
    assert_allclose(w2, np.ones((4, 1)) * w2[:1], rtol=1e-14)


# Starting values --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "variances"),
    [("he", [2 / 400, 2 / 300]), ("glorot", [2 / 700, 2 / 500])],
)
def test_weights_start_gaussian_with_the_variance_of_the_scheme_and_biases_at_zero(
    scheme: str, variances: list[float]
) -> None:
    network = MLP((400, 300, 200))
    theta = network.init(np.random.default_rng(0), scheme=scheme)
    for (w, b), variance in zip(network.unpack(theta), variances, strict=True):
        count = w.size
        assert not b.any()
        # Standard errors: variance sqrt(2 / count), mean sqrt(variance / count); four of each.
        assert abs(w.var() / variance - 1) < 4 * math.sqrt(2 / count)
        assert abs(w.mean()) < 4 * math.sqrt(variance / count)
        # The fourth moment tells a Gaussian (3) from a uniform distribution (1.8).
        assert abs((w**4).mean() / variance**2 - 3) < 4 * math.sqrt(96 / count)


def test_the_same_generator_gives_the_same_start_in_either_precision() -> None:
    network = MLP((5, 4, 3))
    double = network.init(np.random.default_rng(3))
    single = network.init(np.random.default_rng(3), dtype=np.float32)
    assert double.dtype == np.float64
    assert single.dtype == np.float32
    assert_array_equal(single, double.astype(np.float32))
    assert_array_equal(double, network.init(np.random.default_rng(3), scheme="he"))
    rng = np.random.default_rng(3)
    assert (network.init(rng)[:20] != network.init(rng)[:20]).all()


def test_he_keeps_the_size_of_relu_signals_through_ten_layers() -> None:
    # He et al. (2015): variance 2 / d makes the mean square of z the same in every layer.
    network = MLP([256] * 11)
    theta = network.init(np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(100, 256))
    logits = network.forward(theta, x)
    # The first layer sees x itself and doubles it; ten layers of 256 units scatter by a third.
    assert 0.5 < (logits**2).mean() / 2 < 2.0


# Memory and precision ---------------------------------------------------------------


@pytest.mark.parametrize("runs", [None, 2])
def test_the_gradient_can_be_written_to_an_array_of_ours(runs: int | None) -> None:
    network, theta, x, y = problem(3, "tanh", "softmax_cross_entropy", runs=runs)
    value, gradient = network.loss_and_grad(theta, x, y)
    room = np.full_like(theta, np.nan)
    other_value, returned = network.loss_and_grad(theta, x, y, out=room)
    assert returned is room
    assert_array_equal(other_value, value)
    assert_array_equal(room, gradient)
    spread = np.full((*theta.shape, 2), np.nan)[..., 0]  # not contiguous
    network.loss_and_grad(theta, x, y, out=spread)
    assert_array_equal(spread, gradient)


@every_activation
def test_arguments_are_not_changed_and_not_kept(activation: str) -> None:
    network, theta, x, y = problem(3, activation, "softmax_cross_entropy")
    copies = theta.copy(), x.copy(), y.copy()
    gradient = network.loss_and_grad(theta, x, y)[1]
    expected = gradient.copy()
    network.predict(theta, x)
    for array, before in zip((theta, x, y), copies, strict=True):
        assert_array_equal(array, before)
    network.loss_and_grad(2 * theta, x, y)
    assert_array_equal(gradient, expected)


@every_loss
@every_activation
def test_float32_stays_float32(activation: str, loss: str) -> None:
    network, theta, x, y = problem(3, activation, loss)
    single = theta.astype(np.float32)
    function = getattr(losses, loss)
    value, gradient = network.loss_and_grad(single, x, y, function)  # x is float64
    assert np.asarray(value).dtype == np.float32
    assert gradient.dtype == np.float32
    assert all(layer.dtype == np.float32 for layer in network.activations(single, x))
    reference = network.loss_and_grad(theta, x, y, function)
    # Rounding of 6e-8 through three layers.
    assert distance(np.asarray(value), np.asarray(reference[0])) < 1e-5
    assert distance(gradient, reference[1]) < 1e-5


def test_a_loss_of_our_own_fits_in() -> None:
    def summed_square(logits: Array, y: Array) -> tuple[float, Array]:
        return float(((logits - y) ** 2).sum()), 2 * (logits - y)

    network, theta, x, y = problem(2, "tanh", "mean_squared_error")
    value, gradient = network.loss_and_grad(theta, x, y, summed_square)
    mean, mean_gradient = network.loss_and_grad(theta, x, y, mean_squared_error)
    # Sums of 24 squares in place of their mean.
    assert_allclose(value, 24 * mean, rtol=1e-14)
    assert_allclose(gradient, 24 * mean_gradient, rtol=1e-12, atol=1e-13)


def test_the_default_loss_is_softmax_cross_entropy() -> None:
    network, theta, x, y = problem(2, "tanh", "softmax_cross_entropy")
    default = network.loss_and_grad(theta, x, y)
    assert_array_equal(default[1], network.loss_and_grad(theta, x, y, softmax_cross_entropy)[1])


def test_the_representation_builds_the_network_again() -> None:
    network = MLP((4, 3, 2), activation="sigmoid")
    twin = eval(repr(network), {"MLP": MLP})
    assert (twin.sizes, twin.activation) == (network.sizes, network.activation)
