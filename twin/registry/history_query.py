"""The questions put to a history, as SQL that every database understands."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, select

from twin.registry.history_dialect import Box, Dialect
from twin.registry.history_tables import RECORDED, edition_table, version_table
from twin.registry.versions import Window

_V = version_table.c


def recorded() -> Select[Any]:
    """Versions with the time they were recorded: columns as in `RECORDED_FIELDS`."""
    columns = [edition_table.c.recorded_at if name == "recorded_at" else _V[name] for name in RECORDED.names]
    return select(*columns).join_from(version_table, edition_table, edition_table.c.number == _V.edition)


def believed(valid: int, edition: int) -> ColumnElement[bool]:
    """Versions that count at a moment, as known with an edition: no later one speaks of the same moment.

    Args:
        valid: Microseconds since 1970 UTC.
        edition: Number of the last edition that was recorded then.
    """
    later = version_table.alias("later")
    overruled = exists().where(
        later.c.geid == _V.geid,
        later.c.edition > _V.edition,
        later.c.edition <= edition,
        later.c.valid_from <= valid,
        later.c.valid_to > valid,
    )
    return and_(_V.edition <= edition, _V.valid_from <= valid, _V.valid_to > valid, ~overruled)


def snapshot(dialect: Dialect, window: Window, valid: int, edition: int) -> Select[Any]:
    """Entities present at a pair of times, in the order of geids."""
    query = recorded().where(believed(valid, edition), _V.present)
    if window.bbox is not None:
        query = query.where(dialect.within(window.bbox), _touches(window.bbox))
    if window.classes is not None:
        query = query.where(_V.entity_class.in_(window.classes))
    if window.geids is not None:
        query = query.where(dialect.among(_V.geid, window.geids))
    if window.after is not None:
        query = query.where(_V.geid > window.after)
    return query.order_by(_V.geid).limit(window.limit)


def _touches(box: Box) -> ColumnElement[bool]:
    """Exactly; the index by place is only about right."""
    west, south, east, north = box
    return and_(_V.east >= west, _V.west <= east, _V.north >= south, _V.south <= north)


def of_entity(geid: str, edition: int) -> Select[Any]:
    """Every assertion on an entity up to an edition, oldest first."""
    found = recorded().where(_V.geid == geid, _V.edition <= edition)
    return found.order_by(_V.edition, _V.valid_from)


def of_edition(first: int, count: int) -> Select[Any]:
    """What an edition asserts, from its range of ids."""
    return recorded().where(_V.id >= first, _V.id < first + count).order_by(_V.id)


def before_edition(first: int, count: int, edition: int) -> Select[Any]:
    """What earlier editions assert on the entities an edition speaks of, by geid, the latest first."""
    touched = version_table.alias("touched")
    names = select(touched.c.geid).where(touched.c.id >= first, touched.c.id < first + count)
    found = recorded().where(_V.geid.in_(names), _V.edition < edition)
    return found.order_by(_V.geid, _V.edition.desc(), _V.valid_from)


def one(geid: str, valid: int, edition: int) -> Select[Any]:
    """What counts of one entity at a pair of times, there or not."""
    return recorded().where(_V.geid == geid, believed(valid, edition))
