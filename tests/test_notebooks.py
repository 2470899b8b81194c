"""What every chapter must be, besides running: whole, honest, readable, and up to date.

nbval runs each cell and compares its output. These tests read the notebooks as files. Each rule is
a function that yields what is wrong; each is also shown a notebook that breaks it, so that no rule
can quietly stop to bite.
"""

from __future__ import annotations

import ast
import copy
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import run_notebooks  # noqa: E402

BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))

SECTIONS = [
    "After this chapter you can",
    "The idea",
    "The mathematics",
    "From scratch",
    "An experiment we can see",
    "Theory against measurement",
    "An experiment on real data",
    "Pitfalls",
    "What the source articles say",
    "Exercises",
    "Summary and further reading",
]
STUDIES = {path.stem for path in (ROOT / "experiments").glob("*.py")}
# Its entrance has exercises and a summary, but no theory to derive and to measure.
MUSEUM = {"17_source_audit"}
LIBRARIES = {"distributed", "joblib", "matplotlib", "numpy", "optlearn", "scipy", "sklearn"}
ALLOWED_IMPORTS = LIBRARIES | STUDIES
HIDDEN_IMPORTS = {"myst_nb"}  # glue, in cells a reader of the page does not see
MAX_BYTES = 1_500_000
MAX_PLAYER = 500_000  # an animation
Notebook = Any
Rule = Callable[[Notebook], Iterator[str]]
RULES: list[Rule] = []
CHAPTER_RULES: list[Rule] = []  # those of RULES that a page of reference need not keep


def rule(function: Rule) -> Rule:
    RULES.append(function)
    return function


def chapter_rule(function: Rule) -> Rule:
    CHAPTER_RULES.append(function)
    return rule(function)


def is_chapter(path: Path) -> bool:
    """A chapter's file begins with its number; another notebook is a page of reference.

    So is a hall of the source audit: it shows errors, the chapters teach the matter.
    """
    return re.match(r"\d\d_(?!article_\d)", path.name) is not None


def rules(path: Path) -> list[Rule]:
    spared = CHAPTER_RULES if not is_chapter(path) else []
    if path.stem in MUSEUM:
        spared = [sections_are_present_and_in_order]
    if path.stem.startswith("review_"):  # its answers lead to the chapters, and these cite
        spared = [*spared, sources_are_cited]
    return [check for check in RULES if check not in spared]


def tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def hidden(cell: Any) -> bool:
    return "remove-input" in tags(cell) or "remove-cell" in tags(cell)


def code_cells(nb: Notebook) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb: Notebook) -> str:
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def tree(cell: Any) -> ast.Module:
    return parsed(run_notebooks.python_source(cell.source))


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


# Running -----------------------------------------------------------------------------------------


@rule
def cells_were_run_once_from_top_to_bottom(nb: Notebook) -> Iterator[str]:
    counts = [cell.execution_count for cell in code_cells(nb)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}, not 1, 2, …: run `make notebooks`"


