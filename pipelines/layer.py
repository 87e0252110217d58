"""One layer of a build: from its segments to entities with their heights, place and tile."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.columns import ATTRIBUTE
from pipelines.encode import CARRIED, CLASS_ID
from pipelines.identify import Identified
from pipelines.project import Layer, Project, resolve_grid
from pipelines.resolve import Resolved
from pipelines.segment import OUTCOMES, Segment, bit, count_codes, outcome_of
from twin.crs.frame import EnuProjector, LocalFrame
from twin.crs.reference import Crs, parse_crs, to_wgs84_lonlat
from twin.crs.vertical import Undulation, parse_vertical, to_ellipsoid
from twin.errors import BuildError, CrsError
from twin.metadata.schema import Schema, class_from_arrow, expressible, integer_ranges
from twin.report import REASONS, LayerReport, Outcome
from twin.tiling.tree import Extents

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

#: Origin of a layer's frame lies on this grid, degrees, so that a few features more or less do not move it.
_ORIGIN_GRID_DEG = 0.01
#: Bounds of the projector lie on this grid, metres, for the same reason.
_BOUNDS_GRID_M = 1000.0
#: A text attribute with at most this many values in the whole layer becomes an enum in the tiles.
_ENUM_VALUES = 64
#: Bytes a building takes in a compressed tile: a fixed part (identifier, our own columns), a part by corner, and a
#: share of its attributes as they lie in memory (measured, docs/performance.md).
_BYTES_FIXED, _BYTES_CORNER, _ATTRIBUTE_SHARE = 40.0, 9.0, 0.5


@dataclass(frozen=True, slots=True)
class LayerEntities:
    """The entities of a layer, k of them in the order of their geids, ready to be drawn.

    Attributes:
        name: Of the layer.
        segments: Where their columns and footprints lie.
        segment, row: (k,) where each lies.
        identity: Identifiers, row for row.
        reasons: (k,) reason bits.
        outcome: (k,) index into `OUTCOMES`.
        lon, lat: (k,) centre, degrees.
        box_lonlat: (k, 4) west, south, east, north, degrees.
        foot_m, ground_m, eaves_m: (k,) ellipsoidal heights: lower end with skirt, lower end as seen, upper end.
        solid: (k,) False for LoD0.
        drawn: (j,) entities that stand in a tile.
        numbers: Segment columns every later step needs, row for row.
    """

    name: str
    segments: list[Segment]
    segment: I64
    row: I64
    identity: Identified
    reasons: U64
    outcome: NDArray[np.uint8]
    lon: F64
    lat: F64
    box_lonlat: F64
    foot_m: F64
    ground_m: F64
    eaves_m: F64
    solid: NDArray[np.bool_]
    drawn: I64
    numbers: Mapping[str, F64]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a layer stands on the Earth.

    Attributes:
        origin: Longitude and latitude, degrees.
        bounds: West, south, east, north of all entities in the working CRS, rounded outwards.
    """

    origin: tuple[float, float]
    bounds: tuple[float, float, float, float]

    def projector(self, crs: Crs) -> EnuProjector:
        """Places coordinates of the working CRS in the layer's frame."""
        return EnuProjector(crs, LocalFrame(*self.origin), self.bounds)


