"""Writing a build's entities into the registry: only what has changed, sorted, inside the caller's transaction."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.registry.matching import Anchors

HOW = ("known", "matched", "minted")
"""How an identifier was found: by its source key, by its geometry, or it is new."""

KNOWN, MATCHED, MINTED = range(3)
MOVED_M = 0.001  # an anchor is written anew when a footprint has moved by more
_AT_ONCE = 65_536  # rows in one statement
_ESCAPED = r'[\x00-\x1f"\\]'  # what JSON does not take as it is
ANCHOR_COLUMNS = "x, y, area, west, south, east, north"
_PLACE = (
    "INSERT INTO anchor VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (geid) DO UPDATE SET"
    " x = excluded.x, y = excluded.y, area = excluded.area, west = excluded.west, south = excluded.south,"
    " east = excluded.east, north = excluded.north"
)


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


def kinds_of(resolved: Resolved, classes: pa.Array | pa.ChunkedArray | None) -> pa.StringArray:
    """Entity classes as one array of text, null where none are given."""
    kinds = pa.nulls(len(resolved.geids), pa.string()) if classes is None else classes.cast(pa.string())
    return pa.concat_arrays(kinds.chunks or [pa.nulls(0, pa.string())]) if isinstance(kinds, pa.ChunkedArray) else kinds


def stamp_of(time: datetime.datetime | None) -> str:
    """A moment (None: now) as it is stored: UTC, ISO 8601, whole seconds."""
    moment = (time or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def write(
    database: sqlite3.Connection,
    resolved: Resolved,
    classes: pa.StringArray,
    lineage: Iterable[tuple[str, str, str]],
) -> str:
    """Writes what has changed since the source was last recorded; gives the digest for `seen`."""
    lineage = sorted(lineage)
    digest = digest_of(resolved, classes, lineage)
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


def digest_of(resolved: Resolved, classes: pa.StringArray, lineage: list[tuple[str, str, str]]) -> str:
    """Stands for everything that is recorded of a source, in this order of the rows; `lineage` is sorted."""
    state = sha256(repr(lineage).encode())
    batch = pa.RecordBatch.from_arrays([resolved.geids, resolved.keys, classes], names=["geid", "key", "class"])
    state.update(batch.serialize())
    blank = np.flatnonzero(resolved.keys.is_null().to_numpy(zero_copy_only=False))
    state.update(np.round(resolved.anchors.take(blank).matrix() / MOVED_M).astype(np.int64).tobytes())
    return state.hexdigest()


def _write_entities(
    database: sqlite3.Connection, resolved: Resolved, classes: pa.StringArray, number: int, last: int
) -> None:
    sql = "SELECT geid, entity_class, last_release FROM entity WHERE layer = ? AND source = ?"
    rows = database.execute(sql, (resolved.layer, resolved.source)).fetchall()
    before = {geid: (kind, gone) for geid, kind, gone in rows}
    changed = _changed(resolved, classes, before)
    _insert(
        database,
        "INSERT INTO entity SELECT {0}, :layer, {1}, :source, {2}, :number, NULL FROM rows WHERE true"
        " ON CONFLICT (geid) DO UPDATE SET entity_class = excluded.entity_class, last_release = NULL",
        _sorted(pa.table({"geid": resolved.geids, "kind": classes, "key": resolved.keys}), changed),
        {"layer": resolved.layer, "source": resolved.source, "number": number},
    )
    now = set(resolved.geids.to_pylist()) if before else set()
    gone = sorted(geid for geid, (_, released) in before.items() if released is None and geid not in now)
    database.executemany("UPDATE entity SET last_release = ? WHERE geid = ?", [(last, geid) for geid in gone])


def _changed(
    resolved: Resolved, classes: pa.StringArray, before: dict[str, tuple[str, int | None]]
) -> NDArray[np.int64]:
    """Rows whose entity is new, was gone, or is of another class than before."""
    if not before:
        return np.arange(len(classes))
    names, kinds = resolved.geids.to_pylist(), classes.to_pylist()
    alive = {kind: (kind, None) for kind in set(kinds)}
    return np.array([row for row, name in enumerate(names) if before.get(name) != alive[kinds[row]]], dtype=np.int64)


def _sorted(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Some rows, sorted by the first column: SQLite appends to the end of the tree instead of searching in it."""
    return table.take(pa.array(rows, pa.int64())).sort_by(table.column_names[0])


