"""What two releases differ in: entities that came, went or changed, and tiles with their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.entity.index import EntityIndex
from twin.entity.index_schema import GEOMETRY
from twin.errors import MisuseError
from twin.store.base import entries_of, stored_sizes
from twin.store.open import open_store
from twin.store.release import RELEASES, Release, current

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]

#: Columns that say where an entity is drawn, not what it is.
_OF_TILES = ("tile", "row")
#: A measure that differs by less is the same: single precision and the noise of a projection.
_SAME_M = 1e-6
_PLACE = ("lon", "lat", "west", "south", "east", "north")
_SAME_DEG = 1e-11  # about a micrometre


@dataclass(frozen=True, slots=True)
class EntityDiff:
    """How the entities of two releases differ.

    Attributes:
        added, removed: Geids.
        changed: Geid to the fields that changed; `geometry` among them where the footprint did.
        kept: How many are the same in every field.
        moved_m: Geid to how far the middle of its footprint's box went, metres; those whose footprint changed.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
    kept: int
    moved_m: dict[str, float]


@dataclass(frozen=True, slots=True)
class TileDiff:
    """How the stored files of a layer differ; a file is the same if key and ETag are.

    Attributes:
        layer: Its name.
        added, removed, kept: Keys to bytes in the smallest stored form. A file whose content changed under its key
            stands in both of the first.
    """

    layer: str
    added: dict[str, int]
    removed: dict[str, int]
    kept: dict[str, int]


@dataclass(frozen=True, slots=True)
class Diff:
    """All that two releases differ in."""

    before: str
    after: str
    entities: EntityDiff
    layers: tuple[TileDiff, ...]

    def to_json(self) -> dict[str, Any]:
        """As `twin diff --json` prints it."""
        entities = self.entities
        return {
            "before": self.before,
            "after": self.after,
            "entities": {
                "added": list(entities.added),
                "removed": list(entities.removed),
                "changed": {
                    geid: {"fields": list(fields), "moved_m": entities.moved_m.get(geid)}
                    for geid, fields in entities.changed.items()
                },
                "unchanged": entities.kept,
            },
            "layers": {
                one.layer: {
                    "added": one.added,
                    "removed": one.removed,
                    "kept": {"files": len(one.kept), "bytes": sum(one.kept.values())},
                }
                for one in self.layers
            },
        }


def find_release(out: Path, name: str) -> Release:
    """A release by its id, `current`, `previous`, or the path of its folder.

    Raises:
        MisuseError: There is no such release; the message lists those there are.
        StoreError: It is damaged.
    """
    pointer = current(out)
    named = {"current": pointer.release if pointer else None, "previous": pointer.previous if pointer else None}
    wanted = named.get(name, name)
    folders = {path.name: path for path in sorted((out / RELEASES).glob("[!.]*")) if path.is_dir()}
    if wanted in folders:
        return Release.open(folders[wanted])
    if name not in named and (Path(name) / "release.json").is_file():
        return Release.open(Path(name))
    if name not in named and Path(name).is_dir() and current(Path(name)) is not None:
        return find_release(Path(name), "current")
    there = ", ".join(folders) or "none"
    raise MisuseError(
        f"there is no release {name!r} here; there are: {there}",
        file=out,
        next_step="name one of them, `current`, `previous` or a folder; [output] keep_releases says how many are kept",
    )


def diff_releases(before: Release, after: Release) -> Diff:
    """Compares two releases.

    Raises:
        StoreError: One of them is damaged.
    """
    entities = compare_entities(EntityIndex.open(before.index).table, EntityIndex.open(after.index).table)
    names = sorted({*before.layers, *after.layers})
    layers = tuple(_compare_tiles(name, _files(before, name), _files(after, name)) for name in names)
    return Diff(before.id, after.id, entities, layers)


