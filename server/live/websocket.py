"""`/events/ws`: the messages of `/events/stream` over a WebSocket, for clients that change their filter as they go.

The server speaks JSON texts `{"type", "id", "data"}` of the types of the stream. The client may say
`{"type": "subscribe", ...}` with the parameters of the stream: from then on it gets that, after the position it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.types import Receive, Scope, Send

from server.context import Context
from server.live.access import LAST, asked_stream, wanted
from server.live.asked import STREAM
from server.live.hub import Hub, write_position
from server.live.parcel import Delivery, Item, Reports, Resync
from server.live.sse import resync_data
from server.live.subscription import Subscription
from server.problem import ProblemError

_LONGEST = 16_384
_POLICY, _TOO_BIG, _UNREADABLE, _GOING, _LATER = 1008, 1009, 1007, 1012, 1013


class EventSocket:
    """The endpoint, an ASGI application.

    Args:
        context: For the filters.
        hub: Where reports come from.
        rotate_s: A connection is closed after so long with code 1012 (service restart), to be taken up again. 0: never.
    """

    def __init__(self, context: Context, hub: Hub, rotate_s: float) -> None:
        self._context = context
        self._hub = hub
        self._rotate_s = rotate_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        try:
            require_origin(scope, self._context.settings.cors)
            selection, after = await asked_stream(self._context, scope)
        except ProblemError as problem:
            await refuse(problem, receive, send)
            return
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        await _Conversation(self._context, self._hub, scope, receive, send).hold(
            self._hub.subscribe(selection, after), self._rotate_s
        )


class _Conversation:
    """One open connection."""

    def __init__(self, context: Context, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        self._context = context
        self._hub = hub
        self._scope = scope
        self._receive = receive
        self._send = send
        self._write = writer(hub.epoch)
        self._ended: tuple[int, str] | None = None
        self._current: Subscription | None = None
        self._next: Subscription | None = None

    async def hold(self, first: Subscription, rotate_s: float) -> None:
        """Speaks and listens until one side ends it."""
        self._next = first
        listening = asyncio.ensure_future(self._listen())
        timer = asyncio.get_running_loop().call_later(rotate_s, self._rotate) if rotate_s else None
        try:
            while self._next is not None and self._ended is None:
                self._current, self._next = self._next, None
                with self._current as subscription:
                    await self._speak(subscription)
            if self._ended is None or self._ended[0]:
                code, reason = self._ended or (_GOING, "take the stream up again")
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:  # the client has gone while something was sent
            pass
        finally:
            listening.cancel()
            if timer is not None:
                timer.cancel()

    async def _speak(self, subscription: Subscription) -> None:
        position = write_position(self._hub.epoch, subscription.position)
        state = {"epoch": self._hub.epoch, "position": position, "heartbeat_s": self._hub.limits.heartbeat_s}
        await self._say([message("state", position, orjson.dumps(state))])
        async for told in subscription:
            await self._say(self._write(told))

    async def _say(self, texts: list[bytes]) -> None:
        for text in texts:
            await self._send({"type": "websocket.send", "text": text.decode()})

    async def _listen(self) -> None:
        """Takes what the client says; anything but a subscription is a mistake worth ending for."""
        while self._ended is None:
            told = await self._receive()
            if told["type"] == "websocket.disconnect":
                self._end(0, "")
            elif told["type"] == "websocket.receive":
                try:
                    await self._obey(told.get("text") or (told.get("bytes") or b"").decode("utf-8", "replace"))
                except ProblemError as problem:
                    self._end(_POLICY, problem.detail)

    async def _obey(self, text: str) -> None:
        if len(text) > _LONGEST:
            self._end(_TOO_BIG, "too long")
            return
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            asked = None
        if not is_subscription(asked):
            self._end(_UNREADABLE, 'say {"type": "subscribe"} with parameters of the stream as texts')
            return
        parameters = {name: value for name, value in asked.items() if name != "type"}
        selection = await wanted(self._context, self._scope, parameters)
        current = self._current
        after = parameters.get(LAST) or (None if current is None else current.position)
        self._next = self._hub.subscribe(selection, after)
        if current is not None:
            current.close()

    def _rotate(self) -> None:
        self._end(_GOING, "take the stream up again")

    def _end(self, code: int, reason: str) -> None:
        """Ends the conversation; 0: the other side has gone."""
        self._ended = self._ended or (code, reason[:120])
        for one in (self._next, self._current):
            if one is not None:
                one.close()


def is_subscription(asked: Any) -> bool:
    """True for an object of texts that stream parameters may be, and its type."""
    return (
        isinstance(asked, dict)
        and asked.get("type") == "subscribe"
        and all(isinstance(value, str) for value in asked.values())
        and set(asked) <= {"type", LAST, *STREAM}
    )


def require_origin(scope: Scope, allowed: tuple[str, ...]) -> None:
    """Refuses pages of other sites: browsers ask nobody before they open a WebSocket across origins.

    Raises:
        ProblemError: 403.
    """
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or "*" in allowed or origin in allowed:
        return
    if urlsplit(origin).netloc != headers.get(b"host", b"").decode("latin-1"):
        raise ProblemError(403, "origin_not_allowed", "Pages of this origin may not listen; see `--cors`.")


async def refuse(problem: ProblemError, receive: Receive, send: Send) -> None:
    """Refuses a connection before it is accepted; the server answers the handshake with 403."""
    await receive()
    code = _LATER if problem.status == 503 else _POLICY
    await send({"type": "websocket.close", "code": code, "reason": problem.detail[:120]})


def message(kind: str, position: str, data: bytes) -> bytes:
    """One message."""
    return b'{"type":"%s","id":"%s","data":%s}' % (kind.encode(), position.encode(), data)


def writer(epoch: str) -> Callable[[Delivery], list[bytes]]:
    """Writes deliveries as messages."""

    def report(item: Item) -> bytes:
        return message("report", write_position(epoch, item.offset), item.json)

    def write(told: Delivery) -> list[bytes]:
        if isinstance(told, Reports):
            return [report(item) for item in told.items]
        position = write_position(epoch, told.position)
        if isinstance(told, Resync):
            return [message("resync", position, resync_data(told, position))]
        return [message("heartbeat", position, orjson.dumps({"position": position}))]

    return write
