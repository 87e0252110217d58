"""Bodies of requests to events as JSON values: one, a batch, or lines; what cannot be read stays as it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from server.live.live import Row
from server.problem import ProblemError
from twin.live.cloudevents import parse_batch
from twin.live.payload import read_json
from twin.live.refusals import Refused
from twin.live.rules import ParseRules

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
LINES = "application/x-ndjson"
STREAMS = (LINES, "application/jsonl")
KNOWN = (ONE, BATCH, JSON, *STREAMS)
_PREFIX = "ce-"


def media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The media type of a body, without parameters; of CloudEvents in binary mode "" (they are told by headers).

    Raises:
        ProblemError: 415 for a type that is not read, or a body that is compressed.
    """
    told = {name: value.decode("latin-1") for name, value in headers}
    coding = told.get(b"content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise ProblemError(415, "unsupported_media_type", "Send the body as it is, without Content-Encoding.")
    if b"ce-id" in told:
        return ""
    found = told.get(b"content-type", JSON).partition(";")[0].strip().lower()
    if found not in KNOWN:
        raise ProblemError(415, "unsupported_media_type", f"Send {ONE}, {BATCH}, {JSON} or {LINES}.")
    return found


def events(body: bytes, kind: str, most: int) -> list[Any]:
    """The events of a body; what is no JSON is refused in its place.

    Args:
        body: As it was sent.
        kind: Its media type.
        most: Events allowed.

    Raises:
        ProblemError: 413 where there are more; 400 where a batch is no list.
    """
    if not body.strip():
        raise ProblemError(400, "no_events", "The body is empty.")
    value = json_value(body)
    if kind == BATCH and not isinstance(value, list | Refused):
        raise ProblemError(400, "no_batch", f"{BATCH} is a JSON array of events.")
    found = value if isinstance(value, list) and kind != ONE else [value]
    if len(found) > most:
        raise ProblemError(413, "too_many_events", f"Send at most {most} events at once, or {LINES}.")
    return found


def from_headers(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> dict[str, Any]:
    """One CloudEvent whose attributes stand in headers (binary content mode of the HTTP binding, §3.1)."""
    event: dict[str, Any] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        if name.startswith(_PREFIX):
            event[name.removeprefix(_PREFIX)] = _unescaped(value)
        elif name == "content-type":
            event["datacontenttype"] = value.decode("latin-1")
    event["data"] = json_value(body) if body.strip() else None
    return event


def _unescaped(value: bytes) -> str:
    """A header's text: percent-encoded UTF-8 (CloudEvents HTTP binding §3.1.3.2)."""
    return unquote(value.decode("latin-1"), errors="replace")


def json_value(body: bytes) -> Any:
    """JSON in UTF-8, UTF-16 or GB 18030; why it is none, where it is none."""
    try:
        return read_json(body)
    except Refused as refused:
        return refused


def reader(rules: ParseRules) -> Callable[[Sequence[Any]], Sequence[Row]]:
    """Reads CloudEvents; what has been refused already stays so."""

    def read(bodies: Sequence[Any]) -> Sequence[Row]:
        sound = iter(parse_batch([body for body in bodies if not isinstance(body, Refused)], rules))
        return [body if isinstance(body, Refused) else next(sound) for body in bodies]

    return read
