"""Where the formulas of chapter 06, momentum, must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import brentq, minimize_scalar
from worlds import world

from optlearn.functions import Quadratic, himmelblau
from optlearn.optimizers import Momentum

World = dict[str, Any]
Array = np.ndarray

LR, BETA = 0.013, 0.7
GRADIENTS = np.random.default_rng(0).normal(size=(9, 2))


# Steps of the package --------------------------------------------------------------------------


def steps(form: str = "heavy-ball", lr: float = LR, beta: float = BETA) -> list[World]:
    """Five steps on Himmelblau's function: points, gradients and buffers."""
    rule, theta, found = Momentum(lr, beta=beta, form=form), np.array([0.5, -1.0]), []
    buffer = np.zeros(2)
    for _ in range(5):
        grad = himmelblau.gradient(theta)
        after = rule.step(theta, grad)
        found.append({"theta": theta, "g": grad, "u": buffer, "next u": rule.u.copy()})
        theta, buffer = after, rule.u.copy()
    found.append({"theta": theta, "u": buffer})
    return found


def transition(lr: float, beta: float, curvature: float, form: str = "heavy-ball") -> Array:
    """The matrix of one step on a parabola, column by column: (u, c) to (u, c)."""
    columns = []
    for buffer, c in ((1.0, 0.0), (0.0, 1.0)):
        rule = Momentum(lr, beta=beta, form=form)
        rule.step(np.zeros(1), np.zeros(1))  # makes the buffer
        rule.u[:] = buffer
        place = rule.step(np.array([c]), np.array([curvature * c]))
        columns.append([rule.u[0], place[0]])
    return np.array(columns).T


def parabola(
    lr: float, beta: float, curvature: float, count: int, form: str = "heavy-ball"
) -> Any:
    """Positions and buffers of a run on a parabola, from 1.5."""
    rule, c = Momentum(lr, beta=beta, form=form), np.array([1.5])
    places, buffers = [1.5], [0.0]
    for _ in range(count):
        c = rule.step(c, curvature * c)
        places.append(c[0])
        buffers.append(rule.u[0])
    return np.array(places), np.array(buffers)


REAL = ((0.05, 0.3, 1.6), (0.9, 0.1, 2.0), (0.02, 0.6, 0.4))  # pairs with two real roots
SWINGING = ((0.3, 0.7, 1.6), (0.9, 0.5, 2.3))


# The ball --------------------------------------------------------------------------------------


def rolling(time: complex, friction: float = 0.4) -> Array:
    """Two damped oscillators, let go at rest at 1 and at 2."""
    pull = np.array([1.3, 3.1])
    omega = np.sqrt(pull - friction**2 / 4)
    swing = np.cos(omega * time) + friction / (2 * omega) * np.sin(omega * time)
    return np.array([1.0, 2.0]) * np.exp(-friction * time / 2) * swing


def slope(function: Callable[[complex], Any], time: float) -> Any:
    return np.imag(function(time + 1e-30j)) / 1e-30


@world("eq-momentum-ball", "eq-momentum-energy", rtol=1e-6)
def ball() -> Iterator[World]:
    bowl = Quadratic([1.3, 3.1])

    def energy(time: complex) -> Any:
        # the velocity at a complex time: the oscillator's own derivative, by a small real step
        velocity = (rolling(time + 1e-5) - rolling(time - 1e-5)) / 2e-5
        return np.sum(velocity**2) / 2 + np.sum(np.array([1.3, 3.1]) * rolling(time) ** 2) / 2

    for time in (0.7, 1.9):
        velocity = slope(rolling, time)
        change = (slope(rolling, time + 1e-5) - slope(rolling, time - 1e-5)) / 2e-5
        yield {
            r"\theta": rolling(time), r"\dot\theta": velocity, r"\ddot\theta": change,
            r"\dot E": slope(energy, time), r"\nabla J": bowl.gradient, r"\gamma": 0.4,
        }  # fmt: skip


@world("eq-momentum-discrete", "eq-momentum-polyak", rtol=1e-8)
def film() -> Iterator[World]:
    for h, friction in ((0.1, 2.5), (0.12, 4.0)):
        path = [s["theta"] for s in steps(lr=h**2, beta=1 - friction * h)]
        yield {
            r"\theta_{t+1}": path[4], r"\theta_t": path[3], r"\theta_{t-1}": path[2], "h": h,
            r"\gamma": friction, r"\eta": h**2, r"\beta": 1 - friction * h,
            r"\nabla J": himmelblau.gradient,
        }  # fmt: skip


