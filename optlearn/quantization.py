r"""Quantization: networks with weights of 16 bits down to one (chapter 12).

`quantize` rounds a tensor to a grid of :math:`2^b` numbers and keeps small integers;
`FakeQuantizedMLP` trains a network on weights it rounds; `QuantizedMLP` runs one in integers only;
`save` and `load` keep either on disk in as few bits as they have.
"""

from __future__ import annotations

from optlearn._affine import Quantized, binarize, calibrate, fake_quantize, quantize
from optlearn._fake_quantized import FakeQuantizedMLP
from optlearn._integer import QuantizedMLP
from optlearn._storage import load, save

__all__ = [
    "FakeQuantizedMLP",
    "Quantized",
    "QuantizedMLP",
    "binarize",
    "calibrate",
    "fake_quantize",
    "load",
    "quantize",
    "save",
]
