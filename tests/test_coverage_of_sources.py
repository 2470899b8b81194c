"""Every item of the five source articles has its place in the book, and the place exists.

`coverage_of_sources.csv`, beside this file, has a row for each item: its number, the articles that
have it, what it is, and where the book treats it. A place is ``FILE#label``, a file of `book/`
without its ending and a label defined in it; several places are separated by semicolons. Of a
chapter that is not written yet the place is ``planned: chapter NN``. As soon as the chapter's file
exists, its planned rows fail here until they name a label.

The first letter of a number says what the item is.

====== ==========================================================================================
C0-01  contents: a section, paragraph, formula or program of article 0, in the article's order
E0-01  an error of article 0, in its order
I1     a matter on which the articles disagree with each other or with papers and libraries
T1     a topic, with all articles that treat it
R1     an entry of article 0's list of references
====== ==========================================================================================
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
HTML = ROOT / "_build" / "html"
TABLE = Path(__file__).with_name("coverage_of_sources.csv")

CHAPTERS = 18
CONTENTS = (38, 21, 26, 11, 18)  # of articles 0 to 4
ERRORS = (20, 12, 18, 12, 12)
IDS = [
    *(f"C{article}-{k:02}" for article, n in enumerate(CONTENTS) for k in range(1, n + 1)),
    *(f"E{article}-{k:02}" for article, n in enumerate(ERRORS) for k in range(1, n + 1)),
    *(f"I{k}" for k in range(1, 31)),
    *(f"T{k}" for k in range(1, 21)),
    *(f"R{k}" for k in range(1, 16)),
    "R16-65",  # fifty times the same
]


@dataclass(frozen=True)
class Row:
    """One item and its places."""

    id: str
    article: str
    what: str
    where: str

    @property
    def places(self) -> list[str]:
        return [place.strip() for place in self.where.split(";")]

    @property
    def planned(self) -> list[int]:
        """The numbers of the chapters that are to treat the item and are not written yet."""
        found = (re.fullmatch(r"planned: chapter (\d\d)", place) for place in self.places)
        return [int(match[1]) for match in found if match]


def read(path: Path = TABLE) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(**row) for row in csv.DictReader(file, strict=True)]


# What there is -----------------------------------------------------------------------------------

LABEL = re.compile(
    r"^\s*\(([\w-]+)\)=\s*$"  # sections
    r"|^\s*:(?:label|name):\s*([\w-]+)\s*$"  # theorems, exercises, figures
    r"|\$\$\s*\(([\w-]+)\)\s*$",  # equations
    re.MULTILINE,
)


def labels(path: Path) -> set[str]:
    """Return the labels that a page defines, read from its source."""
    if path.suffix != ".ipynb":
        texts, names = [path.read_text(encoding="utf-8")], set()
    else:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells]
        names = {figure["name"] for figure in figures if "name" in figure}
    found = (match for text in texts for match in LABEL.findall(text))
    return names | {label for groups in found for label in groups if label}


def pages(book: Path) -> dict[str, Path]:
    """Return the sources of the pages by the names that the table uses."""
    return {path.stem: path for path in sorted(book.iterdir()) if path.suffix in {".md", ".ipynb"}}


def anchors(page: Path) -> set[str]:
    """Return what a built page can be entered at."""
    return set(re.findall(r'\sid="([^"]+)"', page.read_text(encoding="utf-8")))


def anchor(label: str) -> set[str]:
    """Return the ids that Sphinx may give a label."""
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return {name, f"equation-{name}"}


# The rules ---------------------------------------------------------------------------------------

Rule = Callable[[list[Row], Path], Iterator[str]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    RULES.append(function)
    return function


@rule
def every_item_is_there_once(table: list[Row], _: Path) -> Iterator[str]:
    count = Counter(row.id for row in table)
    for name in IDS:
        if count[name] != 1:
            yield f"{name} is in the table {count[name]} times"
    for name in count.keys() - set(IDS):
        yield f"{name} is no item"


@rule
def rows_are_complete(table: list[Row], _: Path) -> Iterator[str]:
    for row in table:
        articles = row.article.split(" ")
        if not set(articles) <= set("01234") or articles != sorted(set(articles)):
            yield f"{row.id}: the articles must be numbers in order, got {row.article!r}"
        elif (own := re.match(r"[CE](\d)-", row.id)) and own[1] not in articles:
            yield f"{row.id} is not in article {own[1]}"
        if len(row.what.split()) < 2 or not row.what.isascii():
            yield f"{row.id}: what it is must be said in English, got {row.what!r}"


@rule
def every_place_exists_in_the_sources(table: list[Row], book: Path) -> Iterator[str]:
    known = {name: labels(path) for name, path in pages(book).items()}
    for row in table:
        if len(row.places) != len(set(row.places)):
            yield f"{row.id} names a place twice"
        for place in row.places:
            if place.startswith("planned"):
                continue
            file, _, label = place.partition("#")
            if file not in known:
                yield f"{row.id}: {place!r} is neither FILE#label nor 'planned: chapter NN'"
            elif label not in known[file]:
                yield f"{row.id}: no label {label!r} in {file}"


@rule
def only_what_is_not_written_is_planned(table: list[Row], book: Path) -> Iterator[str]:
    written = {int(name[:2]): name for name in pages(book) if re.match(r"\d\d_", name)}
    for row in table:
        if len(row.planned) != sum(place.startswith("planned") for place in row.places):
            yield f"{row.id}: a plan reads 'planned: chapter NN', got {row.where!r}"
        for chapter in row.planned:
            if chapter in written:
                yield f"{row.id} is planned for {written[chapter]}, which exists: name its label"
            elif not 1 <= chapter <= CHAPTERS:
                yield f"{row.id} is planned for chapter {chapter}, which will not exist"


def faults(table: list[Row], book: Path = BOOK) -> list[str]:
    return [fault for rule in RULES for fault in rule(table, book)]


def missing_from_the_built_book(table: list[Row], html: Path = HTML) -> Iterator[str]:
    """Say which places cannot be reached on the built pages."""
    places = [(row.id, place) for row in table for place in row.places if "#" in place]
    files = {place.split("#")[0] for _, place in places}
    paths = {file: html / "book" / f"{file}.html" for file in files}
    known = {file: anchors(path) for file, path in paths.items() if path.exists()}
    for name, place in places:
        file, _, label = place.partition("#")
        if file not in known:
            yield f"{name}: the built book has no page {file}"
        elif not anchor(label) & known[file]:
            yield f"{name}: the built page {file} has no place {label!r}"


def is_older_than_its_sources(html: Path) -> bool:
    built = {name: html / "book" / f"{name}.html" for name in pages(BOOK)}
    return any(
        not built[name].exists() or built[name].stat().st_mtime < path.stat().st_mtime
        for name, path in pages(BOOK).items()
    )


# The table is held to them -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_table(rule: Rule) -> None:
    found = list(rule(read(), BOOK))
    assert not found, "\n".join(found)


def test_how_much_is_planned(record_property: Callable[[str, str], None]) -> None:
    """Count, for the summary at the end of the run."""
    table = read()
    waiting = Counter(chapter for row in table for chapter in row.planned)
    rows = sum(bool(row.planned) for row in table)
    chapters = ", ".join(f"{chapter:02} ({n})" for chapter, n in sorted(waiting.items()))
    text = f"source articles: {len(table)} items, {len(table) - rows} of them treated in full"
    record_property("summary", text + (f"; {rows} wait for chapters {chapters}" if rows else ""))
    assert sum(waiting.values()) >= rows
    assert len(table) == len(IDS) == 254


def test_every_place_is_in_the_book_that_was_built_here() -> None:
    if not HTML.exists() or is_older_than_its_sources(HTML):
        pytest.skip("no built book, or one older than its sources: `make book`")
    found = list(missing_from_the_built_book(read()))
    assert not found, "\n".join(found)


@pytest.mark.browser
def test_every_place_is_in_the_built_book() -> None:
    if not (HTML / "index.html").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("the book must be built first where CI=true: `make book`")
        pytest.skip("the book must be built first: `make book`")
    found = list(missing_from_the_built_book(read()))
    assert not found, "\n".join(found)


# Each rule is shown a table that breaks it -------------------------------------------------------


@pytest.fixture(scope="module")
def small_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a book of two pages with a label of every kind."""
    book = tmp_path_factory.mktemp("book")
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["(first-idea)=\n", "## The idea\n"]},
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": ["$$\n", "a = b\n", "$$ (eq-first)\n"],
        },
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": ["```{exercise}\n", ":label: ex-first\n"],
        },
        {
            "cell_type": "code",
            "metadata": {"mystnb": {"figure": {"name": "fig-first", "caption": "(no-label)="}}},
            "source": ["text = '''\n", "(in-code)=\n", "'''\n"],
        },
    ]
    (book / "01_first.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    (book / "notes.md").write_text("(notes)=\n# Notes on `(no-label)=`\n", encoding="utf-8")
    return book


def small_table() -> list[Row]:
    places = ("first-idea", "eq-first", "ex-first", "fig-first")
    table = [
        Row(
            name,
            name[1] if name[0] in "CE" else "0",
            "What it is",
            "notes#notes; planned: chapter 02",
        )
        for name in IDS
    ]
    return [
        *(
            replace(row, where=f"01_first#{place}")
            for row, place in zip(table, places, strict=False)
        ),
        *table[len(places) :],
    ]


def test_a_sound_table_passes(small_book: Path) -> None:
    assert faults(small_table(), small_book) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": "C0-39"}, "C0-39 is no item"),
        ({"id": "C0-02"}, "C0-02 is in the table 2 times"),
        ({"article": ""}, "the articles must be numbers"),
        ({"article": "0, 1"}, "the articles must be numbers"),
        ({"article": "5"}, "the articles must be numbers"),
        ({"article": "1 0"}, "the articles must be numbers"),
        ({"article": "1"}, "C0-01 is not in article 0"),
        ({"what": ""}, "must be said in English"),
        ({"what": "神经网络 优化"}, "must be said in English"),
        ({"where": ""}, "'' is neither FILE#label nor 'planned: chapter NN'"),
        ({"where": "first-idea"}, "'first-idea' is neither FILE#label"),
        ({"where": "02_second#first-idea"}, "'02_second#first-idea' is neither FILE#label"),
        ({"where": "01_first"}, "no label '' in 01_first"),
        ({"where": "01_first#gone"}, "no label 'gone' in 01_first"),
        ({"where": "01_first#in-code"}, "no label 'in-code' in 01_first"),
        ({"where": "01_first#no-label"}, "no label 'no-label' in 01_first"),
        ({"where": "notes#first-idea"}, "no label 'first-idea' in notes"),
        ({"where": "notes#notes;notes#notes"}, "names a place twice"),
        ({"where": "notes#notes; planned: chapter 01"}, "planned for 01_first, which exists"),
        ({"where": "planned: chapter 19"}, "chapter 19, which will not exist"),
        ({"where": "planned: 02"}, "a plan reads 'planned: chapter NN'"),
        ({"where": "planned: chapter 02 and 03"}, "a plan reads 'planned: chapter NN'"),
    ],
)
def test_a_broken_row_is_found(small_book: Path, change: dict[str, str], fault: str) -> None:
    first, *others = small_table()
    found = faults([replace(first, **change), *others], small_book)
    assert any(fault in line for line in found), found
    # Nothing else is blamed but the item that lost its row.
    assert all(fault in line or line == "C0-01 is in the table 0 times" for line in found), found


@pytest.mark.parametrize("name", ["C4-18", "E2-12", "I30", "T1", "R16-65"])
def test_a_missing_item_is_found(small_book: Path, name: str) -> None:
    table = [row for row in small_table() if row.id != name]
    assert faults(table, small_book) == [f"{name} is in the table 0 times"]


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<h1 id='x'></h1>", "the built page 01_first has no place 'first-idea'"),
        ('<span id="first-ideas"></span>', "the built page 01_first has no place 'first-idea'"),
        (None, "the built book has no page 01_first"),
    ],
)
def test_a_place_that_was_not_built_is_found(tmp_path: Path, page: str | None, fault: str) -> None:
    (tmp_path / "book").mkdir()
    if page is not None:
        (tmp_path / "book" / "01_first.html").write_text(page, encoding="utf-8")
    row = Row("C0-01", "0", "What it is", "01_first#first-idea; planned: chapter 02")
    assert list(missing_from_the_built_book([row], tmp_path)) == [f"C0-01: {fault}"]


def test_a_place_that_was_built_passes(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "01_first.html").write_text(
        '<span id="first-idea"></span><div class="math" id="equation-eq-first-x"></div>',
        encoding="utf-8",
    )
    row = Row("C0-01", "0", "What it is", "01_first#first-idea; 01_first#eq-first_x")
    assert list(missing_from_the_built_book([row], tmp_path)) == []
