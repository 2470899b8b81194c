"""Measure how accurate a network is whose weights have b bits (chapter 12).

Two data sets (MNIST with 784-64-64-10, scikit-learn's digits with 64-64-64-10), ten seeds, and
every combination of

- bits: 8 down to 1 for each weight (biases and activations stay floats);
- axis: one scale for a whole layer ("tensor") or one for each output neuron ("channel");
- method: how the range is chosen ("min-max", "mse" and, only for "after", "percentile" 99.9);
  1 bit has no range: it is the binary rule a * sign(w) with a = mean|w|;
- training: "after" rounds a network that was trained in floats; "aware" trains the last epochs
  with rounded weights and the straight-through estimator. Both start from the same network, see
  the same batches for the same number of epochs, and use the same Adam.

The rows "integers" are `QuantizedMLP`: weights of b bits, inputs and activations of 8, and
integer arithmetic between input and output. The rows "float" are the trained network itself (32
"bits" stand for "not rounded"; it is computed in float64).

Run from the root of the repository:  python experiments/quantization_bits.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import Dataset, load_digits, load_mnist10k
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.quantization import FakeQuantizedMLP, QuantizedMLP, calibrate
from optlearn.training import accuracy, fit

COLUMNS = ("data", "seed", "bits", "axis", "method", "training", "correct", "images")
SEEDS = range(10)
DATA = ("digits", "mnist")
BITS = (8, 7, 6, 5, 4, 3, 2, 1)
AXES = {"tensor": None, "channel": 1}  # weights are (inputs, outputs): axis 1 is the neuron

# A slice that takes a second or two: what the chapter and the tests run again.
CHECK = {"seed": 0, "data": "digits", "bits": (2,)}

SIZES = {"digits": (64, 64, 64, 10), "mnist": (784, 64, 64, 10)}
BATCH = {"digits": 32, "mnist": 64}
EPOCHS = {"digits": (20, 10), "mnist": (6, 3)}  # in floats, and then either way
LR = 1e-3


def load(data: str, seed: int) -> Dataset:
    """Digits are split anew for each seed; MNIST has its own split."""
    return load_digits(rng=np.random.default_rng(seed)) if data == "digits" else load_mnist10k()


def train(network: MLP, theta: Any, dataset: Dataset, data: str, stage: int, seed: int) -> Any:
    """Train for the epochs of one stage, from `theta`."""
    return fit(
        network,
        theta,
        dataset.train,
        Adam(LR),
        epochs=EPOCHS[data][stage],
        batch_size=BATCH[data],
        rng=np.random.default_rng((seed, stage)),
    ).theta


def grids(network: MLP, theta: Any, bits: int, axis: int | None, method: str) -> Any:
    """One (scale, zero point) for each layer; None where the weights are binary."""
    if bits == 1:
        return None
    return [
        calibrate(weights, bits=bits, symmetric=True, axis=axis, method=method)
        for weights, _ in network.unpack(theta)
    ]


def settings(bits: Sequence[int], methods: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield every (bits, axis, method)."""
    for b in bits:
        for axis in AXES:
            for method in methods if b > 1 else ("binary",):
                yield b, axis, method


def one_seed(
    seed: int, data: str | None = None, bits: Sequence[int] = BITS
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of both data sets or of one, for all bits or for some."""
    if data is None:
        return [row for name in DATA for row in one_seed(seed, name, bits)]
    dataset, network = load(data, seed), MLP(SIZES[data])
    start = network.init(np.random.default_rng(seed))
    middle = train(network, start, dataset, data, 0, seed)
    final = train(network, middle, dataset, data, 1, seed)
    rows = []

    def add(b: int, axis: str, method: str, training: str, share: float) -> None:
        images = len(dataset.y_test)
        values = (data, seed, b, axis, method, training, round(share * images), images)
        rows.append(dict(zip(COLUMNS, values, strict=True)))

    test = dataset.x_test, dataset.y_test
    add(32, "none", "none", "float", accuracy(network, final, *test))
    for b, axis, method in settings(bits, ("min-max", "percentile", "mse")):
        fixed = grids(network, final, b, AXES[axis], method)
        rounded = FakeQuantizedMLP(network, bits=b, axis=AXES[axis], grids=fixed)
        add(b, axis, method, "after", accuracy(rounded, final, *test))
    for b, axis, method in settings(bits, ("min-max", "mse")):
        # min-max follows the weights; the other grid is that of the network it starts from.
        fixed = None if method == "min-max" else grids(network, middle, b, AXES[axis], method)
        rounded = FakeQuantizedMLP(network, bits=b, axis=AXES[axis], grids=fixed)
        theta = train(rounded, middle, dataset, data, 1, seed)
        add(b, axis, method, "aware", accuracy(rounded, theta, *test))
    for b, axis, method in settings([b for b in bits if b > 1], ("min-max", "mse")):
        integers = QuantizedMLP.from_network(
            network, final, dataset.x_train[:500], bits=b, axis=AXES[axis], method=method
        )
        right = np.mean(integers.predict(dataset.x_test) == dataset.y_test)
        add(b, axis, method, "integers", float(right))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("quantization_bits", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
