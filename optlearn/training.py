r"""Training: the loops around an optimizer (chapters 04 and 05).

`minimize` walks over a test function and keeps the whole path; `fit` trains a network on
mini-batches and keeps a `History`. A run that diverges stops, says so and keeps what it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from optlearn._checks import (
    Array,
    NonFiniteError,
    check_array,
    check_flag,
    check_integer,
    check_labels,
    check_out,
    check_positive,
    check_rng,
)
from optlearn._fast_network import fused_pass
from optlearn._memory import aligned_copy, aligned_zeros
from optlearn._minimize import Path, minimize
from optlearn._optimizer import Optimizer, check_optimizer
from optlearn.losses import _unchecked, softmax_cross_entropy
from optlearn.networks import MLP, Loss

__all__ = ["History", "Path", "accuracy", "clip_by_norm", "fit", "minibatches", "minimize"]


@dataclass
class History:
    """What `fit` saw, epoch by epoch and step by step.

    Attributes
    ----------
    theta : ndarray, shape (n,)
        The parameters at the end; with `patience`, those of the best epoch.
    loss : list of float
        Mean training loss of each epoch, averaged over its samples while they were used.
    step_loss, grad_norm : list of float
        Batch loss and gradient norm (before clipping) of each step.
    validation_loss, validation_accuracy : list of float
        After each epoch, where validation data were given (accuracy for integer labels only).
    gradient_evaluations : int
        Number of per-sample gradients computed.
    epochs : int
        Number of epochs completed.
    best_epoch : int or None
        Which epoch, from 1, had the lowest validation loss.
    diverged : bool
    message : str
        How the run ended.
    """

    theta: Array
    loss: list[float] = field(default_factory=list)
    step_loss: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    gradient_evaluations: int = 0
    epochs: int = 0
    best_epoch: int | None = None
    diverged: bool = False
    message: str = ""


def minibatches(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield the indices of one epoch: every sample once, in a fresh random order.

    Parameters
    ----------
    n : int, >= 1
        Number of samples.
    batch_size : int, from 1 to n
        The last batch is smaller where n is no multiple of it; average with its true size.
    rng : numpy.random.Generator

    Yields
    ------
    ndarray of int, shape (batch_size,) or shorter

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; raised at the call, not at the first batch.

    Examples
    --------
    >>> [len(batch) for batch in minibatches(10, 4, np.random.default_rng(0))]
    [4, 4, 2]
    """
    n, batch_size = _check_batches(n, batch_size, rng)
    order = rng.permutation(n)
    return (order[start : start + batch_size] for start in range(0, n, batch_size))


