"""The architecture of the package, read from its source: what each module may import and hold.

A module imports only from layers before its own. So a student can read the modules in this order
and never meet a name that was not there before.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "optlearn"

LAYERS = (
    {"_checks"},
    {"_fast_kernels", "_memory"},
    {"fast"},
    {"_fast_steps"},
    {"_function", "_grid", "_idx", "_optimizer", "_toy", "activations"},
    {"_affine", "adaptive", "datasets", "functions", "losses", "schedules"},
    {"_minimize", "networks", "optimizers"},
    {"_fast_network"},
    {
        "_fake_quantized",
        "_integer",
        "_pruning",
        "curvature",
        "diagnostics",
        "gradients",
        "second_order",
        "training",
    },
    {"_factored", "_storage"},
    {"compression", "parallel", "quantization", "runs", "transfer"},
    {"_misprint"},
    {
        "_misprints_0b",
        "_misprints_0c",
        "_misprints_2b",
        "_misprints_2c",
        "_misprints_4b",
    },
    {"_misprints_0", "_misprints_1", "_misprints_2", "_misprints_3", "_misprints_4"},
    {"misprints"},
    {"_sweep_code"},
    {"_sweep_folder"},
    {"_sweep_table", "_sweep_workers"},
    {"comparing", "sweeps"},
)
LAYER_OF = {module: number for number, layer in enumerate(LAYERS) for module in layer}
# Beside them stand the modules that draw: they take arrays, and the book alone imports `plotting`.
DRAWING = ({"_checks"}, {"_style"}, {"_animation", "_rate_sweep"}, {"_landscape"}, {"plotting"})
DRAWING_LAYER_OF = {module: number for number, layer in enumerate(DRAWING) for module in layer}
DRAWS = set(DRAWING_LAYER_OF) - {"_checks"}

NUMERIC_TOP_LEVEL = {"numpy", "tqdm"}
NUMERIC_INSIDE_FUNCTIONS = {"distributed", "joblib", "numpy", "scipy", "sklearn", "tqdm"}
COMPILED = {"_fast_kernels"}  # imported when a kernel is needed, and only if numba is there
DRAWING_THIRD_PARTY = {"IPython", "cycler", "matplotlib", "matplotlib_inline", "numpy"}

MAX_LINES = 250


@dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, its line, and whether a function does it."""

    name: str
    line: int
    inside_function: bool

    @property
    def root(self) -> str:
        return self.name.split(".")[0]


