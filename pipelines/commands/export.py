"""`twin export`: entities in open formats, for any other program and for whoever leaves us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import options
from twin.errors import MisuseError
from twin.registry.moment import parse_moment


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export")(export)


def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    directory: options.Directory = Path(),
    form: Annotated[
        str | None,
        typer.Option("--format", help="gpkg, parquet, cityjson, cityjsonseq or geojsonseq; default: by the ending."),
    ] = None,
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Only what touches this box, degrees.")] = None,
    classes: Annotated[
        str | None, typer.Option("--class", metavar="CLASS,...", help="Only these classes, e.g. Building.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="LAYER,...", help="Only these layers.")] = None,
    where: Annotated[
        str, typer.Option(metavar="CQL2", help='Only what this filter holds for, e.g. "height_m > 30".')
    ] = "",
    datetime: Annotated[
        str | None, typer.Option(metavar="T", help="As it was at this time (history), e.g. 2026-05-01.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="As it was known at this time (history).")
    ] = None,
    crs: Annotated[str, typer.Option(help="CRS to write, e.g. EPSG:4490; default: the working CRS.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write entities with everything known of them: GeoPackage, GeoParquet, CityJSON, CityJSONSeq or GeoJSONSeq.

    Without a time the served release is exported, with one the history. The same selection gives the same bytes.
    """
    from pipelines.export import ExportOptions, Form
    from pipelines.export import export as run_export
    from pipelines.project import load_project
    from twin.export.entities import Selection

    if form is not None and form not in list(Form):
        raise MisuseError(f"there is no format {form!r}", next_step=f"formats: {', '.join(Form)}")
    wanted = ExportOptions(
        form=None if form is None else Form(form),
        selection=Selection(_box(bbox), _words(classes), _words(layer)),
        datetime=None if datetime is None else parse_moment(datetime),
        as_of=None if as_of is None else parse_moment(as_of),
        crs=crs,
        force=force,
        where=where,
    )
    result = run_export(load_project(directory), output, wanted)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
        return
    of = f"release {result.about.release}" if result.about.release else f"as it was at {result.about.datetime}"
    typer.echo(f"{result.path}: {result.entities:,} entities, {result.crs}, {result.bytes:,} bytes, {of}")
    for name, count in result.notes.items():
        if count:
            typer.echo(f"  {count:,} {name.replace('_', ' ')}")


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise MisuseError(
            f"{text!r} is no box", next_step="write west,south,east,north in degrees, e.g. 121.41,31.21,121.43,31.22"
        ) from None
    return west, south, east, north
