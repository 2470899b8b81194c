"""A sweep on a real cluster of two worker processes, one of which is killed in the middle."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from sweep_trains import counts, descent, interrupted, note, until

from optlearn import _sweep_workers
from optlearn.sweeps import sweep

ROOT = Path(__file__).resolve().parents[1]
GRID = {"lr": [0.1, 0.25, 0.5, 1.0, 2.0, 3.0], "rule": ["plain", "momentum"]}
SEEDS = (0, 1)
RUNS = 24


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two processes of one thread each, on this machine's loopback and any free ports."""
    # What the scheduler has to say about workers that die is what these tests make happen.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    ) as made:
        yield made


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=True) as made:
        made.wait_for_workers(2, timeout=60)
        yield made


def call(train: Any, log: Path, **options: Any) -> Any:
    arguments = {"grid": GRID, "seeds": SEEDS, "progress": False} | options
    return sweep(functools.partial(train, log=str(log)), **arguments)


def begun_by(log: Path) -> list[tuple[str, int]]:
    """Return the runs in the order in which they were begun, and the process that did each."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(run, int(pid)) for run, pid in (line.split("@") for line in lines)]


def held(lr: float, rule: str, seed: int, log: str) -> dict[str, float]:
    """Do what `descent` does, but wait at lr = 0.5 until the test lets it go on."""
    note(log, f"{lr}/{rule}/{seed}@{os.getpid()}")
    if lr == 0.5:
        until(Path(log).with_name("go").exists)
    return descent(lr, rule, seed, os.devnull)


@pytest.mark.usefixtures("client")
def test_a_sweep_survives_the_death_of_a_worker_and_loses_nothing(
    cluster: LocalCluster, tmp_path: Path, record_property: Any
) -> None:
    serial = call(descent, tmp_path / "serial.log")
    log, folder = tmp_path / "log", tmp_path / "sweep"
    tables: list[Any] = []
    thread = Thread(
        target=lambda: tables.append(call(held, log, backend="dask", folder=folder)), daemon=True
    )
    thread.start()

    # Both workers are held in the middle of a run at 0.5, and all they did before is on disk.
    def both_wait() -> bool:
        last = {pid: run for run, pid in begun_by(log)}
        written = len(list(folder.glob("[0-9a-f]*.json")))
        waiting = [run.startswith("0.5/") for run in last.values()]
        # ... and the scheduler has heard that nobody needs the results it has.
        held_back = [task for task in list(cluster.scheduler.tasks.values()) if task.who_has]
        return waiting == [True, True] and written == len(begun_by(log)) - 2 and not held_back

    until(both_wait)
    before = begun_by(log)
    assert len(before) >= 4
    lost, victim = before[-1]
    kept = {path.name: path.read_bytes() for path in folder.glob("[0-9a-f]*.json")}
    os.kill(victim, signal.SIGKILL)
    (tmp_path / "go").touch()
    thread.join(timeout=60)

    (table,) = tables
    assert table.dtype == serial.dtype
    assert table.tobytes() == serial.tobytes()
    times = {run: [r for r, _ in begun_by(log)].count(run) for run, _ in begun_by(log)}
    assert len(times) == RUNS
    assert {run: n for run, n in times.items() if n > 1} == {lost: 2}
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    workers = {pid for _, pid in begun_by(log)}
    record_property(
        "summary",
        f"cluster: worker {victim} of {len(workers)} killed after {len(kept)} of {RUNS} runs; "
        f"begun again: {lost}; lost: none; table equal to the serial one",
    )


def deadly(lr: float, rule: str, seed: int, log: str) -> float:
    """Kill the worker in one of the runs, every time."""
    note(log, f"{lr}/{rule}/{seed}")
    if (lr, rule, seed) == (1.0, "plain", 1):
        os._exit(1)
    return lr + seed


def test_a_run_that_kills_every_worker_is_a_row(
    cluster: LocalCluster, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.status == "running"
    # The scheduler gives up after four deaths of this kind; two are enough to see it.
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    table = call(deadly, tmp_path / "log", backend="dask")
    guilty = (table["lr"] == 1.0) & (table["rule"] == "plain") & (table["seed"] == 1)
    assert table["error"][guilty].tolist() == [_sweep_workers.DIED]
    assert set(table["error"][~guilty]) == {""}
    assert np.array_equal(table["loss"][~guilty], (table["lr"] + table["seed"])[~guilty])
    assert counts(tmp_path / "log")["1.0/plain/1"] == 2


@pytest.mark.usefixtures("client")
def test_an_interrupted_sweep_is_finished_by_the_cluster(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        call(interrupted, tmp_path / "log", folder=tmp_path / "sweep")
    table = call(interrupted, tmp_path / "log", folder=tmp_path / "sweep", backend="dask")
    assert table.tobytes() == call(descent, tmp_path / "serial.log").tobytes()
    done = counts(tmp_path / "log")
    assert done.pop("interrupt") == 1
    assert len(done) == RUNS
    assert set(done.values()) == {1}


def wait_for_file(lr: float, seed: int, log: str) -> float:
    note(log, str(lr))
    until(Path(log).with_name("go").exists)
    return lr


@pytest.mark.usefixtures("client")
def test_a_mistake_ends_the_sweep_and_takes_its_runs_off_the_cluster(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    def mistaken(lr: float, seed: int, log: str) -> Any:
        return None if lr == 0 else wait_for_file(lr, seed, log)

    with pytest.raises(TypeError, match=r"must return a number .*got loss = None"):
        call(mistaken, tmp_path / "log", grid={"lr": range(40)}, seeds=[0], backend="dask")
    until(lambda: {task.state for task in list(cluster.scheduler.tasks.values())} <= {"erred"})
    (tmp_path / "go").touch()
    call(descent, tmp_path / "next.log", backend="dask")  # goes behind whatever is left
    assert len(counts(tmp_path / "log")) < 10


def test_without_a_client_the_message_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match=r"got 'dask' without a client.*Client\('tcp://"):
        sweep(lambda lr, seed: lr, {"lr": [1]}, seeds=[0], backend="dask", progress=False)


def test_the_readme_shows_how_to_use_a_cluster(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, second) = re.findall(
        r"```python\n(.*?)```",
        (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Sweep")[1],
        flags=re.DOTALL,
    )
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    names: dict[str, Any] = {"__name__": "__main__"}  # as in a script
    exec(compile(first, "README.md", "exec"), names)
    serial = names["table"]
    assert "tcp://scheduler-address:8786" in second
    second = second.replace("tcp://scheduler-address:8786", cluster.scheduler_address)
    monkeypatch.chdir(tmp_path / "there")  # the folder of the first has all results already
    exec(compile(second, "README.md", "exec"), names)
    names["client"].close()
    assert names["table"].tobytes() == serial.tobytes()
    files = [json.loads(path.read_text()) for path in Path("rates").glob("[0-9a-f]*.json")]
    assert len(files) == len(serial)
    assert os.getpid() not in {file["pid"] for file in files}


def test_a_cluster_without_workers_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deserted:
        def nthreads(self) -> dict[str, int]:
            return {}

    monkeypatch.setattr("distributed.get_client", Deserted)
    pool = _sweep_workers.open_pool("dask", 1)
    with pytest.warns(UserWarning, match="the cluster has no workers: the sweep waits"):
        assert pool.room() == 64
