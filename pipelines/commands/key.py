"""`twin key`: makes, lists and takes back the keys with which events are sent and read."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands import options
from twin.errors import MisuseError

if TYPE_CHECKING:
    from pipelines.project import Project
    from twin.live.keys import Key

_DAY_MS = 86_400_000


class Action(StrEnum):
    """What to do with keys."""

    NEW = "new"
    LIST = "list"
    REVOKE = "revoke"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("key")(key)


def key(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    key_id: Annotated[str | None, typer.Argument(help="revoke: the id of the key, as `list` shows it.")] = None,
    name: Annotated[str, typer.Option(help="new: whose it is, so that it can be found and taken back.")] = "",
    may: Annotated[
        list[str] | None, typer.Option(help="new: write, read or admin; repeatable; write if left out.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="new: only events of this kind; repeatable.")] = None,
    area: Annotated[
        list[str] | None, typer.Option(help="new: only events in this area or entity (geid); repeatable.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="new: ends by itself after so many days.")] = None,
    directory: options.Directory = Path(),
    as_json: options.Json = False,
) -> None:
    """Make, list or take back keys for events. A new key is printed once; only a hash of it is kept.

    Keys lie beside the events: events.sqlite beside twin.toml, or the database of the registry.
    """
    from pipelines.project import load_project

    project = load_project(directory)
    if (action is Action.REVOKE) != (key_id is not None):
        raise MisuseError("an id belongs to `revoke`, and only to it", next_step="twin key revoke ID")
    if action is Action.NEW:
        _new(project, name, may or ["write"], kind, area, days, as_json)
    elif action is Action.LIST:
        _list(project, as_json)
    else:
        _revoke(project, key_id or "")


def _new(
    project: Project,
    name: str,
    may: list[str],
    kinds: list[str] | None,
    areas: list[str] | None,
    days: int | None,
    as_json: bool,
) -> None:
    from pipelines.project_live import events_location, live_config, live_kinds
    from twin.live.keys import new_key, secret_hash
    from twin.live.open import open_keys

    known = live_kinds(live_config(project))
    unknown = [one for one in kinds or () if one not in known]
    if unknown:
        raise MisuseError(f"there is no kind {unknown[0]!r}", next_step=f"choose of {', '.join(known.by_id)}")
    ends = None if days is None else int(time.time() * 1000) + days * _DAY_MS
    made, text = new_key(name, may, kinds or None, areas or None, ends)
    keys = open_keys(events_location(project))
    try:
        keys.add(made, secret_hash(text))
    finally:
        keys.close()
    if as_json:
        typer.echo(json.dumps({**_shown(made), "key": text}, ensure_ascii=False))
        return
    typer.echo(text)
    typer.echo(f"key {made.id} of {made.name}: keep it now, it is not shown again", err=True)


def _list(project: Project, as_json: bool) -> None:
    from pipelines.project_live import events_location
    from twin.live.open import open_keys

    keys = open_keys(events_location(project))
    try:
        found = [_shown(one) for one in keys.all()]
    finally:
        keys.close()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for one in found:
        scope = ", ".join((*one["kinds"], *one["areas"])) or "everything"
        typer.echo(f"{one['id']}  {one['state']:<8} {'+'.join(one['may']):<12} {one['name']}  ({scope})")


def _revoke(project: Project, key_id: str) -> None:
    from pipelines.project_live import events_location
    from twin.live.open import open_keys

    keys = open_keys(events_location(project))
    try:
        done = keys.revoke(key_id)
    finally:
        keys.close()
    if not done:
        raise MisuseError(f"there is no key {key_id!r} to take back", next_step="`twin key list` shows their ids")
    typer.echo(f"key {key_id} opens nothing any more")


def _shown(one: Key) -> dict[str, Any]:
    from twin.live.times import write_time

    now = int(time.time() * 1000)
    state = "revoked" if one.revoked_ms is not None else "good" if one.valid(now) else "expired"
    return {
        "id": one.id,
        "name": one.name,
        "state": state,
        "may": sorted(one.may),
        "kinds": sorted(one.kinds or ()),
        "areas": sorted(one.areas or ()),
        "created": write_time(one.created_ms),
        "expires": None if one.expires_ms is None else write_time(one.expires_ms),
        "revoked": None if one.revoked_ms is None else write_time(one.revoked_ms),
    }
