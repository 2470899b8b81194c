r"""Parallel training, step by step in one process: who computes what, who sends what, who is late.

Several workers can share one training run. This module holds the arithmetic of that, without a
network between them: how the data are split and the gradients averaged, how a ring adds vectors
and what it sends, what a gradient that arrives late does to any optimizer, in which order late
gradients arrive, and how a gradient is made small before it is sent. Chapter 16 uses all of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_integer, check_rng

__all__ = [
    "arrivals",
    "average_gradients",
    "delayed_path",
    "quantize_at_random",
    "ring_all_reduce",
    "scaled_sign",
    "shards",
    "top_k",
    "with_feedback",
]


def shards(n: int, workers: int) -> list[slice]:
    """Split n samples into consecutive parts whose sizes differ by at most one.

    Parameters
    ----------
    n : int >= workers
        How many samples there are.
    workers : int >= 1
        How many parts to make; the first ones get the samples left over.

    Returns
    -------
    parts : list of slice
        Every sample is in exactly one part, and no part is empty.

    Raises
    ------
    TypeError, ValueError
        If there are fewer samples than workers, or either is no positive integer.

    Examples
    --------
    >>> [part.stop - part.start for part in shards(10, 4)]
    [3, 3, 2, 2]
    """
    workers = check_integer("workers", workers)
    n = check_integer("n", n, minimum=workers)
    ends = [(n // workers) * k + min(k, n % workers) for k in range(workers + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def average_gradients(grads: Any, sizes: Any) -> Array:
    r"""Average the gradients of workers, each weighted by how many samples it saw.

    With :math:`g_k` the mean gradient of worker k over :math:`B_k` samples,
    :math:`\sum_k B_k g_k / \sum_k B_k` is the mean gradient over all of them.

    Parameters
    ----------
    grads : ndarray, shape (K, ..., n)
        One gradient for each worker.
    sizes : sequence of K int >= 0
        How many samples each has averaged over.

    Returns
    -------
    grad : ndarray, shape (..., n)

    Raises
    ------
    TypeError, ValueError
        If there is not one size for each gradient, one is negative, or all are zero.

    Examples
    --------
    >>> average_gradients(np.array([[1.0, 0.0], [4.0, 3.0]]), [1, 2]).tolist()
    [3.0, 2.0]
    """
    grads = _check_rows("grads", grads)
    counts = np.asarray(sizes)
    if counts.dtype.kind not in "iu":
        raise TypeError(f"sizes must be integers, got {counts.dtype}")
    if counts.shape != (len(grads),):
        raise ValueError(f"sizes must have shape ({len(grads)},), got {counts.shape}")
    if counts.min() < 0 or counts.max() == 0:
        raise ValueError(f"sizes must be >= 0 and not all 0, got {counts.tolist()}")
    weights = (counts / counts.sum()).astype(grads.dtype)
    return np.asarray(np.tensordot(weights, grads, axes=1))


def ring_all_reduce(vectors: Any) -> tuple[Array, Array, int]:
    r"""Average vectors of K workers that stand in a ring and talk to one neighbour only.

    Each vector is cut into K parts. In K - 1 rounds every worker sends one part on, and adds what
    it receives: then each has the whole sum of one part. In K - 1 further rounds the sums travel
    once around. A worker sends :math:`2(K-1)` messages with about :math:`2n(K-1)/K` numbers; in no
    all-reduce does the busiest sender send fewer.

    Parameters
    ----------
    vectors : ndarray, shape (K, n)
        What each worker has; n >= K.

    Returns
    -------
    means : ndarray, shape (K, n)
        What each worker has in the end: the mean, in each row the same to the bit.
    sent : ndarray of int, shape (K,)
        Bytes that each has sent, with the size of the vectors' own numbers.
    messages : int
        How many messages each has sent.

    Raises
    ------
    TypeError, ValueError
        If `vectors` is no finite floating array of that shape.

    References
    ----------
    P. Patarasuk, X. Yuan (2009), Bandwidth optimal all-reduce algorithms for clusters of
    workstations, Journal of Parallel and Distributed Computing 69(2), 117-124.

    Examples
    --------
    >>> means, sent, messages = ring_all_reduce(np.array([[1.0, 2.0], [3.0, 6.0]]))
    >>> means.tolist(), sent.tolist(), messages
    ([[2.0, 4.0], [2.0, 4.0]], [16, 16], 2)
    """
    held = _check_rows("vectors", vectors).copy()
    if held.ndim != 2 or held.shape[1] < len(held):
        raise ValueError(f"vectors must have shape (K, n) with n >= K, got {held.shape}")
    k = len(held)
    parts = shards(held.shape[1], k)
    sent = np.zeros(k, dtype=int)
    messages = 0
    for step in range(2 * (k - 1)):
        # all send at once; nobody adds to the part that it sends
        out = [parts[(worker - step) % k] for worker in range(k)]
        travelling = [held[worker, out[worker]] for worker in range(k)]
        for worker in range(k):
            there = held[(worker + 1) % k, out[worker]]
            if step < k - 1:
                there += travelling[worker]
            else:
                there[:] = travelling[worker]
            sent[worker] += travelling[worker].nbytes
        messages += 1
    return held / k, sent, messages


def delayed_path(
    gradient: Callable[[Array], Array], theta: Any, optimizer: Any, delays: Any
) -> Array:
    r"""Descend with gradients that are late: step t uses the gradient at :math:`\theta_{t-\tau}`.

    Before the start nothing has moved: :math:`\theta_t=\theta_0` for negative t. With delay 0 it
    is `optlearn.training.minimize`.

    Parameters
    ----------
    gradient : callable
        From parameters, shape (..., n), to their gradient.
    theta : ndarray, shape (..., n)
        Where to start; it is not changed.
    optimizer : optimizer of `optlearn.optimizers`
        It is copied and starts afresh.
    delays : sequence of int >= 0
        The age of the gradient of each step, in steps; there are as many steps as delays.

    Returns
    -------
    path : ndarray, shape (steps + 1, ..., n)
        All iterates, the start first.

    Raises
    ------
    TypeError, ValueError
        If the delays are no integers >= 0.

    Examples
    --------
    >>> from optlearn.optimizers import GradientDescent
    >>> path = delayed_path(lambda x: x, np.array([1.0]), GradientDescent(0.5), [1, 1, 1])
    >>> path[:, 0].tolist()
    [1.0, 0.5, 0.0, -0.25]
    """
    late = np.asarray(delays)
    if late.dtype.kind not in "iu":
        raise TypeError(f"delays must be integers, got {late.dtype}")
    if late.ndim != 1 or late.size == 0:
        raise ValueError(f"delays must have shape (steps,), got {late.shape}")
    if late.min() < 0:
        raise ValueError(f"delays must be >= 0, got {late.min()}")
    rule = optimizer.copy()
    rule.reset()
    path = [check_array("theta", theta)]
    for step, delay in enumerate(late.tolist()):
        old = path[max(step - delay, 0)]
        path.append(rule.step(path[-1], gradient(old)))
    return np.stack(path)


def arrivals(durations: Any) -> tuple[Array, Array, Array]:
    """Merge the finishing times of workers that do not wait for each other.

    A worker reads the parameters, computes, delivers, and reads again at once.

    Parameters
    ----------
    durations : ndarray, shape (K, m)
        How long each of the K workers takes for each of its m gradients.

    Returns
    -------
    times : ndarray, shape (steps,)
        When each gradient is delivered, ascending; it ends where the first worker has no more.
    workers : ndarray of int, shape (steps,)
        Who delivers it.
    delays : ndarray of int, shape (steps,)
        How many gradients others have delivered since this worker read.

    Raises
    ------
    TypeError, ValueError
        If `durations` is no finite floating array of that shape with positive entries.

    Examples
    --------
    A quick worker and one that takes two and a half times as long:

    >>> times, workers, delays = arrivals(np.array([[1.0] * 6, [2.5] * 6]))
    >>> times.tolist(), workers.tolist(), delays.tolist()
    ([1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 5.0, 6.0], [0, 0, 1, 0, 0, 0, 1, 0], [0, 0, 2, 1, 0, 0, 3, 1])
    """
    durations = check_array("durations", durations)
    if durations.ndim != 2 or durations.dtype.kind != "f":
        raise ValueError(f"durations must be real, of shape (K, m), got {durations.shape}")
    if durations.min() <= 0:
        raise ValueError(f"durations must be > 0, got {durations.min()}")
    finished = durations.cumsum(axis=1)
    order = np.argsort(finished.ravel(), kind="stable")
    times = finished.ravel()[order]
    order = order[times <= finished[:, -1].min()]
    workers = order // durations.shape[1]
    delays = np.empty(len(order), dtype=int)
    for worker in range(len(durations)):
        mine = np.flatnonzero(workers == worker)
        delays[mine] = np.diff(mine, prepend=-1) - 1
    return times[: len(order)], workers, delays


def top_k(vector: Any, k: int) -> Array:
    """Keep the k entries of largest size, and put 0 in the place of the others.

    To send it takes k numbers and their k places. Which of several entries of one size are kept
    is not said.

    Parameters
    ----------
    vector : ndarray, shape (..., n)
        Each vector along the last axis is treated by itself.
    k : int, 1 to n

    Returns
    -------
    sparse : ndarray, shape (..., n)

    Raises
    ------
    TypeError, ValueError
        If k is no integer from 1 to n.

    Examples
    --------
    >>> top_k(np.array([0.5, -3.0, 2.0, -0.1]), 2).tolist()
    [0.0, -3.0, 2.0, 0.0]
    """
    vector = _check_vector(vector)
    k = check_integer("k", k)
    if k > vector.shape[-1]:
        raise ValueError(f"k must be <= {vector.shape[-1]}, got {k}")
    kept = np.argpartition(-np.abs(vector), k - 1, axis=-1)[..., :k]
    sparse = np.zeros_like(vector)
    np.put_along_axis(sparse, kept, np.take_along_axis(vector, kept, axis=-1), axis=-1)
    return np.asarray(sparse)


def scaled_sign(vector: Any) -> Array:
    r"""Replace each entry by its sign times the mean size of all: one bit each and one number.

    A bit has two values, so a 0 counts as positive and is sent as the mean size.

    Parameters
    ----------
    vector : ndarray, shape (..., n)
        Each vector along the last axis is treated by itself.

    Returns
    -------
    signs : ndarray, shape (..., n)
        :math:`\frac1n\lVert v\rVert_1` where v is at least 0, and its negative elsewhere.

    Raises
    ------
    TypeError, ValueError
        If `vector` is no finite floating array.

    Examples
    --------
    >>> scaled_sign(np.array([1.0, -5.0, 0.0])).tolist()
    [2.0, -2.0, 2.0]
    """
    vector = _check_vector(vector)
    size = np.abs(vector).mean(axis=-1, keepdims=True)
    return np.asarray(np.where(vector >= 0, size, -size))


def quantize_at_random(vector: Any, levels: int, rng: np.random.Generator) -> Array:
    r"""Round to multiples of :math:`\max|v|/s`, up or down at random, so that the mean is right.

    An entry between two multiples goes to the upper one with a probability equal to its distance
    from the lower one. There are 2s + 1 values; one number per vector is sent with them.

    Parameters
    ----------
    vector : ndarray, shape (..., n)
        Each vector along the last axis is treated by itself.
    levels : int >= 1
        The s above; 1 leaves -1, 0 and 1 times the largest size.
    rng : Generator

    Returns
    -------
    rounded : ndarray, shape (..., n)
        Its expectation is `vector`.

    Raises
    ------
    TypeError, ValueError
        If `levels` is no positive integer.

    References
    ----------
    D. Alistarh, D. Grubic, J. Li, R. Tomioka, M. Vojnovic (2017), QSGD:
    communication-efficient SGD via gradient quantization and encoding, NIPS 30; here with the
    largest size in the place of the Euclidean norm.

    Examples
    --------
    >>> v = np.array([1.0, -0.3, 0.0])
    >>> rounded = [quantize_at_random(v, 1, np.random.default_rng(s)) for s in range(4000)]
    >>> np.round(np.mean(rounded, axis=0), 1).tolist()
    [1.0, -0.3, 0.0]
    """
    vector = _check_vector(vector)
    levels = check_integer("levels", levels)
    rng = check_rng("rng", rng)
    step = np.abs(vector).max(axis=-1, keepdims=True) / levels
    step = np.where(step > 0, step, 1).astype(vector.dtype)  # a zero vector stays zero
    scaled = vector / step
    below = np.floor(scaled)
    up = rng.random(vector.shape) < scaled - below
    return np.asarray((below + up) * step)


def with_feedback(
    vector: Any, memory: Any, compress: Callable[[Array], Array]
) -> tuple[Array, Array]:
    r"""Compress a vector together with what earlier rounds left out.

    :math:`c=C(v+e)` is sent and :math:`e\leftarrow v+e-c` is kept for the next round: nothing is
    lost, it only comes later.

    Parameters
    ----------
    vector, memory : ndarray, shape (..., n)
        What is to be sent, in the units of a step (multiplied by the learning rate, if that
        changes), and what was left; zeros at the start.
    compress : callable
        From an array to one of the same shape.

    Returns
    -------
    sent, memory : ndarray, shape (..., n)
        Their sum is that of the two arguments.

    Raises
    ------
    TypeError, ValueError
        If the two have different shapes.

    References
    ----------
    S. P. Karimireddy, Q. Rebjock, S. Stich, M. Jaggi (2019), Error feedback fixes SignSGD
    and other gradient compression schemes, ICML, algorithm 2.

    Examples
    --------
    >>> sent, left = with_feedback(np.array([3.0, 1.0]), np.zeros(2), lambda v: top_k(v, 1))
    >>> sent.tolist(), left.tolist()
    ([3.0, 0.0], [0.0, 1.0])
    """
    vector, memory = _check_vector(vector), check_array("memory", memory)
    if vector.shape != memory.shape:
        raise ValueError(f"memory must have shape {vector.shape}, got {memory.shape}")
    whole = vector + memory
    sent = np.asarray(compress(whole))
    return sent, np.asarray(whole - sent)


def _check_rows(name: str, value: Any) -> Array:
    """Return one row for each worker."""
    rows = check_array(name, value)
    if rows.ndim < 2:
        raise ValueError(f"{name} must have one row for each worker, got shape {rows.shape}")
    return rows


def _check_vector(value: Any) -> Array:
    """Return a floating array with at least one axis."""
    vector = check_array("vector", value)
    if vector.ndim == 0 or vector.dtype.kind != "f":
        raise ValueError(f"vector must be real, of shape (..., n), got {vector.shape}")
    return vector
