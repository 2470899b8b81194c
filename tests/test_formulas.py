"""Every formula displayed from chapter 04 on is evaluated as it stands on the page.

The TeX is read from the notebook that the page is made of, so page and test cannot drift apart.
`displayed.py` evaluates it, the files in `formulas/` say what its names stand for.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from displayed import TOKEN, Row, TexError, evaluate, holds
from worlds import CHECKS, NOT_EVALUATED, Check

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path for path in (ROOT / "book").glob("*.ipynb") if path.name[:2] not in {"01", "02", "03"}
)
DISPLAY = re.compile(r"\$\$(.*?)\$\$[ \t]*(?:\((?P<label>[\w-]+)\))?", re.DOTALL)

for path in sorted((ROOT / "tests/formulas").glob("*.py")):
    spec = importlib.util.spec_from_file_location(f"formulas_{path.stem}", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def prose(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@cache
def displays() -> list[tuple[str, str | None, str]]:
    """Return page, label and TeX of every display in the chapters under this rule."""
    return [
        (path.name, match["label"], match[1].strip())
        for path in PAGES
        for match in DISPLAY.finditer(prose(path))
    ]


FORMULAS = {label: tex for _, label, tex in displays() if label}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_display_has_a_label_of_its_own(path: Path) -> None:
    labels = [label for page, label, _ in displays() if page == path.name]
    assert None not in labels, [tex for page, label, tex in displays() if not label]
    assert len(labels) == len(set(labels))
    assert not re.search(r"\{math\}|\\begin\{(align\*?|equation|gather)\}", prose(path)), (
        "a formula is displayed by $$ ... $$ (label), which this test reads"
    )


def test_every_display_is_evaluated_or_says_why_not() -> None:
    on_the_page = set(FORMULAS)
    assert not set(CHECKS) & set(NOT_EVALUATED), "checked, and said not to be"
    assert set(CHECKS) | set(NOT_EVALUATED) == on_the_page, (
        f"unchecked: {sorted(on_the_page - set(CHECKS) - set(NOT_EVALUATED))}; "
        f"not on the page: {sorted((set(CHECKS) | set(NOT_EVALUATED)) - on_the_page)}"
    )


def test_what_cannot_be_evaluated_is_no_update_rule_and_no_closed_form() -> None:
    """An update `x_{t+1} = ...` of plain arithmetic has no excuse."""
    words = (
        r"\\(arg|int|to\b|Longleftrightarrow|l?dots|[cv]dots|mathbb|partial|lim)(?![a-z])|[oO]\("
    )
    for label in NOT_EVALUATED:
        tex = FORMULAS[label]
        assert re.search(words, tex), f"{label} looks as if it could be evaluated: {tex}"


@cache
def worlds(label: str) -> list[dict[str, Any]]:
    found = list(CHECKS[label].worlds())
    assert found, f"{label} has no world"
    return found


def true_in_every_world(label: str, tex: str) -> bool:
    check = CHECKS[label]
    return all(
        holds(said, check.rtol, check.atol, check.approx)
        for world in worlds(label)
        for said in evaluate(tex, world)
    )


@pytest.mark.parametrize("label", sorted(CHECKS.keys() & FORMULAS.keys()))
def test_the_formula_holds(label: str) -> None:
    check, tex = CHECKS[label], FORMULAS[label]
    for world in worlds(label):
        statements = evaluate(tex, world)
        assert any(said.relations for said in statements), f"{label} states nothing"
        for said in statements:
            assert holds(said, check.rtol, check.atol, check.approx), (
                f"{label}: {tex}\nis not true where {world}\nits sides are {said}"
            )


@pytest.mark.parametrize("label", sorted(CHECKS.keys() & FORMULAS.keys()))
def test_a_mistake_in_the_formula_would_be_seen(label: str) -> None:
    unseen = [wrong for wrong in mistakes(FORMULAS[label]) if not seen(label, wrong)]
    assert len(unseen) == CHECKS[label].slack, (
        f"{label}: {len(unseen)} wrong versions stay true, slack={CHECKS[label].slack}:\n"
        + "\n".join(unseen)
    )


def seen(label: str, wrong: str) -> bool:
    try:
        with np.errstate(all="ignore"):
            return not true_in_every_world(label, wrong)
    except (TexError, ValueError, ArithmeticError, TypeError, IndexError):
        return True


OPPOSITE = {"+": "-", "-": "+", "<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le",
            r"\ln": r"\exp", r"\exp": r"\ln", r"\max": r"\min", r"\min": r"\max",
            r"\leq": r"\geq", r"\geq": r"\leq"}  # fmt: skip


def mistakes(tex: str) -> Iterator[str]:
    """Yield the formula with one mistake in it: as typed wrongly, or remembered wrongly."""
    found = list(TOKEN.finditer(tex))
    inside = 0  # an index, a word, the name of an environment
    opened: list[bool] = []
    quiet = False
    for place, match in enumerate(found):
        token = match[0]
        quiet_next = token in {"_", r"\text", r"\begin", r"\end", r"\operatorname", r"\mathrm"}
        if token == "{":
            opened.append(quiet)
            inside += quiet
        elif token == "}":
            inside -= opened.pop()
        elif not inside and not quiet:
            for other in others(token, found, place):
                yield tex[: match.start()] + other + tex[match.end() :]
        quiet = quiet_next
    if r"\beta_1" in tex and r"\beta_2" in tex:
        swap = {"1": "2", "2": "1"}
        yield re.sub(r"\\beta_([12])", lambda m: rf"\beta_{swap[m[1]]}", tex)
    for match in re.finditer(r"\\[td]?frac(?:\{([^{}]*)\}\{([^{}]*)\}|(\d)(\d))", tex):
        above, below = match[1] or match[3], match[2] or match[4]
        if above != below:
            yield tex[: match.start()] + rf"\frac{{{below}}}{{{above}}}" + tex[match.end() :]


def others(token: str, found: list[re.Match[str]], place: int) -> Iterator[str]:
    before = found[place - 1][0] if place else ""
    if token in OPPOSITE:
        yield OPPOSITE[token]
    elif token.isdigit():
        after = found[place + 1][0] if place + 1 < len(found) else ""
        if not (before.isdigit() or before == ".") or not (after.isdigit() or after == "."):
            yield str((int(token) + 1) % 10)
    elif token == r"\sqrt":
        yield " "


# The rules are shown what they must refuse --------------------------------------------------


VECTOR = np.array([1.0, 2.0])
MATRIX = np.array([[2.0, 1.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("tex", "value"),
    [
        (r"\frac12", 0.5),
        (r"\tfrac12 a", 1.5),
        (r"\frac a{2b}", 0.3),
        (r"2^{-1}", 0.5),
        (r"a^2b", 45.0),
        (r"-a^2", -9.0),
        (r"a-b-1", -3.0),
        (r"a/b\cdot b", 3.0),
        (r"\big(1-b\big)^2", 16.0),
        (r"b(1-b)^2", 80.0),
        (r"f(b)^2", 36.0),
        (r"\sqrt{4b+5}", 5.0),
        (r"\sqrt[3]{8}", 2.0),
        (r"\ln\frac12", -np.log(2)),
        (r"\ln a^2", np.log(9)),
        (r"\lvert b-a^2\rvert", 4.0),
        (r"\lVert x\rVert^2", 5.0),
        (r"x^\top x", 5.0),
        (r"x^\top Mx", 16.0),
        (r"\max(a,\,b)", 5.0),
        (r"\max_j\lvert1-\lambda_j\rvert", 3.0),
        (r"\sum_{i=0}^{3}b^i", 156.0),
        (r"\sum_{t<T}t", 3.0),
        (r"10^{-2}", 0.01),
        (r"1{,}000", 1000.0),
        (r"0.25", 0.25),
        (r"\begin{cases}1&\text{if }a<2\\b&\text{otherwise}\end{cases}", 5.0),
        (r"\det\begin{pmatrix}a&1\\-1&b\end{pmatrix}", 16.0),
        (r"\theta^*+\theta", 11.0),
        (r"\hat v_t", 7.0),
        (r"\hat{v}_{t}^2", 49.0),
        (r"\nabla J(x)^\top x", 10.0),
    ],
)
def test_the_reader_reads_as_a_mathematician_does(tex: str, value: float) -> None:
    world = {
        "a": 3.0, "b": 5.0, "x": VECTOR, "M": MATRIX, "f": lambda b: b + 1, "t": 0,
        r"\lambda_j": {"j": [1.0, 4.0, -1.0]}, r"\max_j": ("j", range(3)), r"\theta": 4.0,
        r"\sum_{t<T}": ("t", range(3)), r"\theta^*": 7.0, r"\hat{v}_t": 7.0,
        r"\nabla J": lambda x: 2 * x,
    }  # fmt: skip
    world["t"] = 2.0
    ((side,),) = (statement.sides for statement in evaluate(tex, world))
    np.testing.assert_allclose(side, value, rtol=1e-14)


@pytest.mark.parametrize(
    "tex",
    [r"a/bc", r"x+", r"\frac1", r"\unknown", r"(a", r"a)", r"\ln-a", r"f a", r"q", r"a:b",
     r"\begin{align}a\end{align}", r"a=", r"^2"],
)  # fmt: skip
def test_the_reader_refuses_what_it_does_not_understand(tex: str) -> None:
    with pytest.raises(TexError):
        evaluate(tex, {"a": 1.0, "b": 2.0, "c": 3.0, "x": 1.0, "f": lambda a: a})


def test_lines_and_quads_part_statements_and_a_line_may_go_on() -> None:
    tex = r"""
    \begin{aligned}
    a&=b+1,\qquad b=2,\\
    c&=a\\
    &\quad+b\\
    &=5\quad\text{for all }a.
    \end{aligned}
    """
    found = evaluate(tex, {"a": 3, "b": 2, "c": 5})
    assert [statement.sides for statement in found] == [(3, 3), (2, 2), (5, 5, 5), (3,)]
    assert all(holds(statement) for statement in found)


@pytest.mark.parametrize(
    ("tex", "true"),
    [("a=3", True), ("a=4", False), ("a<3", False), (r"a\le3", True), (r"a\ge4", False),
     (r"a\approx3.001", True), (r"a\approx3.1", False), ("x=x", True), ("x=1", False),
     ("n=n", False), (r"a=\infty", False), (r"\infty=\infty", True)],
)  # fmt: skip
def test_a_relation_is_true_or_false(tex: str, true: bool) -> None:
    (statement,) = evaluate(tex, {"a": 3, "x": VECTOR, "n": np.nan})
    assert holds(statement, approx=1e-3) == true


def test_a_transposed_vector_and_its_vector_make_a_number_or_a_matrix() -> None:
    (statement,) = evaluate(r"xx^\top", {"x": VECTOR})
    np.testing.assert_array_equal(statement.sides[0], np.outer(VECTOR, VECTOR))
    (statement,) = evaluate(r"2x^\top M", {"x": VECTOR, "M": MATRIX})
    assert isinstance(statement.sides[0], Row)
    np.testing.assert_array_equal(statement.sides[0].vector, 2 * VECTOR @ MATRIX)


def test_every_kind_of_mistake_is_tried() -> None:
    tex = r"x_{t+1}\le\frac12x_t-\sqrt{\beta_1}(1-\beta_2)\text{ for t-1}"
    assert set(mistakes(tex)) == {
        tex.replace(r"\le", r"\ge"),
        tex.replace(r"\frac12", r"\frac22"),
        tex.replace(r"\frac12", r"\frac13"),
        tex.replace(r"\frac12", r"\frac{2}{1}"),
        tex.replace(r"x_t-", "x_t+"),
        tex.replace(r"\sqrt", " "),
        tex.replace("(1-", "(2-"),
        tex.replace(r"(1-\beta", r"(1+\beta"),
        tex.replace("beta_1", "beta_3").replace("beta_2", "beta_1").replace("beta_3", "beta_2"),
    }


def checked(tex: str, slack: int = 0) -> Callable[[], None]:
    """Return the two tests on a formula of our own."""

    def run() -> None:
        FORMULAS["eq-own"] = tex
        CHECKS["eq-own"] = Check(
            lambda: [{"y": 0.8, "x": 1.0, r"\eta": 0.1, "g": 2.0}], 1e-9, 0.0, 1e-3, slack
        )
        worlds.cache_clear()
        try:
            test_the_formula_holds("eq-own")
            test_a_mistake_in_the_formula_would_be_seen("eq-own")
        finally:
            del FORMULAS["eq-own"], CHECKS["eq-own"]
            worlds.cache_clear()

    return run


def test_a_right_formula_passes_and_a_wrong_sign_does_not() -> None:
    checked(r"y=x-\eta g")()
    with pytest.raises(AssertionError, match="is not true"):
        checked(r"y=x+\eta g")()
    with pytest.raises(AssertionError, match="states nothing"):
        checked("x")()
    with pytest.raises(AssertionError, match="wrong versions stay true"):
        checked(r"y\le x+\eta g")()
    checked(r"y\le x+\eta g", slack=1)()
