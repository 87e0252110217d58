"""How the columns of an export become reports: a mapping, and the events it makes of a row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any

import orjson

from twin.live.kinds import plain_word
from twin.live.refusals import Refused
from twin.live.times import local_text, read_time, write_time

PLACE_FIELDS = ("geid", "code", "sensor", "address", "lon", "lat", "x", "y", "h", "crs", "accuracy_m")
TIME_FIELDS = ("occurred", "reported", "due")
PLAIN_FIELDS = ("case", "title", "severity", "value", "unit")
FIELDS = ("id", "kind", "status", *PLAIN_FIELDS, *TIME_FIELDS, *PLACE_FIELDS)
"""What a column may be mapped to."""
EVERYTHING = "*"
_ID_LENGTH = 32
BRACES = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Cell:
    """Where the value of a field comes from.

    Attributes:
        columns: Their values joined, empty ones left out. Names, or dotted paths into JSON (`geometry.coordinates.0`).
        first: True: the first column that is not empty instead of all.
        text: A text with `{column}` in it, or a constant; taken where there are no columns.
        join: Stands between columns.
        formats: Of a time, as `strptime` has them.
        scale, plus: A number is multiplied, then shifted.
        missing: Values that mean nothing.
        words: Values replaced; others stay.
    """

    columns: tuple[str, ...] = ()
    first: bool = False
    text: str | None = None
    join: str = " "
    formats: tuple[str, ...] = ()
    scale: float = 1.0
    plus: float = 0.0
    missing: frozenset[str] = frozenset()
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def used(self) -> tuple[str, ...]:
        """Every column the value depends on."""
        return self.columns or tuple(BRACES.findall(self.text or ""))


@dataclass(frozen=True, slots=True)
class When:
    """A condition on a row: the column is one of `values`, or has anything in it where that is None."""

    column: str
    values: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One report that a row gives: fields laid over those of the mapping, and when there is one."""

    fields: Mapping[str, Cell] = field(default_factory=dict)
    when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How an export is read; `twin.live.mapping.read_mapping` reads it from TOML.

    Attributes:
        source: CloudEvents source of the reports.
        kind: Of reports without a `kind` column.
        fields: Cell by field, for every report of a row.
        steps: The reports of a row; one without conditions where none are stated.
        keep: Columns kept in `data`; `*` keeps all that are not mapped.
        format: `csv`, `json`, `ndjson`, `excel`; None goes by the file's name.
        encoding: Of texts; None finds it.
        delimiter: Of CSV; None finds it.
        skip: Lines before the header.
        header: False: columns are called `1`, `2`, ...
        rows: Path to the list within a JSON document.
        sheet: Of a workbook; None is the first.
        zone: Of times without an offset; None leaves it to the rules.
        crs: Of positions; None leaves it to the rules.
        statuses, severities: Words laid over those of the kinds.
        file: The TOML file, for messages.
    """

    source: str
    kind: str
    fields: Mapping[str, Cell]
    steps: tuple[Step, ...] = (Step(),)
    keep: tuple[str, ...] = ()
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    skip: int = 0
    header: bool = True
    rows: str = ""
    sheet: str | None = None
    zone: tzinfo | None = None
    crs: str | None = None
    statuses: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None

    @property
    def used(self) -> frozenset[str]:
        """Every column that a field or a condition depends on."""
        cells = [*self.fields.values(), *(cell for step in self.steps for cell in step.fields.values())]
        named = {column for cell in cells for column in cell.used}
        return frozenset(named | {condition.column for step in self.steps for condition in step.when})


def events_of(row: Mapping[str, Any], mapping: ColumnMapping, now_ms: int = 0) -> Iterator[dict[str, Any] | Refused]:
    """The CloudEvents of one row, not checked yet: `twin.live.cloudevents.parse_batch` does that.

    The id of a report is made of case (or sensor), status and time where no column gives it, so that an export read
    again gives the same reports. Without case and sensor it is a digest of the row; without a time the moment
    of reading is part of it, for two equal measurements are two.

    Args:
        row: Values by column, of a file, a message or an answer.
        mapping: How to read them.
        now_ms: The moment of reading.

    Yields:
        A CloudEvent, or why a step gave none; nothing for steps whose conditions do not hold.
    """
    for step in mapping.steps:
        if all(_holds(condition, row) for condition in step.when):
            try:
                yield _event(row, {**mapping.fields, **step.fields}, mapping, now_ms)
            except Refused as refused:
                yield Refused(refused.code, refused.reason, body=row_text(row), source=mapping.source)


def row_text(row: object) -> str:
    """A row as JSON text, for the list of refusals."""
    return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or at a dotted path; None where there is none."""
    if column in row:
        return row[column]
    found: Any = row
    for part in column.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _holds(condition: When, row: Mapping[str, Any]) -> bool:
    value = value_at(row, condition.column)
    text = "" if value is None else str(value).strip()
    return bool(text) if condition.values is None else text in condition.values


