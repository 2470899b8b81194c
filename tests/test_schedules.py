"""Schedules against PyTorch, hand arithmetic and the promise to be pure functions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from comparisons import load
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from optlearn import schedules
from optlearn.schedules import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    inverse_time,
    linear_warmup,
    one_cycle,
    step_decay,
    warmup_then,
)

ORACLE = load("schedules")
SCHEDULES: dict[str, Callable[[int], float]] = {
    "constant": constant(0.5),
    "step_decay": step_decay(0.5, every=3),
    "exponential": exponential(0.5, rate=0.9),
    "inverse_time": inverse_time(0.5, decay=0.1),
    "cosine": cosine(0.5, steps=10),
    "cosine_restarts": cosine_restarts(0.5, period=3, growth=2),
    "linear_warmup": linear_warmup(0.5, steps=4),
    "one_cycle": one_cycle(0.5, steps=10),
    "warmup_then": warmup_then(exponential(0.5, rate=0.9), steps=4),
}


@pytest.mark.parametrize("name", ORACLE["runs"])
def test_rates_agree_with_pytorch_at_every_step(name: str) -> None:
    run = ORACLE["runs"][name]
    ours = getattr(schedules, name)(ORACLE["lr"], **run["arguments"])
    # PyTorch multiplies step by step where we raise to a power: forty roundings.
    assert_allclose([ours(t) for t in range(len(run["rates"]))], run["rates"], rtol=1e-13)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (constant(0.25), {0: 0.25, 10**9: 0.25}),
        (
            step_decay(1.0, every=10, factor=0.1),
            {0: 1.0, 9: 1.0, 10: 0.1, 19: 0.1, 20: 0.01, 30: 0.001},
        ),
        (step_decay(8.0, every=1), {0: 8.0, 1: 4.0, 3: 1.0}),
        (exponential(2.0, rate=0.5), {0: 2.0, 1: 1.0, 4: 0.125}),
        (inverse_time(1.0, decay=0.25), {0: 1.0, 4: 0.5, 12: 0.25}),
        (cosine(1.0, steps=6), {0: 1.0, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0.0, 7: 0.0, 999: 0.0}),
        (cosine(1.0, steps=6, final=0.5), {0: 1.0, 3: 0.75, 6: 0.5, 60: 0.5}),
        (
            cosine_restarts(1.0, period=2, growth=3),
            {0: 1.0, 1: 0.5, 2: 1.0, 4: 0.75, 5: 0.5, 6: 0.25, 8: 1.0, 14: 0.75, 17: 0.5, 26: 1.0},
        ),
        (cosine_restarts(1.0, period=2), {0: 1.0, 1: 0.5, 2: 1.0, 10**12: 1.0, 10**12 + 1: 0.5}),
        (cosine_restarts(1.0, period=3, final=0.5), {0: 1.0, 1: 0.875, 2: 0.625, 3: 1.0}),
        (linear_warmup(1.0, steps=5), {0: 0.2, 1: 0.4, 3: 0.8, 4: 1.0, 5: 1.0, 50: 1.0}),
        (linear_warmup(1.0, steps=1), {0: 1.0, 1: 1.0}),
        (
            one_cycle(1.0, steps=11, warm=5 / 11, start_divisor=10.0, final_divisor=100.0),
            {0: 0.1, 2: 0.55, 4: 1.0, 7: 0.5005, 10: 0.001, 11: 0.001, 99: 0.001},
        ),
        (
            warmup_then(exponential(1.0, rate=0.5), steps=4),
            {0: 0.25, 2: 0.75, 3: 1.0, 4: 1.0, 5: 0.5, 7: 0.125},
        ),
        (
            warmup_then(step_decay(1.0, every=2), steps=2),
            {0: 0.5, 1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5, 6: 0.25},
        ),
    ],
)
def test_rates_by_hand(schedule: Callable[[int], float], expected: dict[int, float]) -> None:
    for t, rate in expected.items():
        # A cosine of a rounded angle and a power: a few roundings of numbers up to 1.
        assert_allclose(schedule(t), rate, rtol=1e-14, atol=1e-16, err_msg=f"step {t}")


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_remembers_nothing(name: str) -> None:
    schedule = SCHEDULES[name]
    forward = [schedule(t) for t in range(30)]
    backward = [schedule(t) for t in reversed(range(30))]
    assert forward == backward[::-1]
    assert schedule(np.int64(7)) == forward[7]
    assert all(isinstance(rate, float) for rate in forward)


@pytest.mark.parametrize(
    "name", ["constant", "step_decay", "exponential", "inverse_time", "cosine"]
)
def test_decays_start_at_the_rate_and_never_rise(name: str) -> None:
    rates = [SCHEDULES[name](t) for t in range(30)]
    assert rates[0] == 0.5
    assert all(after <= before for before, after in pairwise(rates))


@given(lr=st.floats(1e-6, 10.0), steps=st.integers(4, 500), warm=st.floats(0.26, 0.9))
def test_one_cycle_rises_to_its_peak_and_falls_from_it(lr: float, steps: int, warm: float) -> None:
    rates = np.array([one_cycle(lr, steps=steps, warm=warm)(t) for t in range(steps + 5)])
    peak = warm * steps - 1
    t = np.arange(steps + 5)
    assert (np.diff(rates[t <= peak]) > 0).all()
    assert (np.diff(rates[t >= peak]) <= 0).all()
    assert rates.max() <= lr * (1 + 1e-15)
    assert_allclose(rates[0], lr / 25, rtol=1e-14)
    # lr - (lr - end) leaves a rounding error of 1e-16 lr on an end of 4e-6 lr.
    assert_allclose(rates[steps - 1 :], lr / 25e4, rtol=1e-9)


def test_an_inverse_time_sum_grows_without_bound_while_its_squares_do_not() -> None:
    # The two conditions of Robbins and Monro (1951), at decay 1: harmonic numbers.
    rates = np.array([inverse_time(1.0, decay=1.0)(t) for t in range(100_000)])
    euler_mascheroni = 0.5772156649015329
    assert_allclose(rates.sum(), np.log(1e5) + euler_mascheroni + 0.5e-5, rtol=1e-12)
    assert_allclose((rates**2).sum(), np.pi**2 / 6, rtol=1e-5)  # the tail is 1 / 100,000


@given(period=st.integers(1, 20), growth=st.integers(1, 4), cycles=st.integers(1, 4))
def test_restarts_come_after_periods_that_grow_by_the_factor(
    period: int, growth: int, cycles: int
) -> None:
    starts = [sum(period * growth**i for i in range(c)) for c in range(cycles + 1)]
    schedule = cosine_restarts(1.0, period=period, growth=growth, final=0.25)
    rates = [schedule(t) for t in range(starts[-1] + 1)]
    assert [rates[s] for s in starts] == [1.0] * len(starts)
    for i, (begin, end) in enumerate(pairwise(starts)):
        # Each period alone is the cosine of its length, and its rates average to the middle of
        # lr and final plus (lr - final)/(2 length), since the last step has not arrived.
        assert all(after < before for before, after in pairwise(rates[begin:end]))
        length = period * growth**i
        assert_allclose(np.mean(rates[begin:end]), 0.625 + 0.375 / length, rtol=1e-12)
