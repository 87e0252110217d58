"""The questions put to a history, as SQL that every database understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, exists, select

from twin.registry.history_dialect import Box, Dialect
from twin.registry.history_tables import RECORDED, edition_table, version_table
from twin.registry.versions import Window

_V = version_table.c


_VALID = bindparam("valid", type_=BigInteger)
_EDITION = bindparam("edition", type_=BigInteger)


def _columns(names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [edition_table.c.recorded_at if name == "recorded_at" else _V[name] for name in names]


def _recorded() -> Select[Any]:
    """Versions with the time they were recorded: columns as in `RECORDED_FIELDS`."""
    return select(*_columns(RECORDED.names)).join_from(
        version_table, edition_table, edition_table.c.number == _V.edition
    )


def _believed(after: str = "") -> ColumnElement[bool]:
    """Versions that count at `valid`, as known with `edition`: no later one speaks of the same moment.

    Args:
        after: Only identifiers that sort after this one matter. PostgreSQL reads a page and what may overrule it side
            by side, in the order of identifiers: told nothing, it would begin the second one at the beginning.
    """
    later = version_table.alias("later")
    overruled = exists().where(
        later.c.geid == _V.geid,
        later.c.edition > _V.edition,
        later.c.edition <= _EDITION,
        later.c.valid_from <= _VALID,
        later.c.valid_to > _VALID,
        *((later.c.geid > after,) if after else ()),
    )
    return and_(_V.edition <= _EDITION, _V.valid_from <= _VALID, _V.valid_to > _VALID, ~overruled)


# Made once: SQLAlchemy takes longer to put a statement together than the database to answer for one entity.
_ALL = _recorded()
_PRESENT = _ALL.where(_believed(), _V.present).order_by(_V.geid)

ENTITY = _ALL.where(_V.geid == bindparam("geid"), _believed())
"""What counts of one entity, there or not. Parameters: geid, valid (microseconds), edition (the last one known)."""

ASSERTIONS = _ALL.where(_V.geid == bindparam("geid"), _V.edition <= _EDITION).order_by(_V.edition, _V.valid_from)
"""Every assertion on an entity, oldest first. Parameters: geid, edition."""

DURING = _ALL.where(
    _V.edition <= _EDITION, _V.valid_from <= bindparam("until", type_=BigInteger), _V.valid_to > _VALID
).order_by(_V.geid, _V.edition, _V.valid_from)
"""Every assertion on a span that meets an interval. Parameters: valid (its begin), until (inclusive), edition."""


def snapshot(dialect: Dialect, window: Window, fields: Sequence[str] = RECORDED.names) -> Select[Any]:
    """Some fields of the entities present at a pair of times, in the order of geids. Parameters: valid, edition."""
    query = (_PRESENT if window.after is None else _page(window.after)).with_only_columns(*_columns(fields))
    if window.bbox is not None:
        query = query.where(dialect.within(window.bbox), _touches(window.bbox))
    if window.classes is not None:
        query = query.where(_V.entity_class.in_(window.classes))
    if window.geids is not None:
        query = query.where(dialect.among(_V.geid, window.geids))
    return query if window.limit is None else query.limit(window.limit)


def _page(after: str) -> Select[Any]:
    return _ALL.where(_believed(after), _V.present, _V.geid > after).order_by(_V.geid)


def _touches(box: Box) -> ColumnElement[bool]:
    """Exactly; the index by place is only about right."""
    west, south, east, north = box
    return and_(_V.east >= west, _V.west <= east, _V.north >= south, _V.south <= north)


def of_edition(first: int, count: int) -> Select[Any]:
    """What an edition asserts, from its range of ids."""
    return _ALL.where(_V.id >= first, _V.id < first + count).order_by(_V.id)


def before_edition(first: int, count: int, edition: int) -> Select[Any]:
    """What earlier editions assert on the entities an edition speaks of, by geid, the latest first."""
    touched = version_table.alias("touched")
    names = select(touched.c.geid).where(touched.c.id >= first, touched.c.id < first + count)
    found = _ALL.where(_V.geid.in_(names), _V.edition < edition)
    return found.order_by(_V.geid, _V.edition.desc(), _V.valid_from)
