"""A network's forward and backward pass with fused kernels, in memory that is used again.

`optlearn.training.fit` asks `fused_pass` for one. The matrix products, which take most of the
time, stay NumPy's (a second library of BLAS would bring threads of its own, which fight the first
one's), and so do exponentials and logarithms, for which it has vector instructions. What lies
between them is compiled: a bias and its ReLU are one pass, a derivative and the gradient of the
biases another. The readable pass allocates a dozen arrays a step; here every batch size has its
workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn import fast, losses
from optlearn._checks import Array
from optlearn._memory import aligned_zeros
from optlearn.activations import ACTIVATIONS
from optlearn.networks import MLP

__all__ = ["fused_pass"]

LOSSES = (
    losses.softmax_cross_entropy,
    losses.mean_squared_error,
    losses.binary_cross_entropy,
    losses.mean_absolute_error,
    losses.huber,
    losses.hinge,
)


def fused_pass(
    network: MLP, theta: Array, grad: Array, x: Array, y: Array, loss: Any
) -> Callable[[Array], Any] | None:
    """Return a function of a batch's indices that fills `grad` and returns the loss, or None.

    None where kernels are switched off, or the network, the loss or the numbers are not those that
    the kernels know. Everything has been checked: `theta` and `grad` are vectors that the caller
    goes on to change in place, `y` fits the loss.
    """
    kernels = fast.kernels()
    own = (type(network)._backpropagate, type(network)._propagate)
    if (
        kernels is None
        or own != (MLP._backpropagate, MLP._propagate)
        or network._phi is not ACTIVATIONS[network.activation].value
        or loss not in LOSSES
        or theta.ndim != 1
        or theta.dtype not in (np.float32, np.float64)
        or x.dtype != theta.dtype
        or x.ndim != 2
    ):
        return None
    return _Pass(kernels, network, theta, grad, x, y, loss)


class _Pass:
    """A forward and a backward pass over a batch of `x`."""

    def __init__(
        self, kernels: Any, network: MLP, theta: Array, grad: Array, x: Array, y: Array, loss: Any
    ) -> None:
        self.kernels, self.network, self.loss = kernels, network, loss
        self.dtype, self.x, self.y = theta.dtype, x, y
        self.activation = getattr(kernels, network.activation.upper())
        self.layers, self.slots = network.unpack(theta), network.unpack(grad)  # views
        self.turned = [weights.T for weights, _ in self.layers]
        self.classes = loss is losses.softmax_cross_entropy
        self.labels = np.array(y if self.classes else (), dtype=np.int64)
        self.spaces: dict[int, _Workspace] = {}

    def __call__(self, batch: Array) -> Any:
        """Fill the gradient of the batch and return its loss."""
        space = self.spaces.get(len(batch))
        if space is None:
            space = self.spaces[len(batch)] = _Workspace(self.network, len(batch), self.dtype)
        self.x.take(batch, axis=0, out=space.a[0], mode="clip")  # clip: without a buffer
        self._forward(space)
        value = (self._softmax if self.classes else self._other)(space, batch)
        self._backward(space)
        return value

    def _forward(self, space: _Workspace) -> None:
        """Compute the hidden layers, and of the last one the product."""
        kernels, relu = self.kernels, self.activation == self.kernels.RELU
        last = len(self.layers) - 1
        for index, (weights, bias) in enumerate(self.layers):
            z = np.matmul(space.a[index], weights, out=space.a[index + 1])
            if index < last:
                kernels.bend(z, bias, relu)
                if self.activation in (kernels.TANH, kernels.SIGMOID):
                    z[...] = self.network._phi(z)

    def _softmax(self, space: _Workspace, batch: Array) -> Any:
        """Finish the logits; return the cross-entropy and fill the last delta."""
        powers, right, totals = space.powers, space.right, space.totals
        self.kernels.shift(space.a[-1], self.layers[-1][1], powers, right, self.labels, batch)
        np.exp(powers, out=powers)
        self.kernels.softmax(powers, space.delta[-1], totals, self.labels, batch)
        per_sample = np.log(totals, out=totals)
        per_sample -= right
        return np.add.reduce(per_sample) / len(batch)

    def _other(self, space: _Workspace, batch: Array) -> Any:
        """Finish the outputs; return another loss and fill the last delta."""
        self.kernels.bend(space.a[-1], self.layers[-1][1], False)
        value, space.delta[-1][...] = self.loss(space.a[-1], self.y[batch])
        return value

    def _backward(self, space: _Workspace) -> None:
        """Fill the gradient from the last delta."""
        delta, slope = space.delta, self.kernels.slope
        slope(delta[-1], delta[-1], self.kernels.IDENTITY, self.slots[-1][1])
        for index in range(len(self.layers) - 1, -1, -1):
            np.matmul(space.turned[index], delta[index], out=self.slots[index][0])
            if index > 0:
                below = np.matmul(delta[index], self.turned[index], out=delta[index - 1])
                slope(below, space.a[index], self.activation, self.slots[index - 1][1])


class _Workspace:
    """Memory for the passes over batches of one size: every layer's output and delta."""

    def __init__(self, network: MLP, rows: int, dtype: Any) -> None:
        self.a = [aligned_zeros((rows, size), dtype) for size in network.sizes]
        self.turned = [array.T for array in self.a]
        self.delta = [aligned_zeros((rows, size), dtype) for size in network.sizes[1:]]
        self.powers = aligned_zeros(self.a[-1].shape, dtype)
        self.right, self.totals = aligned_zeros((rows,), dtype), aligned_zeros((rows,), dtype)
