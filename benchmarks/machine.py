"""Describe the computer, the software and the state of the package behind a result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEERS = (
    "numpy",
    "scipy",
    "scikit-learn",
    "joblib",
    "numba",
    "llvmlite",
    "torch",
    "jax",
    "jaxlib",
    "optax",
    "keras",
    "dask",
    "distributed",
)


def digest() -> str:
    """Return a digest of the package's modules: what was measured is told from what is there."""
    state = hashlib.sha256()
    for path in sorted((ROOT / "optlearn").glob("*.py")):
        state.update(path.name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return state.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of every peer that is installed."""
    found = {"python": platform.python_version()}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def caches() -> dict[str, str]:
    """Return the first core's cache sizes, as Linux tells them."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level = _read(f"{folder}/type").strip(), _read(f"{folder}/level").strip()
        if kind in ("Data", "Unified"):
            found[f"L{level}"] = _read(f"{folder}/size").strip()
    return found


def description() -> dict[str, Any]:
    """Return processor, cores, caches, memory and operating system."""
    model = re.search(r"^model name\s*: (.+)$", _read("/proc/cpuinfo"), flags=re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), flags=re.MULTILINE)
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "caches": caches(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def blas() -> list[dict[str, Any]]:
    """Return which BLAS NumPy has loaded, for which processor, on how many threads."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))
    keys = ("internal_api", "version", "architecture", "num_threads")
    return [
        {key: pool.get(key) for key in keys}
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
