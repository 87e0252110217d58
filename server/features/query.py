"""What a request for features asks: every parameter read once, wrong ones refused with 400."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.features.crs import named
from server.features.cursor import Cursor
from server.features.refusals import refusals
from server.problem import ProblemError
from twin.entity.index_schema import GEOMETRY
from twin.errors import MisuseError
from twin.query import cql
from twin.query.crs import CRS84, CRS84H, FeatureCrs
from twin.query.fields import Field
from twin.registry.moment import parse_moment
from twin.registry.versions import Time

LIMIT, MOST = 100, 100_000
_MOST_NAMES = 50
Box = tuple[float, float, float, float]


def refused(told: str) -> ProblemError:
    """400: a parameter that cannot be understood."""
    return ProblemError(400, "invalid_parameter", told)


@dataclass(frozen=True, slots=True)
class Span:
    """`datetime`: a moment, or an interval with either end open.

    Attributes:
        begin, end: Both inclusive, UTC; None where open. Equal for a moment.
    """

    begin: Time | None
    end: Time | None


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """`bbox`: two corners, x = east, and what heights they span in metres above the ellipsoid."""

    box: Box
    crs: FeatureCrs
    heights: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Order:
    """One key of `sortby`."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A request for features of one collection."""

    crs: FeatureCrs
    limit: int = LIMIT
    bbox: BoxFilter | None = None
    filter: cql.Node = None
    filter_crs: FeatureCrs | None = None
    sortby: tuple[Order, ...] = ()
    properties: tuple[str, ...] | None = None
    cursor: Cursor | None = None


def read_span(text: str | None) -> Span | None:
    """`datetime` (OGC API Features §7.15.4)."""
    if text is None:
        return None
    ends = text.split("/")
    if len(ends) == 1:
        time = read_moment(text, "datetime")
        return Span(time, time)
    if len(ends) != 2:
        raise refused("datetime is a moment, or two of them with a slash between.")
    begin, end = (None if one.strip() in ("", "..") else read_moment(one, "datetime") for one in ends)
    if begin is not None and end is not None and begin > end:
        raise refused("The interval of datetime ends before it begins.")
    return Span(begin, end)


def read_moment(text: str, name: str) -> Time:
    """A moment of RFC 3339."""
    try:
        return parse_moment(text[:40])
    except MisuseError:
        raise refused(f"{name}={text[:40]!r} is no time; write 2026-01-31T08:00:00Z or 2026-01-31.") from None


def read_box(text: str | None, crs_text: str | None, uris: Sequence[str]) -> BoxFilter | None:
    """`bbox` and `bbox-crs` (OGC API Features §7.15.3, Part 2 §6.4)."""
    if text is None:
        if crs_text is not None:
            raise refused("bbox-crs needs a bbox.")
        return None
    numbers = _numbers(text)
    default = CRS84 if len(numbers) == 4 else CRS84H
    crs = named(crs_text or default, uris, "bbox-crs")
    half = len(numbers) // 2
    low, high = numbers[:half], numbers[half:]
    if crs.north_first:
        low[:2], high[:2] = low[1::-1], high[1::-1]
    box = (low[0], low[1], high[0], high[1])
    _check_box(box, crs)
    heights = (low[2], high[2]) if half == 3 else None
    if heights and heights[0] > heights[1]:
        raise refused("The low height of bbox lies above the high one.")
    return BoxFilter(box, crs, heights)


def _numbers(text: str) -> list[float]:
    parts = text.split(",") if len(text) < 500 else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise refused("bbox is four numbers, or six with heights, with commas between.")
    return numbers


def _check_box(box: Box, crs: FeatureCrs) -> None:
    west, south, east, north = box
    if south > north:
        raise refused("The southern side of bbox lies north of the northern one; mind the axis order of bbox-crs.")
    if crs.crs.is_geographic:
        if not (abs(south) <= 90 and abs(north) <= 90 and abs(west) <= 180 and abs(east) <= 180):
            raise refused("bbox leaves the Earth: longitudes to 180, latitudes to 90 degrees.")
    elif west > east:
        raise refused("The western side of bbox lies east of the eastern one.")


def read_order(text: str | None, fields: Mapping[str, Field]) -> tuple[Order, ...]:
    """`sortby`: names with `+` or `-` in front (an unescaped plus arrives as a space)."""
    if text is None:
        return ()
    keys = text.split(",", _MOST_NAMES + 1)
    found = tuple(Order(key.strip().lstrip("+-").strip(), key.strip().startswith("-")) for key in keys)
    for one in found:
        field = fields.get(one.name)
        if field is None or field.is_list:
            raise refused(f"sortby: there is no property {one.name[:60]!r} to sort by; `queryables` lists them.")
    if len({one.name for one in found}) < len(found) or len(found) > _MOST_NAMES:
        raise refused("sortby names a property twice.")
    return found


def read_properties(text: str | None, fields: Mapping[str, Field]) -> tuple[str, ...] | None:
    """`properties`: which of them to write; an empty text leaves only identifier and geometry."""
    if text is None:
        return None
    names = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    for name in names:
        if name not in fields and name != GEOMETRY:
            raise refused(f"properties: there is no property {name[:60]!r}; `queryables` lists them.")
    return tuple(name for name in names if name != GEOMETRY)


def read_filter(text: str | None, language: str, crs_text: str | None, uris: Sequence[str]) -> tuple[
    cql.Node, FeatureCrs | None
]:  # fmt: skip
    """`filter`, `filter-lang` and `filter-crs` (Part 3 §7)."""
    if text is None:
        if crs_text is not None:
            raise refused("filter-crs needs a filter.")
        return None, None
    with refusals():
        node = cql.parse(text, language)
    return node, named(crs_text or CRS84, uris, "filter-crs")


def read_limit(limit: int) -> int:
    """`limit`: more than the maximum counts as the maximum (§7.15.2)."""
    return min(limit, MOST)
