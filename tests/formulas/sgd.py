"""Where the formulas of chapter 05, stochastic gradient descent, must hold.

Expectations are means over all equally likely outcomes, listed one by one, and stationary
variances come from `scipy.linalg`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.special import gamma
from worlds import not_evaluated, world

from optlearn.functions import Quadratic
from optlearn.losses import mean_squared_error
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent

World = dict[str, Any]

RNG = np.random.default_rng(0)
N = 5
INPUTS, TARGETS = RNG.normal(size=(N, 2)), RNG.normal(size=(N, 1))
NETWORK = MLP([2, 3, 1], "tanh")
THETA = NETWORK.init(RNG)
DEVIATIONS = np.array([1.0, -2.5, 0.4, 3.0, -1.9])  # of one coordinate; they add to zero
SPREAD = float(np.std(DEVIATIONS))


def loss_and_grad(theta: np.ndarray, rows: Iterable[int]) -> tuple[float, np.ndarray]:
    rows = list(rows)
    return NETWORK.loss_and_grad(theta, INPUTS[rows], TARGETS[rows], mean_squared_error)


def batch_gradients(batches: Iterable[tuple[int, ...]]) -> np.ndarray:
    return np.array([loss_and_grad(THETA, rows)[1] for rows in batches])


def one_loss(i: int) -> Any:
    return lambda theta: loss_and_grad(theta, [i - 1])[0]


def one_gradient(i: int) -> Any:
    return lambda theta: loss_and_grad(theta, [i - 1])[1]


def full_gradient(theta: np.ndarray) -> np.ndarray:
    return loss_and_grad(theta, range(N))[1]


@world("eq-sgd-objective")
def objective() -> Iterator[World]:
    yield {
        "J": lambda theta: loss_and_grad(theta, range(N))[0], r"\theta": THETA, "N": N,
        r"\ell_i": {"i": one_loss},
    }  # fmt: skip


@world("eq-sgd-update")
def update() -> Iterator[World]:
    rows = [4, 1, 2]
    _, grad = loss_and_grad(THETA, rows)
    yield {
        r"\theta_{t+1}": GradientDescent(0.3).step(THETA, grad), r"\theta_t": THETA,
        r"\eta": 0.3, "g_t": grad, "B": 3, r"\sum_{i\in B_t}": ("i", [5, 2, 3]),
        r"\nabla\ell_i": {"i": one_gradient},
    }  # fmt: skip


@world("eq-sgd-unbiased")
def unbiased() -> Iterator[World]:
    for batches in (list(combinations(range(N), 3)), list(product(range(N), repeat=3))):
        yield {
            r"\mathbb E": lambda outcomes: outcomes.mean(axis=0), "B": 3, "N": N,
            "g_t": batch_gradients(batches), r"\theta_t": THETA,
            r"\nabla\ell_i": {"i": one_gradient}, r"\nabla J": full_gradient,
        }  # fmt: skip


@world("eq-sgd-sigma")
def sigma() -> Iterator[World]:
    each = batch_gradients([(i,) for i in range(N)])
    yield {
        r"\sigma": np.sqrt(np.trace(np.cov(each.T, bias=True))), "N": N,
        r"d_i": {"i": lambda i: each[i - 1] - full_gradient(THETA)},
    }  # fmt: skip


def drawn(outcomes: list[tuple[int, ...]]) -> tuple[np.ndarray, Any]:
    """Deviations of the drawn samples, an outcome a row, and the mean of a sum over outcomes."""
    return DEVIATIONS[np.array(outcomes)], lambda total: total / len(outcomes)


REPLACED = list(product(range(N), repeat=3))
KEPT_OUT = list(permutations(range(N), 3))


@world("eq-sgd-pairs")
def pairs() -> Iterator[World]:
    both = list(permutations(range(3), 2))
    for outcomes in (REPLACED, KEPT_OUT):
        deviation, expect = drawn(outcomes)
        yield {
            r"\mathbb E": expect, "g_t": 0.7 + deviation.mean(axis=1), r"\nabla J": 0.7, "B": 3,
            "D_k": {"k": lambda k, d=deviation: d[:, k - 1]},
            r"\sum_{m\ne p}": ("q", range(len(both))),
            "D_m": {"q": lambda q, d=deviation: d[:, both[q][0]]},
            "D_p": {"q": lambda q, d=deviation: d[:, both[q][1]]},
        }  # fmt: skip


def batch_error(outcomes: list[tuple[int, ...]]) -> World:
    deviation, expect = drawn(outcomes)
    return {
        r"\mathbb E": expect, "g_t": 0.7 + deviation.mean(axis=1), r"\nabla J": 0.7, "B": 3,
        "N": N, r"\sigma": SPREAD,
    }  # fmt: skip


@world("eq-sgd-with")
def with_replacement() -> Iterator[World]:
    yield batch_error(REPLACED)


@world("eq-sgd-without")
def without_replacement() -> Iterator[World]:
    yield batch_error(KEPT_OUT)


@world("eq-sgd-negative")
def negative() -> Iterator[World]:
    deviation, expect = drawn(KEPT_OUT)
    yield {
        r"\mathbb E": expect, "D_1": deviation[:, 0], "D_2": deviation[:, 1], "N": N,
        "d_i": {"i": lambda i: DEVIATIONS[i - 1]}, r"\sigma": SPREAD,
    }  # fmt: skip


@world("eq-sgd-ragged")
def ragged() -> Iterator[World]:
    batches = [(3, 0), (4, 2), (1,)]
    yield {
        r"\nabla J": full_gradient(THETA), r"\sum_k": ("k", range(3)), "N": N,
        "b_k": {"k": [2, 2, 1]}, "g_k": {"k": batch_gradients(batches)},
    }  # fmt: skip


# The noisy parabola -------------------------------------------------------------------------

LAM, SIGMA = 1.7, 0.6
BOWL = Quadratic([LAM])


def noisy_path(lrs: Iterable[float], noise: Iterable[Any], theta: Any) -> np.ndarray:
    """SGD on the parabola; theta may be an array of runs, and noise one of each run a step."""
    theta = np.atleast_1d(np.asarray(theta, float))[:, None]
    path = [theta[:, 0]]
    for lr, xi in zip(lrs, noise, strict=True):
        xi = np.broadcast_to(xi, len(theta))[:, None]
        theta = GradientDescent(lr).step(theta, BOWL.gradient(theta) + SIGMA * xi)
        path.append(theta[:, 0])
    return np.array(path)


def mean_squares(lrs: list[float], theta: float) -> np.ndarray:
    """Mean square after each step, over all sequences of noise -1 and +1."""
    noise = np.array(list(product((-1.0, 1.0), repeat=len(lrs)))).T
    path = noisy_path(lrs, noise, np.full(noise.shape[1], theta))
    return np.mean(path**2, axis=1)


def floor(lr: float, sigma2: float = SIGMA**2) -> float:
    step = GradientDescent(lr).step(np.ones((1, 1)), BOWL.gradient(np.ones((1, 1))))
    return float(solve_discrete_lyapunov(step, np.array([[lr**2 * sigma2]]))[0, 0])


@world("eq-sgd-noisy")
def noisy() -> Iterator[World]:
    path = noisy_path([0.3], [0.8], 2.5)[:, 0]
    yield {
        r"\theta_{t+1}": path[1], r"\theta_t": path[0], r"\eta": 0.3, r"\lambda": LAM,
        r"\sigma": SIGMA, r"\xi_t": 0.8,
    }  # fmt: skip


@world("eq-sgd-recursion")
def recursion() -> Iterator[World]:
    v = mean_squares([0.3, 0.3, 0.3], 2.5)
    yield {
        "v_{t+1}": v[3], "v_t": v[2], r"\eta": 0.3, r"\lambda": LAM, r"\sigma": SIGMA,
    }  # fmt: skip


@world("eq-sgd-floor")
def noise_floor() -> Iterator[World]:
    for lr in (0.3, 0.9):
        yield {r"v_\infty": floor(lr), r"\eta": lr, r"\lambda": LAM, r"\sigma": SIGMA}


@world("eq-sgd-transient")
def transient() -> Iterator[World]:
    v = mean_squares([0.3] * 3, 2.5)
    yield {
        "v_t": v[3], "v_0": v[0], r"v_\infty": floor(0.3), r"\eta": 0.3, r"\lambda": LAM, "t": 3,
    }  # fmt: skip


@world("eq-sgd-scaling")
def scaling() -> Iterator[World]:
    for k in (2, 5):
        yield {
            "k": k, "v_k": floor(0.15 * k, SIGMA**2 / (3 * k)), "v_1": floor(0.15, SIGMA**2 / 3),
            "B": 3, r"\eta": 0.15, r"\lambda": LAM, r"\sigma": SIGMA,
        }  # fmt: skip


def decaying(c: float, steps: int) -> list[float]:
    return [c / t for t in range(1, steps + 1)]


@world("eq-sgd-mean-of-noise")
def mean_of_noise() -> Iterator[World]:
    noise = np.array([0.8, -1.3, 0.4, 2.0])
    lrs = decaying(1 / LAM, 4)
    yield {
        r"\theta_t": noisy_path(lrs, noise, 2.5)[-1, 0], r"\sigma": SIGMA, r"\lambda": LAM,
        "t": 4, r"\xi_s": {"s": lambda s: noise[s - 1]}, "v_t": mean_squares(lrs, 2.5)[-1],
    }  # fmt: skip


@world("eq-sgd-scaled")
def scaled() -> Iterator[World]:
    v = mean_squares(decaying(0.4, 5), 2.5)
    yield {
        "w_t": 5 * v[5], "w_{t-1}": 4 * v[4], "t": 5, "c": 0.4, r"\lambda": LAM, r"\sigma": SIGMA,
    }  # fmt: skip


@world("eq-sgd-decay")
def decay() -> Iterator[World]:
    """The mean square of a long run, as the variance of a sum of its noises."""
    t = 20_000
    for c in (0.9, 1.4):
        lrs = np.array(decaying(c, t))
        later = np.cumprod((1 - lrs * LAM)[:0:-1])[::-1]  # what the steps after it leave
        effect = lrs * SIGMA * np.append(later, 1.0)
        yield {
            "v_t": np.sum(effect**2), "c": c, r"\sigma": SIGMA, r"\lambda": LAM, "t": t,
        }  # fmt: skip


@world("eq-sgd-slow", approx=3e-3)
def slow() -> Iterator[World]:
    for c in (0.2, 0.45):
        yield {"t": 120, "c": c, r"\lambda": LAM, r"\Gamma": gamma}


@world("eq-sgd-average")
def average() -> Iterator[World]:
    noise = np.array([0.8, -1.3, 0.4, 2.0])
    path = noisy_path([0.3] * 4, noise, 2.5)[:, 0]
    yield {
        r"\bar\theta": path[:4].mean(), r"\theta_t": {"t": path}, "T": 4, r"\theta_0": path[0],
        r"\theta_T": path[4], r"\eta": 0.3, r"\lambda": LAM, r"\sigma": SIGMA,
        r"\xi_t": {"t": noise},
    }  # fmt: skip


@world("eq-sgd-average-variance")
def average_variance() -> Iterator[World]:
    """The covariance of a stationary run, entry by entry."""
    for lr in (0.3, 0.9):
        a = float(GradientDescent(lr).step(np.ones(1), BOWL.gradient(np.ones(1)))[0])
        t = np.arange(5)
        covariance = floor(lr) * a ** np.abs(t[:, None] - t)
        yield {
            r"\mathbb E": lambda square: square, r"\bar\theta": np.sqrt(covariance.mean()),
            r"v_\infty": floor(lr), "T": 5, "a": a,
        }  # fmt: skip


@world("eq-sgd-effective")
def effective() -> Iterator[World]:
    """Squares of a Gaussian chain: the sum of their correlations, term by term."""
    for a in (0.7, -0.4):
        correlations = a ** (2.0 * np.abs(np.arange(-300, 301)))
        yield {r"M_{\text{eff}}": 1000 / correlations.sum(), "M": 1000, "a": a}


# Bounds -------------------------------------------------------------------------------------


@world("eq-sgd-descent")
def descent() -> Iterator[World]:
    """One curvature makes it an equality; a second, smaller one leaves room."""
    for curvatures, lr in (([LAM], 0.3), ([LAM, 0.4], 0.3), ([LAM], 2.0)):
        bowl = Quadratic(curvatures)
        theta = np.full(len(curvatures), 2.5)
        noise = np.zeros((2, len(theta)))
        noise[:, -1] = SIGMA * np.array([-1, 1])
        grad = bowl.gradient(theta) + noise
        yield {
            r"\mathbb E": np.mean, "J": bowl.value, "L": LAM, r"\eta": lr, r"\sigma": SIGMA,
            r"\theta_{t+1}": GradientDescent(lr).step(np.tile(theta, (2, 1)), grad),
            r"\theta_t": theta, r"\nabla J": bowl.gradient,
        }  # fmt: skip


def tight_gaps() -> list[float]:
    """The gaps of a run at the rate 1/L on one curvature, on which the bounds are equalities."""
    return list(LAM / 2 * mean_squares([1 / LAM] * 3, 2.5))


@world("eq-sgd-contraction", slack=3)
def contraction() -> Iterator[World]:
    """A looser bound is true as well: 2 or + in the factor, and the noise upside down."""
    gaps = tight_gaps()
    yield bound(gaps[2], gaps[1], 1 / LAM, LAM)
    v = mean_squares([0.01] * 3, 25.0) * LAM / 2  # far away, a small rate: nearly an equality
    yield bound(v[3], v[2], 0.01, LAM)


def bound(after: float, before: float, lr: float, mu: float) -> World:
    return {
        "G_{t+1}": after, "G_t": before, r"\eta": lr, r"\mu": mu, "L": LAM, r"\sigma": SIGMA,
    }  # fmt: skip


@world("eq-sgd-ball", slack=4)
def ball() -> Iterator[World]:
    """Two looser floors, and two smaller subtractions from the start, are true as well."""
    for lr, start in ((1 / LAM, 2.5), (0.01, 25.0), (0.3, 0.0)):
        v = mean_squares([lr] * 3, start) * LAM / 2
        yield {
            "G_t": v[3], "G_0": v[0], r"\eta": lr, "L": LAM, r"\mu": LAM, r"\sigma": SIGMA, "t": 3,
        }  # fmt: skip


@world("eq-sgd-unrolled", slack=4)
def unrolled() -> Iterator[World]:
    """The largest gaps that the contraction allows, and a run's; looser factors are true too."""
    lrs = [0.5, 0.35, 0.2, 0.15]
    cases = [(mean_squares(lrs, 2.5) * LAM / 2, SIGMA)]
    for sigma in (SIGMA, 1.5):
        largest = [3.0]
        for lr in lrs:
            largest.append(largest[-1] - lr * LAM * largest[-1] + LAM * (lr * sigma) ** 2 / 2)
        cases.append((np.array(largest), sigma))
    for gaps, sigma in cases:
        yield {
            "G_T": gaps[-1], "G_0": gaps[0], "T": 4, "L": LAM, r"\mu": LAM, r"\sigma": sigma,
            r"\eta_t": {"t": lambda t: lrs[t - 1]}, r"\eta_r": {"r": lambda r: lrs[r - 1]},
            r"\eta_T": lrs[3],
        }  # fmt: skip


