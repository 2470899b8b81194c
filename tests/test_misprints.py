"""Each of the 74 misprints fails as it is said to, and the correction does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from test_coverage_of_sources import ERRORS, labels, pages

from optlearn.misprints import Misprint, Verdict, misprints

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


COMPLETE = {
    "id": "E0-05",
    "severity": "A",
    "place": "section 1",
    "says": "up",
    "right": "down",
    "sources": (),
    "chapter": "04_gradient_descent#gd-steepest",
    "demand": "it goes down",
    "printed": lambda x: x + 1,
    "corrected": lambda x: x - 1,
    "meets": lambda rule: rule(0) < 0,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "E0-5"}, "id must be like E0-05, got 'E0-5'"),
        ({"id": "F0-05"}, "id must be like E0-05, got 'F0-05'"),
        ({"severity": "D"}, "severity must be .*got 'D'"),
        ({"place": ""}, "place of E0-05 must not be empty"),
        ({"says": ""}, "says of E0-05 must not be empty"),
        ({"right": ""}, "right of E0-05 must not be empty"),
        ({"chapter": ""}, "chapter of E0-05 must not be empty"),
        ({"demand": ""}, "must be given together, got .False, True, True, True"),
        ({"meets": None}, "must be given together, got .True, True, True, False"),
        ({"printed": None}, "must be given together"),
        ({"corrected": None}, "must be given together"),
    ],
)
def test_an_incomplete_entry_is_refused(change: dict[str, Any], message: str) -> None:
    assert Misprint(**COMPLETE).check() == Verdict(printed=False, corrected=True)
    with pytest.raises(ValueError, match=message):
        Misprint(**{**COMPLETE, **change})


def test_wording_alone_cannot_be_checked() -> None:
    nothing = {"demand": "", "printed": None, "corrected": None, "meets": None}
    entry = Misprint(**{**COMPLETE, **nothing})
    assert not entry.runs
    with pytest.raises(ValueError, match="E0-05 must have a demand to be checked"):
        entry.check()


@every
def test_the_chapter_and_the_sources_exist(entry: Misprint) -> None:
    file, _, label = entry.chapter.partition("#")
    assert label in labels(pages(BOOK)[file])
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    for key in entry.sources:
        assert f"{{{key}," in bibliography, key


def exhibit_of(entry: Misprint) -> str:
    """Return what the hall writes under the entry's heading."""
    hall = nbformat.read(BOOK / f"17_article_{entry.article}.ipynb", as_version=4)
    text = "\n\n".join(cell.source for cell in hall.cells if cell.cell_type == "markdown")
    _, found, after = text.partition(f"(audit-{entry.id.lower()})=\n### {entry.id} ")
    assert found
    return re.split(r"^\([\w-]+\)=\s*\n#", after, maxsplit=1, flags=re.MULTILINE)[0]


@every
def test_the_hall_leads_to_the_chapter_and_cites_the_sources_of_the_catalogue(
    entry: Misprint,
) -> None:
    text = exhibit_of(entry)
    linked = re.findall(r"\{(?:prf:)?ref\}`(?:[^`<]*<)?([\w-]+)>?`", text)
    assert entry.chapter.partition("#")[2] in linked
    cited = ",".join(re.findall(r"\{cite:[tp]\}`([^`]+)`", text))
    assert set(entry.sources) == set(filter(None, cited.split(",")))


FORMULAS = [entry for entry in misprints() if "\\frac" in entry.says or "\\alpha" in entry.says]


@pytest.mark.parametrize("entry", FORMULAS, ids=lambda entry: entry.id)
def test_the_hall_shows_the_formula_of_the_catalogue(entry: Misprint) -> None:
    def bare(tex: str) -> str:
        return re.sub(r"\\,|\\cdot|,?\\q?quad", "", "".join(tex.split()))

    assert bare(entry.says) in bare(exhibit_of(entry))
