"""The package as it is installed and described: versions, pins, data, documented examples."""

from __future__ import annotations

import ast
import doctest
import hashlib
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import optlearn
from benchmarks.imports import first_import

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted(path.stem for path in (ROOT / "optlearn").glob("[!_]*.py"))
# Parts of `losses` and `optimizers`, which export what readers use of them.
PARTS = {"activations", "adaptive"}
# The base of the optimizers and what a run returns: seen in the examples of the others.
SHOWN_ELSEWHERE = {
    "diagnostics.SignalScales",
    "optimizers.Optimizer",
    "runs.Runs",
    "sweeps.Best",
    "training.History",
    "training.Path",
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def normal(name: str) -> str:
    """Write a distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> set[tuple[str, str]]:
    return {
        (normal(name), version)
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, flags=re.MULTILINE)
    }


# One version, one licence, one name --------------------------------------------------------------


def test_every_file_names_the_same_version() -> None:
    version = PYPROJECT["project"]["version"]
    assert optlearn.__version__ == version
    assert f"\nversion: {version}\n" in read("CITATION.cff")
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), flags=re.MULTILINE)[1] == version
    assert f"Version {version}." in read("README.md")


def test_the_readme_names_only_targets_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), flags=re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", ".ci/run"):
        used = set(re.findall(r"(?:^|`)make ([a-z-]+)", read(name), flags=re.MULTILINE))
        assert used, name
        assert used <= targets, name


def test_links_between_the_top_files_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", read(name)):
            if not target.startswith("https://") and not target.endswith(".png"):
                assert (ROOT / target).exists(), f"{name}: {target}"


# Requirements ------------------------------------------------------------------------------------


def test_the_lock_has_every_pinned_requirement() -> None:
    direct = pins(read("requirements.txt"))
    assert len(direct) > 20
    assert direct <= pins(read("requirements.lock"))


def test_every_requirement_is_pinned() -> None:
    for line in read("requirements.txt").splitlines():
        if line and not line.startswith("#"):
            assert line == "-e ." or pins(line), line


@pytest.mark.parametrize(("kind", "least"), [("", 101), ("-fast", 2)])
def test_the_lock_has_a_hash_for_every_file_and_names_no_server(kind: str, least: int) -> None:
    lock = read(f"requirements{kind}.lock")
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert len(entries) >= least
    for entry in entries:
        name, *hashes = entry.split(" \\\n")
        assert re.fullmatch(r"[\w.-]+==[^\s;]+( ; .+)?", name), name
        assert hashes, name
        assert all(re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}", line) for line in hashes), name
    assert "://" not in lock


def test_numba_is_pinned_and_locked_beside_the_book_and_not_in_it() -> None:
    assert pins(read("requirements-fast.txt")) <= pins(read("requirements-fast.lock"))
    assert {name for name, _ in pins(read("requirements-fast.lock"))} == {"llvmlite", "numba"}
    assert "numba" not in {name for name, _ in pins(read("requirements.lock"))}
    assert PYPROJECT["project"]["optional-dependencies"]["fast"][0].startswith("numba>=")


def test_the_package_and_its_build_backend_are_locked() -> None:
    needed = PYPROJECT["project"]["dependencies"] + PYPROJECT["build-system"]["requires"]
    locked = {name for name, _ in pins(read("requirements.lock"))}
    assert {normal(re.match(r"[\w.-]+", entry)[0]) for entry in needed} <= locked


# What is shipped ---------------------------------------------------------------------------------


def test_the_digits_are_the_documented_ones() -> None:
    stored = (ROOT / "optlearn/data/mnist10k.npz").read_bytes()
    documented = re.search(r"sha256: `([0-9a-f]{64})`", read("optlearn/data/README.md"))
    assert hashlib.sha256(stored).hexdigest() == documented[1]


def test_a_built_wheel_has_all_modules_data_and_licences(tmp_path: Path) -> None:
    pytest.importorskip("flit_core", reason="the build backend is in requirements.lock")
    build = f"from flit_core.buildapi import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    run = subprocess.run(
        [sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wheel = tmp_path / run.stdout.split()[-1]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "optlearn").rglob("*.*")}
    shipped = {name for name in shipped if "__pycache__" not in name}
    assert {"optlearn/losses.py", "optlearn/data/mnist10k.npz"} <= shipped <= names
    assert {"LICENSE", "LICENSE-text"} <= {name.rsplit("/")[-1] for name in names}


# What an import does -----------------------------------------------------------------------------


IMPORT_ALL = """
import importlib, json, sys
import numpy as np
before = np.random.get_state()[1].tolist()
for name in {names!r}:
    importlib.import_module("optlearn." + name)
loaded = sorted({{name.split(".")[0] for name in sys.modules}})
print(json.dumps({{"loaded": loaded, "same": np.random.get_state()[1].tolist() == before}}))
"""


def import_in_a_fresh_process(names: list[str]) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL.format(names=names)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_importing_the_numeric_modules_brings_in_no_plotting_and_no_framework() -> None:
    numeric = [name for name in MODULES if name != "plotting"]
    assert "losses" in numeric
    loaded = set(import_in_a_fresh_process(numeric)["loaded"])
    assert {"numpy", "optlearn"} <= loaded
    assert loaded.isdisjoint({"matplotlib", "IPython", "sklearn", "scipy", "numba", "torch"})


@pytest.mark.parametrize("name", [name for name in MODULES if name != "plotting"])
def test_a_numeric_module_brings_in_numpy_and_nothing_heavy(name: str) -> None:
    _, foreign = first_import(f"optlearn.{name}")
    assert set(foreign) <= {"numpy", "optlearn", "tqdm"}


def test_importing_the_package_leaves_the_global_random_state_alone() -> None:
    assert import_in_a_fresh_process(MODULES)["same"] is True


# Documentation -----------------------------------------------------------------------------------


def public_objects() -> Iterator[tuple[str, object]]:
    for name in sorted(set(MODULES) - PARTS):
        module = importlib.import_module(f"optlearn.{name}")
        for public in module.__all__:
            value = getattr(module, public)
            ours = getattr(value, "__module__", "").startswith("optlearn")
            if callable(value) and ours and not getattr(value, "_is_protocol", False):
                yield f"{name}.{public}", value


PUBLIC = dict(public_objects())


@pytest.mark.parametrize("label", sorted(PUBLIC))
def test_every_public_name_is_documented_with_an_example(label: str) -> None:
    documentation = inspect.getdoc(PUBLIC[label]) or ""
    assert documentation, label
    examples = doctest.DocTestParser().get_examples(documentation)
    assert examples or label in SHOWN_ELSEWHERE, f"{label}: no example"
    if inspect.isfunction(PUBLIC[label]) and inspect.signature(PUBLIC[label]).parameters:
        assert "\nParameters\n-------" in documentation, label
        for parameter in inspect.signature(PUBLIC[label]).parameters:
            assert re.search(rf"^[\w, *]*\b{parameter}\b.* : ", documentation, re.MULTILINE), (
                f"{label}: {parameter} is not documented"
            )


def test_the_example_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optlearn.training", reason="the example minimises a function")
    # The others are in the section on sweeps: tests/test_sweeps_cluster.py runs them.
    example, *_ = re.findall(r"```python\n(.*?)```", read("README.md"), flags=re.DOTALL)
    ast.parse(example)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == "True\n"
