"""A build from `twin.toml` to a published release: the order of the stages, what is taken over, what is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.build_result import LAST_BUILD, BuildOptions, BuildResult, served_release
from pipelines.inputs import build_key
from pipelines.pool import start_early, worker_count
from pipelines.progress import Progress, Quiet, Stopwatch
from pipelines.project import Project, output_path
from twin.report import Issue, LayerReport, Outcome, Report, Severity
from twin.store.release import Release, lock

__all__ = ["BuildOptions", "BuildResult", "build", "report_from_json"]


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
            served = served_release(out)
        if served is not None and served.info.get("build_key") == key and not options.force:
            return _unchanged(served, watch)
        start_early(worker_count(options.workers or project.output.workers))
        # Only now what a build needs: a project that has not changed is answered without it.
        from pipelines.reading import begin_reading

        with begin_reading(project, key, options, progress, watch) as reading:
            from pipelines.stages import run_stages  # loaded while the workers read

            result = run_stages(reading, options, progress, watch)
        _note_last_build(out, result)
        return result


@contextmanager
def _closing(progress: Progress) -> Iterator[None]:
    try:
        yield
    finally:
        progress.close()


def _unchanged(served: Release, watch: Stopwatch) -> BuildResult:
    report = report_from_json(served.info["report"])
    tiles = sum(int(layer["tiles"]) for layer in served.info["layers"].values())
    size = sum(int(layer["bytes"]) for layer in served.info["layers"].values())
    return BuildResult(served.id, report, tiles, 0, size, True, {**watch.seconds, "total": watch.total()})


def report_from_json(document: dict[str, Any]) -> Report:
    """The report a release holds."""
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


def _note_last_build(out: Path, result: BuildResult) -> None:
    document = {**result.to_json(), "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    staged = out / f".{LAST_BUILD}.new"
    staged.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    staged.replace(out / LAST_BUILD)
