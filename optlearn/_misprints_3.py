"""The twelve errors of article 3, each with the smallest run that shows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn._optimizer import Optimizer
from optlearn.gradients import finite_difference
from optlearn.losses import mean_squared_error
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent, RMSProp

__all__ = ["MISPRINTS"]

DEEP = (8, *[16] * 20, 4)  # twenty hidden layers


def _by_size(curvatures: Array) -> float:
    """Blame the number of parameters."""
    return float(len(curvatures))


def _by_condition(curvatures: Array) -> float:
    """Blame the largest curvature over the smallest."""
    return float(curvatures.max() / curvatures.min())


def _steps_of_descent(curvatures: Array) -> int:
    """Count the steps at the best constant rate until the distance is a millionth."""
    theta, count = np.ones_like(curvatures), 0
    optimizer = GradientDescent(lr=2 / (curvatures.max() + curvatures.min()))
    while np.linalg.norm(theta) > 1e-6 * math.sqrt(len(curvatures)):
        theta, count = optimizer.step(theta, curvatures * theta), count + 1
    return count


def _points_at_the_slower(slowness: Callable[[Array], float]) -> bool:
    """Compare a thousand curvatures from 1 to 2 with two of 1 and 100."""
    bowls = np.linspace(1, 2, 1000), np.array([1.0, 100.0])
    claimed = slowness(bowls[0]) < slowness(bowls[1])
    return claimed == (_steps_of_descent(bowls[0]) < _steps_of_descent(bowls[1]))


def _logistic(z: float) -> float:
    """Return 1/(1 + exp(-z))."""
    return 1 / (1 + math.exp(-z))


def _bare_neuron(x: Sequence[float], *_: object) -> float:
    """Bend the sum of the signals, as the text describes it: nothing can be learned."""
    return _logistic(sum(x))


def _neuron(x: Sequence[float], w: Sequence[float], b: float) -> float:
    """Weight the signals, add the bias, bend."""
    return _logistic(sum(wi * xi for wi, xi in zip(w, x, strict=True)) + b)


def _foretells_the_test(test_loss: Callable[[float, Array], float]) -> bool:
    """Fit ten targets of pure noise in fifty dimensions with Adam; test on two thousand others."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 50)), rng.normal(size=(10, 1))
    network, optimizer = MLP((50, 1)), Adam(lr=0.03)
    theta = np.zeros(51)
    for _ in range(200):
        loss, grad = network.loss_and_grad(theta, x, y, loss=mean_squared_error)
        theta = optimizer.step(theta, grad)
    fresh, noise = rng.normal(size=(2000, 50)), rng.normal(size=(2000, 1))
    measured = mean_squared_error(network.forward(theta, fresh), noise)[0]
    return math.isclose(test_loss(float(loss), theta), measured, rel_tol=0.1)


