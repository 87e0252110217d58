"""From finished tiles and entities to a release on disk, and the one step that serves it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.aliases import index_aliases, remember_aliases
from pipelines.areas import Areas, area_rows, parents_in, with_column
from pipelines.build_result import BuildResult
from pipelines.carried import Unchanged
from pipelines.columns import ATTRIBUTE
from pipelines.encode import CLASS_ID
from pipelines.identify import Identified
from pipelines.layer import LayerEntities, some_entities
from pipelines.outline import outline_of
from pipelines.plan import BuildPlan
from pipelines.progress import Stopwatch
from pipelines.project import Project, output_path
from pipelines.segment import OUTCOMES, codes_of, gather, gather_columns
from pipelines.tile_layer import TILE_INPUTS, Taken, TiledLayer, tile_piece
from twin.crs.reference import parse_crs
from twin.entity.index import EntityIndex
from twin.geometry.footprints import Footprints
from twin.registry.identity import IdentityRegistry
from twin.report import LayerReport, Report
from twin.store.base import StoreWriter, digest, entries_of, layer_digest, precompress
from twin.store.open import FILE_NAME, open_store, open_writer
from twin.store.release import FORMAT, Staging, publish, release_id, release_json
from twin.tiles import explicit, implicit

INDEX = "entities.arrow"


@dataclass(frozen=True, slots=True)
class LayerRelease:
    """A layer ready to be published.

    Attributes:
        entities: Its entities.
        tiled: Its tiles.
        taken: Where tiles that were not made new are.
        report: Its account.
        columns: Columns of the entity index that do not depend on tiles.
    """

    entities: LayerEntities
    tiled: TiledLayer
    taken: Taken
    report: LayerReport
    columns: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.entities.name

    @property
    def facts(self) -> dict[str, Any]:
        """Figures for the report and the benchmark."""
        records = self.tiled.records.values()
        return {
            "triangles": sum(one.triangles for one in records),
            "raw_bytes": sum(one.raw_bytes for one in records),
            "tiles": len(self.tiled.inputs),
            "tiles_written": self.tiled.written,
        }


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    Attributes:
        release: Its id.
        bytes: Size of all tiles and tileset JSON as sent over the network.
    """

    release: str
    bytes: int

    def result(self, built: Sequence[LayerRelease], report: Report, watch: Stopwatch) -> BuildResult:
        """What the build that ended in it tells."""
        return BuildResult(
            release=self.release,
            report=report,
            tiles=sum(len(one.tiled.inputs) for one in built),
            tiles_written=sum(one.tiled.written for one in built),
            bytes=self.bytes,
            unchanged=False,
            seconds={**watch.seconds, "total": watch.total()},
            facts={one.name: one.facts for one in built},
        )


def publish_release(
    plan: BuildPlan,
    staging: Staging,
    layers: Sequence[LayerRelease],
    report: Report,
    registry: IdentityRegistry | None,
    facts: Mapping[str, Any] | None = None,
    areas: Areas | None = None,
) -> Published:
    """Writes stores, index and `release.json` into the staging area, keeps the identities, and serves the release.

    The registry is committed first: a crash between the two steps leaves identities without a release, never a release
    whose identities nobody remembers.

    Args:
        plan, staging, layers, report: The build.
        registry: Keeps the identities; None where they are those of the past and stay untouched.
        facts: Further keys of `release.json`.
        areas: Administrative areas the entities lie in.
    """
    project = plan.project
    with ThreadPoolExecutor(1) as aside:
        index = aside.submit(EntityIndex.write, staging.release_path / INDEX, index_table(project, layers, areas))
        rows = {layer.name: _write_layer(project, staging, layer) for layer in layers}
        index_digest = index.result()
    _write_inputs(staging.release_path, layers)
    release = release_id({name: row["digest"] for name, row in rows.items()}, index_digest)
    working = parse_crs(project.project.working_crs)
    info = {
        "format": FORMAT,
        "release": release,
        "build_key": plan.build_key,
        "project": {
            "name": project.project.name,
            "admin_code": project.project.admin_code,
            "authority": project.project.authority,
        },
        "working_crs": project.project.working_crs if working.public else None,
        "vertical_datum": project.project.vertical_datum,
        "index": INDEX,
        "outline": outline_of(project),
        "report": report.to_json(),
        "layers": rows,
        **(facts or {}),
    }
    (staging.release_path / "release.json").write_bytes(release_json(info))
    if registry is not None:
        remember_aliases(registry, project, [layer.entities for layer in layers])
        registry.commit(release)
    publish(output_path(project), staging, release, project.output.keep_releases)
    return Published(release, sum(int(row["bytes"]) for row in rows.values()))


