"""The running state of all indicators: takes reports in as they come, and answers for any moment it still reaches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from twin.errors import MisuseError
from twin.live.model import Stored
from twin.live.sensors import Sensor
from twin.live.signs.definition import Indicator, Indicators
from twin.live.signs.ground import Ground, Groups
from twin.live.signs.ledger import Horizon, Ledger
from twin.live.signs.snapshot import Snapshot, carriers
from twin.live.signs.states import states, ticks
from twin.live.signs.statistics import robust_z
from twin.live.signs.terms import Taken, take_term

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_GRID_MS = 600_000
_SNAPSHOTS, _READINGS = 4, 16_384  # kept for the next question


@dataclass(frozen=True, slots=True)
class Reading:
    """An indicator at one moment, for all areas of a level.

    Attributes:
        groups: The areas.
        value: (g,) NaN where it is unknown.
        coverage: (g,) 0 to 1, the least of the terms.
        terms: (g,) of every term.
    """

    groups: Groups
    value: Floats
    coverage: Floats
    terms: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Behind:
    """The reports behind a number.

    Attributes:
        offsets: (n,) in their order, each once.
        of_term: Offsets by term.
    """

    offsets: Ints
    of_term: Mapping[str, Ints]


class Signs:
    """Indicators over a log of reports. Safe to share by threads.

    What it answers at a moment, by what was known at another, is what a fresh one answers that was given the whole log:
    how the reports came in pieces, and what was forgotten meanwhile, make no difference (from `exact_from` on).

    Args:
        definitions: The indicators.
        ground: Areas and entities.
        sensors: The table of fixed sensors.
    """

    def __init__(self, definitions: Indicators, ground: Ground, sensors: Mapping[str, Sensor] | None = None) -> None:
        self.definitions = definitions
        self._ledger = Ledger(definitions, ground, sensors)
        self._case_from = self._stream_from = 0
        self._snapshots: OrderedDict[tuple[int, int], Snapshot] = OrderedDict()
        self._readings: OrderedDict[tuple[str, str, int, int], Reading] = OrderedDict()
        self._lock = RLock()

    @property
    def ground(self) -> Ground:
        """Areas and entities."""
        return self._ledger.ground

    @property
    def last(self) -> int:
        """Offset of the last report taken in."""
        return self._ledger.last

    def __len__(self) -> int:
        """Reports kept."""
        return len(self._ledger)

    def take(self, stored: Sequence[Stored]) -> None:
        """Takes reports in, in the order of their offsets; what was taken in before is passed over."""
        with self._lock:
            before, seen = len(self._ledger), self.last
            self._ledger.take(stored)
            if len(self._ledger) > before:
                self._outdated(next(one.recorded_ms for one in stored if one.offset > seen))

    def relocate(self, ground: Ground) -> None:
        """Goes on on the ground of another release."""
        with self._lock:
            self._ledger.relocate(ground)
            self._clear()

    def forget(self, now_ms: int) -> int:
        """Gives up what matters to nothing that is answered from now on; how many reports that were."""
        wanted = self.definitions
        with self._lock:
            case_from = max(self._case_from, now_ms - wanted.reach_ms)
            stream_from = max(self._stream_from, now_ms - wanted.stream_reach_ms)
            gone = self._ledger.forget(
                Horizon(case_from, case_from - wanted.lookback_ms("cases")),
                Horizon(stream_from, stream_from - wanted.lookback_ms("streams")),
                carriers,
            )
            self._case_from, self._stream_from = case_from, stream_from
            self._clear()
            return gone

    def exact_from(self, name: str) -> int:
        """The least moment (of happening and of knowing) for which an indicator can be asked, milliseconds."""
        one = self.indicator(name)
        cases = self._case_from if one.uses("cases") else 0
        return max(cases, self._stream_from if one.uses("streams") else 0)

    def indicator(self, name: str) -> Indicator:
        """A definition.

        Raises:
            MisuseError: There is none of that name.
        """
        if name not in self.definitions.by_id:
            raise MisuseError(f"there is no indicator {name[:64]!r}", next_step="list them with GET /indicators")
        return self.definitions.by_id[name]

    def groups(self, level: str) -> Groups:
        """The areas of a level.

        Raises:
            MisuseError: The release has no areas of that level.
        """
        levels = self.ground.levels
        if level not in levels:
            raise MisuseError(
                f"there are no areas of level {level[:32]!r}", next_step=f"there are: {', '.join(levels)}"
            )
        return levels[level]

    def reading(self, name: str, level: str, moment_ms: int, as_of_ms: int | None = None) -> Reading:
        """An indicator at one moment.

        Args:
            name: Which.
            level: `all`, or a level of areas.
            moment_ms: What had happened by then counts.
            as_of_ms: As far as it had been recorded by then; None: by the moment.
        """
        as_of = moment_ms if as_of_ms is None else as_of_ms
        key = name, level, moment_ms, as_of
        with self._lock:
            if key not in self._readings:
                self._readings[key] = self._made(name, level, moment_ms, as_of)
                if len(self._readings) > _READINGS:
                    self._readings.popitem(last=False)
            return self._readings[key]

    def _made(self, name: str, level: str, moment_ms: int, as_of_ms: int) -> Reading:
        one, groups = self.indicator(name), self.groups(level)
        taken = self._taken(one, groups, moment_ms, as_of_ms)
        terms = {key: np.where(each.coverage > 0, each.value, np.nan) for key, each in taken.items()}
        coverage = np.minimum.reduce([each.coverage for each in taken.values()])
        enough = (coverage > 0) & (coverage >= one.min_coverage)
        return Reading(groups, np.where(enough, one.formula(terms), np.nan), coverage, terms)

    def _taken(self, one: Indicator, groups: Groups, moment_ms: int, as_of_ms: int) -> dict[str, Taken]:
        snapshot = self._snapshot(moment_ms, as_of_ms)
        return {name: take_term(term, self._ledger, snapshot, groups, one.feed_ms) for name, term in one.terms.items()}

    def _snapshot(self, moment_ms: int, as_of_ms: int) -> Snapshot:
        key = moment_ms, as_of_ms
        if key not in self._snapshots:
            self._snapshots[key] = Snapshot(self._ledger.rows(), moment_ms, as_of_ms)
            if len(self._snapshots) > _SNAPSHOTS:
                self._snapshots.popitem(last=False)
        return self._snapshots[key]

    def _outdated(self, recorded_ms: int) -> None:
        """Drops what rests on what is known by then; what was known before stays so."""
        for moments in [key for key in self._snapshots if key[-1] >= recorded_ms]:
            del self._snapshots[moments]
        for question in [key for key in self._readings if key[-1] >= recorded_ms]:
            del self._readings[question]

    def _clear(self) -> None:
        self._snapshots.clear()
        self._readings.clear()

    def series(self, name: str, level: str, moments: Sequence[int], as_of_ms: int | None = None) -> list[Reading]:
        """An indicator at several moments, all by what is known at one; None: each by what was known at that moment."""
        return [self.reading(name, level, moment, as_of_ms) for moment in moments]

    def states(self, name: str, level: str, moment_ms: int, as_of_ms: int | None = None) -> Ints:
        """(g,) traffic light of every area, index into `STATES`; each tick before by what was known then."""
        one = self.indicator(name)
        times = _before(one, moment_ms, as_of_ms)
        values = [self.reading(name, level, *time).value for time in times]
        return states(one, np.stack(values))

    def unusual(self, name: str, level: str, moment_ms: int, as_of_ms: int | None = None) -> tuple[Floats, Ints] | None:
        """Robust z-score of every area against its own past, and of how many values; None without a baseline.

        This is no forecast: it says how far a value lies from what the indicator usually was, as it was known then.
        """
        one = self.indicator(name)
        if one.baseline is None:
            return None
        times = _usual(one, moment_ms, as_of_ms)
        before = np.stack([self.reading(name, level, *time).value for time in times])
        value = self.reading(name, level, moment_ms, as_of_ms).value
        return robust_z(value, before), np.isfinite(before).sum(axis=0)

    def prepare(self, level: str, moment_ms: int, as_of_ms: int | None = None) -> None:
        """Makes the readings that `states` and `unusual` of all indicators need, a moment at a time for all of them."""
        wanted: dict[tuple[int, int], list[str]] = {}
        for name, one in self.definitions.by_id.items():
            for time in (*_before(one, moment_ms, as_of_ms), *_usual(one, moment_ms, as_of_ms)):
                wanted.setdefault(time, []).append(name)
        for (moment, as_of), names in sorted(wanted.items()):
            for name in names:
                self.reading(name, level, moment, as_of)

    def behind(self, name: str, level: str, group: int, moment_ms: int, as_of_ms: int | None = None) -> Behind:
        """The reports behind the number of one area: the last one of every case that counts, the readings that count.

        Args:
            name, level, moment_ms, as_of_ms: As of `reading`.
            group: Which of the areas of the level.
        """
        as_of = moment_ms if as_of_ms is None else as_of_ms
        with self._lock:
            taken = self._taken(self.indicator(name), self.groups(level), moment_ms, as_of)
        found = {key: np.sort(each.offsets[each.groups == group]) for key, each in taken.items() if len(each.offsets)}
        return Behind(np.unique(np.concatenate([np.empty(0, np.int64), *found.values()])), found)


def _before(one: Indicator, moment_ms: int, as_of_ms: int | None) -> list[tuple[int, int]]:
    """Moments, and what is to be known at them, over which the hysteresis runs; the moment asked for is the last."""
    as_of = moment_ms if as_of_ms is None else as_of_ms
    if one.warn is None and one.alarm is None:
        return [(moment_ms, as_of)]
    times = ticks(one, moment_ms)
    return [(tick, min(tick, as_of)) for tick in times[:-1]] + [(moment_ms, as_of)]


def _usual(one: Indicator, moment_ms: int, as_of_ms: int | None) -> list[tuple[int, int]]:
    """Moments of the baseline; set on a grid, so that they can be used again for a while."""
    if one.baseline is None:
        return []
    as_of = moment_ms if as_of_ms is None else as_of_ms
    end = moment_ms // _GRID_MS * _GRID_MS
    moments = [end - back * one.baseline.step_ms for back in range(one.baseline.points, 0, -1)]
    return [(moment, min(moment, as_of)) for moment in moments]
