r"""Curvature without its matrix: Hessian times a vector, the largest eigenvalue (chapter 09).

The Hessian of a network with :math:`n` parameters has :math:`n^2` entries, 83 GB for the
101,770 of 784-128-10. Its product with one vector costs no more than a few gradients. From such
products alone power iteration finds the largest curvature, which says how large a learning rate
may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_integer, check_positive, check_rng

__all__ = ["Eigenpair", "hessian_vector_product", "largest_eigenvalue"]

STEP = 1e-30


@dataclass(frozen=True)
class Eigenpair:
    """What `largest_eigenvalue` found.

    Attributes
    ----------
    value : float
        The Rayleigh quotient of `vector`: a lower bound of the largest eigenvalue.
    vector : ndarray, shape (n,)
        Of length 1.
    products : int
        How many products with the matrix were taken.
    converged : bool
        Whether the tolerance was reached.

    Examples
    --------
    >>> found = largest_eigenvalue(lambda v: 2.0 * v, 3, rng=np.random.default_rng(0))
    >>> round(found.value, 6), found.products
    (2.0, 1)
    """

    value: float
    vector: Array
    products: int
    converged: bool


def hessian_vector_product(gradient: Callable[[Array], Any], theta: Any, vector: Any) -> Array:
    r"""Multiply the Hessian with a vector: the derivative of the gradient along `vector`.

    By the complex step, :math:`H v = \Im\,\nabla J(\theta + i h v) / h` with
    :math:`h = 10^{-30}`: nothing is subtracted, so the error is that of rounding alone. The
    gradients of `optlearn.networks.MLP` and `optlearn.functions` take complex parameters.

    Parameters
    ----------
    gradient : callable
        Takes a complex array of the shape of `theta`, returns the gradient there, complex and of
        the same shape; analytic, so without ``abs`` or complex conjugates.
    theta : array_like, shape (n,)
        Where; not changed.
    vector : array_like, shape (n,)
        Along what.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If `theta` or `vector` is not a finite real floating vector, their shapes differ, or
        `gradient` returns another shape or real numbers (it then dropped the imaginary part).

    References
    ----------
    B. A. Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6(1), 147-160
    (1994), derives the same product by a second pass through the network.

    Examples
    --------
    >>> from optlearn.functions import rosenbrock
    >>> at, along = np.array([1.0, 1.0]), np.array([1.0, 0.0])
    >>> hessian_vector_product(rosenbrock.gradient, at, along)
    array([ 802., -400.])
    """
    if not callable(gradient):
        raise TypeError(f"gradient must be a callable of theta, got {gradient!r}")
    theta, vector = _check_vector("theta", theta), _check_vector("vector", vector)
    if vector.shape != theta.shape:
        raise ValueError(f"vector has shape {vector.shape}, theta has shape {theta.shape}")
    moved = theta.astype(np.complex128)
    # The step is relative to the longest entry, so that neither end of the range overflows.
    scale = float(np.max(np.abs(vector)))
    if scale == 0:
        return np.zeros(theta.shape)
    moved.imag = vector / scale * STEP
    result = np.asarray(gradient(moved))
    if result.shape != theta.shape:
        raise ValueError(
            f"gradient must return the shape of theta, {theta.shape}, got {result.shape}"
        )
    if result.dtype.kind != "c":
        raise TypeError(f"gradient must return complex numbers, got {result.dtype}")
    product: Array = result.imag / STEP * scale
    return product


def largest_eigenvalue(
    product: Callable[[Array], Any],
    n: int,
    *,
    rng: np.random.Generator,
    tolerance: float = 1e-6,
    max_products: int = 1000,
) -> Eigenpair:
    r"""Find the largest eigenvalue of a symmetric matrix from its products, by power iteration.

    Multiply and normalise: :math:`v \leftarrow Hv/\lVert Hv\rVert`. The component along the
    eigenvalue of largest modulus grows fastest, by :math:`|\lambda_1/\lambda_2|` a step against
    the next. If that eigenvalue :math:`\lambda` is negative, the iteration starts again with
    :math:`H - \lambda I`, whose largest modulus belongs to the largest eigenvalue of :math:`H`.

    Parameters
    ----------
    product : callable
        Takes a vector of shape (n,), returns the matrix times it.
    n : int, >= 1
        Number of rows of the matrix.
    rng : numpy.random.Generator
        Draws the first vector. One that is orthogonal to the answer has probability 0.
    tolerance : float, > 0
        Stops when the residual :math:`\lVert Hv - \lambda v\rVert` is at most `tolerance` times
        :math:`\lVert Hv\rVert`. Some eigenvalue then lies within the residual of the value.
    max_products : int, >= 2
        Gives up after so many.

    Returns
    -------
    Eigenpair

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or `product` returns another shape or not finite real
        numbers.

    References
    ----------
    G. H. Golub and C. F. Van Loan, Matrix Computations, 4th edition, Johns Hopkins University
    Press (2013), section 7.3.1. For many eigenvalues at once use ``scipy.sparse.linalg.eigsh``.

    Examples
    --------
    >>> matrix = np.diag([-5.0, 1.0, 3.0])
    >>> found = largest_eigenvalue(lambda v: matrix @ v, 3, rng=np.random.default_rng(0))
    >>> round(found.value, 6), found.converged
    (3.0, True)
    """
    if not callable(product):
        raise TypeError(f"product must be a callable of a vector, got {product!r}")
    n = check_integer("n", n)
    rng = check_rng("rng", rng)
    tolerance = check_positive("tolerance", tolerance)
    max_products = check_integer("max_products", max_products, minimum=2)
    start = rng.normal(size=n)
    found = _iterate(product, start, 0.0, tolerance, max_products)
    if found.value >= 0:
        return found
    left = max_products - found.products
    if left < 1:
        return Eigenpair(found.value, found.vector, found.products, False)
    again = _iterate(product, start, found.value, tolerance, left)
    return Eigenpair(again.value, again.vector, found.products + again.products, again.converged)


def _iterate(
    product: Callable[[Array], Any], start: Array, shift: float, tolerance: float, limit: int
) -> Eigenpair:
    """Multiply the matrix less `shift` times the identity until the residual is small."""
    vector = start / np.linalg.norm(start)
    for count in range(1, limit + 1):
        image = np.asarray(product(vector))
        if image.shape != vector.shape or image.dtype.kind not in "fiu":
            raise ValueError(
                f"product must return {vector.shape} real numbers, "
                f"got {image.dtype} of shape {image.shape}"
            )
        if not np.all(np.isfinite(image)):
            raise ValueError("product must return finite numbers, got NaN or infinity")
        value = float(vector @ image)
        # The residual does not depend on the shift; what it is measured against must not vanish.
        residual = _length(image - value * vector)
        if residual <= tolerance * max(_length(image), abs(shift)):
            return Eigenpair(value, vector, count, True)
        moved = image - shift * vector
        if count < limit:
            vector = moved / float(np.max(np.abs(moved)))
            vector = vector / np.linalg.norm(vector)
    return Eigenpair(value, vector, limit, False)


def _length(vector: Array) -> float:
    """Return the Euclidean norm without squares that leave the range of floating point."""
    largest = float(np.max(np.abs(vector)))
    return largest * float(np.linalg.norm(vector / largest)) if largest > 0 else 0.0


def _check_vector(name: str, value: Any) -> Array:
    """Return `value` as a real floating vector."""
    array = check_array(name, value)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must be real, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    return array