def as_heavy_ball(h: float, friction: float) -> Array:
    """Solve the difference equation for the next point; the rate and beta of that step."""
    last, now, grad = GRADIENTS[:3]
    inertia = (2 * now - last) / h**2 - friction * (now - last) / h
    after = np.linalg.solve(np.eye(2) / h**2, inertia - grad)
    return np.linalg.solve(np.stack([-grad, now - last], axis=1), after - now)


@world("eq-momentum-friction", rtol=1e-7)
def friction_of_a_pair() -> Iterator[World]:
    for h, friction in ((0.3, 0.8), (0.2, 1.7)):
        rate, keep = as_heavy_ball(h, friction)
        yield {r"\eta": rate, r"\beta": keep, "h": h, r"\gamma": friction}


@world("eq-momentum-same-friction", rtol=1e-7)
def one_friction_at_two_rates() -> Iterator[World]:
    for friction in (0.8, 1.7):
        (rate, keep), (other, other_keep) = (as_heavy_ball(h, friction) for h in (0.3, 0.2))
        yield {r"\eta": rate, r"\beta": keep, r"\eta'": other, r"\beta'": other_keep}


@world("eq-momentum-effective")
def effective() -> Iterator[World]:
    """How far a step goes under a gradient that has been 1 for long."""
    for lr, beta in ((0.04, 0.8), (0.3, 0.55)):
        rule, theta = Momentum(lr, beta=beta), np.zeros(1)
        for _ in range(200):
            before, theta = theta, rule.step(theta, np.ones(1))
        h = np.sqrt(lr)
        yield {
            r"\eta_{\text{eff}}": (before - theta)[0], "h": h, r"\gamma": (1 - beta) / h,
            r"\eta": lr, r"\beta": beta,
        }  # fmt: skip


# Forms -----------------------------------------------------------------------------------------


@world("eq-momentum-update")
def update() -> Iterator[World]:
    run = steps()
    yield {
        "u_{t+1}": run[3]["next u"], "u_t": run[3]["u"], "g_t": run[3]["g"],
        r"\theta_{t+1}": run[4]["theta"], r"\theta_t": run[3]["theta"], r"\eta": LR,
        r"\beta": BETA,
    }  # fmt: skip


@world("eq-momentum-unrolled")
def unrolled() -> Iterator[World]:
    run = steps()
    for t in (3, 4):
        yield {
            "u_{t+1}": run[t]["next u"], "t": t, r"\beta": BETA,
            "g_{t-k}": {"k": lambda k, t=t: run[t - k]["g"]},
        }  # fmt: skip


@world("eq-momentum-ema")
def average() -> Iterator[World]:
    run = steps("ema")
    yield {
        "m_{t+1}": run[3]["next u"], "m_t": run[3]["u"], "g_t": run[3]["g"],
        r"\theta_{t+1}": run[4]["theta"], r"\theta_t": run[3]["theta"],
        r"\eta_{\text{EMA}}": LR, r"\beta": BETA,
    }  # fmt: skip


@world("eq-momentum-ema-rate")
def rate_of_the_average() -> Iterator[World]:
    """The rate at which the average covers the heavy ball's distance on the same gradients."""
    for lr, beta in ((0.3, 0.8), (0.05, 0.35)):
        ends = []
        for rule in (Momentum(lr, beta=beta), Momentum(1.0, beta=beta, form="ema")):
            theta = np.zeros(2)
            for grad in GRADIENTS:
                theta = rule.step(theta, grad)
            ends.append(theta)
        yield {
            r"\eta_{\text{EMA}}": (ends[0] / ends[1])[0], r"\eta": lr, r"\beta": beta,
        }  # fmt: skip


@world("eq-momentum-velocity")
def velocity() -> Iterator[World]:
    path = [s["theta"] for s in steps()]
    yield {
        "w_{t+1}": path[4] - path[3], "w_t": path[3] - path[2],
        "g_t": himmelblau.gradient(path[3]), r"\theta_{t+1}": path[4], r"\theta_t": path[3],
        r"\eta_t": LR, r"\beta": BETA,
    }  # fmt: skip


