r"""Pruning: networks with fewer weights, or with fewer units (chapter 13).

A pruned weight is a zero that training must leave alone; a pruned unit is a column of one matrix
and a row of the next that are not there any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_choice, check_fraction
from optlearn.networks import MLP

__all__ = [
    "SparseArray",
    "check_parameters",
    "pack_sparse",
    "prune",
    "remove_units",
    "unit_scores",
]


def prune(
    network: MLP, theta: Any, fraction: float, *, scope: str = "global", scores: Any = None
) -> tuple[Array, Array]:
    r"""Set the weights of least magnitude to zero.

    Biases are not touched. To train what is left, give the optimizer the rate 0 where the mask is
    True, ``lr=np.where(mask, 0.0, 0.001)``: the zeros then stay zeros.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,) or (runs, n)
        Not changed.
    fraction : float in [0, 1]
        Of the weights. Out of m weights the whole number nearest to ``fraction * m`` is pruned
        (from halfway the even one). Weights that are 0 already count, and go first unless `scores`
        says otherwise.
    scope : {"global", "layer"}
        Rank all weights of the network together, or those of each layer among themselves (m is
        then the number of weights of the layer).
    scores : ndarray, shape of `theta`, optional
        What to rank by, smallest first; :math:`|\theta_j|` by default. Another score, such as
        :math:`H_{jj}\theta_j^2/2` of optimal brain damage, goes here.

    Returns
    -------
    pruned : ndarray, shape and dtype of `theta`
    mask : ndarray of bool, shape of `theta`
        True where pruned. Of weights with equal scores those that come first in theta are.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    S. Han, J. Pool, J. Tran and W. J. Dally, Learning both weights and connections for efficient
    neural networks, NeurIPS 2015, arXiv:1506.02626. Y. LeCun, J. S. Denker and S. A. Solla,
    Optimal brain damage, NeurIPS 1989.

    Examples
    --------
    >>> network = MLP((1, 2, 1))
    >>> theta = np.array([0.5, -3.0, 9.0, 9.0, -0.1, 2.0, 9.0])  # W1, b1, W2, b2
    >>> prune(network, theta, 0.5)[0].tolist()
    [0.0, -3.0, 9.0, 9.0, 0.0, 2.0, 9.0]
    """
    theta = check_parameters(network, theta)
    share = check_fraction("fraction", fraction, one=True)
    check_choice("scope", scope, ("global", "layer"))
    rank_by = np.abs(theta) if scores is None else check_array("scores", scores)
    if rank_by.dtype.kind != "f":
        raise TypeError(f"scores must be real numbers, got {rank_by.dtype}")
    if rank_by.shape != theta.shape:
        raise ValueError(f"scores must have shape {theta.shape}, got {rank_by.shape}")
    weights = [np.arange(start, middle) for start, middle, _, _ in network._layout]
    mask = np.zeros(theta.shape, dtype=bool)
    for places in [np.concatenate(weights)] if scope == "global" else weights:
        count = round(share * places.size)
        order = np.argsort(rank_by[..., places], axis=-1, kind="stable")[..., :count]
        np.put_along_axis(mask, places[order], True, axis=-1)
    return np.where(mask, theta.dtype.type(0), theta), mask


@dataclass(frozen=True)
class SparseArray:
    """An array with zeros that are not stored.

    Attributes
    ----------
    values : ndarray of float32, shape (kept,)
        The elements that are not 0, in C order.
    positions : ndarray of uint8
        One bit for each element, eight in a byte: 1 where a value belongs.
    shape : tuple of int

    Examples
    --------
    >>> packed = pack_sparse(np.array([0.0, 1.5, 0.0]))
    >>> packed.values.tolist(), np.unpackbits(packed.positions, count=3).tolist()
    ([1.5], [0, 1, 0])
    """

    values: Array
    positions: Array
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of values and positions."""
        return self.values.nbytes + self.positions.nbytes

    def dense(self, dtype: Any = np.float64) -> Array:
        """Return the array with its zeros.

        Parameters
        ----------
        dtype : data type

        Returns
        -------
        ndarray, shape `shape`
        """
        size = int(np.prod(self.shape))
        full = np.zeros(size, dtype)
        full[np.unpackbits(self.positions, count=size).astype(bool)] = self.values
        return full.reshape(self.shape)