# The order of the samples -------------------------------------------------------------------


@world("eq-sgd-seen", approx=0.07)
def seen() -> Iterator[World]:
    parts = [len(set(draws)) / N for draws in product(range(N), repeat=N)]
    yield {"p_N": np.mean(parts), "N": N, "e": np.e}


def epoch_end(order: Iterable[int], lr: float, theta: float) -> float:
    """One sample a step, each with its own parabola."""
    point = np.array([theta])
    for i in order:
        bowl = Quadratic([LAM], center=[DEVIATIONS[i]])
        point = GradientDescent(lr).step(point, bowl.gradient(point))
    return float(point[0])


@world("eq-sgd-epoch")
def epoch() -> Iterator[World]:
    order = [3, 0, 4, 2, 1]
    yield {
        r"\theta_N": epoch_end(order, 0.3, 2.5), "a": 1 - 0.3 * LAM, "N": N, r"\theta_0": 2.5,
        r"\eta": 0.3, r"\lambda": LAM,
        r"c_{\pi(N-k)}": {"k": lambda k: DEVIATIONS[order[N - k - 1]]},
    }  # fmt: skip


@world("eq-sgd-shuffled")
def shuffled() -> Iterator[World]:
    for lr in (0.3, 0.9):
        ends = [epoch_end(order, lr, 0.0) for order in permutations(range(N))]
        keeps = epoch_end(range(N), lr, 1.0) - epoch_end(range(N), lr, 0.0)
        variance = solve_discrete_lyapunov(np.array([[keeps]]), np.array([[np.var(ends)]]))
        yield {
            r"v_{\text{epoch}}": variance[0, 0], r"\eta": lr, r"\lambda": LAM, "s": SPREAD,
            "a": 1 - lr * LAM, "N": N, "S": N * np.var((1 - lr * LAM) ** np.arange(N)),
        }  # fmt: skip


