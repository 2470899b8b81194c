"""The networks of the tables in JAX with optax, as its users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.turns import Contender, few
from optlearn.networks import MLP
from optlearn.training import minibatches


def train(
    network: MLP,
    theta: Any,
    data: tuple[Any, Any],
    *,
    loss: Callable[[Any, Any], Any],
    optimizer: Callable[[Any], Any],
    epochs: int,
    batch_size: int,
    style: str,
) -> Contender:
    """Train on the batches that `fit` draws from generator 0.

    `style` is "batch": a jitted step that gets its batch; "gather": a jitted step that takes its
    batch from data on the device and gives its buffers back; "scan": one jitted program an epoch,
    or a single one where the batch is all data.
    """
    import jax
    import optax

    n, activation = len(data[0]), {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[network.activation]
    rule, shapes = optimizer(optax), [(w.copy(), b.copy()) for w, b in network.unpack(theta)]
    double = theta.dtype == np.float64
    with jax.enable_x64(double):
        device = tuple(jax.device_put(array) for array in data)
    box: list[Any] = [None, None]
    full = batch_size == n

    def objective(parameters: Any, inputs: Any, targets: Any) -> Any:
        a = inputs
        for w, b in parameters[:-1]:
            a = activation(a @ w + b)
        return loss(a @ parameters[-1][0] + parameters[-1][1], targets)

    def step(parameters: Any, state: Any, inputs: Any, targets: Any) -> Any:
        value, gradient = jax.value_and_grad(objective)(parameters, inputs, targets)
        updates, state = rule.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    def gathering(parameters: Any, state: Any, index: Any, x: Any, y: Any) -> Any:
        return step(parameters, state, x[index], y[index])

    def scanning(parameters: Any, state: Any, indices: Any, x: Any, y: Any) -> Any:
        def body(carry: Any, index: Any) -> Any:
            inputs, targets = (x, y) if full else (x[index], y[index])
            after, state, value = step(*carry, inputs, targets)
            return (after, state), value

        (parameters, state), values = jax.lax.scan(body, (parameters, state), indices)
        return parameters, state, values

    jitted = {
        "batch": lambda: jax.jit(step),
        "gather": lambda: jax.jit(gathering, donate_argnums=(0, 1)),
        "scan": lambda: jax.jit(scanning, donate_argnums=(0, 1)),
    }[style]()

    def reset() -> None:
        with jax.enable_x64(double):
            box[0] = [(jax.numpy.array(w), jax.numpy.array(b)) for w, b in shapes]
            box[1] = rule.init(box[0])
            jax.block_until_ready(box)

    def scan(rng: np.random.Generator, epochs: int, x: Any, y: Any) -> Any:
        if full:
            box[0], box[1], values = jitted(box[0], box[1], np.arange(epochs), x, y)
            return values
        for _ in range(epochs):
            indices = rng.permutation(len(x)).astype(np.int32).reshape(-1, batch_size)
            box[0], box[1], values = jitted(box[0], box[1], indices, x, y)
        return values

    def loop(rng: np.random.Generator, epochs: int, x: Any, y: Any) -> Any:
        for _ in range(epochs):
            for batch in minibatches(len(x), batch_size, rng):
                if style == "gather":
                    arguments = batch.astype(np.int32), x, y
                else:
                    arguments = (x, y) if full else (data[0][batch], data[1][batch])
                box[0], box[1], value = jitted(box[0], box[1], *arguments)
        return value

    def run(epochs: int = epochs, data: Any = device) -> None:
        with jax.enable_x64(double):
            value = (scan if style == "scan" else loop)(np.random.default_rng(0), epochs, *data)
            jax.block_until_ready((box, value))

    def result() -> Any:
        return np.concatenate([np.asarray(p).ravel() for layer in box[0] for p in layer])

    short = None if full else lambda: run(1, few(device, batch_size))
    return Contender(run, reset, short, result, per=epochs * -(-n // batch_size))
