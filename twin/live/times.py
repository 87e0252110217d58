"""Reads the moments sources write, strictly, and writes them the one way: RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from twin.errors import MisuseError
from twin.live.refusals import Refused

LATEST_MS = 7_258_118_400_000
"""2200-01-01T00:00:00Z; no report speaks of what comes after."""
#: Numbers from here on are milliseconds: as seconds they would lie after the year 5138.
_MILLISECONDS_FROM = 100_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})\Z")
_WHOLE = re.compile(r"\d{9,13}(?:\.\d+)?\Z")
#: `2026/1/2 3:04`, `2026年1月2日 3时4分5秒`, `2026-1-2`: what people and older platforms write.
_LOOSE = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[ T]*(\d{1,2})[:时点](\d{1,2})?(?:[:分](\d{1,2})?(?:\.(\d{1,6})\d*)?)?[分秒]?)?\Z"
)


def zone_of(text: str) -> tzinfo:
    """A time zone as people write it: `Asia/Shanghai`, `+08:00`, `UTC`, `Z`.

    Raises:
        MisuseError: There is none of that name.
    """
    plain = text.strip()
    if plain.upper() in {"Z", "UTC"}:
        return UTC
    match = _OFFSET.match(plain)
    if match:
        sign, hours, minutes = match.groups()
        shift = timedelta(hours=int(hours), minutes=int(minutes))
        if shift <= timedelta(hours=14):
            return timezone(-shift if sign == "-" else shift)
    try:
        return ZoneInfo(plain)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MisuseError(
            f"{plain[:60]!r} is no time zone", next_step='write an IANA name or an offset: "Asia/Shanghai", "+08:00"'
        ) from error


def read_time(value: object, zone: tzinfo | None = None, formats: Sequence[str] = (), name: str = "time") -> int:
    """A moment in milliseconds since 1970-01-01T00:00:00Z.

    Args:
        value: Text in RFC 3339 or in one of `formats`, or as older platforms write (`2026/1/2 3:04:05`,
            `2026年1月2日`), or a number of seconds or milliseconds since 1970.
        zone: Of texts without an offset; None: such are refused. An hour that occurs twice is taken as the first.
        formats: `strptime` formats; where any is given, only these are read.
        name: Of the field, for messages.

    Raises:
        Refused: `bad_time`.
    """
    if isinstance(value, str):
        moment = _moment(value.strip(), formats, name)
        if isinstance(moment, int):
            return _bounded(moment, name)
        return _bounded(_milliseconds(moment, zone, name), name)
    if isinstance(value, datetime):
        return _bounded(_milliseconds(value, zone, name), name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(_number(value, name), name)
    raise Refused("wrong_type", f"`{name}` is neither text nor a number")


def local_text(value: object, formats: Sequence[str] = (), name: str = "time") -> str:
    """A moment as text whose offset, where none is written, somebody else will know.

    Args:
        value, formats, name: As of `read_time`.

    Raises:
        Refused: `bad_time`, `wrong_type`.
    """
    moment = value if isinstance(value, datetime) else None
    if isinstance(value, str):
        found = _moment(value.strip(), formats, name)
        moment = found if isinstance(found, datetime) else None
    return moment.isoformat() if moment and moment.tzinfo is None else write_time(read_time(value, None, formats, name))


def write_time(milliseconds: int) -> str:
    """`2026-11-22T08:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _moment(text: str, formats: Sequence[str], name: str) -> datetime | int:
    for pattern in formats:
        try:
            return _by_format(text, pattern)
        except (ValueError, OverflowError):
            continue
    if formats:
        raise _unreadable(text, name, f"in none of the formats {', '.join(formats)}")
    if _WHOLE.match(text):
        return _number(float(text), name)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S") if len(text) == 14 and text.isdigit() else _loose(text)
    except (ValueError, OverflowError) as error:
        raise _unreadable(text, name, "in no form that is read; write 2026-11-22T08:00:00+08:00") from error


def _by_format(text: str, pattern: str) -> datetime:
    """`strptime`, which also knows the hour 24 that ends a day."""
    if pattern.endswith("%H") and text.endswith("24"):
        return datetime.strptime(text[:-2] + "00", pattern) + timedelta(days=1)
    return datetime.strptime(text, pattern)


def _loose(text: str) -> datetime:
    match = _LOOSE.match(text)
    if not match:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction = match.groups()
    day_after = hour == "24"
    moment = datetime(
        int(year),
        int(month),
        int(day),
        0 if day_after else int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int((fraction or "0").ljust(6, "0")),
    )
    if not day_after:
        return moment
    if moment.minute or moment.second:
        raise ValueError(text)
    return moment + timedelta(days=1)


def _milliseconds(moment: datetime, zone: tzinfo | None, name: str) -> int:
    if moment.tzinfo is None:
        if zone is None:
            raise Refused("bad_time", f"`{name}` has no offset from UTC: write one, or set `zone` for this source")
        moment = moment.replace(tzinfo=zone)
    try:
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError as error:
        raise _unreadable(str(moment), name, "outside the years 1 to 9999") from error


def _number(value: float, name: str) -> int:
    if not abs(value) < 1e15:
        raise Refused("bad_time", f"`{name}` is no number of seconds or milliseconds since 1970")
    return int(value) if abs(value) >= _MILLISECONDS_FROM else round(value * 1000)


def _bounded(milliseconds: int, name: str) -> int:
    if 0 <= milliseconds < LATEST_MS:
        return milliseconds
    raise Refused("bad_time", f"`{name}` lies outside 1970 to 2200")


def _unreadable(text: str, name: str, why: str) -> Refused:
    return Refused("bad_time", f"`{name}`: {text[:60]!r} is {why}")
