"""Quantized tensors and networks on disk: packed bits, a version and a digest (chapter 12)."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from optlearn._affine import Quantized
from optlearn._checks import Array
from optlearn._integer import IntegerLayer, QuantizedMLP

__all__ = ["load", "pack", "save", "unpack"]

FORMAT = "optlearn.quantization"
VERSION = 1


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
        fields = _tensor_fields(quantized)
    elif isinstance(quantized, QuantizedMLP):
        fields = _network_fields(quantized)
    else:
        raise TypeError(f"quantized must be a Quantized or a QuantizedMLP, got {quantized!r}")
    fields |= {"format": np.array(FORMAT), "version": np.array(VERSION)}
    fields["sha256"] = np.array(_digest(fields))
    content = io.BytesIO()
    np.savez(content, **fields)
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
        If `path` is none; if the file is truncated, was changed, or is none of ours. The digest
        tells accidents; somebody who changes a file on purpose can write a new one.
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
            fields = {name: archive[name] for name in archive.files}
    except (
        AttributeError,  # np.load returned a plain array
        EOFError,
        KeyError,
        MemoryError,
        NotImplementedError,
        OSError,
        ValueError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
        TypeError,
    ) as error:
        raise ValueError(f"{path} is no whole .npz file: {error}") from error
    if str(fields.get("format")) != FORMAT:
        raise ValueError(f"{path} holds nothing that optlearn.quantization has saved")
    if str(fields.get("version")) != str(VERSION):
        found = fields.get("version")
        raise ValueError(f"{path} must be of version {VERSION}, got {found}")
    if str(fields.pop("sha256", "")) != _digest(fields):
        raise ValueError(f"{path} was changed after it was saved: its digest does not fit")
    try:
        if str(fields["kind"]) == "tensor":
            return _tensor(fields)
        return _network(fields)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path} does not hold a quantized tensor or network: {error}") from error


def pack(q: Array, bits: int) -> Array:
    """Return the lowest `bits` bits of every integer, one after the other, as bytes."""
    unsigned = q.ravel().astype(np.int64) + 2 ** (bits - 1)
    return np.packbits((unsigned[:, None] >> np.arange(bits)) & 1)


def unpack(packed: Array, bits: int, shape: tuple[int, ...]) -> Array:
    """Undo `pack`."""
    count = int(np.prod(shape, dtype=np.int64))
    table = np.unpackbits(packed, count=count * bits).reshape(count, bits).astype(np.int64)
    unsigned = (table << np.arange(bits)).sum(axis=1)
    return (unsigned - 2 ** (bits - 1)).reshape(shape).astype(np.int8 if bits <= 8 else np.int16)


def _check_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path ending in .npz, got {path!r}")
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {str(path)!r}")
    return path


def _digest(fields: dict[str, Array]) -> str:
    """Return the SHA-256 of all names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name, value in sorted(fields.items()):
        array = np.ascontiguousarray(value)
        digest.update(f"{name} {value.dtype.str} {value.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _tensor_fields(tensor: Quantized) -> dict[str, Array]:
    return {
        "kind": np.array("tensor"),
        "q": pack(tensor.q, tensor.bits),
        "shape": np.array(tensor.shape, dtype=np.int64),
        "scale": np.asarray(tensor.scale),
        "zero_point": np.asarray(tensor.zero_point),
        "bits": np.array(tensor.bits),
        "axis": np.array([] if tensor.axis is None else [tensor.axis], dtype=np.int64),
        "symmetric": np.array(tensor.symmetric),
    }


def _tensor(fields: dict[str, Array]) -> Quantized:
    bits, shape = int(fields["bits"]), tuple(fields["shape"].tolist())
    return Quantized(
        unpack(fields["q"], bits, shape),
        fields["scale"],
        fields["zero_point"],
        bits,
        fields["axis"].tolist()[0] if fields["axis"].size else None,
        bool(fields["symmetric"]),
    )


LAYER_FIELDS = ("bias", "input_zero_point", "output_zero_point", "scale", "multiplier", "shift")


def _network_fields(network: QuantizedMLP) -> dict[str, Array]:
    fields = {
        "kind": np.array("network"),
        "sizes": np.array(network.sizes),
        "activation": np.array(network.activation),
        "bits": np.array(network.bits),
        "activation_bits": np.array(network.activation_bits),
        "input_scale": np.array(network.input_scale),
    }
    for index, layer in enumerate(network.layers):
        fields[f"weights_{index}"] = pack(layer.weights, network.bits)
        for name in LAYER_FIELDS:
            fields[f"{name}_{index}"] = np.asarray(getattr(layer, name))
    return fields


def _network(fields: dict[str, Array]) -> QuantizedMLP:
    bits, sizes = int(fields["bits"]), fields["sizes"].tolist()
    layers = []
    for index in range(len(sizes) - 1):
        parts: dict[str, Any] = {name: fields[f"{name}_{index}"][()] for name in LAYER_FIELDS}
        for name in ("input_zero_point", "output_zero_point"):
            parts[name] = int(parts[name])
        weights = unpack(fields[f"weights_{index}"], bits, (sizes[index], sizes[index + 1]))
        layers.append(IntegerLayer(weights, **parts))
    return QuantizedMLP(
        layers,
        activation=str(fields["activation"]),
        bits=bits,
        activation_bits=int(fields["activation_bits"]),
        input_scale=float(fields["input_scale"]),
    )
