"""Worlds for what article 4 prints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from worlds import World, not_evaluated, world

from optlearn.losses import mean_squared_error

not_evaluated(
    eq_audit_e4_12="i counts steps on the left and names a weight in the partial derivative",
)


@world("eq-audit-e4-06")
def squared_error() -> Iterator[World]:
    rng = np.random.default_rng(0)
    for n in (3, 5):
        y, predicted = rng.normal(size=n), rng.normal(size=n)
        yield {
            r"\mathrm{MSE}": mean_squared_error(predicted, y)[0], "n": n,
            "y_i": {"i": dict(enumerate(y, start=1))},
            r"\hat y_i": {"i": dict(enumerate(predicted, start=1))},
        }  # fmt: skip