@world("eq-sgd-shuffled-small", approx=0.02)
def shuffled_small() -> Iterator[World]:
    """Four hundred samples of mean square 1, by their covariance."""
    n = 400
    covariance = np.eye(n) * n / (n - 1) - 1 / (n - 1)
    for lr in (2e-5, 4e-5):
        weights = lr * LAM * (1 - lr * LAM) ** np.arange(n)
        keeps = (1 - lr * LAM) ** n
        yield {
            r"v_{\text{epoch}}": weights @ covariance @ weights / (1 - keeps**2),
            r"v_\infty": floor(lr, LAM**2), r"\eta": lr, r"\lambda": LAM, "N": n,
        }  # fmt: skip


# The rule of article 0 ----------------------------------------------------------------------


@world("eq-sgd-article")
def article() -> Iterator[World]:
    """The rule as a matrix acting on the last two points."""
    alpha, beta = 0.3, 0.2
    matrix = np.array([[1 - alpha * LAM, beta * LAM], [1.0, 0.0]])
    after = np.linalg.matrix_power(matrix, 3) @ [1.0, 1.5]
    yield {
        r"\theta_{t+1}": after[0], r"\theta_t": after[1],
        r"\theta_{t-1}": (np.linalg.matrix_power(matrix, 2) @ [1.0, 1.5])[1],
        r"\alpha": alpha, r"\beta": beta, r"\nabla J": lambda p: BOWL.gradient(np.array([p]))[0],
    }  # fmt: skip


@world("eq-sgd-article-roots", atol=1e-12)
def article_roots() -> Iterator[World]:
    for alpha, beta in ((0.3, 0.2), (0.1, 0.9)):
        matrix = np.array([[1 - alpha * LAM, beta * LAM], [1.0, 0.0]])
        for root in np.linalg.eigvals(matrix):
            yield {"r": root, r"\alpha": alpha, r"\beta": beta, r"\lambda": LAM}


not_evaluated(
    eq_sgd_robbins="two conditions on the limit of a sum; the chapter runs rates that meet both",
)
