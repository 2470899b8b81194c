"""Time sweeps on one and two workers: throughput against the ideal, and overhead per run.

The runs are trainings of a 2-1-1 network on the exclusive or, with one BLAS thread, of two
lengths: about 0.2 and 1 second. Workers are joblib's processes or a dask cluster on this machine,
of one thread each, started before the clock. In every round all ways of running take turns, so
that a busy machine slows all of them; a speed-up is a ratio within a round. What two workers can
reach at best depends on the machine, not on us: `plain_loops` measures it, as the throughput of
one and two processes that run the same training in a plain loop, knowing nothing of sweeps.

Overhead per run is that of runs which do nothing, results written to disk.

`benchmarks/run.py` starts it with one thread and stores what it prints:

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.sweeps_on_workers
"""

import argparse
import contextlib
import json
import logging
import multiprocessing
import tempfile
import time

import numpy as np

from optlearn.losses import binary_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.sweeps import sweep
from optlearn.training import fit

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])


def train(epochs, seed):
    """Train one 2-1-1 network; a step takes about 30 microseconds."""
    rng = np.random.default_rng(seed)
    network = MLP((2, 1, 1), "tanh")
    theta = network.init(rng)
    history = fit(
        network,
        theta,
        (X, Y),
        Adam(0.01),
        loss=binary_cross_entropy,
        epochs=epochs,
        batch_size=4,
        rng=rng,
    )
    return history.loss[-1]


def idle(index, seed):  # noqa: ARG001
    return 0.0


def quartiles(values):
    return [float(q) for q in np.percentile(values, [25, 50, 75])]


def epochs_for(seconds):
    """Return how many epochs take about so long here."""
    train(200, 0)
    start = time.perf_counter()
    train(2000, 0)
    return max(1, round(2000 * seconds / (time.perf_counter() - start)))


def loop(epochs, seeds, ready, go, done):
    """Train in a plain loop, in a process of its own."""
    train(10, 0)
    ready.release()
    go.wait()
    for seed in seeds:
        train(epochs, seed)
    done.release()


def plain_loops(n, epochs, runs):
    """Time n processes that share the runs with nobody handing them out."""
    context = multiprocessing.get_context("spawn")
    ready, go, done = context.Semaphore(0), context.Event(), context.Semaphore(0)
    shares = [range(k, runs, n) for k in range(n)]
    loops = [context.Process(target=loop, args=(epochs, own, ready, go, done)) for own in shares]
    for process in loops:
        process.start()
    for _ in loops:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    for _ in loops:
        done.acquire()
    seconds = time.perf_counter() - start  # without the end of the processes
    for process in loops:
        process.join()
    return seconds


@contextlib.contextmanager
def processes(n):
    """Make an executor of joblib's processes that is kept from one sweep to the next."""
    from joblib.externals.loky.process_executor import ProcessPoolExecutor

    with ProcessPoolExecutor(n) as pool:
        yield pool, contextlib.nullcontext