def compare_entities(before: pa.Table, after: pa.Table) -> EntityDiff:
    """Compares two entity indexes, both sorted by geid.

    Args:
        before, after: Columns as in `twin.entity.index_schema`; an attribute only one of them has counts as null in
            the other.
    """
    one, two = (table["geid"].combine_chunks() for table in (before, after))
    at = pc.fill_null(pc.index_in(two, value_set=one), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    new = np.flatnonzero(at >= 0)
    old = at[new]
    gone = np.setdiff1d(np.arange(len(one)), old, assume_unique=True)
    altered = {name: rows for name, rows in _altered(before, after, old, new) if rows.any()}
    any_field = np.logical_or.reduce([np.zeros(len(new), dtype=bool), *altered.values()])
    rows = np.flatnonzero(any_field)
    names = two.take(pa.array(new[rows])).to_pylist()
    fields = {
        geid: tuple(sorted(f for f, hit in altered.items() if hit[row])) for geid, row in zip(names, rows, strict=True)
    }
    moved = np.flatnonzero(altered.get(GEOMETRY, np.zeros(len(new), dtype=bool)))
    distance = _distances(before, after, old[moved], new[moved])
    return EntityDiff(
        added=tuple(two.take(pa.array(np.flatnonzero(at < 0))).to_pylist()),
        removed=tuple(one.take(pa.array(gone)).to_pylist()),
        changed=fields,
        kept=len(new) - len(rows),
        moved_m=dict(zip(two.take(pa.array(new[moved])).to_pylist(), distance.round(3).tolist(), strict=True)),
    )


def _altered(before: pa.Table, after: pa.Table, old: I64, new: I64) -> Iterator[tuple[str, Bool]]:
    """For every field of either release which entities changed in it."""
    for name in sorted({*before.column_names, *after.column_names} - {"geid", *_OF_TILES}):
        yield name, ~_same(_taken(before, name, old), _taken(after, name, new), name)


def _taken(table: pa.Table, name: str, rows: I64) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(len(rows))
    column = table[name].take(pa.array(rows))
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _same(one: pa.Array, other: pa.Array, name: str) -> Bool:
    neither = np.asarray(pc.and_(one.is_null(), other.is_null()))
    if pa.types.is_null(one.type) or pa.types.is_null(other.type):
        return neither
    if pa.types.is_nested(one.type):
        return _same_lists(one, other)
    if pa.types.is_floating(one.type) or pa.types.is_floating(other.type):
        limit = _SAME_DEG if name in _PLACE else _SAME_M
        near = np.abs(_floats(one) - _floats(other)) <= limit
        return np.asarray(near | neither, dtype=bool)
    if one.type != other.type:
        one, other = one.cast(pa.string()), other.cast(pa.string())
    return np.asarray(np.asarray(pc.fill_null(pc.equal(one, other), False)) | neither, dtype=bool)


def _floats(column: pa.Array) -> NDArray[np.float64]:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return np.full(len(column), np.nan)
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _same_lists(one: pa.Array, other: pa.Array) -> Bool:
    """(n,) True where nested lists are the same: compared as a whole, then halved where they differ."""
    same = np.ones(len(one), dtype=bool)
    waiting = [(0, len(one))]
    while waiting:
        start, count = waiting.pop()
        if one.slice(start, count).equals(other.slice(start, count)):
            continue
        if count == 1:
            same[start] = False
            continue
        waiting += [(start, count // 2), (start + count // 2, count - count // 2)]
    return same


def _distances(before: pa.Table, after: pa.Table, old: I64, new: I64) -> NDArray[np.float64]:
    """(n,) how far the middle of the box of a footprint went, metres of the working CRS."""
    middles = []
    for table, rows in ((before, old), (after, new)):
        column = table.select([GEOMETRY]).take(pa.array(rows))[GEOMETRY]
        bounds = np.array([_middle(one) for one in column.to_pylist()], dtype=np.float64).reshape(-1, 2)
        middles.append(bounds)
    return np.asarray(np.hypot(*(middles[1] - middles[0]).T))


def _middle(polygons: Any) -> tuple[float, float]:
    points = np.array([point for polygon in polygons or () for point in polygon[0]], dtype=np.float64)
    if not len(points):
        return float("nan"), float("nan")
    x, y = (points.min(axis=0) + points.max(axis=0)) / 2
    return float(x), float(y)


def _files(release: Release, layer: str) -> dict[str, tuple[str, int]]:
    """ETag and bytes in the smallest form of every file of a layer; none where the release has no such layer."""
    if layer not in release.layers:
        return {}
    with open_store(release.store_path(layer)) as store:
        return {entry.key: (entry.etag, min(stored_sizes(store, entry.key).values())) for entry in entries_of(store)}


def _compare_tiles(layer: str, before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]]) -> TileDiff:
    kept = {key for key, (etag, _) in after.items() if key in before and before[key][0] == etag}
    return TileDiff(
        layer,
        {key: size for key, (_, size) in after.items() if key not in kept},
        {key: size for key, (_, size) in before.items() if key not in kept},
        {key: size for key, (_, size) in after.items() if key in kept},
    )
