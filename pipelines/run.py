"""A build from `twin.toml` to a published release: the order of the stages, what is taken over, what is told."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.candidates import collect
from pipelines.identify import identify
from pipelines.ingest import IngestContext, Ingested, ingest
from pipelines.layer import layer_report, prepare, require_something
from pipelines.plan import BlockTask, BuildPlan, build_key, make_plan
from pipelines.pool import run_all, worker_count, workers
from pipelines.progress import Progress, Quiet, Stopwatch
from pipelines.project import Project, output_path
from pipelines.publish import LayerRelease, index_columns, publish_release, remember
from pipelines.resolve import Resolved, resolve
from pipelines.rules import raster_notes, source_rules
from pipelines.segment import bit, open_segment
from pipelines.tile_layer import Taken, build_tiles, taken_from
from twin.crs.reference import check_plausible, parse_crs
from twin.errors import BuildError, TwinError
from twin.registry.sqlite import Registry
from twin.report import Issue, LayerReport, Report, Severity
from twin.store.release import Release, Staging, current, lock, open_current

#: Work of a project that is not finished.
WORK = ".twin"
#: The registry of a project, beside `twin.toml`.
REGISTRY = "registry.sqlite"
#: The last report, with seconds, in the release directory.
LAST_BUILD = "last-build.json"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a build is run; none of it changes a byte of the release.

    Attributes:
        workers: Processes; 0 takes the project's number.
        force: Build everything again, taking nothing over.
        wait_s: How long to wait for another build of the same project.
    """

    workers: int = 0
    force: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build gave.

    Attributes:
        release: Id of the release that is served now.
        report: The account of every feature.
        tiles: Tiles with content in the release.
        tiles_written: Of these, how many were made new.
        bytes: Size of the release's tiles as sent over the network (smallest variant).
        unchanged: True if the input was that of the served release and nothing had to be done.
        seconds: By stage, and in total.
        facts: Further figures by layer.
    """

    release: str
    report: Report
    tiles: int
    tiles_written: int
    bytes: int
    unchanged: bool
    seconds: dict[str, float]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report that `twin build --json` prints."""
        return {
            **self.report.to_json(),
            "tiles": self.tiles,
            "tiles_written": self.tiles_written,
            "bytes": self.bytes,
            "seconds": round(self.seconds.get("total", 0.0), 3),
            "stages": {name: round(value, 3) for name, value in self.seconds.items() if name != "total"},
            "release": self.release,
            "unchanged": self.unchanged,
            "exit_code": self.report.exit_code,
            **({"figures": self.facts} if self.facts else {}),
        }


def build(project: Project, options: BuildOptions | None = None, progress: Progress | None = None) -> BuildResult:
    """Builds a project and publishes the release.

    The served release is not touched until the new one is whole (promise 8); a build that was killed goes on with the
    segments and tiles it had finished.

    Raises:
        TwinError: See the stages; nothing has been published then.
    """
    options, progress = options or BuildOptions(), progress or Quiet()
    watch = Stopwatch()
    out = output_path(project)
    with lock(out, options.wait_s), _closing(progress):
        with watch.stage("digest"):
            key = build_key(project)
            served = _served(out)
        if served is not None and served.info.get("build_key") == key and not options.force:
            return _unchanged(served, watch)
        return _build(project, key, options, progress, watch)


@contextmanager
def _closing(progress: Progress) -> Iterator[None]:
    try:
        yield
    finally:
        progress.close()


def _served(out: Path) -> Release | None:
    """The served release; None where there is none or it is damaged, so that a build can mend it."""
    try:
        return open_current(out) if current(out) is not None else None
    except TwinError:
        return None


def _unchanged(served: Release, watch: Stopwatch) -> BuildResult:
    report = report_from_json(served.info["report"])
    tiles = sum(int(layer["tiles"]) for layer in served.info["layers"].values())
    size = sum(int(layer["bytes"]) for layer in served.info["layers"].values())
    return BuildResult(served.id, report, tiles, 0, size, True, {**watch.seconds, "total": watch.total()})


def report_from_json(document: dict[str, Any]) -> Report:
    """The report a release holds."""
    from twin.report import Outcome

    layers = tuple(
        LayerReport(
            name,
            row["read"],
            {outcome: row[outcome.value] for outcome in Outcome},
            row["reasons"],
            row["entities"],
            {code: tuple(keys) for code, keys in row.get("examples", {}).items()},
        )
        for name, row in document["layers"].items()
    )
    issues = tuple(Issue(**{**row, "severity": Severity(row["severity"])}) for row in document.get("findings", ()))
    return Report(layers, issues)


