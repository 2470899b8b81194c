"""Where the studies keep their results: ``book/_data/<name of the script>.csv``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["read", "write"]

DATA = Path(__file__).resolve().parents[1] / "book" / "_data"


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a result."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def write(name: str, seeds: range, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    """Write a result with the command and the seeds that made it."""
    with (DATA / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# python experiments/{name}.py\n# seeds {seeds[0]} to {seeds[-1]}\n")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
