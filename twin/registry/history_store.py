"""The space-time record of a district in a database: every answer and every write of `History`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
from sqlalchemy import BigInteger, Connection, Engine, Select, bindparam, func, select

from twin.closing import Closing
from twin.entity import geid as geids
from twin.errors import MisuseError
from twin.registry import history_query as query
from twin.registry.history_dialect import Dialect
from twin.registry.history_pen import SqlPen, check_kind, next_version
from twin.registry.history_rows import recorded_table, to_micros, to_time
from twin.registry.history_tables import BRIDGE, FOREVER, RECORDED, bridge_table, edition_table, lineage_table
from twin.registry.history_undo import believed_before, refuse_undo
from twin.registry.history_verify import verify
from twin.registry.versions import Edition, EditionKind, Lineage, Relation, Time, Window

_E = edition_table.c
EVERYTHING = Window()
"""What is there now, as far as is known."""

_KNOWN = select(func.coalesce(func.max(_E.number), 0)).where(_E.recorded_at <= bindparam("as_of", type_=BigInteger))
_FIELDS = ("number", "kind", "name", "recorded_at", "valid_from", "note", "undoes")


class SqlHistory(Closing):
    """An open history; threads may share it. Its readers see whole editions only.

    Args:
        dialect: Of its database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._engine: Engine = dialect.engine()
        self._there = False

    @contextmanager
    def write(
        self,
        kind: EditionKind,
        name: str,
        valid_from: Time,
        note: str = "",
        undoes: int | None = None,
    ) -> Iterator[SqlPen]:
        """Opens the transaction of a new edition; see `History`.

        The moment of recording is taken at its very end, so that no answer for an earlier moment changes under a
        reader.
        """
        to_micros(valid_from)
        check_kind(kind, undoes)
        with self._writing() as connection:
            last = self._last(connection)
            number = 1 if last is None else last.number + 1
            if undoes is not None:
                refuse_undo(self._editions(connection), undoes)
            moment = datetime.datetime.now(datetime.UTC)
            edition = Edition(number, kind, name, moment, valid_from.astimezone(datetime.UTC), note, undoes)
            pen = SqlPen(connection, self._dialect, edition, next_version(connection))
            yield pen
            pen.finish(None if last is None else to_micros(last.recorded_at))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction of the one writer: kept at the end, or undone as a whole."""
        with self._explained(), self._engine.connect() as connection:
            self._dialect.begin(connection)
            try:
                yield connection
                connection.commit()
            except BaseException:
                with suppress(*self._dialect.errors):  # a full disk may have ended the transaction already
                    connection.rollback()
                raise

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """A connection, or None as long as nobody has made the tables."""
        with self._explained():
            self._there = self._there or self._dialect.is_there()
            if not self._there:
                yield None
                return
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._dialect.errors as error:
            raise self._dialect.explained(error) from error

    def editions(self) -> Sequence[Edition]:
        """Every edition, oldest first."""
        with self._reading() as connection:
            return () if connection is None else self._editions(connection)

    def _editions(self, connection: Connection) -> tuple[Edition, ...]:
        rows = connection.execute(select(*(_E[name] for name in _FIELDS)).order_by(_E.number))
        return tuple(_edition(row) for row in rows)

    def _last(self, connection: Connection) -> Edition | None:
        fields = (_E[name] for name in _FIELDS)
        row = connection.execute(select(*fields).order_by(_E.number.desc()).limit(1)).first()
        return None if row is None else _edition(row)

    def undo(self, number: int, name: str = "") -> Edition:
        """Takes back the last edition that is not undone; see `History`."""
        found = next((one for one in self.editions() if one.number == number), None)
        valid_from = datetime.datetime.now(datetime.UTC) if found is None else found.valid_from
        title = name or (f"undo of {found.name or number}" if found else "undo")
        with self.write(EditionKind.UNDO, title, valid_from, undoes=number) as pen:
            pen.assert_versions(believed_before(pen.connection, number))
        return pen.edition

    def snapshot(self, window: Window = EVERYTHING, fields: Sequence[str] = ()) -> pa.Table:
        """Entities present at a pair of times, sorted by geid: `RECORDED_FIELDS`, or only those that are named."""
        schema = pa.schema([RECORDED.field(name) for name in fields]) if fields else RECORDED
        valid = to_micros(window.valid or datetime.datetime.now(datetime.UTC))
        with self._reading() as connection:
            if connection is None:
                return schema.empty_table()
            known = self._known(connection, window.as_of)
            wanted = query.snapshot(self._dialect, window, schema.names)
            return _table(connection, wanted, schema, valid=valid, edition=known)

    def entity(self, geid: str, valid: Time | None = None, as_of: Time | None = None) -> pa.Table:
        """What is asserted of one entity for a pair of times: one row, also with `present` False, or none."""
        moment = to_micros(valid or datetime.datetime.now(datetime.UTC))
        with self._reading() as connection:
            if connection is None:
                return RECORDED.empty_table()
            known = self._known(connection, as_of)
            return _table(connection, query.ENTITY, geid=_written(geid), valid=moment, edition=known)

    def versions(self, geid: str, as_of: Time | None = None) -> pa.Table:
        """Every assertion on an entity recorded by `as_of`, oldest first: `RECORDED_FIELDS`."""
        with self._reading() as connection:
            if connection is None:
                return RECORDED.empty_table()
            known = self._known(connection, as_of)
            return _table(connection, query.ASSERTIONS, geid=_written(geid), edition=known)

    def during(self, begin: Time | None = None, end: Time | None = None, as_of: Time | None = None) -> pa.Table:
        """Every assertion recorded by `as_of` whose span meets an interval, both ends inclusive, None where open.

        By geid, then edition: `RECORDED_FIELDS`. Nothing is weighed up: several editions may speak of one moment.
        """
        since = -FOREVER if begin is None else to_micros(begin)
        until = FOREVER if end is None else to_micros(end)
        with self._reading() as connection:
            if connection is None:
                return RECORDED.empty_table()
            known = self._known(connection, as_of)
            return _table(connection, query.DURING, valid=since, until=until, edition=known)

    def _known(self, connection: Connection, as_of: Time | None) -> int:
        """Number of the last edition recorded by a moment; 0: none."""
        moment = FOREVER if as_of is None else to_micros(as_of)
        return int(connection.execute(_KNOWN, {"as_of": moment}).scalar_one())

    def lineage(self, geid: str) -> Sequence[Lineage]:
        """Steps from and to an entity."""
        name, c = _written(geid), lineage_table.c
        wanted = select(c.geid, c.relation, c.other, c.edition).where((c.geid == name) | (c.other == name))
        with self._reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(wanted.order_by(c.edition, c.geid, c.relation, c.other)).all()
        return tuple(Lineage(row[0], Relation(row[1]), row[2], row[3]) for row in rows)

    def successors(self, geid: str) -> Sequence[str]:
        """What stands today for an entity that is gone: followed over several steps, undone editions left out."""
        with self._reading() as connection:
            if connection is None:
                return ()
            undone = {one.undoes for one in self._editions(connection) if one.undoes is not None}
            return _ends(connection, _written(geid), undone)

    def bridge(self, edition: int) -> pa.Table:
        """The bridge of an edition: `source`, `source_key`, `geid`, `change`."""
        c = bridge_table.c
        wanted = select(c.source, c.source_key, c.geid, c.change).where(c.edition == edition).order_by(c.row)
        with self._reading() as connection:
            rows = [] if connection is None else connection.execute(wanted).all()
        columns = list(zip(*rows, strict=True)) or [()] * len(BRIDGE)
        return pa.table([pa.array(values, pa.string()) for values in columns], schema=BRIDGE)

    def verify(self) -> Sequence[str]:
        """Sentences about what is broken; empty where the history is whole."""
        with self._reading() as connection:
            return () if connection is None else verify(connection, self._dialect)

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()


def _table(connection: Connection, wanted: Select[Any], schema: pa.Schema = RECORDED, **parameters: Any) -> pa.Table:
    """The rows of a query of fields of versions; taken from the driver as they are, for there may be many."""
    return recorded_table(connection.execute(wanted, parameters).cursor.fetchall(), schema)


def _edition(row: Sequence[Any]) -> Edition:
    number, kind, name, recorded_at, valid_from, note, undoes = row
    return Edition(number, EditionKind(kind), name, to_time(recorded_at), to_time(valid_from), note, undoes)


def _written(geid: str) -> str:
    """An identifier in the form of the tables; a text that is none finds nothing."""
    try:
        return geids.normalise(geid)
    except MisuseError:
        return geid


def _ends(connection: Connection, geid: str, undone: set[int]) -> tuple[str, ...]:
    """Follows lineage to what nothing comes after, sorted; each entity once, so a ring ends."""
    c = lineage_table.c
    met, waiting, ends = {geid}, [geid], set()
    while waiting:
        rows = connection.execute(select(c.geid, c.other, c.edition).where(c.geid.in_(waiting))).all()
        steps = [(row[0], row[1]) for row in rows if row[2] not in undone]
        ends |= set(waiting) - {start for start, _ in steps} - {geid}
        waiting = sorted({other for _, other in steps} - met)
        met |= set(waiting)
    return tuple(sorted(ends))
