"""The eighteen errors of article 2: the first six, of units, losses and gradients, are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn import _misprints_2b, _misprints_2c
from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn.adaptive import Adam, RMSProp
from optlearn.functions import Function, rosenbrock
from optlearn.gradients import finite_difference
from optlearn.losses import mean_squared_error
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent
from optlearn.training import minimize

__all__ = ["MISPRINTS"]


def _step(z: Array) -> Array:
    """Fire or not: the activation of Rosenblatt's perceptron."""
    return np.where(z > 0, 1.0, 0.0)


def _has_a_slope(activation: Callable[[Array], Array]) -> bool:
    """Ask finite differences for the gradient of a 2-3-1 network in its first weights."""
    rng = np.random.default_rng(0)
    x, second, first = rng.normal(size=(20, 2)), rng.normal(size=3), rng.normal(size=6)

    def loss(w: Array) -> Any:
        return np.mean((activation(x @ w.reshape(2, 3)) @ second - 1) ** 2)

    return bool(np.any(finite_difference(loss, first) != 0))


def _backpropagation_moves(part: str) -> bool:
    """Say whether a part of training changes the weights, as the article does."""
    return part == "backpropagation"


def _optimizer_moves(part: str) -> bool:
    """Say it as it is: what the optimizer returns are the changed weights."""
    return part == "optimizer"


def _says_what_moves(claim: Callable[[str], bool]) -> bool:
    """Compare a claim with the weights before and after either part."""
    rng = np.random.default_rng(0)
    network = MLP((4, 5, 3))
    theta = network.init(rng)
    before = theta.copy()
    grad = network.loss_and_grad(theta, rng.normal(size=(8, 4)), rng.integers(3, size=8))[1]
    moved = {"backpropagation": not np.array_equal(theta, before)}
    moved["optimizer"] = not np.array_equal(GradientDescent(0.1).step(theta, grad), before)
    return all(claim(part) == moves for part, moves in moved.items())


def _loss_against_target(prediction: float, target: float) -> float:
    """Solve the sentence for the loss: L = |L - y| has the solution y / 2 if y >= 0."""
    return target / 2 if target >= 0 else float("nan")


def _prediction_against_target(prediction: float, target: float) -> float:
    """Square the difference between the prediction and the target."""
    return float(mean_squared_error(np.array([prediction]), np.array([target]))[0])


def _one_path(to_loss: Array, from_weight: Array) -> Array:
    """Multiply along a path, for each j: the article leaves the choice of j to the reader."""
    return to_loss * from_weight


def _all_paths(to_loss: Array, from_weight: Array) -> Any:
    """Add the products along all paths."""
    return np.sum(to_loss * from_weight)


def _is_the_slope(chain: Callable[[Array, Array], Any]) -> bool:
    """One weight feeds two outputs; finite differences know how the loss depends on it."""
    w, x, u, target = 0.3, 0.7, np.array([1.5, -2.0]), np.array([1.0, 0.5])
    slope = finite_difference(
        lambda w: np.sum((u * np.tanh(w[0] * x) - target) ** 2) / 2, np.array([w])
    )[0]
    bend = np.tanh(w * x)
    return np.allclose(chain(u * bend - target, u * (1 - bend**2) * x), slope, rtol=1e-6)


def _differ_in_all(quantity: str) -> bool:
    """Say whether SGD, RMSProp and Adam differ in a quantity, as the article does."""
    return quantity in {"gradient", "step"}


def _differ_in_step(quantity: str) -> bool:
    """Say it as it is: the gradient is that of the loss, whoever uses it."""
    return quantity == "step"


def _says_what_differs(claim: Callable[[str], bool]) -> bool:
    """Record, for each method, the first gradient it is given and the step it makes of it."""
    asked: list[Array] = []

    def gradient(theta: Array) -> Array:
        asked.append(rosenbrock.gradient(theta))
        return asked[-1]

    watched = Function(
        "watched", rosenbrock.value, gradient, rosenbrock.hessian, None, rosenbrock.domain
    )
    gradients, steps = [], []
    for method in (GradientDescent(1e-3), RMSProp(1e-3), Adam(1e-3)):
        asked.clear()
        steps.append(minimize(watched, [-1.0, 0.5], method, 1).theta[1])
        gradients.append(asked[0])
    differ = {"gradient": bool(np.ptp(gradients, axis=0).any())}
    differ["step"] = bool(np.ptp(steps, axis=0).any())
    return all(claim(quantity) == differs for quantity, differs in differ.items())


