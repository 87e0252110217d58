"""Finds the data files in a folder a user names and in the folders inside it, as far as a person would look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.build_result import REGISTRY
from pipelines.project import FILE_NAME
from twin.errors import MisuseError
from twin.store.release import CURRENT

RASTER_SUFFIXES = frozenset({
    ".tif", ".tiff", ".asc", ".img", ".vrt", ".hgt", ".jp2", ".grd", ".gtx", ".bil", ".flt",
    ".dem", ".dt0", ".dt1", ".dt2", ".adf", ".nc",
})  # fmt: skip
VECTOR_SUFFIXES = frozenset({
    ".shp", ".gpkg", ".geojson", ".geojsonl", ".geojsons", ".geojsonseq", ".ndjson", ".json", ".fgb", ".parquet",
    ".geoparquet", ".gml", ".pbf", ".kml", ".tab", ".mif", ".gdb", ".sqlite", ".gz",
})  # fmt: skip

#: How many folders below the one that is named are entered.
DEPTH = 3
#: The one file of an ArcInfo grid (a folder of .adf files) it is read by.
_GRID = "w001001.adf"


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The data files of a folder.

    Attributes:
        files: Those of a folder by name, before those of the folders inside it, by name.
        closed: Folders that lie too deep to be entered.
    """

    files: tuple[Path, ...]
    closed: tuple[Path, ...]


def is_folder(path: Path) -> bool:
    """True for a folder to look into; a file geodatabase is one, too, but counts as a file."""
    return path.is_dir() and path.suffix.lower() not in VECTOR_SUFFIXES


def data_files(folder: Path) -> FolderFiles:
    """The files of a known format in a folder and in the folders inside it, `DEPTH` deep.

    Hidden folders are not entered, nor what this program has written itself: releases and the registry. A folder that
    is there twice, by a link, is entered once.

    Raises:
        MisuseError: A folder cannot be read.
    """
    files: list[Path] = []
    closed: list[Path] = []
    _gather(folder, 0, {folder.resolve()}, (files, closed))
    return FolderFiles(tuple(files), tuple(closed))


def _gather(folder: Path, depth: int, seen: set[Path], out: tuple[list[Path], list[Path]]) -> None:
    files, closed = out
    inside = _listed(folder)
    files += [item for item in inside if _is_data(item)]
    for item in inside:
        if not is_folder(item) or _is_release(item) or item.resolve() in seen:
            continue
        if depth == DEPTH:
            closed.append(item)
            continue
        seen.add(item.resolve())
        _gather(item, depth + 1, seen, out)


def _listed(folder: Path) -> list[Path]:
    try:
        return [item for item in sorted(folder.iterdir()) if not item.name.startswith(".")]
    except OSError as error:
        raise MisuseError(
            f"the folder cannot be read: {error.strerror}", file=folder, next_step="name the files you mean themselves"
        ) from error


def _is_release(folder: Path) -> bool:
    return (folder / CURRENT).is_file()


def _is_data(item: Path) -> bool:
    suffix = item.suffix.lower()
    if suffix == ".adf":
        return item.name.lower() == _GRID
    if item.name == REGISTRY:
        return not (item.parent / FILE_NAME).exists()
    return suffix in VECTOR_SUFFIXES or (suffix in RASTER_SUFFIXES and item.is_file())
