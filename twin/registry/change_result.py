"""Two editions of a survey as arrays, and what a comparison of them says of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.registry.change_rules import CHANGES, KEPT, WHYS, Change
from twin.registry.versions import Relation

if TYPE_CHECKING:
    from twin.geometry.footprints import Footprints

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Bools = NDArray[np.bool_]

_RELATION = {
    CHANGES.index(Change.SPLIT): Relation.SPLIT_INTO,
    CHANGES.index(Change.MERGED): Relation.MERGED_INTO,
    CHANGES.index(Change.REPLACED): Relation.REPLACED_BY,
}
_KEPT_CODES = np.array(sorted(CHANGES.index(change) for change in KEPT), dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The entities of one edition; n rows.

    Attributes:
        key: Source keys, text, null where there is none.
        footprints: In the working CRS, metres; a feature may be without a polygon.
        height_m, base_m, storeys: (n,) f64, NaN where unknown.
        attributes: Text a row that is equal where the attributes are: a digest, or canonical JSON; may be null.
    """

    key: pa.StringArray
    footprints: Footprints
    height_m: Floats
    base_m: Floats
    storeys: Floats
    attributes: pa.StringArray

    def __post_init__(self) -> None:
        lengths = {len(self.key), len(self.height_m), len(self.base_m), len(self.storeys), len(self.attributes)}
        if lengths != {len(self.footprints)}:
            raise ValueError(f"columns of an edition differ in length: {sorted(lengths)}, {len(self.footprints)}")

    def __len__(self) -> int:
        return len(self.footprints)

    def take(self, rows: Ints) -> Surveyed:
        """The entities of `rows`, in that order."""
        return Surveyed(
            self.key.take(pa.array(rows)),
            self.footprints.take(rows),
            self.height_m[rows],
            self.base_m[rows],
            self.storeys[rows],
            self.attributes.take(pa.array(rows)),
        )


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One edition's side of a comparison; one row an entity.

    Attributes:
        change: (n,) int8, position in `CHANGES`.
        partner: (n,) int64 row of the other edition, or -1. Where the class keeps the entity (`kept`): the same entity.
            Of a piece: the whole. Of a whole: its largest piece. Of something replaced: what stood, or stands, there.
        score: (n,) f64, 0 to 1: how much speaks for it.
        doubtful: (n,) True where a person should look at it before it is believed.
        why: (n,) int8, position in `WHYS`.
        attributes_differ: (n,) True where it goes on and heights, storeys or attributes differ, whatever the class.
    """

    change: Codes
    partner: Ints
    score: Floats
    doubtful: Bools
    why: Codes
    attributes_differ: Bools

    def __len__(self) -> int:
        return len(self.change)

    def kept(self) -> Bools:
        """(n,) True where the entity goes on under its geid."""
        return np.isin(self.change, _KEPT_CODES)

    def is_(self, change: Change) -> Bools:
        """(n,) True where the class is this one."""
        return np.asarray(self.change == CHANGES.index(change))

    def labels(self) -> pa.StringArray:
        """(n,) classes as text."""
        return pa.array([change.value for change in CHANGES]).take(pa.array(self.change))

    def reasons(self) -> pa.StringArray:
        """(n,) grounds as text."""
        return pa.array([why.value for why in WHYS]).take(pa.array(self.why))

    def counts(self) -> dict[str, int]:
        """How many rows of each class there are, classes without any left out."""
        counted = Counter(dict(enumerate(np.bincount(self.change, minlength=len(CHANGES)).tolist())))
        return {CHANGES[code].value: number for code, number in counted.items() if number}


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new edition did to each entity.

    Attributes:
        after: Of each row of the new edition; never `gone`.
        before: Of each row of the one before; never `new`.
        step_before, step_after: (s,) rows of the lineage steps: what ended, and what came of it.
        step_change: (s,) int8 class of the step: split, merged or replaced.
    """

    after: Verdicts
    before: Verdicts
    step_before: Ints
    step_after: Ints
    step_change: Codes

    def steps(self) -> Iterator[tuple[int, Relation, int]]:
        """Lineage as (row before, relation, row after), sorted."""
        order = np.lexsort([self.step_after, self.step_before])
        for row in order.tolist():
            relation = _RELATION[int(self.step_change[row])]
            yield int(self.step_before[row]), relation, int(self.step_after[row])
