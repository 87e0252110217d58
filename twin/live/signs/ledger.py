"""What the indicators need of every report, as columns that grow with the log and forget what no longer matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.live.model import SEVERITIES, STATUSES, Report, Stored
from twin.live.sensors import Sensor
from twin.live.signs.definition import Indicators
from twin.live.signs.ground import Ground

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Column = NDArray[Any]

SOURCE = "urn:twin:indicators"
"""Who sends the alarms of indicators; they are not counted themselves."""

_STATUS = {name: number for number, name in enumerate(STATUSES)}
_SEVERITY = {name: number for number, name in enumerate(SEVERITIES)}
_TYPES: Mapping[str, str] = {
    "offset": "i8", "recorded": "i8", "occurred": "i8", "due": "f8", "case": "i4", "kind": "i4", "status": "i1",
    "severity": "i1", "geid": "i4", "lon": "f8", "lat": "f8", "area": "i8", "row": "i8", "value": "f8", "stream": "?",
}  # fmt: skip


class Words:
    """Numbers for texts, in the order in which the texts first came."""

    def __init__(self) -> None:
        self._number: dict[object, int] = {}

    def number(self, word: object) -> int:
        """The number of a word, a new one if it is new; -1 of None."""
        return -1 if word is None else self._number.setdefault(word, len(self._number))

    def find(self, word: object) -> int:
        """The number of a word; -2, which nothing has, if it never came."""
        return self._number.get(word, -2)

    def since(self, count: int) -> list[object]:
        """The words from the number `count` on."""
        return list(self._number)[count:]


@dataclass(frozen=True, slots=True)
class Rows:
    """Reports as columns, sorted by case, time and offset.

    Attributes:
        column: Of `_TYPES`; `text.<field>` and `number.<field>` of `data`.
    """

    column: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.column["offset"])

    def take(self, rows: Ints | Flags) -> Rows:
        """Some of them."""
        return Rows({name: one[rows] for name, one in self.column.items()})


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far back reports matter.

    Attributes:
        known_ms: Reports recorded later matter.
        occurred_ms: So do those of what happened later.
    """

    known_ms: int
    occurred_ms: int

    def before(self, rows: Rows) -> Flags:
        """(n,) True of what lies behind it."""
        behind = (rows.column["recorded"] <= self.known_ms) & (rows.column["occurred"] <= self.occurred_ms)
        return np.asarray(behind, dtype=np.bool_)