def _insert(database: sqlite3.Connection, sql: str, table: pa.Table, values: Mapping[str, object]) -> None:
    """Runs an insert with all rows of a table in few statements: SQLite takes them in without asking Python for each.

    Args:
        sql: `{0}`, `{1}`... stand for the columns, `FROM rows` for the table, `:name` for the values.
        table: What to insert; text.
        values: Of the other parameters.
    """
    columns = [column.combine_chunks() for column in table.columns]
    if any(pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py() for column in columns):
        names = [f"c{number}" for number in range(len(columns))]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        one = sql.format(*(f":{name}" for name in names)).replace("FROM rows", "")
        database.executemany(one, ({**values, **dict(zip(names, row, strict=True))} for row in rows))
        return
    cells = [f"json_extract(value, '$[{number}]')" for number in range(len(columns))]
    many = sql.format(*cells).replace("FROM rows", "FROM json_each(:rows)")
    for at in range(0, len(table), _AT_ONCE):
        database.execute(many, {**values, "rows": _json_rows([column.slice(at, _AT_ONCE) for column in columns])})


def _json_rows(columns: list[pa.Array]) -> str:
    """Rows of text as a JSON array of arrays, joined by Arrow: several times faster than Python, and without its lock.

    Args:
        columns: Text with nothing in it that JSON would write in another way.
    """
    cells = [pc.if_else(pc.is_null(one), "null", pc.binary_join_element_wise('"', one, '"', "")) for one in columns]
    rows = pc.binary_join_element_wise("[", pc.binary_join_element_wise(*cells, ","), "]", "")
    whole = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    return "[" + str(pc.binary_join(whole, ",")[0].as_py()) + "]"


def _write_keys(database: sqlite3.Connection, resolved: Resolved) -> None:
    minted = np.asarray(resolved.how.indices) == MINTED
    rows = np.flatnonzero(minted & resolved.keys.is_valid().to_numpy(zero_copy_only=False))
    table = _sorted(pa.table({"key": resolved.keys, "geid": resolved.geids}), rows)
    _insert(
        database,
        "INSERT OR IGNORE INTO source_key SELECT :source, {0}, {1} FROM rows",
        table,
        {"source": resolved.source},
    )


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


def bind(database: sqlite3.Connection, source: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Makes keys stand for identifiers, which are alive from then on, and the last key of each its own."""
    rows = sorted(pairs)
    database.executemany(
        "INSERT INTO source_key VALUES (?, ?, ?) ON CONFLICT (source, key) DO UPDATE SET geid = excluded.geid",
        ((source, *row) for row in rows),
    )
    database.executemany(
        "UPDATE entity SET key = ?, last_release = NULL WHERE geid = ? AND source = ?", ((*row, source) for row in rows)
    )
    database.execute("UPDATE seen SET digest = '' WHERE source = ?", (source,))  # the next record looks at every entity


def move(database: sqlite3.Connection, layer: str, source: str, names: Sequence[str], anchors: Anchors) -> None:
    """Writes where entities without key stand, which are alive then; those without a finite place are forgotten."""
    places = anchors.matrix()
    placed = np.isfinite(places).all(axis=1)
    gone = ((names[row],) for row in np.flatnonzero(~placed).tolist())
    database.executemany("DELETE FROM anchor WHERE geid = ?", gone)
    rows = [(names[row], layer, source, "", *places[row].tolist()) for row in np.flatnonzero(placed).tolist()]
    database.executemany(_PLACE, rows)
    database.executemany("UPDATE entity SET last_release = NULL WHERE geid = ?", ((row[0],) for row in rows))
    database.execute("UPDATE seen SET digest = '' WHERE layer = ? AND source = ?", (layer, source))


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
    moved = np.flatnonzero(~(np.abs(old - places) <= MOVED_M).all(axis=1)).tolist()
    moved.sort(key=names.__getitem__)
    where, minted = (resolved.layer, resolved.source), resolved.mint_keys
    rows = (
        (names[at], *where, minted.get(row, ""), *place)
        for at, row, place in zip(moved, blank[moved].tolist(), places[moved].tolist(), strict=True)
    )
    database.executemany(_PLACE, rows)
