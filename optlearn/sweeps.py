r"""Sweeps: a training function over a grid of settings and seeds, on one machine or many.

A learning rate is found by trying. A sweep tries: every value of every parameter with every seed,
the results in one table. It writes each result to disk as it arrives, so that it can be
interrupted and goes on where it stopped; a run that fails is a row that says why; and the best
value is reported with a warning if it stands at the border of what was tried.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from optlearn._checks import Array, check_flag, check_integer
from optlearn._sweep_code import digest_of
from optlearn._sweep_folder import Folder, Result, Run
from optlearn._sweep_table import Best, best, load_csv, save_csv, summarize, table_of
from optlearn._sweep_workers import Job, finished, open_pool, work

__all__ = ["Best", "best", "load_csv", "over_runs", "save_csv", "summarize", "sweep"]

Train = TypeVar("Train", bound=Callable[..., Any])
_BACKENDS = ("loky", "threading", "dask")


def over_runs(*names: str, chunk: int = 64) -> Callable[[Train], Train]:
    """Mark a training function that does many runs in one call.

    `sweep` then calls it with arrays of shape (K,) for the parameters named here and for `seed`,
    one entry per run, and with single values for the others. It returns one array of shape (K,),
    or a mapping of names to such arrays. Where a call raises, its runs are repeated one by one,
    K = 1, so that only the guilty one is lost; where a single run merely diverges, return NaN for
    it.

    Parameters
    ----------
    *names : str
        Parameters of the function. Those that are not in the grid keep their defaults.
    chunk : int >= 1
        The largest K. Results are written after each call; with several workers, a call is what
        they share.

    Returns
    -------
    decorator
        It returns the function itself.

    Raises
    ------
    TypeError, ValueError
        If a name is no parameter of the function, or `chunk` no positive integer.

    Examples
    --------
    Sixteen networks train side by side (`optlearn.runs.fit_runs`), each with its own rate, and
    with a start and an order of the samples drawn from its own seed:

    >>> from optlearn.datasets import blobs
    >>> from optlearn.networks import MLP
    >>> from optlearn.optimizers import Adam
    >>> from optlearn.runs import fit_runs
    >>> @over_runs("lr")
    ... def train(lr, seed, width=4):
    ...     network = MLP((2, width, 3))
    ...     rngs = [np.random.default_rng(s) for s in seed]
    ...     theta = np.stack([network.init(rng) for rng in rngs])
    ...     data = blobs(90, spread=0.2, rng=np.random.default_rng(0))
    ...     rates = Adam(lr[:, None])
    ...     runs = fit_runs(network, theta, data, rates, epochs=3, batch_size=30, rngs=rngs)
    ...     return runs.loss[-1]
    >>> table = sweep(train, {"lr": [0.01, 0.1, 1.0, 10.0]}, seeds=range(4), progress=False)
    >>> len(table), best(table).setting, best(table).at_border
    (16, {'lr': 1.0}, ())
    """
    check_integer("chunk", chunk)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"over_runs takes names, as in @over_runs('lr'), got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"names must be different, got {', '.join(names)}")

    def mark(train: Train) -> Train:
        if not callable(train):
            raise TypeError(f"over_runs marks a function, got {train!r}")
        known = inspect.signature(train).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
        for name in names:
            if name == "seed" or not (name in known or takes_any):
                raise ValueError(f"names must be parameters besides the seed, got {name!r}")
        train.__dict__.update(over_runs=tuple(names), chunk=chunk)
        return train

    return mark


def sweep(
    train: Callable[..., Any],
    grid: Mapping[str, Sequence[Any] | Array],
    *,
    seeds: Sequence[int],
    n_jobs: int = 1,
    backend: str | Executor | None = None,
    progress: bool = True,
    folder: str | os.PathLike[str] | None = None,
    retry_errors: bool = False,
) -> Array:
    """Train with every setting of a grid and every seed, and return a table of what came out.

    A result is written to `folder` as soon as it is there: one file a run, which appears whole or
    not at all. With a `folder` of your own, run the same call again after an interruption and it
    does only what is missing; add values or seeds and it does only the new ones. Only the caller
    writes: workers on other machines need no shared disk. `best`, `summarize` and
    `optlearn.plotting.rate_sweep` read the table.

    A run that raises is a row with its error; so is one that returns NaN or infinity, with its
    values. An error is cut after 500 characters. A worker process that dies is replaced and its
    runs are repeated, apart from the others; one that kills its process again and again becomes a
    row with an error as well. (By its defaults, dask loses eight
    workers to it.)

    Parameters
    ----------
    train : callable
        Called as ``train(**setting, seed=seed)``, it returns a number, which becomes the column
        ``loss``, or a mapping of names to numbers. Marked by `over_runs` it does many runs at
        once. It is sent to the workers as it is: large data are better loaded inside it.
    grid : mapping of str to sequence
        The values of each parameter, all numbers, all strings or all booleans: every combination
        is tried, the last parameter changing fastest. Integers among floats become floats.
    seeds : sequence of int >= 0
        ``range(5)`` for five runs of every setting.
    n_jobs : int >= 1, or -1
        Workers on this machine, -1 for one on each of its processors. With 1, and no `backend`,
        the runs are done in this process. An Executor is given twice as many runs at a time, so
        say how many workers it has. On a cluster the workers it has are used.
    backend : {None, "loky", "threading", "dask"} or concurrent.futures.Executor
        Processes (the default, where `n_jobs` is not 1), threads, or the cluster of the current
        ``dask.distributed.Client``. What is marked by `over_runs` shares out its chunks. The death
        of a worker of an Executor ends the sweep with the error of that; on a cluster, workers are
        replaced by their nannies, and while there are none the sweep waits, with a warning.
    progress : bool
        Show a progress bar on standard error.
    folder : path, optional
        New, empty or that of an earlier sweep of the same function: with the same bytecode (of
        the same version of Python), defaults, arguments of a partial, values it has closed over
        and state of its object. Global variables and the code of functions and classes that it
        calls are not looked at: after a change there, use another folder. A function that holds
        what cannot be described, such as an open file, needs `folder` to be None. By default a
        temporary folder, removed once the table is complete; after an interruption, the error has
        a note that names it.
    retry_errors : bool
        Repeat the runs in `folder` that have an error. Otherwise these are results like any other.

    Returns
    -------
    structured ndarray, shape (runs,)
        Columns: the parameters, ``seed``, what `train` returned (float64, NaN where a run did
        not), ``error`` (empty where all went well). Rows are in the order of the grid, then of the
        seeds. Nothing in it depends on how the sweep was run, as long as `train` does not:
        ``table.tobytes()`` is the same for one worker or many, interrupted or not. (A function
        marked by `over_runs` may see its runs in other chunks; and BLAS may add in another order
        with another number of threads.)

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these, `folder` holds another sweep or one of a function whose
        code has changed since, or `train` returns what is no result.
    ImportError
        If `backend` is "dask" and that is not installed.

    Examples
    --------
    >>> from optlearn.functions import Quadratic
    >>> from optlearn.optimizers import GradientDescent
    >>> from optlearn.training import minimize
    >>> def train(lr, seed):
    ...     start = np.random.default_rng(seed).normal(size=2)
    ...     bowl = Quadratic(np.diag([1.0, 10.0]))
    ...     return minimize(bowl, start, GradientDescent(lr), steps=300).loss[-1]
    >>> table = sweep(train, {"lr": [0.05, 0.1, 10.0]}, seeds=[0, 1], progress=False)
    >>> table.dtype.names
    ('lr', 'seed', 'loss', 'error')
    >>> table["lr"].tolist(), table["seed"].tolist()
    ([0.05, 0.05, 0.1, 0.1, 10.0, 10.0], [0, 1, 0, 1, 0, 1])
    >>> best(table).setting
    {'lr': 0.1}
    """
    runs = _check_runs(train, grid, seeds)
    n_jobs, backend = _check_workers(n_jobs, backend)
    check_flag("progress", progress)
    check_flag("retry_errors", retry_errors)
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a path or None, got {folder!r}")
    code = _code(train, needed=folder is not None)
    path = Path(tempfile.mkdtemp(prefix="optlearn-sweep-") if folder is None else folder)
    files = Folder(path, train, code, grid)
    results: dict[Run, Result] = {}
    for run in runs:
        result = files.stored(run)
        if result is not None and not (retry_errors and result.error):
            results[run] = result
    missing = [run for run in runs if run not in results]
    failed = sum(bool(result.error) for result in results.values())
    bar = tqdm(total=len(runs), initial=len(results), disable=not progress, unit="run")
    try:
        with bar:
            bar.set_postfix({"failed": failed})
            for job, outcome in _do(train, missing, backend, n_jobs):
                for run, result in zip(job, outcome, strict=True):
                    files.store(run, result)
                    results[run] = result
                    failed += bool(result.error)
                bar.set_postfix({"failed": failed}, refresh=False)
                bar.update(len(job))
        table = table_of(runs, [results[run] for run in runs])
    except BaseException as error:
        if results:
            note = f"{len(results)} of {len(runs)} runs are in {str(path)!r}"
            if code:
                note += f": call sweep with folder={str(path)!r} to go on from there"
            error.add_note(note)
        elif folder is None:
            shutil.rmtree(path)
        raise
    if folder is None:
        shutil.rmtree(path, ignore_errors=True)
    return table


def _code(train: Callable[..., Any], *, needed: bool) -> str:
    """Return the digest of a function, empty where it has none and none is needed."""
    try:
        return digest_of(train)
    except (TypeError, RecursionError) as error:
        if not needed:
            return ""
        raise TypeError(
            "train must hold values that can be described, or its results in a folder could be "
            f"taken for those of another function, got {error}; make these inside train, or sweep "
            "without folder"
        ) from error


def _do(
    train: Callable[..., Any], runs: list[Run], backend: str | Executor | None, n_jobs: int
) -> Iterator[tuple[Job, list[Result]]]:
    """Yield the runs and their results as they arrive."""
    marked: Any = train
    while isinstance(marked, functools.partial) and not hasattr(marked, "over_runs"):
        marked = marked.func
    over = getattr(marked, "over_runs", None)
    jobs = [(run,) for run in runs] if over is None else _chunks(runs, over, marked.chunk)
    if not jobs:
        return
    if backend is None:
        for job in jobs:
            yield job, work(train, job, over)
    else:
        yield from finished(train, jobs, over, open_pool(backend, n_jobs))


def _chunks(runs: list[Run], over: Sequence[str], chunk: int) -> list[Job]:
    """Group the runs that one call can do: they differ in the seed and in `over` alone."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        common = tuple(value for name, value in run.setting.items() if name not in over)
        groups.setdefault(common, []).append(run)
    return [
        tuple(group[start : start + chunk])
        for group in groups.values()
        for start in range(0, len(group), chunk)
    ]


