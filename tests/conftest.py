"""Settings shared by every test: the same hypothesis examples on every machine, and summaries."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# derandomize: a failure met once is met again; no deadline: continuous-integration
# machines are busy; few examples: whole trajectories are compared in each of them.
settings.register_profile(
    "optlearn",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("optlearn")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what a passing test has recorded as its ``summary``, from xdist's workers too."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == "summary":
                terminalreporter.write_line(text)
