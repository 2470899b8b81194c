r"""Inference in integers: a trained network as tables of int8 and int32 (chapter 12).

With :math:`x = S_x (q_x - Z_x)`, :math:`w = S_w q_w` and the bias as :math:`b = S_x S_w q_b`, a
layer's :math:`z = x W + b` is :math:`S_x S_w` times the integer

.. math:: A = (q_x - Z_x)\,q_w + q_b,

and its output on the next grid is :math:`q_y = Z_y + \mathrm{round}(M A)` with
:math:`M = S_x S_w / S_y`. M is no integer, but :math:`M = M_0\,2^{-k}` with an integer
:math:`M_0` from :math:`2^{30}` to :math:`2^{31} - 1`, to 31 bits: a product and a shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlearn._affine import calibrate, check_bits, quantize
from optlearn._checks import Array, check_array
from optlearn._grid import apply_grid, integer_range
from optlearn.networks import MLP

__all__ = ["IntegerLayer", "QuantizedMLP", "fixed_point", "requantize"]

# One half of int32 for the sum of products, one half for the bias.
SUM_LIMIT = 2**30 - 1
BIAS_LIMIT = 2**30


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    r"""One layer in integers.

    Attributes
    ----------
    weights : ndarray of int8, shape (d_in, d_out)
    bias : ndarray of int32, shape (d_out,)
    input_zero_point, output_zero_point : int
        :math:`Z_x` and :math:`Z_y` (0 for the last layer, which is not requantized).
    scale : float64, shape () or (d_out,)
        :math:`S_x S_w`, the value of an accumulator's unit.
    multiplier, shift : int32, shape () or (d_out,)
        :math:`M_0` and k of :math:`M = M_0 2^{-k}`; both 0 for the last layer.
    """

    weights: Array
    bias: Array
    input_zero_point: int
    output_zero_point: int
    scale: Any
    multiplier: Any
    shift: Any

    def accumulate(self, q: Array) -> Array:
        """Return the int32 sums of a batch of int8 inputs."""
        centred = q.astype(np.int32) - np.int32(self.input_zero_point)
        return np.asarray(centred @ self.weights.astype(np.int32) + self.bias)


def fixed_point(multiplier: Any) -> tuple[Any, Any]:
    r"""Write positive numbers as :math:`M_0\,2^{-k}` with :math:`M_0` in [2^30, 2^31)."""
    if not np.isfinite(multiplier).all():
        raise ValueError(f"a rescaling must be below 2**30, got {np.max(multiplier)}")
    mantissa, exponent = np.frexp(multiplier)
    integer = np.rint(np.ldexp(mantissa, 31)).astype(np.int64)
    carried = integer == 2**31  # 0.99999… was rounded to 1
    integer, shift = np.where(carried, 2**30, integer), 31 - exponent - carried
    if (shift < 1).any():
        raise ValueError(f"a rescaling must be below 2**30, got {np.max(multiplier)}")
    # Beyond 62 every product is below one half and rounds to 0; so it does at 62, and so does a
    # number that has vanished to 0.
    gone = (shift > 62) | (integer == 0)
    integer, shift = np.where(gone, 2**30, integer), np.where(gone, 62, shift)
    return integer.astype(np.int32)[()], shift.astype(np.int32)[()]


def requantize(accumulator: Array, multiplier: Any, shift: Any) -> Array:
    """Return round(accumulator * multiplier / 2**shift) as int64, halves rounded up.

    The product of two int32 fits int64, and adding half of the divisor before the shift turns its
    rounding down into rounding to nearest.
    """
    shift = np.asarray(shift, dtype=np.int64)
    product = accumulator.astype(np.int64) * np.asarray(multiplier, dtype=np.int64)
    return np.asarray((product + (np.int64(1) << (shift - 1))) >> shift)


class QuantizedMLP:
    """A trained network that computes with integers only, from int8 inputs to int32 logits.

    Build one with `from_network`.

    Attributes
    ----------
    layers : list of IntegerLayer
        Readable: `weights`, `bias`, `multiplier`, `shift` and the zero points.
    input_scale : float
    input_zero_point : int
    sizes : tuple of int
    activation : {"relu", "identity"}
    bits, activation_bits : int
        Of the weights; of inputs and hidden activations.

    Examples
    --------
    >>> from optlearn.networks import MLP
    >>> network = MLP((2, 1))
    >>> theta = np.array([1.0, -1.0, 0.5])  # the logit is x_1 - x_2 + 1/2
    >>> integers = QuantizedMLP.from_network(network, theta, np.array([[0.0, 0.0], [2.55, 2.55]]))
    >>> q = integers.quantize_input(np.array([[1.0, 0.25]]))
    >>> q.dtype.name, integers.forward_integers(q).dtype.name
    ('int8', 'int32')
    >>> integers.forward(np.array([[1.0, 0.25]])).round(2).tolist()
    [[1.25]]
    """

    def __init__(
        self,
        layers: list[IntegerLayer],
        *,
        activation: str,
        bits: int,
        activation_bits: int,
        input_scale: float,
    ) -> None:
        self.layers = layers
        self.activation = activation
        self.bits = bits
        self.activation_bits = activation_bits
        self.input_scale = input_scale
        self.input_zero_point = layers[0].input_zero_point
        self.sizes = (len(layers[0].weights), *(len(layer.bias) for layer in layers))

    @classmethod
    def from_network(
        cls,
        network: MLP,
        theta: Any,
        calibration_data: Any,
        *,
        bits: int = 8,
        axis: int | None = None,
        method: str = "min-max",
        percentile: float = 99.9,
        activation_bits: int = 8,
    ) -> QuantizedMLP:
        """Turn a trained network into integers.

        Parameters
        ----------
        network : MLP
            With ReLU or identity.
        theta : ndarray, shape (n,)
        calibration_data : ndarray, shape (batch, d_0)
            Inputs such as the network will meet: they set the ranges of inputs and activations.
        bits : int, from 2 to 8
            Of the weights, on symmetric grids.
        axis : {None, 1}
            One scale for a layer's weights, or one for every neuron.
        method, percentile
            How ranges are chosen, of weights and of activations; see `calibrate`.
        activation_bits : int, from 2 to 8
            Of inputs and hidden activations, on asymmetric grids.

        Returns
        -------
        QuantizedMLP

        Raises
        ------
        TypeError, ValueError
            If an argument is none of these, if a layer has so many inputs that a sum might
            overflow int32, or if weights and inputs are so small or so large that the unit of the
            sums, the product of their scales, is no normal number.

        References
        ----------
        B. Jacob et al., CVPR 2018, arXiv:1712.05877, sections 2.2 to 2.4. They round the product
        by M_0 and the shift one after the other; here there is one rounding.
        """
        if not isinstance(network, MLP):
            raise TypeError(f"network must be an optlearn MLP, got {network!r}")
        if network.activation not in ("relu", "identity"):
            raise ValueError(f"activation must be relu or identity, got {network.activation!r}")
        theta = check_array("theta", theta)
        if theta.shape != (network.n_parameters,):
            raise ValueError(f"theta must have shape ({network.n_parameters},), got {theta.shape}")
        check_bits(bits, least=2, most=8)
        check_bits(activation_bits, least=2, most=8, name="activation_bits")
        if axis not in (None, 1) or isinstance(axis, bool | float):
            raise ValueError(f"axis must be None or 1, got {axis!r}")
        most = SUM_LIMIT // ((2**activation_bits - 1) * integer_range(bits, True)[1])
        if max(network.sizes[:-1]) > most:
            raise ValueError(f"sizes must be <= {most} for sums in int32, got {network.sizes}")
        how: dict[str, Any] = {"method": method, "percentile": percentile}
        inputs = network.activations(theta, calibration_data)[:-1]
        grids = [calibrate(a.astype(np.float64), bits=activation_bits, **how) for a in inputs]
        layers = []
        for index, (weights, bias) in enumerate(network.unpack(theta.astype(np.float64))):
            scale_x, zero_x = grids[index]
            scale_w = calibrate(weights, bits=bits, symmetric=True, axis=axis, **how)[0]
            # A neuron whose bias dwarfs its weights: a coarser grid, so that the bias fits.
            with np.errstate(over="ignore", under="ignore"):
                least = np.abs(bias) / (scale_x * BIAS_LIMIT)
                scale_w = np.maximum(scale_w, least.max() if axis is None else least[None, :])
                unit = scale_x * (scale_w if axis is None else scale_w[0])
            # A unit that has lost bits, or all of them, would make nonsense of the bias.
            if not (np.isfinite(unit) & (unit >= np.finfo(np.float64).tiny)).all():
                raise ValueError(
                    f"theta and calibration_data must have scales whose product is a normal "
                    f"number, got {np.min(unit)} to {np.max(unit)} in layer {index}"
                )
            q_w = quantize(weights, bits=bits, symmetric=True, axis=axis, scale=scale_w).q
            q_b = np.rint(bias / unit)
            if np.abs(q_b).max() > BIAS_LIMIT:
                raise ValueError(f"theta has a bias beyond 2**30 units in layer {index}")
            q_b = q_b.astype(np.int32)
            multiplier, shift, zero_y = np.int32(0), np.int32(0), 0
            if index + 1 < len(grids):
                scale_y, zero_y = grids[index + 1]
                with np.errstate(over="ignore", under="ignore"):
                    multiplier, shift = fixed_point(unit / scale_y)
            layers.append(
                IntegerLayer(q_w, q_b, int(zero_x), int(zero_y), unit, multiplier, shift)
            )
        return cls(
            layers,
            activation=network.activation,
            bits=bits,
            activation_bits=activation_bits,
            input_scale=float(grids[0][0]),
        )

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.weights.size + layer.bias.size for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables, with the weights packed to their bits."""
        total = 8 + 4  # the input's scale and zero point
        for layer in self.layers:
            total += math.ceil(self.bits * layer.weights.size / 8) + layer.bias.nbytes
            total += layer.scale.nbytes + layer.multiplier.nbytes + layer.shift.nbytes
            total += 4  # the output's zero point
        return total

    def quantize_input(self, x: Any) -> Array:
        """Return the int8 inputs of a batch (batch, d_0); values out of range saturate."""
        x = check_array("x", x)
        if x.ndim != 2 or x.shape[1] != self.sizes[0] or x.dtype.kind != "f":
            raise ValueError(f"x must be real of shape (batch, {self.sizes[0]}), got {x.shape}")
        zero = self.input_zero_point
        steps = apply_grid(x, self.input_scale, zero, self.activation_bits, False)
        return (steps + zero).astype(np.int8)

    def forward_integers(self, q: Any) -> Array:
        """Return the int32 logits of int8 inputs: in units of the last layer's `scale`.

        Parameters
        ----------
        q : ndarray of int8, shape (batch, d_0)

        Returns
        -------
        ndarray of int32, shape (batch, d_D)

        Raises
        ------
        TypeError, ValueError
            If `q` is no such array.
        """
        if not isinstance(q, np.ndarray) or q.dtype != np.int8:
            raise TypeError(f"q must be int8, got {getattr(q, 'dtype', type(q).__name__)}")
        low, high = integer_range(self.activation_bits, False)
        if q.ndim != 2 or q.size == 0 or q.shape[1] != self.sizes[0]:
            raise ValueError(f"q must have shape (batch, {self.sizes[0]}), got {q.shape}")
        if q.min() < low or q.max() > high:
            raise ValueError(f"q must be from {low} to {high}, got {q.min()} to {q.max()}")
        for layer in self.layers[:-1]:
            y = requantize(layer.accumulate(q), layer.multiplier, layer.shift)
            y += layer.output_zero_point
            # The zero point stands for 0: not to fall below it is the ReLU.
            floor = layer.output_zero_point if self.activation == "relu" else low
            q = np.clip(y, floor, high).astype(np.int8)
        return self.layers[-1].accumulate(q)

    def forward(self, x: Any) -> Array:
        """Return the float64 logits (batch, d_D) of floating inputs (batch, d_0)."""
        return np.asarray(self.forward_integers(self.quantize_input(x)) * self.layers[-1].scale)

    def predict(self, x: Any) -> Array:
        """Return the most probable class of every sample, as `MLP.predict`."""
        logits = self.forward(x)
        if self.sizes[-1] == 1:
            return (logits[:, 0] > 0).astype(np.int64)
        return np.asarray(logits.argmax(axis=1))
