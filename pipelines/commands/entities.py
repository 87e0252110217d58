"""`twin entities`: the finished entities as a table other programs can read."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import options


class Form(StrEnum):
    """Forms the entities can be written in."""

    CSV = "csv"
    GEOJSON = "geojson"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("entities")(entities)


def entities(
    directory: options.Directory = Path(),
    form: Annotated[Form, typer.Option("--format", help="csv or geojson.")] = Form.CSV,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Write the finished entities: geid, source key, heights and where they come from, tile, outcome, attributes."""
    from pipelines.releases import served_release, write_csv, write_geojson
    from twin.entity.index import EntityIndex

    project, release = served_release(directory)
    index = EntityIndex.open(release.index)
    sink = output.open("wb") if output else sys.stdout.buffer
    try:
        if form is Form.CSV:
            write_csv(index, sink)
        else:
            write_geojson(project, index, sink)
        sink.flush()
    finally:
        if output:
            sink.close()
