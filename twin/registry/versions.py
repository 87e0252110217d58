"""What a history of entities is made of (editions, versions on two time axes, lineage), and what a backend answers."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import pyarrow as pa

from twin.entity.index_schema import INDEX_FIELDS

Time = datetime.datetime

TIME = pa.timestamp("us", tz="UTC")
"""Moments as stored: microseconds, UTC."""

# What is drawn how, and the lower end: it is what `height` has more than `base_m`.
_NOT_OF_THE_THING = ("tile", "row", "geometry", "outcome", "reasons", "lod", "min_height_m")

VERSION_FIELDS: tuple[pa.Field, ...] = (
    *(field for field in INDEX_FIELDS if field.name not in _NOT_OF_THE_THING),
    pa.field("grade", pa.string()),  # grade label of the entity; null: that of the project
    pa.field("attributes", pa.string()),  # JSON object: attributes of the source by their names
    pa.field("provenance", pa.string()),  # JSON object: attribute -> where it comes from
    pa.field("geometry", pa.binary()),  # WKB in the working CRS, polygons with closed rings; null: none
    pa.field("valid_from", TIME),
    pa.field("valid_to", TIME),  # null: until further notice
    pa.field("present", pa.bool_()),  # False: it was not there in this span (retired, gone)
)
"""Columns of a table of versions: what is asserted of an entity for the span [valid_from, valid_to)."""

RECORDED_FIELDS: tuple[pa.Field, ...] = (
    *VERSION_FIELDS,
    pa.field("edition", pa.int64()),  # the edition that asserts it
    pa.field("recorded_at", TIME),  # when that was
)
"""Columns of what a history answers."""


class EditionKind(StrEnum):
    """Why something was written."""

    ADOPT = "adopt"  # the served release became the beginning of the history
    UPDATE = "update"  # a new edition of a survey
    AREAS = "areas"  # districts, subdistricts, grids
    CORRECTION = "correction"  # what was said of a span turned out wrong
    UNDO = "undo"  # an edition was taken back


class Relation(StrEnum):
    """How an entity that is gone relates to those after it: `geid` -> `other`."""

    SPLIT_INTO = "split_into"
    MERGED_INTO = "merged_into"
    REPLACED_BY = "replaced_by"


@dataclass(frozen=True, slots=True)
class Edition:
    """One transaction of the history: all or nothing, never altered afterwards.

    Attributes:
        number: 1, 2, 3... in the order of recording.
        kind: Why it was written.
        name: What people call it, for example "2026 spring survey".
        recorded_at: When we knew; strictly later than that of the edition before, UTC.
        valid_from: From when on what it says was so, UTC.
        note: Free text.
        undoes: Number of the edition it takes back; None otherwise.
    """

    number: int
    kind: EditionKind
    name: str
    recorded_at: Time
    valid_from: Time
    note: str = ""
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """A step from one entity to another.

    Attributes:
        geid: The entity that ended.
        relation: How.
        other: The entity after it.
        edition: Which edition says so.
    """

    geid: str
    relation: Relation
    other: str
    edition: int


class Pen(Protocol):
    """Writes one edition inside its transaction."""

    @property
    def edition(self) -> Edition:
        """The edition being written."""

    def assert_versions(self, versions: pa.Table) -> None:
        """Adds assertions: `VERSION_FIELDS`, any order of columns; missing ones are null, `valid_from` that of the
        edition, `present` True.

        Raises:
            MisuseError: A geid is malformed or stands twice for overlapping spans, or a span is empty.
        """

    def lineage(self, steps: Iterable[tuple[str, Relation, str]]) -> None:
        """Adds steps (geid, relation, other)."""

    def bridge(self, records: pa.Table) -> None:
        """Adds the bridge of a source: columns `source`, `source_key`, `geid`, `change` (text, how it was classed)."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which versions are wanted.

    Attributes:
        valid: Moment in the world; None: now.
        as_of: What was known then; None: all that is known.
        bbox: West, south, east, north in degrees; None: everywhere.
        classes: Entity classes; None: all.
        geids: Only these; None: all.
        after: Only geids that sort after this one: pages are stable.
        limit: At most so many, in the order of geids; None: all.
    """

    valid: Time | None = None
    as_of: Time | None = None
    bbox: tuple[float, float, float, float] | None = None
    classes: tuple[str, ...] | None = None
    geids: tuple[str, ...] | None = None
    after: str | None = None
    limit: int | None = None


@runtime_checkable
class History(Protocol):
    """The space-time record of a district. Append-only: an answer for a pair of times never changes.

    Of the assertions on an entity recorded by `as_of` whose span holds `valid`, the one of the latest edition counts.
    `present = False` means that it was not there.
    """

    def write(
        self,
        kind: EditionKind,
        name: str,
        valid_from: Time,
        note: str = "",
        undoes: int | None = None,
    ) -> AbstractContextManager[Pen]:
        """Opens the transaction of a new edition; leaving it by an error undoes it as a whole.

        Two writers wait for each other, then refuse: `StoreError`.
        """

    def editions(self) -> Sequence[Edition]:
        """Every edition, oldest first."""

    def undo(self, number: int, name: str = "") -> Edition:
        """Takes back the last edition that is not undone: asserts again what was believed of its entities before.

        Raises:
            MisuseError: It is not the last one, or there is none.
        """

    def snapshot(self, window: Window = Window(), fields: Sequence[str] = ()) -> pa.Table:
        """Entities present at a pair of times, sorted by geid: `RECORDED_FIELDS`, or only those that are named."""

    def entity(self, geid: str, valid: Time | None = None, as_of: Time | None = None) -> pa.Table:
        """What is asserted of one entity for a pair of times: one row, also with `present` False, or none."""

    def versions(self, geid: str, as_of: Time | None = None) -> pa.Table:
        """Every assertion on an entity recorded by `as_of`, oldest first: `RECORDED_FIELDS`."""

    def during(self, begin: Time | None = None, end: Time | None = None, as_of: Time | None = None) -> pa.Table:
        """Every assertion recorded by `as_of` whose span meets an interval, both ends inclusive, None where open.

        By geid, then edition: `RECORDED_FIELDS`. Nothing is weighed up: several editions may speak of one moment.
        """

    def lineage(self, geid: str) -> Sequence[Lineage]:
        """Steps from and to an entity."""

    def successors(self, geid: str) -> Sequence[str]:
        """What stands today for an entity that is gone: followed over several steps, undone editions left out."""

    def bridge(self, edition: int) -> pa.Table:
        """The bridge of an edition: `source`, `source_key`, `geid`, `change`."""

    def verify(self) -> Sequence[str]:
        """Sentences about what is broken; empty where the history is whole."""

    def close(self) -> None:
        """Closes the connection."""
