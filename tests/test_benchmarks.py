"""The benchmarks: their code runs, their rules hold, and the stored results are whole.

No time is asserted here: that would fail on a busy machine. What is asserted is that the stored
results have every contender or the reason why it is missing, that their ratios follow from their
times, and that every contender made of `optlearn` alone still runs.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    full_step,
    growth,
    install,
    machine,
    many_runs,
    run,
    sweeps_on_workers,
    targets,
    turns,
)
from benchmarks.turns import FAST, PURE, AbsentError, Contender

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
Row = dict[str, Any]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


# Taking turns ------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def the_kernels_are_as_they_were() -> Iterator[None]:
    fast = sys.modules.get("optlearn.fast")
    before = fast and fast.enabled
    yield
    if fast:
        fast.enabled = before


def result(*numbers: float) -> Contender:
    return Contender(lambda: None, result=lambda: np.array(numbers))


def test_contenders_take_turns_and_each_is_first_in_its_round() -> None:
    order: list[str] = []
    made = {name: Contender(lambda name=name: order.append(name)) for name in "abc"}
    times = turns.take_turns(made, 4)
    assert "".join(order) == "abcbcacababc"
    assert [len(values) for values in times.values()] == [4, 4, 4]


def test_a_contender_is_reset_before_each_turn_and_its_time_is_per_step() -> None:
    resets: list[int] = []
    contender = Contender(lambda: sum(range(20_000)), lambda: resets.append(1), per=10_000_000)
    (times,) = turns.take_turns({"a": contender}, 3).values()
    assert len(resets) == 3
    assert 0 < max(times) < 1


def test_ratios_are_taken_within_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    drift = {PURE: [1.0, 10.0, 100.0], "peer": [3.0, 20.0, 400.0]}
    monkeypatch.setattr(turns, "take_turns", lambda *_: drift)
    makers = {name: lambda: result(1.0) for name in drift}
    ours, peer = turns.rows("table", {}, makers, rounds=3, missing={})
    assert ours["over"] == {}
    assert peer["over"] == {PURE: [2.5, 3.0, 3.5]}  # of 3, 2 and 4: not of the medians 20 and 10
    assert peer["microseconds"] == [11.5, 20.0, 210.0]


def test_who_fails_or_computes_something_else_is_named_and_not_timed() -> None:
    def absent() -> Contender:
        raise AbsentError("needs a compiler")

    missing: dict[str, str] = {}
    makers = {
        PURE: lambda: result(3.0, 4.0),
        "near": lambda: result(3.0, 4.0001),
        "far": lambda: result(3.0, 4.5),
        "not a number": lambda: result(3.0, np.nan),
        "absent": absent,
        "broken": lambda: Contender(lambda: 1 / 0),
    }
    rows = turns.rows("table", {}, makers, rounds=1, missing=missing)
    assert [row["contender"] for row in rows] == [PURE, "near"]
    assert [row["agrees_to"] for row in rows] == [0.0, 2.5e-5]
    assert missing == {
        "far": "computes something else: 0.13 apart",
        "not a number": "computes something else: nan apart",
        "absent": "needs a compiler",
        "broken": "ZeroDivisionError: division by zero",
    }


def test_a_rule_of_its_own_is_what_a_contender_is_compared_with() -> None:
    other = Contender(lambda: None, result=lambda: np.ones(2), expected=lambda: np.ones(2))
    missing: dict[str, str] = {}
    rows = turns.rows(
        "t", {}, {PURE: lambda: result(5.0, 5.0), "o": lambda: other}, rounds=1, missing=missing
    )
    assert rows[1]["agrees_to"] == 0.0
    assert not missing


def test_the_compiled_kernels_are_never_on_after_a_measurement() -> None:
    turns.rows("t", {}, {PURE: lambda: result(1.0)}, rounds=1, missing={})
    fast = sys.modules.get("optlearn.fast")
    assert fast is None or fast.enabled is False


def test_a_process_has_its_threads_and_none_of_the_callers_blas_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1024")
    one, two = run.environment(1), run.environment(2)
    for threads, variables in (("1", one), ("2", two)):
        assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & variables.keys()
        assert {variables[name] for name in run.THREAD_VARIABLES} == {threads}
    assert "intra_op_parallelism_threads=1" in one["XLA_FLAGS"]
    assert "XLA_FLAGS" not in two


# The tables run ----------------------------------------------------------------------------------

TINY: dict[str, dict[str, Any]] = {
    "full_step": {
        "contenders": (PURE, "scikit-learn partial_fit"),
        "networks": (((784, 4, 3, 10), 8),),
        "epochs": 2,
        "batches": 3,
    },
    "small_network": {"contenders": (PURE,), "points": (4,), "steps": 5},
    "trajectories": {"contenders": (PURE,), "steps": 5},
    "optimizer_step": {"contenders": (PURE, "triad"), "sizes": (1000,), "entries": 1000},
    "many_runs": {"contenders": (PURE, many_runs.LOOP), "runs": (3,), "scale": 0.01},
    "growth": {
        "contenders": (PURE,),
        "sweeps": {name: growth.Sweep((2, 4, 8), 1.0) for name in growth.SWEEPS},
    },
    "imports": {"contenders": ("numpy", "optlearn.losses")},
}


@pytest.mark.parametrize("name", run.MODULES)
def test_a_table_runs_in_small(name: str) -> None:
    missing: dict[str, str] = {}
    rows = module(name).measure(2, missing, **TINY[name])
    assert missing == {}
    assert {row["contender"] for row in rows} == set(TINY[name]["contenders"])
    for row in rows:
        assert list(faults(row, 2)) == []


def test_every_table_is_run() -> None:
    tables = {
        path.stem
        for path in FOLDER.glob("*.py")
        if re.search(r"^TABLE = ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert tables == set(run.MODULES) == set(run.ROUNDS) == set(TINY)


def test_an_exponent_is_the_slope_of_the_upper_half() -> None:
    x = [1, 2, 4, 8, 16, 32]
    flat_then_square = [64, 64, 64, 64, 256, 1024]
    slope, error = growth.exponent(x, flat_then_square)
    assert (slope, error) == (2.0, pytest.approx(0.0, abs=1e-12))
    _, error = growth.exponent(x, [64, 64, 64, 64, 300, 1024])
    assert 0.05 < error < 0.2


def test_scikit_learns_rule_is_not_ours() -> None:
    """Were the two rules the same, the check of its contender would check nothing."""
    makers = full_step.makers((784, 4, 3, 10), 8, 1, 3)
    ours, theirs = makers[PURE](), makers["scikit-learn partial_fit"]()
    ours.run()
    assert ours.result
    assert theirs.expected
    assert np.abs(ours.result() - theirs.expected()).max() > 1e-6


# Targets -----------------------------------------------------------------------------------------


def step_row(contender: str, ratio: float, **case: Any) -> Row:
    return {
        "case": case,
        "contender": contender,
        "over": {PURE: [ratio, ratio, ratio]},
        "over_limit": [ratio, ratio, ratio],
    }


def test_the_worst_row_decides_and_a_missing_one_leaves_no_answer() -> None:
    target = targets.Target("t", "table", "peer", PURE, 2.0)
    rows = [step_row("peer", 3.0), step_row("peer", 1.9), step_row("other", 0.1)]
    assert not target.met(1.9)
    assert target.met(2.0)
    rows += [step_row(PURE, 1.0), step_row(PURE, 1.0)]
    assert target.measured({"table": rows}) == 1.9
    assert target.measured({"table": [*rows, step_row(PURE, 1.0)]}) is None  # a case without it
    rows.append({**step_row("peer", 3.0), "over": {FAST: [9.0, 9.0, 9.0]}})
    rows.append(step_row(PURE, 1.0))
    assert target.measured({"table": rows}) is None
    assert not target.met(None)


def test_a_time_over_a_limit_should_be_small_and_a_case_chooses_rows() -> None:
    target = targets.Target("t", "table", "triad", PURE, 1.2, (("n", 7),), at_most=True)
    rows = [step_row(PURE, 1.1, n=7), step_row(PURE, 9.0, n=8), step_row("triad", 5.0, n=7)]
    assert target.measured({"table": rows}) == 1.1
    assert target.met(1.1)
    assert not target.met(1.3)


def test_a_missed_target_is_printed_as_missed() -> None:
    rows = targets.evaluate(
        {
            "many runs": [
                step_row(name, 3.0, network="2-1-1", runs=64) for name in ("loop over fit", PURE)
            ]
        }
    )
    (line,) = [line for line in targets.report(rows) if "sweep of 64" in line]
    assert line.endswith(">= 25         3  missed")
    assert sum("not measured" in line for line in targets.report(rows)) == len(rows) - 1


# Installing --------------------------------------------------------------------------------------


def test_every_peer_is_pinned_and_the_pins_are_the_books() -> None:
    blocks = install.blocks((FOLDER / "requirements.txt").read_text(encoding="utf-8"))
    assert {"base", "optlearn", "numba", "torch", "jax", "keras", "dask"} <= blocks.keys()
    lines = [line for block in blocks.values() for line in block]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+|-e \.", line) for line in lines)
    book = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {line.partition("==")[0] for line in lines}
    assert {line for line in book if line.partition("==")[0] in names} <= set(lines)


def test_pips_last_words_are_kept_without_addresses() -> None:
    said = "WARNING: slow\nERROR: No matching distribution at https://example.org/x for y\n\n"
    assert install.last_line(said) == "ERROR: No matching distribution at ... for y"
    assert install.last_line("") == "pip failed and said nothing"


def test_what_is_there_is_not_installed_again() -> None:
    assert install.is_installed(f"numpy=={np.__version__}")
    assert not install.is_installed("numpy==0.0.1")
    assert not install.is_installed("no-such-distribution==1.0")


# The stored results ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads(run.RESULTS.read_text(encoding="utf-8"))


def part_of(results: Row, threads: str) -> Row:
    if threads == "2" and threads not in results["threads"]:
        pytest.skip("the results were measured with one thread only")
    return results["threads"][threads]


def faults(row: Row, rounds: int) -> Any:
    """Yield what does not fit together in a row."""
    label = f"{row['table']} {row['case']} {row['contender']}"
    series = row.get("grid_times") or [row["times"]]
    medians = row.get("grid_microseconds") or [row["microseconds"]]
    for times, triple in zip(series, medians, strict=True):
        if len(times) < rounds or min(times) <= 0:
            yield f"{label}: {len(times)} rounds, {min(times)} microseconds"
        if triple != turns.quartiles(times):
            yield f"{label}: {triple} are not the quartiles of its times"
    if "grid" in row and len(row["grid"]) != len(series):
        yield f"{label}: a time is missing"
    if "exponent" in row:
        values = [triple[1] for triple in medians]
        if row["exponent"] != growth.exponent(row["grid"], values):
            yield f"{label}: {row['exponent']} is not its exponent"


def test_a_wrong_summary_is_a_fault() -> None:
    row = {"table": "t", "case": {}, "contender": "c", "times": [1.0, 2.0, 3.0]}
    row["microseconds"] = turns.quartiles(row["times"])
    assert list(faults(row, 3)) == []
    assert len(list(faults(row, 4))) == 1
    row["microseconds"] = [1.5, 2.1, 2.5]
    assert len(list(faults(row, 3))) == 1


CASES = {
    "full_step": len(full_step.NETWORKS),
    "small_network": 2,
    "trajectories": 8,
    "optimizer_step": 3,
    "many_runs": 6,
    "growth": 4,
}


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_results_have_every_contender_or_a_reason(results: Row, threads: str) -> None:
    part = part_of(results, threads)
    for name in run.MODULES:
        if threads != "1" and name in run.ONLY_ON_ONE_THREAD:
            continue
        table = module(name)
        rows, missing = part["tables"][table.TABLE], part["missing"][table.TABLE]
        assert rows
        assert all(missing.values())
        cases = {json.dumps(row["case"]) for row in rows}
        assert len(cases) == CASES.get(name, len(cases))
        if name == "imports":
            assert {row["contender"] for row in rows} | missing.keys() >= {
                "numpy",
                "optlearn.losses",
            }
            continue
        there = {(json.dumps(row["case"]), row["contender"]) for row in rows}
        for case, contender in product(cases, table.CONTENDERS):
            few = json.loads(case).get("runs", 0) <= many_runs.MOST_FOR_PROCESSES
            if few or contender != many_runs.JOBLIB:
                assert (case, contender) in there or contender in missing, (name, case, contender)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_stored_ratios_follow_from_the_stored_times(results: Row, threads: str) -> None:
    tables = part_of(results, threads)["tables"]
    for table in tables.values():
        for row in table:
            assert list(faults(row, 3)) == []
            for ours, triple in row.get("over", {}).items():
                (base,) = [r for r in table if r["case"] == row["case"] and r["contender"] == ours]
                assert triple == turns.quartiles(np.divide(row["times"], base["times"]))
            assert (row.get("agrees_to") or 0) <= 1e-4
    for row in tables["optimizer step"]:
        (stream,) = [
            r
            for r in tables["optimizer step"]
            if r["case"] == row["case"] and r["contender"] == "triad"
        ]
        case = row["case"]
        if row is not stream:
            limit = np.asarray(stream["times"]) * 28 * case["parameters"]
            limit /= 12 * case["triad_entries"]
            assert row["over_limit"] == turns.quartiles(np.divide(row["times"], limit))


def test_every_target_has_its_value_and_verdict(results: Row) -> None:
    assert results["targets"] == targets.evaluate(results["threads"]["1"]["tables"])
    missing = results["threads"]["1"]["missing"].values()
    absent = {contender for table in missing for contender in table}
    for target, row in zip(targets.TARGETS, results["targets"], strict=True):
        assert row["measured"] is not None or {target.peer, target.ours} & absent


def test_the_results_say_where_and_with_what_they_were_measured(results: Row) -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", results["date"])
    assert re.fullmatch(r"[0-9a-f]{64}", results["optlearn"])
    assert re.fullmatch(r"[0-9a-f]{64}", machine.digest())
    assert {"python", "numpy"} <= results["versions"].keys()
    assert results["machine"]["processor"]
    assert results["machine"]["cores"] >= 2
    for threads, part in results["threads"].items():
        assert {pool["num_threads"] for pool in part["blas"]} == {int(threads)}


def test_the_results_name_no_place_of_a_machine() -> None:
    text = run.RESULTS.read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|root|tmp|work|Users)/|://", text)


def test_a_table_is_replaced_only_if_the_package_is_the_same() -> None:
    def part(**tables: Any) -> Row:
        return {"tables": tables, "missing": {name: {} for name in tables}, "blas": []}

    same = {"optlearn": "a", "machine": "m", "versions": "v"}
    stored = {**same, "threads": {"1": part(x=[1], y=[2]), "2": part(x=[3])}, "sweeps": 5}
    new = {**same, "threads": {"1": part(x=[4]), "2": part()}, "sweeps": None}
    both = run.merged(stored, new)
    threads = both["threads"]
    assert both["sweeps"] == 5
    assert threads["1"]["tables"] == {"x": [4], "y": [2]}
    assert threads["1"]["missing"] == {"x": {}, "y": {}}
    assert threads["2"]["tables"] == {"x": [3]}
    for key in same:
        with pytest.raises(SystemExit, match=f"{key} has changed"):
            run.merged(stored, {**new, key: "other"})


def test_rows_are_stored_a_list_of_numbers_a_line(tmp_path: Path) -> None:
    written = {"a": [1.5, 2.0], "b": [{"c": [1, 2], "d": []}], "e": [[1, 2], [3, 4]]}
    run.write(tmp_path / "r.json", written)
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert json.loads(text) == written
    assert '"a": [1.5, 2.0]' in text


def test_the_results_have_sweeps_on_one_worker_and_on_two(results: Row) -> None:
    ways = {"joblib_1", "joblib_2", "dask_1", "dask_2"}
    sweeps = results["sweeps"]
    for part in (sweeps["short_runs"], sweeps["long_runs"]):
        assert part["ways"].keys() == ways - {
            f"{kind}_{n}" for kind in part["missing"] for n in "12"
        }
        low, middle, high = part["ideal_speedup_of_two"]
        assert 0 < low <= middle <= high < 3
    idle = sweeps["overhead"]["milliseconds_per_run"]
    assert idle.keys() <= {"serial"} | ways
    assert all(0 < low <= middle <= high for low, middle, high in idle.values())


def test_a_sweep_on_workers_is_timed_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps_on_workers, "KINDS", {"joblib": sweeps_on_workers.processes})
    found = sweeps_on_workers.measure_overhead(4, 2)
    assert found["milliseconds_per_run"].keys() == {"serial", "joblib_1", "joblib_2"}
    assert not found["missing"]
    part = sweeps_on_workers.measure_throughput(0.001, 2, 1)
    assert part["ways"].keys() == {"joblib_1", "joblib_2"}
    one, best = part["one_loop_seconds"][1], part["ideal_speedup_of_two"][1]
    for way, row in part["ways"].items():
        ideal = best if way.endswith("2") else 1.0
        assert row["speedup"][1] == pytest.approx(one / row["seconds"][1])
        assert row["of_ideal"][1] == pytest.approx(row["speedup"][1] / ideal)


def test_the_clock_of_the_plain_loops_stops_before_their_processes_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            super().join(timeout)
            time.sleep(1)  # a process that takes its time to end

    class Context:
        Process, Semaphore, Event = Slow, threading.Semaphore, threading.Event

    monkeypatch.setattr("multiprocessing.get_context", lambda _kind: Context)
    start = time.perf_counter()
    seconds = sweeps_on_workers.plain_loops(2, 1, 2)
    assert time.perf_counter() - start - seconds >= 2
    assert seconds > 0
