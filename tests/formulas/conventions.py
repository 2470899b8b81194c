"""Where the formulas of the conventions page must hold: in the libraries' own recorded steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from worlds import world

from optlearn.functions import Quadratic
from optlearn.optimizers import AdaGrad, Adam, Momentum, RMSProp

World = dict[str, Any]

RECORD = Path(__file__).resolve().parents[2] / "book" / "_data" / "conventions.json"
KNOWN = json.loads(RECORD.read_text(encoding="utf-8"))
GRADIENTS = np.array(KNOWN["gradients"])
LR, DECAY = 0.01, 0.1


class Run:
    """What a library has recorded: the parameters after some steps, and the rates."""

    def __init__(self, library: str, run: str) -> None:
        known = KNOWN["libraries"][library]["runs"][run]
        self.theta = {0: np.full(6, known["start"])}
        self.theta |= dict(zip(KNOWN["steps"], np.array(known["theta"]), strict=True))
        self.rates = KNOWN["rates"][known["rates"]]

    def steps(self) -> Iterator[tuple[int, World]]:
        """Yield each step that is recorded at both ends, and what the world knows of it."""
        for t in self.theta:
            if t - 1 in self.theta:
                yield (
                    t,
                    {
                        "t": t,
                        r"\theta_t": self.theta[t],
                        r"\theta_{t-1}": self.theta[t - 1],
                        "g_t": GRADIENTS[t - 1],
                        r"\eta": self.rates[t - 1],
                    },
                )


def states(optimizer: Any, name: str) -> list[np.ndarray]:
    """Return a state of an optimizer after 0, 1, ... steps on the recorded gradients."""
    found = [np.zeros(6)]
    for gradient in GRADIENTS:
        optimizer.step(np.zeros(6), gradient)
        found.append(np.array(getattr(optimizer, name)))
    return found


def corrected(average: list[np.ndarray], beta: float) -> list[np.ndarray]:
    return average[:1] + [m / (1 - beta**t) for t, m in enumerate(average) if t]


M, V = states(Adam(LR), "m"), states(Adam(LR), "v")
M_HAT, V_HAT = corrected(M, 0.9), corrected(V, 0.999)


@world("eq-conventions-sgd")
def sgd() -> Iterator[World]:
    for library in KNOWN["libraries"]:
        yield from (known for _, known in Run(library, "sgd").steps())


def buffers(run: str) -> Iterator[World]:
    """PyTorch's and optax's steps, and a buffer that collects gradients."""
    u = states(Momentum(LR), "u")
    for library in ("torch", "optax"):
        for t, known in Run(library, run).steps():
            yield known | {"u_t": u[t], "u_{t-1}": u[t - 1], r"\beta": 0.9}


@world("eq-conventions-heavy-ball")
def heavy_ball() -> Iterator[World]:
    yield from buffers("momentum-falling")


@world("eq-conventions-nesterov")
def nesterov() -> Iterator[World]:
    yield from buffers("nesterov-falling")


@world("eq-conventions-velocity")
def velocity() -> Iterator[World]:
    """The velocity is the last move, which three neighbouring records give."""
    for library in ("keras", "sklearn"):
        found = Run(library, "momentum-falling")
        for (_, before), (t, known) in pairwise(found.steps()):
            if before["t"] == t - 1:
                yield known | {
                    "w_t": found.theta[t - 1] - found.theta[t],
                    "w_{t-1}": found.theta[t - 2] - found.theta[t - 1],
                    r"\beta": 0.9,
                }


@world("eq-conventions-nesterov-velocity", rtol=1e-8)
def nesterov_velocity() -> Iterator[World]:
    """A move is eta g + beta w; so the recorded moves tell w."""
    for library in ("keras", "sklearn"):
        found = Run(library, "nesterov-falling")
        w = {
            t: (known[r"\theta_{t-1}"] - known[r"\theta_t"] - known[r"\eta"] * known["g_t"]) / 0.9
            for t, known in found.steps()
        }
        for t, known in found.steps():
            if t - 1 in w:
                yield known | {"w_t": w[t], "w_{t-1}": w[t - 1], r"\beta": 0.9}


@world("eq-conventions-average")
def average() -> Iterator[World]:
    """No library has it; the page compares our class with the formula of article 3."""
    optimizer, theta, u = Momentum(LR, form="ema"), np.zeros(6), np.zeros(6)
    for gradient in GRADIENTS[:5]:
        after = optimizer.step(theta, gradient)
        yield {
            r"\theta_t": after, r"\theta_{t-1}": theta, "u_t": optimizer.u.copy(), "u_{t-1}": u,
            "g_t": gradient, r"\eta": LR, r"\beta": 0.9,
        }  # fmt: skip
        theta, u = after, optimizer.u.copy()


@world("eq-conventions-lookahead")
def lookahead() -> Iterator[World]:
    """Our class holds theta + beta v, and v is minus eta times its buffer."""
    bowl = Quadratic(np.diag([1.0, 10.0]), center=np.array([0.3, -0.2]))
    optimizer, held = Momentum(LR, form="nesterov"), np.ones(2)
    theta, v = held, np.zeros(2)
    for _ in range(5):
        held = optimizer.step(held, bowl.gradient(held))
        after, v_after = held + 0.9 * LR * optimizer.u, -LR * optimizer.u
        yield {
            r"\theta_t": after, r"\theta_{t-1}": theta, "v_t": v_after, "v_{t-1}": v,
            r"\nabla J": bowl.gradient, r"\eta": LR, r"\beta": 0.9,
        }  # fmt: skip
        theta, v = after, v_after


@world("eq-conventions-adagrad")
def adagrad() -> Iterator[World]:
    s = states(AdaGrad(LR), "s")
    for t, known in Run("torch", "adagrad").steps():
        yield known | {"s_t": s[t], "s_{t-1}": s[t - 1], "s_0": s[0], r"\epsilon": 1e-10}


@world("eq-conventions-adagrad-inside")
def adagrad_inside() -> Iterator[World]:
    s = [0.1 + sums for sums in states(AdaGrad(LR), "s")]
    for library in ("optax", "keras"):
        for t, known in Run(library, "adagrad").steps():
            yield known | {"s_t": s[t], "s_{t-1}": s[t - 1], "s_0": s[0], r"\epsilon": 1e-7}


@world("eq-conventions-rmsprop")
def rmsprop() -> Iterator[World]:
    s = states(RMSProp(LR, rho=0.99), "s")
    for t, known in Run("torch", "rmsprop").steps():
        yield known | {"s_t": s[t], r"\epsilon": 1e-8}


@world("eq-conventions-rmsprop-inside")
def rmsprop_inside() -> Iterator[World]:
    s = states(RMSProp(LR), "s")
    for library, eps in (("optax", 1e-8), ("keras", 1e-7)):
        for t, known in Run(library, "rmsprop").steps():
            yield known | {"s_t": s[t], r"\epsilon": eps}


@world("eq-conventions-adam")
def adam() -> Iterator[World]:
    for library in ("torch", "optax"):
        for t, known in Run(library, "adam").steps():
            yield known | {r"\hat m_t": M_HAT[t], r"\hat v_t": V_HAT[t], r"\epsilon": 1e-8}


@world("eq-conventions-adam-hat")
def adam_hat() -> Iterator[World]:
    for library, eps in (("keras", 1e-7), ("sklearn", 1e-8)):
        for t, known in Run(library, "adam").steps():
            yield known | {
                "m_t": M[t], "v_t": V[t], r"\epsilon": eps, r"\beta_1": 0.9, r"\beta_2": 0.999,
            }  # fmt: skip


def ours(optimizer: Adam) -> Iterator[tuple[int, World]]:
    """Steps of our class, where no library takes them; five coordinates have no zero gradient."""
    theta = np.zeros(6)
    for t, gradient in enumerate(GRADIENTS, start=1):
        after = optimizer.step(theta, gradient)
        yield t, {
            r"\theta_t": after[:5], r"\theta_{t-1}": theta[:5], r"\eta": LR, "m_t": M[t][:5],
            r"\hat m_t": M_HAT[t][:5], r"\hat v_t": V_HAT[t][:5], r"\epsilon": 1e-8,
        }  # fmt: skip
        theta = after


@world("eq-conventions-adam-inside")
def adam_inside() -> Iterator[World]:
    yield from (known for _, known in ours(Adam(LR, eps_inside=True)))


@world("eq-conventions-first-step")
def first_step() -> Iterator[World]:
    """PyTorch and scikit-learn have one epsilon; the third form is ours."""
    inside = Adam(LR, eps_inside=True).step(np.zeros(6), GRADIENTS[0])
    yield {
        r"c_{\text{outside}}": np.abs(Run("torch", "adam").theta[1])[:5] / LR,
        r"c_{\hat\epsilon}": np.abs(Run("sklearn", "adam").theta[1])[:5] / LR,
        r"c_{\text{inside}}": np.abs(inside)[:5] / LR,
        "g_1": GRADIENTS[0, :5], r"\epsilon": 1e-8, r"\beta_2": 0.999,
    }  # fmt: skip


def largest(values: list[np.ndarray]) -> list[np.ndarray]:
    return list(np.maximum.accumulate(values))


def each_coordinate(known: World) -> Iterator[World]:
    """A maximum of two numbers is read as one of all that stands in its brackets."""
    for j in range(len(known["v_t"])):
        yield {name: value[j] if np.ndim(value) else value for name, value in known.items()}


@world("eq-conventions-amsgrad-paper")
def amsgrad_paper() -> Iterator[World]:
    top = largest(V)
    for t, known in ours(Adam(LR, eps=0.0, bias_correction=False, amsgrad=True)):
        yield from each_coordinate(known | {
            r"v_t^{\text{max}}": top[t][:5], r"v_{t-1}^{\text{max}}": top[t - 1][:5],
            "v_t": V[t][:5],
        })  # fmt: skip


@world("eq-conventions-amsgrad")
def amsgrad() -> Iterator[World]:
    top = largest(V)
    for t, known in Run("torch", "amsgrad").steps():
        yield from each_coordinate(known | {
            r"v_t^{\text{max}}": top[t], r"v_{t-1}^{\text{max}}": top[t - 1], "v_t": V[t],
            r"\hat m_t": M_HAT[t], "c_t": 1 - 0.999**t, r"\epsilon": 1e-8,
        })  # fmt: skip


@world("eq-conventions-amsgrad-corrected")
def amsgrad_corrected() -> Iterator[World]:
    top = largest(V_HAT)
    for t, known in Run("optax", "amsgrad").steps():
        yield from each_coordinate(known | {
            r"v_t^{\text{max}}": top[t], r"v_{t-1}^{\text{max}}": top[t - 1],
            "v_t": V[t], r"\hat m_t": M_HAT[t], r"\hat v_t": V_HAT[t], r"\epsilon": 1e-8,
        })  # fmt: skip


@world("eq-conventions-l2")
def penalty() -> Iterator[World]:
    """PyTorch's moves tell its buffer, and two buffers tell the gradient that it took."""
    found = Run("torch", "momentum-decay")
    u = {0: np.zeros(6)}
    u |= {t: (known[r"\theta_{t-1}"] - known[r"\theta_t"]) / LR for t, known in found.steps()}
    for t, known in found.steps():
        if t - 1 in u:
            yield known | {r"\tilde g_t": u[t] - 0.9 * u[t - 1], r"\lambda_{\mathrm{wd}}": DECAY}


@world("eq-conventions-decoupled")
def decoupled() -> Iterator[World]:
    """What is left of AdamW's steps when Adam's own are taken back."""
    for library, decay in (("torch", 0.01), ("optax", 1e-4)):
        for t, known in Run(library, "adamw").steps():
            step = LR * M_HAT[t] / (np.sqrt(V_HAT[t]) + 1e-8)
            yield known | {
                r"\tilde\theta_{t-1}": known[r"\theta_t"] + step, r"\lambda_{\mathrm{wd}}": decay,
            }  # fmt: skip
