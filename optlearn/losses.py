r"""Losses: one number that says how wrong a network is, and its gradient (chapter 02).

Every loss returns ``(value, gradient)``: the mean over the batch, and the derivative of that mean
with respect to the first argument, in its shape. Losses for classification take **logits**, the
raw outputs of the last layer, because only then are they exact for confident networks: they give
ordinary numbers at logits of :math:`\pm 10^4`, where a formula on probabilities returns
infinity or NaN.

Shapes. An element-wise loss takes ``(batch,)`` or ``(batch, outputs)`` and averages over both.
Axes in front of the last two are independent runs: ``(runs, batch, outputs)`` gives ``runs``
values. `softmax_cross_entropy` takes ``(batch, classes)`` or ``(runs, batch, classes)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_labels, check_positive, check_sign_labels
from optlearn.activations import log_softmax, minus_abs, sigmoid, softmax

__all__ = [
    "binary_cross_entropy",
    "hinge",
    "huber",
    "log_softmax",
    "mean_absolute_error",
    "mean_squared_error",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
]


def mean_squared_error(prediction: Any, target: Any) -> tuple[Any, Array]:
    r"""Average the squares of the errors: :math:`\frac1B\sum_i (\hat y_i - y_i)^2`, without 1/2.

    The negative log-likelihood of Gaussian noise, up to scale and a constant. Libraries agree on
    the missing 1/2; texts that write :math:`\frac12(\hat y-y)^2` need twice our learning rate.

    Parameters
    ----------
    prediction, target : array_like, shape (batch,) or (..., batch, outputs)
        Floating predictions; targets of the same shape, integers allowed.

    Returns
    -------
    value : float, or array of the shape of the leading axes
    gradient : ndarray, shape of `prediction`
        :math:`2(\hat y_i - y_i)/B`, with B the number of averaged elements.

    Raises
    ------
    TypeError
        If an argument is not numeric.
    ValueError
        If the shapes differ, an array is empty, or an element is NaN or infinite.

    Examples
    --------
    >>> value, gradient = mean_squared_error(np.array([1.0, 4.0]), np.array([0.0, 2.0]))
    >>> float(value), gradient.tolist()
    (2.5, [1.0, 2.0])
    """
    prediction, target = _pair("prediction", prediction, "target", target)
    error = prediction - target
    return _mean(error * error), (2 / _count(error)) * error


def mean_absolute_error(prediction: Any, target: Any) -> tuple[Any, Array]:
    r"""Average the absolute errors: :math:`\frac1B\sum_i |\hat y_i - y_i|`.

    The negative log-likelihood of Laplace noise, up to scale and a constant. Its minimiser is a
    median, so one wild target moves it little. At an error of exactly 0, where the loss has a
    kink, we return the subgradient 0, as PyTorch does.

    Parameters
    ----------
    prediction, target : array_like, shape (batch,) or (..., batch, outputs)
        Floating predictions; targets of the same shape, integers allowed.

    Returns
    -------
    value : float, or array of the shape of the leading axes
    gradient : ndarray, shape of `prediction`
        :math:`\operatorname{sign}(\hat y_i - y_i)/B`.

    Raises
    ------
    TypeError, ValueError
        As in `mean_squared_error`.

    Examples
    --------
    >>> value, gradient = mean_absolute_error(np.array([1.0, 4.0]), np.array([3.0, 4.0]))
    >>> float(value), gradient.tolist()
    (1.0, [-0.5, 0.0])
    """
    prediction, target = _pair("prediction", prediction, "target", target)
    error = prediction - target
    sign = np.sign(error.real).astype(error.dtype)
    return _mean(sign * error), sign / _count(error)


def huber(prediction: Any, target: Any, *, delta: float = 1.0) -> tuple[Any, Array]:
    r"""Average a loss that is quadratic for small errors and linear for large ones.

    .. math::
        h(e) = \begin{cases} \tfrac12 e^2 & |e| \le \delta \\
                             \delta(|e| - \tfrac12\delta) & |e| > \delta \end{cases}

    Here the 1/2 is part of the definition (Huber's, and PyTorch's ``HuberLoss``), so that the
    two pieces meet with equal slope :math:`\delta`.

    Parameters
    ----------
    prediction, target : array_like, shape (batch,) or (..., batch, outputs)
        Floating predictions; targets of the same shape, integers allowed.
    delta : float, > 0
        Where the loss turns linear, in the unit of the targets.

    Returns
    -------
    value : float, or array of the shape of the leading axes
    gradient : ndarray, shape of `prediction`
        The error clipped to :math:`[-\delta, \delta]`, divided by B.

    Raises
    ------
    TypeError, ValueError
        As in `mean_squared_error`; also if `delta` is not a positive number.

    References
    ----------
    P. J. Huber, Robust estimation of a location parameter, Ann. Math. Stat. 35, 73-101 (1964).

    Examples
    --------
    >>> value, gradient = huber(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
    >>> float(value), gradient.tolist()
    (1.3125, [0.25, 0.5])
    """
    delta = check_positive("delta", delta)
    prediction, target = _pair("prediction", prediction, "target", target)
    error = prediction - target
    sign = np.sign(error.real).astype(error.dtype)
    small = np.abs(error.real) <= delta
    clipped = np.where(small, error, delta * sign)
    # e*c - c*c/2 is e^2/2 where c = e, and delta*|e| - delta^2/2 where c = delta*sign(e).
    return _mean(clipped * (error - 0.5 * clipped)), clipped / _count(error)


def binary_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Array]:
    r"""Average the negative log-likelihood of yes-or-no labels, from logits.

    .. math::
        \ell(z, y) = \max(z, 0) - z y + \log(1 + e^{-|z|})

    which equals :math:`-y\log\sigma(z) - (1-y)\log(1-\sigma(z))` but never takes the logarithm
    of a rounded probability: at z = 40, y = 0 it gives 40 where that formula gives infinity.

    Parameters
    ----------
    logits : array_like, shape (batch,) or (..., batch, outputs)
        Raw outputs; the sigmoid is inside the loss.
    labels : array_like, same shape
        0, 1, or a probability between them.

    Returns
    -------
    value : float, or array of the shape of the leading axes
    gradient : ndarray, shape of `logits`
        :math:`(\sigma(z_i) - y_i)/B`.

    Raises
    ------
    TypeError, ValueError
        As in `mean_squared_error`; also if a label lies outside [0, 1].

    Examples
    --------
    >>> value, gradient = binary_cross_entropy(np.array([0.0, 40.0]), np.array([1, 0]))
    >>> round(float(value), 4), gradient.tolist()
    (20.3466, [-0.25, 0.5])
    """
    z, y = _pair("logits", logits, "labels", labels)
    if y.min() < 0 or y.max() > 1:
        raise ValueError(f"labels must be in [0, 1], got {y.min() if y.min() < 0 else y.max()}")
    with np.errstate(under="ignore"):
        positive = np.where(z.real > 0, z, 0)
        value = positive - z * y + np.log1p(np.exp(minus_abs(z)))
        return _mean(value), (sigmoid(z) - y) / _count(z)


def softmax_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Array]:
    r"""Average the negative log-probability that softmax gives to the right class.

    .. math::
        \ell(z, y) = \log\sum_c e^{z_c} - z_y, \qquad
        \frac{\partial\ell}{\partial z} = \operatorname{softmax}(z) - \text{onehot}(y)

    The softmax is inside the loss. Feeding it probabilities instead of logits (a double softmax)
    is not an error that code can see; chapter 02 shows the floor at which such training stops.

    Parameters
    ----------
    logits : array_like, shape (..., batch, classes)
        Raw outputs.
    labels : array_like of int, shape (batch,) or (..., batch)
        The right class of every sample, from 0.

    Returns
    -------
    value, gradient
        As in `mean_squared_error`; the gradient is divided by the batch size.

    Raises
    ------
    TypeError
        If logits are not floating or labels are not integers.
    ValueError
        If shapes do not fit, a label is out of range, or a logit is NaN or infinite.

    Examples
    --------
    >>> value, gradient = softmax_cross_entropy(np.zeros((1, 10)), np.array([3]))
    >>> round(float(value), 6), round(float(gradient[0, 3]), 6)
    (2.302585, -0.9)
    """
    z = check_array("logits", logits)
    if z.ndim < 2:
        raise ValueError(f"logits must have shape (..., batch, classes), got {z.shape}")
    y = check_labels("labels", labels, z.shape[-1])
    if y.shape not in (z.shape[:-1], z.shape[-2:-1]):
        raise ValueError(f"labels must have shape {z.shape[-2:-1]} to fit logits, got {y.shape}")
    with np.errstate(under="ignore"):
        return _cross_entropy(z, y)


def hinge(logits: Any, labels: Any) -> tuple[Any, Array]:
    r"""Average :math:`\max(0, 1 - y_i z_i)`, the loss of a support vector machine.

    It stops pushing once a sample is on the right side by a margin of 1. On the kink, at
    :math:`y z = 1`, we return the subgradient 0.

    Parameters
    ----------
    logits : array_like, shape (batch,) or (..., batch, outputs)
        Raw outputs, also called scores.
    labels : array_like, same shape
        -1 or +1 (not 0 or 1).

    Returns
    -------
    value : float, or array of the shape of the leading axes
    gradient : ndarray, shape of `logits`
        :math:`-y_i/B` inside the margin, 0 outside.

    Raises
    ------
    TypeError, ValueError
        As in `mean_squared_error`; also if a label is not -1 or +1.

    Examples
    --------
    >>> value, gradient = hinge(np.array([0.5, 2.0]), np.array([1, 1]))
    >>> float(value), gradient.tolist()
    (0.25, [-0.5, 0.0])
    """
    z, y = _pair("logits", logits, "labels", check_sign_labels("labels", labels))
    inside = (y * z).real < 1
    return _mean(inside * (1 - y * z)), np.where(inside, -y, 0 * y) / _count(z)


def _pair(name: str, value: Any, target_name: str, target: Any) -> tuple[Array, Array]:
    """Return predictions and targets of one shape; targets in the predictions' precision."""
    prediction = check_array(name, value)
    target = check_array(target_name, target, targets=True)
    if prediction.ndim == 0:
        raise ValueError(f"{name} must have a batch axis, got shape {prediction.shape}")
    if target.shape not in (prediction.shape, prediction.shape[-2:]):
        raise ValueError(
            f"{target_name} must have the shape of {name}, {prediction.shape}, got {target.shape}"
        )
    return prediction, target.astype(prediction.real.dtype, copy=False)


def _count(array: Array) -> int:
    """Count the elements that one mean runs over: the batch, times the outputs."""
    return math.prod(array.shape[-2:])


def _mean(array: Array) -> Any:
    """Average over batch and outputs; axes in front of the last two stay."""
    total = np.add.reduce(array, axis=(-2, -1) if array.ndim > 1 else None)
    return total / _count(array)


def _cross_entropy(z: Array, y: Array) -> tuple[Any, Array]:
    """Compute `softmax_cross_entropy` of logits and labels that have been checked."""
    classes, front = z.shape[-1], z.shape[:-1]
    # All samples of all runs in one array, classes first: sums over few classes are fast that way.
    shifted = np.array(z.reshape(-1, classes).T, order="C")
    samples = shifted.shape[1]
    right = y if y.shape == front else np.broadcast_to(y, front)
    place = right.ravel() * samples + np.arange(samples)  # of each sample's own class
    # Softmax does not change when all logits of a sample are shifted: the largest becomes 0.
    shifted -= np.maximum.reduce(shifted.real, axis=0)
    gradient = np.exp(shifted)
    total = np.add.reduce(gradient, axis=0)
    per_sample = np.log(total) - shifted.take(place)
    gradient /= total
    gradient.reshape(-1)[place] -= 1
    value = np.add.reduce(per_sample.reshape(front), axis=-1) / front[-1]
    return value, np.divide(gradient.T, front[-1], order="C").reshape(z.shape)


def _unchecked(loss: Any) -> Any:
    """Return what computes the same, sooner, in a loop that has checked labels and sees values."""
    return _cross_entropy if loss is softmax_cross_entropy else loss
