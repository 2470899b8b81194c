r"""Runs: many networks trained at once, one for each row of theta (chapters 12 and 14).

An accuracy without its spread over seeds says little, and a spread needs many runs. Small
networks leave a processor waiting for Python, so ten of them cost hardly more than one when each
NumPy call serves all ten: theta has shape ``(runs, n)``, and the rate may differ from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from optlearn._checks import (
    Array,
    check_array,
    check_flag,
    check_integer,
    check_labels,
    check_rng,
)
from optlearn._memory import aligned_copy, aligned_zeros
from optlearn._optimizer import Optimizer, check_optimizer
from optlearn.losses import _unchecked, softmax_cross_entropy
from optlearn.networks import MLP, Loss

__all__ = ["Runs", "accuracies", "fit_runs"]


@dataclass
class Runs:
    """What `fit_runs` saw.

    Attributes
    ----------
    theta : ndarray, shape (runs, n)
        The parameters at the end, or where a run diverged.
    loss : ndarray, shape (epochs, runs)
        Mean training loss of each epoch, averaged over its samples while they were used; NaN
        from the epoch on in which a run diverged.
    diverged : ndarray of bool, shape (runs,)
    message : str
        How the runs ended.
    """

    theta: Array
    loss: Array
    diverged: Array
    message: str


def fit_runs(
    network: MLP,
    theta: Any,
    data: tuple[Any, Any],
    optimizer: Optimizer,
    *,
    loss: Loss = softmax_cross_entropy,
    epochs: int,
    batch_size: int,
    rngs: np.random.Generator | Sequence[np.random.Generator],
    progress: bool = False,
) -> Runs:
    """Train independent networks of one architecture side by side.

    Row k goes as `optlearn.training.fit` goes with that row, its data, its rate and its generator
    (to rounding). A run that diverges stops; the others go on.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (runs, n)
        A start for each run; not changed.
    data : (x, y)
        Inputs (N, d_0) that all runs share, or (runs, N, d_0); targets likewise, with or without
        `runs` in front of what `loss` takes for one run.
    optimizer : Optimizer
        Used as it is. Its `lr` may have shape (runs, 1), a rate per run; (n,), a rate per
        parameter; or (runs, n).
    loss : callable
        See `MLP.loss_and_grad`; it must return one value per run, as those of
        `optlearn.losses` do.
    epochs : int, >= 1
    batch_size : int, from 1 to N
    rngs : numpy.random.Generator, or one for each run
        Shuffle the data anew for each epoch: one order for all, or each run's own.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Runs

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these or the shapes do not fit. Divergence raises nothing.

    Examples
    --------
    Three learning rates in one go: one is slow, one is good, one is far too large.

    >>> from optlearn.datasets import blobs
    >>> from optlearn.optimizers import GradientDescent
    >>> rng = np.random.default_rng(0)
    >>> x, y = blobs(300, spread=0.1, rng=rng)
    >>> network = MLP((2, 8, 3))
    >>> theta = np.stack([network.init(rng)] * 3)
    >>> optimizer = GradientDescent(np.array([[1e-3], [0.3], [1e308]]))
    >>> runs = fit_runs(network, theta, (x, y), optimizer, epochs=5, batch_size=20, rngs=rng)
    >>> runs.loss[-1].round(1).tolist(), runs.diverged.tolist()
    ([1.1, 0.1, nan], [False, False, True])
    >>> runs.message
    'trained 3 runs for 5 epochs; 1 of them diverged: try a smaller lr there'
    """
    theta = aligned_copy(_check_theta(network, theta))
    k = len(theta)
    x, y, own_x, own_y = _check_data(data, k)
    check_optimizer(optimizer)
    epochs = check_integer("epochs", epochs)
    n = x.shape[-2]
    batch_size = check_integer("batch_size", batch_size)
    if batch_size > n:
        raise ValueError(f"batch_size must be <= N = {n}, got {batch_size}")
    orders = _check_rngs(rngs, k)
    x = x.astype(theta.dtype, copy=False)
    _refuse_what_does_not_fit(network, theta, x, y, loss)

    grad = aligned_zeros(theta.shape, theta.dtype)
    layers, slots = network.unpack(theta), network.unpack(grad)  # views: they see every step
    take_step = optimizer._begin(theta)
    batch_loss = _unchecked(loss)  # all labels have been checked above
    alive = np.ones(k, dtype=bool)
    losses = np.full((epochs, k), np.nan)
    bar = tqdm(range(epochs), disable=not check_flag("progress", progress), unit="epoch")
    with bar, np.errstate(over="ignore", invalid="ignore"):
        for epoch in bar:
            order = np.stack([rng.permutation(n) for rng in orders])
            total = np.zeros(k)
            for start in range(0, n, batch_size):
                batch = order[:, start : start + batch_size]
                inputs, targets = _take(x, batch, own_x), _take(y, batch, own_y)
                value = network._backpropagate(layers, slots, inputs, targets, batch_loss)
                total += np.multiply(value, batch.shape[1])
                alive &= np.isfinite(value) & _finite_rows(grad)
                if alive.all():
                    take_step(theta, grad, theta)
                else:
                    kept = theta[~alive]
                    take_step(theta, grad, theta)
                    theta[~alive] = kept  # or the average of its gradients would move it on
            alive &= _finite_rows(theta)
            losses[epoch, alive] = total[alive] / n
            if not alive.any():
                break
    lost = int(k - alive.sum())
    message = f"trained {k} runs for {epochs} epochs"
    if lost:
        message += f"; {lost} of them diverged: try a smaller lr there"
    return Runs(theta, losses, ~alive, message)


def accuracies(network: MLP, theta: Any, x: Any, y: Any) -> Array:
    """Return every run's fraction of samples whose predicted class is the label.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (runs, n)
    x : ndarray, shape (batch, d_0) or (runs, batch, d_0)
    y : array_like of int, shape (batch,) or (runs, batch)

    Returns
    -------
    ndarray, shape (runs,)

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or labels are not integers.

    Examples
    --------
    >>> network = MLP((1, 2))
    >>> theta = np.array([[-1.0, 1.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.0]])
    >>> accuracies(network, theta, np.array([[-2.0], [3.0], [4.0], [5.0]]), [0, 1, 1, 0]).tolist()
    [0.75, 0.25]
    """
    theta = _check_theta(network, theta)
    predicted = network.predict(theta, x)
    labels = check_labels("y", y, max(network.sizes[-1], 2))
    if labels.shape not in (predicted.shape, predicted.shape[1:]):
        raise ValueError(
            f"y must have shape {predicted.shape[1:]} or {predicted.shape}, got {labels.shape}"
        )
    return np.asarray((predicted == labels).mean(axis=-1))


def _take(array: Array, batch: Array, own: bool) -> Array:
    """Return each run's batch; where samples and order are the same for all, return it once."""
    if len(batch) == 1:
        return np.asarray(array[:, batch[0]] if own else array[batch[0]])
    return np.asarray(array[np.arange(len(batch))[:, None], batch] if own else array[batch])