def _check_runs(train: Any, grid: Any, seeds: Any) -> list[Run]:
    """Return all runs, in the order of the table."""
    if not callable(train):
        raise TypeError(f"train must be a callable of the parameters and a seed, got {train!r}")
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid must be a mapping of names to values, got {type(grid).__name__}")
    if not grid:
        raise ValueError("grid must have a parameter, got {}")
    for name in grid:
        if not isinstance(name, str):
            raise TypeError(f"grid must have strings as names, got {name!r}")
        if name in ("seed", "error") or not name.isidentifier():
            raise ValueError(f"grid must have names of parameters besides the seed, got {name!r}")
    columns = {name: _check_values(f"grid[{name!r}]", values) for name, values in grid.items()}
    if not _is_sequence(seeds):
        raise TypeError(f"seeds must be a sequence of integers such as range(5), got {seeds!r}")
    checked = [check_integer("each of seeds", seed, minimum=0) for seed in seeds]
    if not checked:
        raise ValueError("seeds must not be empty, got none")
    if max(checked) >= 2**63:
        raise ValueError(f"each of seeds must be < 2**63, got {max(checked)}")
    _refuse_duplicates("seeds", checked)
    try:
        signature = inspect.signature(train)
    except (TypeError, ValueError):
        signature = None  # some functions in C do not tell
    if signature is not None:
        try:
            signature.bind(**dict.fromkeys((*columns, "seed")))
        except TypeError as error:
            raise TypeError(
                f"train must take {', '.join((*columns, 'seed'))} by name, got "
                f"{getattr(train, '__name__', train)}{signature}: {error}"
            ) from None
    settings = [
        dict(zip(columns, values, strict=True)) for values in itertools.product(*columns.values())
    ]
    return [Run(setting, seed) for setting in settings for seed in checked]


