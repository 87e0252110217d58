"""Who may read which reports: asks the one point that decides, and narrows what is wanted to what a key may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.types import Scope

from server.context import Context
from server.live.asked import STREAM, area_region, asked_of_stream, inside, read_query
from server.live.credentials import require, require_live
from server.live.live import Live
from server.live.select import Selection
from server.problem import ProblemError
from twin.live.keys import Key

LAST = "last_event_id"
_LATER = {"Retry-After": "10"}


async def asked_stream(context: Context, scope: Scope) -> tuple[Selection, str | None]:
    """What the request for a stream wants, as far as it may be read, and after which position.

    Raises:
        ProblemError: 400, 401, 403, 404, 503.
    """
    parameters = read_query(scope["query_string"], (*STREAM, LAST))
    selection = await wanted(context, scope, parameters)
    header = next((value for name, value in scope["headers"] if name == b"last-event-id"), None)
    after = parameters.get(LAST) if header is None else header.decode("latin-1")
    hub = live_of(context).hub
    if hub.full:
        hub.counts.refused += 1
        raise ProblemError(503, "too_many_clients", "The server has as many listeners as it may have.", _LATER)
    return selection, after or None


async def wanted(context: Context, scope: Scope, parameters: Mapping[str, str]) -> Selection:
    """A selection out of the parameters of a stream. Raises `ProblemError`, as `asked_stream`."""
    return await readable(context, scope, asked_of_stream(parameters).selection(context))


def live_of(context: Context) -> Live:
    """The events of this server. Raises `ProblemError` (404) where it has none."""
    return require_live(context.live)


async def readable(context: Context, scope: Scope, selection: Selection) -> Selection:
    """What of a selection the sender of a request may read.

    Raises:
        ProblemError: 401 and 403 where it may read nothing, 404 where there are no events.
    """
    grant = await require(live_of(context), scope, "read")
    return selection if grant.key is None else narrowed(context, selection, grant.key)


def narrowed(context: Context, selection: Selection, key: Key) -> Selection:
    """A selection within the kinds and areas of a key; nothing outside them shows, not even that it is there."""
    if key.kinds is not None:
        kinds = selection.filter.kinds
        allowed = frozenset(key.kinds) if kinds is None else kinds & frozenset(key.kinds)
        selection = replace(selection, filter=replace(selection.filter, kinds=allowed))
    if key.areas is not None:
        with context.releases.reading() as release:
            selection = inside(selection, area_region(release, sorted(key.areas)))
    return selection
