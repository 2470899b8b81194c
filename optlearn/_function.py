r"""The two kinds of test function: any `Function` with its derivatives, and the `Quadratic`.

`optlearn.functions` makes both available and adds the well-known landscapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array

__all__ = ["Function", "Quadratic"]


class Function:
    """A scalar function of a vector, with derivatives, minima and a window to draw.

    Parameters
    ----------
    name : str
        For titles and legends.
    value : callable
        Points theta (..., n) to values (...).
    gradient : callable
        Points theta (..., n) to vectors of partial derivatives (..., n).
    hessian : callable
        Points theta (..., n) to matrices of second derivatives (..., n, n).
    minimum : array_like, shape (k, n), or None
        Its k minimisers; None where the function has none.
    domain : array_like, shape (n, 2)
        Lower and upper end of the window worth drawing, per coordinate.

    Raises
    ------
    TypeError, ValueError
        If a callable is none, or `domain` and `minimum` do not fit each other.

    Examples
    --------
    >>> parabola = Function(
    ...     "parabola",
    ...     lambda theta: (theta**2).sum(axis=-1),
    ...     lambda theta: 2 * theta,
    ...     lambda theta: 2.0 + 0 * theta[..., None],
    ...     minimum=[[0.0]],
    ...     domain=[[-2.0, 2.0]],
    ... )
    >>> float(parabola.value(np.array([3.0]))), parabola.gradient(np.array([3.0])).tolist()
    (9.0, [6.0])
    """

    def __init__(
        self,
        name: str,
        value: Callable[[Array], Any],
        gradient: Callable[[Array], Array],
        hessian: Callable[[Array], Array],
        minimum: Any,
        domain: Any,
    ) -> None:
        for label, part in (("value", value), ("gradient", gradient), ("hessian", hessian)):
            if not callable(part):
                raise TypeError(f"{label} must be a callable of theta, got {part!r}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, got {name!r}")
        self.name = name
        self.domain = check_array("domain", domain)
        if self.domain.ndim != 2 or self.domain.shape[1] != 2:
            raise ValueError(f"domain must have shape (n, 2), got {self.domain.shape}")
        for low, high in self.domain.tolist():
            if low >= high:
                raise ValueError(f"domain must go from lower to upper end, got {[low, high]}")
        self.minimum = None if minimum is None else check_array("minimum", minimum)
        if self.minimum is not None and self.minimum.shape[1:] != (self.dimension,):
            raise ValueError(
                f"minimum must have shape (k, {self.dimension}), got {self.minimum.shape}"
            )
        self._value, self._gradient, self._hessian = value, gradient, hessian

    def __repr__(self) -> str:
        """Show the name and the number of coordinates."""
        return f"Function({self.name!r}, n={self.dimension})"

    @property
    def dimension(self) -> int:
        """Number of coordinates n."""
        return len(self.domain)

    def value(self, theta: Any) -> Any:
        """Return the value at every point of `theta`, shape (..., n) to (...).

        Raises TypeError or ValueError if `theta` is not a finite floating array of that shape.
        """
        return self._value(self._check(theta))

    def gradient(self, theta: Any) -> Array:
        """Return the vector of partial derivatives, shape (..., n). Raises as `value`."""
        return self._gradient(self._check(theta))

    def hessian(self, theta: Any) -> Array:
        """Return the matrix of second derivatives, shape (..., n, n). Raises as `value`."""
        return self._hessian(self._check(theta))

    def _check(self, theta: Any) -> Array:
        array = check_array("theta", theta)
        if array.ndim == 0 or array.shape[-1] != self.dimension:
            raise ValueError(f"theta must have shape (..., {self.dimension}), got {array.shape}")
        return array


class Quadratic(Function):
    r"""The bowl :math:`\tfrac12(\theta-c)^\top A(\theta-c)`, where the theory is exact.

    Parameters
    ----------
    hessian : array_like, shape (n, n)
        Symmetric matrix A. A one-dimensional array of length n means a diagonal matrix.
    center : array_like, shape (n,), optional
        The stationary point c; zeros by default.

    Attributes
    ----------
    matrix : ndarray, shape (n, n)
    center : ndarray, shape (n,)
    eigenvalues : ndarray, shape (n,)
        Of A, ascending: the curvatures :math:`\mu = \lambda_1, \dots, \lambda_n = L`.

    Raises
    ------
    TypeError, ValueError
        If A is not a finite, symmetric, square floating matrix, or the shapes do not fit.

    Examples
    --------
    >>> bowl = Quadratic(np.array([1.0, 100.0]))
    >>> float(bowl.value(np.array([1.0, 1.0]))), bowl.gradient(np.array([1.0, 1.0])).tolist()
    (50.5, [1.0, 100.0])
    """

    def __init__(self, hessian: Any, center: Any = None) -> None:
        matrix = check_array("hessian", hessian)
        if matrix.dtype.kind == "c":
            raise TypeError(f"hessian must be real, got {matrix.dtype}")
        matrix = np.diag(matrix) if matrix.ndim == 1 else matrix.copy()
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"hessian must have shape (n, n) or (n,), got {matrix.shape}")
        if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
            raise ValueError(f"hessian must be symmetric, got {matrix.tolist()}")
        n = len(matrix)
        c = np.zeros(n) if center is None else check_array("center", center, targets=True).copy()
        if c.shape != (n,):
            raise ValueError(f"center must have shape ({n},), got {c.shape}")
        eigenvalues = np.linalg.eigvalsh(matrix)
        self.matrix, self.center, self.eigenvalues = matrix, c, eigenvalues

        def gradient(theta: Array) -> Array:
            dtype = theta.dtype  # float32 points get float32 answers
            slope: Array = (theta - c.astype(dtype)) @ matrix.astype(dtype)
            return slope

        super().__init__(
            "quadratic",
            lambda theta: 0.5 * ((theta - c.astype(theta.dtype)) * gradient(theta)).sum(axis=-1),
            gradient,
            lambda theta: np.broadcast_to(matrix, (*theta.shape, n)).astype(theta.dtype),
            c[None, :] if eigenvalues[0] > 0 else None,
            np.stack([c - 2.0, c + 2.0], axis=-1),
        )
