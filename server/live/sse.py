"""`/events/stream`: reports as Server-Sent Events, resumable across cuts, restarts and processes.

Every event carries `id: <epoch>-<offset>`. A browser gives the last one back as `Last-Event-ID`; what lies after it is
read from the store, then the stream goes on, and each report comes exactly once. Where that cannot be promised the
client is told so by a `resync` event, never by silence (WHATWG HTML 9.2 has no sign for a gap).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import orjson
from starlette.types import Receive, Scope, Send

from server.context import Context
from server.live.access import asked_stream
from server.live.hub import Hub, write_position
from server.live.parcel import REASONS, Delivery, Reports, Resync
from server.live.subscription import Subscription
from server.problem import ProblemError, method_not_allowed, send_problem

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back until its buffer is full
    (b"x-content-type-options", b"nosniff"),
]
_RETRY_MS = 1000
_RETRY_JITTER_MS = 2000
_END = {"type": "http.response.body", "body": b"", "more_body": False}


class EventStream:
    """The endpoint, without the framework: a thousand clients that wait cost little more than their sockets.

    Args:
        context: For the filters.
        hub: Where reports come from.
        rotate_s: A response ends after about so long, and the client takes it up again: what a restart of the server or
            of a proxy does, done often enough to be trusted. 0: never.
    """

    def __init__(self, context: Context, hub: Hub, rotate_s: float) -> None:
        self._context = context
        self._hub = hub
        self._rotate_s = rotate_s
        self._write = writer(hub.epoch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, until one side ends it."""
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise method_not_allowed()
            selection, after = await asked_stream(self._context, scope)
        except ProblemError as problem:
            await send_problem(problem, scope, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "HEAD":
            await send(_END)
            return
        with self._hub.subscribe(selection, after) as subscription:
            gone = asyncio.ensure_future(_gone(receive, subscription))
            timer = self._rotation(subscription)
            try:
                await self._speak(subscription, send)
            finally:
                gone.cancel()
                if timer is not None:
                    timer.cancel()

    def _rotation(self, subscription: Subscription) -> asyncio.TimerHandle | None:
        if not self._rotate_s:
            return None
        wait = self._rotate_s * random.uniform(0.9, 1.1)  # noqa: S311 (spreads the returns, guards nothing)
        return asyncio.get_running_loop().call_later(wait, subscription.close)

    async def _speak(self, subscription: Subscription, send: Send) -> None:
        """Sends what comes; what has gathered while a slow socket was written to goes in one piece."""
        write = self._write
        hello = opening(self._hub, subscription)
        await send({"type": "http.response.body", "body": hello, "more_body": True})
        async for told in subscription:
            body = write(told)
            more = subscription.ready()
            if more:
                body += b"".join(map(write, more))
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send(_END)


async def _gone(receive: Receive, subscription: Subscription) -> None:
    """Waits until the client has gone, then ends its subscription."""
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()


def opening(hub: Hub, subscription: Subscription) -> bytes:
    """The first event: which position the stream begins after. `retry` is spread, so that nobody returns together."""
    retry = _RETRY_MS + random.randrange(_RETRY_JITTER_MS)  # noqa: S311
    position = write_position(hub.epoch, subscription.position)
    state = {"epoch": hub.epoch, "position": position, "heartbeat_s": hub.limits.heartbeat_s}
    return b"retry: %d\n%s" % (retry, frame("state", position, orjson.dumps(state)))


def frame(event: str, position: str, data: bytes) -> bytes:
    """One event; JSON holds no line break."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (position.encode(), event.encode(), data)


def writer(epoch: str) -> Callable[[Delivery], bytes]:
    """Writes deliveries as events; reports once for everybody who has the same filter."""
    head = f"id: {epoch}-".encode()

    def reports(parcel: Reports) -> bytes:
        return b"".join(
            [b"%s%d\nevent: report\ndata: %s\n\n" % (head, item.offset, item.json) for item in parcel.items]
        )

    def write(told: Delivery) -> bytes:
        if isinstance(told, Reports):
            return told.form("sse", reports)
        position = write_position(epoch, told.position)
        if isinstance(told, Resync):
            return frame("resync", position, resync_data(told, position))
        return frame("heartbeat", position, orjson.dumps({"position": position}))

    return write


def resync_data(told: Resync, position: str) -> bytes:
    """What a client learns about a gap."""
    return orjson.dumps({"position": position, "reason": told.reason, "detail": REASONS[told.reason]})
