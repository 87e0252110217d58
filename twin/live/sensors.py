"""The table of fixed sensors: what a sensor id stands for, so that a reading need not say where it was taken."""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twin.entity.sorted_text import fold
from twin.errors import ProjectError

_ENCODINGS = ("utf-8-sig", "gb18030")
_SENSOR_KEYS = ("id", "name", "geid", "code", "lon", "lat", "h")
_STREAM_KEYS = ("datastream", "property", "unit", "title")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Datastream:
    """One thing that a sensor measures.

    Attributes:
        id: Unique in its sensor, for example `level`.
        property: What is measured, for example `water_level`.
        unit: UCUM, for example `m`; None where it is not stated.
        title: For people.
    """

    id: str
    property: str
    unit: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor that stays where it is.

    Attributes:
        id: As its readings name it.
        name: For people.
        geid: Entity it stands for or is fixed to, in any spelling.
        code: The same by a code of another scheme.
        lon, lat: Where it hangs, degrees, WGS 84.
        h: Ellipsoidal height, metres.
        datastreams: What it measures.
    """

    id: str
    name: str | None = None
    geid: str | None = None
    code: str | None = None
    lon: float | None = None
    lat: float | None = None
    h: float | None = None
    datastreams: tuple[Datastream, ...] = ()


def read_sensors(path: Path | str) -> dict[str, Sensor]:
    """Reads a table of sensors.

    CSV (UTF-8 or GB18030): columns `id` and any of `name`, `geid`, `code`, `lon`, `lat`, `h`, `datastream`, `property`,
    `unit`, `title`; a sensor that measures several things has a row for each. TOML: `[[sensor]]` with the same keys and
    `[[sensor.datastream]]` with `id`, `property`, `unit`, `title`.

    Args:
        path: A file that ends in `.toml`, or CSV.

    Returns:
        Sensors by their id.

    Raises:
        ProjectError: It cannot be read; a column is unknown; a row has no id, no place, or half a position; two rows
            contradict each other.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise _wrong(file, f"it cannot be read ({error.strerror})", "check the path of `sensors` in [live]") from None
    read = _toml(raw, file) if file.suffix.lower() == ".toml" else _csv(raw, file)
    found: dict[str, Sensor] = {}
    try:
        for where, one in read:
            found[one.id] = _merged(found[one.id], one, file, where) if one.id in found else one
    except csv.Error as error:
        raise _wrong(file, f"it is no CSV ({error})", "look for NUL characters and quotes left open") from None
    for one in found.values():
        _check(one, file)
    return found


def by_spelling(sensors: Mapping[str, Sensor]) -> dict[str, Sensor]:
    """Sensors by their folded id: case and width of letters do not matter where only one sensor is meant."""
    found: dict[str, Sensor | None] = {}
    for one in sensors.values():
        spelling = fold(one.id)
        found[spelling] = None if spelling in found else one
    return {spelling: one for spelling, one in found.items() if one is not None}


def _csv(raw: bytes, file: Path) -> Iterator[tuple[str, Sensor]]:
    reader = csv.DictReader(io.StringIO(_text(raw, file), newline=""))
    names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    unknown = [name for name in names if name not in (*_SENSOR_KEYS, *_STREAM_KEYS)]
    if "id" not in names or unknown or len(set(names)) != len(names):
        what = (
            f"unknown column {unknown[0][:40]!r}" if unknown else "the column 'id' is missing, or a column comes twice"
        )
        raise _wrong(file, what, f"columns are {', '.join((*_SENSOR_KEYS, *_STREAM_KEYS))}")
    reader.fieldnames = names
    for row in reader:
        where = f"line {reader.line_num}"
        if None in row:
            raise _wrong(file, f"{where} has more cells than there are columns", "quote cells that hold a comma")
        cells = {key: value.strip() for key, value in row.items() if value is not None and value.strip()}
        if cells:
            stream = {key: cells.pop(key) for key in _STREAM_KEYS if key in cells}
            yield where, _sensor(cells, [stream] if stream else [], file, where)


def _text(raw: bytes, file: Path) -> str:
    for encoding in _ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _wrong(file, "it is neither UTF-8 nor GB18030", "save it as CSV in UTF-8")


