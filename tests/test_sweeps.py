"""Sweeps: one table however they are run, nothing lost, nothing repeated, faults told apart."""

from __future__ import annotations

import csv
import functools
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from sweep_trains import counts, descent, descents, interrupted, name_of, note, place, stubborn

from optlearn import _sweep_folder, _sweep_workers
from optlearn._sweep_code import digest_of
from optlearn.networks import MLP
from optlearn.optimizers import Adam
from optlearn.sweeps import best, load_csv, over_runs, save_csv, summarize, sweep

Table = NDArray[Any]
GRID = {"lr": [0.1, 0.25, 1.0, 2.0], "rule": ["plain", "momentum"]}
SEEDS = (3, 1)
RUNS = 16


def call(train: Callable[..., Any], tmp_path: Path, **options: Any) -> Table:
    """Sweep over `GRID` without a bar; `train` logs its runs in tmp_path."""
    log = str(tmp_path / "log")
    arguments = {"grid": GRID, "seeds": SEEDS, "progress": False} | options
    return sweep(functools.partial(train, log=log), **arguments)


def same(a: Table, b: Table) -> bool:
    """Compare two tables to the last bit, NaN included."""
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return call(descent, tmp_path_factory.mktemp("serial"))


def half(lr: float, seed: int) -> float:
    return lr / 2 + seed


# The table ---------------------------------------------------------------------------------------


def test_a_table_by_hand() -> None:
    def train(width: int, name: str, seed: int) -> dict[str, Any]:
        return {"loss": width + seed, "well": name == "b"}

    grid = {"width": np.array([4, 2]), "name": ("b", "ab")}
    table = sweep(train, grid, seeds=range(2), progress=False)
    assert table.dtype.descr == [
        ("width", "<i8"),
        ("name", "<U2"),
        ("seed", "<i8"),
        ("loss", "<f8"),
        ("well", "<f8"),
        ("error", "<U1"),
    ]
    assert table.tolist() == [
        (4, "b", 0, 4.0, 1.0, ""),
        (4, "b", 1, 5.0, 1.0, ""),
        (4, "ab", 0, 4.0, 0.0, ""),
        (4, "ab", 1, 5.0, 0.0, ""),
        (2, "b", 0, 2.0, 1.0, ""),
        (2, "b", 1, 3.0, 1.0, ""),
        (2, "ab", 0, 2.0, 0.0, ""),
        (2, "ab", 1, 3.0, 0.0, ""),
    ]


def test_parameters_keep_their_kind_and_integers_among_floats_become_floats() -> None:
    seen = []

    def train(lr: Any, width: Any, flag: Any, seed: Any) -> float:
        seen.append((lr, width, flag, seed))
        return 0

    grid = {"lr": [1, 0.5], "width": np.arange(2, 3), "flag": [np.True_]}
    table = sweep(train, grid, seeds=np.array([7]), progress=False)
    assert seen == [(1.0, 2, True, 7), (0.5, 2, True, 7)]
    assert [type(value) for value in seen[0]] == [float, int, bool, int]
    assert [table[name].dtype.kind for name in grid] == ["f", "i", "b"]


def test_a_failed_run_is_a_row_with_its_error(serial: Table) -> None:
    raised, diverged = serial["lr"] == 0.25, serial["lr"] == 2.0
    assert_array_equal(np.isnan(serial["loss"]), raised | diverged)
    assert_array_equal(np.isnan(serial["steps"]), raised)
    assert set(serial["error"][diverged]) == {"diverged: loss = nan"}
    assert serial["error"][raised].tolist() == [
        f'RuntimeError: no, "{rule}",\nnever'
        for rule in ("plain", "plain", "momentum", "momentum")
    ]
    assert set(serial["error"][~raised & ~diverged]) == {""}
    # x - 0.1 * 2 x, twenty times, squared: 0.8^40 of the start's square
    first = np.random.default_rng(3).normal()
    assert serial["loss"][0] == pytest.approx(0.8**40 * first**2, rel=1e-12)
    assert serial["start"][0] == first


def test_a_run_may_return_fewer_values_than_another() -> None:
    def train(lr: float, seed: int) -> Any:
        return {"loss": lr} if lr < 1 else {"loss": -math.inf, "edge": np.float32(0.5)}

    table = sweep(train, {"lr": [0.5, 1.0]}, seeds=[0], progress=False)
    assert_array_equal(table["edge"], [np.nan, 0.5])
    assert_array_equal(table["loss"], [0.5, -np.inf])
    assert table["error"].tolist() == ["", "diverged: loss = -inf"]


def test_errors_are_made_fit_for_every_file() -> None:
    def train(lr: int, seed: int) -> float:
        if lr == 3:
            sys.exit("over")
        raise ValueError(("zero \0", "surrogate \ud800", "x" * 10_000)[lr])

    errors = sweep(train, {"lr": range(4)}, seeds=[0], progress=False)["error"]
    assert errors[0] == "ValueError: zero \\0"
    assert errors[1] == "ValueError: surrogate \\ud800"
    assert errors[2].startswith("ValueError: xxx")
    assert errors[2].endswith("x…")
    assert len(errors[2]) == 501
    assert errors[3] == "SystemExit: over"


def test_an_exception_that_cannot_say_what_it_is_is_a_row_too() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError("text")

    def train(lr: float, seed: int) -> float:
        raise Mute

    table = sweep(train, {"lr": [0.1]}, seeds=[0], progress=False)
    assert table["error"] == ["Mute, whose text failed with KeyError"]


def test_where_every_run_raised_there_is_no_column_of_results() -> None:
    def train(lr: float, seed: int) -> float:
        raise ZeroDivisionError

    table = sweep(train, {"lr": [0.1]}, seeds=[0], progress=False)
    assert table.tolist() == [(0.1, 0, "ZeroDivisionError: ")]
    with pytest.raises(ValueError, match="none: every run failed; got 'loss'"):
        best(table)


# However it is run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"n_jobs": 2},
        {"n_jobs": 1, "backend": "loky"},
        {"n_jobs": 3, "backend": "threading"},
    ],
    ids=str,
)
def test_the_table_is_the_serial_one(serial: Table, tmp_path: Path, options: Any) -> None:
    assert same(call(descent, tmp_path, **options), serial)
    done = counts(tmp_path / "log")
    assert len(done) == RUNS
    assert set(done.values()) == {1}


