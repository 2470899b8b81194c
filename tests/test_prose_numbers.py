"""A number in the text is glued, computed, cited, or arithmetic that holds.

Whoever changes a number in a sentence, a caption or an alternative text, or a computation without
its sentence, sees this fail. A number is computed if it stands in the code or in its output, and
cited if its sentence names a source. Numbers of one or two digits without a decimal point are
free: they count things. Formulas of numbers only, `$785\\cdot128+129\\cdot10=101\\,770$`, are
evaluated, to half a unit of the last digit printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from displayed import TexError, evaluate
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

Notebook = Any

PAGES = sorted((Path(__file__).resolve().parents[1] / "book").glob("*.ipynb"))
LOOKS = re.compile(  # how a figure is drawn is no result
    r"\b(?:figsize|fontsize|linewidth|lw|markersize|alpha|capsize|color)=\(?[\d., \"#\w]*\)?"
)
CITED = re.compile(r"[^.!?\n]*\{cite:[^.!?]*(?:\.\d[^.!?]*)*")  # a sentence with its source
GROUPS = r"(?:\{,\}|\\,|[,\u00a0\u202f ])"
NUMBER = re.compile(
    rf"(?<![\w.])\d{{1,3}}(?:{GROUPS}\d{{3}})+(?![\d])(?:\.\d+)?|(?<![\w.])\d+(?:\.\d+)?"
)
PERCENT = re.compile(r"(?:\\,)?\\%")
LITERAL = re.compile(r"\s*-?\s*[\d{},\\]+(?:\.(\d+))?\s*(?:\\cdot\s*10\^(?:\{(-?\d+)\}|(\d)))?\s*")
NOT_PROSE = [
    r"\{(?:cite|ref|eq|numref|glue|prf|doc)[^}]*\}`[^`]*`",  # roles
    r"(?m)^`{3,}.*$|^:\w+:.*$|^\([\w-]+\)=$",  # directives, options, labels
    r"\]\([^)]*\)|https?://\S+|arXiv:\S+",  # addresses
    r"(?i)\b(?:sections?|chapters?|equations?|figures?|theorems?|algorithms?|version|pages?)"
    r"(?:[\s~]|,|\band\b|\bto\b|[\d.])+",  # places in other works
]


def plain(number: str) -> float:
    return float(re.sub(GROUPS, "", number))


def is_checked(number: str) -> bool:
    """Three or more significant digits, or a decimal point; years are names, not numbers."""
    digits = re.sub(r"\D", "", number).lstrip("0")
    if re.fullmatch(r"(?:1[89]|20)\d\d", number):
        return False
    return "." in number or len(digits) >= 3


def texts(nb: Notebook) -> Iterator[str]:
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            yield cell.source
        else:
            shown = cell.metadata.get("mystnb", {})
            yield shown.get("figure", {}).get("caption", "")
            yield shown.get("image", {}).get("alt", "")


def computed(nb: Notebook) -> set[float]:
    """Return every number in the code and in what it printed or glued."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "code":
            found.append(LOOKS.sub(" ", cell.source).replace("_", ""))
            for output in cell.outputs:
                data = output.get("data", {})
                found += [output.get("text", "")]
                found += [text for kind, text in data.items() if kind.endswith("text/plain")]
    number = r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]?\d+)?|(?<!\w)\.\d+(?:e[-+]?\d+)?"
    numbers = {float(n.replace(",", "")) for n in re.findall(number, "\n".join(found))}
    numbers |= {float(n) for n in re.findall(r"\d+(?:\.\d+)?", "\n".join(found))}
    return numbers