def imports(tree: ast.Module) -> Iterator[Import]:
    """Yield every import of a module of the package, also lazy, relative and dynamic ones."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        lazy = id(node) in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = f"optlearn.{base}".rstrip(".")
            if base == "optlearn":
                for alias in node.names:
                    yield Import(f"optlearn.{alias.name}", node.lineno, lazy)
            else:
                yield Import(base, node.lineno, lazy)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else None
            called = function.id if isinstance(function, ast.Name) else called
            argument = node.args[0]
            if (
                called in {"import_module", "__import__"}
                and isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
            ):
                yield Import(argument.value, node.lineno, lazy)


def import_faults(module: str, tree: ast.Module) -> Iterator[str]:
    """Say what is wrong with the imports of one module."""
    for found in imports(tree):
        where = f"{module}.py:{found.line}"
        if found.root == "optlearn":
            target = found.name.removeprefix("optlearn").removeprefix(".").split(".")[0]
            order = DRAWING_LAYER_OF if module in DRAWS else LAYER_OF
            if not target:
                yield f"{where}: imports the whole package, not a module of it"
            elif target not in LAYER_OF and target not in DRAWS:
                yield f"{where}: imports optlearn.{target}, which is in no layer"
            elif module not in DRAWS and target in DRAWS:
                yield f"{where}: only the book imports what draws"
            elif module in DRAWS and target not in DRAWING_LAYER_OF:
                yield f"{where}: what draws takes arrays, it may not import {target}"
            elif module in order and order[target] >= order[module]:
                yield f"{where}: {target} is not in a layer before {module}"
        elif found.root not in sys.stdlib_module_names:
            if module in DRAWS:
                allowed = DRAWING_THIRD_PARTY
            else:
                allowed = NUMERIC_INSIDE_FUNCTIONS if found.inside_function else NUMERIC_TOP_LEVEL
                allowed = allowed | {"numba"} if module in COMPILED else allowed
            if found.root not in allowed:
                place = "inside a function" if found.inside_function else "at module level"
                yield f"{where}: imports {found.root} {place}"


def lines_of_the_catalogue(module: str, tree: ast.Module) -> int:
    """Count the lines of a table of misprints: they are read one entry at a time."""
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in tree.body
        if module.startswith("_misprints_") and ast.unparse(node).startswith("MISPRINTS")
    )


def form_faults(module: str, source: str, tree: ast.Module) -> Iterator[str]:
    """Say what is wrong with the form of one module."""
    if ast.get_docstring(tree) is None:
        yield f"{module}.py: no docstring says why it exists"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"{module}.py:{node.lineno}: star import"
    if module != "__init__":
        yield from all_faults(module, tree)
    lines = lines_outside_docstrings(source, tree) - lines_of_the_catalogue(module, tree)
    if lines > MAX_LINES:
        yield f"{module}.py: {lines} lines outside docstrings, at most {MAX_LINES} are readable"


def all_faults(module: str, tree: ast.Module) -> Iterator[str]:
    """Say what is wrong with `__all__`: it lists public names, sorted, each defined here."""
    listed: list[str] | None = None
    defined: set[str] = set()
    public: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
            if not node.name.startswith("_"):
                public.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            defined |= names
            if "__all__" in names and node.value is not None:
                listed = list(ast.literal_eval(node.value))
    if listed is None:
        yield f"{module}.py: no __all__"
        return
    for name in sorted(set(listed) - defined):
        yield f"{module}.py: __all__ lists {name}, which is not defined"
    if len(listed) != len(set(listed)):
        yield f"{module}.py: __all__ lists a name twice"
    if not module.startswith("_"):
        for name in sorted(public - set(listed)):
            yield f"{module}.py: {name} is public but not in __all__"


def lines_outside_docstrings(source: str, tree: ast.Module) -> int:
    """Count the lines that are neither blank nor part of a docstring."""
    documented: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is None:
                continue
            text = node.body[0]
            documented.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return sum(
        bool(line.strip()) and number not in documented
        for number, line in enumerate(source.splitlines(), start=1)
    )


def faults(package: Path) -> list[str]:
    """List everything that breaks the architecture of the package in a folder."""
    found = []
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).with_suffix("").as_posix()
        if module not in LAYER_OF and module not in DRAWS | {"__init__"}:
            found.append(f"{module}.py: in no layer; give it a place in tests/test_layering.py")
            continue
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source, filename=str(path))
        found.extend(import_faults(module, tree))
        found.extend(form_faults(module, source, tree))
    return found


def test_every_module_imports_only_from_layers_before_it() -> None:
    assert faults(PACKAGE) == []


def test_the_package_was_found() -> None:
    assert {"__init__", "_checks"} <= {path.stem for path in PACKAGE.glob("*.py")}


# The check itself must be able to fail: each synthetic package below has exactly one fault.
SOUND = '"""Why."""\n__all__ = ["f"]\ndef f(): ...\n'


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("losses", SOUND + "from optlearn.networks import MLP\n", "not in a layer before losses"),
        ("losses", SOUND + "from optlearn import training\n", "not in a layer before losses"),
        ("losses", SOUND + "from . import schedules\n", "not in a layer before losses"),
        ("losses", SOUND + "from .schedules import x\n", "not in a layer before losses"),
        ("losses", SOUND + "import optlearn.networks as n\n", "not in a layer before losses"),
        ("losses", SOUND + "import optlearn\n", "imports the whole package"),
        ("losses", SOUND + "def _g():\n    import optlearn.sweeps\n", "not in a layer before"),
        (
            "training",
            SOUND + "from optlearn.plotting import x\n",
            "only the book imports what draws",
        ),
        ("training", SOUND + "from optlearn.helpers import x\n", "which is in no layer"),
        ("training", SOUND + "import matplotlib.pyplot as plt\n", "matplotlib at module level"),
        ("training", SOUND + "def _g():\n    import matplotlib\n", "matplotlib inside a function"),
        ("training", SOUND + "def _g():\n    import torch\n", "torch inside a function"),
        ("training", SOUND + "import scipy.linalg\n", "scipy at module level"),
        ("training", SOUND + "def _g():\n    import numba\n", "numba inside a function"),
        ("fast", SOUND + "import numba\n", "numba at module level"),
        ("_fast_kernels", SOUND + "from optlearn import fast\n", "not in a layer before"),
        ("datasets", SOUND + "from sklearn import datasets\n", "sklearn at module level"),
        ("training", SOUND + "x = __import__('torch')\n", "torch at module level"),
        ("training", SOUND + "import importlib as i\ni.import_module('jax')\n", "imports jax"),
        ("plotting", SOUND + "from optlearn.functions import Function\n", "takes arrays"),
        ("_style", SOUND + "from optlearn.plotting import x\n", "not in a layer before _style"),
        ("plotting", SOUND + "import pandas\n", "pandas at module level"),
        ("helpers", SOUND, "in no layer; give it a place"),
        ("quantization/kernels", SOUND, "in no layer; give it a place"),
        ("losses", '__all__ = ["f"]\ndef f(): ...\n', "no docstring"),
        ("losses", '"""Why."""\ndef f(): ...\n', "no __all__"),
        ("losses", '"""Why."""\n__all__ = ["f", "g"]\ndef f(): ...\n', "lists g"),
        ("losses", '"""Why."""\n__all__ = ["f", "f"]\ndef f(): ...\n', "twice"),
        ("losses", SOUND + "def g(): ...\n", "g is public but not in __all__"),
        ("losses", SOUND + "from math import *\n", "star import"),
        ("losses", SOUND + "x = 1\n" * MAX_LINES, "lines outside docstrings"),
        ("losses", SOUND + "MISPRINTS = (\n" + "1,\n" * MAX_LINES + ")\n", "outside docstrings"),
        ("_misprints_1", SOUND + "x = 1\n" * MAX_LINES + "MISPRINTS = (1,)\n", "250 are readable"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, module: str, source: str, fault: str) -> None:
    path = tmp_path / f"{module}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, encoding="utf-8")
    found = faults(tmp_path)
    assert len(found) == 1, found
    assert fault in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("__init__", '"""Why."""\n__version__ = "1"\n'),
        ("losses", SOUND + "import math\nimport numpy as np\nfrom optlearn._checks import x\n"),
        ("training", SOUND + "from optlearn.networks import MLP\nfrom optlearn import losses\n"),
        ("training", SOUND + "from tqdm import tqdm\n"),
        ("datasets", SOUND + "def _g():\n    from sklearn import datasets\n"),
        ("_fast_kernels", SOUND + "from numba import njit\n"),
        ("_style", SOUND + "import matplotlib.pyplot as plt\nfrom optlearn import _checks\n"),
        ("plotting", SOUND + "from optlearn._style import x\nfrom optlearn._checks import y\n"),
        ("losses", '"""Why.\n' + "more\n" * 500 + '"""\n__all__ = ["f"]\ndef f(): ...\n'),
        ("_checks", '"""Why."""\n__all__ = ["f"]\ndef f(): ...\ndef shared(): ...\n'),
        ("_misprints_1", SOUND + "MISPRINTS = (\n" + "1,\n" * MAX_LINES + ")\n"),
    ],
)
def test_a_sound_module_passes(tmp_path: Path, module: str, source: str) -> None:
    (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
    assert faults(tmp_path) == []
