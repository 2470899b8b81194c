"""Training functions for the tests of sweeps, in a module that worker processes can import.

Each call leaves a line in a log, so that a test can count what was done, by whichever process.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from optlearn.sweeps import over_runs


def note(log: str | Path, line: str) -> None:
    """Append a line in one system call: lines of several processes do not mix."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def counts(log: Path) -> Counter[str]:
    """Return how often each run was begun."""
    return Counter(log.read_text().split()) if log.exists() else Counter()


def until(condition: Any, seconds: float = 60) -> None:
    """Wait for a condition of another process."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition was not met in time")
        time.sleep(0.005)


def name_of(lr: Any, rule: Any, seed: Any) -> str:
    return f"{lr}/{rule}/{seed}"


def descent(lr: float, rule: str, seed: int, log: str) -> dict[str, float]:
    """Go down a parabola from a random start; fails in the ways that runs fail."""
    note(log, name_of(lr, rule, seed))
    x = start = np.random.default_rng(seed).normal()
    speed, steps = 0.0, 0
    for _ in range(20):
        speed = (0.5 if rule == "momentum" else 0.0) * speed + 2 * x
        x, steps = x - lr * speed, steps + 1
    if lr == 0.25:
        raise RuntimeError(f'no, "{rule}",\nnever')
    return {"loss": float("nan") if lr == 2.0 else x * x, "steps": steps, "start": start}


@over_runs("lr", chunk=4)
def descents(lr: Any, rule: str, seed: Any, log: str) -> dict[str, Any]:
    """Do what `descent` does for many runs at once."""
    note(log, f"{len(lr)}x{rule}")
    x = start = np.array([np.random.default_rng(s).normal() for s in seed])
    speed = np.zeros(len(lr))
    for _ in range(20):
        speed = (0.5 if rule == "momentum" else 0.0) * speed + 2 * x
        x = x - lr * speed
    if (lr == 0.25).any():
        raise RuntimeError(f'no, "{rule}",\nnever')
    loss = np.where(lr == 2.0, np.nan, x * x)
    return {"loss": loss, "steps": np.full(len(lr), 20), "start": start}


def stubborn(lr: float, seed: int, log: str) -> float:
    """Kill the process that does the run at 0.2 every time, and that at 0.3 once."""
    before = counts(Path(log))
    note(log, name_of(lr, "", seed))
    if lr == 0.2 or (lr == 0.3 and not before[name_of(lr, "", seed)]):
        os._exit(1)
    return lr + seed


def interrupted(lr: float, rule: str, seed: int, log: str) -> dict[str, float]:
    """Do what `descent` does, but have the user press Ctrl-C the first time at 1.0."""
    begun = counts(Path(log))
    if lr == 1.0 and not begun["interrupt"]:
        note(log, "interrupt")
        raise KeyboardInterrupt
    return descent(lr, rule, seed, log)


def place(lr: float, seed: int) -> dict[str, float]:
    """Tell where a run is done."""
    return {"pid": os.getpid(), "threads": int(os.environ["OPENBLAS_NUM_THREADS"])}