def _finite_rows(array: Array) -> Array:
    """Say which rows are free of NaN and infinity, without a temporary array."""
    return np.asarray(np.isfinite(array.max(axis=-1)) & np.isfinite(array.min(axis=-1)))


def _check_theta(network: Any, theta: Any) -> Array:
    """Return `theta` as several runs' parameters of `network`."""
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an optlearn MLP, got {network!r}")
    array = check_array("theta", theta)
    if array.ndim != 2 or array.shape[1] != network.n_parameters or len(array) == 0:
        raise ValueError(
            f"theta must have shape (runs, {network.n_parameters}), got {array.shape}"
        )
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"theta must be float32 or float64, got {array.dtype}")
    return array


def _check_data(data: Any, k: int) -> tuple[Array, Array, bool, bool]:
    """Return inputs, targets, and whether each run has inputs and targets of its own."""
    if not isinstance(data, tuple) or len(data) != 2:
        raise TypeError(f"data must be a tuple (x, y), got {type(data).__name__}")
    x, y = check_array("data x", data[0]), check_array("data y", data[1], targets=True)
    own_x = x.ndim == 3
    if x.ndim not in (2, 3) or (own_x and len(x) != k):
        raise ValueError(f"data x must have shape (N, d) or ({k}, N, d), got {x.shape}")
    n = x.shape[-2]
    own_y = y.shape[:2] == (k, n)
    if not own_y and y.shape[:1] != (n,):
        raise ValueError(f"data y must have {n} targets or {k} times {n}, got shape {y.shape}")
    return x, y, own_x, own_y


def _check_rngs(rngs: Any, k: int) -> list[np.random.Generator]:
    """Return one generator for all runs, or one for each."""
    if not isinstance(rngs, Sequence):
        return [check_rng("rngs", rngs)]
    if len(rngs) != k:
        raise ValueError(
            f"rngs must be one Generator or one for each of {k} runs, got {len(rngs)}"
        )
    return [check_rng("rngs", rng) for rng in rngs]


def _refuse_what_does_not_fit(network: MLP, theta: Array, x: Array, y: Array, loss: Any) -> None:
    """Evaluate once with every check on, so that nothing is refused in mid-training."""
    if not callable(loss):
        raise TypeError(f"loss must be a callable of logits and y, got {loss!r}")
    network.forward(theta, x[..., :1, :])
    logits = np.zeros((len(theta), x.shape[-2], network.sizes[-1]), theta.dtype)
    value, _ = loss(logits, y)
    if np.shape(value) != (len(theta),):
        raise ValueError(
            f"loss must return one value for each of {len(theta)} runs, got {np.shape(value)}"
        )
