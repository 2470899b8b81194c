"""Where the formulas of the conventions page must hold: in the libraries' own recorded steps.

`worlds_of` says what the names of a formula are along any path of parameters that began with the
recorded gradients; `tests/test_conventions.py` uses it for every row of the page's tables. What no
library computes is evaluated in steps of `optlearn`, or of the page's own code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
from worlds import world

from optlearn.functions import Quadratic
from optlearn.optimizers import AdaGrad, Adam, AdamW, Momentum, RMSProp

World = dict[str, Any]
Array = np.ndarray

BOOK = Path(__file__).resolve().parents[2] / "book"
KNOWN = json.loads((BOOK / "_data" / "conventions.json").read_text(encoding="utf-8"))
GRADIENTS = np.array(KNOWN["gradients"])
LR, DECAY = 0.01, 0.1


@cache
def page() -> dict[str, Any]:
    """Return the page's names after its cells have run, without the figure and the glue."""
    namespace: dict[str, Any] = {"print": lambda *_: None}
    here = Path.cwd()
    os.chdir(BOOK)
    try:
        for cell in nbformat.read(BOOK / "conventions.ipynb", as_version=4).cells:
            source = cell.source if cell.cell_type == "code" else ""
            if "matplotlib" not in source and "myst_nb" not in source:
                exec(source, namespace)
    finally:
        os.chdir(here)
    return namespace


class Path100(NamedTuple):
    """Parameters after some or all of the recorded gradients, and the rates of the steps."""

    theta: dict[int, Array]
    rates: tuple[float, ...]


class Constants(NamedTuple):
    """The numbers of a rule; `hat` if its epsilon stands as in the form with epsilon hat."""

    beta: float = 0.9
    rho: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    s0: float = 0.0
    hat: bool = False


def recorded(library: str, run: str) -> Path100:
    known = KNOWN["libraries"][library]["runs"][run]
    theta = {0: np.full(6, known["start"])}
    theta |= dict(zip(KNOWN["steps"], np.array(known["theta"]), strict=True))
    return Path100(theta, tuple(KNOWN["rates"][known["rates"]]))


def taken(step: Any, start: float = 0.0, rates: str = "constant") -> Path100:
    """Return the path of a step of our own."""
    theta = {0: np.full(6, start)}
    for t, gradient in enumerate(GRADIENTS, start=1):
        theta[t] = step(theta[t - 1], gradient)
    return Path100(theta, tuple(KNOWN["rates"][rates]))


# States, which do not depend on the parameters -----------------------------------------------


def states(optimizer: Any, name: str, rates: tuple[float, ...] = (1.0,) * 100) -> list[Array]:
    """Return a state of an optimizer after 0, 1, ... steps on the recorded gradients."""
    found = [np.zeros(6)]
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        optimizer.step(np.zeros(6), gradient * rate)
        found.append(np.array(getattr(optimizer, name)))
    return found


@cache
def collected(beta: float, rates: tuple[float, ...] = (1.0,) * 100) -> list[Array]:
    return states(Momentum(1.0, beta=beta), "u", rates)


@cache
def averaged(beta: float) -> list[Array]:
    return states(Momentum(1.0, beta=beta, form="ema"), "u")


@cache
def squares(rho: float) -> list[Array]:
    return states(RMSProp(1.0, rho=rho), "s")


@cache
def sums() -> list[Array]:
    return states(AdaGrad(1.0), "s")


@cache
def corrected(values: str, beta: float) -> list[Array]:
    """Return the averages whose weights sum to 1, which is what the correction is for."""
    source = GRADIENTS if values == "g" else GRADIENTS**2
    weights = beta ** np.arange(100.0)[::-1]
    return [np.zeros(6)] + [
        np.average(source[:t], axis=0, weights=weights[-t:]) for t in range(1, 101)
    ]


def largest(values: list[Array]) -> list[Array]:
    return list(np.maximum.accumulate(values))


def now_and_before(name: str, values: list[Array], t: int) -> World:
    head, _, rest = name.partition("_t")
    return {f"{head}_t{rest}": values[t], f"{head}_{{t-1}}{rest}": values[t - 1]}


