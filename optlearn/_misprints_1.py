"""The twelve errors of article 1, each with the smallest run that shows it."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn.networks import MLP
from optlearn.optimizers import Adam, GradientDescent
from optlearn.quantization import quantize

__all__ = ["MISPRINTS"]

IMAGES = (784, 64, 64, 10)  # the network of the article's program

PROGRAM = """
import tensorflow as tf
model = tf.keras.Sequential([
    tf.keras.layers.Dense(64, activation='relu', input_shape=(784,)),
    tf.keras.layers.Dense(64, activation='relu'),
    tf.keras.layers.Dense(10, activation='softmax')
])
model.compile(optimizer='adam',
              loss='sparse_categorical_crossentropy',
              metrics=['accuracy'])
model.fit(x_train, y_train, epochs=10)
"""
COMPLETE = """
import numpy as np
from optlearn.datasets import load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.training import accuracy, fit
rng = np.random.default_rng(0)
data = load_mnist10k(rng=rng)  # pixels in [0, 1], in rows of 784
model = MLP((784, 64, 64, 10))
history = fit(model, model.init(rng), data.train, Adam(lr=1e-3), epochs=10, batch_size=32, rng=rng)
print(accuracy(model, history.theta, *data.test))
"""


def _one_a_node(sizes: Sequence[int]) -> int:
    """Count one weight and one bias for every node, as the article's sentence does."""
    return 2 * sum(sizes)


def _one_an_edge(sizes: Sequence[int]) -> int:
    """Count a weight for every incoming edge and a bias for every node that is no input."""
    return sum((before + 1) * after for before, after in pairwise(sizes))


def _well(x: float) -> float:
    """Return the loss 1 - exp(-x^2/2)."""
    return 1 - math.exp(-x * x / 2)


def _slope(x: float) -> float:
    """Return the size of its derivative."""
    return abs(x) * math.exp(-x * x / 2)


def _never_grows(quantity: Callable[[float], float]) -> bool:
    """Descend the well from 3 for sixty steps of 0.5 and watch the quantity."""
    x, optimizer, seen = np.array([3.0]), GradientDescent(lr=0.5), []
    for _ in range(61):
        seen.append(quantity(float(x[0])))
        x = optimizer.step(x, x * np.exp(-x * x / 2))
    return all(after <= before for before, after in pairwise(seen))


def _noise_dies(rate: Callable[[int], float]) -> bool:
    """Follow the mean square of x under x - rate (x + noise), with noise of variance 1."""
    mean_square = 1.0
    for t in range(10_000):
        mean_square = (1 - rate(t)) ** 2 * mean_square + rate(t) ** 2
    return mean_square < 1e-3


def _square_of_the_mean(gradients: Array, beta: float) -> float:
    """Average the gradients, then square."""
    return _mean(gradients, beta) ** 2


def _mean_of_the_squares(gradients: Array, beta: float) -> float:
    """Square the gradients, then average."""
    return _mean(gradients**2, beta)


def _mean(values: Array, beta: float) -> float:
    """Average with weights that fall by beta a step back and sum to 1."""
    weights = beta ** np.arange(len(values))[::-1]
    return float(weights @ values / weights.sum())


def _keras(gradient: float) -> float:
    """Take the first step of ``optimizer='adam'``: epsilon beside the uncorrected root."""
    root = math.sqrt(1 - 0.999) * math.sqrt(gradient * gradient)
    return -1e-3 * math.sqrt(1 - 0.999) / (1 - 0.9) * (1 - 0.9) * gradient / (root + 1e-7)


def _algorithm_1(gradient: float) -> float:
    """Take the first step of the article's formula, with epsilon 1e-8."""
    return float(Adam(lr=1e-3).step(np.zeros(1), np.array([gradient]))[0])


def _formula(gradient: float) -> float:
    """Write the first step out: both moments are corrected to those of the one gradient."""
    return -1e-3 * gradient / (abs(gradient) + 1e-8)


