"""The errors of article 0, E0-01 to E0-08: losses, rates and rules.

Each has the smallest run that shows it; claims are functions that answer as their sentence does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optlearn import _misprints_0b, _misprints_0c
from optlearn._checks import Array
from optlearn._minimize import minimize
from optlearn._misprint import Misprint
from optlearn.functions import Quadratic, double_well
from optlearn.losses import binary_cross_entropy, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent

__all__ = ["MISPRINTS"]

Rule = Callable[..., Any]


# E0-01: a metric, and what trains ----------------------------------------------------------------


def _technique(network: MLP, theta: Array, x: Array, y: Array) -> float:
    """Help to train, as a "technique" does: take a step, and say how it went."""
    value, gradient = network.loss_and_grad(theta, x, y, softmax_cross_entropy)
    theta -= 0.5 * gradient
    return float(value)


def _accuracy(network: MLP, theta: Array, x: Array, y: Array) -> float:
    """Measure: the share of right answers."""
    return float(np.mean(network.predict(theta, x) == y))


def _measures(metric: Rule) -> bool:
    """Ask twice: the answer and the parameters must be the same."""
    rng = np.random.default_rng(0)
    network, x, y = MLP([2, 3, 2]), rng.normal(size=(20, 2)), np.arange(20) % 2
    theta = network.init(rng)
    before = theta.copy()
    first, second = metric(network, theta, x, y), metric(network, theta, x, y)
    return bool(first == second and np.array_equal(theta, before))


# E0-02: larger rates -----------------------------------------------------------------------------


def _smallest(rates: Sequence[float], curvature: float) -> float:
    """Name the most accurate rate as the article does: small is accurate."""
    return min(rates)


def _nearest_to_newton(rates: Sequence[float], curvature: float) -> float:
    """Name the rate whose factor 1 - rate curvature is nearest to zero."""
    return min(rates, key=lambda rate: abs(1 - rate * curvature))


def _names_the_most_accurate(claim: Rule) -> bool:
    """Compare with a hundred steps on two bowls at each rate."""
    for curvature in (1.0, 40.0):
        rates = [scale / curvature for scale in (0.001, 0.1, 0.9, 1.95)]
        bowl = Quadratic([curvature])
        ends = [
            abs(minimize(bowl, [1.0], GradientDescent(rate), 100).theta[-1, 0]) for rate in rates
        ]
        if claim(rates, curvature) != rates[int(np.argmin(ends))]:
            return False
    return True


# E0-03: where descent ends -----------------------------------------------------------------------


def _lowest(start: float) -> float:
    """Answer as the article does: the minimum, wherever the start."""
    wells = np.roots([1, 0, -1, 0.1]).real
    return float(min(wells, key=lambda x: x**4 / 4 - x**2 / 2 + 0.1 * x))


def _next_downhill(start: float) -> float:
    """Return the next stationary point of the double well on the way down."""
    roots = np.roots([1, 0, -1, 0.1]).real
    uphill_right = start**3 - start + 0.1 > 0
    return float(roots[roots < start].max() if uphill_right else roots[roots > start].min())


def _names_the_end(claim: Rule) -> bool:
    """Compare with descent from three starts."""
    starts = np.array([[-1.5], [0.3], [1.0]])
    ends = minimize(double_well, starts, GradientDescent(0.1), 300).theta[-1, :, 0]
    return bool(np.allclose([claim(start) for start in starts[:, 0]], ends, rtol=0, atol=1e-8))


# E0-04: an "undefined" loss ----------------------------------------------------------------------


def _is_the_infimum(bound: Rule) -> bool:
    """Look for cross-entropies below the bound, and for one that comes near to it."""
    logits = np.linspace(-40.0, 40.0, 81)
    values = [binary_cross_entropy(np.array([z]), np.array([1.0]))[0] for z in logits]
    return bool(min(values) >= bound() and min(values) - bound() < 1e-12)


# E0-05: SGD --------------------------------------------------------------------------------------


def _delayed_plus(
    gradients: Rule, theta: float, last: float, batch: Sequence[int], alpha: float, beta: float
) -> float:
    """Take the full gradient, and add a multiple of the last one."""
    return float(theta - alpha * gradients(theta).mean() + beta * gradients(last).mean())


def _batch_mean(
    gradients: Rule, theta: float, last: float, batch: Sequence[int], alpha: float, beta: float
) -> float:
    """Take the mean gradient of the samples that were drawn."""
    return float(theta - alpha * gradients(theta)[batch].mean())


def _is_random_and_unbiased(rule: Rule) -> bool:
    """Draw each of four samples once: steps differ, and their mean is descent's."""

    def gradients(theta: float) -> Array:
        return theta - np.array([-1.0, 0.5, 2.0, 4.0])

    steps = [rule(gradients, 3.0, 2.0, [i], 0.1, 0.9) for i in range(4)]
    descent = 3.0 - 0.1 * gradients(3.0).mean()
    return len(set(steps)) == 4 and abs(np.mean(steps) - descent) < 1e-12


