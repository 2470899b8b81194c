"""Train wider and wider networks on clean and on partly random labels (chapter 11).

scikit-learn's digits, 64-h-10 with h = 8, 32, 128 or 512 hidden units, and two kinds of labels:
those of the data set ("0") or with 30 % of the training and validation labels drawn anew at random
("0.3"; a label drawn anew may be the old one). Test labels are always the true ones. A quarter of
the digits tests, a quarter of the rest validates, what is left trains, split anew for each seed.

"end" trains for 150 epochs. "early" sees the same batches and stops as soon as ten epochs have
brought no lower validation loss; it keeps the parameters of the best epoch. Nothing else is tuned:
Adam at 0.001, batches of 32.

Rows with split "train" count how many of the *given* training labels the network reproduces.

Run from the root of the repository:  python experiments/practice_widths.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import make

from optlearn.datasets import load_digits
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.training import History, accuracy, fit

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed", "prepare", "train"]

COLUMNS = ("width", "noise", "stopping", "split", "seed", "correct", "images")
SEEDS = range(10)
WIDTHS = (8, 32, 128, 512)
NOISES = ("0", "0.3")
STOPPING = {"early": 10, "end": None}
CHECK = {"seed": 0, "widths": (32,), "noises": ("0.3",), "stopping": ("early",)}
EPOCHS, BATCH, LR = 150, 32, 1e-3


def prepare(seed: int, noise: str) -> dict[str, tuple[Any, Any]]:
    """Return the digits that train, validate and test, with their labels."""
    rng = np.random.default_rng((seed, 0))
    digits = load_digits(rng=rng)
    x, y = digits.train
    order = rng.permutation(len(y))
    drawn = rng.random(len(y)) < float(noise)
    y = np.where(drawn, rng.integers(10, size=len(y)), y)
    cut = 3 * len(y) // 4
    held, rest = order[cut:], order[:cut]
    return {"train": (x[rest], y[rest]), "validation": (x[held], y[held]), "test": digits.test}


def train(seed: int, width: int, data: dict[str, Any], patience: int | None) -> History:
    """Train one network; the start and the batches depend on the seed alone."""
    rng = np.random.default_rng((seed, 1))
    network = MLP((64, width, 10))
    return fit(
        network,
        network.init(rng),
        data["train"],
        Adam(LR),
        epochs=EPOCHS,
        batch_size=BATCH,
        rng=rng,
        validation=data["validation"],
        patience=patience,
    )


def one_seed(
    seed: int,
    widths: Sequence[int] = WIDTHS,
    noises: Sequence[str] = NOISES,
    stopping: Sequence[str] = tuple(STOPPING),
) -> list[dict[str, Any]]:
    """Return the rows of one seed, for all widths, noises and kinds of stopping or some."""
    rows = []
    for noise in noises:
        data = prepare(seed, noise)
        for width in widths:
            for stop in stopping:
                theta = train(seed, width, data, STOPPING[stop]).theta
                for split in ("train", "test"):
                    share = accuracy(MLP((64, width, 10)), theta, *data[split])
                    images = len(data[split][1])
                    values = (width, noise, stop, split, seed, round(share * images), images)
                    rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Compute every row and write the table."""
    make("practice_widths", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