def test_an_executor_of_the_caller_is_used_and_left_open(serial: Table, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert same(call(descent, tmp_path, backend=pool), serial)
        assert pool.submit(int, "1").result() == 1


def test_runs_done_together_give_the_rows_of_runs_done_alone(
    serial: Table, tmp_path: Path
) -> None:
    assert same(call(descents, tmp_path), serial)
    # Eight runs of each rule, four at a time; those with 0.25 raise and are done one by one.
    assert counts(tmp_path / "log") == {
        "4xplain": 2,
        "4xmomentum": 2,
        "1xplain": 4,
        "1xmomentum": 4,
    }


def test_runs_done_together_are_shared_out_to_processes(serial: Table, tmp_path: Path) -> None:
    assert same(call(descents, tmp_path, n_jobs=2), serial)
    assert counts(tmp_path / "log")["4xplain"] == 2


def test_only_what_is_marked_comes_as_an_array() -> None:
    calls = []

    @over_runs("lr", "missing")
    def train(lr: Any, width: Any, seed: Any, missing: float = 0.5) -> Any:
        calls.append((lr.tolist(), width, seed.tolist(), missing))
        return lr * width + seed

    table = sweep(train, {"width": [1, 2], "lr": [0.25, 0.5]}, seeds=[4, 5], progress=False)
    assert calls == [([0.25, 0.25, 0.5, 0.5], width, [4, 5, 4, 5], 0.5) for width in (1, 2)]
    assert_array_equal(table["loss"], table["lr"] * table["width"] + table["seed"])


def test_the_mark_may_be_on_a_partial() -> None:
    def train(lr: Any, seed: Any, factor: float) -> Any:
        return factor * lr[:] + seed

    marked = over_runs("lr")(functools.partial(train, factor=2))
    for function in (marked, functools.partial(marked)):
        table = sweep(function, {"lr": [0.5, 1.0]}, seeds=[3], progress=False)
        assert table["loss"].tolist() == [4.0, 5.0]


def test_workers_are_other_processes_with_their_share_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import joblib

    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 6)
    table = sweep(place, {"lr": [0.1]}, seeds=range(2), n_jobs=2, progress=False)
    assert os.getpid() not in table["pid"]
    assert set(table["threads"]) == {3}


def test_all_processors_are_used_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import joblib

    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    barrier = threading.Barrier(2, timeout=30)  # passes only if two runs are under way

    def train(lr: float, seed: int) -> float:
        barrier.wait()
        return lr

    sweep(train, {"lr": [0.1]}, seeds=range(4), n_jobs=-1, backend="threading", progress=False)


# Interrupted and resumed -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"n_jobs": 2}, {"backend": "threading"}], ids=str)
def test_an_interrupted_sweep_goes_on_and_repeats_nothing(
    serial: Table, tmp_path: Path, options: Any
) -> None:
    folder, log = tmp_path / "sweep", tmp_path / "log"
    with pytest.raises(KeyboardInterrupt) as stopped:
        call(interrupted, tmp_path, folder=folder, **options)
    kept = len(list(folder.glob("*.json"))) - 1
    assert 1 <= kept < RUNS
    (told,) = stopped.value.__notes__
    assert told.startswith(f"{kept} of 16 runs are in {str(folder)!r}")
    assert same(call(interrupted, tmp_path, folder=folder, **options), serial)
    done = counts(log)
    assert done.pop("interrupt") >= 1
    assert len(done) == RUNS
    if not options:
        assert set(done.values()) == {1}
    # With workers, what was on its way beside the interrupted run has no file: two for each.
    assert sum(done.values()) <= RUNS + 4
    again = call(interrupted, tmp_path, folder=folder, n_jobs=1)
    assert same(again, serial)
    assert sum(counts(log).values()) == sum(done.values()) + counts(log)["interrupt"]


