"""The switch of the compiled kernels, turned for the length of a block or in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from optlearn import fast

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = os.environ.get("OPTLEARN_FAST_REQUIRED") == "1"  # then a missing numba is a failure


class Switched:
    """With kernels or without, for the length of a block."""

    def __init__(self, on: bool) -> None:
        self.on, self.before = on, fast.enabled

    def __enter__(self) -> None:
        fast.enabled = self.on

    def __exit__(self, *_: object) -> None:
        fast.enabled = self.before


def in_a_fresh_process(code: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout + run.stderr
