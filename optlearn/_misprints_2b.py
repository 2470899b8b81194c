"""Six more errors of article 2: Adam, RMSProp and quantization as it prints them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn._optimizer import Optimizer
from optlearn.adaptive import Adam, RMSProp
from optlearn.quantization import binarize, fake_quantize

__all__ = ["MISPRINTS"]

Slope = Callable[[float], float]


def _overwriting_adam(
    slope: Slope,
    start: float,
    steps: int,
    *,
    rate: float = 0.1,
    beta1: float = 0.9,
    beta2: float = 0.999,
) -> Array:
    """Correct m and v in place, and average on from the corrected values."""
    w, m, v, path = start, 0.0, 0.0, [start]
    for t in range(1, steps + 1):
        g = slope(w)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m = m / (1 - beta1**t)
        v = v / (1 - beta2**t)
        w = w - rate * m / (math.sqrt(v) + 1e-8)
        path.append(w)
    return np.array(path)


def _overwriting_rmsprop(
    slope: Slope, start: float, steps: int, *, rate: float = 0.1, beta2: float = 0.9
) -> Array:
    """Correct s in place, and average on from the corrected value."""
    w, s, path = start, 0.0, [start]
    for t in range(1, steps + 1):
        g = slope(w)
        s = beta2 * s + (1 - beta2) * g * g
        s = s / (1 - beta2**t)
        w = w - rate * g / (math.sqrt(s) + 1e-8)
        path.append(w)
    return np.array(path)


def _follow(rule: Optimizer, slope: Slope, start: float, steps: int) -> Array:
    """Return the path of one of the book's optimizers on one weight."""
    path = [np.array([start])]
    for _ in range(steps):
        path.append(rule.step(path[-1], np.array([slope(float(path[-1][0]))])))
    return np.concatenate(path)


def _adam(
    slope: Slope,
    start: float,
    steps: int,
    *,
    rate: float = 0.1,
    beta1: float = 0.9,
    beta2: float = 0.999,
) -> Array:
    """Follow Algorithm 1 of Kingma and Ba, which keeps the corrected values apart."""
    return _follow(Adam(rate, beta1=beta1, beta2=beta2), slope, start, steps)


def _rmsprop(
    slope: Slope, start: float, steps: int, *, rate: float = 0.1, beta2: float = 0.9
) -> Array:
    """Follow Hinton's rule, which has no correction."""
    return _follow(RMSProp(rate, rho=beta2), slope, start, steps)


def _square_of_average(gradients: Array, beta: float) -> float:
    """Average the gradients, then square."""
    return _average(gradients, beta) ** 2


def _average_of_squares(gradients: Array, beta: float) -> float:
    """Square the gradients, then average."""
    return _average(np.square(gradients), beta)


def _average(values: Array, beta: float) -> float:
    """Return the moving average after all values, from 0."""
    return float((1 - beta) * beta ** np.arange(len(values))[::-1] @ values)


def _all_have_momentum(method: str) -> bool:
    """Say whether a method is based on momentum, as the article does."""
    return method in {"RMSProp", "Adam"}


def _adam_has_momentum(method: str) -> bool:
    """Say it as it is: of the two only Adam averages gradients."""
    return method == "Adam"


def _says_what_moves_on(claim: Callable[[str], bool]) -> bool:
    """Give a gradient, and then none: a method with momentum moves on."""
    methods: dict[str, Optimizer] = {"RMSProp": RMSProp(0.1), "Adam": Adam(0.1)}
    for name, method in methods.items():
        once = method.step(np.array([1.0]), np.array([1.0]))
        if claim(name) != bool(method.step(once, np.array([0.0])) != once):
            return False
    return True


def _cast(weights: Array) -> Array:
    """Convert the numbers to integers of eight bits, as the words ask."""
    return weights.astype(np.int8).astype(weights.dtype)


def _stays_within_half_a_step(convert: Callable[[Array], Array]) -> bool:
    """Ask of 8 bits what 256 evenly spaced values allow: an error of half their distance."""
    weights = np.random.default_rng(0).normal(scale=0.2, size=2000)
    half = np.ptp(weights) / 255 / 2
    return bool(np.max(np.abs(convert(weights) - weights)) <= half * (1 + 1e-9))


def _binary_representation(weights: Array) -> tuple[Array, Array]:
    """Write each number in binary digits; return them, and the numbers they stand for."""
    bits = np.unpackbits(weights.astype(">f4").view(np.uint8)).reshape(len(weights), -1)
    return bits, np.packbits(bits).view(">f4").astype(float)


