"""Measure how accurate a network is that was made smaller, in several ways (chapter 13).

Two data sets (MNIST with 784-64-64-10, scikit-learn's digits with 64-64-64-10) and ten seeds. The
networks, their data and their training are those of ``quantization_bits.py``, so that its rows
can stand beside these. For every method

- training "after": a network that was trained for all epochs is compressed;
- training "retrained": it is compressed before the last epochs (3 of 9 on MNIST, 10 of 30 on the
  digits), and these are trained with what is left: the same number of epochs in total;
- training "scratch": a small network is trained from its own random start for all epochs.

The methods, and what `setting` means:

- float: the network itself;
- prune, prune by layer: the fraction of weights of least magnitude, of all or of each layer, that
  is set to 0; stored are 4 bytes for each weight left and one bit for each place;
- units: how many units each hidden layer keeps, those of the largest `unit_scores` on training
  images, the mean of the others moved into the biases; from scratch: a network of that size;
- low rank: the rank of the first two matrices (at 32 of the first only);
- share: the bits of an index, 2^b values for each layer by k-means;
- prune and share: the fraction pruned by magnitude, retrained, and what is left of each layer
  shares 16 values; one bit for each place, 4 for each weight left.

Bytes are those of float32 parameters unless said otherwise, biases included.

Run from the root of the repository:  python experiments/compression_bytes.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from _tables import make
from quantization_bits import BATCH, DATA, EPOCHS, LR, SIZES, load

from optlearn.compression import (
    low_rank,
    pack_sparse,
    prune,
    remove_units,
    share_weights,
    unit_scores,
)
from optlearn.datasets import Dataset
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.training import accuracy, fit

COLUMNS = ("data", "seed", "method", "setting", "training", "nbytes", "correct", "images")
SEEDS = range(10)

# A slice that takes two or three seconds: what the chapter and the tests run again.
CHECK = {"seed": 0, "data": "digits", "methods": ("low rank",)}

FRACTIONS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
BY_LAYER = (0.7, 0.9)
WIDTHS = (48, 32, 16, 8, 4)
RANKS = {"digits": (16, 8, 4), "mnist": (32, 16, 8, 4)}
INDEX_BITS = (5, 4, 3, 2, 1)

Small = tuple[MLP, Any, int]  # a compressed network, its parameters, and its bytes


class Seed:
    """One seed's data, its network before and after the last epochs, and how it trains."""

    def __init__(self, seed: int, data: str) -> None:
        self.seed, self.data = seed, data
        self.dataset: Dataset = load(data, seed)
        self.network = MLP(SIZES[data])
        start = self.network.init(np.random.default_rng(seed))
        self.middle = self.train(self.network, start, 0)
        self.final = self.train(self.network, self.middle, 1)

    def train(self, network: MLP, theta: Any, stage: int, lr: Any = LR) -> Any:
        """Train for the epochs of one stage, from `theta`."""
        return fit(
            network,
            theta,
            self.dataset.train,
            Adam(lr),
            epochs=EPOCHS[self.data][stage],
            batch_size=BATCH[self.data],
            rng=np.random.default_rng((self.seed, stage)),
        ).theta


def biases(network: MLP) -> int:
    """Bytes of the biases in float32."""
    return 4 * sum(network.sizes[1:])


def sparse_nbytes(network: MLP, theta: Any) -> int:
    """Bytes of weights without their zeros, and of the biases."""
    return biases(network) + sum(pack_sparse(w).nbytes for w, _ in network.unpack(theta))


def pruned(run: Seed, fraction: float, scope: str) -> Iterator[tuple[str, Small]]:
    """Prune after training, and before the last epochs."""
    network = run.network
    theta, _ = prune(network, run.final, fraction, scope=scope)
    yield "after", (network, theta, sparse_nbytes(network, theta))
    theta, mask = prune(network, run.middle, fraction, scope=scope)
    theta = run.train(network, theta, 1, lr=np.where(mask, 0.0, LR))
    yield "retrained", (network, theta, sparse_nbytes(network, theta))


