"""What does the runs of a sweep: this process, others beside it, or those of a cluster.

All work comes back in futures of `concurrent.futures`: from joblib's loky, which makes processes,
from threads, and from the client of a dask cluster. joblib's own dask backend is not used, because
it waits for ever for a run that has killed its workers. `optlearn.sweeps` is what a reader calls.
"""

from __future__ import annotations

import math
import os
import socket
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from functools import partial
from typing import Any

import numpy as np

from optlearn._sweep_folder import Result, Run

__all__ = ["DIED", "Job", "Pool", "finished", "open_pool", "work"]

Job = tuple[Run, ...]  # the runs that one call does
DIED = "WorkerDied: the worker process died every time it did this run"
# A run is given up when it is alone in dying and this many deaths have been seen around it.
_DEATHS = 3
_LONGEST = 500  # characters of an error
_THREADS = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "NUMBA")


def work(train: Callable[..., Any], job: Job, over: Sequence[str] | None) -> list[Result]:
    """Do a few runs and return their results; this is what a worker executes.

    With `over`, one call does all of them: the parameters named there and the seed are arrays.
    An exception of `train` is a result. That it returns something that is no result is a mistake
    in the program, and raised.
    """
    common = dict(job[0].setting)
    seed: Any = job[0].seed
    shape: tuple[int, ...] = ()
    if over is not None:
        shape = (len(job),)
        common |= {
            name: np.array([run.setting[name] for run in job]) for name in over if name in common
        }
        seed = np.array([run.seed for run in job])
    start = time.perf_counter()
    try:
        returned = train(**common, seed=seed)
    except (Exception, SystemExit) as failure:
        if len(job) > 1:  # find out whose fault it was
            return [result for run in job for result in work(train, (run,), over)]
        return [_result({}, _text_of(failure), start)]
    columns = _columns(returned, shape, (*common, "seed", "error"))
    results = []
    for k in range(len(job)):
        values = {name: float(np.atleast_1d(column)[k]) for name, column in columns.items()}
        bad = [f"{name} = {value}" for name, value in values.items() if not np.isfinite(value)]
        error = f"diverged: {', '.join(bad)}" if bad else ""
        results.append(_result(values, error, start, len(job)))
    return results


def _text_of(failure: BaseException) -> str:
    """Return the kind of an exception and what it says, if it can."""
    try:
        return f"{type(failure).__name__}: {failure}"
    except Exception as error:
        return f"{type(failure).__name__}, whose text failed with {type(error).__name__}"


def _result(values: dict[str, float], error: str, start: float, runs: int = 1) -> Result:
    """Return a result with the time it took and the place."""
    text = error.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    if len(text) > _LONGEST:  # every row of the table has room for the longest
        text = text[:_LONGEST] + "…"
    values = {name: np.nan if np.isnan(value) else value for name, value in values.items()}
    seconds = (time.perf_counter() - start) / runs
    return Result(values, text, seconds, socket.gethostname(), os.getpid())


def _columns(returned: Any, shape: tuple[int, ...], taken: tuple[str, ...]) -> dict[str, Any]:
    """Return what `train` returned as arrays of the right shape, by name."""
    wanted = "a number" if shape == () else f"an array of shape {shape}"
    columns = returned if isinstance(returned, Mapping) else {"loss": returned}
    if not columns:
        raise ValueError(f"train must return {wanted} or a mapping of names to such, got {{}}")
    checked = {}
    for name, value in columns.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise TypeError(f"train must return values by name, got the name {name!r}")
        if name in taken:
            raise ValueError(f"train must return names that are not in the grid, got {name!r}")
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"train must return {wanted} or a mapping of names to such, got {name} = {value!r}"
            )
        if array.shape != shape:
            raise ValueError(
                f"train must return {wanted} or a mapping of names to such, "
                f"got {name} of shape {array.shape}"
            )
        checked[name] = array
    return checked


class Pool:
    """Workers behind an executor that the caller made and will close; the base of the others.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    n_jobs : int
        Twice as many jobs are on their way at once, so that no worker waits.
    """

    def __init__(self, executor: Any, n_jobs: int) -> None:
        """Take the executor; no exception of its futures means that a worker died."""
        self.executor = executor
        self.n_jobs = n_jobs
        # What a future raises when its worker has died, and how many deaths that stands for.
        self.deaths: dict[type[BaseException], int] = {}

    def room(self) -> int:
        """Return how many jobs may be on their way at once."""
        return 2 * self.n_jobs

    def renew(self) -> None:
        """Start new workers, if the death of one has broken the executor."""

    def close(self, left: Collection[Future[Any]] = ()) -> None:
        """Let the workers go, and give up what is `left` of an interrupted sweep."""
        for future in left:
            future.cancel()


class _Threads(Pool):
    """Threads of this process: for runs that spend their time where NumPy lets others in."""

    def __init__(self, n_jobs: int) -> None:
        super().__init__(ThreadPoolExecutor(n_jobs), n_jobs)

    def close(self, left: Collection[Future[Any]] = ()) -> None:
        self.executor.shutdown(wait=True, cancel_futures=bool(left))