def _undefined(source: str) -> set[str]:
    """Return the names that a program reads and nobody defines."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    known = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return {node.id for node in names} - known


def _adapts(step: Callable[[Array], Array]) -> bool:
    """Say whether a rule takes steps of one size for gradients a thousandfold apart."""
    sizes = np.abs(step(np.array([1.0, 1e-3])))
    return bool(np.ptp(sizes) < 1e-3 * sizes.max())


def _adam_step(gradient: Array) -> Array:
    """Take the first step of the method of section 3.3."""
    return Adam(lr=0.1).step(np.zeros_like(gradient), gradient)


BOWL = np.array([[2.0, 1.0], [1.0, 3.0]])


def _of_the_gradient(x: Array) -> Array:
    """Differentiate the bowl's gradient twice along each coordinate: its third derivatives."""
    return np.stack([BOWL @ (x + e) - 2 * BOWL @ x + BOWL @ (x - e) for e in np.eye(2)])


def _of_the_loss(x: Array) -> Array:
    """Differentiate the bowl's gradient once along each coordinate."""
    return np.stack([(BOWL @ (x + e) - BOWL @ (x - e)) / 2 for e in np.eye(2)])


def _reaches_the_bottom(matrix: Callable[[Array], Array]) -> bool:
    """Take one step of Newton's method with the matrix."""
    x = np.array([4.0, -1.0])
    if np.linalg.matrix_rank(matrix(x)) < 2:
        return False
    return bool(np.allclose(x - np.linalg.solve(matrix(x), BOWL @ x), 0))


def _edge_is_where_runs_turn(edge: Callable[[int], float]) -> bool:
    """Run delayed descent, x - rate x_(t - delay), 2 % below and above each edge."""
    for delay in range(5):
        for factor, grows in ((0.98, False), (1.02, True)):
            path = [1.0] * (delay + 1)
            for _ in range(2000):
                path.append(path[-1] - factor * edge(delay) * path[-1 - delay])
            if not math.isfinite(path[-1]) or (max(map(abs, path[-99:])) > 1) != grows:
                return False
    return True


def _is_what_is_stored(count: Callable[[int, int], float]) -> bool:
    """Store a thousand weights in 8 bits; the scale and the zero point may add 32 bytes."""
    stored = quantize(np.linspace(-1, 1, 1000), bits=8).nbytes
    return 0 <= stored - count(1000, 8) <= 32


