"""`twin rollback`: serves the release before the present one."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from pipelines.commands import options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("rollback")(rollback)


def rollback(directory: options.Directory = Path(), as_json: options.Json = False) -> None:
    """Serve the release before; a second rollback undoes the first. A running server follows within a second."""
    from pipelines.project import load_project, output_path
    from twin.store.release import lock
    from twin.store.release import rollback as roll_back

    out = output_path(load_project(directory))
    with lock(out):
        pointer = roll_back(out)
    if as_json:
        typer.echo(json.dumps({"release": pointer.release, "previous": pointer.previous}))
    else:
        typer.echo(f"release {pointer.release} is served again (before: {pointer.previous})")
