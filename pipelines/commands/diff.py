"""`twin diff`: what two releases differ in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.diff import Diff


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("diff")(diff)


def diff(
    before: Annotated[str, typer.Argument(help="A release: its id, `current`, `previous`, or a folder.")] = "previous",
    after: Annotated[str, typer.Argument(help="The release to compare it with.")] = "current",
    directory: options.Directory = Path(),
    as_json: options.Json = False,
) -> None:
    """Tell what two releases differ in: entities added, removed and changed, tiles rewritten and kept.

    Exit code 0, whether they differ or not.
    """
    from pipelines.diff import diff_releases, find_release
    from pipelines.project import load_project, output_path

    out = output_path(load_project(directory))
    found = diff_releases(find_release(out, before), find_release(out, after))
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=1))
    else:
        _print(found)


_SHOWN = 20


def _print(found: Diff) -> None:
    entities = found.entities
    typer.echo(f"{found.before} -> {found.after}")
    typer.echo(
        f"entities  {len(entities.added)} added, {len(entities.removed)} removed, {len(entities.changed)} changed, "
        f"{entities.kept} unchanged"
    )
    fields = Counter(field for names in entities.changed.values() for field in names)
    for field, count in sorted(fields.items(), key=lambda one: (-one[1], one[0])):
        typer.echo(f"  {count:>8}  {field}")
    listed = [("+", geid, "") for geid in entities.added] + [("-", geid, "") for geid in entities.removed]
    listed += [("~", geid, ", ".join(names)) for geid, names in entities.changed.items()]
    for mark, geid, text in listed[:_SHOWN]:
        far = entities.moved_m.get(geid)
        typer.echo(f"  {mark} {geid}  {text}{'' if not far else f' (moved {far:.2f} m)'}".rstrip())
    if len(listed) > _SHOWN:
        typer.echo(f"  … and {len(listed) - _SHOWN} more; --json lists all")
    for layer in found.layers:
        typer.echo(f"{layer.layer}  files: " + ", ".join(_count(*one) for one in _parts(layer)))


def _parts(layer: object) -> list[tuple[str, dict[str, int]]]:
    return [(name, getattr(layer, name)) for name in ("added", "removed", "kept")]


def _count(name: str, files: dict[str, int]) -> str:
    return f"{len(files)} {name} ({sum(files.values()) / 1e6:.2f} MB)"
