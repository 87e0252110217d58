"""Reports as CZML, for any Cesium without our viewer: one packet a case, its life in intervals, its way as samples.

CZML is a document, not a stream of documents: a firehose of packets stalls CesiumJS from some 200 things on. A client
that wants to stay current asks again, which costs a 304 as long as nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from server.live.asked import from_ms
from twin.live.kinds import Kinds
from twin.live.model import SEVERITIES, Filter, Stored

MEDIA_TYPE = "application/json"
_SIZES = dict(zip(SEVERITIES, (8, 9, 11, 13, 16), strict=True))
_EDGES = dict(zip(SEVERITIES, ("ffffff", "ffffff", "ffd54f", "ff7043", "d50000"), strict=True))
_GREY = [158, 158, 158, 200]
_LABEL_M, _ON_TOP_M = 1500.0, 1.0e7
_DAY_MS = 86_400_000
_SPEED = 60.0


def document(reports: Sequence[Stored], kinds: Kinds, span: Filter | None, now_ms: int) -> list[dict[str, Any]]:
    """CZML of some reports.

    Args:
        reports: In the order of their offsets; those that could not be placed are left out.
        kinds: For colours and names.
        span: Whose `since_ms` and `until_ms` the clock runs through; None: the present, without a clock.
        now_ms: The present, where an interval is open.
    """
    cases: dict[tuple[str, str], list[Stored]] = {}
    for stored in reports:
        cases.setdefault((stored.report.source, stored.report.case), []).append(stored)
    head: dict[str, Any] = {"id": "document", "name": "Events", "version": "1.0"}
    end = now_ms + _DAY_MS
    if span is not None:
        times = [stored.report.occurred_ms for stored in reports]
        begin = span.since_ms if span.since_ms is not None else min(times, default=now_ms - _DAY_MS)
        end = max(span.until_ms if span.until_ms is not None else now_ms, begin + 1)
        head["clock"] = _clock(begin, end)
    packets = (packet(case, kinds, end, span is not None) for case in cases.values())
    return [head, *(one for one in packets if one is not None)]


def _clock(begin: int, end: int) -> dict[str, Any]:
    return {
        "interval": _interval(begin, end),
        "currentTime": from_ms(begin),
        "multiplier": _SPEED,
        "range": "LOOP_STOP",
        "step": "SYSTEM_CLOCK_MULTIPLIER",
    }


def _interval(begin: int, end: int) -> str:
    return f"{from_ms(begin)}/{from_ms(max(end, begin + 1))}"


def packet(case: Sequence[Stored], kinds: Kinds, end: int, timed: bool) -> dict[str, Any] | None:
    """One case; None where it was never placed.

    Args:
        case: Its reports in the order of their offsets.
        kinds: For colours.
        end: When the document ends, ms.
        timed: Whether it appears and goes with the clock.
    """
    ordered = sorted(case, key=lambda one: (one.report.occurred_ms, one.offset))
    placed = [one for one in ordered if one.link.lon is not None and one.link.lat is not None]
    if not placed:
        return None
    last = ordered[-1]
    report = last.report
    made: dict[str, Any] = {
        "id": f"{report.source}#{report.case}",
        "name": report.title or report.case,
        "description": description(last, kinds),
        "properties": properties(last),
        "position": _position(placed, timed),
        "point": _point(ordered, placed[-1], kinds, end, timed),
        "label": _label(report.title),
    }
    if timed:
        closed = report.occurred_ms if report.status == "closed" else end
        made["availability"] = _interval(ordered[0].report.occurred_ms, closed)
    return made


def _position(placed: Sequence[Stored], timed: bool) -> dict[str, Any]:
    """The way of what moves as samples, two of one moment being one; the last place of what stands."""
    places = {(one.link.lon, one.link.lat, one.link.h) for one in placed}
    if not timed or len(places) == 1:
        return {"cartographicDegrees": _place(placed[-1])}
    begin = placed[0].report.occurred_ms
    samples = {one.report.occurred_ms: _place(one) for one in placed}
    flat = [number for time, place in samples.items() for number in ((time - begin) / 1000, *place)]
    return {
        "epoch": from_ms(begin),
        "cartographicDegrees": flat,
        "interpolationAlgorithm": "LINEAR",
        "interpolationDegree": 1,
        "forwardExtrapolationType": "HOLD",
        "backwardExtrapolationType": "HOLD",
    }


def _place(stored: Stored) -> list[float]:
    link = stored.link
    return [float(link.lon or 0.0), float(link.lat or 0.0), float(link.h or 0.0)]


def _point(ordered: Sequence[Stored], place: Stored, kinds: Kinds, end: int, timed: bool) -> dict[str, Any]:
    last = ordered[-1].report
    colour: Any = {"rgba": colour_of(ordered[-1], kinds)}
    if timed:
        bounds = [*(one.report.occurred_ms for one in ordered), end]
        spans = zip(ordered, pairwise(bounds), strict=True)
        colour = [
            {"interval": _interval(begin, until), "rgba": colour_of(one, kinds)}
            for one, (begin, until) in spans
            if until > begin
        ] or colour
    return {
        "pixelSize": _SIZES[last.severity],
        "color": colour,
        "outlineColor": {"rgba": _rgba(_EDGES[last.severity])},
        "outlineWidth": 2,
        "heightReference": "CLAMP_TO_GROUND" if place.link.h is None else "NONE",
        "disableDepthTestDistance": _ON_TOP_M,  # a point on the ground inside a building would never be seen
    }


def colour_of(stored: Stored, kinds: Kinds) -> list[int]:
    """The colour of the kind; grey once closed."""
    kind = kinds.get(stored.report.kind)
    return _GREY if stored.report.status == "closed" or kind is None else _rgba(kind.colour.removeprefix("#"))


def _rgba(digits: str) -> list[int]:
    return [*bytes.fromhex(digits), 255]


def _label(title: str) -> dict[str, Any]:
    return {
        "text": title[:60],
        "font": "14px sans-serif",
        "style": "FILL_AND_OUTLINE",
        "outlineWidth": 3,
        "pixelOffset": {"cartesian2": [0, -18]},
        "distanceDisplayCondition": {"distanceDisplayCondition": [0.0, _LABEL_M]},
        "disableDepthTestDistance": _ON_TOP_M,
    }


def properties(stored: Stored) -> dict[str, Any]:
    """What a program may read from a packet."""
    report = stored.report
    told = {
        "kind": report.kind,
        "status": report.status,
        "severity": report.severity,
        "geid": stored.link.geid,
        "offset": stored.offset,
        "value": report.value,
        "unit": report.unit,
    }
    return {name: value for name, value in told.items() if value is not None}


def description(stored: Stored, kinds: Kinds) -> str:
    """What Cesium's info box shows; texts of reports are no markup."""
    report = stored.report
    kind = kinds.get(report.kind)
    rows: Iterable[tuple[str, object]] = (
        ("类型 Kind", f"{kind.zh} {kind.en}" if kind else report.kind),
        ("状态 Status", report.status),
        ("级别 Severity", report.severity),
        ("时间 Occurred", from_ms(report.occurred_ms)),
        ("地址 Address", report.place.address),
        ("数值 Value", None if report.value is None else f"{report.value:g} {report.unit or ''}".strip()),
        ("实体 Entity", stored.link.geid),
        ("来源 Source", report.source),
        ("编号 Case", report.case),
    )
    lines = "".join(f"<tr><th>{name}</th><td>{escape(str(told))}</td></tr>" for name, told in rows if told)
    return f"<table>{lines}</table>"
