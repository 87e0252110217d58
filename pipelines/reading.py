"""The first stage of a build: every source on its way into segments, on the workers.

It stands apart from the stages that come after it, so that their code can be loaded while the workers read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipelines.build_result import WORK, BuildOptions
from pipelines.ingest import IngestContext, Ingested, ingest
from pipelines.kept import KEPT, KeptFile, describe, find
from pipelines.plan import BlockTask, BuildPlan, make_plan
from pipelines.pool import run_all, worker_count, workers
from pipelines.progress import Progress, Stopwatch
from pipelines.project import Project
from pipelines.rules import SourceRules, source_rules


def discard_other_work(folder: Path, key: str) -> None:
    """Takes away what a build of another input left unfinished in the folder of work; `kept` stays."""
    for other in folder.iterdir() if folder.is_dir() else ():
        if other.name not in (key, KEPT):
            shutil.rmtree(other, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class SourcesRead:
    """What reading gave: per task, in the order of the plan.

    Attributes:
        contexts: How each file was read, by its number.
        results: What each task gave.
        described: What each file was read from and by, for the next build.
    """

    contexts: dict[int, IngestContext]
    results: dict[BlockTask, Ingested]
    described: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Reading:
    """Sources that are being read.

    Attributes:
        plan: The build.
        work: Folder of the segments.
        pool: The workers.
        contexts, described: See `SourcesRead`.
        flying: The blocks, as they become ready.
    """

    plan: BuildPlan
    work: Path
    pool: Executor
    contexts: dict[int, IngestContext]
    described: list[dict[str, str]]
    flying: Iterator[tuple[BlockTask, Ingested]]

    def finish(self, progress: Progress, watch: Stopwatch) -> SourcesRead:
        """Waits until everything is read."""
        results: dict[BlockTask, Ingested] = {}
        with watch.stage("ingest"):
            for task, result in self.flying:
                results[task] = result
                progress.advance(result.features)
        return SourcesRead(self.contexts, results, self.described)


@contextmanager
def begin_reading(
    project: Project, key: str, options: BuildOptions, progress: Progress, watch: Stopwatch
) -> Iterator[Reading]:
    """Opens the sources, starts the workers and has them read into segments under `.twin/<key>`.

    The workers live until the context ends.

    Raises:
        TwinError: A source cannot be opened, or twin.toml does not fit it.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # gives back what a stage no longer needs; the default keeps it
    work = project.root / WORK / key
    discard_other_work(project.root / WORK, key)
    with watch.stage("open"):
        plan = make_plan(project, key)
    with workers(worker_count(options.workers or project.output.workers), plan.features) as pool:
        yield _start(plan, work, options.force, pool, progress)


def _start(plan: BuildPlan, work: Path, force: bool, pool: Executor, progress: Progress) -> Reading:
    work.mkdir(parents=True, exist_ok=True)
    rules = {number: source_rules(plan.project, source) for number, source in enumerate(plan.project.sources)}
    described = describe(plan, rules)
    contexts = _contexts(plan, work, rules, [None] * len(described) if force else find(work.with_name(KEPT), described))
    progress.stage("read", plan.features, "features")
    flying = run_all(pool, partial(_ingest_task, contexts), plan.tasks, ahead=8)
    return Reading(plan, work, pool, contexts, described, flying)


def _ingest_task(contexts: dict[int, IngestContext], task: BlockTask) -> Ingested:
    return ingest(task, contexts[task.file])


def _contexts(
    plan: BuildPlan, work: Path, rules: Mapping[int, SourceRules], kept: Sequence[KeptFile | None]
) -> dict[int, IngestContext]:
    return {
        number: IngestContext(
            file=file,
            source=plan.project.sources[file.source],
            layer=plan.project.layers[plan.project.sources[file.source].layer],
            rules=rules[file.source],
            attributes=plan.attributes[plan.project.sources[file.source].layer],
            working_crs=plan.project.project.working_crs,
            folder=work,
            kept=kept[number],
        )
        for number, file in enumerate(plan.files)
    }
