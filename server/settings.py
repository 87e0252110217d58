"""What the server was told: one frozen record, read once at start; from outside comes the database's address alone."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.errors import MisuseError, ProjectError
from twin.registry import place

PROJECT_FILE = "twin.toml"
POINTER_FILE = "current.json"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve one district.

    Attributes:
        root: A project directory (holds `twin.toml`) or a release directory (holds `current.json`).
        host: Address to listen on.
        port: TCP port; 0 lets the system choose a free one.
        metrics_port: Port of the Prometheus exposition; None switches it off.
        public: The user has said that anybody who reaches the address may read everything.
        base_path: Path prefix under which everything is served, such as `/twin`; "" for none.
        cors: Origins whose pages may read the answers; `*` for any.
        tile_cache_mib: Bound of the tile cache in memory.
        reload_seconds: How often `current.json` is looked at.
        viewer: Folder with the built viewer; None takes the one inside the package.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_port: int | None = None
    public: bool = False
    base_path: str = ""
    cors: tuple[str, ...] = ()
    tile_cache_mib: int = 256
    reload_seconds: float = 1.0
    viewer: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "base_path", clean_base_path(self.base_path))
        for origin in self.cors:
            check_origin(origin)

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach the address."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    parts = host.split(".")
    in_127 = parts[0] == "127" and len(parts) == 4 and all(part.isdigit() for part in parts)
    return in_127 or host in LOOPBACK


def clean_base_path(text: str) -> str:
    """Gives the prefix as `/a/b` or "".

    Raises:
        MisuseError: The text holds something that cannot stand unescaped in a URL path.
    """
    parts = [part for part in text.strip().split("/") if part]
    allowed = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
    if any(part in {".", ".."} or not allowed.issuperset(part) for part in parts):
        raise MisuseError(
            f"base path {text!r} is not a plain URL path", next_step="use letters, digits and - . _ ~, such as /twin"
        )
    return "".join(f"/{part}" for part in parts)


def check_origin(text: str) -> None:
    """Refuses what a browser would never send as `Origin`.

    Raises:
        MisuseError: Not `*` and not `scheme://host[:port]`.
    """
    scheme, separator, host = text.partition("://")
    plain = text.isascii() and text.isprintable() and not set(text) & set(" ,;'\"")
    if text != "*" and not (separator and scheme in {"http", "https"} and host and "/" not in host and plain):
        raise MisuseError(
            f"{text!r} is not an origin", next_step="write scheme://host or scheme://host:port without a path, or *"
        )


def read_project_file(root: Path) -> dict[str, Any] | None:
    """Reads `twin.toml` of a project directory; None where `root` is not one.

    Raises:
        ProjectError: The file is not TOML.
    """
    path = root / PROJECT_FILE
    if not path.is_file():
        return None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"not valid TOML: {error}", file=path, next_step="correct the line that is named") from None


def release_directory(root: Path) -> Path:
    """Finds the folder that holds `current.json`, which need not have been built yet.

    Raises:
        MisuseError: `root` is neither a project nor a release directory.
        ProjectError: `twin.toml` is not TOML, or its output path is not text.
    """
    if (root / POINTER_FILE).is_file():
        return root
    project = read_project_file(root)
    if project is None:
        raise MisuseError(
            f"neither a project ({PROJECT_FILE}) nor a release directory ({POINTER_FILE})",
            file=root,
            next_step="name the folder with -C, or run `twin init` and `twin build` first",
        )
    output = project.get("output", {})
    path = output.get("path", "out") if isinstance(output, dict) else None
    if not isinstance(path, str):
        raise ProjectError("[output] path must be text", file=root / PROJECT_FILE, next_step='write path = "out"')
    return root / path


def registry_location(root: Path, environment: Mapping[str, str] | None = None) -> Path | str | None:
    """Where the registry and the history lie, by the rule of `twin.registry.place`.

    Args:
        root: What is served.
        environment: Variables; those of the process if left out.

    Returns:
        A file or the address of a database; None where `root` is a release directory and no database is named.

    Raises:
        ProjectError: What is named is no database this program knows.
    """
    project = read_project_file(root)
    if project is None:
        return place.stated_database(None, environment)
    section = project.get("registry", {})
    url = section.get("database_url") if isinstance(section, dict) else None
    return place.registry_location(root, url if isinstance(url, str) else None, environment)


def private_crs(root: Path) -> str | None:
    """The working CRS as the project file states it: a release leaves a private definition out.

    Returns:
        The text, or None where `root` is a release directory or the key is missing.
    """
    project = read_project_file(root) or {}
    section = project.get("project", {})
    text = section.get("working_crs") if isinstance(section, dict) else None
    return text if isinstance(text, str) else None
