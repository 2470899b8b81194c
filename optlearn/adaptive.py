r"""Adaptive optimizers: one learning rate per coordinate (chapters 07 and 08).

A valley that is steep one way and flat the other wants small steps in the one and large steps in
the other direction. Each class here divides by the size of a coordinate's own past gradients, so
that units and scales drop out. Import them from `optlearn.optimizers`; the notation is explained
there.

A moving average :math:`m \leftarrow \beta m + (1-\beta) g` is kept as the running sum
:math:`\Sigma \leftarrow \beta\Sigma + g`, so that :math:`m = (1-\beta)\Sigma`. Its weights
:math:`1, \beta, \beta^2, \dots` add up to :math:`c = (1-\beta^t)/(1-\beta)`; the average
corrected for its start at 0 is nothing but the weighted mean :math:`\Sigma/c`. The sum also takes
two operations a step where the average takes three. It is larger by up to :math:`1/(1-\beta)`: at
:math:`\beta_2 = 0.999` squares overflow from gradients of 5e17 on in float32.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from optlearn._checks import Array, check_flag, check_fraction, check_nonnegative
from optlearn._optimizer import Optimizer

__all__ = ["AdaGrad", "Adam", "AdamW", "RMSProp"]


class AdaGrad(Optimizer):
    r"""Divide by the root of all squared gradients so far, coordinate by coordinate.

    .. math::
        s \leftarrow s + g^2, \qquad \theta \leftarrow \theta - \eta\,\frac{g}{\sqrt{s}+\epsilon}

    Parameters
    ----------
    lr : float > 0, array, or callable
        Learning rate; see `Optimizer`.
    eps : float, >= 0
        Keeps the division finite. At 0 a coordinate whose s is 0 does not move.

    Attributes
    ----------
    s : ndarray, shape of theta
        Sum of squared gradients.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, JMLR 12, 2121-2159 (2011).

    Examples
    --------
    >>> AdaGrad(0.1, eps=0.0).step(np.array([0.0, 0.0]), np.array([1e-3, -1e3])).tolist()
    [-0.1, 0.1]
    """

    _states: ClassVar[tuple[str, ...]] = ("s",)
    s: Any

    def __init__(self, lr: Any, *, eps: float = 1e-10) -> None:
        super().__init__(lr)
        self.eps = check_nonnegative("eps", eps)

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, mask: Array
    ) -> None:
        self.s += np.multiply(grad, grad, out=a)
        _ratio(grad, self.s, 1.0, self.eps, False, a, mask)
        _scale(a, rate, 1.0)
        np.subtract(theta, a, out=out)


class RMSProp(Optimizer):
    r"""Divide by a leaky average of squared gradients, so that old ones are forgotten.

    .. math::
        s \leftarrow \rho s + (1-\rho) g^2, \qquad
        \theta \leftarrow \theta - \eta\,\frac{g}{\sqrt{s}+\epsilon}

    As Hinton and PyTorch write it: no bias correction, :math:`\epsilon` outside the root. Keras
    and TensorFlow put it inside (``eps_inside=True``). With bias correction it is `Adam` with
    ``beta1=0``. PyTorch's default is :math:`\rho = 0.99`, under the name ``alpha``.

    Parameters
    ----------
    lr : float > 0, array, or callable
        Learning rate; see `Optimizer`.
    rho : float, in [0, 1)
        How much of the average stays.
    eps : float, >= 0
        Keeps the division finite. At 0 a coordinate whose s is 0 does not move.
    eps_inside : bool
        Divide by :math:`\sqrt{s+\epsilon}` instead.
    bias_correction : bool
        Use :math:`s/(1-\rho^t)` in place of s.

    Attributes
    ----------
    s : ndarray, shape of theta
        Average of squared gradients.

    References
    ----------
    T. Tieleman and G. Hinton, Coursera: Neural networks for machine learning, lecture 6.5 (2012).

    Examples
    --------
    >>> RMSProp(0.1, rho=0.75, eps=0.0).step(np.array([0.0]), np.array([1e-3])).tolist()
    [-0.2]
    """

    _states: ClassVar[tuple[str, ...]] = ("_squares",)
    _mean_squares: ClassVar[tuple[str, ...]] = ("_squares",)
    _squares: Any

    def __init__(
        self,
        lr: Any = 1e-3,
        *,
        rho: float = 0.9,
        eps: float = 1e-8,
        eps_inside: bool = False,
        bias_correction: bool = False,
    ) -> None:
        super().__init__(lr)
        self.rho = check_fraction("rho", rho)
        self.eps = check_nonnegative("eps", eps)
        self.eps_inside = check_flag("eps_inside", eps_inside)
        self.bias_correction = check_flag("bias_correction", bias_correction)

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, mask: Array
    ) -> None:
        self._squares *= self.rho
        self._squares += np.multiply(grad, grad, out=a)
        c = _weights(self.rho, self.t, self.bias_correction)
        _ratio(grad, self._squares, c, self.eps, self.eps_inside, a, mask)
        _scale(a, rate, math.sqrt(c))
        np.subtract(theta, a, out=out)

    @property
    def s(self) -> Any:
        """Average of squared gradients, not corrected; a new array."""
        return (1 - self.rho) * self._squares


class Adam(Optimizer):
    r"""Momentum over RMSProp, both corrected for having started at 0.

    .. math::
        m &\leftarrow \beta_1 m + (1-\beta_1) g, &\quad \hat m &= m/(1-\beta_1^t), \\
        v &\leftarrow \beta_2 v + (1-\beta_2) g^2, &\quad \hat v &= v/(1-\beta_2^t), \\
        \theta &\leftarrow \theta - \eta\,\hat m/(\sqrt{\hat v}+\epsilon)

    This is Algorithm 1 of Kingma and Ba, and PyTorch's rule. Keras uses the "epsilon hat" form,
    :math:`\hat\epsilon = \epsilon\sqrt{1-\beta_2^t}`, and 1e-7.

    Parameters
    ----------
    lr : float > 0, array, or callable
        Learning rate; see `Optimizer`.
    beta1, beta2 : float, in [0, 1)
        How much of each moving average stays.
    eps : float, >= 0
        Keeps the division finite. At 0 a coordinate whose v is 0 does not move.
    eps_inside : bool
        Divide by :math:`\sqrt{\hat v+\epsilon}` instead.
    bias_correction : bool
        False leaves out both divisions, to see what they are for.
    amsgrad : bool
        Use the running maximum of v, then correct it (as PyTorch).

    Attributes
    ----------
    m, v : ndarray, shape of theta
        Moving averages of the gradient and of its square, not corrected.
    v_max : ndarray, shape of theta
        Running maximum of v; used only with `amsgrad`.

    References
    ----------
    D. P. Kingma and J. Ba, Adam, ICLR 2015, arXiv:1412.6980, Algorithm 1. S. J. Reddi, S. Kale
    and S. Kumar, On the convergence of Adam and beyond, ICLR 2018, arXiv:1904.09237.

    Examples
    --------
    >>> Adam(0.1, eps=0.0).step(np.array([1.0, 1.0]), np.array([1e-3, -1e3])).round(12).tolist()
    [0.9, 1.1]
    """

    _states: ClassVar[tuple[str, ...]] = ("_sum", "_squares", "_largest")
    _averages: ClassVar[tuple[str, ...]] = ("_sum",)
    _mean_squares: ClassVar[tuple[str, ...]] = ("_squares",)
    _sum: Any
    _squares: Any
    _largest: Any

    def __init__(
        self,
        lr: Any = 1e-3,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        eps_inside: bool = False,
        bias_correction: bool = True,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(lr)
        self.beta1 = check_fraction("beta1", beta1)
        self.beta2 = check_fraction("beta2", beta2)
        self.eps = check_nonnegative("eps", eps)
        self.eps_inside = check_flag("eps_inside", eps_inside)
        self.bias_correction = check_flag("bias_correction", bias_correction)
        self.amsgrad = check_flag("amsgrad", amsgrad)

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, mask: Array
    ) -> None:
        self._sum *= self.beta1
        self._sum += grad
        self._squares *= self.beta2
        self._squares += np.multiply(grad, grad, out=a)
        squares = self._squares
        if self.amsgrad:
            squares = np.maximum(self._largest, squares, out=self._largest)
        # m_hat / (sqrt(v_hat) + eps), where m_hat = sum / c1 and v_hat = squares / c2: numbers
        # are divided, not arrays, as Kingma and Ba propose at the end of section 2.
        c1 = _weights(self.beta1, self.t, self.bias_correction)
        c2 = _weights(self.beta2, self.t, self.bias_correction)
        _ratio(self._sum, squares, c2, self.eps, self.eps_inside, a, mask)
        _scale(a, rate, math.sqrt(c2) / c1)
        np.subtract(theta, a, out=out)

    @property
    def m(self) -> Any:
        """Moving average of the gradient, not corrected; a new array."""
        return (1 - self.beta1) * self._sum

    @property
    def v(self) -> Any:
        """Moving average of the squared gradient, not corrected; a new array."""
        return (1 - self.beta2) * self._squares

    @property
    def v_max(self) -> Any:
        """Running maximum of v, used only with `amsgrad`; a new array."""
        return (1 - self.beta2) * self._largest


class AdamW(Adam):
    r"""Adam with weight decay beside the gradient, not inside it.

    First :math:`\theta \leftarrow (1-\eta\lambda)\theta`, then `Adam`'s step. The decay is not
    divided by :math:`\sqrt{\hat v}`, as that of a penalty added to the loss would be. As PyTorch,
    the decay is multiplied by the learning rate, also by a scheduled one.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_inside, bias_correction, amsgrad
        As in `Adam`.
    weight_decay : float, >= 0
        :math:`\lambda`, per unit of learning rate.

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled weight decay regularization, ICLR 2019,
    arXiv:1711.05101.

    Examples
    --------
    >>> AdamW(0.1, weight_decay=0.5).step(np.array([1.0]), np.array([0.0])).tolist()
    [0.95]
    """

    def __init__(self, lr: Any = 1e-3, *, weight_decay: float = 0.01, **adam: Any) -> None:
        super().__init__(lr, **adam)
        self.weight_decay = check_nonnegative("weight_decay", weight_decay)

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, mask: Array
    ) -> None:
        np.multiply(theta, 1 - rate * self.weight_decay, out=out)
        super()._update(out, grad, rate, out, a, mask)


def _weights(beta: float, t: int, corrected: bool) -> float:
    r"""Add up the weights :math:`1, \beta, \dots, \beta^{t-1}` of a running sum.

    Uncorrected, the sum is divided by what they come to in the end, :math:`1/(1-\beta)`.
    """
    return (1 - beta**t if corrected else 1.0) / (1 - beta)


def _ratio(
    top: Array,
    square: Array,
    correction: float,
    eps: float,
    inside: bool,
    a: Array,
    mask: Array,
) -> None:
    r"""Write :math:`t/(\sqrt{q} + \epsilon\sqrt{c})` to `a`: top t, square q, correction c.

    Times :math:`\sqrt c` that is :math:`t/(\sqrt{q/c} + \epsilon)`, the quotient we want, without
    dividing an array by c. With `eps` inside the root it is :math:`t/\sqrt{q + \epsilon c}`. At
    ``eps = 0`` a quotient with root 0 counts as 0, its limit for a small positive eps.
    """
    if inside:
        np.add(square, eps * correction, out=a)
        np.sqrt(a, out=a)
    else:
        np.sqrt(square, out=a)
        a += eps * math.sqrt(correction)
    if eps > 0:
        np.divide(top, a, out=a)
        return
    np.equal(a, 0, out=mask)
    np.copyto(a, 1, where=mask)
    np.divide(top, a, out=a)
    np.copyto(a, 0, where=mask)


def _scale(a: Array, rate: Any, factor: float) -> None:
    """Multiply `a` by a rate and a number, in one pass where the rate is a number too."""
    if isinstance(rate, float):
        a *= rate * factor
    else:
        a *= rate
        a *= factor
