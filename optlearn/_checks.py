"""Argument checks shared by every module: an error says the name, the rule and the value.

The book never calls this module. It exists so that ``Adam(beta2=1.0)`` fails with ``beta2 must be
in [0, 1), got 1.0`` at once and not with a plot full of NaN an hour later.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NonFiniteError",
    "all_finite",
    "check_array",
    "check_choice",
    "check_flag",
    "check_fraction",
    "check_integer",
    "check_labels",
    "check_nonnegative",
    "check_out",
    "check_positive",
    "check_rng",
    "check_sign_labels",
]

Array = NDArray[Any]


class NonFiniteError(ValueError):
    """A NaN or an infinity where a number is needed: a bad input, or a run that diverged."""


def all_finite(array: Array, other: Array | None = None) -> bool:
    """Tell whether no element is NaN or infinite, in one pass that allocates no array.

    The sum of squares, or of products with `other`, is finite only if every element of both is:
    NaN and infinity survive every product and every sum, as NaN if nothing else. Only when that
    sum is not finite (large but finite numbers may overflow it) is every element looked at.
    """
    other = array if other is None else other
    total = np.vdot(array, other)  # unlike a ufunc it does not warn
    if math.isfinite(total.real) and math.isfinite(total.imag):
        return True
    return bool(np.isfinite(array).all() and np.isfinite(other).all())


def check_array(name: str, value: Any, *, targets: bool = False, finite: bool = True) -> Array:
    """Return `value` as a non-empty floating (or complex) array.

    With ``targets=True`` integers and booleans pass as well: they are exact as floats.
    Python lists of floats pass; object arrays, strings and (without `targets`) integers do not.
    """
    array = np.asarray(value)
    allowed = "fciub" if targets else "fc"
    if array.dtype.kind not in allowed:
        hint = "; convert it with .astype(float)" if array.dtype.kind in "iub" else ""
        raise TypeError(f"{name} must be floating point, got {array.dtype}{hint}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if finite and not all_finite(array):
        bad = array[~np.isfinite(array)].ravel()[0]
        raise NonFiniteError(f"{name} must be finite, got {bad}")
    return array


def check_real(name: str, value: Any, rule: str) -> float:
    """Return `value` as a float; refuse booleans, strings, arrays, NaN and infinities."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number {rule}, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be {rule}, got {value}")
    return float(value)


def check_positive(name: str, value: Any) -> float:
    """Return `value` as a float above zero."""
    number = check_real(name, value, "> 0")
    if number <= 0:
        raise ValueError(f"{name} must be > 0, got {value}")
    return number


def check_nonnegative(name: str, value: Any) -> float:
    """Return `value` as a float of at least zero."""
    number = check_real(name, value, ">= 0")
    if number < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return number


def check_fraction(name: str, value: Any, *, zero: bool = True, one: bool = False) -> float:
    """Return `value` as a float between 0 and 1; the end points are in only where said."""
    rule = f"in {'[' if zero else '('}0, 1{']' if one else ')'}"
    number = check_real(name, value, rule)
    above = number >= 0 if zero else number > 0
    below = number <= 1 if one else number < 1
    if not (above and below):
        raise ValueError(f"{name} must be {rule}, got {value}")
    return number


def check_integer(name: str, value: Any, *, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`; refuse booleans and floats."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer >= {minimum}, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {value}")
    return int(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value


def check_rng(name: str, value: Any) -> np.random.Generator:
    """Return `value` if it is a ``numpy.random.Generator``."""
    if not isinstance(value, np.random.Generator):
        raise TypeError(
            f"{name} must be a numpy.random.Generator such as np.random.default_rng(0), "
            f"got {value!r}"
        )
    return value


def check_labels(name: str, value: Any, classes: int) -> Array:
    """Return `value` as an integer array of class numbers 0, 1, …, ``classes - 1``."""
    labels = np.asarray(value)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers from 0 to {classes - 1}, got {labels.dtype}")
    if labels.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {labels.shape}")
    low, high = np.minimum.reduce(labels, axis=None), np.maximum.reduce(labels, axis=None)
    if low < 0 or high >= classes:
        bad = low if low < 0 else high
        raise ValueError(f"{name} must be integers from 0 to {classes - 1}, got {bad}")
    return labels


def check_sign_labels(name: str, value: Any) -> Array:
    """Return `value` as an array whose elements are -1 or +1."""
    labels = check_array(name, value, targets=True)
    wrong = labels[np.abs(labels) != 1]
    if labels.dtype.kind == "b" or wrong.size:
        bad = wrong.ravel()[0] if wrong.size else labels.ravel()[0]
        raise ValueError(
            f"{name} must be -1 or +1, got {bad}; turn labels 0 and 1 into 2 * labels - 1"
        )
    return labels


def check_out(name: str, out: Any, like: Array, *others: Array, inplace: bool = True) -> Array:
    """Return `out` if a result shaped as `like` can be written to it.

    It may be `like` itself (where `inplace`), but must share no memory with the other arguments,
    nor with a shifted part of `like`, because they are still read while it is written.
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(out).__name__}")
    if out.dtype != like.dtype:
        raise TypeError(f"{name} must have dtype {like.dtype}, got {out.dtype}")
    if out.shape != like.shape:
        raise ValueError(f"{name} must have shape {like.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
    if inplace and (out is like or _same_memory(out, like)):
        others = tuple(other for other in others if other is not like)
    else:
        others = (*others, like)
    if any(np.may_share_memory(out, other) for other in others):
        raise ValueError(f"{name} must not overlap another argument, got a view of one")
    return out


def _same_memory(a: Array, b: Array) -> bool:
    """Tell whether two arrays of one shape and dtype are the same elements in the same order."""
    return a.ctypes.data == b.ctypes.data and a.strides == b.strides


def check_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)
