"""The day of the sample's events, and an event of it in its CloudEvents form."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

DAY_S = 86_400
DAY = datetime(2024, 7, 1, tzinfo=timezone(timedelta(hours=8)))
"""Midnight at which it begins, in Shanghai."""

#: Second of the day, and the CloudEvent.
Event = tuple[int, dict[str, Any]]


def stamp(second: int) -> str:
    """A second of the day as RFC 3339."""
    return (DAY + timedelta(seconds=second)).isoformat()


def event(source: str, name: str, kind: str, second: int, data: dict[str, Any]) -> Event:
    """A CloudEvent of type `twin.<kind>.<status>`."""
    body = {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": f"twin.{kind}",
        "time": stamp(second),
        "data": data,
    }
    return second, body
