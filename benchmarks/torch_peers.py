"""The networks of the tables in PyTorch, as its users write them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.turns import AbsentError, Contender, few
from optlearn.networks import MLP
from optlearn.training import minibatches

ACTIVATIONS = {"relu": "ReLU", "tanh": "Tanh"}


def threads() -> Any:
    """Import PyTorch with as many threads as the process has cores."""
    import os

    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch


def sequential(network: MLP, theta: Any) -> Any:
    """Return the network as torch modules, in the precision of `theta`."""
    torch = threads()
    layers: list[Any] = []
    for w, _ in network.unpack(theta):
        layers += [torch.nn.Linear(*w.shape), getattr(torch.nn, ACTIVATIONS[network.activation])()]
    return torch.nn.Sequential(*layers[:-1]).to(torch.from_numpy(theta).dtype)


def load(model: Any, network: MLP, theta: Any) -> None:
    """Put theta's weights into the modules; torch stores them transposed."""
    torch = threads()
    linears = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for linear, (w, b) in zip(linears, network.unpack(theta), strict=True):
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b.copy()))


def vector(model: Any) -> Any:
    """Return the modules' weights as theta has them."""
    tensors = [p.detach().numpy() for p in model.parameters()]
    return np.concatenate([(p.T if p.ndim == 2 else p).ravel() for p in tensors])


def train(
    network: MLP,
    theta: Any,
    data: tuple[Any, Any],
    *,
    criterion: Callable[[Any], Any],
    optimizer: Callable[[Any, Any], Any],
    epochs: int,
    batch_size: int,
    compiled: bool = False,
) -> Contender:
    """Train on the batches that `fit` draws from generator 0; `compiled` needs a C++ compiler."""
    if compiled and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        raise AbsentError("torch.compile needs a C++ compiler, and there is none")
    torch = threads()
    model, loss = sequential(network, theta), criterion(torch)
    tensors = tuple(torch.from_numpy(array) for array in data)
    full = batch_size == len(data[0])
    box: list[Any] = [None]

    def objective(inputs: Any, targets: Any) -> Any:
        return loss(model(inputs), targets)

    evaluate = torch.compile(objective) if compiled else objective

    def reset() -> None:
        load(model, network, theta)
        box[0] = optimizer(torch, model.parameters())

    def run(epochs: int = epochs, data: Any = tensors) -> None:
        rng, descend, (x, y) = np.random.default_rng(0), box[0], data
        for _ in range(epochs):
            for batch in minibatches(len(x), batch_size, rng):
                index = None if full else torch.from_numpy(batch)
                inputs, targets = (x, y) if full else (x[index], y[index])
                descend.zero_grad()
                evaluate(inputs, targets).backward()
                descend.step()

    steps = epochs * -(-len(data[0]) // batch_size)
    short = None if full else lambda: run(1, few(tensors, batch_size))
    return Contender(run, reset, short, lambda: vector(model), per=steps)
