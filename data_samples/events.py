"""A day of events in the sample district: what a living twin is fed with, and what each of them is truly about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from data_samples.delivery import write_json
from data_samples.events_cases import cases
from data_samples.events_ground import survey_ground
from data_samples.events_patrols import patrols
from data_samples.events_sensors import readings, streams, write_sensors
from data_samples.plan import Plan
from data_samples.survey import Survey

EVENTS, SENSORS, TRUTH = "events.ndjson", "sensors.csv", "events_truth.json"


def write_events(plan: Plan, survey: Survey, out: Path, window: Any, streets: Mapping[str, str], seed: int) -> int:
    """Writes the events in the order of their time, the table of sensors, and the truth about both.

    `events_truth.json` says of every case, and of every sensor on a house, which building it is about; nothing but
    tests reads it.

    Args:
        plan, survey: The district.
        out: Folder to write to.
        window: Polygon of the extent, EPSG:4549.
        streets: Name of a subdistrict by its code.
        seed: Of all chance.

    Returns:
        How many events.
    """
    ground = survey_ground(plan, survey, window, streets)
    told, truth = cases(ground, seed)
    measured = streams(ground, seed)
    every = sorted(
        [*told, *readings(ground, measured, seed), *patrols(ground, seed)], key=lambda one: (one[0], one[1]["id"])
    )
    (out / EVENTS).write_bytes(b"".join(orjson.dumps(body) + b"\n" for _, body in every))
    write_sensors(measured, out / SENSORS)
    hung = {one.sensor: one.code.partition(":")[2] for one in measured if one.code}
    kinds = Counter(body["type"].split(".")[1] for _, body in every)
    write_json(out / TRUTH, {"events": dict(sorted(kinds.items())), "cases": truth, "sensors": hung})
    return len(every)
