"""Cases of a day in the sample district: hotline tickets and work orders, from the first word to the last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_samples.events_address import FORMS
from data_samples.events_ground import Ground, degrees
from data_samples.events_time import DAY_S, Event, event, stamp

HOTLINE, DISPATCH = "urn:sample:12345", "urn:sample:dispatch"
_DAILY = np.array([1, 1, 1, 1, 1, 2, 4, 8, 12, 12, 10, 8, 7, 8, 9, 9, 8, 7, 7, 6, 5, 4, 2, 1], dtype=float)
_CALLS = (
    ("楼道堆物影响通行", "low"), ("夜间施工噪音扰民", "low"), ("电梯困人", "high"), ("房屋渗水", "medium"),
    ("垃圾未及时清运", "low"), ("违规停车堵塞消防通道", "medium"), ("燃气味较重", "high"), ("小区积水", "medium"),
    ("高空抛物", "medium"), ("物业服务投诉", "low"),
)  # fmt: skip
_ORDERS = (
    ("井盖破损", "medium"), ("外墙饰面脱落隐患", "high"), ("消防设施缺失", "high"), ("乱张贴", "low"),
    ("绿化缺损", "low"), ("门前设施损坏", "medium"), ("排水管堵塞", "medium"), ("空调外机松动", "high"),
)  # fmt: skip
_STEPS = (
    ("created", 0, 0), ("accepted", 240, 1500), ("dispatched", 600, 3000), ("handled", 3600, 21_600),
    ("closed", 600, 7200),
)  # fmt: skip
_STOPS = (0.04, 0.06, 0.1, 0.05)  # of a hundred cases so many go no further than that step, this day
_DUE_S = 8 * 3600


def cases(ground: Ground, seed: int) -> tuple[list[Event], dict[str, Any]]:
    """Tickets and work orders, each about one house.

    Returns:
        Events, and the truth by case: the FWBH of its house, and how the case names it.
    """
    rng = np.random.default_rng([seed, 51])
    events: list[Event] = []
    truth: dict[str, Any] = {}
    for place_of, count in (
        (_called, max(60, round(900 * ground.share))),
        (_found, max(40, round(700 * ground.share))),
    ):
        picked = rng.choice(len(ground.houses), count, replace=count > len(ground.houses))
        for number, row in enumerate(picked.tolist()):
            source, kind, name, data, said = place_of(ground, row, number, rng)
            truth[name] = said
            events += _life(source, kind, name, data, rng)
    return events, truth


Told = tuple[str, str, str, dict[str, Any], dict[str, str]]


def _called(ground: Ground, row: int, number: int, rng: np.random.Generator) -> Told:
    """A ticket: the caller gives an address, in one of the forms in turn."""
    house = ground.houses.iloc[row]
    form = list(FORMS)[number % len(FORMS)]
    title, severity = _CALLS[int(rng.integers(len(_CALLS)))]
    address = FORMS[form](house["DZ"], house["street"], rng)
    name = f"RX20240701{number:05d}"
    data = {"title": title, "severity": severity, "place": {"address": address}, "channel": "电话"}
    return HOTLINE, "hotline", name, data, {"FWBH": house["FWBH"], "by": "address", "form": form}


def _found(ground: Ground, row: int, number: int, rng: np.random.Generator) -> Told:
    """A work order: the dispatch platform gives the code of the house, or the position of whoever found it."""
    house = ground.houses.iloc[row]
    title, severity = _ORDERS[int(rng.integers(len(_ORDERS)))]
    by = "code" if number % 2 else "position"
    if by == "code":
        place: dict[str, Any] = {"code": f"buildings:{house['FWBH']}"}
    else:
        lon, lat = degrees(np.array([house["x"]]), np.array([house["y"]]))[0].tolist()
        place = {"lon": lon, "lat": lat, "accuracy_m": 5}
    name = f"GD20240701{number:05d}"
    return (
        DISPATCH,
        "work_order",
        name,
        {"title": title, "severity": severity, "place": place},
        {"FWBH": house["FWBH"], "by": by},
    )


def _life(source: str, kind: str, name: str, data: dict[str, Any], rng: np.random.Generator) -> Iterator[Event]:
    """The reports of a case, as far as the day goes."""
    moment = int(rng.choice(24, p=_DAILY / _DAILY.sum())) * 3600 + int(rng.integers(3600))
    due = stamp(moment + _DUE_S)
    last = int(rng.choice(len(_STEPS), p=[*_STOPS, 1 - sum(_STOPS)]))
    for status, least, most in _STEPS[: last + 1]:
        moment += int(rng.integers(least, most + 1))
        if moment >= DAY_S:
            return
        yield event(source, f"{name}-{status}", f"{kind}.{status}", moment, {"case": name, **data, "due": due})
