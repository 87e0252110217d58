"""The tiles of one layer: planned, encoded where their input is new, taken over where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.carried import Unchanged
from pipelines.encode import EncodeContext, EncodedTile, TileTask, encode_tile
from pipelines.layer import Frame, LayerEntities, extents_of, frame_of, tile_schema
from pipelines.plan import BuildPlan
from pipelines.pool import run_all
from pipelines.progress import Progress, Stopwatch
from pipelines.project import Project
from twin.crs.frame import LocalFrame
from twin.crs.reference import parse_crs
from twin.errors import StoreError
from twin.gltf.content import EncodeOptions
from twin.metadata.schema import Schema
from twin.store.base import TilesetStore, entries_of, quoted, stored_sizes
from twin.store.release import Release, Staging
from twin.tiles import implicit
from twin.tiles.types import Box, TileTree
from twin.tiling.tree import Content, PlannedTile, Square, finish, root_box
from twin.tiling.tree import plan as plan_tree

I64 = NDArray[np.int64]
Place = tuple[int, int, int]

#: File in a release that says which input each tile was made of; the next build takes over what is still right.
TILE_INPUTS = "tiles.json"
_ARCHIVE = "3tz"


@dataclass(frozen=True, slots=True)
class TileRecord:
    """A tile that exists.

    Attributes:
        content: Digest of its content.
        box: Its box in the layer's frame.
        triangles, raw_bytes: Figures for the report.
        sent: Bytes of its smallest form, whether the kind of store holds that form or not.
    """

    content: str
    box: Box
    triangles: int = 0
    raw_bytes: int = 0
    sent: int = 0

    def to_json(self) -> list[Any]:
        """As stored in `TILE_INPUTS`."""
        return [self.content, *self.box.low, *self.box.high, self.triangles, self.raw_bytes, self.sent]

    @classmethod
    def from_json(cls, row: list[Any]) -> TileRecord:
        """Reads `to_json`."""
        content, x0, y0, z0, x1, y1, z1, triangles, raw, sent = row
        return cls(content, Box((x0, y0, z0), (x1, y1, z1)), triangles, raw, sent)


@dataclass(frozen=True, slots=True)
class Taken:
    """Tiles of the served release that may be taken over.

    Attributes:
        records: By input digest.
        keys: Store key by ETag.
        store: Where they lie; None where there is nothing to take over.
    """

    records: Mapping[str, TileRecord] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    store: TilesetStore | None = None

    def held(self, etag: str) -> TakenTile:
        """The tile with this ETag."""
        if self.store is None:
            raise AssertionError(f"tile {etag} is neither staged nor published")
        return TakenTile(self.store, self.keys[quoted(etag)])


@dataclass(frozen=True, slots=True)
class TakenTile:
    """A tile in the store of the served release; see `twin.store.base.Held`."""

    store: TilesetStore
    key: str

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by content coding."""
        return stored_sizes(self.store, self.key)

    def read(self, encoding: str) -> bytes:
        """The bytes in a coding."""
        return self.store.read(self.key, encoding)


def taken_from(served: Release | None, layer: str, kind: str) -> Taken:
    """What the served release offers for a layer; nothing where it is missing or damaged.

    An archive does not hold every variant, so only another archive can be made of it.
    """
    if served is None or layer not in served.layers or (_ARCHIVE == served.info["layers"][layer]["kind"] != kind):
        return Taken()
    try:
        document = json.loads((served.path / TILE_INPUTS).read_bytes())[layer]
        store = served.store(layer)
        keys = {entry.etag: entry.key for entry in entries_of(store)}
        records = {name: TileRecord.from_json(row) for name, row in document.items()}
    except (OSError, ValueError, TypeError, KeyError, StoreError):
        return Taken()
    return Taken(records, keys, store)


@dataclass(frozen=True, slots=True)
class TiledLayer:
    """The tiles of a layer.

    Attributes:
        tree: With contents, volumes and errors.
        schema: Metadata schema.
        frame: Where the layer stands.
        records: By input digest, of every tile of this build.
        inputs: Input digest by place.
        rows: Drawn entities of every tile by place, in the order of its property table.
        written: Tiles that were made new.
        fingerprint: Digest of what all tiles depend on besides their entities.
    """

    tree: TileTree
    schema: Schema
    frame: Frame
    records: Mapping[str, TileRecord]
    inputs: Mapping[Place, str]
    rows: Mapping[Place, I64]
    written: int
    fingerprint: str

    def key(self, place: Place, encoder: str) -> str:
        """Store key of the content of a tile."""
        return content_key(place, self.records[self.inputs[place]].content, encoder)


def content_key(place: Place, content: str, encoder: str) -> str:
    """Store key of a content: its digest, or its place where an implicit tileset has to find it by that."""
    return implicit.content_key(*place) if encoder == "implicit" else f"c/{content}.glb"


#: Level of detail of what is no solid and of what is one.
_LODS = pa.array(["0", "1.2"])

Tools = tuple[Executor, Staging, Taken, Progress, Stopwatch]


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """The tree of a layer and what its tiles share, before any of them exists.

    Attributes:
        frame: Where the layer stands.
        square: What the quadtree divides.
        root: The tree.
        schema: Metadata schema.
        attributes: Attribute columns that go into tiles.
    """

    frame: Frame
    square: Square
    root: PlannedTile
    schema: Schema
    attributes: tuple[str, ...]


def plan_tiles(plan: BuildPlan, entities: LayerEntities) -> LayerPlan:
    """Decides which tile holds which entity."""
    project = plan.project
    frame = frame_of(entities)
    crs = parse_crs(project.project.working_crs)
    budget = project.layers[entities.name].tile_budget_kib * 1024.0
    square, root = plan_tree(extents_of(entities, frame, crs), budget)
    sources = [project.sources[number].name for number in plan.layer_sources(entities.name)]
    schema, kept = tile_schema(entities, plan.attributes[entities.name], sources)
    return LayerPlan(frame, square, root, schema, kept)


