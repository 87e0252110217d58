"""What the registry knows of an entity, and the ways a text can name one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twin.entity import geid as geids
from twin.entity.aliases import scheme_of

Rows = Callable[..., list[Any]]
"""Runs a query with its values."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry knows of an entity; times are UTC, ISO 8601.

    Attributes:
        geid, layer, entity_class: What it is.
        source, key: Where it comes from; the key is None if it is known by its geometry.
        first_seen, first_release: The build that brought it.
        last_seen, last_release: The last build that had it.
        retired: True if the last build of its source no longer had it; its identifier still answers.
        aliases: (scheme, value) pairs.
        lineage: (relation, other) pairs.
    """

    geid: str
    layer: str
    entity_class: str | None
    source: str
    key: str | None
    first_seen: str
    first_release: str
    last_seen: str
    last_release: str
    retired: bool
    aliases: tuple[tuple[str, str], ...] = ()
    lineage: tuple[tuple[str, str], ...] = ()


def entity(rows: Rows, geid: str) -> Known | None:
    """The entity of an identifier in any spelling."""
    if not geids.check(geid):
        return None
    name = geids.normalise(geid)
    found = rows("SELECT * FROM entity_seen WHERE geid = ?", name)
    if not found:
        return None
    lineage = tuple(rows("SELECT relation, other FROM lineage WHERE geid = ? ORDER BY relation, other", name))
    layer, kind, source, key, first_seen, first_release, last_seen, last_release, retired = found[0][1:]
    return Known(
        geid=name,
        layer=layer,
        entity_class=kind,
        source=source,
        key=key,
        first_seen=first_seen,
        first_release=first_release,
        last_seen=last_seen,
        last_release=last_release,
        retired=bool(retired),
        aliases=aliases(rows, name),
        lineage=lineage,
    )


def aliases(rows: Rows, geid: str) -> tuple[tuple[str, str], ...]:
    """(scheme, value) pairs of an identifier, sorted."""
    return tuple(rows("SELECT scheme, value FROM alias WHERE geid = ? ORDER BY scheme, value", geid))


def alias(rows: Rows, scheme: str, value: str) -> str | None:
    """The identifier a code of another scheme stands for; None where that is none, or several."""
    found = _bearers(rows, scheme, value)
    return found[0] if len(found) == 1 else None


def _bearers(rows: Rows, scheme: str, value: str) -> tuple[str, ...]:
    sql = "SELECT geid FROM alias WHERE scheme = ? AND value = ? ORDER BY geid LIMIT 101"
    return tuple(geid for (geid,) in rows(sql, scheme, value))


def lookup(rows: Rows, text: str) -> str | None:
    """The identifier a text stands for; see `Registry.lookup`."""
    found = named(rows, text)
    return found[0] if len(found) == 1 else None


def named(rows: Rows, text: str) -> tuple[str, ...]:
    """Identifiers a text may stand for: the first reading that gives any, of geid, prefixed and bare alias."""
    if geids.check(text):
        name = geids.normalise(text)
        if rows("SELECT 1 FROM entity WHERE geid = ?", name):
            return (name,)
    return _prefixed(rows, text) or _bare(rows, text)


def _prefixed(rows: Rows, text: str) -> tuple[str, ...]:
    """`source:key` or `scheme:value`; either part may hold colons, those of a scheme are kept as points."""
    for at in (i for i, letter in enumerate(text) if letter == ":"):
        first, second = text[:at], text[at + 1 :]
        found = rows("SELECT geid FROM source_key WHERE source = ? AND key = ?", first, second)
        names = (str(found[0][0]),) if found else _bearers(rows, scheme_of(first), second)
        if names:
            return names
    return ()


def _bare(rows: Rows, text: str) -> tuple[str, ...]:
    sql = "SELECT DISTINCT geid FROM alias WHERE value = ? ORDER BY geid LIMIT 101"
    return tuple(geid for (geid,) in rows(sql, text))


def is_later(rows: Rows, geid: str, release: str) -> bool:
    """True if the entity was first seen by a build after the last one that gave the release."""
    sql = "SELECT e.first_release > (SELECT max(number) FROM release WHERE id = ?) FROM entity e WHERE e.geid = ?"
    found = rows(sql, release, geid)
    return bool(found and found[0][0])


def runner(database: sqlite3.Connection, fail: Callable[[sqlite3.Error], Exception]) -> Rows:
    """Queries on a connection whose errors say what to do next; text that cannot be stored finds nothing."""

    def rows(sql: str, *values: Any) -> list[Any]:
        try:
            return database.execute(sql, values).fetchall()
        except UnicodeEncodeError:
            return []
        except sqlite3.Error as error:
            raise fail(error) from error

    return rows
