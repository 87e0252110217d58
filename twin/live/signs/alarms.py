"""Reports on indicators that turn bad or good again: alarms like any other, from a source of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twin.live.model import Link, Place, Report, Stored
from twin.live.signs.definition import Indicator
from twin.live.signs.ledger import SOURCE
from twin.live.signs.signs import Signs
from twin.live.signs.states import STATES

Ints = NDArray[np.int64]
Key = tuple[str, str | None]
"""An indicator and an area; None is the whole."""

_SEVERITY = {"warn": "medium", "alarm": "high"}
_TOLD = {severity: state for state, severity in _SEVERITY.items()}
_GOOD = STATES.index("good")


@dataclass(frozen=True, slots=True)
class Standing:
    """What was reported last of an indicator in an area.

    Attributes:
        case: The case that stands, or stood.
        state: Of `STATES`.
    """

    case: str
    state: str


def standing(stored: Sequence[Stored]) -> dict[Key, Standing]:
    """What stands according to the last reports of the cases in a store, whoever closed them."""
    found: dict[Key, tuple[int, Standing]] = {}
    for one in stored:
        about = one.report.data
        if one.report.source != SOURCE or "indicator" not in about:
            continue
        key = str(about["indicator"]), about.get("area")
        state = "good" if one.report.status == "closed" else _TOLD.get(one.report.severity, "alarm")
        if key not in found or found[key][0] < one.offset:
            found[key] = one.offset, Standing(one.report.case, state)
    return {key: one for key, (_, one) in found.items()}


def watched(one: Indicator) -> bool:
    """Whether an indicator can raise an alarm."""
    return one.warn is not None or one.alarm is not None


def crossings(
    signs: Signs, moment_ms: int, known: Mapping[Key, Standing]
) -> tuple[list[tuple[Report, Link]], dict[Key, Standing]]:
    """Reports on all indicators whose traffic light changed, in all areas of their level.

    A value that is unknown changes nothing. The same moment gives the same reports with the same ids, so that two
    servers on one log report a crossing once.

    Args:
        signs: All that was recorded by the moment.
        moment_ms: A whole tick.
        known: What was reported before.

    Returns:
        Reports, the whole and areas of a level in their order; and what stands afterwards.
    """
    after = dict(known)
    reports = []
    for one in signs.definitions.by_id.values():
        level = one.level if one.level in signs.ground.levels else "all"
        if not watched(one):
            continue
        reading = signs.reading(one.id, level, moment_ms)
        lights = signs.states(one.id, level, moment_ms)
        for group, geid in enumerate(reading.groups.geids):
            state = STATES[int(lights[group])]
            before = after.get((one.id, geid), Standing("", "good"))
            if state in ("unknown", before.state):
                continue
            # a new spell of being bad is a new case
            case = before.case if before.state != "good" else f"{one.id}/{geid or 'all'}/{moment_ms}"
            after[one.id, geid] = Standing(case, state)
            name = reading.groups.names[group]
            made = _report(one, geid, name, float(reading.value[group]), Standing(case, state), moment_ms)
            reports.append((made, _link(geid, signs)))
    return reports, after


def _report(one: Indicator, geid: str | None, area: str | None, value: float, now: Standing, moment_ms: int) -> Report:
    limit = one.alarm if now.state == "alarm" else one.warn
    facts = {
        "indicator": one.id, "area": geid, "state": now.state, "zh": one.zh, "en": one.en,
        "limit": None if limit is None or now.state == "good" else limit.enter,
    }  # fmt: skip
    about = f"{one.zh} {one.en}" + (f", {area}" if area else "")
    made = Report(
        SOURCE, f"{now.case}/{moment_ms}", now.case, "alarm", "created", _SEVERITY.get(now.state, "info"),
        f"{about}: {value:.4g} {one.unit}".rstrip(), moment_ms, moment_ms, place=Place(geid=geid), value=value,
        data=facts,
    )  # fmt: skip
    return replace(made, status="closed") if now.state == "good" else made


def _link(geid: str | None, signs: Signs) -> Link:
    """An alarm is tied to its area, and drawn at the point inside it."""
    row = None if geid is None else signs.ground.index.find(geid)
    if row is None:
        return Link()
    table = signs.ground.index.table
    lon, lat = (table[name][row].as_py() for name in ("lon", "lat"))
    return Link(geid, "geid", 1.0, None, lon, lat)
