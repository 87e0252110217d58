"""Reports to entities: what each is about, by which way that was found, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress

import numpy as np

from twin.entity.index import EntityIndex
from twin.live.kinds import Kinds
from twin.live.link_address import Addresses
from twin.live.link_found import METHOD, Candidates, Chosen, Flags, Floats, Found, Ints, choose, middles
from twin.live.link_names import Codes, Meant, Names, Successors, learnt_key
from twin.live.link_position import Positions, at_positions
from twin.live.link_scene import Scene
from twin.live.model import METHODS, Link, Place, Report
from twin.live.sensors import Sensor

__all__ = ["LEAST", "Linker", "learnt_key"]

LEAST = 0.3
"""A link that is less sure than this is not made: the report stays unlinked, at its position."""

_AT_ONCE = 20_000
_FAR_M = 150.0  # an address further off the position given than this contradicts it
_CONTRADICTED = 0.6
_SENSOR_ACCURACY_M = 1.0


class Linker:
    """Links reports to the entities of one index. Not to be shared by threads; made anew for another release.

    The ways, the surest first: identifier, code, table of sensors, what people corrected, then address and position,
    of which the surer one decides. docs/event-linking.md states the rules of confidence.

    Args:
        index: The entities; positions need one that was opened with `to_xy`.
        codes: A code to an identifier by the registry, for what the index does not know; None where it knows none.
        sensors: The table of sensors, by id.
        learnt: Identifiers by the texts that people corrected (`EventStore.learnt`).
        kinds: Says what a kind prefers.
        successors: What stands today for an identifier that is gone.
        least: Links less sure than this are not made.
    """

    def __init__(
        self,
        index: EntityIndex,
        codes: Codes,
        sensors: Mapping[str, Sensor],
        learnt: Mapping[str, str],
        kinds: Kinds,
        *,
        successors: Successors = lambda _: (),
        least: float = LEAST,
    ) -> None:
        self._scene = Scene.of(index, kinds)
        self._names = Names(index, codes, successors, learnt, sensors)
        self._addresses = Addresses(self._scene)
        self._least = least

    def learn(self, text: str, geid: str) -> None:
        """Takes a correction in from now on: a code or an address text stands for an entity."""
        self._names.learn(text, geid)

    def relearn(self, learnt: Mapping[str, str]) -> None:
        """Takes all corrections anew; cheaper than another linker, which would have to look everything up again."""
        self._names.relearn(learnt)

    def warm(self) -> None:
        """Makes now what the first reports would wait for; about a second for 100,000 entities."""
        self._scene.index.warm()
        self._scene.index.by_address("")

    def link(self, reports: Sequence[Report]) -> list[Link]:
        """What each report is tied to, in their order; the answer for one does not depend on the others."""
        links: list[Link] = []
        for start in range(0, len(reports), _AT_ONCE):
            links += self._link(reports[start : start + _AT_ONCE])
        return links

    def _link(self, reports: Sequence[Report]) -> list[Link]:
        places = [report.place for report in reports]
        sensors = [self._names.sensor(place.sensor) if place.sensor else None for place in places]
        placed = _Placed(places, sensors)
        kinds, kind = np.unique([report.kind for report in reports], return_inverse=True)
        ranks = self._scene.ranks(kinds.tolist())
        xy = self._working(placed)
        found, drawn = Found.nothing(len(places)), placed.lonlat.copy()
        self._by_names(places, sensors, found, xy, placed.accuracy)
        rest = np.flatnonzero(found.row < 0)
        asked = Positions(xy[rest], placed.h[rest], placed.accuracy[rest], kind[rest], ranks)
        self._by_place([places[i] for i in rest.tolist()], rest, asked, placed.sensed[rest], found, drawn)
        return self._written(found, drawn, placed)

    def _working(self, placed: _Placed) -> Floats:
        """(n, 2) positions in the working CRS; NaN where there is none, or the index cannot tell."""
        to_xy = self._scene.index.to_xy
        xy = np.full(placed.lonlat.shape, np.nan)
        there = np.flatnonzero(np.isfinite(placed.lonlat[:, 0]))
        if to_xy is not None and len(there):
            x, y = to_xy(placed.lonlat[there, 0], placed.lonlat[there, 1])
            xy[there] = np.column_stack([x, y])
        xy[~np.isfinite(xy).all(axis=1)] = np.nan  # the working CRS cannot express the place
        return xy

    def _by_names(
        self, places: Sequence[Place], sensors: Sequence[Sensor | None], found: Found, xy: Floats, accuracy: Floats
    ) -> None:
        """Identifier, code, sensor, learnt: the first that is known and clear enough."""
        names = self._names
        ways: tuple[tuple[str, Callable[[int], Meant | None]], ...] = (
            ("geid", lambda i: names.geid(geid) if (geid := places[i].geid) else None),
            ("alias", lambda i: names.alias(code) if (code := places[i].code) else None),
            ("sensor", lambda i: names.of_sensor(sensor) if (sensor := sensors[i]) is not None else None),
            ("learnt", lambda i: names.learnt(places[i].code, places[i].address)),
        )
        rest = [i for i, one in enumerate(places) if one.geid or one.code or one.address or sensors[i] is not None]
        for method, look in ways:
            meant = [(i, one) for i in rest if (one := look(i)) is not None]
            if meant:
                at = np.array([i for i, _ in meant], dtype=np.int64)
                chosen = self._chosen([one for _, one in meant], xy[at], accuracy[at])
                found.put(at, METHOD[method], chosen)
                rest = [i for i in rest if found.row[i] < 0]

    def _chosen(self, meant: Sequence[Meant], xy: Floats, accuracy: Floats) -> Chosen:
        """One row of each; where several are meant and none stands out, nothing."""
        query = np.repeat(np.arange(len(meant)), [len(one.rows) for one in meant])
        row = np.array([row for one in meant for row in one.rows], dtype=np.int64)
        asked = Candidates(len(meant), query, row, np.array([one.confidence for one in meant])[query])
        chosen = choose(asked, self._scene.outlines, self._scene.parent, xy, accuracy)
        alone = np.array([len(one.rows) == 1 for one in meant])
        kept = chosen.confidence >= self._least
        # A name that stands for one thing was not decided by a position.
        away = np.where(alone, np.nan, chosen.distance)
        return Chosen(np.where(kept, chosen.row, -1), chosen.confidence, away, chosen.rival)

    def _by_place(
        self, places: Sequence[Place], rest: Ints, asked: Positions, sensed: Flags, found: Found, drawn: Floats
    ) -> None:
        """Address and position: the surer one decides; where they agree the link is surer than either."""
        at_position, method = at_positions(self._scene, asked)
        method = np.where(sensed, METHOD["sensor"], method)
        found.put(rest, method, self._kept(at_position))
        told = np.array([bool(place.address) for place in places], dtype=np.bool_)
        if not told.any():
            return
        at = np.flatnonzero(told)
        texts = [place.address or "" for place in compress(places, told.tolist())]
        candidates = self._addresses.candidates(texts, asked.kind[at], asked.ranks, asked.xy[at])
        chosen = choose(candidates, self._scene.outlines, self._scene.parent, asked.xy[at], asked.accuracy[at])
        nowhere = np.isnan(drawn[rest[at]]).any(axis=1)
        drawn[rest[at[nowhere]]] = middles(candidates, chosen, self._scene.lonlat)[nowhere]
        self._combine(rest[at], chosen, at_position.row[at], asked.reach[at], found)

    def _combine(self, at: Ints, chosen: Chosen, standing: Ints, reach: Floats, found: Found) -> None:
        """Enters an address where it is surer than the position, or says the same."""
        known = found.row[at] >= 0
        same = (chosen.row >= 0) & (chosen.row == standing)
        far = np.nan_to_num(chosen.distance) > _FAR_M + reach
        mine = chosen.confidence * np.where(far, _CONTRADICTED, 1.0)
        theirs = np.where(known | same, found.confidence[at], 0.0)
        mine = np.where(same, 1 - (1 - mine) * (1 - theirs), mine)
        won = (chosen.row >= 0) & (mine >= np.maximum(theirs, self._least))
        row = np.where(won, chosen.row, -1)
        found.put(at, METHOD["address"], Chosen(row, mine, chosen.distance, chosen.rival))

    def _kept(self, chosen: Chosen) -> Chosen:
        kept = chosen.confidence >= self._least
        return Chosen(np.where(kept, chosen.row, -1), chosen.confidence, chosen.distance, chosen.rival)

    def _written(self, found: Found, drawn: Floats, placed: _Placed) -> list[Link]:
        """The links: drawn at the position given, else at the top of the entity."""
        scene, linked = self._scene, found.row >= 0
        row = found.row[linked]
        lonlat, h = drawn, placed.h.copy()
        given = np.isfinite(placed.lonlat).all(axis=1)
        free = linked & ~given
        lonlat[free] = scene.lonlat[found.row[free]]
        h[free] = scene.top[found.row[free]]
        names: list[str | None] = [None] * len(linked)
        texts = scene.index.table["geid"].take(row).to_pylist() if len(row) else []
        for i, text in zip(np.flatnonzero(linked).tolist(), texts, strict=True):
            names[i] = text
        methods = [METHODS[number] for number in found.method.tolist()]
        columns = (np.round(found.distance, 3), np.round(lonlat[:, 0], 9), np.round(lonlat[:, 1], 9), np.round(h, 3))
        rows = zip(names, methods, np.round(found.confidence, 3).tolist(), *map(_told, columns), strict=True)
        return [Link(*one) for one in rows]


class _Placed:
    """Where reports are by their own word, else by that of the table of sensors.

    Attributes:
        lonlat: (n, 2) degrees; NaN where there is none.
        h: (n,) metres; NaN where there is none.
        accuracy: (n,) metres; NaN where it is not stated.
        sensed: (n,) True where the table of sensors says it.
    """

    def __init__(self, places: Sequence[Place], sensors: Sequence[Sensor | None]) -> None:
        self.lonlat = np.array([(one.lon, one.lat) for one in places], dtype=np.float64).reshape(-1, 2)
        self.lonlat[~(np.abs(self.lonlat) <= (180.0, 90.0)).all(axis=1)] = np.nan
        self.h = np.array([one.h for one in places], dtype=np.float64)
        self.accuracy = np.array([one.accuracy_m for one in places], dtype=np.float64)
        self.sensed = np.zeros(len(places), dtype=np.bool_)
        for at, sensor in enumerate(sensors):
            if sensor is not None and sensor.lon is not None and np.isnan(self.lonlat[at, 0]):
                self.lonlat[at] = sensor.lon, sensor.lat
                self.h[at] = np.nan if sensor.h is None else sensor.h
                self.accuracy[at] = _SENSOR_ACCURACY_M
                self.sensed[at] = True


def _told(numbers: Floats) -> list[float | None]:
    """Numbers, None for NaN."""
    unknown = np.isnan(numbers).tolist()
    return [None if nothing else number for nothing, number in zip(unknown, numbers.tolist(), strict=True)]
