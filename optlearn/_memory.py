"""Memory for arrays that are read and written at every step of a run.

A processor fetches memory in lines of 64 bytes. An array that begins at such a line can be read a
whole vector register at a time without crossing lines; one that begins 16 bytes later, where NumPy
may put it, is slower by up to a third. Where n numbers take more room than the processor's own
memory, a rule of ten operations walks through main memory ten times; taken block by block, it
walks once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlearn._checks import Array

__all__ = ["BLOCK", "LINE", "aligned_copy", "aligned_zeros", "blocks"]

# Both in bytes.
LINE = 64
BLOCK = 2**18  # smaller ones fit a cache more surely, but cost more calls


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros whose first element lies at the beginning of a line of memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, dtype=np.uint8)
    start = -memory.ctypes.data % LINE
    array: Array = memory[start : start + size].view(dtype).reshape(shape)
    return array


def aligned_copy(array: Array) -> Array:
    """Return a copy whose first element lies at the beginning of a line of memory."""
    copy = aligned_zeros(array.shape, array.dtype)
    copy[...] = array
    return copy


def blocks(shape: tuple[int, ...], dtype: Any) -> list[slice]:
    """Cut the first axis of an array into equal parts of about `BLOCK` bytes.

    Of ``(n,)`` they are parts of the vector, of ``(runs, n)`` groups of runs.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    number = max(1, min(shape[0], round(size / BLOCK)))
    rows = math.ceil(shape[0] / number)
    if len(shape) == 1:
        rows = math.ceil(rows / LINE) * LINE  # so that each part begins at a line of memory too
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]
