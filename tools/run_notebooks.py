"""Run the book's notebooks and store their outputs: ``python tools/run_notebooks.py``.

The book is built from stored outputs, so they must be the outputs of the code beside them. Each
run therefore leaves a digest in the notebook's metadata: of its code cells, of every ``optlearn``
module, script of ``experiments/`` and file of ``book/_data/`` or ``benchmarks/`` they reach, and
of the outputs themselves. ``problems`` compares the digest with the files as they are now;
``tests/test_notebooks.py`` fails when they differ.

Without arguments the notebooks of ``book/`` that are out of date are run; ``--all`` runs every
one, ``--check`` only lists them and exits with 1 if there are any.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PACKAGE = ROOT / "optlearn"
CELL_TIMEOUT = 120

# What differs between machines, a patch version or a kernel's own name, is no part of a book.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}


class NotebookError(Exception):
    """A notebook did not run cleanly; the file on disk is unchanged."""


# Digests ----------------------------------------------------------------------------------------


def sha256(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def code_cells(nb: Any) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def python_source(source: str) -> str:
    """A cell's source with IPython's own lines (``%magic``, ``!command``) blanked."""
    return re.sub(r"^[ \t]*[%!].*$", "", source, flags=re.MULTILINE)


def imported_modules(tree: ast.AST, package: str = "optlearn") -> Iterator[str]:
    """Names of ``optlearn`` modules that a piece of code may import; relative ones are its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module]))
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == package)


def module_path(name: str, package: Path = PACKAGE) -> Path | None:
    """The file of ``optlearn.name``, or None where that is a function or class, not a module."""
    stem = package.joinpath(*name.split(".")[1:])
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


@cache
def mentioned(source: bytes | str, package: str) -> tuple[list[str], list[str], list[str]]:
    """Modules of the package, all imported modules, and data files that code speaks of.

    The chapters reach much the same files: each text is parsed once.
    """
    tree = ast.parse(source)
    imported, data = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported.append(str(node.module))
        elif isinstance(node, ast.Constant):
            value = str(node.value)
            if value.startswith(("_data/", "../benchmarks/")):
                data.append(value)
    return list(imported_modules(tree, package)), imported, data


def reached(source: bytes | str, package: Path = PACKAGE) -> Iterator[tuple[str, Path]]:
    """Name and file of what a piece of code imports or reads from this repository.

    That is modules of ``optlearn``, scripts of ``experiments/`` with the tables they make, files
    of ``book/_data/``, and the results in ``benchmarks/``.
    """
    root = package.parent
    modules, imported, data = mentioned(source, package.name)
    for name in modules:
        if path := module_path(name, package):
            yield name, path
            yield package.name, package / "__init__.py"
    others = [Path(os.path.normpath(root / "book" / name)) for name in data]
    for name in imported:
        script, table = root / "experiments" / f"{name}.py", root / "book/_data" / f"{name}.csv"
        others += [script, table] if script.is_file() else []
    yield from ((path.relative_to(root).as_posix(), path) for path in others if path.is_file())


def modules_used(nb: Any, package: Path = PACKAGE) -> dict[str, str]:
    """Every file that the notebook reaches, through others too, with its digest."""
    found: dict[str, str] = {}
    waiting = [
        pair for cell in code_cells(nb) for pair in reached(python_source(cell.source), package)
    ]
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        source = path.read_bytes().replace(b"\r\n", b"\n")
        found[name] = sha256(source)
        if path.suffix == ".py":
            waiting += reached(source, package)
    return dict(sorted(found.items()))


def digest(nb: Any, package: Path = PACKAGE) -> dict[str, Any]:
    """What the stored outputs depend on, and the outputs themselves."""
    cells = code_cells(nb)
    return {
        "code": sha256(json.dumps([cell.source for cell in cells])),
        "modules": modules_used(nb, package),
        "outputs": sha256(json.dumps([cell.outputs for cell in cells], sort_keys=True)),
    }


