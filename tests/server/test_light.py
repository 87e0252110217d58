"""What a server must not bring in: it runs under accounts that cannot write a cache of compiled code."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("heavy", ["numba", "rasterio", "pyogrio", "geopandas"])
def test_a_server_needs_nothing_of_a_build(heavy: str) -> None:
    program = f"import sys, server.app, server.command; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
