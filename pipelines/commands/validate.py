"""`twin validate`: our own invariants over the served release, and the outside validators that are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("validate")(validate)


def validate(
    directory: options.Directory = Path(),
    as_json: options.Json = False,
    node_modules: Annotated[
        Path | None, typer.Option(help="Folder that holds node_modules with gltf-validator; default: here.")
    ] = None,
) -> None:
    """Check the served release: tree, volumes, errors, contents, index, digests; 0 errors and 0 warnings is the bar.

    glTF-Validator (npm gltf-validator) and 3d-tiles-validator judge too where they are installed.
    Exit code 0: clean; 1: errors; 3: warnings.
    """
    from pipelines.releases import find_gltf_validator, served_release, validate_release

    _, release = served_release(directory)
    places = [node_modules] if node_modules else [Path(), directory, Path("tests/js")]
    verdict = validate_release(release, find_gltf_validator(places))
    if as_json:
        typer.echo(json.dumps(verdict.to_json(), ensure_ascii=False, indent=1))
    else:
        for issue in verdict.issues[:50]:
            typer.echo(f"  {issue.severity.value}: {issue.code}: {issue.text}")
        for name, one in verdict.judgements.items():
            typer.echo(f"{name}: {one.errors} errors, {one.warnings} warnings")
            for message in one.messages[:20]:
                typer.echo(f"  {message}")
        for name in verdict.absent:
            typer.echo(f"{name}: not installed, not asked")
        counts = ", ".join(f"{count:,} {name}" for name, count in verdict.checked.items())
        typer.echo(f"release {release.id}: {counts}: {verdict.errors} errors, {verdict.warnings} warnings")
    raise typer.Exit(1 if verdict.errors else 3 if verdict.warnings else 0)
