r"""Test functions: landscapes small enough to see (chapters 04 to 08).

A network has a million directions; these have one or two, so a path over them can be drawn. Each
is a `Function` with its value, gradient and Hessian in closed form, vectorised over leading axes:
``theta`` of shape ``(..., n)`` is a whole grid of points, or a whole path.

>>> float(rosenbrock.value(np.array([1.0, 1.0])))
0.0
>>> saddle.gradient(np.array([[1.0, 3.0], [0.5, 1.0]])).tolist()
[[2.0, -6.0], [1.0, -2.0]]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlearn._checks import Array
from optlearn._function import Function, Quadratic

__all__ = [
    "Function",
    "Quadratic",
    "beale",
    "double_well",
    "himmelblau",
    "monkey_saddle",
    "rastrigin",
    "rosenbrock",
    "saddle",
]


def _stack(*rows: tuple[Any, ...]) -> Array:
    """Build (..., r, c) matrices from r rows of c entries, each a number or an array (...)."""
    return np.stack([np.stack(np.broadcast_arrays(*row), axis=-1) for row in rows], axis=-2)


def _vector(coordinates: tuple[Any, Any], theta: Array) -> Array:
    """Build an array of vectors like `theta` from their two coordinates."""
    vector = np.empty_like(theta)
    vector[..., 0], vector[..., 1] = coordinates
    return vector


def _split(theta: Array) -> tuple[Any, Any]:
    """Return the two coordinates of points in the plane: of a single one as numbers."""
    return (theta[0], theta[1]) if theta.ndim == 1 else (theta[..., 0], theta[..., 1])


def _two(name: str, f: Any, g: Any, h: Any, minimum: Any, domain: Any) -> Function:
    """Make a `Function` of the plane from formulas in x and y."""
    return Function(
        name,
        lambda theta: f(*_split(theta)),
        lambda theta: _vector(g(*_split(theta)), theta),
        lambda theta: _stack(*h(*_split(theta))),
        minimum,
        domain,
    )


rosenbrock = _two(
    "Rosenbrock",
    lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    lambda x, y: (-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)),
    lambda x, y: ((2 - 400 * (y - 3 * x * x), -400 * x), (-400 * x, 200 + 0 * x)),
    [[1.0, 1.0]],
    [[-2.0, 2.0], [-1.0, 3.0]],
)
r""":math:`(1-x)^2 + 100(y-x^2)^2`: a curved valley; minimum 0 at (1, 1)."""


def _beale_terms(x: Array, y: Array) -> list[tuple[Array, Array, Array, Array]]:
    """Return, for k = 1, 2, 3, Beale's residual r = c - x + x y^k, dr/dx, dr/dy and d2r/dy2."""
    return [
        (c - x + x * y**k, y**k - 1, k * x * y ** (k - 1), k * (k - 1) * x * y ** max(k - 2, 0))
        for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))
    ]


def _beale_gradient(x: Array, y: Array) -> tuple[Any, Any]:
    terms = _beale_terms(x, y)
    return sum(2 * r * rx for r, rx, _, _ in terms), sum(2 * r * ry for r, _, ry, _ in terms)


def _beale_hessian(x: Array, y: Array) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    terms = _beale_terms(x, y)
    mixed = sum(
        2 * (rx * ry + r * k * y ** (k - 1)) for k, (r, rx, ry, _) in enumerate(terms, start=1)
    )
    xx = sum(2 * rx * rx for _, rx, _, _ in terms)
    yy = sum(2 * (ry * ry + r * ryy) for r, _, ry, ryy in terms)
    return (xx, mixed), (mixed, yy)


beale = _two(
    "Beale",
    lambda x, y: sum(r * r for r, _, _, _ in _beale_terms(x, y)),
    _beale_gradient,
    _beale_hessian,
    [[3.0, 0.5]],
    [[-4.5, 4.5], [-4.5, 4.5]],
)
r""":math:`\sum_{k=1}^3 (c_k - x + xy^k)^2`, c = 1.5, 2.25, 2.625: plateaus and cliffs;
minimum 0 at (3, 1/2)."""

himmelblau = _two(
    "Himmelblau",
    lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
    lambda x, y: (
        4 * x * (x * x + y - 11) + 2 * (x + y * y - 7),
        2 * (x * x + y - 11) + 4 * y * (x + y * y - 7),
    ),
    lambda x, y: (
        (12 * x * x + 4 * y - 42, 4 * (x + y)),
        (4 * (x + y), 4 * x + 12 * y * y - 26),
    ),
    [
        [3.0, 2.0],
        [-2.805118086952745, 3.131312518250573],
        [-3.779310253377747, -3.283185991286170],
        [3.584428340330492, -1.848126526964404],
    ],
    [[-5.0, 5.0], [-5.0, 5.0]],
)
r""":math:`(x^2+y-11)^2 + (x+y^2-7)^2`: four minima, all of value 0."""

rastrigin = _two(
    "Rastrigin",
    lambda x, y: 20 + x * x + y * y - 10 * (np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y)),
    lambda x, y: (
        2 * x + 20 * np.pi * np.sin(2 * np.pi * x),
        2 * y + 20 * np.pi * np.sin(2 * np.pi * y),
    ),
    lambda x, y: (
        (2 + 40 * np.pi**2 * np.cos(2 * np.pi * x), 0 * x),
        (0 * x, 2 + 40 * np.pi**2 * np.cos(2 * np.pi * y)),
    ),
    [[0.0, 0.0]],
    [[-5.12, 5.12], [-5.12, 5.12]],
)
r""":math:`20 + x^2 + y^2 - 10\cos 2\pi x - 10\cos 2\pi y`: a bowl with about a hundred local
minima; the lowest, 0, at the origin (`minimum` lists that one only)."""

saddle = _two(
    "saddle",
    lambda x, y: x * x - y * y,
    lambda x, y: (2 * x, -2 * y),
    lambda x, y: ((2 + 0 * x, 0 * x), (0 * x, -2 + 0 * x)),
    None,
    [[-2.0, 2.0], [-2.0, 2.0]],
)
r""":math:`x^2 - y^2`: a strict saddle at the origin; no minimum."""

monkey_saddle = _two(
    "monkey saddle",
    lambda x, y: x**3 - 3 * x * y * y,
    lambda x, y: (3 * x * x - 3 * y * y, -6 * x * y),
    lambda x, y: ((6 * x, -6 * y), (-6 * y, -6 * x)),
    None,
    [[-2.0, 2.0], [-2.0, 2.0]],
)
r""":math:`x^3 - 3xy^2`: at the origin even the Hessian is zero; no minimum."""

double_well = Function(
    "double well",
    lambda theta: (theta**4 / 4 - theta**2 / 2 + theta / 10)[..., 0],
    lambda theta: theta**3 - theta + 0.1,
    lambda theta: (3 * theta**2 - 1)[..., None],
    [[-1.0466805318046022], [0.9456492739235915]],
    [[-1.8, 1.8]],
)
r""":math:`x^4/4 - x^2/2 + x/10` of one coordinate: the left well is the deeper one."""
