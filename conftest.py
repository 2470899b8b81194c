"""Settings of the whole test run: unit tests, doctests and the book's notebooks."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable

import pytest
from nbval.plugin import IPyNbFile

# Networks as small as the book's lose more to the hand-over between threads than they gain.
# Notebook kernels and xdist workers inherit both settings.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A reader's own choice of backend would keep the kernels from drawing inline.
os.environ.pop("MPLBACKEND", None)

# A frame of an animation is a PNG inside HTML. Its last bit may differ on another processor; the
# numbers drawn in it are asserted in the notebook instead.
EMBEDDED_IMAGE = re.compile(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=\\\s]+")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order what xdist's workers share; ``pytest`` alone keeps the order of the folders."""
    if hasattr(config, "workerinput"):
        longest_first(items)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort files, so that the last a worker is given is short and the other need not wait for it.

    ``make test`` hands out whole files in this order: first those marked ``long``, then the
    notebooks, those of many cells before others, then the files of many tests.
    """
    size = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("long")}

    def rank(item: pytest.Item) -> tuple[bool, bool, int, str]:
        path = item.path
        return path not in long, path.suffix != ".ipynb", -size[path], str(path)

    items.sort(key=rank)


def slowest_files(reports: Iterable[pytest.TestReport], count: int = 10) -> list[str]:
    """Say which files took the most seconds, and which of them should start earlier.

    A file is long if it takes more than a twentieth of the whole suite, on any machine.
    """
    seconds: Counter[str] = Counter()
    early = set()
    for report in reports:
        name = report.nodeid.split("::")[0]
        seconds[name] += report.duration
        if name.endswith(".ipynb") or "long" in report.keywords:
            early.add(name)
    late = seconds.keys() - early if len(seconds) > 20 else set()  # a few files are not the suite
    limit = seconds.total() / 20
    return [
        f"{taken:.2f}s {name}" + (" (mark it long)" if name in late and taken > limit else "")
        for name, taken in seconds.most_common(count)
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the files that took longest, above pytest's own list of the slowest tests."""
    stats = terminalreporter.stats.values()
    lines = slowest_files(
        report for part in stats for report in part if hasattr(report, "duration")
    )
    if len(lines) > 1:
        terminalreporter.section(f"slowest {len(lines)} files")
        terminalreporter.write_line("\n".join(lines))


# A chapter that takes longer is no longer run while somebody waits. These are processor seconds: a
# busy machine is not the chapter's fault. `make notebooks` holds its author to 20 of them; here is
# room, because the same chapter has taken from 12 to 30 of them on one machine within an hour.
CHAPTER_SECONDS = float(os.environ.get("CHAPTER_SECONDS") or "60")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Compare every notebook output except the bits of pictures, and ask how long it took."""
    if isinstance(collector, pytest.Session):
        import matplotlib

        matplotlib.use("agg")
    if isinstance(collector, IPyNbFile):
        collector.skip_compare = (*collector.skip_compare, "image/svg+xml")
        collector.sanitize_patterns[EMBEDDED_IMAGE] = "IMAGE"
        stop = collector.teardown

        def teardown() -> None:
            running = collector.kernel is not None and collector.kernel.is_alive()
            seconds = processor_seconds(collector) if running else 0.0
            stop()
            if seconds > CHAPTER_SECONDS:
                pytest.fail(
                    f"{collector.path.name} took {seconds:.1f} s of processor time, "
                    f"more than {CHAPTER_SECONDS:.0f} s",
                    pytrace=False,
                )

        collector.teardown = teardown


def processor_seconds(notebook: IPyNbFile) -> float:
    """Ask the notebook's kernel how much processor time it has used since it started."""
    client = notebook.kernel.kc
    expressions = {"seconds": "__import__('time').process_time()"}
    client.execute("", silent=True, user_expressions=expressions)
    while True:
        reply = client.get_shell_msg(timeout=30)["content"].get("user_expressions", {})
        if "seconds" in reply:
            return float(reply["seconds"]["data"]["text/plain"])