@rule
def outputs_are_clean(nb: Notebook) -> Iterator[str]:
    for number, cell in enumerate(code_cells(nb), start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"cell {number} ends in {output.ename}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"cell {number} writes to stderr"


@rule
def outputs_are_of_the_present_code(nb: Notebook) -> Iterator[str]:
    for reason in run_notebooks.problems(nb):
        yield f"{reason}; run `make notebooks`"


@rule
def the_kernel_is_any_python_3(nb: Notebook) -> Iterator[str]:
    name = nb.metadata.get("kernelspec", {}).get("name")
    if name != "python3":
        yield f"kernelspec is {name}, not python3"


@rule
def no_cell_escapes_the_comparison(nb: Notebook) -> Iterator[str]:
    for number, cell in enumerate(code_cells(nb), start=1):
        if {"nbval-skip", "raises-exception", "skip-execution"} & set(tags(cell)):
            yield f"cell {number} is tagged {tags(cell)}: every cell is run and none may fail"
        if "nbval-ignore-output" in tags(cell) and "time" not in cell.source:
            yield f"cell {number} hides its output from comparison, but times nothing"
        if re.search(r"#\s*NBVAL_|PYTEST_VALIDATE", cell.source):
            yield f"cell {number} switches the comparison off in a comment"


# Code --------------------------------------------------------------------------------------------


@rule
def imports_stay_few(nb: Notebook) -> Iterator[str]:
    for number, cell in enumerate(code_cells(nb), start=1):
        for node in ast.walk(tree(cell)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "."]
            for root in {name.split(".")[0] for name in names}:
                if root in HIDDEN_IMPORTS and not hidden(cell):
                    yield f"cell {number} imports {root} where the reader sees it"
                elif root not in ALLOWED_IMPORTS | HIDDEN_IMPORTS | sys.stdlib_module_names:
                    yield f"cell {number} imports {root}"


@rule
def randomness_has_a_seed(nb: Notebook) -> Iterator[str]:
    for number, cell in enumerate(code_cells(nb), start=1):
        for node in ast.walk(tree(cell)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.endswith("default_rng") and not node.args and not node.keywords:
                yield f"cell {number} calls default_rng() without a seed"
            legacy = re.match(r"(np|numpy)\.random\.(\w+)$", called)
            if legacy and legacy[2] not in {"default_rng", "Generator", "PCG64", "SeedSequence"}:
                yield f"cell {number} uses NumPy's global generator: {called}"
            if called.startswith("random."):
                yield f"cell {number} uses Python's global generator: {called}"


@rule
def what_the_reader_sees_needs_no_hidden_cell(nb: Notebook) -> Iterator[str]:
    """In a browser's own Python the hidden cells do not exist; the visible ones must still run."""
    visible: set[str] = set()
    only_hidden: set[str] = set()
    for number, cell in enumerate(code_cells(nb), start=1):
        stored, loaded = names(tree(cell))
        if not hidden(cell):
            for name in sorted((loaded - visible) & only_hidden):
                yield f"cell {number} uses {name}, which only a hidden cell defines"
            visible |= stored
        else:
            only_hidden |= stored


def names(module: ast.Module) -> tuple[set[str], set[str]]:
    """Return the names that a cell binds at any level, and those that it reads unbound before."""
    stored: set[str] = set()
    loaded: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else stored).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            stored.add(node.name)
        elif isinstance(node, ast.arg):
            stored.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            stored |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return stored, loaded - stored


@rule
def paths_are_relative(nb: Notebook) -> Iterator[str]:
    text = nbformat.writes(nb)
    for found in re.findall(r"(?:/home/|/Users/|/root/|/tmp/|[A-Z]:\\\\)[\w./\\-]*", text):
        yield f"an absolute path: {found}"


# Output ------------------------------------------------------------------------------------------


@rule
def printed_numbers_are_short(nb: Notebook) -> Iterator[str]:
    """Four significant digits, or six decimals: another processor must print the same."""
    for number, cell in enumerate(code_cells(nb), start=1):
        if "nbval-ignore-output" in tags(cell):
            continue
        for text in printed(cell):
            for found in re.findall(r"(?<![\w.])\d*\.\d+(?:e[+-]?\d+)?", text):
                mantissa = found.split("e")[0]
                digits = mantissa.replace(".", "").lstrip("0")
                if len(digits) > 4 and len(mantissa.split(".")[1]) > 6:
                    yield f"cell {number} prints {found}"


def printed(cell: Any) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        else:
            data = output.get("data", {})
            yield from (value for key, value in data.items() if key.endswith("text/plain"))


@rule
def figures_have_words_for_those_who_cannot_see(nb: Notebook) -> Iterator[str]:
    for number, cell in enumerate(code_cells(nb), start=1):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if not any(kind.startswith("image/") for kind in kinds):
            continue
        shown = cell.metadata.get("mystnb", {})
        alt = shown.get("image", {}).get("alt", "")
        if len(alt.split()) < 8:
            yield f"cell {number}: alt text says what is seen, got {alt!r}"
        if not shown.get("figure", {}).get("caption"):
            yield f"cell {number}: a figure without a caption"
        if "image/svg+xml" not in kinds:
            yield f"cell {number}: figures are SVG, got {sorted(kinds)}"


# Prose -------------------------------------------------------------------------------------------


@chapter_rule
def sections_are_present_and_in_order(nb: Notebook) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", prose(nb), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^## (.+?)\s*$", text, flags=re.MULTILINE)
    if found != SECTIONS:
        yield f"sections are {found}"


