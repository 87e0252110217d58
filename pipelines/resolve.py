"""Which candidates are entities: duplicates, joined pieces, building parts and their outlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import or_
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.candidates import Candidates
from pipelines.ingest import IngestContext, clean_options, evaluate_heights, height_columns, outcome_reasons
from pipelines.segment import bit, gather, gather_columns, open_segment, write_segment
from twin.errors import BuildError
from twin.geometry.clean import clean
from twin.geometry.footprints import Footprints

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]

#: Share of a part's area that must lie in an outline for the part to be the outline's.
_PART_INSIDE = 0.5
#: Slivers between pieces clipped at a sheet border are closed up to this width, metres.
_SEAM_M = 0.02
#: What is found out anew about the whole when pieces are joined.
OF_HEIGHTS = reduce(
    or_,
    map(
        bit,
        (
            "height_missing",
            "height_invalid",
            "ground_missing",
            "ground_outside_raster",
            "raster_partly_covers",
            "min_height_invalid",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What duplicates and parts came to.

    Attributes:
        candidates: With the bits of duplicates and outlines set; joined entities replace their first piece.
        entity: (k,) candidates that are entities, drawn or not, in ascending order.
        parent: (n,) candidate a part belongs to, -1 where it is none.
        piece_of: (n,) candidate a piece was joined into; itself everywhere else.
    """

    candidates: Candidates
    entity: I64
    parent: I64
    piece_of: I64


def resolve(candidates: Candidates, contexts: dict[int, IngestContext]) -> Resolved:
    """Applies the duplicate policy of every source, then lets parts win over their outlines.

    Args:
        candidates: All candidates of a layer.
        contexts: By source number, one context each, for the rules joined pieces go through again.

    Raises:
        BuildError: A source with `duplicates = "error"` has duplicate ids.
    """
    piece_of = np.arange(len(candidates))
    dropped = np.zeros(len(candidates), dtype=bool)
    for number, context in sorted(contexts.items()):
        candidates = _duplicates(candidates, number, context, piece_of, dropped)
        small = (candidates.source == number) & (candidates.number["area_m2"] < context.layer.min_area_m2)
        candidates.reasons[small & ~dropped & candidates.standing()] |= bit("geometry_degenerate")
        dropped |= small
    parent = _parents(candidates, dropped)
    outlines = np.unique(parent[parent >= 0])
    candidates.reasons[outlines] |= bit("outline_of_parts")
    entity = np.flatnonzero(np.isfinite(candidates.number["x"]) & ~dropped)
    return Resolved(candidates, entity, parent, piece_of)


def _duplicates(
    candidates: Candidates, source: int, context: IngestContext, piece_of: I64, dropped: Bool
) -> Candidates:
    groups = duplicate_groups(candidates, source)
    if not groups:
        return candidates
    policy = context.source.duplicates
    if policy == "error":
        raise _refusal(candidates, groups, context)
    for group in groups:
        dropped[group[1:]] = True
        if policy == "first":
            candidates.reasons[group[1:]] |= bit("id_duplicate")
        else:
            candidates.reasons[group] |= bit("id_joined")
            piece_of[group[1:]] = group[0]
    return candidates if policy == "first" else _join(candidates, groups, context)


def duplicate_groups(candidates: Candidates, source: int) -> list[I64]:
    """Candidates of a source that share an id; the largest first, so that their order in the file is no matter."""
    rows = np.flatnonzero(
        (candidates.source == source) & candidates.standing() & candidates.key.is_valid().to_numpy(False)
    )
    if not len(rows):
        return []
    code = candidates.key.take(pa.array(rows)).dictionary_encode().indices.to_numpy().astype(np.int64)
    identity = (code * 2 + candidates.is_part[rows]) * (candidates.part.max() + 1) + candidates.part[rows]
    if len(np.unique(identity)) == len(identity):
        return []
    order = np.lexsort(
        (candidates.number["y"][rows], candidates.number["x"][rows], -candidates.number["area_m2"][rows], identity)
    )
    rows, identity = rows[order], identity[order]
    edges = np.flatnonzero(np.diff(identity)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(rows)]])
    many = ends - starts > 1
    return _fullest_first(candidates, [rows[a:b] for a, b in zip(starts[many], ends[many], strict=True)])


