"""Writing a build's entities into PostgreSQL: rows go over by COPY, and SQL there finds what has changed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from twin.registry import record
from twin.registry.matching import Anchors
from twin.registry.record import ANCHOR_COLUMNS, MINTED, MOVED_M, Resolved

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

_PLACES = ANCHOR_COLUMNS.split(", ")


def copy_in(connection: Connection, table: str, rows: pa.Table) -> None:
    """Adds the rows of an Arrow table to a table that has columns of these names.

    Args:
        connection: Where to.
        table: Its name.
        rows: Text and numbers; binary columns as text `\\x...`. Null stays null, and an empty text empty.
    """
    sink = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(rows, sink, options)
    columns = ", ".join(f'"{name}"' for name in rows.column_names)
    with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)") as copy:
        copy.write(sink.getbuffer())


def _stage(connection: Connection, name: str, columns: str, rows: pa.Table) -> None:
    """Rows in a temporary table of this transaction, found by their first column.

    The index is what keeps a join quick where the planner takes the other side for a handful of rows: nothing is known
    of a table that this very transaction has filled.
    """
    connection.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
    connection.execute(f"CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP")
    copy_in(connection, name, rows)
    connection.execute(f"CREATE INDEX ON {name} ({rows.column_names[0]})")
    connection.execute(f"ANALYZE {name}")


def write(
    connection: Connection, resolved: Resolved, classes: pa.StringArray, lineage: Sequence[tuple[str, str, str]]
) -> str:
    """Writes what has changed since the source was last recorded; gives the digest for `seen`."""
    digest = record.digest_of(resolved, classes, list(lineage))
    where = (resolved.layer, resolved.source)
    sql = "SELECT release, digest FROM seen WHERE layer = %s AND source = %s"
    last = connection.execute(sql, where).fetchone()
    if last is not None and last[1] == digest:
        return digest
    number = _next_release(connection)
    _stage_entities(connection, resolved, classes)
    _write_entities(connection, where, number, number if last is None else int(last[0]))
    _write_keys(connection, resolved.source)
    _write_anchors(connection, resolved)
    _write_lineage(connection, lineage)
    return digest


def _next_release(connection: Connection) -> int:
    (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM release").fetchone() or (1,)
    return int(number)


def _stage_entities(connection: Connection, resolved: Resolved, classes: pa.StringArray) -> None:
    minted = np.asarray(resolved.how.indices) == MINTED
    columns = {"geid": resolved.geids, "kind": classes, "key": resolved.keys, "minted": pa.array(minted)}
    _stage(
        connection,
        "incoming",
        'geid text COLLATE "C", kind text COLLATE "C", key text COLLATE "C", minted boolean',
        pa.table(columns),
    )


def _write_entities(connection: Connection, where: tuple[str, str], number: int, last: int) -> None:
    connection.execute(
        "INSERT INTO entity SELECT DISTINCT ON (i.geid) i.geid, %s, i.kind, %s, i.key, %s::bigint, NULL::bigint"
        " FROM incoming i LEFT JOIN entity e ON e.geid = i.geid"
        " WHERE e.geid IS NULL OR e.last_release IS NOT NULL OR e.entity_class IS DISTINCT FROM i.kind"
        " ORDER BY i.geid"
        " ON CONFLICT (geid) DO UPDATE SET entity_class = excluded.entity_class, last_release = NULL",
        (*where, number),
    )
    connection.execute(
        "UPDATE entity e SET last_release = %s WHERE e.layer = %s AND e.source = %s AND e.last_release IS NULL"
        " AND NOT EXISTS (SELECT FROM incoming i WHERE i.geid = e.geid)",
        (last, *where),
    )


def _write_keys(connection: Connection, source: str) -> None:
    connection.execute(
        "INSERT INTO source_key SELECT %s, key, geid FROM incoming WHERE minted AND key IS NOT NULL ORDER BY key"
        " ON CONFLICT DO NOTHING",
        (source,),
    )


def _write_anchors(connection: Connection, resolved: Resolved) -> None:
    blank = np.flatnonzero(resolved.keys.is_null().to_numpy(zero_copy_only=False))
    if len(blank):
        mint_keys = pa.array([resolved.mint_keys.get(row, "") for row in blank.tolist()], pa.string())
        names = resolved.geids.take(pa.array(blank))
        _stage_anchors(connection, names, mint_keys, resolved.anchors.take(blank))
        _place(connection, resolved.layer, resolved.source, MOVED_M)


def _stage_anchors(connection: Connection, names: pa.Array, mint_keys: pa.Array, anchors: Anchors) -> None:
    columns = {"geid": names, "mint_key": mint_keys, **dict(zip(_PLACES, anchors.columns(), strict=True))}
    numbers = ", ".join(f"{name} double precision" for name in _PLACES)
    _stage(connection, "standing", f'geid text COLLATE "C", mint_key text, {numbers}', pa.table(columns))


def _place(connection: Connection, layer: str, source: str, moved_m: float) -> None:
    """Writes the staged anchors of which a number differs by more than `moved_m`; negative: all."""
    moved = " OR ".join(f"abs(a.{name} - s.{name}) > %s" for name in _PLACES)
    sets = ", ".join(f"{name} = excluded.{name}" for name in _PLACES)
    columns = f"geid, layer, source, mint_key, {ANCHOR_COLUMNS}"
    staged = ", ".join(f"s.{name}" for name in _PLACES)
    connection.execute(
        f"INSERT INTO anchor ({columns}) SELECT DISTINCT ON (s.geid) s.geid, %s, %s, s.mint_key, {staged}"  # noqa: S608
        f" FROM standing s LEFT JOIN anchor a ON a.geid = s.geid WHERE a.geid IS NULL OR {moved} ORDER BY s.geid"
        f" ON CONFLICT (geid) DO UPDATE SET {sets}",
        (layer, source, *(moved_m for _ in _PLACES)),
    )


def _write_lineage(connection: Connection, steps: Sequence[tuple[str, str, str]]) -> None:
    if steps:
        columns = [pa.array(column, pa.string()) for column in zip(*steps, strict=True)]
        rows = pa.table(dict(zip(("geid", "relation", "other"), columns, strict=True)))
        _stage(connection, "steps", "geid text, relation text, other text", rows)
        connection.execute("INSERT INTO lineage SELECT geid, relation, other FROM steps ON CONFLICT DO NOTHING")


def write_aliases(connection: Connection, scheme: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Makes values of a scheme stand for the entities given with them, and for no others; (value, geid) pairs."""
    _stage_pairs(connection, "wanted", pairs)
    connection.execute(
        "DELETE FROM alias a WHERE a.scheme = %s AND EXISTS (SELECT FROM wanted w WHERE w.value = a.value)"
        " AND NOT EXISTS (SELECT FROM wanted w WHERE w.value = a.value AND w.geid = a.geid)",
        (scheme,),
    )
    connection.execute("INSERT INTO alias SELECT %s, value, geid FROM wanted ON CONFLICT DO NOTHING", (scheme,))


