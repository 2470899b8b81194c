"""The table of a sweep: its files, its summary, its best row. `optlearn.sweeps` exports them."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optlearn._checks import Array, check_flag
from optlearn._sweep_folder import Result, Run, write_whole

__all__ = ["Best", "best", "load_csv", "save_csv", "summarize", "table_of"]

# One field of a file: quoted text, in which quotes are doubled, or anything without a comma.
_FIELD = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|\Z)')


def table_of(runs: Sequence[Run], results: Sequence[Result]) -> Array:
    """Return one row per run: its setting, its seed, what it returned and its error."""
    names = dict.fromkeys(name for result in results for name in result.values)
    columns: dict[str, Any] = {
        name: np.array([run.setting[name] for run in runs]) for name in runs[0].setting
    }
    columns["seed"] = np.array([run.seed for run in runs], dtype=np.int64)
    for name in names:
        columns[name] = np.array([result.values.get(name, np.nan) for result in results])
    columns["error"] = np.array([result.error for result in results])
    return _structured(columns)


def _structured(columns: Mapping[str, Array]) -> Array:
    """Return columns of one length as a structured array."""
    (length,) = {len(column) for column in columns.values()}
    table = np.empty(length, dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def save_csv(table: Array, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV, so that `load_csv` returns the same table to the last bit.

    Text is in quotes, numbers are not and have all their digits. The file is replaced at once:
    nobody reads half of it. (A column of text comes back as wide as its longest text. In a table
    of `sweep` it is no wider; in a part of such a table it may be.)

    Parameters
    ----------
    table : structured ndarray, shape (rows,)
        Columns of text, booleans, int64 or float64, as those of `sweep` and `summarize`.
    path : path of a file

    Raises
    ------
    TypeError, ValueError
        If `table` is no such array.

    Examples
    --------
    >>> import tempfile
    >>> table = np.array([(0.1, 3, "")], dtype=[("lr", float), ("seed", int), ("error", "U1")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_csv(table, Path(folder) / "sweep.csv")
    ...     print((Path(folder) / "sweep.csv").read_text())
    "lr","seed","error"
    0.1,3,""
    """
    names = _check_table(table)
    for name in names:
        kind = table[name].dtype
        if kind.kind not in ("b", "U") and kind not in (np.int64, np.float64):
            raise TypeError(
                f"table must have columns of text, booleans, int64 or float64, "
                f"got {name} of {kind}"
            )
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(table.tolist())
    write_whole(Path(path), stream.getvalue())


def load_csv(path: str | os.PathLike[str]) -> Array:
    """Read a table that `save_csv` wrote, or another program that read it.

    An empty field is NaN in a column of numbers.

    Parameters
    ----------
    path : path of a file

    Returns
    -------
    structured ndarray, shape (rows,)

    Raises
    ------
    ValueError
        If the file has no header or no rows, or a row of another length.

    Examples
    --------
    >>> import tempfile
    >>> table = np.array([("adam", 0.1)], dtype=[("rule", "U4"), ("loss", float)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_csv(table, Path(folder) / "sweep.csv")
    ...     load_csv(Path(folder) / "sweep.csv") == table
    array([ True])
    """
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        text = stream.read()
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} must be a CSV file, got one that breaks off: {error}") from error
    while rows and not rows[-1]:  # blank lines at the end
        rows.pop()
    if len(rows) < 2:
        raise ValueError(f"{path} must have a header and at least one row, got {len(rows)} lines")
    names, *rows = rows
    for row in rows:
        if len(row) != len(names):
            raise ValueError(f"{path} must have {len(names)} fields in every row, got {row}")
    # All text of a column is quoted, or none: the first row tells which columns are text.
    fields = itertools.islice(_FIELD.finditer(text), len(names), 2 * len(names))
    quoted = [field[1].startswith('"') for field in fields]
    cells = zip(*rows, strict=True)
    return _structured(
        {
            name: np.array(column) if is_text else _numbers(column)
            for name, column, is_text in zip(names, cells, quoted, strict=True)
        }
    )


def _numbers(column: Sequence[str]) -> Array:
    """Return text as booleans, integers or floats, whichever it is; else as text."""
    if set(column) <= {"True", "False"}:
        return np.array([cell == "True" for cell in column])
    if not any(column):
        return np.array(column)
    for kind in (np.int64, np.float64):
        try:
            return np.array([cell or "nan" for cell in column]).astype(kind)
        except (ValueError, OverflowError):  # text, or an integer beyond 64 bits
            continue
    return np.array(column)


