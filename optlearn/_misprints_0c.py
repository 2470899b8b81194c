"""The errors of article 0, E0-15 to E0-20: its outlook, its advice and its references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from optlearn._checks import Array
from optlearn._minimize import minimize
from optlearn._misprint import Misprint
from optlearn.functions import Quadratic
from optlearn.optimizers import Adam, GradientDescent, RMSProp

__all__ = ["MISPRINTS"]

Rule = Callable[..., Any]


# E0-15: distributed ------------------------------------------------------------------------------


def _average_of_updates(shards: Sequence[Array]) -> Array:
    """Let each worker run RMSProp on its shard, and average the steps."""
    zero = np.zeros(shards[0].shape[1])
    steps = [RMSProp(0.01).step(zero, shard.mean(axis=0)) for shard in shards]
    return np.asarray(np.mean(steps, axis=0))


def _update_of_average(shards: Sequence[Array]) -> Array:
    """Average the workers' gradients by shard size, then take one step."""
    sizes = [len(shard) for shard in shards]
    mean = np.average([shard.mean(axis=0) for shard in shards], axis=0, weights=sizes)
    return np.asarray(RMSProp(0.01).step(np.zeros_like(mean), mean))


def _is_the_step_of_one_machine(rule: Rule) -> bool:
    """Compare with RMSProp on all samples at once, for two ways to share them out."""
    samples = np.random.default_rng(0).normal(0.1, 1.0, size=(40, 6))
    whole = RMSProp(0.01).step(np.zeros(6), samples.mean(axis=0))
    shares = (np.split(samples, 4), np.split(samples, [4]))
    return all(np.allclose(rule(shards), whole, rtol=1e-9) for shards in shares)


# E0-16: combining --------------------------------------------------------------------------------


def _momentum_on_adam(gradients: Array) -> Array:
    """Combine all: a momentum buffer that is fed the steps of Adam."""
    theta = u = np.zeros(gradients.shape[1])
    adam, path = Adam(0.01), []
    for g in gradients:
        u = 0.9 * u + adam.step(np.zeros_like(theta), g)
        theta = theta + u
        path.append(theta)
    return np.array(path)


def _momentum_over_rmsprop(gradients: Array) -> Array:
    """Divide an average of gradients by RMSProp's root, both corrected for their start."""
    theta = m = s = np.zeros(gradients.shape[1])
    path = []
    for t, g in enumerate(gradients, start=1):
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        theta = theta - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        path.append(theta)
    return np.array(path)


def _keeps_its_length(rule: Rule) -> bool:
    """Feed steady gradients and a zigzag: steps of one rate, and of less than half a rate."""
    zigzag = (-1.0) ** np.arange(200)
    steady, turning = np.abs(rule(np.column_stack([np.ones(200), zigzag]))[-2:].T @ [1, -1]) / 0.01
    return bool(abs(steady - 1) < 0.01 and turning < 0.5)


# E0-17: choosing a rate --------------------------------------------------------------------------


def _cross_validated(train: Rule, rates: Array, n: int) -> float:
    """Choose by five-fold cross-validation."""
    folds = np.array_split(np.arange(n), 5)
    rest = [np.setdiff1d(np.arange(n), fold) for fold in folds]
    scores = [
        np.mean([train(rate, *rows) for rows in zip(rest, folds, strict=True)]) for rate in rates
    ]
    return float(rates[np.argmin(scores)])