def _fullest_first(candidates: Candidates, groups: list[I64]) -> list[I64]:
    """Orders copies of the very same shape by what they say, the one with most attributes first."""
    place = np.column_stack([candidates.number[name] for name in ("area_m2", "x", "y")])
    copies = [group[(place[group] == place[group[0]]).all(axis=1)] for group in groups]
    tied = [number for number, copy in enumerate(copies) if len(copy) > 1]
    if not tied:
        return groups
    members = np.concatenate([copies[number] for number in tied])
    names = [name for name in candidates.segments[0].table.schema.names if name not in ("row", "reasons")]
    said = gather_columns(candidates.segments, candidates.segment[members], candidates.row[members], names).to_pylist()
    rank = {
        int(row): (sum(value is None for value in one.values()), repr(list(one.values())))
        for row, one in zip(members, said, strict=True)
    }
    for number in tied:
        first = sorted(copies[number].tolist(), key=rank.__getitem__)
        groups[number] = np.concatenate([first, groups[number][len(first) :]])
    return groups


def _refusal(candidates: Candidates, groups: list[I64], context: IngestContext) -> BuildError:
    examples = ", ".join(str(candidates.key[int(group[0])].as_py()) for group in groups[:5])
    more = f" and {len(groups) - 5} more" if len(groups) > 5 else ""
    return BuildError(
        f'{len(groups)} ids of [[source]] "{context.source.name}" are used more than once: {examples}{more}',
        file=context.file.path,
        next_step='correct them, or set `duplicates = "union"` (pieces of one building) or `"first"` (true copies)',
    )


def _join(candidates: Candidates, groups: list[I64], context: IngestContext) -> Candidates:
    """Joins the pieces of every group into one footprint and gives it heights of its own."""
    heads = np.array([group[0] for group in groups])
    members = np.concatenate(groups)
    pieces = gather(candidates.segments, candidates.segment[members], candidates.row[members]).to_shapely()
    edges = np.cumsum([0, *(len(group) for group in groups)])
    whole = np.empty(len(groups), dtype=object)
    whole[:] = [_union(pieces[start:end]) for start, end in pairwise(edges)]
    cleaned = clean(whole, clean_options(context.layer))
    found = evaluate_heights(_gather_raw(candidates, heads), cleaned.footprints, context)
    candidates.reasons[heads] &= ~OF_HEIGHTS
    candidates.reasons[heads] |= outcome_reasons(cleaned, found)
    path = context.folder / f"joined-{int(candidates.source[heads[0]]):04d}"
    if not path.exists():
        _write_joined(path, candidates, heads, height_columns(found, cleaned), cleaned.footprints)
    segments = [*candidates.segments, open_segment(path)]
    return _moved(candidates, heads, segments)


def _union(pieces: NDArray[np.object_]) -> shapely.Geometry:
    """The pieces as one surface; hair cracks along a sheet border are closed, the outline stays where it was."""
    joined = shapely.union_all(pieces)
    if shapely.get_num_geometries(joined) == 1:
        return joined
    closed = shapely.buffer(shapely.buffer(joined, _SEAM_M, join_style="mitre"), -_SEAM_M, join_style="mitre")
    return closed if shapely.get_num_geometries(closed) < shapely.get_num_geometries(joined) else joined


