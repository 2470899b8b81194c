r"""Comparing: what a table of runs says about which method is better (chapter 10).

A table of `optlearn.sweeps` holds losses; a comparison needs the cost of a target, the width of
the range of good rates, what a tuning budget buys, and whether a difference is more than chance.
Every function takes arrays and returns numbers; none of them trains anything.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from optlearn._checks import (
    Array,
    check_array,
    check_flag,
    check_fraction,
    check_integer,
    check_nonnegative,
    check_positive,
    check_real,
)

__all__ = [
    "evaluations_to_target",
    "expected_best",
    "good_range",
    "paired_difference",
    "performance_profile",
    "seeds_needed",
]


def evaluations_to_target(losses: Any, target: float, *, cost: float = 1.0) -> Any:
    r"""Return what it costs until the loss is at or below a target for the first time.

    Parameters
    ----------
    losses : ndarray, shape (..., steps + 1)
        Losses from the start on: entry t belongs to the parameters after t steps. NaN, as after
        a divergence, reaches nothing.
    target : float
    cost : float, > 0
        Of one step, in per-sample gradients: the batch size. With 1 the result counts steps.

    Returns
    -------
    float or ndarray, shape (...)
        ``cost * t`` for the first t that reaches the target; infinity where none does.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Examples
    --------
    >>> evaluations_to_target(np.array([[4.0, 2.0, 0.9, 1.1], [4.0, 3.0, 2.0, 1.5]]), 1.0, cost=32)
    array([64., inf])
    """
    losses = _losses("losses", losses)
    reached = losses <= check_real("target", target, "finite")
    first = np.where(reached.any(axis=-1), reached.argmax(axis=-1), np.inf)
    return _plain(first * check_positive("cost", cost))


def performance_profile(times: Any, factors: Any) -> Array:
    r"""Return on which fraction of the tasks a method is within a factor of the best.

    .. math:: \rho_m(\tau) = \frac1P\,\#\{p : t_{m,p} \le \tau \min_k t_{k,p}\}

    At :math:`\tau = 1` it is the fraction of wins, for large :math:`\tau` that of tasks solved at
    all. It depends on which methods are compared: it says how far each is from the best of them,
    and a method may lose its lead over a second one when a third is added.

    Parameters
    ----------
    times : array, shape (methods, tasks)
        Positive costs; infinity where a method did not reach the target. A task that no method
        solves counts against all of them.
    factors : array, shape (F,)
        The factors :math:`\tau \ge 1`.

    Returns
    -------
    ndarray, shape (methods, F)

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a time is not positive or NaN, or a factor is below 1.

    References
    ----------
    E. D. Dolan and J. J. Moré, Mathematical Programming 91, 201-213 (2002), section 2.

    Examples
    --------
    >>> performance_profile([[10.0, 30.0], [20.0, 10.0], [15.0, np.inf]], [1, 2, 3]).tolist()
    [[0.5, 0.5, 1.0], [0.5, 1.0, 1.0], [0.0, 0.5, 0.5]]
    """
    times = check_array("times", times, targets=True, finite=False)
    factors = check_array("factors", factors, targets=True)
    if times.ndim != 2:
        raise ValueError(f"times must have shape (methods, tasks), got {times.shape}")
    if not (times > 0).all():
        raise ValueError(f"times must be > 0, got {times[~(times > 0)][0]}")
    if factors.ndim != 1 or factors.min() < 1:
        raise ValueError(f"factors must be >= 1 and have shape (F,), got {factors.tolist()}")
    limits = times.min(axis=0)[:, None] * factors  # (tasks, F)
    within = (times[:, :, None] <= limits) & np.isfinite(times)[:, :, None]
    return np.asarray(within.mean(axis=1))


def paired_difference(a: Any, b: Any) -> tuple[Any, Any]:
    r"""Return the mean of a - b over seeds and its standard error.

    .. math:: \bar d = \frac1n\sum_s d_s, \qquad
        \mathrm{se} = \frac{1}{\sqrt n}\sqrt{\frac{1}{n-1}\sum_s (d_s - \bar d)^2}, \qquad
        d_s = a_s - b_s

    Whatever a seed does to both, an easy split or a lucky start, drops out of its difference.

    Parameters
    ----------
    a, b : array, shape (..., seeds)
        Entry s of both comes from the same seed: the same data, start and order. Two or more.

    Returns
    -------
    mean, standard_error : float or ndarray, shape (...)

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, there is one seed, or a value is not finite.

    Examples
    --------
    >>> mean, error = paired_difference([0.93, 0.95, 0.91], [0.92, 0.93, 0.91])
    >>> round(mean, 4), round(error, 4)
    (0.01, 0.0058)
    """
    a, b = check_array("a", a, targets=True), check_array("b", b, targets=True)
    if a.shape != b.shape:
        raise ValueError(f"b must have the shape of a, {a.shape}, got {b.shape}")
    if a.ndim == 0 or a.shape[-1] < 2:
        raise ValueError(f"a must have shape (..., seeds) with 2 seeds or more, got {a.shape}")
    difference = np.subtract(a, b, dtype=np.float64)
    error = difference.std(axis=-1, ddof=1) / math.sqrt(a.shape[-1])
    return _plain(difference.mean(axis=-1)), _plain(error)


def seeds_needed(difference: float, sd: float, *, errors: float = 4.0, power: float = 0.9) -> int:
    r"""Return how many seeds show a difference with a given probability.

    .. math:: n = \left\lceil \left(\frac{(c + z_p)\,\sigma}{\delta}\right)^2 \right\rceil

    With n pairs the mean difference is normal around :math:`\delta` with standard error
    :math:`\sigma/\sqrt n`; it exceeds c standard errors with probability p if
    :math:`\delta\sqrt n/\sigma = c + z_p`, where :math:`\Phi(z_p) = p`. The standard deviation
    counts as known. Where it is estimated from the same few seeds, a few more are needed.

    Parameters
    ----------
    difference : float, not 0
        The true mean difference, of either sign.
    sd : float, >= 0
        Standard deviation of the paired differences, seed by seed.
    errors : float, > 0
        How many standard errors count as a difference.
    power : float, in (0, 1)

    Returns
    -------
    int
        At least 2.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Examples
    --------
    A gain of half a percentage point under a spread of one point:

    >>> seeds_needed(0.5, 1.0), seeds_needed(0.5, 1.0, errors=1.96, power=0.8)
    (112, 32)
    """
    if (delta := check_real("difference", difference, "finite and not 0")) == 0:
        raise ValueError("difference must be finite and not 0, got 0")
    quantile = NormalDist().inv_cdf(check_fraction("power", power, zero=False))
    needed = max(check_positive("errors", errors) + quantile, 0.0)
    return max(2, math.ceil((needed * check_nonnegative("sd", sd) / delta) ** 2))


def expected_best(values: Any, tries: int, *, minimize: bool = True) -> float:
    r"""Return the mean of the best of k results that are drawn at random without replacement.

    With the n results sorted from best to worst, :math:`v_{(1)}, \dots, v_{(n)}`,

    .. math:: \mathbb{E} = \sum_{i=1}^{n-k+1} \binom{n-i}{k-1} \binom{n}{k}^{-1} v_{(i)} .

    It is what k trials of a random search would have found, if the n are a random sample of what
    it tries; over such samples its mean is right (Tang et al.). Dodge et al. draw with
    replacement, which makes the best look worse than it is.

    Parameters
    ----------
    values : array, shape (n,)
        A result for each setting tried. Infinity is allowed where a run failed and `minimize` is
        true (minus infinity where it is not): it counts as worse than any other.
    tries : int, from 1 to n
    minimize : bool
        Whether the smallest is the best, or the largest.

    Returns
    -------
    float
        Infinite as long as all tries may fail.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    J. Dodge, S. Gururangan, D. Card, R. Schwartz and N. A. Smith, EMNLP 2019. R. Tang, J. Lee,
    J. Xin, X. Liu, Y. Yu and J. Lin, ACL 2020, section 3.

    Examples
    --------
    >>> [round(expected_best([0.5, 0.1, 0.4, 0.2], k), 4) for k in (1, 2, 4)]
    [0.3, 0.1833, 0.1]
    """
    values = _losses("values", values)
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError(f"values must have shape (n,) and no NaN, got {values.tolist()}")
    n, tries = len(values), check_integer("tries", tries)
    if tries > n:
        raise ValueError(f"tries must be <= {n}, the number of values, got {tries}")
    ordered = np.sort(values if check_flag("minimize", minimize) else -values)
    if ordered[0] == -np.inf:
        raise ValueError(f"values must be no better than any number, got {values.tolist()}")
    chances = [math.comb(n - i, tries - 1) / math.comb(n, tries) for i in range(1, n - tries + 2)]
    best = math.fsum(c * v for c, v in zip(chances, ordered.tolist(), strict=False))
    return best if minimize else -best


def good_range(rates: Any, losses: Any, limit: float) -> tuple[float, float]:
    r"""Return the lowest and the highest rate of the unbroken good range around the best rate.

    Its width in decades, :math:`\log_{10}(\eta_{\max}/\eta_{\min})`, says how badly one may guess
    the rate. It is known to one step of the grid, and cut off where the grid ends.

    Parameters
    ----------
    rates : array, shape (R,), increasing and > 0
    losses : array, shape (R,)
        A loss for each rate; NaN or infinite where a run failed.
    limit : float
        The largest loss that counts as good.

    Returns
    -------
    lowest, highest : float
        Both NaN if no loss is good.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or the rates do not increase from above 0.

    Examples
    --------
    >>> good_range([0.01, 0.1, 1.0, 10.0], [0.9, 0.2, 0.3, np.inf], 0.5)
    (0.1, 1.0)
    """
    rates, losses = check_array("rates", rates, targets=True), _losses("losses", losses)
    if rates.ndim != 1 or losses.shape != rates.shape:
        raise ValueError(f"losses must have shape (R,) = {rates.shape}, got {losses.shape}")
    if rates[0] <= 0 or (np.diff(rates) <= 0).any():
        raise ValueError(f"rates must be increasing and > 0, got {rates.tolist()}")
    good = losses <= check_real("limit", limit, "finite")
    if not good.any():
        return math.nan, math.nan
    low = high = int(np.where(good, losses, np.inf).argmin())
    while low > 0 and good[low - 1]:
        low -= 1
    while high < len(rates) - 1 and good[high + 1]:
        high += 1
    return float(rates[low]), float(rates[high])


def _losses(name: str, value: Any) -> Array:
    """Return real numbers, of which some may be NaN or infinite, with an axis at least."""
    array = check_array(name, value, targets=True, finite=False)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must be real, got {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{name} must have an axis of its own, got shape {array.shape}")
    return array.astype(np.float64)


def _plain(array: Any) -> Any:
    """Return a float in place of an array without axes."""
    return float(array) if np.ndim(array) == 0 else np.asarray(array)
