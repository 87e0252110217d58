"""RFC 9457 problem documents: the one shape in which every error leaves the server."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
RawHeaders = list[tuple[bytes, bytes]]


class ProblemError(Exception):
    """An answer that is an error; raised anywhere below a router.

    Args:
        status: HTTP status.
        code: Stable snake_case identifier a program can branch on.
        detail: One sentence for the reader: what is wrong and what to write instead; no path, no stack.
        headers: Further response headers.
        members: Further members of the document (RFC 9457 §3.2).
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})


def document(problem: ProblemError, instance: str) -> bytes:
    """The JSON of a problem (RFC 9457 §3.1); `about:blank` means that the status says what kind it is."""
    return orjson.dumps(
        {
            **problem.members,
            "type": "about:blank",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": problem.detail,
            "instance": instance.encode("utf-8", "replace").decode(),
            "code": problem.code,
        }
    )


def render(problem: ProblemError, instance: str) -> tuple[RawHeaders, bytes]:
    """Headers and body of a problem; an error is never stored by a cache."""
    body = document(problem, instance)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()),
    ]
    return headers, body


async def send_problem(problem: ProblemError, scope: Scope, send: Send) -> None:
    """Answers an ASGI request with a problem; a HEAD request gets the headers alone."""
    headers, body = render(problem, scope.get("path", ""))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class ProblemApp:
    """An ASGI application that answers everything with one problem."""

    def __init__(self, problem: ProblemError) -> None:
        self._problem = problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        del receive
        await send_problem(self._problem, scope, send)


def method_not_allowed() -> ProblemError:
    """Everything here is read-only."""
    return ProblemError(405, "method_not_allowed", "This resource can only be read.", {"Allow": "GET, HEAD"})


def not_found(detail: str = "Nothing is served at this address.") -> ProblemError:
    """The answer to every address that names nothing, hostile or not."""
    return ProblemError(404, "not_found", detail)
