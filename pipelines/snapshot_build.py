"""The district as it was at a moment, built into tiles: entities come from the history, not from the sources."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

import twin
from pipelines.areas import Areas, areas_of_history
from pipelines.build_result import BuildOptions, BuildResult
from pipelines.candidates import collect
from pipelines.columns import ATTRIBUTE, CORE, segment_table
from pipelines.identify import Identified
from pipelines.inputs import BUILD_FORMAT
from pipelines.layer import layer_report, prepare, require_something
from pipelines.lower_end import lower_ends
from pipelines.plan import BuildPlan
from pipelines.pool import worker_count, workers
from pipelines.progress import Progress, Quiet, Stopwatch
from pipelines.project import Layer, Project, output_path, project_digest
from pipelines.publish import LayerRelease, index_columns, publish_release
from pipelines.resolve import Resolved
from pipelines.segment import bit, open_segment, write_segment
from pipelines.tile_layer import Taken, build_tiles, plan_tiles
from twin.entity.aliases import BEIDOU
from twin.entity.areas import is_area
from twin.errors import BuildError, MisuseError
from twin.geometry.footprints import Footprints, from_shapely
from twin.modelling.buildings import untriangulable
from twin.registry.versions import History, Window
from twin.report import Report
from twin.store.release import Staging, lock

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class SnapshotOptions:
    """Which moment, and where to.

    Attributes:
        window: The moment in the world, and when it was known.
        out: Release directory; never that of the project.
        build: How to build; `force` is without meaning here.
    """

    window: Window
    out: Path
    build: BuildOptions = field(default_factory=BuildOptions)


def build_snapshot(
    project: Project, history: History, options: SnapshotOptions, progress: Progress | None = None
) -> BuildResult:
    """Builds what the history believes of a moment and publishes it in a directory of its own.

    Identities, the project's release and the history are only read.

    Raises:
        MisuseError: The directory is that of the project, or nothing is recorded at that moment.
        BuildError: Nothing of it can be drawn.
    """
    progress, watch = progress or Quiet(), Stopwatch()
    out = options.out.resolve()
    if out == output_path(project) or output_path(project) in out.parents:
        raise MisuseError(
            "a snapshot is never written over the served release", file=out, next_step="name another folder with -o"
        )
    with watch.stage("history"):
        table = history.snapshot(options.window)
        table = table.filter(pc.is_valid(table["geometry"]))
    mine = is_area(table)
    whole, table, areas = table, table.filter(pc.invert(mine)), table.filter(mine)  # areas have rows, but no tiles
    if not len(table):
        raise MisuseError(
            "the history holds nothing at that moment",
            next_step="choose another --at or --as-of; `twin update` begins the history",
        )
    past = _project_of(project, table, out)
    key = _key(past, whole)
    with lock(out, options.build.wait_s):
        staging = Staging.open(out, key)
        plan = BuildPlan(past, (), (), {name: _attributes(rows) for name, rows in _layers(table)}, key)
        with workers(worker_count(options.build.workers or project.output.workers), len(table)) as pool:
            built = [_layer(plan, name, rows, (pool, staging, progress, watch)) for name, rows in _layers(table)]
            report = Report(tuple(one.report for one in built))
            with watch.stage("publish"):
                facts = {"snapshot": {"at": _text(options.window.valid), "as_of": _text(options.window.as_of)}}
                published = publish_release(plan, staging, built, report, None, facts, _areas(past, areas))
    progress.close()
    return published.result(built, report, watch)


def _areas(project: Project, rows: pa.Table) -> Areas | None:
    schema = _attributes(rows)
    values = pa.Table.from_arrays(_attribute_columns(rows, schema), schema=schema)
    return areas_of_history(project, rows, values)


def _text(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _layers(table: pa.Table) -> list[tuple[str, pa.Table]]:
    names = sorted(pc.unique(table["layer"]).to_pylist())
    return [(name, table.filter(pc.equal(table["layer"], name)).combine_chunks()) for name in names]


def _key(project: Project, table: pa.Table) -> str:
    running = sha256(f"{BUILD_FORMAT} {twin.__version__} {project_digest(project)}".encode())
    for batch in table.combine_chunks().to_batches():
        running.update(batch.serialize())
    return running.hexdigest()[:16]


def _project_of(project: Project, table: pa.Table, out: Path) -> Project:
    """The project with the sources and layers of the past, which may have others now."""
    pairs = sorted({(row["layer"], row["source"] or "") for row in table.select(["layer", "source"]).group_by(
        ["layer", "source"]).aggregate([]).to_pylist()})  # fmt: skip
    first = project.sources[0]
    fields = first.fields.model_copy(update={"aliases": ("alias",)})
    sources = tuple(
        first.model_copy(update={"name": source, "layer": layer, "fields": fields}) for layer, source in pairs
    )
    layers = {layer: project.layers.get(layer, Layer()) for layer, _ in pairs}
    output = project.output.model_copy(update={"path": str(out)})
    return project.model_copy(update={"sources": sources, "layers": layers, "output": output})


def _layer(
    plan: BuildPlan, layer: str, rows: pa.Table, tools: tuple[Executor, Staging, Progress, Stopwatch]
) -> LayerRelease:
    pool, staging, progress, watch = tools
    with watch.stage("read"):
        path = staging.path / f"snapshot-{layer}"
        shutil.rmtree(path, ignore_errors=True)
        table, footprints = segment_of(plan.project, rows, plan.attributes[layer])
        write_segment(path, table, footprints)
        candidates = collect([open_segment(path)], [0], [0])
        identity = _identity(plan.project, layer, rows)
        candidates = replace(candidates, source=identity.source)
        every = np.arange(len(rows))
        features = Resolved(candidates, every, np.full(len(rows), -1), every)
        report = layer_report(layer, features)
        require_something(report)
        entities = prepare(plan.project, layer, features, identity)
    with watch.stage("tree"):
        planned = plan_tiles(plan, entities)
    columns = index_columns(plan.project, entities)
    tiled = build_tiles(plan, entities, planned, None, (pool, staging, Taken(), progress, watch))
    return LayerRelease(entities, tiled, Taken(), report, columns)


def _identity(project: Project, layer: str, rows: pa.Table) -> Identified:
    number = {source.name: at for at, source in enumerate(project.sources) if source.layer == layer}
    sources = [number[name or ""] for name in rows["source"].to_pylist()]
    return Identified(
        candidate=np.arange(len(rows)),
        geid=_one(rows["geid"]),
        source_key=_one(rows["source_key"]),
        source=np.array(sources, dtype=np.int64),
        entity_class=_one(rows["entity_class"]),
        parent=_one(rows["parent"]),
        resolved=(),
        classes=(),
        lineage=(),
    )


def _one(column: pa.ChunkedArray) -> pa.Array:
    plain = column.cast(pa.string())
    return pa.concat_arrays(plain.chunks) if plain.num_chunks else pa.array([], pa.string())


def segment_of(project: Project, rows: pa.Table, attributes: pa.Schema) -> tuple[pa.Table, Footprints]:
    """Versions of one layer as a segment: columns as `pipelines.columns` lists them, footprints in the working CRS.

    Raises:
        BuildError: A geometry of the history is no polygon.
    """
    shapes = shapely.from_wkb(rows["geometry"].to_numpy())
    if not np.isin(shapely.get_type_id(shapes), (3, 6)).all():
        raise BuildError("the history holds a geometry that is no polygon", next_step="run `twin registry verify`")
    footprints = from_shapely(np.asarray(shapes, dtype=object))
    area, centre = footprints.area_centroid()
    bounds = footprints.bounds()
    count = len(rows)
    core: dict[str, object] = {
        "row": np.arange(count),
        "part": np.zeros(count, np.int32),
        "key": _one(rows["source_key"]),
        "is_part": np.asarray(pc.fill_null(pc.equal(rows["entity_class"], "BuildingPart"), False)),
        "part_of": pa.nulls(count, pa.string()),
        "aliases": _stated_aliases(rows["aliases"]),
        "min_height_m": lower_ends(project, rows),
        "x": centre[:, 0],
        "y": centre[:, 1],
        "area_m2": area,
        "area_source_m2": area,
        **{name: bounds[:, at] for at, name in enumerate(("west", "south", "east", "north"))},
        "corners": footprints.vertex_counts().astype(np.int32),
        "reasons": _reasons(rows, footprints),
    }
    for name in ("base_m", "height_m", "roof_m"):
        core[name] = _numbers(rows[name])
    for name in ("name", "address", "storeys", "height_source", "height_confidence", "ground_source"):
        core[name] = rows[name].combine_chunks().cast(CORE.field(name).type)
    values = _attribute_columns(rows, attributes)
    table = segment_table(core, values, attributes)
    return table, footprints


def _numbers(column: pa.ChunkedArray) -> F64:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _reasons(rows: pa.Table, footprints: Footprints) -> U64:
    """(n,) reason bits, as far as they follow from what the history holds."""
    reasons = np.zeros(len(rows), dtype=np.uint64)
    reasons[~np.isfinite(_numbers(rows["height_m"]))] |= bit("height_missing")
    reasons[~np.isfinite(_numbers(rows["base_m"]))] = bit("ground_missing")
    parents = pc.unique(rows["parent"].filter(pc.is_valid(rows["height_m"])))
    outline = pc.fill_null(pc.is_in(rows["geid"], value_set=pc.drop_null(parents).cast(pa.string())), False)
    reasons[np.asarray(outline)] |= bit("outline_of_parts")
    reasons[untriangulable(footprints)] = bit("mesh_failed")
    return reasons


def _stated_aliases(column: pa.ChunkedArray) -> pa.Array:
    """Aliases without the code of the place, which is worked out again."""
    kept = [
        None if one is None else [text for text in one if not text.startswith(f"{BEIDOU}:")]
        for one in column.to_pylist()
    ]
    return pa.array(kept, pa.list_(pa.string()))


def _attributes(rows: pa.Table) -> pa.Schema:
    """Types of the attributes of a layer: the widest of their values, text where they do not agree."""
    kinds: dict[str, set[type]] = {}
    for row in _objects(rows):
        for name, value in row.items():
            kinds.setdefault(name, set()).add(type(value))
    return pa.schema([(ATTRIBUTE + name, _type(kinds[name])) for name in sorted(kinds)])


def _type(kinds: set[type]) -> pa.DataType:
    known = kinds - {type(None)}
    if known == {bool}:
        return pa.bool_()
    if known == {int}:
        return pa.int64()
    return pa.float64() if known and known <= {int, float} else pa.string()


def _objects(rows: pa.Table) -> list[dict[str, Any]]:
    return [orjson.loads(text) if text else {} for text in rows["attributes"].to_pylist()]


def _attribute_columns(rows: pa.Table, attributes: pa.Schema) -> list[pa.Array]:
    objects = _objects(rows)
    columns = []
    for wanted in attributes:
        values = [row.get(wanted.name.removeprefix(ATTRIBUTE)) for row in objects]
        if pa.types.is_string(wanted.type):
            values = [one if one is None or isinstance(one, str) else orjson.dumps(one).decode() for one in values]
        columns.append(pa.array(values, wanted.type))
    return columns
