"""Makes the served release the beginning of the history, so that the first update has something to compare with."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.adopt_json import attributes_json, provenance_json
from pipelines.adopt_wkb import wkb
from pipelines.areas import parted
from pipelines.project import Project, output_path
from twin.entity.index import EntityIndex
from twin.entity.index_schema import GEOMETRY
from twin.registry.versions import VERSION_FIELDS, Edition, EditionKind, History, Time
from twin.store.release import CURRENT, current, open_current

_FROM_INDEX = {"attributes", "provenance", "geometry"}


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
