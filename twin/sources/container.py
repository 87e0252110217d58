"""Where the bytes of a source lie: plain, zipped, gzipped, or a shapefile that has lost its index."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

import pyogrio
import pyogrio.errors

from twin.caught import caught_warnings
from twin.errors import MisuseError, SourceError
from twin.sources.encoding import beside

_DATASETS: Final = frozenset(
    {
        ".shp",
        ".gpkg",
        ".geojson",
        ".json",
        ".geojsonl",
        ".ndjson",
        ".fgb",
        ".gml",
        ".kml",
        ".sqlite",
        ".tab",
        ".mif",
        ".csv",
    }
)
_JSON: Final = frozenset({".json", ".geojson", ".geojsonl", ".geojsons", ".ndjson", ".jsonl", ".ndgeojson"})
_HEAD_BYTES: Final = 4 << 20
_SIDECARS: Final = (".dbf", ".prj", ".cpg")


@dataclass(frozen=True, slots=True)
class Located:
    """How GDAL opens a file.

    Attributes:
        name: Path, or a /vsizip/ or /vsigzip/ name.
        dbf: The DBF (or .shp) on disk whose encoding has to be judged, if the format is a shapefile.
        suffix: Suffix of the data set itself, lower case.
        random_access: False where the bytes come out of a compressed stream.
        notes: What was done to get at it.
    """

    name: str
    dbf: Path | None
    suffix: str
    random_access: bool = True
    notes: tuple[str, ...] = ()


def locate(path: Path, table: str | None = None) -> Located:
    """Finds the data set in or behind a file.

    Args:
        path: What the user named.
        table: Table asked for; picks the member of a zip that holds several.

    Raises:
        SourceError: The zip is damaged or holds no data set.
        MisuseError: The zip holds several and none is named.
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        inner = Path(path.stem).suffix.lower()
        prefix = "GeoJSONSeq:" if inner in _JSON and is_sequence(path) else ""
        return Located(f"{prefix}/vsigzip/{path.resolve()}", None, inner, random_access=False)
    if suffix in _JSON and is_sequence(path):
        return Located(f"GeoJSONSeq:{path.resolve()}", None, suffix)
    if suffix in (".zip", ".shz"):
        return _in_zip(path, table)
    if suffix == ".shp" and beside(path, ".shx") is None:
        restored = _with_index(str(path.resolve()), path.stat().st_mtime_ns)
        return Located(restored, Path(restored), suffix, notes=("the .shx was missing; the index was rebuilt",))
    return Located(str(path), path if suffix in (".shp", ".dbf") else None, suffix)


def is_sequence(path: Path) -> bool:
    """True for GeoJSON text sequences (RFC 8142) and one feature a line, whatever the file is called.

    GDAL goes by the name and would read one feature of such a file and no more.

    Raises:
        SourceError: A .gz is damaged.
    """
    head = _head(path)
    if head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] == b"\x1e":
        return True
    line, newline, rest = head.lstrip(b" \t\r\n\xef\xbb\xbf").partition(b"\n")
    if not newline and len(head) >= _HEAD_BYTES:
        return False
    try:
        first = json.loads(line)
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("type") == "Feature" and rest.lstrip()[:1] == b"{"


def _head(path: Path) -> bytes:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as file:
            return bytes(file.read(_HEAD_BYTES))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"the .gz is damaged: {error}", file=path, next_step="copy or download it again") from error


def _in_zip(path: Path, table: str | None) -> Located:
    member = _member(path, table)
    suffix = member.suffix.lower()
    sidecars = (
        _extract_sidecars(str(path.resolve()), str(member), path.stat().st_mtime_ns) if suffix == ".shp" else None
    )
    return Located(f"/vsizip/{path.resolve()}/{member}", sidecars, suffix, random_access=False)


def _member(path: Path, table: str | None) -> PurePosixPath:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        raise SourceError(f"the zip is damaged: {error}", file=path, next_step="copy or download it again") from error
    found = [name for name in names if name.suffix.lower() in _DATASETS and "__MACOSX" not in name.parts]
    named = [name for name in found if table is not None and name.stem == table]
    for candidates in (named, found):
        if len(candidates) == 1:
            return candidates[0]
    if not found:
        raise SourceError("there is no vector file in the zip", file=path, next_step="name the right file")
    raise MisuseError(
        f"the zip holds {len(found)} files and it is not plain which is meant",
        file=path,
        next_step=f'write `table = "..."` in twin.toml with one of: {", ".join(name.stem for name in found)}',
    )


@lru_cache(maxsize=32)
def _extract_sidecars(path: str, member: str, _modified: int) -> Path | None:
    """The DBF and .cpg of a zipped shapefile on disk, which is what its encoding is judged by."""
    folder = _temporary()
    stem = PurePosixPath(member).with_suffix("")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            inner = PurePosixPath(name)
            if inner.with_suffix("") == stem and inner.suffix.lower() in (".dbf", ".cpg"):
                with archive.open(name) as source, (folder / f"table{inner.suffix.lower()}").open("wb") as target:
                    shutil.copyfileobj(source, target)
    return folder / "table.shp"


@lru_cache(maxsize=32)
def _with_index(path: str, _modified: int) -> str:
    """A shapefile without .shx, linked into a folder of our own where GDAL may write the index."""
    source = Path(path)
    folder = _temporary()
    (folder / source.name).with_suffix(".shp").symlink_to(source)
    for suffix in _SIDECARS:
        sidecar = beside(source, suffix)
        if sidecar is not None:
            (folder / source.name).with_suffix(suffix).symlink_to(sidecar)
    name = str((folder / source.name).with_suffix(".shp"))
    try:
        with caught_warnings("ignore"):
            pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "YES"})
            pyogrio.read_info(name, encoding="ISO-8859-1")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise SourceError(
            f"the .shx is missing and no index can be rebuilt from the .shp: {error}",
            file=path,
            next_step="ask for the complete shapefile (.shp, .shx, .dbf, .prj)",
        ) from error
    finally:
        pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": None})
    return name


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="twin-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker must not take the folder away from its parent
        shutil.rmtree(folder, ignore_errors=True)