MISPRINTS = (
    Misprint(
        id="E1-01",
        severity="B",
        place="section 2.1",
        says="Every node of every layer has a weight and a bias.",
        right="One weight per incoming edge, one bias per node that is no input.",
        sources=(),
        chapter="01_networks#networks-counting",
        demand="the count is the length of theta for 784-64-64-10",
        printed=_one_a_node,
        corrected=_one_an_edge,
        meets=lambda count: count(IMAGES) == MLP(IMAGES).n_parameters,
    ),
    Misprint(
        id="E1-02",
        severity="B",
        place="sections 3.1 and 6.2",
        says="Gradient descent updates the parameters to reduce the value of the gradient.",
        right="It reduces the loss, as the sentence before says; the gradient may grow meanwhile.",
        sources=("nocedal2006numerical",),
        chapter="04_gradient_descent#gd-norm",
        demand="the named quantity never grows along descent in a well with flat walls",
        printed=_slope,
        corrected=_well,
        meets=_never_grows,
    ),
    Misprint(
        id="E1-03",
        severity="B",
        place="sections 3.2 and 6.3",
        says=r"\theta_{t+1} = \theta_t - \alpha \nabla J(\theta_t, x_i)",
        right="The gradient needs the label, and the rate must fall where the samples disagree.",
        sources=("robbins1951stochastic",),
        chapter="05_stochastic_gradient_descent#sgd-source-sample",
        demand="with noisy gradients the mean square distance falls below 0.001",
        printed=lambda t: 0.1,
        corrected=lambda t: 1 / (t + 1),
        meets=_noise_dies,
    ),
    Misprint(
        id="E1-04",
        severity="C",
        place="sections 3.3 and 6.4",
        says="v is the exponential moving average's gradient's square (two readings).",
        right="v is the average of the squared gradients; t starts at 1, m and v at 0.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-correct",
        demand="gradients of size 1 and alternating sign have mean square 1",
        printed=_square_of_the_mean,
        corrected=_mean_of_the_squares,
        meets=lambda rule: abs(rule((-1.0) ** np.arange(1000), 0.999) - 1) < 1e-9,
    ),
    Misprint(
        id="E1-05",
        severity="B",
        place="section 4.2",
        says="We have built a network with three hidden layers.",
        right="Two hidden layers and an output layer.",
        sources=(),
        chapter="01_networks#networks-sources",
        demand="the count is that of the layers between input and logits",
        printed=lambda sizes: len(sizes) - 1,
        corrected=lambda sizes: len(sizes) - 2,
        meets=lambda count: (
            count(IMAGES) == len(MLP(IMAGES).activations(np.zeros(55_050), np.zeros((1, 784)))) - 2
        ),
    ),
    Misprint(
        id="E1-06",
        severity="C",
        place="section 4.3 against section 3.3",
        says="model.compile(optimizer='adam')",
        right="Keras adds epsilon = 1e-7 before the correction of the root: another formula.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-keras",
        demand="its first step for a gradient of 1e-6 is that of the printed formula",
        printed=_keras,
        corrected=_algorithm_1,
        meets=lambda step: math.isclose(step(1e-6), _formula(1e-6), rel_tol=1e-9),
    ),
    Misprint(
        id="E1-07",
        severity="A",
        place="section 4.4",
        says="model.fit(x_train, y_train, epochs=10)",
        right="The data must be loaded, flattened, scaled and split, and the result tested.",
        sources=("lecun2012efficient",),
        chapter="08_adam#adam-data-scale",
        demand="every name that the program reads is defined in it",
        printed=lambda: PROGRAM,
        corrected=lambda: COMPLETE,
        meets=lambda program: not _undefined(program()),
    ),
    Misprint(
        id="E1-08",
        severity="C",
        place="section 5.1",
        says="Adaptive learning rates are a trend of the future.",
        right="Section 3.3 of the same article presents one: Adam.",
        sources=("duchi2011adaptive", "kingma2015adam"),
        chapter="08_adam#adam-source-future",
        demand="says of the method of section 3.3 whether it adapts its rates",
        printed=lambda: False,
        corrected=lambda: True,
        meets=lambda claim: claim() == _adapts(_adam_step),
    ),
    Misprint(
        id="E1-09",
        severity="B",
        place="section 5.2",
        says="Second-order methods use the second derivative of the gradient.",
        right="They use the second derivative of the loss, the first of the gradient.",
        sources=("nocedal2006numerical",),
        chapter="15_second_order#newton-step",
        demand="Newton's step with it reaches the bottom of a bowl at once",
        printed=_of_the_gradient,
        corrected=_of_the_loss,
        meets=_reaches_the_bottom,
    ),
    Misprint(
        id="E1-10",
        severity="B",
        place="section 5.3",
        says="Asynchronous training increases the complexity of synchronisation.",
        right="It removes the barriers and pays with stale gradients.",
        sources=("tsitsiklis1986distributed",),
        chapter="16_parallel_training#parallel-delay",
        demand="tells the largest stable rate for delays of 0 to 4 steps",
        printed=lambda delay: 2.0,
        corrected=lambda delay: 2 * math.sin(math.pi / (2 * (2 * delay + 1))),
        meets=_edge_is_where_runs_turn,
    ),
    Misprint(
        id="E1-11",
        severity="B",
        place="section 5.4",
        says="Compression can be achieved by fewer parameters or fewer nodes.",
        right="Also by fewer bits, shared weights, low rank and distillation.",
        sources=("jacob2018quantization", "hinton2015distilling"),
        chapter="13_compression#compression-data-bytes",
        demand="tells the bytes of a thousand weights stored in 8 bits",
        printed=lambda weights, bits: 4.0 * weights,
        corrected=lambda weights, bits: weights * bits / 8,
        meets=_is_what_is_stored,
    ),
    Misprint(
        id="E1-12",
        severity="C",
        place="section 1",
        says="Neural-network optimisation is a technique of computer learning; networks simulate "
        "the brain.",
        right="Machine learning; the brain is a metaphor.",
        sources=("rosenblatt1958perceptron",),
        chapter="01_networks#networks-sources",
    ),
)
