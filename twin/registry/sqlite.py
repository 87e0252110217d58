"""Which thing in the world a feature is: identifiers minted once and kept for ever (promise 4)."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.entity import geid as geids
from twin.errors import MisuseError, TwinError
from twin.registry.matching import Anchors, match, mint_keys
from twin.registry.schema import connect, explained

__all__ = ["HOW", "Anchors", "Known", "Registry", "Resolved"]

HOW = ("known", "matched", "minted")
"""How an identifier was found: by its source key, by its geometry, or it is new."""

_KNOWN, _MATCHED, _MINTED = range(3)
_MOVED_M = 0.001  # an anchor is written anew when a footprint has moved by more
_BY_GEOMETRY = "\x1fgeometry"  # keeps keys made of geometry apart from source keys


@dataclass(frozen=True, slots=True)
class Resolved:
    """Identifiers of the features of one source.

    Attributes:
        layer, source: Whose features.
        keys: (n,) source keys; null where there is no usable one.
        geids: (n,) string.
        how: (n,) dictionary<int8, string>, one of `HOW`.
        anchors: As given.
        mint_keys: Key made of the geometry, by row, of rows that were minted by it.
    """

    layer: str
    source: str
    keys: pa.StringArray
    geids: pa.StringArray
    how: pa.DictionaryArray
    anchors: Anchors
    mint_keys: dict[int, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry knows of an entity; times are UTC, ISO 8601.

    Attributes:
        retired: True if the last build of its source no longer had it; its identifier still answers.
    """

    geid: str
    layer: str
    entity_class: str | None
    source: str
    key: str | None
    first_seen: str
    first_release: str
    last_seen: str
    last_release: str
    retired: bool
    aliases: tuple[tuple[str, str], ...] = ()
    lineage: tuple[tuple[str, str], ...] = ()


