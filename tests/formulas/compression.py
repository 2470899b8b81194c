"""Where the formulas of chapter 13, compression, must hold."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import norm
from worlds import world

from optlearn.compression import (
    FactoredMLP,
    distillation_loss,
    distillation_targets,
    low_rank,
    pack_sparse,
    share_weights,
)
from optlearn.functions import Quadratic
from optlearn.gradients import complex_step
from optlearn.networks import MLP

World = dict[str, Any]
Array = np.ndarray


def from_one(values: Array) -> Array:
    """Let the first value have the index 1, as on the page."""
    return np.r_[np.nan, values.astype(float)]


# Bytes --------------------------------------------------------------------------------------


@world("eq-compression-sparse")
def sparse() -> Iterator[World]:
    """Files as the package packs them, and lists written out bit by bit."""
    for width, kept in ((256, 24), (1024, 56), (4096, 8)):
        w = np.zeros(width)
        w[np.random.default_rng(0).choice(width, kept, replace=False)] = 1.5
        places = "".join(np.binary_repr(j, (width - 1).bit_length()) for j in np.flatnonzero(w))
        yield {
            "C_1": 8.0 * pack_sparse(w).nbytes,
            "C_2": 32.0 * kept + len(places),
            "m": float(kept),
            "M": float(width),
            r"\log_2": np.log2,
        }


@world("eq-compression-entropy", slack=1)  # M + 2 makes a bound that is true and weaker
def entropy() -> Iterator[World]:
    """The bounds are tight to a few bits in ten thousand; h as the mean of -log-probability."""
    for places, kept in ((40_000, 3000), (40_000, 20_000), (30_000, 29_000), (2, 1), (3, 3 - 1)):
        s = kept / places
        drawn = np.r_[np.full(kept, s), np.full(places - kept, 1 - s)]
        yield {
            "K": comb(places, kept),
            r"\log_2": lambda x: float(np.log2(x)) if isinstance(x, float) else _log2(x),
            "M": float(places),
            "h": float(-np.log2(drawn).mean()),
            "s": s,
        }


def _log2(number: Any) -> float:
    """Take the logarithm of an integer that no float holds."""
    number = int(number)
    shift = max(number.bit_length() - 60, 0)
    return shift + float(np.log2(number >> shift))


# Damage -------------------------------------------------------------------------------------


@world("eq-compression-taylor", approx=1e-7)
def taylor() -> Iterator[World]:
    """A smooth network and a small step: what is left out is of third order."""
    network = MLP((3, 4, 2), "tanh")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.integers(2, size=30)
    for scale in (2e-3, 3e-3):
        theta = rng.normal(size=network.n_parameters)
        step = scale * rng.normal(size=theta.size)
        moved = theta + 1e-20j * np.eye(theta.size)
        yield {
            "J": lambda t: network.loss_and_grad(t, x, y)[0],
            r"\theta": theta,
            r"\delta": step,
            "g": network.loss_and_grad(theta, x, y)[1],
            "H": network.loss_and_grad(moved, x, y)[1].imag / 1e-20,
        }


def bowl(seed: int, n: int = 4) -> tuple[Array, Array]:
    """Return a positive definite matrix and a place."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, n))
    return root @ root.T + 0.3 * np.eye(n), rng.normal(size=n)


@world("eq-compression-saliency", rtol=1e-9)
def saliency() -> Iterator[World]:
    for seed, j in ((0, 1), (1, 2), (2, 3)):
        hessian, place = bowl(seed)
        without = place.copy()
        without[j - 1] = 0
        yield {
            "s_j": Quadratic(hessian, place).value(without),
            "H_{jj}": hessian[j - 1, j - 1],
            r"\theta_j": place[j - 1],
        }


@world("eq-compression-surgeon", rtol=1e-6)
def surgeon() -> Iterator[World]:
    """The lowest place on an axis, as an optimizer finds it; in the last world nothing adjusts."""
    for seed, j in ((0, 1), (1, 2), (2, 3), (3, 0)):
        hessian, place = bowl(seed)
        if j == 0:
            hessian, j = np.diag(np.diag(hessian)), 2
        loss, free = Quadratic(hessian, place), np.arange(4) != j - 1

        def on_axis(others: Array, loss: Any = loss, free: Array = free) -> float:
            full = np.zeros(4)
            full[free] = others
            return float(loss.value(full))

        least = minimize(on_axis, place[free], method="BFGS", options={"gtol": 1e-10}).fun
        without = np.where(free, place, 0)
        yield {
            "c_j": least,
            r"\theta_j": place[j - 1],
            "G_{jj}": np.linalg.solve(hessian, np.eye(4))[j - 1, j - 1],
            "s_j": float(loss.value(without)) * (1 + 1e-9),
        }


# Thin matrices ------------------------------------------------------------------------------


@world("eq-compression-eckart", rtol=1e-8)
def eckart() -> Iterator[World]:
    """The package's factors against the eigenvalues of W^T W."""
    for shape, r in (((6, 4), 1), ((5, 7), 3), ((4, 4), 2)):
        network = MLP(shape)
        theta = np.random.default_rng(r).normal(size=network.n_parameters)
        w = network.unpack(theta)[0][0]
        factored, factors = low_rank(network, theta, [r])
        (a, _), (b, _) = factored.unpack(factors)
        squares = np.sort(np.linalg.eigvalsh(w @ w.T))[::-1]
        yield {
            "W": w,
            "W_r": a @ b,
            "r": r,
            "k": min(shape),
            r"\sigma_i": {"i": from_one(np.sqrt(np.maximum(squares[: min(shape)], 0)))},
        }


