"""Where the formulas of chapter 07, RMSProp and AdaGrad, must hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from worlds import world

from optlearn.functions import Quadratic
from optlearn.optimizers import AdaGrad, Adam, GradientDescent, RMSProp

World = dict[str, Any]

LR = 0.03
GRADIENTS = np.array([[2.0, -0.7], [-3.0, 0.4], [0.5, 5.0], [1.7, -2.5]])
A = np.array([[3.0, -1.1], [-1.1, 0.8]])


def drive(rule: Any, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points and the averages, from the start to the last step, and the gradients."""
    theta = np.full(gradients.shape[1], 0.4)
    points, states = [theta], [np.zeros_like(theta)]
    for g in gradients:
        theta = rule.step(theta, g)
        points.append(theta)
        states.append(rule.s.copy())
    return np.array(points), np.array(states), gradients


def last_step(rule: Any, gradients: np.ndarray) -> World:
    points, states, _ = drive(rule, gradients)
    return {
        r"\theta_t": points[-1], r"\theta_{t-1}": points[-2], "s_t": states[-1],
        "s_{t-1}": states[-2], "s_0": states[0], "g_t": gradients[-1], r"\eta": LR,
        "t": len(gradients),
    }  # fmt: skip


def turned(angle: float, low: float, high: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    Q = np.array([[c, -s], [s, c]])
    matrix = Q @ np.diag([low, high]) @ Q.T
    return (matrix + matrix.T) / 2


S = np.array([[0.5, 0.3], [-0.2, 1.4]])


@world("eq-rmsprop-precondition")
def precondition() -> Iterator[World]:
    """One step in the new variables, carried back."""
    bowl, theta = Quadratic(A), np.array([1.5, -0.7])
    inner = Quadratic(S.T @ A @ S)
    phi = np.linalg.solve(S, theta)
    moved = GradientDescent(LR).step(phi, inner.gradient(phi))
    yield {
        r"\theta_t": S @ moved, r"\theta_{t-1}": theta, r"\eta": LR, "S": S,
        "g_t": bowl.gradient(theta),
    }  # fmt: skip


@world("eq-rmsprop-curvature")
def curvature() -> Iterator[World]:
    """The Hessian of J(S phi) from values alone: second differences of a quadratic are exact."""
    value, unit = (lambda phi: Quadratic(A).value(S @ phi)), np.eye(2)
    hessian = np.array([[value(a + b) - value(a) - value(b) for b in unit] for a in unit])
    yield {r"\tilde A": hessian, "S": S, "A": A}


@world("eq-rmsprop-kappa")
def kappa_left() -> Iterator[World]:
    for matrix in (A, turned(0.3, 1.0, 7.0)):
        scale = 1 / np.sqrt(np.diag(matrix))
        scaled = matrix * np.outer(scale, scale)
        yield {
            "c": scaled[0, 1], "a_{12}": matrix[0, 1], "a_{11}": matrix[0, 0],
            "a_{22}": matrix[1, 1], r"\tilde\kappa": np.linalg.cond(scaled),
        }  # fmt: skip


@world("eq-rmsprop-adagrad")
def adagrad() -> Iterator[World]:
    for count in (3, 4):
        yield last_step(AdaGrad(LR, eps=0.3), GRADIENTS[:count]) | {r"\epsilon": 0.3}


@world("eq-rmsprop-update")
def update() -> Iterator[World]:
    for count in (3, 4):
        rule = RMSProp(LR, rho=0.7, eps=0.3)
        yield last_step(rule, GRADIENTS[:count]) | {r"\epsilon": 0.3, r"\rho": 0.7}


@world("eq-rmsprop-clock")
def clock() -> Iterator[World]:
    for count in (3, 7):
        yield last_step(AdaGrad(LR, eps=0.0), np.full((count, 1), 4.2))


@world("eq-rmsprop-start")
def start() -> Iterator[World]:
    for count in (3, 7):
        rule = RMSProp(LR, rho=0.8, eps=0.0)
        yield last_step(rule, np.full((count, 1), 4.2)) | {r"\rho": 0.8}


@world("eq-rmsprop-bound", slack=1)
def bound() -> Iterator[World]:
    """After gradients of zero the bound is met; without its root it is only looser."""
    for count in (1, 3):
        gradients = np.zeros((count, 1))
        gradients[-1] = -2.5
        rule = RMSProp(LR, rho=0.8, eps=0.0)
        yield last_step(rule, gradients) | {r"\rho": 0.8}
    rule = RMSProp(LR, rho=0.8, eps=0.0)
    yield last_step(rule, GRADIENTS[:, :1]) | {r"\rho": 0.8}


@world("eq-rmsprop-unrolled")
def unrolled() -> Iterator[World]:
    _, states, _ = drive(RMSProp(LR, rho=0.7), GRADIENTS[:, :1])
    yield {
        "s_t": states[-1], r"\rho": 0.7, "t": 4, "g_i": {"i": lambda i: GRADIENTS[i - 1, 0]},
    }  # fmt: skip


@world("eq-rmsprop-halflife")
def halflife() -> Iterator[World]:
    """With rho a root of one half, the steps are counted: gradients of 1, then of 0."""
    for steps in (3, 6):
        rho = 0.5 ** (1 / steps)
        gradients = np.append(1.0, np.zeros(40))[:, None]
        _, states, _ = drive(RMSProp(LR, rho=rho), gradients)
        h = int(np.argmax(states[1:, 0] <= states[1, 0] / 2 * (1 + 1e-9)))
        yield {"h": h, r"\rho": rho}


@world("eq-rmsprop-correction", rtol=1e-9)
def correction() -> Iterator[World]:
    """Adam without momentum divides by the root of the corrected average."""
    for count in (2, 3):
        _, states, _ = drive(RMSProp(LR, rho=0.7), GRADIENTS[:count])
        adam, theta = Adam(1.0, beta1=0.0, beta2=0.7, eps=0.0), np.zeros(2)
        for g in GRADIENTS[:count]:
            before, theta = theta, adam.step(theta, g)
        hat = (GRADIENTS[count - 1] / (before - theta)) ** 2
        yield {r"\hat s_t": hat, "s_t": states[-1], r"\rho": 0.7, "t": count}


@world("eq-rmsprop-eps")
def eps() -> Iterator[World]:
    """Step sizes when the average has settled, gradients above and below the floor."""
    for size in (0.2, 3.0):
        moves = []
        for inside in (False, True):
            rule = RMSProp(LR, rho=0.5, eps=0.3, eps_inside=inside)
            points, _, _ = drive(rule, np.full((60, 1), size))
            moves.append(abs(points[-1, 0] - points[-2, 0]))
        yield {
            r"\Delta_{\text{out}}": moves[0], r"\Delta_{\text{in}}": moves[1], "g": size,
            r"\eta": LR, r"\epsilon": 0.3,
        }  # fmt: skip


def regret_world(gradients: np.ndarray, lr: float, goal: np.ndarray) -> World:
    """Linear losses with these gradients, shifted so that they are not 0."""
    rule, theta = AdaGrad(lr, eps=0.0), np.zeros(gradients.shape[1])
    points = [theta]
    for g in gradients:
        points.append(rule.step(points[-1], g))
    reach = np.abs(np.array(points[:-1]) - goal).max()

    def losses(t: int) -> Any:
        return lambda theta: gradients[t - 1] @ theta + 5.0

    return {
        "T": len(gradients), r"\ell_t": {"t": losses},
        r"\theta_{t-1}": {"t": lambda t: points[t - 1]}, r"\bar\theta": goal, "R": reach,
        r"\eta": lr, "n": gradients.shape[1], "s_{T,j}": {"j": lambda j: rule.s[j - 1]},
    }  # fmt: skip


@world("eq-rmsprop-regret", slack=1)
def regret() -> Iterator[World]:
    """One step at the best rate is within 1.42 of the bound: 3 in place of 2 is not seen."""
    yield regret_world(GRADIENTS, 0.5, np.array([-1.0, 1.0]))
    for size, distance in ((0.1, 10.0), (4.0, 0.1)):
        goal = np.full(1, -distance)
        yield regret_world(np.full((1, 1), size), distance / np.sqrt(2), goal)


CYCLE_LR = 0.02


def cycle(
    matrix: np.ndarray, sigma: np.ndarray, steps: int = 7, lr: float = CYCLE_LR
) -> tuple[np.ndarray, np.ndarray]:
    """Run RMSProp for a while from the point and the average that the theorem names."""
    rule = RMSProp(lr, rho=0.7, eps=0.0)
    bowl, theta = Quadratic(matrix), lr / 2 * sigma
    rule.step(theta, bowl.gradient(theta) / np.sqrt(1 - 0.7))
    for _ in range(steps):
        theta = rule.step(theta, bowl.gradient(theta))
    return theta, rule.s


@world("eq-rmsprop-cycle")
def on_the_cycle() -> Iterator[World]:
    for steps in (4, 7):
        sigma = np.array([1.0, -1.0])
        theta, s = cycle(A, sigma, steps)
        yield {
            r"\theta_t": theta, "s_t": s, r"\eta": CYCLE_LR, r"\sigma": sigma, "A": A, "t": steps,
        }  # fmt: skip


def jacobian(matrix: np.ndarray, sigma: np.ndarray, rho: float) -> np.ndarray:
    """Derivative of one step of RMSProp, point and average, on the cycle; by differences."""
    n = len(sigma)
    point, average = CYCLE_LR / 2 * sigma, (CYCLE_LR / 2 * matrix @ sigma) ** 2

    def step(state: np.ndarray) -> np.ndarray:
        theta, s = point + state[:n], average * np.exp(state[n:])
        rule = RMSProp(CYCLE_LR, rho=rho, eps=0.0)
        rule.step(theta, np.sqrt(s / (1 - rho)))
        after = rule.step(theta, Quadratic(matrix).gradient(theta))
        return np.concatenate([-after - point, np.log(rule.s / average)])

    columns = []
    for i in range(2 * n):
        e = np.zeros(2 * n)
        e[i] = 1e-6 * CYCLE_LR if i < n else 1e-6
        columns.append((step(e) - step(-e)) / (2 * e[i]))
    return np.array(columns).T


@world("eq-rmsprop-modes", rtol=1e-6, atol=1e-7)
def modes() -> Iterator[World]:
    """Eigenvalues of one step, turned back, since the cycle changes sign in each.

    The first half of an eigenvector, that of the point, is one of PA and says which nu it is.
    """
    for matrix, rho in ((A, 0.7), (turned(0.4, 1.0, 20.0), 0.9)):
        sigma = np.array([1.0, -1.0])
        rescaled = matrix / np.abs(matrix @ sigma)[:, None]
        roots, vectors = np.linalg.eig(jacobian(matrix, sigma, rho))
        for root, vector in zip(roots, vectors[:2].T, strict=True):
            nu = (np.vdot(vector, rescaled @ vector) / np.vdot(vector, vector)).real
            if abs(root.imag) < 1e-6:
                yield {"x": -root.real, r"\nu": nu, r"\rho": rho}


@world("eq-rmsprop-modulus", rtol=1e-6)
def modulus() -> Iterator[World]:
    """Those eigenvalues that are complex; the two of a bowl with equal curvatures have nu = 1."""
    for matrix, rho in ((A, 0.7), (turned(0.4, 1.0, 20.0), 0.9), (np.eye(2), 0.8)):
        sigma = np.array([1.0, -1.0])
        rescaled = matrix / np.abs(matrix @ sigma)[:, None]
        roots, vectors = np.linalg.eig(jacobian(matrix, sigma, rho))
        for root, vector in zip(roots, vectors[:2].T, strict=True):
            nu = (np.vdot(vector, rescaled @ vector) / np.vdot(vector, vector)).real
            if abs(root.imag) > 1e-2:
                yield {"x": abs(root), r"\nu": nu, r"\rho": rho}


@world("eq-rmsprop-threshold", rtol=1e-6)
def threshold() -> Iterator[World]:
    """The coupling at which the cycle of equal signs loses its hold, found by bisection."""
    sigma = np.ones(2)
    for rho in (0.6, 0.9):
        low, high = 0.0, 0.9
        for _ in range(50):
            middle = (low + high) / 2
            matrix = np.array([[1.0, -middle], [-middle, 1.0]])
            radius = np.abs(np.linalg.eigvals(jacobian(matrix, sigma, rho))).max()
            low, high = (middle, high) if radius < 1 else (low, middle)
        nu = np.linalg.eigvals(matrix / np.abs(matrix @ sigma)[:, None])
        yield {r"\nu_{\max}": nu.real.max(), r"\rho": rho}


@world("eq-rmsprop-loss")
def loss_of_hovering() -> Iterator[World]:
    for sigma in (np.array([1.0, -1.0]), np.array([-1.0, 1.0])):
        theta, _ = cycle(A, sigma, 5, lr=0.7)
        yield {r"J_\sigma": Quadratic(A).value(theta), r"\eta": 0.7, r"\sigma": sigma, "A": A}


@world("eq-rmsprop-trace", slack=1)
def trace() -> Iterator[World]:
    """Met by a diagonal matrix, to spare by another; a smaller factor is only looser."""
    for matrix in (np.diag([3.0, 0.8]), A):
        signs = (np.array([1.0, s]) for s in (1.0, -1.0))
        sigma = max(signs, key=lambda s: s @ matrix @ s)
        theta, _ = cycle(matrix, sigma, 5, lr=1.7)
        yield {r"J_\sigma": Quadratic(matrix).value(theta), r"\eta": 1.7, "A": matrix}


@world("eq-rmsprop-amplitude", rtol=1e-7)
def amplitude() -> Iterator[World]:
    """Where a long run ends, with either epsilon."""
    for curvature, lr, eps in ((3.0, 0.7, 0.4), (0.6, 1.3, 0.11)):
        ends = []
        for inside in (False, True):
            rule = RMSProp(lr, rho=0.5, eps=eps, eps_inside=inside)
            theta = np.full(1, 0.9)
            for _ in range(800):
                theta = rule.step(theta, Quadratic([curvature]).gradient(theta))
            ends.append(abs(theta[0]))
        yield {
            r"a_{\text{out}}": ends[0], r"a_{\text{in}}": ends[1], r"\eta": lr,
            r"\epsilon": eps, r"\lambda": curvature,
        }  # fmt: skip


@world("eq-rmsprop-noise", approx=2e-3)
def noise() -> Iterator[World]:
    """The variance of gradient descent with the rate that the settled average of noise gives."""
    for curvature, lr, sd in ((3.0, 1e-3, 4.0), (0.5, 3e-4, 0.7)):
        rule = RMSProp(lr, rho=0.9, eps=0.0)
        for _ in range(400):
            rate = -rule.step(np.zeros(1), np.full(1, sd))[0] / sd
        factor = GradientDescent(rate).step(np.ones(1), np.full(1, curvature))
        variance = solve_discrete_lyapunov(factor[:, None], np.full((1, 1), (rate * sd) ** 2))
        yield {"V": variance[0, 0], r"\eta": lr, r"\sigma_\xi": sd, r"\lambda": curvature}


@world("eq-rmsprop-linear", rtol=1e-4)
def linear() -> Iterator[World]:
    """A small deviation, one step later, measured against the cycle."""
    sigma, rho, tiny = np.array([1.0, -1.0]), 0.7, 1e-7 * CYCLE_LR
    pull = np.abs(A @ sigma)
    w, zeta = tiny * np.array([1.0, 0.6]), tiny * np.array([-0.8, 0.5])
    for sign in (1, -1):  # (-1)^t
        theta = sign * CYCLE_LR / 2 * sigma + w
        root = CYCLE_LR / 2 * pull * (1 - sign * sigma * zeta / CYCLE_LR)
        rule = RMSProp(CYCLE_LR, rho=rho, eps=0.0)
        rule.step(theta, root / np.sqrt(1 - rho))
        after = rule.step(theta, Quadratic(A).gradient(theta))
        change = np.sqrt(rule.s) / (CYCLE_LR / 2 * pull) - 1
        yield {
            r"\zeta_{t+1}": change * CYCLE_LR * sigma * sign, r"\zeta_t": zeta, "w_t": w,
            "w_{t+1}": after + sign * CYCLE_LR / 2 * sigma, "P": np.diag(1 / pull), "A": A,
            r"\rho": rho,
        }  # fmt: skip


@world("eq-rmsprop-second")
def second() -> Iterator[World]:
    for angle, high in ((0.3, 20.0), (1.2, 7.0)):
        matrix = 1.5 * turned(angle, 1.0, high)
        nu = np.linalg.eigvals(matrix / np.abs(matrix @ [1.0, -1.0])[:, None]).real
        yield {
            r"\nu_2": nu[np.argmax(np.abs(nu - 1))], r"\mu": 1.5, "L": 1.5 * high,
            "a_{11}": matrix[0, 0], "a_{22}": matrix[1, 1], "a_{12}": matrix[0, 1],
        }  # fmt: skip


@world("eq-rmsprop-slow", approx=1e-5)
def slow() -> Iterator[World]:
    for kappa, rho in ((3000.0, 0.7), (2000.0, 0.9)):
        matrix = turned(np.pi / 4, 1.0, kappa)
        roots = -np.linalg.eigvals(jacobian(matrix, np.array([1.0, -1.0]), rho))
        yield {"x": roots.real.max(), r"\rho": rho, r"\nu": 1 / kappa}


def after_spike(height: float, steps: int, rho: float) -> np.ndarray:
    """The average after a spike and each ordinary gradient that follows."""
    gradients = np.ones((80 + 1 + steps, 1))
    gradients[80] = height
    return drive(RMSProp(LR, rho=rho), gradients)[1][81:, 0]


@world("eq-rmsprop-spike")
def spike() -> Iterator[World]:
    for height, k in ((7.0, 3), (40.0, 5)):
        yield {"s_k": after_spike(height, k, 0.7)[k], "G": height, "k": k, r"\rho": 0.7}


@world("eq-rmsprop-memory", rtol=1e-6)
def memory() -> Iterator[World]:
    """Heights from which the average has fallen to 4 after a whole number of steps."""
    for k in (5, 9):
        low, high = 1.0, 1e3
        for _ in range(45):
            middle = (low + high) / 2
            low, high = (middle, high) if after_spike(middle, k, 0.7)[k] < 4 else (low, middle)
        yield {"k": k, "G": low, r"\rho": 0.7}
