"""GeoParquet, which the GDAL of the wheels does not read."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from twin.errors import MisuseError, SourceError
from twin.sources import wkb
from twin.sources.block import ReadOptions, SourceBlock, VectorSource, block_from_wkb
from twin.sources.layer import choose_columns
from twin.sources.text import Decoder, decode_table, is_nested, plain_type

_MAGIC: Final = b"PAR1"
_UTF8: Final = Decoder("utf-8", False, {})


def is_parquet(path: Path) -> bool:
    """True where the file starts with Parquet's magic number."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


_NEXT: Final = "open it with a current GDAL or geopandas and export it again"
#: GeoParquet 1.1 "geometry type" of the native encodings, as shapely names it, and how deep the lists go.
_NATIVE: Final = {
    "point": (shapely.GeometryType.POINT, 0),
    "linestring": (shapely.GeometryType.LINESTRING, 1),
    "multipoint": (shapely.GeometryType.MULTIPOINT, 1),
    "polygon": (shapely.GeometryType.POLYGON, 2),
    "multilinestring": (shapely.GeometryType.MULTILINESTRING, 2),
    "multipolygon": (shapely.GeometryType.MULTIPOLYGON, 3),
}


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """Reads GeoParquet by row groups.

    Attributes:
        file: The file.
        geometry_name: Column that holds the geometry, or None.
        encoding: "wkb" or a native encoding of GeoParquet 1.1.
        columns: Attributes to read.
    """

    file: Path
    geometry_name: str | None
    encoding: str
    columns: tuple[str, ...]

    def read(self, start: int, count: int) -> SourceBlock:
        """See `vector.Reader`."""
        with reading(self.file):
            stored = _open(self.file)
            ends = np.cumsum([stored.metadata.row_group(i).num_rows for i in range(stored.num_row_groups)]).tolist()
            stop = min(start + count, stored.metadata.num_rows)
            first, last = bisect_right(ends, start), bisect_right(ends, max(stop - 1, 0))
            groups = list(range(first, min(last + 1, len(ends)))) if stop > start else []
            before = ends[first - 1] if first else 0
            table = stored.read_row_groups(groups, columns=self._wanted())
            return self._block(start, table.slice(start - before, max(stop - start, 0)).combine_chunks())

    def blocks(self, size: int) -> Iterator[SourceBlock]:
        """See `vector.Reader`."""
        start = 0
        with reading(self.file):
            for batch in _open(self.file).iter_batches(batch_size=size, columns=self._wanted()):
                yield self._block(start, pa.Table.from_batches([batch]))
                start += batch.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """See `vector.Reader`."""
        with reading(self.file):
            table, _ = decode_table(_open(self.file).read(columns=[name]), _UTF8)
            return table.column(0)

    def _wanted(self) -> list[str]:
        return [*self.columns, *([self.geometry_name] if self.geometry_name else [])]

    def _block(self, start: int, table: pa.Table) -> SourceBlock:
        attributes, reasons = decode_table(table.select(list(self.columns)), _UTF8)
        if self.geometry_name is None:
            return block_from_wkb(start, attributes, wkb.finish(np.full(table.num_rows, None, dtype=object)), reasons)
        column = _one_array(table.column(self.geometry_name))
        if self.encoding in _NATIVE:
            return block_from_wkb(start, attributes, wkb.finish(from_native(column, self.encoding)), reasons)
        return block_from_wkb(start, attributes, wkb.decode(column, lambda rows: [None] * len(rows)), reasons)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    array = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], column.type)
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def from_native(column: pa.Array, encoding: str) -> wkb.Geometries:
    """Geometries of a native GeoParquet (GeoArrow) column.

    Args:
        column: (n,) nested lists of coordinates, separated (struct) or interleaved (fixed-size list).
        encoding: One of the native encodings.

    Returns:
        (n,) geometries; None where the column is null.
    """
    kind, depth = _NATIVE[encoding]
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    inner = column.filter(column.is_valid())
    offsets = []
    for _ in range(depth):
        offsets.append(np.asarray(inner.offsets, dtype=np.int64) - inner.offsets[0].as_py())
        inner = inner.flatten()
    found = shapely.from_ragged_array(kind, _coordinates(inner), tuple(reversed(offsets)) if depth else None)
    geometry = np.full(len(column), None, dtype=object)
    geometry[valid] = found
    return geometry


