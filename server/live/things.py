"""Observations of the log as Things, Locations, Datastreams and Observations of SensorThings 1.1 (OGC 18-088).

A case of the kind `observation` is a Datastream; what it is tied to is its Thing: the entity of the twin it is linked
to, else the sensor it names, else itself. Nothing is stored for this: it is another view of the same reports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from server.features.query import read_moment, refused
from server.live.asked import from_ms, to_ms
from server.live.geojson import point
from server.problem import not_found
from twin.live.model import Stored
from twin.live.sensorthings import to_observation

SETS = ("Things", "Locations", "Datastreams", "Observations")
#: Which sets are reached from one entity of a set, and whether that is a set itself or one entity.
PATHS: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "Things": {"Datastreams": ("Datastreams", True), "Locations": ("Locations", True)},
    "Locations": {"Things": ("Things", True)},
    "Datastreams": {"Thing": ("Things", False), "Observations": ("Observations", True)},
    "Observations": {"Datastream": ("Datastreams", False)},
}
_ONE = re.compile(r"([A-Za-z]+)\((?:'((?:[^']|'')*)'|(\d{1,18}))\)")
_TERM = re.compile(r"phenomenonTime\s+(ge|gt|le|lt|eq)\s+(\S+)")
_GEOJSON = "application/geo+json"
_MEASUREMENT = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement"


@dataclass(frozen=True, slots=True)
class Target:
    """A resource path.

    Attributes:
        name: The set it begins with.
        id: Of the entity in it; None: the set.
        onward: What is asked of that entity; None: the entity.
    """

    name: str
    id: str | None = None
    onward: str | None = None


def read_path(path: str) -> Target:
    """`Datastreams`, `Datastreams('x')`, `Datastreams('x')/Observations`.

    Raises:
        ProblemError: 404.
    """
    if path in SETS:
        return Target(path)
    match = _ONE.match(path)
    if match is None or match[1] not in SETS:
        raise not_found("No such resource; `/sta/v1.1` lists what there is.")
    rest = path[match.end() :]
    name = match[3] if match[2] is None else match[2].replace("''", "'")
    if (match[3] is None) == (match[1] == "Observations") or (rest and rest.removeprefix("/") not in PATHS[match[1]]):
        raise not_found("No such resource; an entity lists what it leads to.")
    return Target(match[1], name, rest.removeprefix("/") or None)


def read_times(text: str | None) -> tuple[int | None, int | None]:
    """`$filter`: conditions on `phenomenonTime` with `and` between, as milliseconds from, and before.

    Raises:
        ProblemError: 400 for any other filter.
    """
    since, until = None, None
    for term in [] if text is None else re.split(r"\s+and\s+", text.strip()):
        match = _TERM.fullmatch(term)
        if match is None:
            raise refused(
                "$filter knows conditions such as `phenomenonTime ge 2026-03-01T00:00:00Z`, with `and` between."
            )
        moment = to_ms(read_moment(match[2].strip("'"), "$filter"))
        if match[1] in ("ge", "gt", "eq"):
            low = moment + (match[1] == "gt")
            since = low if since is None else max(since, low)
        if match[1] in ("le", "lt", "eq"):
            high = moment + (match[1] != "lt")
            until = high if until is None else min(until, high)
    return since, until


def stream_id(stored: Stored) -> str:
    """Of the Datastream of a report: source and case; a source holds no space."""
    return f"{stored.report.source} {stored.report.case}"


def thing_id(stored: Stored) -> str:
    """Of the Thing that a report is tied to."""
    if stored.link.geid is not None:
        return stored.link.geid
    return stored.report.place.sensor or stream_id(stored)


def case_of(name: str) -> tuple[str, str]:
    """Source and case of a Datastream. Raises `ProblemError` (404) where the text is no such id."""
    source, space, case = name.partition(" ")
    if not space:
        raise not_found("No such Datastream.")
    return source, case


class Writer:
    """Writes entities with their links.

    Args:
        root: Address of the service.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def address(self, name: str, identifier: str) -> str:
        """Of an entity."""
        return f"{self._root}/{name}('{quote(identifier.replace(chr(39), chr(39) * 2), safe=':')}')"

    def _entity(self, name: str, identifier: str, body: dict[str, Any]) -> dict[str, Any]:
        address = self.address(name, identifier)
        links = {f"{onward}@iot.navigationLink": f"{address}/{onward}" for onward in PATHS[name]}
        return {"@iot.id": identifier, "@iot.selfLink": address, **body, **links}

    def thing(self, stored: Stored) -> dict[str, Any]:
        """What is observed."""
        geid, sensor = stored.link.geid, stored.report.place.sensor
        properties = {"geid": geid, "sensor": sensor}
        known = {key: value for key, value in properties.items() if value is not None}
        name = geid or sensor or stored.report.case
        kind = "Entity of the twin" if geid else "Sensor"
        return self._entity("Things", thing_id(stored), {"name": name, "description": kind, "properties": known})

    def location(self, stored: Stored) -> dict[str, Any]:
        """Where that is."""
        told = {
            "name": thing_id(stored),
            "description": "Where it is drawn",
            "encodingType": _GEOJSON,
            "location": point(stored),
        }
        return self._entity("Locations", thing_id(stored), told)

    def datastream(self, stored: Stored) -> dict[str, Any]:
        """A series; the report is its last one."""
        report = stored.report
        unit = {"name": report.unit, "symbol": report.unit, "definition": None}
        told: dict[str, Any] = {
            "name": report.title or report.case,
            "description": report.case,
            "observationType": _MEASUREMENT,
            "unitOfMeasurement": unit,
            "properties": {"source": report.source, "case": report.case, "latest": from_ms(report.occurred_ms)},
        }
        place = point(stored)
        return self._entity("Datastreams", stream_id(stored), {**told, **({"observedArea": place} if place else {})})

    def observation(self, stored: Stored) -> dict[str, Any]:
        """One value."""
        address = f"{self._root}/Observations({stored.offset})"
        return {**to_observation(stored, self._root), "Datastream@iot.navigationLink": f"{address}/Datastream"}

    def write(self, name: str, stored: Stored) -> dict[str, Any]:
        """A report as an entity of a set."""
        written = {"Things": self.thing, "Locations": self.location, "Datastreams": self.datastream}
        return written.get(name, self.observation)(stored)


def identifier_in(name: str, stored: Stored) -> str:
    """Of the entity of a set that a report stands for."""
    if name == "Datastreams":
        return stream_id(stored)
    return thing_id(stored) if name in ("Things", "Locations") else str(stored.offset)


def distinct(name: str, states: Sequence[Stored]) -> list[Stored]:
    """One report for each entity of a set, in the order of their ids; a Location only where a place is known."""
    found: dict[str, Stored] = {}
    for stored in states:
        if name != "Locations" or point(stored) is not None:
            found.setdefault(identifier_in(name, stored), stored)
    return [found[identifier] for identifier in sorted(found)]
