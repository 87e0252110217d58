"""The log of events: reports in one order, the state of every case beside them, in whichever database they lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twin.closing import Closing
from twin.live.conditions import MOST_OPEN, Span, driver, may_go_by_open, of_reports, of_states, pieces
from twin.live.database import Database, Session
from twin.live.model import OPEN, Appended, Filter, Link, Refusal, Report, Stored
from twin.live.retention import prune
from twin.live.rows import (
    COLUMNS,
    REFUSAL_COLUMNS,
    from_row,
    refusal_row,
    storable,
    storable_rows,
    to_row,
    whole,
)

_REPORT = ", ".join(f"r.{column}" for column in COLUMNS)
_REFUSAL = ", ".join(REFUSAL_COLUMNS)
_SOURCE, _CASE, _KIND, _STATUS, _OCCURRED, _GEID = (
    COLUMNS.index(name) for name in ("source", "case_id", "kind", "status", "occurred_ms", "geid")
)
# The last state of a case is the one that was so last, whatever came in after it; of two at once, the later report.
_LIFT = (
    "INSERT INTO live_latest (source, case_id, number, occurred_ms, kind, geid, is_open) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (source, case_id) DO UPDATE SET number = excluded.number, occurred_ms = excluded.occurred_ms,"
    " kind = excluded.kind, geid = excluded.geid, is_open = excluded.is_open"
    " WHERE excluded.occurred_ms >= live_latest.occurred_ms"
)
_TICK = (
    "UPDATE live_clock SET last = ?, recorded_ms = ?, ahead_ms = CASE WHEN ahead_ms < ? THEN ? ELSE ahead_ms END,"
    " reports = reports + ?, linked = linked + ?"
)
# What a case looked like: its last report now, if that was known by then; else the last one of those that were.
_AS_OF = (
    " CASE WHEN l.number <= ? THEN l.number ELSE (SELECT x.number FROM live_report x WHERE x.source = l.source"
    " AND x.case_id = l.case_id AND x.number <= ? ORDER BY x.occurred_ms DESC, x.number DESC LIMIT 1) END"
)
Known = dict[tuple[str, str], int]


def _now_ms() -> int:
    return int(time.time() * 1000)


class EventLog(Closing):
    """An open log: `twin.live.model.EventStore` over a database.

    Args:
        database: Where it lies; closed with the log.
        clock: Gives the time, milliseconds.

    Attributes:
        epoch: Names this log.

    Raises:
        StoreError: It cannot be read.
    """

    def __init__(self, database: Database, clock: Callable[[], int] = _now_ms) -> None:
        self._database = database
        self._clock = clock
        self.epoch = str(self._rows("SELECT epoch FROM live_clock")[0][0])

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._database.reading() as run:
            return run(sql, *values)

    def append(self, rows: Sequence[tuple[Report, Link]]) -> Appended:
        """Takes reports in, in one transaction; durable when it returns.

        A report whose source and id are known is not taken again: its first words stand.

        Raises:
            StoreError: They cannot be written: none of them was kept. To send them again is always safe.
            TypeError, ValueError: `data` of a report holds what JSON cannot say.
        """
        rows = storable_rows(rows)
        with self._database.writing() as run:
            return self._append(run, rows)

    def _append(self, run: Session, rows: Sequence[tuple[Report, Link]]) -> Appended:
        last, recorded = run("SELECT last, recorded_ms FROM live_clock")[0]
        recorded = max(recorded, self._clock())
        known = self._known(run, rows)
        offsets, fresh, records = [], [], []
        for report, link in rows:
            key = (report.source, report.id)
            offset = known.get(key)
            fresh.append(offset is None)
            if offset is None:
                last += 1
                known[key] = offset = last
                records.append(to_row(offset, recorded, report, link))
            offsets.append(offset)
        if records:
            run.load("live_report", COLUMNS, records)
            run.each(_LIFT, _states(records))
            linked = sum(record[_GEID] is not None for record in records)
            ahead = max(record[_OCCURRED] for record in records) - recorded
            run(_TICK, last, recorded, ahead, ahead, len(records), linked)
        return Appended(offsets, fresh, last, recorded)

    def _known(self, run: Session, rows: Sequence[tuple[Report, Link]]) -> Known:
        """Offsets of those that are there already."""
        ids: dict[str, list[str]] = {}
        for report, _ in rows:
            ids.setdefault(report.source, []).append(report.id)
        # One probe of the index for each id: a planner without statistics would rather read all reports of the source.
        probe = "SELECT r.number FROM live_report r WHERE r.source = ? AND r.message_id = w.value"
        sql = f"SELECT w.value, ({probe}) FROM {self._database.listed('w')}"  # noqa: S608
        return {
            (source, name): number
            for source, names in ids.items()
            for name, number in run(sql, source, self._database.values(names))
            if number is not None
        }

    def last(self) -> int:
        """Offset of the last report; 0 in an empty store."""
        return int(self._rows("SELECT last FROM live_clock")[0][0])

    def first(self) -> int:
        """The least offset from which `after` is complete: what lay before was given up by retention."""
        return int(self._rows("SELECT first FROM live_clock")[0][0])

    def after(self, offset: int, limit: int = 1000) -> Sequence[Stored]:
        """The next reports in the order of their offsets."""
        sql = f"SELECT {_REPORT} FROM live_report r WHERE r.number > ? ORDER BY r.number LIMIT ?"  # noqa: S608
        return [from_row(row) for row in self._rows(sql, whole(offset), max(0, whole(limit)))]

    def select(self, wanted: Filter, limit: int = 100, before: int | None = None) -> Sequence[Stored]:
        """Reports, the youngest offset first; `before` pages on."""
        found: list[tuple[Any, ...]] = []
        with self._database.reading() as run:
            few_open = may_go_by_open(wanted) and _few_open(run)
            for span in self._spans(wanted, _span(run, wanted, before)):
                where = of_reports(self._database, wanted, span, few_open)
                sql = f"SELECT {_REPORT} FROM live_report r{where.sql} ORDER BY r.number DESC LIMIT ?"  # noqa: S608
                found += run(sql, *where.values, max(0, whole(limit) - len(found)))
                if len(found) >= limit:
                    break
        return [from_row(row) for row in found]

    def _spans(self, wanted: Filter, span: Span) -> Iterable[Span]:
        """The span to look through, from its end on; cut in pieces where the index that helps is."""
        bits = self._database.bucket_bits
        return (span,) if bits is None or driver(wanted) != "geid" else pieces(span, bits)

    def state(self, wanted: Filter, limit: int = 100_000) -> tuple[Sequence[Stored], int]:
        """The last report of every case that passes, the youngest offset first, and the position this holds for."""
        where = of_states(self._database, wanted)
        with self._database.reading() as run:
            position = _last_by(run, wanted.as_of_ms)
            number, known = ("l.number", ()) if wanted.as_of_ms is None else (_AS_OF, (position, position))
            sql = (
                f"SELECT {_REPORT} FROM live_latest l JOIN live_report r ON r.number = {number}"  # noqa: S608
                f"{where.sql} ORDER BY r.number DESC LIMIT ?"
            )
            return [from_row(row) for row in run(sql, *known, *where.values, max(0, whole(limit)))], position

    def case(self, source: str, case: str) -> Sequence[Stored]:
        """All reports of a case, the oldest offset first."""
        sql = (
            f"SELECT {_REPORT} FROM live_report r WHERE r.source = ? AND r.case_id = ?"  # noqa: S608
            " ORDER BY r.number"
        )
        return [from_row(row) for row in self._rows(sql, storable(source), storable(case))]

    def get(self, offset: int) -> Stored | None:
        """One report."""
        sql = f"SELECT {_REPORT} FROM live_report r WHERE r.number = ?"  # noqa: S608
        found = self._rows(sql, whole(offset))
        return from_row(found[0]) if found else None

    def refuse(self, refusals: Sequence[Refusal]) -> Sequence[int]:
        """Keeps refusals; gives their numbers.

        Raises:
            StoreError: They cannot be written.
        """
        sql = (
            "INSERT INTO live_refusal (recorded_ms, source, code, reason, body, mended_by)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING number"
        )
        with self._database.writing() as run:
            now = max(self._clock(), run("SELECT recorded_ms FROM live_clock")[0][0])
            return [int(run(sql, *refusal_row(now, one))[0][0]) for one in refusals]

    def refusals(self, limit: int = 100, before: int | None = None, pending: bool = True) -> Sequence[Refusal]:
        """Refusals, the youngest first; `pending`: only those not mended yet."""
        where = f"number < ?{' AND mended_by IS NULL' if pending else ''}"
        sql = f"SELECT {_REFUSAL} FROM live_refusal WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
        below = whole(2**63 if before is None else before)
        return [Refusal(*row) for row in self._rows(sql, below, max(0, whole(limit)))]

    def mended(self, number: int, offset: int) -> None:
        """Notes that a refusal was sent again and taken in.

        Raises:
            StoreError: It cannot be written.
        """
        with self._database.writing() as run:
            run("UPDATE live_refusal SET mended_by = ? WHERE number = ?", whole(offset), whole(number))

    def learn(self, text: str, geid: str, who: str) -> None:
        """Notes that people say a code or an address text stands for an entity; what was said before stays on record.

        Raises:
            StoreError: It cannot be written.
        """
        sql = "INSERT INTO live_learnt (learnt_ms, text, geid, who) VALUES (?, ?, ?, ?)"
        with self._database.writing() as run:
            run(sql, self._clock(), storable(text), storable(geid), storable(who))

    def learnt(self) -> Mapping[str, str]:
        """geid by the text learnt; the last word counts."""
        return {str(text): str(geid) for text, geid in self._rows("SELECT text, geid FROM live_learnt ORDER BY number")}

    def counts(self) -> Mapping[str, int]:
        """`reports` = `linked` + `unlinked`, `refused` (not mended yet), `pruned`, `cases`, `open`; all of one moment.

        Messages that came in, each once: `reports` + `pruned` + `refused`.
        """
        with self._database.reading() as run:
            reports, linked, pruned = run("SELECT reports, linked, pruned FROM live_clock")[0]
            (refused,) = run("SELECT count(*) FROM live_refusal WHERE mended_by IS NULL")[0]
            (cases,) = run("SELECT count(*) FROM live_latest")[0]
            (unfinished,) = run("SELECT count(*) FROM live_latest WHERE is_open = 1")[0]
        return {
            "reports": reports,
            "linked": linked,
            "unlinked": reports - linked,
            "refused": refused,
            "pruned": pruned,
            "cases": cases,
            "open": unfinished,
        }

    def prune(self, kind: str, before_ms: int) -> int:
        """Gives up reports of a kind recorded before that, except the last one of a case that is open; how many.

        Raises:
            StoreError: It cannot be written; what was given up so far stays so.
        """
        with self._database.reading() as run:
            most = _last_by(run, before_ms - 1)
        return prune(self._database, storable(kind), most)

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back, from a thread of its own, soon after any process wrote; what it returns ends that."""
        return self._database.listen(callback)

    def close(self) -> None:
        """Releases the database."""
        self._database.close()


