"""The stages of a build that has something to do: read, resolve, identify, tile, publish."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import carried
from pipelines.areas import Areas, read_areas
from pipelines.build_result import WORK, BuildOptions, BuildResult, served_release
from pipelines.candidates import collect
from pipelines.identify import identify
from pipelines.kept import KEPT, keep
from pipelines.layer import layer_report, prepare, require_something
from pipelines.plan import BuildPlan
from pipelines.pool import worker_count
from pipelines.progress import Progress, Stopwatch
from pipelines.project import Project, output_path
from pipelines.project_notes import project_notes
from pipelines.project_registry import open_project_registry
from pipelines.publish import LayerRelease, index_columns, publish_release, remember
from pipelines.reading import Reading, SourcesRead
from pipelines.resolve import Resolved, resolve
from pipelines.rules import raster_notes
from pipelines.segment import open_segment
from pipelines.tile_layer import build_tiles, plan_tiles, taken_from
from pipelines.warm import for_tiles
from twin.crs.reference import check_plausible, parse_crs
from twin.entity.index import EntityIndex
from twin.errors import BuildError, StoreError
from twin.registry.identity import IdentityRegistry
from twin.report import Issue, Report, Severity
from twin.store.release import Release, Staging


def run_stages(reading: Reading, options: BuildOptions, progress: Progress, watch: Stopwatch) -> BuildResult:
    """Runs the stages that follow reading, and publishes; see `pipelines.run.build`."""
    plan, pool = reading.plan, reading.pool
    project = plan.project
    out = output_path(project)
    staging = Staging.open(out, plan.build_key)
    ingested = reading.finish(progress, watch)
    _warm(pool, worker_count(options.workers or project.output.workers))
    with open_project_registry(project) as registry:
        built = [
            _layer(plan, layer, ingested, registry, (pool, staging, out, options, progress, watch))
            for layer in sorted(plan.attributes)
        ]
        areas = read_areas(project, registry)
        report = Report(tuple(one.report for one in built), _issues(plan, ingested, built, areas))
        with watch.stage("publish"):
            if areas is not None:
                areas.remember(registry)
            published = publish_release(plan, staging, built, report, registry, None, areas)
    with watch.stage("keep"):
        _keep(project, reading.work, ingested, built, published.release)
    return published.result(built, report, watch)


def _warm(pool: Executor, count: int) -> None:
    """Has the workers load what tiles need; nobody waits: one that fails here will say so in its first tile."""
    each = count if isinstance(pool, ProcessPoolExecutor) else 1  # threads share what one of them has loaded
    for number in range(each if count > 1 else 0):
        pool.submit(for_tiles, number)


def _keep(project: Project, work: Path, read: SourcesRead, built: list[LayerRelease], release: str) -> None:
    """Leaves the finished work to the next build, in place of that of the one before; or nothing at all."""
    kept = work.with_name(KEPT)
    if project.output.keep_work:
        for layer in built:
            table = carried.decisions(layer.entities)
            carried.write(
                work,
                layer.name,
                carried.Carried(release, layer.tiled.fingerprint, table, layer.tiled.rows, layer.tiled.inputs),
            )
        keep(work, kept, read.described)
    else:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(kept, ignore_errors=True)


_Tools = tuple[Executor, Staging, Path, BuildOptions, Progress, Stopwatch]


def _layer(plan: BuildPlan, layer: str, read: SourcesRead, registry: IdentityRegistry, tools: _Tools) -> LayerRelease:
    pool, staging, out, options, progress, watch = tools
    with watch.stage("resolve"):
        features = features_of(plan, layer, read)
        report = layer_report(layer, features)
        require_something(report)
    with watch.stage("identify"):
        identity = identify(registry, plan.project, layer, features)
        entities = prepare(plan.project, layer, features, identity)
    served = None if options.force else served_release(out)
    taken = taken_from(served, layer, plan.project.output.store)
    with watch.stage("compare"):
        kept = None if options.force else carried.read(plan.project.root / WORK / KEPT, layer)
        unchanged = carried.compare(kept, entities)
    with watch.stage("tree"):
        planned = plan_tiles(plan, entities)
    # The workers are busy with tiles now; this process has time for the index and the registry.
    with ThreadPoolExecutor(1) as aside:
        recorded = aside.submit(remember, registry, identity)
        columns = aside.submit(index_columns, plan.project, entities, unchanged, _served_rows(served, unchanged, layer))
        tiled = build_tiles(plan, entities, planned, unchanged, (pool, staging, taken, progress, watch))
        with watch.stage("aside"):
            known = columns.result()
            recorded.result()
    return LayerRelease(entities, tiled, taken, report, known)


def _served_rows(served: Release | None, unchanged: carried.Unchanged | None, layer: str) -> pa.Table | None:
    """Rows of a layer in the served index, where that is the index of the build that left its decisions."""
    if served is None or unchanged is None or served.id != unchanged.carried.release:
        return None
    try:
        table = EntityIndex.open(served.index).table
    except StoreError:
        return None
    alone = len(table) == len(unchanged.carried.table)
    rows = table if alone else table.filter(pc.equal(table["layer"], layer)).combine_chunks()
    return rows if len(rows) == len(unchanged.carried.table) else None


def features_of(plan: BuildPlan, layer: str, read: SourcesRead) -> Resolved:
    """The features of a layer, of all its sources, with heights and outcomes.

    Raises:
        BuildError: There is none.
    """
    wanted = set(plan.layer_sources(layer))
    tasks = [task for task in plan.tasks if plan.files[task.file].source in wanted]
    pairs = [(task, path) for task in tasks for path in read.results[task].segments]
    if not pairs:
        raise BuildError(f'layer "{layer}" has no feature at all', next_step="check the paths in twin.toml")
    candidates = collect(
        [open_segment(path) for _, path in pairs],
        [task.file for task, _ in pairs],
        [plan.files[task.file].source for task, _ in pairs],
    )
    by_source = {plan.files[number].source: context for number, context in read.contexts.items()}
    return resolve(candidates, {number: by_source[number] for number in sorted(wanted)})


def _issues(plan: BuildPlan, read: SourcesRead, built: list[LayerRelease], areas: Areas | None) -> tuple[Issue, ...]:
    """Findings that concern more than a feature: coordinates, rasters, oddities met while reading."""
    # placeholders are told, but a build that drew everything is clean all the same; `twin check` warns of them
    issues: list[Issue] = [replace(note, severity=Severity.NOTE) for note in project_notes(plan.project)]
    for number, file in enumerate(plan.files):
        source = plan.project.sources[file.source]
        notes = dict.fromkeys(file.opened.notes)
        for task, result in read.results.items():
            if task.file == number:
                notes.update(dict.fromkeys(result.notes))
        issues += [Issue("source_note", Severity.NOTE, note, source.layer, source.name) for note in notes]
    for number, source in enumerate(plan.project.sources):
        rules = next(one.rules for at, one in read.contexts.items() if plan.files[at].source == number)
        issues += [replace(note, layer=source.layer, source=source.name) for note in raster_notes(rules)]
    issues += areas.issues if areas is not None else ()
    crs = parse_crs(plan.project.project.working_crs)
    for layer in built:
        issues += [replace(issue, layer=layer.name) for issue in check_plausible(crs, layer.tiled.frame.bounds)]
    return tuple(issues)
