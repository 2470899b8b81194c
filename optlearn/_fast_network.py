"""A network's forward and backward pass with fused kernels, in memory that is used again.

`optlearn.training.fit` asks `fused_pass` for one. The two products with the batch itself, which
take most of the time, stay NumPy's, and so do exponentials and logarithms, for which it has vector
instructions. All else between them is compiled: two calls a step, whatever the depth. The readable
pass allocates a dozen arrays a step; here every batch size has its workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn import fast, losses
from optlearn._checks import Array
from optlearn._memory import LINE, aligned_zeros
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
        self.theta, self.grad, self.x, self.y = theta, grad, x, y
        self.activation = getattr(kernels, network.activation.upper())
        self.classes = loss is losses.softmax_cross_entropy
        self.relu = self.activation == kernels.RELU
        self.labels = np.array(y if self.classes else (), dtype=np.int64)
        self.layers = network.unpack(theta)
        self.first_slot = network.unpack(grad)[0][0]
        self.spaces: dict[int, _Workspace] = {}

    def __call__(self, batch: Array) -> Any:
        """Fill the gradient of the batch and return its loss."""
        kernels, rows = self.kernels, len(batch)
        space = self.spaces.get(rows)
        if space is None:
            space = self.spaces[rows] = _Workspace(self.network, rows, self.theta.dtype)
        self.x.take(batch, axis=0, out=space.x, mode="clip")  # clip: without a buffer
        first = self._first_layers(space)
        theta, work, layout = self.theta, space.work, space.layout
        powers, labels = space.powers if self.classes else None, self.labels
        kernels.forward(
            theta, work, layout, rows, first, self.relu, powers, space.right, labels, batch
        )
        if powers is not None:
            np.exp(powers, out=powers)
        else:
            value, space.delta[...] = self.loss(space.logits, self.y[batch])
        kernels.backward(
            theta, self.grad, work, layout, self.activation, powers, space.totals, labels, batch
        )
        np.matmul(space.x_turned, space.first_delta, out=self.first_slot)
        if powers is not None:
            per_sample = np.log(space.totals, out=space.totals)
            per_sample -= space.right
            value = np.add.reduce(per_sample) / rows
        return value

    def _first_layers(self, space: _Workspace) -> int:
        """Compute what the kernel does not, up to a product, and tell of which layer that is."""
        a, last = space.x, len(self.layers) - 1
        by_kernel = self.activation in (self.kernels.RELU, self.kernels.IDENTITY)
        for index, (weights, bias) in enumerate(self.layers):
            z = np.matmul(a, weights, out=space.a[index])
            if by_kernel or index == last:
                return index
            z += bias
            z[...] = self.network._phi(z)
            a = z
        return last


class _Workspace:
    """Memory for the passes over batches of one size: every layer's output and delta.

    `layout` says for the kernels where things are, a row for each layer: in theta the beginning of
    the weights, of the biases and the end; inputs and outputs; in `work` the beginning of the
    layer's input, output and delta. (The first layer's input, the batch, lies elsewhere.)
    """

    def __init__(self, network: MLP, rows: int, dtype: Any) -> None:
        step = LINE // np.dtype(dtype).itemsize
        rooms = [-(-rows * size // step) * step for size in network.sizes[1:]]
        starts = np.cumsum([0, *rooms, *rooms]).tolist()
        outputs, deltas = starts[: len(rooms)], starts[len(rooms) : -1]
        self.layout = np.array(
            [
                (start, middle, stop, *shape, before, output, delta)
                for (start, middle, stop, shape), before, output, delta in zip(
                    network._layout, [0, *outputs], outputs, deltas, strict=False
                )
            ]
        )
        self.work = aligned_zeros((starts[-1],), dtype)
        self.x = aligned_zeros((rows, network.sizes[0]), dtype)
        self.x_turned = self.x.T

        def views(begins: list[int]) -> list[Array]:
            return [
                self.work[begin : begin + rows * size].reshape(rows, size)
                for begin, size in zip(begins, network.sizes[1:], strict=True)
            ]

        self.a = views(outputs)
        self.logits, self.first_delta, self.delta = self.a[-1], views(deltas)[0], views(deltas)[-1]
        self.powers = aligned_zeros(self.logits.shape, dtype)
        self.right, self.totals = aligned_zeros((rows,), dtype), aligned_zeros((rows,), dtype)