def _write_joined(
    path: Path, candidates: Candidates, heads: I64, fresh: Mapping[str, object], footprints: Footprints
) -> None:
    where = (candidates.segment[heads], candidates.row[heads])
    table = gather_columns(candidates.segments, *where, candidates.segments[0].table.schema.names)
    for name, value in fresh.items():
        kind = table.schema.field(name).type
        column = value if isinstance(value, pa.Array) else pa.array(value)
        table = table.set_column(table.schema.get_field_index(name), name, column.cast(kind))
    write_segment(path, table, footprints)


def _gather_raw(candidates: Candidates, rows: I64) -> pa.Table:
    parts = []
    for row in rows:
        raw = candidates.segments[candidates.segment[row]].raw
        if raw is None:
            raise BuildError("joined pieces have lost their attributes", next_step="delete .twin and build again")
        parts.append(raw.slice(int(candidates.row[row]), 1))
    return pa.concat_tables(parts, promote_options="permissive").combine_chunks()


def _moved(candidates: Candidates, heads: I64, segments: list) -> Candidates:  # type: ignore[type-arg]
    """The heads of joined groups now lie in the last segment."""
    segment, row = candidates.segment.copy(), candidates.row.copy()
    segment[heads], row[heads] = len(segments) - 1, np.arange(len(heads))
    table = segments[-1].table
    number = {name: values.copy() for name, values in candidates.number.items()}
    for name, values in number.items():
        values[heads] = table.column(name).to_numpy()
    return replace(candidates, segments=segments, segment=segment, row=row, number=number)


def _parents(candidates: Candidates, dropped: Bool) -> I64:
    """(n,) the outline every building part with a height belongs to, -1 for none."""
    parent = np.full(len(candidates), -1, dtype=np.int64)
    usable = candidates.standing() & ~dropped
    parts = np.flatnonzero(usable & candidates.is_part & np.isfinite(candidates.number["height_m"]))
    if not len(parts):
        return parent
    _parents_by_key(candidates, parts, usable, parent)
    _parents_by_place(candidates, parts[parent[parts] < 0], np.flatnonzero(usable & ~candidates.is_part), parent)
    return parent


def _parents_by_key(candidates: Candidates, parts: I64, usable: Bool, parent: I64) -> None:
    stated = parts[candidates.part_of.take(pa.array(parts)).is_valid().to_numpy(False)]
    for source in np.unique(candidates.source[stated]):
        whole = np.flatnonzero(usable & ~candidates.is_part & (candidates.source == source))
        mine = stated[candidates.source[stated] == source]
        place = pc.index_in(candidates.part_of.take(pa.array(mine)), value_set=candidates.key.take(pa.array(whole)))
        found = place.is_valid().to_numpy(False)
        parent[mine[found]] = whole[place.drop_null().to_numpy()]


def _parents_by_place(candidates: Candidates, parts: I64, outlines: I64, parent: I64) -> None:
    if not len(parts) or not len(outlines):
        return
    west, south, east, north = (candidates.number[name][outlines] for name in ("west", "south", "east", "north"))
    tree = shapely.STRtree(shapely.box(west, south, east, north))
    shapes = gather(candidates.segments, candidates.segment[parts], candidates.row[parts]).to_shapely()
    part, hit = tree.query(shapes)
    if not len(part):
        return
    asked, which = np.unique(hit, return_inverse=True)
    rows = outlines[asked]
    outline_shapes = gather(candidates.segments, candidates.segment[rows], candidates.row[rows]).to_shapely()
    inside = shapely.area(shapely.intersection(shapes[part], outline_shapes[which]))
    share = inside / candidates.number["area_m2"][parts[part]]
    enough = share >= _PART_INSIDE
    part, outline = part[enough], outlines[hit[enough]]
    # The outline that holds most of the part wins, the smaller of two that hold it alike; equal ones by place, so that
    # the order of rows is no matter.
    apart = -np.round(share[enough], 1)
    order = np.lexsort((candidates.number["x"][outline], candidates.number["area_m2"][outline], apart, part))
    first = np.unique(part[order], return_index=True)[1]
    parent[parts[part[order][first]]] = outline[order][first]
