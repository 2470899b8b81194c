"""Adam's step alone, in place, float32, beside the time that memory needs to move its bytes.

A step reads theta, the gradient, m and v and writes theta, m and v: 28 bytes a parameter, if it
passes over them once. What memory can move is measured in the same round by McCalpin's triad
a = b + s c over arrays far larger than the caches, counted as its three arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.torch_peers import threads
from benchmarks.turns import FAST, PURE, AbsentError, Contender, chosen, quartiles, repeated, rows
from optlearn.optimizers import Adam

TABLE = "optimizer step"
SIZES, BYTES = (10**3, 10**5, 10**7), 7 * 4
TRIAD_ENTRIES = 3 * 2**24
TORCH = {
    "torch eager": {"foreach": False},
    "torch foreach": {"foreach": True},
    "torch fused": {"fused": True},
}
CONTENDERS = (PURE, FAST, *TORCH, "triad")


def start(n: int) -> tuple[Any, Any]:
    """Return parameters and a gradient."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(n, dtype=np.float32), rng.standard_normal(n, dtype=np.float32)


def ours(n: int) -> Contender:
    """Call `Adam.step` with all its checks; three steps are what is compared."""
    theta, grad = start(n)
    optimizer = Adam(1e-3)
    run, count = repeated(lambda: optimizer.step(theta, grad, out=theta))

    def result() -> Any:
        after, grad = start(n)
        fresh = Adam(1e-3)
        for _ in range(3):
            fresh.step(after, grad, out=after)
        return after

    return Contender(run, result=result, per=count, tolerance=1e-6)


def torch_step(n: int, options: dict[str, Any]) -> Contender:
    """Call `torch.optim.Adam.step` on one tensor."""
    torch = threads()

    def fresh() -> tuple[Any, Any]:
        theta, grad = start(n)
        parameter = torch.nn.Parameter(torch.from_numpy(theta))
        parameter.grad = torch.from_numpy(grad)
        return parameter, torch.optim.Adam([parameter], lr=1e-3, **options)

    optimizer = fresh()[1]
    run, count = repeated(optimizer.step)

    def result() -> Any:
        parameter, descend = fresh()
        for _ in range(3):
            descend.step()
        return parameter.detach().numpy()

    return Contender(run, result=result, per=count, tolerance=1e-6)


def triad(entries: int) -> tuple[Contender, str]:
    """Return the bandwidth test, compiled where numba is there, and what it is."""
    import os

    a, b, c = (np.full(entries, value, dtype=np.float32) for value in (0.0, 1.0, 2.0))
    try:
        import numba
    except ImportError:
        return Contender(lambda: np.add(b, c, out=a)), "np.add(b, c, out=a)"
    parallel = int(os.environ.get("OMP_NUM_THREADS", "1")) > 1

    @numba.njit(fastmath=True, parallel=parallel)
    def kernel(a: Any, b: Any, c: Any, s: Any) -> None:
        for i in numba.prange(a.size):
            a[i] = b[i] + s * c[i]

    return Contender(lambda: kernel(a, b, c, np.float32(3))), "a = b + s c, compiled by numba"


def measure(
    rounds: int,
    missing: dict[str, str],
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    sizes: tuple[int, ...] = SIZES,
    entries: int = TRIAD_ENTRIES,
) -> list[dict[str, Any]]:
    """Return a row for every size and contender, with its time over what memory needs."""
    found = []
    for n in sizes:
        stream, note = triad(entries)
        made: dict[str, Any] = {name: lambda n=n: ours(n) for name in (PURE, FAST)}
        for name, options in TORCH.items():
            made[name] = lambda n=n, options=options: torch_step(n, options)
        made["triad"] = lambda stream=stream: stream
        some = chosen(contenders, made)
        if "triad" not in some:
            raise AbsentError("the triad gives the limit: it takes part in every case")
        case = {"parameters": n, "triad_entries": entries}
        table = rows(TABLE, case, some, rounds=rounds, missing=missing, notes={"triad": note})
        found += [with_limit(row, table[-1], n, entries) for row in table]
    return found


def with_limit(
    row: dict[str, Any], stream: dict[str, Any], n: int, entries: int
) -> dict[str, Any]:
    """Add how many times a step takes what moving its bytes would, round by round."""
    if row["contender"] == "triad":
        # bytes per microsecond are megabytes per second
        return {**row, "gigabytes_per_second": gigabytes(row["times"], entries)}
    limits = np.asarray(stream["times"]) * BYTES * n / (12 * entries)
    return {**row, "over_limit": quartiles(np.divide(row["times"], limits))}


def gigabytes(times: list[float], entries: int) -> list[float]:
    """Return the quartiles of what the triad moved."""
    return quartiles(12 * entries / np.asarray(times) / 1e3)
