"""Walk over a test function and keep the whole path; `optlearn.training` makes it available."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlearn._checks import Array, NonFiniteError, check_array, check_integer
from optlearn._function import Function
from optlearn._optimizer import Optimizer, check_optimizer

__all__ = ["Path", "minimize"]


@dataclass(frozen=True)
class Path:
    """Where `minimize` went.

    Attributes
    ----------
    theta : ndarray, shape (steps + 1, ..., n)
        The start and the point after every step.
    loss : ndarray, shape (steps + 1, ...)
        The function's value at each.
    diverged : bool
        Whether the run left the finite numbers; then the arrays end with the last finite point.
    message : str
        How the run ended.
    """

    theta: Array
    loss: Array
    diverged: bool
    message: str


def minimize(function: Function, theta0: Any, optimizer: Optimizer, steps: int) -> Path:
    """Let `optimizer` walk over `function` from `theta0`, and keep the path.

    Parameters
    ----------
    function : optlearn.functions.Function
    theta0 : array_like, shape (n,) or (runs, n)
        The start; not changed.
    optimizer : Optimizer
        Used as it is: a fresh one starts with empty memory.
    steps : int, >= 1

    Returns
    -------
    Path

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these or the shapes do not fit. Divergence raises nothing: it
        ends the path early and is told in `Path.message`.

    Examples
    --------
    >>> from optlearn.functions import Quadratic
    >>> from optlearn.optimizers import GradientDescent
    >>> path = minimize(Quadratic([1.0]), [1.0], GradientDescent(0.5), 3)
    >>> path.theta[:, 0].tolist(), path.message
    ([1.0, 0.5, 0.25, 0.125], 'took 3 steps')
    """
    if not isinstance(function, Function):
        raise TypeError(f"function must be an optlearn Function, got {function!r}")
    check_optimizer(optimizer)
    steps = check_integer("steps", steps)
    theta = check_array("theta0", theta0)
    if theta.dtype.kind == "c":
        raise TypeError(f"theta0 must be real, got {theta.dtype}")
    if theta.ndim == 0 or theta.shape[-1] != function.dimension:
        raise ValueError(f"theta0 must have shape (..., {function.dimension}), got {theta.shape}")
    # The path is written as it is walked: each step leads from one row to the next.
    start = np.asarray(function.value(theta))
    points = np.empty((steps + 1, *theta.shape), theta.dtype)
    losses = np.empty((steps + 1, *start.shape), start.dtype)
    points[0], losses[0] = theta, start
    taken, message = 0, f"took {steps} steps"
    value, gradient = _unchecked(function, "value"), _unchecked(function, "gradient")
    # The first step is checked in all respects; after it only numbers can go wrong.
    take_step: Callable[..., Array] = optimizer.step
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            for taken in range(steps):
                here, there = points[taken], points[taken + 1]
                grad = gradient(here)
                if not math.isfinite(np.vdot(grad, grad)):
                    check_array("grad", grad)  # large but finite numbers pass
                take_step(here, grad, there)
                if not math.isfinite(np.vdot(there, there)):
                    check_array("theta", there)
                if taken == 0:
                    take_step = optimizer._begin(there)
                losses[taken + 1] = now = value(there)
                if not (math.isfinite(now) if start.ndim == 0 else np.isfinite(now).all()):
                    raise NonFiniteError(f"the function must be finite, got {np.max(now)}")
            taken = steps
        except NonFiniteError as error:
            message = f"diverged after {taken} steps: {error}; try a smaller lr"
    diverged = taken < steps
    if diverged:
        points, losses = points[: taken + 1].copy(), losses[: taken + 1].copy()
    return Path(points, losses, diverged, message)


def _unchecked(function: Function, name: str) -> Callable[[Array], Any]:
    """Return the callable behind a method of `function`, or the method where it was replaced."""
    own = getattr(type(function), name) is getattr(Function, name)
    method: Callable[[Array], Any] = getattr(function, f"_{name}" if own else name)
    return method