def summarize(table: Array, by: str | Sequence[str], value: str = "loss") -> Array:
    """Average over the seeds, and over whatever else `by` does not name.

    Parameters
    ----------
    table : structured ndarray
        As `sweep` returns it.
    by : str or sequence of str
        A row of the summary for each value of this column, or of these columns together, in the
        order of their first appearance.
    value : str
        The column that is averaged.

    Returns
    -------
    structured ndarray
        The columns `by`; the `mean` and the sample standard deviation `sd` (divisor: n - 1) of
        the `n` runs that went well, NaN where there are too few; the number of runs that `failed`,
        with an error or without a finite value.

    Raises
    ------
    TypeError, ValueError
        If `table` is no table of a sweep or has no such columns.

    Examples
    --------
    >>> from optlearn.sweeps import sweep
    >>> def train(lr, seed):
    ...     return abs(lr - 0.3) + 0.01 * seed
    >>> table = sweep(train, {"lr": [0.1, 0.3]}, seeds=[0, 1, 2], progress=False)
    >>> for row in summarize(table, "lr"):
    ...     print(row["lr"], row["mean"].round(3), row["sd"].round(3), row["n"], row["failed"])
    0.1 0.21 0.01 3 0
    0.3 0.01 0.01 3 0
    """
    settings = _check_sweep(table, value)
    by = [by] if isinstance(by, str) else list(by)
    for name in by:
        if name not in (*settings, "seed"):
            raise ValueError(f"by must be of {', '.join((*settings, 'seed'))}, got {name!r}")
    if not by or len(set(by)) < len(by):
        raise ValueError(f"by must name columns, each once, got {by!r}")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(table[name].tolist() for name in by), strict=True)):
        groups.setdefault(key, []).append(row)
    well = (table["error"] == "") & np.isfinite(table[value])
    kept = [table[value][rows][well[rows]] for rows in groups.values()]
    n = np.array([len(values) for values in kept])
    with np.errstate(over="ignore"):
        statistics = {
            "mean": np.array([values.mean() if len(values) else np.nan for values in kept]),
            "sd": np.array([values.std(ddof=1) if len(values) > 1 else np.nan for values in kept]),
            "n": n,
            "failed": np.array([len(rows) for rows in groups.values()]) - n,
        }
    clash = [name for name in by if name in statistics]
    if clash:
        raise ValueError(f"by must not be a column of the summary, got {clash[0]!r}")
    first = [rows[0] for rows in groups.values()]
    return _structured({name: table[name][first] for name in by} | statistics)


@dataclass(frozen=True)
class Best:
    """The best setting of a sweep.

    Attributes
    ----------
    setting : dict
        A value for each parameter.
    mean, sd : float
        Mean and sample standard deviation of the value over the setting's runs; `sd` is NaN where
        there is one.
    n : int
        The number of these runs.
    at_border : tuple of str
        The numeric parameters whose best value is the smallest or the largest of several tried:
        a better one may lie beyond.
    message : str
        All this in words.
    """

    setting: dict[str, Any]
    mean: float
    sd: float
    n: int
    at_border: tuple[str, ...]
    message: str


def best(table: Array, value: str = "loss", *, minimize: bool = True) -> Best:
    """Return the setting with the best mean over its seeds, and whether the grid ends there.

    A setting of which any run failed does not win: its mean would be that of the seeds it
    survived. Of equal means the first wins.

    Parameters
    ----------
    table : structured ndarray
        As `sweep` returns it.
    value : str
        The column to compare by.
    minimize : bool
        Whether the smallest mean is the best, or the largest.

    Returns
    -------
    Best

    Raises
    ------
    TypeError, ValueError
        If `table` is no table of a sweep or has no such column, or every setting has failed runs.

    Examples
    --------
    >>> from optlearn.sweeps import sweep
    >>> def train(lr, width, seed):
    ...     return (1 - lr) ** width + 0.01 * seed
    >>> grid = {"lr": [0.1, 0.2, 0.4], "width": [1, 2]}
    >>> found = best(sweep(train, grid, seeds=range(3), progress=False))
    >>> found.setting, found.at_border
    ({'lr': 0.4, 'width': 2}, ('lr', 'width'))
    >>> print(found.message)
    best mean loss 0.37, sd 0.01, n = 3, at lr=0.4, width=2; lr=0.4 is the largest value tried:
    extend the grid; width=2 is the largest value tried: extend the grid
    """
    settings = _check_sweep(table, value)
    check_flag("minimize", minimize)
    summary = summarize(table, settings, value)
    complete = (summary["failed"] == 0) & np.isfinite(summary["mean"])
    if not complete.any():
        raise ValueError(
            "table must have a setting without a failed run, "
            f"got failed runs in all {len(summary)} settings"
        )
    mean = np.where(complete, summary["mean"], np.inf if minimize else -np.inf)
    row = summary[mean.argmin() if minimize else mean.argmax()]
    setting = {name: row[name].item() for name in settings}
    ends = {}
    for name in settings:
        tried = table[name]
        if tried.dtype.kind in "if" and tried.min() < tried.max():
            if setting[name] == tried.min():
                ends[name] = "smallest"
            elif setting[name] == tried.max():
                ends[name] = "largest"
    place = ", ".join(f"{name}={chosen}" for name, chosen in setting.items())
    message = (
        f"best mean {value} {row['mean']:.4g}, sd {row['sd']:.2g}, n = {row['n']}, at {place}"
    )
    for name, end in ends.items():
        message += f"; {name}={setting[name]} is the {end} value tried: extend the grid"
    return Best(setting, float(row["mean"]), float(row["sd"]), int(row["n"]), tuple(ends), message)


def _check_table(table: Any) -> tuple[str, ...]:
    """Return the names of the columns of a structured array with rows."""
    if not isinstance(table, np.ndarray) or table.dtype.names is None:
        raise TypeError(f"table must be a structured array, got {type(table).__name__}")
    if table.ndim != 1 or len(table) == 0:
        raise ValueError(f"table must have shape (rows,) and rows, got shape {table.shape}")
    return tuple(table.dtype.names)


def _check_sweep(table: Any, value: Any) -> tuple[str, ...]:
    """Return the names of the parameters of a sweep's table that has a column `value`."""
    names = _check_table(table)
    if "seed" not in names or "error" not in names:
        raise ValueError(f"table must have columns seed and error, got {', '.join(names)}")
    number = names.index("seed")
    results = [name for name in names[number + 1 :] if name != "error"]
    if value not in results:
        listed = ", ".join(results) or "none: every run failed"
        raise ValueError(f"value must be a result, of which there are {listed}; got {value!r}")
    return names[:number]
