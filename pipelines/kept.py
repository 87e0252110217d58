"""What the last finished build leaves for the next: blocks already cleaned, so that only what has changed is again.

`.twin/kept/` holds the segments of one build, never more, with the records each was made of. A block whose file has
the same bytes is not even read; a block whose records are the same is taken over; of any other, rows whose record is
the same byte for byte are. Nothing here is needed: without it a build does all of the work and gives the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from hashlib import blake2b
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import twin
from pipelines.inputs import BUILD_FORMAT, file_digest, file_stamp
from pipelines.plan import BLOCK, BuildPlan
from pipelines.project import Source
from pipelines.segment import Segment, link_segment, open_segment, read_facts, read_source
from twin.sources.vector import SourceBlock

if TYPE_CHECKING:
    from pipelines.rules import SourceRules

I64 = NDArray[np.int64]

#: Folder of the last finished build, beside those of unfinished ones.
KEPT = "kept"
_MANIFEST = "files.json"
_GEOMETRY = "\x00geometry"  # no attribute can be called so


@dataclass(frozen=True, slots=True)
class KeptFile:
    """What is left of a file of the last build; small enough to travel with every task.

    Attributes:
        folder: Where segments lie.
        name: What theirs begin with.
        same: True where the file still has the same bytes.
    """

    folder: Path
    name: str
    same: bool

    def segments(self) -> list[Path]:
        """All segments of the file, in the order of its features."""
        return sorted(path for path in self.folder.glob(f"{self.name}*") if path.is_dir() and _is_of(path, self.name))


def _is_of(path: Path, name: str) -> bool:
    return path.name == name or path.name[len(name)] == "-"


@dataclass(frozen=True, slots=True)
class SameRows:
    """Rows of a block whose records the last build has met.

    Attributes:
        segments: Where those were.
        segment, row: (n,) where each row of the block is there; -1 for what is new.
    """

    segments: list[Segment]
    segment: I64
    row: I64


def describe(plan: BuildPlan, rules: Mapping[int, SourceRules]) -> list[dict[str, str]]:
    """For every file of a build what a row of it becomes depends on, besides the row: the next build compares."""
    return [
        {
            "path": str(file.path),
            "name": f"{number:04d}",
            "stamp": file_stamp(file.path),
            "rules": _fingerprint(plan, number, rules[file.source]),
        }
        for number, file in enumerate(plan.files)
    ]


def _fingerprint(plan: BuildPlan, number: int, rules: SourceRules) -> str:
    file = plan.files[number]
    source = plan.project.sources[file.source]
    opened = file.opened
    facts: list[Any] = [
        BUILD_FORMAT, twin.__version__, source.model_dump_json(), plan.project.layers[source.layer].model_dump_json(),
        str(plan.attributes[source.layer]), plan.project.project.working_crs, file.crs, str(opened.fields),
        opened.table, opened.encoding, BLOCK, repr(rules.height), repr(rules.ground), rules.raster_crs,
        {key: [file_digest(path) for path in paths] for key, paths in rules.rasters.items()},
    ]  # fmt: skip
    return blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def find(kept: Path, described: list[dict[str, str]]) -> list[KeptFile | None]:
    """What the last build has left of each file; None where it was read by other rules, or not at all."""
    try:
        before = {row["path"]: row for row in json.loads((kept / _MANIFEST).read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return [None] * len(described)
    found: list[KeptFile | None] = []
    for row in described:
        old = before.get(row["path"])
        usable = old is not None and old["rules"] == row["rules"]
        found.append(KeptFile(kept, old["name"], old["stamp"] == row["stamp"]) if old and usable else None)
    return found


def keep(work: Path, kept: Path, described: list[dict[str, str]]) -> None:
    """Makes the work of a published build what the next one finds, in place of what was there."""
    (work / _MANIFEST).write_text(json.dumps(described), encoding="utf-8")
    shutil.rmtree(kept, ignore_errors=True)
    work.rename(kept)


def source_records(block: SourceBlock, row_id: str | None = None) -> pa.Table | None:
    """Records of a block as they are compared; None where a geometry needed treatment on being read.

    Args:
        block: The block.
        row_id: Column that numbers the rows of the file and that nothing is made of: left out, or one row put in would
            change all that follow it.
    """
    if block.wkb is None or block.reasons or _GEOMETRY in block.attributes.column_names:
        return None
    attributes = block.attributes
    named = attributes.drop_columns([row_id]) if row_id in attributes.column_names else attributes
    return named.append_column(_GEOMETRY, block.wkb)


def idle_row_id(source: Source, row_id: str | None) -> str | None:
    """The row number of a file format, where the project makes nothing of it."""
    if row_id is None:
        return None
    used = json.dumps(source.model_dump(mode="json", include={"fields", "height", "ground"}, by_alias=True))
    return None if json.dumps(row_id) in used else row_id


def take_whole(kept: KeptFile | None, name: str, new: Path, records: pa.Table | None = None) -> bool:
    """Takes over the segment of a block that has not changed; False where there is none.

    Args:
        kept: What there is of the file.
        name: Which block of the file: what its segment's name ends with.
        new: Where the segment goes.
        records: What the block holds; None where the bytes of the file say enough.
    """
    if kept is None:
        return False
    old = kept.folder / (kept.name + name)
    try:
        if records is not None:
            before = read_source(old)
            if before is None or not _equal(before, records):
                return False
        link_segment(old, new)
    except (OSError, ValueError, pa.ArrowInvalid):
        return False
    return True


def _equal(one: pa.Table, other: pa.Table) -> bool:
    return one.schema.equals(other.schema) and one.num_rows == other.num_rows and bool(one.equals(other))


def same_rows(kept: KeptFile | None, name: str, records: pa.Table | None) -> SameRows | None:
    """Finds the records of a block in the block of the same place and those beside it; None where none is there.

    A row that was put in or taken out moves all that follow it by one, into the next block at the end.
    """
    if kept is None or records is None:
        return None
    try:
        found = list(_around(kept, name))
    except (OSError, ValueError, pa.ArrowInvalid):
        return None
    tables = [source for _, source in found if source.schema.equals(records.schema)]
    if not found or len(tables) < len(found):
        return None
    before = pa.concat_tables(tables)
    at = pc.index_in(records[_GEOMETRY].combine_chunks(), value_set=before[_GEOMETRY].combine_chunks())
    place = pc.fill_null(at, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    hit = np.flatnonzero(place >= 0)
    same = _alike(records.drop_columns([_GEOMETRY]).take(pa.array(hit)), before, place[hit])
    place[hit[~same]] = -1
    if not (place >= 0).any():
        return None
    counts = np.cumsum([0, *(source.num_rows for _, source in found)])
    segment = np.searchsorted(counts, place, side="right") - 1
    row = np.where(place >= 0, place - counts[np.maximum(segment, 0)], -1)
    return SameRows([one for one, _ in found], np.where(place >= 0, segment, -1), row)


def _around(kept: KeptFile, name: str) -> Iterator[tuple[Segment, pa.Table]]:
    """Segments of the block of the same place and of its neighbours, with their records, where rows are features."""
    start = int(name.removeprefix("-") or 0)
    for at in (start, start - BLOCK, start + BLOCK):
        path = kept.folder / f"{kept.name}-{at:010d}"
        if at >= 0 and path.is_dir() and read_facts(path).get("plain"):
            source = read_source(path)
            segment = open_segment(path)
            if source is not None and source.num_rows == segment.table.num_rows:
                yield segment, source


def _alike(records: pa.Table, before: pa.Table, place: I64) -> NDArray[np.bool_]:
    """(m,) True where the attributes are the same, null for null."""
    pick = pa.array(place)
    checks = [_same_values(records[name], before[name].take(pick)) for name in records.column_names]
    return reduce(and_, checks, np.ones(len(place), dtype=bool))


def _same_values(one: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.bool_]:
    try:
        equal = pc.fill_null(pc.equal(one, other), False)
    except pa.ArrowNotImplementedError:  # lists and the like: such rows count as changed
        equal = pa.chunked_array([np.zeros(len(one), dtype=bool)])
    neither = pc.and_(pc.is_null(one), pc.is_null(other))
    return np.asarray(pc.or_(equal, neither).to_numpy(), dtype=bool)