def test_without_a_folder_an_interruption_leaves_a_temporary_one(
    serial: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    with pytest.raises(KeyboardInterrupt) as stopped:
        call(interrupted, tmp_path)
    (left,) = (tmp_path / "t").iterdir()
    assert f"folder={str(left)!r}" in stopped.value.__notes__[0]
    assert same(call(interrupted, tmp_path, folder=left), serial)
    assert counts(tmp_path / "log")[name_of(0.1, "plain", 3)] == 1


def test_a_temporary_folder_is_removed_when_it_is_of_no_more_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sweep(half, {"lr": [0.1]}, seeds=[0], progress=False)
    with pytest.raises(TypeError, match="got loss = None") as refused:
        sweep(lambda lr, seed: None, {"lr": [0.1]}, seeds=[0], progress=False)
    assert not hasattr(refused.value, "__notes__")
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_stays_until_the_table_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("optlearn.sweeps.table_of", full)
        with pytest.raises(MemoryError) as stopped:
            sweep(half, {"lr": [0.1]}, seeds=[0], progress=False)
    (left,) = tmp_path.iterdir()
    assert f"1 of 1 runs are in {str(left)!r}" in stopped.value.__notes__[0]
    monkeypatch.setattr("os.rmdir", lambda *_a, **_k: (tmp_path / "gone").unlink())
    assert len(sweep(half, {"lr": [0.1]}, seeds=[0], progress=False)) == 1


class Together(Executor):
    """An executor that has done everything by the time it is asked; seed 2 ends the sweep."""

    def submit(self, function: Any, train: Any, job: Any, over: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if job[0].seed == 2:
            future.set_exception(KeyboardInterrupt())
        else:
            future.set_result(function(train, job, over))
        return future


def test_what_was_done_beside_an_interrupted_run_is_kept(tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_jobs": 4, "folder": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt) as stopped:
        sweep(half, {"lr": [0.1]}, seeds=range(8), backend=Together(), **options)
    assert len(list(tmp_path.glob("*.json"))) == 1 + 7
    assert stopped.value.__notes__[0].startswith("7 of 8 runs")


def test_what_a_thread_finishes_after_the_interruption_is_kept(tmp_path: Path) -> None:
    under_way = threading.Event()

    def train(lr: float, seed: int) -> float:
        if seed == 0:
            under_way.wait(30)
            raise KeyboardInterrupt
        under_way.set()
        time.sleep(0.2)  # still at work when the other has ended the sweep
        return lr

    options: dict[str, Any] = {"n_jobs": 2, "backend": "threading", "progress": False}
    with pytest.raises(KeyboardInterrupt) as stopped:
        sweep(train, {"lr": [0.1]}, seeds=range(2), **options)
    assert stopped.value.__notes__[0].startswith("1 of 2 runs")
    shutil.rmtree(re.findall(r"'(.*?)'", stopped.value.__notes__[0])[0])


def test_more_values_and_seeds_cost_only_the_new_runs(tmp_path: Path) -> None:
    calls = []

    def train(lr: float, seed: int) -> float:
        calls.append((lr, seed))
        return lr + seed

    folder = tmp_path / "new" / "sweep"
    sweep(train, {"lr": [1, 2]}, seeds=[0], folder=folder, progress=False)
    calls.clear()
    table = sweep(train, {"lr": [2.0, 0.5, 1.0]}, seeds=[1, 0], folder=folder, progress=False)
    assert calls == [(2.0, 1), (0.5, 1), (0.5, 0), (1.0, 1)]
    assert_array_equal(table["lr"], [2, 2, 0.5, 0.5, 1, 1])
    assert_array_equal(table["loss"], table["lr"] + table["seed"])


def test_values_that_are_equal_in_python_but_not_the_same_have_results_of_their_own(
    tmp_path: Path,
) -> None:
    def train(x: Any, seed: int) -> float:
        return len(str(x))

    tables = [
        sweep(train, {"x": values}, seeds=[0], folder=tmp_path / "s", progress=False)
        for values in ([True], [1], ["1"], ["True"])
    ]
    assert [table["loss"][0] for table in tables] == [4, 1, 1, 4]
    assert len(list((tmp_path / "s").glob("*.json"))) == 5


def test_values_that_differ_in_their_last_digit_have_results_of_their_own(tmp_path: Path) -> None:
    close = [0.1, math.nextafter(0.1, 1)]
    table = sweep(lambda lr, seed: lr, {"lr": close}, seeds=[0], folder=tmp_path, progress=False)
    again = sweep(half, {"lr": close}, seeds=[0], folder=tmp_path / "other", progress=False)
    assert table["loss"].tolist() == close
    assert (2 * again["loss"]).tolist() == close
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_errors_are_kept_unless_they_are_to_be_retried(tmp_path: Path) -> None:
    cured = tmp_path / "cured"

    def train(lr: float, seed: int) -> float:
        note(tmp_path / "log", f"{lr}")
        if lr == 0.2 and not cured.exists():
            raise OSError("disk full")
        return lr

    options: dict[str, Any] = {"seeds": [0], "folder": tmp_path / "s", "progress": False}
    first = sweep(train, {"lr": [0.1, 0.2]}, **options)
    cured.touch()
    assert same(sweep(train, {"lr": [0.1, 0.2]}, **options), first)
    assert counts(tmp_path / "log") == {"0.1": 1, "0.2": 1}
    table = sweep(train, {"lr": [0.1, 0.2]}, retry_errors=True, **options)
    assert counts(tmp_path / "log") == {"0.1": 1, "0.2": 2}
    assert table["error"].tolist() == ["", ""]
    assert same(sweep(train, {"lr": [0.1, 0.2]}, **options), table)


def test_two_sweeps_may_meet_in_one_folder(serial: Table, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(call, descent, tmp_path, folder=tmp_path / "s") for _ in range(2)]
    assert all(same(one.result(), serial) for one in both)
    assert len(list((tmp_path / "s").iterdir())) == RUNS + 1


# Workers that die --------------------------------------------------------------------------------


def test_a_run_that_kills_its_worker_is_found_and_the_others_are_done(tmp_path: Path) -> None:
    grid = {"lr": [0.1, 0.2, 0.3, 0.4, 0.5]}
    table = call(stubborn, tmp_path, grid=grid, seeds=[0], n_jobs=2)
    guilty = table["lr"] == 0.2
    assert set(table["error"][guilty]) == {_sweep_workers.DIED}
    assert set(table["error"][~guilty]) == {""}
    assert_array_equal(table["loss"][~guilty], (table["lr"] + table["seed"])[~guilty])
    done = counts(tmp_path / "log")
    assert 2 <= done[name_of(0.2, "", 0)] <= 3  # the first death may have come before its turn
    assert 2 <= done[name_of(0.3, "", 0)] <= 3
    # One may have been under way beside a dying run, once; from then on it is done alone.
    assert max(done[name_of(lr, "", 0)] for lr in (0.1, 0.4, 0.5)) <= 2


def test_of_runs_done_together_only_the_guilty_one_is_given_up(tmp_path: Path) -> None:
    def train(lr: Any, seed: Any, log: str) -> Any:
        note(log, str(len(lr)))
        if (lr == 0.2).any():
            os._exit(1)
        return lr + seed

    grid = {"lr": [0.1, 0.2, 0.3]}
    table = call(over_runs("lr")(train), tmp_path, grid=grid, seeds=[0], backend="loky")
    assert table["error"].tolist() == ["", _sweep_workers.DIED, ""]
    assert counts(tmp_path / "log") == {"3": 1, "1": 4}


class Unreadable:
    """Something that a worker cannot unpickle."""

    def __reduce__(self) -> Any:
        return (int, ("not a number",))


def test_a_function_that_workers_cannot_read_is_an_error_at_once() -> None:
    unreadable = Unreadable()

    def train(lr: float, seed: int) -> float:
        return len(str(unreadable))

    with pytest.raises(Exception, match="un-serialize"):
        sweep(train, {"lr": [0.1]}, seeds=[0], backend="loky", progress=False)


class Closed(Executor):
    """An executor whose work is cancelled by somebody else."""

    def submit(self, *_args: Any, **_options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_workers_that_are_taken_away_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="closed while they were at work"):
        sweep(half, {"lr": [0.1]}, seeds=[0], backend=Closed(), progress=False)


class Dying(Executor):
    """An executor that is broken by an idle worker's death until it is renewed."""

    broken = True

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        if self.broken:
            raise BrokenPipeError
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


def test_a_worker_that_dies_idle_is_replaced() -> None:
    class Workers(_sweep_workers.Pool):
        def renew(self) -> None:
            self.executor.broken = False

    pool = Workers(Dying(), 1)
    pool.deaths = {BrokenPipeError: 1}
    runs = [(_sweep_folder.Run({"lr": 0.5}, seed),) for seed in range(3)]
    done = list(_sweep_workers.finished(half, runs, None, pool))
    assert sorted(result.values["loss"] for _, (result,) in done) == [0.25, 1.25, 2.25]


class Deadly(Executor):
    """An executor in which every run with an odd seed kills its worker."""

    def __init__(self) -> None:
        self.begun: list[int] = []

    def submit(self, function: Any, train: Any, job: Any, over: Any) -> Future[Any]:
        self.begun += [run.seed for run in job]
        assert len(self.begun) < 20, "the sweep does not end"
        future: Future[Any] = Future()
        if any(run.seed % 2 for run in job):
            future.set_exception(BrokenPipeError())
        else:
            future.set_result(function(train, job, over))
        return future


@pytest.mark.parametrize(("deaths", "times"), [(1, 3), (3, 2), (7, 2)])
def test_a_run_is_given_up_only_when_it_has_died_alone(deaths: int, times: int) -> None:
    pool = _sweep_workers.Pool(Deadly(), 2)
    pool.deaths = {BrokenPipeError: deaths}  # one future may stand for several deaths
    jobs = [(_sweep_folder.Run({"lr": 0.5}, seed),) for seed in range(6)]
    done = {
        job[0].seed: result for job, (result,) in _sweep_workers.finished(half, jobs, None, pool)
    }
    assert {seed for seed, result in done.items() if result.error} == {1, 3, 5}
    assert {result.error for result in done.values()} == {"", _sweep_workers.DIED}
    assert [pool.executor.begun.count(seed) for seed in range(6)] == [1, times, 1, times, 1, times]


def test_what_a_program_gets_wrong_ends_the_sweep_in_processes_too() -> None:
    with pytest.raises(TypeError, match=r"must return a number.*got loss = None"):
        sweep(lambda lr, seed: None, {"lr": [0.1]}, seeds=[0], n_jobs=2, progress=False)


# Files -------------------------------------------------------------------------------------------


def test_a_file_a_run_says_all_about_it_in_plain_json(tmp_path: Path) -> None:
    def train(lr: float, seed: int) -> dict[str, float]:
        return {"loss": 0.1 + 0.2, "worst": math.inf, "none": -math.nan}

    first = sweep(train, {"lr": [math.inf]}, seeds=[5], folder=tmp_path, progress=False)
    (path,) = (p for p in tmp_path.iterdir() if p.name != "sweep.json")
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found.pop("seconds") >= 0
    assert found.pop("host")
    assert found == {
        "setting": {"lr": "inf"},
        "seed": 5,
        "values": {"loss": 0.1 + 0.2, "worst": "inf", "none": "nan"},
        "error": "diverged: worst = inf, none = nan",
        "pid": os.getpid(),
    }
    again = sweep(train, {"lr": [math.inf]}, seeds=[5], folder=tmp_path, progress=False)
    assert_array_equal(again["worst"], [np.inf])
    assert same(again, first)  # no trace of the sign that a NaN may have
    about = json.loads((tmp_path / "sweep.json").read_text())
    assert about["train"] == f"{__name__}.{train.__qualname__}"
    assert about["parameters"] == ["lr"]


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_file_that_could_not_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*_arguments: Any) -> None:
        assert (tmp_path / "a.csv").read_text() == "old"
        raise OSError("no space left on device")

    (tmp_path / "a.csv").write_text("old")
    monkeypatch.setattr(broken, full)
    with pytest.raises(OSError, match="no space left"):
        _sweep_folder.write_whole(tmp_path / "a.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_text_reaches_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr("os.fsync", lambda handle: (order.append("sync"), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda *a: (order.append("name"), replace(*a)))
    _sweep_folder.write_whole(tmp_path / "a", "text")
    assert order == ["sync", "name"]


@pytest.mark.parametrize("links", [True, False])
def test_of_two_that_claim_a_folder_the_first_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path = tmp_path / "sweep.json"
    real = os.link

    def link(*arguments: Any) -> None:
        if not links:
            raise PermissionError("no links on this disk")
        path.write_text("first")  # another process, at the last moment
        real(*arguments)

    monkeypatch.setattr("os.link", link)
    _sweep_folder.write_whole(path, "second", replace=False)
    assert path.read_text() == ("first" if links else "second")
    _sweep_folder.write_whole(path, "third", replace=False)
    assert path.read_text() == ("first" if links else "second")
    assert list(tmp_path.iterdir()) == [path]


def test_half_written_files_of_a_killed_sweep_are_not_results(tmp_path: Path) -> None:
    first = sweep(half, {"lr": [0.1, 0.2]}, seeds=[0], folder=tmp_path, progress=False)
    path = next(p for p in tmp_path.iterdir() if p.name != "sweep.json")
    half_written = path.rename(tmp_path / f".{path.name}.0123.tmp")
    half_written.write_text(half_written.read_text()[:30])
    assert same(sweep(half, {"lr": [0.1, 0.2]}, seeds=[0], folder=tmp_path, progress=False), first)
    assert half_written.exists()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "must be a JSON file"),
        ('{"setting": {"lr": 0.1}', "must be a JSON file"),
        ("\udcff", "must be a JSON file"),
        ("[1]", "must hold a JSON object, got list"),
        ("{}", r"must be the result of {'lr': 0.1} with seed 0"),
        ('{"setting": {"lr": 0.2}, "seed": 0, "values": {}, "error": ""}', "must be the result"),
        (
            '{"setting": {"lr": 0.2}, "seed": 0, "values": {}, "error": "", "seconds": 1, '
            '"host": "", "pid": 1}',
            "must be the result",
        ),
        (
            '{"setting": {"lr": 0.1}, "seed": 1, "values": {}, "error": "", "seconds": 1, '
            '"host": "", "pid": 1}',
            "must be the result",
        ),
        ('{"setting": {"lr": 0.1}, "seed": 0, "values": 3, "error": ""}', "must be the result"),
        (
            '{"setting": {"lr": 0.1}, "seed": 0, "values": {"loss": 1'
            + "0" * 400
            + '}, "error": ""}',
            "must be the result",
        ),
        (
            '{"setting": {"lr": 0.1}, "seed": 0, "values": {"loss": "much"}, "error": ""}',
            "must be the result",
        ),
    ],
)
def test_a_file_that_is_no_result_is_refused_and_left(
    tmp_path: Path, content: str, rule: str
) -> None:
    sweep(half, {"lr": [0.1]}, seeds=[0], folder=tmp_path, progress=False)
    path = next(p for p in tmp_path.iterdir() if p.name != "sweep.json")
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=f"{path.name} {rule}.*delete it"):
        sweep(half, {"lr": [0.1]}, seeds=[0], folder=tmp_path, progress=False)
    assert path.exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    grid, seeds = {"lr": [0.1]}, [0]
    (tmp_path / "thesis.tex").write_text("I")
    with pytest.raises(ValueError, match=r"folder must be new, empty.*has 'thesis.tex'"):
        sweep(half, grid, seeds=seeds, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"folder must be a folder, got the file .*thesis.tex"):
        sweep(half, grid, seeds=seeds, folder=tmp_path / "thesis.tex", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_of_another_sweep_is_refused(tmp_path: Path) -> None:
    def other(lr: float, seed: int) -> float:
        return lr

    def two(lr: float, width: int, seed: int) -> float:
        return lr

    options: dict[str, Any] = {"seeds": [0], "folder": tmp_path, "progress": False}
    sweep(half, {"lr": [0.1]}, **options)
    with pytest.raises(
        ValueError, match=r"train must be .*test_sweeps.half, .*got .*locals>.other"
    ):
        sweep(other, {"lr": [0.1]}, **options)
    two.__qualname__ = "half"
    with pytest.raises(ValueError, match=r"must have the parameters lr of .*got lr, width"):
        sweep(two, {"lr": [0.1], "width": [1]}, **options)
    (tmp_path / "sweep.json").write_text('{"train": "study.half", "code": 3}')
    with pytest.raises(ValueError, match=r"sweep.json must say the code of a sweep, got 3"):
        sweep(half, {"lr": [0.1]}, **options)


def module_of(path: Path, source: str) -> Any:
    """Write a module and import it."""
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE = "def train(lr, seed):\n    return lr * 2\n"


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        (SOURCE + "\n\ndef more():\n    pass\n", False),
        ("import math\n\n\ndef train(lr, seed):\n    # twice\n    return lr  * 2\n", False),
        (SOURCE.replace("2", "3"), True),
        (SOURCE.replace("seed", "seed, width=3"), True),
    ],
)
@pytest.mark.parametrize("readable", [True, False])
def test_changed_code_is_refused_unless_it_is_declared_harmless(
    tmp_path: Path, changed: str, refused: bool, readable: bool
) -> None:
    def train_of(name: str, source: str) -> Any:
        train = module_of(tmp_path / f"{name}.py", source).train
        train.__module__ = "study"
        if not readable:
            (tmp_path / f"{name}.py").write_text("")  # as in an interactive session
        return train

    options: dict[str, Any] = {"seeds": [0], "folder": tmp_path / "s", "progress": False}
    sweep(train_of("first", SOURCE), {"lr": [0.5]}, **options)
    train = train_of("second", changed)
    if refused:
        with pytest.raises(ValueError, match=r"got other code of study.train.*delete sweep.json"):
            sweep(train, {"lr": [0.5]}, **options)
        (tmp_path / "s" / "sweep.json").unlink()
    assert sweep(train, {"lr": [0.5]}, **options)["loss"] == [1.0]


