"""Opens base-map layers of any vector format, each with the reader that suits it."""

from __future__ import annotations

from pathlib import Path

from twin.errors import SourceError
from twin.sources import gdal, osm, parquet
from twin.sources.block import DEFAULT_BLOCK, Reader, ReadOptions, SourceBlock, VectorSource

__all__ = ["DEFAULT_BLOCK", "ReadOptions", "Reader", "SourceBlock", "VectorSource", "open_source"]


def open_source(path: Path | str, options: ReadOptions | None = None) -> VectorSource:
    """Opens one table of a vector file.

    Args:
        path: File (or folder, for formats that are folders).
        options: Table, CRS, encoding, columns.

    Returns:
        The source; nothing but its description has been read.

    Raises:
        SourceError: The file is missing, damaged or of an unknown format.
        MisuseError: Several tables and none named, or a named table or column that is not there.
    """
    options = options or ReadOptions()
    path = Path(path)
    if not path.exists():
        raise SourceError("the file does not exist", file=path, next_step="check the path in twin.toml")
    if parquet.is_parquet(path):
        return parquet.open_parquet(path, options)
    if path.suffix.lower() in osm.SUFFIXES and options.table in (None, osm.TABLE):
        return osm.open_osm(path, options)
    return gdal.open_gdal(path, options)
