"""Where the formulas of chapter 16, parallel training, must hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from worlds import world

from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent, Momentum
from optlearn.parallel import (
    arrivals,
    delayed_path,
    ring_all_reduce,
    scaled_sign,
    top_k,
    with_feedback,
)

World = dict[str, Any]
Array = np.ndarray


def one_based(values: Any) -> Callable[[int], Any]:
    """Workers and coordinates are counted from 1 on the page."""
    return lambda k: values[k - 1]


# Synchronous steps -----------------------------------------------------------------------------


@world("eq-parallel-weighted")
def weighted() -> Iterator[World]:
    rng = np.random.default_rng(0)
    network = MLP((3, 4, 2))
    theta = network.init(rng)
    for cuts in ((0, 3, 10, 24), (0, 9, 11, 30, 37)):
        x, y = rng.normal(size=(cuts[-1], 3)), rng.integers(2, size=cuts[-1])
        own = [network.loss_and_grad(theta, x[a:b], y[a:b])[1]
               for a, b in itertools.pairwise(cuts)]  # fmt: skip
        yield {
            "g": network.loss_and_grad(theta, x, y)[1], "B": cuts[-1], "K": len(own),
            "B_k": {"k": one_based(np.diff(cuts))}, "g_k": {"k": one_based(own)},
        }  # fmt: skip


@world("eq-parallel-amdahl")
def amdahl() -> Iterator[World]:
    for workers, serial, shares in ((3, 5, 12), (5, 20, 60)):
        clocks = np.zeros(workers)
        for _ in range(shares):  # each share of one tick goes to whoever is free
            clocks[clocks.argmin()] += 1
        speed = (serial + shares) / (serial + clocks.max())
        yield {"S_K": speed, "f": serial / (serial + shares), "K": workers}


# Messages --------------------------------------------------------------------------------------


@world("eq-parallel-server")
def server() -> Iterator[World]:
    for workers, n in ((3, 40), (7, 11)):
        link = 0.0  # one link, over which number after number goes
        for _ in ("there", "back"):
            for _ in range(workers):
                link += 0.3
                for _ in range(n):
                    link += 0.02
        time = link
        yield {r"T_{\text{server}}": time, "K": workers, r"\alpha": 0.3, r"\gamma": 0.02, "n": n}


@world("eq-parallel-ring", "eq-parallel-ring-time")
def ring() -> Iterator[World]:
    for workers, n in ((3, 42), (7, 14)):
        _, sent, messages = ring_all_reduce(np.ones((workers, n)))
        numbers = sent[0] / 8
        yield {
            "m": numbers, "K": workers, "n": n, r"\alpha": 0.3, r"\gamma": 0.02,
            r"T_{\text{ring}}": messages * 0.3 + 0.02 * numbers,
        }  # fmt: skip


@world("eq-parallel-halving")
def halving() -> Iterator[World]:
    for p, n in ((3, 40), (5, 96)):
        time, length = 0.0, float(n)
        for _ in range(p):
            length /= 2
            time += 2 * (0.3 + 0.02 * length)  # once down, once up
        yield {
            r"T_{\text{halving}}": time, "p": p, "K": 2**p, "n": n, r"\alpha": 0.3,
            r"\gamma": 0.02,
        }  # fmt: skip


# Delays ----------------------------------------------------------------------------------------


@world("eq-parallel-delay")
def late() -> Iterator[World]:
    for tau, lr, curvature in ((3, 0.13, 1.7), (2, 0.3, 0.6)):
        rule = GradientDescent(lr)
        path = delayed_path(lambda c, a=curvature: a * c, np.array([1.5]), rule, np.full(20, tau))
        yield {
            r"\theta_{t+1}": path[13], r"\theta_t": path[12], r"\theta_{t-\tau}": path[12 - tau],
            r"\eta": lr, r"\lambda": curvature,
        }  # fmt: skip


def memory_matrix(tau: int, x: float, beta: float = 0.0) -> Array:
    """One step on the last positions, the newest first, as a matrix."""
    size = max(tau + 1, 2)
    matrix = np.eye(size, k=-1)
    matrix[0, 0] += 1 + beta
    matrix[0, 1] -= beta
    matrix[0, tau] -= x
    return matrix


def real(values: Array) -> Array:
    """The real ones among eigenvalues: the reader of formulas knows no others."""
    found: Array = values[np.abs(values.imag) < 1e-12].real
    assert len(found) >= 2
    return found


@world("eq-parallel-characteristic", rtol=1e-7, atol=1e-9)
def roots() -> Iterator[World]:
    for tau, x in ((3, 0.09), (4, 0.05)):
        for r in real(np.linalg.eigvals(memory_matrix(tau, x))):
            yield {"r": r, r"\tau": tau, "x": x}


@world("eq-parallel-momentum", rtol=1e-7, atol=1e-9)
def roots_with_momentum() -> Iterator[World]:
    for tau, x, beta in ((3, 0.01, 0.6), (4, 0.02, 0.35)):
        rule = Momentum(x, beta=beta)  # the matrix is that of the package's steps
        path = delayed_path(lambda c: c, np.array([1.5]), rule, np.full(20, tau))[:, 0]
        last = path[15 - np.arange(tau + 1)]
        np.testing.assert_allclose((memory_matrix(tau, x, beta) @ last)[0], path[16])
        for r in real(np.linalg.eigvals(memory_matrix(tau, x, beta))):
            yield {"r": r, r"\tau": tau, r"\eta": x / 1.7, r"\lambda": 1.7, r"\beta": beta}


def edge(tau: int, beta: float = 0.0) -> float:
    """Where a step first fails to shrink, by its matrix."""

    def excess(x: float) -> float:
        return float(np.abs(np.linalg.eigvals(memory_matrix(tau, x, beta))).max() - 1)

    return float(brentq(excess, 1e-3, 3.9, xtol=1e-13))


@world("eq-parallel-limit", rtol=1e-7)
def limits() -> Iterator[World]:
    for tau in (2, 3, 5):
        yield {r"x_{\max}": edge(tau), r"\tau": tau}


@world("eq-parallel-one", rtol=1e-7)
def limit_of_one() -> Iterator[World]:
    for beta in (0.3, 0.75):
        yield {r"x_{\max}": edge(1, beta), r"\beta": beta}


@world("eq-parallel-long", approx=1e-3)
def limits_of_long_delays() -> Iterator[World]:
    for tau in (40, 57):
        yield {r"x_{\max}": edge(tau), r"\tau": tau}


@world("eq-parallel-per-time", rtol=1e-7)
def limit_per_unit_of_time() -> Iterator[World]:
    for workers in (4, 8):
        durations = np.ones((workers, 3))
        late = int(arrivals(durations)[2][-1])  # equal clocks; each step has a share of the rate
        yield {
            r"\eta_{\max}": workers * edge(late) / 1.7, r"\lambda": 1.7, "K": workers,
        }  # fmt: skip


@world("eq-parallel-no-delay", rtol=1e-7)
def limit_without_delay() -> Iterator[World]:
    for beta in (0.3, 0.75):
        yield {r"x_{\max}": edge(0, beta), r"\beta": beta}


@world("eq-parallel-mean-limit", rtol=1e-7)
def limit_of_the_mean() -> Iterator[World]:
    for workers in (3, 8):
        # the mean over all workers of what they have read, and the newest position, as a matrix
        def excess(x: float, k: int = workers) -> float:
            mixed = np.array([1 - 1 / k, 1 / k])
            step = np.array([mixed, [0.0, 1.0] - x * mixed])
            return float(np.abs(np.linalg.eigvals(step)).max() - 1)

        yield {r"x_{\max}": brentq(excess, 1, 40, xtol=1e-12), "K": workers}


@world("eq-parallel-best-rate", rtol=1e-5)
def quickest() -> Iterator[World]:
    for tau in (3, 5):
        found = minimize_scalar(
            lambda x, t=tau: np.abs(np.linalg.eigvals(memory_matrix(t, x))).max(),
            bounds=(1e-3, 0.4), method="bounded", options={"xatol": 1e-12},
        )  # fmt: skip
        yield {"x": found.x, r"\tau": tau}


@world("eq-parallel-crossing", rtol=1e-6)
def crossing() -> Iterator[World]:
    for tau, angle in ((2, 0.4), (3, 0.7)):
        r, h = np.exp(1j * angle), 1e-6
        ahead, back = ((r * np.exp(e)) ** tau * (1 - r * np.exp(e)) for e in (h, -h))
        slope = np.log(ahead / back) / (2 * h)
        np.testing.assert_allclose(slope, tau + 1 - 1 / (1 - r), rtol=1e-6)
        yield {"d": slope.real, r"\tau": tau}


@world("eq-parallel-circle")
def circle() -> Iterator[World]:
    for tau, angle in ((2, 0.4), (3, 0.7)):
        r = np.cos(angle) + 1j * np.sin(angle)
        yield {
            "r": r, r"\varphi": angle, r"\tau": tau, r"\omega": np.angle(r**tau * (1 - r)),
        }  # fmt: skip


@world("eq-parallel-geometric")
def ages() -> Iterator[World]:
    for workers, tau in ((3, 2), (4, 3)):
        # orders of tau + 2 deliveries in which whoever is last has read at the first
        orders = list(itertools.product(range(workers), repeat=tau + 2))
        hit = [o for o in orders if o[0] == o[-1] and o[-1] not in o[1:-1]]
        yield {r"p_\tau": len(hit) / len(orders), "K": workers, r"\tau": tau}


def expected(workers: int, x: float, steps: int) -> Array:
    """The mean position over all orders in which the workers can deliver."""
    ends = []
    for order in itertools.product(range(workers), repeat=steps):
        read, path = np.ones(workers), [1.0]
        for who in order:
            path.append(path[-1] - x * read[who])
            read[who] = path[-1]
        ends.append(path)
    return np.mean(ends, axis=0)


@world("eq-parallel-mean")
def mean_of_runs() -> Iterator[World]:
    for workers, lr, curvature in ((3, 0.4, 1.3), (4, 0.9, 0.7)):
        mean = expected(workers, lr * curvature, 7)
        memory = -np.diff(mean) / lr  # u_1, u_2, ...
        for t in (3, 5):
            yield {
                "u_{t+1}": memory[t], "u_t": memory[t - 1],
                r"\bar\theta_{t+1}": mean[t + 1], r"\bar\theta_t": mean[t],
                r"\beta": 1 - 1 / workers, r"\eta": lr, r"\lambda": curvature,
            }  # fmt: skip


@world("eq-parallel-barrier", rtol=1e-7)
def longest() -> Iterator[World]:
    for workers in (3, 8):
        mean = quad(lambda t, w=workers: 1 - (1 - np.exp(-t)) ** w, 0, 60, limit=200)[0]
        yield {r"\mathbb E": lambda v: v, r"T_{\max}": mean, "K": workers}


# Less to send ----------------------------------------------------------------------------------


@world("eq-parallel-local", atol=1e-9)
def local() -> Iterator[World]:
    rng = np.random.default_rng(1)
    for h, workers in ((3, 2), (6, 3)):
        half = rng.normal(size=(workers, 2, 2))
        bowls = half @ half.transpose(0, 2, 1) / 4 + 0.3 * np.eye(2)
        minima = rng.normal(size=(workers, 2))
        theta = np.zeros(2)
        for _ in range(400):
            points = np.tile(theta, (workers, 1))
            for _ in range(h):
                points = points - 0.1 * np.einsum("kij,kj->ki", bowls, points - minima)
            theta = points.mean(axis=0)
        powers = np.array([np.linalg.matrix_power(np.eye(2) - 0.1 * b, h) for b in bowls])
        yield {
            "K": workers, "I": np.eye(2), "M_k": {"k": one_based(powers)}, r"\theta": theta,
            r"\theta_k^*": {"k": one_based(minima)},
        }  # fmt: skip


@world("eq-parallel-sign")
def signs() -> Iterator[World]:
    for v in (np.array([0.4, -1.1, 0.0, 2.3]), np.array([-0.7, 0.2, 1.6])):
        bits = [1 if entry >= 0 else -1 for entry in v]
        # the best multiple of the signs, by least squares
        size = np.linalg.lstsq(np.array([bits], float).T, v)[0][0]
        np.testing.assert_allclose(scaled_sign(v), size * np.array(bits))
        yield {"C": scaled_sign, "v": v, "n": len(v), "s": np.array(bits)}


def sent_with_memory() -> tuple[Array, Array, Array]:
    """Vectors, what was sent of each, and the memory before each and after the last."""
    vectors = np.random.default_rng(2).normal(size=(6, 4))
    memory, sent, memories = np.zeros(4), [], [np.zeros(4)]
    for v in vectors:
        out, memory = with_feedback(v, memory, lambda w: top_k(w, 1))
        sent.append(out)
        memories.append(memory)
    return vectors, np.array(sent), np.array(memories)


@world("eq-parallel-feedback", "eq-parallel-telescope")
def feedback() -> Iterator[World]:
    vectors, sent, memories = sent_with_memory()
    for t in (3, 5):
        yield {
            "c_t": sent[t], "v_t": vectors[t], "e_t": memories[t], "e_{t+1}": memories[t + 1],
            "C": lambda w: top_k(w, 1), "t": t, "c_s": {"s": sent[: t + 1]},
            "v_s": {"s": vectors[: t + 1]},
        }  # fmt: skip


# Cost ------------------------------------------------------------------------------------------


@world("eq-parallel-steps", "eq-parallel-critical", rtol=1e-7)
def number_of_steps() -> Iterator[World]:
    bowl, g = np.diag([3.0, 0.5]), np.array([1.2, -0.7])
    noise = np.diag([2.0, 0.9])

    def gain(batch: float) -> float:
        """The expected fall of a quadratic in a step at the best rate, noise included."""
        bend = g @ bowl @ g + np.trace(bowl @ noise) / batch
        return -minimize_scalar(lambda lr: -lr * (g @ g) + lr**2 * bend / 2).fun

    # the batch at which noise takes half of the gain
    critical = brentq(lambda batch: gain(batch) - gain(np.inf) / 2, 0.01, 50, xtol=1e-13)
    for batch in (4.0, 9.0):
        fall = 1e6 * gain(np.inf)
        yield {
            r"N_{\text{steps}}": fall / gain(batch), r"N_{\min}": 1e6, "B_c": critical, "B": batch,
            "H": bowl, "g": g, r"\Sigma": noise,
        }  # fmt: skip


@world("eq-parallel-target", "eq-parallel-best-batch", rtol=1e-6)
def time_to_target() -> Iterator[World]:
    for workers, exchange, sample, critical in ((5, 0.3, 0.02, 700.0), (40, 0.07, 0.3, 90.0)):

        def time(log_b: float, k: float = workers, e: float = exchange, s: float = sample,
                 c: float = critical) -> float:  # fmt: skip
            b = np.exp(log_b)
            return float(50 * (1 + c / (k * b)) * (b * s + e))

        best = minimize_scalar(time, bounds=(-8, 12), method="bounded", options={"xatol": 1e-9})
        yield {
            r"T_{\text{target}}": best.fun, r"N_{\min}": 50, "T": exchange, "B_c": critical,
            r"\sigma": sample, "K": workers, "b": np.exp(best.x),
        }  # fmt: skip


@world("eq-parallel-ceiling")
def one_sample_each() -> Iterator[World]:
    for workers, exchange, sample, critical in ((900, 0.3, 0.2, 70.0), (400, 0.07, 0.3, 90.0)):
        times = []
        for b in range(1, 50):
            steps = sum(50 * part for part in (1, critical / (workers * b)))
            times.append(sum(steps * cost for cost in (b * sample, exchange)))
        yield {
            r"T_{\text{target}}": min(times), r"N_{\min}": 50, "T": exchange, "B_c": critical,
            r"\sigma": sample, "K": workers,
        }  # fmt: skip


# Mirror descent --------------------------------------------------------------------------------


@world("eq-parallel-mirror")
def mirror() -> Iterator[World]:
    theta, g = np.array([0.2, 0.5, 1.7]), np.array([0.4, -1.1, 0.3])
    yield {
        r"\psi": lambda v: v, r"\theta_{t+1}": GradientDescent(0.3).step(theta, g),
        r"\theta_t": theta, r"\eta": 0.3, "g_t": g,
    }  # fmt: skip
    after = np.array([t / np.e ** (0.3 * s) for t, s in zip(theta, g, strict=True)])
    yield {r"\psi": np.log, r"\theta_{t+1}": after, r"\theta_t": theta, r"\eta": 0.3, "g_t": g}


@world("eq-parallel-exponentiated", rtol=1e-6)
def exponentiated() -> Iterator[World]:
    theta = np.array([0.2, 0.5, 0.3])
    for g in (np.array([0.4, -1.1, 0.3]), np.array([-0.7, 0.2, 1.6])):
        # the mirror map's equation up to a constant, which makes the sum 1
        def weights(shift: float, g: Array = g) -> Array:
            return np.exp(np.log(theta) - 0.3 * g + shift)

        after = weights(brentq(lambda shift, w=weights: w(shift).sum() - 1, -5, 5, xtol=1e-14))
        yield {
            r"\theta_{t+1}": after, r"\theta_t": theta, r"\theta_{t,j}": {"j": one_based(theta)},
            "g_t": g, "g_{t,j}": {"j": one_based(g)}, r"\eta": 0.3, "n": 3, "e": np.e,
        }  # fmt: skip
