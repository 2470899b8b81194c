"""The last six errors of article 2: smaller and fused models, its program, its outlook."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from optlearn._checks import Array
from optlearn._misprint import Misprint
from optlearn.adaptive import Adam
from optlearn.losses import softmax
from optlearn.networks import MLP
from optlearn.quantization import quantize
from optlearn.training import minibatches
from optlearn.transfer import average_weights, ensemble, permute_hidden_units, reuse_body

__all__ = ["MISPRINTS"]


def _both_shrink(technique: str) -> bool:
    """Say whether a technique makes a model smaller, as the article does."""
    return technique in {"quantization", "transfer"}


def _quantization_shrinks(technique: str) -> bool:
    """Say it as it is: a transferred model is as large as it was."""
    return technique == "quantization"


def _says_what_shrinks(claim: Callable[[str], bool]) -> bool:
    """Count the bytes of a model before and after."""
    network, rng = MLP((16, 8, 3)), np.random.default_rng(0)
    theta = network.init(rng, dtype=np.float32)
    after = {
        "quantization": quantize(theta, bits=8).nbytes,
        "transfer": reuse_body(network, theta, network, rng).nbytes,
    }
    return all(claim(name) == (size < theta.nbytes) for name, size in after.items())


def _merge_weights(network: MLP, thetas: Array, x: Array) -> Array:
    """Merge several models into one by the average of their weights."""
    return np.asarray(softmax(network.forward(average_weights(thetas), x)))


def _keeps_what_they_agree_on(fuse: Callable[[MLP, Array, Array], Array]) -> bool:
    """Fuse a network with itself, its hidden units in another order: nothing may change."""
    network, rng = MLP((2, 6, 3)), np.random.default_rng(0)
    theta, x = network.init(rng), rng.normal(size=(50, 2))
    twin = permute_hidden_units(network, theta, [[1, 2, 3, 4, 5, 0]])
    return np.allclose(
        fuse(network, np.stack([theta, twin]), x), softmax(network.forward(theta, x))
    )


def _random_batch(rng: np.random.Generator, size: int = 64) -> tuple[Array, Array]:
    """Draw pictures of noise, and labels that have nothing to do with them."""
    return rng.random((size, 784)), rng.integers(10, size=size)


def _labelled_batch(rng: np.random.Generator, size: int = 64) -> tuple[Array, Array]:
    """Draw pictures of noise in which one of ten rows is white, and label them by it."""
    pictures, labels = rng.random((size, 28, 28)), rng.integers(10, size=size)
    pictures[np.arange(size), labels] = 1.0
    return pictures.reshape(size, 784), labels


def _can_be_learned(draw: Callable[..., tuple[Array, Array]]) -> bool:
    """Train on fresh batches; on three hundred new samples a guess of 1/10 must be beaten."""
    network, rng, rule = MLP((784, 10)), np.random.default_rng(0), Adam(3e-3)
    theta = np.zeros(network.n_parameters)
    for _ in range(20):
        theta = rule.step(theta, network.loss_and_grad(theta, *draw(rng))[1])
    return bool(network.loss_and_grad(theta, *draw(rng, 300))[0] < math.log(10) - 0.5)


def _one_step_an_epoch(samples: int, batch_size: int) -> int:
    """Call each step an epoch, as the program does."""
    return 1


def _one_pass_an_epoch(samples: int, batch_size: int) -> int:
    """Count the batches of one pass over the data."""
    return math.ceil(samples / batch_size)


def _is_a_pass(steps: Callable[[int, int], int]) -> bool:
    """Count the batches in which every sample comes once."""
    batches = list(minibatches(100, 32, np.random.default_rng(0)))
    once = len(np.unique(np.concatenate(batches))) == sum(map(len, batches)) == 100
    return once and steps(100, 32) == len(batches)


def _larger_wins(noise: float) -> bool:
    """Say whether the larger model is the more accurate one, as the article does."""
    return True


def _larger_wins_on_clean_labels(noise: float) -> bool:
    """Say it under the condition that holds where all labels are fitted to the end."""
    return noise == 0


def _accuracy(units: int, noise: float, rng: np.random.Generator) -> float:
    """Fit random features to 80 points of a checkerboard, part of their labels turned."""

    def draw(n: int) -> tuple[Array, Array]:
        x = rng.uniform(-1, 1, size=(n, 2))
        return np.column_stack([x, np.ones(n)]), np.sign(x[:, 0] * x[:, 1])

    (x, y), (x_test, y_test) = draw(80), draw(200)
    y = np.where(rng.random(80) < noise, -y, y)
    first = rng.normal(size=(3, units))
    features = np.maximum(x @ first, 0)
    # least squares with next to no penalty: the shortest of all weights that fit best
    duals = np.linalg.solve(features @ features.T + 1e-6 * np.eye(80), y)
    scores = np.maximum(x_test @ first, 0) @ (features.T @ duals)
    return float(np.mean(np.sign(scores) == y_test))


@cache
def _mean_accuracy(units: int, noise: float) -> float:
    """Average over sixteen draws of points, labels and features."""
    rngs = map(np.random.default_rng, range(16))
    return float(np.mean([_accuracy(units, noise, rng) for rng in rngs]))


def _says_which_size_wins(claim: Callable[[float], bool]) -> bool:
    """Compare 500 units with 8, on clean labels and with a fifth of them turned."""
    return all(
        claim(noise) == (_mean_accuracy(500, noise) > _mean_accuracy(8, noise))
        for noise in (0.0, 0.2)
    )


def _average_of_previous(gradients: Sequence[float], beta: float) -> float:
    """Average the gradients before the present one."""
    return _average_up_to_now(gradients[:-1], beta)


def _average_up_to_now(gradients: Sequence[float], beta: float) -> float:
    """Average all gradients, the present one with weight 1 - beta."""
    m = 0.0
    for g in gradients:
        m = beta * m + (1 - beta) * g
    return m


def _is_adams(average: Callable[[Sequence[float], float], float]) -> bool:
    """Compare with the m that Adam keeps, after each of five steps."""
    gradients, rule, theta = [3.0, -1.0, 2.0, 0.5, -4.0], Adam(0.1, beta1=0.8), np.zeros(1)
    for t, g in enumerate(gradients, start=1):
        theta = rule.step(theta, np.array([g]))
        if not np.isclose(average(gradients[:t], 0.8), rule.m[0]):
            return False
    return True


MISPRINTS = (
    Misprint(
        id="E2-13",
        severity="B",
        place="sections 2, 3.3 and 3.3.2",
        says="Quantization and knowledge transfer reduce the size of a model.",
        right="A transferred model keeps its size; distillation makes a smaller one.",
        sources=("pan2010survey", "yosinski2014transferable", "hinton2015distilling"),
        chapter="14_transfer#transfer-source-size",
        demand="what the claim says of a technique, the bytes of the model say",
        printed=_both_shrink,
        corrected=_quantization_shrinks,
        meets=_says_what_shrinks,
    ),
    Misprint(
        id="E2-14",
        severity="B",
        place="section 3.3.2",
        says="Fusion merges the knowledge of several pre-trained models into a new one.",
        right="Average the predictions; averaged weights need models of one common start.",
        sources=("wortsman2022model", "entezari2022role", "ainsworth2023git"),
        chapter="14_transfer#transfer-source-fusion",
        demand="fused with a copy whose hidden units are reordered, a network stays as it is",
        printed=_merge_weights,
        corrected=ensemble,
        meets=_keeps_what_they_agree_on,
    ),
    Misprint(
        id="E2-15",
        severity="A",
        place="section 4, program",
        says="Every step draws new random inputs and new random labels.",
        right=r"Labels must depend on the inputs; below a loss of $\ln 10$ nothing can be learnt.",
        sources=("zhang2017understanding",),
        chapter="05_stochastic_gradient_descent#sgd-source-random",
        demand="after 20 batches the loss on new samples is below that of a guess",
        printed=_random_batch,
        corrected=_labelled_batch,
        meets=_can_be_learned,
    ),
    Misprint(
        id="E2-16",
        severity="B",
        place="section 4, program",
        says="A step on one batch is an epoch.",
        right="An epoch is one pass over the data.",
        sources=("goodfellow2016deep",),
        chapter="05_stochastic_gradient_descent#sgd-source-random",
        demand="in an epoch every sample comes once",
        printed=_one_step_an_epoch,
        corrected=_one_pass_an_epoch,
        meets=_is_a_pass,
    ),
    Misprint(
        id="E2-17",
        severity="B",
        place="section 5",
        says="Larger models bring higher accuracy.",
        right="It depends: noisy labels, fitted to the end, cost the larger model more.",
        sources=("zhang2017understanding",),
        chapter="11_training_in_practice#practice-data-widths",
        demand="the larger model is the more accurate one where the claim says so",
        printed=_larger_wins,
        corrected=_larger_wins_on_clean_labels,
        meets=_says_which_size_wins,
    ),
    Misprint(
        id="E2-18",
        severity="C",
        place="section 3.2.2",
        says="Adam takes the moving average of previous gradients.",
        right="The average includes the present gradient, and there are two averages.",
        sources=("kingma2015adam",),
        chapter="08_adam#adam-source-gradient",
        demand="it is the first average that Adam keeps",
        printed=_average_of_previous,
        corrected=_average_up_to_now,
        meets=_is_adams,
    ),
)
