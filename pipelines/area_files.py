"""Reads the files of an `[[area]]`: polygons of one level of administration in the working CRS, one row an area."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.columns import ATTRIBUTE
from pipelines.project import Area, Project, resolve_areas
from pipelines.project_check import AREA_LAYER
from twin.crs.reference import horizontal, parse_crs
from twin.errors import BuildError, CrsError, MisuseError
from twin.geometry.clean import CleanOptions, clean
from twin.report import Issue, Severity
from twin.sources.block import ReadOptions, SourceBlock, VectorSource
from twin.sources.keys import key_text
from twin.sources.vector import open_source

Geometries = NDArray[np.object_]

#: A repair that changes more of an area than this is a guess at its border.
_REPAIR = 0.05
_SURFACES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
#: Features named in a finding.
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class AreaRows:
    """The areas of one `[[area]]`, n of them, in an order that does not depend on that of the file.

    Attributes:
        area: The table of twin.toml.
        key: (n,) canonical ids; null where the file gives none.
        name: (n,) names; null where the file gives none.
        geometry: (n,) valid polygons and multipolygons, working CRS.
        attributes: n rows of the other fields, `attr.<field>`.
        issues: What was found.
        refused: Ids of features without a usable polygon.
    """

    area: Area
    key: pa.StringArray
    name: pa.StringArray
    geometry: Geometries
    attributes: pa.Table
    issues: tuple[Issue, ...]
    refused: frozenset[str]


def read_area(project: Project, area: Area) -> AreaRows:
    """Reads all files of an `[[area]]`.

    Raises:
        SourceError, MisuseError: A file cannot be read, or lacks a field that twin.toml names.
        CrsError: A file does not say its CRS.
        BuildError: There is no usable polygon in them.
    """
    tables, shapes, notes = [], [], []
    for path in resolve_areas(project, area):
        source = _open(project, area, path)
        step = horizontal(parse_crs(source.crs or ""), parse_crs(project.project.working_crs))
        for block in source.blocks():
            tables.append(_columns(area, block, source.fid_column))
            shapes.append(np.asarray(shapely.transform(block.geometry, step), dtype=object))
            notes += [Issue("source_note", Severity.NOTE, one, AREA_LAYER, area.name) for one in block.notes]
    table = stacked(tables)
    geometry = np.concatenate(shapes) if shapes else np.empty(0, dtype=object)
    rows, usable, refused = _usable(area, table["key"], geometry)
    if not len(rows):
        raise BuildError(f'[[area]] "{area.name}" has no usable polygon', next_step="check its path and table")
    settled = _settled(area, table.take(pa.array(rows)), usable, (*notes, *refused))
    left_out = np.delete(np.arange(len(geometry)), rows)
    lost = set(table["key"].take(pa.array(left_out)).to_pylist()) - {None, *settled.key.to_pylist()}
    return replace(settled, refused=frozenset(lost))


def _open(project: Project, area: Area, path: Path) -> VectorSource:
    source = open_source(path, ReadOptions(table=area.table, crs=area.crs, encoding=area.encoding))
    if source.crs is None:
        raise CrsError(
            "the file does not say which coordinate reference system its coordinates are in",
            file=path,
            next_step=f'write e.g. `crs = "EPSG:4490"` under [[area]] "{area.name}" in {project.file}',
        )
    for role, field in (("id", area.fields.id), ("name", area.fields.name)):
        if field is not None and field not in source.fields.names:
            there = ", ".join(source.fields.names) or "no fields at all"
            raise MisuseError(
                f'there is no field "{field}", which {project.file.name} names for `{role}`',
                file=path,
                next_step=f"name one of its fields: {there}",
            )
    return source


def _columns(area: Area, block: SourceBlock, row_id: str | None) -> pa.Table:
    """Key, name and attributes of a block; a blank text is none."""
    own = {area.fields.id, area.fields.name, row_id}
    nothing = pa.nulls(len(block), pa.string())
    key, name = (
        nothing if field is None else key_text(block.attributes[field]) for field in (area.fields.id, area.fields.name)
    )
    kept = {ATTRIBUTE + field: block.attributes[field] for field in block.attributes.column_names if field not in own}
    return pa.table({"key": key, "name": name, **{at: _plain(column) for at, column in kept.items()}})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return column
    return column.cast(pa.float64()) if pa.types.is_floating(kind) else column.cast(pa.string())


def stacked(tables: list[pa.Table]) -> pa.Table:
    """Tables one below the other; a field that they type differently becomes text."""
    kinds: dict[str, set[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        kinds.setdefault(field.name, set()).add(field.type)
    schema = pa.schema([(name, kind.pop() if len(kind) == 1 else pa.string()) for name, kind in kinds.items()])
    cast = [table.cast(pa.schema([schema.field(name) for name in table.column_names])) for table in tables]
    return pa.concat_tables(cast, promote_options="default").combine_chunks()


def _usable(
    area: Area, key: pa.ChunkedArray, geometry: Geometries
) -> tuple[NDArray[np.int64], Geometries, list[Issue]]:
    """Rows with a sound polygon, their polygons, and a finding for each reason that speaks against others."""
    cleaned = clean(geometry, CleanOptions(repair_max_area_change=_REPAIR))
    rows = np.flatnonzero(cleaned.refused == "")
    issues = []
    for reason in sorted(set(cleaned.refused.tolist()) - {""}):
        bad = np.flatnonzero(cleaned.refused == reason)
        named = [key[int(row)].as_py() or f"row {row}" for row in bad[:_EXAMPLES]]
        text = f'{len(bad)} features of [[area]] "{area.name}" are no area ({reason}): {", ".join(named)}'
        issues.append(
            Issue("area_refused", Severity.WARNING, text, AREA_LAYER, area.name, str(named[0]), len(bad),
                  "repair the polygons in the file")
        )  # fmt: skip
    return rows, cleaned.footprints.take(rows).to_shapely(), issues


def _settled(area: Area, table: pa.Table, geometry: Geometries, issues: tuple[Issue, ...]) -> AreaRows:
    """One row a key, in the order of keys and then of places; polygons with one key are pieces of one area."""
    key = np.array(table["key"].to_pylist(), dtype=object)
    corner = np.round(shapely.bounds(geometry)[:, :2], 3)
    text = np.array([one or "" for one in key])
    order = np.lexsort((shapely.to_wkb(geometry).astype(bytes), corner[:, 1], corner[:, 0], text))
    keyed = text[order] != ""
    first = np.concatenate([[True], (text[order][1:] != text[order][:-1]) | ~keyed[1:]])
    group = np.cumsum(first) - 1
    merged = geometry[order][first]
    several = np.flatnonzero(np.bincount(group) > 1)
    for one in several.tolist():  # few: districts with exclaves
        merged[one] = shapely.union_all(geometry[order][group == one])
    kept = table.take(pa.array(order[first]))
    if len(several):
        text_of = ", ".join(str(kept["key"][one].as_py()) for one in several[:_EXAMPLES].tolist())
        what = f'{len(several)} ids of [[area]] "{area.name}" stand for several polygons each, joined: {text_of}'
        issues = (*issues, Issue("area_joined", Severity.NOTE, what, AREA_LAYER, area.name, count=len(several)))
    attributes = kept.drop_columns(["key", "name"])
    names = _names(table, order, group)
    return AreaRows(area, _flat(kept["key"]), names, merged, attributes, issues, frozenset())


def _names(table: pa.Table, order: NDArray[np.int64], group: NDArray[np.int64]) -> pa.StringArray:
    """The first name there is among the pieces of each area; null where none has one."""
    pieces = pa.table({"group": group, "name": table["name"].take(pa.array(order))})
    found = pieces.group_by("group", use_threads=False).aggregate([("name", "min")]).sort_by("group")
    return _flat(found["name_min"])


def _flat(column: pa.ChunkedArray) -> pa.StringArray:
    text = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    return pa.concat_arrays(text.chunks or [pa.nulls(0, pa.string())])
