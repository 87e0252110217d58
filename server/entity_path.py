"""The thin path of `/entities/{id}` in JSON: what is asked for most is answered without the framework.

Only what it can answer for certain: GET or HEAD, no query, no wish for HTML, a name of exactly one served entity.
Everything else goes the long way, which gives the same bytes.
"""

from __future__ import annotations

from time import perf_counter

from starlette.types import Scope, Send

from server.context import Context
from server.entity_answer import present_answer
from server.entity_past import LONGEST, find_rows
from server.metrics import Metrics
from server.negotiation import matches
from server.releases import Pair
from twin.store.base import digest, quoted

_ROUTE = "/entities/{id:path}"
_KEPT = 20_000
_EMPTY = {"type": "http.response.body", "body": b""}
_JSON = (b"content-type", b"application/json")
_NO_CACHE = (b"cache-control", b"no-cache")
_VARY = (b"vary", b"Accept")
Ready = tuple[bytes, bytes, bytes]
"""Entity tag, `Link`, body. Nothing but bytes: the garbage collector leaves such a tuple alone. Kept as headers and
messages, 20,000 answers were a quarter of a million objects to walk through, and a request in a hundred waited for it.
"""


class EntityPath:
    """Ready answers by path, forgotten when another release is served.

    Args:
        context: For addresses and the index.
        prefix: Path up to and including `/entities/`.
        metrics: Where requests are counted.
    """

    def __init__(self, context: Context, prefix: str, metrics: Metrics) -> None:
        self._context = context
        self._prefix = prefix
        self._metrics = metrics
        self._pair: Pair | None = None
        self._ready: dict[str, Ready] = {}

    async def answered(self, scope: Scope, send: Send) -> bool:
        """Answers a request if it can; False where the long way has to."""
        if scope["method"] not in ("GET", "HEAD") or scope["query_string"]:
            return False
        begin = perf_counter()
        condition = b""
        for name, value in scope["headers"]:
            if name == b"accept" and b"html" in value.lower():
                return False
            if name == b"if-none-match":
                condition = condition + b"," + value if condition else value
        try:
            ready = self._find(scope["path"])
        except Exception:  # a rim: the long way meets the same failure, logs it and answers for it
            return False
        if ready is None:
            return False
        etag, link, body = ready
        unchanged = bool(condition) and matches(condition, etag)
        status = 304 if unchanged else 200
        headers = [(b"etag", etag), _NO_CACHE, (b"link", link), _VARY]
        if not unchanged:
            headers += [(b"content-length", str(len(body)).encode()), _JSON]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        bare = unchanged or scope["method"] == "HEAD"
        await send(_EMPTY if bare else {"type": "http.response.body", "body": body})
        self._metrics.observe(scope["method"], _ROUTE, status, perf_counter() - begin)
        return True

    def _find(self, path: str) -> Ready | None:
        pair = self._context.releases.pair
        if pair is not self._pair:
            self._pair = pair
            self._ready.clear()
        ready = self._ready.get(path)
        if ready is not None:
            return ready
        text = path[len(self._prefix) :]
        rows = find_rows(pair.current.index, text) if 0 < len(text) <= LONGEST else []
        if len(rows) != 1 or text.endswith("/history"):
            return None
        ready = self._make(pair, rows[0])
        if len(self._ready) >= _KEPT:
            self._ready.pop(next(iter(self._ready)))  # the oldest
        self._ready[path] = ready
        return ready

    def _make(self, pair: Pair, row: int) -> Ready:
        body, link = present_answer(self._context, pair.current, row)
        return quoted(digest(body)).encode(), link.encode(), body
