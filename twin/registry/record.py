"""Writing a build's entities into the registry: only what has changed, sorted, inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.registry.matching import Anchors

HOW = ("known", "matched", "minted")
"""How an identifier was found: by its source key, by its geometry, or it is new."""

KNOWN, MATCHED, MINTED = range(3)
_MOVED_M = 0.001  # an anchor is written anew when a footprint has moved by more
ANCHOR_COLUMNS = "x, y, area, west, south, east, north"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Identifiers of the features of one source.

    Attributes:
        layer, source: Whose features.
        keys: (n,) string, source keys; null where there is no usable one.
        geids: (n,) string.
        how: (n,) dictionary<int8, string>, one of `HOW`.
        anchors: (n,) as given.
        mint_keys: Key made of the geometry, by row, of the rows that were minted by it.
    """

    layer: str
    source: str
    keys: pa.StringArray
    geids: pa.StringArray
    how: pa.DictionaryArray
    anchors: Anchors
    mint_keys: dict[int, str]


def write(
    database: sqlite3.Connection,
    resolved: Resolved,
    classes: pa.StringArray,
    lineage: Iterable[tuple[str, str, str]],
) -> str:
    """Writes what has changed since the source was last recorded; gives the digest for `seen`."""
    lineage = sorted(lineage)
    digest = _digest(resolved, classes, lineage)
    where = (resolved.layer, resolved.source)
    last = database.execute("SELECT release, digest FROM seen WHERE layer = ? AND source = ?", where).fetchone()
    if last is not None and last[1] == digest:
        return digest
    (number,) = database.execute("SELECT coalesce(max(number), 0) + 1 FROM release").fetchone()
    _write_entities(database, resolved, classes, number, number if last is None else last[0])
    _write_keys(database, resolved)
    _write_anchors(database, resolved)
    database.executemany("INSERT OR IGNORE INTO lineage VALUES (?, ?, ?)", lineage)
    return digest


def _digest(resolved: Resolved, classes: pa.StringArray, lineage: list[tuple[str, str, str]]) -> str:
    """Stands for everything that is recorded, in this order of the rows."""
    state = sha256(repr(lineage).encode())
    batch = pa.RecordBatch.from_arrays([resolved.geids, resolved.keys, classes], names=["geid", "key", "class"])
    state.update(batch.serialize())
    blank = np.flatnonzero(resolved.keys.is_null().to_numpy(zero_copy_only=False))
    state.update(np.round(resolved.anchors.take(blank).matrix() / _MOVED_M).astype(np.int64).tobytes())
    return state.hexdigest()


def _write_entities(
    database: sqlite3.Connection, resolved: Resolved, classes: pa.StringArray, number: int, last: int
) -> None:
    sql = "SELECT geid, entity_class, last_release FROM entity WHERE layer = ? AND source = ?"
    rows = database.execute(sql, (resolved.layer, resolved.source)).fetchall()
    before = {geid: (kind, gone) for geid, kind, gone in rows}
    names, kinds = resolved.geids.to_pylist(), classes.to_pylist()
    alive = {kind: (kind, None) for kind in set(kinds)}
    changed = [row for row, name in enumerate(names) if before.get(name) != alive[kinds[row]]]
    _insert(
        database,
        "INSERT INTO entity SELECT {0}, ?, {1}, ?, {2}, ?, NULL FROM rows WHERE true"
        " ON CONFLICT (geid) DO UPDATE SET entity_class = excluded.entity_class, last_release = NULL",
        _sorted(pa.table({"geid": resolved.geids, "kind": classes, "key": resolved.keys}), changed),
        (resolved.layer, resolved.source, number),
    )
    now = set(names)
    gone = sorted(geid for geid, (_, released) in before.items() if released is None and geid not in now)
    database.executemany("UPDATE entity SET last_release = ? WHERE geid = ?", [(last, geid) for geid in gone])


def _sorted(table: pa.Table, rows: Sequence[int] | NDArray[np.int64]) -> pa.Table:
    """Some rows, sorted by the first column: SQLite appends to the end of the tree instead of searching in it."""
    return table.take(pa.array(rows, pa.int64())).sort_by(table.column_names[0])


def _insert(database: sqlite3.Connection, sql: str, table: pa.Table, values: tuple[object, ...]) -> None:
    """Runs an insert with all rows of a table in one statement: SQLite takes them in without asking Python for each.

    Args:
        sql: `{0}`, `{1}`... stand for the columns, `rows` for the table.
        table: What to insert; text.
        values: Of the other parameters.
    """
    if not len(table):
        return
    columns = [f"json_extract(value, '$[{number}]')" for number in range(table.num_columns)]
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    database.execute(
        sql.format(*columns).replace("FROM rows", "FROM json_each(?)"), (*values, json.dumps(rows, ensure_ascii=False))
    )


def _write_keys(database: sqlite3.Connection, resolved: Resolved) -> None:
    minted = np.asarray(resolved.how.indices) == MINTED
    rows = np.flatnonzero(minted & resolved.keys.is_valid().to_numpy(zero_copy_only=False))
    table = _sorted(pa.table({"key": resolved.keys, "geid": resolved.geids}), rows)
    _insert(database, "INSERT OR IGNORE INTO source_key SELECT ?, {0}, {1} FROM rows", table, (resolved.source,))


def write_aliases(database: sqlite3.Connection, scheme: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Makes values of a scheme stand for the entities given with them, and for no others; (value, geid) pairs."""
    wanted = set(pairs)
    stored = set(database.execute("SELECT value, geid FROM alias WHERE scheme = ?", (scheme,)))
    values = {value for value, _ in wanted}
    moved = sorted(pair for pair in stored - wanted if pair[0] in values)
    database.executemany(
        "DELETE FROM alias WHERE scheme = ? AND value = ? AND geid = ?", ((scheme, *pair) for pair in moved)
    )
    new = ((scheme, *pair) for pair in sorted(wanted - stored))
    database.executemany("INSERT INTO alias VALUES (?, ?, ?)", new)


def _write_anchors(database: sqlite3.Connection, resolved: Resolved) -> None:
    blank = np.flatnonzero(resolved.keys.is_null().to_numpy(zero_copy_only=False))
    if not len(blank):
        return
    names = resolved.geids.take(pa.array(blank)).to_pylist()
    places = resolved.anchors.take(blank).matrix()
    sql = f"SELECT geid, {ANCHOR_COLUMNS} FROM anchor WHERE layer = ? AND source = ?"  # noqa: S608
    before = {row[0]: row[1:] for row in database.execute(sql, (resolved.layer, resolved.source))}
    nowhere = (np.inf,) * 7
    old = np.array([before.get(name, nowhere) for name in names], dtype=np.float64)
    moved = np.flatnonzero(~(np.abs(old - places) <= _MOVED_M).all(axis=1)).tolist()
    moved.sort(key=names.__getitem__)
    where, minted = (resolved.layer, resolved.source), resolved.mint_keys
    rows = (
        (names[at], *where, minted.get(row, ""), *place)
        for at, row, place in zip(moved, blank[moved].tolist(), places[moved].tolist(), strict=True)
    )
    database.executemany(
        "INSERT INTO anchor VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (geid) DO UPDATE SET"
        " x = excluded.x, y = excluded.y, area = excluded.area, west = excluded.west, south = excluded.south,"
        " east = excluded.east, north = excluded.north",
        rows,
    )