def _stage_pairs(connection: Connection, name: str, pairs: Sequence[tuple[str, str]]) -> None:
    """A temporary table of (value, geid)."""
    values, names = (pa.array([pair[at] for pair in pairs], pa.string()) for at in (0, 1))
    rows = pa.table({"value": values, "geid": names})
    _stage(connection, name, 'value text COLLATE "C", geid text COLLATE "C"', rows)


def bind(connection: Connection, source: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Makes keys stand for identifiers, which are alive from then on, and the last key of each its own."""
    _stage_pairs(connection, "bound", list(pairs))
    connection.execute(
        "INSERT INTO source_key SELECT %s, value, geid FROM bound"
        " ON CONFLICT (source, key) DO UPDATE SET geid = excluded.geid",
        (source,),
    )
    connection.execute(
        "UPDATE entity e SET key = b.value, last_release = NULL"
        " FROM (SELECT geid, max(value) AS value FROM bound GROUP BY geid) b WHERE e.geid = b.geid AND e.source = %s",
        (source,),
    )
    connection.execute(
        "UPDATE seen SET digest = '' WHERE source = %s", (source,)
    )  # the next record looks at every entity


def move(connection: Connection, layer: str, source: str, names: Sequence[str], anchors: Anchors) -> None:
    """Writes where entities without key stand, which are alive then; those without a finite place are forgotten."""
    placed = np.isfinite(anchors.matrix()).all(axis=1)
    gone = [names[row] for row in np.flatnonzero(~placed).tolist()]
    connection.execute("DELETE FROM anchor WHERE geid = ANY(%s)", (gone,))
    rows = np.flatnonzero(placed)
    kept = pa.array([names[row] for row in rows.tolist()], pa.string())
    _stage_anchors(connection, kept, pa.array([""] * len(rows), pa.string()), anchors.take(rows))
    _place(connection, layer, source, -1.0)
    connection.execute(
        "UPDATE entity e SET last_release = NULL FROM standing s WHERE s.geid = e.geid AND e.last_release IS NOT NULL"
    )
    connection.execute("UPDATE seen SET digest = '' WHERE layer = %s AND source = %s", (layer, source))


def write_release(connection: Connection, release: str, stamp: str, seen: Mapping[tuple[str, str], str]) -> None:
    """Notes a release and which sources it has seen; their digests by layer and source."""
    number = _next_release(connection)
    connection.execute("INSERT INTO release VALUES (%s, %s, %s)", (number, release, stamp))
    connection.cursor().executemany(
        "INSERT INTO seen VALUES (%s, %s, %s, %s) ON CONFLICT (layer, source)"
        " DO UPDATE SET release = excluded.release, digest = excluded.digest",
        [(*place, number, digest) for place, digest in sorted(seen.items())],
    )