def remember(registry: IdentityRegistry, identity: Identified) -> None:
    """Records the identities of a layer; `publish_release` commits them."""
    lineage = identity.lineage
    for resolved, classes in zip(identity.resolved, identity.classes, strict=True):
        registry.record(resolved, classes, lineage)
        lineage = ()


def _write_layer(project: Project, staging: Staging, layer: LayerRelease) -> dict[str, Any]:
    output = project.output
    path = staging.release_path / FILE_NAME[output.store].format(layer=layer.name)
    sent = 0
    with open_writer(path, output.store) as writer:
        for place, name in sorted(layer.tiled.inputs.items()):
            sent += _put_tile(writer, staging, layer, layer.tiled.key(place, output.encoder), name)
        for key, content in _tileset(layer.tiled, output.encoder):
            variants = precompress(content, output.precompress)
            writer.put(key, content, variants)
            sent += _smallest(content, variants)
        writer.commit()
    with open_store(path) as store:
        entries = list(entries_of(store))
    return {
        "title": project.layers[layer.name].title,
        "store": path.name,
        "kind": output.store,
        "tileset": "tileset.json",
        "digest": layer_digest(entries),
        "tiles": len(layer.tiled.inputs),
        "features": len(layer.entities.drawn),
        "bytes": sent,
        "region": _region(layer.entities),
        "encoder": output.encoder,
        "frame": {"lon": layer.tiled.frame.origin[0], "lat": layer.tiled.frame.origin[1], "h": 0.0},
        "properties": _properties(layer),
    }


def _put_tile(writer: StoreWriter, staging: Staging, layer: LayerRelease, key: str, name: str) -> int:
    """Writes a tile that was staged or is taken over; gives its size as sent over the network."""
    record = layer.tiled.records[name]
    held = staging.held(tile_piece(name)) or layer.taken.held(record.content)
    writer.put_held(key, held, record.content)
    return record.sent


def _smallest(content: bytes, variants: Mapping[str, bytes]) -> int:
    return min(map(len, (content, *variants.values())))


def _tileset(tiled: TiledLayer, encoder: str) -> Iterator[tuple[str, bytes]]:
    write = implicit.write if encoder == "implicit" else explicit.write
    return write(tiled.tree, version=tileset_version(tiled, encoder))


def tileset_version(tiled: TiledLayer, encoder: str) -> str:
    """Names a layer by all its tiles and their tree: it changes exactly when anything of it does.

    It stands in the tileset itself, so it is made of the tileset without it.
    """
    write = implicit.write if encoder == "implicit" else explicit.write
    documents = [f"{key} {digest(content)}" for key, content in write(tiled.tree)]
    contents = [f"{tiled.key(place, encoder)} {tiled.records[name].content}" for place, name in tiled.inputs.items()]
    return digest("\n".join(sorted([*documents, *contents])).encode())[:16]


def _region(entities: LayerEntities) -> list[float]:
    """West, south, east, north in degrees, lowest and highest ellipsoidal height of what is drawn."""
    boxes = entities.box_lonlat[entities.drawn]
    west, south = boxes[:, :2].min(axis=0)
    east, north = boxes[:, 2:].max(axis=0)
    low, high = entities.foot_m[entities.drawn].min(), entities.eaves_m[entities.drawn].max()
    return [round(float(value), 7) for value in (west, south, east, north)] + [
        round(float(low), 3),
        round(float(high), 3),
    ]