def _breaks_the_symmetry(init: Callable[[int], Array]) -> bool:
    """Train 2-3-1 from the start for sixty steps; say whether the hidden units have parted."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 2))
    y = (x[:, :1] * x[:, 1:] > 0) * 1.0
    network, optimizer = MLP((2, 3, 1), activation="tanh"), GradientDescent(lr=0.3)
    theta = init(network.n_parameters)
    for _ in range(60):
        theta = optimizer.step(theta, network.loss_and_grad(theta, x, y, mean_squared_error)[1])
    return bool(np.ptp(network.unpack(theta)[0][0], axis=1).max() > 1e-3)


def _average(gradient: Callable[[float], float], x: float, steps: int) -> list[float]:
    """Move along the average of the gradients, as printed: rate 0.1, beta 0.9."""
    velocity, path = 0.0, [x]
    for _ in range(steps):
        velocity = 0.9 * velocity + (1 - 0.9) * gradient(x)
        x -= 0.1 * velocity
        path.append(x)
    return path


def _heavy_ball(gradient: Callable[[float], float], x: float, steps: int) -> list[float]:
    """Move along the sum of the decayed gradients, with the same rate and beta."""
    velocity, path = 0.0, [x]
    for _ in range(steps):
        velocity = 0.9 * velocity + gradient(x)
        x -= 0.1 * velocity
        path.append(x)
    return path


def _is_polyak(
    momentum: Callable[[Callable[[float], float], float, int], list[float]],
) -> bool:
    """Ask whether each step is -0.1 times the gradient and 0.9 times the step before."""
    path = momentum(math.sin, 2.0, 20)
    old, now, new = np.array(path[:-2]), np.array(path[1:-1]), np.array(path[2:])
    return bool(np.allclose(new, now - 0.1 * np.sin(now) + 0.9 * (now - old), rtol=1e-12))


def _floor(rate: float, beta: float) -> float:
    """Return the variance at which the printed rule settles: curvature 1, noise of variance 1.

    The covariance of (x, v) after a step is that before, moved by the step, plus the noise's.
    """
    new = 1 - beta
    step = np.array([[1 - rate * new, -rate * beta], [new, beta]])  # of (x, v)
    kick = np.array([-rate * new, new])
    system = np.eye(4) - np.kron(step, step)
    return float(np.linalg.solve(system, np.kron(kick, kick))[0])


def _accumulated(squares: Array) -> float:
    """Sum what was seen."""
    return float(squares.sum())


def _leaky(squares: Array) -> float:
    """Average what was seen, with weights that fall by 0.9 a step."""
    return float(0.1 * 0.9 ** np.arange(len(squares))[::-1] @ squares)


def _gradient_arrives(build: Callable[[tuple[int, ...]], MLP]) -> bool:
    """Take ten steps of RMSProp; compare the gradients of the first and the last layer."""
    rng = np.random.default_rng(0)
    network, optimizer = build(DEEP), RMSProp(lr=1e-3)
    scheme = "he" if network.activation == "relu" else "glorot"
    theta = network.init(rng, scheme=scheme)
    x, y = rng.normal(size=(64, 8)), rng.integers(0, 4, 64)
    for _ in range(10):
        grad = network.loss_and_grad(theta, x, y)[1]
        theta = optimizer.step(theta, grad)
    weights = [np.linalg.norm(w) for w, _ in network.unpack(grad)]
    return bool(weights[0] > 1e-3 * weights[-1])


def _never_counted(gradients: Array) -> float:
    """Correct by 1 - beta^t with the t of the step list, which stays where it starts."""
    return _first_step(gradients, t=0)


def _counted(gradients: Array) -> float:
    """Correct by 1 - beta^t with t = 1 at the first step."""
    return _first_step(gradients, t=1)


def _first_step(gradients: Array, t: int) -> float:
    """Return Adam's first step over its rate."""
    m, v = (1 - 0.9) * gradients[0], (1 - 0.999) * gradients[0] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        m_hat, v_hat = np.divide(m, 1 - 0.9**t), np.divide(v, 1 - 0.999**t)
        return float(m_hat / (np.sqrt(v_hat) + 1e-8))


def _finds_the_end(build: Callable[[Callable[[int], float]], Optimizer]) -> bool:
    """Play 3x, -x, -x in turn on [-1, 1], whose best point is -1."""
    beta2 = 1 / (1 + 3**2)
    optimizer = build(lambda t: 0.5 * math.sqrt(1 - beta2) / math.sqrt(t + 1))
    x = np.zeros(1)
    for t in range(300):
        x = np.clip(optimizer.step(x, np.array([3.0 if t % 3 == 0 else -1.0])), -1, 1)
    return bool(x[0] < 0)


def _adam(rate: Callable[[int], float]) -> Optimizer:
    """Return Adam at the settings of the counterexample."""
    return Adam(lr=rate, beta1=0.0, beta2=0.1)


