"""Take times fairly: contenders in turns, round by round, and ratios within a round.

A machine's speed drifts within minutes and jumps when somebody else uses it. Two contenders that
run right after one another see the same machine, so each round gives a ratio that drift does not
touch; the median of these ratios is what is reported, with its quartiles.

On one core the clock is the processor's: it stands still while somebody else has the core. On
several it is the one on the wall, since work that is shared out would count twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PURE, FAST = "optlearn", "optlearn[fast]"
OURS = (PURE, FAST)


class AbsentError(Exception):
    """A contender cannot take part; the message says why."""


@dataclass
class Contender:
    """One way to compute something.

    Attributes
    ----------
    run : callable
        What is timed. It returns when the work is done.
    short : callable, optional
        A shorter piece of the same work, whose numbers are compared; see `few`.
    reset : callable
        Called before each turn, untimed: back to the common start.
    result : callable
        Returns the numbers that all contenders must share, as one array.
    expected : callable, optional
        Returns what they should be, where that is not what the first contender computes.
    per : int
        How many steps a call of `run` takes: times are per step.
    tolerance : float
        How far the result may be from what is expected; see `apart`.
    """

    run: Callable[[], Any]
    reset: Callable[[], Any] = lambda: None
    short: Callable[[], Any] | None = None
    result: Callable[[], Any] | None = None
    expected: Callable[[], Any] | None = None
    per: int = 1
    tolerance: float = 1e-4


def fast_extra() -> Any:
    """Return the module `optlearn.fast` where it can be switched on.

    Raises
    ------
    AbsentError
        Where it cannot.
    """
    try:
        import optlearn.fast as fast
    except ImportError as error:
        raise AbsentError(f"optlearn.fast: {error}") from None
    before = fast.enabled
    try:
        fast.enabled = True
    except Exception as error:
        raise AbsentError(f"optlearn.fast: {error}") from None
    working = bool(fast.enabled)
    fast.enabled = before
    if not working:
        raise AbsentError("optlearn.fast is off: numba is not installed")
    return fast


def switch(name: str) -> None:
    """Turn the compiled kernels on for those with [fast] in their name, off for everybody else."""
    try:
        fast = fast_extra()
    except AbsentError:
        return
    fast.enabled = "[fast]" in name


def build(
    makers: dict[str, Callable[[], Contender]], missing: dict[str, str]
) -> tuple[dict[str, Contender], dict[str, float]]:
    """Make every contender that can be made, warm it up, and check what it computes.

    Returns the contenders, and how far each one's numbers are from what they should be. Those that
    fail or compute something else are left out, and `missing` gets their reasons.
    """
    made: dict[str, Contender] = {}
    distance: dict[str, float] = {}
    reference = None
    for name, make in makers.items():
        if name in missing:
            continue
        try:
            if "[fast]" in name:
                fast_extra()
            switch(name)
            contender = make()
            contender.reset()
            (contender.short or contender.run)()
            if contender.result:
                found = np.asarray(contender.result(), dtype=np.float64)
                reference = found if reference is None else reference
                expected = contender.expected() if contender.expected else reference
                distance[name] = apart(found, expected)
                if not distance[name] <= contender.tolerance:
                    raise AbsentError(f"computes something else: {distance[name]} apart")
            if contender.short:
                contender.reset()
                contender.run()
            made[name] = contender
        except Exception as error:
            missing[name] = reason(error)
    return made, distance


def apart(found: Any, expected: Any) -> float:
    """Return what nine in ten coordinates of two vectors differ by, in units of the second's size.

    Nine in ten, because of `few`: a rule that is wrong is wrong in more of them.
    """
    size = np.sqrt(np.mean(np.square(expected)))
    return float(f"{np.percentile(np.abs(found - expected), 90) / size:.1e}")


def reason(error: Exception) -> str:
    """Return an error as one line of a table."""
    line = (str(error).strip().splitlines() or [""])[0]
    text = line if isinstance(error, AbsentError) else f"{type(error).__name__}: {line}"
    return text[:200]


def clock() -> float:
    """Return seconds: the processor's where there is one core for all threads, else the wall's."""
    one = os.environ.get("OMP_NUM_THREADS") == "1"
    return time.process_time() if one else time.perf_counter()


def take_turns(
    made: dict[str, Contender], rounds: int, prepare: Callable[[str], Any] = switch
) -> dict[str, list[float]]:
    """Return each contender's microseconds a step, a number for each round."""
    times: dict[str, list[float]] = {name: [] for name in made}
    order = list(made)
    for turn in range(rounds):
        first = turn % len(order)
        for name in order[first:] + order[:first]:
            contender = made[name]
            prepare(name)
            contender.reset()
            begin = clock()
            contender.run()
            seconds = clock() - begin
            times[name].append(float(f"{seconds / contender.per * 1e6:.4g}"))
    return times


def few(data: tuple[Any, Any], batch_size: int) -> tuple[Any, Any]:
    """Return the first five batches.

    Adam's first step for a weight has the length of the rate, however small the gradient, and a
    last bit decides on which side of its corner a ReLU is. So in single precision a few weights
    part after five steps, and all of them after some hundred.
    """
    return data[0][: 5 * batch_size], data[1][: 5 * batch_size]


def quartiles(values: Any) -> list[float]:
    """Return first quartile, median and third quartile, to five digits."""
    return [float(f"{q:.5g}") for q in np.percentile(values, [25, 50, 75])]


def rows(
    table: str,
    case: dict[str, Any],
    makers: dict[str, Callable[[], Contender]],
    *,
    rounds: int,
    missing: dict[str, str],
    notes: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Measure one case of a table and return a row for each contender.

    `missing` is changed: it has the reasons of those that did not take part in this case.
    """
    made, agreement = build(makers, missing)
    times = take_turns(made, rounds)
    switch(PURE)
    return [
        {
            "table": table,
            "case": case,
            "contender": name,
            "times": times[name],
            "microseconds": quartiles(times[name]),
            "over": {
                ours: quartiles(np.divide(times[name], times[ours]))
                for ours in OURS
                if ours in times and ours != name
            },
            "agrees_to": agreement.get(name),
            "note": (notes or {}).get(name, ""),
        }
        for name in times
    ]


def repeated(step: Callable[[], Any], seconds: float = 0.02) -> tuple[Callable[[], None], int]:
    """Return `step` repeated until it takes a while, and how often that is."""
    step()
    begin = clock()
    step()
    count = max(1, round(seconds / max(clock() - begin, 1e-7)))

    def run() -> None:
        for _ in range(count):
            step()

    return run, count


def chosen(names: Sequence[str], makers: dict[str, Any]) -> dict[str, Any]:
    """Return those makers that are asked for."""
    return {name: make for name, make in makers.items() if name in names}