def _signs_with_a_scale(weights: Array) -> tuple[Array, Array]:
    """Keep a bit for each sign, and one scale; return the bits, and what they stand for."""
    signs, scale = binarize(weights)
    return (signs > 0).astype(np.uint8)[:, None], signs * float(scale)


def _takes_one_bit(convert: Callable[[Array], tuple[Array, Array]]) -> bool:
    """Count the bits, and see that the numbers left are nearer than zeros would be."""
    weights = np.random.default_rng(0).normal(scale=0.2, size=2000)
    bits, left = convert(weights)
    nearer = np.sum((left - weights) ** 2) < np.sum(weights**2)
    return bits.size == weights.size and bool(nearer)


MISPRINTS = (
    Misprint(
        id="E2-07",
        severity="A",
        place="section 3.2.2",
        says=r"m_t=\frac{m_t}{1-\beta_1^t},\quad v_t=\frac{v_t}{1-\beta_2^t}",
        right=r"The corrected $\hat m_t$ and $\hat v_t$ do not return to the averages.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-inplace",
        demand="under a constant gradient every step is as long as the rate",
        printed=_overwriting_adam,
        corrected=_adam,
        meets=lambda rule: np.allclose(np.diff(rule(lambda _: 1.0, 0.0, 6)), -0.1, rtol=1e-6),
    ),
    Misprint(
        id="E2-08",
        severity="B",
        place="sections 3.2.2 and 3.2.3",
        says="v is the square of the moving-average gradient, s the gradient's moving average.",
        right="Both are moving averages of the squared gradient.",
        sources=("tieleman2012rmsprop", "kingma2015adam"),
        chapter="07_rmsprop#rmsprop-source-average",
        demand="it is 1 for gradients of size 1, whatever their signs",
        printed=_square_of_average,
        corrected=_average_of_squares,
        meets=lambda rule: abs(rule((-1.0) ** np.arange(300), 0.9) - 1) < 1e-9,
    ),
    Misprint(
        id="E2-09",
        severity="B",
        place="section 3.2.3, question 3",
        says="RMSprop and Adam are based on momentum.",
        right="RMSProp scales each coordinate and has no momentum; Adam has both.",
        sources=("tieleman2012rmsprop", "kingma2015adam"),
        chapter="07_rmsprop#rmsprop-source-momentum",
        demand="a method with momentum moves on when the gradient is gone, one without rests",
        printed=_all_have_momentum,
        corrected=_adam_has_momentum,
        meets=_says_what_moves_on,
    ),
    Misprint(
        id="E2-10",
        severity="A",
        place="section 3.2.3",
        says=r"s_t=\frac{s_t}{1-\beta_2^t}",
        right="Hinton's rule has no correction; one that is wanted needs a name of its own.",
        sources=("tieleman2012rmsprop",),
        chapter="07_rmsprop#rmsprop-source-inplace",
        demand="under a constant gradient no step is shorter than the rate",
        printed=_overwriting_rmsprop,
        corrected=_rmsprop,
        meets=lambda rule: bool(np.all(np.diff(rule(lambda _: 1.0, 0.0, 9)) < -0.1 * (1 - 1e-6))),
    ),
    Misprint(
        id="E2-11",
        severity="B",
        place="section 3.3.1, question 4",
        says="Quantization converts floating-point parameters to integers.",
        right="It rounds to a grid $r=S(q-Z)$ with a scale $S$ and a zero point $Z$.",
        sources=("jacob2018quantization",),
        chapter="12_quantization#quantization-source-integers",
        demand="of a range cut into 255 parts, no weight moves by more than half a part",
        printed=_cast,
        corrected=fake_quantize,
        meets=_stays_within_half_a_step,
    ),
    Misprint(
        id="E2-12",
        severity="B",
        place="section 3.3.1",
        says="Binarisation converts floating-point parameters to a binary representation.",
        right="It keeps the sign of each weight, and one scale: the mean of their sizes.",
        sources=("rastegari2016xnor", "courbariaux2015binaryconnect"),
        chapter="12_quantization#quantization-source-binary",
        demand="one bit a weight, and a smaller error than that of zeros",
        printed=_binary_representation,
        corrected=_signs_with_a_scale,
        meets=_takes_one_bit,
    ),
)
