"""From a block of a source to a segment: reprojected, cleaned, with heights, every feature with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.columns import conform, segment_table, source_aliases, text_column
from pipelines.kept import KeptFile, idle_row_id, same_rows, source_records, take_whole
from pipelines.plan import BlockTask, SourceFile
from pipelines.project import Layer, Source
from pipelines.rules import SourceRules, height_context
from pipelines.segment import Origin, Segment, TakenRows, bit, gather, gather_columns, write_segment
from pipelines.segment import read_facts as read_segment_facts
from twin.crs.reference import Crs, check_plausible, horizontal, parse_crs
from twin.errors import CrsError
from twin.geometry.clean import Cleaned, CleanOptions, clean, clean_rings
from twin.geometry.footprints import Footprints
from twin.geometry.wkb_rings import read_rings
from twin.modelling.buildings import untriangulable
from twin.modelling.heights import Heights, evaluate
from twin.modelling.numbers import counts
from twin.report import REASONS, Severity
from twin.sources.keys import key_text
from twin.sources.vector import SourceBlock

Geometries = NDArray[np.object_]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

#: Elevation of the lowest and highest vertex, offered to the height rules under these names where the source has Z.
Z_FIELDS = ("@z_min", "@z_max")
#: Any area at all: what is left of a piece that was nothing but digitising dirt has none.
_SOME_AREA_M2 = 1e-9


@dataclass(frozen=True, slots=True)
class IngestContext:
    """What a worker needs to know of a file; small enough to travel with every task.

    Attributes:
        file: The map sheet.
        source: Its `[[source]]`.
        layer: The layer it goes to.
        rules: Its height and ground rules.
        attributes: Attribute columns of the layer.
        working_crs: Definition of the working CRS.
        folder: Where segments go.
        kept: What the last build has left of this file.
    """

    file: SourceFile
    source: Source
    layer: Layer
    rules: SourceRules
    attributes: pa.Schema
    working_crs: str
    folder: Path
    kept: KeptFile | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a task left behind.

    Attributes:
        segments: Folders of its segments, in the order of the source.
        features: Features read.
        notes: Oddities met while reading, each a sentence.
    """

    segments: tuple[Path, ...]
    features: int
    notes: tuple[str, ...]


def ingest(task: BlockTask, context: IngestContext) -> Ingested:
    """Runs one task; a segment that is already there is not made again, and what has not changed is taken over.

    Raises:
        SourceError: The file cannot be read.
        CrsError: Its coordinates cannot be brought into the working CRS.
    """
    segments: list[Path] = []
    features = 0
    notes: dict[str, None] = {}
    for name, block in _blocks(task, context):
        path = context.folder / name
        if block is not None:
            _write(path, block, context)
        facts = read_segment_facts(path)
        features += int(facts["features"])
        notes.update(dict.fromkeys(facts["notes"]))
        segments.append(path)
    return Ingested(tuple(segments), features, tuple(notes))


def _blocks(task: BlockTask, context: IngestContext) -> Iterator[tuple[str, SourceBlock | None]]:
    """Blocks with the names of their segments; None where the segment is finished."""
    opened, kept = context.file.opened, context.kept
    if task.count is not None:
        path = context.folder / task.name
        done = path.exists() or (
            kept is not None and kept.same and take_whole(kept, task.name[len(_own_name(task)) :], path)
        )
        yield task.name, None if done else opened.read_block(task.start, task.count)
        return
    if kept is not None and kept.same:
        old = [one.name[len(kept.name) :] for one in kept.segments()]
        if old and all(take_whole(kept, name, context.folder / (task.name + name)) for name in old):
            yield from ((task.name + name, None) for name in old)
            return
    for block in opened.blocks():
        yield f"{task.name}-{block.first_row:010d}", block


def _own_name(task: BlockTask) -> str:
    """What the segments of the file of a task begin with."""
    return f"{task.file:04d}"


@lru_cache(maxsize=64)
def _crs(text: str) -> Crs:
    return parse_crs(text)