class Registry:
    """An open registry. Writing happens in one transaction from the first `record` to `commit`.

    Args:
        path: The database.
        database: Its connection.
        authority: Who mints.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, authority: str) -> None:
        self.path = path
        self.authority = authority
        self._database = database
        self._sources: list[tuple[str, str]] = []

    @classmethod
    def open(cls, path: Path | str, authority: str, read_only: bool = False) -> Self:
        """Opens a registry; a missing one is made unless `read_only`.

        Raises:
            StoreError: If it is damaged, locked, of another version or authority, or cannot be written.
        """
        place = Path(path)
        return cls(place, connect(place, authority, read_only), authority)

    def resolve(self, layer: str, source: str, keys: pa.Array | pa.ChunkedArray, anchors: Anchors) -> Resolved:
        """Finds or mints the identifier of every feature of a source; writes nothing.

        A feature with a key is known by it, for ever. One without is matched by geometry with those of earlier builds,
        one to one, else minted from its geometry, so that an empty registry on another machine gives the same ids.

        Args:
            layer: Layer name.
            source: Source name.
            keys: (n,) string; null where the source has no usable id.
            anchors: (n,) footprints, for the features without key.

        Raises:
            MisuseError: If a key stands twice.
            StoreError: If the registry is damaged.
        """
        texts: list[str | None] = keys.cast(pa.string()).to_pylist()
        if len(texts) != len(anchors):
            raise MisuseError(f"{len(texts)} keys but {len(anchors)} anchors", next_step="give one anchor a feature")
        _refuse_repeated(texts, source)
        found: list[str] = [""] * len(texts)
        how = np.full(len(texts), _KNOWN, dtype=np.int8)
        self._by_key(source, texts, found, how)
        blank = np.flatnonzero(np.fromiter((text is None for text in texts), dtype=bool, count=len(texts)))
        minted = self._by_geometry(layer, source, anchors.take(blank), blank, found, how) if len(blank) else {}
        labels = pa.DictionaryArray.from_arrays(pa.array(how), pa.array(HOW))
        return Resolved(
            layer, source, pa.array(texts, pa.string()), pa.array(found, pa.string()), labels, anchors, minted
        )

    def _by_key(self, source: str, keys: Sequence[str | None], found: list[str], how: NDArray[np.int8]) -> None:
        known = dict(self._all("SELECT key, geid FROM source_key WHERE source = ?", source))
        new = [row for row, key in enumerate(keys) if key is not None and key not in known]
        for row, geid in zip(new, geids.mint(self.authority, [f"{source}/{keys[row]}" for row in new]), strict=True):
            found[row] = geid
        how[new] = _MINTED
        if known:
            for row, key in enumerate(keys):
                if key is not None and not found[row]:
                    found[row] = known[key]

    def _by_geometry(
        self, layer: str, source: str, fresh: Anchors, rows: NDArray[np.int64], found: list[str], how: NDArray[np.int8]
    ) -> dict[int, str]:
        sql = (
            "SELECT geid, x, y, area, west, south, east, north FROM anchor WHERE layer = ? AND source = ? ORDER BY geid"
        )
        stored = self._all(sql, layer, source)
        names = [row[0] for row in stored]
        matrix = np.array([row[1:] for row in stored], dtype=np.float64).reshape(-1, 7)
        partner = match(Anchors(*matrix.T), fresh)
        for row, at in zip(rows.tolist(), partner.tolist(), strict=True):
            if at >= 0:
                found[row] = names[at]
        how[rows] = np.where(partner >= 0, _MATCHED, _MINTED)
        alone = np.flatnonzero(partner < 0)
        new = self._mint_by_geometry(layer, source, mint_keys(layer, fresh), alone, set(names))
        for at, (geid, _) in new.items():
            found[int(rows[at])] = geid
        return {int(rows[at]): key for at, (_, key) in new.items()}

    def _mint_by_geometry(
        self, layer: str, source: str, keys: list[str], rows: NDArray[np.int64], taken: set[str]
    ) -> dict[int, tuple[str, str]]:
        """Mints for some rows; a key whose identifier is taken (its owner has moved on) gets a further number."""
        made: dict[int, tuple[str, str]] = {}
        waiting = sorted(rows.tolist(), key=keys.__getitem__)
        for attempt in range(len(taken) + 2):
            texts = [keys[row] + (f"+{attempt}" if attempt else "") for row in waiting]
            tried = geids.mint(self.authority + _BY_GEOMETRY, [f"{source}/{text}" for text in texts])
            for row, geid, text in zip(waiting, tried, texts, strict=True):
                if geid not in taken:
                    made[row] = (geid, text)
            waiting = [row for row, geid in zip(waiting, tried, strict=True) if geid in taken]
            if not waiting:
                break
        return made

    def record(
        self,
        resolved: Resolved,
        classes: pa.Array | pa.ChunkedArray | None = None,
        lineage: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Notes the entities of a source as seen; kept by `commit`. Writes only what has changed.

        Args:
            resolved: All features of the source in this build.
            classes: (n,) string, entity class of each.
            lineage: (geid, relation, other) rows, for example `("7k3m-...", "part_of_feature", "survey:4711")`.

        Raises:
            StoreError: If the registry cannot be written.
        """
        names = resolved.geids.to_pylist()
        kinds = [None] * len(names) if classes is None else classes.cast(pa.string()).to_pylist()
        with self._explained():
            self._begin()
            number = self._next_release()
            self._write_entities(resolved, names, kinds, number)
            self._write_keys(resolved, names)
            self._write_anchors(resolved, names)
            self._database.executemany("INSERT OR IGNORE INTO lineage VALUES (?, ?, ?)", sorted(lineage))
            self._sources.append((resolved.layer, resolved.source))

    def _write_entities(self, resolved: Resolved, names: list[str], kinds: list[str | None], number: int) -> None:
        sql = "SELECT geid, entity_class, last_release FROM entity WHERE layer = ? AND source = ?"
        before = {geid: (kind, gone) for geid, kind, gone in self._all(sql, resolved.layer, resolved.source)}
        changed = [row for row, name in enumerate(names) if before.get(name, _ABSENT) != (kinds[row], None)]
        keys = resolved.keys.to_pylist() if changed else []
        rows = sorted((names[r], resolved.layer, kinds[r], resolved.source, keys[r], number) for r in changed)
        self._database.executemany(
            "INSERT INTO entity VALUES (?, ?, ?, ?, ?, ?, NULL)"
            " ON CONFLICT (geid) DO UPDATE SET entity_class = excluded.entity_class, last_release = NULL",
            rows,
        )
        now = set(names)
        gone = sorted(geid for geid, (_, last) in before.items() if last is None and geid not in now)
        sql = "SELECT release FROM seen WHERE layer = ? AND source = ?"
        last = next(iter(self._all(sql, resolved.layer, resolved.source)), (number,))[0]
        self._database.executemany("UPDATE entity SET last_release = ? WHERE geid = ?", [(last, geid) for geid in gone])

    def _write_keys(self, resolved: Resolved, names: list[str]) -> None:
        minted = np.asarray(resolved.how.indices) == _MINTED
        keyed = resolved.keys.is_valid().to_numpy(zero_copy_only=False)
        keys = resolved.keys.to_pylist()
        rows = sorted((resolved.source, keys[r], names[r]) for r in np.flatnonzero(minted & keyed).tolist())
        self._database.executemany("INSERT OR IGNORE INTO source_key VALUES (?, ?, ?)", rows)

    def _write_anchors(self, resolved: Resolved, names: list[str]) -> None:
        blank = np.flatnonzero(~resolved.keys.is_valid().to_numpy(zero_copy_only=False))
        if not len(blank):
            return
        sql = "SELECT geid, x, y, area, west, south, east, north FROM anchor WHERE layer = ? AND source = ?"
        before = {row[0]: row[1:] for row in self._all(sql, resolved.layer, resolved.source)}
        rows = []
        for row, place in zip(blank.tolist(), resolved.anchors.take(blank).matrix().tolist(), strict=True):
            old = before.get(names[row])
            if old is None or any(abs(a - b) > _MOVED_M for a, b in zip(old, place, strict=True)):
                key = resolved.mint_keys.get(row, "")
                rows.append((names[row], resolved.layer, resolved.source, key, *place))
        self._database.executemany(
            "INSERT INTO anchor VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (geid) DO UPDATE SET"
            " x = excluded.x, y = excluded.y, area = excluded.area, west = excluded.west, south = excluded.south,"
            " east = excluded.east, north = excluded.north",
            sorted(rows),
        )

    def add_aliases(self, scheme: str, values: Iterable[str], names: Iterable[str]) -> None:
        """Notes codes of another scheme for entities, for example BeiDou grid codes; kept by `commit`.

        A value that already stands for another entity goes over to the new one.
        """
        with self._explained():
            self._begin()
            rows = sorted((scheme, value, name) for value, name in zip(values, names, strict=True))
            sql = "INSERT INTO alias VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET geid = excluded.geid WHERE geid <> excluded.geid"
            self._database.executemany(sql, rows)

    def commit(self, release: str, time: datetime.datetime | None = None) -> None:
        """Keeps what was recorded.

        Args:
            release: Id of the release this build gives.
            time: When; now by default. The registry may know the clock, tiles may not.

        Raises:
            StoreError: If the registry cannot be written.
        """
        moment = (time or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
        with self._explained():
            self._begin()
            number = self._next_release()
            row = (number, release, moment.isoformat(timespec="seconds").replace("+00:00", "Z"))
            self._database.execute("INSERT INTO release VALUES (?, ?, ?)", row)
            seen = [(layer, source, number) for layer, source in self._sources]
            self._database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", seen)
            self._database.execute("COMMIT")
            self._sources = []

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")

    def _next_release(self) -> int:
        (number,) = self._all("SELECT coalesce(max(number), 0) + 1 FROM release")[0]
        return int(number)

    def entity(self, geid: str) -> Known | None:
        """What is known of an identifier, retired ones included."""
        if not geids.check(geid):
            return None
        name = geids.normalise(geid)
        rows = self._all("SELECT * FROM entity_seen WHERE geid = ?", name)
        if not rows:
            return None
        sql = "SELECT relation, other FROM lineage WHERE geid = ? ORDER BY relation, other"
        return Known(*rows[0][:9], bool(rows[0][9]), self.aliases(name), tuple(self._all(sql, name)))

    def alias(self, scheme: str, value: str) -> str | None:
        """The identifier a code of another scheme stands for."""
        rows = self._all("SELECT geid FROM alias WHERE scheme = ? AND value = ?", scheme, value)
        return str(rows[0][0]) if rows else None

    def aliases(self, geid: str) -> tuple[tuple[str, str], ...]:
        """(scheme, value) pairs of an identifier, sorted."""
        return tuple(self._all("SELECT scheme, value FROM alias WHERE geid = ? ORDER BY scheme, value", geid))

    def lookup(self, text: str) -> str | None:
        """The identifier a text stands for: a geid in any spelling, `source:key`, `scheme:value`, or a bare alias.

        A bare alias that stands for several entities is no answer.
        """
        if geids.check(text):
            name = geids.normalise(text)
            if self._all("SELECT 1 FROM entity WHERE geid = ?", name):
                return name
        for at in (i for i, letter in enumerate(text) if letter == ":"):
            first, second = text[:at], text[at + 1 :]
            rows = self._all("SELECT geid FROM source_key WHERE source = ? AND key = ?", first, second)
            found = str(rows[0][0]) if rows else self.alias(first, second)
            if found is not None:
                return found
        rows = self._all("SELECT DISTINCT geid FROM alias WHERE value = ? LIMIT 2", text)
        return str(rows[0][0]) if len(rows) == 1 else None

    def _all(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def _explained(self) -> _Explained:
        return _Explained(self)

    def roll_back(self) -> None:
        """Forgets what was recorded since the last commit."""
        self._sources = []
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file; what was not committed is forgotten."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_ABSENT = (object(), None)


class _Explained:
    """Turns SQLite errors of a block into `StoreError` and undoes the transaction."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error | TwinError):
            self._registry.roll_back()
        if isinstance(error, sqlite3.Error):
            raise explained(self._registry.path, error) from error


def _refuse_repeated(keys: Sequence[str | None], source: str) -> None:
    present = [key for key in keys if key is not None]
    if len(set(present)) == len(present):
        return
    seen: set[str] = set()
    twice = next(key for key in present if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    raise MisuseError(
        f"the source {source!r} has the key {twice!r} twice",
        feature=twice,
        next_step='choose `duplicates = "first"` or "union" for the source',
    )
