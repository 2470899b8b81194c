"""Comparisons: counted by hand, against enumeration, SciPy and simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from optlearn.comparing import (
    evaluations_to_target,
    expected_best,
    good_range,
    paired_difference,
    performance_profile,
    seeds_needed,
)


def test_the_start_costs_nothing_and_the_first_time_counts() -> None:
    assert evaluations_to_target([1.0, 3.0, 0.5], 1.0) == 0
    assert evaluations_to_target([5.0, 3.0, 1.0, 2.0, 0.0], 1.0, cost=64) == 128
    assert isinstance(evaluations_to_target([1, 0], 0), float)


def test_a_target_that_is_not_reached_costs_infinity_and_nan_reaches_nothing() -> None:
    runs = np.array([[3.0, 2.0, 1.5], [3.0, np.nan, np.nan], [3.0, np.nan, 0.5]])
    np.testing.assert_array_equal(evaluations_to_target(runs, 1.0), [np.inf, np.inf, 2])
    assert evaluations_to_target(np.zeros((2, 3, 4)), 1.0).shape == (2, 3)


def test_steps_of_gradient_descent_are_those_of_its_closed_form() -> None:
    losses = 0.5 * 0.8 ** (2 * np.arange(100))
    wanted = np.ceil(np.log(1e-6 / 0.5) / (2 * np.log(0.8)))
    assert evaluations_to_target(losses, 1e-6) == wanted


def test_a_profile_is_the_wins_at_one_and_the_solved_at_infinity() -> None:
    times = np.array([[1.0, 8.0, np.inf, np.inf], [2.0, 4.0, 7.0, np.inf]])
    profile = performance_profile(times, [1.0, 1.99, 2.0, 1e9])
    np.testing.assert_array_equal(profile, [[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 0.75, 0.75]])


def test_a_profile_has_no_units_and_rises() -> None:
    times = np.random.default_rng(0).lognormal(size=(4, 9))
    units = np.array([1.0, 1e3, 0.1, 7, 8, 2, 3, 4, 5])
    factors = np.geomspace(1, 50, 30)
    profile = performance_profile(times, factors)
    np.testing.assert_array_equal(profile, performance_profile(times * units, factors))
    assert np.all(np.diff(profile, axis=1) >= 0)
    assert profile[:, 0].sum() == pytest.approx(1)  # no ties


def test_a_third_method_can_turn_two_others_round() -> None:
    a, b, c = [1.0, 1.0, 3.0], [2.0, 2.0, 1.0], [0.5, 0.5, 1.0]
    assert performance_profile([a, b], [1.5])[:, 0].tolist() == [2 / 3, 1 / 3]
    assert performance_profile([a, b, c], [1.5])[:2, 0].tolist() == [0, 1 / 3]


def test_paired_differences_are_those_of_the_t_test() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(3, 12))
    b = a + rng.normal(0.3, 0.2, size=(3, 12))
    mean, error = paired_difference(a, b)
    np.testing.assert_allclose(mean / error, stats.ttest_rel(a, b, axis=-1).statistic)
    assert paired_difference([1, 2], [1, 0]) == (1.0, 1.0)


def test_counts_of_small_integers_do_not_wrap() -> None:
    few, many = np.array([200, 210], dtype=np.uint8), np.array([201, 215], dtype=np.uint8)
    assert paired_difference(few, many) == (-3.0, 2.0)
    assert expected_best(few, 1, minimize=False) == 205.0
    assert evaluations_to_target(many, 210.0, cost=300) == 0.0


def test_what_a_seed_does_to_both_drops_out() -> None:
    rng = np.random.default_rng(2)
    a, b, common = rng.normal(size=20), rng.normal(size=20), rng.normal(size=20)
    np.testing.assert_allclose(
        paired_difference(a + 100 * common, b + 100 * common), paired_difference(a, b), rtol=1e-11
    )


@pytest.mark.parametrize(("delta", "errors", "power"), [(0.5, 4, 0.9), (-0.3, 2, 0.5)])
def test_as_many_seeds_have_the_power_asked_for_and_one_less_has_not(delta, errors, power) -> None:
    n = seeds_needed(delta, 1.0, errors=errors, power=power)
    power_of = [stats.norm.sf(errors - abs(delta) * np.sqrt(k)) for k in (n - 1, n)]
    assert power_of[0] < power <= power_of[1]
    assert seeds_needed(delta / 7, 1 / 7, errors=errors, power=power) in (n, n + 1)


def test_no_spread_needs_two_seeds_for_an_error() -> None:
    assert seeds_needed(0.1, 0.0) == 2
    assert seeds_needed(1e6, 1.0) == 2
    assert seeds_needed(0.1, 1.0, errors=0.1, power=0.01) == 2


@pytest.mark.parametrize("tries", range(1, 7))
def test_the_expected_best_is_the_mean_over_all_subsets(tries) -> None:
    values = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    subsets = list(combinations(values, tries))
    np.testing.assert_allclose(expected_best(values, tries), np.mean([min(s) for s in subsets]))
    largest = expected_best(values, tries, minimize=False)
    np.testing.assert_allclose(largest, np.mean([max(s) for s in subsets]))


def test_the_best_of_k_uniforms_is_expected_at_k_over_k_plus_1() -> None:
    samples = np.random.default_rng(3).random((2000, 12))
    found = [expected_best(sample, 5, minimize=False) for sample in samples]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - 5 / 6) < 4 * error < 0.01


def test_a_failed_trial_is_the_worst_and_counts_as_long_as_it_can_be_alone() -> None:
    values = [0.2, np.inf, 0.4, np.inf]
    assert expected_best(values, 2) == np.inf
    assert expected_best(values, 3) == pytest.approx((2 * 0.2 + 2 * 0.2 * 0 + 1 * 0.2 + 0.4) / 4)
    assert expected_best([-np.inf, 0.5], 2, minimize=False) == 0.5


def test_the_good_range_is_unbroken_and_around_the_best() -> None:
    rates = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert good_range(rates, [0.3, 0.9, 0.2, 0.1, 0.3, 0.31], 0.3) == (0.4, 1.6)
    assert good_range(rates, [0.1, 0.2, 0.9, 0.2, 0.2, 0.2], 0.5) == (0.1, 0.2)
    assert good_range(rates, [9, 9, 9, 0.2, np.nan, 0.2], 0.5) == (0.8, 0.8)
    assert good_range(rates, [1, 1, 1, 1, 1, np.inf], 1) == (0.1, 1.6)
    assert good_range(rates, [3, 2, 1, 2, 3, 3], 3) == (0.1, 3.2)
    assert np.isnan(good_range(rates, [9, 9, 9, np.nan, np.inf, 9], 0.5)).all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: evaluations_to_target([], 1.0), ValueError, "losses must not be empty"),
        (lambda: evaluations_to_target(3.0, 1.0), ValueError, "losses must have an axis"),
        (lambda: evaluations_to_target([1j], 1.0), TypeError, "losses must be real"),
        (lambda: evaluations_to_target(["a"], 1.0), TypeError, "losses must be floating"),
        (lambda: evaluations_to_target([1.0], np.nan), ValueError, "target must be finite"),
        (lambda: evaluations_to_target([1.0], "0"), TypeError, "target must be a real number"),
        (lambda: evaluations_to_target([1.0], 1.0, cost=0), ValueError, "cost must be > 0, got 0"),
        (lambda: performance_profile([1.0], [1.0]), ValueError, "times must have shape"),
        (lambda: performance_profile([[0.0]], [1.0]), ValueError, "times must be > 0, got 0"),
        (lambda: performance_profile([[np.nan]], [1.0]), ValueError, "times must be > 0, got nan"),
        (lambda: performance_profile([[1.0]], [1.0, 0.95]), ValueError, "factors must be >= 1"),
        (lambda: performance_profile([[1.0]], [[1.0]]), ValueError, "factors must be >= 1"),
        (lambda: performance_profile([[1.0]], [np.inf]), ValueError, "factors must be finite"),
        (lambda: paired_difference([1.0, 2.0], [1.0]), ValueError, "b must have the shape of a"),
        (lambda: paired_difference([1.0], [1.0]), ValueError, "a must have shape"),
        (lambda: paired_difference([1.0, np.nan], [1.0, 2.0]), ValueError, "a must be finite"),
        (lambda: paired_difference([1, 2], [1.0, np.inf]), ValueError, "b must be finite"),
        (lambda: seeds_needed(0.0, 1.0), ValueError, "difference must be finite and not 0"),
        (lambda: seeds_needed(np.inf, 1.0), ValueError, "difference must be finite and not 0"),
        (lambda: seeds_needed(0.1, -1.0), ValueError, "sd must be >= 0"),
        (lambda: seeds_needed(0.1, 1.0, errors=0.0), ValueError, "errors must be > 0"),
        (lambda: seeds_needed(0.1, 1.0, power=1.0), ValueError, r"power must be in \(0, 1\)"),
        (lambda: expected_best([[1.0]], 1), ValueError, r"values must have shape \(n,\)"),
        (lambda: expected_best([np.nan], 1), ValueError, "values must have shape"),
        (lambda: expected_best([-np.inf, 1.0], 1), ValueError, "values must be no better"),
        (lambda: expected_best([1.0], 0), ValueError, "tries must be >= 1, got 0"),
        (lambda: expected_best([1.0], 2), ValueError, "tries must be <= 1"),
        (lambda: expected_best([1.0], 1.0), TypeError, "tries must be an integer"),
        (lambda: expected_best([1.0], 1, minimize=0), TypeError, "minimize must be"),
        (lambda: good_range([1.0, 2.0], [1.0], 1.0), ValueError, "losses must have shape"),
        (lambda: good_range([2.0, 1.0], [1.0, 1.0], 1.0), ValueError, "rates must be increasing"),
        (lambda: good_range([0.0, 1.0], [1.0, 1.0], 1.0), ValueError, "rates must be increasing"),
        (lambda: good_range([1.0], [1.0], np.inf), ValueError, "limit must be finite"),
    ],
)
def test_bad_inputs_are_refused_by_name(call, error, says) -> None:
    with pytest.raises(error, match=says):
        call()
