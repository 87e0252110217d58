"""`twin init`: from a folder of files to a commented `twin.toml` that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.init_files import look
from pipelines.init_project import Draft, draft
from pipelines.init_source import Answers
from pipelines.init_text import guesses, render
from pipelines.project import FILE_NAME, open_blanks
from twin.errors import MisuseError

_Blank = tuple[int, str, str]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("init")(init)


def init(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Base maps and rasters, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write twin.toml.")] = Path(),
    crs: Annotated[
        str | None, typer.Option(help="CRS of sources that state none (code, name, gcj02, bd09, or a file with WKT).")
    ] = None,
    vertical: Annotated[str | None, typer.Option(help="What heights refer to: EPSG code, H85 or ellipsoid.")] = None,
    undulation: Annotated[
        str | None, typer.Option(metavar="N|GRID", help="Geoid undulation: metres, or a raster of them.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the district.")] = None,
    admin_code: Annotated[str | None, typer.Option(help="Administrative division code, 6 to 12 digits.")] = None,
    working_crs: Annotated[str | None, typer.Option(help="Projected CRS in metres the build computes in.")] = None,
    ground: Annotated[float | None, typer.Option(help="Elevation of the ground, metres.")] = None,
    storey_height: Annotated[float | None, typer.Option(help="Height of one storey, metres.")] = None,
    id_field: Annotated[
        str | None, typer.Option("--id", metavar="FIELD", help="Field that identifies a building.")
    ] = None,
    height: Annotated[str | None, typer.Option(metavar="FIELD", help="Field with the height above ground.")] = None,
    storeys: Annotated[str | None, typer.Option(metavar="FIELD", help="Field with the number of storeys.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the text, e.g. GB18030.")] = None,
    table: Annotated[str | None, typer.Option(help="Table to use, where a file holds several.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing twin.toml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Look at FILEs and write a commented twin.toml that runs; what nobody can guess is left as a marked blank."""
    target = output / FILE_NAME
    if target.exists() and not force:
        raise MisuseError(
            "there is a project file here already",
            file=target,
            next_step="use --force to overwrite it, or another -o DIR",
        )
    answers = Answers(
        crs=crs,
        vertical=vertical,
        undulation=undulation,
        name=name,
        admin_code=admin_code,
        working_crs=working_crs,
        ground=ground,
        storey_height=storey_height,
        id=id_field,
        height=height,
        storeys=storeys,
        encoding=encoding,
        table=table,
    )
    made = draft(look(files, encoding, table), answers, output)
    text = render(made.sections)
    blanks = open_blanks(text, target)
    _write(target, text)
    _tell(target, made, blanks, as_json)


def _write(target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise MisuseError(
            f"it cannot be written: {error.strerror}", file=target, next_step="choose another folder with -o DIR"
        ) from error


def _tell(target: Path, made: Draft, blanks: list[_Blank], as_json: bool) -> None:
    steps = _next_steps(target, blanks)
    guessed = [
        {"table": header, "key": key, "value": value, "why": why} for header, key, value, why in guesses(made.sections)
    ]
    if as_json:
        answer = {
            "file": str(target),
            "guesses": guessed,
            "blanks": [{"line": line, "key": key, "write": write} for line, key, write in blanks],
            "unused": [{"file": label, "why": why} for label, why in made.unused],
            "next": steps,
        }
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    typer.echo("\n".join(_summary(target, guessed, made, blanks, steps)))


def _summary(
    target: Path, guessed: list[dict[str, Any]], made: Draft, blanks: list[_Blank], steps: list[str]
) -> list[str]:
    lines = [f"Wrote {target}"]
    lines += ["", f"Guessed ({len(guessed)}), please check:"] if guessed else []
    lines += [f"  {row['table']} {row['key']} = {row['value']!r}: {row['why']}" for row in guessed]
    lines += ["", f"Not used ({len(made.unused)}):"] if made.unused else []
    lines += [f"  {label}: {why}" for label, why in made.unused]
    lines += ["", f"To be filled in by you ({len(blanks)}):"] if blanks else []
    lines += [f"  {target}:{line}: {key}: {write}" for line, key, write in blanks]
    return [*lines, "", "Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]


def _next_steps(target: Path, blanks: list[_Blank]) -> list[str]:
    folder = target.parent
    steps = [f"fill in the {len(blanks)} blanks in {target}"] if len(blanks) > 1 else []
    steps += [f"fill in the blank in {target}, line {blanks[0][0]}"] if len(blanks) == 1 else []
    return [
        *steps,
        f"twin check -C {folder} -o report.html   reads everything, changes nothing, shows what is wrong",
        f"twin build -C {folder}                  makes the district",
        f"twin serve -C {folder}                  shows it in the browser",
    ]
