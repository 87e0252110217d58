"""Which thing in the world a feature is: identifiers minted once and kept for ever (promise 4)."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pyarrow as pa

from twin.closing import Closing
from twin.errors import MisuseError, TwinError
from twin.registry import known, record
from twin.registry.known import Known
from twin.registry.matching import Anchors
from twin.registry.record import HOW, Resolved
from twin.registry.resolver import Resolver, refuse_malformed, refuse_repeated
from twin.registry.schema import connect, explained

__all__ = ["HOW", "Anchors", "Known", "Registry", "Resolved"]


class Registry(Resolver, Closing):
    """An open registry. Writing happens in one transaction, from the first `record` to `commit`.

    Args:
        path: The database.
        database: Its connection.
        authority: Who mints.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, authority: str) -> None:
        super().__init__(authority, known.runner(database, lambda error: explained(path, error)))
        self.path = path
        self._database = database
        self._recorded: dict[tuple[str, str], str] = {}

    @classmethod
    def open(cls, path: Path | str, authority: str, read_only: bool = False, patience_s: float = 10.0) -> Self:
        """Opens a registry; a missing one is made unless `read_only`, a locked one is waited for `patience_s` seconds.

        Raises:
            StoreError: If it is damaged, locked, of another version or authority, or cannot be written.
        """
        place = Path(path)
        return cls(place, connect(place, authority, read_only, patience_s), authority)

    def record(
        self,
        resolved: Resolved,
        classes: pa.Array | pa.ChunkedArray | None = None,
        lineage: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Notes the entities of a source as seen; kept by `commit`. Writes only what has changed.

        Entities of the source that are not among them count as gone since the build before; should they come back,
        they are alive again under the same identifier.

        Args:
            resolved: All features of the source in this build.
            classes: (n,) string, entity class of each.
            lineage: (geid, relation, other) rows, for example `("7k3m-...", "part_of_feature", "survey:4711")`.

        Raises:
            StoreError: If the registry cannot be written.
        """
        kinds = record.kinds_of(resolved, classes)
        with self._transaction():
            digest = record.write(self._database, resolved, kinds, lineage)
        self._recorded[resolved.layer, resolved.source] = digest

    def add_aliases(self, scheme: str, values: Iterable[str], names: Iterable[str]) -> None:
        """Notes codes of another scheme for entities, for example real-estate numbers; kept by `commit`.

        A value stands for the entities it is given with here, and for no others any more. A value that is not among
        these stands for what it stood for before: codes change on a re-survey, and old ones are still asked for.

        Args:
            scheme: Which code it is.
            values: Codes, all of a build at once; a value may come several times.
            names: Identifier of each.

        Raises:
            StoreError: If the registry cannot be written.
        """
        with self._transaction():
            record.write_aliases(self._database, scheme, zip(values, names, strict=True))

    def commit(self, release: str, time: datetime.datetime | None = None) -> None:
        """Keeps what was recorded.

        Args:
            release: Id of the release this build gives.
            time: When; now by default. The registry may know the clock, tiles may not.

        Raises:
            StoreError: If the registry cannot be written.
        """
        stamp = record.stamp_of(time)
        with self._transaction():
            sql = "INSERT INTO release (id, time) VALUES (?, ?) RETURNING number"
            (number,) = self._database.execute(sql, (release, stamp)).fetchone()
            rows = [(*place, number, digest) for place, digest in sorted(self._recorded.items())]
            self._database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        self._recorded = {}

    def bind(self, source: str, keys: Sequence[str], names: Sequence[str]) -> None:
        """Makes keys of a source stand for these identifiers from now on; kept by `save` or `commit`.

        A person (or a comparison of two editions) has found that a feature with a new key is a thing we know, or that
        a key we know was given to another thing. Other keys of an identifier stay: old codes are still asked for.

        Args:
            source: Whose keys.
            keys: Each once.
            names: Identifier of each.

        Raises:
            MisuseError: If a key stands twice, or an identifier is none.
            StoreError: If the registry cannot be written.
        """
        refuse_repeated(keys, source)
        refuse_malformed(names)
        with self._transaction():
            record.bind(self._database, source, zip(keys, names, strict=True))

    def move(self, layer: str, source: str, names: Sequence[str], anchors: Anchors) -> None:
        """Says where entities without key stand now; kept by `save` or `commit`.

        An anchor whose numbers are not finite is forgotten: the entity is not found by geometry any more (another
        stands in its place), though its identifier still answers.

        Args:
            layer, source: Whose entities.
            names: Their identifiers.
            anchors: (n,) row for row, working CRS.

        Raises:
            MisuseError: If an identifier is none, or there is not one anchor an identifier.
            StoreError: If the registry cannot be written.
        """
        refuse_malformed(names)
        if len(names) != len(anchors):
            raise MisuseError(f"{len(names)} identifiers but {len(anchors)} anchors", next_step="give one anchor each")
        with self._transaction():
            record.move(self._database, layer, source, names, anchors)

    def given(self, names: Sequence[str]) -> set[str]:
        """Those of some identifiers that were ever given to something: recorded, bound to a key, or anchored."""
        text = json.dumps(list(names))
        sql = "SELECT value FROM json_each(?) WHERE value IN (SELECT geid FROM {0} WHERE geid = value)"
        found = {name for table in ("entity", "anchor") for (name,) in self._rows(sql.format(table), text)}
        bound = "SELECT DISTINCT geid FROM source_key WHERE geid IN (SELECT value FROM json_each(?))"
        return found | {name for (name,) in self._rows(bound, text)}

    def save(self) -> None:
        """Keeps what was bound and moved without a release of its own; does nothing where nothing was.

        Raises:
            StoreError: If the registry cannot be written.
        """
        if self._database.in_transaction:
            with self._transaction():
                self._database.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Opens the build's transaction if need be; an error undoes it as a whole."""
        try:
            if not self._database.in_transaction:
                self._database.execute("BEGIN IMMEDIATE")
            yield
        except sqlite3.Error as error:
            self.roll_back()
            raise explained(self.path, error) from error
        except TwinError:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        """Forgets what was recorded since the last commit."""
        self._recorded = {}
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file; what was not committed is forgotten."""
        self._database.close()
