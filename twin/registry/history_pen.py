"""Writes one edition of a history, inside the transaction of its writer."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, func, select

from twin.errors import MisuseError
from twin.registry.history_dialect import Dialect
from twin.registry.history_rows import are_geids, python_columns, settled, to_micros, to_time
from twin.registry.history_tables import BRIDGE, bridge_table, edition_table, lineage_table, version_table
from twin.registry.versions import Edition, EditionKind, Relation, Time

_PLACE = ("west", "south", "east", "north")


class SqlPen:
    """The pen of one edition.

    Args:
        connection: In the writer's transaction.
        dialect: Of its database.
        edition: What is to be written; `recorded_at` becomes final with the end of the transaction.
        first_version: Id of its first version.
    """

    def __init__(self, connection: Connection, dialect: Dialect, edition: Edition, first_version: int) -> None:
        self.connection = connection
        self._dialect = dialect
        self._edition = edition
        self._first = first_version
        self._versions = 0
        self._calls = 0
        self._steps: dict[tuple[str, str, str], None] = {}
        self._records = 0

    @property
    def edition(self) -> Edition:
        """The edition being written."""
        return self._edition

    @property
    def driver_connection(self) -> Any:
        """The driver's connection (`sqlite3`, psycopg): what is written to it belongs to the same transaction.

        Nobody but the history commits it or rolls it back.
        """
        return self.connection.connection.driver_connection

    def assert_versions(self, versions: pa.Table) -> None:
        """Adds assertions; see `Pen`."""
        table = settled(versions, self._edition.valid_from)
        count = table.num_rows
        start = self._first + self._versions
        ids = list(range(start, start + count))
        columns = [ids, [self._edition.number] * count, *python_columns(table)]
        self._dialect.insert(self.connection, version_table, columns)
        names = version_table.c.keys()
        self._dialect.insert_boxes(self.connection, ids, [columns[names.index(name)] for name in _PLACE])
        self._versions += count
        self._calls += count > 0

    def lineage(self, steps: Iterable[tuple[str, Relation, str]]) -> None:
        """Adds steps (geid, relation, other).

        Raises:
            MisuseError: A geid is malformed, or a step leads from an entity to itself.
        """
        fresh = [(geid, Relation(relation).value, other) for geid, relation, other in steps]
        for geid, _, other in fresh:
            if geid == other:
                raise MisuseError(f"{geid} cannot come after itself", feature=geid, next_step="leave the step out")
        _check_geids(pa.array([name for step in fresh for name in (step[0], step[2])], pa.string()))
        self._steps.update(dict.fromkeys(fresh))

    def bridge(self, records: pa.Table) -> None:
        """Adds the bridge of a source: columns `source`, `source_key`, `geid`, `change`.

        Raises:
            MisuseError: A column is missing, or a geid is malformed.
        """
        lacking = [name for name in BRIDGE.names if name not in records.column_names]
        if lacking:
            raise MisuseError(f"the bridge has no column {lacking[0]!r}", next_step=f"give {', '.join(BRIDGE.names)}")
        table = records.select(BRIDGE.names).cast(BRIDGE)
        _check_geids(table["geid"].combine_chunks())
        count = table.num_rows
        rows = list(range(self._records, self._records + count))
        columns = [rows, *(column.to_pylist() for column in table.columns)]
        self._dialect.insert(self.connection, bridge_table, [[self._edition.number] * count, *columns])
        self._records += count

    def finish(self, last: int | None) -> None:
        """Writes the row of the edition itself, the last of the transaction.

        Args:
            last: When the edition before was recorded, microseconds; None: there is none.

        Raises:
            MisuseError: An entity is asserted twice for one moment, over several calls.
        """
        if self._calls > 1:
            self._refuse_overlaps()
        if self._steps:
            columns = [*zip(*self._steps, strict=True), [self._edition.number] * len(self._steps)]
            self._dialect.insert(self.connection, lineage_table, columns)
        recorded_at = moment_after(last)
        self._edition = replace(self._edition, recorded_at=to_time(recorded_at))
        one = self._edition
        row = {
            "number": one.number,
            "kind": one.kind.value,
            "name": one.name,
            "recorded_at": recorded_at,
            "valid_from": to_micros(one.valid_from),
            "note": one.note,
            "undoes": one.undoes,
            "first_version": self._first,
            "versions": self._versions,
            "steps": len(self._steps),
            "records": self._records,
        }
        self.connection.execute(edition_table.insert().values(row))

    def _refuse_overlaps(self) -> None:
        one, other = version_table.alias("one"), version_table.alias("other")
        mine = (one.c.id >= self._first) & (one.c.edition == self._edition.number)
        query = (
            select(one.c.geid)
            .join(other, (other.c.geid == one.c.geid) & (other.c.edition == one.c.edition) & (other.c.id > one.c.id))
            .where(mine, other.c.valid_from < one.c.valid_to, one.c.valid_from < other.c.valid_to)
            .limit(1)
        )
        found = self.connection.execute(query).scalar()
        if found is not None:
            what = f"a version of {found} is asserted twice for one moment"
            raise MisuseError(what, feature=found, next_step="keep one of the two")


def moment_after(last: int | None) -> int:
    """Now in microseconds, or just after the edition before where the clock has been set back."""
    now = to_micros(_now())
    return now if last is None else max(now, last + 1)


def _now() -> Time:
    return datetime.datetime.now(datetime.UTC)


def _check_geids(column: pa.Array) -> None:
    wrong = np.flatnonzero(~are_geids(column))
    if len(wrong):
        bad = column[int(wrong[0])].as_py()
        raise MisuseError(f"{bad!r} is no geid", feature=bad, next_step="write the form of `twin.entity.geid.mint`")


def next_version(connection: Connection) -> int:
    """The first id that no version has yet."""
    return int(connection.execute(select(func.coalesce(func.max(version_table.c.id), 0) + 1)).scalar_one())


def check_kind(kind: EditionKind, undoes: int | None) -> None:
    """Raises `MisuseError` where an undo says not what it takes back, or another kind does."""
    if (kind is EditionKind.UNDO) != (undoes is not None):
        what = f"an edition of kind {kind.value!r} and `undoes` = {undoes} do not fit"
        raise MisuseError(what, next_step="an undo names the edition it takes back, other editions none")