def prepare(project: Project, layer: str, features: Resolved, identity: Identified) -> LayerEntities:
    """Works out the heights on the ellipsoid and what is drawn.

    Raises:
        CrsError: The undulation is missing, or not known somewhere in the district.
    """
    chosen = identity.candidate
    candidates = features.candidates
    segment, row = candidates.segment[chosen], candidates.row[chosen]
    numbers = _numbers(candidates.segments, segment, row)
    crs = parse_crs(project.project.working_crs)
    boxes = np.column_stack([numbers[name] for name in ("west", "south", "east", "north")])
    lonlat = _lonlat(crs, np.column_stack([numbers["x"], numbers["y"]]))
    outcome = outcome_of(candidates.reasons[chosen])
    solid = (outcome == OUTCOMES.index(Outcome.BUILT)) & np.isfinite(numbers["height_m"])
    foot, ground, eaves = _elevations(project, project.layers[layer], numbers, lonlat, solid)
    return LayerEntities(
        name=layer,
        segments=candidates.segments,
        segment=segment,
        row=row,
        identity=identity,
        reasons=candidates.reasons[chosen],
        outcome=outcome,
        lon=lonlat[:, 0],
        lat=lonlat[:, 1],
        box_lonlat=_lonlat_boxes(crs, boxes),
        foot_m=foot,
        ground_m=ground,
        eaves_m=eaves,
        solid=solid,
        drawn=np.flatnonzero(outcome <= OUTCOMES.index(Outcome.FALLBACK)),
        numbers=numbers,
    )


def some_entities(entities: LayerEntities, rows: I64) -> LayerEntities:
    """Some entities of a layer, for what is worked out row by row; which of them are drawn is not carried along."""
    pick = pa.array(rows)
    identity = entities.identity
    named = {name: getattr(identity, name).take(pick) for name in ("geid", "source_key", "entity_class", "parent")}
    per_row = (
        "segment", "row", "reasons", "outcome", "lon", "lat", "box_lonlat", "foot_m", "ground_m", "eaves_m", "solid",
    )  # fmt: skip
    return replace(
        entities,
        identity=replace(identity, candidate=identity.candidate[rows], source=identity.source[rows], **named),
        drawn=np.zeros(0, dtype=np.int64),
        numbers={name: values[rows] for name, values in entities.numbers.items()},
        **{name: getattr(entities, name)[rows] for name in per_row},
    )


_NUMBERS = (
    "x", "y", "west", "south", "east", "north", "base_m", "height_m", "roof_m", "min_height_m", "corners",
)  # fmt: skip


def _numbers(segments: list[Segment], segment: I64, row: I64) -> dict[str, F64]:
    offset = np.concatenate([[0], np.cumsum([one.table.num_rows for one in segments])])
    place = offset[segment] + row
    table = pa.concat_tables([one.table.select(list(_NUMBERS)) for one in segments])
    return {name: table.column(name).to_numpy().astype(np.float64)[place] for name in _NUMBERS}


def _lonlat(crs: Crs, xy: F64) -> F64:
    return to_wgs84_lonlat(crs)(xy)


def _lonlat_boxes(crs: Crs, boxes: F64) -> F64:
    """Longitude/latitude boxes that hold the four corners of boxes in the working CRS."""
    with ThreadPoolExecutor(2) as pool:  # PROJ works without the interpreter's lock
        corners = np.stack(list(pool.map(lambda pair: _lonlat(crs, boxes[:, pair]), ([0, 1], [0, 3], [2, 1], [2, 3]))))
    return np.hstack([corners.min(axis=0), corners.max(axis=0)])


def undulation_of(project: Project) -> Undulation | None:
    """The undulation the project states, None where heights are ellipsoidal already."""
    if project.project.geoid_undulation_m is not None:
        return Undulation.from_constant(project.project.geoid_undulation_m)
    grid = resolve_grid(project)
    return None if grid is None else Undulation.from_grid(grid)


def _elevations(
    project: Project, layer: Layer, numbers: Mapping[str, F64], lonlat: F64, solid: NDArray[np.bool_]
) -> tuple[F64, F64, F64]:
    lower = numbers["base_m"] + np.where(solid, numbers["min_height_m"], 0.0)
    known = np.isfinite(lower)
    ellipsoidal = np.full(len(lower), np.nan)
    datum = parse_vertical(project.project.vertical_datum)
    if known.any():
        ellipsoidal[known] = to_ellipsoid(
            lower[known], lonlat[known, 0], lonlat[known, 1], datum, undulation_of(project)
        )
    if not np.isfinite(ellipsoidal[known]).all():
        raise CrsError(
            "the geoid grid does not cover the whole district",
            file=project.project.geoid_grid,
            next_step="use a larger grid, or state `geoid_undulation_m`",
        )
    # What hangs over a passage has no foundation; what stands on the ground gets a skirt, so that slopes leave no gap.
    skirt = np.where(solid & (numbers["min_height_m"] == 0), layer.skirt_m, 0.0)
    height = np.where(solid, numbers["height_m"] - numbers["min_height_m"], 0.0)
    return ellipsoidal - skirt, ellipsoidal, ellipsoidal + height


