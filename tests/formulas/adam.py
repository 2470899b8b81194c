"""Where the formulas of chapter 08, Adam, must hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import brentq
from worlds import not_evaluated, world

from optlearn.optimizers import Adam, AdamW, GradientDescent

World = dict[str, Any]

BETA1, BETA2 = 0.9, 0.97
G = np.array([0.7, -1.3, 0.4, 2.1, -0.6])  # gradients of one coordinate
BETAS = {r"\beta_1": BETA1, r"\beta_2": BETA2}


def fed(gradients: np.ndarray, **more: Any) -> Adam:
    """Adam after these gradients, one row a step."""
    rule = Adam(1.0, beta1=BETA1, beta2=BETA2, **more)
    for g in gradients:
        rule.step(np.zeros_like(np.atleast_1d(g)), np.atleast_1d(g))
    return rule


def last_step(gradients: np.ndarray, **more: Any) -> float:
    """Length of the last step, per unit of rate."""
    before = fed(gradients[:-1], **more)
    last = np.atleast_1d(gradients[-1])
    return float(-before.step(np.zeros_like(last), last)[0])


def mean_with_weights(values: np.ndarray, beta: float) -> float:
    """The average whose weights fall by beta into the past and add up to 1."""
    return float(np.average(values, weights=beta ** np.arange(len(values))[::-1]))


@world("eq-adam-averages")
def averages() -> Iterator[World]:
    before, after = fed(G[:-1]), fed(G)
    yield {
        **BETAS, "m_t": after.m, "m_{t-1}": before.m, "v_t": after.v, "v_{t-1}": before.v,
        "g_t": G[-1],
    }  # fmt: skip


@world("eq-adam-unrolled")
def unrolled() -> Iterator[World]:
    for t in (3, 5):
        yield {**BETAS, "t": t, "m_t": fed(G[:t]).m, "g_i": {"i": lambda i: G[i - 1]}}


@world("eq-adam-weights")
def weights() -> Iterator[World]:
    yield {**BETAS, "t": 4}


def every_outcome(values: np.ndarray) -> np.ndarray:
    """All equally likely sequences of gradients: row i has the outcomes of step i."""
    return np.array(list(product(*values))).T


@world("eq-adam-expectation")
def expectation() -> Iterator[World]:
    """Not stationary: each step has two values of its own."""
    g = every_outcome(np.array([[1.0, -0.4], [3.0, 0.5], [-2.0, 0.3]]))
    yield {
        **BETAS, "t": 3, "m_t": fed(g).m, "g_i": {"i": lambda i: g[i - 1]}, r"\mathbb{E}": np.mean,
    }  # fmt: skip


@world("eq-adam-biased")
def biased() -> Iterator[World]:
    values = np.array([1.0, -0.4, 3.0])
    g = every_outcome(np.tile(values, (4, 1)))
    rule = fed(g)
    yield {
        **BETAS, "t": 4, "m_t": rule.m, "v_t": rule.v, "g": values, r"\mathbb{E}": np.mean,
    }  # fmt: skip


@world("eq-adam-lag")
def lag() -> Iterator[World]:
    for t, b in ((3, 0.7), (6, -0.3)):
        drifting = 1.5 + b * np.arange(1, t + 1)
        yield {
            **BETAS, "t": t, "a": 1.5, "b": b, "m_t": fed(drifting).m, r"\mathbb{E}": np.mean,
        }  # fmt: skip


@world("eq-adam-rule")
def rule() -> Iterator[World]:
    optimizer = Adam(0.05, beta1=BETA1, beta2=BETA2, eps=0.3)
    theta = np.array([0.2])
    for g in G:
        before, theta = theta, optimizer.step(theta, np.array([g]))
    yield {
        **BETAS, "t": 5, "m_t": optimizer.m, "v_t": optimizer.v, r"\theta_t": theta,
        r"\theta_{t-1}": before, r"\eta": 0.05, r"\epsilon": 0.3,
        r"\hat m_t": mean_with_weights(G, BETA1), r"\hat v_t": mean_with_weights(G**2, BETA2),
    }  # fmt: skip


def too_long(t: int) -> float:
    """How many times too long the step is that is not corrected."""
    raw, corrected = (last_step(G[:t], eps=0.0, bias_correction=on) for on in (False, True))
    return raw / corrected


@world("eq-adam-ratio")
def ratio() -> Iterator[World]:
    for t in (2, 5):
        yield {**BETAS, "t": t, "c_t": too_long(t)}


def largest_quotient(t: int) -> float:
    """The maximum of m/sqrt(v) over all gradients, from linear algebra: sqrt(w D^-1 w)."""
    past = np.arange(t)[::-1]
    w, d = (beta**past / np.sum(beta**past) for beta in (BETA1, BETA2))
    return float(np.sqrt(w @ np.linalg.solve(np.diag(d), w)))


@world("eq-adam-bound")
def bound() -> Iterator[World]:
    for t, eps in ((4, 0.0), (4, 0.05), (5, 0.0)):
        g = 0.2 * (BETA2 / BETA1) ** np.arange(1, t + 1)
        yield {
            **BETAS, "t": t, "q": BETA1**2 / BETA2, "B_t": largest_quotient(t), r"\epsilon": eps,
            "c_t": too_long(t),
            r"\hat m_t": mean_with_weights(g, BETA1), r"\hat v_t": mean_with_weights(g**2, BETA2),
        }  # fmt: skip


@world("eq-adam-bound-limit")
def bound_limit() -> Iterator[World]:
    yield {**BETAS, "q": BETA1**2 / BETA2, r"B_\infty": largest_quotient(2000)}


@world("eq-adam-cauchy")
def cauchy() -> Iterator[World]:
    """Equal for the gradients of the theorem, strictly less for others."""
    for g in ((BETA2 / BETA1) ** np.arange(1, 6), G):
        after = fed(g)
        yield {
            **BETAS, "t": 5, "q": BETA1**2 / BETA2, "m_t": after.m[0], "v_t": after.v[0],
            "g_i": {"i": lambda i, g=g: g[i - 1]},
        }  # fmt: skip


@world("eq-adam-knob")
def knob() -> Iterator[World]:
    for g in (0.7, -0.4):
        optimizer, theta = Adam(0.05, eps=0.3), np.array([0.2])
        for _ in range(4):
            before, theta = theta, optimizer.step(theta, np.array([g]))
        yield {
            r"\theta_t": theta, r"\theta_{t-1}": before, r"\eta": 0.05, "g": g, r"\epsilon": 0.3,
        }  # fmt: skip


def settled_cycle(C: int, beta2: float) -> tuple[np.ndarray, float]:
    """v after each step of a period, and the way of one period, from the package's steps."""
    rule = Adam(1.0, beta1=0.0, beta2=beta2, eps=0.0, bias_correction=False)
    for _ in range(60):
        cycle, theta = [], np.zeros(1)
        for g in [float(C)] + [-1.0] * (C - 1):
            theta = rule.step(theta, np.array([g]))
            cycle.append(rule.v[0])
    return np.array(cycle), float(theta[0])


