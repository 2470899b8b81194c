"""Link each chapter's first use of every glossary term: ``python tools/link_terms.py``.

A term counts as used where it stands in running text: not in a heading, a formula, code, a link
or a cell's output. ``tests/test_learners_path.py`` fails where a first use has no link.
``--check`` only lists them.
"""

import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"

# What is no running text, in the order in which it is looked for.
ASIDE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?:code|figure|image|math)[^\n]*\n.*?^(?P=fence)[ \t]*$"
    r"|^```(?!\{)[^\n]*\n.*?^```[ \t]*$"  # code
    r"|^[`:]{3,}[^\n]*$|^:[\w-]+:[^\n]*$"  # the frame of a directive and its options
    r"|^\([\w-]+\)=$|^#{1,6} [^\n]*$|^\|[^\n]*$"  # labels, headings, tables
    r"|\$\$.*?\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$"  # formulas
    r"|\{[\w:]+\}`[^`]*`|`[^`\n]+`"  # roles, code
    r"|!?\[[^\]]*\]\([^)]*\)|<[^>\n]+>"  # links
    r'|"[^"\n]*(?:\n[^"\n]+)?"',  # quotations
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\{term\}`(?:[^`<]*<(?P<target>[^>`]+)>|(?P<plain>[^`]+))`")


def terms(book: Path = BOOK) -> list[str]:
    """Return the terms of the glossary, the longest first."""
    text = (book / "glossary.md").read_text(encoding="utf-8")
    body = text.split("```{glossary}\n", 1)[1].split("\n```", 1)[0]
    return sorted(re.findall(r"^(\S.*)$", body, flags=re.MULTILINE), key=lambda t: (-len(t), t))


def chapters(book: Path = BOOK) -> list[Path]:
    """Return the chapters that teach; the halls of misprints are not among them."""
    return sorted(path for path in book.glob("[0-9][0-9]_*.ipynb") if path.name[:2] != "17")


def pattern(term: str) -> re.Pattern[str]:
    """Match a term in running text, across a line's end, in the singular and the plural."""
    words = r"\s+".join(map(re.escape, term.split()))
    if term[-1] == "y" and term[-2] not in "aeiou":
        words = words[:-1] + "(?:y|ies)"
    # Names such as Adam and ReLU are written one way; the rest may begin a sentence.
    first = "" if term[0].isupper() else f"(?i:{re.escape(term[0])})"
    body = words if not first else first + words[len(re.escape(term[0])) :]
    return re.compile(rf"(?<![\w\-/]){body}(?:e?s)?(?![\w\-/])")


@cache
def running(text: str) -> tuple[tuple[int, int], ...]:
    """Return where the running text of a cell begins and ends."""
    spans, at = [], 0
    for aside in ASIDE.finditer(text):
        spans.append((at, aside.start()))
        at = aside.end()
    return (*spans, (at, len(text)))


def linked(text: str) -> set[str]:
    """Return the terms that a cell links."""
    return {" ".join((m["target"] or m["plain"]).split()) for m in LINK.finditer(text)}


def first_uses(cells: list[str], wanted: list[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield cell, start, end and term of every first use that has no link before or at it."""
    found: list[tuple[int, int, int, str]] = []
    for term in wanted:
        search = pattern(term)
        for number, text in enumerate(cells):
            links = [m.start() for m in LINK.finditer(text) if term in linked(m[0])]
            use = next(
                (
                    match
                    for start, end in running(text)
                    for match in [next(free(search, text, start, end, number, found), None)]
                    if match
                ),
                None,
            )
            if use is not None and (not links or use.start() < links[0]):
                found.append((number, use.start(), use.end(), term))
            if use is not None or links:
                break
    yield from found


def free(
    search: re.Pattern[str],
    text: str,
    start: int,
    end: int,
    number: int,
    taken: list[tuple[int, int, int, str]],
) -> Iterator[re.Match[str]]:
    """Yield the matches that are no part of a longer term."""
    for match in search.finditer(text, start, end):
        if not any(n == number and a < match.end() and match.start() < b for n, a, b, _ in taken):
            yield match


def prose(path: Path) -> list[str]:
    """Return the cells of a notebook that are text; the code ones as empty."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) if c["cell_type"] == "markdown" else "" for c in cells]


def with_links(text: str, uses: list[tuple[int, int, str]]) -> str:
    """Return the text of a cell with the uses made links."""
    for start, end, term in sorted(uses, reverse=True):
        shown = text[start:end]
        link = f"{{term}}`{term}`" if shown == term else f"{{term}}`{shown} <{term}>`"
        text = text[:start] + link + text[end:]
    return text


def main() -> int:
    missing = 0
    for path in chapters():
        cells = prose(path)
        uses = list(first_uses(cells, terms()))
        missing += len(uses)
        if "--check" in sys.argv:
            for number, start, end, _ in uses:
                print(f"{path.name}, cell {number}: {cells[number][start:end]!r}")
        elif uses:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            for number in {use[0] for use in uses}:
                new = with_links(cells[number], [use[1:] for use in uses if use[0] == number])
                notebook["cells"][number]["source"] = new.splitlines(keepends=True)
            text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
            path.write_text(text, encoding="utf-8")
            print(f"{path.name}: {len(uses)} links")
    return bool(missing) if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
