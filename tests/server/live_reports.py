"""Reports for the tests of what goes out."""

from __future__ import annotations

from collections.abc import Sequence

from twin.live.model import EventStore, Link, Place, Report, Stored

NOW = 1_790_000_000_000
GEID = "310105-test"


def report(number: int, **changes: object) -> Report:
    """The n-th report of a series."""
    fields: dict[str, object] = {
        "source": "urn:test",
        "id": f"m{number}",
        "case": f"c{number}",
        "kind": "work_order",
        "status": "created",
        "severity": "medium",
        "title": f"路灯不亮 {number}",
        "occurred_ms": NOW + number * 1000,
        "place": Place(address="延安西路"),
    }
    return Report(**{**fields, **changes})  # type: ignore[arg-type]


def add(store: EventStore, rows: Sequence[tuple[Report, Link]]) -> list[Stored]:
    """Appends, and gives what is new as it lies in the store."""
    told = store.append(rows)
    fresh = {offset for offset, new in zip(told.offsets, told.fresh, strict=True) if new}
    return [one for one in store.after(min(fresh) - 1, len(rows)) if one.offset in fresh] if fresh else []


def series(store: EventStore, first: int, count: int, **changes: object) -> list[Stored]:
    """Appends a stretch of the series."""
    link = Link("g1", "geid", 1.0, None, 121.4, 31.2, 10.0)
    return add(store, [(report(first + step, **changes), link) for step in range(count)])