class _Processes(Pool):
    """Processes on this machine, each with its share of the processors for the threads of BLAS."""

    def __init__(self, n_jobs: int) -> None:
        from joblib import cpu_count
        from joblib.externals.loky.process_executor import (
            ProcessPoolExecutor,
            TerminatedWorkerError,
        )

        share = str(max(1, cpu_count() // n_jobs))
        names = [f"{library}_NUM_THREADS" for library in _THREADS]
        environment = {name: os.environ.get(name, share) for name in names}
        self._start = partial(ProcessPoolExecutor, n_jobs, env=environment)
        super().__init__(self._start(), n_jobs)
        self.deaths = {TerminatedWorkerError: 1}

    def renew(self) -> None:
        self.executor.shutdown(wait=True, kill_workers=True)
        self.executor = self._start()

    def close(self, left: Collection[Future[Any]] = ()) -> None:
        # loky's own thread stumbles over jobs that are cancelled, or that it has not yet seen.
        while not all(future.running() or future.done() for future in left):
            time.sleep(0.001)
        self.executor.shutdown(wait=True, kill_workers=bool(left))


class _Cluster(Pool):
    """The workers of the current dask.distributed client; they may come and go."""

    def __init__(self) -> None:
        try:
            from distributed import get_client
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise ImportError(
                "backend 'dask' needs dask.distributed: pip install dask distributed"
            ) from error
        try:
            self._client = get_client()
        except ValueError as error:
            raise ValueError(
                "backend must have workers, got 'dask' without a client; make one first: "
                "client = dask.distributed.Client('tcp://scheduler-address:8786')"
            ) from error
        super().__init__(self, 1)
        self._distant: dict[Future[Any], Any] = {}
        # The scheduler itself repeats what a dead worker was doing, and gives up only in the end.
        self.deaths = {KilledWorker: _DEATHS}
        self._room, self._asked = 0, -math.inf

    def room(self) -> int:
        if time.monotonic() > self._asked + 5:  # a question to the scheduler takes its time
            threads = sum(self._client.nthreads().values())
            self._room = max(64, 4 * threads)
            self._asked = time.monotonic()
            if not threads:
                warnings.warn("the cluster has no workers: the sweep waits", stacklevel=2)
        return self._room

    def close(self, left: Collection[Future[Any]] = ()) -> None:
        if left and self._client.status == "running":
            self._client.cancel([self._distant[f] for f in left if f in self._distant])

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Return a future of concurrent.futures.

        The client's own executor confuses a result that is here with the state of its worker,
        which may have died in the meantime.
        """
        future: Future[Any] = Future()
        distant = self._client.submit(function, *arguments, pure=False)
        self._distant[future] = distant
        distant.add_done_callback(partial(self._hand_over, future))
        return future

    def _hand_over(self, future: Future[Any], distant: Any) -> None:
        try:
            future.set_result(distant.result())
        except BaseException as error:
            future.set_exception(error)
        finally:
            del self._distant[future]


def open_pool(backend: str | Executor, n_jobs: int) -> Pool:
    """Return the workers that `backend` names."""
    if isinstance(backend, Executor):
        return Pool(backend, n_jobs)
    if backend == "dask":
        return _Cluster()
    return _Threads(n_jobs) if backend == "threading" else _Processes(n_jobs)


def finished(
    train: Callable[..., Any], jobs: Iterable[Job], over: Sequence[str] | None, pool: Pool
) -> Iterator[tuple[Job, list[Result]]]:
    """Yield each job with its results as they arrive.

    A job that was on its way when a worker died is done again, run by run and with no other
    beside it: what dies alone, and not for the first time, is to blame. Before an error is raised,
    what was done in the meantime is yielded.
    """
    going: dict[Future[list[Result]], Job] = {}
    try:
        yield from _shared_out(train, jobs, over, pool, going)
    except GeneratorExit:  # nobody takes results any more
        pool.close(going)
        raise
    except BaseException:
        pool.close(going)
        for future, job in going.items():  # what was done beside the one that failed
            if future.done() and not future.cancelled() and future.exception() is None:
                yield job, future.result()
        raise
    pool.close()


def _shared_out(
    train: Callable[..., Any],
    jobs: Iterable[Job],
    over: Sequence[str] | None,
    pool: Pool,
    going: dict[Future[list[Result]], Job],
) -> Iterator[tuple[Job, list[Result]]]:
    """Do what `finished` does, with the futures in `going` until their results are taken."""
    queue, suspects = deque(jobs), deque[Job]()
    deaths: Counter[Run] = Counter()
    while queue or suspects or going:
        source, room = (suspects, 1) if suspects else (queue, pool.room())
        while source and len(going) < room:
            try:
                going[pool.executor.submit(work, train, source[0], over)] = source[0]
            except tuple(pool.deaths):
                if going:
                    break  # they went down with the executor, which is renewed below
                pool.renew()
            else:
                source.popleft()
        alone = len(going) == 1
        done = wait(going, return_when=FIRST_COMPLETED).done
        while done:
            future = done.pop()
            job = going.pop(future)
            number = _died(future, pool)
            results = [] if number else future.result()
            # As long as somebody holds its future, a scheduler would do a run again whose
            # result, here already, has gone down with its worker.
            del future
            if not number:
                yield job, results
                continue
            pool.renew()
            for run in job:
                deaths[run] += number
                if alone and len(job) == 1 and deaths[run] >= max(_DEATHS, number + 1):
                    yield job, [_result({}, DIED, time.perf_counter())]
                else:
                    suspects.append((run,))


def _died(future: Future[list[Result]], pool: Pool) -> int:
    """Return how many workers died under a job; raise what is no fault of a worker."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    if isinstance(error, CancelledError):
        raise RuntimeError("the workers were closed while they were at work") from error
    for kind, number in pool.deaths.items():
        if isinstance(error, kind):
            return number
    if error is not None:
        raise error
    return 0
