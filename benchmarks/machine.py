"""What a benchmark ran on: stated in every result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def hardware() -> dict[str, str]:
    """Processor, cores, memory, system, and the versions that matter."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 1024**2
    names = ("numpy", "numba", "shapely", "pyproj", "pyogrio", "pyarrow", "zstandard", "isal")
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        **{name: version(name) for name in names},
    }


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def load() -> float:
    """Load average of the last minute: a figure taken on a busy machine says so."""
    return os.getloadavg()[0]
