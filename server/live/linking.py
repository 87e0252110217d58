"""Ties reports to the entities of the release that is served now, whichever that is when they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import Any

import numpy as np

from server.releases import OpenRelease, Releases
from server.retired import Registered
from twin.entity.index import EntityIndex
from twin.live.kinds import Kinds
from twin.live.link import Linker
from twin.live.model import EventStore, Link, Report
from twin.live.sensors import Sensor

#: How old what people taught may be, seconds: another process of the server may have been told.
_TAUGHT_S = 5.0
_DEEPEST = 16
_CASE = "case\n"


def case_key(source: str, case: str) -> str:
    """The text under which the store keeps what a person said a case is about; "" stands for nothing."""
    return f"{_CASE}{source}\n{case}"


class Linking:
    """The linker of the served release, made anew when another is served or people have taught something.

    Args:
        releases: What is served.
        store: Where corrections are kept.
        sensors: The table of fixed sensors.
        kinds: The table of kinds.
        registered: Knows the codes of entities that are gone.
        successors: What stands today for an entity that is gone.
    """

    def __init__(
        self,
        releases: Releases,
        store: EventStore,
        sensors: Mapping[str, Sensor],
        kinds: Kinds,
        registered: Registered,
        successors: Callable[[str], Sequence[str]],
    ) -> None:
        self._releases = releases
        self._store = store
        self._sensors = sensors
        self._kinds = kinds
        self._registered = registered
        self._successors = successors
        self._lock = Lock()
        self._linker: Linker | None = None
        self._release: OpenRelease | None = None
        self._learnt: dict[str, str] = {}
        self._cases: dict[str, str] = {}
        self._asked = -_TAUGHT_S

    def __call__(self, reports: Sequence[Report]) -> Sequence[Link]:
        """Links reports, row for row."""
        if not reports:
            return []
        with self._releases.reading() as release, self._lock:
            links = self._of(release).link(reports)
            return self._followed(reports, links, release.index) if self._cases else links

    def _followed(self, reports: Sequence[Report], links: Sequence[Link], index: EntityIndex) -> Sequence[Link]:
        """Links of cases a person has spoken about: what he said stands for the reports that follow."""
        told = [self._cases.get(case_key(one.source, one.case)) for one in reports]
        return [
            link if said is None else _drawn(report, Link(said or None, "person", 1.0), index)
            for report, link, said in zip(reports, links, told, strict=True)
        ]

    def drawn(self, report: Report, link: Link) -> Link:
        """A link with the place where it is drawn: what the report states, else that of the entity."""
        with self._releases.reading() as release:
            return _drawn(report, link, release.index)

    def _of(self, release: OpenRelease) -> Linker:
        if monotonic() - self._asked >= _TAUGHT_S:
            self._ask()
        if self._linker is None or self._release is not release:
            self._release = release
            self._linker = Linker(
                release.index, self._code, self._sensors, self._learnt, self._kinds, successors=self._successors
            )
        return self._linker

    def _code(self, text: str) -> str | None:
        """The identifier a code once stood for, by the registry, if it was one only."""
        assert self._release is not None
        known = self._registered.find(text, self._release.id, self._release.record.get("project", {}))
        return known[0].geid if len(known) == 1 else None

    def _ask(self) -> None:
        said = self._store.learnt()
        self._asked = monotonic()
        self._cases = {text: geid for text, geid in said.items() if text.startswith(_CASE)}
        learnt = {text: geid for text, geid in said.items() if not text.startswith(_CASE)}
        if learnt != self._learnt:
            self._learnt, self._linker = learnt, None

    def forget(self) -> None:
        """What people taught is read again before the next report is linked."""
        self._asked = -_TAUGHT_S

    def find(self, text: str) -> str | None:
        """The canonical identifier of an entity that is served; None where there is none."""
        with self._releases.reading() as release:
            row = release.index.find(text)
            return None if row is None else str(release.index.table["geid"][row].as_py())

    def inside(self, links: Sequence[Link], areas: frozenset[str]) -> Sequence[bool]:
        """Whether each is linked to one of these entities, to something in them, or lies in them."""
        with self._releases.reading() as release:
            index = release.index
            wanted = {row for geid in areas if (row := index.find(geid)) is not None}
            by_place = _at(index, links, wanted)
            return [
                place or (link.geid is not None and _below(index, index.find(link.geid), wanted))
                for link, place in zip(links, by_place, strict=True)
            ]


def _drawn(report: Report, link: Link, index: EntityIndex) -> Link:
    place = report.place
    if place.lon is not None and place.lat is not None:
        return replace(link, lon=place.lon, lat=place.lat, h=place.h)
    row = None if link.geid is None else index.find(link.geid)
    if row is None:
        return link
    lon, lat, h = (index.table[name][row].as_py() for name in ("lon", "lat", "height"))
    return replace(link, lon=lon, lat=lat, h=h)


def _at(index: EntityIndex, links: Sequence[Link], wanted: set[int]) -> Sequence[bool]:
    """Whether each lies in one of the entities."""
    inside = [False] * len(links)
    rows = [row for row, link in enumerate(links) if link.lon is not None and link.lat is not None]
    if not rows or not wanted:
        return inside
    lon = np.array([links[row].lon for row in rows], dtype=np.float64)
    lat = np.array([links[row].lat for row in rows], dtype=np.float64)
    hits = index.at_many(lon, lat)
    place = np.repeat(np.arange(len(rows)), np.diff(hits.offset))
    for at in np.unique(place[np.isin(hits.row, list(wanted))]).tolist():
        inside[rows[at]] = True
    return inside


def _below(index: EntityIndex, row: int | None, wanted: set[int]) -> bool:
    """True for one of the entities, and for what is part of one."""
    parents: Any = index.table["parent"]
    for _ in range(_DEEPEST):
        if row is None or row in wanted:
            break
        parent = parents[row].as_py()
        row = None if parent is None else index.find(parent)
    return row is not None and row in wanted
