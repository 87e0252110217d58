"""`twin build`: from twin.toml to a published release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("build")(build)


def build(
    directory: options.Directory = Path(),
    as_json: options.Json = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes what twin.toml says.")] = 0,
    force: Annotated[bool, typer.Option(help="Make every tile again, even if nothing has changed.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for another build of this project.")] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Tell more; twice: all stages.")] = 0,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Build the district as it was then.")] = "",
    as_of: Annotated[str, typer.Option("--as-of", metavar="TIME", help="With --at: as it was known then.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="With --at: release directory to write.")
    ] = None,
) -> None:
    """Build the district and publish it.

    Every feature read is accounted for: built, built with fallback (LoD0), skipped or failed, with the reason. The
    release that is served stays untouched until the new one is whole; a build that was killed goes on where it stopped.
    Exit code 0: all built; 3: built with findings; 1: failed; 2: twin.toml or a file is not as it must be.
    """
    if at or as_of or output is not None:
        _build_past(directory, (at, as_of, output), (as_json, workers, wait, quiet, verbose))
        return
    from pipelines.pool import start_early, worker_count

    if not any(directory.glob("*/current.json")):
        start_early(worker_count(workers))  # nothing has been built here: the workers will be needed
    from pipelines.progress import progress_for_terminal
    from pipelines.project import load_project
    from pipelines.run import BuildOptions
    from pipelines.run import build as run_build
    from pipelines.summary import print_build

    project = load_project(directory)
    result = run_build(
        project, BuildOptions(workers=workers, force=force, wait_s=wait), progress_for_terminal(quiet or as_json)
    )
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    else:
        print_build(project, result, verbose)
    raise typer.Exit(result.report.exit_code)


def _build_past(directory: Path, which: tuple[str, str, Path | None], how: tuple[bool, int, float, bool, int]) -> None:
    """Builds a snapshot of the history in a directory of its own; see `pipelines.snapshot_build`."""
    from pipelines.build_result import BuildOptions
    from pipelines.progress import progress_for_terminal
    from pipelines.project import load_project
    from pipelines.project_registry import open_project_history
    from pipelines.snapshot_build import SnapshotOptions, build_snapshot
    from pipelines.summary import print_build
    from twin.errors import MisuseError
    from twin.registry.moment import parse_moment
    from twin.registry.versions import Window

    at, as_of, output = which
    as_json, workers, wait, quiet, verbose = how
    if not at or output is None:
        raise MisuseError(
            "a snapshot needs the moment and a folder", next_step="write `twin build --at 2026-05-01 -o DIR`"
        )
    project = load_project(directory)
    window = Window(valid=parse_moment(at), as_of=parse_moment(as_of) if as_of else None)
    history = open_project_history(project)
    try:
        options = SnapshotOptions(window, output, BuildOptions(workers=workers, wait_s=wait))
        result = build_snapshot(project, history, options, progress_for_terminal(quiet or as_json))
    finally:
        history.close()
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    else:
        print_build(project, result, verbose)
    raise typer.Exit(result.report.exit_code)
