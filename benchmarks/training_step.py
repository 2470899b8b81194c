"""Time one training step of 784-64-64-10, batch 32, Adam, float32, one BLAS thread.

Contenders: `optlearn.training.fit`, with all it checks and records; the plain allocating NumPy
version of the same mathematics, a loop over tensors as tutorials write it; and PyTorch in eager
mode where it is installed. A step is: gather a batch of MNIST, loss, gradient, update. The
contenders take turns in one process, an epoch of 50 steps each on the same 1,600 images, so that a
busy machine slows all of them; what counts is the ratio of medians.

    OPENBLAS_NUM_THREADS=1 python benchmarks/training_step.py
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)

import argparse
import time

import numpy as np

from optlearn.datasets import load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.training import fit, minibatches

SIZES, BATCH, ROWS = (784, 64, 64, 10), 32, 1600


def optlearn_epochs(theta, x, y):
    """Train with the public API; fit copies theta once an epoch."""
    network, optimizer = MLP(SIZES), Adam(1e-3)
    theta = theta.copy()

    def epoch(rows, rng):
        data = x[rows], y[rows]
        history = fit(network, theta, data, optimizer, epochs=1, batch_size=BATCH, rng=rng)
        theta[:] = history.theta

    return epoch, lambda: theta


def plain_epochs(theta, x, y):
    """The same mathematics without checks, views or buffers: one array per weight matrix."""
    params = [p.copy() for layer in MLP(SIZES).unpack(theta) for p in layer]
    m, v = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    t = 0

    def step(x, y):
        nonlocal t
        a = [x]
        for layer in range(3):
            z = a[-1] @ params[2 * layer] + params[2 * layer + 1]
            a.append(np.maximum(z, 0) if layer < 2 else z)
        p = np.exp(a[-1] - a[-1].max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        p[np.arange(len(y)), y] -= 1
        delta = p / np.float32(len(y))
        grads = [None] * 6
        for layer in (2, 1, 0):
            grads[2 * layer] = a[layer].T @ delta
            grads[2 * layer + 1] = delta.sum(axis=0)
            if layer:
                delta = (delta @ params[2 * layer].T) * (a[layer] > 0)
        t += 1
        for i, g in enumerate(grads):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            m_hat, v_hat = m[i] / (1 - 0.9**t), v[i] / (1 - 0.999**t)
            params[i] = params[i] - 1e-3 * m_hat / (np.sqrt(v_hat) + 1e-8)
        return loss

    def epoch(rows, rng):
        inputs, labels = x[rows], y[rows]
        for batch in minibatches(ROWS, BATCH, rng):
            step(inputs[batch], labels[batch])

    return epoch, lambda: np.concatenate([p.ravel() for p in params])


def torch_epochs(theta, x, y):
    """PyTorch in eager mode, with its default Adam."""
    import torch

    torch.set_num_threads(1)
    layers = []
    for (w, b), activation in zip(MLP(SIZES).unpack(theta), (True, True, False), strict=True):
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data = torch.from_numpy(w.T.copy())
        linear.bias.data = torch.from_numpy(b.copy())
        layers += [linear, torch.nn.ReLU()] if activation else [linear]
    model, criterion = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.tensor(x), torch.tensor(y)

    def epoch(rows, rng):
        inputs, labels = x[rows], y[rows]
        for batch in minibatches(ROWS, BATCH, rng):
            index = torch.from_numpy(batch)
            optimizer.zero_grad()
            criterion(model(inputs[index]), labels[index]).backward()
            optimizer.step()

    def result():
        tensors = [p.detach().numpy() for p in model.parameters()]
        return np.concatenate([(p.T if p.ndim == 2 else p).ravel() for p in tensors])

    return epoch, result


def main():
    """Run the contenders in turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=30, help="turns of each contender")
    rounds = parser.parse_args().rounds
    x, y = load_mnist10k(dtype=np.float32).train
    theta = MLP(SIZES).init(np.random.default_rng(0), dtype=np.float32)
    contenders = {
        "optlearn": optlearn_epochs,
        "plain NumPy": plain_epochs,
        "torch eager": torch_epochs,
    }
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed: it sits this one out")
        del contenders["torch eager"]
    made = {name: make(theta, x, y) for name, make in contenders.items()}
    times = {name: [] for name in made}
    for turn in range(rounds):
        start = turn * ROWS % len(x)
        rows = slice(start, start + ROWS)
        for name, (epoch, _) in made.items():
            rng = np.random.default_rng(turn)
            begin = time.perf_counter()
            epoch(rows, rng)
            times[name].append((time.perf_counter() - begin) / (ROWS / BATCH))
        if turn == 0:
            for name, (_, result) in made.items():
                gap = np.abs(result() - made["optlearn"][1]()).max()
                print(f"{name:12} differs from optlearn by at most {gap:.1e} after 50 steps")
    medians = {name: float(np.median(t)) * 1e6 for name, t in times.items()}
    for name, median in medians.items():
        ratio = median / medians["optlearn"]
        print(f"{name:12} {median:8.1f} us a step, {ratio:5.2f} times optlearn's")


if __name__ == "__main__":
    main()
