"""Where the studies keep their results: ``book/_data/<name of the script>.csv``."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["make", "read"]

Rows = list[dict[str, Any]]
DATA = Path(__file__).resolve().parents[1] / "book" / "_data"


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a result."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def make(name: str, study: Callable[[int], Rows], seeds: range, columns: Sequence[str]) -> None:
    """Run a study for all its seeds; write the rows, the command and the seeds that made them."""
    rows = [row for seed in seeds for row in study(seed)]
    with (DATA / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# python experiments/{name}.py\n# seeds {seeds[0]} to {seeds[-1]}\n")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
