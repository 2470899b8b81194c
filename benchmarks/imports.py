"""The first import of each public module in a fresh interpreter, with the disk's cache warm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.turns import quartiles

TABLE = "import"
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ["optlearn"] + [
    f"optlearn.{path.stem}" for path in sorted((ROOT / "optlearn").glob("[!_]*.py"))
]
CONTENDERS = ("numpy", *PACKAGE)
PROGRAM = """
import sys, time
before = set(sys.modules)
begin = time.process_time()
import {name}
seconds = time.process_time() - begin
import json
roots = {{module.split(".")[0] for module in set(sys.modules) - before}}
foreign = sorted(r for r in roots if r not in sys.stdlib_module_names and r[0] != "_")
print(json.dumps([seconds * 1e6, foreign]))
"""


def first_import(name: str) -> tuple[float, list[str]]:
    """Import a module in a fresh interpreter; return microseconds and the packages it loads."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    microseconds, modules = json.loads(run.stdout)
    return microseconds, modules


def measure(
    rounds: int, missing: dict[str, str], *, contenders: tuple[str, ...] = CONTENDERS
) -> list[dict[str, Any]]:
    """Return a row for NumPy and every module, with the packages that it loads."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    loaded: dict[str, list[str]] = {}
    for turn in range(rounds + 1):
        for name in contenders:
            if name in missing:
                continue
            try:
                microseconds, loaded[name] = first_import(name)
            except subprocess.CalledProcessError as error:
                missing[name] = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
                continue
            if turn:  # the first turn reads the disk
                times[name].append(float(f"{microseconds:.4g}"))
    return [
        {
            "table": TABLE,
            "case": {"module": name},
            "contender": name,
            "times": times[name],
            "microseconds": quartiles(times[name]),
            "loads": [module for module in loaded[name] if module != "optlearn"],
            "note": "disk cache warm",
        }
        for name in contenders
        if name not in missing
    ]