def fit(
    network: MLP,
    theta: Any,
    data: tuple[Any, Any],
    optimizer: Optimizer,
    *,
    loss: Loss = softmax_cross_entropy,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    validation: tuple[Any, Any] | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    progress: bool = False,
) -> History:
    """Train a network on mini-batches.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,)
        Start; not changed. The result is `History.theta`.
    data : (x, y)
        Inputs (N, d_0) and targets, N of them.
    optimizer : Optimizer
        Used as it is, and left in its final state.
    loss : callable
        See `MLP.loss_and_grad`.
    epochs : int, >= 1
    batch_size : int, from 1 to N
    rng : numpy.random.Generator
        Shuffles the data anew for each epoch.
    validation : (x, y), optional
        Evaluated after each epoch; never trained on.
    clip_norm : float, > 0, optional
        Longest gradient let through; see `clip_by_norm`.
    patience : int, >= 1, optional
        Stop after that many epochs without a lower validation loss and return the best theta.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these or the shapes do not fit. Divergence raises nothing: the
        history ends there and says so in `History.message`.

    Examples
    --------
    >>> from optlearn.datasets import blobs
    >>> from optlearn.optimizers import Adam
    >>> rng = np.random.default_rng(0)
    >>> x, y = blobs(300, spread=0.1, rng=rng)
    >>> network = MLP((2, 8, 3))
    >>> history = fit(
    ...     network, network.init(rng), (x, y), Adam(0.01), epochs=10, batch_size=20, rng=rng
    ... )
    >>> history.message, history.gradient_evaluations
    ('trained for 10 epochs', 3000)
    >>> accuracy(network, history.theta, x, y)
    1.0
    """
    theta = aligned_copy(_check_theta(network, theta))
    x, y = _check_pair("data", data)
    check_optimizer(optimizer)
    epochs = check_integer("epochs", epochs)
    _check_batches(len(x), batch_size, rng)
    held_out = None if validation is None else _check_pair("validation", validation)
    limit = None if clip_norm is None else check_positive("clip_norm", clip_norm)
    if patience is not None:
        patience = check_integer("patience", patience)
        if held_out is None:
            raise ValueError(f"patience needs validation data, got patience={patience} alone")
    x = x.astype(theta.dtype, copy=False)
    grad = aligned_zeros(theta.shape, theta.dtype)
    network.loss_and_grad(theta, x[:1], y[:1], loss, out=grad)
    for inputs, targets in [(x, y)] if held_out is None else [(x, y), held_out]:
        # What does not fit is refused now, not in mid-training and not as divergence.
        network.forward(theta, inputs[:1])
        loss(np.zeros((len(inputs), network.sizes[-1]), theta.dtype), targets)

    history, lowest = History(theta), np.inf
    layers, slots = network.unpack(theta), network.unpack(grad)  # views: they see every step
    take_step = optimizer._begin(theta)
    batch_loss = _unchecked(loss)  # all labels have been checked above
    rows = aligned_zeros((batch_size, x.shape[1]), x.dtype)
    fused = fused_pass(network, theta, grad, x, y, loss)  # compiled, where it can be
    bar = tqdm(range(1, epochs + 1), disable=not check_flag("progress", progress), unit="epoch")
    with bar, np.errstate(over="ignore", invalid="ignore"):
        for epoch in bar:
            try:
                for batch in minibatches(len(x), batch_size, rng):
                    if fused is not None:
                        value = fused(batch)
                    else:
                        # "clip" lets take write without a copy; no index is out of range.
                        inputs = x.take(batch, axis=0, out=rows[: len(batch)], mode="clip")
                        value = network._backpropagate(layers, slots, inputs, y[batch], batch_loss)
                    step_loss, norm = _finite("loss", value), _finite("gradient", _norm(grad))
                    if limit is not None and norm > limit:
                        grad *= limit / norm
                    take_step(theta, grad, theta)
                    history.step_loss.append(step_loss)
                    history.grad_norm.append(norm)
                    history.gradient_evaluations += len(batch)
                check_array("theta", theta)
                history.loss.append(_epoch_mean(history.step_loss, len(x), batch_size))
                if held_out is not None:
                    _validate(network, theta, held_out, loss, history)
            except NonFiniteError as error:
                history.diverged = True
                history.message = (
                    f"diverged in epoch {epoch} after {len(history.step_loss)} steps: {error}; "
                    "try a smaller lr or clip_norm"
                )
                break
            history.epochs = epoch
            if held_out is None:
                continue
            if history.validation_loss[-1] < lowest:
                lowest, history.best_epoch = history.validation_loss[-1], epoch
                if patience is not None:
                    history.theta = theta.copy()
            elif patience is not None and epoch - (history.best_epoch or 0) >= patience:
                history.message = (
                    f"stopped after {epoch} epochs: no lower validation loss since epoch "
                    f"{history.best_epoch}"
                )
                break
    history.message = history.message or f"trained for {history.epochs} epochs"
    return history


def accuracy(network: MLP, theta: Any, x: Any, y: Any) -> float:
    """Return the fraction of samples whose predicted class is the label.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,)
    x : ndarray, shape (batch, d_0)
    y : array_like of int, shape (batch,), or (batch, 1) for a network with one output

    Returns
    -------
    float, from 0 to 1

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or labels are not integers.

    Examples
    --------
    >>> network = MLP((1, 2))
    >>> theta = np.array([-1.0, 1.0, 0.0, 0.0])  # logits -x and x
    >>> accuracy(network, theta, np.array([[-2.0], [3.0], [5.0]]), [0, 1, 0])
    0.6666666666666666
    """
    theta = _check_theta(network, theta)
    predicted = network.predict(theta, x)
    labels = check_labels("y", y, max(network.sizes[-1], 2))
    if labels.shape not in (predicted.shape, (*predicted.shape, 1)):
        raise ValueError(f"y must have shape {predicted.shape}, got {labels.shape}")
    return float((predicted == labels.reshape(predicted.shape)).mean())


