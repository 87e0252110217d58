"""Serves the built viewer from memory: all it needs comes from here, and its policy lets it reach nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from time import perf_counter

from starlette.types import Receive, Scope, Send

from server.metrics import Metrics
from server.negotiation import IDENTITY
from server.problem import method_not_allowed, not_found, send_problem
from server.representation import (
    IMMUTABLE,
    REVALIDATE,
    Labels,
    Representation,
    Resource,
    answer,
    offers_of,
    represent,
    send_redirect,
)
from twin.store.base import compress, digest, quoted, variant_etag

ROUTE = "/viewer/{file}"
INDEX = "index.html"
NOT_BUILT = "The viewer has not been built: run `make viewer` in the clone, or install a wheel, which contains it."
#: Nothing from outside, no inline script, no `eval`. WebAssembly decodes meshopt; CesiumJS starts workers from blobs,
#: reads textures out of GLB buffers as blobs, and its widgets set inline styles.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
#: A policy for pages without any script.
STATIC_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
MEDIA_TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "geojson": "application/geo+json",
    "webmanifest": "application/manifest+json",
    "txt": "text/plain; charset=utf-8",
    "xml": "application/xml",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "ico": "image/x-icon",
    "ktx2": "image/ktx2",
    "wasm": "application/wasm",
    "glb": "model/gltf-binary",
    "woff2": "font/woff2",
    "woff": "font/woff",
    "ttf": "font/ttf",
}
_SUFFIXES = {".br": "br", ".gz": "gzip", ".zst": "zstd"}
_HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_SMALLEST_COMPRESSED = 1024
_COMPRESSED = ("text/", "application/json", "application/wasm", "image/svg", "application/xml", "application/geo")


def package_viewer() -> Traversable:
    """Folder of the viewer inside the installed package."""
    return files("server") / "viewer" / "dist"


def read_tree(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Every file below a folder with its relative URL path; nothing where the folder does not exist."""
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        if child.is_dir():
            yield from read_tree(child, f"{prefix}{child.name}/")
        elif not child.name.startswith("."):
            yield prefix + child.name, child.read_bytes()


def _labels(path: str) -> Labels:
    media_type = MEDIA_TYPES.get(path.rsplit(".", 1)[-1].lower(), "application/octet-stream")
    hashed = path.startswith("assets/") and _HASHED.search(path)
    page = media_type.startswith("text/html")
    # Workers get the policy of their own response, so scripts carry it too.
    guarded = page or media_type.startswith("text/javascript")
    extra: list[tuple[bytes, bytes]] = [(b"referrer-policy", b"no-referrer")] if page else []
    if guarded:
        extra.append((b"content-security-policy", POLICY.encode()))
    return Labels(media_type, IMMUTABLE if hashed else REVALIDATE, tuple(extra))


def make_resource(path: str, content: bytes, variants: Mapping[str, bytes]) -> Resource:
    """One file with its codings; gzip is made when it is first asked for, unless the build has left one beside it."""
    labels = _labels(path)
    etag = quoted(digest(content))
    at_hand = {IDENTITY: content, **variants}
    squeeze = len(content) >= _SMALLEST_COMPRESSED and labels.media_type.startswith(_COMPRESSED)

    def load(coding: str) -> Representation:
        packed = at_hand.get(coding)
        packed = compress(content, "gzip") if packed is None else packed
        return represent(packed, coding, variant_etag(etag, coding), labels)

    return Resource(offers_of((*variants, "gzip") if squeeze else tuple(variants)), load)


def load_viewer(folder: Traversable) -> dict[str, Resource]:
    """Every file of the viewer by its relative URL path; empty where it has not been built."""
    tree = dict(read_tree(folder))
    beside: dict[str, dict[str, bytes]] = {}
    for path in [path for path in tree if path.endswith(tuple(_SUFFIXES))]:
        plain, dot, suffix = path.rpartition(".")
        if plain in tree:
            beside.setdefault(plain, {})[_SUFFIXES[dot + suffix]] = tree.pop(path)
    return {path: make_resource(path, content, beside.get(path, {})) for path, content in tree.items()}


class Viewer:
    """ASGI application for everything at and below `{base}/viewer`.

    Args:
        folder: The built viewer; None takes the one inside the package.
        prefix: Path up to and including `/viewer/`.
        metrics: Where requests are counted.
    """

    def __init__(self, folder: Path | None, prefix: str, metrics: Metrics) -> None:
        self._files = load_viewer(package_viewer() if folder is None else folder)
        self._prefix = prefix
        self._metrics = metrics

    @property
    def built(self) -> bool:
        """True if there is a page to show."""
        return INDEX in self._files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        del receive
        begin = perf_counter()
        status = await self._serve(scope, send)
        self._metrics.observe(scope["method"], ROUTE, status, perf_counter() - begin)

    async def _serve(self, scope: Scope, send: Send) -> int:
        if scope["method"] not in ("GET", "HEAD"):
            await send_problem(method_not_allowed(), scope, send)
            return 405
        path: str = scope["path"]
        if path + "/" == self._prefix:
            await send_redirect(self._prefix, scope, send)
            return 308
        resource = self._files.get(path[len(self._prefix) :] or INDEX)
        if resource is None:
            detail = "The viewer has no such file." if self.built else NOT_BUILT
            await send_problem(not_found(detail), scope, send)
            return 404
        return await answer(resource, scope, send)
