r"""Networks: a multi-layer perceptron on one flat vector of parameters (chapters 01 and 03).

All weights and biases of an `MLP` are one contiguous vector theta of shape ``(n,)``; its layers
are views into it. So the theta that an optimizer moves, the theta of a test function with two
coordinates and the weights of a network are the same kind of thing. A leading axis, ``(runs, n)``,
is that many independent networks computed at once.

Rows are samples: :math:`z^{(l)} = a^{(l-1)} W^{(l)} + b^{(l)}` and
:math:`a^{(l)} = \varphi(z^{(l)})`; the last layer has no activation, its outputs are logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_choice, check_integer, check_out, check_rng
from optlearn.activations import ACTIVATIONS
from optlearn.losses import softmax_cross_entropy

__all__ = ["MLP"]

Loss = Callable[[Any, Any], tuple[Any, Array]]
Layers = list[tuple[Array, Array]]


class MLP:
    r"""A multi-layer perceptron: layers of neurons, each fully connected to the next.

    Parameters
    ----------
    sizes : sequence of int, at least two, each >= 1
        Widths :math:`d_0, \dots, d_D` from input to output: ``(784, 64, 64, 10)`` has two hidden
        layers and :math:`\sum_l (d_{l-1} + 1)\,d_l = 55\,050` parameters.
    activation : {"relu", "tanh", "sigmoid", "identity"}
        Of the hidden layers.

    Attributes
    ----------
    sizes : tuple of int
    activation : str
    n_parameters : int
        n, the length of theta.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer or the activation is unknown.

    Examples
    --------
    >>> network = MLP((2, 3, 1), activation="tanh")
    >>> network.n_parameters
    13
    >>> theta = network.init(np.random.default_rng(0))
    >>> network.forward(theta, np.zeros((5, 2))).shape
    (5, 1)
    """

    def __init__(self, sizes: Sequence[int], activation: str = "relu") -> None:
        if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray):
            raise TypeError(f"sizes must be a sequence of integers, got {sizes!r}")
        if len(sizes) < 2:
            raise ValueError(f"sizes must name at least input and output, got {tuple(sizes)}")
        self.sizes = tuple(check_integer("sizes", size) for size in sizes)
        self.activation = check_choice("activation", activation, tuple(ACTIVATIONS))
        self._phi, self._phi_prime = ACTIVATIONS[activation]
        # Where each layer's weights begin, where its biases begin, and where it ends.
        self._layout: list[tuple[int, int, int, tuple[int, int]]] = []
        start = 0
        for shape in pairwise(self.sizes):
            middle = start + math.prod(shape)
            self._layout.append((start, middle, middle + shape[1], shape))
            start = middle + shape[1]
        self.n_parameters = start

    def __repr__(self) -> str:
        """Show how to build it, and the number of parameters."""
        return f"MLP({self.sizes}, {self.activation!r})  # {self.n_parameters} parameters"

    def init(
        self, rng: np.random.Generator, *, scheme: str = "he", dtype: Any = np.float64
    ) -> Array:
        r"""Draw random weights, and set the biases to 0.

        Weights are Gaussian with variance :math:`2/d_{l-1}` (He, for ReLU) or
        :math:`2/(d_{l-1}+d_l)` (Glorot, for tanh and sigmoid).

        Parameters
        ----------
        rng : numpy.random.Generator
        scheme : {"he", "glorot"}
        dtype : float32 or float64
            The numbers are drawn in float64 and rounded, so both dtypes start alike.

        Returns
        -------
        theta : ndarray, shape (n,)

        Raises
        ------
        TypeError, ValueError
            If an argument is none of these.

        References
        ----------
        K. He, X. Zhang, S. Ren and J. Sun, ICCV 2015, arXiv:1502.01852. X. Glorot and Y. Bengio,
        AISTATS 2010.
        """
        check_rng("rng", rng)
        check_choice("scheme", scheme, ("he", "glorot"))
        try:
            dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from None
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {dtype}")
        theta = np.zeros(self.n_parameters)
        for start, middle, _, (n_in, n_out) in self._layout:
            variance = 2 / n_in if scheme == "he" else 2 / (n_in + n_out)
            theta[start:middle] = rng.normal(scale=math.sqrt(variance), size=n_in * n_out)
        return theta.astype(dtype)

    def unpack(self, theta: Array) -> Layers:
        """Return the layers of `theta` as views: writing to one changes `theta`.

        Parameters
        ----------
        theta : ndarray, shape (n,) or (runs, n)

        Returns
        -------
        list of (W, b)
            W of shape (d_in, d_out) and b (d_out,), with `runs` in front where theta has it.

        Raises
        ------
        TypeError, ValueError
            If `theta` is not a floating array whose last axis has length n.
        """
        return self._views(self._check_theta(theta, finite=False))

    def activations(self, theta: Any, x: Any) -> list[Array]:
        """Return every layer's output: the inputs, the hidden activations, the logits.

        Parameters and errors as in `forward`.

        Returns
        -------
        list of ndarray
            D + 1 arrays of shape (batch, d_l), with `runs` in front where theta has it (the
            first is `x` in theta's precision).
        """
        theta = self._check_theta(theta)
        x = self._check_x(theta, x)
        # A matrix product of finite numbers may report an invalid value where there is none.
        with np.errstate(invalid="ignore"):
            return self._propagate(self._views(theta), x)

    def forward(self, theta: Any, x: Any) -> Array:
        """Compute the logits of a batch.

        Parameters
        ----------
        theta : ndarray, shape (n,) or (runs, n)
            The network computes in its precision.
        x : ndarray, shape (batch, d_0), or (runs, batch, d_0) for inputs of each run's own

        Returns
        -------
        ndarray, shape (batch, d_D) or (runs, batch, d_D)

        Raises
        ------
        TypeError, ValueError
            If shapes do not fit, or an argument is not floating or not finite.
        """
        return self.activations(theta, x)[-1]

    def loss_and_grad(
        self,
        theta: Any,
        x: Any,
        y: Any,
        loss: Loss = softmax_cross_entropy,
        *,
        out: Array | None = None,
    ) -> tuple[Any, Array]:
        r"""Compute the mean loss of a batch and, by backpropagation, its gradient.

        With :math:`\delta^{(l)} = \partial J/\partial z^{(l)}`, from the last layer to the first:
        :math:`\partial J/\partial W^{(l)} = a^{(l-1)\top}\delta^{(l)}`,
        :math:`\partial J/\partial b^{(l)} = \sum_i \delta^{(l)}_i` and
        :math:`\delta^{(l-1)} = \delta^{(l)} W^{(l)\top} \odot \varphi'(z^{(l-1)})`.

        Parameters
        ----------
        theta, x
            As in `forward`.
        y : array_like
            What `loss` takes as its second argument: class numbers, or targets shaped as logits.
        loss : callable
            ``loss(logits, y) -> (value, gradient)``, such as those of `optlearn.losses`.
        out : ndarray, shape and dtype of theta, optional
            Where to write the gradient.

        Returns
        -------
        value : float, or array of shape (runs,)
        grad : ndarray, shape of theta

        Raises
        ------
        TypeError, ValueError
            As `forward` and `loss`; also if `out` does not fit.
        """
        theta = self._check_theta(theta)
        x = self._check_x(theta, x)
        if not callable(loss):
            raise TypeError(f"loss must be a callable of logits and y, got {loss!r}")
        grad = np.empty_like(theta)
        if out is not None:
            grad = check_out("out", out, theta, x, np.asarray(y), inplace=False)
        with np.errstate(invalid="ignore"):
            return self._backpropagate(self._views(theta), self._views(grad), x, y, loss), grad

    def predict(self, theta: Any, x: Any) -> Array:
        """Return the most probable class of every sample.

        Parameters and errors as in `forward`.

        Returns
        -------
        ndarray of int, shape (batch,) or (runs, batch)
            The index of the largest logit; with a single output 1 where the logit is positive
            and 0 elsewhere.
        """
        logits = self.forward(theta, x)
        if self.sizes[-1] == 1:
            return (logits[..., 0] > 0).astype(np.int64)
        return np.asarray(logits.argmax(axis=-1))

    def _check_theta(self, theta: Any, *, finite: bool = True) -> Array:
        theta = check_array("theta", theta, finite=finite)
        if theta.ndim not in (1, 2) or theta.shape[-1] != self.n_parameters:
            raise ValueError(
                f"theta must have shape ({self.n_parameters},) or (runs, {self.n_parameters}), "
                f"got {theta.shape}"
            )
        return np.asarray(theta)

    def _check_x(self, theta: Array, x: Any) -> Array:
        x = check_array("x", x)
        if x.dtype.kind == "c" and theta.dtype.kind != "c":
            raise TypeError(f"x must be real, as theta is, got {x.dtype}")
        runs = theta.shape[:-1]
        if x.ndim < 2 or x.shape[-1] != self.sizes[0] or x.shape[:-2] not in ((), runs):
            front = ", ".join(["batch", *(["or (runs, batch"] if runs else [])])
            raise ValueError(f"x must have shape ({front}, {self.sizes[0]}), got {x.shape}")
        return np.asarray(x, dtype=theta.dtype)

    def _views(self, theta: Array) -> Layers:
        front = theta.shape[:-1]
        return [
            (theta[..., start:middle].reshape(*front, *shape), theta[..., middle:stop])
            for start, middle, stop, shape in self._layout
        ]

    def _propagate(self, layers: Layers, x: Array) -> list[Array]:
        """Run the forward pass and keep every layer's output for the backward pass."""
        a = [x]
        for weights, bias in layers:
            z = a[-1] @ weights
            z += bias if bias.ndim == 1 else bias[:, None, :]
            a.append(self._phi(z) if len(a) < len(layers) else z)
        return a

    def _backpropagate(self, layers: Layers, slots: Layers, x: Array, y: Any, loss: Loss) -> Any:
        """Fill the gradient's views `slots` and return the loss; nothing is checked here."""
        a = self._propagate(layers, x)
        value, delta = loss(a[-1], y)
        for index in range(len(layers) - 1, -1, -1):
            grad_w, grad_b = slots[index]
            np.matmul(a[index].swapaxes(-1, -2), delta, out=grad_w)
            np.add.reduce(delta, axis=-2, out=grad_b)
            if index > 0:
                weights = layers[index][0]
                delta = delta @ weights.swapaxes(-1, -2)
                delta *= self._phi_prime(a[index])
        return value
