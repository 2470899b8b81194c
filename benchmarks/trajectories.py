"""A thousand steps of every optimizer over Rosenbrock's function, in float64.

`minimize` keeps the path and every value of the function. The PyTorch loop keeps neither: it is
autograd and the default implementation of `torch.optim`, as tutorials write it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.torch_peers import threads
from benchmarks.turns import FAST, PURE, Contender, chosen, rows
from optlearn.functions import rosenbrock
from optlearn.optimizers import AdaGrad, Adam, AdamW, GradientDescent, Momentum, RMSProp
from optlearn.training import minimize

TABLE = "trajectories"
START, STEPS = (-1.2, 1.0), 1000
CONTENDERS = (PURE, FAST, "torch", "jax scan")


@dataclass(frozen=True)
class Rule:
    """One optimizer in three libraries, at a rate that is small enough for a smooth path."""

    ours: Callable[[], Any]
    torch: Callable[[Any, Any], Any]
    optax: Callable[[Any], Any]


RULES = {
    "GradientDescent": Rule(
        lambda: GradientDescent(5e-4),
        lambda optim, p: optim.SGD(p, lr=5e-4),
        lambda optax: optax.sgd(5e-4),
    ),
    "Momentum, heavy ball": Rule(
        lambda: Momentum(1e-4),
        lambda optim, p: optim.SGD(p, lr=1e-4, momentum=0.9),
        lambda optax: optax.sgd(1e-4, momentum=0.9),
    ),
    "Momentum, average": Rule(  # the same steps as a heavy ball at a tenth of the rate
        lambda: Momentum(1e-3, form="ema"),
        lambda optim, p: optim.SGD(p, lr=1e-4, momentum=0.9),
        lambda optax: optax.sgd(1e-4, momentum=0.9),
    ),
    "Momentum, Nesterov": Rule(
        lambda: Momentum(1e-4, form="nesterov"),
        lambda optim, p: optim.SGD(p, lr=1e-4, momentum=0.9, nesterov=True),
        lambda optax: optax.sgd(1e-4, momentum=0.9, nesterov=True),
    ),
    "AdaGrad": Rule(
        lambda: AdaGrad(0.1),
        lambda optim, p: optim.Adagrad(p, lr=0.1),
        lambda optax: optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-20),
    ),
    "RMSProp": Rule(
        lambda: RMSProp(1e-4),
        lambda optim, p: optim.RMSprop(p, lr=1e-4, alpha=0.9),
        lambda optax: optax.rmsprop(1e-4, eps_in_sqrt=False),
    ),
    "Adam": Rule(
        lambda: Adam(1e-2),
        lambda optim, p: optim.Adam(p, lr=1e-2),
        lambda optax: optax.adam(1e-2),
    ),
    "AdamW": Rule(
        lambda: AdamW(1e-2),
        lambda optim, p: optim.AdamW(p, lr=1e-2),
        lambda optax: optax.adamw(1e-2, weight_decay=1e-2),
    ),
}


def ours(rule: Rule, steps: int) -> Contender:
    """Walk with `minimize`, which keeps the path."""
    box: list[Any] = [None]

    def run() -> None:
        box[0] = minimize(rosenbrock, START, rule.ours(), steps)

    return Contender(run, result=lambda: box[0].theta[-1], per=steps)


def torch_walk(rule: Rule, steps: int) -> Contender:
    """Walk with autograd and `torch.optim`."""
    torch = threads()
    box: list[Any] = [None]

    def run() -> None:
        theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
        optimizer = rule.torch(torch.optim, [theta])
        for _ in range(steps):
            optimizer.zero_grad()
            x, y = theta
            loss = (1 - x) ** 2 + 100 * (y - x**2) ** 2
            loss.backward()
            optimizer.step()
        box[0] = theta.detach().numpy()

    return Contender(run, result=lambda: box[0], per=steps, tolerance=1e-9)


def jax_walk(rule: Rule, steps: int) -> Contender:
    """Walk in one program that is compiled beforehand; it returns all values of the function."""
    import jax
    import optax

    optimizer = rule.optax(optax)

    def function(theta: Any) -> Any:
        x, y = theta
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    @jax.jit
    def walk(theta: Any) -> Any:
        def body(carry: Any, _: Any) -> Any:
            theta, state = carry
            value, gradient = jax.value_and_grad(function)(theta)
            updates, state = optimizer.update(gradient, state, theta)
            return (optax.apply_updates(theta, updates), state), value

        (theta, _), values = jax.lax.scan(body, (theta, optimizer.init(theta)), length=steps)
        return theta, values

    box: list[Any] = [None]

    def run() -> None:
        with jax.enable_x64(True):
            box[0] = jax.block_until_ready(walk(np.array(START)))[0]

    return Contender(run, result=lambda: np.asarray(box[0]), per=steps, tolerance=1e-9)


def measure(
    rounds: int,
    missing: dict[str, str],
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    steps: int = STEPS,
) -> list[dict[str, Any]]:
    """Return a row for every optimizer and contender."""
    found = []
    for name, rule in RULES.items():
        made = {
            PURE: lambda rule=rule: ours(rule, steps),
            FAST: lambda rule=rule: ours(rule, steps),
            "torch": lambda rule=rule: torch_walk(rule, steps),
            "jax scan": lambda rule=rule: jax_walk(rule, steps),
        }
        some = chosen(contenders, made)
        found += rows(TABLE, {"optimizer": name}, some, rounds=rounds, missing=missing)
    return found
