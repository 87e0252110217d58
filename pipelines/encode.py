"""From the entities of a tile to its content: solids in the layer's frame, typed metadata, GLB and its variants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.columns import ATTRIBUTE
from pipelines.segment import Segment, gather, gather_columns, open_segment
from twin.crs.frame import EnuProjector, LocalFrame
from twin.crs.reference import parse_crs
from twin.gltf.content import EncodeOptions, MeshContent, encode
from twin.metadata.schema import Schema
from twin.modelling.buildings import Prisms, solids
from twin.store.base import digest, precompress
from twin.tiles.types import Box

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Class of the features of a layer in the tile metadata.
CLASS_ID = "entity"
#: Columns of a segment that go into tiles as they are.
CARRIED = ("name", "base_m", "height_m", "roof_m", "storeys", "height_source", "height_confidence", "ground_source")


@dataclass(frozen=True, slots=True)
class EncodeContext:
    """What all tiles of a layer share; small enough to travel with every task.

    Attributes:
        segments: Folders of the segments the rows point into.
        working_crs: Definition of the working CRS.
        origin: Longitude and latitude of the layer's frame, degrees.
        bounds: West, south, east, north the projector is fitted to, working CRS.
        schema: Tile metadata.
        attributes: Attribute columns that go into tiles.
        options: How content is written.
        precompress: Content codings prepared.
        known: Contents an earlier build has already made, by input digest.
        fingerprint: All that the bytes of a tile and its variants depend on besides its rows.
    """

    segments: tuple[Path, ...]
    working_crs: str
    origin: tuple[float, float]
    bounds: tuple[float, float, float, float]
    schema: Schema
    attributes: tuple[str, ...]
    options: EncodeOptions
    precompress: tuple[str, ...]
    known: frozenset[str] = frozenset()
    fingerprint: bytes = field(init=False, default=b"", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", self._fingerprint())

    def _fingerprint(self) -> bytes:
        facts = [self.origin, self.bounds, self.schema.to_json(), self.attributes, repr(self.options), self.precompress]
        secret = blake2b(self.working_crs.encode(), digest_size=16).hexdigest()
        return json.dumps([secret, *facts], sort_keys=True, default=str).encode()


@dataclass(frozen=True, slots=True)
class TileTask:
    """The entities of one tile, k of them, neighbours near one another (the order of its property table).

    Attributes:
        place: Level, x, y.
        segment, row: (k,) where each lies.
        columns: What was decided after the segments were written: geid, source, source_key, entity_class, lod.
        foot_m, eaves_m: (k,) ellipsoidal heights of the lower and the upper end, metres.
        solid: (k,) False for LoD0 surfaces.
    """

    place: tuple[int, int, int]
    segment: I64
    row: I64
    columns: pa.Table
    foot_m: F64
    eaves_m: F64
    solid: NDArray[np.bool_]


#: Share of its reach by which a position in single precision may lie beside its place; of no account below 100 km.
_FLOAT32_ROUNDING = 2.0**-23


@dataclass(frozen=True, slots=True)
class EncodedTile:
    """What a tile became.

    Attributes:
        place: Level, x, y.
        input: Digest of everything that went in.
        content: The GLB; empty where `input` was known already.
        variants: Pre-compressed bytes by content coding.
        key: Digest of the content, or "" where it was known already.
        box: Tight box in the layer's frame, None where it was known already.
        triangles: How many.
        raw_bytes: Position, normal, feature id (float32) and indices (uint32) without any compression.
    """

    place: tuple[int, int, int]
    input: str
    content: bytes
    variants: Mapping[str, bytes]
    key: str
    box: Box | None
    triangles: int = 0
    raw_bytes: int = 0


@lru_cache(maxsize=4)
def _segments(paths: tuple[Path, ...]) -> list[Segment]:
    return [open_segment(path) for path in paths]


@lru_cache(maxsize=4)
def _projector(crs: str, origin: tuple[float, float], bounds: tuple[float, float, float, float]) -> EnuProjector:
    return EnuProjector(parse_crs(crs), LocalFrame(*origin), bounds)


def encode_tile(task: TileTask, context: EncodeContext) -> EncodedTile:
    """Makes the content of one tile, unless it is known."""
    segments = _segments(context.segments)
    footprints = gather(segments, task.segment, task.row)
    rows = tile_rows(task, context)
    name = _input_digest(task, footprints.xy, footprints.ring, rows, context)
    if name in context.known:
        return EncodedTile(task.place, name, b"", {}, "", None)
    projector = _projector(context.working_crs, context.origin, context.bounds)
    mesh = solids(Prisms(footprints, task.foot_m, task.eaves_m, task.solid), projector.project)
    content = encode(MeshContent(mesh, context.schema, CLASS_ID, rows), context.options)
    low, high = mesh.bounds()
    margin = context.options.max_step_m + float(np.max(high - low, initial=0.0)) * _FLOAT32_ROUNDING
    box = Box(_corner(low - margin), _corner(high + margin))
    raw = len(mesh.position) * 28 + mesh.triangle.size * 4
    variants = precompress(content, context.precompress)
    return EncodedTile(task.place, name, content, variants, digest(content), box, len(mesh.triangle), raw)


def _corner(xyz: F64) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 4) for value in xyz)
    return x, y, z


def tile_rows(task: TileTask, context: EncodeContext) -> pa.Table:
    """The property table of a tile: decided columns, carried columns, attributes."""
    names = [*CARRIED, *context.attributes]
    carried = gather_columns(_segments(context.segments), task.segment, task.row, names)
    table = task.columns
    for name in names:
        column = carried.column(name)
        table = table.append_column(name.removeprefix(ATTRIBUTE) if name.startswith(ATTRIBUTE) else name, column)
    return table.rename_columns(context_columns(context))


def context_columns(context: EncodeContext) -> list[str]:
    """Column names of the property table as the schema knows them."""
    return [one.column or one.id for one in context.schema.find_class(CLASS_ID).properties]


def _input_digest(task: TileTask, xy: F64, ring: I64, rows: pa.Table, context: EncodeContext) -> str:
    running = blake2b(context.fingerprint, digest_size=16)
    for array in (xy, ring, task.foot_m, task.eaves_m, task.solid):
        running.update(np.ascontiguousarray(array).data)
    running.update(_plain(rows).serialize())
    return running.hexdigest()


def _plain(rows: pa.Table) -> pa.RecordBatch:
    """The rows as one batch without dictionaries, whose bytes depend on nothing but the values."""
    columns = [column.combine_chunks() for column in rows.columns]
    values = [one.cast(one.type.value_type) if pa.types.is_dictionary(one.type) else one for one in columns]
    return pa.RecordBatch.from_arrays(values, names=rows.column_names)