@world("eq-momentum-gap")
def gap() -> Iterator[World]:
    """The rate changes before step s; the velocity is run beside the package's buffer."""
    for s, t in ((3, 6), (2, 5)):
        rule = Momentum(lambda step, s=s: 0.3 if step < s else 0.05, beta=BETA)
        theta, w, buffers = np.zeros(2), np.zeros(2), [np.zeros(2)]
        for step, grad in enumerate(GRADIENTS[: t + 1]):
            theta = rule.step(theta, grad)
            buffers.append(rule.u.copy())
            w = BETA * w - (0.3 if step < s else 0.05) * grad
        yield {
            r"\eta": 0.3, r"\eta'": 0.05, "u_{t+1}": buffers[t + 1], "u_s": buffers[s],
            "w_{t+1}": w, r"\beta": BETA, "s": s, "t": t,
            "g_{t-k}": {"k": lambda k, t=t: GRADIENTS[t - k]},
        }  # fmt: skip


@world("eq-momentum-gap-total")
def gap_in_all() -> Iterator[World]:
    for first, second in ((0.3, 0.05), (0.02, 0.5)):
        rule = Momentum(lambda step, a=first, b=second: a if step < 4 else b, beta=BETA)
        theta, carried, w, buffers = np.zeros(2), np.zeros(2), np.zeros(2), []
        for t in range(300):
            grad = GRADIENTS[t % 9]
            theta = rule.step(theta, grad)
            buffers.append(rule.u.copy())
            w = BETA * w - (first if t < 4 else second) * grad
            carried = carried + w
        yield {
            r"\theta_u": theta, r"\theta_w": carried, r"\eta": first, r"\eta'": second,
            r"\beta": BETA, "u_s": buffers[3],
        }  # fmt: skip


@world("eq-momentum-lookahead", "eq-momentum-nesterov")
def looking_ahead() -> Iterator[World]:
    """The package's points are psi; theta is a gradient step away from the psi before."""
    run = steps("nesterov")
    theta = [s["theta"] - LR * s["g"] for s in run[:5]]  # theta[t] is the chapter's t + 1
    yield {
        "u_{t+1}": run[3]["next u"], "u_t": run[3]["u"], r"\theta_{t+1}": theta[3],
        r"\theta_t": theta[2], r"\psi_{t+1}": run[4]["theta"], r"\psi_t": run[3]["theta"],
        "g_t": run[3]["g"], r"\eta": LR, r"\beta": BETA, r"\nabla J": himmelblau.gradient,
    }  # fmt: skip


# Quadratics ------------------------------------------------------------------------------------


@world("eq-momentum-mode")
def mode() -> Iterator[World]:
    for lr, beta, curvature in SWINGING:
        c, u = parabola(lr, beta, curvature, 4)
        yield {
            "u_{t+1}": u[4], "u_t": u[3], "c_{t+1}": c[4], "c_t": c[3], r"\eta": lr,
            r"\beta": beta, r"\lambda": curvature,
        }  # fmt: skip


@world("eq-momentum-matrix")
def matrix() -> Iterator[World]:
    for lr, beta, curvature in SWINGING:
        yield {
            "M": transition(lr, beta, curvature), r"\eta": lr, r"\beta": beta,
            r"\lambda": curvature,
        }  # fmt: skip


def roots(lr: float, beta: float, curvature: float, form: str = "heavy-ball") -> Array:
    found = np.linalg.eigvals(transition(lr, beta, curvature, form))
    assert np.isrealobj(found)
    return np.sort(found)[::-1]


@world("eq-momentum-characteristic", atol=1e-12)
def characteristic() -> Iterator[World]:
    for lr, beta, curvature in REAL:
        for r in roots(lr, beta, curvature):
            yield {"r": r, r"\beta": beta, r"\eta": lr, r"\lambda": curvature}


@world("eq-momentum-roots")
def two_roots() -> Iterator[World]:
    for lr, beta, curvature in REAL:
        r = roots(lr, beta, curvature)
        yield {"r_1": r[0], "r_2": r[1], r"\beta": beta, "x": lr * curvature}