def narrowed(run: Seed, width: int) -> Iterator[tuple[str, Small]]:
    """Remove units after training and before the last epochs, or never have had them."""
    x = run.dataset.x_train[:1000]
    for training, theta in (("after", run.final), ("retrained", run.middle)):
        scores = unit_scores(run.network, theta, x)
        keep = [np.sort(np.argsort(-score, kind="stable")[:width]) for score in scores]
        smaller, rest = remove_units(run.network, theta, keep, x)
        if training == "retrained":
            rest = run.train(smaller, rest, 1)
        yield training, (smaller, rest, 4 * smaller.n_parameters)
    rest = smaller.init(np.random.default_rng(run.seed))
    for stage in (0, 1):
        rest = run.train(smaller, rest, stage)
    yield "scratch", (smaller, rest, 4 * smaller.n_parameters)


def factored(run: Seed, rank: int) -> Iterator[tuple[str, Small]]:
    """Factor the first two matrices after training and before the last epochs."""
    ranks = (rank, rank if rank < 32 else None, None)
    network, theta = low_rank(run.network, run.final, ranks)
    yield "after", (network, theta, 4 * network.n_parameters)
    network, theta = low_rank(run.network, run.middle, ranks)
    yield "retrained", (network, run.train(network, theta, 1), 4 * network.n_parameters)


def shared(run: Seed, bits: int) -> Iterator[tuple[str, Small]]:
    """Let the weights of each layer share a few values."""
    theta, nbytes, rng = run.final.copy(), biases(run.network), np.random.default_rng(run.seed)
    for w, _ in run.network.unpack(theta):
        few = share_weights(w, 2**bits, rng)
        w[...], nbytes = few.dense(), nbytes + few.nbytes
    yield "after", (run.network, theta, nbytes)


def pruned_and_shared(run: Seed, fraction: float) -> Iterator[tuple[str, Small]]:
    """Prune, retrain, and let the weights that are left share sixteen values a layer."""
    theta, mask = prune(run.network, run.middle, fraction)
    theta = run.train(run.network, theta, 1, lr=np.where(mask, 0.0, LR))
    nbytes, rng = biases(run.network), np.random.default_rng(run.seed)
    weights = [w for w, _ in run.network.unpack(theta)]
    left = 0
    for w in weights:
        few = share_weights(w[w != 0], 16, rng)
        w[w != 0] = few.dense()
        nbytes += few.codebook.nbytes + -(-w.size // 8)
        left += few.indices.size
    yield "retrained", (run.network, theta, nbytes + -(-4 * left // 8))


def compressed(run: Seed, method: str) -> Iterator[tuple[str, str, Small]]:
    """Yield (setting, training, network) for all settings of one method."""
    if method == "float":
        yield "-", "after", (run.network, run.final, 4 * run.network.n_parameters)
        return
    makers: dict[str, tuple[Sequence[Any], Any]] = {
        "prune": (FRACTIONS, lambda f: pruned(run, f, "global")),
        "prune by layer": (BY_LAYER, lambda f: pruned(run, f, "layer")),
        "units": (WIDTHS, lambda width: narrowed(run, width)),
        "low rank": (RANKS[run.data], lambda rank: factored(run, rank)),
        "share": (INDEX_BITS, lambda bits: shared(run, bits)),
        "prune and share": (FRACTIONS[:-1], lambda f: pruned_and_shared(run, f)),
    }
    settings, make_them = makers[method]
    for setting in settings:
        for training, small in make_them(setting):
            yield str(setting), training, small


METHODS = ("float", "prune", "prune by layer", "units", "low rank", "share", "prune and share")


def one_seed(
    seed: int, data: str | None = None, methods: Sequence[str] = METHODS
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of both data sets or of one, for all methods or for some."""
    if data is None:
        return [row for name in DATA for row in one_seed(seed, name, methods)]
    run, rows = Seed(seed, data), []
    x, y = run.dataset.test
    for method in methods:
        for setting, training, (network, theta, nbytes) in compressed(run, method):
            right = round(accuracy(network, theta, x, y) * len(y))
            values = (data, seed, method, setting, training, nbytes, right, len(y))
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("compression_bytes", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
