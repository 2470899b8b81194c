r"""The affine map between real numbers and small integers: :math:`r = S\,(q - Z)` (chapter 12).

A scale S and a zero point Z make a grid of :math:`2^b` equally spaced numbers, one of them 0.
`calibrate` chooses the grid, `quantize` moves every number to the nearest point of it and keeps
the point's integer q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlearn._checks import (
    Array,
    check_array,
    check_choice,
    check_flag,
    check_integer,
    check_real,
)
from optlearn._grid import (
    Axes,
    apply_grid,
    best_grid,
    integer_dtype,
    integer_range,
    min_max_grid,
    percentile_grid,
    to_real,
)

__all__ = [
    "Quantized",
    "binarize",
    "calibrate",
    "check_bits",
    "check_grid",
    "fake_quantize",
    "quantize",
]

METHODS = ("min-max", "percentile", "mse")
MOST_BITS = 16


@dataclass(frozen=True, eq=False)
class Quantized:
    r"""Small integers with the grid that says what they stand for: :math:`r = S\,(q - Z)`.

    Parameters
    ----------
    q : ndarray of int8 (up to 8 bits) or int16
        From :math:`-2^{b-1}` to :math:`2^{b-1} - 1`; from :math:`-(2^{b-1} - 1)` where symmetric.
    scale : float or ndarray of float64, > 0
        S, the distance of two neighbours on the grid. One number, or one a channel: shaped as `q`
        along `axis` and 1 along the other axes.
    zero_point : int or ndarray of int32
        Z, the integer that stands for 0; shaped as `scale`.
    bits : int, from 1 to 16
    axis : int or None
        The axis along which every channel has a scale of its own.
    symmetric : bool
        Whether Z is 0 and the most negative integer is left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Examples
    --------
    >>> stored = Quantized(np.array([-2, 0, 1], dtype=np.int8), 0.5, 0, bits=2)
    >>> stored.dequantize().tolist()
    [-1.0, 0.0, 0.5]
    """

    q: Array
    scale: Any
    zero_point: Any
    bits: int
    axis: int | None = None
    symmetric: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no grid, or integers that are not on it."""
        check_bits(self.bits)
        low, high = integer_range(self.bits, check_flag("symmetric", self.symmetric))
        wanted = np.dtype(integer_dtype(self.bits))
        if not isinstance(self.q, np.ndarray) or self.q.dtype != wanted:
            kind = getattr(self.q, "dtype", type(self.q).__name__)
            raise TypeError(f"q must be an array of {wanted} at {self.bits} bits, got {kind}")
        if self.q.size == 0:
            raise ValueError(f"q must not be empty, got shape {self.q.shape}")
        if self.q.min() < low or self.q.max() > high:
            bad = self.q.min() if self.q.min() < low else self.q.max()
            raise ValueError(f"q must be from {low} to {high}, got {bad}")
        axis = _check_axis(self.q, self.axis)
        grid = check_grid(self.q, self.bits, self.symmetric, axis, self.scale, self.zero_point)
        for name, value in (("axis", axis), ("scale", grid[0]), ("zero_point", grid[1])):
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return tuple(self.q.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed integers, the scales and (where not symmetric) the zero points."""
        packed = math.ceil(self.bits * self.q.size / 8)
        zero_points = 0 if self.symmetric else int(self.zero_point.nbytes)
        return packed + int(self.scale.nbytes) + zero_points

    def dequantize(self, dtype: Any = np.float64) -> Array:
        r"""Return the real numbers :math:`S\,(q - Z)`.

        Parameters
        ----------
        dtype : float32 or float64

        Returns
        -------
        ndarray, shape of `q`
            Exact in float64 on a grid of `calibrate`'s. A number beyond the largest of `dtype`
            becomes that one.
        """
        if dtype not in (np.float32, np.float64, "float32", "float64"):
            raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
        return to_real(self.q - self.zero_point, self.scale, dtype)


def calibrate(
    w: Any,
    *,
    bits: int = 8,
    symmetric: bool = False,
    axis: int | None = None,
    method: str = "min-max",
    percentile: float = 99.9,
) -> tuple[Any, Any]:
    r"""Choose the grid for a tensor: the scale S and the zero point Z.

    A range [low, high], widened to hold 0, is divided into :math:`2^b - 1` steps:
    :math:`S = (high - low)/(2^b - 1)` and :math:`Z = -2^{b-1} - \mathrm{round}(low/S)`. Where
    symmetric, :math:`S = \max|w|/(2^{b-1} - 1)` and Z = 0.

    Parameters
    ----------
    w : ndarray of float32 or float64
    bits : int, from 1 to 16
        At one bit a symmetric grid has a single point, 0 (S is :math:`2\max|w|`): weights of one
        bit give up the 0 instead, see `binarize`.
    symmetric : bool
    axis : int, optional
        Choose a grid for every index along this axis; without it one for all of `w`.
    method : {"min-max", "percentile", "mse"}
        The range: all values; the middle `percentile` percent of them; or the min-max range
        shrunk by 0, 1, …, 99 percent, whichever has the lowest mean squared error.
    percentile : float, above 0, up to 100
        Nearest value; of abs(w) where symmetric, else half of the rest is cut off at either end.
        A channel that has only zeros inside keeps its min-max range.

    Returns
    -------
    scale : float64, or ndarray of shape 1 everywhere but along `axis`
        Rounded up to 24 significant bits, so that S (q - Z) is exact in float64; for float32 to
        24 - b bits, so that it is exact in float32. To a power of 2 where there are not so many
        bits: close to the smallest number, and for float32 at more than 11 bits. 1 for a channel
        of zeros.
    zero_point : int32, or ndarray shaped as `scale`

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; NaN and infinities are refused. Also if a step of one bit
        is beyond the largest float64.

    Notes
    -----
    A tensor that is on a grid already keeps it. So quantizing twice changes nothing.

    References
    ----------
    B. Jacob et al., CVPR 2018, arXiv:1712.05877, section 2.1 (with unsigned integers).

    Examples
    --------
    >>> scale, zero_point = calibrate(np.array([-1.0, 0.0, 2.0]), bits=2)
    >>> float(scale), int(zero_point)
    (1.0, -1)
    """
    w, axis = _check_tensor(w, bits, symmetric, axis)
    check_choice("method", method, METHODS)
    percentile = check_real("percentile", percentile, "in (0, 100]")
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must be in (0, 100], got {percentile}")
    axes = _other_axes(w, axis)
    if method == "percentile":
        scale, zero_point = percentile_grid(w, bits, symmetric, axes, percentile)
    elif method == "mse":
        scale, zero_point = best_grid(w, bits, symmetric, axes)
    else:
        scale, zero_point = min_max_grid(w, bits, symmetric, axes)
    return _as_channels(scale, w, axis), _as_channels(zero_point, w, axis)


def quantize(
    w: Any,
    *,
    bits: int = 8,
    symmetric: bool = False,
    axis: int | None = None,
    scale: Any = None,
    zero_point: Any = None,
) -> Quantized:
    r"""Round every number to the nearest point of a grid and keep its integer.

    :math:`q = \mathrm{clip}(\mathrm{round}(w/S + Z),\ q_{min},\ q_{max})`, ties to the even q.
    Inside the grid's range :math:`|S (q - Z) - w| \le S/2`; what is outside saturates at its end.

    Parameters
    ----------
    w : ndarray of float32 or float64
    bits : int, from 1 to 16
    symmetric : bool
        Whether the grid is symmetric about Z = 0.
    axis : int, optional
        A grid for every index along this axis; see `calibrate`.
    scale : float or ndarray, > 0, optional
        S: one number, or one for every channel along `axis`, as a vector or as `calibrate` returns
        them. Without it the min-max grid of `calibrate`.
    zero_point : int or ndarray of int, optional
        Z, shaped as `scale`; 0 where it is left out.

    Returns
    -------
    Quantized

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; NaN and infinities are refused.

    References
    ----------
    B. Jacob et al., CVPR 2018, arXiv:1712.05877, equation 1. Ties as ``torch.quantize_per_tensor``
    breaks them; ``torch.fake_quantize_per_tensor_affine`` adds Z after rounding, which differs at
    ties where Z is odd.

    Examples
    --------
    >>> w = np.array([-1.0, 0.0, 0.4, 2.0])
    >>> quantize(w, bits=2).q.tolist(), quantize(w, bits=2).dequantize().tolist()
    ([-2, -1, -1, 1], [-1.0, 0.0, 0.0, 2.0])
    """
    w, axis = _check_tensor(w, bits, symmetric, axis)
    scale, zero_point = _choose_grid(w, bits, symmetric, axis, scale, zero_point)
    steps = apply_grid(w, scale, zero_point, bits, symmetric)
    q = np.asarray(steps + zero_point, dtype=integer_dtype(bits))
    return Quantized(q, scale, zero_point, bits, axis, symmetric)


def fake_quantize(
    w: Any,
    *,
    bits: int = 8,
    symmetric: bool = False,
    axis: int | None = None,
    scale: Any = None,
    zero_point: Any = None,
) -> Array:
    """Round every number to the nearest point of a grid: `quantize` and back at once.

    Parameters
    ----------
    w : ndarray of float32 or float64
    bits : int, from 1 to 16
    symmetric : bool
    axis : int, optional
    scale : float or ndarray, > 0, optional
    zero_point : int or ndarray of int, optional
        All as in `quantize`.

    Returns
    -------
    ndarray, shape and dtype of `w`

    Raises
    ------
    TypeError, ValueError
        As `quantize`.

    Examples
    --------
    >>> fake_quantize(np.array([-1.0, 0.0, 0.4, 2.0]), bits=2).tolist()
    [-1.0, 0.0, 0.0, 2.0]
    """
    w, axis = _check_tensor(w, bits, symmetric, axis)
    scale, zero_point = _choose_grid(w, bits, symmetric, axis, scale, zero_point)
    return to_real(apply_grid(w, scale, zero_point, bits, symmetric), scale, w.dtype)


def binarize(w: Any, *, axis: int | None = None) -> tuple[Array, Any]:
    r"""Replace every number by its sign, times one scale: :math:`w \approx a\,\mathrm{sign}(w)`.

    The scale :math:`a = \frac1n\sum_j |w_j|` has the least squared error of all scales.

    Parameters
    ----------
    w : ndarray of float32 or float64
    axis : int, optional
        One scale for every index along this axis.

    Returns
    -------
    signs : ndarray of int8, shape of `w`
        -1 or +1; the sign of 0 is +1.
    scale : float64, or ndarray of shape 1 everywhere but along `axis`

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these; NaN and infinities are refused.

    References
    ----------
    M. Rastegari, V. Ordonez, J. Redmon and A. Farhadi, XNOR-Net, ECCV 2016, arXiv:1603.05279,
    equation 6.

    Examples
    --------
    >>> signs, scale = binarize(np.array([-1.0, 0.0, 5.0]))
    >>> signs.tolist(), float(scale)
    ([-1, 1, 1], 2.0)
    """
    w, axis = _check_tensor(w, 1, False, axis)
    size = np.abs(w).astype(np.float64)
    axes = _other_axes(w, axis)
    # The sum of huge numbers could overflow: add up fractions of a power of two.
    _, exponent = np.frexp(size.max(axis=axes, keepdims=True))
    scale = np.ldexp(np.ldexp(size, -exponent).mean(axis=axes, keepdims=True), exponent)
    return np.where(w < 0, np.int8(-1), np.int8(1)), _as_channels(scale, w, axis)


# Checks ------------------------------------------------------------------------------------------


def check_bits(bits: Any, *, least: int = 1, most: int = MOST_BITS, name: str = "bits") -> int:
    """Return `bits` if it is a whole number in the range."""
    number = check_integer(name, bits, minimum=least)
    if number > most:
        raise ValueError(f"{name} must be <= {most}, got {bits}")
    return number


def _check_axis(w: Array, axis: Any) -> int | None:
    """Return the axis counted from the front."""
    if axis is None:
        return None
    number = check_integer("axis", axis, minimum=-w.ndim)
    if number >= w.ndim:
        raise ValueError(f"axis must be < {w.ndim} for shape {w.shape}, got {axis}")
    return number % w.ndim


def _check_tensor(w: Any, bits: Any, symmetric: Any, axis: Any) -> tuple[Array, int | None]:
    w = check_array("w", w)
    if w.dtype not in (np.float32, np.float64):
        raise TypeError(f"w must be float32 or float64, got {w.dtype}")
    check_bits(bits)
    check_flag("symmetric", symmetric)
    return w, _check_axis(w, axis)


def _other_axes(w: Array, axis: int | None) -> Axes:
    return tuple(other for other in range(w.ndim) if other != axis)


def _as_channels(value: Array, w: Array, axis: int | None) -> Any:
    """Give a grid's numbers their shape: one number, or 1 everywhere but along `axis`."""
    shape = () if axis is None else tuple(n if i == axis else 1 for i, n in enumerate(w.shape))
    return value.reshape(shape)[()]


def _choose_grid(
    w: Array, bits: int, symmetric: bool, axis: int | None, scale: Any, zero_point: Any
) -> tuple[Any, Any]:
    """Return the grid that was given, or the min-max grid."""
    if scale is not None:
        return check_grid(w, bits, symmetric, axis, scale, zero_point)
    if zero_point is not None:
        raise ValueError(f"zero_point needs a scale, got zero_point={zero_point} alone")
    scale, zero_point = min_max_grid(w, bits, symmetric, _other_axes(w, axis))
    return _as_channels(scale, w, axis), _as_channels(zero_point, w, axis)


def check_grid(
    w: Array, bits: int, symmetric: bool, axis: int | None, scale: Any, zero_point: Any
) -> tuple[Any, Any]:
    """Return scale and zero point in the shape of the channels."""
    scale = _channels("scale", check_array("scale", scale, targets=True), w, axis)
    if scale.dtype.kind not in "fiu":
        raise TypeError(f"scale must be real, got {scale.dtype}")
    if (scale <= 0).any():
        raise ValueError(f"scale must be > 0, got {scale.min()}")
    low, high = integer_range(bits, symmetric)
    rule = "0 on a symmetric grid" if symmetric else f"integers from {low} to {high}"
    zeros = np.asarray(0 if zero_point is None else zero_point)
    if zeros.dtype.kind not in "iu":
        raise TypeError(f"zero_point must be {rule}, got {zero_point!r}")
    zeros = _channels("zero_point", zeros, w, axis)
    low, high = (0, 0) if symmetric else (low, high)
    if (zeros < low).any() or (zeros > high).any():
        bad = zeros.min() if (zeros < low).any() else zeros.max()
        raise ValueError(f"zero_point must be {rule}, got {bad}")
    return scale.astype(np.float64)[()], zeros.astype(np.int32)[()]


def _channels(name: str, value: Array, w: Array, axis: int | None) -> Array:
    """Bring one number, or a vector with one for every channel, to the channels' shape."""
    if axis is None:
        if value.shape != ():
            raise ValueError(f"{name} must be one number without an axis, got {value.shape}")
        return value
    shape = tuple(n if i == axis else 1 for i, n in enumerate(w.shape))
    if value.shape not in ((), (w.shape[axis],), shape):
        raise ValueError(
            f"{name} must have shape {shape} or ({w.shape[axis]},), got {value.shape}"
        )
    return np.broadcast_to(value.reshape(-1 if value.ndim else ()), w.shape[axis]).reshape(shape)