@world("eq-momentum-discriminant")
def discriminant() -> Iterator[World]:
    """Its first side is the discriminant of the matrix of a step."""
    for lr, beta, curvature in ((0.1, 0.3, 1.7), (2.1, 0.8, 1.6), (0.9, 0.5, 2.3)):
        M = transition(lr, beta, curvature)
        x = lr * curvature
        found = np.trace(M) ** 2 - 4 * np.linalg.det(M)
        np.testing.assert_allclose((1 + beta - x) ** 2 - 4 * beta, found, rtol=1e-9)
        yield {r"\beta": beta, "x": x}


@world("eq-momentum-critical", rtol=1e-7)
def critical() -> Iterator[World]:
    """The beta at which the eigenvalues become complex, by bisection."""
    for lr, curvature in ((0.05, 1.6), (0.9, 1.7)):
        low, high = 0.0, 0.9
        for _ in range(50):
            beta = (low + high) / 2
            swings = np.iscomplexobj(np.linalg.eigvals(transition(lr, beta, curvature)))
            low, high = (low, beta) if swings else (beta, high)
        yield {r"\beta": low, r"\eta": lr, r"\lambda": curvature}


def edge(beta: float, form: str = "heavy-ball") -> float:
    """The largest rate times curvature at which a run fades, by bisection."""
    low, high = 0.5, 5.0
    for _ in range(40):
        x = (low + high) / 2
        fades = np.abs(np.linalg.eigvals(transition(x, beta, 1.0, form))).max() < 1
        low, high = (x, high) if fades else (low, x)
    return low


def below_the_edge(form: str) -> Iterator[World]:
    for beta in (0.3, 0.8):
        for x in (0.2, edge(beta, form) - 1e-9):
            yield {
                r"\eta": x / 1.6, r"\lambda": 1.6, r"x_{\max}": edge(beta, form),
                r"\beta": beta,
            }  # fmt: skip


@world("eq-momentum-triangle")
def triangle() -> Iterator[World]:
    """The edge is where runs stop to fade."""
    yield from below_the_edge("heavy-ball")


@world("eq-momentum-nesterov-edge")
def nesterov_edge() -> Iterator[World]:
    yield from below_the_edge("nesterov")


@world("eq-momentum-ends")
def ends() -> Iterator[World]:
    for lr, beta, curvature in SWINGING:
        M = transition(lr, beta, curvature)
        yield {
            "p": lambda r, M=M: np.linalg.det(r * np.eye(2) - M), r"\beta": beta,
            "x": lr * curvature,
        }  # fmt: skip


@world("eq-momentum-solution", rtol=1e-8)
def solution() -> Iterator[World]:
    for lr, beta, curvature in REAL:
        c, _ = parabola(lr, beta, curvature, 5)
        r = roots(lr, beta, curvature)
        yield {
            "c_t": c[5], "c_0": c[0], "r_1": r[0], "r_2": r[1], r"\beta": beta, "t": 5,
        }  # fmt: skip


@world("eq-momentum-double", rtol=1e-6)
def double() -> Iterator[World]:
    for r in (0.6, -0.7):
        M = transition((1 - r) ** 2, r**2, 1.0)
        np.testing.assert_allclose(np.trace(M) / 2, r)  # a double root
        c, _ = parabola((1 - r) ** 2, r**2, 1.0, 5)
        yield {"c_t": c[5], "c_0": c[0], "r": r, "t": 5}


@cache
def worst(lr: float, beta: float, mu: float, L: float) -> float:
    return max(np.abs(np.linalg.eigvals(transition(lr, beta, c))).max() for c in (mu, L))


def best_rate(beta: float, mu: float, L: float) -> Any:
    return minimize_scalar(
        worst, args=(beta, mu, L), bounds=(0.1 / L, 4 / L), method="bounded",
        options={"xatol": 1e-5},
    )  # fmt: skip


@world("eq-momentum-rate", "eq-momentum-best", rtol=3e-3)
def optimum() -> Iterator[World]:
    """The best pair is looked for, not computed; at its cusp a search is exact to about 1e-3."""
    for mu, L in ((0.5, 4.5), (0.3, 1.5)):
        found = minimize_scalar(
            lambda beta, mu=mu, L=L: best_rate(beta, mu, L).fun, bounds=(0.05, 0.5),
            method="bounded", options={"xatol": 1e-4},
        )  # fmt: skip
        yield {
            r"\rho^*": found.fun, r"\beta^*": found.x, r"\eta^*": best_rate(found.x, mu, L).x,
            r"\kappa": np.linalg.cond(np.diag([mu, L])), r"\mu": mu, "L": L,
        }  # fmt: skip


