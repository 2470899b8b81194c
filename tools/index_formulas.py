"""Write the index of formulas, ``book/formulas.md``: ``python tools/index_formulas.py``.

Every displayed formula of a chapter that carries a label is listed there, under the chapter and
the section where it stands. ``tests/test_learners_path.py`` fails when the page is out of date.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGE = BOOK / "formulas.md"

HEAD = """\
(formulas)=
# Index of formulas

Every numbered formula of the chapters, in the book's order. The number leads to the formula where
it is derived; {doc}`notation` explains the letters. From chapter 4 on each of them has been
evaluated as it stands.
"""

PART = re.compile(
    r"^\((?P<label>[\w-]+)\)=\n+(?P<marks>#{1,3}) +(?P<title>.+)$"
    r"|\$\$(?P<tex>[^$]*?)\$\$[ \t]*\((?P<equation>eq-[\w-]+)\)",
    re.MULTILINE,
)


class Formula(NamedTuple):
    """A displayed formula and where it stands."""

    equation: str
    tex: str
    section: str
    title: str


def chapters(book: Path = BOOK) -> list[Path]:
    """Return the chapters; the halls of misprints display what is wrong and stay out."""
    return sorted(path for path in book.glob("[0-9][0-9]_*.ipynb") if path.name[:2] != "17")


def prose(path: Path) -> str:
    """Return the text of a notebook without its code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def formulas(path: Path) -> tuple[str, str, list[Formula]]:
    """Return the label and the title of a chapter, and its formulas."""
    first, section, found = None, ("", ""), []
    for match in PART.finditer(prose(path)):
        if match["title"]:
            section = match["label"], match["title"]
            first = first or section
        else:
            found.append(Formula(match["equation"], one_line(match["tex"]), *section))
    if first is None:
        raise ValueError(f"{path.name} must begin with a labelled title")
    return *first, found


def one_line(tex: str) -> str:
    """Return TeX that can stand in a cell of a table: on one line, without bars of its own."""
    return re.sub(r"\s+", " ", tex).strip().rstrip(".,;").strip().replace("|", r"\vert ")


def page(book: Path = BOOK) -> Iterator[str]:
    """Yield the parts of the page."""
    yield HEAD
    for path in chapters(book):
        label, title, found = formulas(path)
        if found:
            yield f"\n(formulas-{label})=\n## {title}\n\n| | formula | section |\n|---|---|---|\n"
            for formula in found:
                yield f"| {{eq}}`{formula.equation}` | $\\displaystyle {formula.tex}$ "
                yield f"| {{ref}}`{formula.section}` |\n"


if __name__ == "__main__":
    PAGE.write_text("".join(page()), encoding="utf-8")
    print(
        f"{PAGE.relative_to(ROOT)}: {sum(len(formulas(path)[2]) for path in chapters())} formulas"
    )