# E0-06: momentum ---------------------------------------------------------------------------------


def _adds_position(theta: float, last: float, grad: float, alpha: float, beta: float) -> float:
    """Add a multiple of the last position."""
    return theta - alpha * grad + beta * last


def _adds_step(theta: float, last: float, grad: float, alpha: float, beta: float) -> float:
    """Add a multiple of the last step: the heavy ball."""
    return theta - alpha * grad + beta * (theta - last)


def _rests_at_the_minimum(rule: Rule) -> bool:
    """Run 500 steps on the parabola with its minimum at 1."""
    theta = last = 0.0
    for _ in range(500):
        theta, last = rule(theta, last, theta - 1.0, 0.1, 0.05), theta
    return abs(theta - 1.0) < 1e-9


# E0-07 and E0-08: RMSProp and Adam ---------------------------------------------------------------


def _squashes(g: Array, s: Array, rate: float, beta: float) -> tuple[Array, Array]:
    """Divide by a root that remembers nothing."""
    return rate * g / np.sqrt(1 + beta**2 * g**2), s


def _remembers_squares(g: Array, s: Array, rate: float, beta: float) -> tuple[Array, Array]:
    """Divide by the root of the mean square."""
    s = beta * s + (1 - beta) * g**2
    return rate * g / (np.sqrt(s) + 1e-8), s


def _forgets_the_scale(rule: Rule) -> bool:
    """Feed 60 equal gradients of three sizes: the last steps must have one length."""
    g = np.array([1e-4, 1.0, 1e4])
    step = s = np.zeros(3)
    for _ in range(60):
        step, s = rule(g, s, 0.01, 0.9)
    return bool(step.max() / step.min() < 1.01)


def _one_plus_beta(
    g: float, t: int, m: float, v: float, rate: float
) -> tuple[float, float, float]:
    """Divide the gradient itself by corrections with a plus."""
    return float(rate * g / (1 + 0.9**t) / (1 + 0.999**t * g * g) ** 0.5), m, v


