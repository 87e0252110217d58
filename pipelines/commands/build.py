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
) -> None:
    """Build the district and publish it.

    Every feature read is accounted for: built, built with fallback (LoD0), skipped or failed, with the reason. The
    release that is served stays untouched until the new one is whole; a build that was killed goes on where it stopped.
    Exit code 0: all built; 3: built with findings; 1: failed; 2: twin.toml or a file is not as it must be.
    """
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
