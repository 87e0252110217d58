"""Which thing in the world a feature is: identifiers minted once and kept for ever (promise 4)."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.entity import geid as geids
from twin.errors import MisuseError, TwinError
from twin.registry import known, record
from twin.registry.known import Known
from twin.registry.matching import Anchors, match, mint_keys
from twin.registry.record import ANCHOR_COLUMNS, HOW, KNOWN, MATCHED, MINTED, Resolved
from twin.registry.schema import connect, explained

__all__ = ["HOW", "Anchors", "Known", "Registry", "Resolved"]

_BY_GEOMETRY = "\x1fgeometry"  # keeps keys made of geometry apart from source keys


class Registry:
    """An open registry. Writing happens in one transaction, from the first `record` to `commit`.

    Args:
        path: The database.
        database: Its connection.
        authority: Who mints.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, authority: str) -> None:
        self.path = path
        self.authority = authority
        self._database = database
        self._rows = known.runner(database, lambda error: explained(path, error))
        self._recorded: dict[tuple[str, str], str] = {}

    @classmethod
    def open(cls, path: Path | str, authority: str, read_only: bool = False, patience_s: float = 10.0) -> Self:
        """Opens a registry; a missing one is made unless `read_only`, a locked one is waited for `patience_s` seconds.

        Raises:
            StoreError: If it is damaged, locked, of another version or authority, or cannot be written.
        """
        place = Path(path)
        return cls(place, connect(place, authority, read_only, patience_s), authority)

    def resolve(self, layer: str, source: str, keys: pa.Array | pa.ChunkedArray, anchors: Anchors) -> Resolved:
        """Finds or mints the identifier of every feature of a source; writes nothing.

        A feature with a key is known by it, for ever. One without is matched by geometry with those of earlier builds,
        one to one, else minted from its geometry, so that an empty registry on another machine gives the same ids.

        Args:
            layer: Layer name.
            source: Source name.
            keys: (n,) string; null where the source has no usable id. A part may be `id#part`, a piece of an exploded
                multipart `id~1`.
            anchors: (n,) footprints, in metres of the working CRS; only rows without key are read.

        Raises:
            MisuseError: If a key stands twice, or a feature has neither key nor geometry.
            StoreError: If the registry is damaged.
        """
        texts = pa.concat_arrays(keys.chunks or [pa.nulls(0)]) if isinstance(keys, pa.ChunkedArray) else keys
        texts = texts.cast(pa.string())
        if len(texts) != len(anchors):
            raise MisuseError(f"{len(texts)} keys but {len(anchors)} anchors", next_step="give one anchor a feature")
        found, how = self._by_key(source, texts.to_pylist())
        blank = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
        minted: dict[int, str] = {}
        if len(blank):
            names, how[blank], new = self._by_geometry(layer, source, anchors.take(blank))
            for row, name in zip(blank.tolist(), names, strict=True):
                found[row] = name
            minted = {int(blank[at]): key for at, key in new.items()}
        labels = pa.DictionaryArray.from_arrays(pa.array(how), pa.array(HOW))
        return Resolved(layer, source, texts, pa.array(found, pa.string()), labels, anchors, minted)

    def _by_key(self, source: str, keys: Sequence[str | None]) -> tuple[list[str | None], NDArray[np.int8]]:
        stored = dict(self._rows("SELECT key, geid FROM source_key WHERE source = ?", source))
        _refuse_repeated(keys, source)
        found = [stored.get(key) for key in keys]
        new = [row for row, name in enumerate(found) if name is None and keys[row] is not None]
        for row, name in zip(new, geids.mint(self.authority, [f"{source}/{keys[row]}" for row in new]), strict=True):
            found[row] = name
        how = np.full(len(keys), KNOWN, dtype=np.int8)
        how[new] = MINTED
        return found, how

    def _by_geometry(
        self, layer: str, source: str, fresh: Anchors
    ) -> tuple[list[str], NDArray[np.int8], dict[int, str]]:
        """Identifiers of features without key, how each was found, and the mint keys of the new ones by row."""
        sql = f"SELECT geid, {ANCHOR_COLUMNS} FROM anchor WHERE layer = ? AND source = ? ORDER BY geid"  # noqa: S608
        _refuse_placeless(fresh, source)
        stored = self._rows(sql, layer, source)
        names = [row[0] for row in stored]
        partner = match(Anchors.of(np.array([row[1:] for row in stored], dtype=np.float64).reshape(-1, 7)), fresh)
        found = [names[at] if at >= 0 else "" for at in partner.tolist()]
        alone = np.flatnonzero(partner < 0).tolist()
        new = self._mint_by_geometry(source, mint_keys(layer, fresh), alone, set(names)) if alone else {}
        for row, (name, _) in new.items():
            found[row] = name
        how = np.where(partner >= 0, MATCHED, MINTED).astype(np.int8)
        return found, how, {row: key for row, (_, key) in new.items()}

    def _mint_by_geometry(
        self, source: str, keys: list[str], rows: list[int], taken: set[str]
    ) -> dict[int, tuple[str, str]]:
        """Mints for some rows; where an identifier is taken, because its owner has moved on, another key is tried."""
        made: dict[int, tuple[str, str]] = {}
        waiting, attempt = rows, 0
        while waiting:
            texts = [keys[row] + (f"+{attempt}" if attempt else "") for row in waiting]
            tried = geids.mint(self.authority + _BY_GEOMETRY, [f"{source}/{text}" for text in texts])
            made.update((row, (n, text)) for row, n, text in zip(waiting, tried, texts, strict=True) if n not in taken)
            waiting, attempt = [row for row in waiting if row not in made], attempt + 1
        return made

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
        kinds = pa.nulls(len(resolved.geids), pa.string()) if classes is None else classes.cast(pa.string())
        if isinstance(kinds, pa.ChunkedArray):
            kinds = pa.concat_arrays(kinds.chunks or [pa.nulls(0, pa.string())])
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
        moment = (time or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
        stamp = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._transaction():
            sql = "INSERT INTO release (id, time) VALUES (?, ?) RETURNING number"
            (number,) = self._database.execute(sql, (release, stamp)).fetchone()
            rows = [(*place, number, digest) for place, digest in sorted(self._recorded.items())]
            self._database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        self._recorded = {}

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

    def entity(self, geid: str) -> Known | None:
        """What is known of an identifier, retired ones included."""
        return known.entity(self._rows, geid)

    def alias(self, scheme: str, value: str) -> str | None:
        """The identifier a code of another scheme stands for; None where that is none, or several."""
        return known.alias(self._rows, scheme, value)

    def named(self, text: str) -> tuple[str, ...]:
        """All identifiers a text may stand for, sorted; see `lookup`."""
        return known.named(self._rows, text)

    def is_later(self, geid: str, release: str) -> bool:
        """True if an entity was first seen by a build after the last one that gave this release."""
        return known.is_later(self._rows, geid, release)

    def aliases(self, geid: str) -> tuple[tuple[str, str], ...]:
        """(scheme, value) pairs of an identifier, sorted."""
        return known.aliases(self._rows, geid)

    def lookup(self, text: str) -> str | None:
        """The identifier a text stands for: a geid in any spelling, `source:key`, `scheme:value`, or a bare alias.

        A bare alias that stands for several entities is no answer.
        """
        return known.lookup(self._rows, text)

    def close(self) -> None:
        """Closes the file; what was not committed is forgotten."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refuse_repeated(keys: Sequence[str | None], source: str) -> None:
    present = [key for key in keys if key is not None]
    if len(set(present)) == len(present):
        return
    seen: set[str] = set()
    for key in present:
        if key in seen:
            raise MisuseError(
                f"the source {source!r} has the key {key!r} twice",
                feature=key,
                next_step='choose `duplicates = "first"` or "union" for the source',
            )
        seen.add(key)


def _refuse_placeless(anchors: Anchors, source: str) -> None:
    placeless = np.flatnonzero(~np.isfinite(anchors.matrix()).all(axis=1))
    if len(placeless):
        raise MisuseError(
            f"{len(placeless)} features of the source {source!r} have neither an id nor a geometry",
            next_step="leave features without geometry out before their identity is asked for",
        )
