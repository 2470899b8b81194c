"""Training loops against closed forms, loops written out, and known accuracies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from comparisons import distance
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn.functions import Function, Quadratic, double_well, rosenbrock, saddle
from optlearn.losses import binary_cross_entropy, mean_squared_error
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent, Momentum, Optimizer
from optlearn.runs import fit_runs
from optlearn.schedules import inverse_time
from optlearn.training import (
    History,
    Path,
    accuracy,
    clip_by_norm,
    fit,
    minibatches,
    minimize,
)

Array = NDArray[Any]
seeds = st.integers(0, 2**32 - 1)


def clusters(n: int, seed: int, spread: float = 0.5) -> tuple[Array, Array]:
    """Draw points around three centres on a circle of radius 3, and their labels."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    angle = 2 * np.pi * y / 3
    centres = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return centres + spread * rng.normal(size=(n, 2)), y


def setting(activation: str = "tanh") -> tuple[MLP, Array, tuple[Array, Array]]:
    """Make a small network, its start and 50 points to train on."""
    network = MLP((2, 8, 3), activation=activation)
    return network, network.init(np.random.default_rng(1), scheme="glorot"), clusters(50, seed=2)


def train(optimizer: Optimizer | None = None, **options: Any) -> History:
    """Fit the small network for a few epochs of ragged batches."""
    network, theta, data = setting()
    arguments: dict[str, Any] = {"epochs": 4, "batch_size": 8, "rng": np.random.default_rng(3)}
    return fit(network, theta, data, optimizer or Adam(0.01), **arguments | options)


# Mini-batches -----------------------------------------------------------------------


