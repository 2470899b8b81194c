"""What is aimed at, and what was measured beside it; a target that is missed says so.

A ratio is a peer's time over ours, so more is better; a time over the limit of the memory should
be small. Where a target speaks of several networks or optimizers, the worst one counts. All
targets are for one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.turns import FAST, PURE

Row = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One line of the table: who is compared in which rows, and the value to reach."""

    name: str
    table: str
    peer: str
    ours: str
    value: float
    case: tuple[tuple[str, Any], ...] = ()
    at_most: bool = False

    def measured(self, tables: dict[str, list[Row]]) -> float | None:
        """Return the worst median among the rows it speaks of, None where there is none."""
        case = dict(self.case)
        matching = [
            row
            for row in tables.get(self.table, [])
            if all(row["case"].get(key) == value for key, value in case.items())
        ]
        if self.at_most:
            return worst([r["over_limit"] for r in matching if r["contender"] == self.ours], max)
        over = [r["over"].get(self.ours) for r in matching if r["contender"] == self.peer]
        cases = sum(row["contender"] == self.ours for row in matching)
        return worst(over, min) if len(over) == cases else None

    def met(self, measured: float | None) -> bool:
        """Say whether a value reaches the target."""
        if measured is None:
            return False
        return measured <= self.value if self.at_most else measured >= self.value


def worst(triples: Iterable[list[float] | None], choose: Any) -> float | None:
    """Return the worst of the medians; one missing row leaves no answer."""
    found = list(triples)
    if not found or None in found:
        return None
    return float(choose(triple[1] for triple in found if triple))


STEP, ONE = "full step", "optimizer step"
PARTIAL_FIT = "scikit-learn partial_fit"
TARGETS = (
    Target("full step, against torch fused", STEP, "torch fused", PURE, 1.9),
    Target("full step, against torch fused", STEP, "torch fused", FAST, 2.5),
    Target("full step, against jax jit per step", STEP, "jax jit", PURE, 0.95),
    Target("full step, against jax jit per step", STEP, "jax jit", FAST, 1.2),
    Target("the same, batch gathered inside", STEP, "jax jit, gathered inside", PURE, 0.95),
    Target("the same, batch gathered inside", STEP, "jax jit, gathered inside", FAST, 1.2),
    Target("full step, against jax lax.scan per epoch", STEP, "jax scan", FAST, 1.0),
    Target("full step, against scikit-learn partial_fit", STEP, PARTIAL_FIT, PURE, 6.0),
    Target("full step, against keras fit", STEP, "keras fit", PURE, 1.5),
    Target(
        "optimizer step, 1e7 parameters, over the memory's limit",
        ONE,
        "triad",
        PURE,
        3.0,
        (("parameters", 10**7),),
        at_most=True,
    ),
    Target(
        "optimizer step, 1e7 parameters, over the memory's limit",
        ONE,
        "triad",
        FAST,
        1.2,
        (("parameters", 10**7),),
        at_most=True,
    ),
    Target(
        "optimizer step, 1e5 parameters, against torch fused",
        ONE,
        "torch fused",
        FAST,
        3.0,
        (("parameters", 10**5),),
    ),
    Target("2-D trajectories, all optimizers, against torch", "trajectories", "torch", PURE, 15.0),
    Target(
        "sweep of 64 runs on 2-1-1, against a loop",
        "many runs",
        "loop over fit",
        PURE,
        25.0,
        (("network", "2-1-1"), ("runs", 64)),
    ),
)


def evaluate(tables: dict[str, list[Row]]) -> list[Row]:
    """Return a row for every target: its value, what was measured, whether it is met."""
    found = []
    for target in TARGETS:
        measured = target.measured(tables)
        found.append(
            {
                "target": target.name,
                "with": target.ours,
                "rule": "<=" if target.at_most else ">=",
                "value": target.value,
                "measured": measured,
                "met": target.met(measured),
            }
        )
    return found


def report(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'target':56} {'with':15} {'aim':>8} {'measured':>9}"
    for row in rows:
        measured = "-" if row["measured"] is None else f"{row['measured']:.3g}"
        verdict = "met" if row["met"] else "missed" if row["measured"] else "not measured"
        aim = f"{row['rule']} {row['value']:g}"
        yield f"{row['target']:56} {row['with']:15} {aim:>8} {measured:>9}  {verdict}"
