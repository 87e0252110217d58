"""What all tests share: a clean environment, a repeatable hypothesis, services that are there or said to be absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from tests.mosquitto import broker  # noqa: F401  fixture for every test
from tests.postgis import postgis_cluster, postgis_url  # noqa: F401  fixtures for every test

#: Programs that stand for a service, best first, and what to do where there is none.
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "nginx": ("nginx",),
    "wrk": ("wrk",),
}
#: Variables that name a program instead of PATH.
OVERRIDES = {"chromium": "TWIN_CHROMIUM"}
#: What would change what is tested: GDAL's and PROJ's data of another installation, colours in captured output.
UNWANTED = (
    "PROJ_DATA",
    "PROJ_LIB",
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "FORCE_COLOR",
    "NO_COLOR",
    "PYTHONWARNINGS",
    "TWIN_DATABASE_URL",
)
#: Debian keeps servers where only root looks.
SERVER_FOLDERS = ("/usr/sbin", "/sbin")

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


def pytest_configure() -> None:
    """Takes unwanted variables away before anything is imported, in the tests and in the programs they start."""
    for name in UNWANTED:
        os.environ.pop(name, None)


def absent(reason: str) -> NoReturn:
    """Ends the test that needs something this machine lacks: a skip, or a failure where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true allows no missing service)", pytrace=False)
    pytest.skip(reason)


def find_program(name: str) -> Path | None:
    """The program that stands for a service, or None."""
    named = os.environ.get(OVERRIDES.get(name, ""))
    if named:
        return Path(named)
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SERVER_FOLDERS))
    found = (shutil.which(candidate, path=folders) for candidate in PROGRAMS[name])
    return next((Path(program) for program in found if program), None)


@pytest.fixture(scope="session")
def require() -> Callable[[str], Path]:
    """`require("chromium")` gives the program; where there is none the test skips, and fails under CI=true."""

    def get(name: str) -> Path:
        program = find_program(name)
        if program is None:
            absent(f"{name} is not installed: apt-get install {name}")
        return program

    return get


@pytest.fixture(scope="session")
def chromium(require: Callable[[str], Path]) -> Path:
    """The system's Chromium."""
    return require("chromium")


@pytest.fixture(scope="session")
def built_viewer() -> Path:
    """Folder of the built viewer; `make test` builds it first."""
    dist = Path(__file__).parents[1] / "server" / "viewer" / "dist"
    if not (dist / "index.html").is_file():
        absent("the viewer has not been built: make viewer")
    return dist


@pytest.fixture(autouse=True)
def _same_folder_after_as_before() -> Iterator[None]:
    """A test that changes the working folder would change what the next one reads."""
    before = Path.cwd()
    yield
    if Path.cwd() != before:
        os.chdir(before)
        pytest.fail("the test left another working folder behind; use monkeypatch.chdir")
