"""Read the IDX files in which MNIST is published, for `optlearn.datasets.load_mnist`."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from optlearn._checks import Array

__all__ = ["Pair", "read_pair"]

Pair = tuple[Array, Array]

# An IDX file starts with two zero bytes, the element type (8: uint8) and the number of axes.
_IDX_MAGIC = {1: 0x801, 3: 0x803}


def read_pair(folder: Path, part: str) -> Pair:
    """Return the images and labels of one part, "train" or "t10k"."""
    images = _read_idx(folder, f"{part}-images-idx3-ubyte", axes=3)
    labels = _read_idx(folder, f"{part}-labels-idx1-ubyte", axes=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{part}-labels-idx1-ubyte must hold a label for each of {len(images)} images, "
            f"got {len(labels)}"
        )
    return images, labels


def _read_idx(folder: Path, name: str, *, axes: int) -> Array:
    """Read one IDX file of unsigned bytes: magic number, a size for each axis, the bytes."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        content = plain.read_bytes()
    elif packed.is_file():
        try:
            content = gzip.decompress(packed.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{name}.gz must be a whole gzip file, got: {error}") from error
    else:
        raise FileNotFoundError(f"path must hold {name} or {name}.gz, got {folder}")
    header = 4 * (1 + axes)
    if len(content) < header:
        raise ValueError(f"{name} must have at least {header} bytes, got {len(content)}")
    magic, *shape = (int(number) for number in np.frombuffer(content[:header], dtype=">u4"))
    if magic != _IDX_MAGIC[axes]:
        raise ValueError(f"{name} must start with the number {_IDX_MAGIC[axes]}, got {magic}")
    size = header + math.prod(shape)
    if len(content) != size:
        raise ValueError(
            f"{name} must have {size} bytes for shape {tuple(shape)}, got {len(content)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
