"""The thin path for tiles (decision D10): memory, then the store, with no framework in between.

Addresses below `/tiles/{layer}/`:

    tileset.json            the root, mutable: `no-cache` with an ETag
    c/<digest>.glb          content and external tilesets under their digest: immutable, also those of the release
    t/<digest>.json         before, so that a page that is open during a publish goes on working
    <release>/<key>         any key of one release: immutable. The root of an implicit layer points here.
    <key>                   any other key of the current release: `no-cache`
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from time import perf_counter
from urllib.parse import unquote_to_bytes

import orjson
from starlette.types import Receive, Scope, Send

from server.metrics import Metrics
from server.negotiation import IDENTITY
from server.problem import ProblemError, method_not_allowed, not_found, send_problem
from server.releases import Layer, Pair, Releases
from server.representation import IMMUTABLE, REVALIDATE, Labels, Representation, Resource, answer, offers_of, represent
from twin.errors import TwinError
from twin.store.base import digest, quoted, variant_etag

_log = logging.getLogger(__name__)
ROOT = "tileset.json"
ROUTE = "/tiles/{layer}/{key}"
#: A key as our writers make them: plain ASCII segments, none of them empty or starting with a dot.
_KEY = re.compile(rb"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST_KEY = 256
_DIGEST_KEY = re.compile(r"[ct]/[0-9a-f]{16,64}\.[a-z0-9]+")


def parse_address(tail: bytes) -> tuple[str, str] | None:
    """Splits what follows `/tiles/` into layer and key.

    Args:
        tail: Raw, still percent-encoded bytes of the path.

    Returns:
        Layer name and key, or None for anything that cannot be a key. A key never holds an escape, so `%2e%2e`, `%2f`
        and `%00` end here; what is left is only ever looked up in a store's own index, never in the file system.
    """
    segment, _, key = tail.partition(b"/")
    if len(tail) > 2 * _LONGEST_KEY or len(key) > _LONGEST_KEY or not _KEY.fullmatch(key):
        return None
    try:
        return unquote_to_bytes(segment).decode("utf-8"), key.decode("ascii")
    except UnicodeDecodeError:
        return None


def pin_templates(root: bytes, release: str) -> bytes:
    """Points an implicit tileset's templates at one release, so that tiles and subtrees can be cached for ever.

    Every content or subtree URI that holds a template variable gets `<release>/` in front (3D Tiles 1.1, implicit
    tiling: templates are resolved against the tileset's own address).

    Args:
        root: The `tileset.json` as it stands in the store.
        release: Release id.

    Returns:
        The same bytes where the tileset has no templates.
    """
    tileset = orjson.loads(root)
    return orjson.dumps(tileset) if _pin(tileset.get("root"), release) else root


def _pin(tile: object, release: str) -> bool:
    if not isinstance(tile, dict):
        return False
    changed = False
    holders = [tile.get("content"), *(tile.get("contents") or [])]
    implicit = tile.get("implicitTiling")
    if isinstance(implicit, dict):
        for holder in (*holders, implicit.get("subtrees")):
            if isinstance(holder, dict) and "{" in holder.get("uri", ""):
                holder["uri"] = f"{release}/{holder['uri']}"
                changed = True
    return any([changed, *(_pin(child, release) for child in tile.get("children", ()))])


class TileCache:
    """Resources by raw path, least recently used first, bounded by the bytes they hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._found: OrderedDict[bytes, tuple[Resource, int]] = OrderedDict()
        self.size = 0

    def get(self, path: bytes) -> Resource | None:
        """The resource of a path, or None."""
        found = self._found.get(path)
        if found is None:
            return None
        self._found.move_to_end(path)
        return found[0]

    def account(self, path: bytes, resource: Resource) -> None:
        """Puts a resource in, or counts it again after another coding of it was read; drops the oldest ones."""
        size = resource.size + len(path) + 512
        _, before = self._found.pop(path, (None, 0))
        self.size += size - before
        self._found[path] = (resource, size)
        while self.size > self._limit and self._found:
            _, (_, dropped) = self._found.popitem(last=False)
            self.size -= dropped

    def clear(self) -> None:
        """Forgets everything."""
        self._found.clear()
        self.size = 0


class Tiles:
    """ASGI application for everything below `{base}/tiles/`.

    Args:
        releases: What is served.
        prefix: Raw path up to and including `/tiles/`.
        cache_bytes: Bound of the memory cache.
        metrics: Where requests are counted.
    """

    def __init__(self, releases: Releases, prefix: str, cache_bytes: int, metrics: Metrics) -> None:
        self._releases = releases
        self._prefix = len(prefix.encode())
        self._cache = TileCache(cache_bytes)
        self._metrics = metrics
        self._pair: Pair = releases.pair

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        del receive
        begin = perf_counter()
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            status = 405
            await send_problem(method_not_allowed(), scope, send)
        else:
            status = await self._serve(scope, send)
        self._metrics.observe(method, ROUTE, status, perf_counter() - begin)

    async def _serve(self, scope: Scope, send: Send) -> int:
        path = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
        try:
            resource = self.lookup(path)
            if resource is None:
                await send_problem(not_found("No such tile."), scope, send)
                return 404
            held = len(resource.ready)
            status = await answer(resource, scope, send)
        except TwinError as error:
            _log.error("tile cannot be read: %s", error)
            await send_problem(
                ProblemError(500, "store_damaged", "The tile cannot be read from the store."), scope, send
            )
            return 500
        if len(resource.ready) != held:
            self._cache.account(path, resource)
            self._metrics.cached_bytes = self._cache.size
        return status

    def lookup(self, path: bytes) -> Resource | None:
        """The resource at a raw path, from memory or from the store; None where there is none."""
        if self._pair is not self._releases.pair:
            self._pair = self._releases.pair
            self._cache.clear()
        resource = self._cache.get(path)
        if resource is not None:
            self._metrics.cache["hit"] += 1
            return resource
        resource = self._find(path[self._prefix :])
        self._metrics.cache["not_found" if resource is None else "miss"] += 1
        return resource

    def _find(self, tail: bytes) -> Resource | None:
        address = parse_address(tail)
        if address is None:
            return None
        name, key = address
        release, _, pinned = key.partition("/")
        for one in self._pair.releases:
            layer = one.layers.get(name)
            if layer is not None and pinned and release == one.id:
                return stored(layer, pinned, IMMUTABLE)
        layer = self._pair.current.layers.get(name)
        if layer is None:
            return None
        if key == layer.record.get("tileset", ROOT):
            return self._root(layer, key)
        if _DIGEST_KEY.fullmatch(key):
            return self._by_digest(name, key)
        return stored(layer, key, REVALIDATE)

    def _by_digest(self, name: str, key: str) -> Resource | None:
        for release in self._pair.releases:
            layer = release.layers.get(name)
            resource = None if layer is None else stored(layer, key, IMMUTABLE)
            if resource is not None:
                return resource
        return None

    def _root(self, layer: Layer, key: str) -> Resource | None:
        if layer.record.get("encoder") != "implicit":
            return stored(layer, key, REVALIDATE)
        entry = layer.store.get(key)
        if entry is None:
            return None
        content = pin_templates(layer.store.read(key, IDENTITY), self._pair.current.id)
        one = represent(content, IDENTITY, quoted(digest(content)), Labels(entry.media_type, REVALIDATE))
        return Resource((IDENTITY,), lambda _: one)


def stored(layer: Layer, key: str, cache_control: bytes) -> Resource | None:
    """The resource of one key of a store; its bytes are read when a coding is asked for."""
    entry = layer.store.get(key)
    if entry is None:
        return None
    labels = Labels(entry.media_type, cache_control)
    etag = entry.etag

    def load(coding: str) -> Representation:
        return represent(layer.store.read(key, coding), coding, variant_etag(etag, coding), labels)

    return Resource(offers_of(tuple(entry.encodings)), load)