def names(label: str, t: int, path: Path100, k: Constants) -> World:
    """Say what the names of a formula's states are in step t."""
    top = "v_t^{\\text{max}}"
    short = label.removeprefix("eq-conventions-")
    m_hat, v_hat = corrected("g", k.beta1)[t], corrected("g2", k.beta2)[t]
    hats = {r"\hat m_t": m_hat, r"\hat v_t": v_hat}
    m, v = averaged(k.beta1), squares(k.beta2)
    c = 1 - k.beta2**t
    match short:
        case "heavy-ball" | "nesterov":
            return now_and_before("u_t", collected(k.beta), t)
        case "velocity" | "nesterov-velocity":
            return now_and_before("w_t", collected(k.beta, path.rates), t)
        case "average":
            return now_and_before("u_t", averaged(k.beta), t)
        case "adagrad" | "adagrad-inside":
            return now_and_before("s_t", [k.s0 + s for s in sums()], t) | {"s_0": k.s0}
        case "rmsprop" | "rmsprop-inside":
            return {"s_t": squares(k.rho)[t]}
        case "adam" | "adam-inside":
            return hats
        case "adam-hat":
            return {"m_t": m[t], "v_t": v[t]}
        case "amsgrad-paper" | "amsgrad":
            eps = k.eps / np.sqrt(c) if k.hat else k.eps
            found = hats | {"m_t": m[t], "v_t": v[t], "c_t": c, r"\epsilon": eps}
            return found | now_and_before(top, largest(v), t)
        case "amsgrad-corrected":
            found = now_and_before(top, largest(corrected("g2", k.beta2)), t)
            return found | hats
    return {}


def worlds_of(label: str, path: Path100, k: Constants) -> Iterator[World]:
    """Yield what a formula's names are in each step that is known at both of its ends."""
    constants = {
        r"\beta": k.beta, r"\rho": k.rho, r"\beta_1": k.beta1, r"\beta_2": k.beta2,
        r"\epsilon": k.eps,
    }  # fmt: skip
    seen = slice(None) if k.eps else slice(5)  # the sixth coordinate begins with 0/0
    for t in path.theta:
        if t - 1 in path.theta:
            found = constants | {
                "t": t, r"\theta_t": path.theta[t], r"\theta_{t-1}": path.theta[t - 1],
                "g_t": GRADIENTS[t - 1], r"\eta": path.rates[t - 1],
            } | names(label, t, path, k)  # fmt: skip
            if label == "eq-conventions-polyak":
                if t < 2 or t - 2 not in path.theta:
                    continue
                found[r"\theta_{t-2}"] = path.theta[t - 2]
            found = {key: value[seen] if np.ndim(value) else value for key, value in found.items()}
            # a maximum of two numbers is read as one of all that stands in its brackets
            yield from each_coordinate(found) if "amsgrad" in label else [found]


def each_coordinate(known: World) -> Iterator[World]:
    for j in range(len(known[r"\theta_t"])):
        yield {name: value[j] if np.ndim(value) else value for name, value in known.items()}


# The rules -----------------------------------------------------------------------------------

RULES: dict[str, list[tuple[str, str, Constants]]] = {
    "sgd": [(library, "sgd", Constants()) for library in KNOWN["libraries"]],
    "heavy-ball": [(k, "momentum-falling", Constants()) for k in ("torch", "optax")],
    "velocity": [(k, "momentum-falling", Constants()) for k in ("keras", "sklearn")],
    "polyak": [(k, "momentum-falling", Constants()) for k in ("keras", "sklearn")],
    "average": [("optax", "momentum-average", Constants())],
    "nesterov": [(k, "nesterov-falling", Constants()) for k in ("torch", "optax")],
    "nesterov-velocity": [(k, "nesterov-falling", Constants()) for k in ("keras", "sklearn")],
    "adagrad": [("torch", "adagrad", Constants(eps=1e-10))],
    "adagrad-inside": [(k, "adagrad", Constants(eps=1e-7, s0=0.1)) for k in ("optax", "keras")],
    "rmsprop": [
        ("torch", "rmsprop", Constants(rho=0.99)), ("optax", "rmsprop-outside", Constants())
    ],
    "rmsprop-inside": [
        ("optax", "rmsprop", Constants()), ("keras", "rmsprop", Constants(eps=1e-7))
    ],
    "adam": [(k, "adam", Constants()) for k in ("torch", "optax")],
    "adam-hat": [("keras", "adam", Constants(eps=1e-7)), ("sklearn", "adam", Constants())],
    "adam-inside": [("optax", "adam-inside", Constants())],
    "amsgrad": [
        ("torch", "amsgrad", Constants()), ("keras", "amsgrad", Constants(eps=1e-7, hat=True))
    ],
    "amsgrad-corrected": [("optax", "amsgrad", Constants())],
}  # fmt: skip