def _states(records: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The last state of every case among new rows, as rows of `live_latest`."""
    last: dict[tuple[str, str], tuple[Any, ...]] = {}
    for record in records:
        case = (record[_SOURCE], record[_CASE])
        before = last.get(case)
        if before is None or record[_OCCURRED] >= before[_OCCURRED]:
            last[case] = record
    return [
        (*case, record[0], record[_OCCURRED], record[_KIND], record[_GEID], int(record[_STATUS] in OPEN))
        for case, record in last.items()
    ]


def _few_open(run: Session) -> bool:
    sql = "SELECT count(*) FROM (SELECT 1 FROM live_latest WHERE is_open = 1 LIMIT ?) AS few"
    return int(run(sql, MOST_OPEN + 1)[0][0]) <= MOST_OPEN


def _span(run: Session, wanted: Filter, before: int | None) -> Span:
    """Offsets between which reports of these times lie.

    Both the times of recording and the offsets grow, so one bounds the other. Nothing was ever recorded more than
    `ahead_ms` before it was so; how long after it, nobody knows.
    """
    least = 1
    if wanted.since_ms is not None and wanted.until_ms is None:
        (ahead,) = run("SELECT ahead_ms FROM live_clock")[0]
        least = _last_by(run, wanted.since_ms - ahead - 1) + 1
    known = _last_by(run, wanted.as_of_ms)
    return Span(least, known if before is None else min(known, whole(before) - 1), known)


def _last_by(run: Session, moment_ms: int | None) -> int:
    """The last offset recorded by a moment, found by halving; 0 if there was none."""
    last, recorded = run("SELECT last, recorded_ms FROM live_clock")[0]
    if moment_ms is None or moment_ms >= recorded:
        return int(last)
    low, high = 0, int(last)  # recorded by then up to `low`, later than then from `high` on
    sql = "SELECT number, recorded_ms FROM live_report WHERE number > ? AND number <= ? ORDER BY number LIMIT 1"
    while high - low > 1:
        middle = (low + high) // 2
        found = run(sql, middle - 1, high)
        if found and found[0][1] <= moment_ms:
            low = int(found[0][0])
        else:
            high = middle
    return low
