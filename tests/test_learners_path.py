"""The ways through the book: the map, the reviews, the glossary and the index of formulas."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from test_coverage_of_sources import labels, pages

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
CONTENTS = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
PARTS = [part for part in CONTENTS if part.get("numbered")]
REVIEWS = sorted(path for path in BOOK.glob("review_*.ipynb"))
KNOWN = set().union(*(labels(path) for path in pages(BOOK).values()))


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


INDEX, TERMS = tool("index_formulas"), tool("link_terms")


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


# The map -----------------------------------------------------------------------------------------


def front() -> str:
    return (BOOK / "index.md").read_text(encoding="utf-8")


def test_every_part_opens_with_a_paragraph_lists_its_chapters_and_closes_with_its_review() -> None:
    parts = re.findall(
        r"^### Part (\w+)\. (.+?)\n(.*?)(?=^### |^\(index-map\))", front(), re.M | re.S
    )
    assert [number for number, _, _ in parts] == ["I", "II", "III", "IV", "V"]
    for k, (part, (_, title, text)) in enumerate(zip(PARTS, parts, strict=True), start=1):
        assert title == part["caption"]
        paragraph, *_ = (block for block in text.split("\n\n") if block.strip())
        assert len(paragraph.split()) >= 25
        listed = re.findall(r"^(\d+)\. \{doc\}`(\S+?)`", text, flags=re.M)
        files = [entry["file"].removeprefix("book/") for entry in part["chapters"]]
        assert [name for _, name in listed] == files
        assert [int(number) for number, _ in listed] == [int(name[:2]) for name in files]
        assert f"{{doc}}`Ten questions on this part <review_{k}>`" in text
        following = CONTENTS[CONTENTS.index(part) + 1]
        assert following == {"chapters": [{"file": f"book/review_{k}"}]}


def test_the_hours_of_the_map_are_those_of_what_it_says_to_read() -> None:
    rows = re.findall(r"^\| (?!your goal|---)(.+?) \| (.+?) \| ([\d.]+) \|$", front(), re.M)
    assert len(rows) >= 8
    for goal, read, hours in rows:
        chapters = [int(number) for number in re.findall(r"\b\d+\b", read)]
        if " to " in read:
            chapters = list(range(chapters[0], chapters[1] + 1))
        pages_read = len(re.findall(r"\{doc\}", read))
        reviews = 0.5 * len(REVIEWS) * ("reviews" in read)
        assert all(1 <= number <= 18 for number in chapters), goal
        assert float(hours) == 1.5 * (len(chapters) + pages_read) + reviews, goal


# The reviews -------------------------------------------------------------------------------------


def test_every_part_has_a_review() -> None:
    assert [path.stem for path in REVIEWS] == [f"review_{k}" for k in range(1, len(PARTS) + 1)]


@pytest.mark.parametrize("path", REVIEWS, ids=lambda path: path.stem)
def test_a_review_has_ten_questions_with_answers_behind_a_fold(path: Path) -> None:
    text = "\n\n".join("".join(c["source"]) for c in cells(path) if c["cell_type"] == "markdown")
    number = path.stem[-1]
    questions = re.findall(
        r"^```\{exercise\} .+\n:label: (\S+)\n:nonumber:\n\n(.+)", text, flags=re.M
    )
    assert [label for label, _ in questions] == [f"review-{number}-{k}" for k in range(1, 11)]
    answers = re.findall(
        r"^```\{solution-start\} (\S+)\n:label: \S+\n:class: dropdown\n```\n"
        r"(.*?)```\{solution-end\}",
        text,
        flags=re.M | re.S,
    )
    assert [label for label, _ in answers] == [label for label, _ in questions]
    for label, answer in answers:
        told = re.findall(r"\{ref\}`(?:[^`<]*<)?([\w-]+)>?`", answer)
        assert told, f"the answer to {label} names no section"
        assert set(told) <= KNOWN


def test_the_reviews_ask_about_every_chapter_that_teaches() -> None:
    for part, path in zip(PARTS, REVIEWS, strict=True):
        text = path.read_text(encoding="utf-8")
        told = set(re.findall(r"\{ref\}`(?:[^`<]*<)?([\w-]+)>?`", text))
        for entry in part["chapters"]:
            page = BOOK / f"{entry['file'].removeprefix('book/')}.ipynb"
            if page.exists():
                assert told & labels(page), f"{path.stem} asks nothing about {page.stem}"


# The glossary ------------------------------------------------------------------------------------


def glossary() -> str:
    return (BOOK / "glossary.md").read_text(encoding="utf-8")


def test_the_glossary_is_in_alphabetical_order_and_each_definition_leads_somewhere() -> None:
    body = glossary().split("```{glossary}\n", 1)[1].split("\n```", 1)[0]
    entries = re.findall(r"^(\S.*)\n((?:  .*\n?)+)", body + "\n", flags=re.M)
    names = [name for name, _ in entries]
    assert names == sorted(names, key=str.lower)
    assert len(names) == len(set(names)) == len(TERMS.terms()) >= 100
    for name, definition in entries:
        told = re.findall(r"\{ref\}`(?:[^`<]*<)?([\w-]+)>?`", definition)
        assert told, name
        assert set(told) <= KNOWN, name


@pytest.mark.parametrize("path", TERMS.chapters(), ids=lambda path: path.stem)
def test_the_first_use_of_every_term_leads_to_the_glossary(path: Path) -> None:
    found = [use[3] for use in TERMS.first_uses(TERMS.prose(path), TERMS.terms())]
    assert found == [], "run `python tools/link_terms.py`"


def test_every_term_is_used_and_every_link_is_a_term() -> None:
    linked = {
        t for path in TERMS.chapters() for text in TERMS.prose(path) for t in TERMS.linked(text)
    }
    assert linked == set(TERMS.terms())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a noise floor stays", ["noise floor"]),
        ("Noise\nfloors stay", ["noise floor"]),
        ("# The noise floor\n\nwords", []),
        ("`noise floor`, $noise floor$, [noise floor](x.md), {ref}`noise floor`", []),
        ("{term}`noise floor` and the noise floor", []),
        ("a noise floor before {term}`noise floor`", ["noise floor"]),
        ("{term}`the floor <noise floor>` and the noise floor", []),
        ("```python\nnoise floor\n```", []),
        ("```{exercise} Noise floor\n:label: noise-floor\nthe noise floor\n```", ["noise floor"]),
        ("the noise-floor, noise floored", []),
    ],
)
def test_a_first_use_is_found_in_running_text_alone(text: str, found: list[str]) -> None:
    assert [use[3] for use in TERMS.first_uses([text], ["noise floor"])] == found


def test_a_term_inside_a_longer_one_is_not_its_first_use() -> None:
    uses = TERMS.first_uses(
        ["gradient descent follows the gradient"], ["gradient descent", "gradient"]
    )
    assert [(start, term) for _, start, _, term in uses] == [
        (0, "gradient descent"),
        (29, "gradient"),
    ]


def test_a_link_keeps_the_words_of_the_text() -> None:
    cell = "Two epochs, an epoch."
    uses = [use[1:] for use in TERMS.first_uses([cell], ["epoch"])]
    assert TERMS.with_links(cell, uses) == "Two {term}`epochs <epoch>`, an epoch."


# The index of formulas ---------------------------------------------------------------------------


def test_the_index_of_formulas_is_that_of_the_chapters() -> None:
    assert INDEX.PAGE.read_text(encoding="utf-8") == "".join(INDEX.page()), (
        "run `python tools/index_formulas.py`"
    )


def test_the_index_holds_every_labelled_formula_of_the_chapters_once() -> None:
    listed = re.findall(r"\{eq\}`([\w-]+)`", INDEX.PAGE.read_text(encoding="utf-8"))
    displayed = [
        name
        for path in INDEX.chapters()
        for name in re.findall(r"\$\$[ \t]*\((eq-[\w-]+)\)", INDEX.prose(path))
    ]
    assert sorted(listed) == sorted(displayed)
    assert len(listed) > 200
