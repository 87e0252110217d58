"""Giving up what is too old to keep, a piece at a time, so that nobody waits long for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twin.live.database import Database, Session

_AT_ONCE = 2000
# The last report of a case goes last: with its end gone and its beginning kept, a closed case would look open.
_OLD = """
SELECT r.number, r.source, r.case_id, r.geid IS NOT NULL
FROM live_report r
LEFT JOIN live_latest l ON l.source = r.source AND l.case_id = r.case_id AND l.number = r.number
WHERE r.kind = ? AND r.number > ? AND r.number <= ? AND (l.number IS NULL OR (l.is_open = 0 AND NOT EXISTS (
    SELECT 1 FROM live_report x
    WHERE x.source = r.source AND x.case_id = r.case_id AND (x.number > ? OR x.kind <> r.kind))))
ORDER BY r.number LIMIT ?
"""
_COUNT = (
    "UPDATE live_clock SET first = CASE WHEN first < ? THEN ? ELSE first END,"
    " reports = reports - ?, linked = linked - ?, pruned = pruned + ?"
)


def prune(database: Database, kind: str, most: int) -> int:
    """Gives up reports of a kind up to an offset; how many.

    Kept are the last report of a case that is open, and that of a closed case of which any report is kept.

    Args:
        database: That of the log.
        kind: Whose reports.
        most: The greatest offset that may go.

    Raises:
        StoreError: It cannot be written; what was given up so far stays so.
    """
    given_up, cursor = 0, 0
    while True:
        with database.writing() as run:
            old = run(_OLD, kind, cursor, most, most, _AT_ONCE)
            if old:
                _drop(run, old)
        if not old:
            return given_up
        given_up += len(old)
        cursor = int(old[-1][0])


def _drop(run: Session, old: Sequence[tuple[Any, ...]]) -> None:
    run.each(
        "DELETE FROM live_latest WHERE source = ? AND case_id = ? AND number = ?",
        [(source, case, number) for number, source, case, _ in old],
    )
    run.each("DELETE FROM live_report WHERE number = ?", [(row[0],) for row in old])
    first = int(old[-1][0]) + 1
    run(_COUNT, first, first, len(old), sum(bool(row[3]) for row in old), len(old))