def _write(path: Path, block: SourceBlock, context: IngestContext) -> None:
    """Writes the segment of a block: taken over, or put together of old and new rows, or made from the ground up."""
    if path.exists():
        return
    place = path.name[_FILE_DIGITS:]
    records = source_records(block, idle_row_id(context.source, context.file.opened.fid_column))
    if records is not None and take_whole(context.kept, place, path, records):
        return
    if not _patch(path, block, context, records):
        made = _make(block, context)
        write_segment(path, made.table, made.footprints, made.raw, Origin(_facts(block, made), records))


#: Digits of the number of a file in the names of its segments.
_FILE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class _Made:
    """What a block became; `plain` where every feature is one row and was read straight from its record."""

    table: pa.Table
    footprints: Footprints
    raw: pa.Table | None
    notes: tuple[str, ...]
    plain: bool


def _make(block: SourceBlock, context: IngestContext) -> _Made:
    pieces = _pieces(block, context.source.multipart == "explode")
    rings = _plain_rings(block, pieces)
    cleaned, notes = _cleaned(block, pieces, rings, context)
    attributes = block.attributes.take(pa.array(pieces.row)) if pieces.exploded else block.attributes
    found = _heights(attributes, block, pieces.row, cleaned.footprints, context)
    reasons = _reasons(block, pieces, cleaned, found)
    core = _core(attributes, block, pieces, context)
    core |= height_columns(found, cleaned)
    core["reasons"] = reasons
    kept = conform(attributes, context.attributes, len(pieces.geometry))
    table = segment_table(core, kept, context.attributes)
    raw = attributes if context.source.duplicates == "union" else None
    return _Made(table, cleaned.footprints, raw, notes, rings is not None)


def _facts(block: SourceBlock, made: _Made) -> dict[str, object]:
    return {"features": len(block), "notes": [*block.notes, *made.notes], "plain": made.plain}


def _patch(path: Path, block: SourceBlock, context: IngestContext, records: pa.Table | None) -> bool:
    """Puts a segment together of rows the last build has made and of new ones; False where that cannot be done.

    Only where each row stands for itself: plain polygons, no rasters, whose sheets are read by the block, and no raw
    attributes for pieces to be joined.
    """
    if context.rules.needs_polygons or context.source.duplicates == "union":
        return False
    same = same_rows(context.kept, path.name[_FILE_DIGITS:], records)
    rings = None if same is None or block.wkb is None else read_rings(block.wkb)
    if same is None or rings is None or (shapely.get_num_geometries(block.geometry) > 1).any():
        return False
    fresh = same.row < 0
    made = _make(_some_rows(block, np.flatnonzero(fresh)), context)
    segments = [*same.segments, Segment(path, made.table, made.footprints)]
    segment = np.where(fresh, len(same.segments), same.segment)
    row = np.where(fresh, np.cumsum(fresh) - 1, same.row)
    table = gather_columns(segments, segment, row, made.table.column_names)
    numbers = pa.array(block.first_row + np.arange(len(block)), pa.int64())
    table = table.set_column(table.schema.get_field_index("row"), "row", numbers)
    taken = TakenRows(tuple(one.path.name for one in same.segments), same.segment, same.row)
    facts = _facts(block, replace(made, notes=_plausible(_crs(context.file.crs), rings.xy, context)))
    write_segment(path, table, gather(segments, segment, row), None, Origin(facts, records, taken))
    return True


