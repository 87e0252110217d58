"""Brings the sample district to life: its day of events is written beside the server that shows it, again and again."""

from __future__ import annotations

import threading
import time
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipelines.project import Project, output_path
from twin.crs.reference import parse_crs
from twin.crs.transform import horizontal
from twin.entity.index import EntityIndex
from twin.errors import SourceError, TwinError
from twin.live.cloudevents import parse_batch
from twin.live.config import EVENTS_FILE, parse_live
from twin.live.kinds import starter_kinds
from twin.live.link import Linker
from twin.live.model import EventStore, Report
from twin.live.open import open_events
from twin.live.rules import ParseRules
from twin.live.sensors import read_sensors
from twin.registry import place
from twin.store.release import open_current

BEGIN_H = 10.0
"""The hour of the sample's day at which it is met: what came before is there at once."""
SPEED = 20.0
"""How many times as fast as the clock the rest of it goes by."""
_DAY_MS = 86_400_000
_TICK_S = 0.5
_AT_ONCE = 5000
_WGS84 = "EPSG:4326"


@dataclass(frozen=True, slots=True)
class Day:
    """A day of reports that is lived again and again.

    Attributes:
        reports: In the order of their time.
        midnight_ms: When that day began.
        begin_h: The hour at which it is met first.
        speed: How many times as fast as the clock it goes on from there.
    """

    reports: Sequence[Report]
    midnight_ms: int
    begin_h: float = BEGIN_H
    speed: float = SPEED

    def told(self, start_ms: int, after_ms: int | None, until_ms: int) -> list[Report]:
        """What is told between two moments of the clock, as of now.

        Up to the hour at which the day is met, its reports lie in the past as far as they do in the day. From there on
        the day goes by faster, and begins again when it is over; ids and cases of each time around are its own.

        Args:
            start_ms: When the day was met.
            after_ms: Later than this; None for everything before the start, too.
            until_ms: Up to this.
        """
        begin_ms = int(self.begin_h * 3_600_000)
        first = -1 if after_ms is None else self._gone(start_ms, after_ms)
        last = self._gone(start_ms, until_ms)
        found: list[Report] = []
        for turn in range(max(first, 0) // _DAY_MS, last // _DAY_MS + 1):
            shift = turn * _DAY_MS - self.midnight_ms
            low, high = (bisect_right(self.reports, at - shift, key=_occurred) for at in (first, last))
            for report in self.reports[low:high]:
                late = report.occurred_ms + shift - begin_ms
                when = start_ms + (late if late <= 0 else int(late / self.speed))
                found.append(_lived(report, when, f"{start_ms:x}.{turn}"))
        return found

    def _gone(self, start_ms: int, now_ms: int) -> int:
        """Milliseconds of the sample's time that have gone by since its midnight."""
        return int(self.begin_h * 3_600_000 + (now_ms - start_ms) * self.speed)


def _occurred(report: Report) -> int:
    return report.occurred_ms


def _lived(report: Report, when_ms: int, turn: str) -> Report:
    """A report as it is told at another time; streams go on, cases are new ones."""
    ends = report.status != "observed"
    due = None if report.due_ms is None else when_ms + report.due_ms - report.occurred_ms
    return replace(
        report,
        id=f"{report.id}@{turn}",
        case=f"{report.case}@{turn}" if ends else report.case,
        occurred_ms=when_ms,
        due_ms=due,
    )


def read_day(path: Path) -> Day:
    """The day in a file of CloudEvents, one a line.

    Raises:
        SourceError: It cannot be read, or an event of it is wrong.
    """
    try:
        rows = parse_batch([orjson.loads(line) for line in path.read_bytes().splitlines()], ParseRules())
    except (OSError, orjson.JSONDecodeError) as error:
        raise SourceError(f"cannot be read: {error}", file=path, next_step="generate the sample again") from error
    reports = [row for row in rows if isinstance(row, Report)]
    wrong = [row for row in rows if not isinstance(row, Report)]
    if wrong or not reports:
        reason = wrong[0].reason if wrong else "there is none"
        raise SourceError(f"an event is wrong: {reason}", file=path, next_step="generate the sample again")
    zone_ms = 8 * 3_600_000  # the day is one of Shanghai
    midnight = (reports[0].occurred_ms + zone_ms) // _DAY_MS * _DAY_MS - zone_ms
    return Day(sorted(reports, key=lambda one: (one.occurred_ms, one.source, one.id)), midnight)


def demo_linker(project: Project) -> tuple[Linker, EntityIndex]:
    """A linker over what is published of a project, with the sensors its `[live]` names.

    Raises:
        TwinError: Nothing is published, or the table of sensors is wrong.
    """
    into = horizontal(parse_crs(_WGS84), parse_crs(project.project.working_crs))

    def to_xy(lon: Any, lat: Any) -> tuple[Any, Any]:
        xy = into(np.column_stack([np.atleast_1d(lon), np.atleast_1d(lat)]).astype(np.float64))
        return (xy[:, 0], xy[:, 1]) if np.ndim(lon) else (float(xy[0, 0]), float(xy[0, 1]))

    index = EntityIndex.open(open_current(output_path(project)).index, to_xy)
    config = parse_live(project_live(project), project.root)
    sensors = {} if config.sensors is None else read_sensors(config.path(config.sensors))
    return Linker(index, lambda _: None, sensors, {}, starter_kinds()), index


def project_live(project: Project) -> dict[str, Any]:
    """`[live]` of a project, as written; empty where there is none."""
    return dict(tomllib.loads(project.file.read_text(encoding="utf-8")).get("live", {}))


class Life:
    """Writes the sample's day into the log of events in a thread of its own, until it is left.

    Args:
        project: The sample, built.
        day: File of its events.
        complain: Told, once, why it had to end.
        clock_ms: The clock, milliseconds since 1970.

    Attributes:
        written: Reports so far.
    """

    def __init__(
        self,
        project: Project,
        day: Path,
        complain: Callable[[TwinError], None],
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        where = place.stated_database(project.registry.database_url) or project.root / EVENTS_FILE
        self._day = read_day(day)
        self._linker, _ = demo_linker(project)
        self._store: EventStore = open_events(where)
        self._complain = complain
        self._clock_ms = clock_ms
        self._over = threading.Event()
        self._start_ms = clock_ms()
        self.written = 0
        self._thread = threading.Thread(target=self._live, name="demo-life", daemon=True)

    def __enter__(self) -> Life:
        """Writes what lies in the past, then begins."""
        self.write(None, self._start_ms)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends, and closes the log."""
        self._over.set()
        self._thread.join()
        self._store.close()

    def write(self, after_ms: int | None, until_ms: int) -> None:
        """Links and writes what is told between two moments."""
        reports = self._day.told(self._start_ms, after_ms, until_ms)
        for start in range(0, len(reports), _AT_ONCE):
            some = reports[start : start + _AT_ONCE]
            self._store.append(list(zip(some, self._linker.link(some), strict=True)))
        self.written += len(reports)

    def _live(self) -> None:
        done = self._start_ms
        try:
            while not self._over.wait(_TICK_S):
                now = self._clock_ms()
                if now > done:
                    self.write(done, now)
                    done = now
        except TwinError as error:
            self._complain(error)
