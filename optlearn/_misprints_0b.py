"""The errors of article 0, E0-09 to E0-14: its example network, its names and its outlook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn.functions import Quadratic
from optlearn.gradients import finite_difference, relative_error
from optlearn.losses import binary_cross_entropy, sigmoid
from optlearn.networks import MLP
from optlearn.optimizers import Adam

__all__ = ["MISPRINTS"]

Rule = Callable[..., Any]


# E0-09: what the betas do ------------------------------------------------------------------------


def _says_what_averages(claim: Rule) -> bool:
    """Switch one beta on at a time and see which makes the steps of a zigzag short."""
    for name, betas in (("beta1", (0.9, 0.0)), ("beta2", (0.0, 0.9))):
        rule, theta = Adam(1.0, beta1=betas[0], beta2=betas[1]), np.zeros(1)
        for t in range(60):
            before, theta = theta, rule.step(theta, np.array([(-1.0) ** t]))
        if claim(name) != bool(abs(theta[0] - before[0]) < 0.5):
            return False
    return True


# E0-10: an example that is not there -------------------------------------------------------------

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR, AND = np.array([[0.0], [1.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [0.0], [1.0]])


def _train(network: MLP, y: Array, seed: int) -> float:
    """Return the cross-entropy after a hundred steps of Adam."""
    theta, adam = network.init(np.random.default_rng(seed)), Adam(0.3)
    for _ in range(100):
        theta = adam.step(theta, network.loss_and_grad(theta, CORNERS, y, binary_cross_entropy)[1])
    return float(network.loss_and_grad(theta, CORNERS, y, binary_cross_entropy)[0])


def _sizes_alone(reader: int) -> float:
    """Take the sizes as printed; each reader adds an activation, labels and a start."""
    activation = ("sigmoid", "tanh", "relu")[reader % 3]
    return _train(MLP([2, 1, 1], activation), (XOR, AND)[reader % 2], reader)


def _all_that_is_needed(reader: int) -> float:
    """Say sizes, activation, data and start: nothing is left to the reader."""
    return _train(MLP([2, 2, 1], "sigmoid"), XOR, 2)


def _can_be_repeated(example: Rule) -> bool:
    """Let three readers run it: one result, and a better one than that of a guess."""
    results = [example(reader) for reader in range(3)]
    return bool(np.ptp(results) == 0 and results[0] < np.log(2) / 2)


# E0-11: a label for a probability ----------------------------------------------------------------


def _with_label(z: float, y: float) -> float:
    """Put the predicted label, 0 or 1, into the cross-entropy."""
    with np.errstate(divide="ignore", invalid="ignore"):
        label = np.float64(z > 0)
        return float(-(y * np.log(label) + (1 - y) * np.log(1 - label)))


def _from_logit(z: float, y: float) -> float:
    """Compute the cross-entropy of the probability, without computing that."""
    return float(max(z, 0.0) - z * y + np.log1p(np.exp(-abs(z))))


def _is_the_cross_entropy(loss: Rule) -> bool:
    """Compare with log(1 + exp(z)) - z y where both are ordinary numbers."""
    points = [(z, y) for z in (-40.0, -2.0, 0.5, 40.0) for y in (0.0, 1.0)]
    found = [loss(z, y) for z, y in points]
    return bool(np.allclose(found, [np.logaddexp(0, z) - z * y for z, y in points], atol=1e-14))


# E0-12: four gradients ---------------------------------------------------------------------------


def _four_gradients(
    network: MLP, theta: Array, x: Array, y: Array, reading: str = "B"
) -> list[Array]:
    """Return what is printed, with h and o as in reading A (by name) or B (charitable)."""
    _, hidden, logits = network.activations(theta, x)
    output = sigmoid(logits)
    h, o = (hidden, output) if reading == "A" else (output, hidden)
    error = (h - y) / len(x)
    bias = error.sum(axis=0)
    return [x.T @ error, bias, o.T @ error, bias]


def _backpropagated(
    network: MLP, theta: Array, x: Array, y: Array, reading: str = ""
) -> list[Array]:
    """Return the gradients by the chain rule."""
    _, hidden, logits = network.activations(theta, x)
    (_, _), (W_out, _) = network.unpack(theta)
    output = (sigmoid(logits) - y) / len(x)
    inner = (output @ W_out.T) * hidden * (1 - hidden)
    return [x.T @ inner, inner.sum(axis=0), hidden.T @ output, output.sum(axis=0)]


def _are_slopes(rule: Rule) -> bool:
    """Compare with differences, for one hidden unit and for three."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 2))
    y = (x.sum(axis=1, keepdims=True) > 0) * 1.0
    for hidden in (1, 3):
        network = MLP([2, hidden, 1], "sigmoid")
        theta = network.init(rng, scheme="glorot")

        def value(theta: Array, network: MLP = network) -> Array:
            return np.asarray(binary_cross_entropy(network.forward(theta, x), y)[0])

        slopes = [a for pair in network.unpack(finite_difference(value, theta)) for a in pair]
        for found, slope in zip(rule(network, theta, x, y), slopes, strict=True):
            if found.shape != slope.shape or relative_error(found, slope) > 1e-6:
                return False
    return True


