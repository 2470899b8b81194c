"""Soups of fine-tuned networks, against averages of independent ones (chapter 14).

Every seed trains a source network on MNIST at 8 x 8 pixels and fine-tunes eight copies of it on
250 of scikit-learn's digits (four rates, two orders each); eight more networks learn the same 250
digits from starts of their own. 300 held-out digits choose, 450 test digits judge. ``python
experiments/transfer_soups.py`` takes about half a minute.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _tables import make
from transfer_budgets import prepare

from optlearn.optimizers import Adam
from optlearn.runs import accuracies, fit_runs
from optlearn.transfer import align_hidden_units, average_weights, ensemble, greedy_soup

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed"]

COLUMNS = ("group", "way", "members", "seed", "accuracy")
SEEDS = range(10)
CHECK = {"seed": 0}
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
LABELS, HELD_OUT, BATCH, EPOCHS = 250, 300, 25, 32


def ingredients(seed: int) -> tuple[Any, dict[str, Any], Any, Any]:
    """Return the network, both groups of eight, the held-out digits and the test digits."""
    work, network, source, order = prepare(seed, "MNIST to digits")
    x, y = work.pool
    labelled, held_out = order[:LABELS], order[LABELS : LABELS + HELD_OUT]
    rngs = [np.random.default_rng([seed, 3, k]) for k in range(2 * len(RATES))]
    starts = {
        "fine-tuned": np.stack([source for _ in rngs]),
        "independent": np.stack([network.init(rng) for rng in rngs]),
    }
    lr = np.repeat(RATES, 2)[:, None]
    groups = {
        name: fit_runs(
            network, theta, (x[labelled], y[labelled]), Adam(lr), epochs=EPOCHS,
            batch_size=BATCH, rngs=rngs,
        ).theta
        for name, theta in starts.items()
    }  # fmt: skip
    return network, groups, (x[held_out], y[held_out]), work.test


def one_seed(seed: int) -> list[dict[str, Any]]:
    """Return the rows of one seed."""
    network, groups, held_out, (x, y) = ingredients(seed)
    rows = []
    for group, thetas in groups.items():
        every = accuracies(network, thetas, x, y)
        best = accuracies(network, thetas, *held_out).argmax()
        soup, members = greedy_soup(network, thetas, *held_out)
        probabilities = ensemble(network, thetas, x)
        singles = {
            "uniform average": average_weights(thetas),
            "greedy soup": soup,
        }
        if group == "independent":
            aligned = align_hidden_units(network, thetas, thetas[best], held_out[0])
            singles["aligned average"] = average_weights(aligned)
        found = {
            "mean of the members": (1, every.mean()),
            "best member": (1, every[best]),
            "ensemble": (len(thetas), (probabilities.argmax(axis=1) == y).mean()),
        }
        for way, theta in singles.items():
            used = len(members) if way == "greedy soup" else len(thetas)
            found[way] = (used, accuracies(network, theta[None], x, y)[0])
        for way, (used, accuracy) in found.items():
            values = (group, way, used, seed, round(float(accuracy), 4))
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Run all seeds and write the table."""
    make("transfer_soups", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