def _build(project: Project, key: str, options: BuildOptions, progress: Progress, watch: Stopwatch) -> BuildResult:
    out = output_path(project)
    work = project.root / WORK / key
    _discard_other_work(project.root / WORK, key)
    with watch.stage("open"):
        plan = make_plan(project, key)
        staging = Staging.open(out, key)
    with workers(worker_count(options.workers or project.output.workers)) as pool:
        ingested = _ingest(plan, work, pool, progress, watch)
        with Registry.open(project.root / REGISTRY, project.project.authority) as registry:
            built = [
                _layer(plan, layer, ingested, registry, (pool, staging, out, options, progress, watch))
                for layer in sorted(plan.attributes)
            ]
            report = Report(tuple(one.report for one in built), _issues(plan, ingested, built))
            with watch.stage("publish"):
                published = publish_release(plan, staging, built, report, registry)
    shutil.rmtree(work, ignore_errors=True)
    result = BuildResult(
        release=published.release,
        report=report,
        tiles=sum(len(one.tiled.inputs) for one in built),
        tiles_written=sum(one.tiled.written for one in built),
        bytes=published.bytes,
        unchanged=False,
        seconds={**watch.seconds, "total": watch.total()},
        facts={one.name: one.facts for one in built},
    )
    _note_last_build(out, result)
    return result


def _discard_other_work(folder: Path, key: str) -> None:
    for other in folder.iterdir() if folder.is_dir() else ():
        if other.name != key:
            shutil.rmtree(other, ignore_errors=True)


def _note_last_build(out: Path, result: BuildResult) -> None:
    document = {**result.to_json(), "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    staged = out / f".{LAST_BUILD}.new"
    staged.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    staged.replace(out / LAST_BUILD)


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading gave: per task, in the order of the plan."""

    contexts: dict[int, IngestContext]
    results: dict[BlockTask, Ingested]


def _ingest(plan: BuildPlan, work: Path, pool: Executor, progress: Progress, watch: Stopwatch) -> _Read:
    work.mkdir(parents=True, exist_ok=True)
    contexts = _contexts(plan, work)
    progress.stage("read", plan.features, "features")
    results: dict[BlockTask, Ingested] = {}
    with watch.stage("ingest"):
        for task, result in run_all(pool, partial(_ingest_task, contexts), plan.tasks, ahead=8):
            results[task] = result
            progress.advance(result.features)
    return _Read(contexts, results)


def _ingest_task(contexts: dict[int, IngestContext], task: BlockTask) -> Ingested:
    return ingest(task, contexts[task.file])


def _contexts(plan: BuildPlan, work: Path) -> dict[int, IngestContext]:
    rules = [source_rules(plan.project, source) for source in plan.project.sources]
    return {
        number: IngestContext(
            file=file,
            source=plan.project.sources[file.source],
            layer=plan.project.layers[plan.project.sources[file.source].layer],
            rules=rules[file.source],
            attributes=plan.attributes[plan.project.sources[file.source].layer],
            working_crs=plan.project.project.working_crs,
            folder=work,
        )
        for number, file in enumerate(plan.files)
    }


_Tools = tuple[Executor, Staging, Path, BuildOptions, Progress, Stopwatch]


def _layer(plan: BuildPlan, layer: str, read: _Read, registry: Registry, tools: _Tools) -> LayerRelease:
    pool, staging, out, options, progress, watch = tools
    with watch.stage("resolve"):
        features = _features(plan, layer, read)
        report = layer_report(layer, features)
        require_something(report)
    with watch.stage("identify"):
        identity = identify(registry, plan.project, layer, features)
        entities = prepare(plan.project, layer, features, identity)
    taken = Taken() if options.force else taken_from(_served(out), layer)
    # The workers are busy with tiles now; this process has time for the index and the registry.
    with ThreadPoolExecutor(1) as aside:
        columns = aside.submit(index_columns, plan.project, entities)
        recorded = aside.submit(remember, registry, identity)
        tiled = build_tiles(plan, entities, (pool, staging, taken, progress, watch))
        with watch.stage("aside"):
            known = columns.result()
            recorded.result()
    for entity in tiled.failed:
        features.candidates.reasons[entities.identity.candidate[entity]] |= bit("mesh_failed")
    return LayerRelease(entities, tiled, taken, layer_report(layer, features), known)


def _features(plan: BuildPlan, layer: str, read: _Read) -> Resolved:
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


def _issues(plan: BuildPlan, read: _Read, built: list[LayerRelease]) -> tuple[Issue, ...]:
    """Findings that concern more than a feature: coordinates, rasters, oddities met while reading."""
    issues: list[Issue] = []
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
    crs = parse_crs(plan.project.project.working_crs)
    for layer in built:
        issues += [replace(issue, layer=layer.name) for issue in check_plausible(crs, layer.tiled.frame.bounds)]
    return tuple(issues)