# E0-13: the future -------------------------------------------------------------------------------

PUBLISHED = {
    "SGD": ("robbins1951stochastic", 1951),
    "asynchronous SGD": ("tsitsiklis1986distributed", 1986),
    "AdaGrad": ("duchi2011adaptive", 2011),
    "RMSProp": ("tieleman2012rmsprop", 2012),
    "Adam": ("kingma2015adam", 2015),
}
WRITTEN = 2018  # the latest year in the article's own references: it is no older


def _tells_past_from_future(claim: Rule) -> bool:
    """Ask of each method whether it was still to come, and of one that was."""
    years = [year for _, year in PUBLISHED.values()]
    return all(claim(year, WRITTEN) == (year > WRITTEN) for year in [*years, WRITTEN + 5])


# E0-14: second order -----------------------------------------------------------------------------


def _second_stage(theta: Array, gradient: Rule, hessian: Array) -> Array:
    """Estimate the parameters, then a second time: two steps of descent."""
    rate = 1 / np.linalg.norm(hessian, 2)
    first = theta - rate * gradient(theta)
    return np.asarray(first - rate * gradient(first))


def _second_order(theta: Array, gradient: Rule, hessian: Array) -> Array:
    """Use the second derivatives: Newton's step."""
    return np.asarray(theta - np.linalg.solve(hessian, gradient(theta)))


def _solves_a_bowl(rule: Rule) -> bool:
    """Take one step in a turned bowl with condition number 110."""
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    bowl = Quadratic(turn @ np.diag([1.0, 110.0]) @ turn.T)
    theta = rule(np.array([1.0, -2.0]), bowl.gradient, bowl.hessian(np.zeros(2)))
    return bool(np.linalg.norm(bowl.gradient(theta)) < 1e-10)


MISPRINTS = (
    Misprint(
        id="E0-09",
        severity="C",
        place="section 3, item 3, and section 4.3",
        says="beta1 and beta2 are both momentum parameters of Adam.",
        right="beta1 averages gradients, beta2 their squares.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-names",
        demand="it says which of the two averages a zigzag out",
        printed=lambda name: name in ("beta1", "beta2"),
        corrected=lambda name: name == "beta1",
        meets=_says_what_averages,
    ),
    Misprint(
        id="E0-10",
        severity="B",
        place="section 4",
        says="A 2-1-1 network serves as the example of classification; no code, data or result.",
        right="Sizes fix no result: data, activation and start do. XOR takes two hidden units.",
        sources=("minsky1969perceptrons",),
        chapter="01_networks#networks-floor",
        demand="three readers who run it get one result, a better one than that of a guess",
        printed=_sizes_alone,
        corrected=_all_that_is_needed,
        meets=_can_be_repeated,
    ),
    Misprint(
        id="E0-11",
        severity="C",
        place="section 4.2",
        says="In the cross-entropy, y-hat is the predicted label.",
        right="It is a predicted probability, and code starts from the logit.",
        sources=(),
        chapter="02_losses#losses-sources",
        demand="it is the cross-entropy, for large logits too",
        printed=_with_label,
        corrected=_from_logit,
        meets=_is_the_cross_entropy,
    ),
    Misprint(
        id="E0-12",
        severity="A",
        place="sections 4.2 and 4.3",
        says="Four gradients of the 2-1-1 network with the error h - y, equal for both biases.",
        right="Backpropagation: the hidden layer receives the output error times its weight.",
        sources=("rumelhart1986learning", "goodfellow2016deep"),
        chapter="03_backpropagation#backprop-sources-211",
        demand="the gradients are those of finite differences, for one hidden unit and for three",
        printed=_four_gradients,
        corrected=_backpropagated,
        meets=_are_slopes,
    ),
    Misprint(
        id="E0-13",
        severity="C",
        place="section 5, items 1 and 2",
        says="SGD, asynchronous descent, AdaGrad, RMSprop and Adam are the future.",
        right="They were published from 1951 to 2015.",
        sources=tuple(key for key, _ in PUBLISHED.values()),
        chapter="05_stochastic_gradient_descent#sgd-source-future",
        demand="what is called future was published after the article was written",
        printed=lambda published, written: True,
        corrected=lambda published, written: published > written,
        meets=_tells_past_from_future,
    ),
    Misprint(
        id="E0-14",
        severity="B",
        place="section 5, item 3",
        says="Second-stage optimisation, by a second-stage estimate of the parameters.",
        right="Second-order optimisation, by second derivatives of the loss.",
        sources=("nocedal2006numerical",),
        chapter="15_second_order#newton-step",
        demand="one step solves a quadratic bowl",
        printed=_second_stage,
        corrected=_second_order,
        meets=_solves_a_bowl,
    ),
)
