"""`twin info`: the served release, its layers, tiles and digests."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from pipelines.commands import options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("info")(info)


def info(directory: options.Directory = Path(), as_json: options.Json = False) -> None:
    """Tell what is served: release, layers, tiles, digests, and the account of the build."""
    from pipelines.releases import release_facts, served_release

    project, release = served_release(directory)
    facts = release_facts(project, release)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    typer.echo(f"{facts['project']['name']} ({facts['project']['admin_code']}), release {facts['release']}")
    typer.echo(f"  {facts['entities']:,} entities, built {facts['last_build']['finished'] or 'at an unknown time'}")
    for name, layer in facts["layers"].items():
        typer.echo(
            f"  {name}: {layer['features']:,} features in {layer['tiles']} tiles, {layer['bytes']:,} bytes,"
            f" {layer['kind']}, {layer['encoder']}, digest {layer['digest'][:16]}"
        )
