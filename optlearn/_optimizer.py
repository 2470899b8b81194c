"""What every optimizer shares: the checks, the learning rate, the state and its memory.

`optlearn.optimizers` holds the update rules themselves; this module is the plumbing that keeps
them short. A step is refused before anything is changed, or it is carried out whole.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from optlearn._checks import (
    Array,
    all_finite,
    check_array,
    check_nonnegative,
    check_out,
    check_positive,
)
from optlearn._fast_steps import fused_update
from optlearn._memory import aligned_zeros, blocks

__all__ = ["Optimizer", "check_optimizer"]


class Optimizer:
    """Base of the optimizers: call `step` with parameters and gradient, get new parameters.

    Parameters
    ----------
    lr : float > 0, array, or callable
        The learning rate. An array must broadcast against theta: ``(n,)`` for a rate per
        parameter (0 freezes one), ``(runs, 1)`` for a rate per run. A callable is a schedule: it
        gets the number of steps already taken, 0, 1, …, and returns the rate of the next one.

    Attributes
    ----------
    t : int
        Number of steps taken.
    """

    _states: ClassVar[tuple[str, ...]] = ()  # names of the arrays that start at 0
    _averages: ClassVar[tuple[str, ...]] = ()  # those of them that average gradients
    _mean_squares: ClassVar[tuple[str, ...]] = ()  # and those that average their squares

    def __init__(self, lr: Any) -> None:
        self.lr = lr
        self.reset()

    @property
    def lr(self) -> Any:
        """Learning rate; it may be replaced between two steps."""
        return self._lr

    @lr.setter
    def lr(self, lr: Any) -> None:
        self._lr = _check_lr(lr)
        self._cast_lr: Array | None = None

    def reset(self) -> None:
        """Forget every step: t and all states are 0 again."""
        self.t = 0
        self._like: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        for name in self._states:
            setattr(self, name, 0.0)

    def copy(self) -> Self:
        """Return an independent optimizer in the same state."""
        return copy.deepcopy(self)

    def step(self, theta: Any, grad: Any, out: Array | None = None) -> Array:
        """Take one step and return the new parameters.

        Parameters
        ----------
        theta : ndarray, shape (n,) or (runs, n)
            Parameters, float32 or float64; not changed unless passed as `out` too.
        grad : ndarray, shape and dtype of `theta`
            Gradient of the loss at `theta`; not changed.
        out : ndarray, optional
            Where to write the result: ``out=theta`` updates in place and, after the first step,
            allocates nothing. The numbers are the same to the bit.

        Returns
        -------
        ndarray, shape and dtype of `theta`

        Raises
        ------
        TypeError, ValueError
            If shapes or dtypes differ, anything is NaN or infinite, or the shape is not that of
            the steps before. A refused step leaves the optimizer and `out` as they were.
        """
        theta = check_array("theta", theta, finite=False)
        if theta.dtype not in (np.float32, np.float64):
            raise TypeError(f"theta must be float32 or float64, got {theta.dtype}")
        if theta.ndim == 0:
            raise ValueError("theta must have shape (n,) or (runs, n), got ()")
        grad = check_array("grad", grad, finite=False)
        if grad.shape != theta.shape:
            raise ValueError(f"grad has shape {grad.shape}, theta has shape {theta.shape}")
        if grad.dtype != theta.dtype:
            raise TypeError(f"grad has dtype {grad.dtype}, theta has dtype {theta.dtype}")
        if not all_finite(theta, grad):
            check_array("theta", theta)
            check_array("grad", grad)
        self._check_state(theta)
        if out is not None:
            out = check_out("out", out, theta, grad)
            if np.may_share_memory(out, grad):  # theta is its own gradient, and is overwritten
                grad = grad.copy()
        return self._advance(theta, grad, np.empty_like(theta) if out is None else out)

    def _begin(self, theta: Array) -> Callable[[Array, Array, Array], Array]:
        """Check `theta` once and return the step to take with it, for a loop that checks the rest.

        A subclass that overrides `step` keeps its own.
        """
        self._check_state(theta)
        if not callable(self.lr):
            self._rate(theta)  # refuses a rate of another shape
        return self._advance if type(self).step is Optimizer.step else self.step

    def _advance(self, theta: Array, grad: Array, out: Array) -> Array:
        """Take a step whose arguments have been checked."""
        rate = self._rate(theta)
        if self._like is None:
            self._allocate(theta)
        self.t += 1
        if fused_update(self, theta, grad, rate, out):
            pass  # a compiled kernel has done what follows
        elif len(self._blocks) == 1:
            self._update(theta, grad, rate, out, *self._scratch)
        else:
            self._update_in_blocks(theta, grad, rate, out)
        if self.t % 64 == 0:
            self._flush()
        return out

    def _allocate(self, theta: Array) -> None:
        """Set up the states, and scratch memory for the largest block of them."""
        self._like = theta.shape, theta.dtype
        self._blocks = blocks(theta.shape, theta.dtype)
        for name in self._states:
            setattr(self, name, aligned_zeros(theta.shape, theta.dtype))
        block = theta[self._blocks[0]].shape
        self._scratch = aligned_zeros(block, theta.dtype), aligned_zeros(block, bool)

    def _update_in_blocks(self, theta: Array, grad: Array, rate: Any, out: Array) -> None:
        """Update a large theta part by part: each stays in the cache for the whole rule."""
        states = {name: getattr(self, name) for name in self._states}
        a, mask = self._scratch
        each = not isinstance(rate, float) and rate.ndim == theta.ndim and len(rate) > 1
        try:
            for cut in self._blocks:
                for name, state in states.items():
                    setattr(self, name, state[cut])
                part, rows = theta[cut], len(theta[cut])
                part_rate = rate[cut] if each else rate
                self._update(part, grad[cut], part_rate, out[cut], a[:rows], mask[:rows])
        finally:
            for name, state in states.items():
                setattr(self, name, state)

    def _check_state(self, theta: Array) -> None:
        """Refuse parameters that are not like those of the steps before."""
        if self._like is not None and self._like != (theta.shape, theta.dtype):
            shape, dtype = self._like
            raise ValueError(
                f"theta has shape {theta.shape} and dtype {theta.dtype}, earlier steps had "
                f"{shape} and {dtype}; call reset() or make a new optimizer"
            )

    def _flush(self) -> None:
        """Set to 0 what has faded to almost nothing in the averages.

        Where gradients stay 0 (a pixel that is never lit again, a dead unit) an average shrinks
        at each step until it is a subnormal number, which it stays for ever, since 0.9 of the
        smallest one rounds to itself. Processors are slow on those: on MNIST in float32 a step
        came to take more than twice as long after four epochs. What is dropped of a gradient has
        a square far below the smallest number there is, and cannot be seen beside any other
        term; of squares it is the subnormal ones, if the root of none can be seen beside `eps`.
        """
        number = np.finfo(self._scratch[0].dtype)
        limits = dict.fromkeys(self._averages, number.tiny / number.eps)
        eps = getattr(self, "eps", 0.0)  # the rules that average squares have one
        if eps * number.eps > math.sqrt(number.tiny):
            limits |= dict.fromkeys(self._mean_squares, number.tiny)
        for name, limit in limits.items():
            for cut in self._blocks:
                part = getattr(self, name)[cut]
                a, mask = (scratch[: len(part)] for scratch in self._scratch)
                np.less(np.abs(part, out=a), limit, out=mask)
                np.copyto(part, 0, where=mask)

    def _rate(self, theta: Array) -> Any:
        """Return the rate of the next step as a float, or as an array in theta's dtype."""
        rate = self.lr
        if callable(rate):
            rate = _check_lr(rate(self.t), scheduled=True)
        if isinstance(rate, float):
            return rate
        fits = rate.ndim <= theta.ndim and all(
            r in (1, n) for r, n in zip(rate.shape[::-1], theta.shape[::-1], strict=False)
        )
        if not fits:
            raise ValueError(f"lr has shape {rate.shape}, theta has shape {theta.shape}")
        if rate.dtype == theta.dtype:
            return rate
        if callable(self.lr):
            return rate.astype(theta.dtype)
        if self._cast_lr is None or self._cast_lr.dtype != theta.dtype:
            self._cast_lr = rate.astype(theta.dtype)  # once, not at every step
        return self._cast_lr

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, mask: Array
    ) -> None:
        """Advance the states and write the new parameters to `out`, which may be `theta`.

        `a` and `mask` are scratch memory in the shape of theta, of its dtype and of booleans.
        A large theta comes in blocks, each with its part of the states: a rule that mixes
        coordinates (by a norm, say) must override `_update_in_blocks` as well.
        """
        raise NotImplementedError


def _check_lr(lr: Any, *, scheduled: bool = False) -> Any:
    """Return a learning rate as a float, an array or a callable."""
    if callable(lr) and not scheduled:
        return lr
    if not isinstance(lr, np.ndarray | list | tuple) or np.ndim(lr) == 0:
        return check_nonnegative("lr", lr) if scheduled else check_positive("lr", lr)
    rate = check_array("lr", lr)
    if rate.dtype.kind != "f":
        raise TypeError(f"lr must be real, got {rate.dtype}")
    if rate.min() < 0:
        raise ValueError(f"lr must be >= 0 everywhere, got {rate.min()}")
    if rate.max() == 0 and not scheduled:
        raise ValueError("lr must be > 0 somewhere, got only zeros")
    return rate.copy()


def check_optimizer(optimizer: Any) -> None:
    """Refuse anything that is not an optimizer of this package."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an optlearn Optimizer, got {optimizer!r}")
