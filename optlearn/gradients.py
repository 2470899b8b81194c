r"""Gradient checks: numbers against which a derivation is tested (chapter 03).

A derivative worked out by hand is a claim. These functions compute the same derivative from
values of the function alone, so that the claim can be tested: by differences, whose error has a
floor near :math:`10^{-10}`, or by the complex step, which has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_choice, check_positive

__all__ = ["complex_step", "finite_difference", "relative_error"]


def finite_difference(
    f: Callable[[Array], Any], theta: Any, *, h: float | None = None, scheme: str = "central"
) -> Array:
    r"""Approximate the gradient of `f` by differences, one coordinate at a time.

    Central: :math:`(f(\theta + h e_j) - f(\theta - h e_j)) / 2h`, error of order :math:`h^2`.
    Forward: :math:`(f(\theta + h e_j) - f(\theta)) / h`, error of order :math:`h`.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of `theta`, returns one real number.
    theta : array_like, shape (n,)
        Where to differentiate; not changed.
    h : float, > 0, optional
        Step, in the unit of `theta`. By default the step that balances truncation against
        round-off for values near 1: the cube root of machine epsilon (central, 6e-6 in float64)
        or its square root (forward, 1.5e-8).
    scheme : {"central", "forward"}
        Which formula.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If `theta` is not a finite floating vector, `h` is not positive or too small to change a
        coordinate, `scheme` is unknown, or `f` returns something else than one real number.

    Examples
    --------
    >>> finite_difference(lambda x: x[0] ** 2 + 3 * x[1], np.array([2.0, 1.0])).round(6).tolist()
    [4.0, 3.0]
    """
    _check_callable(f)
    theta = _check_vector(theta)
    scheme = check_choice("scheme", scheme, ("central", "forward"))
    if h is None:
        h = float(np.finfo(theta.dtype).eps) ** (1 / 3 if scheme == "central" else 1 / 2)
    h = check_positive("h", h)
    gradient: Array = np.empty_like(theta)
    moved = theta.copy()
    start = _call(f, moved) if scheme == "forward" else 0.0
    for j in range(theta.size):
        moved[j] = theta[j] + h
        up, upper = moved[j], _call(f, moved)
        if scheme == "central":
            moved[j] = theta[j] - h
            lower = _call(f, moved)
        else:
            moved[j], lower = theta[j], start
        # Divide by the step really taken: theta + h is rounded.
        taken = up - moved[j]
        if taken == 0:
            raise ValueError(f"h must be large enough to change theta, got {h} at {theta[j]}")
        gradient[j] = (upper - lower) / taken
        moved[j] = theta[j]
    return gradient


def complex_step(f: Callable[[Array], Any], theta: Any, *, h: float = 1e-30) -> Array:
    r"""Differentiate an analytic `f` to machine precision: :math:`\Im f(\theta + ihe_j)/h`.

    Nothing is subtracted, so nothing cancels, and `h` can be as small as we like. `f` must accept
    complex input and be analytic: ``abs``, ``max`` and complex conjugates break it.

    Parameters
    ----------
    f : callable
        Takes a complex array of the shape of `theta`, returns one complex number.
    theta : array_like, shape (n,)
        Where to differentiate; not changed.
    h : float, > 0
        Step, in the unit of `theta`.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If `theta` is not a finite floating vector, `h` is not positive, or `f` returns something
        else than one complex number (a real one means that `f` dropped the imaginary part).

    References
    ----------
    W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions,
    SIAM Review 40(1), 110-112 (1998).

    Examples
    --------
    >>> bool(complex_step(lambda x: np.exp(x[0]), np.array([1.0]))[0] == np.exp(1.0))
    True
    """
    _check_callable(f)
    theta = _check_vector(theta)
    h = check_positive("h", h)
    gradient: Array = np.empty_like(theta)
    moved = theta.astype(np.result_type(theta.dtype, np.complex64))
    for j in range(theta.size):
        moved[j] = complex(theta[j], h)
        value = np.asarray(f(moved))
        if value.size != 1 or value.dtype.kind != "c":
            raise TypeError(
                f"f must return one complex number, got {value.dtype} of shape {value.shape}"
            )
        gradient[j] = value.item().imag / h
        moved[j] = theta[j]
    return gradient


def relative_error(a: Any, b: Any) -> float:
    r"""Compare two gradients: :math:`\lVert a-b\rVert / (\lVert a\rVert + \lVert b\rVert)`.

    0 means equal, 1 means opposite or unrelated in size. Two zero arrays have error 0.

    Parameters
    ----------
    a, b : array_like
        Arrays of one shape.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If an array is not numeric, is empty, holds NaN or infinities, or the shapes differ.

    Examples
    --------
    >>> relative_error(np.array([1.0, 0.0]), np.array([0.0, 0.0]))
    1.0
    """
    a = check_array("a", a, targets=True)
    b = check_array("b", b, targets=True)
    if a.shape != b.shape:
        raise ValueError(f"b must have the shape of a, {a.shape}, got {b.shape}")
    total = np.linalg.norm(a) + np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / total) if total > 0 else 0.0


def _check_vector(theta: Any) -> Array:
    """Return `theta` as a real floating vector."""
    array = check_array("theta", theta)
    if array.dtype.kind == "c":
        raise TypeError(f"theta must be real, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"theta must have shape (n,), got {array.shape}")
    return array


def _check_callable(f: Any) -> None:
    """Refuse an `f` that cannot be called."""
    if not callable(f):
        raise TypeError(f"f must be a callable of theta, got {f!r}")


def _call(f: Callable[[Array], Any], theta: Array) -> float:
    """Return ``f(theta)`` as a float; refuse arrays and complex numbers."""
    value = np.asarray(f(theta))
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise TypeError(f"f must return one real number, got {value.dtype} {value.shape}")
    return float(value.item())
