"""Puts administrative areas above the buildings: district, subdistrict, community grid, block, each a known entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.area_files import AreaRows, read_area, stacked
from pipelines.columns import ATTRIBUTE
from pipelines.layer import LayerEntities
from pipelines.project import Project
from pipelines.project_check import AREA_LAYER
from twin.crs.reference import parse_crs, to_wgs84_lonlat
from twin.entity.areas import AREA_CLASS, LEVELS, is_area, smallest_around
from twin.geometry.footprints import Footprints, from_shapely
from twin.registry.identity import IdentityRegistry
from twin.registry.matching import Anchors
from twin.registry.record import Resolved
from twin.report import Issue

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
ToDegrees = Callable[[F64], F64]

_RENAMED = ATTRIBUTE + "area."


@dataclass(frozen=True, slots=True)
class Areas:
    """All areas of a project, n of them, sorted by geid.

    Attributes:
        geid, source, key, name, parent: (n,) text; key, name and parent are null where there is none.
        level: (n,) index into `LEVELS`.
        footprints: n surfaces, working CRS.
        shapes: (n,) the same as shapely geometries.
        inside: (n, 2) a point within each, working CRS.
        lonlat, box_lonlat: (n, 2) that point and (n, 4) west, south, east, north, degrees.
        attributes: n rows of `attr.*` columns.
        resolved: What the registry said, an `[[area]]` each; nothing where they are those of the past.
        issues: What was found.
        refused: (source, id) of features that are there, but whose polygon is of no use.
    """

    geid: pa.StringArray
    source: pa.StringArray
    key: pa.StringArray
    name: pa.StringArray
    parent: pa.StringArray
    level: I64
    footprints: Footprints
    shapes: NDArray[np.object_]
    inside: F64
    lonlat: F64
    box_lonlat: F64
    attributes: pa.Table
    resolved: tuple[Resolved, ...] = ()
    issues: tuple[Issue, ...] = ()
    refused: frozenset[tuple[str, str]] = frozenset()

    def remember(self, registry: IdentityRegistry) -> None:
        """Records the identities; whoever publishes the release commits them."""
        for one in self.resolved:
            registry.record(one, pa.array([AREA_CLASS] * len(one.geids), pa.string()))


def read_areas(project: Project, registry: IdentityRegistry) -> Areas | None:
    """Reads the areas and finds or mints their identifiers; the registry is only read.

    Returns:
        None where the project has no `[[area]]`.

    Raises:
        TwinError: A file cannot be read or used; see `pipelines.area_files.read_area`.
    """
    if not project.areas:
        return None
    read = [read_area(project, area) for area in project.areas]
    footprints = [from_shapely(one.geometry) for one in read]
    resolved = tuple(
        registry.resolve(AREA_LAYER, one.area.name, one.key, Anchors.from_footprints(outline))
        for one, outline in zip(read, footprints, strict=True)
    )
    geid = pa.concat_arrays([one.geids for one in resolved])
    order = np.argsort(np.array(geid.to_pylist(), dtype=str), kind="stable")
    return _areas(project, read, resolved, order)


def _areas(project: Project, read: Sequence[AreaRows], resolved: tuple[Resolved, ...], order: I64) -> Areas:
    pick = pa.array(order)
    counts = [len(one.geometry) for one in read]
    shapes = np.concatenate([one.geometry for one in read])[order]
    level = np.repeat([LEVELS.index(one.area.level) for one in read], counts)[order]
    names = np.repeat(np.array([one.area.name for one in read], dtype=object), counts)[order]
    geid = pa.concat_arrays([one.geids for one in resolved]).take(pick)
    areas = _placed(
        project,
        (geid, level, shapes),
        source=pa.array(names, pa.string()),
        key=pa.concat_arrays([one.key for one in read]).take(pick),
        name=pa.concat_arrays([one.name for one in read]).take(pick),
        attributes=_attributes(read).take(pick),
    )
    return replace(
        areas,
        resolved=resolved,
        issues=tuple(issue for one in read for issue in one.issues),
        refused=frozenset((one.area.name, key) for one in read for key in one.refused),
    )


def areas_of_history(project: Project, rows: pa.Table, attributes: pa.Table) -> Areas | None:
    """The areas of a moment.

    Args:
        project: Whose working CRS the geometry is in.
        rows: `RECORDED_FIELDS` of areas, sorted by geid.
        attributes: Row for row, columns `attr.*`; `attr.level` among them.

    Returns:
        None where there is none.
    """
    if not len(rows):
        return None
    level = np.array([LEVELS.index(one) for one in attributes[ATTRIBUTE + "level"].to_pylist()], dtype=np.int64)
    shapes = np.asarray(shapely.from_wkb(rows["geometry"].to_numpy()), dtype=object)
    text = {name: rows[name].combine_chunks() for name in ("geid", "source", "source_key", "name")}
    return _placed(
        project,
        (text["geid"], level, shapes),
        source=text["source"],
        key=text["source_key"],
        name=text["name"],
        attributes=attributes,
    )


def _placed(project: Project, what: tuple[pa.StringArray, I64, NDArray[np.object_]], **columns: Any) -> Areas:
    """Areas (geid, level, shape) with what follows from where they are."""
    geid, level, shapes = what
    points = shapely.point_on_surface(shapes)
    inside = np.column_stack([shapely.get_x(points), shapely.get_y(points)])
    degrees = to_wgs84_lonlat(parse_crs(project.project.working_crs))
    within = smallest_around(shapes, level, points, below=level)
    return Areas(
        geid=geid,
        parent=geid.take(pa.array(within, mask=within < 0)),
        level=level,
        footprints=from_shapely(shapes),
        shapes=shapes,
        inside=inside,
        lonlat=degrees(inside),
        box_lonlat=_box_lonlat(shapes, degrees),
        **columns,
    )


def _box_lonlat(shapes: NDArray[np.object_], degrees: ToDegrees) -> F64:
    """(n, 4) boxes in degrees around all corners: the edge of a large area bends away from the corners of its box."""
    return shapely.bounds(shapely.transform(shapes, degrees))


def _attributes(read: Sequence[AreaRows]) -> pa.Table:
    """Attributes of all areas one below the other; a field that tables type differently becomes text."""
    level = ATTRIBUTE + "level"
    tables = [
        with_column(one.attributes, level, pa.array([one.area.level] * len(one.geometry), pa.string())) for one in read
    ]
    return stacked(tables)


def parents_in(areas: Areas, entities: LayerEntities) -> pa.StringArray:
    """(k,) parents of the entities of a layer: the one they have, else the area around their centre, else null."""
    numbers = entities.numbers
    points = np.asarray(shapely.points(np.column_stack([numbers["x"], numbers["y"]])), dtype=object)
    within = smallest_around(areas.shapes, areas.level, points)
    return pc.coalesce(entities.identity.parent, areas.geid.take(pa.array(within, mask=within < 0)))


def area_rows(areas: Areas, geometry: pa.Array, others: Sequence[pa.Table]) -> pa.Table:
    """Rows of the entity index: not drawn, so without a tile, an outcome or a height.

    Args:
        areas: n areas.
        geometry: (n,) their footprints as the index has them.
        others: The rows of layers, whose attributes keep their types: where one of ours is typed differently, it is
            written as `attr.area.<field>`.
    """
    count = len(areas.geid)
    columns = {
        "geid": areas.geid,
        "layer": pa.array([AREA_LAYER] * count),
        "entity_class": pa.array([AREA_CLASS] * count),
        "source": areas.source,
        "source_key": areas.key,
        "name": areas.name,
        "parent": areas.parent,
        "row": pa.array(np.full(count, -1, dtype=np.int32)),
        "lon": areas.lonlat[:, 0],
        "lat": areas.lonlat[:, 1],
        **{side: areas.box_lonlat[:, at] for at, side in enumerate(("west", "south", "east", "north"))},
        "geometry": geometry,
    }
    return pa.table({**columns, **_beside(areas.attributes, others)})


def _beside(attributes: pa.Table, others: Sequence[pa.Table]) -> Mapping[str, pa.ChunkedArray]:
    taken = {field.name: field.type for table in others for field in table.schema}
    columns = zip(attributes.column_names, attributes.columns, strict=True)
    return {_free(name, column.type, taken): column for name, column in columns}


def _free(name: str, kind: pa.DataType, taken: Mapping[str, pa.DataType]) -> str:
    return name if taken.get(name, kind) == kind else _RENAMED + name.removeprefix(ATTRIBUTE)


def parted(table: pa.Table) -> tuple[pa.Table, ...]:
    """Rows of an entity index as the history keeps them: those of layers with the parents that are stated, then areas.

    That something lies in an area is left out, since it follows from both (`twin.entity.areas.with_area_parents`), and
    the attributes of areas have the names of their source again.
    """
    mine = is_area(table)
    if not pc.any(mine).as_py():
        return (table,)
    areas, layers = table.filter(mine), table.filter(pc.invert(mine))
    inside = pc.is_in(layers.column("parent"), value_set=areas.column("geid").combine_chunks())
    stated = pc.if_else(inside, pa.scalar(None, pa.string()), layers.column("parent"))
    areas = with_column(_with_own_names(areas), "parent", pa.nulls(len(areas), pa.string()))
    return with_column(layers, "parent", stated), areas


def _with_own_names(areas: pa.Table) -> pa.Table:
    """What `_free` has renamed gets its name back."""
    for name in [one for one in areas.column_names if one.startswith(_RENAMED)]:
        own = ATTRIBUTE + name.removeprefix(_RENAMED)
        if own in areas.column_names and areas[own].null_count == len(areas):
            areas = areas.drop_columns([own]).rename_columns({name: own})
    return areas


def with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """A table with a column replaced, or added where there was none."""
    at = table.schema.get_field_index(name)
    return table.append_column(name, column) if at < 0 else table.set_column(at, name, column)