MIDDLE = np.zeros(2000)
MIDDLE[1000] = 1


def closed_over(what: Any) -> Any:
    def train(lr: float, seed: int) -> Any:
        return lr if what is not None else seed

    return train


class Scaled:
    """A training function with a state."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, lr: float, seed: int) -> float:
        return lr * self.scale()

    train = __call__

    def scale(self) -> float:
        return self.factor


class Doubled(Scaled):
    """The same state, another function."""

    def scale(self) -> float:
        return 2 * self.factor


Doubled.__qualname__ = Scaled.__qualname__


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda lr, seed: lr + 1, lambda lr, seed: lr + 2),
        (lambda lr, seed: max(lr, 1), lambda lr, seed: min(lr, 1)),
        (lambda lr, seed: (lambda: lr + 1)(), lambda lr, seed: (lambda: lr + 2)()),
        (functools.partial(pow, 2, mod=3), functools.partial(pow, 2, mod=4)),
        (functools.partial(half, seed=1), functools.partial(half, seed=2)),
        (lambda lr, seed, k=2: k, lambda lr, seed, k=3: k),
        (lambda lr, *, seed=2: lr, lambda lr, *, seed=3: lr),
        (lambda lr, seed: lr, lambda lr, *seed: lr),
        (closed_over(2), closed_over(3)),
        (closed_over(0.1), closed_over(math.nextafter(0.1, 1))),
        (closed_over(1), closed_over(True)),
        (closed_over({"a": [1, {2}]}), closed_over({"a": [1, {3}]})),
        (closed_over(closed_over(2)), closed_over(closed_over(3))),
        (closed_over(MIDDLE), closed_over(-MIDDLE)),
        (closed_over(MIDDLE), closed_over(MIDDLE.reshape(2, 1000))),
        (closed_over(np.zeros(2)), closed_over(np.zeros(2, dtype=int))),
        (closed_over(np.array([1, "a"], object)), closed_over(np.array([1, "b"], object))),
        (closed_over(Adam(0.1)), closed_over(Adam(0.2))),
        (closed_over(MLP((2, 3, 1))), closed_over(MLP((2, 4, 1)))),
        (functools.partial(half, seed=MIDDLE), functools.partial(half, seed=-MIDDLE)),
        (functools.lru_cache(half), functools.lru_cache(closed_over(1))),
        (Scaled(2), Scaled(3)),
        (Scaled(2).train, Scaled(3).train),
        (Scaled(2), Doubled(2)),
    ],
)
def test_functions_that_do_something_else_are_told_apart(first: Any, second: Any) -> None:
    assert digest_of(first) == digest_of(first)
    assert digest_of(first) != digest_of(second)


def test_the_digest_is_the_same_in_another_process() -> None:
    program = """
