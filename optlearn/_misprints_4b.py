"""The last six errors of article 4, all but one of its program, which stops in the second pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn.gradients import finite_difference
from optlearn.losses import sigmoid
from optlearn.networks import MLP

__all__ = ["MISPRINTS"]

X = np.array([[1.0], [2.0], [3.0], [4.0]])
SIGNS = np.array([[1.0], [-1.0], [1.0], [-1.0]])


def _articles_program(rng: np.random.Generator, passes: int) -> tuple[Array, Array]:
    """Run the program of section 4 as it is printed, from seeded numbers."""
    w, b = rng.normal(size=(1, 2)), rng.normal(size=(1, 1))
    for _ in range(passes):
        z = np.dot(X, w) + b
        a = 1 / (1 + np.exp(-z))
        dw = (a - SIGNS) * a * (1 - a)
        db = a - SIGNS
        w = w - 0.01 * dw
        b = b - 0.01 * db
    return w, b


def _program_with_fitting_shapes(rng: np.random.Generator, passes: int) -> tuple[Array, Array]:
    """Run it with one output for the one label, and the gradients of the mean squared error."""
    w, b = rng.normal(size=(1, 1)), rng.normal(size=(1, 1))
    for _ in range(passes):
        dw, db = _means_times_input(w.item(), b.item(), X, SIGNS)
        w, b = w - 0.01 * dw, b - 0.01 * db
    return w, b


def _keeps_running(program: Callable[[np.random.Generator, int], Any]) -> bool:
    """Run ten passes; the weights must fit one input and one label."""
    try:
        w, b = program(np.random.default_rng(0), 10)
    except ValueError:
        return False
    return bool(w.shape == b.shape == (1, 1))


def _products_without_input(w: float, b: float, x: Array, y: Array) -> tuple[Any, Any]:
    """Compute dw and db by the article's lines, and grant them the mean over samples."""
    a = sigmoid(w * x + b)
    return np.mean((a - y) * a * (1 - a)), np.mean(a - y)


def _means_times_input(w: float, b: float, x: Array, y: Array) -> tuple[Any, Any]:
    """Differentiate the mean squared error of a sigmoid in w and in b."""
    a = sigmoid(w * x + b)
    d = 2 * (a - y) * a * (1 - a)
    return np.mean(d * x), np.mean(d)


def _are_the_slopes(gradients: Callable[..., tuple[Any, Any]]) -> bool:
    """Compare with finite differences of the loss."""
    slopes = finite_difference(
        lambda p: np.mean((sigmoid(p[0] * X + p[1]) - SIGNS) ** 2), np.array([0.5, -0.5])
    )
    return np.allclose(gradients(0.5, -0.5, X, SIGNS), slopes, rtol=1e-6)


def _as_signs(labels: Array) -> Array:
    """Ask the sigmoid for -1 and +1."""
    return labels


def _as_probabilities(labels: Array) -> Array:
    """Ask the sigmoid for 0 and 1."""
    return (labels + 1) / 2


def _can_be_reached(targets: Callable[[Array], Array]) -> bool:
    """Look for each target among the outputs of a sigmoid from logit -40 to 40."""
    outputs = sigmoid(np.linspace(-40.0, 40.0, 801))
    return bool(np.all(np.min(np.abs(outputs - targets(SIGNS)), axis=1) < 1e-12))


def _one_unit(x: Array, labels: Array) -> Array:
    """Return the best prediction of one unit: 0 to one side of a threshold and 1 to the other."""
    cuts = np.concatenate([x.ravel() - 0.5, [x.max() + 0.5]])
    sides = (x.ravel() > cuts[:, None]).astype(int)
    both = np.concatenate([sides, 1 - sides])
    right = np.sum(both == labels, axis=1)
    return np.array(both[np.argmax(right)])


def _a_hidden_layer(x: Array, labels: Array) -> Array:
    """Return the prediction of a network with a hidden unit wherever the label changes."""
    changes = np.diff(labels)
    cuts = ((x[1:] + x[:-1]) / 2)[changes != 0].ravel()
    network = MLP((1, len(cuts), 1), activation="sigmoid")
    first, second = [np.full(len(cuts), 40.0), -40 * cuts], changes[changes != 0]
    theta = np.concatenate([*first, second, [labels[0] - 0.5]])
    return np.asarray(network.predict(theta, x)).astype(int).ravel()


def _fits_the_data(model: Callable[[Array, Array], Array]) -> bool:
    """Ask for all four labels of the article, as classes."""
    classes = (SIGNS.ravel() > 0).astype(int)
    return np.array_equal(model(X, classes), classes)


def _report_success(rng_seed: int) -> dict[str, Any]:
    """Start from numbers nobody can draw again, and report the end without the loss."""
    w, b = _train(np.random.default_rng())
    return {"message": "training finished", "w": w, "b": b}