def _coordinates(inner: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    if pa.types.is_struct(inner.type):
        names = [item.name for item in inner.type]
        flat = dict(zip(names, inner.flatten(), strict=True))
        kept = [name for name in ("x", "y", "z") if name in flat]
        return np.column_stack([flat[name].to_numpy(zero_copy_only=False) for name in kept])
    size = inner.type.list_size
    interleaved = np.asarray(inner.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
    return interleaved.reshape(-1, size)[:, : min(size, 3)]


class reading:  # noqa: N801
    """Turns pyarrow's failures into `SourceError`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, pa.ArrowException | OSError | ValueError | KeyError):
            raise SourceError(f"the file cannot be read: {error}", file=self.file, next_step=_NEXT) from error


@lru_cache(maxsize=4)
def _open_cached(path: str, _modified: int) -> pq.ParquetFile:
    return pq.ParquetFile(path)


def _open(path: Path) -> pq.ParquetFile:
    return _open_cached(str(path), path.stat().st_mtime_ns)


def open_parquet(path: Path, options: ReadOptions) -> VectorSource:
    """Opens a GeoParquet file; see `vector.open_source`."""
    if options.table is not None and options.table != path.stem:
        raise MisuseError("a Parquet file has no tables", file=path, next_step="leave `table` out")
    with reading(path):
        stored = _open(path)
        schema = stored.schema_arrow
        geo = json.loads((schema.metadata or {}).get(b"geo", b"null"))
    name, encoding, crs = describe_geometry(schema, geo) if geo else _native_type(stored)
    if encoding != "wkb" and encoding not in _NATIVE:
        raise SourceError(f'the geometry encoding "{encoding}" is unknown', file=path, next_step=_NEXT)
    own = [item for item in schema if item.name != name and not _is_covering(item.name, geo, name)]
    chosen = [own[index] for index in choose_columns(path, [item.name for item in own], options.columns)]
    fields = [pa.field(item.name, plain_type(item.type)) for item in chosen]
    nested = [item.name for item in chosen if is_nested(item.type)]
    notes = [f"lists, structures and bytes are carried along as JSON text: {', '.join(nested)}"] if nested else []
    return VectorSource(
        path=path,
        table=path.stem,
        driver="Parquet",
        fields=pa.schema(fields),
        crs=options.crs or crs,
        count=stored.metadata.num_rows,
        encoding="UTF-8",
        splittable=stored.num_row_groups > 1 or stored.metadata.num_rows < 100_000,
        notes=tuple(notes),
        reader=ParquetReader(path, name, encoding, tuple(item.name for item in fields)),
    )


def describe_geometry(schema: pa.Schema, geo: dict[str, Any]) -> tuple[str | None, str, str | None]:
    """Name, encoding and CRS of the primary geometry column.

    GeoParquet 1.1: a missing `crs` means OGC:CRS84, a null one means unknown.
    """
    name = geo.get("primary_column", "geometry")
    if name not in schema.names:
        return None, "wkb", None
    column = geo.get("columns", {}).get(name, {})
    crs = crs_text(column["crs"]) if "crs" in column else "OGC:CRS84"
    return name, str(column.get("encoding", "WKB")).lower(), crs


def _native_type(stored: pq.ParquetFile) -> tuple[str | None, str, str | None]:
    """The geometry column of a file without GeoParquet metadata: Parquet's own type, a GeoArrow one, or a plain name.

    Parquet's GEOMETRY and GEOGRAPHY types mean OGC:CRS84 where they give no CRS.
    """
    for index in range(len(stored.schema)):
        leaf = stored.schema.column(index)
        if leaf.logical_type.type in ("GEOMETRY", "GEOGRAPHY"):
            crs = json.loads(leaf.logical_type.to_json()).get("crs") or "OGC:CRS84"
            return leaf.path, "wkb", _resolve_crs(crs, stored.schema_arrow.metadata or {})
    for item in stored.schema_arrow:
        tagged = (item.metadata or {}).get(b"ARROW:extension:name", b"").decode()
        if tagged.startswith("geoarrow."):
            return item.name, tagged.removeprefix("geoarrow."), None
    for item in stored.schema_arrow:
        if item.name.lower() in ("geometry", "geom", "wkb", "wkb_geometry", "the_geom") and _is_binary(item.type):
            return item.name, "wkb", None
    return None, "wkb", None


def _resolve_crs(crs: str, metadata: dict[bytes, bytes]) -> str | None:
    if crs.startswith("srid:"):
        return f"EPSG:{crs.removeprefix('srid:')}" if crs != "srid:0" else None
    if crs.startswith("projjson:"):
        return crs_text(json.loads(metadata.get(crs.removeprefix("projjson:").encode(), b"null")))
    return crs


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def crs_text(crs: Any) -> str | None:
    """A PROJJSON object as authority code where it has one, else as JSON text; None stays None."""
    if crs is None:
        return None
    if isinstance(crs, dict):
        code = crs.get("id")
        if isinstance(code, dict) and "authority" in code and "code" in code:
            return f"{code['authority']}:{code['code']}"
        return json.dumps(crs, ensure_ascii=False)
    return str(crs)


def _is_covering(name: str, geo: dict[str, Any] | None, geometry: str | None) -> bool:
    if not geo or geometry is None:
        return False
    covering = geo.get("columns", {}).get(geometry, {}).get("covering", {})
    return any(path and path[0] == name for path in covering.get("bbox", {}).values())
