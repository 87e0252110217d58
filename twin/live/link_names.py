"""Identifiers, codes, learnt words and sensors to entities: ways that name one thing, if they are known at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from twin.entity import geid
from twin.entity.index import EntityIndex
from twin.entity.naming import LONGEST_GEID, rows_named
from twin.entity.sorted_text import fold
from twin.live.sensors import Sensor, by_spelling

STATED, CODED, SENSED, LEARNT = 1.0, 0.98, 0.97, 0.9
"""Confidence of an identifier, a code, a sensor of the table, and a word that a person once corrected."""

SUCCEEDED = 0.8
"""What is left of it where the entity is gone and another stands in its place."""

_MOST_BEARERS = 8  # a code that more entities bear names none of them
_LONGEST = 200
_CACHED = 1 << 16

Codes = Callable[[str], str | None]
"""A code to the identifier it stands or once stood for, by the registry; None where it knows none."""

Successors = Callable[[str], Sequence[str]]
"""An identifier that is gone to those of what stands there today."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What a name stands for.

    Attributes:
        rows: Rows of the index; several where it is shared, or something was split.
        confidence: That it is one of them.
    """

    rows: tuple[int, ...]
    confidence: float


def learnt_key(text: str) -> str:
    """The form in which a code or an address text is learnt and looked up: case, width and blanks do not matter."""
    return "".join(fold(text).split())


class Names:
    """Looks names up: first in the index, then in the registry.

    Args:
        index: The entities.
        codes: Asked for what the index does not know.
        successors: Asked for identifiers that the index does not know.
        learnt: Text to identifier.
        sensors: The table of sensors.
    """

    def __init__(
        self,
        index: EntityIndex,
        codes: Codes,
        successors: Successors,
        learnt: Mapping[str, str],
        sensors: Mapping[str, Sensor],
    ) -> None:
        self._index = index
        self._codes = codes
        self._successors = successors
        self._learnt: dict[str, str] = {}
        self.relearn(learnt)
        self._sensors = sensors
        self._spelt = by_spelling(sensors)
        # Feeds name the same things over and over; the registry may be a database far away.
        self.geid = lru_cache(maxsize=_CACHED)(self._geid)
        self._code = lru_cache(maxsize=_CACHED)(self._look_up)

    def learn(self, text: str, name: str) -> None:
        """Takes a word in that a person corrected."""
        self._learnt[learnt_key(text)] = name

    def relearn(self, learnt: Mapping[str, str]) -> None:
        """Takes all such words in, and forgets those that were known."""
        self._learnt = {learnt_key(text): name for text, name in learnt.items()}

    def alias(self, text: str) -> Meant | None:
        """What a code stands for; a code that several bear is left to what people say of it, where they do."""
        meant = self._code(text)
        return None if meant is not None and len(meant.rows) > 1 and self.learnt(text) is not None else meant

    def learnt(self, *texts: str | None) -> Meant | None:
        """What people say one of these texts stands for."""
        for text in texts:
            name = self._learnt.get(learnt_key(text)) if text else None
            meant = None if name is None else self.geid(name)
            if meant is not None:
                return Meant(meant.rows, LEARNT * meant.confidence)
        return None

    def sensor(self, name: str) -> Sensor | None:
        """A sensor of the table, by its id in any case and width of letters."""
        return self._sensors.get(name) or self._spelt.get(fold(name))

    def of_sensor(self, sensor: Sensor) -> Meant | None:
        """What a sensor is fixed to, where the table says so."""
        for text, look in ((sensor.geid, self.geid), (sensor.code, self._code)):
            meant = look(text) if text else None
            if meant is not None:
                return Meant(meant.rows, SENSED * meant.confidence)
        return None

    def _geid(self, text: str) -> Meant | None:
        if len(text) > LONGEST_GEID or not geid.check(text):
            return None
        written = geid.normalise(text)
        row = self._index.find(written)
        return self._after(written, STATED) if row is None else Meant((row,), STATED)

    def _look_up(self, text: str) -> Meant | None:
        if not 0 < len(text) <= _LONGEST:
            return None
        rows = rows_named(self._index, text, _MOST_BEARERS + 1)
        rows = rows or self._index.bearing_key(text, _MOST_BEARERS + 1)
        if rows:
            return Meant(tuple(rows), CODED) if len(rows) <= _MOST_BEARERS else None
        name = self._codes(text)
        if name is None:
            return None
        row = self._index.find(name)
        return self._after(name, CODED) if row is None else Meant((row,), CODED)

    def _after(self, name: str, confidence: float) -> Meant | None:
        """What stands today for an entity that is gone."""
        rows = [row for one in self._successors(name) if (row := self._index.find(one)) is not None]
        return Meant(tuple(rows), confidence * SUCCEEDED) if 0 < len(rows) <= _MOST_BEARERS else None
