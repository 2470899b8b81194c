"""Settings shared by every test: the same hypothesis examples on every machine."""

from __future__ import annotations

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