def _is_sequence(values: Any) -> bool:
    if isinstance(values, np.ndarray):
        return values.ndim > 0
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _check_values(name: str, values: Any) -> list[Any]:
    """Return a parameter's values as Python's own, all of one kind."""
    if not _is_sequence(values):
        raise TypeError(f"{name} must be a sequence of values, got {values!r}")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not plain:
        raise ValueError(f"{name} must not be empty, got {values!r}")
    for value in plain:
        if not isinstance(value, bool | int | float | str):
            raise TypeError(f"{name} must have numbers, strings or booleans, got {value!r}")
        if value != value:
            raise ValueError(f"{name} must not have NaN, got {value!r}")
        if isinstance(value, str) and (not value.isprintable()):
            raise ValueError(f"{name} must have printable strings, got {value!r}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must have integers of 64 bits, got {value}")
    kinds = {type(value) for value in plain}
    if kinds == {int, float}:
        plain = [float(value) for value in plain]
    elif len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"{name} must have values of one kind, got {names}")
    _refuse_duplicates(name, plain)
    return plain


def _refuse_duplicates(name: str, values: list[Any]) -> None:
    """Refuse a value that is there twice: its runs would be the same."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{name} must be different values, got {value!r} twice")
        seen.add(value)


def _check_workers(n_jobs: Any, backend: Any) -> tuple[int, str | Executor | None]:
    """Return the number of workers and what they are; None is this process alone."""
    if isinstance(n_jobs, int) and n_jobs == -1:
        from joblib import cpu_count

        n_jobs = cpu_count()
    elif isinstance(n_jobs, int | np.integer) and n_jobs < 1:
        raise ValueError(f"n_jobs must be an integer >= 1, or -1 for all processors, got {n_jobs}")
    n_jobs = check_integer("n_jobs", n_jobs)
    if backend is None:
        return n_jobs, "loky" if n_jobs > 1 else None
    if not isinstance(backend, str | Executor):
        raise TypeError(
            f"backend must be None, {', '.join(_BACKENDS)} or an Executor, got {backend!r}"
        )
    if isinstance(backend, str) and backend not in _BACKENDS:
        raise ValueError(
            f"backend must be None, {', '.join(_BACKENDS)} or an Executor, got {backend!r}"
        )
    return n_jobs, backend
