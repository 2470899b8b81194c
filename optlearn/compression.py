r"""Compression: networks of fewer weights, fewer units or fewer different values (chapter 13).

`prune` zeroes weights and `pack_sparse` leaves the zeros out of storage; `remove_units` takes
units away; `low_rank` turns a matrix into two thin ones; `share_weights` keeps a few values and
says for each weight which of them it is; `distillation_loss` trains a small network on what a
large one answers. Sizes are what the arrays take, in bytes, positions and codebooks included.
Rounding to a grid is in `optlearn.quantization`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlearn._checks import (
    Array,
    check_array,
    check_fraction,
    check_integer,
    check_labels,
    check_positive,
    check_rng,
)
from optlearn._factored import FactoredMLP, low_rank
from optlearn._pruning import SparseArray, pack_sparse, prune, remove_units, unit_scores
from optlearn.activations import log_softmax, softmax
from optlearn.networks import Loss

__all__ = [
    "FactoredMLP",
    "SharedArray",
    "SparseArray",
    "distillation_loss",
    "distillation_targets",
    "low_rank",
    "pack_sparse",
    "prune",
    "remove_units",
    "share_weights",
    "unit_scores",
]


@dataclass(frozen=True)
class SharedArray:
    """An array with few different values: a codebook, and an index for each element.

    Attributes
    ----------
    codebook : ndarray of float32, shape (k,)
        The values, ascending.
    indices : ndarray of int64
        In the shape of the array.

    Examples
    --------
    >>> shared = share_weights(np.array([0.5, 2.0, 0.5]), 2, np.random.default_rng(0))
    >>> shared.codebook.tolist(), shared.indices.tolist(), shared.bits
    ([0.5, 2.0], [0, 1, 0], 1)
    """

    codebook: Array
    indices: Array

    @property
    def bits(self) -> int:
        """Bits of one index: enough for 0 to k - 1."""
        return int(len(self.codebook) - 1).bit_length()

    @property
    def nbytes(self) -> int:
        """Bytes of the codebook and of the indices, packed bit behind bit."""
        return self.codebook.nbytes + -(-self.bits * self.indices.size // 8)

    def dense(self, dtype: Any = np.float64) -> Array:
        """Return the array with each index replaced by its value.

        Parameters
        ----------
        dtype : data type

        Returns
        -------
        ndarray, shape of `indices`
        """
        return self.codebook.astype(dtype)[self.indices]


def share_weights(w: Any, k: int, rng: np.random.Generator) -> SharedArray:
    r"""Let weights share k values, chosen by k-means to make the squared error small.

    The values minimise :math:`\sum_j \min_c (w_j - c)^2`, if only locally: each is the mean of
    the weights that are nearest to it. The work is done by scikit-learn's ``KMeans`` with one
    k-means++ start, iterated until no weight changes its value (300 times at most).

    Parameters
    ----------
    w : ndarray
        Of any shape.
    k : int, >= 1
    rng : numpy.random.Generator
        Draws the start.

    Returns
    -------
    SharedArray
        With k values, or with as many as `w` has where they are no more than k: it is then `w`
        rounded to float32.

    Raises
    ------
    TypeError, ValueError
        If `w` is not a real floating array, is empty or not finite as float32, or k is no whole
        number >= 1.

    References
    ----------
    S. Han, H. Mao and W. J. Dally, Deep compression, ICLR 2016, arXiv:1510.00149, section 3.

    Examples
    --------
    >>> shared = share_weights(np.array([[0.0, 0.25], [5.0, 5.5]]), 2, np.random.default_rng(0))
    >>> shared.dense().tolist(), shared.nbytes  # two values of 4 bytes, four indices of one bit
    ([[0.125, 0.125], [5.25, 5.25]], 9)
    """
    array = check_array("w", w)
    if array.dtype.kind != "f":
        raise TypeError(f"w must hold real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        check_array("w as float32", array.astype(np.float32))
    k = check_integer("k", k)
    check_rng("rng", rng)
    values, place = np.unique(array.astype(np.float32), return_inverse=True)
    if len(values) > k:
        from sklearn.cluster import KMeans

        scale = float(np.abs(values).max())  # so that no square of a tiny or a huge one is lost
        means = KMeans(k, n_init=1, tol=0, random_state=int(rng.integers(2**31)))
        means.fit(array.reshape(-1, 1) / scale)
        order = np.argsort(means.cluster_centers_[:, 0])
        values = (means.cluster_centers_[order, 0] * scale).astype(np.float32)
        place = np.argsort(order)[means.labels_]
    return SharedArray(values, place.reshape(array.shape).astype(np.int64))


def distillation_targets(teacher_logits: Any, labels: Any) -> Array:
    """Put a teacher's logits and the labels into one array, as targets of `distillation_loss`.

    Parameters
    ----------
    teacher_logits : ndarray, shape (N, C)
        What the teacher says about each training sample.
    labels : array_like of int, shape (N,)

    Returns
    -------
    ndarray, shape (N, C + 1)
        The label stands in the last column.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or labels are not class numbers.

    Examples
    --------
    >>> distillation_targets(np.array([[2.0, -1.0]]), [0]).tolist()
    [[2.0, -1.0, 0.0]]
    """
    logits = check_array("teacher_logits", teacher_logits)
    if logits.ndim != 2 or logits.dtype.kind != "f":
        raise ValueError(
            f"teacher_logits must be real, of shape (N, C), got {logits.dtype} {logits.shape}"
        )
    right = check_labels("labels", labels, logits.shape[1])
    if right.shape != logits.shape[:1]:
        raise ValueError(f"labels must have shape ({len(logits)},), got {right.shape}")
    return np.column_stack([logits, right])


def distillation_loss(*, temperature: float, alpha: float) -> Loss:
    r"""Make the loss of a student that learns from a teacher's logits and from labels.

    With the probabilities :math:`p = \operatorname{softmax}(v/T)` of the teacher and
    :math:`q = \operatorname{softmax}(z/T)` of the student, averaged over samples,

    .. math::
        \alpha\,T^2\Big(-\sum_c p_c\log q_c\Big) - (1-\alpha)\log\operatorname{softmax}(z)_y,

    with the gradient :math:`\alpha\,T(q-p)+(1-\alpha)(\operatorname{softmax}(z)-\text{onehot}(y))`
    of each sample. The factor :math:`T^2` keeps the first part of the gradient at its size when T
    changes: q - p shrinks as 1/T.

    Parameters
    ----------
    temperature : float, > 0
        T; at 1 the teacher's probabilities as they are, above it more even ones.
    alpha : float in [0, 1]
        The weight of the teacher; at 0 the loss is `softmax_cross_entropy`.

    Returns
    -------
    callable
        ``loss(logits, targets) -> (value, gradient)`` with logits (..., batch, C) and the
        targets of `distillation_targets`, (batch, C + 1) or (..., batch, C + 1): for `fit` and
        `fit_runs`. It raises ValueError or TypeError if they do not fit.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network, 2015,
    arXiv:1503.02531, section 2 (without the weights' sum being 1).

    Examples
    --------
    >>> loss = distillation_loss(temperature=2.0, alpha=1.0)
    >>> targets = distillation_targets(np.array([[0.0, 4.0]]), [1])
    >>> loss(np.array([[1.0, 5.0]]), targets)[1].tolist()  # logits that differ by a constant
    [[0.0, 0.0]]
    """
    heat = check_positive("temperature", temperature)
    soft = check_fraction("alpha", alpha, one=True)

    def loss(logits: Any, targets: Any) -> tuple[Any, Array]:
        z, teacher, right = _check_pair(logits, targets)
        p = softmax(teacher / heat)
        log_q, log_s = log_softmax(z / heat), log_softmax(z)
        right = np.broadcast_to(right, z.shape)
        cross = -soft * heat**2 * (p * log_q) - (1 - soft) * (right * log_s)
        gradient = soft * heat * (np.exp(log_q) - p) + (1 - soft) * (np.exp(log_s) - right)
        batch = z.shape[-2]
        return cross.sum(axis=(-2, -1)) / batch, gradient / batch

    return loss


def _check_pair(logits: Any, targets: Any) -> tuple[Array, Array, Array]:
    """Return the logits, the teacher's logits and the labels as one-hot rows."""
    z, both = check_array("logits", logits), check_array("targets", targets)
    if z.ndim < 2:
        raise ValueError(f"logits must have shape (..., batch, C), got {z.shape}")
    rows = (*z.shape[:-1], z.shape[-1] + 1)
    if both.shape not in (rows, rows[-2:]):
        raise ValueError(f"targets must have shape {rows[-2:]} to fit logits, got {both.shape}")
    if both.dtype.kind != "f":
        raise TypeError(f"targets must be real numbers, got {both.dtype}")
    both = both.astype(z.real.dtype, copy=False)
    teacher, label = both[..., :-1], both[..., -1:]
    right = label == np.arange(z.shape[-1])
    if not right.any(axis=-1).all():
        raise ValueError(
            f"targets must end with a label from 0 to {z.shape[-1] - 1}, "
            f"got {label[~right.any(axis=-1)].flat[0]}"
        )
    return z, teacher, right.astype(both.dtype)
