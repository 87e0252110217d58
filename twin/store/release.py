"""Releases on disk: read the served one, publish a new one in a single step, go back to the one before.

The served release is whatever `current.json` names. A release directory is complete before it gets its name and is
never touched afterwards, so a build killed at any point leaves the served release whole (promise 8).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from twin.errors import StoreError
from twin.store.base import TilesetStore, key_problem
from twin.store.lock import lock
from twin.store.open import open_store
from twin.store.staging import Finished, Staging

__all__ = [
    "Finished",
    "Release",
    "ReleasePointer",
    "Staging",
    "current",
    "lock",
    "open_current",
    "publish",
    "release_id",
    "release_json",
    "rollback",
]

CURRENT = "current.json"
RELEASES = "releases"
INFO = "release.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ReleasePointer:
    """What `current.json` says."""

    release: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A finished release.

    Attributes:
        path: Its directory.
        info: `release.json` as written by the build.
    """

    path: Path
    info: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Release:
        """Reads `release.json`.

        Raises:
            StoreError: If it is missing, damaged or of a later format.
        """
        info = _read_json(path / INFO)
        if info.get("format") != FORMAT:
            what = f"the release has format {info.get('format')!r}, this program reads {FORMAT}"
            raise StoreError(what, file=path / INFO, next_step="update this program or build again")
        if not isinstance(info.get("layers"), dict):
            raise StoreError("the release has no layers", file=path / INFO, next_step="build again")
        return cls(path, info)

    @property
    def id(self) -> str:
        """The release id."""
        return str(self.info["release"])

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, sorted."""
        return tuple(sorted(self.info["layers"]))

    @property
    def index(self) -> Path:
        """The file of the entity index."""
        return _inside(self.path, str(self.info.get("index", "entities.arrow")))

    def store_path(self, layer: str) -> Path:
        """Where the tileset of a layer lies. Raises `StoreError` if there is no such layer."""
        row = self.info["layers"].get(layer)
        if row is None:
            raise StoreError(
                f"there is no layer {layer!r}", file=self.path, next_step=f"layers: {', '.join(self.layers)}"
            )
        return _inside(self.path, str(row["store"]))

    def store(self, layer: str) -> TilesetStore:
        """Opens the tileset of a layer."""
        return open_store(self.store_path(layer))


def _inside(folder: Path, name: str) -> Path:
    if key_problem(name):
        raise StoreError(
            f"{name[:80]!r} is no plain file name", file=folder / INFO, next_step="do not trust this release"
        )
    return folder / name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError("there is no such file", file=path, next_step="build first, or check the path") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"it cannot be read ({error})", file=path, next_step="build again") from error
    if not isinstance(document, dict):
        raise StoreError("it is no JSON object", file=path, next_step="build again")
    return document


def release_id(layer_digests: Mapping[str, str], index_digest: str) -> str:
    """First 16 hex digits of the SHA-256 over the sorted layer digests and the digest of the index."""
    lines = [f"{layer} {digest}\n" for layer, digest in sorted(layer_digests.items())]
    return sha256("".join([*lines, f"index {index_digest}\n"]).encode()).hexdigest()[:16]


def release_json(info: Mapping[str, Any]) -> bytes:
    """The bytes of `release.json`: sorted, no clock."""
    return (json.dumps(info, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def current(out: Path) -> ReleasePointer | None:
    """Which release is served; None before the first.

    Raises:
        StoreError: If `current.json` is damaged.
    """
    path = out / CURRENT
    if not path.exists():
        return None
    document = _read_json(path)
    release, previous = document.get("release"), document.get("previous")
    if not _is_id(release) or not (previous is None or _is_id(previous)):
        raise StoreError("it does not name a release", file=path, next_step="build again")
    return ReleasePointer(str(release), previous)


def _is_id(text: object) -> bool:
    return isinstance(text, str) and key_problem(text) is None and "/" not in text


def open_current(out: Path) -> Release:
    """Opens the served release.

    Raises:
        StoreError: If there is none yet or it is damaged.
    """
    pointer = current(out)
    if pointer is None:
        raise StoreError("nothing has been published here yet", file=out, next_step="run `twin build`")
    return Release.open(out / RELEASES / pointer.release)


def publish(out: Path, staging: Staging, release: str, keep: int = 2) -> ReleasePointer:
    """Makes a staged release the served one.

    Everything is on the disk before the one step that counts, the replacement of `current.json`. The release before
    stays for `rollback`, so do the youngest of the older ones up to `keep`; the rest go. Call it under `lock`.

    Args:
        out: The output directory.
        staging: Holds the finished release in `staging.release_path`.
        release: Its id.
        keep: How many releases stay, the new one included; the one before always does, unless it is 1.

    Raises:
        StoreError: If the staged release is not complete, or the disk refuses.
    """
    if not _is_id(release):
        raise StoreError(f"{release!r} cannot be a release id", next_step="take it from `release_id`")
    Release.open(staging.release_path)
    before = current(out)
    try:
        sync_tree(staging.release_path)
        _put_in_place(staging.release_path, out / RELEASES / release)
        pointer = _successor(before, release) if keep > 1 else ReleasePointer(release)
        point_to(out, pointer)
        _prune(out, pointer, keep)
        staging.remove()
    except OSError as error:
        raise StoreError(
            f"cannot publish ({error})", file=out, next_step="free disk space, check rights, build again"
        ) from error
    return pointer


def _successor(before: ReleasePointer | None, release: str) -> ReleasePointer:
    if before is None:
        return ReleasePointer(release)
    return ReleasePointer(release, before.previous if before.release == release else before.release)


def _put_in_place(staged: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        _merge(staged, final)
    else:
        staged.rename(final)
    _sync_folder(final.parent)


def _merge(staged: Path, final: Path) -> None:
    """Puts a release over one with the same id, that is the same content, while that may be served.

    Only what the id does not cover can differ (kind of store, variants, report): files are replaced one by one, each
    atomically, `release.json` as the last, and only then leftovers go. Every step in between serves the same content.
    """
    files = [path.relative_to(staged) for path in sorted(staged.rglob("*")) if path.is_file()]
    for file in sorted(files, key=lambda f: (f == Path(INFO), f.name == "entries.json", f)):
        target = final / file
        if not _same_bytes(staged / file, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            (staged / file).replace(target)
    sync_tree(final)
    keep = set(files)
    for path in sorted(final.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(final) not in keep:
            path.unlink()


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    block = 1 << 20
    with one.open("rb") as a, other.open("rb") as b:
        while piece := a.read(block):
            if piece != b.read(block):
                return False
    return True


def point_to(out: Path, pointer: ReleasePointer) -> None:
    """Replaces `current.json` in one step."""
    text = json.dumps({"release": pointer.release, "previous": pointer.previous}) + "\n"
    staged = out / f".{CURRENT}.new"
    with staged.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    staged.replace(out / CURRENT)
    _sync_folder(out)


def _prune(out: Path, pointer: ReleasePointer, count: int) -> None:
    keep = {pointer.release, pointer.previous} - {None}
    folders = [path for path in (out / RELEASES).iterdir() if path.is_dir() and path.name not in keep]
    whole = [path for path in folders if _is_id(path.name) and not path.name.startswith(".")]
    youngest = sorted(whole, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    spared = set(youngest[: max(count - len(keep), 0)])
    for path in folders:
        if path not in spared:
            # a half deleted release must not have its name
            doomed = out / RELEASES / f".{path.name.lstrip('.')}.doomed"
            path.rename(doomed)
            shutil.rmtree(doomed)


def rollback(out: Path) -> ReleasePointer:
    """Serves the release before; a second rollback undoes the first. Call it under `lock`.

    Raises:
        StoreError: If there is no release to go back to.
    """
    pointer = current(out)
    if pointer is None or pointer.previous is None:
        raise StoreError("there is no earlier release to go back to", file=out, next_step="build the data you want")
    Release.open(out / RELEASES / pointer.previous)
    swapped = ReleasePointer(pointer.previous, pointer.release)
    point_to(out, swapped)
    return swapped


def sync_tree(folder: Path) -> None:
    """Waits until every file and folder below is on the disk."""
    for path, _, names in os.walk(folder):
        for name in names:
            _sync(Path(path) / name)
        _sync_folder(Path(path))


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":  # Windows cannot open a folder
        _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
