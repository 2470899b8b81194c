r"""Second-order methods: steps that use curvature, and how to keep them in hand (chapter 15).

A gradient says which way is down; the Hessian says for how long. Newton's step goes to the
stationary point of the quadratic that has both. Here are that step, three ways to keep it from
doing harm (damping, a line search, a trust region), and the product of a network's Gauss-Newton
matrix with a vector, which is what remains of the Hessian when nothing of size n x n fits.

Matrices here have n x n entries and are factored or diagonalised at a cost of order n^3: they are
for functions with few coordinates. Products with vectors are for networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn._checks import (
    Array,
    NonFiniteError,
    check_array,
    check_flag,
    check_integer,
    check_nonnegative,
    check_positive,
)
from optlearn._function import Function
from optlearn._minimize import Path
from optlearn.losses import softmax_cross_entropy
from optlearn.networks import MLP

__all__ = [
    "backtrack",
    "gauss_newton_product",
    "newton",
    "newton_step",
    "trust_region",
    "trust_region_step",
]


def newton_step(grad: Any, hessian: Any, *, damping: float = 0.0) -> Array:
    r"""Solve :math:`(H + \nu I)\,p = -g` for the step p.

    With :math:`\nu = 0` this is Newton's step, which leads to the stationary point of the
    quadratic model: a minimum only if H is positive definite. A large :math:`\nu` gives a
    short step of gradient descent, :math:`-g/\nu` (Levenberg, Marquardt).

    Parameters
    ----------
    grad : array_like, shape (n,)
    hessian : array_like, shape (n, n)
        Symmetric.
    damping : float, >= 0
        :math:`\nu`, in the unit of the Hessian.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, the matrix is not symmetric, or the damped matrix is singular in
        floating point. One that is singular up to rounding may give a huge step instead.

    References
    ----------
    J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed., Springer 2006, sections 3.3
    and 10.3.

    Examples
    --------
    >>> newton_step([1.0, 100.0], [[1.0, 0.0], [0.0, 100.0]]).tolist()
    [-1.0, -1.0]
    """
    g, matrix = _check_model(grad, hessian)
    matrix = matrix + check_nonnegative("damping", damping) * np.eye(len(g))
    try:
        step = np.linalg.solve(matrix, -g)
    except np.linalg.LinAlgError:
        step = np.full_like(g, np.inf)
    if not np.isfinite(step).all():
        raise NonFiniteError(f"hessian must not be singular at damping={damping}, got {matrix}")
    return step


def backtrack(
    value: Callable[[Array], Any],
    theta: Any,
    grad: Any,
    step: Any,
    *,
    decrease: float = 1e-4,
    halvings: int = 40,
) -> float:
    r"""Halve a step until the value falls enough, and return the fraction that is left.

    Enough is Armijo's condition: :math:`J(\theta+\alpha p) \le J(\theta) + c\,\alpha\,g^\top p`.

    Parameters
    ----------
    value : callable
        Takes a point (n,), returns one real number; NaN and infinity count as "not enough".
    theta, grad, step : array_like, shape (n,)
        Where we stand, the gradient there, and the full step p, a direction of descent.
    decrease : float, > 0
        c, the part of the slope's promise that has to be kept; below 1/2, or Newton's step
        would be cut on quadratics, too.
    halvings : int, >= 1
        How often to try.

    Returns
    -------
    float
        The first of 1, 1/2, 1/4, … that is enough; 0.0 if none is.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or the step leads uphill.

    References
    ----------
    L. Armijo, Minimization of functions having Lipschitz continuous first partial derivatives,
    Pacific J. Math. 16, 1-3 (1966). Nocedal and Wright 2006, algorithm 3.1.

    Examples
    --------
    >>> parabola = lambda theta: float(theta @ theta) / 2
    >>> backtrack(parabola, [1.0], [1.0], [-4.0])
    0.25
    """
    point, g = check_array("theta", theta), check_array("grad", grad)
    p = check_array("step", step)
    for name, array in (("theta", point), ("grad", g), ("step", p)):
        if array.shape != point.shape or array.ndim != 1:
            raise ValueError(f"{name} must have shape (n,) like theta, got {array.shape}")
    if not callable(value):
        raise TypeError(f"value must be a callable of theta, got {value!r}")
    decrease = check_positive("decrease", decrease)
    slope = float(g @ p)
    if slope > 0:
        raise ValueError(f"step must lead downhill, got the slope {slope:.3g} along it")
    start, fraction = float(value(point)), 1.0
    for _ in range(check_integer("halvings", halvings)):
        with np.errstate(over="ignore", invalid="ignore"):
            there = float(value(point + fraction * p))
        if there <= start + decrease * fraction * slope:  # false for NaN
            return fraction
        fraction /= 2
    return 0.0


def newton(
    function: Function,
    theta0: Any,
    steps: int,
    *,
    damping: float = 0.0,
    line_search: bool = False,
) -> Path:
    """Take Newton steps on a test function and keep the path.

    Parameters
    ----------
    function : optlearn.functions.Function
        With its Hessian.
    theta0 : array_like, shape (n,)
        The start; not changed.
    steps : int, >= 1
    damping : float, >= 0
        As in `newton_step`, the same in every step.
    line_search : bool
        Whether to shorten steps by `backtrack`.

    Returns
    -------
    optlearn.training.Path
        Shorter than asked where the run ends early: at a singular Hessian or beyond the finite
        numbers (`diverged`), or, with a line search, where the step leads uphill or no fraction
        of it lowers the value. `message` tells.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Examples
    --------
    >>> from optlearn.functions import Quadratic
    >>> newton(Quadratic([1.0, 110.0]), [5.0, 1.0], 1).theta[-1].tolist()
    [0.0, 0.0]
    """
    theta, steps = _check_walk(function, theta0, steps)
    damping = check_nonnegative("damping", damping)
    line_search = check_flag("line_search", line_search)
    points, losses = [theta], [float(function.value(theta))]
    diverged, message = False, f"took {steps} steps"
    for t in range(steps):
        grad = function.gradient(theta)
        try:
            step = newton_step(grad, function.hessian(theta), damping=damping)
            with np.errstate(over="ignore", invalid="ignore"):
                if line_search:
                    step = step * backtrack(function.value, theta, grad, step)
                theta = check_array("theta", theta + step)
                value = float(check_array("the value", function.value(theta)))
        except NonFiniteError as error:
            diverged, message = True, f"diverged after {t} steps: {error}"
            break
        except ValueError as error:
            message = f"stopped after {t} steps: {error}; a larger damping turns it"
            break
        if line_search and not step.any() and grad.any():
            message = f"stopped after {t} steps: no fraction of the step lowers the value"
            break
        points.append(theta)
        losses.append(value)
    return Path(np.array(points), np.array(losses), diverged, message)


def trust_region_step(grad: Any, hessian: Any, radius: float) -> Array:
    r"""Minimise the quadratic model :math:`g^\top p + \tfrac12 p^\top H p` in a ball.

    The minimiser is :math:`p = -(H+\nu I)^{-1}g` for one :math:`\nu \ge 0` for which the
    matrix has no negative eigenvalue, and :math:`\nu = 0` if p is shorter than the radius.
    So a trust region is a damping that is chosen by length. We diagonalise H and find
    :math:`\nu` by bisection. Where g has no part along the lowest eigenvector and
    :math:`\nu` would have to be the one at which the matrix is singular ("hard case"), a
    piece of that eigenvector fills the step up to the radius, with the sign that makes its
    largest entry positive.

    Parameters
    ----------
    grad : array_like, shape (n,)
    hessian : array_like, shape (n, n)
        Symmetric; may be indefinite or singular.
    radius : float, > 0
        The largest length of the step.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, the matrix is not symmetric, or the radius is not positive.

    References
    ----------
    J. J. More and D. C. Sorensen, Computing a trust region step, SIAM J. Sci. Stat. Comput. 4(3),
    553-572 (1983). Nocedal and Wright 2006, theorem 4.1.

    Examples
    --------
    >>> trust_region_step([1.0, 100.0], [[1.0, 0.0], [0.0, 100.0]], 10.0).tolist()
    [-1.0, -1.0]
    >>> trust_region_step([0.0, 0.0], [[2.0, 0.0], [0.0, -2.0]], 0.5).tolist()
    [0.0, 0.5]
    """
    g, matrix = _check_model(grad, hessian)
    radius = check_positive("radius", radius)
    curvature, vectors = np.linalg.eigh(matrix)
    slopes = vectors.T @ g
    scale = max(float(np.abs(curvature).max()), math.ulp(0.0))
    lowest = float(curvature[0])
    if lowest > 1e-14 * scale:
        free = -slopes / curvature
        if np.linalg.norm(free) <= radius:
            return np.asarray(vectors @ free)
    # From here on lambda is at least -lowest and at least 0; at `upper` the step is short enough.
    lower = max(0.0, -lowest)
    upper = lower + float(np.linalg.norm(g)) / radius
    flat = curvature + lower <= 1e-14 * scale
    if np.linalg.norm(slopes[flat]) <= 1e-14 * np.linalg.norm(g):
        step = np.where(flat, 0.0, -slopes / np.where(flat, 1.0, curvature + lower))
        length = float(np.linalg.norm(step))
        if length <= radius:
            # Negative curvature pays for the rest of the way; zero curvature does not.
            fill = math.sqrt(radius**2 - length**2) if lowest < 0 else 0.0
            first = vectors[:, 0]
            sign = 1.0 if first[np.abs(first).argmax()] > 0 else -1.0
            return np.asarray(vectors @ step + sign * fill * first)
    for _ in range(200):
        damping = (lower + upper) / 2
        if damping in (lower, upper):
            break
        long = np.linalg.norm(slopes / (curvature + damping)) > radius
        lower, upper = (damping, upper) if long else (lower, damping)
    return np.asarray(vectors @ (-slopes / (curvature + upper)))


def trust_region(
    function: Function, theta0: Any, steps: int, *, radius: float = 1.0, limit: float = 100.0
) -> Path:
    r"""Walk by `trust_region_step` with a radius that follows how well the model predicts.

    The ratio of the real decrease to the predicted one decides: below 1/4 the radius is divided
    by 4; above 3/4, with a step as long as the radius, it is doubled; a step is taken if the
    ratio exceeds 1/10, else the point is repeated.

    Parameters
    ----------
    function : optlearn.functions.Function
        With its Hessian.
    theta0 : array_like, shape (n,)
        The start; not changed.
    steps : int, >= 1
        Tries, each of one value; repeated points count.
    radius : float, > 0
        At the start.
    limit : float, >= radius
        The largest radius.

    Returns
    -------
    optlearn.training.Path

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    Nocedal and Wright 2006, algorithm 4.1.

    Examples
    --------
    >>> from optlearn.functions import rosenbrock
    >>> path = trust_region(rosenbrock, [-1.2, 1.0], 40)
    >>> bool(path.loss[-1] < 1e-20)
    True
    """
    theta, steps = _check_walk(function, theta0, steps)
    radius, limit = check_positive("radius", radius), check_positive("limit", limit)
    if limit < radius:
        raise ValueError(f"limit must be >= radius={radius}, got {limit}")
    points, losses = [theta], [float(function.value(theta))]
    for _ in range(steps):
        grad, matrix = function.gradient(theta), function.hessian(theta)
        step = trust_region_step(grad, matrix, radius)
        promised = -float(grad @ step + step @ matrix @ step / 2)
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(function.value(theta + step))
        ratio = (losses[-1] - value) / promised if promised > 0 else 0.0
        if not ratio >= 0.25:  # also where it is NaN
            radius /= 4
        elif ratio > 0.75 and np.linalg.norm(step) > 0.99 * radius:
            radius = min(2 * radius, limit)
        taken = ratio > 0.1
        theta = theta + step if taken else theta
        points.append(theta)
        losses.append(value if taken else losses[-1])
    return Path(np.array(points), np.array(losses), False, f"took {steps} steps")


def gauss_newton_product(
    network: MLP,
    theta: Any,
    x: Any,
    y: Any,
    vector: Any,
    *,
    loss: Callable[[Any, Any], tuple[Any, Array]] = softmax_cross_entropy,
) -> Array:
    r"""Multiply the Gauss-Newton matrix of a network by a vector, without forming it.

    With logits :math:`z(\theta)`, their Jacobian :math:`Z = \partial z/\partial\theta` and the
    Hessian R of the loss with respect to the logits,

    .. math:: G\,v = Z^\top R\, Z\, v .

    From the right: :math:`Zv = \Im z(\theta + ihv)/h` is a forward pass with complex parameters,
    R acts by a complex step on the loss's gradient, and :math:`Z^\top` is backpropagation. For a
    loss that is convex in the logits, G has no negative eigenvalue, whatever the network is.

    Parameters
    ----------
    network : MLP
    theta : array_like, shape (n,)
    x : array_like, shape (batch, d_0)
    y : array_like
        What `loss` takes as its second argument.
    vector : array_like, shape (n,)
    loss : callable
        ``loss(logits, y) -> (value, gradient)`` that accepts complex logits, as those of
        `optlearn.losses` do.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or an argument is not floating or not finite.

    References
    ----------
    N. N. Schraudolph, Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14(7), 1723-1738 (2002).

    Examples
    --------
    >>> network = MLP((2, 3), "identity")
    >>> theta, x = np.zeros(9), np.array([[1.0, 0.0]])
    >>> product = gauss_newton_product(network, theta, x, np.array([0]), np.eye(9)[0])
    >>> product.reshape(3, 3).round(4).tolist()[0]
    [0.2222, -0.1111, -0.1111]
    """
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an MLP, got {network!r}")
    if not callable(loss):
        raise TypeError(f"loss must be a callable of logits and y, got {loss!r}")
    theta, v = _real_vector("theta", theta), _real_vector("vector", vector)
    if v.shape != theta.shape:
        raise ValueError(f"vector has shape {v.shape}, theta has shape {theta.shape}")
    h = 1e-30 / max(float(np.abs(v).max()), math.ulp(0.0)) if v.any() else 1e-30
    logits = network.forward(theta + 1j * h * v, x)
    outer = loss(logits, y)[1].imag / h
    return network.loss_and_grad(theta, x, outer, lambda _, u: (0.0, u))[1]


def _real_vector(name: str, value: Any) -> Array:
    """Return `value` as a real floating vector."""
    array = check_array(name, value)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must be real, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    return array


def _check_model(grad: Any, hessian: Any) -> tuple[Array, Array]:
    """Return the gradient and the symmetric matrix of a quadratic model."""
    g, matrix = _real_vector("grad", grad), check_array("hessian", hessian)
    if matrix.dtype.kind == "c":
        raise TypeError(f"hessian must be real, got {matrix.dtype}")
    if matrix.shape != (len(g), len(g)):
        raise ValueError(f"hessian must have shape ({len(g)}, {len(g)}), got {matrix.shape}")
    if np.abs(matrix - matrix.T).max() > 1e-8 * np.abs(matrix).max():
        raise ValueError(f"hessian must be symmetric, got {matrix.tolist()}")
    return g, matrix


def _check_walk(function: Any, theta0: Any, steps: Any) -> tuple[Array, int]:
    """Return the start and the number of steps of a walk over `function`."""
    if not isinstance(function, Function):
        raise TypeError(f"function must be an optlearn Function, got {function!r}")
    theta = _real_vector("theta0", theta0)
    if theta.shape != (function.dimension,):
        raise ValueError(f"theta0 must have shape ({function.dimension},), got {theta.shape}")
    return theta.copy(), check_integer("steps", steps)
