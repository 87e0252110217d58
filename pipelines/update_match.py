"""Compares what is believed of the district with what its survey says now, layer by layer and source by source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.project_model import ChangeTable
from twin.entity.areas import is_area
from twin.geometry.footprints import Footprints, from_shapely
from twin.geometry.wkb_rings import read_rings
from twin.registry.change import compare
from twin.registry.change_areas import compare_areas
from twin.registry.change_result import Changes, Surveyed
from twin.registry.change_rules import CHANGES, WHYS, Change, ChangeRules
from twin.registry.matching import Anchors
from twin.registry.versions import Relation

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.object_]

_ATTRIBUTES = ("entity_class", "name", "address", "attributes")
"""What makes the text by which attributes are compared; heights, storeys and footprints are compared as such."""
_CLASS = ["entity_class"]
_APART = "\x1f"
_LABELS = np.array([change.value for change in CHANGES], dtype=object)
_REASONS = np.array([why.value for why in WHYS], dtype=object)


@dataclass(frozen=True, slots=True)
class Side:
    """What the comparison says of every row of one edition; n rows.

    Attributes:
        change: (n,) text, a value of `Change`.
        partner: (n,) row of the other edition, or -1; where `kept`, the same entity.
        kept: (n,) True where the entity goes on under its identifier.
        score: (n,) 0 to 1.
        doubtful: (n,) True where a person should decide.
        why: (n,) text, a value of `twin.registry.change_rules.Why`.
        differs: (n,) True where heights, storeys or attributes differ, whatever the class.
    """

    change: Texts
    partner: Ints
    kept: Bools
    score: Floats
    doubtful: Bools
    why: Texts
    differs: Bools

    def is_(self, change: Change) -> Bools:
        """(n,) True where the class is this one."""
        return np.asarray(self.change == change.value, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two editions compared.

    Attributes:
        before: Of each entity believed so far; never `new`.
        after: Of each entity of the new edition; never `gone`.
        steps: Lineage: (row before, relation, row after).
    """

    before: Side
    after: Side
    steps: tuple[tuple[int, Relation, int], ...]


def rules_of(table: ChangeTable) -> ChangeRules:
    """The limits the project states."""
    return ChangeRules(**table.model_dump())


def compare_editions(before: pa.Table, after: pa.Table, rules: ChangeRules) -> Comparison:
    """Classes every entity of two editions.

    Args:
        before: `VERSION_FIELDS`, what is believed.
        after: `VERSION_FIELDS`, what the survey says now.
        rules: The limits.
    """
    sides = (_blank(before.num_rows, Change.GONE), _blank(after.num_rows, Change.NEW))
    steps: list[tuple[int, Relation, int]] = []
    for mine, fresh in _groups(before, after):
        changes = _compare(_taken(before, mine), _taken(after, fresh), rules)
        _put(sides[0], changes, (mine, fresh), "before")
        _put(sides[1], changes, (fresh, mine), "after")
        steps += [(int(mine[one]), relation, int(fresh[other])) for one, relation, other in changes.steps()]
    return Comparison(sides[0], sides[1], tuple(sorted(steps)))


def _taken(table: pa.Table, rows: Ints) -> pa.Table:
    """Some rows, in their order; the table itself where they are all of it."""
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def _compare(before: pa.Table, after: pa.Table, rules: ChangeRules) -> Changes:
    """One source of one layer; areas go by rules of their own."""
    one, other = surveyed(before), surveyed(after)
    if not pc.all(is_area(pa.concat_tables([before.select(_CLASS), after.select(_CLASS)]))).as_py():
        return compare(one, other, rules)
    return compare_areas(one, other, (_plain(before.column("name")), _plain(after.column("name"))), rules)


def _groups(before: pa.Table, after: pa.Table) -> list[tuple[Ints, Ints]]:
    """Rows of both editions, a layer and source each: keys of one source say nothing about those of another."""
    pairs = [_place_codes(table) for table in (before, after)]
    names = sorted(set(pairs[0]) | set(pairs[1]))
    none = np.empty(0, dtype=np.int64)
    return [(pairs[0].get(name, none), pairs[1].get(name, none)) for name in names]


def _place_codes(table: pa.Table) -> dict[str, Ints]:
    text = pc.binary_join_element_wise(table.column("layer"), pc.fill_null(table.column("source"), ""), _APART)
    coded = pa.chunked_array(text.chunks or [pa.array([], pa.string())]).combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    return {name: np.flatnonzero(codes == number) for number, name in enumerate(coded.dictionary.to_pylist())}


def _blank(count: int, change: Change) -> Side:
    return Side(
        change=np.full(count, change.value, dtype=object),
        partner=np.full(count, -1, dtype=np.int64),
        kept=np.zeros(count, dtype=np.bool_),
        score=np.zeros(count),
        doubtful=np.zeros(count, dtype=np.bool_),
        why=np.full(count, "", dtype=object),
        differs=np.zeros(count, dtype=np.bool_),
    )


def _put(side: Side, changes: Changes, rows: tuple[Ints, Ints], which: str) -> None:
    verdicts = changes.before if which == "before" else changes.after
    own, other = rows
    side.change[own] = _LABELS[verdicts.change]
    partnered = verdicts.partner >= 0
    side.partner[own[partnered]] = other[verdicts.partner[partnered]]
    side.kept[own] = verdicts.kept()
    side.score[own] = verdicts.score
    side.doubtful[own] = verdicts.doubtful
    side.why[own] = _REASONS[verdicts.why]
    side.differs[own] = verdicts.attributes_differ


def surveyed(table: pa.Table) -> Surveyed:
    """Rows of `VERSION_FIELDS` as the comparison wants them."""
    texts = [pc.fill_null(table.column(name), "") for name in _ATTRIBUTES]
    return Surveyed(
        key=_plain(table.column("source_key")),
        footprints=footprints_of(table),
        height_m=_numbers(table, "height_m"),
        base_m=_numbers(table, "base_m"),
        storeys=_numbers(table, "storeys"),
        attributes=_plain(pc.binary_join_element_wise(*texts, _APART)),
    )


def footprints_of(table: pa.Table) -> Footprints:
    """Footprints of rows of `VERSION_FIELDS`; a row without geometry is a feature without polygon."""
    wkb = table.column("geometry")
    column = pa.concat_arrays(wkb.chunks) if wkb.num_chunks else pa.array([], pa.binary())
    read = read_rings(column)
    return from_shapely(shapely.from_wkb(column.to_numpy(zero_copy_only=False))) if read is None else read


def anchors_of(table: pa.Table) -> Anchors:
    """Where the entities of some rows stand."""
    return Anchors.from_footprints(footprints_of(table))


def _plain(column: pa.ChunkedArray) -> pa.StringArray:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())


def _numbers(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)
