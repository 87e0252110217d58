"""Proves that a history is whole, or says in sentences what is broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import shapely
from sqlalchemy import Connection, Table, func, or_, select

from twin.registry.history_dialect import Dialect
from twin.registry.history_rows import are_geids
from twin.registry.history_tables import bridge_table, edition_table, lineage_table, version_table
from twin.registry.versions import EditionKind, Relation

_BLOCK = 20_000
_SOME = 5  # so many of a kind are named


def verify(connection: Connection, dialect: Dialect) -> list[str]:
    """Every check, from the database itself to the single geometry; empty where the history is whole."""
    checks: tuple[Callable[[Connection], list[str]], ...] = (_editions, _counts, _spans, _overlaps, _lineage, _bridge)
    found = dialect.damage(connection)
    for check in checks:
        found += check(connection)
    return found + _contents(connection)


def _editions(connection: Connection) -> list[str]:
    """Numbers without a gap, moments that rise, kinds that are known, undos that fit."""
    rows = connection.execute(select(edition_table).order_by(edition_table.c.number)).all()
    found, kinds = [], {row.number: row.kind for row in rows}
    for before, row in zip([None, *rows], rows, strict=False):
        expected = 1 if before is None else before.number + 1
        if row.number != expected:
            found.append(f"edition {expected} is missing: edition {row.number} follows")
        if before is not None and row.recorded_at <= before.recorded_at:
            found.append(f"edition {row.number} was recorded no later than edition {before.number}")
        if row.kind not in set(EditionKind):
            found.append(f"edition {row.number} is of the unknown kind {row.kind!r}")
        if (row.kind == EditionKind.UNDO) != (row.undoes is not None):
            found.append(f"edition {row.number} of kind {row.kind!r} says it undoes {row.undoes}")
        taken = row.undoes is not None
        if taken and (row.undoes >= row.number or kinds.get(row.undoes, EditionKind.UNDO) == EditionKind.UNDO):
            found.append(f"edition {row.number} undoes {row.undoes}, which is no edition before it that can be undone")
    twice = [number for number, times in Counter(row.undoes for row in rows if row.undoes).items() if times > 1]
    return found + [f"edition {number} is undone more than once" for number in twice]


def _counts(connection: Connection) -> list[str]:
    """Every row belongs to an edition, and every edition has as many as it counted."""
    c = edition_table.c
    found = []
    for table, column, noun in (
        (version_table, c.versions, "versions"),
        (lineage_table, c.steps, "steps of lineage"),
        (bridge_table, c.records, "bridge records"),
    ):
        counted: dict[int, int] = {row[0]: row[1] for row in connection.execute(select(c.number, column))}
        there = _by_edition(connection, table)
        for number in sorted(counted.keys() | there.keys()):
            if number not in counted:
                found.append(f"{there[number]} {noun} belong to edition {number}, which is not there")
            elif counted[number] != there.get(number, 0):
                found.append(f"edition {number} wrote {counted[number]} {noun}, {there.get(number, 0)} are there")
    return found + _ranges(connection)


def _by_edition(connection: Connection, table: Table) -> dict[int, int]:
    rows = connection.execute(select(table.c.edition, func.count()).group_by(table.c.edition))
    return {row[0]: row[1] for row in rows}


def _ranges(connection: Connection) -> list[str]:
    """Ids of an edition are the range it says."""
    v, c = version_table.c, edition_table.c
    outside = or_(v.id < c.first_version, v.id >= c.first_version + c.versions)
    wanted = select(v.id, v.edition).join_from(version_table, edition_table, c.number == v.edition).where(outside)
    return [f"version {row[0]} lies outside the range of edition {row[1]}" for row in _few(connection, wanted)]


def _few(connection: Connection, wanted: Any) -> Sequence[Any]:
    return connection.execute(wanted.limit(_SOME)).all()


def _spans(connection: Connection) -> list[str]:
    v = version_table.c
    wanted = select(v.id, v.geid).where(v.valid_to <= v.valid_from)
    return [f"version {row[0]} of {row[1]} ends before it begins" for row in _few(connection, wanted)]


def _overlaps(connection: Connection) -> list[str]:
    one, other = version_table.alias("one").c, version_table.alias("other").c
    wanted = select(one.geid, one.edition).where(
        other.geid == one.geid,
        other.edition == one.edition,
        other.id > one.id,
        other.valid_from < one.valid_to,
        one.valid_from < other.valid_to,
    )
    return [f"edition {row[1]} asserts {row[0]} twice for one moment" for row in _few(connection, wanted)]


def _lineage(connection: Connection) -> list[str]:
    c = lineage_table.c
    known = select(version_table.c.geid)
    orphans = select(c.geid, c.relation, c.other).where(or_(c.geid.not_in(known), c.other.not_in(known)))
    strange = select(c.geid, c.relation, c.other).where(c.relation.not_in([one.value for one in Relation]))
    return [
        *(f"the step {' '.join(row)} speaks of an entity without a version" for row in _few(connection, orphans)),
        *(f"the step {' '.join(row)} is of an unknown kind" for row in _few(connection, strange)),
    ]


def _bridge(connection: Connection) -> list[str]:
    c = bridge_table.c
    wanted = select(c.edition, c.geid).where(c.geid.not_in(select(version_table.c.geid)))
    return [f"the bridge of edition {row[0]} names {row[1]}, which has no version" for row in _few(connection, wanted)]


def _contents(connection: Connection) -> list[str]:
    """What is in the versions, a block at a time: identifiers, JSON, geometry."""
    v = version_table.c
    columns = (v.id, v.geid, v.aliases, v.attributes, v.provenance, v.geometry)
    found: list[str] = []
    last = 0
    while len(found) < 100:
        rows = connection.execute(select(*columns).where(v.id > last).order_by(v.id).limit(_BLOCK)).all()
        if not rows:
            break
        last = rows[-1][0]
        found += _block(*zip(*rows, strict=True))
    return found


def _block(
    ids: Sequence[int],
    names: Sequence[str],
    aliases: Sequence[str | None],
    attributes: Sequence[str | None],
    provenance: Sequence[str | None],
    geometry: Sequence[bytes | None],
) -> Iterator[str]:
    strange = np.flatnonzero(~are_geids(pa.array(names, pa.string())))
    yield from (f"version {ids[row]} has the malformed geid {names[row]!r}" for row in strange[:_SOME])
    for column, texts, kind in (
        ("aliases", aliases, list),
        ("attributes", attributes, dict),
        ("provenance", provenance, dict),
    ):
        wrong = [row for row, text in enumerate(texts) if text is not None and not _is_json(text, kind)]
        yield from (f"version {ids[row]} has {column} that are no JSON {kind.__name__}" for row in wrong[:_SOME])
    there = np.array([row for row, shape in enumerate(geometry) if shape is not None], dtype=np.int64)
    shapes = shapely.from_wkb(np.array([geometry[row] for row in there], dtype=object), on_invalid="ignore")
    yield from (
        f"version {ids[row]} has a geometry that is no WKB" for row in there[shapely.is_missing(shapes)][:_SOME]
    )


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(orjson.loads(text), kind)
    except orjson.JSONDecodeError:
        return False