def _report_losses(rng_seed: int) -> dict[str, Any]:
    """Start from a seed, and report the loss before and after."""
    w, b = _train(np.random.default_rng(rng_seed))
    start = _train(np.random.default_rng(rng_seed), steps=0)
    return {"loss before": _loss(*start), "loss after": _loss(w, b), "w": w, "b": b}


def _train(rng: np.random.Generator, steps: int = 50) -> tuple[float, float]:
    """Descend on the mean squared error of the article's data."""
    w, b = map(float, rng.normal(size=2))
    for _ in range(steps):
        dw, db = _means_times_input(w, b, X, SIGNS)
        w, b = w - 0.01 * dw, b - 0.01 * db
    return w, b


def _loss(w: float, b: float) -> float:
    """Return the mean squared error on the article's data."""
    return float(np.mean((sigmoid(w * X + b) - SIGNS) ** 2))


def _can_be_judged(program: Callable[[int], dict[str, Any]]) -> bool:
    """Run twice with one seed: the reports are equal, and the loss in them has fallen."""
    first, second = program(0), program(0)
    return first == second and first.get("loss after", 1.0) < first.get("loss before", 1.0)


def _weights_only(
    w: float,
    b: float,
    slope_w: float,
    slope_b: float,
    rate: float,
) -> tuple[float, float]:
    """Update the weight; the formula names nothing else."""
    return w - rate * slope_w, b


def _all_parameters(
    w: float, b: float, slope_w: float, slope_b: float, rate: float
) -> tuple[float, float]:
    """Update the weight and the bias."""
    return w - rate * slope_w, b - rate * slope_b


def _fits_a_line(step: Callable[..., tuple[float, float]]) -> bool:
    """Fit y = 2 x + 3 in 500 steps from 0."""
    x = np.array([-1.0, 0.0, 1.0, 2.0])
    w = b = 0.0
    for _ in range(500):
        error = w * x + b - (2 * x + 3)
        w, b = step(w, b, 2 * np.mean(error * x), 2 * np.mean(error), 0.1)
    return bool(np.allclose([w, b], [2, 3], atol=1e-6))


MISPRINTS = (
    Misprint(
        id="E4-07",
        severity="A",
        place="section 4, program",
        says="w = np.random.randn(1, 2), two outputs for one label column.",
        right="`w` of shape (1, 1), and gradients that have the shapes of `w` and `b`.",
        sources=("harris2020numpy",),
        chapter="04_gradient_descent#gd-source-neuron",
        demand="ten passes run, and w and b keep the shape (1, 1)",
        printed=_articles_program,
        corrected=_program_with_fitting_shapes,
        meets=_keeps_running,
    ),
    Misprint(
        id="E4-08",
        severity="A",
        place="section 4, program",
        says="dw = (a - y) * a * (1 - a) and db = a - y.",
        right="`dw` is the mean of $2(a-y)a(1-a)x$, `db` the same without $x$.",
        sources=("rumelhart1986learning",),
        chapter="04_gradient_descent#gd-source-neuron",
        demand="they are the slopes that finite differences find",
        printed=_products_without_input,
        corrected=_means_times_input,
        meets=_are_the_slopes,
    ),
    Misprint(
        id="E4-09",
        severity="A",
        place="section 4, program",
        says="The labels of a sigmoid unit are +1 and -1.",
        right="They are 1 and 0; signs go with a tanh or with the hinge loss.",
        sources=("bishop2006pattern",),
        chapter="02_losses#losses-wrong-labels",
        demand="an output of the sigmoid comes within 1e-12 of every label",
        printed=_as_signs,
        corrected=_as_probabilities,
        meets=_can_be_reached,
    ),
    Misprint(
        id="E4-10",
        severity="B",
        place="section 4, program",
        says="One sigmoid unit is the network for labels that alternate along the line.",
        right="A unit is monotone in its input; the data need a hidden layer.",
        sources=("minsky1969perceptrons", "cybenko1989approximation"),
        chapter="04_gradient_descent#gd-source-neuron",
        demand="with its best parameters all four samples are right",
        printed=_one_unit,
        corrected=_a_hidden_layer,
        meets=_fits_the_data,
    ),
    Misprint(
        id="E4-11",
        severity="C",
        place="section 4, program",
        says='No seed, a loss that is computed and not shown, and always "training finished".',
        right="Seed the numbers; report the loss before and after.",
        sources=(),
        chapter="04_gradient_descent#gd-source-neuron",
        demand="two runs with one seed report the same, and a loss that has fallen",
        printed=_report_success,
        corrected=_report_losses,
        meets=_can_be_judged,
    ),
    Misprint(
        id="E4-12",
        severity="C",
        place="section 3.3.3",
        says=r"w_{i+1}=w_i-\alpha\frac{\partial L}{\partial w_i}",
        right="Steps have the index $t$, weights the index $j$, and the bias is updated too.",
        sources=("nocedal2006numerical",),
        chapter="04_gradient_descent#gd-source-direction",
        demand="it fits a line that does not pass through 0",
        printed=_weights_only,
        corrected=_all_parameters,
        meets=_fits_a_line,
    ),
)
