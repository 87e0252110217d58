"""Lets pages of other origins read the answers, only those the operator has named."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Message, Scope, Send

_EXPOSED = b"ETag, Link, Content-Range, Accept-Ranges"


class Cors:
    """Cross-origin rules (Fetch standard) for a read-only server without cookies.

    Args:
        origins: `scheme://host[:port]`, or `*` for any.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = b"*" in self._origins

    async def admit(self, scope: Scope, send: Send) -> tuple[bool, Send]:
        """Prepares one request.

        Returns:
            True if it was a preflight and has been answered; and the `send` to use from here on.
        """
        names = dict(scope["headers"])
        origin = names.get(b"origin")
        allowed = self._allowed(origin)
        if scope["method"] == "OPTIONS" and allowed and b"access-control-request-method" in names:
            await self._preflight(send, allowed)
            return True, send
        if self._any and origin is None:
            return False, send
        return False, self._labelled(send, allowed)

    def _allowed(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        if origin is None or not (self._any or origin in self._origins):
            return []
        return [(b"access-control-allow-origin", b"*" if self._any else origin)]

    async def _preflight(self, send: Send, allowed: list[tuple[bytes, bytes]]) -> None:
        headers = [
            *allowed,
            (b"access-control-allow-methods", b"GET, HEAD"),
            (b"access-control-allow-headers", b"Accept, Authorization, If-None-Match, If-Range, Last-Event-ID, Range"),
            (b"access-control-max-age", b"86400"),
            (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _labelled(self, send: Send, allowed: list[tuple[bytes, bytes]]) -> Send:
        """Adds the headers; with several origins a cache must keep the answers apart, whoever asked first."""
        added = [*allowed, *([(b"access-control-expose-headers", _EXPOSED)] if allowed else [])]
        if not self._any:
            added.append((b"vary", b"Origin"))

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return labelled
