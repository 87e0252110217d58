"""Fixed sensors of the sample district and their readings over a day: water, crowds, air, noise, street lamps."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from data_samples.events_ground import Ground, degrees
from data_samples.events_time import DAY_S, Event, event

SOURCE = "urn:sample:sensors"
COLUMNS = ("id", "name", "code", "lon", "lat", "datastream", "property", "unit")
_CROWDED = ("商业", "办公", "医院", "学校")


@dataclass(frozen=True, slots=True)
class Stream:
    """What one sensor measures.

    Attributes:
        sensor: Its id.
        title: For people.
        code: Of the house it hangs on; None where it stands outside.
        lon, lat: Where it stands, degrees; None where `code` says it.
        property, unit: What is measured.
        curve: Value at an hour of the day, without noise.
        spread: Standard deviation of the noise.
        more: Goes into `data` of every reading.
    """

    sensor: str
    title: str
    code: str | None
    lon: float | None
    lat: float | None
    property: str
    unit: str
    curve: Callable[[float], float]
    spread: float
    more: dict[str, Any]


def streams(ground: Ground, seed: int) -> list[Stream]:
    """The sensors of an extent."""
    rng = np.random.default_rng([seed, 52])
    return [*_water(ground, rng), *_crowds(ground, rng), *_air(ground, rng), *_noise(ground, rng), *_lamps(ground, rng)]


def _number(ground: Ground, full: int, least: int) -> int:
    return max(least, round(full * ground.share))


def _water(ground: Ground, rng: np.random.Generator) -> Iterator[Stream]:
    """Gauges on the banks: a tide in the creek, and heavy rain at five in the afternoon."""
    bodies = list(ground.water.items())
    for number in range(_number(ground, 24, 3) if bodies else 0):
        name, body = bodies[number % len(bodies)]
        bank = body.boundary.interpolate(float(rng.random()), normalized=True)
        lon, lat = degrees(np.array([bank.x]), np.array([bank.y]))[0].tolist()
        base = float(rng.uniform(2.3, 2.7))

        def level(hour: float, base: float = base) -> float:
            rain = 0.75 * math.exp(-(((hour - 18.5) / 1.6) ** 2))
            return base + 0.35 * math.sin(hour / 12.4 * 2 * math.pi) + rain

        yield Stream(
            f"SW-{number + 1:03d}", f"{name}水位", None, lon, lat, "water_level", "m", level, 0.02, {"warning": 3.5}
        )


def _crowds(ground: Ground, rng: np.random.Generator) -> Iterator[Stream]:
    """Counters at the doors of public buildings."""
    public = np.flatnonzero(ground.houses["YT"].isin(_CROWDED))
    count = min(_number(ground, 60, 5), len(public))
    for number, row in enumerate(rng.choice(public, count, replace=False).tolist()):
        house = ground.houses.iloc[row]
        capacity = int(rng.integers(4, 40)) * 50
        peak = float(rng.uniform(0.5, 1.02)) * capacity

        def people(hour: float, peak: float = peak) -> float:
            return peak * (math.exp(-(((hour - 12.5) / 3.0) ** 2)) + 0.8 * math.exp(-(((hour - 18.5) / 1.8) ** 2)))

        more = {"capacity": capacity}
        code, title = f"buildings:{house['FWBH']}", f"{house['MC'] or house['DZ']}人流"
        yield Stream(f"RL-{number + 1:03d}", title, code, None, None, "people_count", "1", people, peak * 0.03, more)


def _air(ground: Ground, rng: np.random.Generator) -> Iterator[Stream]:
    """Small stations on roofs: fine dust and temperature."""
    for number, row in enumerate(rng.choice(len(ground.houses), _number(ground, 20, 2), replace=False).tolist()):
        code, name = f"buildings:{ground.houses.iloc[row]['FWBH']}", f"KQ-{number + 1:03d}"
        dust, warm = float(rng.uniform(18, 42)), float(rng.uniform(26, 28))

        def pm(hour: float, dust: float = dust) -> float:
            return dust + 12 * math.exp(-(((hour - 8) / 2) ** 2)) + 9 * math.exp(-(((hour - 19) / 2) ** 2))

        def air(hour: float, warm: float = warm) -> float:
            return warm + 6.5 * math.sin((hour - 9) / 24 * 2 * math.pi)

        yield Stream(name, "PM2.5", code, None, None, "pm2_5", "ug/m3", pm, 1.5, {})
        yield Stream(name, "气温", code, None, None, "air_temperature", "Cel", air, 0.2, {})


def _beside(ground: Ground, count: int, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Places at the edge of streets, degrees."""
    lines = [ground.roads[int(row)] for row in rng.integers(0, len(ground.roads), count)]
    feet = shapely.line_interpolate_point(lines, rng.random(count), normalized=True)
    off = rng.uniform(-7, 7, (2, count))
    yield from map(tuple, degrees(shapely.get_x(feet) + off[0], shapely.get_y(feet) + off[1]).tolist())


def _noise(ground: Ground, rng: np.random.Generator) -> Iterator[Stream]:
    for number, (lon, lat) in enumerate(_beside(ground, _number(ground, 30, 3), rng)):
        quiet = float(rng.uniform(46, 54))

        def loud(hour: float, quiet: float = quiet) -> float:
            return quiet + 13 / (1 + math.exp(-(hour - 6.5) * 1.6)) - 10 / (1 + math.exp(-(hour - 22) * 1.6))

        yield Stream(f"ZS-{number + 1:03d}", "环境噪声", None, lon, lat, "noise", "dB[A]", loud, 1.6, {})


def _lamps(ground: Ground, rng: np.random.Generator) -> Iterator[Stream]:
    """Lamp controllers; one in twenty-five goes out in the course of the evening."""
    for number, (lon, lat) in enumerate(_beside(ground, _number(ground, 120, 10), rng)):
        out = float(rng.uniform(18, 23)) if number % 25 == 7 else 99.0

        def fault(hour: float, out: float = out) -> float:
            return float(hour >= out)

        yield Stream(f"LD-{number + 1:03d}", "路灯故障", None, lon, lat, "lamp_fault", "1", fault, 0.0, {})


def readings(ground: Ground, all_streams: list[Stream], seed: int) -> Iterator[Event]:
    """Every reading of the day; lamps tell once an hour, from six in the evening."""
    rng = np.random.default_rng([seed, 53])
    step = 600 if ground.share == 1 else 1800
    for number, one in enumerate(all_streams):
        lamp = one.property == "lamp_fault"
        seconds = np.arange(18 * 3600 if lamp else 0, DAY_S, 3600 if lamp else step) + number % 60
        wobble = rng.normal(0, 1, len(seconds)) * one.spread
        for second, off in zip(seconds.tolist(), wobble.tolist(), strict=True):
            value = max(0.0, round(one.curve(second / 3600) + off, 0 if one.unit == "1" else 2))
            data = {
                "case": f"{one.sensor}/{one.property}", "title": one.title, "value": value, "unit": one.unit,
                "property": one.property, "datastream": one.property, "place": {"sensor": one.sensor}, **one.more,
            }  # fmt: skip
            yield event(SOURCE, f"{one.sensor}-{one.property}-{second}", "observation.observed", second, data)


def write_sensors(all_streams: list[Stream], path: Path) -> None:
    """The table of sensors, as `sensors` of `[live]` reads it."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(COLUMNS)
        for one in all_streams:
            title = one.title if one.sensor[:2] != "KQ" else "空气质量"
            lines.writerow([one.sensor, title, one.code, one.lon, one.lat, one.property, one.property, one.unit])
