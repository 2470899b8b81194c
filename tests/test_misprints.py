"""Each of the 74 misprints fails as it is said to, and the correction does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_coverage_of_sources import ERRORS, labels, pages

from optlearn.misprints import Misprint, misprints

BOOK = Path(__file__).resolve().parents[1] / "book"
IDS = [f"E{article}-{k:02}" for article, n in enumerate(ERRORS) for k in range(1, n + 1)]
BREAKING = {
    *(f"E0-{k:02}" for k in (5, 6, 7, 8, 12, 20)),
    "E1-07",
    *(f"E2-{k:02}" for k in (4, 7, 10, 15)),
    "E3-12",
    *(f"E4-{k:02}" for k in (7, 8, 9)),
}
WORDING = {"E1-12"}  # "computer learning" for machine learning: nothing can be run

every = pytest.mark.parametrize("entry", misprints(), ids=lambda entry: entry.id)


def test_all_are_there_in_order() -> None:
    assert [entry.id for entry in misprints()] == IDS


def test_those_that_break_what_is_built_on_them_are_marked() -> None:
    assert {entry.id for entry in misprints(severity="A")} == BREAKING


@every
def test_the_printed_rule_fails_and_the_corrected_one_does_not(entry: Misprint) -> None:
    assert entry.runs == (entry.id not in WORDING)
    if entry.runs:
        verdict = entry.check()
        assert (verdict.printed, verdict.corrected) == (False, True)


def test_how_many_fail_as_described(record_property: Callable[[str, str], None]) -> None:
    """Count, for the summary at the end of the run."""
    run = [entry for entry in misprints() if entry.runs]
    shown = sum(not entry.check().printed and entry.check().corrected for entry in run)
    record_property(
        "summary",
        f"misprints: {len(misprints())} of {len(IDS)}; {shown} printed rules fail where the "
        f"corrected ones do not, {len(misprints()) - len(run)} are wording alone",
    )
    assert len(misprints()) == 74
    assert shown == len(run)


@every
def test_the_chapter_and_the_sources_exist(entry: Misprint) -> None:
    file, _, label = entry.chapter.partition("#")
    assert label in labels(pages(BOOK)[file])
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    for key in entry.sources:
        assert f"{{{key}," in bibliography, key
