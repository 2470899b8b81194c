"""Which fused kernel makes an optimizer's step, and with which numbers (`optlearn.fast`).

The table goes by the class that says how an optimizer is updated: a subclass that writes
its own ``_update`` keeps it, and so does whatever is not laid out in memory as one block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn import fast
from optlearn._checks import Array

__all__ = ["fused_update"]


def fused_update(optimizer: Any, theta: Array, grad: Array, rate: Any, out: Array) -> bool:
    """Carry out the optimizer's `_update` with a kernel, and tell whether there was one for it."""
    kernels = fast.kernels()
    if kernels is None:
        return False
    launch = _launch_of(type(optimizer))
    if launch is None or not _fits(theta, grad, out):
        return False
    if out is not theta:
        np.copyto(out, theta)  # the kernels work in place
    if isinstance(rate, float):
        launch(optimizer, kernels, out, grad, rate, None, None)
    else:
        rates = np.ascontiguousarray(rate)
        each = True if rates.shape[-1] > 1 else None  # None costs nothing in a kernel
        launch(optimizer, kernels, out, grad, 1.0, rates, each)
    return True


def _launch_of(kind: type) -> Launch | None:
    """Return the kernel for the class that wrote the rule: a subclass's own rule has none."""
    writer = next(c for c in kind.__mro__ if "_update" in vars(c))
    return LAUNCHES.get((writer.__module__, writer.__qualname__))


def _fits(theta: Array, grad: Any, out: Array) -> bool:
    """Tell whether theta and gradient are alike, and each is one block of memory."""
    return (
        out.flags.carray
        and out.ndim <= 2
        and type(grad) is np.ndarray
        and grad.flags.carray
        and grad.dtype == theta.dtype
        and grad.shape == theta.shape
    )


def _descent(
    _: Any, kernels: Any, theta: Array, grad: Array, rate: float, rates: Any, each: Any
) -> None:
    kernels.descent(theta, grad, rate, rates, each)


def _momentum(
    o: Any, kernels: Any, theta: Array, grad: Array, rate: float, rates: Any, each: Any
) -> None:
    weight = 1 - o.beta if o.form == "ema" else 1.0
    ahead = True if o.form == "nesterov" else None
    kernels.momentum(theta, grad, o.u, rate, rates, each, o.beta, weight, ahead)


def _adagrad(
    o: Any, kernels: Any, theta: Array, grad: Array, rate: float, rates: Any, each: Any
) -> None:
    numbers = 1.0, 1.0, 0.0, o.eps, o.eps == 0
    kernels.scaled(theta, grad, o.s, rate, rates, each, *numbers)


def _rmsprop(
    o: Any, kernels: Any, theta: Array, grad: Array, rate: float, rates: Any, each: Any
) -> None:
    c = _weights(o.rho, o.t, o.bias_correction)
    rate, factor = _times(rate, rates, math.sqrt(c))
    numbers = factor, o.rho, *_epsilons(o, c), o.eps == 0
    kernels.scaled(theta, grad, o._squares, rate, rates, each, *numbers)


def _adam(
    o: Any,
    kernels: Any,
    theta: Array,
    grad: Array,
    rate: float,
    rates: Any,
    each: Any,
    decay: float | None = None,
) -> None:
    c1 = _weights(o.beta1, o.t, o.bias_correction)
    c2 = _weights(o.beta2, o.t, o.bias_correction)
    keep = keeps = None
    if decay is not None:
        keep = 1 - rate * decay
        keeps = None if rates is None else 1 - rates * decay
    rate, factor = _times(rate, rates, math.sqrt(c2) / c1)
    states = o._sum, o._squares, o._largest if o.amsgrad else None
    numbers = factor, keep, keeps, o.beta1, o.beta2, *_epsilons(o, c2), o.eps == 0
    kernels.adam(theta, grad, *states, rate, rates, each, *numbers)


def _adamw(
    o: Any, kernels: Any, theta: Array, grad: Array, rate: float, rates: Any, each: Any
) -> None:
    _adam(o, kernels, theta, grad, rate, rates, each, o.weight_decay)


def _times(rate: float, rates: Any, factor: float) -> tuple[float, float]:
    """Multiply a rate and a factor once, and not at every parameter, where there is one rate."""
    return (rate * factor, 1.0) if rates is None else (rate, factor)


def _weights(beta: float, t: int, corrected: bool) -> float:
    """Add up the weights of a running sum, as `optlearn.adaptive` explains."""
    return (1 - beta**t if corrected else 1.0) / (1 - beta)


def _epsilons(o: Any, c: float) -> tuple[float, float]:
    """Return what is added inside the root and outside it: epsilon belongs to squares / c."""
    return (o.eps * c, 0.0) if o.eps_inside else (0.0, o.eps * math.sqrt(c))


Launch = Callable[..., None]
LAUNCHES: dict[tuple[str, str], Launch] = {
    ("optlearn.optimizers", "GradientDescent"): _descent,
    ("optlearn.optimizers", "Momentum"): _momentum,
    ("optlearn.adaptive", "AdaGrad"): _adagrad,
    ("optlearn.adaptive", "RMSProp"): _rmsprop,
    ("optlearn.adaptive", "Adam"): _adam,
    ("optlearn.adaptive", "AdamW"): _adamw,
}
