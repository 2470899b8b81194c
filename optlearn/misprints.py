"""A museum of misprints: wrong rules of five articles beside the correct ones (chapter 17).

Each of the 74 errors is a `Misprint`: what is printed and where, what is right and by which
source, and, wherever something can be run, both rules as functions with a demand that the printed
one fails and the corrected one meets. Nothing else of the package uses them.
"""

from __future__ import annotations

from optlearn import (
    _misprints_0,
    _misprints_1,
    _misprints_2,
    _misprints_3,
    _misprints_4,
)
from optlearn._checks import check_choice
from optlearn._misprint import Misprint, Verdict

__all__ = ["Misprint", "Verdict", "misprint", "misprints"]

ALL: tuple[Misprint, ...] = (
    *_misprints_0.MISPRINTS,
    *_misprints_1.MISPRINTS,
    *_misprints_2.MISPRINTS,
    *_misprints_3.MISPRINTS,
    *_misprints_4.MISPRINTS,
)
BY_ID = {entry.id: entry for entry in ALL}


def misprint(id: str) -> Misprint:  # noqa: A002 (the name the book gives it)
    """Return the misprint of that number.

    Parameters
    ----------
    id : str
        Such as ``E1-01``.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> counting = misprint("E1-01")
    >>> counting.printed((784, 64, 64, 10)), counting.corrected((784, 64, 64, 10))
    (1844, 55050)
    """
    if not isinstance(id, str) or id not in BY_ID:
        raise ValueError(f"id must be one of E0-01 to E4-12, got {id!r}")
    return BY_ID[id]


def misprints(*, article: int | None = None, severity: str | None = None) -> tuple[Misprint, ...]:
    """Return the misprints in the order of the articles.

    Parameters
    ----------
    article : {0, 1, 2, 3, 4}, optional
    severity : {"A", "B", "C"}, optional
        Only those of this article, of this severity.

    Raises
    ------
    TypeError, ValueError
        If there is no such article or severity.

    Examples
    --------
    >>> {entry.article for entry in misprints(article=1)}
    {1}
    """
    if article is not None and (isinstance(article, bool) or article not in range(5)):
        raise ValueError(f"article must be one of 0 to 4, got {article!r}")
    if severity is not None:
        check_choice("severity", severity, ("A", "B", "C"))
    return tuple(
        entry
        for entry in ALL
        if article in (None, entry.article) and severity in (None, entry.severity)
    )
