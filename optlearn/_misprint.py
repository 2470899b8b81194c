r"""What a misprint is: a rule as it was printed, the correct one, and a demand on both.

A claim is refuted by one run that it cannot survive. So every entry of `optlearn.misprints` has a
demand, a function that takes a rule and says whether it does what it promises. The printed rule
fails it and the corrected one meets it, and both can be called by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optlearn._checks import check_choice

__all__ = ["Misprint", "Verdict"]

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Verdict:
    """Whether the printed rule and the corrected one meet the demand.

    Attributes
    ----------
    printed, corrected : bool

    Examples
    --------
    >>> Verdict(printed=False, corrected=True)
    Verdict(printed=False, corrected=True)
    """

    printed: bool
    corrected: bool


@dataclass(frozen=True, kw_only=True)
class Misprint:
    r"""An error of one of the five source articles.

    Attributes
    ----------
    id : str
        ``E0-05`` is the fifth error of article 0.
    severity : {"A", "B", "C"}
        A: a formula, program or reference that breaks what is built on it. B: a wrong or
        misleading claim. C: wording, names, typesetting.
    place : str
        Where in the article.
    says : str
        What is printed there, in our translation or as TeX.
    right : str
        What is true instead.
    sources : tuple of str
        Keys of the bibliography.
    chapter : str
        ``FILE#label`` of the book: where the matter is taught.
    demand : str
        What a sound rule does, in a sentence. Empty where nothing can be run.
    printed, corrected : callable or None
        The two rules, of one signature. A claim is a function that answers as its text does.
    meets : callable or None
        Takes a rule; says whether it does what `demand` asks.

    Raises
    ------
    ValueError
        If an entry is incomplete: a demand without its rules, an unknown severity, an `id` that
        is not of that form.

    Examples
    --------
    >>> sign = Misprint(
    ...     id="E9-01", severity="A", place="section 1", says="step along the gradient",
    ...     right="step against it", sources=(), chapter="04_gradient_descent#gd-steepest",
    ...     demand="a small step lowers the loss of a bowl",
    ...     printed=lambda x, rate: x + rate * x, corrected=lambda x, rate: x - rate * x,
    ...     meets=lambda step: abs(step(1.0, 0.1)) < 1,
    ... )
    >>> sign.check()
    Verdict(printed=False, corrected=True)
    >>> round(sign.printed(1.0, 0.1), 3)
    1.1
    """

    id: str
    severity: str
    place: str
    says: str
    right: str
    sources: tuple[str, ...]
    chapter: str
    demand: str = ""
    printed: Rule | None = None
    corrected: Rule | None = None
    meets: Callable[[Rule], bool] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"E\d-\d\d", self.id):
            raise ValueError(f"id must be like E0-05, got {self.id!r}")
        check_choice("severity", self.severity, ("A", "B", "C"))
        for name in ("place", "says", "right", "chapter"):
            if not getattr(self, name):
                raise ValueError(f"{name} of {self.id} must not be empty")
        parts = (bool(self.demand), *map(callable, (self.printed, self.corrected, self.meets)))
        if len(set(parts)) != 1:
            raise ValueError(
                f"demand, printed, corrected and meets of {self.id} must be given together, "
                f"got {parts}"
            )

    @property
    def article(self) -> int:
        """The number of the article, 0 to 4."""
        return int(self.id[1])

    @property
    def runs(self) -> bool:
        """Whether there is anything to run: wording alone has no demand."""
        return self.meets is not None

    def check(self) -> Verdict:
        """Put both rules to the demand.

        Raises
        ------
        ValueError
            If there is nothing to run.
        """
        if self.meets is None or self.printed is None or self.corrected is None:
            raise ValueError(f"{self.id} must have a demand to be checked: it is wording alone")
        return Verdict(printed=self.meets(self.printed), corrected=self.meets(self.corrected))