@world("eq-momentum-window", slack=2)
def window() -> Iterator[World]:
    """Real roots: the larger lies on one end of the window. Slack: wider windows hold too."""
    for lr, beta, curvature in REAL:
        rho = np.abs(roots(lr, beta, curvature)).max()
        yield {r"\rho": rho, r"\beta": beta, r"\eta": lr, r"\lambda": curvature}


@world("eq-momentum-kappa", rtol=1e-6, slack=2)
def price() -> Iterator[World]:
    """Tight at the optimum, and in its first half for gradient descent's best rate."""
    for mu, L, lr, beta in ((1.0, 9.0, 0.25, 0.25), (1.0, 9.0, 0.2, 1e-9), (0.5, 4.0, 0.4, 0.1)):
        yield {
            r"\kappa": np.linalg.cond(np.diag([mu, L])), r"\eta": lr, r"\beta": beta,
            r"\mu": mu, "L": L, r"\rho": worst(lr, beta, mu, L),
        }  # fmt: skip


# Nesterov on quadratics ------------------------------------------------------------------------


@world("eq-momentum-nesterov-mode", rtol=1e-8)
def nesterov_mode() -> Iterator[World]:
    for lr, beta, curvature in SWINGING[:1]:
        c, _ = parabola(lr, beta, curvature, 5, "nesterov")
        yield {
            "c_{t+1}": c[5], "c_t": c[4], "c_{t-1}": c[3], r"\beta": beta, "x": lr * curvature,
        }  # fmt: skip


@world("eq-momentum-nesterov-modulus", rtol=1e-8)
def nesterov_modulus() -> Iterator[World]:
    for lr, beta, curvature in ((0.3, 0.7, 1.6), (0.2, 0.8, 0.9)):
        values = np.linalg.eigvals(transition(lr, beta, curvature, "nesterov"))
        assert np.iscomplexobj(values)
        yield {"r": values[0], r"\beta": beta, "x": lr * curvature}


@world("eq-momentum-nesterov-characteristic", atol=1e-12)
def nesterov_characteristic() -> Iterator[World]:
    for lr, beta, curvature in ((0.02, 0.6, 0.4), (0.6, 0.4, 2.0)):
        for r in roots(lr, beta, curvature, "nesterov"):
            yield {"r": r, r"\beta": beta, "x": lr * curvature}


def standard_tuning(mu: float, L: float) -> tuple[float, float]:
    """The rate that finishes the steepest coordinate, and the beta with a double root at mu."""
    lr = brentq(lambda lr: np.linalg.det(transition(lr, 0.5, L, "nesterov")), 0.1 / L, 3 / L)

    def bend(beta: float) -> float:
        M = transition(lr, beta, mu, "nesterov")
        return float(np.trace(M) ** 2 - 4 * np.linalg.det(M))

    return lr, brentq(bend, 0.01, 0.95, xtol=1e-14)


@world("eq-momentum-nesterov-tuning", "eq-momentum-nesterov-rate", rtol=1e-8)
def tuning() -> Iterator[World]:
    for mu, L in ((0.5, 4.5), (0.3, 2.1)):
        lr, beta = standard_tuning(mu, L)
        yield {
            r"\eta": lr, r"\beta": beta, "L": L, r"\kappa": np.linalg.cond(np.diag([mu, L])),
            "r": np.trace(transition(lr, beta, mu, "nesterov")) / 2,
        }  # fmt: skip


@world("eq-momentum-nesterov-double", rtol=1e-7)
def nesterov_double() -> Iterator[World]:
    for mu, L in ((0.5, 4.5), (0.3, 2.1)):
        lr, beta = standard_tuning(mu, L)
        c, _ = parabola(lr, beta, mu, 5, "nesterov")
        yield {
            "c_t": c[5], "c_0": c[0], "t": 5, r"\kappa": np.linalg.cond(np.diag([mu, L])),
            "r": np.trace(transition(lr, beta, mu, "nesterov")) / 2,
        }  # fmt: skip


# Noise -----------------------------------------------------------------------------------------

NOISY = ((0.3, 0.7, 1.6, 0.8), (0.05, 0.4, 2.5, 1.7))


