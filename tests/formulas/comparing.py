"""Where the formulas of chapter 10, comparing optimizers, must hold.

Chances and expected bests are counted over all subsets or taken from laws that SciPy knows, costs
are those of runs on a quadratic, and the number of seeds is the one at which the normal power is
what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from worlds import world

from optlearn.comparing import paired_difference
from optlearn.functions import Quadratic
from optlearn.optimizers import GradientDescent, Momentum
from optlearn.training import minimize

World = dict[str, Any]

RNG = np.random.default_rng(0)


def entry_of(values: Any) -> Callable[[int], Any]:
    """Return a function of an index from 1; below 1 and beyond the end it is some other number."""
    return lambda i: values[i - 1] if 1 <= i <= len(values) else 0.77


@world("eq-comparing-uniform")
def uniform() -> Iterator[World]:
    for k in (3, 4, 7):
        yield {r"\mathbb E": lambda x: x, "U_k": stats.beta(k, 1).mean(), "k": k}


@world("eq-comparing-chance")
def chance() -> Iterator[World]:
    for n, k, i in ((7, 3, 3), (8, 3, 4), (9, 4, 5), (9, 3, 6)):
        firsts = [min(subset) for subset in combinations(range(1, n + 1), k)]
        yield {"w_i": firsts.count(i) / comb(n, k), "n": n, "k": k, "i": i}


@world("eq-comparing-best")
def expected() -> Iterator[World]:
    for n, k in ((6, 3), (7, 4), (8, 5)):
        values = np.sort(RNG.normal(size=n))
        subsets = list(combinations(range(n), k))
        chances = np.bincount([min(s) for s in subsets], minlength=n) / len(subsets)
        chances[n - k + 1 :] = 0.37  # what the sum must not reach
        yield {
            "E_k": np.mean([values[list(s)].min() for s in subsets]), "n": n, "k": k,
            "w_i": {"i": entry_of(chances)}, "v_{(i)}": {"i": entry_of(values)},
        }  # fmt: skip


@world("eq-comparing-pairs")
def pairs() -> Iterator[World]:
    for n in (5, 9):
        a, b = RNG.normal(size=(2, n))
        mean, error = paired_difference(a, b)
        yield {
            r"\bar d": mean, "e": error, r"\sigma_d": np.std(a - b, ddof=1), "n": n,
            "d_s": {"s": entry_of(a - b)},
        }  # fmt: skip


@world("eq-comparing-correlation")
def correlation() -> Iterator[World]:
    for _ in range(3):
        a, b = RNG.normal(size=(2, 12)) * [[1.3], [0.6]]
        b += 0.5 * a
        yield {
            r"\sigma_d": np.std(a - b, ddof=1), r"\sigma_a": a.std(ddof=1),
            r"\sigma_b": b.std(ddof=1), r"\gamma": np.corrcoef(a, b)[0, 1],
        }  # fmt: skip


@world("eq-comparing-seeds")
def seeds() -> Iterator[World]:
    for c, power, sigma, delta in ((4, 0.9, 1.3, 0.5), (2.5, 0.7, 0.4, 0.3), (3, 0.2, 2.0, 0.7)):
        # The n at which P(mean/error > c) is the power: the normal tail, solved by SciPy.
        n = brentq(
            lambda n, c=c, s=sigma, d=delta, p=power: stats.norm.sf(c, d * np.sqrt(n) / s) - p,
            0.1, 1e4, xtol=1e-12,
        )  # fmt: skip
        yield {
            "n": n, "c": c, "z_p": stats.norm.ppf(power), r"\sigma_d": sigma, r"\delta": delta,
        }  # fmt: skip


@world("eq-comparing-false")
def false() -> Iterator[World]:
    for methods, q in ((8, 0.0766), (5, 0.3)):
        yield {"F": sum(q for _ in combinations(range(methods), 2)), "M": methods, "q": q}


@world("eq-comparing-descent", rtol=1e-7)
def descent() -> Iterator[World]:
    for kappa, t in ((7.0, 5), (30.0, 11)):
        path = minimize(Quadratic([1.0, kappa]), [1.0, 1.0], GradientDescent(2 / (1 + kappa)), t)
        fraction = path.loss[t] / path.loss[0]
        yield {"t": t, r"\epsilon": fraction, "r": (kappa - 1) / (kappa + 1)}


@world("eq-comparing-ball", rtol=1e-7)
def ball() -> Iterator[World]:
    for kappa, t in ((7.0, 3), (30.0, 4), (12.0, 6)):
        r = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
        rule = Momentum(4 / (1 + np.sqrt(kappa)) ** 2, beta=r**2)
        path = minimize(Quadratic([1.0, kappa]), [1.0, 1.0], rule, t)
        flat, steep = path.theta[t] / np.array([r, -r]) ** t
        yield {
            "J_t": path.loss[t], "J_0": path.loss[0], "r": r, "t": t, r"\kappa": kappa,
            "a_t": flat, "b_t": steep,
        }  # fmt: skip


@world("eq-comparing-limit")
def limit() -> Iterator[World]:
    for d, n, sigma in ((3, 11, 0.7), (5, 30, 1.4)):
        inverse = stats.invwishart(df=n, scale=np.eye(d)).mean()
        yield {
            r"\mathbb E": lambda x: x, r"\hat\theta": 0.3 + sigma * np.sqrt([inverse.trace()]),
            r"\theta^*": np.array([0.3]), "d": d, "N": n, r"\sigma": sigma,
        }  # fmt: skip
