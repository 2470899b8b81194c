"""The numbers of article 3's failures, against closed forms and the optimizers of the package."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optlearn._misprints_3 import _floor
from optlearn.losses import mean_squared_error
from optlearn.misprints import misprint
from optlearn.networks import MLP
from optlearn.optimizers import Adam, Momentum, RMSProp


def test_slowness_is_the_condition_number() -> None:
    slowness = misprint("E3-01")
    curvatures = np.array([2.0, 1.0, 5.0])
    assert (slowness.printed(curvatures), slowness.corrected(curvatures)) == (3, 5)


def test_a_neuron_is_the_logistic_function_of_a_weighted_sum() -> None:
    neuron = misprint("E3-02")
    assert neuron.corrected((0.5, -1.0), (2.0, 3.0), 2.5) == pytest.approx(
        1 / (1 + math.exp(-0.5))
    )
    assert neuron.printed((0.5, -1.0), (2.0, 3.0), 2.5) == pytest.approx(1 / (1 + math.exp(0.5)))


def test_the_test_loss_on_noise_is_one_and_the_squared_length() -> None:
    loss, theta = misprint("E3-03"), np.array([0.6, -0.8])
    assert loss.printed(0.01, theta) == 0.01
    assert loss.corrected(0.01, theta) == pytest.approx(2)


def test_equal_units_stay_equal() -> None:
    start = misprint("E3-04")
    np.testing.assert_array_equal(start.printed(13), 0.5)
    assert np.ptp(start.printed(13)) == 0 < np.ptp(start.corrected(13))
    network = MLP((2, 3, 1), activation="tanh")
    x, y = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([[1.0], [0.0]])
    grad = network.loss_and_grad(start.printed(13), x, y, loss=mean_squared_error)[1]
    np.testing.assert_allclose(np.ptp(network.unpack(grad)[0][0], axis=1), 0, atol=1e-15)


def run(optimizer: Momentum, steps: int) -> list[float]:
    path = [np.array([2.0])]
    for _ in range(steps):
        path.append(optimizer.step(path[-1], np.sin(path[-1])))
    return [float(x[0]) for x in path]


def test_the_average_is_the_heavy_ball_at_a_tenth_of_the_rate() -> None:
    momentum = misprint("E3-05")
    np.testing.assert_allclose(
        momentum.corrected(math.sin, 2.0, 30), run(Momentum(lr=0.1, beta=0.9), 30), rtol=1e-12
    )
    np.testing.assert_allclose(
        momentum.printed(math.sin, 2.0, 30), run(Momentum(lr=0.01, beta=0.9), 30), rtol=1e-12
    )


def test_the_average_form_settles_about_where_descent_does() -> None:
    # The printed rule is the heavy ball at (1 - beta) times the rate, whose floor is known.
    heavy, beta = 0.1 * (1 - 0.9), 0.9
    known = heavy * (1 + beta) / ((1 - beta) * (2 * (1 + beta) - heavy))
    assert _floor(0.1, 0.9) == pytest.approx(known, rel=1e-9)
    assert _floor(0.1, 0.0) == pytest.approx(0.1 / 1.9, rel=1e-9)
    assert 0.9 < _floor(0.1, 0.9) / _floor(0.1, 0.0) < 1
    claim = misprint("E3-06")
    assert (claim.printed(), claim.corrected()) == (True, False)


def test_accumulated_squares_grow_and_leaky_ones_settle() -> None:
    squares = misprint("E3-07")
    rmsprop, theta = RMSProp(lr=0.1, rho=0.9), np.zeros(1)
    for t in range(1, 50):
        theta = rmsprop.step(theta, np.array([2.0]))
        assert squares.printed(np.full(t, 4.0)) == pytest.approx(4 * t)
        assert squares.corrected(np.full(t, 4.0)) == pytest.approx(float(rmsprop.s[0]))


def test_the_two_deep_networks_differ_in_their_bend_alone() -> None:
    build = misprint("E3-08")
    sizes = (8, 16, 4)
    assert (build.printed(sizes).activation, build.corrected(sizes).activation) == (
        "sigmoid",
        "relu",
    )


@pytest.mark.parametrize(("gradient", "inside"), [(1e-4, 0.5**0.5), (1e-6, 0.01), (1e-8, 1e-4)])
def test_epsilon_inside_the_root_acts_as_its_own_root(gradient: float, inside: float) -> None:
    step = misprint("E3-09")
    assert step.printed(gradient) == pytest.approx(inside, rel=1e-4)
    adam = -Adam(lr=1.0).step(np.zeros(1), np.array([gradient]))[0]
    assert step.corrected(gradient) == pytest.approx(adam, rel=1e-12)


def test_a_counter_at_zero_divides_by_zero() -> None:
    counter = misprint("E3-10")
    assert math.isnan(counter.printed(np.array([0.3])))
    assert counter.corrected(np.array([-0.3])) == pytest.approx(-1)


def test_adam_goes_to_the_worst_end_and_amsgrad_to_the_best() -> None:
    rules = misprint("E3-11")
    ends = []
    for build in (rules.printed, rules.corrected):
        rule, x = build(lambda t: 0.5 * math.sqrt(0.9 / (t + 1))), np.zeros(1)
        for t in range(1500):
            x = np.clip(rule.step(x, np.array([3.0 if t % 3 == 0 else -1.0])), -1, 1)
        ends.append(float(x[0]))
    assert ends[0] == 1
    default, x = Adam(lr=lambda t: 0.5 * math.sqrt(0.9 / (t + 1))), np.zeros(1)
    for t in range(3000):
        x = np.clip(default.step(x, np.array([3.0 if t % 3 == 0 else -1.0])), -1, 1)
    assert x[0] < -0.9  # the defaults are safe on this problem
    assert ends[1] == pytest.approx(-1, abs=0.02)


def test_the_completed_formula_is_the_gradient_of_the_mean_squared_error() -> None:
    rng = np.random.default_rng(0)
    x, y, theta = rng.normal(size=(7, 3)), rng.normal(size=(7, 1)), rng.normal(size=4)
    theta[3] = 0  # no bias
    grad = MLP((3, 1)).loss_and_grad(theta, x, y, loss=mean_squared_error)[1][:3]
    completed = misprint("E3-12").corrected(x, y[:, 0], theta[:3])
    np.testing.assert_allclose(completed, grad, rtol=1e-12)
    with pytest.raises(ValueError, match="breaks off"):
        misprint("E3-12").printed(x, y[:, 0], theta[:3])
