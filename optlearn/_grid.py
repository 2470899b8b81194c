r"""The grid of a quantized tensor: which scale and zero point, and what is nearest (chapter 12).

The arithmetic behind `optlearn._affine`, for arrays that have been checked: training loops call
it at every step. `axes` are those over which one grid is shared; they stay with length 1, so
that scale and zero point broadcast against the tensor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlearn._checks import Array

__all__ = [
    "Axes",
    "apply_grid",
    "best_grid",
    "integer_dtype",
    "integer_range",
    "min_max_grid",
    "percentile_grid",
    "to_real",
]

Axes = tuple[int, ...]
Grid = tuple[Array, Array]


def integer_dtype(bits: int) -> type[np.signedinteger[Any]]:
    """Return the smallest dtype that holds the integers."""
    return np.int8 if bits <= 8 else np.int16


def integer_range(bits: int, symmetric: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer."""
    high = 2 ** (bits - 1) - 1
    return (-high if symmetric else -high - 1), high


def apply_grid(w: Array, scale: Any, zero_point: Any, bits: int, symmetric: bool) -> Array:
    """Return q - Z as a float64 array: the nearest whole numbers of steps, clipped to the grid.

    Ties go to the even q. Clipping comes before any cast to integers, which would wrap around.
    """
    low, high = integer_range(bits, symmetric)
    with np.errstate(over="ignore", under="ignore"):
        steps = np.asarray(np.divide(w, scale, dtype=np.float64))
    if symmetric:
        np.rint(steps, out=steps)
        return np.clip(steps, low, high, out=steps)
    steps += zero_point
    np.rint(steps, out=steps)
    np.clip(steps, low, high, out=steps)
    steps -= zero_point
    return steps


def to_real(steps: Array, scale: Any, dtype: Any) -> Array:
    """Return steps times scale in `dtype`; what would be infinite is its largest number."""
    most = float(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(steps * scale, -most, most), dtype=dtype)


def min_max_grid(w: Array, bits: int, symmetric: bool, axes: Axes) -> Grid:
    """Return scale and zero point of all of `w`."""
    low, high = _min_max(w, axes)
    scale, zero_point = _grid_of_range(low, high, bits, symmetric, w.dtype)
    if symmetric or bits == 1:
        return scale, zero_point
    # 0 is on the grid, so the ends of the range need not be: both may move inwards, and the
    # quantized tensor, one step narrower, would be given a finer grid. It keeps its own instead,
    # in which some number of points lies left of 0 and all others right of it.
    bottom, top = integer_range(bits, symmetric)
    few = np.floor(-low / scale)
    for left in (few + 1, few):
        right = top - bottom - left
        own = np.maximum(
            _round_up(-low, np.maximum(left, 1), bits, w.dtype),
            _round_up(high, np.maximum(right, 1), bits, w.dtype),
        )
        possible = (right >= 0) & (own / 2 <= scale) & (low < high)
        own = np.where(possible, own, scale)
        for end in (low, high):
            possible &= to_real(np.rint(end / own), own, w.dtype) == end
        if not possible.any():  # almost always: only the ends were looked at
            continue
        same = to_real(np.rint(w / own), own, w.dtype) == w
        keep = possible & same.all(axis=axes, keepdims=True)
        scale = np.where(keep, own, scale)
        zero_point = np.where(keep, bottom + left, zero_point).astype(np.int32)
    return scale, zero_point


def percentile_grid(w: Array, bits: int, symmetric: bool, axes: Axes, percentile: float) -> Grid:
    """Return scale and zero point of the range that holds `percentile` percent of `w`."""
    low, high = _min_max(w, axes)
    if symmetric:
        inner_high = np.percentile(
            np.abs(w), percentile, axis=axes, keepdims=True, method="nearest"
        )
        inner_low = np.zeros_like(inner_high)
    else:
        ends = [(100 - percentile) / 2, (100 + percentile) / 2]
        inner_low, inner_high = np.percentile(w, ends, axis=axes, keepdims=True, method="nearest")
    inner_low, inner_high = np.minimum(inner_low, 0), np.maximum(inner_high, 0)
    nothing = (inner_low == 0) & (inner_high == 0)
    low, high = np.where(nothing, low, inner_low), np.where(nothing, high, inner_high)
    return _grid_of_range(low, high, bits, symmetric, w.dtype)