class Ledger:
    """The reports that indicators are made of.

    Args:
        wanted: The indicators; reports of other kinds are not kept.
        ground: Where things are.
        sensors: Tells what a reading that does not say so is a reading of.
    """

    def __init__(self, wanted: Indicators, ground: Ground, sensors: Mapping[str, Sensor] | None = None) -> None:
        self.ground = ground
        self.kinds, self.geids = Words(), Words()
        self._cases = Words()
        self.texts = {key: Words() for key in wanted.texts()}
        self._numbers = wanted.numbers()
        self._sensors = sensors or {}
        self._of_cases, self._of_streams = wanted.kinds("cases"), wanted.kinds("streams")
        self._places: list[int] = []
        self._fresh: list[dict[str, Column]] = []
        self.last = 0
        names = [f"text.{key}" for key in self.texts], [f"number.{key}" for key in self._numbers]
        types = {**_TYPES, **dict.fromkeys(names[0], "i4"), **dict.fromkeys(names[1], "f8")}
        self._rows = Rows({name: np.empty(0, dtype=kind) for name, kind in types.items()})
        self._types = types

    def __len__(self) -> int:
        return len(self._rows) + sum(len(one["offset"]) for one in self._fresh)

    def take(self, stored: Sequence[Stored]) -> None:
        """Takes reports in, in the order of their offsets; those it has seen are passed over."""
        seen, self.last = self.last, max(self.last, stored[-1].offset) if stored else self.last
        matters = self._of_cases | self._of_streams
        fresh = [
            one for one in stored if one.offset > seen and one.report.kind in matters and one.report.source != SOURCE
        ]
        if fresh:
            self._fresh.append(self._columns(fresh))

    def _columns(self, stored: Sequence[Stored]) -> dict[str, Column]:
        reports = [one.report for one in stored]
        streams = [one.kind in self._of_streams for one in reports]
        fields = [self._fields(one) if stream else one.data for one, stream in zip(reports, streams, strict=True)]
        told = zip(reports, fields, streams, strict=True)
        values: dict[str, Sequence[object]] = {
            "offset": [one.offset for one in stored],
            "recorded": [one.recorded_ms for one in stored],
            "occurred": [one.occurred_ms for one in reports],
            "due": [np.nan if one.due_ms is None else one.due_ms for one in reports],
            "case": [self._case(one, data, stream) for one, data, stream in told],
            "kind": [self.kinds.number(one.kind) for one in reports],
            "status": [_STATUS[one.status] for one in reports],
            "severity": [_SEVERITY[one.severity] for one in reports],
            "geid": [self.geids.number(one.link.geid) for one in stored],
            "lon": [np.nan if one.link.lon is None else one.link.lon for one in stored],
            "lat": [np.nan if one.link.lat is None else one.link.lat for one in stored],
            "value": [np.nan if one.value is None else one.value for one in reports],
            "stream": streams,
        }
        for key, words in self.texts.items():
            values[f"text.{key}"] = [words.number(_text(data.get(key))) for data in fields]
        for key in self._numbers:
            values[f"number.{key}"] = [_number(data.get(key)) for data in fields]
        made = {name: np.array(one, dtype=self._types[name]) for name, one in values.items()}
        return {**made, **self._placed(made)}

    def _fields(self, report: Report) -> Mapping[str, object]:
        """`data` of a reading, with the `property` that the table of sensors knows where it names none itself."""
        data: Mapping[str, object] = report.data
        name = report.place.sensor
        if "property" in data or name is None or name not in self._sensors:
            return data
        streams = self._sensors[name].datastreams
        named = [one for one in streams if one.id == data.get("datastream")] or (streams if len(streams) == 1 else ())
        return {**data, "property": named[0].property} if named else data

    def _case(self, report: Report, data: Mapping[str, object], stream: bool) -> int:
        """Number of the case; a reading belongs to its sensor, and to what the sensor measures."""
        source, case, own = report.source, report.case, report.id
        if not stream:
            return self._cases.number((source, case))
        sensor = report.place.sensor
        name = sensor if sensor is not None and case == own else case
        return self._cases.number((source, name, report.kind, _text(data.get("property"))))

    def _placed(self, made: Mapping[str, Column]) -> dict[str, Column]:
        """Entity row and area row: of the entity that a report is tied to, else of its position."""
        self._places.extend(self.ground.rows_of(self.geids.since(len(self._places))).tolist())  # type: ignore[arg-type]
        entity = np.array([*self._places, -1], dtype=np.int64)[made["geid"].astype(np.int64)]
        area = np.append(self.ground.area, -1)[entity]
        alone = np.flatnonzero(area < 0)
        lon, lat = (made[name].astype(np.float64)[alone] for name in ("lon", "lat"))
        area[alone] = self.ground.areas_at(lon, lat)
        return {"area": area, "row": entity}

    def relocate(self, ground: Ground) -> None:
        """Puts every report on the ground of another release."""
        rows = self.rows()
        self.ground, self._places = ground, []
        self._rows = Rows({**rows.column, **self._placed(rows.column)})

    def rows(self) -> Rows:
        """All reports kept, sorted by case, time and offset."""
        if self._fresh:
            parts = [dict(self._rows.column), *self._fresh]
            joined = Rows({name: np.concatenate([part[name] for part in parts]) for name in self._types})
            column = joined.column
            self._rows = joined.take(np.lexsort((column["offset"], column["occurred"], column["case"])))
            self._fresh = []
        return self._rows

    def forget(self, cases: Horizon, streams: Horizon, carriers: Callable[[Rows], Ints]) -> int:
        """Gives up what matters to no answer any more; how many reports that were.

        Args:
            cases: Of cases, only what `carriers` chooses is kept of what is older.
            streams: Of streams nothing older is kept.
            carriers: Of old reports of cases those that a later state of the case may still rest on.
        """
        rows = self.rows()
        stream = rows.column["stream"].astype(np.bool_)
        gone = stream & streams.before(rows)
        old = np.flatnonzero(~stream & cases.before(rows))
        gone[old] = True
        gone[old[carriers(rows.take(old))]] = False
        self._rows = rows.take(~gone)
        return int(gone.sum())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