@world("eq-adam-cycle")
def cycle() -> Iterator[World]:
    for C, beta2 in ((3, 0.1), (5, 0.6)):
        settled, _ = settled_cycle(C, beta2)
        for k in range(3):
            yield {"C": C, r"\beta_2": beta2, "k": k, "v^{(k)}": settled[k]}


@world("eq-adam-drift")
def drift() -> Iterator[World]:
    for C, beta2 in ((3, 0.1), (5, 0.6)):
        settled, moved = settled_cycle(C, beta2)
        yield {"C": C, "D": moved, "v^{(0)}": settled[0], "v^{(k)}": {"k": settled}}


@world("eq-adam-regret")
def regret() -> Iterator[World]:
    path, slopes = np.array([0.3, -0.2, 0.8]), np.array([3.0, -1.0, -1.0])
    yield {
        "T": 3, "f_t": {"t": lambda t: lambda theta: slopes[t - 1] * theta},
        r"\theta_{t-1}": {"t": lambda t: path[t - 1]}, "R_T": slopes @ path + slopes.sum(),
    }  # fmt: skip


@world("eq-adam-sgd-decay")
def sgd_decay() -> Iterator[World]:
    theta, g = np.array([0.7, -1.2]), np.array([0.3, 0.5])
    shrunk = GradientDescent(0.05).step(0.97 * theta, g)  # 0.97 = 1 - 0.05 * 0.6
    np.testing.assert_allclose(GradientDescent(0.05).step(theta, g + 0.6 * theta), shrunk)
    yield {r"\theta": theta, "g": g, r"\eta": 0.05, r"\lambda_{\mathrm{wd}}": 0.6}


