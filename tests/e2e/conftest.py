"""The built sample, served twice, and a browser without a graphics card to look at it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

from data_samples.generate import generate_district
from pipelines.project import load_project
from pipelines.run import BuildOptions, build
from tests.e2e.served import Served, serving
from tests.e2e.visit import Visit

CHROMIUM = Path("/usr/bin/chromium")
REPOSITORY = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE = (1024, 576)


def cannot(reason: str) -> NoReturn:
    """Skips on a machine that lacks something; CI must have everything."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def built_viewer() -> None:
    """The viewer, built from the sources as they are."""
    command = [sys.executable, str(REPOSITORY / "tools" / "build_viewer.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        cannot(f"the viewer cannot be built: {(done.stderr or done.stdout).strip()[-500:]}")


@pytest.fixture(scope="session")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extract of the sample district, built into small tiles, so that not all of them are in every view."""
    toml = generate_district(tmp_path_factory.mktemp("extract"), extent="extract")
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("[layers.buildings]\n", "[layers.buildings]\ntile_budget_kib = 16\n"), "utf-8")
    assert build(load_project(toml.parent), BuildOptions()).tiles > 4
    return toml.parent


@pytest.fixture(scope="session")
def quiet(extract: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extract without events, so that the map and its panels have the page for themselves."""
    root = tmp_path_factory.mktemp("quiet") / "district"
    shutil.copytree(extract, root, ignore=shutil.ignore_patterns("events.sqlite*"))
    toml = root / "twin.toml"
    text, events = re.subn(r"(?ms)^\[live\]\n.*?(?=^\[|\Z)", "", toml.read_text(encoding="utf-8"))
    assert events == 1
    toml.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def plain(quiet: Path, built_viewer: None) -> Iterator[Served]:
    """Served at the root of its host."""
    with serving(quiet) as served:
        assert served.url.count("/") == 3
        yield served


@pytest.fixture(scope="session")
def prefixed(quiet: Path, built_viewer: None) -> Iterator[Served]:
    """Served below a path prefix."""
    with serving(quiet, "--base-path", "/x") as served:
        assert served.url.endswith("/x/")
        yield served


# Not for the session: while it is open Playwright keeps an event loop running in this thread, where others run theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    if not CHROMIUM.exists():
        cannot(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[Served], Visit]]:
    """Opens pages; at the end each must have been clean."""
    visits: list[Visit] = []
    contexts = []

    def start(served: Served) -> Visit:
        context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, locale="en-GB")
        contexts.append(context)
        visits.append(Visit(context.new_page(), served))
        return visits[-1]

    yield start
    try:
        for one in visits:
            one.check()
    finally:
        for context in contexts:
            context.close()