def arithmetic(tex: str) -> bool | None:
    """Is a formula of numbers only true? None if it has names, or states nothing."""
    parts = re.split(r"(=|\\approx|\\le(?![a-z])|\\ge(?![a-z])|<|>)", tex)
    sides, relations = parts[::2], parts[1::2]
    if not relations:
        return None
    try:
        values = [
            0.01 ** (r"\%" in side)
            * float(
                evaluate(PERCENT.sub("", side).strip(" .,;"), {"e": np.e} if "e^" in tex else {})[
                    0
                ].sides[0]
            )
            for side in sides
        ]
    except (TexError, TypeError, ValueError, IndexError):
        return None
    for k, relation in enumerate(relations):
        (a, b), written = values[k : k + 2], sides[k : k + 2]
        near = max(half_unit(side) for side in written) + 1e-9 * max(abs(a), abs(b))
        if relation in {"=", r"\approx"} and abs(a - b) > near:
            return False
        if (relation in {"<", r"\le"} and a > b) or (relation in {">", r"\ge"} and a < b):
            return False
    return True


def half_unit(side: str) -> float:
    """Return half a unit of the last digit of a number that is written out, else zero."""
    match = LITERAL.fullmatch(PERCENT.sub("", side).strip(" .,;"))
    if not match:
        return 0.0
    power = int(match[2] or match[3] or 0) - 2 * (r"\%" in side)
    return 0.5 * 10.0 ** (power - len(match[1] or "")) if match[1] or power else 0.0


def problems(nb: Notebook) -> Iterator[str]:
    known = computed(nb)
    for text in texts(nb):
        rest = CITED.sub(" ", text)
        for pattern in NOT_PROSE:
            rest = re.sub(pattern, " ", rest)
        rest = re.sub(r"\$\$.*?\$\$", " ", rest, flags=re.DOTALL)  # test_formulas.py reads these
        for formula in re.findall(r"(?<![\\$])\$([^$]+)\$", rest):
            true = arithmetic(formula)
            if true is False:
                yield f"${formula}$ is not true"
            if true is not None:
                rest = rest.replace(f"${formula}$", " ")
        for match in NUMBER.finditer(rest):
            if is_checked(match[0]) and plain(match[0]) not in known:
                around = rest[max(0, match.start() - 40) : match.end() + 20]
                yield f"{match[0]} is nowhere computed: ...{around}...".replace("\n", " ")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_numbers_in_the_text_are_those_of_the_code(path: Path) -> None:
    found = list(problems(nbformat.read(path, as_version=4)))
    assert not found, "\n".join(found)


# The rule is shown what it must refuse ------------------------------------------------------


def page(text: str, caption: str = "") -> Notebook:
    source = "rate = 0.375\nassert steps == 1_234\nfig, ax = plt.subplots(figsize=(5.2, 4.6))"
    code = new_code_cell(source, execution_count=1)
    code.outputs = [new_output("stream", text="loss 2.303, 45,678 images\n")]
    code.metadata["mystnb"] = {"figure": {"caption": caption}}
    return new_notebook(cells=[new_markdown_cell(text), code])


GOOD = [
    "a rate of 0.375 for 1,234 steps, or 1234, or $1{,}234$, or $1\\,234$",
    "a loss of 2.303 on 45,678 images",
    "twenty-one, 21, 99, in 2019 {cite:p}`someone1999` (section 3.14, arXiv:1412.6980)",
    r"$\ln 2=0.6931$, $785\cdot 128+129\cdot 10=101\,770$, $\tfrac12\cdot3=1.5$, $2^{10}=1024$",
    "as many as 8,192 samples {cite:p}`someone2017` in a batch",
    r"$1/8=12.5\,\%$, $3.16\cdot10^{2}\approx316$ and $0.5^2<0.26$",
]
BAD = [
    "a rate of 0.376",
    "for 1,235 steps",
    "a loss of 2.304",
    "a width of 5.2",
    "as many as 8,192 samples. Others {cite:p}`someone2017` take fewer",
    r"$\ln 2=0.6932$",
    r"$785\cdot 128+129\cdot 10=101\,771$",
    r"$0.5^2<0.24$",
    r"$\eta=0.376$",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_computed_passes(text: str) -> None:
    assert list(problems(page(text))) == []


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_computed_is_refused(text: str) -> None:
    assert len(list(problems(page(text)))) == 1
    assert len(list(problems(page("", caption=text)))) == 1