@world("eq-adam-decay")
def decay() -> Iterator[World]:
    """Noise of +-sigma with equal chances; d_W is one step of AdamW without a gradient."""
    for sigma, theta, wd in ((0.8, 0.7, 0.3), (0.1, -1.2, 0.6)):
        g = wd * theta + sigma * np.array([1.0, -1.0])
        alone = AdamW(0.05, weight_decay=wd).step(np.array([theta]), np.zeros(1))[0]
        yield {
            r"\sigma": sigma, r"\theta": theta, r"\lambda_{\mathrm{wd}}": wd,
            "d_{L2}": g.mean() / np.sqrt(np.mean(g**2)), "d_W": (theta - alone) / 0.05,
        }  # fmt: skip


@world("eq-adam-eps-hat")
def eps_hat() -> Iterator[World]:
    """The epsilon that makes Algorithm 1 take the step of the other form."""
    for t in (2, 5):
        state = fed(G[:t])
        rate = np.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        step = rate * state.m[0] / (np.sqrt(state.v[0]) + 0.3)
        m, v = mean_with_weights(G[:t], BETA1), mean_with_weights(G[:t] ** 2, BETA2)
        eps = brentq(lambda e, m=m, v=v, step=step: m / (np.sqrt(v) + e) - step, 0, 1e3)
        yield {**BETAS, "t": t, r"\hat\epsilon": 0.3, r"\epsilon_t": eps}


@world("eq-adam-floor")
def floor() -> Iterator[World]:
    """Momentum as an average, at rate eta/sigma: the stationary variance exactly."""
    for lr, sigma, lam in ((1e-5, 1.0, 0.7), (2e-5, 3.0, 1.6)):
        rate = lr / sigma
        carry = np.array([[1 - 0.1 * rate * lam, -0.9 * rate], [0.1 * lam, 0.9]])
        push = 0.1 * sigma * np.array([-rate, 1.0])
        variance = solve_discrete_lyapunov(carry, np.outer(push, push))[0, 0]
        yield {
            r"\eta": lr, r"\sigma": sigma, r"\lambda": lam, r"\theta": 0.0,
            r"\operatorname{Var}": lambda _, variance=variance: variance,
        }  # fmt: skip


@world("eq-adam-article")
def article() -> Iterator[World]:
    """The rule of the source article, with hypotenuses in place of its root."""
    for t, theta in ((2, 0.7), (5, -1.2)):
        g = 3.0 * theta
        length = np.hypot(1.0, BETA2 ** (t / 2) * g)
        yield {
            **BETAS, "t": t, r"\theta_t": theta, r"\eta": 0.05, r"\nabla J": lambda x: 3.0 * x,
            r"\theta_{t+1}": theta - 0.05 * g / ((BETA1**t + 1.0) * length),
        }  # fmt: skip


@world("eq-adam-blowup")
def blowup() -> Iterator[World]:
    """The point from which the rule, late, jumps to its mirror image."""
    for t, lr, lam in ((200, 1e-3, 3000.0), (300, 0.01, 700.0)):

        def missed(x: float, t: int = t, lr: float = lr, lam: float = lam) -> float:
            g = lam * x
            return 2 * x - lr * g / np.hypot(1.0, BETA2 ** (t / 2) * g)

        found = brentq(missed, 1e-8, 1e8, xtol=1e-300, rtol=1e-14)
        yield {**BETAS, "t": t, r"\eta": lr, r"\lambda": lam, r"\theta_t": found}


not_evaluated(
    eq_adam_reddi="defines the losses of one period; the drift and the cycle are evaluated",
)
