r"""The switch of the compiled kernels, which make the same steps sooner (``optlearn[fast]``).

NumPy carries out an update rule operation by operation, and each walks through all parameters:
Adam's dozen of them read and write the same memory a dozen times. A *fused* kernel is the same
rule as one loop: every number is fetched once, all that happens to it happens in registers, and it
is written back once. In a network the bias, the activation and their derivatives are fused in the
same way around the matrix products, which stay what they are. Operations keep their order, so the
numbers are the same but for rounding.

``pip install "optlearn[fast]"`` brings in numba, which compiles the kernels when they are first
needed (some seconds, once: they are stored on disk). Nothing else has to be done. `enabled` tells
whether they are used and may be assigned::

    from optlearn import fast

    fast.enabled = False  # from here on, the rules as they are written

The environment variable ``OPTLEARN_FAST=0`` does so for a whole run. A training run that has begun
keeps its network's kernels to its end. Kernels share no memory between objects, but neither an
optimizer nor a running `optlearn.training.fit` may be used from two threads at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from optlearn._checks import check_flag

__all__ = ["enabled"]

enabled: bool
"""Whether compiled kernels are used: True where numba is installed, unless switched off."""

kernels: Callable[[], Any]

INSTALL = 'pip install "optlearn[fast]"'


class _Switch(ModuleType):
    """The module `optlearn.fast`: `enabled` is a property, so that a wrong value is refused."""

    _on: bool
    _kernels: ModuleType | None = None
    _missing: str = "" if find_spec("numba") else "numba is not installed"

    @property
    def enabled(self) -> bool:
        """Whether compiled kernels are used."""
        return self._on

    @enabled.setter
    def enabled(self, value: Any) -> None:
        value = check_flag("enabled", value)
        if value and self._missing:
            raise ValueError(
                f"enabled must be False where numba cannot be used ({self._missing}), got True; "
                f"install it with {INSTALL}"
            )
        self._on = value

    def kernels(self) -> Any:
        """Return the module of kernels, compiled or loaded at first use, or None: switched off."""
        if not self._on:
            return None
        if self._kernels is None:
            try:
                self._kernels = import_module("optlearn._fast_kernels")
            except Exception as error:  # whatever is wrong with numba, NumPy can do without it
                self._missing = f"{type(error).__name__}: {error}"
                self._on = False
                warnings.warn(
                    f"optlearn goes on without compiled kernels: numba cannot be imported "
                    f"({self._missing})",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return self._kernels


def _from_environment() -> bool:
    """Read ``OPTLEARN_FAST``: 0 switches off, 1 or nothing leaves it to what is installed."""
    wish = os.environ.get("OPTLEARN_FAST") or "1"
    if wish not in ("0", "1"):
        raise ValueError(f"the environment's OPTLEARN_FAST must be 0 or 1, got {wish!r}")
    return wish == "1" and not _Switch._missing


_Switch._on = _from_environment()
sys.modules[__name__].__class__ = _Switch
