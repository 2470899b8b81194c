"""Many runs at once: each goes as a run of its own would, whatever happens in the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn.losses import binary_cross_entropy, mean_squared_error, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import Adam, AdamW, GradientDescent, Momentum, Optimizer
from optlearn.runs import accuracies, fit_runs
from optlearn.training import accuracy, fit

Array = NDArray[Any]
NETWORK = MLP((2, 6, 3), activation="tanh")
K, N = 4, 22


def starts(network: MLP = NETWORK, runs: int = K) -> Array:
    """Draw one start for each run."""
    return np.stack([network.init(np.random.default_rng(k)) for k in range(runs)])


def points(*front: int) -> tuple[Array, Array]:
    """Draw points of three classes, each about a corner of its own."""
    rng = np.random.default_rng(9)
    y = rng.integers(0, 3, size=(*front, N))
    return np.array([[2.0, 0.0], [-1.0, 1.5], [-1.0, -1.5]])[y] + rng.normal(
        size=(*front, N, 2)
    ), y


def generators(runs: int = K) -> list[np.random.Generator]:
    """Return one generator for each run."""
    return [np.random.default_rng(50 + k) for k in range(runs)]


@pytest.mark.parametrize("front", [(), (K,)], ids=["shared", "own"])
@pytest.mark.parametrize("one_order", [True, False], ids=["one order", "own orders"])
@pytest.mark.parametrize("kind", [GradientDescent, Momentum, Adam, AdamW])
def test_every_row_is_the_run_that_fit_makes_of_it(
    kind: type[Optimizer], one_order: bool, front: tuple[int, ...]
) -> None:
    theta, (x, y) = starts(), points(*front)
    before = theta.copy()
    rngs: Any = np.random.default_rng(50) if one_order else generators()
    rates = np.array([[0.01], [0.03], [0.1], [0.3]])
    runs = fit_runs(NETWORK, theta, (x, y), kind(rates), epochs=3, batch_size=8, rngs=rngs)
    for k in range(K):
        alone = fit(
            NETWORK,
            theta[k],
            (x[k], y[k]) if front else (x, y),
            kind(float(rates[k, 0])),
            epochs=3,
            batch_size=8,
            rng=np.random.default_rng(50 + (0 if one_order else k)),
        )
        # An array of rates may round the last bit otherwise than a scalar rate.
        assert_allclose(runs.theta[k], alone.theta, rtol=1e-11, atol=1e-13)
        assert_allclose(runs.loss[:, k], alone.loss, rtol=1e-12)
    assert runs.message == "trained 4 runs for 3 epochs"
    assert not runs.diverged.any()
    assert_array_equal(theta, before)


@pytest.mark.parametrize("own_x", [True, False])
@pytest.mark.parametrize("own_y", [True, False])
def test_inputs_and_targets_may_each_be_shared_or_own(own_x: bool, own_y: bool) -> None:
    x, y = points(K)
    data = (x if own_x else x[0], y if own_y else y[0])
    runs = fit_runs(
        NETWORK, starts(), data, Momentum(0.1), epochs=2, batch_size=5, rngs=generators()
    )
    for k in range(K):
        alone = fit(
            NETWORK,
            starts()[k],
            (x[k if own_x else 0], y[k if own_y else 0]),
            Momentum(0.1),
            epochs=2,
            batch_size=5,
            rng=generators()[k],
        )
        assert_allclose(runs.theta[k], alone.theta, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("front", [(), (N,)], ids=["shared", "own"])
def test_as_many_runs_as_samples_are_not_mistaken_for_each_other(front: tuple[int, ...]) -> None:
    x, y = points(*front)
    runs = fit_runs(
        NETWORK,
        starts(runs=N),
        (x, y),
        GradientDescent(0.1),
        epochs=1,
        batch_size=N,
        rngs=np.random.default_rng(0),
    )
    for k in (0, N - 1):
        own = (x[k], y[k]) if front else (x, y)
        _, grad = NETWORK.loss_and_grad(starts(runs=N)[k], *own)
        assert_allclose(runs.theta[k], starts(runs=N)[k] - 0.1 * grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", [mean_squared_error, binary_cross_entropy])
def test_losses_of_one_output_train_too(loss: Any) -> None:
    network = MLP((2, 5, 1))
    x, y = points()
    targets = (y == 1).astype(float)[:, None]
    arguments: dict[str, Any] = {"loss": loss, "epochs": 3, "batch_size": 8}
    runs = fit_runs(
        network, starts(network), (x, targets), Adam(0.02), rngs=generators(), **arguments
    )
    for k in range(K):
        alone = fit(
            network, starts(network)[k], (x, targets), Adam(0.02), rng=generators()[k], **arguments
        )
        assert_allclose(runs.theta[k], alone.theta, rtol=1e-12, atol=1e-14)
        assert runs.loss[-1, k] < runs.loss[0, k]


@pytest.mark.parametrize("kind", [GradientDescent, Momentum, Adam])
def test_a_run_that_diverges_stops_and_the_others_do_not_notice(kind: type[Optimizer]) -> None:
    theta, (x, y) = starts(), points()
    rates = np.array([[0.02], [1e308], [0.02], [0.02]])
    broken = fit_runs(
        NETWORK, theta, (x, y), kind(rates), epochs=4, batch_size=8, rngs=generators()
    )
    whole = fit_runs(NETWORK, theta, (x, y), kind(0.02), epochs=4, batch_size=8, rngs=generators())
    assert broken.diverged.tolist() == [False, True, False, False]
    assert np.isnan(broken.loss[-1, 1])
    assert broken.message == (
        "trained 4 runs for 4 epochs; 1 of them diverged: try a smaller lr there"
    )
    others = [0, 2, 3]
    assert_allclose(broken.theta[others], whole.theta[others], rtol=1e-11, atol=1e-13)
    assert_allclose(broken.loss[:, others], whole.loss[:, others], rtol=1e-12)


def test_a_run_with_memory_stays_where_it_diverged() -> None:
    # The loss of run 0 becomes infinite at its second step; its velocity would carry it on.
    calls = {"n": 0}

    def loss(logits: Any, y: Any) -> tuple[Any, Array]:
        value, grad = softmax_cross_entropy(logits, y)
        calls["n"] += 1
        value = np.array(value)
        if calls["n"] >= 3:  # the first call checks the data, the second makes the first step
            value[0] = np.inf
        return value, grad

    theta, (x, y) = starts(runs=2), points()
    arguments: dict[str, Any] = {"batch_size": N, "rngs": np.random.default_rng(0)}
    once = fit_runs(NETWORK, theta, (x, y), Momentum(0.1), epochs=1, **arguments)
    runs = fit_runs(NETWORK, theta, (x, y), Momentum(0.1), loss=loss, epochs=5, **arguments)
    assert runs.diverged.tolist() == [True, False]
    assert_allclose(runs.theta[0], once.theta[0], rtol=1e-13)
    assert np.isfinite(runs.loss[0, 0])
    assert np.isnan(runs.loss[1:, 0]).all()
    assert np.isfinite(runs.loss[:, 1]).all()


def test_when_all_have_diverged_nothing_is_left_to_do() -> None:
    optimizer = Momentum(1e308)
    runs = fit_runs(
        NETWORK, starts(), points(), optimizer, epochs=50, batch_size=8, rngs=generators()
    )
    assert runs.diverged.all()
    assert optimizer.t <= 5 * np.ceil(N / 8)
    assert np.isnan(runs.loss[-1]).all()


def test_a_rate_of_zero_leaves_its_parameters_alone() -> None:
    theta = starts()
    rate = np.where(np.arange(NETWORK.n_parameters) < 18, 0.0, 0.05)
    runs = fit_runs(
        NETWORK, theta, points(), Adam(rate), epochs=2, batch_size=8, rngs=generators()
    )
    assert_array_equal(runs.theta[:, :18], theta[:, :18])
    assert (runs.theta[:, 18:] != theta[:, 18:]).all()


def test_float32_stays_float32_to_the_bit() -> None:
    theta = starts().astype(np.float32)
    arguments: dict[str, Any] = {"epochs": 2, "batch_size": 8}
    runs = fit_runs(NETWORK, theta, points(), Adam(0.01), rngs=generators(), **arguments)
    assert runs.theta.dtype == np.float32
    alone = fit(NETWORK, theta[1], points(), Adam(0.01), rng=generators()[1], **arguments)
    assert_array_equal(runs.theta[1], alone.theta)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_ends_its_run_though_the_loss_is(bad: float) -> None:
    def loss(logits: Any, y: Any) -> tuple[Any, Array]:
        value, grad = softmax_cross_entropy(logits, y)
        grad = grad.copy()
        if len(y[0]) < N:  # not while the data are checked
            grad[2, 0, 0] = bad
        return value, grad

    # One layer and positive inputs: the gradient's rows are finite, or of this kind alone.
    network, (x, y) = MLP((2, 3)), points(K)
    theta, optimizer = starts(network), GradientDescent(0.1)
    runs = fit_runs(
        network,
        theta,
        (np.abs(x), y),
        optimizer,
        loss=loss,
        epochs=1,
        batch_size=8,
        rngs=generators(),
    )
    assert runs.diverged.tolist() == [False, False, True, False]
    assert_array_equal(runs.theta[2], theta[2])


def test_parameters_that_overflow_in_the_very_last_step_are_divergence_too() -> None:
    network = MLP((1, 1))
    runs = fit_runs(
        network,
        np.array([[1.0, 0.0], [1.0, 0.0]]),
        (np.array([[1e3]]), np.array([[0.0]])),
        GradientDescent(np.array([[1e305], [1e-9]])),
        loss=mean_squared_error,
        epochs=1,
        batch_size=1,
        rngs=np.random.default_rng(0),
    )
    assert runs.diverged.tolist() == [True, False]
    assert_array_equal(np.isnan(runs.loss), [[True, False]])


@pytest.mark.parametrize("front", [(), (K,)], ids=["shared", "own"])
def test_accuracies_are_the_accuracy_of_every_run(front: tuple[int, ...]) -> None:
    x, y = points(*front)
    expected = [
        accuracy(NETWORK, theta, x[k] if front else x, y[k] if front else y)
        for k, theta in enumerate(starts())
    ]
    assert len(set(expected)) > 1
    assert_array_equal(accuracies(NETWORK, starts(), x, y), expected)


def test_progress_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    arguments: dict[str, Any] = {"epochs": 2, "batch_size": 8, "rngs": generators()}
    fit_runs(NETWORK, starts(), points(), Adam(0.01), **arguments)
    assert capsys.readouterr().err == ""
    fit_runs(NETWORK, starts(), points(), Adam(0.01), progress=True, **arguments)
    assert "2/2" in capsys.readouterr().err


def test_a_rate_of_another_shape_is_refused_before_the_first_step() -> None:
    optimizer = Momentum(np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"lr has shape \(2, 1\), theta has shape \(4, 39\)"):
        fit_runs(NETWORK, starts(), points(), optimizer, epochs=1, batch_size=8, rngs=generators())
    assert optimizer.t == 0
