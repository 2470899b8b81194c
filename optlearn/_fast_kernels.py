"""Fused kernels: the rules of `optlearn.optimizers` and the passes of a network, as single loops.

This is the only module that imports numba, and `optlearn.fast` imports it when a kernel is first
needed. Each kernel does what its readable counterpart does in the same order, number by number:
products and sums are not contracted, and numbers are rounded to theta's precision where NumPy
rounds them. An argument that may be None is fixed when the kernel is compiled, so that what it is
not asked for costs nothing. Compiled code is stored beside this file, or in the user's cache where
the folder cannot be written.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from optlearn._checks import Array

__all__ = ["adam", "bend", "descent", "momentum", "scaled", "shift", "slope", "softmax"]

# NumPy's rule for a division by zero: no exception, so that loops stay loops of vector operations.
compiled = njit(cache=True, error_model="numpy")

IDENTITY = 0
RELU = 1
TANH = 2
SIGMOID = 3


# Optimizers: theta, (n,) or (runs, n), is updated in place. `rates` is None, or broadcasts against
# theta and has a rate for `each` column or one for all; numbers are rounded as NumPy rounds them -


@compiled
def _rows(array: Array) -> Array:
    """Return an array of any shape as a matrix of the same memory."""
    n = array.shape[-1]
    return array.reshape(array.size // n, n)


@compiled
def descent(theta: Array, grad: Array, rate: float, rates: Any, each: Any) -> None:
    """Make `GradientDescent`'s step."""
    r = theta.dtype.type(rate)
    places, slopes = _rows(theta), _rows(grad)
    for k in range(len(places)):
        if rates is not None:
            own = _rows(rates)[k % (rates.size // rates.shape[-1])]
            r = own[0]
        here, slope = places[k], slopes[k]
        for i in range(here.size):
            if each is not None:
                r = own[i]
            here[i] -= slope[i] * r


@compiled
def momentum(
    theta: Array,
    grad: Array,
    buffer: Array,
    rate: float,
    rates: Any,
    each: Any,
    beta: float,
    weight: float,
    ahead: Any,
) -> None:
    """Make `Momentum`'s step; `weight` is that of the gradient in the buffer."""
    number = theta.dtype.type
    r, b, w = number(rate), number(beta), number(weight)
    places, slopes, buffers = _rows(theta), _rows(grad), _rows(buffer)
    for k in range(len(places)):
        if rates is not None:
            own = _rows(rates)[k % (rates.size // rates.shape[-1])]
            r = own[0]
        here, slope, u = places[k], slopes[k], buffers[k]
        for i in range(here.size):
            if each is not None:
                r = own[i]
            g, place = slope[i], here[i]
            move = u[i] * b + g * w
            u[i] = move
            if ahead is not None:
                move = move * b + g
            here[i] = place - move * r


@compiled
def scaled(
    theta: Array,
    grad: Array,
    sums: Array,
    rate: float,
    rates: Any,
    each: Any,
    factor: float,
    decay: float,
    inside: float,
    outside: float,
    still: bool,
) -> None:
    """Make the step of `AdaGrad` (`decay` 1) or `RMSProp`; see `adam` for the rest."""
    number = theta.dtype.type
    r, f, rho = number(rate), number(factor), number(decay)
    ins, outs, zero = number(inside), number(outside), number(0)
    places, slopes, squares_of = _rows(theta), _rows(grad), _rows(sums)
    for k in range(len(places)):
        if rates is not None:
            own = _rows(rates)[k % (rates.size // rates.shape[-1])]
            r = own[0]
        here, slope, squares = places[k], slopes[k], squares_of[k]
        for i in range(here.size):
            if each is not None:
                r = own[i]
            g, square, place = slope[i], squares[i], here[i]
            square = square * rho + g * g
            squares[i] = square
            root = math.sqrt(square + ins) + outs
            ratio = g / root
            if still and root == zero:
                ratio = zero
            here[i] = place - ratio * r * f


@compiled
def adam(
    theta: Array,
    grad: Array,
    totals: Array,
    sums: Array,
    maxima: Any,
    rate: float,
    rates: Any,
    each: Any,
    factor: float,
    keep: Any,
    keeps: Any,
    beta1: float,
    beta2: float,
    inside: float,
    outside: float,
    still: bool,
) -> None:
    """Make the step of `Adam` or, with `keep`, `AdamW`.

    Epsilon is added `inside` or `outside` the root; `still` says that it is 0, and what has root 0
    stays where it is. Of theta `keep` is kept; `keeps` are its values where there are `rates`.
    """
    number = theta.dtype.type
    r, f, b1, b2, q = number(rate), number(factor), number(beta1), number(beta2), number(1)
    ins, outs, zero = number(inside), number(outside), number(0)
    if keep is not None:
        q = number(keep)
    places, slopes, totals_of, squares_of = _rows(theta), _rows(grad), _rows(totals), _rows(sums)
    for k in range(len(places)):
        if rates is not None:
            own = _rows(rates)[k % (rates.size // rates.shape[-1])]
            r = own[0]
        if keeps is not None:
            own_keeps = _rows(keeps)[k % (keeps.size // keeps.shape[-1])]
            q = own_keeps[0]
        here, slope, total, squares = places[k], slopes[k], totals_of[k], squares_of[k]
        if maxima is not None:
            largest = _rows(maxima)[k]
        for i in range(here.size):
            # Everything is read before anything is written: a processor that writes to one array
            # waits with reading another one whose address has the same last bits.
            g, m, square, place = slope[i], total[i], squares[i], here[i]
            m = m * b1 + g
            square = square * b2 + g * g
            total[i], squares[i] = m, square
            if maxima is not None:
                square = max(largest[i], square)
                largest[i] = square
            root = math.sqrt(square + ins) + outs
            ratio = m / root
            if still and root == zero:
                ratio = zero
            if each is not None:
                r = own[i]
            if keep is not None:
                if keeps is not None and each is not None:
                    q = own_keeps[i]
                place = place * q
            here[i] = place - ratio * r * f


# Networks: z, deltas and values are (batch, width); the products between them are NumPy's --------


@compiled
def bend(z: Array, bias: Array, relu: bool) -> None:
    """Add the bias to a layer's product and apply the ReLU, if it has one."""
    zero = z.dtype.type(0)
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            value = z[i, j] + bias[j]
            if relu and value <= zero:  # NaN is not, and stays
                value = zero
            z[i, j] = value


@compiled
def shift(
    z: Array, bias: Array, shifted: Array, right: Array, labels: Array, batch: Array
) -> None:
    """Add the bias to the logits, and write them with each sample's largest moved to 0.

    `right` gets that of the sample's label.
    """
    rows, classes = z.shape
    for i in range(rows):
        for j in range(classes):
            z[i, j] += bias[j]
        largest = z[i, 0]
        for j in range(1, classes):
            largest = max(largest, z[i, j])
        for j in range(classes):
            shifted[i, j] = z[i, j] - largest
        right[i] = shifted[i, labels[batch[i]]]


@compiled
def softmax(powers: Array, delta: Array, totals: Array, labels: Array, batch: Array) -> None:
    """Turn exponentials of shifted logits into the delta; their sums go to `totals`."""
    one, zero = delta.dtype.type(1), delta.dtype.type(0)
    rows, classes = delta.shape
    samples = delta.dtype.type(rows)
    for i in range(rows):
        total = zero
        for j in range(classes):
            total += powers[i, j]
        for j in range(classes):
            delta[i, j] = powers[i, j] / total
        delta[i, labels[batch[i]]] -= one
        for j in range(classes):
            delta[i, j] /= samples
        totals[i] = total


@compiled
def slope(delta: Array, value: Array, activation: int, grad_b: Array) -> None:
    """Multiply a delta by the activation's derivative, and add up the gradient of the biases."""
    one, zero = delta.dtype.type(1), delta.dtype.type(0)
    rows, width = delta.shape
    if activation == RELU:
        for i in range(rows):
            for j in range(width):
                delta[i, j] *= one if value[i, j] > zero else zero
    elif activation == TANH:
        for i in range(rows):
            for j in range(width):
                delta[i, j] *= one - value[i, j] * value[i, j]
    elif activation == SIGMOID:
        for i in range(rows):
            for j in range(width):
                delta[i, j] *= value[i, j] * (one - value[i, j])
    grad_b[:] = delta[0]
    for i in range(1, rows):
        for j in range(width):
            grad_b[j] += delta[i, j]
