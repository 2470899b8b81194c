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

__all__ = [
    "Quantized",
    "apply_grid",
    "binarize",
    "calibrate",
    "check_bits",
    "check_grid",
    "fake_quantize",
    "grid_of_range",
    "integer_range",
    "min_max_grid",
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
        wanted = np.dtype(_integer_dtype(self.bits))
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
        return self.q.shape

    @property
    def nbytes(self) -> int:
        """Bytes of the packed integers, the scales and (where not symmetric) the zero points."""
        packed = math.ceil(self.bits * self.q.size / 8)
        return packed + self.scale.nbytes + (0 if self.symmetric else self.zero_point.nbytes)

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
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
        return _to_real(self.q - self.zero_point, self.scale, dtype)


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
        Rounded up to 24 significant bits, so that S (q - Z) is exact in float64. For float32 to
        24 - b bits, so that it is exact in float32. Where S is so close to the smallest number
        that it has no such bits, to a power of 2. 1 for a channel of zeros.
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
        low, high = _range(w, axes)
        inner = _percentile_range(w, symmetric, axes, percentile)
        nothing = (inner[0] == 0) & (inner[1] == 0)
        low, high = np.where(nothing, low, inner[0]), np.where(nothing, high, inner[1])
        scale, zero_point = grid_of_range(low, high, bits, symmetric, w.dtype)
    elif method == "mse":
        scale, zero_point = _best_grid(w, bits, symmetric, axes)
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

    :math:`q = \mathrm{clip}(\mathrm{round}(w/S) + Z,\ q_{min},\ q_{max})`, ties to even. Inside
    the grid's range :math:`|S (q - Z) - w| \le S/2`; what lies outside saturates at its end.

    Parameters
    ----------
    w : ndarray of float32 or float64
    bits, symmetric, axis
        See `calibrate`.
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
    B. Jacob et al., CVPR 2018, arXiv:1712.05877, equation 1.

    Examples
    --------
    >>> w = np.array([-1.0, 0.0, 0.4, 2.0])
    >>> quantize(w, bits=2).q.tolist(), quantize(w, bits=2).dequantize().tolist()
    ([-2, -1, -1, 1], [-1.0, 0.0, 0.0, 2.0])
    """
    w, axis = _check_tensor(w, bits, symmetric, axis)
    scale, zero_point = _choose_grid(w, bits, symmetric, axis, scale, zero_point)
    steps = apply_grid(w, scale, zero_point, bits, symmetric)
    q = (steps + zero_point).astype(_integer_dtype(bits))
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
    w, bits, symmetric, axis, scale, zero_point
        See `quantize`.

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
    return _to_real(apply_grid(w, scale, zero_point, bits, symmetric), scale, w.dtype)


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
    peak = size.max(axis=axes, keepdims=True)
    peak[peak == 0] = 1  # the mean of zeros is 0
    scale = (size / peak).mean(axis=axes, keepdims=True) * peak  # a sum of sizes could overflow
    return np.where(w < 0, -1, 1).astype(np.int8), _as_channels(scale, w, axis)


# The grid, for arrays that have been checked -----------------------------------------------------


def integer_range(bits: int, symmetric: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer."""
    high = 2 ** (bits - 1) - 1
    return (-high if symmetric else -high - 1), high


def min_max_grid(w: Array, bits: int, symmetric: bool, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Return scale and zero point of the range of `w` over `axes`, which stay with length 1."""
    low, high = _range(w, axes)
    scale, zero_point = grid_of_range(low, high, bits, symmetric, w.dtype)
    if symmetric or bits == 1:
        return scale, zero_point
    # The ends of [low, high] need not be on the grid: 0 is. A tensor of this grid can so be
    # narrower than the grid by one step, and would get a finer one. It keeps the one it is on.
    own, own_zero_point = _covering_grid(low, high, bits, w.dtype)
    with np.errstate(over="ignore"):
        on_own = (np.rint(w / own) * own == w).all(axis=axes, keepdims=True)
    return np.where(on_own, own, scale), np.where(on_own, own_zero_point, zero_point)


def grid_of_range(
    low: Array, high: Array, bits: int, symmetric: bool, dtype: Any
) -> tuple[Any, Any]:
    """Return scale and zero point of the range from low <= 0 to high >= 0."""
    bottom, top = integer_range(bits, symmetric)
    with np.errstate(over="ignore"):
        if symmetric:
            scale = np.maximum(-low, high) / (top or 0.5)
        else:
            # high - low may be beyond the largest float64, a sum of halves is not.
            scale = (high / 2 - low / 2) / ((top - bottom) / 2)
            scale = np.where(scale < 1e-290, (high - low) / (top - bottom), scale)
    scale = _round_up(scale, bits, dtype)
    if not np.isfinite(scale).all():
        raise ValueError(f"w must have a range below 2**1024 at {bits} bit, got {high.max()}")
    scale = np.where((low == 0) & (high == 0), 1.0, scale)
    first = np.zeros_like(scale) if symmetric else bottom - np.rint(low / scale)
    # An all-zero channel: 0 stands for 0.
    first = np.where((low == 0) & (high == 0), 0, first)
    return scale, np.clip(first, bottom, top).astype(np.int32)


def apply_grid(w: Array, scale: Any, zero_point: Any, bits: int, symmetric: bool) -> Array:
    """Return q - Z as a float64 array: whole numbers, clipped to the grid."""
    low, high = integer_range(bits, symmetric)
    with np.errstate(over="ignore", under="ignore"):
        steps = np.asarray(np.divide(w, scale, dtype=np.float64))
    np.rint(steps, out=steps)
    return np.clip(steps, low - zero_point, high - zero_point, out=steps)


def _covering_grid(low: Array, high: Array, bits: int, dtype: Any) -> tuple[Any, Any]:
    """Return the finest grid that has both ends of the range inside and 0 on a point."""
    bottom, top = integer_range(bits, False)
    steps = top - bottom
    scale, _ = grid_of_range(low, high, bits, False, dtype)
    best, best_below = np.full_like(scale, np.inf), np.zeros_like(scale)
    for below in (np.floor(-low / scale), np.floor(-low / scale) + 1):  # points left of 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            left = np.where(low == 0, 0, -low / below)
            right = np.where(high == 0, 0, high / (steps - below))
        needed = np.where(below > steps, np.inf, np.maximum(left, right))
        best_below = np.where(needed < best, below, best_below)
        best = np.minimum(needed, best)
    usable = (best > 0) & np.isfinite(best)
    best = np.where(usable, _round_up(np.where(usable, best, 1.0), bits, dtype), scale)
    return best, np.clip(bottom + best_below, bottom, top).astype(np.int32)


def _round_up(scale: Array, bits: int, dtype: Any) -> Array:
    """Round up to so few significant bits that a whole number of steps is exact in `dtype`."""
    digits = 24 - bits if dtype == np.float32 else 24
    smallest = float(np.finfo(dtype).smallest_subnormal)
    mantissa, exponent = np.frexp(np.maximum(scale, smallest))
    # Close to the smallest number there are no more digits to choose from. A power of two still
    # makes quantizing twice safe: every coarser grid of powers of two is part of a finer one.
    digits = np.where(scale < math.ldexp(smallest, 24), 1, digits)
    return np.asarray(np.ldexp(np.ceil(np.ldexp(mantissa, digits)), exponent - digits))


def _range(w: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the smallest and the largest number as float64, widened to hold 0."""
    low = np.minimum(w.min(axis=axes, keepdims=True), 0).astype(np.float64)
    return low, np.maximum(w.max(axis=axes, keepdims=True), 0).astype(np.float64)


def _percentile_range(
    w: Array, symmetric: bool, axes: tuple[int, ...], percentile: float
) -> tuple[Array, Array]:
    """Return the range that holds `percentile` percent of the values."""
    if symmetric:
        high = np.percentile(np.abs(w), percentile, axis=axes, keepdims=True, method="nearest")
        return -high.astype(np.float64), high.astype(np.float64)
    cut = (100 - percentile) / 2
    low, high = np.percentile(w, [cut, 100 - cut], axis=axes, keepdims=True, method="nearest")
    return np.minimum(low, 0).astype(np.float64), np.maximum(high, 0).astype(np.float64)


def _best_grid(w: Array, bits: int, symmetric: bool, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Try ranges from all of min-max to one percent of it and keep each channel's best."""
    low, high = _range(w, axes)
    peak = np.maximum(-low, high)
    peak[peak == 0] = 1
    best, best_zero_point = min_max_grid(w, bits, symmetric, axes)
    lowest = _squared_error(w, best, best_zero_point, bits, symmetric, axes, peak)
    for percent in range(99, 0, -1):
        part = percent / 100
        scale, zero_point = grid_of_range(part * low, part * high, bits, symmetric, w.dtype)
        error = _squared_error(w, scale, zero_point, bits, symmetric, axes, peak)
        better = error < lowest
        best = np.where(better, scale, best)
        best_zero_point = np.where(better, zero_point, best_zero_point)
        lowest = np.minimum(error, lowest)
    return best, best_zero_point


def _squared_error(
    w: Array,
    scale: Any,
    zero_point: Any,
    bits: int,
    symmetric: bool,
    axes: tuple[int, ...],
    peak: Array,
) -> Array:
    """Return the mean squared error of every channel, in units of its largest number."""
    error = apply_grid(w, scale, zero_point, bits, symmetric)
    error *= scale / peak
    error -= w / peak
    return np.asarray(np.square(error, out=error).mean(axis=axes, keepdims=True))


def _to_real(steps: Array, scale: Any, dtype: Any) -> Array:
    """Return steps times scale in `dtype`; what would be infinite is its largest number."""
    most = float(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(steps * scale, -most, most), dtype=dtype)


# Checks ------------------------------------------------------------------------------------------


def check_bits(bits: Any, *, least: int = 1, most: int = MOST_BITS) -> int:
    """Return `bits` if it is a whole number in the range."""
    number = check_integer("bits", bits, minimum=least)
    if number > most:
        raise ValueError(f"bits must be <= {most}, got {bits}")
    return number


def _integer_dtype(bits: int) -> type[np.signedinteger[Any]]:
    return np.int8 if bits <= 8 else np.int16


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


def _other_axes(w: Array, axis: int | None) -> tuple[int, ...]:
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
    if scale.dtype.kind not in "fiu" or (scale <= 0).any():
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
        raise ValueError(f"{name} must have shape {shape} or ({w.shape[axis]},), got {value.shape}")
    return np.broadcast_to(value.reshape(-1 if value.ndim else ()), w.shape[axis]).reshape(shape)
