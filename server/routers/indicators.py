"""Indicators: current numbers, series, rankings and the events behind a number."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import time_ns
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.entity_past import AsOf, Times, ValidTime
from server.live.access import live_of
from server.live.asked import from_ms, to_ms
from server.live.credentials import require, require_live
from server.live.live import Live
from server.live.signs import SignWatch, TooFarError
from server.problem import ProblemError, not_found
from twin.entity import geid as geids
from twin.errors import StoreError
from twin.live.cloudevents import to_cloudevent
from twin.live.keys import Key
from twin.live.signs.definition import Indicator, Term, Threshold
from twin.live.signs.reading import ALL
from twin.live.signs.signs import Reading, Signs
from twin.live.signs.states import STATES
from twin.live.signs.statistics import UNUSUAL

_MOST_POINTS = 1000
_MOST_EVENTS = 1000
_LEVELS = "all, district, subdistrict, community, block"

Name = Annotated[str, Path(max_length=64, description="Id of an indicator")]
Area = Annotated[str | None, Query(max_length=64, description="geid of an area; left out: the whole")]
Level = Annotated[str, Query(max_length=32, description=f"Level of the areas: {_LEVELS}")]
Step = Annotated[int, Query(ge=60, le=31_536_000, description="Seconds between two points")]
Points = Annotated[int, Query(ge=1, le=_MOST_POINTS, description="How many points; the last one is the moment asked")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which moment of which area.

    Attributes:
        moment, as_of: Milliseconds: what had happened, as far as it was known.
        level, group: Of the area.
    """

    moment: int
    as_of: int
    level: str
    group: int


def router(context: Context) -> APIRouter:
    """The endpoints below `/indicators`; every one needs the right to read events."""
    routes = APIRouter(tags=["live"])
    watch = None if context.live is None else SignWatch(context.live, context.releases)
    if context.live is not None and watch is not None:
        context.live.feeds.append(watch)
    desk = _Desk(context, watch)
    _numbers(routes, desk)
    _over_time(routes, desk)
    return routes


def _numbers(routes: APIRouter, desk: _Desk) -> None:
    @routes.get("/indicators", summary="All indicators, each with its number")
    async def indicators(
        request: Request, area: Area = None, datetime: ValidTime = None, as_of: AsOf = None
    ) -> Response:
        """Definitions and current readings of an area, in the order of the definitions."""
        key = await desk.reader(request)
        return await desk.answer(request, lambda: desk.all(key, area, datetime, as_of))

    @routes.get("/indicators/{id}", summary="One indicator with its number")
    async def indicator(
        request: Request, id: Name, area: Area = None, datetime: ValidTime = None, as_of: AsOf = None
    ) -> Response:
        """Definition and reading."""
        key = await desk.reader(request)
        return await desk.answer(request, lambda: desk.one(key, id, area, datetime, as_of))

    @routes.get("/indicators/{id}/ranking", summary="Areas, the one in most need first")
    async def ranking(
        request: Request, id: Name, level: Level = "subdistrict", datetime: ValidTime = None, as_of: AsOf = None
    ) -> Response:
        """All areas of a level by the indicator; unknown ones last."""
        key = await desk.reader(request)
        return await desk.answer(request, lambda: desk.ranking(key, id, level, datetime, as_of))


def _over_time(routes: APIRouter, desk: _Desk) -> None:
    @routes.get("/indicators/{id}/series", summary="An indicator over time")
    async def series(
        request: Request,
        id: Name,
        area: Area = None,
        datetime: ValidTime = None,
        as_of: AsOf = None,
        step: Step = 3600,
        points: Points = 25,
    ) -> Response:
        """Values at moments `step` apart, the last one at `datetime`, all by what is known at `as-of`."""
        key = await desk.reader(request)
        return await desk.answer(request, lambda: desk.series(key, id, area, datetime, as_of, step * 1000, points))

    @routes.get("/indicators/{id}/events", summary="The events behind a number")
    async def events(
        request: Request,
        id: Name,
        area: Area = None,
        datetime: ValidTime = None,
        as_of: AsOf = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_EVENTS, description="How many at most")] = 100,
        before: Annotated[int | None, Query(ge=1, description="Only offsets before this one")] = None,
    ) -> Response:
        """Exactly the reports that the number is made of, the youngest offset first."""
        key = await desk.reader(request)
        return await desk.answer(request, lambda: desk.events(key, id, area, datetime, as_of, limit, before))