def register(label: str, runs: list[tuple[str, str, Constants]]) -> None:
    @world(label)
    def rule() -> Iterator[World]:
        for library, run, constants in runs:
            yield from worlds_of(label, recorded(library, run), constants)


for short, runs in RULES.items():
    register(f"eq-conventions-{short}", runs)


@world("eq-conventions-average-rate", rtol=1e-12)
def average_rate() -> Iterator[World]:
    """A heavy ball's path is proportional to its rate: that of rate 1 tells any other's."""
    for beta in (0.9, 0.7):
        average = taken(Momentum(LR, beta=beta, form="ema").step).theta[100]
        ball = taken(Momentum(1.0, beta=beta).step).theta[100]
        yield {
            r"\eta_{\text{heavy ball}}": average / ball, r"\eta_{\text{average}}": LR,
            r"\beta": beta,
        }  # fmt: skip


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


@world("eq-conventions-rmsprop-average")
def rmsprop_average() -> Iterator[World]:
    for rho in (0.9, 0.99):
        for t in (2, 3, 50):
            known = now_and_before("s_t", squares(rho), t)
            yield known | {"g_t": GRADIENTS[t - 1], r"\rho": rho}


@world("eq-conventions-rmsprop-first", approx=1e-4)
def rmsprop_first() -> Iterator[World]:
    """First steps of three libraries, where the gradient is large beside every epsilon."""
    for library, rho in (("torch", 0.99), ("optax", 0.9), ("keras", 0.9)):
        theta = recorded(library, "rmsprop").theta
        for j in (2, 3, 4):
            yield {
                r"\theta_1": 0.3 + theta[1][j], r"\theta_0": 0.3 + theta[0][j],
                r"\eta": LR, r"\rho": rho,
            }  # fmt: skip


@world("eq-conventions-adam-averages")
def adam_averages() -> Iterator[World]:
    m, v = states(Adam(LR), "m"), states(Adam(LR), "v")
    for t in (2, 3, 50):
        yield now_and_before("m_t", m, t) | now_and_before("v_t", v, t) | {
            "t": t, "g_t": GRADIENTS[t - 1], r"\beta_1": 0.9, r"\beta_2": 0.999,
            r"\hat m_t": corrected("g", 0.9)[t], r"\hat v_t": corrected("g2", 0.999)[t],
        }  # fmt: skip


@world("eq-conventions-first-step")
def first_step() -> Iterator[World]:
    """PyTorch, scikit-learn and optax, told to, have the three forms with one epsilon."""
    first = {
        name: np.abs(recorded(library, run).theta[1])[:5] / LR
        for name, library, run in (
            (r"c_{\text{outside}}", "torch", "adam"),
            (r"c_{\hat\epsilon}", "sklearn", "adam"),
            (r"c_{\text{inside}}", "optax", "adam-inside"),
        )
    }
    yield first | {"g_1": GRADIENTS[0, :5], r"\epsilon": 1e-8, r"\beta_2": 0.999}


@world("eq-conventions-amsgrad-paper")
def amsgrad_paper() -> Iterator[World]:
    ours = Adam(LR, eps=0.0, bias_correction=False, amsgrad=True)
    yield from worlds_of("eq-conventions-amsgrad-paper", taken(ours.step), Constants(eps=0.0))


@world("eq-conventions-l2")
def penalty() -> Iterator[World]:
    """PyTorch's moves tell its buffer, and two buffers tell the gradient that it took."""
    theta = recorded("torch", "momentum-decay").theta
    u = {0: np.zeros(6)}
    u |= {t: (theta[t - 1] - theta[t]) / LR for t in theta if t - 1 in theta}
    for t in u:
        if t - 1 in u:
            yield {
                r"\tilde g_t": u[t] - 0.9 * u[t - 1], "g_t": GRADIENTS[t - 1],
                r"\theta_{t-1}": theta[t - 1], r"\lambda_{\mathrm{wd}}": DECAY,
            }  # fmt: skip


