"""Which fused kernel makes an optimizer's step, and with which numbers (`optlearn.fast`).

The table goes by the very function that says how an optimizer is updated: a subclass that writes
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
    update = optimizer._update
    launch = LAUNCHES.get((update.__module__, update.__qualname__))
    if launch is None or not (out.flags.carray and grad.flags.carray):
        return False
    if out is not theta:
        np.copyto(out, theta)  # the kernels work in place
    rates = None
    if not isinstance(rate, float):
        rates, rate = _flat(np.ascontiguousarray(np.broadcast_to(rate, theta.shape))), 1.0
    launch(kernels, optimizer, _flat(out), _flat(grad), rate, rates)
    return True


def _flat(array: Array) -> Array:
    """Return the elements of a block as a vector."""
    return array if array.ndim == 1 else array.reshape(-1)


def _descent(kernels: Any, _: Any, theta: Array, grad: Array, rate: float, rates: Any) -> None:
    kernels.descent(theta, grad, rate, rates)


def _momentum(kernels: Any, o: Any, theta: Array, grad: Array, rate: float, rates: Any) -> None:
    weight = 1 - o.beta if o.form == "ema" else 1.0
    ahead = True if o.form == "nesterov" else None
    kernels.momentum(theta, grad, _flat(o.u), rate, rates, o.beta, weight, ahead)


def _adagrad(kernels: Any, o: Any, theta: Array, grad: Array, rate: float, rates: Any) -> None:
    squares = _flat(o.s)
    kernels.scaled(theta, grad, squares, rate, rates, 1.0, 1.0, 0.0, o.eps, o.eps == 0)


def _rmsprop(kernels: Any, o: Any, theta: Array, grad: Array, rate: float, rates: Any) -> None:
    c = _weights(o.rho, o.t, o.bias_correction)
    factor, inside, outside = math.sqrt(c), *_epsilons(o, c)
    squares, still = _flat(o._squares), o.eps == 0
    kernels.scaled(
        theta, grad, squares, rate * factor, rates, factor, o.rho, inside, outside, still
    )


def _adam(
    kernels: Any, o: Any, theta: Array, grad: Array, rate: float, rates: Any, decay: Any = None
) -> None:
    c1 = _weights(o.beta1, o.t, o.bias_correction)
    c2 = _weights(o.beta2, o.t, o.bias_correction)
    factor, inside, outside = math.sqrt(c2) / c1, *_epsilons(o, c2)
    keep = None if decay is None or rates is not None else 1 - rate * decay
    keeps = None if decay is None or rates is None else 1 - rates * decay
    largest = _flat(o._largest) if o.amsgrad else None
    kernels.adam(
        theta,
        grad,
        _flat(o._sum),
        _flat(o._squares),
        largest,
        rate * factor,
        rates,
        factor,
        keep,
        keeps,
        o.beta1,
        o.beta2,
        inside,
        outside,
        o.eps == 0,
    )


def _adamw(kernels: Any, o: Any, theta: Array, grad: Array, rate: float, rates: Any) -> None:
    _adam(kernels, o, theta, grad, rate, rates, o.weight_decay)


def _weights(beta: float, t: int, corrected: bool) -> float:
    """Add up the weights of a running sum, as `optlearn.adaptive` explains."""
    return (1 - beta**t if corrected else 1.0) / (1 - beta)


def _epsilons(o: Any, c: float) -> tuple[float, float]:
    """Return what is added inside the root and outside it: epsilon belongs to squares / c."""
    return (o.eps * c, 0.0) if o.eps_inside else (0.0, o.eps * math.sqrt(c))


Launch = Callable[[Any, Any, Array, Array, float, Any], None]
LAUNCHES: dict[tuple[str, str], Launch] = {
    ("optlearn.optimizers", "GradientDescent._update"): _descent,
    ("optlearn.optimizers", "Momentum._update"): _momentum,
    ("optlearn.adaptive", "AdaGrad._update"): _adagrad,
    ("optlearn.adaptive", "RMSProp._update"): _rmsprop,
    ("optlearn.adaptive", "Adam._update"): _adam,
    ("optlearn.adaptive", "AdamW._update"): _adamw,
}
