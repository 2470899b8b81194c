r"""What to look at when training fails: the size of signals, dead units, the size of steps.

A loss that does not fall says that something is wrong, not what. These three functions look inside
the network, layer by layer (chapter 11).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optlearn._checks import Array, check_array
from optlearn.activations import ACTIVATIONS
from optlearn.losses import softmax_cross_entropy
from optlearn.networks import MLP, Loss

__all__ = ["SignalScales", "dead_units", "signal_scales", "update_ratios"]


class SignalScales(NamedTuple):
    r"""Root mean squares of what runs through a network, layer by layer.

    Attributes
    ----------
    activations : ndarray, shape (D + 1,)
        Of the inputs, the hidden activations and the logits, over samples and units.
    deltas : ndarray, shape (D,)
        Of :math:`\partial\ell_i/\partial z^{(l)}_{ik}`, from the first layer to the last: what
        one sample's loss sends back, not divided by the batch.
    gradients : ndarray, shape (D,)
        Of :math:`\partial J/\partial W^{(l)}`, over the weights of the layer.
    """

    activations: Array
    deltas: Array
    gradients: Array


def signal_scales(
    network: MLP, theta: Any, x: Any, y: Any, loss: Loss = softmax_cross_entropy
) -> SignalScales:
    r"""Measure how large activations and gradients are in every layer.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,) or (runs, n)
    x : ndarray, shape (batch, d_0) or (runs, batch, d_0)
    y : array_like
        What `loss` takes as its second argument.
    loss : callable
        See `MLP.loss_and_grad`; a mean over the batch.

    Returns
    -------
    SignalScales
        With `runs` in front of each shape where theta has it.

    Raises
    ------
    TypeError, ValueError
        As `MLP.loss_and_grad`.

    References
    ----------
    X. Glorot and Y. Bengio, AISTATS 2010, section 4.2, whose figures show these sizes.

    Examples
    --------
    A chain of single units: an input of 3, weights 2 and 0.5, and the loss (z - 1)^2. The logit
    is 3, so the loss sends back 4, and the first layer gets half of it.

    >>> from optlearn.losses import mean_squared_error
    >>> chain = MLP((1, 1, 1))
    >>> theta = np.array([2.0, 0.0, 0.5, 0.0])
    >>> sizes = signal_scales(chain, theta, [[3.0]], [[1.0]], mean_squared_error)
    >>> sizes.activations.tolist(), sizes.deltas.tolist(), sizes.gradients.tolist()
    ([3.0, 6.0, 3.0], [2.0, 4.0], [6.0, 24.0])
    """
    _, grad = network.loss_and_grad(theta, x, y, loss)
    activations = network.activations(theta, x)
    slope = ACTIVATIONS[network.activation].derivative
    delta = loss(activations[-1], y)[1] * activations[-1].shape[-2]
    deltas = [delta]
    for hidden, (weights, _) in zip(
        activations[-2:0:-1], network.unpack(np.asarray(theta))[:0:-1], strict=True
    ):
        delta = delta @ weights.mT * slope(hidden)
        deltas.append(delta)
    weight_gradients = [slot for slot, _ in network.unpack(grad)]
    shape = grad.shape[:-1]  # inputs that all runs share are given to each
    return SignalScales(
        *(
            np.stack([np.broadcast_to(_root_mean_square(a), shape) for a in arrays], axis=-1)
            for arrays in (activations, deltas[::-1], weight_gradients)
        )
    )


def dead_units(network: MLP, theta: Any, x: Any) -> list[Array]:
    r"""Find the hidden units through which no sample sends a gradient.

    A unit is dead on `x` where :math:`\varphi'(z_i)=0` for every sample i: a ReLU that is off
    for all of them, or a tanh, or a sigmoid at 1, that rounding has saturated. (A sigmoid close to
    0 keeps a tiny slope.)

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,) or (runs, n)
    x : ndarray, shape (batch, d_0) or (runs, batch, d_0)

    Returns
    -------
    list of ndarray of bool
        One of shape (d_l,), or (runs, d_l), for each hidden layer.

    Raises
    ------
    TypeError, ValueError
        As `MLP.forward`.

    Examples
    --------
    The second unit sees -x - 1, which is negative on both inputs.

    >>> network = MLP((1, 2, 1))
    >>> theta = np.array([1.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0])
    >>> dead_units(network, theta, np.array([[0.5], [2.0]]))
    [array([False,  True])]
    """
    slope = ACTIVATIONS[network.activation].derivative
    hidden = network.activations(theta, x)[1:-1]
    return [np.all(slope(a) == 0, axis=-2) for a in hidden]


def update_ratios(network: MLP, before: Any, after: Any) -> Array:
    r"""Measure how far a step moved the weights of each layer, against their size.

    Parameters
    ----------
    network : MLP
    before, after : ndarray, shape (n,) or (runs, n)
        Parameters before and after a step.

    Returns
    -------
    ndarray, shape (D,) or (runs, D)
        :math:`\lVert W'-W\rVert/\lVert W\rVert` for each layer; infinite, or NaN where nothing
        moved, if all weights of a layer were 0.

    Raises
    ------
    TypeError, ValueError
        If the two do not belong to the network or differ in shape.

    Examples
    --------
    >>> network = MLP((2, 1))
    >>> update_ratios(network, np.array([3.0, 4.0, 0.0]), np.array([3.0, 4.5, 9.0])).tolist()
    [0.1]
    """
    before, after = check_array("before", before), check_array("after", after)
    if before.shape != after.shape:
        raise ValueError(f"after has shape {after.shape}, before has {before.shape}")
    half = before / 2  # the difference of two large weights may overflow, that of halves not
    moved, old = network.unpack(after / 2 - half), network.unpack(half)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [
            _root_mean_square(step) / _root_mean_square(weights)
            for (step, _), (weights, _) in zip(moved, old, strict=True)
        ]
    return np.stack(ratios, axis=-1)


def _root_mean_square(array: Array) -> Array:
    """Return the root mean square over the last two axes, also where squares overflow."""
    array = np.asarray(array)
    largest = np.max(np.abs(array), axis=(-2, -1), keepdims=True)
    unit = np.where(largest > 0, largest, 1)
    return np.asarray(np.sqrt(np.mean((array / unit) ** 2, axis=(-2, -1))) * unit[..., 0, 0])
