"""Worlds for what article 2 prints: each is what the code of the printed rule computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from worlds import World, not_evaluated, world

from optlearn.misprints import misprint

not_evaluated(
    eq_audit_e2_04="it leaves the choice of j open, so that the partial derivatives have no value",
    eq_audit_e2_06="an assignment to w_i by a partial derivative, as the article has it",
)

GRADIENTS = (0.9, -0.3, 1.7, 0.6)
RATE = 0.1


class Assigned:
    """A name on both sides of an assignment: alone its new value, in arithmetic its old one."""

    __array_priority__ = 1000

    def __init__(self, old: float, new: float) -> None:
        self.old, self.new = old, new

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.new, dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        old = (value.old if isinstance(value, Assigned) else value for value in inputs)
        return getattr(ufunc, method)(*old, **options)


def steps(id_: str, **betas: float) -> np.ndarray:
    """Drive the printed rule by given gradients; return step / rate."""
    given = iter(GRADIENTS)
    path = misprint(id_).printed(lambda _: next(given), 0.0, len(GRADIENTS), rate=RATE, **betas)
    return -np.diff(path) / RATE


def assigned(values: np.ndarray, inputs: np.ndarray, beta: float, t: int) -> Assigned:
    """Rebuild what stood there before: the average that went on from the last value."""
    return Assigned(beta * values[t - 2] + (1 - beta) * inputs[t - 1], values[t - 1])


def squares(id_: str, beta2: float, **others: float) -> np.ndarray:
    """Return v (or s): the step is rate g / (sqrt(v) + 1e-8)."""
    return (np.array(GRADIENTS) / steps(id_, beta2=beta2, **others) - 1e-8) ** 2


@world("eq-audit-e2-07", rtol=1e-7)
def overwritten() -> Iterator[World]:
    g, beta1, beta2 = np.array(GRADIENTS), 0.7, 0.8
    m = steps("E2-07", beta1=beta1, beta2=0.0) * (np.abs(g) + 1e-8)
    v = squares("E2-07", beta2, beta1=0.0)
    for t in (2, 3, 4):
        yield {
            "m_t": assigned(m, g, beta1, t), "v_t": assigned(v, g**2, beta2, t), "t": t,
            r"\beta_1": beta1, r"\beta_2": beta2,
        }  # fmt: skip


@world("eq-audit-e2-10", rtol=1e-7)
def overwritten_square() -> Iterator[World]:
    s = squares("E2-10", 0.8)
    for t in (2, 3, 4):
        yield {"s_t": assigned(s, np.square(GRADIENTS), 0.8, t), "t": t, r"\beta_2": 0.8}
