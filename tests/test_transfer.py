"""Transfer against hand arithmetic, brute force over all permutations, and invariances."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from comparisons import distance, load
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import expit, softmax

from optlearn import optimizers
from optlearn.losses import binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.runs import fit_runs
from optlearn.training import accuracy, fit
from optlearn.transfer import (
    align_hidden_units,
    average_weights,
    ensemble,
    freeze,
    greedy_soup,
    interpolate,
    layer_rates,
    permute_hidden_units,
    reuse_body,
)

Array = NDArray[Any]
ORACLE = load("transfer")
# The square layer hides a missing transpose from the shapes.
SIZES = {2: (3, 5, 4), 3: (3, 5, 6, 4), 4: (3, 5, 5, 2, 4)}
every_depth = pytest.mark.parametrize("depth", SIZES)
every_activation = pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
depths = st.sampled_from(list(SIZES))
seeds = st.integers(0, 2**32 - 1)


def draw(network: MLP, seed: int, *front: int) -> Array:
    """Draw parameters of a network; biases are not 0, so that a forgotten one shows."""
    return np.random.default_rng(seed).normal(size=(*front, network.n_parameters))


def inputs(seed: int, batch: int = 7) -> Array:
    """Draw inputs for the networks of `SIZES`."""
    return np.random.default_rng([seed, 1]).normal(size=(batch, 3))


def permutations(network: MLP, seed: int) -> list[Array]:
    """Draw a permutation for each hidden layer."""
    rng = np.random.default_rng([seed, 2])
    return [rng.permutation(size) for size in network.sizes[1:-1]]


def all_renamings(network: MLP, theta: Array) -> list[Array]:
    """Return every twin of a network: every order of the units of every hidden layer."""
    layers = [list(itertools.permutations(range(size))) for size in network.sizes[1:-1]]
    return [permute_hidden_units(network, theta, orders) for orders in itertools.product(*layers)]


# PyTorch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORACLE["runs"])
def test_rates_of_layers_do_what_parameter_groups_do_in_pytorch(name: str) -> None:
    run, network = ORACLE["runs"][name], MLP(ORACLE["sizes"], activation="tanh")
    theta, x, y = (np.array(ORACLE[key]) for key in ("theta", "x", "y"))
    optimizer = getattr(optimizers, run["class"])(
        layer_rates(network, run["rates"]), **run["arguments"]
    )
    tuned = theta[0]
    for _ in range(20):
        tuned = optimizer.step(tuned, network.loss_and_grad(tuned, x, y)[1])
    # Twenty steps, each with some roundings of 1e-16.
    assert distance(tuned, np.array(run["theta"])) < 1e-12
    frozen = freeze(network, [layer for layer, rate in enumerate(run["rates"]) if rate == 0])
    assert_array_equal(np.array(run["theta"])[frozen], theta[0][frozen])
    assert_array_equal(tuned[frozen], theta[0][frozen])


def test_averages_agree_with_pytorch() -> None:
    network = MLP(ORACLE["sizes"], activation="tanh")
    theta, x = np.array(ORACLE["theta"]), np.array(ORACLE["x"])
    # Running averages there, sums here: some roundings.
    assert distance(average_weights(theta), np.array(ORACLE["average"])) < 1e-14
    assert distance(ensemble(network, theta, x), np.array(ORACLE["ensemble"])) < 1e-13


# Frozen layers and rates of their own -----------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "frozen"),
    [
        (0, (1, 0, 0)),
        (1, (0, 1, 0)),
        ([2], (0, 0, 1)),
        (-1, (0, 0, 1)),
        (-3, (1, 0, 0)),
        ([0, -1], (1, 0, 1)),
        ((0, 0, -3), (1, 0, 0)),
        (np.array([0, 1]), (1, 1, 0)),
        (np.int64(1), (0, 1, 0)),
        (range(3), (1, 1, 1)),
        ([], (0, 0, 0)),
    ],
)
def test_a_mask_marks_weights_and_biases_of_the_layers_named(
    layers: Any, frozen: tuple[int, ...]
) -> None:
    network = MLP((2, 3, 2, 1))
    mask = freeze(network, layers)
    assert mask.dtype == bool
    # 2 x 3 weights and 3 biases, then 3 x 2 and 2, then 2 and 1.
    first, second, third = frozen
    assert mask.astype(int).tolist() == [first] * 9 + [second] * 8 + [third] * 3


@pytest.mark.parametrize(
    "make",
    [
        lambda lr: optimizers.GradientDescent(lr),
        lambda lr: optimizers.Momentum(lr),
        lambda lr: optimizers.Momentum(lr, form="nesterov"),
        lambda lr: optimizers.AdaGrad(lr),
        lambda lr: optimizers.RMSProp(lr),
        lambda lr: optimizers.Adam(lr, amsgrad=True),
        lambda lr: optimizers.AdamW(lr, weight_decay=0.5),
    ],
    ids=["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"],
)
@pytest.mark.parametrize("layers", [[0], [0, 1], [-1]])
def test_frozen_parameters_are_the_same_bits_after_training(make: Any, layers: Any) -> None:
    network = MLP(SIZES[3], activation="tanh")
    theta, x, y = draw(network, 0, 2), inputs(0, 30), np.arange(30) % 4
    mask = freeze(network, layers)
    lr = np.where(mask, 0.0, 0.01)
    rng = np.random.default_rng(0)
    one = fit(network, theta[0], (x, y), make(lr), epochs=3, batch_size=10, rng=rng).theta
    many = fit_runs(network, theta, (x, y), make(lr), epochs=3, batch_size=10, rngs=rng).theta
    for start, end in [(theta[0], one), (theta[0], many[0]), (theta[1], many[1])]:
        assert end[mask].tobytes() == start[mask].tobytes()
        assert (end[~mask] != start[~mask]).all()


def test_layers_can_be_thawed_one_after_the_other() -> None:
    network = MLP(SIZES[3], activation="tanh")
    theta, x, y = draw(network, 0), inputs(0, 30), np.arange(30) % 4
    rates = [np.where(freeze(network, range(2 - phase)), 0.0, 0.1) for phase in range(3)]
    optimizer = optimizers.Momentum(lambda taken: rates[taken])
    moved = []
    for _ in range(3):
        new = optimizer.step(theta, network.loss_and_grad(theta, x, y)[1])
        pairs = zip(network.unpack(new), network.unpack(theta), strict=True)
        moved.append([bool((w != w_old).any()) for (w, _), (w_old, _) in pairs])
        theta = new
    assert moved == [[False, False, True], [False, True, True], [True, True, True]]


def test_every_layer_takes_one_step_at_its_own_rate() -> None:
    network = MLP(SIZES[3], activation="tanh")
    theta, x, y = draw(network, 0), inputs(0), np.arange(7) % 4
    rates = [0.0, 0.25, 2.0]  # powers of two: the products are exact
    gradient = network.loss_and_grad(theta, x, y)[1]
    new = optimizers.GradientDescent(layer_rates(network, rates)).step(theta, gradient)
    layers = [network.unpack(vector) for vector in (new, theta, gradient)]
    for rate, (w, b), (w_old, b_old), (w_grad, b_grad) in zip(rates, *layers, strict=True):
        assert_array_equal(w, w_old - rate * w_grad)
        assert_array_equal(b, b_old - rate * b_grad)


def test_rates_of_layers_lie_as_the_parameters_do() -> None:
    rates = layer_rates(MLP((2, 3, 2, 1)), (1, 0, np.float32(0.5)))
    assert rates.dtype == np.float64
    assert rates.tolist() == [1.0] * 9 + [0.0] * 8 + [0.5] * 3
    network = MLP(SIZES[4])
    chosen = [0.0, 1.0, 1.0, 0.0]
    assert_array_equal(layer_rates(network, chosen) == 0, freeze(network, [0, 3]))


# Bodies and heads -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["he", "glorot"])
@pytest.mark.parametrize("outputs", [1, 4, 9])
@every_depth
def test_a_reused_body_has_the_head_that_a_start_from_scratch_has(
    depth: int, outputs: int, scheme: str
) -> None:
    source = MLP(SIZES[depth])
    target = MLP((*SIZES[depth][:-1], outputs))
    theta = draw(source, 0)
    before = theta.copy()
    start = reuse_body(source, theta, target, np.random.default_rng(1), scheme=scheme)
    fresh = target.init(np.random.default_rng(1), scheme=scheme)
    *body, (w, b) = target.unpack(start)
    for (w_new, b_new), (w_old, b_old) in zip(body, source.unpack(theta), strict=False):
        assert_array_equal(w_new, w_old)
        assert_array_equal(b_new, b_old)
    assert_array_equal(w, target.unpack(fresh)[-1][0])
    assert not b.any()
    # What the last hidden layer says is what it said in the network it came from.
    x = inputs(0)
    assert_array_equal(
        target.activations(start, x)[-2], source.activations(theta, x)[-2], strict=True
    )
    start[:] = 0.0
    assert_array_equal(theta, before)


def test_bodies_of_many_runs_get_heads_of_their_own() -> None:
    source, target = MLP(SIZES[3], activation="tanh"), MLP((3, 5, 6, 2), activation="tanh")
    theta = draw(source, 0, 3)
    starts = reuse_body(source, theta, target, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    assert starts.shape == (3, target.n_parameters)
    for start, one in zip(starts, theta, strict=True):
        assert_array_equal(start, reuse_body(source, one, target, rng))
    heads = [target.unpack(start)[-1][0] for start in starts]
    assert (heads[0] != heads[1]).all()
    assert reuse_body(source, theta[:1], target, rng).shape == (1, target.n_parameters)


def test_the_precision_of_the_body_is_that_of_the_start() -> None:
    source = MLP(SIZES[2])
    start = reuse_body(source, draw(source, 0).astype("f4"), source, np.random.default_rng(1))
    assert start.dtype == np.float32
    expected = source.init(np.random.default_rng(1), dtype=np.float32)
    assert_array_equal(start[20:40], expected[20:40])


# Averages of predictions ------------------------------------------------------------------


def test_an_ensemble_averages_probabilities_not_logits() -> None:
    # Logits (0, 0), (0, log 3) and (0, -1000): second class 1/2, 3/4 and 0.
    network = MLP((1, 2))
    thetas = np.array([[0.0, 0.0, 0.0, z] for z in (0.0, math.log(3), -1000.0)])
    probabilities = ensemble(network, thetas, np.array([[5.0], [-5.0]]))
    assert_allclose(probabilities, [[7 / 12, 5 / 12]] * 2, rtol=1e-15)
    # A single output: sigmoids 1/2, 3/4 and 0, above 1/2 or not.
    single = MLP((1, 1))
    probabilities = ensemble(
        single, np.array([[0.0, z] for z in (0.0, math.log(3), -1000.0)]), np.array([[5.0]])
    )
    assert_allclose(probabilities, [[5 / 12]], rtol=1e-15)


@every_depth
@pytest.mark.parametrize("outputs", [1, 4])
def test_an_ensemble_is_the_mean_over_its_members(depth: int, outputs: int) -> None:
    network = MLP((*SIZES[depth][:-1], outputs), activation="tanh")
    thetas, x = draw(network, 0, 5), inputs(0)
    squash = expit if outputs == 1 else lambda z: softmax(z, axis=-1)
    expected = np.mean([squash(network.forward(theta, x)) for theta in thetas], axis=0)
    probabilities = ensemble(network, thetas, x)
    # Matrix products of many runs at once may add in another order.
    assert_allclose(probabilities, expected, rtol=1e-12)
    assert_allclose(probabilities.sum(axis=1) if outputs > 1 else 1.0, 1.0, rtol=1e-14)
    assert_allclose(ensemble(network, thetas[::-1], x), probabilities, rtol=1e-13)
    assert_allclose(ensemble(network, thetas[:1], x), squash(network.forward(thetas[0], x)))
    # float32: seven digits.
    halved = ensemble(network, thetas.astype(np.float32), x)
    assert halved.dtype == np.float32
    assert_allclose(halved, expected, rtol=1e-4)


@given(seed=seeds)
def test_the_log_loss_of_an_ensemble_is_at_most_the_mean_log_loss_of_its_members(
    seed: int,
) -> None:
    # -log is convex (Jensen), so this holds for any networks, data and labels.
    network = MLP(SIZES[2])
    thetas, x, y = draw(network, seed, 4), inputs(seed), np.arange(7) % 4
    probabilities = ensemble(network, thetas, x)
    loss = -np.log(probabilities[np.arange(7), y]).mean()
    assert loss <= softmax_cross_entropy(network.forward(thetas, x), y)[0].mean() + 1e-12
    single = MLP((3, 5, 1))
    thetas, y = draw(single, seed, 4), np.arange(7)[:, None] % 2
    probabilities = ensemble(single, thetas, x)
    loss = -np.log(np.where(y == 1, probabilities, 1 - probabilities)).mean()
    assert loss <= binary_cross_entropy(single.forward(thetas, x), y)[0].mean() + 1e-9


# Averages of parameters -------------------------------------------------------------------


@given(
    rows=st.lists(
        st.lists(st.integers(-1000, 1000), min_size=3, max_size=3), min_size=1, max_size=6
    ),
    seed=seeds,
)
def test_an_average_is_that_of_exact_fractions(rows: list[list[int]], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 9, size=len(rows)).tolist()
    weights[0] += 1
    for given_weights, used in [(None, [1] * len(rows)), (weights, weights)]:
        average = average_weights(np.array(rows, dtype=float), given_weights)
        for column, ours in enumerate(average.tolist()):
            total = sum(Fraction(w * row[column]) for w, row in zip(used, rows, strict=True))
            # At most six terms up to 1000, each rounded to 1e-16 of itself.
            assert abs(ours - float(total / sum(used))) < 1e-11


def test_weights_count_up_to_a_common_factor() -> None:
    thetas = np.array([[1.0, 2.0], [5.0, -2.0], [0.0, 9.0]])
    expected = [(1.0 * 1 + 5.0 * 3) / 4, (2.0 * 1 - 2.0 * 3) / 4]
    for factor in (1, 0.001, 1e300, 5e307, 1e-300):
        ours = average_weights(thetas, [1.0 * factor, 3.0 * factor, 0.0])
        assert_allclose(ours, expected, rtol=1e-15)
    assert average_weights(thetas, [0, 7, 0]).tolist() == [5.0, -2.0]
    assert average_weights(thetas[1:2]).tolist() == [5.0, -2.0]


def test_an_average_of_many_runs_is_that_of_each_run() -> None:
    thetas = np.random.default_rng(0).normal(size=(4, 3, 7))
    for weights in (None, [1.0, 0.0, 2.0, 5.0]):
        average = average_weights(thetas, weights)
        assert average.shape == (3, 7)
        for run in range(3):
            expected = np.average(thetas[:, run], axis=0, weights=weights)
            assert_allclose(average[run], expected, rtol=1e-13, atol=1e-15)
            assert_allclose(average_weights(thetas[:, run], weights), expected, atol=1e-15)


def test_an_average_keeps_the_precision_of_the_parameters() -> None:
    thetas = np.ones((3, 2), dtype=np.float32)
    assert average_weights(thetas).dtype == np.float32
    assert average_weights(thetas, [0.2, 0.3, 0.5]).dtype == np.float32


def test_for_one_layer_averaging_weights_is_averaging_logits() -> None:
    # Logits are linear in the parameters there, and nowhere else.
    for sizes, linear in [((3, 4), True), (SIZES[2], False)]:
        network = MLP(sizes)
        thetas, x = draw(network, 0, 6), inputs(0)
        merged = network.forward(average_weights(thetas), x)
        mean = network.forward(thetas, x).mean(axis=0)
        assert bool(np.abs(merged - mean).max() < 1e-13) is linear


# Hidden units by other names --------------------------------------------------------------


def test_renaming_by_hand() -> None:
    # W1 = [[1, 2, 3]], b1 = (4, 5, 6), W2 = [[7, 8], [9, 10], [11, 12]], b2 = (13, 14),
    # W3 = [[15], [16]], b3 = 17. New unit 0 of the first hidden layer is old unit 2.
    network = MLP((1, 3, 2, 1))
    theta = np.arange(1.0, 18.0)
    before = theta.copy()
    renamed = permute_hidden_units(network, theta, [[2, 0, 1], (1, 0)])
    assert renamed.tolist() == [3, 1, 2, 6, 4, 5, 12, 11, 8, 7, 10, 9, 14, 13, 16, 15, 17]
    assert_array_equal(theta, before)
    assert not np.may_share_memory(renamed, theta)


@every_activation
@given(depth=depths, seed=seeds)
def test_other_names_leave_the_function(depth: int, activation: str, seed: int) -> None:
    network = MLP(SIZES[depth], activation=activation)
    theta, x, orders = draw(network, seed), inputs(seed), permutations(network, seed)
    renamed = permute_hidden_units(network, theta, orders)
    before, after = network.activations(theta, x), network.activations(renamed, x)
    # Sums over hidden units run in another order.
    assert_allclose(after[-1], before[-1], rtol=1e-11, atol=1e-12)
    for layer, order in enumerate(orders, start=1):
        assert_allclose(after[layer], before[layer][:, order], rtol=1e-11, atol=1e-12)


@given(depth=depths, seed=seeds)
def test_names_can_be_changed_twice_and_back(depth: int, seed: int) -> None:
    network = MLP(SIZES[depth])
    theta = draw(network, seed, 3)
    first, second = permutations(network, seed), permutations(network, seed + 1)
    renamed = permute_hidden_units(network, theta, first)
    assert_array_equal(
        permute_hidden_units(network, renamed, second),
        permute_hidden_units(network, theta, [p[q] for p, q in zip(first, second, strict=True)]),
    )
    back = [np.argsort(order) for order in first]
    assert_array_equal(permute_hidden_units(network, renamed, back), theta)
    assert_array_equal(renamed[1], permute_hidden_units(network, theta[1], first))


def test_a_network_has_a_twin_for_every_order_of_its_hidden_units() -> None:
    network = MLP((2, 3, 4, 1))
    twins = all_renamings(network, draw(network, 0))
    assert len({twin.tobytes() for twin in twins}) == math.factorial(3) * math.factorial(4)
    lengths = [float(np.sort(np.abs(twin)) @ np.sort(np.abs(twin))) for twin in twins]
    assert len(set(lengths)) == 1  # the same numbers in other places


def test_without_hidden_layers_there_is_nothing_to_rename() -> None:
    network = MLP((3, 4))
    theta, reference = draw(network, 0), draw(network, 1)
    assert_array_equal(permute_hidden_units(network, theta, []), theta)
    assert_array_equal(align_hidden_units(network, theta, reference), theta)
    assert_array_equal(align_hidden_units(network, theta, reference, inputs(0)), theta)


# Alignment --------------------------------------------------------------------------------


def squared(a: Array, b: Array) -> float:
    """Return the squared distance of two vectors."""
    return float(((a - b) ** 2).sum())


@every_activation
@given(seed=seeds)
def test_with_one_hidden_layer_alignment_finds_the_nearest_of_all_renamings(
    activation: str, seed: int
) -> None:
    network = MLP((3, 4, 2), activation=activation)
    theta, reference = draw(network, seed), draw(network, seed + 1)
    ours = align_hidden_units(network, theta, reference)
    twins = all_renamings(network, theta)
    assert any((ours == twin).all() for twin in twins)
    nearest = min(squared(twin, reference) for twin in twins)
    assert_allclose(squared(ours, reference), nearest, rtol=1e-12)


@given(seed=seeds)
def test_each_term_of_the_distance_counts(seed: int) -> None:
    # Networks that differ only in incoming weights, only in biases or only in outgoing ones.
    network = MLP((3, 4, 2))
    theta, reference = draw(network, seed), draw(network, seed + 1)
    for kept in range(3):
        ours, target = np.zeros_like(theta), np.zeros_like(theta)
        for vector, full in ((ours, theta), (target, reference)):
            (w, b), (w_next, _) = network.unpack(vector)
            (w_full, b_full), (w_next_full, _) = network.unpack(full)
            part, part_full = [(w, w_full), (b, b_full), (w_next, w_next_full)][kept]
            part[...] = part_full
        nearest = min(squared(twin, target) for twin in all_renamings(network, ours))
        aligned = align_hidden_units(network, ours, target)
        assert_allclose(squared(aligned, target), nearest, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(3, 4, 3, 2), (2, 4, 4, 4, 2)])
@given(seed=seeds)
def test_with_more_hidden_layers_no_single_one_can_come_nearer(
    sizes: tuple[int, ...], seed: int
) -> None:
    network = MLP(sizes)
    theta, reference = draw(network, seed), draw(network, seed + 1)
    ours = align_hidden_units(network, theta, reference)
    reached = squared(ours, reference)
    assert reached <= squared(theta, reference) + 1e-10
    for layer, size in enumerate(sizes[1:-1]):
        for order in itertools.permutations(range(size)):
            orders: list[Any] = [range(d) for d in sizes[1:-1]]
            orders[layer] = order
            moved = permute_hidden_units(network, ours, orders)
            assert squared(moved, reference) > reached - 1e-10


@pytest.mark.parametrize("seed", range(40))
def test_a_network_never_moves_away_from_one_that_it_lies_near(seed: int) -> None:
    # One input and one layer upon another: incoming weights alone would mislead here.
    network = MLP((1, 5, 5, 3))
    theta = draw(network, seed)
    reference = theta + draw(network, seed + 100)
    ours = align_hidden_units(network, theta, reference)
    assert squared(ours, reference) <= squared(theta, reference) + 1e-10


def test_among_all_renamings_alignment_often_finds_the_nearest() -> None:
    network = MLP((3, 4, 3, 2))
    found = 0
    for seed in range(20):
        theta, reference = draw(network, seed), draw(network, seed + 100)
        ours = align_hidden_units(network, theta, reference)
        nearest = min(squared(twin, reference) for twin in all_renamings(network, theta))
        found += squared(ours, reference) < nearest + 1e-10
    assert found >= 10  # a search that stops at local optima; one twin in 144 by chance


@every_activation
@given(depth=depths, seed=seeds)
def test_alignment_leaves_the_function_and_what_it_was_given(
    depth: int, activation: str, seed: int
) -> None:
    network = MLP(SIZES[depth], activation=activation)
    theta, reference, x = draw(network, seed), draw(network, seed + 1), inputs(seed)
    before = (theta.copy(), reference.copy(), x.copy())
    for data in (None, x):
        ours = align_hidden_units(network, theta, reference, data)
        # Sums over hidden units run in another order.
        assert_allclose(
            network.forward(ours, x), network.forward(theta, x), rtol=1e-11, atol=1e-12
        )
        assert_array_equal(np.sort(ours), np.sort(theta))
        assert_array_equal(align_hidden_units(network, ours, reference, data), ours)
        assert not np.may_share_memory(ours, theta)
    for array, copy in zip((theta, reference, x), before, strict=True):
        assert_array_equal(array, copy)


@pytest.mark.parametrize("data", [None, inputs(3, 50)], ids=["weights", "activations"])
@given(depth=depths, seed=seeds)
def test_a_renamed_copy_finds_its_old_names_even_through_noise(
    depth: int, data: Array | None, seed: int
) -> None:
    network = MLP((3, *[12] * (depth - 1), 4), activation="tanh")
    reference = draw(network, seed)
    orders = permutations(network, seed)
    ours = permute_hidden_units(network, reference, orders)
    assert_array_equal(align_hidden_units(network, ours, reference, data), reference)
    noise = 1e-3 * draw(network, seed + 1)
    noisy = permute_hidden_units(network, reference + noise, orders)
    assert_array_equal(align_hidden_units(network, noisy, reference, data), reference + noise)


def test_what_all_units_share_does_not_hide_what_tells_them_apart() -> None:
    network = MLP((2, 4, 2))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference = network.init(rng)
        network.unpack(reference)[0][0][...] += 1e6
        theta = permute_hidden_units(network, reference, [rng.permutation(4)])
        np.testing.assert_array_equal(align_hidden_units(network, theta, reference), reference)


@every_activation
@given(seed=seeds)
def test_activations_are_matched_layer_by_layer_as_near_as_any_order(
    activation: str, seed: int
) -> None:
    network = MLP((3, 4, 5, 2), activation=activation)
    theta, reference, x = draw(network, seed), draw(network, seed + 1), inputs(seed)
    ours = network.activations(align_hidden_units(network, theta, reference, x), x)
    old, fixed = network.activations(theta, x), network.activations(reference, x)
    for layer, size in ((1, 4), (2, 5)):
        nearest = min(
            squared(old[layer][:, list(order)], fixed[layer])
            for order in itertools.permutations(range(size))
        )
        assert_allclose(squared(ours[layer], fixed[layer]), nearest, rtol=1e-11)


def test_runs_are_aligned_one_by_one() -> None:
    network = MLP(SIZES[3])
    theta, reference, x = draw(network, 0, 3), draw(network, 1, 3), inputs(0)
    for data in (None, x):
        own = align_hidden_units(network, theta, reference, data)
        shared = align_hidden_units(network, theta, reference[0], data)
        assert own.shape == shared.shape == theta.shape
        for run in range(3):
            assert_array_equal(
                own[run], align_hidden_units(network, theta[run], reference[run], data)
            )
            assert_array_equal(
                shared[run], align_hidden_units(network, theta[run], reference[0], data)
            )


@pytest.mark.parametrize("data", [None, inputs(0)], ids=["weights", "activations"])
def test_an_order_as_good_as_any_stays(data: Array | None) -> None:
    network = MLP(SIZES[3])
    theta = draw(network, 0)
    zero = np.zeros_like(theta)
    assert_array_equal(align_hidden_units(network, theta, zero, data), theta)
    assert_array_equal(align_hidden_units(network, zero, theta, data), zero)
    assert_array_equal(align_hidden_units(network, theta, theta, data), theta)
    # The second unit is a copy of the first, up to rounding and outgoing weights of 0.
    (w, b), (w_next, _), _ = network.unpack(theta)
    w[:, 1], b[1], w_next[:2] = w[:, 0] * (1 + 1e-15), b[0], 0.0
    assert_array_equal(align_hidden_units(network, theta, theta, data), theta)


@pytest.mark.parametrize("scale", [1e-310, 1e-160, 1.0, 1e160, 1e300])
def test_alignment_asks_for_shape_and_not_for_size(scale: float) -> None:
    network = MLP(SIZES[3])
    theta, reference = draw(network, 0), draw(network, 1)
    expected = align_hidden_units(network, theta, reference)
    order = np.argsort(theta)[np.argsort(np.argsort(expected))]  # where each number went
    assert_array_equal(theta[order], expected)
    assert_array_equal(align_hidden_units(network, scale * theta, reference), scale * expected)
    assert_array_equal(align_hidden_units(network, theta, scale * reference), expected)
    both = align_hidden_units(network, scale * theta, scale * reference)
    assert_array_equal(both, scale * expected)
    # The same for activations, through a first layer that only hands large inputs on.
    network = MLP((5, 5, 2), activation="identity")
    theta, reference = np.zeros((2, network.n_parameters))
    network.unpack(theta)[0][0][...] = np.eye(5)
    network.unpack(reference)[0][0][...] = np.eye(5)[[3, 1, 4, 0, 2]]
    x = np.random.default_rng(0).normal(size=(20, 5))
    assert_array_equal(align_hidden_units(network, theta, reference, scale * x), reference)


def test_float32_networks_are_aligned_as_their_float64_copies_are() -> None:
    network = MLP((3, 12, 12, 4))
    theta, reference = (draw(network, seed).astype(np.float32) for seed in (0, 1))
    for data in (None, inputs(0, 50)):
        ours = align_hidden_units(network, theta, reference, data)
        assert ours.dtype == np.float32
        double = align_hidden_units(network, theta.astype(float), reference.astype(float), data)
        assert_array_equal(ours, double)


# The line between two networks ------------------------------------------------------------


@given(seed=seeds)
def test_a_line_is_what_its_formula_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, 6))
    alphas = np.concatenate([[0.0, 1.0], rng.uniform(-1, 2, size=3)])
    for first, second in ((a, b), (a[0], b[0])):
        line = interpolate(first, second, alphas)
        assert line.shape == (5, *first.shape)
        assert_array_equal(line[0], first)
        assert_array_equal(line[1], second)
        for alpha, point in zip(alphas, line, strict=True):
            assert_allclose(point, first + alpha * (second - first), rtol=0, atol=1e-13)


def test_the_middle_of_a_line_is_the_average_and_beyond_lies_a_mirror_image() -> None:
    a, b = np.array([1.0, 4.0]), np.array([3.0, 0.0])
    line = interpolate(a, b, [0.5, 2, -1])
    assert line.tolist() == [[2.0, 2.0], [5.0, -4.0], [-1.0, 8.0]]
    assert_array_equal(line[0], average_weights(np.stack([a, b])))


def test_a_line_keeps_the_precision_of_its_ends() -> None:
    single, double = np.ones(2, dtype=np.float32), np.ones(2)
    assert interpolate(single, single, [0.5]).dtype == np.float32
    assert interpolate(single, double, [0.5]).dtype == np.float64


def test_a_network_takes_a_whole_line_at_once() -> None:
    network = MLP(SIZES[2])
    a, b, x = draw(network, 0), draw(network, 1), inputs(0)
    alphas = np.linspace(0, 1, 5)
    logits = network.forward(interpolate(a, b, alphas), x)
    for alpha, z in zip(alphas, logits, strict=True):
        assert_allclose(network.forward((1 - alpha) * a + alpha * b, x), z, atol=1e-13)


@given(seed=seeds)
def test_without_hidden_layers_there_is_no_barrier(seed: int) -> None:
    # The losses are convex in the logits and the logits linear in theta: nowhere on the line
    # is the loss above the straight line between the losses of the ends.
    network = MLP((3, 4))
    a, b, x = draw(network, seed), draw(network, seed + 1), inputs(seed)
    alphas = np.linspace(0, 1, 11)
    logits = network.forward(interpolate(a, b, alphas), x)
    y = np.random.default_rng(seed).normal(size=(7, 4))
    for loss, target in ((softmax_cross_entropy, np.arange(7) % 4), (mean_squared_error, y)):
        values = loss(logits, target)[0]
        assert (values <= (1 - alphas) * values[0] + alphas * values[-1] + 1e-12).all()


# Soups ------------------------------------------------------------------------------------


def soup_of_the_paper(network: MLP, thetas: Array, x: Array, y: Array) -> list[int]:
    """Write the recipe GreedySoup of Wortsman et al. (2022) out with lists and sums."""

    def held_out(ingredients: list[int]) -> float:
        if not ingredients:
            return -1.0
        theta = sum(thetas[k] for k in ingredients) / len(ingredients)
        return sum(network.predict(theta, x) == y) / len(y)

    scores = {k: held_out([k]) for k in range(len(thetas))}
    ingredients: list[int] = []
    for k in sorted(scores, key=lambda k: (-scores[k], k)):
        if held_out([*ingredients, k]) >= held_out(ingredients):
            ingredients.append(k)
    return ingredients


@given(seed=seeds, spread=st.sampled_from([0.1, 0.5, 2.0]))
def test_a_soup_is_the_one_of_the_paper(seed: int, spread: float) -> None:
    network = MLP(SIZES[2])
    center, x = draw(network, seed), inputs(seed, 40)
    y = network.predict(center, x)
    thetas = center + spread * draw(network, seed + 1, 6)
    theta, members = greedy_soup(network, thetas, x, y)
    assert members == soup_of_the_paper(network, thetas, x, y)
    assert all(type(member) is int for member in members)
    assert_allclose(theta, thetas[members].mean(axis=0), rtol=1e-14)
    best = max(accuracy(network, one, x, y) for one in thetas)
    assert accuracy(network, theta, x, y) >= best
    assert accuracy(network, thetas[members[0]], x, y) == best


# Networks with one number that matters, so that a soup can be cooked by hand.
LINE = MLP((1, 2))


def step_at(*corners: float) -> Array:
    """Return networks with the logits x and corner: class 0 where x is above the corner."""
    return np.array([[1.0, 0.0, 0.0, corner] for corner in corners])


X_LINE = np.array([[0.5], [1.5], [2.5], [3.5], [4.5]])
Y_LINE = np.array([1, 1, 1, 0, 0])  # the right corner lies between 2.5 and 3.5


def test_a_soup_by_hand_takes_what_helps_and_leaves_what_hurts() -> None:
    # Accuracies 3/5, 4/5, 4/5, 3/5. Corner 2 comes first; with 4 the mean is 3: all right.
    # With 1 the mean is 7/3, with 6 it is 4, both only 4/5: left out.
    thetas = step_at(1.0, 2.0, 4.0, 6.0)
    theta, members = greedy_soup(LINE, thetas, X_LINE, Y_LINE)
    assert members == [1, 2]
    assert theta.tolist() == [1.0, 0.0, 0.0, 3.0]


def test_a_network_may_join_after_another_was_left_out() -> None:
    # Accuracies 4/5, 3/5, 3/5. With 1 the mean is 1.5: 3/5, left out. With 4.9 it is 3.45: 5/5.
    theta, members = greedy_soup(LINE, step_at(2.0, 1.0, 4.9), X_LINE, Y_LINE)
    assert members == [0, 2]
    assert theta[3] == (2.0 + 4.9) / 2


def test_equals_join_in_the_order_given() -> None:
    theta, members = greedy_soup(LINE, step_at(3.0, 3.0, 2.75), X_LINE, Y_LINE)
    assert members == [0, 1, 2]
    assert_allclose(theta[3], 8.75 / 3, rtol=1e-15)
    _, members = greedy_soup(LINE, step_at(9.0, 3.0, 3.25), X_LINE, Y_LINE)
    assert members == [1, 2]


def test_a_soup_of_one_is_that_one() -> None:
    theta, members = greedy_soup(LINE, step_at(9.0), X_LINE, Y_LINE)
    assert members == [0]
    assert theta.tolist() == [1.0, 0.0, 0.0, 9.0]


def test_a_soup_of_networks_with_one_output_is_cooked_alike() -> None:
    network = MLP((1, 1))
    thetas = np.array([[-1.0, 2.0], [-1.0, 4.0], [-1.0, 9.0]])  # class 1 where x < 2, 4, 9
    theta, members = greedy_soup(network, thetas, X_LINE, Y_LINE)
    assert members == [0, 1]
    assert theta.tolist() == [-1.0, 3.0]
