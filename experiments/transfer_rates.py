"""The learning rates of ``transfer_budgets.py``, tuned apart from its results (chapter 14).

Every method tries the same eight rates, for every pair and number of labels, on five seeds that
the results do not use. Validation images are set aside: no seed labels them or tests on them.
``python experiments/transfer_rates.py`` takes about twelve minutes.
"""

from __future__ import annotations

from typing import Any

from _tables import make
from transfer_budgets import PAIRS, methods, prepare, train

from optlearn.runs import accuracies

__all__ = ["CHECK", "COLUMNS", "SEEDS", "main", "one_seed"]

COLUMNS = ("pair", "method", "labels", "seed", "rate", "accuracy")
SEEDS = range(100, 105)
CHECK = {"seed": 100, "pair": "0-4 to 5-9", "labels": 10}
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


def one_seed(
    seed: int, pair: str | None = None, labels: int | None = None
) -> list[dict[str, Any]]:
    """Return the rows of one seed, of one pair or of all, of one number of labels or of all."""
    rows = []
    for name in PAIRS if pair is None else (pair,):
        work, network, source, order = prepare(seed, name)
        for budget in work.labels if labels is None else (labels,):
            data = work.pool[0][order[:budget]], work.pool[1][order[:budget]]
            ways = [(method, rate) for method in methods(name) for rate in RATES]
            theta = train(seed, network, source, data, ways)
            score = accuracies(network, theta, *work.validation)
            for (method, rate), accuracy in zip(ways, score, strict=True):
                values = (name, method, budget, seed, rate, round(float(accuracy), 4))
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def main() -> None:
    """Run all seeds and write the table."""
    make("transfer_rates", one_seed, SEEDS, COLUMNS)


if __name__ == "__main__":
    main()
