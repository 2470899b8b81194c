"""Where the formulas of chapter 15, second-order methods, must hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product as product_of
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.sparse.linalg import LinearOperator, cg
from worlds import world

from optlearn.functions import Function, Quadratic, double_well, himmelblau, rosenbrock
from optlearn.gradients import complex_step
from optlearn.losses import mean_squared_error, softmax, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.second_order import backtrack, gauss_newton_product, newton, newton_step
from optlearn.training import minimize

World = dict[str, Any]
Array = np.ndarray

RNG = np.random.default_rng(15)
POINTS = (np.array([0.4, 2.7]), np.array([-1.3, 0.6]))
TURN = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
CURVATURE = np.array([0.4, 1.7, 3.6])
A = (TURN * CURVATURE) @ TURN.T
A = (A + A.T) / 2


def slopes(function: Function, at: Array) -> tuple[Array, Array]:
    return function.gradient(at), function.hessian(at)


@world("eq-newton-model", approx=1e-10)
def model() -> Iterator[World]:
    for at in POINTS:
        g, h = slopes(himmelblau, at)
        bowl = Quadratic(h, center=at - np.linalg.solve(h, g))  # where nothing is left out
        yield {"J": bowl.value, r"\theta": at, "p": RNG.normal(size=2), "g": g, "H": h}


@world("eq-newton-step")
def step() -> Iterator[World]:
    for function in (himmelblau, rosenbrock):
        path = newton(function, POINTS[0], 3).theta
        yield {
            r"\theta_{t+1}": path[2], r"\theta_t": path[1], r"\nabla J": function.gradient,
            "H": function.hessian(path[1]),
        }  # fmt: skip


@world("eq-newton-gd-steps", rtol=1e-6)
def gradient_steps() -> Iterator[World]:
    for kappa, count in ((3.0, 11), (17.0, 40)):
        bowl = Quadratic([1.0, kappa])
        far = minimize(bowl, [1.0, 1.0], GradientDescent(2 / (1 + kappa)), count).theta
        left = np.linalg.norm(far[-1]) / np.linalg.norm(far[0])
        yield {"T": count, r"\epsilon": left, r"\kappa": kappa}


@world("eq-newton-slope")
def slope() -> Iterator[World]:
    for at in POINTS:
        g, h = slopes(himmelblau, at)
        yield {"g": g, "p": newton_step(g, h), "H": h}


@world("eq-newton-affine")
def affine() -> Iterator[World]:
    for at in POINTS:
        g, h = slopes(himmelblau, at)
        yield {"S": RNG.normal(size=(2, 2)), "H": h, "g": g}


@world("eq-newton-order", approx=2e-3, rtol=1e-6)
def order() -> Iterator[World]:
    for start in (1.0, -1.1):
        end = newton(double_well, [start], 30).theta[-1]
        path = newton(double_well, end + 3e-4, 1).theta - end

        def second(theta: Any) -> Any:
            return double_well.hessian(np.atleast_1d(theta))[0, 0]

        third = complex_step(lambda t: double_well.hessian(t)[0, 0], end)[0]
        yield {
            "e_{t+1}": path[1, 0], "e_t": path[0, 0], "Q": third / (2 * second(end)),
            "J''": second, "J'''": lambda theta, third=third: third, r"\theta^*": end,
        }  # fmt: skip


@world("eq-newton-remainder")
def remainder() -> Iterator[World]:
    for pull in (3.0, 5.0):  # J = pull/2 t^2 + t^3: the third derivative is 6 everywhere
        bowl = Function(
            "cubic",
            lambda t, a=pull: (a / 2 * t**2 + t**3)[..., 0],
            lambda t, a=pull: a * t + 3 * t**2,
            lambda t, a=pull: (a + 6 * t)[..., None],
            [[0.0]],
            [[-0.1, 1.0]],
        )
        path = newton(bowl, [0.7], 1).theta[:, 0]
        yield {
            "e_{t+1}": path[1], "e_t": path[0], r"\xi": 0.3, r"\theta_t": path[0],
            "J''": lambda t, f=bowl: f.hessian(np.atleast_1d(t))[0, 0],
            "J'''": lambda t, f=bowl: complex_step(lambda s: f.hessian(s)[0, 0], [t])[0],
        }  # fmt: skip


@world("eq-newton-cube")
def cube() -> Iterator[World]:
    hill = Function(
        "root",
        lambda t: np.sqrt(1 + t**2)[..., 0],
        lambda t: t / np.sqrt(1 + t**2),
        lambda t: ((1 + t**2) ** -1.5)[..., None],
        [[0.0]],
        [[-2.0, 2.0]],
    )
    for start in (0.7, -1.3):
        path = newton(hill, [start], 1).theta[:, 0]
        yield {r"\theta_{t+1}": path[1], r"\theta_t": path[0]}


@world("eq-newton-damped")
def damped() -> Iterator[World]:
    for at, nu in zip(POINTS, (0.3, 40.0), strict=True):
        g, h = slopes(himmelblau, at)
        p = newton_step(g, h, damping=nu)
        yield {"H": h, r"\nu": nu, "I": np.eye(2), "p": p, "g": g}


@world("eq-newton-damped-mode")
def damped_mode() -> Iterator[World]:
    for at, nu in zip(POINTS, (0.3, 40.0), strict=True):
        g, h = slopes(himmelblau, at)
        curvature, vectors = np.linalg.eigh(h)
        p = newton_step(g, h, damping=nu)
        for value, q in zip(curvature, vectors.T, strict=True):
            yield {"q_j": q, "p": p, "g": g, r"\lambda_j": value, r"\nu": nu}


@world("eq-newton-damped-rate")
def damped_rate() -> Iterator[World]:
    bowl, values = Quadratic(A), np.linalg.eigh(A)
    for nu in (0.3, 5.0):
        path = newton(bowl, [0.4, -1.1, 0.8], 2, damping=nu).theta
        for value, q in zip(values[0], values[1].T, strict=True):
            yield {
                "q_j": q, "e_{t+1}": path[2], "e_t": path[1], r"\nu": nu, r"\lambda_j": value
            }  # fmt: skip


@world("eq-newton-wolfe")
def wolfe() -> Iterator[World]:
    # a slope that has risen to just the part that is asked for
    for left in (0.3, 0.85):
        bowl, at = Quadratic(A), np.array([0.4, -1.1, 0.8])
        p = -bowl.gradient(at)
        alpha = (1 - left) * (p @ p) / (p @ A @ p)
        yield {
            "g_{t+1}": bowl.gradient(at + alpha * p), "g_t": bowl.gradient(at), "p": p,
            "c_2": left * (1 + 1e-12),
        }  # fmt: skip
        yield {
            "g_{t+1}": bowl.gradient(at + alpha * p), "g_t": bowl.gradient(at), "p": p, "c_2": 0.9
        }  # fmt: skip


@world("eq-newton-armijo", slack=1)
def armijo() -> Iterator[World]:
    for function in (himmelblau, rosenbrock):
        for at in POINTS:
            g = function.gradient(at)
            for c in (1e-4, 0.4, 0.9):
                p = -3 * g
                alpha = backtrack(function.value, at, g, p, decrease=c)
                yield {
                    "J": function.value,
                    r"\theta": at,
                    r"\alpha": alpha,
                    "p": p,
                    "c": c,
                    "g": g,
                }
    # as much as is asked for, and no more
    bowl, at = Quadratic([2.0]), np.array([1.0])
    g, p = bowl.gradient(at), np.array([-1.0])
    for alpha in (0.5, 1.0):
        kept = (bowl.value(at) - bowl.value(at + alpha * p)) / (-alpha * (g @ p))
        yield {"J": bowl.value, r"\theta": at, r"\alpha": alpha, "p": p, "c": kept, "g": g}


# Networks --------------------------------------------------------------------------------------

NET = MLP((2, 2, 3), "tanh")
THETA = NET.init(RNG) + 0.2
X, LABELS = RNG.normal(size=(2, 2)), np.array([0, 2])
TARGETS = RNG.normal(size=(2, 3))
EYE = np.eye(THETA.size)


def gradient(theta: Array, loss: Any = softmax_cross_entropy, y: Array = LABELS) -> Array:
    return NET.loss_and_grad(theta, X, y, loss)[1]


def logits(theta: Array) -> Array:
    return NET.forward(theta, X).ravel()


@world("eq-newton-chain", rtol=1e-6, atol=1e-8)
def chain() -> Iterator[World]:
    z = np.array([complex_step(lambda t, k=k: logits(t)[k], THETA) for k in range(6)])
    own = []  # Hessians of the logits: one backpropagation for each, differentiated
    for k in range(6):
        unit = np.eye(6)[k].reshape(2, 3)
        back = lambda t, unit=unit: NET.loss_and_grad(t, X, unit, lambda _, u: (0.0, u))[1]  # noqa: E731
        own.append(
            np.array([(back(THETA + 1e-5 * e) - back(THETA - 1e-5 * e)) / 2e-5 for e in EYE])
        )
    for loss, y in ((softmax_cross_entropy, LABELS), (mean_squared_error, TARGETS)):
        at = logits(THETA).reshape(2, 3)
        bend = np.array(
            [
                loss(at + 1e-30j * np.eye(6)[k].reshape(2, 3), y)[1].imag.ravel() / 1e-30
                for k in range(6)
            ]
        )
        pull = loss(at, y)[1].ravel()
        h = np.array([gradient(THETA + 1e-30j * e, loss, y).imag / 1e-30 for e in EYE])
        yield {
            "H": h, "Z": z, "R": bend, "K": 6,
            r"\delta_k": {"k": lambda k, d=pull: d[k - 1]},
            "H_k": {"k": lambda k: own[k - 1]},
        }  # fmt: skip


@world("eq-newton-mse")
def mean_square() -> Iterator[World]:
    for shape in ((2, 3), (1, 4)):
        count = shape[0] * shape[1]
        at, y = RNG.normal(size=shape), RNG.normal(size=shape)
        units = np.eye(count).reshape(count, *shape)
        bend = [mean_squared_error(at + 1e-30j * u, y)[1].imag.ravel() / 1e-30 for u in units]
        yield {"R": np.array(bend), "K": count, "I": np.eye(count)}


@world("eq-newton-softmax")
def block() -> Iterator[World]:
    for count in (2, 5):
        z = RNG.normal(size=(count, 3))
        p = softmax(z)[0]
        labels = np.zeros(count, dtype=int)
        columns = []
        for k in range(3):
            moved = z.astype(complex)
            moved[0, k] += 1e-30j
            columns.append(softmax_cross_entropy(moved, labels)[1].imag[0] / 1e-30)
        for w in (RNG.normal(size=3), np.array([1.0, 1.0, 1.0]) * 0.3):
            yield {
                "w": w, "R": np.array(columns), "N": count, "C": 3,
                r"\hat y_c": {"c": lambda c, p=p: p[c - 1]}, "w_c": {"c": lambda c, w=w: w[c - 1]},
            }  # fmt: skip


@world("eq-newton-fisher", atol=1e-13)
def fisher() -> Iterator[World]:
    x = X[:1]
    matrix = np.array([gauss_newton_product(NET, THETA, x, LABELS[:1], e) for e in EYE])
    each = [NET.loss_and_grad(THETA, x, np.array([c]))[1] for c in range(3)]
    p = softmax(NET.forward(THETA, x))[0]
    yield {
        "G": matrix, "C": 3, r"\hat y_c": {"c": lambda c: p[c - 1]},
        "g_c": {"c": lambda c: each[c - 1]},
    }  # fmt: skip


@world("eq-newton-product")
def product() -> Iterator[World]:
    for h in (1e-30, 1e-12):
        v = RNG.normal(size=2)
        yield {
            "H": himmelblau.hessian(POINTS[0]), "v": v, r"\operatorname{Im}": np.imag,
            r"\nabla J": himmelblau.gradient, r"\theta": POINTS[0], "i": 1j, "h": h,
        }  # fmt: skip


@world("eq-newton-cg", slack=5)
def conjugate() -> Iterator[World]:
    for kappa, k in ((1.5, 1), (30.0, 5)):
        spectrum = (1 + kappa) / 2 - (kappa - 1) / 2 * np.cos(np.linspace(0, np.pi, k + 1))
        # the right side on which k products gain least
        b = spectrum * np.sqrt(np.abs(worst(spectrum)) / spectrum)
        system = LinearOperator((k + 1, k + 1), matvec=lambda v, s=spectrum: s * v, dtype=float)
        found, _ = cg(system, b, rtol=0, maxiter=k)
        p = b / spectrum
        size = [float(np.sqrt(spectrum @ gap**2)) for gap in (found - p, p)]
        yield {
            r"\varepsilon_k": size[0], r"\varepsilon_0": size[1], r"\kappa": kappa, "k": k,
        }  # fmt: skip


def worst(spectrum: Array) -> Array:
    """Weights of the errors along the eigenvectors for which the bound is nearly attained."""
    others = [np.prod([s / abs(s - t) for t in np.delete(spectrum, j)]) for j, s in
              enumerate(spectrum)]  # fmt: skip
    return np.array(others) / np.sum(others) / spectrum


# Quasi-Newton ----------------------------------------------------------------------------------


def pairs() -> Iterator[World]:
    """Updates by the shortest change that keeps symmetry and the pair, in a weighted norm."""
    for _ in range(2):
        root = RNG.normal(size=(3, 3))
        before, d = root @ root.T + np.eye(3), RNG.normal(size=3)
        change = A @ d
        # B = W^-1 changes by two outer products: what is known along d goes, the pair comes
        b = np.linalg.inv(before)
        b = b - np.outer(b @ d, b @ d) / (d @ b @ d) + np.outer(change, change) / (change @ d)
        yield {
            "W_{t+1}": np.linalg.inv(b), "W_t": before, "I": np.eye(3), "d_t": d,
            r"\gamma_t": change,
        }  # fmt: skip


@world("eq-newton-bfgs", "eq-newton-secant", atol=1e-10)
def quasi() -> Iterator[World]:
    yield from pairs()


# Cost and noise --------------------------------------------------------------------------------


@world("eq-newton-multiplications")
def multiplications() -> Iterator[World]:
    for n in (3, 7, 12):
        count = sum(1 for k in range(n) for row in range(k + 1, n) for _ in range(k + 1, row + 1))
        yield {"M": count, "n": n}


def hovering(transition: Array, step: Array, noise: Array) -> tuple[Any, Any]:
    """A loss, and points whose mean square is that of the stationary distribution."""
    spread = solve_discrete_lyapunov(transition, step @ noise @ step.T)
    root = np.linalg.cholesky(spread).T * np.sqrt(3)
    bowl = Quadratic(A)
    return lambda theta: bowl.value(theta) + 0.7, np.concatenate([root, -root])


def draws_of(noise: Array) -> Array:
    """Six equally likely vectors with mean zero and this covariance."""
    root = np.linalg.cholesky(noise).T * np.sqrt(3)
    return np.concatenate([root, -root])


@world("eq-newton-noisy", slack=2)  # noise without a mean has no side
def noisy_step() -> Iterator[World]:
    for _ in range(2):
        root = RNG.normal(size=(3, 3))
        bowl, centre = Quadratic(A), np.array([0.0, 0.0, 0.0])
        noise = root @ root.T
        zeta = draws_of(noise).T  # columns
        yield {
            r"\mathbb E": np.mean, "J": lambda theta, f=bowl: f.value(theta.T) + 0.7,
            r"\theta^*": centre[:, None], "H": A, r"\zeta": zeta, r"\Sigma": noise,
            "L": CURVATURE[-1],
        }  # fmt: skip


@world("eq-newton-spread")
def spread() -> Iterator[World]:
    for eta in (0.3, 0.45):
        root = RNG.normal(size=(3, 3))
        noise, inverse = root @ root.T, np.linalg.inv(A)
        step = eta * inverse
        settled = solve_discrete_lyapunov(np.eye(3) - step @ A, step @ noise @ step.T)
        e = draws_of(settled).T
        yield {
            r"\mathbb E": lambda square: square / 6, "e": e, r"\eta": eta, "H": A,
            r"\Sigma": noise,
        }  # fmt: skip


@world("eq-newton-batch-square")
def batch_square() -> Iterator[World]:
    for size in (3, 4):
        slopes_of = RNG.normal(size=3) + 0.4
        batches = [np.mean(chosen) for chosen in product_of(slopes_of, repeat=size)]
        yield {
            r"\mathbb E": np.mean, "g_j": np.array(batches), "F_{jj}": np.mean(slopes_of**2),
            "B": size, r"\bar g_j": np.mean(slopes_of),
        }  # fmt: skip


def floors(newtons: bool) -> Iterator[World]:
    for eta in (0.3, 0.45):
        root = RNG.normal(size=(3, 3))
        noise = root @ root.T
        step = eta * (np.linalg.inv(A) if newtons else np.eye(3))
        value, points = hovering(np.eye(3) - step @ A, step, noise)
        spread = np.sqrt(np.diag(TURN.T @ noise @ TURN))
        yield {
            r"\mathbb E": np.mean, "J": value, r"\theta": points, r"\theta^*": np.zeros(3),
            r"\eta": eta, "H": A, r"\Sigma": noise, "n": 3,
            r"\sigma_j": {"j": lambda j, s=spread: s[j - 1]},
            r"\lambda_j": {"j": lambda j: CURVATURE[j - 1]},
        }  # fmt: skip


@world("eq-newton-floor")
def newtons_floor() -> Iterator[World]:
    yield from floors(newtons=True)


@world("eq-newton-gd-floor")
def gradient_floor() -> Iterator[World]:
    yield from floors(newtons=False)
