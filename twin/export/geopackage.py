"""GeoPackage: a layer of polygons with every column, tables of aliases and reasons to join, and what the file is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
from pyogrio.errors import DataSourceError

from twin.crs.reference import Crs
from twin.errors import StoreError
from twin.export.about import About
from twin.export.columns import flat_schema, flat_table
from twin.export.entities import Entities
from twin.export.geoparquet import wkb

#: GeoPackage notes when a table was written; a clock would make every export differ.
_NO_CLOCK = "1970-01-01T00:00:00.000Z"


def write_geopackage(entities: Entities, crs: Crs, about: About, path: Path) -> None:
    """Writes a GeoPackage: layer `entities`, tables `aliases`, `reasons` and `about`.

    Columns that hold lists are JSON text in `entities`, and one row an item in `aliases` (geid, scheme, value) and
    `reasons` (geid, reason). `about` holds name and value of each fact.

    Args:
        entities: What to write.
        crs: CRS of the file; public.
        about: Facts of the file.
        path: The file; must not exist.

    Raises:
        StoreError: The disk refuses.
    """
    schema = flat_schema(entities.columns.schema.remove_metadata())
    schema = schema.append(pa.field("geometry", pa.binary()))
    try:
        with _no_clock():
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(schema, _batches(entities, crs, schema)),
                path, layer="entities", driver="GPKG", crs=crs.pyproj.to_wkt(), geometry_type="MultiPolygon",
                geometry_name="geometry", layer_options={"IDENTIFIER": about.title},
            )  # fmt: skip
            for name, table in _tables(entities, about):
                pyogrio.write_arrow(table, path, layer=name, driver="GPKG", append=False)
    except DataSourceError as error:
        raise StoreError(f"cannot be written ({error})", file=path, next_step="free disk space") from error


@contextmanager
def _no_clock() -> Iterator[None]:
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _NO_CLOCK})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _batches(entities: Entities, crs: Crs, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for block in entities.blocks(crs):
        flat = flat_table(block.table).append_column("geometry", wkb(block))
        yield from flat.cast(schema).combine_chunks().to_batches()


def _tables(entities: Entities, about: About) -> Iterator[tuple[str, pa.Table]]:
    rows = pa.array(entities.rows)
    if "aliases" in entities.table.column_names:
        geid, alias = _items(entities.table.select(["geid", "aliases"]).take(rows), "aliases")
        colon = pc.find_substring(alias, ":")
        scheme = [text[:at] for text, at in zip(alias.to_pylist(), colon.to_pylist(), strict=True)]
        value = [text[at + 1 :] for text, at in zip(alias.to_pylist(), colon.to_pylist(), strict=True)]
        columns = {"geid": geid, "scheme": pa.array(scheme, pa.string()), "value": pa.array(value, pa.string())}
        yield "aliases", pa.table(columns)
    if "reasons" in entities.table.column_names:
        geid, reason = _items(entities.table.select(["geid", "reasons"]).take(rows), "reasons")
        yield "reasons", pa.table({"geid": geid, "reason": reason})
    facts = about.facts()
    yield "about", pa.table({"name": list(facts), "value": list(facts.values())})


def _items(table: pa.Table, name: str) -> tuple[pa.Array, pa.Array]:
    """Geid and item of every item of a list column."""
    table = table.combine_chunks()
    lists = table[name].chunk(0) if table.num_rows else pa.array([], table[name].type)
    items = pc.list_flatten(lists)
    geid = table["geid"].take(pc.list_parent_indices(lists)).combine_chunks()
    geid = pa.concat_arrays(geid.chunks) if isinstance(geid, pa.ChunkedArray) else geid
    return geid, items
