"""Say in which worlds a displayed formula must hold; `tests/formulas/` has one file a chapter.

A world is a dictionary from the names in the formula to what `optlearn`, or a run, says they
are. `tests/test_formulas.py` evaluates the formula in each, then breaks the formula in every way
it knows (a sign turned, a number changed, betas swapped, a fraction upside down, a relation
reversed) and expects each wrong formula to fail in some world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

World = dict[str, Any]
Worlds = Callable[[], Iterable[World]]


@dataclass(frozen=True)
class Check:
    """A formula's worlds, and how nearly it must hold in them."""

    worlds: Worlds
    rtol: float
    atol: float
    approx: float
    slack: int


CHECKS: dict[str, Check] = {}
NOT_EVALUATED: dict[str, str] = {}


def world(
    *labels: str, rtol: float = 1e-9, atol: float = 1e-15, approx: float = 1e-3, slack: int = 0
) -> Callable[[Worlds], Worlds]:
    """Check the formulas with these labels in the worlds that a function yields.

    Parameters
    ----------
    rtol, atol
        How nearly equal two sides must be, relative to the larger one and absolutely.
    approx
        The same, relative, where the page says "about".
    slack
        How many of the wrong versions stay true, counted by the test. A bound has room, so that
        some mistakes in it leave it true; an equality with well-chosen worlds has none.
    """

    def register(worlds: Worlds) -> Worlds:
        for label in labels:
            known = CHECKS.get(label)
            # the same file may be read twice: pytest looks for doctests in it too
            if known and place(known.worlds) != place(worlds):
                raise ValueError(f"{label} is checked twice")
            CHECKS[label] = Check(worlds, rtol, atol, approx, slack)
        return worlds

    return register


def place(worlds: Worlds) -> tuple[str, int]:
    return worlds.__code__.co_filename, worlds.__code__.co_firstlineno


def not_evaluated(**reasons: str) -> None:
    """Name the displays that are no formula to evaluate, each with the reason.

    Keywords are labels with `_` for `-`: `eq_gd_proximal="an arg min, derived in the text"`.
    """
    NOT_EVALUATED.update({label.replace("_", "-"): why for label, why in reasons.items()})