def _amsgrad(rate: Callable[[int], float]) -> Optimizer:
    """Return Adam with the largest second moment so far."""
    return Adam(lr=rate, beta1=0.0, beta2=0.1, amsgrad=True)


def _cut(*_: Array) -> Array:
    r"""Give up where the page does: after ``\frac{\partial J}{\partial W} &= \f``."""
    raise ValueError("the formula breaks off")


def _completed(x: Array, y: Array, w: Array) -> Array:
    """Average the samples' gradients of the squared error of a linear output."""
    return np.asarray(
        np.mean([2 * (xi @ w - yi) * xi for xi, yi in zip(x, y, strict=True)], axis=0)
    )


def _is_the_gradient(rule: Callable[[Array, Array, Array], Array]) -> bool:
    """Compare with finite differences of the mean squared error."""
    rng = np.random.default_rng(2)
    x, y, w = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
    try:
        gradient = rule(x, y, w)
    except ValueError:
        return False
    differences = finite_difference(lambda at: float(np.mean((x @ at - y) ** 2)), w)
    return bool(np.allclose(gradient, differences, rtol=1e-7))


MISPRINTS = (
    Misprint(
        id="E3-01",
        severity="C",
        place="sections 1.2 and 3.1",
        says="Gradient descent is often slow on large deep networks.",
        right="Bad conditioning makes it slow, and the cost of a pass over all samples.",
        sources=("nocedal2006numerical",),
        chapter="04_gradient_descent#gd-source-slow",
        demand="says which of two bowls takes descent more steps",
        printed=_by_size,
        corrected=_by_condition,
        meets=_points_at_the_slower,
    ),
    Misprint(
        id="E3-02",
        severity="C",
        place="section 2.1",
        says="A neuron takes the signals of the layer before and passes them through its "
        "activation function.",
        right="It weights them and adds a bias first.",
        sources=("goodfellow2016deep",),
        chapter="01_networks#networks-sources",
        demand="with weights 10 and -10 it tells (1, 0) from (0, 1)",
        printed=_bare_neuron,
        corrected=_neuron,
        meets=lambda neuron: (
            neuron((1, 0), (10, -10), 0.0) > 0.99 and neuron((0, 1), (10, -10), 0.0) < 0.01
        ),
    ),
    Misprint(
        id="E3-03",
        severity="B",
        place="section 2.2",
        says="A suitable optimizer improves generalisation and avoids overfitting.",
        right="Data, regularisation and early stopping do; optimizers have at most a bias.",
        sources=("zhang2017understanding",),
        chapter="11_training_in_practice#practice-data-random",
        demand="foretells the test loss after Adam has fitted pure noise",
        printed=lambda train_loss, theta: train_loss,
        corrected=lambda train_loss, theta: 1 + float(theta @ theta),
        meets=_foretells_the_test,
    ),
    Misprint(
        id="E3-04",
        severity="C",
        place="section 3.1, steps 1, 3 and 4",
        says="Initialise all parameters of the network.",
        right="At random: units that start equal stay equal. And J is not two losses at once.",
        sources=("glorot2010understanding",),
        chapter="01_networks#networks-pitfall-equal",
        demand="after training, the hidden units differ",
        printed=lambda n: np.full(n, 0.5),
        corrected=lambda n: np.random.default_rng(0).normal(size=n) / 2,
        meets=_breaks_the_symmetry,
    ),
    Misprint(
        id="E3-05",
        severity="B",
        place="section 3.2, steps 5 and 6",
        says=r"v_W = \beta v_W + (1-\beta) \partial J/\partial W, W \leftarrow W - \eta v_W",
        right="This is the averaged form; the classical heavy ball has no 1 - beta.",
        sources=("polyak1964some",),
        chapter="06_momentum#momentum-source-average",
        demand="each step is that of the heavy ball of the same rate and beta",
        printed=_average,
        corrected=_heavy_ball,
        meets=_is_polyak,
    ),
    Misprint(
        id="E3-06",
        severity="B",
        place="section 3.2, twice",
        says="Momentum handles strong fluctuation of the gradient better.",
        right="The velocity is smoother; the parameters settle about where those of descent do.",
        sources=(),
        chapter="06_momentum#momentum-theory-noise",
        demand="foretells whether the printed rule halves the variance of noisy descent",
        printed=lambda: True,
        corrected=lambda: False,
        meets=lambda claim: claim() == (_floor(0.1, 0.9) < _floor(0.1, 0.0) / 2),
    ),
    Misprint(
        id="E3-07",
        severity="C",
        place="section 3.3, steps 1 and 5",
        says="s is the accumulated squared gradient.",
        right="It is a leaky average; the sum is AdaGrad's.",
        sources=("duchi2011adaptive", "tieleman2012rmsprop"),
        chapter="07_rmsprop#rmsprop-source-accumulated",
        demand="after a thousand equal gradients the step is still the rate",
        printed=_accumulated,
        corrected=_leaky,
        meets=lambda rule: math.isclose(1 / math.sqrt(rule(np.ones(1000))), 1, rel_tol=0.01),
    ),
    Misprint(
        id="E3-08",
        severity="B",
        place="section 3.3, twice",
        says="RMSProp effectively solves vanishing and exploding gradients.",
        right="It rescales steps; activation, initialisation and depth decide what arrives.",
        sources=("glorot2010understanding", "he2015delving", "pascanu2013difficulty"),
        chapter="07_rmsprop#rmsprop-source-vanishing",
        demand="trained by RMSProp, the first of twenty layers receives a gradient",
        printed=lambda sizes: MLP(sizes, activation="sigmoid"),
        corrected=lambda sizes: MLP(sizes, activation="relu"),
        meets=_gradient_arrives,
    ),
    Misprint(
        id="E3-09",
        severity="B",
        place="sections 3.3 and 3.4",
        says=r"W \leftarrow W - \eta \hat m_W / \sqrt{\hat v_W + \epsilon}",
        right="Epsilon stands outside the root; inside, it acts as its own square root.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-eps",
        demand="a gradient of 100 epsilon is stepped at the full rate, within 2 %",
        printed=lambda gradient: gradient / math.sqrt(gradient**2 + 1e-8),
        corrected=lambda gradient: gradient / (abs(gradient) + 1e-8),
        meets=lambda step: abs(step(1e-6) - 1) < 0.02,
    ),
    Misprint(
        id="E3-10",
        severity="C",
        place="section 3.4, steps 1 to 6",
        says="t is the present number of iterations (neither started nor advanced).",
        right="t starts at 0 and is raised by 1 before the correction.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-counter",
        demand="the first step is as long as the rate",
        printed=_never_counted,
        corrected=_counted,
        meets=lambda rule: math.isclose(rule(np.array([0.3])), 1, rel_tol=1e-6),
    ),
    Misprint(
        id="E3-11",
        severity="B",
        place="section 3.4, twice",
        says="Adam performs excellently in practice (with no caveat).",
        right="For every beta2 there is a convex problem on which it fails; AMSGrad does not.",
        sources=("reddi2018convergence", "zhang2022adam"),
        chapter="08_adam#adam-theory-failure",
        demand="with beta1 = 0, beta2 = 0.1, ends in the better half when 3x, -x, -x are played",
        printed=_adam,
        corrected=_amsgrad,
        meets=_finds_the_end,
    ),
    Misprint(
        id="E3-12",
        severity="A",
        place="section 4.1, the last line",
        says=r"\frac{\partial J}{\partial W} &= \f",
        right="The mean of the samples' gradients, as in section 3.1.",
        sources=("goodfellow2016deep",),
        chapter="02_losses#losses-sources",
        demand="gives the gradient that differences of the mean squared error give",
        printed=_cut,
        corrected=_completed,
        meets=_is_the_gradient,
    ),
)