def pack_sparse(w: Any) -> SparseArray:
    """Store the elements that are not zero, and a bit for each place.

    It takes 4 bytes for each element kept and ``ceil(w.size / 8)`` for the bits: less than 4 bytes
    for every element as soon as more than one of 32 is zero.

    Parameters
    ----------
    w : ndarray
        Of any shape; rounded to float32.

    Returns
    -------
    SparseArray

    Raises
    ------
    TypeError, ValueError
        If `w` is not a real floating array, is empty, or is not finite as float32.

    Examples
    --------
    >>> packed = pack_sparse(np.array([[0.0, 1.5], [0.0, -2.0]]))
    >>> packed.nbytes, packed.dense().tolist()
    (9, [[0.0, 1.5], [0.0, -2.0]])
    """
    array = check_array("w", w)
    if array.dtype.kind != "f":
        raise TypeError(f"w must hold real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        single = check_array("w as float32", array.astype(np.float32))
    return SparseArray(single[single != 0], np.packbits(single != 0), single.shape)


def unit_scores(network: MLP, theta: Any, x: Any = None) -> list[Array]:
    r"""Say how much each hidden unit does.

    With inputs `x`: the standard deviation of its activation over them, times the norm of its
    outgoing weights. A unit of score 0 is constant on `x`, or nobody listens to it, and
    `remove_units` with the same `x` takes it away without a trace. Without `x`: the norm of its
    incoming weights (bias left out) times that of its outgoing ones.

    Parameters
    ----------
    network : MLP
        A plain one: units of a `FactoredMLP` or `FakeQuantizedMLP` are refused.
    theta : ndarray, shape (n,)
    x : ndarray, shape (batch, d_0), optional

    Returns
    -------
    list of ndarray
        For each hidden layer the scores of its d_l units, >= 0.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or an argument is not floating or not finite.

    Examples
    --------
    >>> network = MLP((1, 2, 1))
    >>> theta = np.array([1.0, -2.0, 0.0, 0.0, 3.0, 5.0, 0.0])
    >>> unit_scores(network, theta)[0].tolist()
    [3.0, 10.0]
    >>> unit_scores(network, theta, np.array([[1.0], [3.0]]))[0].tolist()  # the second is silent
    [3.0, 0.0]
    """
    theta = check_parameters(network, theta, runs=False)
    _check_plain(network)
    layers = network.unpack(theta)
    leaving = [np.linalg.norm(w, axis=1) for w, _ in layers[1:]]
    if x is None:
        entering = [np.linalg.norm(w, axis=0) for w, _ in layers[:-1]]
    else:
        entering = [a.std(axis=0) for a in _hidden(network, theta, x)]
    return [one * other for one, other in zip(entering, leaving, strict=True)]


def remove_units(network: MLP, theta: Any, keep: Any, x: Any = None) -> tuple[MLP, Array]:
    """Take hidden units away: what is left is a smaller network of the ordinary kind.

    With inputs `x`, each removed unit leaves its mean activation behind, in the biases of the next
    layer. So the function does not change on `x` (but for rounding) where the removed units are
    constant there; without `x` only where they are 0 or nobody listens.

    Parameters
    ----------
    network : MLP
        A plain one, as in `unit_scores`.
    theta : ndarray, shape (n,)
        Not changed.
    keep : sequence of D - 1 sequences of int
        For each hidden layer the units that stay, 0 to d_l - 1, at least one, none twice; they
        keep the order given.
    x : ndarray, shape (batch, d_0), optional

    Returns
    -------
    smaller : MLP
    theta_smaller : ndarray, shape (smaller.n_parameters,)
        In the precision of `theta`.

    Raises
    ------
    TypeError, ValueError
        If there is not one such choice for each hidden layer, or shapes do not fit.

    Examples
    --------
    >>> network = MLP((1, 3, 1))
    >>> theta = np.array([1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 0.5])
    >>> x = np.array([[0.25], [2.0]])
    >>> smaller, rest = remove_units(network, theta, [[0, 1]], x)  # the last one is always 6
    >>> smaller.sizes, rest.tolist()
    ((1, 2, 1), [1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 54.5])
    """
    theta = check_parameters(network, theta, runs=False)
    _check_plain(network)
    hidden = network.sizes[1:-1]
    if not isinstance(keep, Sequence) or isinstance(keep, str):
        raise TypeError(f"keep must be a sequence of sequences, got {keep!r}")
    if len(keep) != len(hidden):
        raise ValueError(
            f"keep must be one for each of {len(hidden)} hidden layers, got {len(keep)}"
        )
    chosen = [_check_units(*pair) for pair in zip(keep, hidden, strict=True)]
    smaller = MLP((network.sizes[0], *map(len, chosen), network.sizes[-1]), network.activation)
    rest = np.empty(smaller.n_parameters, theta.dtype)
    means = None if x is None else [a.mean(axis=0) for a in _hidden(network, theta, x)]
    # All inputs stay, and so do all outputs.
    stay = [np.arange(network.sizes[0]), *chosen, np.arange(network.sizes[-1])]
    pairs = zip(network.unpack(theta), smaller.unpack(rest), strict=True)
    for layer, ((w, b), (w_new, b_new)) in enumerate(pairs):
        w_new[...] = w[np.ix_(stay[layer], stay[layer + 1])]
        bias = b
        if means is not None and layer > 0:
            gone = np.setdiff1d(np.arange(len(w)), stay[layer])
            bias = b + means[layer - 1][gone] @ w[gone]
        b_new[...] = bias[stay[layer + 1]]
    return smaller, rest


def check_parameters(network: Any, theta: Any, *, runs: bool = True) -> Array:
    """Return `theta` as parameters of `network`, of one or, where allowed, of one a run."""
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an optlearn MLP, got {network!r}")
    array, n = check_array("theta", theta), network.n_parameters
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"theta must be float32 or float64, got {array.dtype}")
    if array.ndim not in ((1, 2) if runs else (1,)) or array.shape[-1] != n:
        also = f" or (runs, {n})" if runs else ""
        raise ValueError(f"theta must have shape ({n},){also}, got {array.shape}")
    return array


def _check_plain(network: MLP) -> None:
    """Refuse networks whose layers are more than weights and biases."""
    if type(network) is not MLP:
        raise TypeError(f"network must be a plain MLP, got {network!r}")


def _hidden(network: MLP, theta: Array, x: Any) -> list[Array]:
    """Return the hidden activations on inputs without a runs axis."""
    return network.activations(theta, x)[1:-1]


def _check_units(value: Any, size: int) -> Array:
    """Return `value` as an index array of different units."""
    units = np.asarray(value)
    if units.dtype.kind not in "iu":
        raise TypeError(f"keep must hold integers, got {units.dtype}")
    fits = units.ndim == 1 and units.size > 0 and np.unique(units).size == units.size
    if not fits or units.min() < 0 or units.max() >= size:
        raise ValueError(
            f"keep must name units from 0 to {size - 1}, at least one, none twice, "
            f"got {units.tolist()}"
        )
    return units
