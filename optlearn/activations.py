r"""Activations: the bend between two layers, with its derivative (chapters 01 and 03).

Without one, a stack of layers is a single matrix. A hidden activation here is a pair of
functions: the value ``a = phi(z)``, and the derivative written in terms of ``a``, because ``a``
is what the forward pass leaves behind. `sigmoid`, `softmax` and `log_softmax` turn logits into
probabilities, and are exact for logits of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from optlearn._checks import Array, check_array

__all__ = ["ACTIVATIONS", "Activation", "log_softmax", "minus_abs", "sigmoid", "softmax"]


def sigmoid(z: Any) -> Array:
    r"""Squash logits to probabilities: :math:`\sigma(z) = 1/(1+e^{-z})`, exact in both tails.

    Parameters
    ----------
    z : array_like
        Logits, any shape.

    Returns
    -------
    ndarray, shape of `z`
        Values between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If `z` is not floating, is empty, or holds NaN or infinities.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _logistic(check_array("z", z))


def softmax(z: Any) -> Array:
    r"""Turn logits to probabilities that sum to 1: :math:`e^{z_c}/\sum_k e^{z_k}`.

    Parameters
    ----------
    z : array_like, shape (..., classes)
        Logits.

    Returns
    -------
    ndarray, shape of `z`

    Raises
    ------
    TypeError, ValueError
        If `z` is not floating, has no axis, is empty, or holds NaN or infinities.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    with np.errstate(under="ignore"):
        return np.exp(log_softmax(z))


def log_softmax(z: Any) -> Array:
    r"""Return :math:`z_c - \log\sum_k e^{z_k}` without overflow and without log of 0.

    Parameters
    ----------
    z : array_like, shape (..., classes)
        Logits.

    Returns
    -------
    ndarray, shape of `z`

    Raises
    ------
    TypeError, ValueError
        If `z` is not floating, has no axis, is empty, or holds NaN or infinities.

    Examples
    --------
    >>> log_softmax(np.array([1000.0, 0.0])).tolist()
    [0.0, -1000.0]
    """
    z = check_array("z", z)
    if z.ndim < 1:
        raise ValueError(f"z must have shape (..., classes), got {z.shape}")
    with np.errstate(under="ignore"):
        shifted = z - z.real.max(axis=-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _logistic(z: Array) -> Array:
    """Return the sigmoid of an array that has been checked."""
    with np.errstate(under="ignore"):
        small = np.exp(minus_abs(z))  # never above 1, so nothing overflows
        return np.asarray(np.where(z.real > 0, 1, small) / (1 + small))


def minus_abs(z: Array) -> Array:
    """Return -abs(z) by the sign of the real part, which keeps it analytic for complex step."""
    return np.where(z.real > 0, -z, z)


class Activation(NamedTuple):
    r"""A hidden activation :math:`a = \varphi(z)` and :math:`\varphi'(z)` as a function of a."""

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


ACTIVATIONS: dict[str, Activation] = {
    # max(z, 0); the derivative at the kink is taken as 0, as in PyTorch.
    "relu": Activation(
        lambda z: np.maximum(z, 0) if z.dtype.kind == "f" else np.where(z.real > 0, z, 0),
        lambda a: a.real > 0,
    ),
    "tanh": Activation(np.tanh, lambda a: 1 - a * a),
    "sigmoid": Activation(lambda z: _logistic(z), lambda a: a * (1 - a)),
    "identity": Activation(lambda z: z, lambda a: np.ones_like(a)),
}