def _properties(layer: LayerRelease) -> list[dict[str, Any]]:
    """What the tiles hold of every feature; for numbers also how they are spread, so that legends do not guess."""
    schema = layer.tiled.schema
    rows = []
    for one in schema.find_class(CLASS_ID).properties:
        row: dict[str, Any] = {"id": one.id, "name": one.name, "type": one.type}
        if one.component_type:
            row["component_type"] = one.component_type
            row["quantiles"] = _quantiles(layer.columns[one.source], layer.entities.drawn)
        if one.enum is not None:
            row["enum"] = [value for value in schema.find_enum(one.enum).values if value != one.no_data]
        rows.append(row)
    return rows


def _quantiles(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> list[float]:
    """Every twentieth of the values of some rows, lowest and highest included; empty where there is none."""
    values = column.cast(pa.float64()).to_numpy()[rows]
    finite = values[np.isfinite(values)]
    if not len(finite):
        return []
    return [round(value, 4) for value in np.percentile(finite, np.linspace(0, 100, 21), method="nearest").tolist()]


def _write_inputs(folder: Path, layers: Sequence[LayerRelease]) -> None:
    document = {
        layer.name: {name: record.to_json() for name, record in sorted(layer.tiled.records.items())} for layer in layers
    }
    (folder / TILE_INPUTS).write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")


def index_table(project: Project, layers: Sequence[LayerRelease], areas: Areas | None = None) -> pa.Table:
    """The entity index of a release: one row for every entity of every layer, drawn or not, and for every area."""
    tables = [_layer_index(layer, project.output.encoder) for layer in layers]
    if areas is not None:
        # The parent is made of what is known of the entity alone: a row taken over may bear that of another edition.
        placed = [parents_in(areas, layer.entities) for layer in layers]
        tables = [with_column(one, "parent", parent) for one, parent in zip(tables, placed, strict=True)]
        tables.append(area_rows(areas, polygons(areas.footprints), tables))
    return pa.concat_tables(tables, promote_options="default") if len(tables) > 1 else tables[0]


_FROM_SEGMENT = (
    "name", "address", "base_m", "roof_m", "height_m", "min_height_m", "storeys", "height_source", "height_confidence",
    "ground_source",
)  # fmt: skip


def index_columns(
    project: Project, entities: LayerEntities, unchanged: Unchanged | None = None, served: pa.Table | None = None
) -> dict[str, Any]:
    """The columns of a layer's entity index that are known before its tiles are.

    Args:
        project, entities: The layer.
        unchanged: What has stayed as it was.
        served: Rows of the layer in the index of the last build, whose unchanged ones are taken over.
    """
    pieces = None if unchanged is None or served is None else _pieces_of(unchanged)
    if pieces is None or served is None or unchanged is None:
        return _made_columns(project, entities)
    rows = np.flatnonzero(~unchanged.same)
    fresh = _made_columns(project, some_entities(entities, rows))
    names = [name for name in fresh if name in served.column_names]
    if len(names) < len(fresh):
        return _made_columns(project, entities)
    columns = {name: _patched(served[name], fresh[name], pieces) for name in names}
    narrower = [name for name in _FROM_SEGMENT if served.schema.field(name).type == pa.float32()]
    whole = gather_columns(entities.segments, entities.segment, entities.row, narrower)
    return {**columns, **{name: _nulls_for_nan(whole.column(name)) for name in narrower}}


#: A layer with more changes than this has its index made from the ground up.
_MOST_PIECES = 4000


def _pieces_of(unchanged: Unchanged) -> list[tuple[bool, int, int]] | None:
    """Runs of rows: taken over or new, where they begin among the old or the new ones, how many; None if too many."""
    same = unchanged.same
    at = np.where(same, unchanged.old, np.cumsum(~same) - 1)
    breaks = np.flatnonzero((np.diff(same.astype(np.int8)) != 0) | (np.diff(at) != 1)) + 1
    if len(breaks) >= _MOST_PIECES:
        return None
    starts = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([starts, [len(same)]]))
    return list(zip(same[starts].tolist(), at[starts].tolist(), counts.tolist(), strict=True))


