r"""Factored layers: a matrix of low rank is two thin ones (chapter 13).

By the theorem of Eckart and Young the singular value decomposition, cut off after r terms, is the
best approximation of rank r, and its squared error is the sum of the squared singular values that
are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlearn._checks import Array, check_integer
from optlearn._pruning import check_parameters
from optlearn.networks import MLP, Layers

__all__ = ["FactoredMLP", "low_rank"]


class FactoredMLP(MLP):
    r"""An `MLP` some of whose weight matrices are products, :math:`W = AB`.

    It is a network with one more linear layer for each of them: of r units without bias and
    without activation. `fit` and `fit_runs` train the factors; `accuracy` and `prune` take it as
    they take an `MLP`. What rebuilds a network from its `sizes` does not: `low_rank`,
    `remove_units` and `unit_scores` refuse it, and it is not meant for `FakeQuantizedMLP`,
    `QuantizedMLP` and the renaming of units in `optlearn.transfer`.

    Parameters
    ----------
    network : MLP
        Gives sizes and activation.
    ranks : sequence of D (int >= 1 or None)
        One for each layer of weights; None leaves the matrix whole. The factors of a matrix
        (d, d') have r (d + d') elements: fewer than d d' only if r < d d' / (d + d').

    Attributes
    ----------
    sizes : tuple of int
        With the r units of each product in their place.
    ranks : tuple

    Raises
    ------
    TypeError, ValueError
        If there is not one rank or None for each layer, or a rank exceeds the smaller side.

    Examples
    --------
    >>> network = FactoredMLP(MLP((784, 64, 10)), (8, None))
    >>> network.sizes, network.n_parameters  # 784 * 8 + 8 * 64 + 64, and 64 * 10 + 10
    ((784, 8, 64, 10), 7498)
    """

    def __init__(self, network: MLP, ranks: Sequence[int | None]) -> None:
        if type(network) is not MLP:
            raise TypeError(f"network must be a plain MLP, got {network!r}")
        self.ranks = _check_ranks(network, ranks)
        sizes = [network.sizes[0]]
        inner = []  # the numbers of the layers that lead to the r units
        for rank, width in zip(self.ranks, network.sizes[1:], strict=True):
            if rank is not None:
                inner.append(len(sizes) - 1)
                sizes.append(rank)
            sizes.append(width)
        super().__init__(sizes, network.activation)
        self._inner = frozenset(inner)
        layout, start = [], 0
        for index, (_, _, _, shape) in enumerate(self._layout):
            middle = start + shape[0] * shape[1]
            stop = middle if index in self._inner else middle + shape[1]
            layout.append((start, middle, stop, shape))
            start = stop
        self._layout, self.n_parameters = layout, start

    def init(
        self, rng: np.random.Generator, *, scheme: str = "he", dtype: Any = np.float64
    ) -> Array:
        r"""Draw random factors whose products vary as the whole matrices would.

        For W = AB of shape (d, d') the weights of A are Gaussian with variance :math:`1/d`, which
        keeps the size of a signal without ReLU, and those of B have the variance that gives the
        elements of the product the one of `MLP.init`: :math:`2/d` or :math:`2/(d+d')`.

        Parameters, errors and the other layers as in `MLP.init`.

        Returns
        -------
        theta : ndarray, shape (n,)
        """
        theta = super().init(rng, scheme=scheme, dtype=dtype)
        layers = self.unpack(theta)
        for index in self._inner:
            (d, r), (_, d_out) = layers[index][0].shape, layers[index + 1][0].shape
            drawn = (2 / d, 2 / r) if scheme == "he" else (2 / (d + r), 2 / (r + d_out))
            whole = 2 / d if scheme == "he" else 2 / (d + d_out)
            wanted = (1 / d, whole * d / r)  # a product is a sum of r terms
            for place, old, new in zip((index, index + 1), drawn, wanted, strict=True):
                w = layers[place][0]
                w *= math.sqrt(new / old)
        return theta

    def __repr__(self) -> str:
        """Show the sizes, the ranks and the number of parameters."""
        return f"FactoredMLP({self.sizes}, ranks {self.ranks})  # {self.n_parameters} parameters"

    def _propagate(self, layers: Layers, x: Array) -> list[Array]:
        """Run the forward pass; the r units of a product pass on what they get."""
        a = [x]
        for index, (weights, bias) in enumerate(layers):
            z = a[-1] @ weights
            if index not in self._inner:
                z += bias if bias.ndim == 1 else bias[:, None, :]
                z = self._phi(z) if index < len(layers) - 1 else z
            a.append(z)
        return a

    def _backpropagate(self, layers: Layers, slots: Layers, x: Array, y: Any, loss: Any) -> Any:
        """Fill the gradient's views `slots` and return the loss; nothing is checked here."""
        a = self._propagate(layers, x)
        value, delta = loss(a[-1], y)
        for index in range(len(layers) - 1, -1, -1):
            grad_w, grad_b = slots[index]
            np.matmul(a[index].swapaxes(-1, -2), delta, out=grad_w)
            if index not in self._inner:
                np.add.reduce(delta, axis=-2, out=grad_b)
            if index > 0:
                delta = delta @ layers[index][0].swapaxes(-1, -2)
                if index - 1 not in self._inner:
                    delta *= self._phi_prime(a[index])
        return value


def low_rank(network: MLP, theta: Any, ranks: Sequence[int | None]) -> tuple[FactoredMLP, Array]:
    r"""Replace weight matrices by the nearest ones of low rank, kept as factors.

    With :math:`W = U \operatorname{diag}(\sigma) V^\top` the factors are
    :math:`A = U_r\operatorname{diag}(\sqrt{\sigma_1}, \dots, \sqrt{\sigma_r})` and
    :math:`B = \operatorname{diag}(\sqrt{\sigma_1}, \dots)V_r^\top`, which have equal norms.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,) or (runs, n)
        Not changed.
    ranks : sequence of D (int >= 1 or None)
        As in `FactoredMLP`.

    Returns
    -------
    factored : FactoredMLP
    theta_factored : ndarray, shape (factored.n_parameters,), with `runs` in front as in `theta`

    Raises
    ------
    TypeError, ValueError
        If there is not one rank or None for each layer, or `theta` does not fit.

    References
    ----------
    C. Eckart and G. Young, The approximation of one matrix by another of lower rank,
    Psychometrika 1, 1936. E. L. Denton et al., Exploiting linear structure within convolutional
    networks for efficient evaluation, NeurIPS 2014, arXiv:1404.0736.

    Examples
    --------
    >>> network = MLP((2, 2))
    >>> theta = np.array([3.0, 0.0, 0.0, 1.0, 5.0, 6.0])
    >>> factored, factors = low_rank(network, theta, [1])
    >>> (a, _), (b, bias) = factored.unpack(factors)
    >>> (a @ b).round(12).tolist(), bias.tolist()  # the smaller singular value is gone
    ([[3.0, 0.0], [0.0, 0.0]], [5.0, 6.0])
    """
    theta = check_parameters(network, theta)
    factored = FactoredMLP(network, ranks)
    factors = np.empty((*theta.shape[:-1], factored.n_parameters), theta.dtype)
    slots = iter(factored.unpack(factors))
    for (w, b), rank in zip(network.unpack(theta), factored.ranks, strict=True):
        last = w
        if rank is not None:
            u, s, vt = np.linalg.svd(w, full_matrices=False)
            root = np.sqrt(s[..., :rank])
            next(slots)[0][...] = u[..., :rank] * root[..., None, :]
            last = root[..., None] * vt[..., :rank, :]
        w_new, b_new = next(slots)
        w_new[...], b_new[...] = last, b
    return factored, factors


def _check_ranks(network: MLP, ranks: Any) -> tuple[int | None, ...]:
    """Return one rank or None for each layer of weights."""
    depth = len(network.sizes) - 1
    if not isinstance(ranks, Sequence) or isinstance(ranks, str):
        raise TypeError(f"ranks must be a sequence of {depth} ranks or None, got {ranks!r}")
    if len(ranks) != depth:
        raise ValueError(f"ranks must be one for each of {depth} layers, got {len(ranks)}")
    checked: list[int | None] = []
    for rank, (_, _, _, shape) in zip(ranks, network._layout, strict=True):
        checked.append(None if rank is None else check_integer("ranks", rank))
        if rank is not None and rank > min(shape):
            raise ValueError(f"ranks must be <= {min(shape)} for weights {shape}, got {rank}")
    return tuple(checked)
