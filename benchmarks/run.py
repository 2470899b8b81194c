"""Run all tables in a process for each number of threads and write `results.json`.

    python -m benchmarks.run                      # everything: what `make bench` does
    python -m benchmarks.run --rounds 3 --quick   # a look, into a file of its own
    python -m benchmarks.run --targets            # the table of targets of the stored results

A process gets one thread, the next two, and as many cores; variables of the caller that steer
OpenBLAS are cleared. `benchmarks/README.md` describes the file.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
MODULES = (
    "full_step",
    "small_network",
    "trajectories",
    "optimizer_step",
    "many_runs",
    "growth",
    "imports",
)
ONLY_ON_ONE_THREAD = {"small_network", "trajectories", "growth", "imports"}  # they need no more
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
ROUNDS = {  # with two threads half as many: the targets are for one
    "full_step": 9,
    "small_network": 9,
    "trajectories": 7,
    "optimizer_step": 9,
    "many_runs": 5,
    "growth": 5,
    "imports": 10,
}


def environment(threads: int) -> dict[str, str]:
    """Return the caller's environment with as many threads, and without its BLAS settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    kept |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    kept |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if threads == 1:
        kept["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    else:
        kept.pop("XLA_FLAGS", None)
    kept["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    )
    return kept


def use_cores(threads: int) -> None:
    """Keep this process on as many cores as it has threads, where the system allows that."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores[-threads:])


def measure(threads: int, rounds: int | None, names: Sequence[str]) -> dict[str, Any]:
    """Measure the named tables in this process."""
    from benchmarks import machine

    tables: dict[str, Any] = {}
    missing: dict[str, dict[str, str]] = {}
    for name in names:
        if threads > 1 and name in ONLY_ON_ONE_THREAD:
            continue
        module = importlib.import_module(f"benchmarks.{name}")
        begin, absent = time.perf_counter(), {}
        turns = max(3, (rounds or ROUNDS[name]) // threads)
        tables[module.TABLE] = module.measure(turns, absent)
        missing[module.TABLE] = absent
        seconds = time.perf_counter() - begin
        print(f"{threads} thread(s), {module.TABLE}: {seconds:.0f} s", flush=True)
        for contender, why in absent.items():
            print(f"  without {contender}: {why}", flush=True)
    return {"tables": tables, "missing": missing, "blas": machine.blas()}


def measure_in_a_process(threads: int, rounds: int | None, names: Sequence[str]) -> Any:
    """Start a process with this number of threads and return what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.json"
        command = [sys.executable, "-m", "benchmarks.run", "--threads", str(threads)]
        command += ["--out", str(out), "--tables", *names]
        command += ["--rounds", str(rounds)] if rounds else []
        subprocess.run(command, env=environment(threads), cwd=HERE.parent, check=True)
        return json.loads(out.read_text(encoding="utf-8"))


def measure_sweeps(quick: bool) -> Any:
    """Return what `sweeps_on_workers` measures, with one thread in every process."""
    command = [sys.executable, "-m", "benchmarks.sweeps_on_workers", "--json"]
    command += ["--quick"] if quick else []
    begin = time.perf_counter()
    run = subprocess.run(
        command, env=environment(1), cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True
    )
    print(f"sweeps on workers: {time.perf_counter() - begin:.0f} s", flush=True)
    return json.loads(run.stdout)


def not_installed() -> dict[str, str]:
    """Return the peers that `benchmarks/install.py` could not install, with pip's last line."""
    file = Path(sys.prefix) / "missing.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def collect(rounds: int | None, names: Sequence[str]) -> dict[str, Any]:
    """Measure everything and return what `results.json` holds."""
    from benchmarks import machine, targets

    parts = {n: measure_in_a_process(n, rounds, names) for n in (1, 2) if n <= os.cpu_count()}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "optlearn": machine.digest(),
        "machine": machine.description(),
        "versions": machine.versions(),
        "not_installed": not_installed(),
        "threads": {str(n): part for n, part in parts.items()},
        "sweeps": measure_sweeps(bool(rounds)) if tuple(names) == MODULES else None,
        "targets": targets.evaluate(parts[1]["tables"]),
    }


def merged(stored: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the stored results with some tables measured again, by the same package."""
    from benchmarks import targets

    for key in ("optlearn", "machine", "versions"):
        if stored[key] != new[key]:
            raise SystemExit(
                f"{key} has changed since the results were stored: measure all tables"
            )
    for threads, part in new["threads"].items():
        for key in ("tables", "missing"):
            part[key] = stored["threads"].get(threads, {}).get(key, {}) | part[key]
    new["sweeps"] = new["sweeps"] or stored["sweeps"]
    new["targets"] = targets.evaluate(new["threads"]["1"]["tables"])
    return new


def print_targets(results: dict[str, Any]) -> None:
    """Print the table of targets, and whether the package has changed since."""
    from benchmarks import machine, targets

    for peer, why in results["not_installed"].items():
        print(f"not installed: {peer}: {why}")
    print(*targets.report(results["targets"]), sep="\n")
    if results["optlearn"] != machine.digest():
        print("optlearn has changed since this was measured: run `make bench`")


def write(path: Path, results: dict[str, Any]) -> None:
    """Write a file whose lines are rows, so that two of them can be compared."""
    unfinished = path.with_suffix(".part")
    text = json.dumps(results, indent=1, ensure_ascii=False)
    unfinished.write_text(joined(text) + "\n", encoding="utf-8")
    unfinished.replace(path)


def joined(text: str) -> str:
    """Put lists of numbers on one line each."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        word = line.strip()
        if inside:
            lines[-1] += word + (" " if word.endswith(",") and word not in ("],",) else "")
        else:
            lines.append(line)
        if word.endswith("["):
            inside = True
        elif word in ("]", "],"):
            inside = False
        if inside and word == "{":  # a list of objects keeps its lines
            lines[-1] = lines[-1][: -len(word)].rstrip()
            lines.append(line)
            inside = False
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in this process if it is told its threads, else in one for each number of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, help="turns in every case, at least 3")
    parser.add_argument("--quick", action="store_true", help="3 rounds, results.json is kept")
    parser.add_argument("--tables", nargs="+", choices=MODULES, default=MODULES)
    parser.add_argument(
        "--update", action="store_true", help="replace these tables in the results"
    )
    parser.add_argument("--threads", type=int, help="measure in this very process")
    parser.add_argument("--out", type=Path, help="where to write (default: results.json)")
    parser.add_argument("--targets", action="store_true", help="print the stored table, no more")
    options = parser.parse_args(arguments)

    if options.targets:
        print_targets(json.loads(RESULTS.read_text(encoding="utf-8")))
        return 0
    rounds = options.rounds or (3 if options.quick else None)
    if options.threads:
        use_cores(options.threads)
        part = measure(options.threads, rounds, options.tables)
        options.out.write_text(json.dumps(part), encoding="utf-8")
        return 0
    results = collect(rounds, options.tables)
    if options.update:
        results = merged(json.loads(RESULTS.read_text(encoding="utf-8")), results)
    whole = options.update or (not rounds and tuple(options.tables) == MODULES)
    out = options.out or (RESULTS if whole else HERE / "look.json")
    write(out, results)
    print(f"\nwritten to {out.name}\n")
    print_targets(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
