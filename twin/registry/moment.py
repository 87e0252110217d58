"""Moments as people write them, on a command line, in Python or in an address: one grammar for all of them."""

from __future__ import annotations

import datetime
import re

from twin.errors import MisuseError

_DATE = r"(?P<date>\d{4}-\d{2}-\d{2})"
_TIME = r"(?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)"
_OFFSET = r"(?P<offset>[Zz]|[+ -]\d{2}:\d{2})"
_WRITTEN = re.compile(rf"{_DATE}(?:[Tt ]{_TIME}{_OFFSET}?)?", re.ASCII)
_STEP = "write 2026-05-01, 2026-05-01T12:00:00Z or 2026-05-01T20:00:00+08:00"


def parse_moment(text: str) -> datetime.datetime:
    """A moment as RFC 3339 writes it, in UTC; a bare date is its beginning in UTC.

    A time without an offset is refused: in a city eight hours from Greenwich a guess would be wrong by a working day.
    Seconds may be left out, and a blank may stand for `T`, or for the plus that nobody escaped in an address.

    Raises:
        MisuseError: It is none, or a time without its offset.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise MisuseError(f"{text[:40]!r} is no time", next_step=_STEP)
    date, time, offset = found["date"], found["time"] or "00:00", found["offset"]
    if found["time"] and not offset:
        raise MisuseError(f"{text!r} does not say in which zone", next_step=f"add its offset: {_STEP}")
    try:
        written = f"{date}T{time}{(offset or 'Z').upper().replace(' ', '+')}"
        return datetime.datetime.fromisoformat(written).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise MisuseError(f"{text[:40]!r} is no time", next_step=_STEP) from None