def _some_rows(block: SourceBlock, rows: I64) -> SourceBlock:
    """Some features of a block in which no record needed treatment."""
    return SourceBlock(
        block.first_row,
        block.attributes.take(pa.array(rows)),
        block.geometry[rows],
        block.z_min[rows],
        block.z_max[rows],
        wkb=None if block.wkb is None else block.wkb.take(pa.array(rows)),
    )


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Candidate entities: features, or their polygons where multiparts are exploded."""

    geometry: Geometries
    row: I64
    part: NDArray[np.int32]
    exploded: bool


def _pieces(block: SourceBlock, explode: bool) -> _Pieces:
    rows = np.arange(len(block))
    multi = shapely.get_num_geometries(block.geometry) > 1
    if not explode or not multi.any():
        return _Pieces(block.geometry, rows, np.zeros(len(rows), np.int32), False)
    repeats = np.where(multi, shapely.get_num_geometries(block.geometry), 1)
    row = np.repeat(rows, repeats)
    geometry = block.geometry[row]
    many = multi[row]
    parts, owner = shapely.get_parts(block.geometry[multi], return_index=True)
    middle = shapely.centroid(parts)
    centre = np.column_stack([shapely.get_x(middle), shapely.get_y(middle)])
    # The number of a part follows its place, so that the order of parts in the file gives no other id.
    order = np.lexsort((centre[:, 1], centre[:, 0], owner))
    geometry[many] = parts[order]
    first = np.concatenate([[0], np.cumsum(repeats)[:-1]])
    part = np.where(many, np.arange(len(row)) - first[row] + 1, 0)
    return _Pieces(geometry, row, part.astype(np.int32), True)


def _plain_rings(block: SourceBlock, pieces: _Pieces) -> Footprints | None:
    """Rings of a block that are read straight from its records; None where shapely has to take over."""
    return None if pieces.exploded or block.wkb is None or block.reasons else read_rings(block.wkb)


def _cleaned(
    block: SourceBlock, pieces: _Pieces, rings: Footprints | None, context: IngestContext
) -> tuple[Cleaned, tuple[str, ...]]:
    """Footprints in the working CRS, and what is remarkable about where they lie.

    Raises:
        CrsError: The coordinates cannot be what the CRS says: swapped axes, degrees for metres, a wrong zone.
    """
    options = _block_options(context)
    if rings is None:
        xy, notes = _reproject(shapely.get_coordinates(pieces.geometry), context)
        surfaces = np.asarray(shapely.set_coordinates(pieces.geometry.copy(), xy), dtype=object)
        return clean(surfaces, options), notes
    xy, notes = _reproject(rings.xy, context)
    return clean_rings(replace(rings, xy=xy), shapely.is_missing(block.geometry), options), notes


def _reproject(xy: NDArray[np.float64], context: IngestContext) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    source, target = _crs(context.file.crs), _crs(context.working_crs)
    notes = _plausible(source, xy, context)
    return (xy if source == target else horizontal(source, target)(xy)), notes


def _plausible(crs: Crs, xy: NDArray[np.float64], context: IngestContext) -> tuple[str, ...]:
    finite = xy[np.isfinite(xy).all(axis=1)]
    if not len(finite):
        return ()
    # The bulk of the points decides: one stray vertex is a finding about a feature, not about the CRS.
    low, high = np.percentile(finite, [1, 99], axis=0).tolist()
    issues = check_plausible(crs, (low[0], low[1], high[0], high[1]))
    for issue in issues:
        if issue.severity is Severity.ERROR:
            raise CrsError(issue.text, file=context.file.path, next_step=issue.next_step)
    return tuple(issue.text for issue in issues if issue.severity is Severity.WARNING)


def clean_options(layer: Layer) -> CleanOptions:
    """What the layer counts as a footprint."""
    return CleanOptions(layer.min_area_m2, layer.repair_max_area_change)


def _block_options(context: IngestContext) -> CleanOptions:
    """As `clean_options`, but a piece of a building cut at a sheet border may be as small as it likes; not nothing."""
    options = clean_options(context.layer)
    return replace(options, min_area_m2=_SOME_AREA_M2) if context.source.duplicates == "union" else options


def _heights(
    attributes: pa.Table, block: SourceBlock, row: I64, footprints: Footprints, context: IngestContext
) -> Heights:
    if np.isfinite(block.z_min).any():
        for name, z in zip(Z_FIELDS, (block.z_min, block.z_max), strict=True):
            attributes = attributes.append_column(name, pa.array(z[row], from_pandas=True))
    return evaluate_heights(attributes, footprints, context)


def evaluate_heights(attributes: pa.Table, footprints: Footprints, context: IngestContext) -> Heights:
    """Applies the rules of a source to footprints in the working CRS."""
    polygons = footprints.to_shapely() if context.rules.needs_polygons else np.full(len(footprints), None, dtype=object)
    crs = _crs(context.working_crs)
    settings = height_context(context.rules, context.source, crs, context.layer.max_height_m)
    return evaluate(attributes, polygons, context.rules.height, context.rules.ground, settings)


def height_columns(found: Heights, cleaned: Cleaned) -> dict[str, object]:
    """The columns of a segment that follow from geometry and heights."""
    area, centre = cleaned.footprints.area_centroid()
    bounds = cleaned.footprints.bounds()
    return {
        "base_m": found.base_m,
        "height_m": found.height_m,
        "roof_m": found.roof_m,
        "min_height_m": found.min_height_m,
        "height_source": found.source,
        "height_confidence": found.confidence,
        "ground_source": found.ground_source,
        "x": centre[:, 0],
        "y": centre[:, 1],
        "area_m2": area,
        "area_source_m2": cleaned.area_before,
        "west": bounds[:, 0],
        "south": bounds[:, 1],
        "east": bounds[:, 2],
        "north": bounds[:, 3],
        "corners": cleaned.footprints.vertex_counts().astype(np.int32),
    }


def _core(attributes: pa.Table, block: SourceBlock, pieces: _Pieces, context: IngestContext) -> dict[str, object]:
    fields = context.source.fields
    count = len(pieces.geometry)
    kind = text_column(attributes, fields.kind, count)
    part_of = _keys(attributes, fields.part_of, count)
    is_part = pc.or_(pc.fill_null(pc.match_substring(kind, "part"), False), pc.is_valid(part_of))
    return {
        "row": block.first_row + pieces.row,
        "part": pieces.part,
        "key": _keys(attributes, fields.id, count),
        "is_part": is_part,
        "part_of": part_of,
        "name": text_column(attributes, fields.name, count),
        "address": text_column(attributes, fields.address, count),
        "aliases": source_aliases(attributes, fields.aliases, count),
        "storeys": _storeys(attributes, fields.storeys, count),
    }


def _keys(attributes: pa.Table, field: str | None, count: int) -> pa.Array:
    return pa.nulls(count, pa.string()) if field is None else key_text(attributes.column(field))


def _storeys(attributes: pa.Table, field: str | None, count: int) -> pa.Array:
    if field is None:
        return pa.nulls(count, pa.int32())
    number = counts(attributes.column(field))
    plausible = np.isfinite(number) & (np.abs(number) < 1000)
    return pa.array(np.where(plausible, np.rint(number), 0).astype(np.int32), mask=~plausible)


def outcome_reasons(cleaned: Cleaned, found: Heights) -> U64:
    """(n,) reason bits that follow from geometry and heights."""
    reasons = np.zeros(len(cleaned.refused), dtype=np.uint64)
    for code in np.unique(found.reason_code.astype(str)) if len(found.reason_code) else ():
        reasons[found.reason_row[found.reason_code == code]] |= bit(str(code))
    reasons[(reasons & bit("ground_missing")) != 0] = bit("ground_missing")
    reasons[untriangulable(cleaned.footprints)] = bit("mesh_failed")
    for code in set(cleaned.refused) - {""}:
        reasons[cleaned.refused == code] = bit(code)
    reasons[cleaned.repaired] |= bit("geometry_repaired")
    return reasons


def _reasons(block: SourceBlock, pieces: _Pieces, cleaned: Cleaned, found: Heights) -> U64:
    """(n,) reason bits; what the geometry forbids comes alone, heights of such a feature do not matter."""
    reasons = outcome_reasons(cleaned, found)
    for row, code in block.reasons.items():
        mine = pieces.row == row
        if REASONS[code].outcome is not None:  # why there is no geometry; what follows from that is not said again
            reasons[mine] = bit(code)
        else:
            reasons[mine] |= bit(code)
    return reasons