def best_grid(w: Array, bits: int, symmetric: bool, axes: Axes) -> Grid:
    """Shrink the min-max range percent by percent and return each channel's best grid."""
    low, high = _min_max(w, axes)
    # Errors are measured in units of the largest number: no square overflows or vanishes.
    peak = np.where((low == 0) & (high == 0), 1, np.maximum(-low, high))

    def error(scale: Array, zero_point: Array) -> Array:
        residual = apply_grid(w, scale, zero_point, bits, symmetric)
        residual *= scale / peak
        residual -= w / peak
        return np.asarray(np.square(residual, out=residual).mean(axis=axes, keepdims=True))

    scale, zero_point = min_max_grid(w, bits, symmetric, axes)
    lowest = error(scale, zero_point)
    for percent in range(99, 0, -1):
        part = percent / 100
        trial = _grid_of_range(part * low, part * high, bits, symmetric, w.dtype)
        found = error(*trial)
        better = found < lowest
        scale, zero_point, lowest = (
            np.where(better, new, old)
            for new, old in zip((*trial, found), (scale, zero_point, lowest), strict=True)
        )
    return scale, zero_point


def _min_max(w: Array, axes: Axes) -> tuple[Array, Array]:
    """Return the smallest and the largest number as float64, widened to hold 0."""
    low, high = w.min(axis=axes, keepdims=True), w.max(axis=axes, keepdims=True)
    return np.minimum(low, 0, dtype=np.float64), np.maximum(high, 0, dtype=np.float64)


def _grid_of_range(low: Array, high: Array, bits: int, symmetric: bool, dtype: Any) -> Grid:
    """Return scale and zero point of the range from low <= 0 to high >= 0."""
    bottom, top = integer_range(bits, symmetric)
    zeros = (low == 0) & (high == 0)
    if symmetric:
        # At one bit the only point is 0, and half a step must reach the largest number.
        scale = _round_up(np.maximum(-low, high), top or 0.5, bits, dtype)
    else:
        with np.errstate(over="ignore"):
            width = high - low
        huge = np.isinf(width)
        width = np.where(huge, high / 2 - low / 2, width)
        scale = _round_up(width, (top - bottom) / np.where(huge, 2, 1), bits, dtype)
    if np.isinf(scale).any():
        raise ValueError(f"w must span less than 2**1024 at {bits} bit, got {high.max()}")
    scale = np.where(zeros, 1.0, scale)
    first = np.zeros_like(scale) if symmetric else bottom - np.rint(low / scale)
    return scale, np.where(zeros, 0, first).astype(np.int32)


def _round_up(width: Array, steps: Any, bits: int, dtype: Any) -> Array:
    """Return width / steps, rounded up to so few bits that whole multiples are exact in `dtype`.

    The significand is divided apart from its exponent: close to the smallest number a quotient
    would lose its bits before it can be rounded up.
    """
    smallest = float(np.finfo(dtype).smallest_subnormal)
    mantissa, exponent = np.frexp(width)
    quotient, carry = np.frexp(mantissa / steps)
    exponent = exponent + carry
    most = 24 if dtype == np.float64 else 24 - bits if bits <= 11 else 1
    # Where there are not so many bits, a power of two is safe: its multiples are among those of
    # every smaller power, so a finer grid changes nothing.
    lost = exponent - most < math.frexp(smallest)[1] - 1
    digits = np.where(lost, 1, most)
    with np.errstate(over="ignore"):
        scale = np.ldexp(np.ceil(np.ldexp(quotient, digits)), exponent - digits)
        # Beyond the largest number: only where steps are so few that they are exact anyhow.
        scale = np.where(np.isinf(scale), width / steps, scale)
    return np.asarray(np.maximum(scale, smallest))
