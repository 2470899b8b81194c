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
from scipy.optimize import brentq
from scipy.special import gamma
from worlds import not_evaluated, world

from optlearn.functions import Quadratic
from optlearn.losses import mean_squared_error, softmax
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


@world("eq-sgd-excess")
def excess() -> Iterator[World]:
    for lr in (0.3, 0.9):
        height = float(BOWL.value(np.array([np.sqrt(floor(lr))])))
        yield {r"v_\infty": floor(lr), r"\eta": lr, r"\lambda": LAM, r"\sigma": SIGMA}
        yield {r"v_\infty": 2 * height / LAM, r"\eta": lr, r"\lambda": LAM, r"\sigma": SIGMA}


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
            r"\mathbb E": np.mean, "L": LAM, r"\eta": lr, r"\sigma": SIGMA,
            "J_{t+1}": bowl.value(GradientDescent(lr).step(np.tile(theta, (2, 1)), grad)),
            "J_t": bowl.value(theta), r"\nabla J_t": bowl.gradient(theta),
        }  # fmt: skip


STEEP, FLAT = LAM, 0.4
VALLEY = Quadratic([STEEP, FLAT])  # smoothness STEEP, strong convexity FLAT


def gaps(lr: float, start: list[float], sigma: list[float], steps: int = 3) -> np.ndarray:
    """Mean gaps in the valley, over all sequences of noise -1 and +1 on each axis alike."""
    noise = np.array(list(product((-1.0, 1.0), repeat=steps))).T
    theta = np.tile(start, (noise.shape[1], 1))
    means = [VALLEY.value(theta).mean()]
    for xi in noise:
        theta = GradientDescent(lr).step(theta, VALLEY.gradient(theta) + np.outer(xi, sigma))
        means.append(VALLEY.value(theta).mean())
    return np.array(means)


# At the rate 1/L the noise on the steep axis makes the bounds equalities; far out on the flat
# axis, at a small rate, they are nearly so; and a bound must hold for a slow valley as well.
RUNS = [
    (1 / STEEP, [0.0, 0.0], [SIGMA, 0.0]),
    (1e-3, [0.0, 2500.0], [0.0, SIGMA]),
    (0.3, [2.0, 0.5], [SIGMA, 0.0]),
    (0.5, [0.0, 1.0], [0.0, 1.3]),
]


@world("eq-sgd-contraction", slack=3)
def contraction() -> Iterator[World]:
    """A looser bound is true as well."""
    for lr, start, sigma in RUNS:
        gap = gaps(lr, start, sigma)
        yield {
            "G_{t+1}": gap[3], "G_t": gap[2], r"\eta": lr, r"\mu": FLAT, "L": STEEP,
            r"\sigma": max(sigma),
        }  # fmt: skip
    v = LAM / 2 * mean_squares([1 / LAM] * 3, 2.5)
    yield {
        "G_{t+1}": v[3], "G_t": v[2], r"\eta": 1 / LAM, r"\mu": LAM, "L": LAM, r"\sigma": SIGMA,
    }  # fmt: skip


@world("eq-sgd-ball", slack=1)
def ball() -> Iterator[World]:
    """The floor is the fixed point of the bound's own recursion; a lower start is bounded too."""
    for lr, start, sigma in RUNS:
        gap = gaps(lr, start, sigma)
        level = lr**2 * STEEP * max(sigma) ** 2 / 2
        fixed = float(np.linalg.solve([[1 - (1 - lr * FLAT)]], [level])[0])
        yield {
            "G_t": gap[3], "G_0": gap[0], "F": fixed, r"\eta": lr, "L": STEEP, r"\mu": FLAT,
            r"\sigma": max(sigma), "t": 3,
        }  # fmt: skip
    v = LAM / 2 * mean_squares([1 / LAM] * 3, 2.5)
    yield {
        "G_t": v[3], "G_0": v[0], "F": SIGMA**2 / (2 * LAM), r"\eta": 1 / LAM, "L": LAM,
        r"\mu": LAM, r"\sigma": SIGMA, "t": 3,
    }  # fmt: skip


@world("eq-sgd-nonconvex", slack=1)
def nonconvex() -> Iterator[World]:
    """Tight at the rate 1/L: in one step without noise, and in a long noisy run."""
    cases = [
        (1 / LAM, 2.5, 0.0, 1), (1 / LAM, 0.0, SIGMA, 400), (0.01, 2.5, 0.0, 900),
        (0.3, 1.0, SIGMA, 5), (0.02, 1.0, SIGMA, 7),
    ]  # fmt: skip
    for lr, start, sigma, steps in cases:
        v, squares = start**2, []
        for _ in range(steps):
            squares.append(float(BOWL.gradient(np.array([1.0]))[0]) ** 2 * v)
            v = float(GradientDescent(lr).step(np.ones(1), BOWL.gradient(np.ones(1)))[0] ** 2 * v)
            v += (lr * sigma) ** 2
        yield {
            r"\mathbb E": lambda square: square, r"\nabla J_t": {"t": np.sqrt(squares)},
            "T": steps, "J_0": float(BOWL.value(np.array([start]))) - 0.7, "J^*": -0.7,
            r"\eta": lr, "L": LAM, r"\sigma": sigma,
        }  # fmt: skip


@world("eq-sgd-shrink", slack=1)
def shrink() -> Iterator[World]:
    """With the least epsilon that the proof allows, the fixed point of the bound."""
    for lr, start, sigma in RUNS:
        gap = gaps(lr, start, sigma)
        yield {
            "G_{t+1}": gap[3], "G_t": gap[2], r"\eta_t": lr, r"\mu": FLAT,
            r"\varepsilon": lr * STEEP * max(sigma) ** 2 / (2 * FLAT),
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


@world("eq-sgd-article-edge")
def article_edge() -> Iterator[World]:
    """The characteristic polynomial of the matrix, at 1 and -1."""
    for alpha, beta in ((0.3, 0.2), (0.7, 0.15)):
        matrix = np.array([[1 - alpha * LAM, beta * LAM], [1.0, 0.0]])
        yield {
            "p": lambda r, m=matrix: np.linalg.det(r * np.eye(2) - m), r"\alpha": alpha,
            r"\beta": beta, r"\lambda": LAM,
        }  # fmt: skip


# Curvatures of the samples' own, and labels drawn at random ---------------------------------


@world("eq-sgd-edge")
def edge() -> Iterator[World]:
    """Where the mean square of the factor, over all equally likely batches, passes 1."""
    curvatures = np.array([0.4, 1.9, 3.1])
    for size in (1, 3):
        means = np.array([np.mean(b) for b in product(curvatures, repeat=size)])
        yield {
            r"\eta_{\max}": brentq(lambda lr, m=means: np.mean((1 - lr * m) ** 2) - 1, 0.1, 3),
            r"\bar\lambda": curvatures.mean(), r"\nu": curvatures.std(), "B": size,
        }  # fmt: skip


@world("eq-sgd-chance", slack=2)
def chance() -> Iterator[World]:
    """Equal answers reach the bound, the softmax of other logits does not; 1/10 may be larger."""
    for logits in (np.zeros(10), np.linspace(-0.02, 0.02, 10)):
        answers = softmax(logits[None])[0]
        yield {r"\hat y_c": {"c": lambda c, p=answers: p[c - 1]}}


not_evaluated(
    eq_sgd_robbins="two conditions on the limit of a sum; the chapter adds up three rates",
)