def _algorithm_1(g: float, t: int, m: float, v: float, rate: float) -> tuple[float, float, float]:
    """Average gradients and squares, correct both, divide."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return float(rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)), m, v


def _stays_in_a_steep_bowl(rule: Rule) -> bool:
    """Run 12,000 steps of rate 0.001 in a bowl of curvature 3000."""
    theta, m, v = 1.0, 0.0, 0.0
    for t in range(1, 12_001):
        step, m, v = rule(3000.0 * theta, t, m, v, 1e-3)
        theta -= step
    return abs(theta) < 0.01


MISPRINTS = (
    Misprint(
        id="E0-01",
        severity="C",
        place="title, section 1 and question 1",
        says="Performance metrics are a technique that helps to train, and so raises performance.",
        right="A metric is a measurement: it trains nothing.",
        sources=(),
        chapter="01_networks#networks-performance",
        demand="asked twice, it answers the same and leaves the parameters alone",
        printed=_technique,
        corrected=_accuracy,
        meets=_measures,
    ),
    Misprint(
        id="E0-02",
        severity="B",
        place="section 2, item 3, and question 4",
        says="A larger rate converges too fast and less accurately; a smaller one, accurately.",
        right="On a bowl every rate below 2/L leads to the minimiser; the best is in between.",
        sources=("nocedal2006numerical", "bottou2018optimization", "robbins1951stochastic"),
        chapter="04_gradient_descent#gd-source-rate",
        demand="of four rates it names the one that is nearest after a hundred steps",
        printed=_smallest,
        corrected=_nearest_to_newton,
        meets=_names_the_most_accurate,
    ),
    Misprint(
        id="E0-03",
        severity="B",
        place="section 2, item 2, and question 2",
        says="Repeated updates bring the loss step by step to the minimum.",
        right="With a small rate they bring the gradient to zero, in general not at the minimum.",
        sources=("lee2016gradient",),
        chapter="04_gradient_descent#gd-nonconvex",
        demand="it names the point where descent in the double well ends",
        printed=_lowest,
        corrected=_next_downhill,
        meets=_names_the_end,
    ),
    Misprint(
        id="E0-04",
        severity="C",
        place="section 3, item 1",
        says="A loss is usually a continuous, undefined function.",
        right="The usual losses have a value everywhere and are bounded below.",
        sources=(),
        chapter="02_losses#losses-sources",
        demand="the cross-entropy never falls below its bound, and comes near to it",
        printed=lambda: float("nan"),
        corrected=lambda: 0.0,
        meets=_is_the_infimum,
    ),
    Misprint(
        id="E0-05",
        severity="A",
        place="section 3, item 3",
        says=r"\theta_{t+1}=\theta_t-\alpha\nabla J(\theta_t)+\beta\nabla J(\theta_{t-1})",
        right="One step along the mean gradient of a batch that was drawn at random.",
        sources=("robbins1951stochastic", "bottou2018optimization"),
        chapter="05_stochastic_gradient_descent#sgd-source-rule",
        demand="its steps depend on the sample drawn and are, in the mean, those of descent",
        printed=_delayed_plus,
        corrected=_batch_mean,
        meets=_is_random_and_unbiased,
    ),
    Misprint(
        id="E0-06",
        severity="A",
        place="section 3, item 3",
        says=r"\theta_{t+1}=\theta_t-\alpha\nabla J(\theta_t)+\beta\theta_{t-1}",
        right="The last step is added, not the last position.",
        sources=("polyak1964some", "sutskever2013importance"),
        chapter="06_momentum#momentum-source-position",
        demand="it comes to rest at the minimum of a parabola",
        printed=_adds_position,
        corrected=_adds_step,
        meets=_rests_at_the_minimum,
    ),
    Misprint(
        id="E0-07",
        severity="A",
        place="section 3, item 3",
        says=r"\theta_{t+1}=\theta_t-\alpha\frac{\nabla J(\theta_t)}"
        r"{\sqrt{1+\beta^2\nabla J(\theta_t)^2}}",
        right="The gradient is divided by the root of a moving average of its square.",
        sources=("tieleman2012rmsprop",),
        chapter="07_rmsprop#rmsprop-source-stateless",
        demand="for steady gradients of any size its steps have one length",
        printed=_squashes,
        corrected=_remembers_squares,
        meets=_forgets_the_scale,
    ),
    Misprint(
        id="E0-08",
        severity="A",
        place="section 3, item 3, section 4.3 and question 6",
        says=r"\theta_{t+1}=\theta_t-\alpha\frac{\nabla J(\theta_t)}{1+\beta_1^t}"
        r"\cdot\frac{1}{\sqrt{1+\beta_2^t\,\nabla J(\theta_t)^2}}",
        right="Moving averages of gradient and square, both corrected by 1 - beta^t.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-stateless",
        demand="in a steep bowl it is near the minimum after 12,000 steps",
        printed=_one_plus_beta,
        corrected=_algorithm_1,
        meets=_stays_in_a_steep_bowl,
    ),
    *_misprints_0b.MISPRINTS,
    *_misprints_0c.MISPRINTS,
)
