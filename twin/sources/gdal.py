"""Everything GDAL reads, through pyogrio's Arrow stream."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.errors
import pyogrio.raw
from numpy.typing import NDArray

from twin.errors import MisuseError, SourceError
from twin.sources import wkb
from twin.sources.vector import ReadOptions, SourceBlock, VectorSource, block_from_wkb

#: Drivers whose features can be reached by number without reading the ones before.
_SPLITTABLE: Final = frozenset({"GPKG", "ESRI Shapefile", "FlatGeobuf", "SQLite", "OpenFileGDB", "MapInfo File"})
_ERRORS: Final = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.CRSError,
    pyogrio.errors.FieldError,
    pa.ArrowException,
    ValueError,
    RuntimeError,
    OSError,
)


@contextmanager
def quiet(notes: list[str] | None = None) -> Iterator[None]:
    """Collects GDAL's warnings instead of printing them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    if notes is not None:
        notes.extend(dict.fromkeys(str(item.message) for item in caught))


@dataclass(frozen=True, slots=True)
class GdalReader:
    """Reads one table through GDAL.

    Attributes:
        path: What GDAL opens (may start with /vsizip/ or /vsigzip/).
        file: What the user named.
        table: Layer name.
        columns: Attributes to read, or None for all.
        encoding: Encoding handed to GDAL, or None.
        count: Number of features.
    """

    path: str
    file: Path
    table: str
    columns: tuple[str, ...] | None
    encoding: str | None
    count: int
    geometry_name: str

    def read(self, start: int, count: int) -> SourceBlock:
        with reading(self.file), quiet():
            _, table = pyogrio.raw.read_arrow(
                self.path,
                layer=self.table,
                columns=self.columns,
                encoding=self.encoding,
                skip_features=start,
                max_features=min(count, max(self.count - start, 0)),
            )
        return self._block(start, table.combine_chunks())

    def blocks(self, size: int) -> Iterator[SourceBlock]:
        start = 0
        with reading(self.file):
            for table in self._batches(size):
                yield self._block(start, table)
                start += table.num_rows

    def _batches(self, size: int) -> Iterator[pa.Table]:
        with quiet():
            stream = pyogrio.raw.open_arrow(
                self.path,
                layer=self.table,
                columns=self.columns,
                encoding=self.encoding,
                batch_size=size,
                use_pyarrow=True,
            )
            _, reader = stream.__enter__()
        try:
            while (batch := _next(reader)) is not None:
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])
        finally:
            stream.__exit__(None, None, None)

    def _block(self, start: int, table: pa.Table) -> SourceBlock:
        attributes, column = split_geometry(table, self.geometry_name)
        if column is None:
            return block_from_wkb(start, attributes, no_geometry(table.num_rows))
        return block_from_wkb(start, attributes, wkb.decode(column, lambda rows: self._linear(start, rows)))

    def _linear(self, start: int, rows: NDArray[np.int64]) -> list[bytes | None]:
        first, last = int(rows[0]), int(rows[-1])
        with reading(self.file), quiet():
            _, _, geometry, _ = pyogrio.raw.read(
                self.path, layer=self.table, columns=[], skip_features=start + first, max_features=last - first + 1
            )
        return [geometry[row - first] for row in rows]


def _next(reader: Any) -> pa.RecordBatch | None:
    with quiet():
        return next(reader, None)


def no_geometry(count: int) -> wkb.Decoded:
    """The geometry of a table that has none."""
    return wkb.finish(np.full(count, None, dtype=object))


def split_geometry(table: pa.Table, name: str) -> tuple[pa.Table, pa.Array | None]:
    """Attributes and WKB column of a table as GDAL gives it."""
    if name not in table.column_names:
        return table, None
    column = table.column(name)
    chunks = column.chunks
    array = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], pa.binary())
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return table.drop_columns([name]), array


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns GDAL's failures into `SourceError`."""
    try:
        yield
    except _ERRORS as error:
        raise SourceError(
            f"the file cannot be read: {error}", file=file, next_step="open it in QGIS and export it again"
        ) from error


def open_gdal(path: Path, options: ReadOptions) -> VectorSource:
    """Opens a file with GDAL; see `vector.open_source`."""
    name = gdal_path(path)
    notes: list[str] = []
    with reading(path), quiet(notes):
        tables = pyogrio.list_layers(name)
    table = choose_table(path, tables, options.table)
    with reading(path), quiet(notes):
        info = pyogrio.read_info(name, layer=table, encoding=options.encoding, force_feature_count=True)
        with pyogrio.raw.open_arrow(name, layer=table, encoding=options.encoding, use_pyarrow=True) as (meta, stream):
            schema = stream.schema
    geometry_name = meta["geometry_name"] or "wkb_geometry"
    fields = pa.schema([item.remove_metadata() for item in schema if item.name != geometry_name])
    check_columns(path, fields, options.columns)
    if options.columns is not None:
        fields = pa.schema([item for item in fields if item.name in options.columns])
    reader = GdalReader(name, path, table, options.columns, options.encoding, int(info["features"]), geometry_name)
    return VectorSource(
        path=path,
        table=table,
        driver=info["driver"],
        fields=fields,
        crs=options.crs or info["crs"],
        count=int(info["features"]),
        encoding=info["encoding"] or "UTF-8",
        splittable=info["driver"] in _SPLITTABLE and not name.startswith("/vsigzip/"),
        notes=tuple(dict.fromkeys(notes)),
        reader=reader,
    )


def gdal_path(path: Path) -> str:
    """The name under which GDAL opens a file, looking into .gz and .zip."""
    if path.suffix.lower() == ".gz":
        return f"/vsigzip/{path.resolve()}"
    if path.suffix.lower() == ".zip":
        return f"/vsizip/{path.resolve()}"
    return str(path)


def choose_table(path: Path, tables: NDArray[np.object_], wanted: str | None) -> str:
    """The table to read.

    Args:
        path: The file, for messages.
        tables: (n, 2) names and geometry types.
        wanted: The name the user gave, if any.

    Raises:
        SourceError: The file has no table.
        MisuseError: The name is not there, or none was given and several could be meant.
    """
    names = [str(name) for name in tables[:, 0]]
    if not names:
        raise SourceError("the file has no table", file=path, next_step="check that it is the right file")
    if wanted is not None:
        if wanted not in names:
            raise MisuseError(f'there is no table "{wanted}"', file=path, next_step=f"use one of: {', '.join(names)}")
        return wanted
    surfaces = [str(name) for name, kind in tables if kind and ("Polygon" in kind or "Surface" in kind)]
    for candidates in (names, surfaces):
        if len(candidates) == 1:
            return candidates[0]
    raise MisuseError(
        f"the file has {len(names)} tables and it is not plain which is meant",
        file=path,
        next_step=f'write `table = "..."` in twin.toml with one of: {", ".join(names)}',
    )


def check_columns(path: Path, fields: pa.Schema, columns: tuple[str, ...] | None) -> None:
    """Refuses columns that the source has not."""
    missing = [name for name in columns or () if name not in fields.names]
    if missing:
        raise MisuseError(
            f"there is no attribute {', '.join(missing)}",
            file=path,
            next_step=f"the attributes are: {', '.join(fields.names)}",
        )


def rename(block: SourceBlock, names: list[str]) -> SourceBlock:
    """The block with other attribute names."""
    return replace(block, attributes=block.attributes.rename_columns(names))


def describe(info: dict[str, Any]) -> str:
    """The driver and table of a pyogrio info dictionary."""
    return f"{info['driver']} table {info['layer_name']}"