def stationary(lr: float, beta: float, curvature: float, sigma: float) -> tuple[Array, Array]:
    """One step's matrix and the covariance of (u, c) that it leaves as it is."""
    M = transition(lr, beta, curvature)
    kick = sigma * np.array([1.0, -lr])  # what a gradient of the size of the noise does
    return M, solve_discrete_lyapunov(M, np.outer(kick, kick))


@world("eq-momentum-noisy")
def noisy() -> Iterator[World]:
    for lr, beta, curvature, sigma in NOISY:
        rule, c = Momentum(lr, beta=beta), np.array([1.5])
        places, noise = [c[0]], sigma * GRADIENTS[:, 0]
        for kick in noise:
            c = rule.step(c, curvature * c + kick)
            places.append(c[0])
        yield {
            "c_{t+1}": places[6], "c_t": places[5], "c_{t-1}": places[4], r"\xi_t": noise[5],
            "a": np.trace(transition(lr, beta, curvature)), r"\beta": beta, r"\eta": lr,
        }  # fmt: skip


@world("eq-momentum-moments", "eq-momentum-floor", "eq-momentum-buffer-floor", rtol=1e-8)
def floors() -> Iterator[World]:
    for lr, beta, curvature, sigma in NOISY:
        M, covariance = stationary(lr, beta, curvature, sigma)
        yield {
            "S": covariance[1, 1], "R": (M @ covariance)[1, 1], "U": covariance[0, 0],
            "a": np.trace(M), r"\eta": lr, r"\beta": beta, r"\lambda": curvature, r"\sigma": sigma,
        }  # fmt: skip


@world("eq-momentum-small-rates")
def small_rates() -> Iterator[World]:
    for lr, beta, curvature, sigma in ((1e-4, 0.7, 1.6, 0.8), (2e-4, 0.4, 0.5, 1.7)):
        _, covariance = stationary(lr, beta, curvature, sigma)
        yield {
            "S": covariance[1, 1], "V": (1 - beta) ** 2 * covariance[0, 0], r"\eta": lr,
            r"\beta": beta, r"\lambda": curvature, r"\sigma": sigma,
        }  # fmt: skip


@world("eq-momentum-factor")
def factor() -> Iterator[World]:
    yield {r"\beta": 0.3, "a": 0.45}
    yield {r"\beta": 0.7, "a": 1.3}


@world("eq-momentum-fair")
def fair() -> Iterator[World]:
    for x, beta in ((0.3, 0.9), (1.4, 0.6)):
        heavy = stationary(x * (1 - beta) / 1.6, beta, 1.6, 0.8)[1][1, 1]
        plain = stationary(x / 1.6, 0.0, 1.6, 0.8)[1][1, 1]
        yield {
            r"S_{\text{HB}}": heavy, r"S_{\text{GD}}": plain, r"\beta": beta, "x": x,
        }  # fmt: skip


# What others print -----------------------------------------------------------------------------


@world("eq-momentum-lessard")
def kinked() -> Iterator[World]:
    for theta in (-1.5, 0.7, 1.3, 1.8, 2.4, 3.5):
        yield {
            "J'": lambda p: np.interp(p, [-2, 1, 2, 4], [-50, 25, 26, 76]), r"\theta": theta,
        }  # fmt: skip


@world("eq-momentum-article")
def article() -> Iterator[World]:
    """Powers of the companion matrix of article 0's rule on a parabola of curvature 1.3."""
    companion = np.array([[1 - 0.1 * 1.3, 0.05], [1.0, 0.0]])
    path = [(np.linalg.matrix_power(companion, t) @ [2.0, 2.0])[1] for t in range(6)]
    yield {
        r"\theta_{t+1}": path[5], r"\theta_t": path[4], r"\theta_{t-1}": path[3],
        r"\alpha": 0.1, r"\beta": 0.05, r"\nabla J": lambda theta: 1.3 * theta,
    }  # fmt: skip


@world("eq-momentum-article-rest")
def article_rests() -> Iterator[World]:
    for alpha, beta, center in ((0.1, 0.05, 1.0), (0.3, 0.1, -2.0)):
        last = theta = 0.0
        for _ in range(3000):
            last, theta = theta, theta - alpha * (theta - center) + beta * last
        yield {r"\theta": theta, r"\alpha": alpha, r"\beta": beta, "c": center}
