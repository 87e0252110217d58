"""A small release with events switched on, its keys, and a client that speaks to the running application."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
from anyio.from_thread import BlockingPortal, start_blocking_portal

from server.app import Application
from server.live.opening import events_location
from tests.server.conftest import BUILDINGS, degrees
from twin.live.keys import Key, new_key, secret_hash
from twin.live.open import open_keys

CLOUDEVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
_NUMBERS = itertools.count(1)


def event(**data: Any) -> dict[str, Any]:
    """A work order about the first building; keyword `id`, `source`, `type` and `time` go into the event itself."""
    attributes = {name: data.pop(name) for name in ("id", "source", "type", "time", "subject") if name in data}
    return {
        "specversion": "1.0",
        "id": f"m{next(_NUMBERS)}",
        "source": "urn:test:dispatch",
        "type": "twin.work_order.created",
        "time": "2026-03-01T08:00:00+08:00",
        **attributes,
        "data": {"title": "路灯不亮", "place": {"geid": BUILDINGS[0].geid}, **data},
    }


def at(x: float, y: float, **more: Any) -> dict[str, Any]:
    """A place in metres from the sample's corner, as a report states it."""
    lon, lat = degrees(x, y)
    return {"lon": lon, "lat": lat, **more}


def write_project(root: Path, live: str = "", **tables: str) -> None:
    """Writes `twin.toml` beside the release in `root/out`."""
    more = "".join(f"\n{text}\n" for text in tables.values())
    (root / "twin.toml").write_text(f'[output]\npath = "out"\n\n[live]\n{live}\n{more}', encoding="utf-8")


def make_key(root: Path, *may: str, **scope: Any) -> tuple[Key, str]:
    """A key of the project in a folder."""
    key, text = new_key("test", may or ("write",), **scope)
    with open_keys(events_location(root)) as keys:  # type: ignore[attr-defined]
        keys.add(key, secret_hash(text))
    return key, text


@dataclass(frozen=True)
class Client:
    """Asks an application that runs in an event loop of its own thread; usable from any thread."""

    portal: BlockingPortal
    inner: httpx.AsyncClient

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request; `content` may be bytes or an asynchronous iterator."""
        return self.portal.call(partial(self.inner.request, method, path, **more))


@contextmanager
def running(app: Application) -> Iterator[Client]:
    """The application between start and stop."""
    with start_blocking_portal() as portal:
        lifespan = portal.wrap_async_context_manager(app.api.router.lifespan_context(app.api))
        transport = httpx.ASGITransport(app)
        http = httpx.AsyncClient(transport=transport, base_url="http://server")
        with lifespan, portal.wrap_async_context_manager(http) as inner:
            yield Client(portal, inner)


@dataclass
class Sender:
    """Speaks to a running application with a key."""

    client: Client
    key: str | None
    app: Application
    headers: Mapping[str, str] = field(default_factory=dict)

    def post(self, content: Any, kind: str = CLOUDEVENT, path: str = "/events", **headers: str) -> Any:
        """Sends JSON, or bytes as they are."""
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        return self.client.request("POST", path, content=body, headers=self._headers({"content-type": kind, **headers}))

    def get(self, path: str, **headers: str) -> Any:
        """Asks."""
        return self.client.request("GET", path, headers=self._headers(headers))

    def _headers(self, more: Mapping[str, str]) -> dict[bytes, bytes]:
        given = {} if self.key is None else {"authorization": f"Bearer {self.key}"}
        return {name.replace("_", "-").encode(): value.encode() for name, value in {**given, **more}.items()}

    def with_key(self, key: str | None) -> Sender:
        """The same application, asked by somebody else."""
        return Sender(self.client, key, self.app)
