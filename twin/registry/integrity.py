"""Proves that the identities of a district are whole, or says in sentences what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twin.entity import geid as geids
from twin.registry.known import Rows
from twin.registry.open import is_database_url, open_history

_TOLD = 5  # of one kind

# What must find nothing, and the sentence for each row found.
_CHECKS = (
    (
        "SELECT geid FROM entity e WHERE NOT EXISTS (SELECT 1 FROM release r WHERE r.number = e.first_release)",
        "the entity {} was first seen by a release nobody knows",
    ),
    (
        "SELECT geid FROM entity e WHERE last_release IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM release r WHERE r.number = e.last_release)",
        "the entity {} was last seen by a release nobody knows",
    ),
    (
        "SELECT geid FROM entity WHERE last_release < first_release",
        "the entity {} was last seen before it was first seen",
    ),
    (
        "SELECT geid FROM entity e WHERE key IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM source_key k WHERE k.source = e.source AND k.key = e.key)",
        "the entity {} has a source key that leads nowhere",
    ),
    (
        "SELECT layer FROM seen s WHERE NOT EXISTS (SELECT 1 FROM release r WHERE r.number = s.release)",
        "the layer {} was last seen by a release nobody knows",
    ),
    (
        "SELECT layer FROM entity e WHERE NOT EXISTS"
        " (SELECT 1 FROM seen s WHERE s.layer = e.layer AND s.source = e.source) GROUP BY layer",
        "the layer {} has entities of a source that no release has seen",
    ),
    (
        "SELECT value FROM alias a WHERE NOT EXISTS (SELECT 1 FROM entity e WHERE e.geid = a.geid)",
        "the alias {} stands for an entity nobody knows",
    ),
    (
        "SELECT geid FROM anchor WHERE west > east OR south > north OR area < 0",
        "the anchor of {} is no box",
    ),
    (
        "SELECT max(number) FROM release HAVING max(number) <> count(*)",
        "the releases are numbered up to {}, but some are missing",
    ),
)
_NAMED = ("entity", "source_key", "anchor", "alias")


def check_identities(rows: Rows) -> list[str]:
    """Sentences about what is broken in the tables of identities; empty where they are whole.

    Args:
        rows: Runs a query on them.
    """
    found = [sentence.format(row[0]) for sql, sentence in _CHECKS for row in rows(f"{sql} LIMIT {_TOLD}")]
    for table in _NAMED:
        names = [name for (name,) in rows(f"SELECT DISTINCT geid FROM {table}")]  # noqa: S608
        wrong = [name for name in names if not geids.check(name) or geids.normalise(name) != name]
        found += [f"{name!r} in the table {table} is no identifier" for name in sorted(wrong)[:_TOLD]]
    return found


def verify(where: Path | str, authority: str) -> Sequence[str]:
    """Everything that is broken in a registry and its history, in sentences; empty where both are whole.

    Raises:
        StoreError: It is missing, so damaged that it cannot be opened, or cannot be reached.
    """
    if is_database_url(where):
        from twin.registry.postgres import PostgresRegistry

        with PostgresRegistry.open(str(where), authority, read_only=True) as postgres:
            found = check_identities(postgres.rows)
    else:
        from twin.registry.sqlite import Registry

        with Registry.open(where, authority, read_only=True) as sqlite:
            found = _pages(sqlite.rows) or check_identities(sqlite.rows)
    with open_history(where, authority, read_only=True) as history:
        return [*found, *history.verify()]


def _pages(rows: Rows) -> list[str]:
    return [f"SQLite finds: {line}" for (line,) in rows("PRAGMA integrity_check(20)") if line != "ok"]
