"""CloudEvents 1.0 to reports and back: what an event may leave out, what it may not, and what every word stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twin.entity import geid as geids
from twin.live.kinds import Kind, plain_word
from twin.live.model import SEVERITIES, STATUSES, Link, Place, Report, Stored
from twin.live.positions import Given, is_public, read_position, to_degrees
from twin.live.refusals import Refused
from twin.live.rules import ParseRules
from twin.live.times import read_time, write_time
from twin.live.values import check_json, check_scalar, number_of, text_of

TYPE_PREFIX = "twin."
EXTENSION = "ce-"
"""Attributes of others (`traceparent`) are kept in `Report.data` under this and their name, as HTTP headers have it."""

_ATTRIBUTES = frozenset(
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"]
)
#: Attributes and members that a twin writes itself; of another twin they say nothing about this one.
_OWN = frozenset(["offset", "recordedtime"])
_NAME = re.compile(r"[a-z0-9]{1,40}\Z")
_URI = re.compile(r"[^\s<>\"{}|\\^`\x00-\x1f\x7f]{1,512}\Z")
_DATA = frozenset(
    ["case", "title", "severity", "status", "occurred", "reported", "due", "place", "value", "unit", "link"]
)
_PLACE = frozenset(["geid", "code", "sensor", "address", "lon", "lat", "x", "y", "h", "crs", "accuracy_m"])
_LINK_FIELDS = ("geid", "method", "confidence", "distance_m", "lon", "lat", "h")
_STATUS_SET, _SEVERITY_SET = frozenset(STATUSES), frozenset(SEVERITIES)
_NO_END = "9999-"
_LON = Place.__slots__.index("lon")


def parse_cloudevent(document: Mapping[str, Any], rules: ParseRules) -> Report:
    """Reads one CloudEvent.

    Args:
        document: A parsed JSON object in the structured form of CloudEvents 1.0.
        rules: What is known and allowed.

    Returns:
        The report; its position is WGS 84, its times are milliseconds.

    Raises:
        Refused: With one of `twin.live.refusals.REFUSALS`; nothing else, whatever the document holds.
    """
    draft = _read(document, rules, rules.now())
    if draft.is_settled:
        return draft.report()
    (row,) = _settled([draft])
    if isinstance(row, Refused):
        raise row
    return row


def parse_batch(documents: Sequence[object], rules: ParseRules) -> list[Report | Refused]:
    """Reads many CloudEvents, positions converted together; row for row a report, or why there is none."""
    now = rules.now()
    rows: list[Report | Refused | _Draft] = []
    for document in documents:
        try:
            draft = _read(document, rules, now)
            rows.append(draft.report() if draft.is_settled else draft)
        except Refused as refused:
            refused.source = refused.source or _source_of(document)
            rows.append(refused)
    shifted = iter(_settled([row for row in rows if isinstance(row, _Draft)]))
    return [next(shifted) if isinstance(row, _Draft) else row for row in rows]


def to_cloudevent(stored: Stored | Report, url: str = "") -> dict[str, Any]:
    """The outgoing form of a report, which `parse_cloudevent` reads back.

    Args:
        stored: A report out of the store, with its `offset`, `recordedtime` and `data.link`; or one not stored yet.
        url: Address of the server, for `dataschema`; empty leaves that out.

    Returns:
        A JSON object. `subject` is the entity linked to, else what the report names.
    """
    report, link = (stored.report, stored.link) if isinstance(stored, Stored) else (stored, None)
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": report.id,
        "source": report.source,
        "type": f"{TYPE_PREFIX}{report.kind}.{report.status}",
        "time": write_time(report.occurred_ms),
        "datacontenttype": "application/json",
    }
    subject = (link.geid if link else None) or report.place.geid or report.place.code
    if subject:
        event["subject"] = subject
    if url:
        event["dataschema"] = f"{url.rstrip('/')}/events/schema"
    if isinstance(stored, Stored):
        event["offset"] = stored.offset
        event["recordedtime"] = write_time(stored.recorded_ms)
    event["data"] = _data_out(report, link, event)
    return event


def _data_out(report: Report, link: Link | None, event: dict[str, Any]) -> dict[str, Any]:
    """`data`; attributes of others go back to the event."""
    data: dict[str, Any] = {}
    extra_place: Mapping[str, Any] = {}
    for key, value in report.data.items():
        if key == "place" and isinstance(value, Mapping):
            extra_place = value
        elif key.startswith(EXTENSION) and _NAME.match(key[3:]) and key[3:] not in _ATTRIBUTES | _OWN:
            event[key[3:]] = value
        else:
            data[key] = value
    data.update(case=report.case, title=report.title, status=report.status, severity=report.severity)
    data["occurred"] = event["time"]
    for name, moment in (("reported", report.reported_ms), ("due", report.due_ms)):
        if moment is not None:
            data[name] = write_time(moment)
    for name, value in (("value", report.value), ("unit", report.unit)):
        if value is not None:
            data[name] = value
    place = {**extra_place, **_present(report.place, Place.__slots__)}
    if place:
        data["place"] = place
    if link is not None:
        data["link"] = {name: getattr(link, name) for name in _LINK_FIELDS}
    return data


def _present(thing: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(thing, name)) is not None}


@dataclass(slots=True)  # not frozen: frozen ones take four times as long to make
class _Draft:
    """A report whose position is not converted yet.

    Attributes:
        head: Fields of the report before its place.
        place: Fields of the place.
        measured: Value and unit.
        data: What has no field.
        given: The position as the source has it.
    """

    head: tuple[Any, ...]
    place: list[Any]
    measured: tuple[float | None, str | None]
    data: dict[str, Any]
    given: Given | None

    @property
    def is_settled(self) -> bool:
        """True where nothing has to be converted."""
        return self.given is None or self.given.plain

    def report(self) -> Report:
        """The report."""
        fields: tuple[Any, ...] = (*self.head, Place(*self.place), *self.measured, self.data)
        return Report(*fields)


def _read(document: object, rules: ParseRules, now: int) -> _Draft:
    if not isinstance(document, Mapping):
        raise Refused("not_an_object", "a report must be a JSON object")
    if document.get("specversion") != "1.0":
        raise Refused("spec_version", '`specversion` must be "1.0"')
    name, source = _required(document, "id", 256), _required(document, "source", 512)
    if not _URI.match(source):
        raise Refused("bad_source", f"`source` {source[:60]!r} is no URI reference: it has spaces or signs not allowed")
    data = _data_of(document)
    kind, typed = _type_of(_required(document, "type", 256), rules)
    status = _status(data.get("status"), typed, kind, rules)
    place, given, extra = _place_of(data.get("place"), document.get("subject"), rules)
    occurred, reported, due, assumed = _times(document, data, rules, now)
    rest = _rest(document, data, extra, rules)
    if assumed:
        rest["occurred_from"] = "receipt"
    head = (
        source,
        name,
        text_of(data.get("case"), "case", 256) or name,
        kind.id,
        status,
        _severity(data.get("severity"), kind, rules),
        " ".join((text_of(data.get("title"), "title") or "").split()),
        occurred,
        reported,
        due,
    )
    draft = _Draft(
        head, place, (number_of(data.get("value"), "value"), text_of(data.get("unit"), "unit", 64)), rest, given
    )
    if kind.needs:
        _check_needs(draft, kind)
    return draft


def _required(document: Mapping[str, Any], name: str, limit: int) -> str:
    text = text_of(document.get(name), name, limit)
    if text is None:
        raise Refused("missing", f"`{name}` is missing or empty; CloudEvents 1.0 requires it")
    return text


def _data_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    content_type = document.get("datacontenttype")
    json = content_type is None or (isinstance(content_type, str) and "json" in content_type.lower())
    if "data_base64" in document or not json:
        raise Refused("not_json_data", "`data` must be a JSON object; data_base64 and other content types are not read")
    data = document.get("data")
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise Refused("not_json_data", "`data` must be a JSON object")
    return data


def _type_of(text: str, rules: ParseRules) -> tuple[Kind, str | None]:
    """Kind and status of a CloudEvents type."""
    named = text[len(TYPE_PREFIX) :] if text.startswith(TYPE_PREFIX) else rules.kinds.types.get(text)
    if not named or named.endswith("."):
        raise Refused(
            "unknown_type", f"type {text[:80]!r} is neither twin.<kind>.<status> nor in the table `types` of the kinds"
        )
    name, _, status = named.partition(".")
    kind = rules.kinds.get(name)
    if kind is None:
        raise Refused("unknown_kind", f"kind {name[:60]!r} is not known; known are {', '.join(rules.kinds.by_id)}")
    if status and status not in _STATUS_SET:
        raise Refused("unknown_status", f"the type says status {status[:60]!r}; known are {', '.join(STATUSES)}")
    return kind, status or None


def _status(value: object, typed: str | None, kind: Kind, rules: ParseRules) -> str:
    stated = None if value is None else _word(value, "status", _STATUS_SET, rules.kinds.statuses)
    if stated and typed and stated != typed:
        raise Refused("contradiction", f"the type says {typed}, the data say {stated}")
    status = stated or typed or kind.first_status
    if status not in kind.statuses:
        raise Refused("unknown_status", f"a {kind.id} is never {status}; it may be {', '.join(kind.statuses)}")
    return status


def _severity(value: object, kind: Kind, rules: ParseRules) -> str:
    if value is None:
        return kind.severity
    return _word(value, "severity", _SEVERITY_SET, rules.kinds.severities) or kind.severity


def _word(value: object, name: str, known: frozenset[str], table: Mapping[str, str]) -> str | None:
    if isinstance(value, str) and value in known:
        return value
    text = text_of(value, name, 100)
    if text is None:
        return None
    word = plain_word(text)
    found = word if word in known else table.get(word)
    if found is None:
        raise Refused(f"unknown_{name}", f"{name} {text[:60]!r} is not known: put it into the table of words")
    return found


def _times(
    document: Mapping[str, Any], data: Mapping[str, Any], rules: ParseRules, now: int
) -> tuple[int, int | None, int | None, bool]:
    """Occurred, reported, due, and whether the first was not told at all."""
    reported = _time(data, "reported", rules)
    occurred, sent = _time(data, "occurred", rules), _time(document, "time", rules)
    if occurred is None:
        occurred = sent
    told = occurred if occurred is not None else reported
    moment = now if told is None else told
    for name, value in (("occurred", moment), ("reported", reported)):
        if value is not None and value > now + rules.max_skew_ms:
            raise Refused(
                "event_in_future",
                f"`{name}` is {write_time(value)}, more than {rules.max_skew_ms // 1000} s later than now "
                f"({write_time(now)}): set the clock or the offset of the source right",
            )
    if rules.max_age_ms is not None and moment < now - rules.max_age_ms:
        raise Refused("event_too_old", f"`occurred` is {write_time(moment)}, older than this twin takes in")
    return moment, reported, _due(data, rules), told is None


def _time(fields: Mapping[str, Any], name: str, rules: ParseRules) -> int | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    return read_time(value, rules.zone, (), name)


def _due(data: Mapping[str, Any], rules: ParseRules) -> int | None:
    """Platforms write the year 9999 where a thing is never due."""
    value = data.get("due")
    return None if isinstance(value, str) and value.startswith(_NO_END) else _time(data, "due", rules)


def _place_of(value: object, subject: object, rules: ParseRules) -> tuple[list[Any], Given | None, dict[str, Any]]:
    """The fields of the place, its position as given, and what else the source says of it."""
    if isinstance(value, str):
        value = {"address": value}
    elif value is None:
        value = {}
    elif not isinstance(value, Mapping):
        raise Refused("wrong_type", "`place` is neither an object nor an address")
    geid, code = text_of(value.get("geid"), "place.geid", 256), text_of(value.get("code"), "place.code", 256)
    about = text_of(subject, "subject", 512)
    if about is not None and geid is None and code is None:
        geid, code = (about, None) if geids.check(about) else (None, about)
    given = read_position(value, rules.crs)
    accuracy = number_of(value.get("accuracy_m"), "place.accuracy_m")
    if accuracy is not None and accuracy < 0:
        raise Refused("bad_number", "`place.accuracy_m` is negative")
    place = [
        geid,
        code,
        text_of(value.get("sensor"), "place.sensor", 256),
        text_of(value.get("address"), "place.address"),
        given.x if given else None,
        given.y if given else None,
        number_of(value.get("h"), "place.h"),
        accuracy,
    ]
    return place, given, {key: part for key, part in value.items() if key not in _PLACE}


def _rest(
    document: Mapping[str, Any], data: Mapping[str, Any], place: dict[str, Any], rules: ParseRules
) -> dict[str, Any]:
    """All that has no field of its own, checked; attributes of others with `ce-` before their names."""
    rest = {key: value for key, value in data.items() if key not in _DATA}
    link = data.get("link")
    if link is not None and not (isinstance(link, Mapping) and "method" in link and "confidence" in link):
        rest["source_link"] = link
    if place:
        rest["place"] = place
    for name in document.keys() - _ATTRIBUTES - _OWN:
        if not isinstance(name, str) or not _NAME.match(name):
            raise Refused("wrong_type", f"{str(name)[:40]!r} is no name of a CloudEvents attribute (a-z, 0-9)")
        check_scalar(document[name], name)
        if document[name] is not None:
            rest[EXTENSION + name] = document[name]
    if rest:
        check_json(rest, "data", rules.max_depth, rules.max_bytes)
    return rest


def _check_needs(draft: _Draft, kind: Kind) -> None:
    has = {
        "value": draft.measured[0] is not None,
        "position": draft.given is not None,
        "place": any(part is not None for part in draft.place),
    }
    lacking = [need for need in kind.needs if not has[need]]
    if lacking:
        raise Refused("incomplete", f"a report of kind {kind.id} must state {' and '.join(lacking)}")


def _settled(drafts: Sequence[_Draft]) -> list[Report | Refused]:
    """Reports with their positions converted; what was given is kept where that may be shown."""
    places = to_degrees([draft.given for draft in drafts if draft.given is not None])
    return [_placed(draft, place) for draft, place in zip(drafts, places, strict=True)]


def _placed(draft: _Draft, place: tuple[float, float] | Refused) -> Report | Refused:
    if isinstance(place, Refused):
        return Refused(place.code, place.reason, source=draft.head[0])
    given = draft.given
    assert given is not None
    draft.place[_LON : _LON + 2] = place
    if is_public(given.crs):
        draft.data["place"] = {**draft.data.get("place", {}), "given": {"x": given.x, "y": given.y, "crs": given.crs}}
    return draft.report()


def _source_of(document: object) -> str:
    source = document.get("source") if isinstance(document, Mapping) else None
    return source[:512] if isinstance(source, str) and source.isprintable() else ""
