"""Makes the served release the beginning of the history, so that the first update has something to compare with."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipelines.areas import parted
from pipelines.project import Project, output_path
from twin.entity.index import EntityIndex
from twin.entity.index_schema import ATTRIBUTE, GEOMETRY
from twin.entity.rows import json_value, multipolygons, plain
from twin.registry.versions import VERSION_FIELDS, Edition, EditionKind, History, Time
from twin.store.release import CURRENT, current, open_current

_FROM_INDEX = {"attributes", "provenance", "geometry"}
_SOURCED = ("name", "address", "storeys")
_SORTED = orjson.OPT_SORT_KEYS


def adopt(project: Project, history: History, valid_from: Time | None = None) -> Edition | None:
    """Writes the served release as the first edition.

    Args:
        project: Whose release.
        history: Where to; nothing is written where it holds an edition already.
        valid_from: From when on the release was so; by default the moment it was published, which is the time of the
            file `current.json`. A better answer is the date of the survey.

    Returns:
        The edition; None where the history has begun already, or nothing is served yet.

    Raises:
        StoreError: The release is damaged, or the history cannot be written.
    """
    out = output_path(project)
    if history.editions() or current(out) is None:
        return None
    release = open_current(out)
    index = EntityIndex.open(release.index).table
    moment = valid_from or published_at(out / CURRENT)
    with history.write(EditionKind.ADOPT, f"release {release.id}", moment, note="the release served before") as pen:
        pen.assert_versions(versions_of_release(index))
        pen.bridge(adopted_bridge(index))
    return pen.edition


def published_at(pointer: Any) -> Time:
    """When the served release was published: the time of `current.json`."""
    return datetime.datetime.fromtimestamp(pointer.stat().st_mtime, datetime.UTC)


def adopted_bridge(index: pa.Table) -> pa.Table:
    """The bridge of an adopted release: which record of which source each entity is made of."""
    change = pa.array(["adopted"], pa.string()).take(pa.array(np.zeros(index.num_rows, dtype=np.int32)))
    source = pc.fill_null(index["source"].cast(pa.string()), "")
    return pa.table({"source": source, "source_key": index["source_key"], "geid": index["geid"], "change": change})


def versions_of_release(index: pa.Table) -> pa.Table:
    """The whole entity index of a release as versions: areas, and everything else with the parents it states."""
    return pa.concat_tables([versions_of_index(part) for part in parted(index)])


def versions_of_index(table: pa.Table) -> pa.Table:
    """An entity-index table as versions.

    Args:
        table: Columns as in `twin.entity.index_schema.index_schema`; columns that are missing are null.

    Returns:
        `VERSION_FIELDS`, row for row; `valid_from` is null (that of the edition), `present` True.
    """
    made = {
        "attributes": attributes_json(table),
        "provenance": provenance_json(table),
        "geometry": wkb(table[GEOMETRY]) if GEOMETRY in table.column_names else None,
        "present": pa.array(np.ones(table.num_rows, dtype=np.bool_)),
    }
    columns = [_column(table, field, made.get(field.name)) for field in VERSION_FIELDS]
    return pa.table(columns, schema=pa.schema(VERSION_FIELDS))


def _column(table: pa.Table, field: pa.Field, made: pa.Array | None) -> pa.Array:
    if made is not None:
        return made
    if field.name in _FROM_INDEX or field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table[field.name]
    return column if column.type == field.type else column.cast(field.type)


def wkb(geometry: pa.ChunkedArray) -> pa.Array:
    """Nested lists of the index -> WKB: `Polygon` where there is one polygon, `MultiPolygon` where there are several.

    Args:
        geometry: (n,) polygons of closed rings of (x, y), working CRS; null or empty: none.
    """
    return pa.array(shapely.to_wkb(plain(multipolygons(geometry))), pa.binary())


def attributes_json(table: pa.Table) -> pa.Array:
    """(n,) JSON objects of the columns `attr.*`: keys sorted, values that are null left out."""
    names = sorted(name for name in table.column_names if name.startswith(ATTRIBUTE))
    if not names:
        return pa.nulls(table.num_rows, pa.string())
    keys = [name.removeprefix(ATTRIBUTE) for name in names]
    values = [_plain_values(table[name]) for name in names]
    rows = (
        {key: value for key, value in zip(keys, row, strict=True) if value is not None}
        for row in zip(*values, strict=True)
    )
    return pa.array([_dumps(row) for row in rows], pa.string())


def _dumps(row: dict[str, Any]) -> str:
    return orjson.dumps(row, default=json_value).decode()


def _plain_values(column: pa.ChunkedArray) -> Sequence[Any]:
    """Values as JSON knows them; what is no number is null."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain_values(column.cast(kind.value_type))
    if not pa.types.is_floating(kind):
        simple = pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        return list(column.to_pylist() if simple else map(json_value, column.to_pylist()))
    finite = pc.fill_null(pc.is_finite(column), False)
    return list(pc.if_else(finite, column, pa.scalar(None, kind)).to_pylist())


def provenance_json(table: pa.Table) -> pa.Array:
    """(n,) JSON objects: which source or rule each attribute of an entity comes from.

    Heights come from the rule that gave them, the base from the rule for the ground, everything else from the source.
    There are few different ones, so each is written once.
    """
    count = table.num_rows
    named = [_codes(table, name, count) for name in ("source", "height_source", "ground_source")]
    given = [_given(table, name, count) for name in (GEOMETRY, *_SOURCED)]
    key = np.zeros(count, dtype=np.int64)
    for codes, _ in named:
        key = key * (int(codes.max(initial=-1)) + 2) + codes + 1
    for flags in given:
        key = key * 2 + flags
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    texts = [_provenance(row, named, given) for row in first.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which.reshape(-1)))


def _codes(table: pa.Table, name: str, count: int) -> tuple[Any, list[str]]:
    """Numbers of the different texts of a column, -1 for null, and the texts."""
    if name not in table.column_names:
        return np.full(count, -1, dtype=np.int64), []
    column = pa.concat_arrays(table[name].cast(pa.string()).chunks or [pa.nulls(0, pa.string())]).dictionary_encode()
    codes = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return codes, column.dictionary.to_pylist()


def _given(table: pa.Table, name: str, count: int) -> Any:
    if name not in table.column_names:
        return np.zeros(count, dtype=np.int64)
    return table[name].is_valid().to_numpy().astype(np.int64)


def _provenance(row: int, named: Sequence[tuple[Any, list[str]]], given: Sequence[Any]) -> str:
    source, height, ground = (texts[codes[row]] if codes[row] >= 0 else None for codes, texts in named)
    found = dict.fromkeys(("height_m", "roof_m"), height) | {"base_m": ground}
    sourced = zip((GEOMETRY, *_SOURCED), given, strict=True)
    found |= {name: source for name, flags in sourced if flags[row]} | {"attributes": source}
    return orjson.dumps({name: text for name, text in found.items() if text}, option=_SORTED).decode()
