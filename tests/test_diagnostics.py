"""Signal scales, dead units and update ratios, against hand arithmetic and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optlearn.diagnostics import dead_units, signal_scales, update_ratios
from optlearn.gradients import finite_difference
from optlearn.losses import binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from optlearn.networks import MLP

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(7, 4)), RNG.integers(3, size=7)


def deltas_by_differences(network: MLP, theta: Any, x: Any, y: Any) -> list[float]:
    """A shift of one sample's z is what a shift of the biases does to that sample alone."""
    sizes = []
    for layer in range(len(network.sizes) - 1):
        found = []
        for i in range(len(x)):

            def loss_of(shift: Any, i: int = i, layer: int = layer) -> Any:
                moved = theta.copy()
                network.unpack(moved)[layer][1][:] += shift
                return network.loss_and_grad(moved, x[i : i + 1], y[i : i + 1])[0]

            found.append(finite_difference(loss_of, np.zeros(network.sizes[layer + 1])))
        sizes.append(float(np.sqrt(np.mean(np.square(found)))))
    return sizes


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
def test_deltas_are_the_slopes_of_the_loss_along_the_pre_activations(activation: str) -> None:
    network = MLP((4, 5, 6, 3), activation)
    theta = network.init(np.random.default_rng(1)) + 0.1
    found = signal_scales(network, theta, X, Y).deltas
    np.testing.assert_allclose(found, deltas_by_differences(network, theta, X, Y), rtol=1e-6)


def test_activations_and_gradients_are_those_of_the_network() -> None:
    network = MLP((4, 5, 6, 3), "tanh")
    theta = network.init(np.random.default_rng(2)) + 0.1
    scales = signal_scales(network, theta, X, Y)
    for size, layer in zip(scales.activations, network.activations(theta, X), strict=True):
        assert size == pytest.approx(np.linalg.norm(layer) / np.sqrt(layer.size))
    grad = finite_difference(lambda t: network.loss_and_grad(t, X, Y)[0], theta)
    for size, (slot, _) in zip(scales.gradients, network.unpack(grad), strict=True):
        assert size == pytest.approx(np.linalg.norm(slot) / np.sqrt(slot.size), rel=1e-6)


def test_deltas_do_not_depend_on_how_often_a_batch_is_repeated() -> None:
    network = MLP((4, 5, 3))
    theta = network.init(np.random.default_rng(3))
    once, thrice = (
        signal_scales(network, theta, np.tile(X, (k, 1)), np.tile(Y, k)) for k in (1, 3)
    )
    for a, b in zip(once, thrice, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("own", [False, True])
def test_runs_are_measured_side_by_side(own: bool) -> None:
    network = MLP((4, 5, 6, 3))
    thetas = np.stack([network.init(np.random.default_rng(s)) for s in range(3)])
    x, y = (np.stack([X, 2 * X, X[::-1]]), np.stack([Y, Y, Y[::-1]])) if own else (X, Y)
    together = signal_scales(network, thetas, x, y)
    dead = dead_units(network, thetas, x)
    assert [part.shape for part in dead] == [(3, 5), (3, 6)]
    assert [part.shape for part in together] == [(3, 4), (3, 3), (3, 3)]
    for k, theta in enumerate(thetas):
        inputs, labels = (x[k], y[k]) if own else (x, y)
        alone = signal_scales(network, theta, inputs, labels)
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-12)
        for a, b in zip(dead, dead_units(network, theta, inputs), strict=True):
            np.testing.assert_array_equal(a[k], b)


def test_another_loss_is_used() -> None:
    network = MLP((4, 1))
    theta = np.zeros(5)
    labels = np.array([[1], [1], [0], [0], [0], [1], [0]])
    scales = signal_scales(network, theta, X, labels, binary_cross_entropy)
    assert scales.deltas == pytest.approx([0.5])


def linear(logits: Any, _: Any) -> Any:
    return np.zeros(logits.shape[:-2]), np.ones_like(logits)


def test_sizes_whose_squares_overflow_or_vanish_are_measured() -> None:
    network = MLP((1, 1, 1), "identity")
    for size in (1e200, 1e-200):
        theta = np.array([size, 0.0, 1.0, 0.0])
        found = signal_scales(network, theta, [[3.0]], [[1.0]], linear)
        np.testing.assert_allclose(found.activations, [3, 3 * size, 3 * size])
        np.testing.assert_allclose(update_ratios(network, theta, 3 * theta), [2, 2])


def test_a_run_with_huge_sizes_does_not_hide_those_of_another() -> None:
    network = MLP((1, 1, 1), "identity")
    thetas = np.array([[1e200, 0.0, 1.0, 0.0], [1e-200, 0.0, 1.0, 0.0]])
    found = signal_scales(network, thetas, [[3.0]], [[1.0]], linear)
    np.testing.assert_allclose(found.activations[:, 1], [3e200, 3e-200])
    np.testing.assert_allclose(update_ratios(network, thetas, 3 * thetas), [[2, 2], [2, 2]])


