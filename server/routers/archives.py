"""Whole layers as one file, with single ranges, for taking away and for clients that read archives directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi.responses import Response, StreamingResponse

from server.context import Context
from server.negotiation import UnsatisfiableRangeError, matches, parse_range, range_applies
from server.problem import ProblemError, not_found
from twin.store.base import media_type

_BLOCK = 1 << 18


def read_span(path: Path, first: int, last: int) -> Iterator[bytes]:
    """Blocks of the bytes `first` to `last`, both inclusive."""
    with path.open("rb") as file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def _archive_of(context: Context, layer: str) -> tuple[Path, str]:
    """Path and layer digest.

    Raises:
        ProblemError: 404 where there is no such layer, or it is kept as loose files.
    """
    with context.releases.reading() as release:
        found = release.layers.get(layer)
        if found is None:
            raise not_found("No such layer.")
        if not found.path.is_file():
            raise ProblemError(404, "no_archive", "This layer is kept as loose files; read its tiles instead.")
        return found.path, str(found.record.get("digest", release.id))


def router(context: Context) -> APIRouter:
    """The endpoint `/archives/{layer}`."""
    routes = APIRouter(tags=["tiles"])

    @routes.get("/archives/{layer}", summary="A layer as one file")
    def archive(request: Request, layer: Annotated[str, PathParameter(description="Layer name")]) -> Response:
        """The `.3dtiles` or `.3tz` file. A single byte range is honoured; several at once get 416."""
        path, digest = _archive_of(context, layer)
        status = path.stat()
        etag = f'"{digest[:32]}-{status.st_size:x}-{status.st_mtime_ns:x}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Accept-Ranges": "bytes"}
        condition = ",".join(request.headers.getlist("if-none-match"))
        if condition and matches(condition.encode("latin-1"), etag.encode()):
            return Response(status_code=304, headers=headers)
        try:
            span = _span(request, etag, status.st_size)
        except UnsatisfiableRangeError:
            raise ProblemError(
                416,
                "range_not_satisfiable",
                "Ask for one range inside the file.",
                {"Content-Range": f"bytes */{status.st_size}"},
            ) from None
        headers["Content-Disposition"] = f'attachment; filename="{_ascii(path.name)}"'
        return _stream(path, span, status.st_size, headers)

    return routes


def _span(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    values = request.headers.getlist("range")
    if not values or not range_applies(request.headers.get("if-range"), etag):
        return None
    return parse_range(",".join(values), size)


def _stream(path: Path, span: tuple[int, int] | None, size: int, headers: dict[str, str]) -> Response:
    first, last = span or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    body = read_span(path, first, last)
    return StreamingResponse(body, 200 if span is None else 206, headers, media_type(path.name))


def _ascii(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "_" for c in name)