@chapter_rule
def five_to_eight_exercises_each_have_a_solution(nb: Notebook) -> Iterator[str]:
    exercises: list[str] = []
    content: dict[str, list[Any]] = {}
    current = None
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            exercises += re.findall(
                r"^`{3,}\{exercise\}[^\n]*\n:label: *(\S+)", cell.source, flags=re.MULTILINE
            )
            for line in cell.source.splitlines():
                started = re.match(r"`{3,}\{solution-start\} *(\S+)", line)
                if started:
                    current = started[1]
                    content[current] = []
                elif line.startswith("```{solution-end}"):
                    current = None
        elif current:
            content[current].append(cell)
    if not 5 <= len(exercises) <= 8:
        yield f"{len(exercises)} exercises, not five to eight"
    for label in exercises:
        if label not in content:
            yield f"exercise {label} has no solution"
        elif not any("assert" in cell.source for cell in content[label]):
            yield f"the solution of {label} asserts nothing"
    for label in sorted(set(content) - set(exercises)):
        yield f"a solution of {label}, which is no exercise"


@rule
def every_section_has_a_label(nb: Notebook) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", prose(nb), flags=re.MULTILINE | re.DOTALL)
    for label, heading in re.findall(r"^(.*)\n(#{1,3} .+)$", "\n" + text, flags=re.MULTILINE):
        if not re.fullmatch(r"\([\w-]+\)=", label.strip()):
            yield f"no label before {heading!r}"


@rule
def glued_numbers_exist_and_are_used(nb: Notebook) -> Iterator[str]:
    """A key that nothing defines is seen by the build; one that nothing uses is seen here."""
    glued = {
        key
        for cell in code_cells(nb)
        for output in cell.outputs
        for key in [output.get("metadata", {}).get("scrapbook", {}).get("name")]
        if key
    }
    used = set(re.findall(r"\{glue:?\w*\}`([^`:]+)", prose(nb)))
    for cell in code_cells(nb):
        captions = str(cell.metadata.get("mystnb", {}))
        used |= set(re.findall(r"\{glue:?\w*\}`([^`:]+)", captions))
    for key in sorted(glued - used):
        yield f"{key} is glued and never used"
    for key in sorted(used - glued):
        yield f"{key} is used and never glued"


@rule
def sources_are_cited(nb: Notebook) -> Iterator[str]:
    keys = set(re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), re.MULTILINE))
    cited = {
        key.strip()
        for group in re.findall(r"\{cite:\w+\}`([^`]+)`", prose(nb))
        for key in group.split(",")
    }
    if len(cited) < 3:
        yield f"only {len(cited)} works cited"
    for key in sorted(cited - keys):
        yield f"{key} is cited and not in references.bib"


@rule
def the_page_is_small(nb: Notebook) -> Iterator[str]:
    size = len(nbformat.writes(nb).encode())
    if size > MAX_BYTES:
        yield f"{size} bytes, more than {MAX_BYTES}"
    for number, cell in enumerate(code_cells(nb), start=1):
        shown = sum(len(o.get("data", {}).get("text/html", "")) for o in cell.outputs)
        if shown > MAX_PLAYER:
            yield f"cell {number} shows {shown} bytes of HTML, more than {MAX_PLAYER}"


# The tests ---------------------------------------------------------------------------------------


@cache
def read(path: Path) -> Notebook:
    """Read a notebook once for all rules, which leave it as it is."""
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize(
    ("path", "check"),
    [
        pytest.param(path, check, id=f"{path.stem}-{check.__name__}")
        for path in NOTEBOOKS
        for check in rules(path)
    ],
)
def test_notebook(path: Path, check: Rule) -> None:
    assert list(check(read(path))) == []


def test_a_page_of_reference_keeps_every_rule_but_those_of_a_chapters_anatomy() -> None:
    assert is_chapter(BOOK / "04_gradient_descent.ipynb")
    assert not is_chapter(BOOK / "conventions.ipynb")
    assert rules(BOOK / "04_gradient_descent.ipynb") == RULES
    spared = {sections_are_present_and_in_order, five_to_eight_exercises_each_have_a_solution}
    assert set(RULES) - set(rules(BOOK / "conventions.ipynb")) == spared
    assert set(RULES) - set(rules(BOOK / "17_article_0.ipynb")) == spared
    museum = rules(BOOK / "17_source_audit.ipynb")
    assert set(RULES) - set(museum) == {sections_are_present_and_in_order}


def test_the_table_of_contents_lists_every_notebook_once_and_the_chapters_in_order() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [
        page["file"]
        for part in contents["parts"]
        for entry in part["chapters"]
        for page in (entry, *entry.get("sections", ()))
    ]
    listed = [name for name in files if is_chapter(Path(name))]
    assert listed == [f"book/{path.stem}" for path in sorted(BOOK.iterdir()) if is_chapter(path)]
    assert [files.count(f"book/{path.stem}") for path in NOTEBOOKS] == [1] * len(NOTEBOOKS)
    assert all(any(BOOK.glob(f"{name.removeprefix('book/')}.*")) for name in files)


