"""Ready-made answers: header lists and ASGI messages are built once, so that a request only has to choose one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope, Send

from server.negotiation import IDENTITY, PREFERENCE, choose_encoding, matches
from server.problem import ProblemError, send_problem

IMMUTABLE = b"public, max-age=31536000, immutable"
REVALIDATE = b"no-cache"
_EMPTY = {"type": "http.response.body", "body": b""}


@dataclass(frozen=True, slots=True)
class Representation:
    """One resource in one content coding.

    Attributes:
        etag: Strong entity tag in quotes; each coding has its own (RFC 9110 §8.8.3).
        start, body: The two ASGI messages of a 200.
        not_modified: The first message of a 304.
        size: Bytes held.
    """

    etag: bytes
    start: dict[str, Any]
    body: dict[str, Any]
    not_modified: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Labels:
    """The header values every coding of a resource shares."""

    media_type: str
    cache_control: bytes
    extra: tuple[tuple[bytes, bytes], ...] = ()


def represent(content: bytes, encoding: str, etag: str, labels: Labels) -> Representation:
    """Builds the messages of one coding.

    Args:
        content: The bytes in that coding.
        encoding: One of `PREFERENCE`.
        etag: Entity tag of this coding, with quotes.
        labels: What all codings share.
    """
    tag = etag.encode("latin-1")
    shared = [
        (b"etag", tag),
        (b"cache-control", labels.cache_control),
        (b"vary", b"accept-encoding"),
        (b"x-content-type-options", b"nosniff"),
        *labels.extra,
    ]
    own = [(b"content-type", labels.media_type.encode()), (b"content-length", str(len(content)).encode())]
    if encoding != IDENTITY:
        own.append((b"content-encoding", encoding.encode()))
    return Representation(
        etag=tag,
        start={"type": "http.response.start", "status": 200, "headers": own + shared},
        body={"type": "http.response.body", "body": content},
        not_modified={"type": "http.response.start", "status": 304, "headers": shared},
        size=len(content) + 1024,
    )


@dataclass(slots=True)
class Resource:
    """One address with its codings; a coding is read when it is first asked for.

    Attributes:
        offers: Codings at hand, always with `identity`.
        load: Gives the representation of one coding.
        ready: The ones read so far.
    """

    offers: tuple[str, ...]
    load: Callable[[str], Representation]
    ready: dict[str, Representation] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(one.size for one in self.ready.values())


def offers_of(variants: Mapping[str, Any] | tuple[str, ...]) -> tuple[str, ...]:
    """The codings of a resource in the server's order; codings this server does not know are left aside."""
    return tuple(coding for coding in PREFERENCE if coding == IDENTITY or coding in variants)


def request_headers(scope: Scope) -> tuple[bytes | None, bytes | None]:
    """Accept-Encoding and If-None-Match; a header that comes several times is one list (RFC 9110 §5.3)."""
    accept: bytes | None = None
    condition: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            accept = value if accept is None else accept + b"," + value
        elif name == b"if-none-match":
            condition = value if condition is None else condition + b"," + value
    return accept, condition


def not_acceptable() -> ProblemError:
    """The client excludes every coding there is, the plain bytes too."""
    return ProblemError(406, "not_acceptable", "Accept-Encoding excludes every coding of this resource.")


async def answer(resource: Resource, scope: Scope, send: Send) -> int:
    """Answers GET or HEAD with the coding the client likes best; returns the status."""
    accept, condition = request_headers(scope)
    coding = choose_encoding(accept, resource.offers)
    if coding is None:
        await send_problem(not_acceptable(), scope, send)
        return 406
    one = resource.ready.get(coding)
    if one is None:
        one = resource.ready[coding] = resource.load(coding)
    if condition is not None and matches(condition, one.etag):
        await send(one.not_modified)
        await send(_EMPTY)
        return 304
    await send(one.start)
    await send(_EMPTY if scope["method"] == "HEAD" else one.body)
    return 200


async def send_redirect(location: str, scope: Scope, send: Send) -> None:
    """Sends a client to the address with the slash at its end, query kept (308)."""
    query = scope.get("query_string", b"")
    target = location.encode() + (b"?" + query if query else b"")
    headers = [(b"location", target), (b"content-length", b"0"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send(_EMPTY)