import functools, re
from pathlib import Path
import numpy as np
from optlearn._sweep_code import digest_of
from optlearn.optimizers import Adam
from optlearn.networks import MLP

def make():
    words, told = {"a", "b", "c"}, re.compile("a+")
    def again(n):
        return again(n - 1) if n else told
    class Local:
        rate = 3
        def __call__(self, lr, seed):
            return again(seed), lr in {"a", "b", "c"}, words
    local = Local()
    local.optimizer, local.path = Adam(0.1), Path("a")
    local.rng = np.random.default_rng(1)
    return functools.partial(local, data=np.arange(5), network=MLP((2, 3)))
print(digest_of(make()))
"""
    root = str(Path(__file__).resolve().parents[1])
    digests = set()
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", digests.pop())


def test_docstrings_and_the_size_of_chunks_may_change() -> None:
    def documented(lr: float, seed: int) -> None:
        """Say what this does."""
        print(lr)

    def bare(lr: float, seed: int) -> None:
        print(lr)

    assert digest_of(documented) == digest_of(bare)
    assert digest_of(over_runs("lr", chunk=3)(documented)) == digest_of(over_runs("lr")(bare))


def test_a_function_with_an_open_file_has_no_folder_of_its_own(tmp_path: Path) -> None:
    with (tmp_path / "data").open("w") as stream:
        train = closed_over(stream)
        with pytest.raises(TypeError, match=r"train must hold values .*got TextIOWrapper.*inside"):
            sweep(train, {"lr": [0.5]}, seeds=[0], folder=tmp_path / "s", progress=False)
        table = sweep(train, {"lr": [0.5]}, seeds=[0], progress=False)
    assert not (tmp_path / "s").exists()
    assert table["loss"] == [0.5]


@pytest.mark.parametrize("made", [Scaled, lambda factor: Scaled(factor).train])
def test_a_folder_does_not_give_back_the_results_of_another_object(
    tmp_path: Path, made: Any
) -> None:
    options: dict[str, Any] = {"seeds": [0], "folder": tmp_path, "progress": False}
    assert sweep(made(2), {"lr": [1.0]}, **options)["loss"] == [2.0]
    with pytest.raises(ValueError, match=r"the values it holds.*got other code of .*Scaled"):
        sweep(made(3), {"lr": [1.0]}, **options)
    assert sweep(made(2), {"lr": [1.0]}, **options)["loss"] == [2.0]


def test_what_runs_counts_and_not_what_the_file_says_by_now(tmp_path: Path) -> None:
    train = module_of(tmp_path / "study.py", SOURCE).train
    (tmp_path / "study.py").write_text(SOURCE.replace("2", "3000"))
    options: dict[str, Any] = {"seeds": [0], "folder": tmp_path / "s", "progress": False}
    assert sweep(train, {"lr": [0.5]}, **options)["loss"] == [1.0]
    again = module_of(tmp_path / "study.py", SOURCE.replace("2", "3000")).train
    with pytest.raises(ValueError, match=r"got other code of study\.train"):
        sweep(again, {"lr": [0.5]}, **options)


def test_objects_that_can_be_called_can_be_swept(tmp_path: Path) -> None:
    class Train:
        def __call__(self, lr: float, seed: int) -> float:
            return lr

    options: dict[str, Any] = {"seeds": [0], "folder": tmp_path, "progress": False}
    assert sweep(Train(), {"lr": [0.5]}, **options)["loss"] == [0.5]
    assert sweep(Train(), {"lr": [0.5]}, **options)["loss"] == [0.5]
    assert "Train" in json.loads((tmp_path / "sweep.json").read_text())["train"]


def test_progress_counts_runs_and_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(descent, tmp_path, folder=tmp_path / "s")
    assert capsys.readouterr().err == ""
    call(descents, tmp_path, progress=True)
    assert re.search(r"16/16 .*failed=8", capsys.readouterr().err)
    call(descent, tmp_path, folder=tmp_path / "s", progress=True)
    assert re.search(r"16/16 .*failed=8", capsys.readouterr().err)


# CSV ---------------------------------------------------------------------------------------------

texts = st.text("a1,;'\"\n\r\t é", max_size=4)
columns = st.one_of(
    st.tuples(st.just(np.float64), st.lists(st.floats(), min_size=3, max_size=3)),
    st.tuples(
        st.just(np.int64), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3)
    ),
    st.tuples(st.just(bool), st.lists(st.booleans(), min_size=3, max_size=3)),
    st.tuples(
        st.just(str),
        st.lists(
            texts | st.sampled_from(["1", "nan", "True", '"', "\r\n"]), min_size=3, max_size=3
        ),
    ),
)


@given(st.dictionaries(texts.filter(bool), columns, min_size=1, max_size=4))
def test_csv_gives_back_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]
) -> None:
    arrays = {name: np.array(values, dtype=kind) for name, (kind, values) in content.items()}
    for array in arrays.values():
        if array.dtype.kind == "f":
            array[np.isnan(array)] = np.nan  # as in every table of a sweep
    table = np.empty(3, dtype=[(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        table[name] = array
    path = tmp_path_factory.getbasetemp() / "table.csv"
    save_csv(table, path)
    assert same(load_csv(path), table)


def test_a_sweep_comes_back_from_csv_and_others_can_read_it(serial: Table, tmp_path: Path) -> None:
    save_csv(serial, tmp_path / "table.csv")
    assert same(load_csv(str(tmp_path / "table.csv")), serial)
    with (tmp_path / "table.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["lr"]) for row in rows] == serial["lr"].tolist()
    assert [row["error"] for row in rows] == serial["error"].tolist()


def test_csv_that_passed_through_another_program_is_understood(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"lr,seed,flag,rule,loss,error\r\n0.1,1,True,sgd,2,\r\n")
    table = load_csv(tmp_path / "a.csv")
    assert table.tolist() == [(0.1, 1, True, "sgd", 2, "")]
    assert [table[name].dtype.kind for name in table.dtype.names] == list("fibUiU")


def test_csv_with_a_mark_an_empty_number_and_a_blank_line_is_understood(tmp_path: Path) -> None:
    content = "lr,loss,rule,error\r\n0.1,,sgd,\r\n0.2,2,,\r\n\r\n"
    (tmp_path / "a.csv").write_text(content, encoding="utf-8-sig", newline="")
    table = load_csv(tmp_path / "a.csv")
    assert table.dtype.names == ("lr", "loss", "rule", "error")
    assert_array_equal(table["loss"], [np.nan, 2.0])
    assert table[["lr", "rule", "error"]].tolist() == [(0.1, "sgd", ""), (0.2, "", "")]


def test_a_csv_with_an_integer_beyond_64_bits_has_floats(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"loss\n{10**30}\n1\n")
    assert load_csv(tmp_path / "a.csv")["loss"].tolist() == [1e30, 1.0]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "must have a header and at least one row, got 0 lines"),
        ('"lr"\n', "must have a header and at least one row, got 1 lines"),
        ('"lr","seed"\n1,2\n1\n', r"must have 2 fields in every row, got \['1'\]"),
        ('"lr","error"\n1,"broken', "must be a CSV file, got one that breaks off"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str, rule: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=rf"a.csv {rule}"):
        load_csv(tmp_path / "a.csv")


# Reading the table -------------------------------------------------------------------------------

ROWS = [
    (0.1, 8, 0, 3.0, 0.5, ""),
    (0.1, 8, 1, 5.0, 0.6, ""),
    (0.1, 16, 0, 2.0, 0.6, ""),
    (0.1, 16, 1, 2.5, 0.8, ""),
    (0.2, 8, 0, 1.0, 0.9, ""),
    (0.2, 8, 1, math.nan, math.nan, "ValueError: no"),
    (0.2, 16, 0, 2.0, 0.1, ""),
    (0.2, 16, 1, math.inf, 0.2, "diverged: loss = inf"),
    (0.4, 8, 0, 4.0, 0.7, ""),
    (0.4, 8, 1, 4.0, 0.9, ""),
    (0.4, 16, 0, 6.0, 0.2, ""),
    (0.4, 16, 1, 6.0, math.nan, ""),
]
TABLE = np.array(
    ROWS,
    dtype=[
        ("lr", float),
        ("width", int),
        ("seed", int),
        ("loss", float),
        ("accuracy", float),
        ("error", "U20"),
    ],
)


def test_a_summary_by_hand() -> None:
    summary = summarize(TABLE, "lr")
    assert summary.dtype.names == ("lr", "mean", "sd", "n", "failed")
    assert_array_equal(summary["lr"], [0.1, 0.2, 0.4])
    np.testing.assert_allclose(summary["mean"], [3.125, 1.5, 5.0], rtol=1e-15)
    # sums of squared deviations 5.1875, 0.5, 4 over n - 1 = 3, 1, 3
    expected = [math.sqrt(5.1875 / 3), math.sqrt(0.5), math.sqrt(4 / 3)]
    np.testing.assert_allclose(summary["sd"], expected, rtol=1e-15)
    assert_array_equal(summary["n"], [4, 2, 4])
    assert_array_equal(summary["failed"], [0, 2, 0])
    pairs = summarize(TABLE, ["width", "lr"], "accuracy")
    assert pairs[["width", "lr"]].tolist() == [
        (width, lr) for lr in (0.1, 0.2, 0.4) for width in (8, 16)
    ]
    assert_array_equal(pairs["n"], [2, 2, 1, 1, 2, 1])
    assert_array_equal(pairs["failed"], [0, 0, 1, 1, 0, 1])
    assert_array_equal(np.isnan(pairs["sd"]), [False, False, True, True, False, True])
    seeds = summarize(TABLE[5:6], "seed")
    assert np.isnan(seeds["mean"]).tolist() == [True]
    assert seeds[["n", "failed"]].tolist() == [(0, 1)]


def test_the_best_by_hand() -> None:
    found = best(TABLE)  # 0.2 has a lower mean, of the runs that it did not lose
    assert (found.setting, found.mean, found.n) == ({"lr": 0.1, "width": 16}, 2.25, 2)
    assert found.sd == pytest.approx(math.sqrt(0.125))
    assert found.at_border == ("lr", "width")
    assert found.message == (
        "best mean loss 2.25, sd 0.35, n = 2, at lr=0.1, width=16; "
        "lr=0.1 is the smallest value tried: extend the grid; "
        "width=16 is the largest value tried: extend the grid"
    )
    largest = best(TABLE, "accuracy", minimize=False)
    assert (largest.setting, largest.mean) == ({"lr": 0.4, "width": 8}, 0.8)
    assert largest.at_border == ("lr", "width")
    assert best(TABLE, minimize=False).setting == {"lr": 0.4, "width": 16}


def test_a_border_is_an_end_of_several_numbers() -> None:
    def train(lr: float, width: int, rule: str, flag: bool, seed: int) -> float:
        return (lr - 0.2) ** 2 + (rule == "b") + flag

    grid = {"lr": [0.4, 0.1, 0.2], "width": [8], "rule": ["a", "b"], "flag": [False, True]}
    found = best(sweep(train, grid, seeds=[0], progress=False))
    assert found.setting == {"lr": 0.2, "width": 8, "rule": "a", "flag": False}
    assert found.at_border == ()
    assert "extend" not in found.message
    assert math.isnan(found.sd)


def test_a_rate_below_those_that_diverge_is_not_at_the_border() -> None:
    table = sweep(
        lambda lr, seed: 1 / lr if lr < 1 else math.nan,
        {"lr": [0.1, 0.5, 1.0]},
        seeds=[0, 1],
        progress=False,
    )
    assert (best(table).setting, best(table).at_border) == ({"lr": 0.5}, ())


# Bad arguments -----------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"train": half, "grid": {"lr": [0.1]}, "seeds": [0], "progress": False}


def positional(lr: float, seed: int, /) -> float:
    return lr


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train": 3}, TypeError, "train must be a callable .*got 3"),
        ({"train": lambda lr: lr}, TypeError, "train must take lr, seed by name, got <lambda>"),
        ({"train": lambda lr, seed, m: lr}, TypeError, "train must take lr, seed .*argument: 'm'"),
        ({"train": positional}, TypeError, "train must take lr, seed by name"),
        ({"grid": {"rate": [1]}}, TypeError, "train must take rate, seed by name"),
        ({"grid": [("lr", [0.1])]}, TypeError, "grid must be a mapping .*got list"),
        ({"grid": {}}, ValueError, "grid must have a parameter, got {}"),
        ({"grid": {1: [0.1]}}, TypeError, "grid must have strings as names, got 1"),
        ({"grid": {"seed": [1]}}, ValueError, "names of parameters besides the seed, got 'seed'"),
        ({"grid": {"error": [1]}}, ValueError, "names of parameters .*got 'error'"),
        ({"grid": {"l r": [1]}}, ValueError, "names of parameters .*got 'l r'"),
        ({"grid": {"lr": 0.1}}, TypeError, r"grid\['lr'\] must be a sequence of values, got 0.1"),
        ({"grid": {"lr": "ab"}}, TypeError, r"grid\['lr'\] must be a sequence .*got 'ab'"),
        ({"grid": {"lr": np.array(1.0)}}, TypeError, r"must be a sequence of values, got array"),
        ({"seeds": np.array(1)}, TypeError, r"seeds must be a sequence of integers .*got array"),
        ({"grid": {"lr": {0.1}}}, TypeError, r"grid\['lr'\] must be a sequence .*got {0.1}"),
        ({"grid": {"lr": []}}, ValueError, r"grid\['lr'\] must not be empty, got \[\]"),
        ({"grid": {"lr": [None]}}, TypeError, "must have numbers, strings or booleans, got None"),
        ({"grid": {"lr": np.eye(2)}}, TypeError, "must have numbers, .*got array"),
        ({"grid": {"lr": [1j]}}, TypeError, "must have numbers, .*got 1j"),
        ({"grid": {"lr": [math.nan]}}, ValueError, "must not have NaN, got nan"),
        ({"grid": {"lr": ["a\0"]}}, ValueError, r"must have printable strings, got 'a\\x00'"),
        ({"grid": {"lr": [2**63]}}, ValueError, "must have integers of 64 bits, got 9223372036"),
        ({"grid": {"lr": [1, "a"]}}, TypeError, "must have values of one kind, got int, str"),
        ({"grid": {"lr": [1, True]}}, TypeError, "must have values of one kind, got bool, int"),
        ({"grid": {"lr": [1, 0.5, 1.0]}}, ValueError, "must be different values, got 1.0 twice"),
        ({"seeds": 3}, TypeError, r"seeds must be a sequence of integers .*got 3"),
        ({"seeds": "12"}, TypeError, r"seeds must be a sequence of integers .*got '12'"),
        ({"seeds": []}, ValueError, "seeds must not be empty, got none"),
        ({"seeds": [0.0]}, TypeError, "each of seeds must be an integer >= 0, got 0.0"),
        ({"seeds": [True]}, TypeError, "each of seeds must be an integer >= 0, got True"),
        ({"seeds": [-1]}, ValueError, "each of seeds must be >= 0, got -1"),
        ({"seeds": [2**63]}, ValueError, "each of seeds must be < 2.*got 9223372036854775808"),
        ({"seeds": [1, 1]}, ValueError, "seeds must be different values, got 1 twice"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be an integer >= 1, or -1 .*got 0"),
        ({"n_jobs": -2}, ValueError, "n_jobs must be an integer >= 1, or -1 .*got -2"),
        ({"n_jobs": 1.0}, TypeError, "n_jobs must be an integer >= 1, got 1.0"),
        ({"n_jobs": True}, TypeError, "n_jobs must be an integer >= 1, got True"),
        (
            {"backend": "ray"},
            ValueError,
            "backend must be None, loky, threading, dask .*got 'ray'",
        ),
        ({"backend": 2}, TypeError, "backend must be None, loky, .*got 2"),
        ({"progress": 1}, TypeError, "progress must be True or False, got 1"),
        ({"retry_errors": None}, TypeError, "retry_errors must be True or False, got None"),
        ({"folder": 3}, TypeError, "folder must be a path or None, got 3"),
        (
            {"train": lambda lr, seed: {}},
            ValueError,
            "train must return a number or a mapping of names to such, got {}",
        ),
        ({"train": lambda lr, seed: {"loss": "low"}}, TypeError, "train must .*got loss = 'low'"),
        ({"train": lambda lr, seed: 1j}, TypeError, "train must return a number .*got loss = 1j"),
        ({"train": lambda lr, seed: [1.0]}, ValueError, r"must .*got loss of shape \(1,\)"),
        ({"train": lambda lr, seed: {3: 1.0}}, TypeError, "must .*by name, got the name 3"),
        ({"train": lambda lr, seed: {"": 1.0}}, TypeError, "must .*by name, got the name ''"),
        ({"train": lambda lr, seed: {"lr": 1.0}}, ValueError, "not in the grid, got 'lr'"),
        ({"train": lambda lr, seed: {"seed": 1}}, ValueError, "not in the grid, got 'seed'"),
        ({"train": lambda lr, seed: {"error": 1}}, ValueError, "not in the grid, got 'error'"),
        (
            {"train": over_runs("lr")(lambda lr, seed: 0.5)},
            ValueError,
            r"train must return an array of shape \(1,\) .*got loss of shape \(\)",
        ),
    ],
)
def test_sweep_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    sweep(**GOOD)
    with pytest.raises(error, match=message):
        sweep(**(GOOD | change))


@pytest.mark.parametrize(
    ("mark", "error", "message"),
    [
        (lambda: over_runs(half), TypeError, "over_runs takes names, .*got <function half"),
        (lambda: over_runs("lr", "lr"), ValueError, "names must be different, got lr, lr"),
        (lambda: over_runs("lr", chunk=0), ValueError, "chunk must be >= 1, got 0"),
        (lambda: over_runs("lr", chunk=2.0), TypeError, "chunk must be an integer >= 1, got 2.0"),
        (lambda: over_runs("lr")(3), TypeError, "over_runs marks a function, got 3"),
        (lambda: over_runs("rate")(half), ValueError, "names must be parameters .*got 'rate'"),
        (lambda: over_runs("seed")(half), ValueError, "names must be parameters .*got 'seed'"),
    ],
)
def test_over_runs_refuses(mark: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mark()


@pytest.mark.parametrize(
    ("read", "error", "message"),
    [
        (lambda: summarize([1], "lr"), TypeError, "table must be a structured array, got list"),
        (lambda: summarize(np.ones(3), "lr"), TypeError, "table must be a structured .*ndarray"),
        (lambda: summarize(TABLE[:0], "lr"), ValueError, r"table must have .*got shape \(0,\)"),
        (
            lambda: summarize(TABLE[["lr", "loss", "seed"]], "lr"),
            ValueError,
            "table must have columns seed and error, got lr, loss, seed",
        ),
        (
            lambda: summarize(TABLE, "rate"),
            ValueError,
            "by must be of lr, width, seed, got 'rate'",
        ),
        (
            lambda: summarize(TABLE, "loss"),
            ValueError,
            "by must be of lr, width, seed, got 'loss'",
        ),
        (lambda: summarize(TABLE, []), ValueError, r"by must name columns, each once, got \[\]"),
        (lambda: summarize(TABLE, ["lr", "lr"]), ValueError, "by must name columns, each once"),
        (lambda: summarize(TABLE, "lr", "width"), ValueError, "loss, accuracy; got 'width'"),
        (
            lambda: summarize(
                sweep(lambda n, seed: n, {"n": [1]}, seeds=[0], progress=False), "n"
            ),
            ValueError,
            "by must not be a column of the summary, got 'n'",
        ),
        (lambda: best(TABLE, "error"), ValueError, "loss, accuracy; got 'error'"),
        (lambda: best(TABLE, minimize=1), TypeError, "minimize must be True or False, got 1"),
        (lambda: best(TABLE[4:8]), ValueError, "got failed runs in all 2 settings"),
        (lambda: save_csv([1], "x"), TypeError, "table must be a structured array, got list"),
        (
            lambda: save_csv(np.ones(1, dtype=[("a", "f4")]), "x"),
            TypeError,
            "table must have columns of .*got a of float32",
        ),
    ],
)
def test_the_readers_of_tables_refuse(read: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read()


def test_a_cluster_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match="pip install dask distributed"):
        sweep(half, {"lr": [0.1]}, seeds=[0], backend="dask", progress=False)