def clip_by_norm(grad: Any, max_norm: float, out: Array | None = None) -> tuple[Array, float]:
    r"""Shorten a gradient to `max_norm` where it is longer, and keep its direction.

    Parameters
    ----------
    grad : ndarray, shape (n,)
        Not changed unless passed as `out` too.
    max_norm : float, > 0
    out : ndarray, shape and dtype of grad, optional

    Returns
    -------
    clipped : ndarray, shape (n,)
    norm : float
        The length before clipping.

    Raises
    ------
    TypeError, ValueError
        If `grad` is not a finite floating vector, `max_norm` is not positive, or `out` does not
        fit.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013, arXiv:1211.5063, Algorithm 1.

    Examples
    --------
    >>> clipped, norm = clip_by_norm(np.array([3.0, 4.0]), 1.0)
    >>> clipped.round(12).tolist(), norm
    ([0.6, 0.8], 5.0)
    """
    grad = check_array("grad", grad)
    if grad.ndim != 1:
        raise ValueError(f"grad must have shape (n,), got {grad.shape}")
    max_norm = check_positive("max_norm", max_norm)
    out = np.empty_like(grad) if out is None else check_out("out", out, grad)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = _norm(grad)
    np.multiply(grad, min(1.0, max_norm / norm) if norm > 0 else 1.0, out=out)
    return out, norm


def _check_batches(n: Any, batch_size: Any, rng: Any) -> tuple[int, int]:
    """Refuse arguments of `minibatches` without drawing from `rng`."""
    n, batch_size = check_integer("n", n), check_integer("batch_size", batch_size)
    check_rng("rng", rng)
    if batch_size > n:
        raise ValueError(f"batch_size must be <= n = {n}, got {batch_size}")
    return n, batch_size


def _norm(grad: Array) -> float:
    """Return the Euclidean length of a vector, also where its square overflows."""
    norm = math.sqrt(np.vdot(grad, grad))
    if math.isinf(norm):
        largest = float(np.abs(grad).max())
        norm = largest * float(np.linalg.norm(grad / largest))
    return norm


def _finite(name: str, value: Any) -> float:
    """Return a number as a float; an infinite one ends the run."""
    if not math.isfinite(value):
        raise NonFiniteError(f"the {name} must be finite, got {value}")
    return float(value)


def _epoch_mean(step_loss: list[float], n: int, batch_size: int) -> float:
    """Average the last epoch's batch losses over samples: a ragged last batch counts less."""
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    return float(np.dot(step_loss[-len(sizes) :], sizes) / n)


def _validate(
    network: MLP, theta: Array, held_out: tuple[Array, Array], loss: Loss, history: History
) -> None:
    """Append validation loss, and accuracy where the targets are class numbers."""
    x, y = held_out
    history.validation_loss.append(
        _finite("validation loss", loss(network.forward(theta, x), y)[0])
    )
    outputs = network.sizes[-1]
    one_each = y.ndim == 1 or (outputs == 1 and y.shape == (len(y), 1))
    if one_each and y.dtype.kind in "iu" and y.min() >= 0 and y.max() < max(outputs, 2):
        history.validation_accuracy.append(accuracy(network, theta, x, y))


def _check_theta(network: Any, theta: Any) -> Array:
    """Return `theta` as one run's parameters of `network`."""
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an optlearn MLP, got {network!r}")
    array = check_array("theta", theta)
    if array.shape != (network.n_parameters,):
        raise ValueError(f"theta must have shape ({network.n_parameters},), got {array.shape}")
    return array


def _check_pair(name: str, value: Any) -> tuple[Array, Array]:
    """Return inputs and targets as arrays of one length."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a tuple (x, y), got {type(value).__name__}")
    x, y = check_array(f"{name} x", value[0]), check_array(f"{name} y", value[1], targets=True)
    if x.ndim != 2 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"{name} must be x of shape (N, d) and N targets, got {x.shape} and {y.shape}"
        )
    return x, y