def problems(nb: Any, package: Path = PACKAGE) -> list[str]:
    """Reasons why the stored outputs are not those of the present code; none if they are."""
    stored = nb.metadata.get("optlearn")
    if not stored:
        return ["its outputs have not been made by `make notebooks`"]
    now = digest(nb, package)
    found = []
    if stored.get("code") != now["code"]:
        found.append("its code has changed since its outputs were made")
    if stored.get("outputs") != now["outputs"]:
        found.append("its outputs have been changed by hand")
    before, after = stored.get("modules", {}), now["modules"]
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    for name in changed:
        module = module_path(name, package) if "/" not in name else None
        shown = module.relative_to(package.parent).as_posix() if module else name
        found.append(f"{shown} has changed since its outputs were made")
    return found


# Running ----------------------------------------------------------------------------------------


def kernel_environment() -> dict[str, str]:
    """One BLAS thread, figures drawn into the notebook, and the ``optlearn`` of this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def execute(nb: Any, folder: Path) -> None:
    """Run all cells of ``nb`` in a fresh kernel of this environment, as nbval starts it too."""
    client = NotebookClient(
        nb,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.km = AsyncKernelManager(
        kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager()
    )
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    try:
        client.execute(env=kernel_environment(), stderr=subprocess.DEVNULL)
    except CellExecutionError as error:
        raise NotebookError(plain(str(error))) from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(str(error)) from None


def plain(text: str) -> str:
    """The text without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def complaints(nb: Any) -> Iterator[str]:
    """Outputs that no chapter may show: text on stderr, and addresses that differ in each run."""
    for number, cell in enumerate(code_cells(nb), start=1):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                yield f"cell {number} writes to stderr:\n{plain(output.text)}"
            shown = [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
            if any(re.search(r"\bat 0x[0-9a-fA-F]{6,}", text) for text in shown):
                yield f"cell {number} prints a memory address"


def normalise(nb: Any) -> None:
    """Keep of the metadata what the book needs: the same run gives the same file everywhere."""
    kept = {key: nb.metadata[key] for key in ("mystnb",) if key in nb.metadata}
    nb.metadata = nbformat.from_dict({**METADATA, **kept})
    nb.nbformat, nb.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in nb.cells:
        name = sha256(cell.cell_type + cell.source)[:8]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
        cell.metadata = nbformat.from_dict(
            {
                key: cell.metadata[key]
                for key in ("mystnb", "reason", "tags")
                if key in cell.metadata
            }
        )


def run(path: Path) -> float:
    """Run the notebook, store its outputs and digest, return the processor seconds taken.

    These, not the seconds of the clock: a busy machine is not the chapter's fault. Nothing is
    written unless every cell has run without an error and without a word on stderr.
    """
    nb = nbformat.read(path, as_version=4)
    normalise(nb)
    nb.cells.append(new_code_cell("__import__('time').process_time()"))
    execute(nb, path.parent)
    seconds = float(nb.cells.pop().outputs[0]["data"]["text/plain"])
    if found := list(complaints(nb)):
        raise NotebookError("\n".join(found))
    normalise(nb)
    nb.metadata["optlearn"] = digest(nb)
    unfinished = path.with_suffix(".ipynb.part")
    nbformat.write(nb, unfinished)
    unfinished.replace(path)
    return seconds


def notebooks(folder: Path = BOOK) -> list[Path]:
    return sorted(folder.glob("*.ipynb"))


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Run the book's notebooks and store their outputs."
    )
    parser.add_argument(
        "notebook", nargs="*", type=Path, help="notebooks to run, out of date or not"
    )
    parser.add_argument("--all", action="store_true", help="run every notebook of book/")
    parser.add_argument("--check", action="store_true", help="list those out of date, run nothing")
    parser.add_argument(
        "--limit", type=float, default=20.0, help="processor seconds one may take (default: 20)"
    )
    options = parser.parse_args(None if arguments is None else list(arguments))

    failed = 0
    for path in options.notebook or notebooks():
        path = path.resolve()
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        reasons = problems(nbformat.read(path, as_version=4))
        if options.check:
            for reason in reasons:
                print(f"{shown}: {reason}; run `make notebooks`")
            failed += bool(reasons)
        elif reasons or options.all or options.notebook:
            try:
                seconds = run(path)
            except NotebookError as error:
                print(f"{shown}: not run to the end, file unchanged\n{error}", file=sys.stderr)
                failed += 1
                continue
            late = seconds > options.limit
            print(f"{shown}: {seconds:.1f} s{f', over {options.limit:g} s' if late else ''}")
            failed += late
        else:
            print(f"{shown}: up to date")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
