"""Moments as people write them: a date, or a date and time with or without a zone."""

from __future__ import annotations

import datetime

from twin.errors import MisuseError


def parse_moment(text: str) -> datetime.datetime:
    """Reads ISO 8601; a date is its first moment, and what states no zone is UTC.

    Raises:
        MisuseError: It is no moment.
    """
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise MisuseError(f"{text!r} is no date", next_step="write 2026-05-01 or 2026-05-01T20:00:00+08:00") from None
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
