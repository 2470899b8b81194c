"""The switch of the compiled kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from switched import REQUIRED, ROOT, in_a_fresh_process

from optlearn import fast

NUMBA = find_spec("numba") is not None


@pytest.fixture(autouse=True)
def _leave_the_switch_as_it_was() -> Iterator[None]:
    before = fast.enabled
    yield
    fast.enabled = before


def test_numba_is_there_where_it_is_required() -> None:
    assert NUMBA or not REQUIRED


def test_kernels_are_used_where_numba_is_installed() -> None:
    shown = in_a_fresh_process("from optlearn import fast; print(fast.enabled)", OPTLEARN_FAST="")
    assert shown == f"{NUMBA}\n"


def test_the_environment_switches_kernels_off_for_a_whole_run() -> None:
    code = "from optlearn import fast; print(fast.enabled, fast.kernels())"
    assert in_a_fresh_process(code, OPTLEARN_FAST="0") == "False None\n"
    assert "OPTLEARN_FAST must be 0 or 1, got 'no'" in in_a_fresh_process(code, OPTLEARN_FAST="no")


@pytest.mark.parametrize("value", [1, None, "yes", 0.0])
def test_the_switch_takes_nothing_but_true_and_false(value: Any) -> None:
    with pytest.raises(TypeError, match=r"enabled must be True or False, got "):
        fast.enabled = value


def test_without_numba_the_switch_says_what_to_install() -> None:
    code = (
        "import sys, importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'numba' else find(name, *a)\n"
        "from optlearn import fast\n"
        "print(fast.enabled, fast.kernels())\n"
        "try:\n    fast.enabled = True\nexcept ValueError as error:\n    print(error)\n"
        "fast.enabled = False\n"
        "print(fast.enabled)\n"
    )
    assert in_a_fresh_process(code, OPTLEARN_FAST="1") == (
        "False None\n"
        "enabled must be False where numba cannot be used (numba is not installed), got True; "
        'install it with pip install "optlearn[fast]"\n'
        "False\n"
    )


def test_a_broken_numba_is_named_once_and_done_without(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text('raise ImportError("needs NumPy 1.0 or less")\n')
    code = (
        "import numpy as np\nfrom optlearn import fast\nfrom optlearn.optimizers import Adam\n"
        "optimizer = Adam(0.1, eps=0.0)\nprint(fast.enabled)\n"
        "print(optimizer.step(np.ones(2), np.ones(2)).round(12).tolist(), fast.enabled)\n"
        "optimizer.step(np.ones(2), np.ones(2))\n"
        "try:\n    fast.enabled = True\nexcept ValueError as error:\n    print(error)\n"
    )
    shown = in_a_fresh_process(
        code, OPTLEARN_FAST="", PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)])
    )
    assert shown.startswith("True\n[0.9, 0.9] False\nenabled must be False where numba cannot be")
    assert shown.count("RuntimeWarning") == 1
    assert shown.count("ImportError: needs NumPy 1.0 or less") == 2


def test_an_import_brings_in_no_compiler() -> None:
    code = (
        "import sys, optlearn.training, optlearn.runs, optlearn.fast\n"
        "print(sorted({'numba', 'llvmlite', 'scipy'} & set(sys.modules)))"
    )
    assert in_a_fresh_process(code) == "[]\n"
