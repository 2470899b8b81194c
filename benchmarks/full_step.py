"""A full training step: gather a batch of MNIST, loss, gradient, Adam; float32.

Every contender takes the same four epochs of 40 steps from the same start on the same batches, in
the order that `fit` draws them, except for Keras, which shuffles by itself; it is checked with its
shuffling off. What is checked is the parameters after five steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import jax_peers, torch_peers
from benchmarks.turns import FAST, PURE, Contender, chosen, few, rows
from optlearn.datasets import load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.training import fit, minibatches

TABLE = "full step"
NETWORKS = (((784, 64, 64, 10), 32), ((784, 64, 64, 10), 128), ((784, 128, 10), 64))
RATE, EPOCHS, BATCHES = 1e-3, 4, 40
TORCH = {
    "torch eager": {"foreach": False},
    "torch foreach": {"foreach": True},
    "torch fused": {"fused": True},
    "torch compile": {"fused": True},
}
JAX = {"jax jit": "batch", "jax jit, gathered inside": "gather", "jax scan": "scan"}
CONTENDERS = (PURE, FAST, *TORCH, *JAX, "keras fit", "scikit-learn partial_fit")
NOTES = {
    "torch compile": "model and loss compiled, fused Adam",
    "jax jit": "the batch is passed in",
    "jax jit, gathered inside": "data on the device, buffers donated",
    "jax scan": "one program an epoch, buffers donated",
    "keras fit": "JAX backend; shuffles by itself",
}
Data = tuple[Any, Any]


def ours(network: MLP, theta: Any, data: Data, batch_size: int, epochs: int) -> Contender:
    """Train with the public `fit`: all that it checks and records is timed."""
    box: list[Any] = [theta]

    def run(epochs: int = epochs, data: Data = data) -> None:
        rng, rule = np.random.default_rng(0), Adam(RATE)
        history = fit(network, theta, data, rule, epochs=epochs, batch_size=batch_size, rng=rng)
        box[0] = history.theta

    steps = epochs * -(-len(data[0]) // batch_size)
    short = few(data, batch_size)
    return Contender(run, short=lambda: run(1, short), result=lambda: box[0], per=steps)


def other_rule(network: MLP, theta: Any, data: Data, batch_size: int) -> Any:
    """Train briefly by the rule of Keras and scikit-learn: eps beside an uncorrected root."""

    def rate(taken: int) -> float:
        return float(RATE * np.sqrt(1 - 0.999 ** (taken + 1)) / (1 - 0.9 ** (taken + 1)))

    rule, rng = Adam(rate, bias_correction=False), np.random.default_rng(0)
    data = few(data, batch_size)
    return fit(network, theta, data, rule, epochs=1, batch_size=batch_size, rng=rng).theta


def keras_fit(network: MLP, theta: Any, data: Data, batch_size: int, epochs: int) -> Contender:
    """Train with one call of Keras's `fit`."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    *hidden, outputs = network.sizes[1:]
    model = keras.Sequential(
        [keras.Input((network.sizes[0],))]
        + [keras.layers.Dense(width, activation="relu") for width in hidden]
        + [keras.layers.Dense(outputs)]
    )
    optimizer = keras.optimizers.Adam(RATE, epsilon=1e-8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss)
    weights = [p.copy() for layer in network.unpack(theta) for p in layer]
    x, y = few(data, batch_size)
    order = np.random.default_rng(0).permutation(len(x))

    def reset() -> None:
        model.set_weights(weights)
        for variable in optimizer.variables:
            if "learning_rate" not in variable.path:
                variable.assign(np.zeros(variable.shape))

    def run() -> None:
        model.fit(*data, batch_size=batch_size, epochs=epochs, verbose=0)

    def short() -> None:
        model.fit(x[order], y[order], batch_size=batch_size, epochs=1, shuffle=False, verbose=0)

    return Contender(
        run,
        reset,
        short,
        lambda: np.concatenate([p.ravel() for p in model.get_weights()]),
        lambda: other_rule(network, theta, data, batch_size),
        per=epochs * -(-len(data[0]) // batch_size),
    )


def scikit_learn(network: MLP, theta: Any, data: Data, batch_size: int, epochs: int) -> Contender:
    """Call `MLPClassifier.partial_fit` for every batch."""
    from sklearn.neural_network import MLPClassifier

    classes, layers = np.arange(network.sizes[-1]), network.unpack(theta)
    model = MLPClassifier(
        network.sizes[1:-1], alpha=0, batch_size=batch_size, learning_rate_init=RATE
    )

    def reset() -> None:
        model.partial_fit(data[0][:batch_size], data[1][:batch_size], classes=classes)
        for kernel, bias, (w, b) in zip(model.coefs_, model.intercepts_, layers, strict=True):
            kernel[:], bias[:] = w, b
        del model._optimizer  # Adam starts anew

    def run(epochs: int = epochs, data: Data = data) -> None:
        rng, (x, y) = np.random.default_rng(0), data
        for _ in range(epochs):
            for batch in minibatches(len(x), batch_size, rng):
                model.partial_fit(x[batch], y[batch], classes=classes)

    def result() -> Any:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return np.concatenate([p.ravel() for pair in pairs for p in pair])

    return Contender(
        run,
        reset,
        lambda: run(1, few(data, batch_size)),
        result,
        lambda: other_rule(network, theta, data, batch_size),
        per=epochs * -(-len(data[0]) // batch_size),
    )


def makers(sizes: tuple[int, ...], batch_size: int, epochs: int, batches: int) -> dict[str, Any]:
    """Return a maker for every contender, all with the same start and data."""
    network = MLP(sizes)
    theta = network.init(np.random.default_rng(0), dtype=np.float32)
    x, y = load_mnist10k(dtype=np.float32).train
    rows_used = batch_size * batches
    data = x[:rows_used, : sizes[0]].copy(), y[:rows_used].astype(np.int64)
    common = {"epochs": epochs, "batch_size": batch_size}
    made: dict[str, Callable[[], Contender]] = {
        name: lambda: ours(network, theta, data, batch_size, epochs) for name in (PURE, FAST)
    }
    for name, options in TORCH.items():
        made[name] = lambda name=name, options=options: torch_peers.train(
            network,
            theta,
            data,
            criterion=lambda torch: torch.nn.CrossEntropyLoss(),
            optimizer=lambda torch, p: torch.optim.Adam(p, lr=RATE, **options),
            compiled=name == "torch compile",
            **common,
        )
    for name, style in JAX.items():
        made[name] = lambda style=style: jax_peers.train(
            network,
            theta,
            data,
            loss=cross_entropy,
            optimizer=lambda optax: optax.adam(RATE),
            style=style,
            **common,
        )
    made["keras fit"] = lambda: keras_fit(network, theta, data, batch_size, epochs)
    made["scikit-learn partial_fit"] = lambda: scikit_learn(
        network, theta, data, batch_size, epochs
    )
    return made


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Return optax's loss, averaged over the batch."""
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def measure(
    rounds: int,
    missing: dict[str, str],
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    networks: Any = NETWORKS,
    epochs: int = EPOCHS,
    batches: int = BATCHES,
) -> list[dict[str, Any]]:
    """Return a row for every network and contender."""
    found = []
    for sizes, batch_size in networks:
        case = {"network": "-".join(map(str, sizes)), "batch": batch_size}
        some = chosen(contenders, makers(sizes, batch_size, epochs, batches))
        found += rows(TABLE, case, some, rounds=rounds, missing=missing, notes=NOTES)
    return found
