"""Parallel training: its arithmetic against counts by hand, identities and simulations."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from optlearn.functions import himmelblau
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent, Momentum
from optlearn.parallel import (
    arrivals,
    average_gradients,
    delayed_path,
    quantize_at_random,
    ring_all_reduce,
    scaled_sign,
    shards,
    top_k,
    with_feedback,
)
from optlearn.training import minimize

Array = NDArray[Any]


def identity(theta: Array) -> Array:
    return theta


# Shards and averages ---------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 60))
def test_shards_cover_every_sample_once_with_sizes_that_differ_by_one(k: int, more: int) -> None:
    n = k + more
    parts = [np.arange(n)[part] for part in shards(n, k)]
    assert len(parts) == k
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


def test_the_weighted_mean_is_the_gradient_of_the_whole_batch_and_the_plain_one_is_not() -> None:
    rng = np.random.default_rng(0)
    network = MLP((5, 7, 3))
    theta = network.init(rng)
    x, y = rng.normal(size=(40, 5)), rng.integers(3, size=40)
    own = np.array([network.loss_and_grad(theta, x[s], y[s])[1] for s in (slice(4), slice(4, 40))])
    whole = network.loss_and_grad(theta, x, y)[1]
    np.testing.assert_allclose(average_gradients(own, [4, 36]), whole, atol=1e-14)
    assert np.linalg.norm(own.mean(axis=0) - whole) > 0.01 * np.linalg.norm(whole)


def test_averages_keep_the_type_and_the_axis_of_runs() -> None:
    grads = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    mean = average_gradients(grads, [3, 1])
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, (3 * grads[0] + grads[1]) / 4)
    np.testing.assert_array_equal(average_gradients(grads, [0, 2]), grads[1])


# The ring --------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 5))
def test_a_ring_gives_every_worker_the_mean_for_the_bytes_of_the_formula(
    k: int, more: int, seed: int
) -> None:
    n = k + more
    vectors = np.random.default_rng(seed).normal(size=(k, n))
    before = vectors.copy()
    means, sent, messages = ring_all_reduce(vectors)
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_allclose(means, np.tile(vectors.mean(axis=0), (k, 1)), atol=1e-13)
    assert all((row == means[0]).all() for row in means)
    assert messages == 2 * (k - 1)
    assert sent.sum() == 8 * 2 * (k - 1) * n  # all parts travel once around, twice
    assert np.all(np.abs(sent / 8 - 2 * (k - 1) / k * n) <= 2)


def test_a_ring_counts_the_bytes_of_the_numbers_it_is_given() -> None:
    _, sent, _ = ring_all_reduce(np.ones((4, 8), dtype=np.float32))
    assert sent.tolist() == [4 * 12] * 4


# Delays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [GradientDescent(0.01), Momentum(0.003, beta=0.8), Adam(0.1)])
def test_without_delay_the_path_is_that_of_minimize(rule: Any) -> None:
    start = np.array([0.5, -1.0])
    path = delayed_path(himmelblau.gradient, start, rule, np.zeros(30, dtype=int))
    assert rule.t == 0  # it was copied
    np.testing.assert_array_equal(path, minimize(himmelblau, start, rule, 30).theta)


def test_a_used_optimizer_starts_afresh() -> None:
    rule = Momentum(0.1, beta=0.9)
    first = delayed_path(identity, np.ones(2), rule, [0, 1, 2])
    rule.step(np.ones(2), np.ones(2))
    np.testing.assert_array_equal(delayed_path(identity, np.ones(2), rule, [0, 1, 2]), first)


@pytest.mark.parametrize(("tau", "limit"), [(1, 1.0), (2, (5**0.5 - 1) / 2), (7, 0.20905692653)])
def test_delayed_steps_are_stable_up_to_the_published_limit(tau: int, limit: float) -> None:
    for factor, stable in ((0.97, True), (1.03, False)):
        rule = GradientDescent(factor * limit)
        path = delayed_path(identity, np.ones(1), rule, np.full(1500, tau))
        assert bool(np.abs(path[-50:]).max() < np.abs(path[700:750]).max()) is stable


def test_delays_may_change_and_reach_before_the_start() -> None:
    path = delayed_path(identity, np.ones(1), GradientDescent(0.5), [5, 0, 2])[:, 0]
    np.testing.assert_array_equal(path, [1.0, 0.5, 0.25, -0.25])


# Arrivals --------------------------------------------------------------------------------------


def by_events(durations: Array) -> list[tuple[float, int, int]]:
    """The same by a queue of events, until a worker has nothing left."""
    queue = [(row[0], k) for k, row in enumerate(durations)]
    heapq.heapify(queue)
    read, done = [0] * len(durations), [0] * len(durations)
    found: list[tuple[float, int, int]] = []
    end = durations.sum(axis=1).min() + 1e-9
    while queue and queue[0][0] <= end:
        time, k = heapq.heappop(queue)
        found.append((time, k, len(found) - read[k]))
        read[k] = len(found)
        done[k] += 1
        if done[k] < durations.shape[1]:
            heapq.heappush(queue, (time + durations[k, done[k]], k))
    return found


@given(st.integers(1, 6), st.integers(1, 15), st.integers(0, 50))
def test_arrivals_are_those_of_an_event_queue(k: int, m: int, seed: int) -> None:
    durations = np.random.default_rng(seed).exponential(size=(k, m))
    times, workers, delays = arrivals(durations)
    expected = by_events(durations)
    np.testing.assert_allclose(times, [event[0] for event in expected])
    assert list(zip(workers.tolist(), delays.tolist(), strict=True)) == [e[1:] for e in expected]


def test_equal_clocks_make_every_gradient_but_the_first_late_by_all_others() -> None:
    times, workers, delays = arrivals(np.ones((5, 4)))
    assert delays.tolist() == [0, 1, 2, 3] + [4] * 16
    assert workers.tolist() == [0, 1, 2, 3, 4] * 4
    np.testing.assert_array_equal(times, np.repeat([1.0, 2.0, 3.0, 4.0], 5))


# Compression -----------------------------------------------------------------------------------


@given(st.integers(1, 8), st.integers(0, 50))
def test_top_k_is_the_nearest_vector_with_k_entries(k: int, seed: int) -> None:
    v = np.random.default_rng(seed).normal(size=(3, 8))
    sparse = top_k(v, k)
    assert np.all((sparse != 0).sum(axis=1) == k)
    assert np.all((sparse == 0) | (sparse == v))
    left = np.sort(np.abs(v), axis=1)[:, : 8 - k]
    np.testing.assert_allclose(((v - sparse) ** 2).sum(axis=1), (left**2).sum(axis=1), atol=1e-12)


def test_a_scaled_sign_is_the_best_multiple_of_the_signs() -> None:
    v = np.random.default_rng(0).normal(size=(2, 50))
    signs = scaled_sign(v)
    np.testing.assert_array_equal(np.sign(signs), np.sign(v))
    assert np.unique(np.abs(signs[0])).size == 1
    # orthogonal projection: what is left has no part along the signs
    np.testing.assert_allclose(((v - signs) * np.sign(v)).sum(axis=1), 0, atol=1e-12)


def test_a_bit_has_no_third_value_for_zero() -> None:
    v = np.array([[2.0, 0.0, -1.0, -0.0], [0.0, 0.0, 0.0, 0.0]])
    signs = scaled_sign(v)
    np.testing.assert_array_equal(signs[0], [0.75, 0.75, -0.75, 0.75])
    np.testing.assert_array_equal(signs[1], 0)


@pytest.mark.parametrize("levels", [1, 3, 7])
def test_random_rounding_is_on_the_grid_and_right_in_the_mean(levels: int) -> None:
    rng = np.random.default_rng(1)
    v = np.array([0.9, -0.4, 0.05, 0.0, -2.0])
    rounded = quantize_at_random(np.tile(v, (20_000, 1)), levels, rng)
    places = rounded * levels / 2.0
    np.testing.assert_allclose(places, np.rint(places), atol=1e-12)
    assert np.abs(places).max() <= levels + 1e-12
    error = rounded.std(axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(rounded.mean(axis=0) - v) <= 4 * error)
    assert np.all(rounded[:, 3] == 0)
    assert np.all(quantize_at_random(np.zeros(3), levels, rng) == 0)


def test_feedback_loses_nothing() -> None:
    vectors = np.random.default_rng(2).normal(size=(50, 6))
    memory, total = np.zeros(6), np.zeros(6)
    for v in vectors:
        sent, memory = with_feedback(v, memory, lambda w: top_k(w, 2))
        assert (sent != 0).sum() == 2
        total += sent
    np.testing.assert_allclose(total + memory, vectors.sum(axis=0), atol=1e-12)
    assert np.abs(memory).max() > 0


# Bad inputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: shards(3, 4), ValueError, "n must be >= 4, got 3"),
        (lambda: shards(3, 0), ValueError, "workers must be >= 1, got 0"),
        (lambda: shards(3.0, 2), TypeError, "n must be an integer"),  # type: ignore[arg-type]
        (lambda: average_gradients(np.ones(3), [1]), ValueError, "grads must have one row"),
        (lambda: average_gradients(np.ones((2, 3)), [1]), ValueError, r"shape \(2,\), got \(1,\)"),
        (lambda: average_gradients(np.ones((2, 3)), [1, -1]), ValueError, "sizes must be >= 0"),
        (lambda: average_gradients(np.ones((2, 3)), [0, 0]), ValueError, "not all 0"),
        (
            lambda: average_gradients(np.ones((2, 3)), [0.5, 1]),
            TypeError,
            "sizes must be integers",
        ),
        (lambda: average_gradients(np.ones((2, 3), int), [1, 1]), TypeError, "floating point"),
        (lambda: average_gradients(np.full((2, 3), np.nan), [1, 1]), ValueError, "finite"),
        (lambda: ring_all_reduce(np.ones((4, 3))), ValueError, "n >= K, got"),
        (lambda: ring_all_reduce(np.ones((2, 3, 4))), ValueError, "n >= K, got"),
        (lambda: delayed_path(identity, np.ones(1), Adam(), [0.5]), TypeError, "delays must be"),
        (lambda: delayed_path(identity, np.ones(1), Adam(), [1, -1]), ValueError, ">= 0, got -1"),
        (lambda: delayed_path(identity, np.ones(1), Adam(), [[1]]), ValueError, r"shape \(steps,"),
        (lambda: delayed_path(identity, [1], Adam(), [1]), TypeError, "theta must be floating"),
        (lambda: arrivals(np.ones(3)), ValueError, r"of shape \(K, m\)"),
        (lambda: arrivals(np.array([[1.0, 0.0]])), ValueError, "durations must be > 0, got 0.0"),
        (lambda: top_k(np.ones(3), 4), ValueError, "k must be <= 3, got 4"),
        (lambda: top_k(np.ones(3), 0), ValueError, "k must be >= 1, got 0"),
        (lambda: top_k(np.array(1.0), 1), ValueError, "vector must be real, of shape"),
        (lambda: scaled_sign(np.ones(3) * 1j), ValueError, "vector must be real"),
        (
            lambda: quantize_at_random(np.ones(3), 0, np.random.default_rng(0)),
            ValueError,
            "levels",
        ),
        (lambda: quantize_at_random(np.ones(3), 1, 0), TypeError, "rng"),  # type: ignore[arg-type]
        (
            lambda: with_feedback(np.ones(3), np.ones(2), identity),
            ValueError,
            r"memory must have shape \(3,\), got \(2,\)",
        ),
    ],
)
def test_wrong_arguments_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
