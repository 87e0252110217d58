"""The wheel a user installs: what is in it, what is not, and that it works away from the clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from twin.entity import geid

ROOT = Path(__file__).parents[2]
PACKAGES = ("twin", "pipelines", "server", "data_samples")
#: What a clone gives to a build, besides the packages; `server/viewer` without the modules of npm.
_BESIDE = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
_NEVER = ("node_modules", "/src/", "tests/", ".ts", ".tsx", "package.json", "package-lock.json", ".nbi", ".nbc", ".pyc")


def copy_clone(target: Path, *, viewer: bool) -> Path:
    """The files a build needs, so that it leaves no `build` folder in the clone, and the clone none of its own here."""
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.nbi", "*.nbc", *(() if viewer else ("dist",)))
    for name in PACKAGES:
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    for name in _BESIDE:
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target / name)
    return target


def build_wheel(source: Path, target: Path) -> Path:
    """Builds a wheel with what is installed; fetches nothing."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", target, source], check=True, capture_output=True, timeout=300)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(built_viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a clone whose viewer has been built."""
    folder = tmp_path_factory.mktemp("wheel")
    return build_wheel(copy_clone(folder / "clone", viewer=True), folder / "dist")


@pytest.fixture(scope="module")
def names(wheel: Path) -> frozenset[str]:
    """Every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


def test_every_module_is_in_the_wheel(names: frozenset[str]) -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "node_modules" not in path.parts
    }
    assert modules
    assert modules == {name for name in names if name.endswith(".py")}


def test_the_built_viewer_is_in_the_wheel_file_by_file(names: frozenset[str], built_viewer: Path) -> None:
    built = {
        f"server/viewer/dist/{path.relative_to(built_viewer).as_posix()}"
        for path in built_viewer.rglob("*")
        if path.is_file() and path.name != ".stamp"
    }
    assert "server/viewer/dist/index.html" in built
    assert built == {name for name in names if name.startswith("server/viewer/")}


def test_what_packages_read_at_run_time_is_in_the_wheel(names: frozenset[str]) -> None:
    assert {
        "twin/py.typed",
        "twin/sources/osmconf.ini",
        "data_samples/admin.json",
        "data_samples/twin.toml.in",
        "data_samples/LICENSE",
    } <= names
    templates = {f"pipelines/templates/{path.name}" for path in (ROOT / "pipelines" / "templates").iterdir()}
    assert {name for name in templates if not name.endswith("__pycache__")} <= names


def test_no_sources_of_the_viewer_no_tests_and_no_caches_are_in_the_wheel(names: frozenset[str]) -> None:
    assert not [name for name in names for part in _NEVER if part in f"/{name}"]
    folders = {PurePosixPath(name).parts[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == set(PACKAGES)


def test_the_licence_is_in_the_wheel(names: frozenset[str]) -> None:
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel, and the dependencies of the tests' own environment behind it."""

    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment, away from the clone."""
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=300, check=False
        )

    @staticmethod
    def environment() -> Mapping[str, str]:
        """The tests' environment without what points into the clone."""
        return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def install(wheel: Path, folder: Path) -> Installed:
    """Installs the wheel; dependencies are read from the tests' environment, its editable install left aside."""
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*command, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True, timeout=300)
    # A .pth file adds folders without reading the .pth files in them, which is where the editable install is.
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("".join(f"{place}\n" for place in sorted(places)))
    return Installed(folder)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel, installed."""
    yield install(wheel, tmp_path_factory.mktemp("installed") / "env")


def test_the_installed_packages_are_the_wheels_and_not_the_clones(installed: Installed) -> None:
    code = f"import json, {', '.join(PACKAGES)}; print(json.dumps([m.__file__ for m in ({', '.join(PACKAGES)})]))"
    answer = installed.run("python", "-c", code)
    assert answer.returncode == 0, answer.stderr
    assert all(Path(file).is_relative_to(installed.folder) for file in json.loads(answer.stdout))


def test_the_installed_command_says_its_version(installed: Installed, wheel: Path) -> None:
    answer = installed.run("twin", "--version")
    assert answer.returncode == 0, answer.stderr
    assert wheel.name.split("-")[1] in answer.stdout


def test_the_installed_command_explains_an_identifier(installed: Installed) -> None:
    minted = geid.mint("310105", ["survey/4711"])[0]
    answer = installed.run("twin", "id", minted.upper())
    assert answer.returncode == 0, answer.stderr
    assert minted in answer.stdout


def test_the_installed_command_serves_too(installed: Installed) -> None:
    """`serve` comes from another package through its entry point."""
    answer = installed.run("twin", "serve", "--help")
    assert answer.returncode == 0, answer.stderr
    assert "--port" in answer.stdout


def test_the_installed_server_finds_the_viewer(installed: Installed, built_viewer: Path) -> None:
    code = "from server.viewer_files import package_viewer; print(len((package_viewer() / 'index.html').read_bytes()))"
    answer = installed.run("python", "-c", code)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) == (built_viewer / "index.html").stat().st_size


@pytest.mark.slow
def test_the_installed_command_builds_the_sample_extract(installed: Installed, tmp_path: Path) -> None:
    answer = installed.run("twin", "demo", "--extract", "--no-serve", "--json", "-o", str(tmp_path / "demo"))
    assert answer.returncode == 3, answer.stderr  # built, with the faults the sample holds on purpose
    report = json.loads(answer.stdout)["layers"]["buildings"]
    assert report["read"] > 0
    assert report["built"] + report["fallback"] + report["skipped"] + report["failed"] == report["read"]


def test_a_clone_without_a_built_viewer_installs_and_its_server_says_how_to_build_it(tmp_path: Path) -> None:
    plain = build_wheel(copy_clone(tmp_path / "clone", viewer=False), tmp_path / "dist")
    with zipfile.ZipFile(plain) as archive:
        assert not [name for name in archive.namelist() if name.startswith("server/viewer/")]
    bare = install(plain, tmp_path / "env")
    code = "from server.viewer_files import load_viewer, package_viewer; print(load_viewer(package_viewer()))"
    answer = bare.run("python", "-c", code)
    assert (answer.returncode, answer.stdout.strip()) == (0, "{}"), answer.stderr
