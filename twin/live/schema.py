"""The JSON Schema of events, made of the same tables the parser goes by: whatever is taken in is valid by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.live.kinds import Kinds, starter_kinds
from twin.live.model import METHODS, SEVERITIES, STATUSES

SCHEMA_PATH = "/events/schema"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TIME = {
    "type": ["string", "number", "null"],
    "description": "RFC 3339 with an offset, or seconds or milliseconds since 1970.",
    "examples": ["2026-11-22T08:00:00+08:00", 1795305600],
}
_NUMBER = {"type": ["number", "string", "null"], "description": "A finite number, or a text that is one."}


def event_schema(kinds: Kinds | None = None, url: str = "") -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one event, in and out.

    It is as lenient as the parser, so every event that is taken in is valid; what it cannot say (clocks, sizes, which
    word stands for which status) is said by the refusals.

    Args:
        kinds: Known kinds; None takes those that come with the program.
        url: Address of the server, for `$id`; empty leaves that out.
    """
    known = kinds or starter_kinds()
    schema: dict[str, Any] = {"$schema": _DIALECT}
    if url:
        schema["$id"] = url.rstrip("/") + SCHEMA_PATH
    return {
        **schema,
        "title": "Event of a district twin",
        "description": "CloudEvents 1.0, structured JSON; docs/events.md tells the rules.",
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {**_attributes(known), "data": _data()},
        "patternProperties": {"^[a-z0-9]{1,40}$": True},
        "additionalProperties": False,
    }


def _attributes(kinds: Kinds) -> dict[str, Any]:
    names = [f"twin.{kind.id}.{status}" for kind in kinds for status in kind.statuses]
    return {
        "specversion": {"const": "1.0"},
        "id": _text("Unique within `source`: told twice it counts once.", 256, required=True),
        "source": {"type": ["string", "number"], "minLength": 1, "description": "Who sends, a URI reference."},
        "type": {
            "type": "string",
            "minLength": 1,
            "description": "`twin.<kind>.<status>`; the status may stand in the data instead.",
            "anyOf": [
                {"enum": names},
                {"pattern": f"^twin\\.({'|'.join(kind.id for kind in kinds)})$"},
                {"description": "A foreign type that `types` translates.", "not": {"pattern": "^twin\\."}},
            ],
        },
        "subject": _text("Identifier or code of the entity it is about.", 512),
        "time": {**_TIME, "description": "When it happened, unless `data.occurred` says so."},
        "datacontenttype": {"type": ["string", "null"], "description": "JSON, or absent."},
        "dataschema": {"description": "Address of this schema; not looked at."},
        "data_base64": False,
        "offset": {"description": "Out only: position in the order of all events."},
        "recordedtime": {"description": "Out only: when it was recorded."},
    }


def _data() -> dict[str, Any]:
    return {
        "type": ["object", "null"],
        "properties": {
            "case": _text("What it is about, unique within the source; the id where it is missing.", 256),
            "title": _text("One line for people.", 2000),
            "status": _word("Where the case stands.", STATUSES, "statuses"),
            "severity": _word("How bad it is.", SEVERITIES, "severities"),
            "occurred": {**_TIME, "title": "When it happened"},
            "reported": {**_TIME, "title": "When it was told"},
            "due": {**_TIME, "title": "When it has to be done; the year 9999 is never"},
            "place": {"anyOf": [_place(), {"type": "string", "description": "An address."}, {"type": "null"}]},
            "value": {**_NUMBER, "title": "The value measured"},
            "unit": _text("Of the value, UCUM.", 64),
            "link": {"description": "Out only: what the event was tied to.", "examples": [_link_example()]},
        },
        "additionalProperties": True,
    }


def _place() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "geid": _text("Identifier of an entity, in any spelling.", 256),
            "code": _text("A code: `scheme:value`, `source:key` or bare.", 256),
            "sensor": _text("Identifier of a fixed sensor.", 256),
            "address": _text("Address in words.", 2000),
            "lon": {**_NUMBER, "title": "Longitude, degrees"},
            "lat": {**_NUMBER, "title": "Latitude, degrees"},
            "x": {**_NUMBER, "title": "East, in `crs`"},
            "y": {**_NUMBER, "title": "North, in `crs`"},
            "h": {**_NUMBER, "title": "Ellipsoidal height, metres"},
            "crs": {
                "description": "Of lon, lat or x, y; WGS 84 where it is missing and the twin states no other.",
                "examples": ["gcj02", "bd09", "EPSG:4549"],
            },
            "accuracy_m": {**_NUMBER, "title": "How far the position may be off, metres"},
        },
        "additionalProperties": True,
    }


def _text(description: str, limit: int, *, required: bool = False) -> dict[str, Any]:
    """A text; numbers are taken as texts. Outer spaces do not count, so the limit is told and not checked here."""
    kinds = ["string", "number"] if required else ["string", "number", "null"]
    return {"type": kinds, "description": f"{description} At most {limit} characters.", "minLength": int(required)}


def _word(description: str, known: tuple[str, ...], table: str) -> Mapping[str, Any]:
    return {
        "description": f"{description} Or a word that the table `{table}` translates.",
        "anyOf": [{"enum": list(known)}, {"type": ["string", "number", "null"]}],
    }


def _link_example() -> dict[str, Any]:
    return {"geid": "15gh-vv6t-epqq-pfzd", "method": METHODS[6], "confidence": 0.95, "distance_m": 0.0}
