r"""Optimizers: what to do with a gradient once you have it (chapters 04 to 08).

Every optimizer sees the same gradient; they differ in what they remember of earlier ones. The
update rule of each class is the few lines of its ``_update``: ``out`` is the new theta, ``a`` is
scratch memory, and an operation such as ``u *= beta`` writes into the state in place, because
fresh arrays at every step would cost more than the arithmetic. The methods that scale each
coordinate by its own gradients, from AdaGrad to AdamW, are written in `optlearn.adaptive` and
imported from here.

Notation: g the gradient, :math:`\eta` the rate ``lr``, t = 1, 2, … the step, states start at 0.
Constructor arguments other than ``lr`` are keyword-only. Arrays may be ``(n,)`` or ``(runs, n)``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from optlearn._checks import Array, check_choice, check_fraction
from optlearn._optimizer import Optimizer
from optlearn.adaptive import AdaGrad, Adam, AdamW, RMSProp

__all__ = ["AdaGrad", "Adam", "AdamW", "GradientDescent", "Momentum", "Optimizer", "RMSProp"]


class GradientDescent(Optimizer):
    r"""Step against the gradient: :math:`\theta \leftarrow \theta - \eta g`.

    Stochastic gradient descent is this class, fed gradients of mini-batches.

    Parameters
    ----------
    lr : float > 0, array, or callable
        Learning rate; see `Optimizer`.

    References
    ----------
    A. Cauchy, Comptes rendus 25, 536-538 (1847).

    Examples
    --------
    >>> GradientDescent(0.1).step(np.array([1.0, 2.0]), np.array([1.0, -1.0])).tolist()
    [0.9, 2.1]
    """

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, _: Array
    ) -> None:
        np.multiply(grad, rate, out=a)
        np.subtract(theta, a, out=out)


class Momentum(Optimizer):
    r"""Let steps build up where gradients agree: a heavy ball in place of a walker.

    ======================  ==================================  ========================
    form                    buffer                              :math:`\theta` moves by
    ======================  ==================================  ========================
    ``"heavy-ball"``        :math:`u \leftarrow \beta u + g`    :math:`-\eta u`
    ``"nesterov"``          :math:`u \leftarrow \beta u + g`    :math:`-\eta(g + \beta u)`
    ``"ema"``               :math:`u \leftarrow \beta u +       :math:`-\eta u`
                            (1-\beta) g`
    ======================  ==================================  ========================

    Heavy ball and Nesterov are PyTorch's ``SGD(momentum=beta)``. The exponential moving average
    equals heavy ball with :math:`\eta_{\text{EMA}} = \eta_{\text{HB}}/(1-\beta)`.

    Parameters
    ----------
    lr : float > 0, array, or callable
        Learning rate; see `Optimizer`.
    beta : float, in [0, 1)
        How much of the buffer stays; 0 is gradient descent.
    form : {"heavy-ball", "nesterov", "ema"}

    Attributes
    ----------
    u : ndarray, shape of theta
        The buffer.

    References
    ----------
    B. T. Polyak, USSR Comp. Math. Math. Phys. 4(5), 1-17 (1964). I. Sutskever, J. Martens,
    G. Dahl and G. Hinton, ICML 2013.

    Examples
    --------
    >>> optimizer = Momentum(0.1, beta=0.5)
    >>> theta = optimizer.step(np.array([1.0]), np.array([1.0]))
    >>> optimizer.step(theta, np.array([1.0])).round(12).tolist()
    [0.75]
    """

    _states: ClassVar[tuple[str, ...]] = ("u",)
    _averages: ClassVar[tuple[str, ...]] = ("u",)
    u: Any

    def __init__(self, lr: Any, *, beta: float = 0.9, form: str = "heavy-ball") -> None:
        super().__init__(lr)
        self.beta = check_fraction("beta", beta)
        self.form = check_choice("form", form, ("heavy-ball", "nesterov", "ema"))

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, _: Array
    ) -> None:
        self.u *= self.beta
        if self.form == "ema":
            self.u += np.multiply(grad, 1 - self.beta, out=a)
        else:
            self.u += grad
        if self.form == "nesterov":
            np.multiply(self.u, self.beta, out=a)
            a += grad
            a *= rate
        else:
            np.multiply(self.u, rate, out=a)
        np.subtract(theta, a, out=out)