def _toml(raw: bytes, file: Path) -> Iterator[tuple[str, Sensor]]:
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(file, f"it is not valid TOML: {error}", "correct the line that is named") from None
    rows = document.get("sensor", [])
    if set(document) - {"sensor"} or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _wrong(file, "it holds something other than [[sensor]] tables", "write a [[sensor]] table a sensor")
    for number, row in enumerate(rows, 1):
        streams = row.get("datastream", [])
        if not isinstance(streams, list) or not all(isinstance(one, dict) for one in streams):
            raise _wrong(file, f"datastream of sensor {number} is no list of tables", "write [[sensor.datastream]]")
        named = [{("datastream" if key == "id" else key): value for key, value in one.items()} for one in streams]
        facts = {key: value for key, value in row.items() if key != "datastream"}
        yield f"sensor {number}", _sensor(facts, named, file, f"sensor {number}")


def _sensor(facts: Mapping[str, Any], streams: list[dict[str, Any]], file: Path, where: str) -> Sensor:
    unknown = sorted(set(facts) - set(_SENSOR_KEYS))
    if unknown:
        raise _wrong(file, f"{where}: unknown key {unknown[0][:40]!r}", f"keys are {', '.join(_SENSOR_KEYS)}")
    name = facts.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise _wrong(file, f"{where} has no id", f"give it a text of 1 to {_LONGEST_NAME} characters")
    label, geid, code = (_stated(facts, key, file, where) for key in ("name", "geid", "code"))
    lon, lat, h = (_number(facts, key, file, where) for key in ("lon", "lat", "h"))
    measured = tuple(_datastream(one, file, where) for one in streams)
    return Sensor(name, label, geid, code, lon, lat, h, measured)


def _datastream(facts: Mapping[str, Any], file: Path, where: str) -> Datastream:
    unknown = sorted(set(facts) - set(_STREAM_KEYS))
    named = facts.get("datastream") or facts.get("property")
    if unknown or not isinstance(named, str):
        what = f"unknown key {unknown[0][:40]!r}" if unknown else "a datastream has neither an id nor a property"
        raise _wrong(file, f"{where}: {what}", f"keys are {', '.join(_STREAM_KEYS)}")
    said = {key: _stated(facts, key, file, where) for key in ("property", "unit", "title")}
    return Datastream(named, said["property"] or named, said["unit"], said["title"])


def _stated(facts: Mapping[str, Any], key: str, file: Path, where: str) -> str | None:
    value = facts.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong(file, f"{where}: {key} is no text", "put it in quotes")
    return value or None


def _number(facts: Mapping[str, Any], key: str, file: Path, where: str) -> float | None:
    value = facts.get(key)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    limit = {"lon": 180.0, "lat": 90.0, "h": 20_000.0}[key]
    if not abs(number) <= limit:
        what = f"{where}: {key} {str(value)[:40]!r} is no number between -{limit:g} and {limit:g}"
        raise _wrong(file, what, "longitude and latitude are degrees in WGS 84, h metres above the ellipsoid")
    return number


def _merged(known: Sensor, more: Sensor, file: Path, where: str) -> Sensor:
    """A sensor of which another row tells: its datastreams together, its facts where they agree."""
    facts: dict[str, Any] = {}
    for key in ("name", "geid", "code", "lon", "lat", "h"):
        old, new = getattr(known, key), getattr(more, key)
        if old is not None and new is not None and old != new:
            what = f"{where}: {key} of sensor {known.id!r} is {new!r}, but {old!r} further up"
            raise _wrong(file, what, "state it once, or the same each time")
        facts[key] = new if old is None else old
    streams = {one.id: one for one in known.datastreams}
    if any(streams.get(one.id, one) != one for one in more.datastreams):
        raise _wrong(file, f"{where}: a datastream of sensor {known.id!r} comes twice and differs", "name them apart")
    streams |= {one.id: one for one in more.datastreams}
    return replace(known, **facts, datastreams=tuple(streams.values()))


def _check(one: Sensor, file: Path) -> None:
    """A sensor has to be somewhere."""
    if (one.lon is None) != (one.lat is None):
        raise _wrong(file, f"sensor {one.id!r} has half a position", "give lon and lat, or neither")
    if one.geid is None and one.code is None and one.lon is None:
        raise _wrong(file, f"sensor {one.id!r} has neither geid, code nor position", "say where it is in one of them")


def _wrong(file: Path, what: str, step: str) -> ProjectError:
    return ProjectError(what, file=file, next_step=step)
