"""The outside judges of tests/js, installed once from package-lock.json."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import absent
from tools.build_viewer import find_in_wheel, find_on_path
from twin.tiles.external import find_node

JS = Path(__file__).parents[1] / "js"


@pytest.fixture(scope="session")
def node() -> str:
    """The Node program; without it the tests skip, on CI they fail."""
    found = find_node()
    if found is None:
        absent("Node is not installed, so no outside judge can run")
    return found


@pytest.fixture(scope="session")
def judges(node: str) -> Path:
    """`node_modules` with gltf-validator, meshoptimizer and @cesium/engine, exactly as locked."""
    modules = JS / "node_modules"
    cache = JS.parents[1] / ".cache"
    cache.mkdir(exist_ok=True)
    with (cache / "judges.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = modules / ".package-lock.json"
        fresh = stamp.exists() and stamp.stat().st_mtime >= (JS / "package-lock.json").stat().st_mtime
        if not fresh:
            tool = find_on_path() or find_in_wheel()
            if tool is None:
                absent("npm is not installed, so the outside judges cannot be fetched")
            command = [*tool.npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            path = f"{tool.folder}{os.pathsep}{os.environ.get('PATH', '')}"
            environment = {**os.environ, "PATH": path}
            done = subprocess.run(command, cwd=JS, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                absent(f"npm ci failed in {JS}: {done.stderr[-300:]}")
            stamp.touch()
    return modules
