"""What a request for reports asks: every parameter read once, the same way for lists, states and streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from server.context import Context
from server.features.query import read_box, read_moment, read_span, refused
from server.live.select import Region, Selection
from server.releases import OpenRelease
from twin.entity import geid as geids
from twin.entity.areas import AREA_CLASS
from twin.entity.index_schema import GEOMETRY
from twin.entity.rows import polygons
from twin.live.model import SEVERITIES, STATUSES, Filter
from twin.query.crs import CRS84, CRS84H

#: Parameters of a stream; a list takes these and more.
STREAM_TEXTS = {
    "bbox": "West, south, east, north, degrees",
    "kind": "Kinds, with commas between",
    "status": "Statuses, with commas between",
    "severity": "Severities, with commas between",
    "source": "Sources, with commas between",
    "entity": "geids, with commas between",
    "area": "geid of an area",
    "linked": "`true`: only reports with an entity; `false`: only those without",
}
STREAM = tuple(STREAM_TEXTS)
_MOST_WORDS = 50
_MOST_GEIDS = 500
_LONGEST_TEXT = 200
_LONGEST_QUERY = 8000


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters, as text."""

    bbox: str | None = None
    datetime: str | None = None
    kind: str | None = None
    status: str | None = None
    severity: str | None = None
    source: str | None = None
    entity: str | None = None
    area: str | None = None
    case: str | None = None
    open: str | None = None
    linked: str | None = None
    q: str | None = None
    as_of: str | None = None

    def filter(self) -> Filter:
        """The part the store understands.

        Raises:
            ProblemError: 400 for what cannot be understood.
        """
        box = read_box(self.bbox, None, (CRS84, CRS84H)) if self.bbox else None
        since, until = _span(self.datetime)
        return Filter(
            kinds=_words("kind", self.kind),
            statuses=_words("status", self.status, STATUSES),
            severities=_words("severity", self.severity, SEVERITIES),
            sources=_words("source", self.source),
            geids=_geids(self.entity),
            box=None if box is None else box.box,
            since_ms=since,
            until_ms=until,
            as_of_ms=None if self.as_of is None else to_ms(read_moment(self.as_of, "as-of")),
            open=_flag("open", self.open),
            linked=_flag("linked", self.linked),
            text=_text(self.q),
            case=self._case(),
        )

    def selection(self, context: Context) -> Selection:
        """All of it; the outline of an area is taken from the served release.

        Raises:
            ProblemError: 400, and 404 where there is no such area.
        """
        wanted = self.filter()
        if self.area is None:
            return Selection(wanted)
        with context.releases.reading() as release:
            return inside(Selection(wanted), area_region(release, [self.area]))

    def _case(self) -> tuple[str, str] | None:
        if self.case is None:
            return None
        if self.source is None or "," in self.source:
            raise refused("case needs the source it belongs to: one `source`.")
        return self.source, self.case[:_LONGEST_TEXT]


def read_query(query: bytes, allowed: Collection[str]) -> dict[str, str]:
    """Parameters of a raw query, each allowed and once.

    Raises:
        ProblemError: 400.
    """
    if len(query) > _LONGEST_QUERY:
        raise refused("The query is too long.")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            raise refused(f"Unknown query parameter {name[:40]!r}; allowed: {', '.join(allowed)}.")
        if name in found:
            raise refused(f"The query parameter {name!r} is given more than once.")
        found[name] = value
    return found


def asked_of_stream(parameters: Mapping[str, str]) -> Asked:
    """What a stream is asked."""
    return Asked(**{name: parameters[name] for name in STREAM if name in parameters})


def inside(selection: Selection, region: Region) -> Selection:
    """A selection with one more region; its bounds spare the store most of what lies outside."""
    wanted = selection.filter
    if wanted.box is None and region.outline is not None:
        west, south, east, north = region.outline.bounds
        wanted = replace(wanted, box=(west, south, east, north))
    return Selection(wanted, (*selection.regions, region))


def area_region(release: OpenRelease, names: Sequence[str]) -> Region:
    """Entities with an outline as a region, in degrees, prepared for many questions.

    Raises:
        ProblemError: 400 where a text is no identifier, or the release has no outline of it.
    """
    wrong = next((name for name in names if not geids.check(name)), None)
    if wrong is not None:
        raise refused(f"area={wrong[:40]!r} is no identifier of an entity.")
    found = [row for name in names if (row := release.index.find(name)) is not None]
    projection = release.projection
    shape = shapely.union_all(polygons(release.index.table[GEOMETRY], np.array(found, dtype=np.int64)))
    if projection is None or shape.is_empty:
        raise refused("area names no entity of this release that has an outline.")
    outline = shapely.transform(shape, lambda xy: np.column_stack(projection.to_lonlat(xy[:, 0], xy[:, 1])))
    shapely.prepare(outline)
    return Region(frozenset(map(geids.normalise, names)), outline)


def with_parts(release: OpenRelease, geid: str) -> tuple[frozenset[str], bool]:
    """An entity with everything that is part of it: storeys, components; and whether it is an area.

    An area has the whole district as its parts; it is asked by its outline instead.
    """
    index = release.index
    row = index.find(geid)
    if row is None:
        return frozenset({geid}), False
    if index.table["entity_class"][row].as_py() == AREA_CLASS:
        return frozenset({geid}), True
    found = pa.array([geid])
    while True:
        below = index.table["geid"].filter(pc.fill_null(pc.is_in(index.table["parent"], found), False))
        grown = pc.unique(pa.concat_arrays([found, *below.chunks]))
        if len(grown) == len(found) or len(grown) > _MOST_GEIDS:
            return frozenset(found.to_pylist()), False
        found = grown


def to_ms(time: datetime) -> int:
    """Milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def from_ms(ms: int | None) -> str | None:
    """RFC 3339 in UTC."""
    if ms is None:
        return None
    told = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return told.replace("+00:00", "Z")


def _span(text: str | None) -> tuple[int | None, int | None]:
    """From, and before: the end of an interval belongs to it."""
    span = read_span(text)
    if span is None:
        return None, None
    since = None if span.begin is None else to_ms(span.begin)
    return since, None if span.end is None else to_ms(span.end) + 1


def _words(name: str, text: str | None, known: Collection[str] | None = None) -> frozenset[str] | None:
    if text is None:
        return None
    words = frozenset(word.strip() for word in text.split(",") if word.strip())
    if not words or len(words) > _MOST_WORDS or len(text) > _LONGEST_TEXT * _MOST_WORDS:
        raise refused(f"{name} is a list of words with commas between, at most {_MOST_WORDS}.")
    strange = sorted(words - frozenset(known or words))
    if strange:
        raise refused(f"{name}={strange[0][:40]!r} is none of {', '.join(known or ())}.")
    return words


def _geids(text: str | None) -> frozenset[str] | None:
    words = _words("entity", text)
    if words is None:
        return None
    wrong = next((word for word in sorted(words) if not geids.check(word)), None)
    if wrong is not None:
        raise refused(f"entity={wrong[:40]!r} is no identifier of an entity.")
    return frozenset(map(geids.normalise, words))


def _flag(name: str, text: str | None) -> bool | None:
    if text is None:
        return None
    if text not in ("true", "false"):
        raise refused(f"{name} is true or false.")
    return text == "true"


def _text(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    if len(text) > _LONGEST_TEXT:
        raise refused(f"q is longer than {_LONGEST_TEXT} characters.")
    return text.strip()