@contextlib.contextmanager
def cluster(n):
    """Make a dask cluster of processes with one thread each, and a client to use it with."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        yield None
        return
    with (
        LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as made,
        Client(made, set_as_default=False) as client,
    ):
        client.wait_for_workers(n)
        yield "dask", client.as_current


ALONE = None, contextlib.nullcontext


def wall(train, grid, seeds, pool, workers):
    """Return the seconds that a sweep takes."""
    backend, current = pool
    with tempfile.TemporaryDirectory() as folder, current():
        start = time.perf_counter()
        sweep(
            train,
            grid,
            seeds=seeds,
            n_jobs=workers,
            backend=backend,
            progress=False,
            folder=folder,
        )
        return time.perf_counter() - start


KINDS = {"joblib": processes, "dask": cluster}


def open_pools(stack, train, grid):
    """Return pools of every kind with one worker and two, warm, and the kinds that are missing."""
    pools, missing = {}, set()
    for kind, make in KINDS.items():
        for n in (1, 2):
            pool = stack.enter_context(make(n))
            if pool is None:
                missing.add(kind)
            else:
                wall(train, grid, range(4 * n), pool, n)  # its imports
                pools[f"{kind}_{n}"] = pool, n
    return pools, sorted(missing)


def measure_throughput(seconds, runs, rounds):
    """Return wall times and speed-ups of sweeps on one and two workers.

    What is compared with is a plain loop in a process of its own: this one has a cluster's client,
    whose threads would slow it. `ideal` is the speed-up of two such loops over one, `speedup` that
    of a sweep, and `of_ideal` the part of the ideal that the sweep reaches.
    """
    epochs = epochs_for(seconds)
    grid, seeds = {"epochs": [epochs]}, range(runs)
    times = {"one_loop": [], "two_loops": []}
    with contextlib.ExitStack() as stack:
        pools, missing = open_pools(stack, train, {"epochs": [10]})
        times |= {name: [] for name in pools}
        for _ in range(rounds):
            times["one_loop"].append(plain_loops(1, epochs, runs))
            times["two_loops"].append(plain_loops(2, epochs, runs))
            for name, (pool, n) in pools.items():
                times[name].append(wall(train, grid, seeds, pool, n))
    one, best = np.array(times["one_loop"]), np.array(times["two_loops"])
    ways = {}
    for name in pools:
        took = np.array(times[name])
        ideal = best if name.endswith("2") else one
        ways[name] = {
            "seconds": quartiles(took),
            "runs_per_second": quartiles(runs / took),
            "speedup": quartiles(one / took),
            "of_ideal": quartiles(ideal / took),
        }
    return {
        "run_seconds": quartiles(one / runs),
        "runs": runs,
        "rounds": rounds,
        "one_loop_seconds": quartiles(one),
        "ideal_speedup_of_two": quartiles(one / best),
        "ways": ways,
        "missing": missing,
    }


def measure_overhead(runs, rounds):
    """Return the milliseconds that a run which does nothing takes, its file included."""
    grid, seeds = {"index": list(range(runs))}, [0]
    times = {"serial": []}
    with contextlib.ExitStack() as stack:
        workers, missing = open_pools(stack, idle, {"index": [0]})
        pools = {"serial": (ALONE, 1), **workers}
        times |= {name: [] for name in pools}
        for _ in range(rounds):
            for name, (pool, n) in pools.items():
                times[name].append(wall(idle, grid, seeds, pool, n))
    return {
        "runs": runs,
        "rounds": rounds,
        "milliseconds_per_run": {
            name: quartiles(1e3 * np.array(took) / runs) for name, took in times.items()
        },
        "missing": missing,
    }


def measure(*, quick=False):
    """Return everything this file measures, as plain dicts."""
    rounds = 1 if quick else 3
    return {
        "short_runs": measure_throughput(0.2, 8, rounds),
        "long_runs": measure_throughput(0.5 if quick else 1.0, 4, rounds),
        "overhead": measure_overhead(50 if quick else 300, rounds),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute instead of several")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    found = measure(quick=arguments.quick)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for name in ("short_runs", "long_runs"):
        part = found[name]
        low, middle, high = part["ideal_speedup_of_two"]
        print(
            f"{part['runs']} runs of {part['run_seconds'][1]:.2f} s; two plain loops are "
            f"{middle:.2f} times as fast as one [{low:.2f}, {high:.2f}]"
        )
        for way, numbers in part["ways"].items():
            speedup, share = numbers["speedup"], numbers["of_ideal"]
            print(
                f"  {way:10} speed-up {speedup[1]:.2f} [{speedup[0]:.2f}, {speedup[2]:.2f}], "
                f"{100 * share[1]:.0f} % of the ideal [{100 * share[0]:.0f}, {100 * share[2]:.0f}]"
            )
    print(f"{found['overhead']['runs']} runs that do nothing, milliseconds a run:")
    for way, (low, middle, high) in found["overhead"]["milliseconds_per_run"].items():
        print(f"  {way:10} {middle:.2f} [{low:.2f}, {high:.2f}]")
    for part in found.values():
        for kind in part["missing"]:
            print(f"not measured, because it is not installed: {kind}")


if __name__ == "__main__":
    main()