@world("eq-compression-factors")
def factors() -> Iterator[World]:
    """The largest rank that saves anything, by counting the parameters of the package."""
    for shape in ((784, 64), (64, 64), (9, 7), (30, 200)):
        network = MLP(shape)
        saved = [
            network.n_parameters - FactoredMLP(network, [r]).n_parameters
            for r in range(1, min(shape) + 1)
        ]
        last = sum(one > 0 for one in saved)
        # From there the count falls by the same number with every rank; it is used up at r_max.
        price = saved[0] - saved[1]
        yield {
            "r": float(last),
            r"r_{\max}": last + saved[last - 1] / price,
            "d": float(shape[0]),
            "d'": float(shape[1]),
        }


# Few values ---------------------------------------------------------------------------------


@world("eq-compression-border", rtol=2e-2)
def border() -> Iterator[World]:
    """Where the weights that share one value end and those of the next begin."""
    w = np.sort(np.random.default_rng(0).gamma(2.0, size=100_000))
    for i in (1, 2, 3):
        shared = share_weights(w, 5, np.random.default_rng(0))
        first = np.searchsorted(shared.indices, i)
        yield {
            "t_i": (w[first - 1] + w[first]) / 2,
            "c_i": float(shared.codebook[i - 1]),
            "c_{i+1}": float(shared.codebook[i]),
        }


@world("eq-compression-panter", approx=0.01)
def panter() -> Iterator[World]:
    """Values as dense as the cube root of a Gaussian density; the error cell by cell."""
    for sigma, k in ((1.0, 1500), (0.5, 1000)):
        value = norm.ppf((np.arange(k) + 0.5) / k, scale=np.sqrt(3) * sigma)
        edges = np.r_[-np.inf, (value[1:] + value[:-1]) / 2, np.inf]
        tail = np.where(np.isfinite(edges), edges, 0) * norm.pdf(edges, scale=sigma)
        total = np.diff(norm.cdf(edges, scale=sigma))
        first = -(sigma**2) * np.diff(norm.pdf(edges, scale=sigma))
        second = sigma**2 * (total - np.diff(tail))
        density = norm(scale=sigma).pdf
        yield {
            r"\mathcal D": float(np.sum(second - 2 * value * first + value**2 * total)),
            "I": quad(lambda w, p=density: p(w) ** (1 / 3), -18 * sigma, 18 * sigma, limit=200)[0],
            "k": float(k),
        }


@world("eq-compression-gauss", rtol=1e-7)
def gauss() -> Iterator[World]:
    for sigma in (0.6, 1.7):
        density = norm(scale=sigma).pdf
        yield {
            "I": quad(lambda w, p=density: p(w) ** (1 / 3), -18 * sigma, 18 * sigma, limit=200)[0],
            r"\sigma": sigma,
            r"\pi": np.pi,
        }


# A student ----------------------------------------------------------------------------------


@world("eq-compression-soft")
def soft() -> Iterator[World]:
    rng = np.random.default_rng(0)
    for heat in (0.5, 3.0):
        v, z = 2 * rng.normal(size=(2, 5))
        roots = {name: np.exp(x - x.max()) ** (1 / heat) for name, x in (("p", v), ("q", z))}
        yield {
            **{name: root / root.sum() for name, root in roots.items()},
            "s": np.exp(log_softmax(z)),
            "v": v,
            "z": z,
            "T": heat,
            r"\operatorname{softmax}": softmax,
        }


def students() -> Iterator[World]:
    rng = np.random.default_rng(1)
    for heat, alpha, label in ((0.5, 0.3, 2), (3.0, 0.8, 1)):
        v, z = 2 * rng.normal(size=(2, 4))
        loss = distillation_loss(temperature=heat, alpha=alpha)
        targets = distillation_targets(v[None], [label - 1])
        slope = complex_step(lambda x, t=targets, f=loss: f(x[None], t)[0], z)
        yield {
            "loss": float(loss(z[None], targets)[0]),
            "slope": slope,
            "T": heat,
            r"\alpha": alpha,
            "y": label,
            "p": softmax(v / heat),
            "q": softmax(z / heat),
            "s": softmax(z),
        }


@world("eq-compression-distil")
def distil() -> Iterator[World]:
    for found in students():
        yield {
            r"\ell": found["loss"],
            r"\alpha": found[r"\alpha"],
            "T": found["T"],
            "C": 4,
            "p_c": {"c": from_one(found["p"])},
            "q_c": {"c": from_one(found["q"])},
            "s_y": found["s"][found["y"] - 1],
        }


@world("eq-compression-gradient")
def gradient() -> Iterator[World]:
    for found in students():
        for c in range(4):
            yield {
                "g_c": found["slope"][c],
                r"\alpha": found[r"\alpha"],
                "T": found["T"],
                "p_c": found["p"][c],
                "q_c": found["q"][c],
                "s_c": found["s"][c],
                "e_c": float(c == found["y"] - 1),
            }


@world("eq-compression-hot", approx=2e-3)
def hot() -> Iterator[World]:
    rng = np.random.default_rng(3)
    for heat in (2000.0, 4000.0):
        v, z = rng.normal(size=(2, 5)) + np.array([[0.7], [-0.4]])
        for c in (1, 3):
            yield {
                "T": heat,
                "q_c": softmax(z / heat)[c],
                "p_c": softmax(v / heat)[c],
                "z_c": z[c],
                "v_c": v[c],
                r"\bar z": z.mean(),
                r"\bar v": v.mean(),
                "C": 5.0,
            }
