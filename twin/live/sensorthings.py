"""Observations of OGC SensorThings 1.1 as reports and back, so that a SensorThings server or device can feed a twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twin.live.cloudevents import parse_batch, parse_cloudevent
from twin.live.model import Report, Stored
from twin.live.refusals import Refused
from twin.live.rules import ParseRules
from twin.live.times import write_time

KIND = "observation"
_KEPT = ("parameters", "resultQuality", "validTime")


def report_of_observation(observation: Mapping[str, Any], source: str, rules: ParseRules) -> Report:
    """Reads an Observation (OGC 18-088, 8.2.7), with its Datastream expanded or named by `@iot.id`.

    The Datastream is the sensor of the report. A `phenomenonTime` that is an interval counts by its end, when the value
    was complete. Without `@iot.id` the Datastream and the time make the id, so that a repeated delivery is known.

    Args:
        observation: A JSON object.
        source: Who sends, a URI reference.
        rules: What is known and allowed.

    Raises:
        Refused: As `parse_cloudevent`; `missing` where it has no Datastream or no `phenomenonTime`.
    """
    return parse_cloudevent(event_of_observation(observation, source), rules)


def reports_of_observations(observations: Sequence[object], source: str, rules: ParseRules) -> list[Report | Refused]:
    """Reads many Observations; row for row a report, or why there is none."""
    events = [_event_or_refusal(observation, source) for observation in observations]
    reports = iter(parse_batch([event for event in events if not isinstance(event, Refused)], rules))
    return [event if isinstance(event, Refused) else next(reports) for event in events]


def observations_of_array(body: Sequence[object]) -> Iterator[Mapping[str, Any] | Refused]:
    """The Observations of a data array (`CreateObservations`, OGC 18-088, 12.2), one by one.

    Yields:
        An Observation, or a refusal for a row that does not fit its components.
    """
    for group in body:
        components = group.get("components") if isinstance(group, Mapping) else None
        rows = group.get("dataArray") if isinstance(group, Mapping) else None
        if not isinstance(components, list) or not isinstance(rows, list):
            yield Refused("wrong_type", "a group of a data array has `Datastream`, `components` and `dataArray`")
            continue
        assert isinstance(group, Mapping)
        for row in rows:
            yield _of_row(row, components, group.get("Datastream"))


def to_observation(stored: Stored, url: str = "") -> dict[str, Any]:
    """The Observation of a report of kind `observation`.

    Args:
        stored: Out of the store; its offset is the `@iot.id`.
        url: Address of the SensorThings service (`.../sta/v1.1`), for `@iot.selfLink`; empty leaves that out.
    """
    report = stored.report
    observation: dict[str, Any] = {
        "@iot.id": stored.offset,
        "phenomenonTime": write_time(report.occurred_ms),
        "resultTime": write_time(report.reported_ms if report.reported_ms is not None else report.occurred_ms),
        "result": report.value,
        **{name: report.data[name] for name in _KEPT if name in report.data},
    }
    return {"@iot.selfLink": f"{url.rstrip('/')}/Observations({stored.offset})", **observation} if url else observation


def event_of_observation(observation: object, source: str) -> dict[str, Any]:
    """The CloudEvent of an Observation, not checked yet; raises `Refused` where its parts are missing."""
    if not isinstance(observation, Mapping):
        raise Refused("not_an_object", "an Observation must be a JSON object", source=source)
    stream = _part(observation, "Datastream")
    name = _identifier(stream.get("@iot.id"))
    if name is None:
        raise Refused(
            "missing", "the Observation names no Datastream: send `Datastream` with its `@iot.id`", source=source
        )
    moment = _end(observation.get("phenomenonTime"))
    if moment is None:
        raise Refused("missing", "`phenomenonTime` is missing: the report needs to know when it was so", source=source)
    number = _identifier(observation.get("@iot.id"))
    data: dict[str, Any] = {kept: observation[kept] for kept in _KEPT if kept in observation}
    return {
        "specversion": "1.0",
        "id": f"{name}:{moment}" if number is None else number,
        "source": source,
        "type": f"twin.{KIND}.observed",
        "data": {
            **data,
            "case": name,
            "title": stream.get("name"),
            "occurred": moment,
            "reported": _end(observation.get("resultTime")),
            "value": observation.get("result"),
            "unit": _part(stream, "unitOfMeasurement").get("symbol"),
            "place": {"sensor": name, **_position(observation, stream)},
        },
    }


def _event_or_refusal(observation: object, source: str) -> dict[str, Any] | Refused:
    if isinstance(observation, Refused):
        return observation
    try:
        return event_of_observation(observation, source)
    except Refused as refused:
        return refused


def _of_row(row: object, components: list[Any], stream: object) -> Mapping[str, Any] | Refused:
    if not isinstance(row, list) or len(row) != len(components):
        return Refused("bad_row", f"a row of the data array does not have its {len(components)} components")
    names = ["@iot.id" if name == "id" else str(name) for name in components]
    return {**dict(zip(names, row, strict=True)), "Datastream": stream}


def _part(thing: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = thing.get(name)
    return part if isinstance(part, Mapping) else {}


def _identifier(value: object) -> str | None:
    """An `@iot.id`: a number or a text."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return str(value) if isinstance(value, str) or abs(value) < 2**63 else None


def _end(value: object) -> object:
    """The end of an ISO 8601 interval, or the instant."""
    return value.rsplit("/", 1)[-1] if isinstance(value, str) else value


def _position(observation: Mapping[str, Any], stream: Mapping[str, Any]) -> dict[str, Any]:
    """Of the feature of interest, else of the first location of the Thing, where those are points."""
    locations = _part(stream, "Thing").get("Locations")
    first = locations[0] if isinstance(locations, list) and locations else None
    shapes = (
        _part(observation, "FeatureOfInterest").get("feature"),
        first.get("location") if isinstance(first, Mapping) else None,
    )
    for shape in shapes:
        point = shape.get("geometry", shape) if isinstance(shape, Mapping) else None
        if isinstance(point, Mapping) and point.get("type") == "Point":
            found = point.get("coordinates")
            if isinstance(found, list) and len(found) >= 2:
                # RFC 7946 §4: WGS 84 whatever the twin takes where nothing is said
                return {"lon": found[0], "lat": found[1], "crs": "EPSG:4326", "h": found[2] if len(found) > 2 else None}
    return {}