def _patched(before: pa.ChunkedArray, fresh: Any, pieces: list[tuple[bool, int, int]]) -> pa.ChunkedArray:
    old = before.combine_chunks()
    old = old.chunk(0) if isinstance(old, pa.ChunkedArray) else old
    if pieces == [(True, 0, len(old))]:
        return pa.chunked_array([old])
    column = fresh if isinstance(fresh, pa.Array | pa.ChunkedArray) else pa.array(fresh)
    new = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    new = new if new.type == old.type else new.cast(old.type)
    parts = [(old if taken else new).slice(start, count) for taken, start, count in pieces]
    return pa.chunked_array([pa.concat_arrays(parts)])


def _made_columns(project: Project, entities: LayerEntities) -> dict[str, Any]:
    identity = entities.identity
    count = len(identity.geid)
    attributes = [name for name in entities.segments[0].table.column_names if name.startswith(ATTRIBUTE)]
    carried = gather_columns(entities.segments, entities.segment, entities.row, [*_FROM_SEGMENT, *attributes])
    names = np.array([source.name for source in project.sources], dtype=object)
    columns: dict[str, Any] = {
        "geid": identity.geid,
        "layer": pa.array([entities.name]).take(pa.array(np.zeros(count, dtype=np.int8))),
        "entity_class": identity.entity_class,
        "source": pa.array(names[identity.source], pa.string()),
        "source_key": identity.source_key,
        "aliases": index_aliases(project, entities),
        "parent": identity.parent,
        "lon": entities.lon,
        "lat": entities.lat,
        "height": pa.array(entities.ground_m, from_pandas=True),
        "west": entities.box_lonlat[:, 0],
        "south": entities.box_lonlat[:, 1],
        "east": entities.box_lonlat[:, 2],
        "north": entities.box_lonlat[:, 3],
        "outcome": pa.array(np.array([kind.value for kind in OUTCOMES], dtype=object)[entities.outcome], pa.string()),
        "reasons": _reason_lists(entities.reasons),
        "geometry": polygons(gather(entities.segments, entities.segment, entities.row)),
    }
    for name in (*_FROM_SEGMENT, *attributes):
        columns[name] = _nulls_for_nan(carried.column(name))
    return columns


def _layer_index(layer: LayerRelease, encoder: str) -> pa.Table:
    tile, row = _tiles(layer, encoder, len(layer.entities.identity.geid))
    return pa.table({**layer.columns, "tile": tile, "row": pa.array(row), "lod": _lods(layer.entities, row)})


def _tiles(layer: LayerRelease, encoder: str, count: int) -> tuple[pa.Array, NDArray[np.int32]]:
    """Tile and row of every entity: null and -1 for what is not drawn."""
    places = list(layer.tiled.rows)
    keys = pa.array([layer.tiled.key(place, encoder) for place in places], pa.string())
    number = np.full(count, -1, dtype=np.int64)
    row = np.full(count, -1, dtype=np.int32)
    for at, place in enumerate(places):
        members = layer.tiled.rows[place]
        number[members] = at
        row[members] = np.arange(len(members))
    return keys.take(pa.array(number, mask=number < 0)), row


def _lods(entities: LayerEntities, row: NDArray[np.int32]) -> pa.Array:
    text = np.where(entities.solid, "1.2", "0").astype(object)
    return pa.array(text, pa.string(), mask=row < 0)


def _reason_lists(reasons: NDArray[np.uint64]) -> pa.Array:
    patterns, which = np.unique(reasons, return_inverse=True)
    lists = pa.array([codes_of(int(bits)) for bits in patterns], pa.list_(pa.string()))
    return lists.take(pa.array(which.reshape(-1)))


def _nulls_for_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    values = column.to_numpy()
    return pa.chunked_array([pa.array(values, column.type, mask=np.isnan(values))])


def polygons(footprints: Footprints) -> pa.Array:
    """Footprints as nested lists: polygons of closed rings of points, working CRS."""
    closed, ring = footprints.closed()
    points = pa.FixedSizeListArray.from_arrays(pa.array(closed.reshape(-1)), 2)
    rings = pa.ListArray.from_arrays(pa.array(ring.astype(np.int32)), points)
    shells = pa.ListArray.from_arrays(pa.array(footprints.polygon.astype(np.int32)), rings)
    return pa.ListArray.from_arrays(pa.array(footprints.feature.astype(np.int32)), shells)
