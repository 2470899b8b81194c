"""Toy problems of known truth; `optlearn.datasets` makes them available."""

from __future__ import annotations

import numpy as np

from optlearn._checks import (
    Array,
    check_integer,
    check_nonnegative,
    check_real,
    check_rng,
)

__all__ = ["blobs", "noisy_line", "sklearn_seed", "two_moons"]


def sklearn_seed(rng: np.random.Generator) -> int:
    """Draw the integer seed through which scikit-learn follows a NumPy generator."""
    return int(rng.integers(2**32))


def two_moons(n: int, *, noise: float, rng: np.random.Generator) -> tuple[Array, Array]:
    r"""Draw two interleaved half circles, a two-class problem that no straight line solves.

    Class 0 lies on :math:`(\cos\alpha, \sin\alpha)`, class 1 on
    :math:`(1 - \cos\alpha, \tfrac12 - \sin\alpha)`, with :math:`0 \le \alpha \le \pi`; normal
    noise is added to both coordinates. This is scikit-learn's ``make_moons``, shuffled.

    Parameters
    ----------
    n : int >= 1
        Number of samples; ``n // 2`` of them are in class 0.
    noise : float >= 0
        Standard deviation of the noise.
    rng : numpy.random.Generator
        Decides noise and order.

    Returns
    -------
    x : array, shape (n, 2)
    y : array of int64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> x, y = two_moons(200, noise=0.1, rng=np.random.default_rng(0))
    >>> x.shape, np.bincount(y)
    ((200, 2), array([100, 100]))
    """
    n = check_integer("n", n)
    noise = check_nonnegative("noise", noise)
    seed = sklearn_seed(check_rng("rng", rng))
    from sklearn.datasets import make_moons

    x, y = make_moons(n, noise=noise, random_state=seed)
    return x, y.astype(np.int64)


def blobs(
    n: int, *, classes: int = 3, spread: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    r"""Draw round clouds of points, a cloud a class, around centres on the unit circle.

    Class :math:`k` is normal around :math:`(\cos\alpha_k, \sin\alpha_k)` with
    :math:`\alpha_k = 2\pi k / C`, so that the best classifier is known: the nearest centre. With
    two classes it errs with probability :math:`\Phi(-1/\text{spread})`, :math:`\Phi` being the
    standard normal distribution function. This is scikit-learn's ``make_blobs``, shuffled, with
    fixed centres in place of random ones, which may fall on one another.

    Parameters
    ----------
    n : int >= classes
        Number of samples, shared among the classes as equally as possible.
    classes : int >= 1
        Number of classes :math:`C`.
    spread : float >= 0
        Standard deviation of a cloud, in each coordinate.
    rng : numpy.random.Generator
        Decides points and order.

    Returns
    -------
    x : array, shape (n, 2)
    y : array of int64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> x, y = blobs(100, classes=3, spread=0.2, rng=np.random.default_rng(0))
    >>> x.shape, np.bincount(y)
    ((100, 2), array([34, 33, 33]))
    """
    classes = check_integer("classes", classes)
    n = check_integer("n", n, minimum=classes)
    spread = check_nonnegative("spread", spread)
    seed = sklearn_seed(check_rng("rng", rng))
    from sklearn.datasets import make_blobs

    angle = 2 * np.pi * np.arange(classes) / classes
    centers = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x, y = make_blobs(n, centers=centers, cluster_std=spread, random_state=seed)
    return x, y.astype(np.int64)


def noisy_line(
    n: int,
    *,
    slope: float,
    intercept: float,
    noise: float,
    rng: np.random.Generator,
    outliers: int = 0,
    shift: float = 10.0,
) -> tuple[Array, Array]:
    r"""Draw points around a straight line, on request with some targets far off.

    .. math:: y = \text{slope} \cdot x + \text{intercept} + \text{noise} \cdot \xi,
        \qquad x \sim U[-1, 1], \quad \xi \sim N(0, 1).

    Then `outliers` of the targets, drawn without replacement, are raised by `shift`. They all go
    the same way, so that they do not cancel in a mean. They are drawn last: equal generators
    give the same points with and without outliers, but for the raised targets.

    Parameters
    ----------
    n : int >= 1
        Number of samples.
    slope, intercept : float
        The line.
    noise : float >= 0
        Standard deviation of the noise, in units of y.
    rng : numpy.random.Generator
        Decides inputs, noise and which targets are raised.
    outliers : int from 0 to n
        Number of raised targets.
    shift : float
        How far they are raised, in units of y.

    Returns
    -------
    x : array, shape (n, 1)
    y : array, shape (n, 1)

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> x, y = noisy_line(50, slope=2.0, intercept=1.0, noise=0.0, rng=np.random.default_rng(0))
    >>> x.shape, bool(np.allclose(y, 2 * x + 1))
    ((50, 1), True)
    """
    n = check_integer("n", n)
    slope = check_real("slope", slope, "in (-inf, inf)")
    intercept = check_real("intercept", intercept, "in (-inf, inf)")
    noise = check_nonnegative("noise", noise)
    outliers = check_integer("outliers", outliers, minimum=0)
    shift = check_real("shift", shift, "in (-inf, inf)")
    if outliers > n:
        raise ValueError(f"outliers must be <= n = {n}, got {outliers}")
    rng = check_rng("rng", rng)
    x = rng.uniform(-1, 1, size=(n, 1))
    y = slope * x + intercept + noise * rng.standard_normal((n, 1))
    y[rng.choice(n, size=outliers, replace=False)] += shift
    return x, y
