"""Where the formulas of chapter 09, learning rates, must hold.

Expectations of the noisy parabola are means over all equally likely signs of the noise, listed
one by one; optima come from `scipy.optimize`, rates from `optlearn.schedules`, and curvature from
the dense Hessian of a small network.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from worlds import not_evaluated, world

from optlearn import schedules
from optlearn.functions import Quadratic
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.training import minimize as descend

World = dict[str, Any]

RNG = np.random.default_rng(9)
NETWORK = MLP([2, 3, 2], "tanh")
THETA = NETWORK.init(RNG)
INPUTS, LABELS = RNG.normal(size=(7, 2)), RNG.integers(2, size=7)

not_evaluated(
    eq_rates_choice=r"\arg\min over runs: the chapter's code does it and is asserted",
)


def gradient(theta: np.ndarray) -> np.ndarray:
    return NETWORK.loss_and_grad(theta, INPUTS, LABELS)[1]


def dense() -> np.ndarray:
    """The Hessian by central differences of the gradient."""
    rows = [
        (gradient(THETA + 1e-5 * e) - gradient(THETA - 1e-5 * e)) / 2e-5
        for e in np.eye(THETA.size)
    ]
    return (np.array(rows) + np.array(rows).T) / 2


def spread(rates: Any, lam: float, sigma: float, start: float) -> np.ndarray:
    """Mean squares after each step: over both starts and all signs of the noise."""
    signs = np.array(list(product((-1.0, 1.0), repeat=len(rates))))
    theta, out = np.full(len(signs), np.sqrt(start)), [start]
    for rate, sign in zip(rates, signs.T, strict=True):
        theta = GradientDescent(rate).step(theta, lam * theta + sigma * sign)
        out.append(float(np.mean(theta**2)))
    return np.array(out)


CASES = [(0.7, 1.3, 3.0), (1.9, 0.6, 0.8), (0.3, 0.5, 7.0)]  # lambda, sigma, v_0


@world("eq-rates-grid")
def grid() -> Iterator[World]:
    points = np.geomspace(0.3, 0.3 * 2.5**4, 5)
    yield {r"\eta_k": points[3], r"\eta_0": points[0], "r": 2.5, "k": 3}


@world("eq-rates-step")
def step() -> Iterator[World]:
    for lam, sigma, start in CASES:
        v = spread([0.3, 0.45], lam, sigma, start)
        yield {
            "v_{t+1}": v[2], "v_t": v[1], r"\eta_t": 0.45, r"\lambda": lam, r"\sigma": sigma,
        }  # fmt: skip


@world("eq-rates-tradeoff", approx=2e-3)
def tradeoff() -> Iterator[World]:
    for lam, sigma, start, rate, steps in (
        (0.7, 1.3, 300.0, 1e-4, 90_000), (1.9, 0.6, 80.0, 3e-5, 100_000),
        (0.3, 0.5, 70.0, 2e-4, 90_000),
    ):  # fmt: skip
        once = np.array([[(1 - rate * lam) ** 2, rate**2 * sigma**2], [0.0, 1.0]])
        v = (np.linalg.matrix_power(once, steps) @ [start, 1.0])[0]
        yield {
            "v_T": v, "e": np.e, r"\eta": rate, r"\lambda": lam, "T": steps, "v_0": start,
            r"\sigma": sigma,
        }  # fmt: skip


@world("eq-rates-constant")
def constant_rate() -> Iterator[World]:
    for (lam, sigma, start), rate in zip(CASES, (0.3, 0.45, 0.8), strict=True):
        # The floor is what a step does not change: from two steps, since steps are affine in v.
        v = spread([rate] * 5, lam, sigma, start)
        shrink = (v[2] - v[1]) / (v[1] - v[0])
        yield {
            "v_T": v[5], "T": 5, "v_0": start, r"\eta": rate, r"\lambda": lam, r"\sigma": sigma,
            r"v_\infty": (v[1] - shrink * v[0]) / (1 - shrink),
        }  # fmt: skip


@world("eq-rates-best-constant", approx=1e-3)
def best_constant() -> Iterator[World]:
    for lam, sigma, start, steps in (
        (0.7, 1.3, 30.0, 10**6), (1.9, 0.6, 0.8, 3 * 10**5), (0.3, 0.5, 7.0, 10**6),
    ):  # fmt: skip

        def end(log_rate: float, lam=lam, sigma=sigma, start=start, steps=steps) -> float:
            rate = np.exp(log_rate)
            floor = rate * sigma**2 / (lam * (2 - rate * lam))
            return np.log(floor + (1 - rate * lam) ** (2 * steps) * (start - floor))

        found = minimize_scalar(
            end, bounds=(np.log(1 / steps), np.log(100 / steps)), method="bounded",
            options={"xatol": 1e-10},
        )  # fmt: skip
        yield {
            r"\eta^*": np.exp(found.x), r"\lambda": lam, "T": steps, "v_0": start,
            r"\sigma": sigma,
        }  # fmt: skip


@world(
    "eq-rates-optimal", "eq-rates-information", "eq-rates-greedy", "eq-rates-stationary",
    "eq-rates-after", rtol=1e-5,
)  # fmt: skip
def optimal() -> Iterator[World]:
    return iter(searched())


@cache
def searched() -> list[World]:
    """Let SciPy search for the best four rates."""
    found = []
    for lam, sigma, start in CASES:

        def end(rates: Any, lam=lam, sigma=sigma, start=start) -> float:
            return float(spread(rates, lam, sigma, start)[-1])

        rates = minimize(end, np.full(4, 0.3), method="BFGS", options={"gtol": 1e-11}).x
        v = spread(rates, lam, sigma, start)
        # Rates of the whole search at t = 3; the mean squares that they lead to.
        found.append({
            r"\eta_t": rates[3], r"\eta_0": rates[0], "t": 3, r"\lambda": lam,
            r"\sigma": sigma, "v_0": start, "v_t": v[3], "v_{t+1}": v[4],
        })  # fmt: skip
    return found


def at(schedule: schedules.Schedule, times: tuple[int, ...], names: World) -> Iterator[World]:
    for t in times:
        yield {r"\eta_t": schedule(t), "t": t, **names}


@world("eq-rates-staircase")
def staircase() -> Iterator[World]:
    plan = schedules.step_decay(0.3, every=4, factor=0.6)
    return at(plan, (3, 7, 8, 14), {r"\eta": 0.3, "k": 4, "f": 0.6})


@world("eq-rates-exponential")
def exponential() -> Iterator[World]:
    return at(schedules.exponential(0.3, rate=0.9), (3, 7), {r"\eta": 0.3, "r": 0.9})


@world("eq-rates-inverse")
def inverse() -> Iterator[World]:
    return at(schedules.inverse_time(0.3, decay=0.7), (3, 7), {r"\eta": 0.3, "d": 0.7})


@world("eq-rates-cosine")
def cosine() -> Iterator[World]:
    plan = schedules.cosine(0.3, steps=11, final=0.04)
    names = {r"\eta": 0.3, r"\eta_T": 0.04, "T": 11, r"\pi": np.pi}
    yield from at(plan, (3, 7), names)
    restarted = schedules.cosine_restarts(0.3, period=5, growth=3, final=0.04)
    for t in (2, 4):  # a second period of 15 steps begins at step 5
        yield {**names, r"\eta_t": restarted(5 + t), "t": t, "T": 15}


@world("eq-rates-warmup")
def warmup() -> Iterator[World]:
    return at(schedules.linear_warmup(0.3, steps=9), (2, 5), {r"\eta": 0.3, "k": 9})


@world("eq-rates-unrolled")
def unrolled() -> Iterator[World]:
    rates = [0.3, 0.45, 0.2, 0.55]
    for lam, sigma, start in CASES:
        yield {
            "v_T": spread(rates, lam, sigma, start)[-1], "v_0": start, "T": 4, r"\lambda": lam,
            r"\sigma": sigma, r"\eta_t": {"t": lambda t: rates[t]},
            r"\eta_s": {"s": lambda s: rates[s]}, r"\eta_{T-1}": rates[3],
        }  # fmt: skip


@world("eq-rates-cosine-sum")
def cosine_sum() -> Iterator[World]:
    for steps in (5, 12):
        plan = schedules.cosine_restarts(0.3, period=steps)  # it goes on after T steps
        yield {r"\eta_t": {"t": plan}, "T": steps, r"\eta": 0.3}


@world("eq-rates-cycle")
def cycle() -> Iterator[World]:
    for steps in (30, 70):
        plan = schedules.one_cycle(0.4, steps=steps)
        yield from at(plan, (2, 5), {r"\eta": 0.4, "p": 0.3 * steps - 1, r"\pi": np.pi})


@world("eq-rates-product", rtol=1e-6)
def product_with_hessian() -> Iterator[World]:
    v = RNG.normal(size=THETA.size)
    yield {
        "H": dense(),
        "v": v, "i": 1j, "h": 1e-30, r"\theta": THETA, r"\nabla J": gradient,
        r"\operatorname{Im}": np.imag,
    }  # fmt: skip


@world("eq-rates-power")
def power() -> Iterator[World]:
    H = dense()
    values, vectors = np.linalg.eigh(H)
    parts = RNG.normal(size=THETA.size)
    parts = parts / np.sqrt(np.sum(parts**2))
    grown = values * parts  # the product, in the basis of the eigenvectors
    yield {
        "v_{k+1}": vectors @ grown / np.sqrt(np.sum(grown**2)), "H": H, "v_k": vectors @ parts,
        r"\hat\lambda_k": np.sum(values * parts**2),
    }  # fmt: skip


@world("eq-rates-ratio")
def ratio() -> Iterator[World]:
    grad = gradient(THETA)
    W, G = NETWORK.unpack(THETA)[0][0], NETWORK.unpack(grad)[0][0]
    moved = NETWORK.unpack(GradientDescent(0.3).step(THETA, grad))[0][0]
    yield {
        "R_t": np.sqrt(np.sum((moved - W) ** 2) / np.sum(W**2)), r"\eta_t": 0.3,
        "G_t": G.ravel(), "W_t": W.ravel(),
    }  # fmt: skip


@world("eq-rates-ramp")
def ramp() -> Iterator[World]:
    curvature = np.array([0.7, 2.9])
    bowl = Quadratic(curvature)
    rates = 0.02 * 1.4 ** np.arange(6)
    walk = descend(bowl, [1.3, -0.4], GradientDescent(lambda t: float(rates[t])), 6).theta
    for j in range(2):
        yield {
            "c_{T,j}": walk[-1, j], "c_{0,j}": walk[0, j], "T": 6, r"\lambda_j": curvature[j],
            r"\eta_t": {"t": lambda t: rates[t]},
        }  # fmt: skip


@world("eq-rates-edge", approx=0.05)
def edge() -> Iterator[World]:
    """Take what was measured at the ends of the runs that reach it."""
    path = Path(__file__).resolve().parents[2] / "book/_data/rates_edge.csv"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    for row in csv.DictReader(lines):
        if row["part"] == "5" and float(row["lr"]) >= 0.7:
            rate = float(row["lr"])
            yield {r"\eta": rate, r"\lambda_{\max}": float(row["edge"]) / rate}