def _held_out(train: Rule, rates: Array, n: int) -> float:
    """Choose by one validation split."""
    rows = np.arange(n)
    scores = [train(rate, rows[: 4 * n // 5], rows[4 * n // 5 :]) for rate in rates]
    return float(rates[np.argmin(scores)])


def _finds_a_rate_with_fourteen_trainings(choose: Rule) -> bool:
    """Try as many rates as the trainings allow: one must be within a tenth of the best."""
    rng, trainings = np.random.default_rng(0), []
    x = rng.normal(size=(400, 5))
    y = x @ np.arange(5.0) + 0.5 * rng.normal(size=400)

    def train(rate: float, rows: Array, held_out: Array) -> float:
        trainings.append(rate)
        w = np.zeros(5)
        for _ in range(20):
            w = w - rate * x[rows].T @ (x[rows] @ w - y[rows]) / len(rows)
        return float(np.mean((x[held_out] @ w - y[held_out]) ** 2))

    choose(train, np.array([0.1]), 200)
    rates = np.geomspace(1e-3, 10.0, 14 // len(trainings))
    chosen = choose(train, rates, 200)
    fresh = [
        train(rate, np.arange(200), np.arange(200, 400)) for rate in np.geomspace(1e-3, 1, 31)
    ]
    return train(chosen, np.arange(200), np.arange(200, 400)) < 1.1 * min(fresh)


# E0-18: the size of the data set -----------------------------------------------------------------


@cache
def _winner(n: int, condition: float) -> str:
    """Fit a line to n samples whose features differ in scale; each method has its best rate."""
    rng = np.random.default_rng(n)
    x = np.linalg.qr(rng.normal(size=(n, 2)))[0] * np.sqrt(n) * [1.0, condition**-0.5]
    bowl, start = Quadratic(x.T @ x / n, [1.0, condition**0.5]), np.zeros((20, 2))
    rates = {GradientDescent: np.geomspace(0.01, 1.99, 20), Adam: np.geomspace(1e-3, 10.0, 20)}
    left = {
        method.__name__: np.nanmin(minimize(bowl, start, method(lr[:, None]), 100).loss[-1])
        for method, lr in rates.items()
    }
    return min(left, key=lambda name: left[name])


def _names_the_winner(claim: Rule) -> bool:
    """Ask for small and large data, of one scale and of scales up to a hundred apart."""
    tasks = [(20, 1.0), (20, 16.0), (20, 64.0), (20, 1e4), (2000, 1.0), (2000, 1e4)]
    return all(claim(*task) == _winner(*task) for task in tasks)


# E0-19: what decides a step ----------------------------------------------------------------------


def _next(theta: float, gradient: float, settings: float, memory: Sequence[float]) -> float:
    """Take a step of Adam, of that rate and after those gradients."""
    adam = Adam(settings)
    for g in memory:
        adam.step(np.zeros(1), np.array([g]))
    return float(adam.step(np.array([theta]), np.array([gradient]))[0])


def _names_what_decides_a_step(claim: Rule) -> bool:
    """Change one thing at a time, and see whether the parameters after the step change."""
    usual: dict[str, Any] = {"theta": 1.0, "gradient": 0.5, "settings": 0.1, "memory": ()}
    other: dict[str, Any] = {
        "theta": 2.0,
        "gradient": -0.7,
        "settings": 0.01,
        "memory": (3.0, -1.0),
    }
    decides = {name for name in usual if _next(**usual) != _next(**{**usual, name: other[name]})}
    return bool(claim(tuple(usual)) == decides)


# E0-20: references -------------------------------------------------------------------------------

ADAM = ("Adam: A Method for Stochastic Optimization", "arXiv:1412.6980")
BOOKS = (("Deep Learning", "MIT Press"), ("Numerical Optimization", "Springer"))
OVERVIEW = ("An Overview of Gradient Descent Optimization Algorithms", "arXiv:1609.04747")
ADAGRAD = (
    "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    "Journal of Machine Learning Research 12, 2121-2159",
)
OFF_SUBJECT = (
    ("Sequence to Sequence Learning with Neural Networks", "arXiv:1409.3215"),
    ("Attention Is All You Need", "arXiv:1706.03762"),
)
INITIALIZATION = "On the importance of initialization and momentum in deep learning"
REPRESENTATION = ("Representation Learning: A Review and New Perspectives", "arXiv:1206.5538")
DUELING = ("Dueling Network Architectures for Deep Reinforcement Learning", "arXiv:1511.06581")
WORKS = dict(
    pair[::-1]
    for pair in (
        *(ADAM, OVERVIEW, ADAGRAD, REPRESENTATION, DUELING, *BOOKS, *OFF_SUBJECT),
        (INITIALIZATION, "PMLR 28(3), 1139-1147"),
        (
            "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
            "arXiv:1312.6120",
        ),
        (
            "Semantical Equivalence of the Control Flow Graph and the Program Dependence Graph",
            "arXiv:1803.02976",
        ),
    )
)  # identifier: title, as far as we could find them


def _list_of_65() -> tuple[tuple[str, str], ...]:
    """Return title and identifier of the references, in the article's order."""
    return (
        ADAM,
        (INITIALIZATION, "arXiv:1312.6120"),
        *BOOKS,
        OVERVIEW,
        ("Gradient Descent: A First Order Optimization Algorithm", "arXiv:1806.08930"),
        ADAGRAD,
        ("Variational Autoencoders: A Review", "arXiv:1606.05943"),
        ("Improving Neural Networks by Pretraining with Gradient Descent", "arXiv:1605.07214"),
        ("Deep Learning: A Review", "arXiv:1304.5251"),
        ("Pong: A Deep Reinforcement Learning Framework", "arXiv:1511.06581"),
        *OFF_SUBJECT,
        (
            "Landmark-based Deep Learning for Large-scale 3D Point Cloud Understanding",
            "arXiv:1803.02976",
        ),
        ("The All-MLP Architecture for Graph Convolutional Networks", "arXiv:1801.07176"),
        *50 * (("Graph Convolutional Networks", "arXiv:1802.05018"),),
    )


def _list_of_works() -> tuple[tuple[str, str], ...]:
    """Return the works that exist and bear on the subject, with their own identifiers."""
    initialization = (INITIALIZATION, "PMLR 28(3), 1139-1147")
    return (ADAM, initialization, *BOOKS, OVERVIEW, ADAGRAD, REPRESENTATION)


def _leads_to_works(references: Rule) -> bool:
    """Look for repetitions, and for each title under its identifier."""
    entries = references()
    found = [WORKS.get(identifier) == title for title, identifier in entries]
    return len(set(entries)) == len(entries) and all(found)


MISPRINTS = (
    Misprint(
        id="E0-15",
        severity="B",
        place="section 5, item 4",
        says="Mirrored Gradient Descent, Distributed RMSprop and Distributed Adam are algorithms.",
        right="Gradients are averaged, then the ordinary rule is applied; mirror descent differs.",
        sources=("beck2003mirror",),
        chapter="16_parallel_training#parallel-synchronous",
        demand="the workers together take the step of one machine with all samples",
        printed=_average_of_updates,
        corrected=_update_of_average,
        meets=_is_the_step_of_one_machine,
    ),
    Misprint(
        id="E0-16",
        severity="C",
        place="section 5, item 6",
        says="Gradient descent may be combined with momentum, RMSprop, Adam and others.",
        right="Momentum combined with RMSProp, both averages corrected, is Adam.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-momentum",
        demand="under steady gradients its steps are one rate long, in a zigzag less than half",
        printed=_momentum_on_adam,
        corrected=_momentum_over_rmsprop,
        meets=_keeps_its_length,
    ),
    Misprint(
        id="E0-17",
        severity="B",
        place="question 4",
        says="Usually one can try cross-validation to choose a suitable learning rate.",
        right="By one validation split, on a logarithmic grid; k folds cost k times as much.",
        sources=("goodfellow2016deep",),
        chapter="09_learning_rates#rates-data-folds",
        demand="with fourteen trainings to spend it finds a rate within a tenth of the best",
        printed=_cross_validated,
        corrected=_held_out,
        meets=_finds_a_rate_with_fourteen_trainings,
    ),
    Misprint(
        id="E0-18",
        severity="B",
        place="question 5",
        says="Choose by task and data; for small data one can try gradient descent or SGD, "
        "for large momentum, RMSProp, Adam.",
        right="The problem decides, its conditioning and its noise, not the number of samples.",
        sources=("wilson2017marginal", "schmidt2021descending"),
        chapter="10_comparing_optimizers#comparing-data-sizes",
        demand="it names the better method for six data sets",
        printed=lambda n, condition: "GradientDescent" if n < 1000 else "Adam",
        corrected=lambda n, condition: "GradientDescent" if condition < 30 else "Adam",
        meets=_names_the_winner,
    ),
    Misprint(
        id="E0-19",
        severity="C",
        place="section 2, item 4",
        says="An optimizer automatically adjusts model parameters, by the gradient.",
        right="It does, with settings that the user chooses and a memory of earlier gradients.",
        sources=(),
        chapter="07_rmsprop#rmsprop-source-future",
        demand="it names all that decides a step of Adam",
        printed=lambda names: {"theta", "gradient"},
        corrected=set,
        meets=_names_what_decides_a_step,
    ),
    Misprint(
        id="E0-20",
        severity="A",
        place="references",
        says="A list of 65 references.",
        right="Sixteen works: seven real (one with half its authors), nine wrong or missing.",
        sources=("sutskever2013importance", "saxe2014exact", "bengio2013representation"),
        chapter="17_source_audit#audit-references",
        demand="no work is listed twice, and each identifier belongs to the title beside it",
        printed=_list_of_65,
        corrected=_list_of_works,
        meets=_leads_to_works,
    ),
)
