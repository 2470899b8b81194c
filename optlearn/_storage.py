"""Quantized tensors and networks on disk: packed bits, a version and a digest (chapter 12)."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from optlearn._affine import Quantized
from optlearn._checks import Array
from optlearn._grid import integer_dtype
from optlearn._integer import IntegerLayer, QuantizedMLP

__all__ = ["load", "pack", "save", "unpack"]

FORMAT = "optlearn.quantization"
VERSION = 1
LAYER_ARRAYS = ("bias", "scale", "multiplier", "shift")


def save(path: str | os.PathLike[str], quantized: Quantized | QuantizedMLP) -> None:
    """Write a quantized tensor or network to an ``.npz`` file, its integers packed to their bits.

    The file is written whole under another name and then renamed: where writing fails, the old
    file, if there is one, stays as it is. It holds no pickle.

    Parameters
    ----------
    path : str or path, ending in .npz
    quantized : Quantized or QuantizedMLP

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from optlearn._affine import quantize
    >>> stored = quantize(np.linspace(-1.0, 1.0, 1000), bits=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "weights.npz", stored)
    ...     bool((load(Path(folder) / "weights.npz").q == stored.q).all())
    True
    """
    path = _check_path(path)
    if isinstance(quantized, Quantized):
        values, arrays = _of_tensor(quantized)
    elif isinstance(quantized, QuantizedMLP):
        values, arrays = _of_network(quantized)
    else:
        raise TypeError(f"quantized must be a Quantized or a QuantizedMLP, got {quantized!r}")
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    layout = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    header = {"format": FORMAT, "version": VERSION, "values": values, "arrays": layout}
    header["sha256"] = _digest(header, data)
    content = io.BytesIO()
    # Two entries, not one an array: each costs a quarter of a kilobyte, a layer of weights' worth.
    np.savez(
        content,
        header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        data=np.frombuffer(data, dtype=np.uint8),
    )
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content.getvalue())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> Quantized | QuantizedMLP:
    """Read what `save` has written.

    Parameters
    ----------
    path : str or path, ending in .npz

    Returns
    -------
    Quantized or QuantizedMLP
        Equal to what was saved, to the bit.

    Raises
    ------
    TypeError, ValueError
        If `path` is none; if the file is truncated, if a number in it was changed, or if it is
        none of ours. Dates and flags of the archive are not read. The digest tells accidents;
        somebody who changes a file on purpose can write a new one.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "one.npz", Quantized(np.array([3], dtype=np.int8), 0.5, 1, bits=3))
    ...     load(Path(folder) / "one.npz").dequantize().tolist()
    [1.0]
    """
    path = _check_path(path)
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            header, data = archive["header"].tobytes(), archive["data"].tobytes()
    except Exception as error:  # bytes that are no archive fail in a dozen ways
        raise ValueError(f"{path} is no whole .npz file: {error}") from error
    try:
        header = json.loads(header)
        if header.pop("format") != FORMAT:
            raise ValueError("another format")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds nothing that optlearn has saved: {error}") from error
    if header.get("version") != VERSION:
        raise ValueError(f"{path} must be of version {VERSION}, got {header.get('version')}")
    digest = header.pop("sha256", None)
    if digest != _digest({"format": FORMAT, **header}, data):
        raise ValueError(f"{path} was changed after it was saved: its digest does not fit")
    try:
        values, arrays = header["values"], _read_arrays(header["arrays"], data)
        return _tensor(values, arrays) if values["kind"] == "tensor" else _network(values, arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path} does not hold a quantized tensor or network: {error}") from error


def pack(q: Array, bits: int) -> Array:
    """Return the lowest `bits` bits of every integer, one after the other, as bytes."""
    unsigned = q.ravel().astype(np.int64) + 2 ** (bits - 1)
    return np.asarray(np.packbits((unsigned[:, None] >> np.arange(bits)) & 1))


def unpack(packed: Array, bits: int, shape: tuple[int, ...]) -> Array:
    """Undo `pack`."""
    count = math.prod(shape)
    if packed.size != math.ceil(count * bits / 8):
        raise ValueError(f"{packed.size} bytes are not {count} integers of {bits} bits")
    table = np.unpackbits(packed, count=count * bits).reshape(count, bits).astype(np.int64)
    unsigned = (table << np.arange(bits)).sum(axis=1)
    return np.asarray((unsigned - 2 ** (bits - 1)).reshape(shape), dtype=integer_dtype(bits))


def _check_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path ending in .npz, got {path!r}")
    if Path(path).suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {str(path)!r}")
    return Path(path)


def _digest(header: dict[str, Any], data: bytes) -> str:
    """Return the SHA-256 of everything but the digest."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + data).hexdigest()


def _read_arrays(layout: list[tuple[str, str, list[int]]], data: bytes) -> dict[str, Array]:
    """Cut the bytes into the arrays that the header lists."""
    arrays, start = {}, 0
    for name, dtype, shape in layout:
        count = math.prod(shape)
        array = np.frombuffer(data, dtype=dtype, count=count, offset=start)
        arrays[name] = array.reshape(shape).copy()
        start += array.nbytes
    return arrays


def _of_tensor(tensor: Quantized) -> tuple[dict[str, Any], dict[str, Array]]:
    values = {
        "kind": "tensor",
        "shape": tensor.shape,
        "bits": tensor.bits,
        "axis": tensor.axis,
        "symmetric": tensor.symmetric,
    }
    arrays = {"q": pack(tensor.q, tensor.bits), "scale": np.asarray(tensor.scale)}
    if not tensor.symmetric:
        arrays["zero_point"] = np.asarray(tensor.zero_point)
    return values, arrays


def _tensor(values: dict[str, Any], arrays: dict[str, Array]) -> Quantized:
    bits = values["bits"]
    return Quantized(
        unpack(arrays["q"], bits, tuple(values["shape"])),
        arrays["scale"],
        arrays.get("zero_point"),
        bits,
        values["axis"],
        values["symmetric"],
    )


def _of_network(network: QuantizedMLP) -> tuple[dict[str, Any], dict[str, Array]]:
    values = {
        "kind": "network",
        "sizes": network.sizes,
        "activation": network.activation,
        "bits": network.bits,
        "activation_bits": network.activation_bits,
        "input_scale": network.input_scale,
        "zero_points": [
            (layer.input_zero_point, layer.output_zero_point) for layer in network.layers
        ],
    }
    arrays = {}
    for index, layer in enumerate(network.layers):
        arrays[f"weights_{index}"] = pack(layer.weights, network.bits)
        for name in LAYER_ARRAYS:
            arrays[f"{name}_{index}"] = np.asarray(getattr(layer, name))
    return values, arrays


def _network(values: dict[str, Any], arrays: dict[str, Array]) -> QuantizedMLP:
    sizes, bits = values["sizes"], values["bits"]
    layers = []
    for index, (zero_x, zero_y) in enumerate(values["zero_points"]):
        bias, scale, multiplier, shift = (arrays[f"{name}_{index}"][()] for name in LAYER_ARRAYS)
        weights = unpack(arrays[f"weights_{index}"], bits, (sizes[index], sizes[index + 1]))
        layers.append(IntegerLayer(weights, bias, zero_x, zero_y, scale, multiplier, shift))
    return QuantizedMLP(
        layers,
        activation=values["activation"],
        bits=bits,
        activation_bits=values["activation_bits"],
        input_scale=values["input_scale"],
    )