class _Desk:
    """Answers questions about indicators; every method but `reader` and `answer` belongs into a thread.

    `reader` comes first: it refuses where nothing is live, and only then is there something to watch.
    """

    def __init__(self, context: Context, watch: SignWatch | None) -> None:
        self._context = context
        self._maybe = watch

    @property
    def _live(self) -> Live:
        return live_of(self._context)

    @property
    def _watch(self) -> SignWatch:
        return require_live(self._maybe)

    async def reader(self, request: Request) -> Key | None:
        """The key of who asks. Raises `ProblemError` where it may not read, or nothing is live."""
        return (await require(self._live, request.scope, "read")).key

    async def answer(self, request: Request, make: Any) -> Response:
        """What a question gives, made in a thread."""
        try:
            return json_answer(request, await asyncio.to_thread(make))
        except TooFarError:
            told = "Too many events lie in the past that is asked about; ask about a later moment."
            raise ProblemError(400, "too_far_back", told) from None
        except StoreError as error:
            raise ProblemError(503, "events_unavailable", "The events cannot be read just now.") from error

    def all(self, key: Key | None, area: str | None, valid: str | None, as_of: str | None) -> dict[str, Any]:
        """Every indicator the key may see."""
        signs = self._watch.current()
        asked = self._asked(signs, key, area, valid, as_of)
        seen = [one for one in signs.definitions.by_id.values() if _may_see(key, one)]
        near = [one.id for one in seen if min(asked.moment, asked.as_of) >= signs.exact_from(one.id)]
        if near:
            signs.prepare(asked.level, asked.moment, asked.as_of)
        told = []
        for one in seen:
            own = signs if one.id in near else self._watch.at(one.id, asked.moment, asked.moment, asked.as_of)
            told.append({**self._definition(one), "reading": _reading(own, one, asked)})
        return {**_times(asked), "area": area, "indicators": told, "links": [self._context.link("self", "indicators")]}

    def one(self, key: Key | None, name: str, area: str | None, valid: str | None, as_of: str | None) -> dict[str, Any]:
        """One indicator."""
        one, signs, asked = self._found(key, name, area, valid, as_of)
        return {**_times(asked), **self._definition(one), "reading": _reading(signs, one, asked)}

    def ranking(self, key: Key | None, name: str, level: str, valid: str | None, as_of: str | None) -> dict[str, Any]:
        """Areas of a level, those in most need first."""
        one, signs, asked = self._found(key, name, None, valid, as_of, any_area=True)
        if level not in signs.ground.levels:
            known = ", ".join(signs.ground.levels)
            raise ProblemError(400, "invalid_parameter", f"level must be one of the levels there are: {known}.")
        groups = [g for g, geid in enumerate(signs.groups(level).geids) if self._may_enter(signs, key, geid)]
        rows = _readings(signs, one, level, asked)
        order = sorted(groups, key=lambda group: _need(one, rows[group]["value"]))
        ranked = [{"rank": rank, **rows[group]} for rank, group in enumerate(order, 1)]
        return {**_times(asked), "id": one.id, "level": level, "better": one.better, "ranking": ranked}

    def series(
        self,
        key: Key | None,
        name: str,
        area: str | None,
        valid: str | None,
        as_of: str | None,
        step_ms: int,
        points: int,
    ) -> dict[str, Any]:
        """Points, the oldest first."""
        _, _, asked = self._found(key, name, area, valid, as_of, at_once=False)
        moments = [asked.moment - back * step_ms for back in reversed(range(points))]
        signs = self._watch.at(name, moments[0], moments[-1], asked.as_of)
        told = []
        for moment, each in zip(moments, signs.series(name, asked.level, moments, asked.as_of), strict=True):
            value, coverage = _number(each.value[asked.group]), round(float(each.coverage[asked.group]), 4)
            told.append({"datetime": from_ms(moment), "value": value, "coverage": coverage})
        return {**_times(asked), "id": name, "area": area, "step_s": step_ms // 1000, "points": told}

    def events(
        self,
        key: Key | None,
        name: str,
        area: str | None,
        valid: str | None,
        as_of: str | None,
        limit: int,
        before: int | None,
    ) -> dict[str, Any]:
        """The reports behind a number, a page of them."""
        _, signs, asked = self._found(key, name, area, valid, as_of)
        behind = signs.behind(name, asked.level, asked.group, asked.moment, asked.as_of)
        offsets = behind.offsets if before is None else behind.offsets[behind.offsets < before]
        page = offsets[::-1][:limit].tolist()
        stored = [one for one in map(self._live.store.get, page) if one is not None]
        terms = {term: frozenset(found.tolist()) for term, found in behind.of_term.items()}
        told = [
            {**to_cloudevent(one), "terms": [term for term, mine in terms.items() if one.offset in mine]}
            for one in stored
        ]
        answer = {**_times(asked), "id": name, "area": area, "matched": len(behind.offsets), "events": told}
        counted = {term: len(mine) for term, mine in terms.items()}
        return {**answer, "terms": counted, "next_before": page[-1] if len(offsets) > limit else None}

    def _found(
        self,
        key: Key | None,
        name: str,
        area: str | None,
        valid: str | None,
        as_of: str | None,
        any_area: bool = False,
        at_once: bool = True,
    ) -> tuple[Indicator, Signs, _Asked]:
        """An indicator, a state that reaches back to the moment, and the moment."""
        signs = self._watch.current()
        one = signs.definitions.by_id.get(name)
        if one is None or not _may_see(key, one):
            raise not_found("There is no indicator of that name; `/indicators` lists them.")
        asked = self._asked(signs, None if any_area else key, area, valid, as_of)
        return one, self._watch.at(name, asked.moment, asked.moment, asked.as_of) if at_once else signs, asked

    def _asked(self, signs: Signs, key: Key | None, area: str | None, valid: str | None, as_of: str | None) -> _Asked:
        times = Times.of(valid, as_of)
        now = time_ns() // 1_000_000 // 1000 * 1000 + 1000  # the second that is running
        known = now if times.as_of is None else to_ms(times.as_of)
        moment = known if times.valid is None else to_ms(times.valid)
        if max(moment, known) > now:
            raise ProblemError(400, "invalid_parameter", "datetime and as-of must not lie in the future.")
        if not self._may_enter(signs, key, area):
            raise ProblemError(403, "key_not_permitted", "This key reads other areas; name one of them as `area`.")
        return _Asked(moment, known, *_area(signs, area))

    def _may_enter(self, signs: Signs, key: Key | None, area: str | None) -> bool:
        """Whether a key may see the numbers of an area: one of its own, or one that lies in such a one."""
        if key is None or key.areas is None:
            return True
        index, own = signs.ground.index, {geids.normalise(one) for one in key.areas}
        for _ in range(8):
            row = None if area is None else index.find(area)
            if row is None:
                return False
            if index.table["geid"][row].as_py() in own:
                return True
            area = index.table["parent"][row].as_py()
        return False

    def _definition(self, one: Indicator) -> dict[str, Any]:
        link = self._context.link
        return {
            "id": one.id, "name": {"zh": one.zh, "en": one.en}, "dimension": one.dimension, "unit": one.unit,
            "better": one.better, "level": one.level, "formula": one.formula.text,
            "terms": {name: _term(term) for name, term in one.terms.items()},
            "warn": _threshold(one.warn), "alarm": _threshold(one.alarm), "min_coverage": one.min_coverage,
            "source": one.source,
            "links": [
                link("self", "indicators", one.id), link("series", "indicators", one.id, "series"),
                link("ranking", "indicators", one.id, "ranking"), link("events", "indicators", one.id, "events"),
            ],
        }  # fmt: skip


def _may_see(key: Key | None, one: Indicator) -> bool:
    """Whether a key may read all the kinds an indicator is made of."""
    if key is None or key.kinds is None:
        return True
    return all(kind in key.kinds for term in one.terms.values() for kind in term.kinds)


def _area(signs: Signs, area: str | None) -> tuple[str, int]:
    """Level and group of an area. Raises `ProblemError` (404) where there is none."""
    if area is None:
        return ALL, 0
    row = signs.ground.index.find(area)
    geid = None if row is None else signs.ground.index.table["geid"][row].as_py()
    for level, groups in signs.ground.levels.items():
        if geid is not None and geid in groups.geids:
            return level, groups.geids.index(geid)
    raise not_found("There is no area of that identifier in the served release.")


def _readings(signs: Signs, one: Indicator, level: str, asked: _Asked) -> list[dict[str, Any]]:
    """The reading of every area of a level."""
    reading = signs.reading(one.id, level, asked.moment, asked.as_of)
    lights = signs.states(one.id, level, asked.moment, asked.as_of)
    unusual = signs.unusual(one.id, level, asked.moment, asked.as_of)
    return [_told(one, reading, group, int(lights[group]), unusual) for group in range(len(reading.groups))]


def _reading(signs: Signs, one: Indicator, asked: _Asked) -> dict[str, Any]:
    return _readings(signs, one, asked.level, asked)[asked.group]


def _told(one: Indicator, reading: Reading, group: int, light: int, unusual: Any) -> dict[str, Any]:
    value, coverage = _number(reading.value[group]), float(reading.coverage[group])
    return {
        "area": reading.groups.geids[group],
        "area_name": reading.groups.names[group],
        "value": value,
        "state": STATES[light],
        "coverage": round(coverage, 4),
        "reason": None if value is not None else _reason(one, coverage),
        "terms": {name: _number(values[group]) for name, values in reading.terms.items()},
        "anomaly": None if unusual is None else _anomaly(unusual[0][group], int(unusual[1][group])),
    }


def _reason(one: Indicator, coverage: float) -> str:
    """Why a value is unknown."""
    if coverage == 0:
        return "no_data"
    return "low_coverage" if coverage < one.min_coverage else "nothing_to_measure"


def _anomaly(score: float, points: int) -> dict[str, Any]:
    z = _number(score)
    return {"flag": None if z is None else abs(z) > UNUSUAL, "robust_z": z, "points": points}


def _need(one: Indicator, value: float | None) -> tuple[bool, float]:
    """Sorts the worst first, the unknown last; where neither way is better, the greatest first."""
    return value is None, 0.0 if value is None else value if one.better == "higher" else -value


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _times(asked: _Asked) -> dict[str, Any]:
    return {"datetime": from_ms(asked.moment), "as_of": from_ms(asked.as_of)}


def _threshold(limit: Threshold | None) -> Mapping[str, float] | None:
    return None if limit is None else {"enter": limit.enter, "leave": limit.leave}


def _term(term: Term) -> dict[str, Any]:
    """What a term states, without what it leaves open."""
    stated = {
        "of": term.of, "take": term.take, "column": term.column, "kinds": sorted(term.kinds),
        "state": None if term.state == "any" else term.state, "when": term.when, "window_s": term.window_ms // 1000,
        "severities": sorted(term.severities), "where": {key: sorted(one) for key, one in term.where.items()},
        "per_stream": term.per_stream if term.of == "streams" else None, "limit": term.limit, "over": term.over,
        "linked": term.linked, "layers": sorted(term.layers), "classes": sorted(term.classes),
    }  # fmt: skip
    return {key: value for key, value in stated.items() if value or (value == 0.0 and key == "over")}
