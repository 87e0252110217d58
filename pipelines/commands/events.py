"""`twin events`: plays an export of events as it happened, and lists what is in the store."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands import options
from twin.errors import MisuseError

if TYPE_CHECKING:
    from pipelines.project import Project
    from pipelines.replay import Sent
    from twin.live.model import Report, Stored
    from twin.live.refusals import Refused

_FINDINGS = 3
_LOCAL = "local"
_VARIABLE = "TWIN_KEY"
_TIMEOUT_S = 60.0


class Action(StrEnum):
    """What to do with events."""

    REPLAY = "replay"
    LIST = "list"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("events")(events)


def events(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    file: Annotated[
        Path | None, typer.Argument(help="replay: an export (CSV, JSON, NDJSON, Excel), or CloudEvents one a line.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="replay: what the columns mean; CloudEvents need none.")] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="replay: so many times as fast as it happened; 0: as fast as it goes.")
    ] = 0.0,
    to: Annotated[
        str, typer.Option(help="replay: address of a server (its key in TWIN_KEY), or local: the project's store.")
    ] = _LOCAL,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="replay: the first happens now; ids and cases are new.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="list: how many at most.")] = 20,
    kind: Annotated[list[str] | None, typer.Option(help="list: only of this kind; repeatable.")] = None,
    opened: Annotated[bool, typer.Option("--open", help="list: only the last report of cases still open.")] = False,
    directory: options.Directory = Path(),
    as_json: options.Json = False,
) -> None:
    """Replay an export of events, or list the events of the project.

    Exit code 3 if events were refused; the reasons are printed, and kept in the list of refusals.
    """
    from pipelines.project import load_project

    project = load_project(directory)
    if action is Action.LIST:
        _list(project, limit, kind, opened, as_json)
        return
    if file is None:
        raise MisuseError("`twin events replay` needs a file", next_step="twin events replay FILE --mapping M.toml")
    told = _replay(project, file, mapping, speed, to, from_now)
    counts = {"taken": told.taken, "known": told.known, "refused": told.refused, "reasons": list(told.reasons)}
    if as_json:
        typer.echo(json.dumps(counts, ensure_ascii=False))
    else:
        typer.echo(f"taken {told.taken}, known before {told.known}, refused {told.refused}")
        for reason in told.reasons:
            typer.echo(f"  {reason}", err=True)
    if told.refused:
        raise typer.Exit(_FINDINGS)


def _replay(project: Project, file: Path, mapping: Path | None, speed: float, to: str, from_now: bool) -> Sent:
    from pipelines.replay import Sent, play

    rows = _rows(project, file, mapping)
    total = Sent()
    if to == _LOCAL:
        from pipelines.project_live import events_location, live_config, live_kinds, live_linker
        from pipelines.replay import Local
        from twin.live.open import open_events
        from twin.live.rules import clock_ms

        config = live_config(project)
        store = open_events(events_location(project))
        try:
            linker = live_linker(project, config, live_kinds(config), store.learnt())
            for one in play(rows, Local(store, linker, clock_ms), speed, from_now):
                total += one
        finally:
            store.close()
        return total
    import httpx

    from pipelines.replay import Server

    if not to.startswith(("http://", "https://")):
        raise MisuseError(f"{to!r} is neither local nor an address", next_step="--to http://127.0.0.1:8000")
    key = os.environ.get(_VARIABLE, "")
    if not key:
        raise MisuseError(
            f"the environment variable {_VARIABLE} is not set", next_step="set it to a key that may write"
        )
    with httpx.Client(base_url=f"{to.rstrip('/')}/", timeout=_TIMEOUT_S) as client:
        for one in play(rows, Server(client, key), speed, from_now):
            total += one
    return total


def _rows(project: Project, file: Path, mapping: Path | None) -> list[Report | Refused]:
    """What the file holds, read and checked."""
    from pipelines.project_live import live_config, live_kinds, live_rules
    from twin.live.cloudevents import parse_batch
    from twin.live.formats import read_rows
    from twin.live.mapping import read_mapping
    from twin.live.payload import read_lines

    config = live_config(project)
    kinds = live_kinds(config)
    rules = live_rules(config, kinds)
    if mapping is not None:
        return list(read_rows(file, read_mapping(mapping, kinds), rules))
    from twin.errors import SourceError
    from twin.live.refusals import Refused

    try:
        lines = list(read_lines(file.read_bytes(), rules))
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", file=file, next_step="check its name") from None
    sound = iter(parse_batch([one for one in lines if not isinstance(one, Refused)], rules))
    return [one if isinstance(one, Refused) else next(sound) for one in lines]


def _list(project: Project, limit: int, kinds: list[str] | None, opened: bool, as_json: bool) -> None:
    from pipelines.project_live import events_location
    from twin.live.model import Filter
    from twin.live.open import open_events

    wanted = Filter(kinds=frozenset(kinds) if kinds else None, open=True if opened else None)
    store = open_events(events_location(project))
    try:
        found = store.state(wanted, limit)[0] if opened else store.select(wanted, limit)
    finally:
        store.close()
    if as_json:
        from twin.live.cloudevents import to_cloudevent

        typer.echo(json.dumps([to_cloudevent(one) for one in found], ensure_ascii=False))
        return
    for one in found:
        typer.echo("  ".join(map(str, _line(one).values())))


def _line(one: Stored) -> dict[str, Any]:
    from twin.live.times import write_time

    report, link = one.report, one.link
    return {
        "offset": one.offset,
        "occurred": write_time(report.occurred_ms),
        "kind": report.kind,
        "status": report.status,
        "severity": report.severity,
        "geid": link.geid or "-",
        "method": link.method,
        "title": report.title,
    }