def _event(row: Mapping[str, Any], cells: Mapping[str, Cell], mapping: ColumnMapping, now_ms: int) -> dict[str, Any]:
    values = {name: value for name, cell in cells.items() if (value := _value(row, name, cell, mapping)) is not None}
    data = {name: values[name] for name in (*PLAIN_FIELDS, *TIME_FIELDS) if name in values}
    place = {name: values[name] for name in PLACE_FIELDS if name in values}
    if mapping.crs and ("lon" in place or "x" in place):
        place.setdefault("crs", mapping.crs)
    if place:
        data["place"] = place
    status = values.get("status")
    if status is not None:
        data["status"] = mapping.statuses.get(plain_word(str(status)), status)
    if "severity" in data:
        data["severity"] = mapping.severities.get(plain_word(str(data["severity"])), data["severity"])
    if "occurred" in cells and "occurred" not in values:
        raise Refused("missing", f"`occurred` is empty ({', '.join(cells['occurred'].used)})")
    return {
        "specversion": "1.0",
        "id": str(values["id"]) if "id" in values else _made_id(row, values, data, now_ms),
        "source": mapping.source,
        "type": f"twin.{values.get('kind', mapping.kind)}",
        "data": {**_kept(row, mapping), **data},
    }


def _made_id(row: Mapping[str, Any], values: Mapping[str, Any], data: Mapping[str, Any], now_ms: int) -> str:
    about = values.get("case", values.get("sensor"))
    moment = values.get("occurred", now_ms)
    if about is not None:
        return f"{about}:{data.get('status', '')}:{moment}"
    text = row_text([row, {**values}, None if "occurred" in values else now_ms])
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


def _value(row: Mapping[str, Any], name: str, cell: Cell, mapping: ColumnMapping) -> Any:
    value = _raw(row, cell)
    if value is None:
        return None
    if cell.words:
        value = cell.words.get(str(value).strip(), value)
    if name in TIME_FIELDS:
        if name == "due" and str(value).startswith("9999"):
            return None
        if mapping.zone is None:  # the parser knows that of the twin
            return local_text(value, cell.formats, name)
        return write_time(read_time(value, mapping.zone, cell.formats, name))
    if cell.scale != 1.0 or cell.plus != 0.0:
        return _scaled(value, name, cell)
    return plain(value)


def _raw(row: Mapping[str, Any], cell: Cell) -> Any:
    """The value before it is looked at; None where nothing is there."""
    if not cell.columns:
        return BRACES.sub(lambda match: _shown(value_at(row, match[1])), cell.text or "").strip() or None
    if len(cell.columns) == 1:
        return _meant(value_at(row, cell.columns[0]), cell)
    values = [value for column in cell.columns if (value := _meant(value_at(row, column), cell)) is not None]
    if cell.first:
        return values[0] if values else None
    return cell.join.join(_shown(value) for value in values) or None


def _meant(value: Any, cell: Cell) -> Any:
    if isinstance(value, str):
        value = value.strip()
    return None if value is None or value == "" or str(value) in cell.missing else value


def _shown(value: Any) -> str:
    return "" if value is None else str(plain(value))


def _scaled(value: Any, name: str, cell: Cell) -> float:
    try:
        return float(value) * cell.scale + cell.plus
    except (TypeError, ValueError) as error:
        raise Refused("bad_number", f"`{name}`: {str(value)[:40]!r} is no number") from error


def plain(value: Any) -> Any:
    """A value as JSON has it: workbooks give dates, and whole numbers as fractions."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _kept(row: Mapping[str, Any], mapping: ColumnMapping) -> dict[str, Any]:
    if not mapping.keep:
        return {}
    names = [name for name in row if name not in mapping.used] if EVERYTHING in mapping.keep else mapping.keep
    found = {name: plain(value_at(row, name)) for name in names}
    return {name: value for name, value in found.items() if value is not None and value != ""}
