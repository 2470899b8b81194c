"""The twelve errors of article 4: the first six, of what its text says, are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn import _misprints_4b
from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn.functions import rosenbrock
from optlearn.gradients import finite_difference
from optlearn.losses import binary_cross_entropy, mean_squared_error, sigmoid
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent

__all__ = ["MISPRINTS"]


def _best_on_the_test_set(validation: Array, test: Array) -> Any:
    """Choose the predictor that is best on the test set; report its accuracy there."""
    return np.max(np.mean(test, axis=-1), axis=-1)


def _best_on_validation(validation: Array, test: Array) -> Any:
    """Choose on the validation set; report the accuracy on the test set."""
    best = np.argmax(np.mean(validation, axis=-1), axis=-1)
    return np.take_along_axis(np.mean(test, axis=-1), best[..., None], axis=-1)[..., 0]


def _reports_that_guessers_guess(choose: Callable[[Array, Array], Any]) -> bool:
    """Choose among 50 predictors that guess one of ten classes, 200 times."""
    right = np.random.default_rng(0).random((2, 200, 50, 100)) < 0.1
    error = np.sqrt(0.1 * 0.9 / 100 / 200)  # of the mean of 200 reports on 100 samples each
    return bool(abs(np.mean(choose(right[0], right[1])) - 0.1) < 4 * error)


def _along(w: float, slope: float, rate: float) -> float:
    """Step in the direction of the gradient."""
    return w + rate * slope


def _against(w: float, slope: float, rate: float) -> float:
    """Step against the gradient."""
    return w - rate * slope


def _one_derivative(f: Callable[[Array], Any], theta: Array) -> Any:
    """Take the derivative at a point as for one variable: move all coordinates together."""
    h = 1e-6
    return (f(theta + h) - f(theta - h)) / (2 * h)


def _partial_derivatives(f: Callable[[Array], Any], theta: Array) -> Array:
    """Take the derivative in each coordinate, the others held."""
    return finite_difference(f, theta)


def _predicts_every_move(gradient: Callable[..., Any]) -> bool:
    """Compare gradient times move with the change of the function, in sixteen directions."""
    theta = np.array([0.5, -1.0])
    g, angles = gradient(rosenbrock.value, theta), np.arange(16) * np.pi / 8
    moves = 1e-6 * np.column_stack([np.cos(angles), np.sin(angles)])
    changes = rosenbrock.value(theta + moves) - rosenbrock.value(theta)
    return np.allclose(np.sum(g * moves, axis=1), changes, atol=1e-8)


def _updates_the_sample(part: str) -> bool:
    """Say whether a step of SGD changes a part, as the article does."""
    return part == "sample"


def _updates_the_parameters(part: str) -> bool:
    """Say it as it is."""
    return part == "parameters"


def _says_what_is_updated(claim: Callable[[str], bool]) -> bool:
    """Make one step of SGD with a single sample."""
    rng = np.random.default_rng(0)
    network = MLP((4, 5, 3))
    theta, x = network.init(rng), rng.normal(size=(1, 4))
    before = {"sample": x.copy(), "parameters": theta.copy()}
    GradientDescent(0.1).step(theta, network.loss_and_grad(theta, x, [2])[1], out=theta)
    after = {"sample": x, "parameters": theta}
    return all(claim(part) != np.array_equal(before[part], after[part]) for part in after)


def _below_a_threshold(t: int, loss: float, gradient: float) -> bool:
    """Stop when the loss is small enough: below 1/2, say."""
    return loss < 0.5


def _small_gradient_or_enough_steps(t: int, loss: float, gradient: float) -> bool:
    """Stop when the gradient has gone, or after 10,000 steps at the latest."""
    return abs(gradient) < 1e-8 or t >= 10_000


def _stops(rule: Callable[[int, float, float], bool]) -> bool:
    """Run gradient descent on w^2 / 2 + 1, which has converged long before 20,000 steps."""
    w = 3.0
    for t in range(20_000):
        if rule(t, w * w / 2 + 1, w):
            return True
        w -= 0.1 * w
    return False


def _slope_of_squares(z: float, label: float) -> float:
    """Differentiate (sigmoid(z) - y)^2 in z."""
    a = sigmoid(np.array([z]))
    return float((mean_squared_error(a, np.array([label]))[1] * a * (1 - a))[0])


def _slope_of_cross_entropy(z: float, label: float) -> float:
    """Differentiate the cross-entropy of sigmoid(z) in z."""
    return float(binary_cross_entropy(np.array([z]), np.array([label]))[1][0])


MISPRINTS = (
    Misprint(
        id="E4-01",
        severity="B",
        place="section 2",
        says="Find the weights that are best on the training set and on the test set.",
        right="Descent sees the training loss; choices are made on a validation set.",
        sources=("goodfellow2016deep",),
        chapter="01_networks#networks-pitfall-seed",
        demand="of the best of 50 guessers of ten classes it reports an accuracy of 1/10",
        printed=_best_on_the_test_set,
        corrected=_best_on_validation,
        meets=_reports_that_guessers_guess,
    ),
    Misprint(
        id="E4-02",
        severity="B",
        place="section 3.1",
        says="Small steps in the direction of the gradient reduce the loss.",
        right="Small steps against the gradient do.",
        sources=("cauchy1847methode", "nocedal2006numerical"),
        chapter="04_gradient_descent#gd-source-direction",
        demand="a step lowers w^2 / 2",
        printed=_along,
        corrected=_against,
        meets=lambda step: abs(step(1.0, 1.0, 0.1)) < 1,
    ),
    Misprint(
        id="E4-03",
        severity="C",
        place="sections 3.1 and 3.3.2",
        says="A gradient is a vector, the derivative at a point, found by differentiation or "
        "gradient differentiation.",
        right="The vector of the partial derivatives, one for each parameter.",
        sources=("griewank2008evaluating",),
        chapter="03_backpropagation#backprop-idea",
        demand="gradient times a small move is the change of the function, in every direction",
        printed=_one_derivative,
        corrected=_partial_derivatives,
        meets=_predicts_every_move,
    ),
    Misprint(
        id="E4-04",
        severity="B",
        place="sections 3.1, 3.2 and 3.3.2, question 2",
        says="SGD updates one sample in each iteration.",
        right="It updates the parameters, by the gradient of one sample or of a batch.",
        sources=("robbins1951stochastic", "bottou2018optimization"),
        chapter="05_stochastic_gradient_descent#sgd-source-updates",
        demand="what the claim says to be updated is changed by a step, and nothing else",
        printed=_updates_the_sample,
        corrected=_updates_the_parameters,
        meets=_says_what_is_updated,
    ),
    Misprint(
        id="E4-05",
        severity="B",
        place="section 3.2, step 6, question 1",
        says="Repeat until the loss reaches a threshold that satisfies us.",
        right="Until the gradient is small or the validation loss rises, and never without a "
        "largest number of steps.",
        sources=("nocedal2006numerical", "yao2007early"),
        chapter="04_gradient_descent#gd-stopping",
        demand="it ends a run on a loss that cannot fall below 1",
        printed=_below_a_threshold,
        corrected=_small_gradient_or_enough_steps,
        meets=_stops,
    ),
    Misprint(
        id="E4-06",
        severity="B",
        place="section 3.3.1",
        says="In neural networks we usually use the mean squared error.",
        right="For classes the cross-entropy of the logits, which does not saturate.",
        sources=("goodfellow2016deep",),
        chapter="02_losses#losses-neuron",
        demand="a sigmoid that is wrong by a logit of 8 gets a slope above 1/2",
        printed=_slope_of_squares,
        corrected=_slope_of_cross_entropy,
        meets=lambda slope: abs(slope(8.0, 0.0)) > 0.5,
    ),
    *_misprints_4b.MISPRINTS,
)
