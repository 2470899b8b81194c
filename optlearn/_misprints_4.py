"""The errors of article 4, each with the smallest run that shows it."""

from __future__ import annotations

from optlearn._misprint import Misprint

__all__ = ["MISPRINTS"]

MISPRINTS: tuple[Misprint, ...] = ()
