"""Patrols of the sample district: on foot and by car, along the streets, from six in the morning to ten at night."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely

from data_samples.events_ground import Floats, Ground, degrees
from data_samples.events_time import Event, event

SOURCE = "urn:sample:patrol"
_BEGIN_S, _END_S = 6 * 3600, 22 * 3600
_ROUND_M, _NEAR_M = 4000.0, 90.0
_ON_FOOT_MS, _BY_CAR_MS = 1.25, 5.5


def patrols(ground: Ground, seed: int) -> Iterator[Event]:
    """The positions of every patrol, each along a round of its own, there and back."""
    rng = np.random.default_rng([seed, 54])
    whole = ground.share == 1
    for number in range(24 if whole else 2):
        car = number % 3 == 2
        speed = _BY_CAR_MS if car else _ON_FOOT_MS
        way = shapely.LineString(_round(ground.roads, int(rng.integers(len(ground.roads)))))
        seconds = np.arange(_BEGIN_S, _END_S, 60 if whole else 120) + number
        gone = (seconds - _BEGIN_S) * speed + float(rng.random()) * way.length
        turn = np.mod(gone, 2 * way.length)
        at = shapely.line_interpolate_point(way, np.minimum(turn, 2 * way.length - turn))
        places = degrees(shapely.get_x(at), shapely.get_y(at)).tolist()
        yield from _positions(f"XL-{number + 1:02d}", car, speed, seconds.tolist(), places)


def _positions(name: str, car: bool, speed: float, seconds: list[int], places: list[Any]) -> Iterator[Event]:
    title = f"{'巡逻车' if car else '巡逻员'} {name}"
    for second, (lon, lat) in zip(seconds, places, strict=True):
        data = {
            "case": name,
            "title": title,
            "place": {"lon": lon, "lat": lat, "accuracy_m": 8},
            "speed": round(speed * 3.6, 1),
        }
        yield event(SOURCE, f"{name}-{second}", "patrol.observed", second, data)


def _round(roads: tuple[Any, ...], start: int) -> Floats:
    """A way along street after street, each beginning near the end of the last, until it is long enough."""
    way: Floats = shapely.get_coordinates(roads[start])
    used = {start}
    while shapely.LineString(way).length < _ROUND_M:
        here = shapely.Point(way[-1])
        apart = [np.inf if k in used else float(shapely.distance(here, road)) for k, road in enumerate(roads)]
        best = int(np.argmin(apart))
        if apart[best] > _NEAR_M:
            break
        used.add(best)
        way = np.vstack([way, _from(roads[best], here)])
    return way


def _from(road: Any, here: Any) -> Floats:
    """The longer part of a street, from the point of it that is nearest."""
    along = float(shapely.line_locate_point(road, here))
    ahead = along < road.length / 2
    stops = np.linspace(along, road.length if ahead else 0.0, 40)
    return np.asarray(shapely.get_coordinates(shapely.line_interpolate_point(road, stops)), dtype=np.float64)
