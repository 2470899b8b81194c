"""How the cost of a step grows with batch, width, depth and parameters, one varied at a time.

Theory counts multiplications: a step of `fit` costs as many as batch times width squared times
depth, a step of the optimizer as many as parameters. Where calls cost more than arithmetic the
curves are flat, so the exponent is fitted over the upper half of each grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.turns import FAST, PURE, Contender, build, quartiles, repeated, switch, take_turns
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.training import fit

TABLE = "growth"
CONTENDERS = (PURE, FAST)


@dataclass(frozen=True)
class Sweep:
    """One quantity over its grid, and the exponent that counting operations predicts."""

    grid: tuple[int, ...]
    exponent: float


SWEEPS = {
    "batch": Sweep((4, 16, 64, 128, 256, 512, 1024, 2048), 1.0),
    "width": Sweep((8, 16, 32, 64, 128, 256, 512, 1024), 2.0),
    "depth": Sweep((1, 2, 4, 8, 16, 32), 1.0),
    "parameters": Sweep((10**2, 10**3, 10**4, 10**5, 10**6, 10**7), 1.0),
}


def shape(quantity: str, value: int) -> tuple[tuple[int, ...], int]:
    """Return layer sizes and batch where one quantity has this value."""
    if quantity == "batch":
        return (256, 256, 256, 10), value
    if quantity == "width":
        return (value, value, value, value, value), 64
    return (64, *[64] * value, 10), 64


def training(quantity: str, value: int) -> Contender:
    """Train with `fit` on random numbers: enough steps to take a while."""
    sizes, batch_size = shape(quantity, value)
    network, rng = MLP(sizes), np.random.default_rng(0)
    theta = network.init(rng, dtype=np.float32)
    steps = 8
    x = rng.standard_normal((batch_size * steps, sizes[0]), dtype=np.float32)
    y = rng.integers(0, sizes[-1], len(x))
    optimizer = Adam(1e-3)

    def epoch() -> None:
        fit(network, theta, (x, y), optimizer, epochs=2, batch_size=batch_size, rng=rng)

    run, count = repeated(epoch)
    return Contender(run, per=count * steps * 2)


def update(n: int) -> Contender:
    """Take Adam's step alone, in place."""
    rng = np.random.default_rng(0)
    theta, grad = rng.standard_normal((2, n), dtype=np.float32)
    optimizer = Adam(1e-3)
    run, count = repeated(lambda: optimizer.step(theta, grad, out=theta))
    return Contender(run, per=count)


def exponent(x: Any, y: Any) -> list[float]:
    """Return the slope of log y over log x in the upper half, and its standard error."""
    half = len(x) // 2
    a, b = np.log(np.asarray(x[half:], dtype=float)), np.log(np.asarray(y[half:], dtype=float))
    a = a - a.mean()
    slope = (a @ b) / (a @ a)
    rest = b - b.mean() - slope * a
    error = np.sqrt(rest @ rest / max(len(a) - 2, 1) / (a @ a))
    return [float(f"{slope:.4g}"), float(f"{error:.3g}")]


def measure(
    rounds: int,
    missing: dict[str, str],
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    sweeps: dict[str, Sweep] = SWEEPS,
) -> list[dict[str, Any]]:
    """Return a row for every quantity and contender, with its grid and exponent."""
    found = []
    for quantity, sweep in sweeps.items():
        for name in (name for name in contenders if name not in missing):
            points: dict[str, Contender] = {}
            for value in sweep.grid:
                made, _ = build(
                    {
                        name: lambda value=value, quantity=quantity: (
                            update(value)
                            if quantity == "parameters"
                            else training(quantity, value)
                        )
                    },
                    missing,
                )
                points |= {str(value): contender for contender in made.values()}
            if name in missing:
                continue
            found.append(row(quantity, sweep, name, points, rounds))
    switch(PURE)
    return found


def row(
    quantity: str, sweep: Sweep, name: str, points: dict[str, Contender], rounds: int
) -> dict[str, Any]:
    """Time all values of a quantity in turns."""
    times = take_turns(points, rounds, lambda _: switch(name))
    microseconds = [quartiles(times[str(value)]) for value in sweep.grid]
    medians = [median for _, median, _ in microseconds]
    return {
        "table": TABLE,
        "case": {"quantity": quantity},
        "contender": name,
        "grid": list(sweep.grid),
        "grid_times": [times[str(value)] for value in sweep.grid],
        "grid_microseconds": microseconds,
        "exponent": exponent(sweep.grid, medians),
        "predicted_exponent": sweep.exponent,
        "note": "",
    }