def test_no_label_stands_twice_in_the_book() -> None:
    labels: Counter[str] = Counter()
    for path in NOTEBOOKS:
        text = prose(read(path))
        labels.update(re.findall(r"^\(([\w-]+)\)=", text, flags=re.MULTILINE))
        labels.update(re.findall(r"^:label: *(\S+)", text, flags=re.MULTILINE))
        labels.update(re.findall(r"^\$\$ *\(([\w-]+)\)", text, flags=re.MULTILINE))
    assert [label for label, count in labels.items() if count > 1] == []


def test_the_bibliography_is_in_alphabetical_order_without_doubles() -> None:
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", bibliography, flags=re.MULTILINE)
    assert keys == sorted(set(keys))


# Each rule is shown what it forbids --------------------------------------------------------------


def code(nb: Notebook, source: str, **metadata: Any) -> Notebook:
    """Add a code cell with the next execution count."""
    cell = nbformat.v4.new_code_cell(source, metadata=metadata)
    cell.execution_count = len(code_cells(nb)) + 1
    nb.cells.append(cell)
    return nb


def text(nb: Notebook, source: str) -> Notebook:
    nb.cells.append(nbformat.v4.new_markdown_cell(source))
    return nb


def output(nb: Notebook, kind: str, **fields: Any) -> Notebook:
    """Give the last cell an output."""
    nb.cells[-1].outputs.append(nbformat.v4.new_output(kind, **fields))
    return nb


PICTURE = {"data": {"image/svg+xml": "<svg/>"}}
GLUED = {
    "data": {"application/papermill.record/text/plain": "'1'"},
    "metadata": {"scrapbook": {"name": "key"}},
}
SPOILERS: dict[Rule, list[Callable[[Notebook], Notebook]]] = {
    cells_were_run_once_from_top_to_bottom: [
        lambda nb: nb.cells.append(nbformat.v4.new_code_cell("1")) or nb,
    ],
    outputs_are_clean: [
        lambda nb: output(code(nb, "1 / 0"), "error", ename="ZeroDivisionError"),
        lambda nb: output(code(nb, "x = 1"), "stream", name="stderr", text="a warning"),
    ],
    outputs_are_of_the_present_code: [
        lambda nb: code(nb, "x = 1"),
        lambda nb: nb.metadata["optlearn"].update(outputs="0") or nb,
        lambda nb: nb.metadata["optlearn"]["modules"].update({"optlearn.losses": "0"}) or nb,
        lambda nb: nb.metadata.pop("optlearn") and nb,
    ],
    the_kernel_is_any_python_3: [
        lambda nb: nb.metadata["kernelspec"].update(name="venv-3.11") or nb,
    ],
    no_cell_escapes_the_comparison: [
        lambda nb: code(nb, "x = 1", tags=["nbval-skip"]),
        lambda nb: code(nb, "print(1)", tags=["nbval-ignore-output"]),
        lambda nb: code(nb, "# NBVAL_IGNORE_OUTPUT\nprint(1)"),
    ],
    imports_stay_few: [
        lambda nb: code(nb, "import torch"),
        lambda nb: code(nb, "from pandas import DataFrame"),
        lambda nb: code(nb, "from myst_nb import glue"),
    ],
    randomness_has_a_seed: [
        lambda nb: code(nb, "rng = np.random.default_rng()"),
        lambda nb: code(nb, "np.random.seed(0)"),
        lambda nb: code(nb, "x = np.random.randn(3)"),
    ],
    what_the_reader_sees_needs_no_hidden_cell: [
        lambda nb: code(code(nb, "secret = 1", tags=["remove-input"]), "print(secret)"),
    ],
    paths_are_relative: [lambda nb: text(nb, "see /home/reader/book")],
    printed_numbers_are_short: [
        lambda nb: output(code(nb, "x"), "stream", name="stdout", text="0.30000000000000004"),
        lambda nb: output(
            code(nb, "x"), "execute_result", data={"text/plain": "np.float64(2.718281828459045)"}
        ),
    ],
    figures_have_words_for_those_who_cannot_see: [
        lambda nb: output(code(nb, "plot()"), "display_data", **PICTURE),
        lambda nb: output(
            code(nb, "plot()", mystnb={"image": {"alt": "a plot"}, "figure": {"caption": "A"}}),
            "display_data",
            **PICTURE,
        ),
    ],
    sections_are_present_and_in_order: [
        lambda nb: text(nb, "## One more section"),
        lambda nb: nb.cells.pop(1) and nb,
    ],
    five_to_eight_exercises_each_have_a_solution: [
        lambda nb: text(nb, "```{exercise} More\n:label: ex-more\n```"),
        lambda nb: text(nb, "```{solution-start} ex-none\n```\n\n```{solution-end}\n```"),
        lambda nb: [c.update(source="pass") for c in nb.cells if "assert" in c.source] and nb,
    ],
    every_section_has_a_label: [lambda nb: text(nb, "### Nameless")],
    glued_numbers_exist_and_are_used: [
        lambda nb: output(code(nb, "glue()"), "display_data", **GLUED),
        lambda nb: text(nb, "It is {glue:text}`nowhere`."),
    ],
    sources_are_cited: [
        lambda nb: text(nb, "{cite:t}`nobody2000nothing` says so."),
        lambda nb: [c.update(source=c.source.replace("cite:", "c:")) for c in nb.cells] and nb,
    ],
    the_page_is_small: [
        lambda nb: text(nb, "x" * MAX_BYTES),
        lambda nb: output(
            code(nb, "play()"), "execute_result", data={"text/html": "x" * (MAX_PLAYER + 1)}
        ),
    ],
}