def build_tiles(
    plan: BuildPlan, entities: LayerEntities, planned: LayerPlan, unchanged: Unchanged | None, tools: Tools
) -> TiledLayer:
    """Makes every tile of a layer whose input is new.

    A tile that holds the entities it held in the last build, none of them changed, is known without a look at them.
    """
    pool, staging, taken, progress, watch = tools
    project = plan.project
    frame, root, schema = planned.frame, planned.root, planned.schema
    staged = _staged(staging)
    records = {**taken.records, **staged}
    context = EncodeContext(
        segments=tuple(one.path for one in entities.segments),
        working_crs=project.project.working_crs,
        origin=frame.origin,
        bounds=frame.bounds,
        schema=schema,
        attributes=planned.attributes,
        options=EncodeOptions(compression=project.output.compression),
        precompress=project.output.precompress,
        known=frozenset(records),
    )
    fingerprint = blake2b(context.fingerprint, digest_size=16).hexdigest()
    inputs = _as_before(entities, root, unchanged, fingerprint, records)
    written = 0
    progress.stage("tiles", len(entities.drawn), "buildings")
    progress.advance(sum(len(node.rows) for node in root.walk() if node_place(node) in inputs))
    with watch.stage("encode"):
        make = partial(_make, context, staging)
        for task, (name, record) in run_all(pool, make, _tasks(entities, root, project, inputs), ahead=4):
            inputs[task.place] = name
            if record is not None:
                records[name] = record
                written += 1
            progress.advance(len(task.row))
    rows = {node_place(node): entities.drawn[node.rows] for node in root.walk() if len(node.rows)}
    used = {name: records[name] for name in inputs.values()}
    tree = _tree(
        planned.square, root, frame, {place: used[name] for place, name in inputs.items()}, project.output.encoder
    )
    return TiledLayer(tree, schema, frame, used, inputs, rows, written, fingerprint)


def _make(context: EncodeContext, staging: Staging, task: TileTask) -> tuple[str, TileRecord | None]:
    """The digest of a tile's input, and its record if it was made; its bytes are staged, not sent back."""
    tile = encode_tile(task, context)
    return tile.input, None if tile.box is None else _stage(staging, tile, tile.box)


def node_place(node: PlannedTile) -> Place:
    """Where a node is in the quadtree."""
    return node.level, node.x, node.y


def _as_before(
    entities: LayerEntities,
    root: PlannedTile,
    unchanged: Unchanged | None,
    fingerprint: str,
    records: Mapping[str, TileRecord],
) -> dict[Place, str]:
    """Input digests of the tiles that are as they were and whose content is there."""
    found: dict[Place, str] = {}
    for node in root.walk() if unchanged is not None else ():
        name = unchanged.input_of(node_place(node), entities.drawn[node.rows], fingerprint) if unchanged else None
        if name is not None and name in records:
            found[node_place(node)] = name
    return found


def _tasks(
    entities: LayerEntities, root: PlannedTile, project: Project, done: Mapping[Place, str]
) -> Iterator[TileTask]:
    known = set(done)
    for node in root.walk():
        if len(node.rows) and node_place(node) not in known:
            yield _task(entities, node, [source.name for source in project.sources])


def _task(entities: LayerEntities, node: PlannedTile, sources: list[str]) -> TileTask:
    rows = entities.drawn[node.rows]
    pick = pa.array(rows)
    identity = entities.identity
    solid = entities.solid[rows]
    columns = pa.table(
        {
            "geid": identity.geid.take(pick),
            "source": pa.array(sources, pa.string()).take(pa.array(identity.source[rows])),
            "source_key": identity.source_key.take(pick),
            "entity_class": identity.entity_class.take(pick),
            "lod": _LODS.take(pa.array(solid.astype(np.int8))),
        }
    )
    return TileTask(
        place=node_place(node),
        segment=entities.segment[rows],
        row=entities.row[rows],
        columns=columns,
        foot_m=entities.foot_m[rows],
        eaves_m=entities.eaves_m[rows],
        solid=solid,
    )


def _staged(staging: Staging) -> dict[str, TileRecord]:
    """Tiles an interrupted run of the same build has finished."""
    listing = staging.path / "inputs"
    names = sorted(path.name for path in listing.iterdir()) if listing.is_dir() else []
    pieces = {name: staging.get(tile_piece(name)) for name in names}
    return {name: TileRecord.from_json(json.loads(piece.note)) for name, piece in pieces.items() if piece is not None}


def tile_piece(name: str) -> str:
    """Key of a tile in the staging area, by the digest of its input."""
    return f"tile/{name}"


def _stage(staging: Staging, tile: EncodedTile, box: Box) -> TileRecord:
    """Keeps a finished tile: first its content, then the mark that it is there."""
    sent = min(map(len, (tile.content, *tile.variants.values())))
    record = TileRecord(tile.key, box, tile.triangles, tile.raw_bytes, sent)
    staging.put(tile_piece(tile.input), tile.content, tile.variants, json.dumps(record.to_json()).encode())
    listing = staging.path / "inputs"
    listing.mkdir(exist_ok=True)
    (listing / tile.input).touch()
    return record


def _tree(
    square: Square, root: PlannedTile, frame: Frame, records: Mapping[Place, TileRecord], encoder: str
) -> TileTree:
    contents = {
        place: Content(content_key(place, record.content, encoder), record.box) for place, record in records.items()
    }
    done = finish(root, contents)
    return TileTree(done, root_box(square, done), LocalFrame(*frame.origin).matrix)