@world("eq-conventions-decoupled")
def decoupled() -> Iterator[World]:
    """What is left of AdamW's steps when Adam's own are taken back."""
    adam = taken(Adam(LR).step).theta
    for library, decay in (("torch", 0.01), ("optax", 1e-4)):
        theta = recorded(library, "adamw").theta
        for t in theta:
            if t - 1 in theta:
                yield {
                    r"\tilde\theta_{t-1}": theta[t] - (adam[t] - adam[t - 1]), r"\eta": LR,
                    r"\theta_{t-1}": theta[t - 1], r"\lambda_{\mathrm{wd}}": decay,
                }  # fmt: skip


@world("eq-conventions-adamw-paper")
def adamw_paper() -> Iterator[World]:
    """Our AdamW at the rate alpha times the schedule, with the decay lambda over alpha."""
    alpha, decay, schedule = 0.02, 0.3, np.linspace(1.0, 0.1, 100)
    ours = AdamW(lambda t: alpha * schedule[min(t, 99)], weight_decay=decay / alpha, eps=0.3)
    theta = taken(ours.step, start=1.0).theta
    for t in (2, 3, 40):
        yield {
            r"\theta_t": theta[t], r"\theta_{t-1}": theta[t - 1], r"\eta_t": schedule[t - 1],
            r"\alpha": alpha, r"\lambda": decay, r"\epsilon": 0.3,
            r"\hat m_t": corrected("g", 0.9)[t], r"\hat v_t": corrected("g2", 0.999)[t],
        }  # fmt: skip


# The mistakes of the source articles, as the page's code runs them ---------------------------


def article_0(name: str) -> Iterator[World]:
    """The minimum is not at 0, so that a gradient is no position."""
    theta = [page()["article_0"](name, 0.3, 0.4, t) for t in range(5)]
    for t in (1, 2, 3):
        yield {
            r"\theta_{t+1}": theta[t + 1], r"\theta_t": theta[t], r"\theta_{t-1}": theta[t - 1],
            "g_t": theta[t] - 0.4, "g_{t-1}": theta[t - 1] - 0.4, r"\eta": 0.1, r"\beta": 0.3,
        }  # fmt: skip


@world("eq-conventions-zero-sgd")
def article_0_sgd() -> Iterator[World]:
    yield from article_0("SGD")


@world("eq-conventions-zero-momentum")
def article_0_momentum() -> Iterator[World]:
    yield from article_0("Momentum")


@world("eq-conventions-zero-limit", rtol=1e-6)
def article_0_limit() -> Iterator[World]:
    for beta, c in ((0.05, 1.0), (0.09, 3.0)):
        end = page()["article_0"]("Momentum", beta, c, 3000)
        yield {r"\bar\theta": end, r"\eta": 0.1, r"\beta": beta, "c": c}


def without_state(step: Any) -> Iterator[World]:
    for g in (0.3, -4.0):
        for t in (2, 5):
            yield {
                r"\theta_{t+1}": 0.6 - LR * step(g, t), r"\theta_t": 0.6, "g_t": g, "t": t,
                r"\eta": LR, r"\beta": 0.9, r"\beta_1": 0.9, r"\beta_2": 0.999,
            }  # fmt: skip


@world("eq-conventions-zero-rmsprop")
def article_0_rmsprop() -> Iterator[World]:
    yield from without_state(lambda g, _: page()["squash"](g))


@world("eq-conventions-zero-adam")
def article_0_adam() -> Iterator[World]:
    yield from without_state(lambda g, t: page()["forgetful"](g, t))


@world("eq-conventions-two-adam", "eq-conventions-two-rmsprop")
def article_2() -> Iterator[World]:
    for g in (1.0, 0.7):
        for t in (2, 3, 5):
            now, before = (page()["article_2"](g, steps) for steps in (t, t - 1))
            yield {
                "m_t": now[0], "v_t": now[1], "s_t": now[2], "m_{t-1}": before[0],
                "v_{t-1}": before[1], "s_{t-1}": before[2], "g_t": g, "t": t,
                r"\beta_1": 0.9, r"\beta_2": 0.999, r"\rho": 0.9,
            }  # fmt: skip
