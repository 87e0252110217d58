"""Buildings and building parts of an OpenStreetMap extract, with the tags that say how high they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
import pyogrio.raw

from twin.errors import SourceError
from twin.sources.block import ReadOptions, SourceBlock, VectorSource
from twin.sources.gdal import GdalReader
from twin.sources.layer import choose_columns, quiet, reading
from twin.sources.text import Decoder

SUFFIXES: Final = frozenset({".osm", ".pbf"})
TABLE: Final = "buildings"

_CONFIG: Final = Path(__file__).with_name("osmconf.ini")
_BUILDING: Final = (
    "(building IS NOT NULL AND building <> 'no') OR (\"building:part\" IS NOT NULL AND \"building:part\" <> 'no')"
)
_LENGTHS: Final = ("height", "min_height", "roof:height")
_NUMBERS: Final = ("building:levels", "building:min_level", "roof:levels")
_TEXTS: Final = (
    "name", "building", "building:part", "roof:shape", "addr:full", "addr:street", "addr:housenumber", "addr:postcode",
    "addr:city", "start_date",
)  # fmt: skip
_TAGS: Final = (*_TEXTS, *_LENGTHS, *_NUMBERS, "other_tags")
_FIELDS: Final = pa.schema(
    [("id", pa.string()), ("kind", pa.string())]
    + [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.float64()) for name in (*_LENGTHS, *_NUMBERS)]
    + [("other_tags", pa.string())]
)
#: https://wiki.openstreetmap.org/wiki/Map_features/Units: metres unless a unit is written; feet and inches as 40'6".
_METRES: Final = r"^\s*[~≈]?\s*(?P<value>[+-]?\d+(?:[.,]\d+)?)\s*(?:m|mtr|metres?|meters?|米)?\.?\s*$"
_FEET: Final = (
    r"^\s*(?P<feet>\d+(?:[.,]\d+)?)\s*(?:'|′|ft|feet|foot)\s*(?:(?P<inches>\d+(?:\.\d+)?)\s*(?:\"|″|''|in)?)?\s*$"
)
_FOOT_M: Final = 0.3048


@dataclass(frozen=True, slots=True)
class OsmReader:
    """Reads buildings: GDAL assembles the polygons, this gives the tags their meaning.

    Attributes:
        inner: Reads the multipolygons with their tags as text.
        columns: Attributes to keep.
    """

    inner: GdalReader
    columns: tuple[str, ...]

    def read(self, start: int, count: int) -> SourceBlock:
        """See `vector.Reader`."""
        return self._understood(self.inner.read(start, count))

    def blocks(self, size: int) -> Iterator[SourceBlock]:
        """See `vector.Reader`."""
        return map(self._understood, self.inner.blocks(size))

    def column(self, name: str) -> pa.ChunkedArray:
        """See `vector.Reader`."""
        chunks = [block.attributes.column(name).combine_chunks() for block in self.blocks(100_000)]
        return pa.chunked_array([chunk for chunk in chunks if len(chunk)], _FIELDS.field(name).type)

    def _understood(self, block: SourceBlock) -> SourceBlock:
        attributes, notes = understand(block.attributes)
        return replace(block, attributes=attributes.select(self.columns), notes=(*block.notes, *notes))


def open_osm(path: Path, options: ReadOptions) -> VectorSource:
    """Opens the buildings of a .osm or .pbf file; see `vector.open_source`.

    The features are closed ways and multipolygon relations with a `building` or `building:part` tag other than "no".

    Raises:
        SourceError: The file is damaged.
        MisuseError: A named attribute is not there.
    """
    chosen = choose_columns(path, _FIELDS.names, options.columns)
    fields = pa.schema([_FIELDS.field(index) for index in chosen])
    count, extra = _count(path)
    inner = GdalReader(
        path=str(path),
        file=path,
        table="multipolygons",
        columns=("osm_id", "osm_way_id", *_TAGS),
        encoding=None,
        count=count,
        geometry_name="wkb_geometry",
        names=("osm_id", "osm_way_id", *_TAGS),
        decoder=Decoder("utf-8", False, {}),
        where=_BUILDING,
        extra=extra,
    )
    return VectorSource(
        path=path,
        table=TABLE,
        driver="OSM",
        fields=fields,
        crs=options.crs or "EPSG:4326",
        count=count,
        encoding="UTF-8",
        splittable=False,
        notes=tuple(_left_out(path, extra)),
        reader=OsmReader(inner, tuple(fields.names)),
    )


def _count(path: Path) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Number of buildings, and the open options with which GDAL gets through the file."""
    extra: tuple[tuple[str, str], ...] = (("CONFIG_FILE", str(_CONFIG)),)
    try:
        return _rows(path, "multipolygons", extra), extra
    except SourceError:
        # node ids out of order: the slower index copes with that
        extra = (*extra, ("USE_CUSTOM_INDEXING", "NO"))
        return _rows(path, "multipolygons", extra), extra