@pytest.fixture(scope="module")
def sound() -> Notebook:
    """A small chapter that keeps every rule."""
    nb = nbformat.v4.new_notebook()
    nb.metadata["kernelspec"] = {"name": "python3"}
    text(
        nb,
        "(sound)=\n# A sound chapter\n\n{cite:t}`kingma2015adam,polyak1964some,huber1964robust`",
    )
    for number, section in enumerate(SECTIONS):
        text(nb, f"(sound-{number})=\n## {section}")
    code(nb, "from optlearn.losses import huber\n\nx = 1")
    for number in range(5):
        text(nb, f"```{{exercise}} Number {number}\n:label: ex-{number}\n```")
        text(nb, f"```{{solution-start}} ex-{number}\n:class: dropdown\n```")
        code(nb, f"assert x > 0  # {number}")
        text(nb, "```{solution-end}\n```")
    nb.metadata["optlearn"] = run_notebooks.digest(nb)
    return nb


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_a_sound_chapter_passes(check: Rule, sound: Notebook) -> None:
    nb = copy.deepcopy(sound)
    assert list(check(nb)) == []
    assert nb == sound, "a rule changes nothing: all are shown the same notebook"


@pytest.mark.parametrize(
    ("check", "spoil"),
    [
        pytest.param(check, spoil, id=f"{check.__name__}-{number}")
        for check in RULES
        for number, spoil in enumerate(SPOILERS[check])
    ],
)
def test_each_rule_bites(check: Rule, spoil: Callable[..., Notebook], sound: Notebook) -> None:
    assert list(check(spoil(copy.deepcopy(sound)))) != []


def test_outputs_depend_on_every_file_that_the_cells_reach(tmp_path: Path) -> None:
    files = {
        "optlearn/__init__.py": "",
        "optlearn/one.py": "from optlearn.two import x",
        "optlearn/two.py": "x = 1",
        "optlearn/three.py": "x = 2",
        "experiments/study.py": "import shared\nfrom optlearn.three import x",
        "experiments/shared.py": "x = 3",
        "experiments/other.py": "x = 4",
        "book/_data/table.csv": "x",
        "book/_data/study.csv": "x",
        "book/_data/other.csv": "y",
        "benchmarks/results.json": "z",
        "benchmarks/other.json": "z",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    nb = nbformat.v4.new_notebook()
    code(nb, "from optlearn.one import x\nfrom study import x\n")
    code(nb, "open('_data/table.csv'), open('../benchmarks/results.json')")
    package = tmp_path / "optlearn"
    nb.metadata["optlearn"] = run_notebooks.digest(nb, package)
    for name, source in files.items():
        (tmp_path / name).write_text(source + "\n")
        reasons = [f"{name} has changed since its outputs were made"]
        unused = "other" in name
        assert run_notebooks.problems(nb, package) == ([] if unused else reasons)
        (tmp_path / name).write_text(source)