def _whole_gradient(w: float, slopes: Array, batch: Array, rate: float) -> Any:
    """Step along the gradient of L as the loss on all samples: the formula names no batch."""
    return w - rate * np.mean(slopes)


def _batch_gradient(w: float, slopes: Array, batch: Array, rate: float) -> Any:
    """Step along the mean gradient of the samples of the batch."""
    return w - rate * np.mean(slopes[batch])


def _needs_the_batch_alone(step: Callable[[float, Array, Array, float], Any]) -> bool:
    """Change the samples that were not drawn: the step must not know of it."""
    slopes, batch = np.random.default_rng(0).normal(size=32), np.arange(8)
    others = np.concatenate([slopes[:8], slopes[8:] + 1])
    return bool(step(1.0, slopes, batch, 0.1) == step(1.0, others, batch, 0.1))


MISPRINTS = (
    Misprint(
        id="E2-01",
        severity="C",
        place="section 2",
        says="A network consists of layers of perceptrons that multiply by weights.",
        right="Units with a bias and a bend; the perceptron's step has no gradient to follow.",
        sources=("rosenblatt1958perceptron", "rumelhart1986learning"),
        chapter="01_networks#networks-neuron",
        demand="the loss has a slope in the first layer's weights",
        printed=_step,
        corrected=np.tanh,
        meets=_has_a_slope,
    ),
    Misprint(
        id="E2-02",
        severity="B",
        place="sections 2, 3.1 and 4, question 2",
        says="Backpropagation updates the weights.",
        right="Backpropagation computes the gradient; the optimizer updates the weights.",
        sources=("goodfellow2016deep",),
        chapter="03_backpropagation#backprop-sources-chain",
        demand="what the claim says of either part, the weights do",
        printed=_backpropagation_moves,
        corrected=_optimizer_moves,
        meets=_says_what_moves,
    ),
    Misprint(
        id="E2-03",
        severity="B",
        place="section 3.1, step 2",
        says="The loss is the difference between the loss value and the expected result.",
        right="It measures the difference between the prediction and the expected result.",
        sources=("goodfellow2016deep",),
        chapter="02_losses#losses-sources",
        demand="the loss is 0 for a right prediction and positive for a wrong one",
        printed=_loss_against_target,
        corrected=_prediction_against_target,
        meets=lambda loss: loss(1.0, 1.0) == 0 < loss(0.6, 1.0),
    ),
    Misprint(
        id="E2-04",
        severity="A",
        place="section 3.1, step 3",
        says=r"\frac{\partial L}{\partial w_i}=\frac{\partial L}{\partial o_j}"
        r"\cdot\frac{\partial o_j}{\partial w_i}",
        right="The sum over all intermediate variables that the weight acts on.",
        sources=("rumelhart1986learning", "goodfellow2016deep"),
        chapter="03_backpropagation#backprop-chain",
        demand="it is the slope that finite differences find",
        printed=_one_path,
        corrected=_all_paths,
        meets=_is_the_slope,
    ),
    Misprint(
        id="E2-05",
        severity="B",
        place="section 3.2",
        says="SGD, Adam and RMSprop differ in how the gradient is computed.",
        right="The gradient is the same; they differ in the step they make of it.",
        sources=("ruder2016overview",),
        chapter="05_stochastic_gradient_descent#sgd-source-difference",
        demand="what the claim says to differ does, at one point and from one start",
        printed=_differ_in_all,
        corrected=_differ_in_step,
        meets=_says_what_differs,
    ),
    Misprint(
        id="E2-06",
        severity="B",
        place="section 3.2.1",
        says=r"w_i=w_i-\eta\frac{\partial L}{\partial w_i}",
        right="SGD takes the mean gradient over a random batch.",
        sources=("robbins1951stochastic", "bottou2018optimization"),
        chapter="05_stochastic_gradient_descent#sgd-source-difference",
        demand="a step needs the samples of its batch and no others",
        printed=_whole_gradient,
        corrected=_batch_gradient,
        meets=_needs_the_batch_alone,
    ),
    *_misprints_2b.MISPRINTS,
    *_misprints_2c.MISPRINTS,
)
