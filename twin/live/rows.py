"""Reports as rows of a table and back, the same for every database: columns, JSON, and text that can be kept."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from twin.live.model import Link, Place, Refusal, Report, Stored

_NAMES = (
    "number recorded_ms source message_id case_id kind status severity title occurred_ms reported_ms due_ms"
    " place_geid place_code place_sensor address place_lon place_lat place_h accuracy_m"
    " value unit data geid method confidence distance_m lon lat h"
)
COLUMNS = tuple(_NAMES.split())
"""Of the table of reports, in the order of every row; `number` is the offset, a word that SQL keeps for itself."""

REFUSAL_COLUMNS = ("number", "recorded_ms", "source", "code", "reason", "body", "mended_by")
"""Of the table of refusals."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LEAST, _MOST = -(2**63), 2**63 - 1


def storable(text: str) -> str:
    """Text every database can keep: NUL and halves of surrogate pairs become U+FFFD."""
    return _UNSTORABLE.sub("�", text)


def whole(number: int) -> int:
    """A number that fits 64 bits, the nearest one where it does not: times nobody can mean still compare rightly."""
    return min(max(number, _LEAST), _MOST)


def data_text(data: Mapping[str, Any]) -> str:
    """A report's JSON as text.

    Args:
        data: JSON values only, of whatever depth and size.

    Raises:
        TypeError, ValueError: It holds what JSON cannot say.
    """
    try:
        return orjson.dumps(data, default=dict).decode()
    except TypeError:  # numbers beyond 64 bits and halves of surrogate pairs, which JSON may hold; the blank marks it
        return " " + json.dumps(data, default=dict)


def data_of(text: str) -> Mapping[str, Any]:
    """What `data_text` wrote."""
    if text == "{}":
        return {}
    found: dict[str, Any] = json.loads(text) if text.startswith(" ") else orjson.loads(text)
    return found


def storable_rows(rows: Sequence[tuple[Report, Link]]) -> Sequence[tuple[Report, Link]]:
    """The same reports, with text every database can keep; nearly always the very rows given."""
    texts = [text for report, link in rows for text in _texts(report, link)]
    joined = "".join(texts)
    try:
        joined.encode()
    except UnicodeEncodeError:
        return [_mended(report, link) for report, link in rows]
    return [_mended(report, link) for report, link in rows] if "\x00" in joined else rows


def _texts(report: Report, link: Link) -> list[str]:
    place = report.place
    return [
        report.source,
        report.id,
        report.case,
        report.kind,
        report.status,
        report.severity,
        report.title,
        report.unit or "",
        place.geid or "",
        place.code or "",
        place.sensor or "",
        place.address or "",
        link.geid or "",
        link.method,
    ]


def _mended(report: Report, link: Link) -> tuple[Report, Link]:
    values = {name: getattr(report, name) for name in Report.__slots__ if name != "place"}
    return Report(**_text_mended(values), place=Place(**_text_mended(_fields(report.place)))), Link(
        **_text_mended(_fields(link))
    )


def _fields(one: Place | Link) -> dict[str, Any]:
    return {name: getattr(one, name) for name in type(one).__slots__}


def _text_mended(values: dict[str, Any]) -> dict[str, Any]:
    return {name: storable(value) if isinstance(value, str) else value for name, value in values.items()}


def _finite(number: float | None) -> float | None:
    return number if number is None or math.isfinite(number) else None


def to_row(number: int, recorded_ms: int, report: Report, link: Link) -> tuple[Any, ...]:
    """A report as a row of `COLUMNS`; numbers that are not finite are kept as nothing."""
    place = report.place
    return (
        number,
        recorded_ms,
        report.source,
        report.id,
        report.case,
        report.kind,
        report.status,
        report.severity,
        report.title,
        report.occurred_ms,
        report.reported_ms,
        report.due_ms,
        place.geid,
        place.code,
        place.sensor,
        place.address,
        _finite(place.lon),
        _finite(place.lat),
        _finite(place.h),
        _finite(place.accuracy_m),
        _finite(report.value),
        report.unit,
        data_text(report.data) if report.data else "{}",
        link.geid,
        link.method,
        _finite(link.confidence) or 0.0,
        _finite(link.distance_m),
        _finite(link.lon),
        _finite(link.lat),
        _finite(link.h),
    )


def from_row(row: Sequence[Any]) -> Stored:
    """A row of `COLUMNS` as a report."""
    (number, recorded_ms, source, message, case, kind, status, severity, title, occurred, reported, due) = row[:12]
    value, unit, data = row[20:23]
    # Most reports have one way to say where they are; the rest of a place is nothing, eight times.
    place = Place(*row[12:20])
    report = Report(
        source, message, case, kind, status, severity, title, occurred, reported, due, place, value, unit, data_of(data)
    )
    return Stored(number, recorded_ms, report, Link(*row[23:30]))


def refusal_row(recorded_ms: int, refusal: Refusal) -> tuple[Any, ...]:
    """A refusal as a row of `REFUSAL_COLUMNS`, without its number."""
    texts = (storable(text) for text in (refusal.source, refusal.code, refusal.reason, refusal.body))
    return (recorded_ms, *texts, refusal.mended_by)
