"""Finding or minting identifiers, and asking for them: what every backend of the registry does in the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.entity import geid as geids
from twin.errors import MisuseError
from twin.registry import known
from twin.registry.known import Known, Rows
from twin.registry.matching import Anchors, match, mint_keys
from twin.registry.record import ANCHOR_COLUMNS, HOW, KNOWN, MATCHED, MINTED, Resolved

_BY_GEOMETRY = "\x1fgeometry"  # keeps keys made of geometry apart from source keys


class Resolver:
    """The reading half of a registry; a backend brings the queries.

    Args:
        authority: Who mints.
        rows: Runs a query (`?` stands for a value) on the backend's tables.
    """

    def __init__(self, authority: str, rows: Rows) -> None:
        self.authority = authority
        self.rows = rows
        self._rows = rows

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
        found, how = self._by_key(source, texts)
        blank = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
        minted: dict[int, str] = {}
        if len(blank):
            names, how[blank], new = self._by_geometry(layer, source, anchors.take(blank))
            found = pc.replace_with_mask(found, texts.is_null(), pa.array(names, pa.string()))
            minted = {int(blank[at]): key for at, key in new.items()}
        labels = pa.DictionaryArray.from_arrays(pa.array(how), pa.array(HOW))
        return Resolved(layer, source, texts, found, labels, anchors, minted)

    def _by_key(self, source: str, keys: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int8]]:
        """Identifiers of the features that have a key, null for the others, and how each was found."""
        if pc.count_distinct(keys, mode="only_valid").as_py() < len(keys) - keys.null_count:
            refuse_repeated(keys.to_pylist(), source)
        found = self._stored(source, keys)
        new = pc.and_(found.is_null(), keys.is_valid())
        fresh = geids.mint_column(self.authority, f"{source}/", keys.filter(new))
        how = np.where(new.to_numpy(zero_copy_only=False), MINTED, KNOWN).astype(np.int8)
        return (fresh if len(fresh) == len(keys) else pc.replace_with_mask(found, new, fresh)), how

    def _stored(self, source: str, keys: pa.StringArray) -> pa.StringArray:
        """What keys of a source stand for in the registry; null where it does not know them."""
        rows = list(self._rows("SELECT key, geid FROM source_key WHERE source = ?", source))
        if not rows:
            return pa.nulls(len(keys), pa.string())
        known_keys, names = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
        return names.take(pc.index_in(keys, value_set=known_keys, skip_nulls=True))

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


def refuse_repeated(keys: Sequence[str | None], source: str) -> None:
    """Refuses keys of which one stands twice.

    Raises:
        MisuseError: Names it.
    """
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


def refuse_malformed(names: Sequence[str]) -> None:
    """Refuses what is no identifier in its written form.

    Raises:
        MisuseError: Names the first one.
    """
    wrong = next((name for name in names if not geids.check(name) or geids.normalise(name) != name), None)
    if wrong is not None:
        raise MisuseError(f"{wrong!r} is no identifier as the registry writes it", next_step="check its characters")


def _refuse_placeless(anchors: Anchors, source: str) -> None:
    placeless = np.flatnonzero(~np.isfinite(anchors.matrix()).all(axis=1))
    if len(placeless):
        raise MisuseError(
            f"{len(placeless)} features of the source {source!r} have neither an id nor a geometry",
            next_step="leave features without geometry out before their identity is asked for",
        )
