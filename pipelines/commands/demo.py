"""`twin demo`: generates the sample district, builds it and serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.errors import TwinError

if TYPE_CHECKING:
    from pipelines.project import Project


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the sample district.")] = Path("demo"),
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve it with the viewer when it is built.")
    ] = True,
    extract: Annotated[bool, typer.Option(help="Only the square kilometre in the middle.")] = False,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to serve on.")] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the build report as JSON.")] = False,
) -> None:
    """Generate the synthetic sample district, build it through the same steps as any other, and serve it.

    A day of invented events is replayed beside the server, so that the map is alive at once.

    With --no-serve the exit code is that of the build: 3, because the sample holds faults on purpose.
    """
    from data_samples.generate import generate_district
    from pipelines.progress import progress_for_terminal
    from pipelines.project import load_project
    from pipelines.run import build
    from pipelines.summary import print_build

    if not as_json:
        typer.echo(f"generating the synthetic sample district in {output} ...")
    generate_district(output, extent="extract" if extract else "district")
    project = load_project(output)
    result = build(project, progress=progress_for_terminal(as_json))
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    else:
        print_build(project, result, 0)
    if serve:
        _serve(project, host, port)
    raise typer.Exit(result.report.exit_code)


def _serve(project: Project, host: str, port: int) -> None:
    """Runs `twin serve`, which comes from another package through its entry point, with the sample's day beside it."""
    from data_samples.events import EVENTS
    from pipelines.cli import run
    from pipelines.demo_life import SPEED, Life

    with Life(project, project.root / EVENTS, _complain) as life:
        typer.echo(f"a day of invented events is replayed, {SPEED:g} times as fast: {life.written:,} reports so far")
        code = run(["serve", "-C", str(project.root), "--host", host, "--port", str(port)])
    raise typer.Exit(code)


def _complain(error: TwinError) -> None:
    """What is served stays; the events end."""
    typer.echo(f"the replay of events has ended: {error}", err=True)
