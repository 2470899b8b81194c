"""A sweep of K runs: on the leading axis, in a loop, and over processes.

All three take the same steps: `fit_runs` trains K networks at K learning rates in one program, the
loop calls `fit` K times, and joblib sends the calls to as many processes as there are threads,
which are warm when the clock starts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.turns import FAST, PURE, AbsentError, Contender, chosen, rows, switch
from optlearn.datasets import load_digits, two_moons
from optlearn.losses import binary_cross_entropy, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.runs import fit_runs
from optlearn.training import fit

TABLE = "many runs"
RUNS, MOST_FOR_PROCESSES = (8, 64, 256), 64
LOOP, LOOP_FAST, JOBLIB = "loop over fit", "loop over fit[fast]", "joblib processes"
CONTENDERS = (PURE, FAST, LOOP, LOOP_FAST, JOBLIB)


@dataclass(frozen=True)
class Task:
    """What every run of a sweep does."""

    network: MLP
    data: tuple[Any, Any]
    loss: Any
    epochs: int
    batch_size: int

    @property
    def steps(self) -> int:
        """Steps of one run."""
        return self.epochs * -(-len(self.data[0]) // self.batch_size)


def tasks(scale: float = 1.0) -> dict[str, Task]:
    """Return the two networks of the table; a scale below 1 shortens their training."""
    moons, labels = two_moons(32, noise=0.1, rng=np.random.default_rng(0))
    digits, classes = load_digits(rng=np.random.default_rng(0)).train
    small = Task(
        MLP((2, 1, 1), "tanh"),
        (moons, labels.reshape(-1, 1)),
        binary_cross_entropy,
        max(1, int(100 * scale)),
        32,
    )
    larger = Task(
        MLP((64, 16, 10)),
        (digits[:640], classes[:640]),
        softmax_cross_entropy,
        max(1, int(4 * scale)),
        64,
    )
    return {"2-1-1": small, "64-16-10": larger}


def train_in_a_process(task: Task, theta: Any, lr: float) -> Any:
    """Train one run in pure NumPy, wherever this is called."""
    switch(PURE)
    return train_one(task, theta, lr)


def train_one(task: Task, theta: Any, lr: float) -> Any:
    """Train one run."""
    return fit(
        task.network,
        theta,
        task.data,
        Adam(lr),
        loss=task.loss,
        epochs=task.epochs,
        batch_size=task.batch_size,
        rng=np.random.default_rng(0),
    ).theta


def makers(task: Task, k: int) -> dict[str, Any]:
    """Return a maker for every contender: K starts, K rates, one order of the samples."""
    rng = np.random.default_rng(0)
    theta = np.stack([task.network.init(rng) for _ in range(k)])
    rates = np.logspace(-4, -1, k)
    box: list[Any] = [None]
    per = k * task.steps

    def side_by_side() -> None:
        box[0] = fit_runs(
            task.network,
            theta,
            task.data,
            Adam(rates[:, None]),
            loss=task.loss,
            epochs=task.epochs,
            batch_size=task.batch_size,
            rngs=np.random.default_rng(0),
        ).theta

    def loop() -> None:
        box[0] = [train_one(task, start, rate) for start, rate in zip(theta, rates, strict=True)]

    def joblib_processes() -> Contender:
        import joblib

        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        if workers < 2:
            raise AbsentError("one core: processes would only take turns")
        call = joblib.delayed(train_in_a_process)

        def spread() -> None:
            calls = (call(task, start, rate) for start, rate in zip(theta, rates, strict=True))
            box[0] = joblib.Parallel(n_jobs=workers)(calls)

        return Contender(spread, result=lambda: box[0], per=per)

    together = Contender(side_by_side, result=lambda: box[0], per=per)
    one_by_one = Contender(loop, result=lambda: box[0], per=per)
    return {
        PURE: lambda: together,
        FAST: lambda: together,
        LOOP: lambda: one_by_one,
        LOOP_FAST: lambda: one_by_one,
        JOBLIB: joblib_processes,
    }


def measure(
    rounds: int,
    missing: dict[str, str],
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    runs: tuple[int, ...] = RUNS,
    scale: float = 1.0,
) -> list[dict[str, Any]]:
    """Return a row for every network, number of runs and contender; times are per run and step."""
    found = []
    for name, task in tasks(scale).items():
        for k in runs:
            some = chosen(contenders, makers(task, k))
            if k > MOST_FOR_PROCESSES:
                some.pop(JOBLIB, None)
            case = {"network": name, "runs": k}
            found += rows(TABLE, case, some, rounds=rounds, missing=missing)
    return found
