"""All candidate entities of a layer as columns: what duplicates, parts and identity are decided on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.segment import Segment, outcome_of

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_NUMBERS = ("x", "y", "area_m2", "west", "south", "east", "north", "base_m", "height_m")


@dataclass(frozen=True, slots=True)
class Candidates:
    """n candidates of one layer, in the order of their segments.

    Attributes:
        segments: Every segment of the layer; joined pieces add one at the end.
        file: (n,) number of the file in the plan.
        source: (n,) number of the `[[source]]`.
        segment, row: (n,) where the candidate lies.
        feature: (n,) row of the feature in its file; equal for the polygons of an exploded feature.
        part: (n,) polygon number of an exploded feature, from 1; 0 otherwise.
        key, part_of: (n,) text.
        is_part: (n,) building part.
        number: Columns x, y, area_m2, west, south, east, north, base_m, height_m, each (n,).
        reasons: (n,) reason bits.
    """

    segments: list[Segment]
    file: I64
    source: I64
    segment: I64
    row: I64
    feature: I64
    part: I64
    key: pa.StringArray
    part_of: pa.StringArray
    is_part: Bool
    number: dict[str, F64]
    reasons: U64

    def __len__(self) -> int:
        return len(self.file)

    def standing(self) -> Bool:
        """(n,) True where there is a geometry to stand on: neither skipped nor failed for its geometry."""
        return np.isfinite(self.number["x"]) & (outcome_of(self.reasons) < _FAILED)


_FAILED = 3


def collect(segments: Sequence[Segment], files: Sequence[int], sources: Sequence[int]) -> Candidates:
    """Reads the columns of all segments of a layer.

    Args:
        segments: In the order of files and rows.
        files, sources: Number of the file and of the source of each segment.
    """
    counts = [segment.table.num_rows for segment in segments]
    names = ["row", "part", "key", "part_of", "is_part", *_NUMBERS, "reasons"]
    table = pa.concat_tables([segment.table.select(names) for segment in segments])

    def array(name: str) -> NDArray[np.generic]:
        return np.asarray(table.column(name).to_numpy())

    return Candidates(
        segments=list(segments),
        file=np.repeat(np.asarray(files, dtype=np.int64), counts),
        source=np.repeat(np.asarray(sources, dtype=np.int64), counts),
        segment=np.repeat(np.arange(len(segments)), counts),
        row=np.concatenate([np.arange(count) for count in counts]),
        feature=array("row").astype(np.int64),
        part=array("part").astype(np.int64),
        key=_text(table.column("key")),
        part_of=_text(table.column("part_of")),
        is_part=array("is_part").astype(bool),
        number={name: array(name).astype(np.float64) for name in _NUMBERS},
        reasons=array("reasons").astype(np.uint64),
    )


def _text(column: pa.ChunkedArray) -> pa.StringArray:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
