r"""Quantization-aware training: a network that trains on weights it rounds (chapter 12).

The forward pass uses the weights as they will be stored. Rounding has slope 0 almost everywhere,
so its gradient would teach nothing; the straight-through estimator takes the slope as 1, and as 0
where a weight lies outside the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optlearn._affine import check_bits, check_grid
from optlearn._checks import Array, check_flag
from optlearn._grid import apply_grid, integer_range, min_max_grid
from optlearn.networks import MLP, Layers, Loss

__all__ = ["FakeQuantizedMLP"]


class FakeQuantizedMLP(MLP):
    r"""An `MLP` that computes with quantized weights and trains the floating ones behind them.

    The biases stay as they are. With one bit the weights are binary,
    :math:`a\,\mathrm{sign}(w)` with :math:`a = \overline{|w|}`, as `binarize` makes them; their
    gradient passes where :math:`|w| \le 1`.

    Parameters
    ----------
    network : MLP
        Gives sizes and activation.
    bits : int, from 1 to 16
    symmetric : bool
        Without effect at one bit.
    axis : {None, 0, 1}
        One scale a layer, or with ``axis=1`` one for every neuron (W is (d_in, d_out)).
    grids : sequence of (scale, zero_point), optional
        One fixed grid a layer, as `calibrate` returns them. Without it the min-max grid of the
        weights, anew at each pass. Refused at one bit.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    Y. Bengio, N. Léonard and A. Courville, 2013, arXiv:1308.3432 (straight-through estimator).
    M. Courbariaux, Y. Bengio and J.-P. David, BinaryConnect, NeurIPS 2015, arXiv:1511.00363.
    M. Rastegari et al., XNOR-Net, ECCV 2016, arXiv:1603.05279 (the scale a).

    Examples
    --------
    >>> network = FakeQuantizedMLP(MLP((2, 1)), bits=2)
    >>> theta = np.array([1.0, 0.4, 0.0])  # the weights become 1 and 0
    >>> network.forward(theta, np.array([[3.0, 5.0]])).tolist()
    [[3.0]]
    """

    def __init__(
        self,
        network: MLP,
        *,
        bits: int,
        symmetric: bool = True,
        axis: int | None = None,
        grids: Sequence[tuple[Any, Any]] | None = None,
    ) -> None:
        if not isinstance(network, MLP):
            raise TypeError(f"network must be an optlearn MLP, got {network!r}")
        super().__init__(network.sizes, network.activation)
        self.bits = check_bits(bits)
        self.symmetric = check_flag("symmetric", symmetric)
        if axis not in (None, 0, 1) or isinstance(axis, bool | float):
            raise ValueError(f"axis must be None, 0 or 1, got {axis!r}")
        self.axis = axis
        # A runs axis may stand in front: the axes of W are counted from the end.
        self._axes = {None: (-2, -1), 0: (-1,), 1: (-2,)}[axis]
        self.grids = None if grids is None else self._check_grids(grids)

    def __repr__(self) -> str:
        """Show the network and how its weights are quantized."""
        kind = "symmetric" if self.symmetric else "asymmetric"
        where = "layer" if self.axis is None else ("input", "neuron")[self.axis]
        return f"FakeQuantizedMLP({self.sizes}, {self.bits} bits, {kind}, a scale per {where})"

    def activations(self, theta: Any, x: Any) -> list[Array]:
        """Return every layer's output, computed with quantized weights; see `MLP.activations`."""
        theta = self._check_theta(theta)
        layers, _ = self._quantized(self._views(theta))
        return self._propagate(layers, self._check_x(theta, x))

    def quantized(self, theta: Any) -> Array:
        """Return `theta` with the weights that the network computes with.

        Parameters
        ----------
        theta : ndarray, shape (n,) or (runs, n)

        Returns
        -------
        ndarray, shape and dtype of `theta`
            A plain `MLP` computes with it what this network computes with `theta`.

        Raises
        ------
        TypeError, ValueError
            If `theta` is not a finite floating array whose last axis has length n.
        """
        theta = np.array(self._check_theta(theta))
        for (weights, _), (rounded, _) in zip(
            self._views(theta), self._quantized(self._views(theta))[0], strict=True
        ):
            weights[...] = rounded
        return np.asarray(theta)

    def _check_theta(self, theta: Any, *, finite: bool = True) -> Array:
        theta = super()._check_theta(theta, finite=finite)
        if theta.dtype not in (np.float32, np.float64):
            raise TypeError(f"theta must be float32 or float64, got {theta.dtype}")
        return np.asarray(theta)

    def _backpropagate(self, layers: Layers, slots: Layers, x: Array, y: Any, loss: Loss) -> Any:
        """Backpropagate through the quantized weights, and straight through their rounding."""
        quantized, passes = self._quantized(layers)
        value = super()._backpropagate(quantized, slots, x, y, loss)
        for (grad_w, _), inside in zip(slots, passes, strict=True):
            if inside is not None:
                grad_w *= inside
        return value

    def _quantized(self, layers: Layers) -> tuple[Layers, list[Array | None]]:
        """Return the layers with quantized weights, and where the gradient passes (None: all)."""
        quantized: Layers = []
        passes: list[Array | None] = []
        for index, (weights, bias) in enumerate(layers):
            inside = None
            if self.bits == 1:
                scale = np.abs(weights).mean(axis=self._axes, keepdims=True)
                rounded = np.where(weights < 0, -scale, scale)
                inside = np.abs(weights) <= 1
            else:
                if self.grids is None:
                    scale, zero_point = min_max_grid(
                        weights, self.bits, self.symmetric, self._axes
                    )
                else:
                    scale, zero_point = self.grids[index]
                    low, high = integer_range(self.bits, self.symmetric)
                    lowest, highest = (low - zero_point) * scale, (high - zero_point) * scale
                    half = scale / 2
                    inside = (weights >= lowest - half) & (weights <= highest + half)
                rounded = apply_grid(weights, scale, zero_point, self.bits, self.symmetric)
                rounded *= scale
            quantized.append((rounded.astype(weights.dtype, copy=False), bias))
            passes.append(inside)
        return quantized, passes

    def _check_grids(self, grids: Any) -> list[tuple[Any, Any]]:
        if self.bits == 1:
            raise ValueError("grids must be None at 1 bit: binary weights have no grid")
        if not isinstance(grids, Sequence) or len(grids) != len(self._layout):
            count = len(grids) if isinstance(grids, Sequence) else type(grids).__name__
            raise ValueError(f"grids must be {len(self._layout)}, one a layer, got {count}")
        checked = []
        for grid, (_, _, _, shape) in zip(grids, self._layout, strict=True):
            if not isinstance(grid, tuple) or len(grid) != 2:
                raise TypeError(f"grids must be tuples (scale, zero_point), got {grid!r}")
            checked.append(
                check_grid(np.empty(shape), self.bits, self.symmetric, self.axis, *grid)
            )
        return checked