@given(n=st.integers(1, 60), size=st.integers(1, 60), seed=seeds)
def test_an_epoch_visits_every_sample_once(n: int, size: int, seed: int) -> None:
    size = min(size, n)
    batches = list(minibatches(n, size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert len(batches[-1]) == n - size * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size


def test_each_epoch_is_shuffled_anew_and_the_generator_decides() -> None:
    def epochs(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [np.concatenate(list(minibatches(50, 8, rng))).tolist() for _ in range(3)]

    first, second, third = epochs(0)
    assert epochs(0) == [first, second, third]
    assert len({tuple(order) for order in [first, second, third, epochs(1)[0]]}) == 4


def test_every_sample_is_equally_likely_to_come_first() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount(
        [int(next(iter(minibatches(5, 2, rng)))[0]) for _ in range(2000)], minlength=5
    )
    # Binomial with mean 400 and standard deviation 18: four of them.
    assert np.abs(counts - 400).max() < 72


# Minimise ---------------------------------------------------------------------------


@given(seed=seeds, lr=st.floats(0.01, 0.19))
def test_minimize_walks_the_closed_form_on_a_quadratic(seed: int, lr: float) -> None:
    bowl = Quadratic(np.array([1.0, 10.0]), np.array([2.0, -1.0]))
    theta0 = np.random.default_rng(seed).normal(size=2)
    path = minimize(bowl, theta0, GradientDescent(lr), 25)
    t = np.arange(26)[:, None]
    expected = bowl.center + (1 - lr * np.array([1.0, 10.0])) ** t * (theta0 - bowl.center)
    assert isinstance(path, Path)
    assert path.theta.shape == (26, 2)
    assert_allclose(path.theta, expected, rtol=0, atol=1e-13)  # rounding of numbers near 3
    assert_array_equal(path.loss, bowl.value(path.theta))
    assert not path.diverged
    assert "25" in path.message


def test_minimize_takes_functions_that_return_plain_numbers_and_lists() -> None:
    plain = Function(
        "plain",
        lambda theta: float(theta[0] ** 2 + theta[1] ** 2),
        lambda theta: [2 * theta[0], 2 * theta[1]],
        lambda theta: 2 * np.eye(2),
        minimum=None,
        domain=[[-1.0, 1.0], [-1.0, 1.0]],
    )
    path = minimize(plain, np.array([1.0, -2.0]), GradientDescent(0.25), 3)
    assert path.theta[:, 0].tolist() == [1.0, 0.5, 0.25, 0.125]
    assert path.loss.tolist() == [5.0, 1.25, 0.3125, 0.078125]


def test_minimize_keeps_no_point_at_infinity() -> None:
    flat = Function(
        "flat",
        lambda theta: np.tanh(theta[..., 0]),
        lambda theta: 1 - np.tanh(theta) ** 2,
        lambda theta: 0 * theta[..., None],
        minimum=None,
        domain=[[-1.0, 1.0]],
    )
    path = minimize(flat, np.array([0.1]), Momentum(1e308, beta=0.99), 5)
    assert path.diverged
    assert len(path.theta) == 2
    assert np.isfinite(path.theta).all()
    assert "theta must be finite, got -inf" in path.message


def test_a_loss_need_not_be_hashable() -> None:
    @dataclass
    class Scaled:
        by: float

        def __call__(self, logits: Any, y: Any) -> Any:
            value, gradient = mean_squared_error(logits, y)
            return self.by * value, self.by * gradient

    network, rng = MLP((1, 1)), np.random.default_rng(0)
    x = rng.normal(size=(6, 1))
    options = {"epochs": 2, "batch_size": 3}
    one = fit(
        network,
        np.ones(2),
        (x, x),
        GradientDescent(0.1),
        loss=Scaled(2.0),
        rng=np.random.default_rng(1),
        **options,
    )
    two = fit(
        network,
        np.ones(2),
        (x, x),
        GradientDescent(0.2),
        loss=mean_squared_error,
        rng=np.random.default_rng(1),
        **options,
    )
    assert_allclose(one.theta, two.theta, rtol=1e-14)
    runs = fit_runs(
        network,
        np.ones((1, 2)),
        (x, x),
        GradientDescent(0.1),
        loss=Scaled(2.0),
        rngs=np.random.default_rng(1),
        **options,
    )
    assert_allclose(runs.theta[0], one.theta, rtol=1e-14)


def test_minimize_calls_the_methods_of_a_subclass() -> None:
    class Shifted(Quadratic):
        def gradient(self, theta: Any) -> Array:
            return super().gradient(theta) + 1.0

        def value(self, theta: Any) -> Any:
            return super().value(theta) + 1.0

    path = minimize(Shifted([1.0]), [1.0], GradientDescent(0.5), 2)
    assert path.theta[:, 0].tolist() == [1.0, 0.0, -0.5]
    assert path.loss.tolist() == [1.5, 1.0, 1.125]


def test_minimize_starts_at_theta0_and_leaves_it_alone() -> None:
    theta0 = np.array([-1.2, 1.0])
    path = minimize(rosenbrock, theta0, Momentum(1e-4), 3)
    assert_array_equal(theta0, [-1.2, 1.0])
    assert_array_equal(path.theta[0], theta0)
    assert_allclose(path.loss[0], 24.2, rtol=1e-14)  # the published start
    # The slope there, by hand: (-215.6, -88).
    assert_allclose(path.theta[1], [-1.2 + 0.02156, 1.0 + 0.0088], rtol=1e-14)
    path.theta[0] = 7.0
    assert_array_equal(theta0, [-1.2, 1.0])


@pytest.mark.parametrize("make", [GradientDescent, Momentum, Adam])
def test_minimize_walks_many_starts_at_once(make: Callable[[Any], Optimizer]) -> None:
    starts = np.array([[-1.2, 1.0], [0.5, 2.0], [1.5, -0.5]])
    rates = np.array([1e-4, 2e-4, 5e-5])
    together = minimize(rosenbrock, starts, make(rates[:, None]), 20)
    assert together.theta.shape == (21, 3, 2)
    assert together.loss.shape == (21, 3)
    for run in range(3):
        alone = minimize(rosenbrock, starts[run], make(float(rates[run])), 20)
        assert_array_equal(together.theta[:, run], alone.theta)
        assert_array_equal(together.loss[:, run], alone.loss)


def test_the_double_well_keeps_a_walker_on_its_side() -> None:
    for start, well in zip((-2.0, 2.0), double_well.minimum, strict=True):
        path = minimize(double_well, np.array([start]), GradientDescent(0.1), 300)
        # The rate is 1 - 0.1 f'' with f'' above 1.6: 0.84^300 is far below rounding.
        assert_allclose(path.theta[-1], well, rtol=0, atol=1e-14)


def test_minimize_goes_on_with_the_memory_of_the_optimizer() -> None:
    bowl, theta0 = Quadratic(np.array([1.0, 10.0])), np.array([1.0, 1.0])
    whole = minimize(bowl, theta0, Momentum(0.01), 20)
    optimizer = Momentum(0.01)
    first = minimize(bowl, theta0, optimizer, 10)
    assert optimizer.t == 10
    second = minimize(bowl, first.theta[-1], optimizer, 10)
    assert_array_equal(second.theta, whole.theta[10:])


def test_a_diverging_walk_stops_says_so_and_keeps_its_path() -> None:
    with np.errstate(all="raise", under="ignore"):  # it reports by itself
        path = minimize(Quadratic(np.array([1.0])), np.array([1.0]), GradientDescent(21.0), 5000)
    assert path.diverged
    assert "diverged" in path.message
    assert "lr" in path.message
    assert np.isfinite(path.theta).all()
    assert np.isfinite(path.loss).all()
    steps = len(path.theta) - 1
    assert str(steps) in path.message
    assert len(path.loss) == len(path.theta)
    # theta = (-20)^t; its square overflows at t = 118.5 (1.8e308 = 20^236.9).
    assert steps == 118
    # 118 products round.
    assert_allclose(path.theta[:, 0], (-20.0) ** np.arange(steps + 1), rtol=1e-13)


def test_a_long_walk_down_a_saddle_is_not_called_divergence_while_it_is_finite() -> None:
    path = minimize(saddle, np.array([1.0, 1e-3]), GradientDescent(0.1), 100)
    assert not path.diverged
    assert_allclose(path.theta[-1, 1], 1e-3 * 1.2**100, rtol=1e-13)


def test_float32_walks_stay_float32() -> None:
    for function in (rosenbrock, Quadratic(np.array([1.0, 2.0]))):
        path = minimize(function, np.array([0.5, 0.5], dtype=np.float32), GradientDescent(1e-3), 5)
        assert path.theta.dtype == np.float32
        assert path.loss.dtype == np.float32


# Fit --------------------------------------------------------------------------------


def by_hand(
    optimizer: Optimizer, *, epochs: int, batch_size: int, clip_norm: float | None = None
) -> tuple[Array, list[float], list[float]]:
    """Train the small network with a loop that is written out; theta, losses and norms."""
    network, theta, (x, y) = setting()
    rng = np.random.default_rng(3)
    losses, norms = [], []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            loss, gradient = network.loss_and_grad(theta, x[batch], y[batch])
            norm = np.sqrt(gradient @ gradient)
            if clip_norm is not None and norm > clip_norm:
                gradient = gradient * (clip_norm / norm)
            theta = optimizer.step(theta, gradient)
            losses.append(float(loss))
            norms.append(float(norm))
    return theta, losses, norms


@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_fit_is_the_loop_written_out_bit_for_bit(clip_norm: float | None) -> None:
    theta, losses, norms = by_hand(Adam(0.01), epochs=4, batch_size=8, clip_norm=clip_norm)
    history = train(clip_norm=clip_norm)
    assert_array_equal(history.theta, theta)
    assert history.step_loss == losses
    assert history.grad_norm == norms
    assert history.epochs == 4
    assert not history.diverged
    assert history.message


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples() -> None:
    # 50 samples in batches of 8: the last batch has 2 and weighs a quarter of the others.
    history = train()
    sizes = np.array([8, 8, 8, 8, 8, 8, 2])
    by_epoch = np.array(history.step_loss).reshape(4, 7)
    assert_allclose(history.loss, by_epoch @ sizes / 50, rtol=1e-15)
    assert history.gradient_evaluations == 200


@pytest.mark.parametrize("optimizer", [GradientDescent(0.5), Adam(0.03)])
def test_three_clusters_six_deviations_apart_are_told_apart(optimizer: Optimizer) -> None:
    # Centres are 5.2 apart at spread 0.5: a line between two of them errs 1 time in 10^7.
    network, theta, _ = setting()
    data, held_out = clusters(300, seed=5), clusters(300, seed=6)
    history = fit(
        network,
        theta,
        data,
        optimizer,
        epochs=30,
        batch_size=32,
        rng=np.random.default_rng(0),
        validation=held_out,
    )
    assert accuracy(network, history.theta, *held_out) == 1.0
    assert history.validation_accuracy[-1] == 1.0
    assert len(history.validation_loss) == len(history.loss) == history.epochs == 30
    assert history.validation_loss[-1] < 0.02 < history.loss[0]


def test_a_linear_network_finds_the_least_squares_solution() -> None:
    rng = np.random.default_rng(7)
    x, noise = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    y = x @ np.array([[1.0], [-2.0], [0.5]]) + 3.0 + noise
    network = MLP((3, 1))
    history = fit(
        network,
        np.zeros(4),
        (x, y),
        GradientDescent(0.2),
        loss=mean_squared_error,
        epochs=400,
        batch_size=40,
        rng=rng,
    )
    solution = np.linalg.lstsq(np.column_stack([x, np.ones(40)]), y, rcond=None)[0][:, 0]
    # Full batches contract by 1 - 0.2 * 2 * mu < 0.9 a step: 0.9^400 is below rounding.
    assert_allclose(history.theta, solution, rtol=1e-12)


def test_fit_leaves_theta_and_data_alone_and_advances_the_optimizer() -> None:
    network, theta, data = setting()
    copies = theta.copy(), data[0].copy(), data[1].copy()
    optimizer = Adam(0.01)
    history = fit(
        network, theta, data, optimizer, epochs=2, batch_size=25, rng=np.random.default_rng(0)
    )
    for array, before in zip((theta, *data), copies, strict=True):
        assert_array_equal(array, before)
    assert not np.may_share_memory(history.theta, theta)
    assert optimizer.t == 4


def test_a_schedule_counts_mini_batch_steps() -> None:
    # 14 steps in two epochs of 7: the last one has the rate of 13 steps taken.
    asked: list[int] = []

    def schedule(taken: int) -> float:
        asked.append(taken)
        return inverse_time(0.1, decay=0.1)(taken)

    train(GradientDescent(schedule), epochs=2)
    assert asked == list(range(14))


def test_progress_changes_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    silent = train(progress=False)
    assert capsys.readouterr() == ("", "")
    shown = train(progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "4/4" in err
    assert_array_equal(shown.theta, silent.theta)
    assert shown.step_loss == silent.step_loss


def test_validation_changes_no_number_and_is_measured_after_each_epoch() -> None:
    held_out = clusters(30, seed=8, spread=2.0)
    network, _, _ = setting()
    plain, validated = train(), train(validation=held_out)
    assert_array_equal(validated.theta, plain.theta)
    assert validated.step_loss == plain.step_loss
    assert plain.validation_loss == []
    assert plain.validation_accuracy == []
    assert plain.best_epoch is None
    assert len(validated.validation_loss) == 4
    value, _ = network.loss_and_grad(plain.theta, *held_out)
    assert validated.validation_loss[-1] == value
    assert validated.validation_accuracy[-1] == accuracy(network, plain.theta, *held_out)
    assert validated.gradient_evaluations == plain.gradient_evaluations


# Early stopping ---------------------------------------------------------------------


def one_weight(targets: list[float], **options: Any) -> History:
    """Fit y = w x from w = 0 at x = 1, one step of size 0.1 w a epoch (closed form below).

    The training target is 1, so w = 1 - 0.8^epoch. The validation targets decide when the
    validation loss is least.
    """
    network = MLP((1, 1))
    freeze_the_bias = GradientDescent(np.array([0.1, 0.0]))
    held_out = np.ones((len(targets), 1)), np.array(targets)[:, None]
    arguments: dict[str, Any] = {"epochs": 50, "validation": held_out}
    return fit(
        network,
        np.zeros(2),
        (np.ones((1, 1)), np.ones((1, 1))),
        freeze_the_bias,
        loss=mean_squared_error,
        batch_size=1,
        rng=np.random.default_rng(0),
        **arguments | options,
    )


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_patience_waits_that_many_epochs_and_returns_the_best(patience: int) -> None:
    # w after epochs 1, 2, 3: 0.2, 0.36, 0.488. For the target 0.35 epoch 2 is best.
    history = one_weight([0.35], patience=patience)
    assert history.best_epoch == 2
    assert history.epochs == 2 + patience
    assert len(history.validation_loss) == len(history.loss) == history.epochs
    assert_allclose(history.theta, [0.36, 0.0], rtol=1e-14)
    assert "validation" in history.message
    assert not history.diverged
    # (w - 0.35)^2 by hand.
    assert_allclose(history.validation_loss[:3], [0.0225, 0.0001, 0.019044], rtol=1e-12)


@pytest.mark.parametrize("patience", [8, 10, 1000])
def test_the_best_epoch_is_returned_even_where_patience_outlasts_the_run(patience: int) -> None:
    history = one_weight([0.35], patience=patience, epochs=8)
    assert history.epochs == 8
    assert history.best_epoch == 2
    assert_allclose(history.theta, [0.36, 0.0], rtol=1e-14)


def test_a_validation_loss_that_keeps_falling_is_not_stopped() -> None:
    history = one_weight([1.0], patience=1, epochs=20)
    assert history.epochs == history.best_epoch == 20
    assert_allclose(history.theta[0], 1 - 0.8**20, rtol=1e-14)


def test_without_patience_the_best_epoch_is_noted_and_the_last_theta_returned() -> None:
    history = one_weight([0.35], epochs=10)
    assert history.best_epoch == 2
    assert history.epochs == 10
    assert_allclose(history.theta[0], 1 - 0.8**10, rtol=1e-14)


# Divergence and clipping ------------------------------------------------------------


def linear_explosion(**options: Any) -> History:
    """Fit a line with a rate far above 2 / L: the weights grow geometrically."""
    x = np.random.default_rng(0).normal(size=(20, 2))
    arguments: dict[str, Any] = {"epochs": 2000, "batch_size": 20}
    return fit(
        MLP((2, 1)),
        np.ones(3),
        (x, x[:, :1]),
        GradientDescent(50.0),
        loss=mean_squared_error,
        rng=np.random.default_rng(0),
        **arguments | options,
    )


def test_a_diverging_fit_stops_says_so_and_keeps_its_history() -> None:
    with np.errstate(all="raise", under="ignore"):  # it reports by itself
        history = linear_explosion()
    assert history.diverged
    assert "diverged" in history.message
    assert "lr" in history.message
    assert history.epochs < 2000
    assert len(history.loss) == history.epochs
    assert len(history.step_loss) == len(history.grad_norm) > 50
    assert str(len(history.step_loss)) in history.message
    assert np.isfinite(history.step_loss).all()
    assert history.step_loss[-1] > 1e200
    assert (np.diff(history.step_loss[1:]) > 0).all()


def test_a_clipped_fit_takes_no_step_longer_than_the_limit() -> None:
    path = [np.ones(3)]

    class Recorder(GradientDescent):
        def step(self, theta: Any, grad: Any, out: Array | None = None) -> Array:
            assert np.linalg.norm(grad) <= 0.5 * (1 + 1e-15)
            path.append(super().step(theta, grad, out=out).copy())
            return path[-1] if out is None else out

    x = np.random.default_rng(0).normal(size=(20, 2))
    history = fit(
        MLP((2, 1)),
        path[0],
        (x, 30 * x[:, :1]),
        Recorder(0.1),
        loss=mean_squared_error,
        epochs=20,
        batch_size=7,
        rng=np.random.default_rng(0),
        clip_norm=0.5,
    )
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert len(lengths) == 60
    # Steps are read from differences of numbers near 2.
    assert lengths.max() <= 0.05 * (1 + 1e-13)
    assert min(history.grad_norm) > 0.5  # the norm before clipping is what is kept


@given(seed=seeds, power=st.integers(-20, 20), limit=st.floats(1e-3, 1e3))
def test_clipping_bounds_the_norm_and_keeps_the_direction(
    seed: int, power: int, limit: float
) -> None:
    gradient = 2.0**power * np.random.default_rng(seed).normal(size=6)
    before = gradient.copy()
    clipped, norm = clip_by_norm(gradient, limit)
    assert_array_equal(gradient, before)
    # Norms of six numbers round three times.
    assert_allclose(norm, np.sqrt((before**2).sum()), rtol=1e-14)
    assert np.linalg.norm(clipped) <= limit * (1 + 1e-14)
    if norm <= limit:
        assert_array_equal(clipped, before)
    else:
        assert_allclose(clipped, before * (limit / norm), rtol=1e-14)
        assert_allclose(np.linalg.norm(clipped), limit, rtol=1e-14)
    room = gradient
    assert clip_by_norm(gradient, limit, out=room)[0] is room
    assert_array_equal(room, clipped)


def test_clipping_by_hand_and_at_zero() -> None:
    clipped, norm = clip_by_norm(np.array([3.0, 4.0]), 2.5)
    assert norm == 5.0
    assert_array_equal(clipped, [1.5, 2.0])
    clipped, norm = clip_by_norm(np.zeros(3), 1.0)
    assert norm == 0.0
    assert_array_equal(clipped, np.zeros(3))


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e30), (np.float64, 1e200)])
def test_a_gradient_whose_square_overflows_is_clipped_not_erased(dtype: type, huge: float) -> None:
    clipped, norm = clip_by_norm(np.full(4, huge, dtype=dtype), 1.0)
    assert clipped.dtype == dtype
    assert_allclose(clipped, 0.5, rtol=1e-6)
    assert_allclose(norm, 2 * huge, rtol=1e-6)


# Accuracy and precision -------------------------------------------------------------


def test_accuracy_is_the_fraction_of_right_answers() -> None:
    identity = MLP((3, 3))
    theta = np.concatenate([np.eye(3).ravel(), np.zeros(3)])
    x = np.eye(3)[[0, 1, 2, 2]]
    assert accuracy(identity, theta, x, np.array([0, 1, 2, 2])) == 1.0
    assert accuracy(identity, theta, x, np.array([0, 1, 2, 0])) == 0.75
    assert accuracy(identity, theta, x, [1, 2, 0, 0]) == 0.0
    single = MLP((1, 1))
    logits = np.array([[-1.0], [2.0]])
    assert accuracy(single, np.array([1.0, 0.0]), logits, np.array([0, 1])) == 1.0
    assert accuracy(single, np.array([1.0, 0.0]), logits, np.array([[1], [1]])) == 0.5


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_float32_training_stays_float32_and_near_float64(clip_norm: float | None) -> None:
    network, theta, data = setting()
    optimizer = Adam(np.full(network.n_parameters, 0.01))
    history = fit(
        network,
        theta.astype(np.float32),
        data,
        optimizer,
        epochs=4,
        batch_size=8,
        rng=np.random.default_rng(3),
        clip_norm=clip_norm,
    )
    assert history.theta.dtype == np.float32
    assert optimizer.m.dtype == np.float32
    # 28 steps that each round to 6e-8; Adam's quotients enlarge it.
    assert distance(history.theta, train(clip_norm=clip_norm).theta) < 1e-3


def test_yes_or_no_labels_train_a_single_output() -> None:
    x, y = clusters(60, seed=9)
    network = MLP((2, 1))
    history = fit(
        network,
        np.zeros(3),
        (x, (y == 0).astype(int)[:, None]),
        GradientDescent(0.5),
        loss=binary_cross_entropy,
        epochs=40,
        batch_size=16,
        rng=np.random.default_rng(0),
        validation=(x, (y == 0).astype(int)[:, None]),
    )
    assert history.validation_accuracy[-1] == 1.0
    assert history.step_loss[0] == pytest.approx(np.log(2), rel=1e-15)  # all logits are 0


@pytest.mark.parametrize(
    ("loss", "outputs", "targets"),
    [
        (mean_squared_error, 1, np.arange(12)[:, None]),
        (binary_cross_entropy, 3, np.arange(36).reshape(12, 3) % 2),
    ],
    ids=["regression", "many yes-or-no labels"],
)
def test_integer_targets_that_are_no_classes_have_no_accuracy(
    loss: Any, outputs: int, targets: Array
) -> None:
    x = np.random.default_rng(0).normal(size=(12, 2))
    network = MLP((2, outputs))
    history = fit(
        network,
        np.zeros(network.n_parameters),
        (x, targets),
        GradientDescent(0.01),
        loss=loss,
        epochs=2,
        batch_size=4,
        rng=np.random.default_rng(0),
        validation=(x, targets),
    )
    assert history.epochs == 2
    assert len(history.validation_loss) == 2
    assert history.validation_accuracy == []


def test_parameters_that_overflow_in_the_very_last_step_are_divergence_too() -> None:
    # The loss is still finite: no later batch would tell.
    network = MLP((1, 1), "identity")
    x, y = np.array([[1.0]]), np.array([[-1e10]])
    history = fit(
        network,
        np.zeros(2),
        (x, y),
        GradientDescent(1e300),
        loss=mean_squared_error,
        epochs=1,
        batch_size=1,
        rng=np.random.default_rng(0),
    )
    assert history.diverged
    assert "theta must be finite" in history.message
    assert history.step_loss == [1e20]