def frame_of(entities: LayerEntities) -> Frame:
    """The layer's frame: near the middle, on a grid, so that the next edition most likely has the same."""
    west, south = entities.box_lonlat[:, :2].min(axis=0)
    east, north = entities.box_lonlat[:, 2:].max(axis=0)
    middle = np.array([(west + east) / 2, (south + north) / 2])
    lon, lat = (np.rint(middle / _ORIGIN_GRID_DEG) * _ORIGIN_GRID_DEG).round(6).tolist()
    low = [
        float(np.floor(entities.numbers[name].min() / _BOUNDS_GRID_M) * _BOUNDS_GRID_M) for name in ("west", "south")
    ]
    high = [
        float(np.ceil(entities.numbers[name].max() / _BOUNDS_GRID_M) * _BOUNDS_GRID_M) for name in ("east", "north")
    ]
    return Frame((lon, lat), (low[0], low[1], high[0], high[1]))


def extents_of(entities: LayerEntities, frame: Frame, crs: Crs) -> Extents:
    """What the tile tree needs to know of the drawn entities."""
    drawn = entities.drawn
    numbers = {name: values[drawn] for name, values in entities.numbers.items()}
    position = frame.projector(crs).project(numbers["x"], numbers["y"], entities.ground_m[drawn])
    span = np.column_stack(
        [
            numbers["east"] - numbers["west"],
            numbers["north"] - numbers["south"],
            entities.eaves_m[drawn] - entities.foot_m[drawn],
        ]
    )
    size = np.sqrt(np.einsum("ij,ij->i", span, span))
    weight = _BYTES_FIXED + attribute_weight(entities) + _BYTES_CORNER * numbers["corners"]
    return Extents(position[:, :2], size, weight)


def attribute_weight(entities: LayerEntities) -> float:
    """Bytes the attributes of an entity take in a tile, on average, in steps of a half.

    The steps keep the tree as it is when some attributes change, and with it the tiles of everything else.
    """
    rows = sum(one.table.num_rows for one in entities.segments)
    names = [name for name in entities.segments[0].table.column_names if name.startswith(ATTRIBUTE)]
    carried = (one.table.select([*names, "key", "name"]) for one in entities.segments)
    size = _ATTRIBUTE_SHARE * sum(map(_content_bytes, carried)) / max(rows, 1)
    return float(1.5 ** np.ceil(np.log(max(size, 1.0)) / np.log(1.5)))


def _content_bytes(table: pa.Table) -> int:
    """Bytes the values of a table take, whatever buffers they lie in: a patched segment counts as one made at once."""
    return sum(_column_bytes(column) for column in table.columns)


def _column_bytes(column: pa.ChunkedArray) -> int:
    if pa.types.is_string(column.type):
        return int(pc.sum(pc.binary_length(column)).as_py() or 0) + 4 * len(column)
    return len(column) * int(column.type.bit_width) // 8


