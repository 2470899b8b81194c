r"""Schedules: the learning rate as a pure function of the step (chapters 04, 05 and 09).

Each function here returns a schedule: a callable of the number of steps already taken, 0, 1, …,
that returns the rate of the next step. An optimizer takes it wherever it takes a number:
``Adam(cosine(1e-3, steps=1000))``. A schedule remembers nothing, so it can be plotted, asked
twice or resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from optlearn._checks import check_fraction, check_integer, check_nonnegative, check_positive

__all__ = [
    "Schedule",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "inverse_time",
    "linear_warmup",
    "one_cycle",
    "step_decay",
    "warmup_then",
]

Schedule = Callable[[int], float]
"""A callable of the number of steps already taken that returns the next learning rate."""


def constant(lr: float) -> Schedule:
    """Return the same rate at every step.

    Parameters
    ----------
    lr : float, > 0

    Examples
    --------
    >>> [constant(0.1)(t) for t in (0, 1000)]
    [0.1, 0.1]
    """
    lr = check_positive("lr", lr)
    return _checked(lambda t: lr)


def step_decay(lr: float, *, every: int, factor: float = 0.5) -> Schedule:
    r"""Multiply by `factor` after each `every` steps: :math:`\eta f^{\lfloor t/k\rfloor}`.

    Parameters
    ----------
    lr : float, > 0
    every : int, >= 1
        Steps between two drops.
    factor : float, in (0, 1]

    Examples
    --------
    >>> [step_decay(1.0, every=10)(t) for t in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """
    lr, every = check_positive("lr", lr), check_integer("every", every)
    factor = check_fraction("factor", factor, zero=False, one=True)
    return _checked(lambda t: lr * factor ** (t // every))


def exponential(lr: float, *, rate: float) -> Schedule:
    r"""Multiply the rate by `rate` at each step: :math:`\eta\,r^t`.

    Parameters
    ----------
    lr : float, > 0
    rate : float, in (0, 1]

    Examples
    --------
    >>> [exponential(1.0, rate=0.5)(t) for t in (0, 1, 2)]
    [1.0, 0.5, 0.25]
    """
    lr = check_positive("lr", lr)
    rate = check_fraction("rate", rate, zero=False, one=True)
    return _checked(lambda t: lr * rate**t)


def inverse_time(lr: float, *, decay: float) -> Schedule:
    r"""Let the rate fall as :math:`\eta/(1 + dt)`, the decay that Robbins and Monro allow.

    Parameters
    ----------
    lr : float, > 0
    decay : float, > 0
        d, per step: the rate has halved after 1/d steps.

    Examples
    --------
    >>> [inverse_time(1.0, decay=1.0)(t) for t in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """
    lr, decay = check_positive("lr", lr), check_positive("decay", decay)
    return _checked(lambda t: lr / (1 + decay * t))


def cosine(lr: float, *, steps: int, final: float = 0.0) -> Schedule:
    r"""Fall from `lr` to `final` along half a cosine over `steps` steps, then stay.

    Parameters
    ----------
    lr : float, > 0
    steps : int, >= 1
        The step count at which `final` is reached.
    final : float, >= 0, at most `lr`

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts,
    ICLR 2017, arXiv:1608.03983, equation 5.

    Examples
    --------
    >>> [round(cosine(1.0, steps=4)(t), 4) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.8536, 0.5, 0.0, 0.0]
    """
    lr, steps = check_positive("lr", lr), check_integer("steps", steps)
    final = check_nonnegative("final", final)
    if final > lr:
        raise ValueError(f"final must be <= lr = {lr}, got {final}")

    def rate(t: int) -> float:
        return final + (lr - final) * 0.5 * (1 + math.cos(math.pi * min(t, steps) / steps))

    return _checked(rate)


def cosine_restarts(lr: float, *, period: int, growth: int = 1, final: float = 0.0) -> Schedule:
    r"""Fall along half a cosine, jump back to `lr`, fall again over a longer period, and so on.

    Period i = 0, 1, … has :math:`k g^i` steps. Its first step has the rate `lr`; `final` would be
    reached at the step that the next period begins with, so that no step has it. The shape of
    PyTorch's ``CosineAnnealingWarmRestarts``.

    Parameters
    ----------
    lr : float, > 0
    period : int, >= 1
        k, the number of steps before the first restart.
    growth : int, >= 1
        g, how much longer each period is than the one before.
    final : float, >= 0, at most `lr`

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts,
    ICLR 2017, arXiv:1608.03983, equation 5; `growth` is their T_mult.

    Examples
    --------
    >>> [round(cosine_restarts(1.0, period=2, growth=2)(t), 4) for t in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """
    period, growth = check_integer("period", period), check_integer("growth", growth)
    cosine(lr, steps=period, final=final)  # refuses a wrong `lr` or `final` at once

    def rate(t: int) -> float:
        length = period
        if growth == 1:
            t %= length
        while t >= length:
            t, length = t - length, length * growth
        return cosine(lr, steps=length, final=final)(t)

    return _checked(rate)


def linear_warmup(lr: float, *, steps: int) -> Schedule:
    r"""Rise linearly, :math:`\eta(t+1)/k`, to `lr` over the first `steps` steps, then stay.

    The first step already moves: its rate is lr/steps, not 0.

    Parameters
    ----------
    lr : float, > 0
    steps : int, >= 1

    Examples
    --------
    >>> [linear_warmup(1.0, steps=4)(t) for t in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return warmup_then(constant(lr), steps=steps)


def one_cycle(
    lr: float,
    *,
    steps: int,
    warm: float = 0.3,
    start_divisor: float = 25.0,
    final_divisor: float = 1e4,
) -> Schedule:
    r"""Rise along a cosine from lr/25 to `lr`, then fall along a cosine to almost nothing.

    The shape of PyTorch's ``OneCycleLR``: the peak is at step ``warm * steps - 1``, the end,
    ``lr / start_divisor / final_divisor``, at step ``steps - 1``, and it stays there. Smith and
    Topin rise and fall along straight lines, with a last stretch of very small rates; the two
    cosines are those of the libraries, PyTorch's after fastai's.

    Parameters
    ----------
    lr : float, > 0
        The peak.
    steps : int, >= 2
        Length of the cycle.
    warm : float, in (0, 1)
        Fraction of the steps spent rising.
    start_divisor, final_divisor : float, > 0
        The start is lr/start_divisor; the end is the start over final_divisor.

    References
    ----------
    L. N. Smith and N. Topin, Super-convergence: very fast training of neural networks using
    large learning rates, arXiv:1708.07120.

    Examples
    --------
    >>> schedule = one_cycle(1.0, steps=11, warm=3 / 11)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 10)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    lr, steps = check_positive("lr", lr), check_integer("steps", steps, minimum=2)
    warm = check_fraction("warm", warm, zero=False)
    start = lr / check_positive("start_divisor", start_divisor)
    end = start / check_positive("final_divisor", final_divisor)
    peak, last = warm * steps - 1, steps - 1
    if peak <= 0:
        raise ValueError(f"warm * steps must be > 1, got {warm} * {steps}")

    def between(a: float, b: float, fraction: float) -> float:
        return b + (a - b) / 2 * (1 + math.cos(math.pi * fraction))

    def rate(t: int) -> float:
        if t <= peak:
            return between(start, lr, t / peak)
        return between(lr, end, (min(t, last) - peak) / (last - peak))

    return _checked(rate)


def warmup_then(schedule: Schedule, *, steps: int) -> Schedule:
    """Rise linearly to where `schedule` starts, then follow it.

    Parameters
    ----------
    schedule : callable
        Followed from its own step 0 once the `steps` steps of warm-up are over.
    steps : int, >= 1
        Length of the warm-up.

    Examples
    --------
    >>> schedule = warmup_then(exponential(1.0, rate=0.5), steps=2)
    >>> [schedule(t) for t in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.25]
    """
    if not callable(schedule):
        raise TypeError(f"schedule must be a callable of the step, got {schedule!r}")
    steps = check_integer("steps", steps)

    def rate(t: int) -> float:
        return schedule(0) * (t + 1) / steps if t < steps else schedule(t - steps)

    return _checked(rate)


def _checked(rate: Schedule) -> Schedule:
    """Refuse a step that is not an integer from 0 on."""

    def schedule(t: Any) -> float:
        return rate(check_integer("t", t, minimum=0))

    return schedule
