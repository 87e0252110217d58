"""What every endpoint is given: the settings, the releases, and how to write an address below the prefix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from fastapi import Request, Response

from server.negotiation import matches
from server.problem import ProblemError
from server.releases import Releases
from server.retired import NO_REGISTRY, Registered
from server.settings import Settings
from server.timeline import NO_TIMELINE, Timeline
from twin.store.base import digest, quoted

if TYPE_CHECKING:
    from server.live.live import Live


@dataclass(frozen=True, slots=True)
class Context:
    """The wiring of one application.

    Attributes:
        settings: What the server was told.
        releases: What is served.
        viewer: True if the viewer is part of this installation.
        registered: What the registry knows of entities that are no longer served.
        timeline: What the history answers.
        live: What is happening: the store of events and whoever listens to it; None where events are off.
    """

    settings: Settings
    releases: Releases
    viewer: bool
    registered: Registered = NO_REGISTRY
    timeline: Timeline = NO_TIMELINE
    live: Live | None = None

    def url(self, *segments: str) -> str:
        """A path-absolute address. Never built from the Host header, which a client can forge."""
        return f"{self.settings.base_path}/" + "/".join(quote(segment, safe="/:") for segment in segments)

    def link(self, rel: str, *segments: str, media_type: str = "application/json", title: str = "") -> dict[str, str]:
        """A link object of OGC API Common."""
        link = {"href": self.url(*segments), "rel": rel, "type": media_type}
        return {**link, "title": title} if title else link


def json_answer(
    request: Request,
    content: Mapping[str, Any],
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """JSON with an ETag of its own bytes, or 304 where the client has them already."""
    return tagged(request, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), media_type, headers)


def tagged(request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """A body with `no-cache` and an ETag, or 304."""
    etag = quoted(digest(body))
    shared = {"ETag": etag, "Cache-Control": "no-cache", **(headers or {})}
    condition = ",".join(request.headers.getlist("if-none-match"))
    if condition and matches(condition.encode("latin-1"), etag.encode()):
        return Response(status_code=304, headers=shared)
    return Response(body, media_type=media_type, headers=shared)


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuses a query parameter the endpoint does not have, or one given twice (OGC API Common: 400).

    Raises:
        ProblemError: 400.
    """
    route = request.scope["route"]
    known = [parameter.alias for parameter in route.dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            allowed = ", ".join(known) if known else "none"
            raise ProblemError(400, "unknown_parameter", f"Unknown query parameter {name[:40]!r}; allowed: {allowed}.")
        if given.count(name) > 1:
            raise ProblemError(400, "repeated_parameter", f"The query parameter {name!r} is given more than once.")
