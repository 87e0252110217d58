"""The entities that reports are linked to, as arrays: what every way of linking looks up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.entity.areas import AREAS, LEVELS
from twin.entity.index import EntityIndex
from twin.entity.index_schema import ATTRIBUTE, GEOMETRY
from twin.entity.positions import Outlines
from twin.live.kinds import Kinds
from twin.live.link_found import Flags, Floats, Ints

ONLY = "only"
"""In `prefer` of a kind: nothing but what is named counts where a position decides."""


@dataclass(frozen=True, slots=True)
class Group:
    """Entities that a kind can tell apart.

    Attributes:
        layer: Name of the layer.
        entity_class: Class, "" where none is stated.
        level: Level of an area, "" of anything else.
    """

    layer: str
    entity_class: str
    level: str

    @property
    def is_area(self) -> bool:
        """True if it holds things and is none itself."""
        return self.entity_class in AREAS

    def rank(self, prefer: Sequence[str]) -> int:
        """Place in a list of layers, classes and levels of areas, 0 the best; -1 where it does not count at all."""
        named = [at for at, name in enumerate(prefer) if name in {self.layer, self.entity_class, self.level} - {""}]
        if named:
            return named[0]
        return -1 if self.is_area or ONLY in prefer else len(prefer)


@dataclass(frozen=True, slots=True)
class Scene:
    """The entities of an index.

    Attributes:
        index: The index itself.
        outlines: Footprints, working CRS.
        parent: (n,) row of the parent; -1 without.
        lonlat: (n, 2) degrees; NaN where unknown.
        base, top: (n,) ellipsoidal heights, metres; NaN where unknown.
        group: (n,) number of the group.
        groups: Groups.
        is_area: (groups,) True where a group is of areas.
        kinds: Kinds, for what they prefer.
    """

    index: EntityIndex
    outlines: Outlines
    parent: Ints
    lonlat: Floats
    base: Floats
    top: Floats
    group: Ints
    groups: tuple[Group, ...]
    is_area: Flags
    kinds: Kinds

    @classmethod
    def of(cls, index: EntityIndex, kinds: Kinds) -> Scene:
        """Reads the columns of an index once."""
        table = index.table
        lon, lat, base, height = (_numbers(table[name]) for name in ("lon", "lat", "height", "height_m"))
        group, groups = _groups(table)
        return cls(
            index=index,
            outlines=Outlines.of(table[GEOMETRY]),
            parent=index.find_many(table["parent"]),
            lonlat=np.column_stack([lon, lat]),
            base=base,
            top=base + np.nan_to_num(height),
            group=group,
            groups=groups,
            is_area=np.array([one.is_area for one in groups], dtype=np.bool_),
            kinds=kinds,
        )

    def ranks(self, kinds: Sequence[str]) -> Ints:
        """(kinds, groups) rank of every group for every kind; -1 where it does not count."""
        prefer = [() if (kind := self.kinds.get(name)) is None else kind.prefer for name in kinds]
        ranks = [[group.rank(one) for group in self.groups] for one in prefer]
        return np.array(ranks, dtype=np.int64).reshape(len(kinds), len(self.groups))


def _numbers(column: pa.ChunkedArray) -> Floats:
    numbers: Floats = pc.fill_null(column, float("nan")).to_numpy()
    return numbers


def _groups(table: pa.Table) -> tuple[Ints, tuple[Group, ...]]:
    """Number of the group of each row, and the groups: what differs in layer, class or level of area."""
    count = table.num_rows
    level = table[ATTRIBUTE + "level"] if ATTRIBUTE + "level" in table.column_names else pa.nulls(count, pa.string())
    coded = [_coded(column) for column in (table["layer"], table["entity_class"], level)]
    codes = np.column_stack([code for code, _ in coded])
    different, group = np.unique(codes, axis=0, return_inverse=True)
    groups = [_group(*(words[code] for (_, words), code in zip(coded, one, strict=True))) for one in different.tolist()]
    return group.astype(np.int64).reshape(count), tuple(groups)


def _coded(column: pa.Array | pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Number of the word of each row, and the words; what is no text counts as none."""
    texts = column if pa.types.is_string(column.type) else pa.nulls(len(column), pa.string())
    flat = pc.fill_null(texts, "")
    whole = pa.concat_arrays(flat.chunks or [pa.array([], pa.string())]) if isinstance(flat, pa.ChunkedArray) else flat
    coded = whole.dictionary_encode()
    return np.asarray(coded.indices, dtype=np.int64), coded.dictionary.to_pylist()


def _group(layer: str, entity_class: str, level: str) -> Group:
    return Group(layer, entity_class, level if entity_class in AREAS and level in LEVELS else "")
