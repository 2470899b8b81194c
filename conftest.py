"""Settings of the whole test run: unit tests, doctests and the book's notebooks."""

from __future__ import annotations

import os
import re

import pytest
from nbval.plugin import IPyNbFile

# Networks as small as the book's lose more to the hand-over between threads than they gain.
# Notebook kernels and xdist workers inherit both settings.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A reader's own choice of backend would keep the kernels from drawing inline.
os.environ.pop("MPLBACKEND", None)

# A frame of an animation is a PNG inside HTML. Its last bit may differ on another processor; the
# numbers drawn in it are asserted in the notebook instead.
EMBEDDED_IMAGE = re.compile(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=\\\s]+")


def pytest_configure() -> None:
    import matplotlib

    matplotlib.use("agg")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Compare every notebook output except the bits of pictures."""
    if isinstance(collector, IPyNbFile):
        collector.skip_compare = (*collector.skip_compare, "image/svg+xml")
        collector.sanitize_patterns[EMBEDDED_IMAGE] = "IMAGE"