def tile_schema(entities: LayerEntities, attributes: pa.Schema, sources: list[str]) -> tuple[Schema, tuple[str, ...]]:
    """Metadata schema of a layer, and the attribute columns that go into its tiles.

    Types follow from the whole layer, never from one tile, so that all tiles share one schema.
    """
    kept = tuple(field.name for field in attributes if expressible(field.type) and not pa.types.is_null(field.type))
    tables = [one.table.select([*CARRIED, *kept]) for one in entities.segments]
    own = [
        pa.field("geid", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_key", pa.string()),
        pa.field("entity_class", pa.string(), nullable=False),
        pa.field("lod", pa.string(), nullable=False),
    ]
    columns = pa.schema([*own, *(_plain_field(tables[0].schema.field(name)) for name in (*CARRIED, *kept))])
    enums: dict[str, list[str]] = {
        "source": sources,
        "entity_class": ["Building", "BuildingPart"],
        "lod": ["0", "1.2"],
        **{name: _values(tables, name) or [] for name in ("height_source", "ground_source")},
    }
    for name in kept:
        if pa.types.is_string(attributes.field(name).type):
            values = _values(tables, name)
            if values:
                enums[name] = values
    names = {name: name.removeprefix(ATTRIBUTE) for name in kept}
    cls, made = class_from_arrow(CLASS_ID, columns, names, enums, integer_ranges(_whole_numbers(tables)))
    return Schema("district_twin", (cls,), made), kept


def _plain_field(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, kind)


def _values(tables: list[pa.Table], name: str) -> list[str] | None:
    """Values of a text column over all tables, sorted; None where they are more than an enum should have."""
    found: set[str] = set()
    for table in tables:
        found.update(value for value in pc.unique(table.column(name)).to_pylist() if value)
        if len(found) > _ENUM_VALUES:
            return None
    return sorted(found)


def _whole_numbers(tables: list[pa.Table]) -> pa.Table:
    names = [field.name for field in tables[0].schema if pa.types.is_integer(field.type)]
    return pa.concat_tables([table.select(names) for table in tables])


def layer_report(layer: str, features: Resolved) -> LayerReport:
    """The account of a layer: every feature read in exactly one outcome."""
    candidates = features.candidates
    reasons = candidates.reasons.copy()
    joined = features.piece_of != np.arange(len(reasons))
    reasons[joined] |= reasons[features.piece_of[joined]]
    outcome = outcome_of(reasons)
    # A feature that was exploded ends as well as its best polygon; its reasons are those of all of them.
    span = int(candidates.feature.max(initial=0)) + 1
    _, feature = np.unique(candidates.file.astype(np.int64) * span + candidates.feature, return_inverse=True)
    count = int(feature.max(initial=-1)) + 1
    best = np.full(count, len(OUTCOMES), dtype=np.uint8)
    np.minimum.at(best, feature, outcome)
    bits = np.zeros(count, dtype=np.uint64)
    np.bitwise_or.at(bits, feature, reasons)
    outcomes = {kind: int(np.count_nonzero(best == number)) for number, kind in enumerate(OUTCOMES)}
    counted = count_codes(bits)
    drawn = outcome[features.entity] <= OUTCOMES.index(Outcome.FALLBACK)
    return LayerReport(layer, count, outcomes, counted, int(drawn.sum()), _examples(features, reasons, counted))


def _examples(features: Resolved, reasons: U64, counted: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """A few features for every reason that is more than a note."""
    candidates = features.candidates
    found = {}
    for code in counted:
        rows = np.flatnonzero(reasons & bit(code))[:5]
        found[code] = tuple(candidates.key[int(at)].as_py() or f"row {candidates.feature[at]}" for at in rows)
    return {code: keys for code, keys in found.items() if REASONS[code].severity.value != "note"}


def require_something(report: LayerReport) -> None:
    """Refuses a layer in which nothing stands.

    Raises:
        BuildError: No feature could be drawn.
    """
    if report.outcomes.get(Outcome.BUILT, 0) + report.outcomes.get(Outcome.FALLBACK, 0):
        return
    reasons = ", ".join(f"{REASONS[code].text} ({count})" for code, count in report.reasons.items())
    raise BuildError(
        f'not one of the {report.read} features of layer "{report.layer}" can be drawn: {reasons or "there are none"}',
        next_step="run `twin check` to see them on a map",
    )
