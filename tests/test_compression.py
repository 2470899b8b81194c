"""Compression against hand counts, linear algebra, finite differences and other libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from optlearn import optimizers
from optlearn.compression import (
    FactoredMLP,
    distillation_loss,
    distillation_targets,
    low_rank,
    pack_sparse,
    prune,
    remove_units,
    share_weights,
    unit_scores,
)
from optlearn.gradients import complex_step, finite_difference, relative_error
from optlearn.losses import softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.runs import accuracies, fit_runs
from optlearn.training import accuracy, fit

Array = NDArray[Any]
NETWORK = MLP((3, 5, 6, 4))
WEIGHTS = 15 + 30 + 24
fractions = st.floats(0, 1)
seeds = st.integers(0, 2**32 - 1)


def draw(network: MLP, seed: int, *front: int) -> Array:
    """Draw parameters; biases are not 0, so that a forgotten one shows."""
    return np.random.default_rng(seed).normal(size=(*front, network.n_parameters))


def inputs(seed: int = 0, batch: int = 40) -> Array:
    return np.random.default_rng([seed, 1]).normal(size=(batch, 3))


def weights_of(network: MLP, theta: Array) -> Array:
    """Return all weights, without biases, in the order of theta."""
    return np.concatenate([w.ravel() for w, _ in network.unpack(theta)])


# Pruning ------------------------------------------------------------------------------------


@given(fractions, seeds)
def test_so_many_weights_are_pruned_and_they_are_the_smallest(fraction: float, seed: int) -> None:
    theta = draw(NETWORK, seed)
    kept = theta.copy()
    pruned, mask = prune(NETWORK, theta, fraction)
    assert_array_equal(theta, kept)
    assert mask.sum() == round(fraction * WEIGHTS)
    assert_array_equal(pruned, np.where(mask, 0, theta))
    for _, b in NETWORK.unpack(mask.astype(float)):
        assert not b.any()
    sizes, gone = np.abs(weights_of(NETWORK, theta)), weights_of(NETWORK, mask.astype(float)) > 0
    if gone.any() and not gone.all():
        assert sizes[gone].max() <= sizes[~gone].min()


@given(fractions, seeds)
def test_each_layer_loses_its_own_share(fraction: float, seed: int) -> None:
    theta = draw(NETWORK, seed)
    _, mask = prune(NETWORK, theta, fraction, scope="layer")
    gone_from = NETWORK.unpack(mask.astype(float))
    for (w, _), (marked, b) in zip(NETWORK.unpack(theta), gone_from, strict=True):
        gone = marked > 0
        assert not b.any()
        assert gone.sum() == round(fraction * w.size)
        if gone.any() and not gone.all():
            assert np.abs(w)[gone].max() <= np.abs(w)[~gone].min()


def test_of_equal_weights_the_first_go() -> None:
    network = MLP((2, 2))
    theta = np.array([1.0, -1.0, 1.0, 0.5, 0.0, 0.0])
    assert prune(network, theta, 0.5)[0].tolist() == [0, -1, 1, 0, 0, 0]
    # Half of five halves up or down to the even number: 2 of 5 weights at 0.5, and of 3 also 2.
    assert prune(MLP((5, 1)), np.ones(6), 0.5)[1].sum() == 2
    assert prune(MLP((3, 1)), np.ones(4), 0.5)[1].sum() == 2


def test_scores_decide_where_given() -> None:
    network = MLP((4, 1))
    theta = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    _, mask = prune(network, theta, 0.5, scores=-theta)
    assert mask.tolist() == [False, False, True, True, False]


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_runs_are_pruned_each_on_its_own(scope: str, dtype: str) -> None:
    thetas = draw(NETWORK, 0, 4).astype(dtype)
    pruned, mask = prune(NETWORK, thetas, 0.3, scope=scope)
    assert pruned.dtype == dtype
    for k in range(4):
        alone = prune(NETWORK, thetas[k], 0.3, scope=scope)
        assert_array_equal(pruned[k], alone[0])
        assert_array_equal(mask[k], alone[1])


@pytest.mark.parametrize("name", ["GradientDescent", "Momentum", "RMSProp", "Adam", "AdamW"])
def test_training_with_rate_0_leaves_the_zeros(name: str) -> None:
    network = MLP(NETWORK.sizes, "tanh")  # no unit is silent, so that every weight moves
    theta, mask = prune(network, draw(network, 1), 0.6)
    x, y = inputs(), np.arange(40) % 4
    optimizer = getattr(optimizers, name)(np.where(mask, 0.0, 0.01))
    rng = np.random.default_rng(0)
    trained = fit(network, theta, (x, y), optimizer, epochs=2, batch_size=8, rng=rng).theta
    assert not trained[mask].any()
    assert (trained[~mask] != theta[~mask]).all()


# Sparse storage -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (8,), (9,), (3, 7), (2, 3, 5)])
def test_a_sparse_array_comes_back_and_has_the_bytes_it_says(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=shape).astype("f4") * (rng.random(shape) < 0.4)
    packed = pack_sparse(w)
    assert_array_equal(packed.dense(), w.astype("f8"))
    assert packed.dense(np.float32).dtype == np.float32
    bits = -(-w.size // 8)
    assert packed.nbytes == 4 * np.count_nonzero(w) + bits
    assert packed.nbytes == len(packed.values.tobytes()) + len(packed.positions.tobytes())


def test_zeros_pay_as_soon_as_they_are_more_than_one_of_32() -> None:
    w = np.ones(320)
    w[:10] = 0
    assert pack_sparse(w).nbytes == 4 * 320
    w[10] = 0
    assert pack_sparse(w).nbytes < 4 * 320


# Units --------------------------------------------------------------------------------------


def dead_and_constant(activation: str) -> tuple[MLP, Array, Array]:
    """Return a network with units that are constant on x, one that nobody hears, and x."""
    network = MLP((3, 5, 6, 4), activation)
    theta, x = 0.3 * draw(network, 3), inputs(3)
    (w1, b1), (w2, b2), (w3, _) = network.unpack(theta)
    b1 += 2  # so that no other unit is silent on x
    b2 += 4
    w1[:, 1] = 0  # always phi(b1[1])
    w2[4, :] = 0  # nobody listens to unit 4
    w2[:, 2] = 0  # always phi(b2[2])
    w3[5, :] = 0
    b1[1], b2[2] = 0.7, 0.9
    return network, theta, x


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
def test_units_of_score_0_go_without_a_trace(activation: str) -> None:
    network, theta, x = dead_and_constant(activation)
    scores = unit_scores(network, theta, x)
    keep = [np.flatnonzero(score > 1e-12) for score in scores]
    assert [k.tolist() for k in keep] == [[0, 2, 3], [0, 1, 3, 4]]
    smaller, rest = remove_units(network, theta, keep, x)
    assert type(smaller) is MLP
    assert (smaller.sizes, smaller.activation) == ((3, 3, 4, 4), activation)
    # Means and sums round, nothing else: a few 1e-16 of numbers below 20.
    assert_allclose(smaller.forward(rest, x), network.forward(theta, x), atol=1e-12)
    fresh = inputs(9)  # these units are constant everywhere
    assert_allclose(smaller.forward(rest, fresh), network.forward(theta, fresh), atol=1e-12)


def test_silent_units_need_no_inputs() -> None:
    network, theta, x = dead_and_constant("relu")
    network.unpack(theta)[0][1][1] = -0.5  # relu(-0.5) = 0
    smaller, rest = remove_units(network, theta, [[0, 2, 3], range(6)])
    assert_allclose(smaller.forward(rest, x), network.forward(theta, x), atol=1e-12)


def test_kept_units_keep_the_order_given() -> None:
    theta, x = draw(NETWORK, 5), inputs(5)
    order = [[4, 2, 0, 1, 3], [5, 1, 0, 3, 2, 4]]
    same, renamed = remove_units(NETWORK, theta, order)
    assert same.sizes == NETWORK.sizes
    assert_allclose(same.forward(renamed, x), NETWORK.forward(theta, x), atol=1e-12)
    assert_array_equal(same.unpack(renamed)[0][1], NETWORK.unpack(theta)[0][1][order[0]])


def test_the_mean_of_a_removed_unit_stays_behind() -> None:
    network, x = MLP((3, 5, 4)), inputs(6)
    theta = draw(network, 6)
    smaller, rest = remove_units(network, theta, [[0, 3]], x)
    # With one hidden layer the logits keep their mean over x.
    mean = network.forward(theta, x).mean(axis=0)
    assert_allclose(smaller.forward(rest, x).mean(axis=0), mean, atol=1e-12)
    bare = remove_units(network, theta, [[0, 3]])[1]
    assert np.abs(smaller.forward(bare, x).mean(axis=0) - mean).max() > 0.1


def test_scores_are_products_of_two_norms() -> None:
    network, theta, x = NETWORK, draw(NETWORK, 8), inputs(8)
    (w1, _), (w2, _), (w3, _) = network.unpack(theta)
    _, a1, a2, _ = network.activations(theta, x)
    for found, w_in, w_out in zip(unit_scores(network, theta), (w1, w2), (w2, w3), strict=True):
        for unit, score in enumerate(found):
            expected = np.sum(w_in[:, unit] ** 2) * np.sum(w_out[unit] ** 2)
            assert_allclose(score**2, expected, rtol=1e-12)
    for found, a, w_out in zip(unit_scores(network, theta, x), (a1, a2), (w2, w3), strict=True):
        for unit, score in enumerate(found):
            # Removing this unit alone changes the next layer by this much, root mean square.
            change = np.outer(a[:, unit] - a[:, unit].mean(), w_out[unit])
            assert_allclose(score**2, np.sum(change**2) / len(x), rtol=1e-12)


# Low rank -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [(2, 3, 1), (None, 4, None), (3, 5, 4), (None, None, None)])
def test_the_error_is_that_of_eckart_and_young(ranks: tuple[int | None, ...]) -> None:
    theta = draw(NETWORK, 2)
    factored, factors = low_rank(NETWORK, theta, ranks)
    layers = iter(factored.unpack(factors))
    for (w, b), rank in zip(NETWORK.unpack(theta), ranks, strict=True):
        w_new, b_new = next(layers)
        if rank is not None:
            a, (right, b_new) = w_new, next(layers)
            assert_allclose(np.sum(a**2), np.sum(right**2), rtol=1e-12)
            w_new = a @ right
            assert np.linalg.matrix_rank(w_new) == rank
            # The eigenvalues of W^T W are the squared singular values, found another way.
            tail = np.sort(np.linalg.eigvalsh(w.T @ w))[::-1][rank:]
            assert_allclose(np.sum((w - w_new) ** 2), max(tail.sum(), 0), atol=1e-12)
        else:
            assert_array_equal(w_new, w)
        assert_array_equal(b_new, b)


def test_no_other_matrix_of_the_rank_comes_closer() -> None:
    network = MLP((6, 5))
    theta = draw(network, 4)
    w = network.unpack(theta)[0][0]
    factored, factors = low_rank(network, theta, [2])
    (a, _), (b, _) = factored.unpack(factors)
    least, rng = np.sum((w - a @ b) ** 2), np.random.default_rng(0)
    for _ in range(200):
        near = (a + 0.05 * rng.normal(size=a.shape)) @ (b + 0.05 * rng.normal(size=b.shape))
        assert np.sum((w - near) ** 2) > least


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("ranks", [(2, 3, 1), (None, 4, None), (3, None, 2), (None, None, None)])
def test_a_factored_network_is_the_network_of_the_products(
    activation: str, ranks: tuple[int | None, ...]
) -> None:
    network = MLP((3, 5, 6, 4), activation)
    factored = FactoredMLP(network, ranks)
    factors, x, y = draw(factored, 7), inputs(7), np.arange(40) % 4
    theta, layers = np.empty(network.n_parameters), iter(factored.unpack(factors))
    for (w, b), rank in zip(network.unpack(theta), ranks, strict=True):
        first, b_first = next(layers)
        if rank is None:
            w[...], b[...] = first, b_first
        else:
            assert b_first.size == 0
            second, b[...] = next(layers)
            w[...] = first @ second
    assert_allclose(factored.forward(factors, x), network.forward(theta, x), atol=1e-12)
    assert accuracy(factored, factors, x, y) == accuracy(network, theta, x, y)
    value, grad = factored.loss_and_grad(factors, x, y)
    assert_allclose(value, network.loss_and_grad(theta, x, y)[0], atol=1e-12)
    exact = complex_step(lambda values: factored.loss_and_grad(values, x, y)[0], factors)
    assert relative_error(grad, exact) < 1e-13


def test_factored_networks_train_side_by_side() -> None:
    factored, factors = low_rank(NETWORK, draw(NETWORK, 9, 3), (2, 2, None))
    x, y = inputs(), np.arange(40) % 4
    rngs = [np.random.default_rng(k) for k in range(3)]
    optimizer = optimizers.Adam(0.01)
    runs = fit_runs(factored, factors, (x, y), optimizer, epochs=3, batch_size=8, rngs=rngs)
    for k in range(3):
        alone, start = low_rank(NETWORK, draw(NETWORK, 9, 3)[k], (2, 2, None))
        assert_allclose(start, factors[k], atol=1e-12)
        rng = np.random.default_rng(k)
        last = fit(
            alone, start, (x, y), optimizers.Adam(0.01), epochs=3, batch_size=8, rng=rng
        ).theta
        assert_allclose(runs.theta[k], last, rtol=1e-6)
    assert accuracies(factored, runs.theta, x, y).shape == (3,)


@pytest.mark.parametrize(("scheme", "variance"), [("he", 2 / 60), ("glorot", 2 / (60 + 40))])
def test_products_of_drawn_factors_vary_as_whole_matrices_do(scheme: str, variance: float) -> None:
    factored = FactoredMLP(MLP((60, 40, 5)), (8, None))
    products, firsts, lasts = [], [], []
    for seed in range(60):
        theta = factored.init(np.random.default_rng(seed), scheme=scheme)
        (a, none), (b, bias), (last, _) = factored.unpack(theta)
        assert none.size == 0
        assert not bias.any()
        products.append(np.mean((a @ b) ** 2))
        firsts.append(np.mean(a**2))
        lasts.append(np.mean(last**2))
    for found, expected in (
        (products, variance),
        (firsts, 1 / 60),
        (lasts, 2 / (40 if scheme == "he" else 45)),
    ):
        error = np.std(found, ddof=1) / np.sqrt(60)
        assert error < 0.03 * expected
        assert abs(np.mean(found) - expected) < 4 * error


def test_factors_are_drawn_alike_in_both_precisions() -> None:
    factored = FactoredMLP(NETWORK, (2, None, 3))
    double, single = (factored.init(np.random.default_rng(5), dtype=d) for d in ("f8", "f4"))
    assert (double.dtype, single.dtype) == (np.float64, np.float32)
    assert_allclose(single, double, rtol=2e-7)  # rounded twice


def test_parameters_of_factors_are_counted() -> None:
    factored = FactoredMLP(MLP((784, 64, 64, 10)), (16, 8, None))
    assert factored.sizes == (784, 16, 64, 8, 64, 10)
    assert factored.n_parameters == 16 * (784 + 64) + 64 + 8 * 128 + 64 + 650
    assert "13568" not in repr(factored)
    assert str(factored.n_parameters) in repr(factored)


# Shared values ------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5, 16])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_each_value_is_the_mean_of_the_weights_nearest_to_it(k: int, scale: float) -> None:
    w = scale * np.random.default_rng(k).normal(size=(30, 20))
    shared = share_weights(w, k, np.random.default_rng(0))
    assert shared.codebook.dtype == np.float32
    assert shared.codebook.shape == (k,)
    assert (np.diff(shared.codebook) > 0).all()
    distance = np.abs(w[..., None] - shared.codebook.astype(float))
    chosen = np.take_along_axis(distance, shared.indices[..., None], axis=-1)[..., 0]
    assert_allclose(chosen, distance.min(axis=-1), atol=1e-6 * scale)  # float32
    for index, value in enumerate(shared.codebook):
        mean = w[shared.indices == index].mean()
        assert_allclose(value, mean, rtol=1e-6, atol=1e-6 * scale)
    assert_array_equal(shared.dense(), shared.codebook.astype(float)[shared.indices])
    assert shared.bits == {1: 0, 2: 1, 5: 3, 16: 4}[k]
    assert shared.nbytes == 4 * k + -(-shared.bits * 600 // 8)


def test_well_separated_heaps_are_found() -> None:
    rng = np.random.default_rng(1)
    heaps = np.array([-4.0, -1.0, 0.5, 3.0])
    w = np.repeat(heaps, 50) + 1e-3 * rng.normal(size=200)
    shared = share_weights(rng.permutation(w), 4, rng)
    assert_allclose(shared.codebook, heaps, atol=1e-3)


def test_few_different_weights_are_kept_as_they_are() -> None:
    w = np.array([[0.0, 2.0, 0.0], [-1.5, 2.0, 2.0]])
    for k in (3, 4, 200):
        shared = share_weights(w, k, np.random.default_rng(0))
        assert_array_equal(shared.dense(), w)
        assert (shared.codebook.tolist(), shared.bits) == ([-1.5, 0.0, 2.0], 2)
        assert shared.nbytes == 3 * 4 + 2  # twelve bits


def test_sharing_is_reproducible_and_changes_nothing() -> None:
    w = np.random.default_rng(0).normal(size=400)
    kept = w.copy()
    first, second = (share_weights(w, 8, np.random.default_rng(3)) for _ in range(2))
    assert_array_equal(w, kept)
    assert_array_equal(first.indices, second.indices)


def test_the_start_is_drawn_from_the_generator() -> None:
    w, rng = np.random.default_rng(0).normal(size=400), np.random.default_rng(3)
    ends = {share_weights(w, 20, rng).codebook.tobytes() for _ in range(4)}
    assert len(ends) > 1  # other starts end in other local minima


def test_zeros_go_first_only_where_scores_agree() -> None:
    theta, scores = np.array([0.0, 2.0, 3.0, 4.0, 0.0]), np.array([9.0, 1.0, 2.0, 3.0, 0.0])
    network = MLP((4, 1))
    assert prune(network, theta, 0.25)[1].tolist() == [True, False, False, False, False]
    assert prune(network, theta, 0.25, scores=scores)[0].tolist() == [0, 0, 3, 4, 0]


# Distillation -------------------------------------------------------------------------------


def logits_and_targets(seed: int, *front: int) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng(seed)
    z, v = 3 * rng.normal(size=(*front, 6, 4)), 3 * rng.normal(size=(6, 4))
    y = rng.integers(4, size=6)
    return z, v, y, distillation_targets(v, y)


temperatures = pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
alphas = pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])


@temperatures
@alphas
def test_the_distillation_loss_is_its_definition(temperature: float, alpha: float) -> None:
    z, v, y, targets = logits_and_targets(0)
    value, _ = distillation_loss(temperature=temperature, alpha=alpha)(z, targets)
    p, log_q = softmax(v / temperature, axis=1), log_softmax(z / temperature, axis=1)
    hard = -log_softmax(z, axis=1)[np.arange(6), y]
    soft = -np.sum(p * log_q, axis=1)
    expected = np.mean(alpha * temperature**2 * soft + (1 - alpha) * hard)
    assert_allclose(value, expected, rtol=1e-13)


@temperatures
@alphas
def test_its_gradient_is_that_of_finite_differences(temperature: float, alpha: float) -> None:
    z, _, _, targets = logits_and_targets(1)
    loss = distillation_loss(temperature=temperature, alpha=alpha)

    def value(flat: Array) -> Any:
        return loss(flat.reshape(z.shape), targets)[0]

    gradient = loss(z, targets)[1].ravel()
    # Central differences leave about 1e-10, the complex step rounding alone.
    assert relative_error(gradient, finite_difference(value, z.ravel())) < 1e-8
    assert relative_error(gradient, complex_step(value, z.ravel())) < 1e-13


def test_without_a_teacher_it_is_cross_entropy() -> None:
    z, _, y, targets = logits_and_targets(2)
    ours = distillation_loss(temperature=3.0, alpha=0.0)(z, targets)
    theirs = softmax_cross_entropy(z, y)
    assert_allclose(ours[0], theirs[0], rtol=1e-13)
    assert_allclose(ours[1], theirs[1], atol=1e-15)


def test_a_teacher_that_is_sure_and_right_is_a_label() -> None:
    z, _, y, _ = logits_and_targets(3)
    sure = distillation_targets(1000.0 * np.eye(4)[y], y)
    ours = distillation_loss(temperature=1.0, alpha=1.0)(z, sure)
    assert_allclose(ours[0], softmax_cross_entropy(z, y)[0], rtol=1e-13)


def test_hot_enough_it_matches_centred_logits() -> None:
    z, v, _, targets = logits_and_targets(4)
    gradient = distillation_loss(temperature=1e4, alpha=1.0)(z, targets)[1]
    # Hinton, Vinyals and Dean, equation 4: (z - v) / C for logits of mean 0; here over the batch.
    centred = (z - z.mean(axis=1, keepdims=True)) - (v - v.mean(axis=1, keepdims=True))
    assert_allclose(gradient, centred / 4 / 6, rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("own", [False, True])
def test_runs_are_distilled_side_by_side(own: bool) -> None:
    z, _, _, targets = logits_and_targets(5, 3)
    loss = distillation_loss(temperature=2.0, alpha=0.5)
    each = np.stack([targets, targets[::-1], targets + 0]) if own else targets
    values, gradients = loss(z, each)
    for k in range(3):
        value, gradient = loss(z[k], each[k] if own else targets)
        assert_allclose(values[k], value, rtol=1e-14)
        assert_allclose(gradients[k], gradient, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_student_comes_close_to_its_teacher(dtype: str) -> None:
    teacher, student, x = draw(NETWORK, 1), MLP((3, 8, 4)), inputs(1, 200)
    targets = distillation_targets(NETWORK.forward(teacher, x), np.arange(200) % 4)
    loss = distillation_loss(temperature=2.0, alpha=1.0)
    theta = student.init(np.random.default_rng(0), dtype=np.dtype(dtype))
    trained = fit(
        student,
        theta,
        (x, targets),
        optimizers.Adam(0.02),
        loss=loss,
        epochs=40,
        batch_size=20,
        rng=np.random.default_rng(0),
    ).theta
    assert trained.dtype == dtype
    agree = student.predict(trained, x) == NETWORK.predict(teacher, x)
    assert agree.mean() > 0.9  # before: no more than one of two


def test_float32_logits_have_float32_gradients() -> None:
    z, _, _, targets = logits_and_targets(6)
    loss = distillation_loss(temperature=2.0, alpha=0.5)
    assert loss(z.astype("f4"), targets)[1].dtype == np.float32


# What is refused ----------------------------------------------------------------------------

THETA, X = draw(NETWORK, 0), inputs()
W = np.ones((2, 3))
RNG = np.random.default_rng(0)
LOSS = distillation_loss(temperature=2.0, alpha=0.5)
Z, TARGETS = np.zeros((2, 3)), distillation_targets(np.zeros((2, 3)), [0, 2])
HOLE = np.where(np.arange(THETA.size) == 3, np.nan, THETA)
LATE = np.where(np.arange(4) == 3, 3.0, TARGETS)
FACTORED = FactoredMLP(NETWORK, (1, None, None))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: prune(None, THETA, 0.5), TypeError, "network must be an optlearn MLP, got None"),  # type: ignore[arg-type]
        (
            lambda: prune(NETWORK, THETA[1:], 0.5),
            ValueError,
            r"theta must have shape \(84,\) or \(runs, 84\), got \(83,\)",
        ),
        (lambda: prune(NETWORK, HOLE, 0.5), ValueError, "theta must be finite, got nan"),
        (lambda: prune(NETWORK, THETA.astype(int), 0.5), TypeError, "theta must be floating"),
        (lambda: prune(NETWORK, THETA + 0j, 0.5), TypeError, "theta must be float32 or float64"),
        (lambda: prune(NETWORK, THETA, 50), ValueError, r"fraction must be in \[0, 1\], got 50"),
        (lambda: prune(NETWORK, THETA, -0.1), ValueError, r"fraction must be in .*got -0.1"),
        (lambda: prune(NETWORK, THETA, "0.5"), TypeError, "fraction must be a real number"),  # type: ignore[arg-type]
        (
            lambda: prune(NETWORK, THETA, 0.5, scope="all"),
            ValueError,
            "scope must be one of global, layer, got 'all'",
        ),
        (
            lambda: prune(NETWORK, THETA, 0.5, scores=THETA[1:]),
            ValueError,
            r"scores must have shape \(84,\), got \(83,\)",
        ),
        (lambda: prune(NETWORK, THETA, 0.5, scores=HOLE), ValueError, "scores must be finite"),
        (lambda: prune(NETWORK, THETA, 0.5, scores=1j * THETA), TypeError, "scores must be real"),
        (lambda: pack_sparse(np.ones(2, int)), TypeError, "w must be floating point, got int64"),
        (lambda: pack_sparse(np.ones(2) + 0j), TypeError, "w must hold real numbers, got complex"),
        (lambda: pack_sparse(np.array([])), ValueError, "w must not be empty"),
        (lambda: pack_sparse(np.array([1e300])), ValueError, "w as float32 must be finite"),
        (
            lambda: unit_scores(NETWORK, np.stack([THETA])),
            ValueError,
            r"theta must have shape \(84,\), got \(1, 84\)",
        ),
        (
            lambda: unit_scores(NETWORK, THETA, X[:, 1:]),
            ValueError,
            r"x must have shape \(batch, 3\)",
        ),
        (
            lambda: remove_units(NETWORK, THETA, 3),
            TypeError,
            "keep must be a sequence of sequences, got 3",
        ),
        (
            lambda: remove_units(NETWORK, THETA, [[0]]),
            ValueError,
            "keep must be one for each of 2 hidden layers, got 1",
        ),
        (lambda: remove_units(NETWORK, THETA, [[0], []]), TypeError, "keep must hold integers"),
        (lambda: remove_units(NETWORK, THETA, [[0], [0.0]]), TypeError, "keep must hold integers"),
        (
            lambda: remove_units(NETWORK, THETA, [[0], [True]]),
            TypeError,
            "keep must hold integers",
        ),
        (
            lambda: remove_units(NETWORK, THETA, [[5], [0]]),
            ValueError,
            r"keep must name units from 0 to 4, .*got \[5\]",
        ),
        (
            lambda: remove_units(NETWORK, THETA, [[-1], [0]]),
            ValueError,
            r"keep must name .*got \[-1\]",
        ),
        (
            lambda: remove_units(NETWORK, THETA, [[1, 1], [0]]),
            ValueError,
            r"none twice, got \[1, 1\]",
        ),
        (
            lambda: remove_units(FACTORED, draw(FACTORED, 0), [[0]] * 3),
            TypeError,
            "network must be a plain MLP",
        ),
        (
            lambda: unit_scores(FACTORED, draw(FACTORED, 0)),
            TypeError,
            "network must be a plain MLP",
        ),
        (
            lambda: low_rank(FACTORED, draw(FACTORED, 0), [1] * 4),
            TypeError,
            "network must be a plain MLP",
        ),
        (
            lambda: low_rank(NETWORK, THETA, [1, 1]),
            ValueError,
            "ranks must be one for each of 3 layers, got 2",
        ),
        (
            lambda: low_rank(NETWORK, THETA, 1),
            TypeError,
            "ranks must be a sequence of 3 ranks or None, got 1",
        ),  # type: ignore[arg-type]
        (
            lambda: low_rank(NETWORK, THETA, [4, 1, 1]),
            ValueError,
            r"ranks must be <= 3 for weights \(3, 5\), got 4",
        ),
        (lambda: low_rank(NETWORK, THETA, [0, 1, 1]), ValueError, "ranks must be >= 1, got 0"),
        (lambda: low_rank(NETWORK, THETA, [1.0, 1, 1]), TypeError, "ranks must be an integer"),  # type: ignore[list-item]
        (lambda: FactoredMLP(FACTORED, (1, None, None)), TypeError, "network must be a plain MLP"),
        (lambda: share_weights(W, 0, RNG), ValueError, "k must be >= 1, got 0"),
        (lambda: share_weights(W, 2.0, RNG), TypeError, "k must be an integer"),  # type: ignore[arg-type]
        (lambda: share_weights(W, 2, 0), TypeError, "rng must be a numpy.random.Generator"),  # type: ignore[arg-type]
        (lambda: share_weights(W + 0j, 2, RNG), TypeError, "w must hold real numbers"),
        (lambda: share_weights(1e300 * W, 2, RNG), ValueError, "w as float32 must be finite"),
        (lambda: share_weights(np.nan * W, 2, RNG), ValueError, "w must be finite"),
        (
            lambda: distillation_targets(Z, [0, 3]),
            ValueError,
            "labels must be integers from 0 to 2, got 3",
        ),
        (
            lambda: distillation_targets(Z, [0]),
            ValueError,
            r"labels must have shape \(2,\), got \(1,\)",
        ),
        (
            lambda: distillation_targets(Z[0], [0]),
            ValueError,
            r"teacher_logits must be real, of shape \(N, C\)",
        ),
        (
            lambda: distillation_targets(Z + np.inf, [0, 1]),
            ValueError,
            "teacher_logits must be finite",
        ),
        (
            lambda: distillation_loss(temperature=0, alpha=0.5),
            ValueError,
            "temperature must be > 0, got 0",
        ),
        (
            lambda: distillation_loss(temperature=1, alpha=1.5),
            ValueError,
            r"alpha must be in \[0, 1\], got 1.5",
        ),
        (
            lambda: LOSS(Z[0], TARGETS),
            ValueError,
            r"logits must have shape \(..., batch, C\), got \(3,\)",
        ),
        (
            lambda: LOSS(Z, TARGETS[:1]),
            ValueError,
            r"targets must have shape \(2, 4\) to fit logits, got \(1, 4\)",
        ),
        (lambda: LOSS(Z, [0, 2]), TypeError, "targets must be floating point"),
        (lambda: LOSS(Z, LATE), ValueError, "targets must end with a label from 0 to 2, got 3.0"),
        (lambda: LOSS(Z, TARGETS + 0j), TypeError, "targets must be real numbers"),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