def _rows(path: Path, layer: str, extra: tuple[tuple[str, str], ...]) -> int:
    with reading(path), quiet():
        request: dict[str, Any] = {"layer": layer, "columns": [], "read_geometry": False, "where": _BUILDING}
        with pyogrio.raw.open_arrow(str(path), use_pyarrow=True, return_fids=True, **request, **dict(extra)) as (
            _,
            stream,
        ):
            return sum(batch.num_rows for batch in stream)


def _left_out(path: Path, extra: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for layer, what in (
        ("points", "nodes with a building tag have no outline and are left out"),
        ("lines", "ways with a building tag are not closed and are left out"),
        ("multilinestrings", "relations with a building tag are lines and are left out"),
        ("other_relations", "relations with a building tag are not areas (type=building and others) and are left out"),
    ):
        count = _rows(path, layer, extra)
        if count:
            yield f"{count} {what}"


def understand(tags: pa.Table) -> tuple[pa.Table, list[str]]:
    """Gives the tags of OSM buildings their types.

    Args:
        tags: `osm_id`, `osm_way_id` and the tags, all text.

    Returns:
        `id` ("way/123" or "relation/45"), `kind` ("building" or "building_part"), lengths in metres, levels as
        numbers, the other tags as text; and a note for each tag with values that say no number.
    """
    way, relation = tags.column("osm_way_id"), tags.column("osm_id")
    identity = pc.coalesce(_prefixed("way/", way), _prefixed("relation/", relation))
    building = tags.column("building")
    whole = pc.and_(pc.is_valid(building), pc.fill_null(pc.not_equal(building, "no"), False))
    columns: dict[str, Any] = {"id": identity, "kind": pc.if_else(whole, "building", "building_part")}
    columns.update({name: tags.column(name) for name in _TEXTS})
    columns.update({name: length_m(tags.column(name)) for name in _LENGTHS})
    columns.update({name: number(tags.column(name)) for name in _NUMBERS})
    columns["other_tags"] = tags.column("other_tags")
    notes = [note for name in (*_LENGTHS, *_NUMBERS) for note in _unread(name, tags.column(name), columns[name])]
    return pa.table(columns, schema=_FIELDS), notes


def _prefixed(prefix: str, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(pa.scalar(prefix), numbers.cast(pa.string()), "")


def _unread(name: str, text: pa.ChunkedArray, value: pa.ChunkedArray) -> Iterator[str]:
    lost = text.filter(pc.and_(pc.is_valid(text), pc.is_null(value)))
    if len(lost):
        examples = ", ".join(f'"{item}"' for item in lost.unique().to_pylist()[:3])
        yield f"{len(lost)} values of {name} say no single number and are left out, such as {examples}"


def length_m(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lengths in metres from OSM text: "12", "12.5 m", "12,5", "40'", "40'6\"", "131 ft"; null where none is meant."""
    metres = _part(text, _METRES, "value")
    feet = _part(text, _FEET, "feet")
    inches = pc.fill_null(_part(text, _FEET, "inches"), 0.0)
    return pc.coalesce(metres, pc.multiply(pc.add(feet, pc.divide(inches, 12.0)), _FOOT_M))


def number(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Plain numbers from OSM text; null where there is a list, a range or words."""
    return _part(text, r"^\s*(?P<value>[+-]?\d+(?:[.,]\d+)?)\s*$", "value")


def _part(text: pa.ChunkedArray, pattern: str, name: str) -> pa.ChunkedArray:
    found = pc.struct_field(pc.extract_regex(text, pattern), name)
    digits = pc.replace_substring(found, ",", ".")
    return pc.if_else(pc.equal(digits, ""), pa.scalar(None, pa.string()), digits).cast(pa.float64())