def test_a_step_between_the_ends_of_the_range_has_a_ratio() -> None:
    ratios = update_ratios(MLP((1, 1)), np.array([-1e308, 0.0]), np.array([1.5e308, 0.0]))
    np.testing.assert_allclose(ratios, [2.5])


def test_a_unit_is_dead_only_if_all_samples_leave_it_off() -> None:
    network = MLP((1, 3, 1))
    theta = np.zeros(10)
    (weights, biases), _ = network.unpack(theta)
    weights[:], biases[:] = [[1.0, -1.0, 0.0]], [-1.0, -1.0, 0.0]
    assert dead_units(network, theta, np.array([[0.0], [0.5]]))[0].tolist() == [True, True, True]
    assert dead_units(network, theta, np.array([[0.0], [2.0]]))[0].tolist() == [False, True, True]
    assert dead_units(network, theta, np.array([[-2.0], [2.0]]))[0].tolist() == [
        False,
        False,
        True,
    ]


def test_a_dead_unit_gets_no_gradient_and_another_does() -> None:
    network = MLP((4, 6, 3))
    theta = network.init(np.random.default_rng(4))
    network.unpack(theta)[0][1][:3] = -99
    dead = dead_units(network, theta, X)[0]
    slots = network.unpack(network.loss_and_grad(theta, X, Y)[1])
    np.testing.assert_array_equal(dead, np.all(slots[0][0] == 0, axis=0))
    assert dead[:3].all()
    assert not dead.all()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_unit_that_rounding_saturates_is_dead(activation: str) -> None:
    network = MLP((1, 2, 1), activation)
    theta = np.array([1.0, 1.0, 99.0, 0.0, 1.0, 1.0, 0.0])
    assert dead_units(network, theta, np.array([[1.0]]))[0].tolist() == [True, False]


def test_a_sigmoid_close_to_zero_still_learns_and_a_tanh_at_minus_one_does_not() -> None:
    theta = np.array([1.0, -99.0, 1.0, 0.0])
    for activation, dead in (("sigmoid", False), ("tanh", True)):
        assert dead_units(MLP((1, 1, 1), activation), theta, [[0.0]])[0].tolist() == [dead]


def test_the_ratio_is_of_weights_not_of_biases() -> None:
    network = MLP((2, 2, 1))
    before = np.array([3.0, 0, 0, 4, 1, 1, 6, 8, 1])
    after = np.array([3.0, 0, 3, 4, 7, 7, 6, 3, 7])
    np.testing.assert_allclose(update_ratios(network, before, after), [0.6, 0.5])
    both = update_ratios(network, np.stack([before, after]), np.stack([after, before]))
    np.testing.assert_allclose(both[0], [0.6, 0.5])
    np.testing.assert_allclose(both[1], [3 / np.sqrt(34), 5 / np.sqrt(45)])


def test_weights_of_zero_have_an_infinite_ratio_or_none() -> None:
    ratios = update_ratios(MLP((1, 1, 1)), np.zeros(4), np.array([1.0, 0, 0, 0]))
    assert np.isinf(ratios[0])
    assert np.isnan(ratios[1])


NETWORK, THETA, NAN = MLP((4, 3)), np.zeros(15), np.full(15, np.nan)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: signal_scales(NETWORK, np.zeros(14), X, Y), ValueError, r"theta must .*\(14,\)"),
        (lambda: signal_scales(NETWORK, THETA, X[:, :3], Y), ValueError, r"x must .*\(7, 3\)"),
        (lambda: signal_scales(NETWORK, THETA, X, Y[:6]), ValueError, r"labels.*\(6,\)"),
        (lambda: signal_scales(NETWORK, THETA, X, Y, "mse"), TypeError, "loss must be a callable"),
        (lambda: dead_units(NETWORK, np.zeros(14), X), ValueError, r"theta must .*\(14,\)"),
        (lambda: dead_units(NETWORK, THETA, X * np.nan), ValueError, "x must be finite"),
        (lambda: update_ratios(NETWORK, THETA[:14], THETA[:14]), ValueError, r"\(14,\)"),
        (lambda: update_ratios(NETWORK, THETA, THETA[:14]), ValueError, "after has shape"),
        (
            lambda: update_ratios(NETWORK, THETA, THETA * np.nan),
            ValueError,
            "after must be finite",
        ),
        (lambda: update_ratios(NETWORK, [1] * 15, THETA), TypeError, "before must be floating"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_mean_squared_error_of_one_output_is_the_hand_example() -> None:
    found = signal_scales(MLP((1, 1)), np.array([2.0, 1.0]), [[3.0]], [[5.0]], mean_squared_error)
    assert found.activations.tolist() == [3.0, 7.0]
    assert found.deltas.tolist() == [4.0]
    assert found.gradients.tolist() == [12.0]


def test_at_the_start_the_logits_delta_is_that_of_equal_probabilities() -> None:
    found = signal_scales(NETWORK, THETA, X, Y, softmax_cross_entropy)
    assert found.deltas == pytest.approx([np.sqrt((4 / 9 + 2 / 9) / 3)])
