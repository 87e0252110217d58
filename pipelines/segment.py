"""Pieces of finished work on disk: what one block of a source became, ready to be memory-mapped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.geometry.footprints import Footprints, concat
from twin.report import REASONS, Outcome

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

_ARRAYS = ("xy", "ring", "polygon", "feature")
_CODES = tuple(REASONS)
_BIT = {code: np.uint64(1 << number) for number, code in enumerate(_CODES)}


def bit(code: str) -> np.uint64:
    """The bit of a reason code in the `reasons` column of a segment."""
    return _BIT[code]


def codes_of(bits: int) -> list[str]:
    """Reason codes of a bit set, in the order of `REASONS`."""
    return [code for code in _CODES if bits & int(_BIT[code])]


def _mask(outcome: Outcome) -> np.uint64:
    return np.uint64(sum(int(_BIT[code]) for code, reason in REASONS.items() if reason.outcome is outcome))


#: Outcomes from best to worst; the number is the value of `outcome_of`.
OUTCOMES = (Outcome.BUILT, Outcome.FALLBACK, Outcome.SKIPPED, Outcome.FAILED)


def outcome_of(reasons: U64) -> NDArray[np.uint8]:
    """(n,) index into `OUTCOMES`: the worst outcome any of the row's reasons forces."""
    outcome = np.zeros(len(reasons), dtype=np.uint8)
    for number, kind in enumerate(OUTCOMES):
        if number:
            outcome[(reasons & _mask(kind)) != 0] = number
    return outcome


def count_codes(reasons: U64) -> dict[str, int]:
    """How many rows have each reason code."""
    counts = {code: int(np.count_nonzero(reasons & _BIT[code])) for code in _CODES}
    return {code: count for code, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class Segment:
    """Candidate entities of one block: columns, and footprints row for row with them.

    Attributes:
        path: Folder.
        table: Columns as `pipelines.columns` lists them.
        footprints: Their footprints in the working CRS.
        raw: Source attributes the height rules need again when pieces are joined; None where nothing is joined.
    """

    path: Path
    table: pa.Table
    footprints: Footprints
    raw: pa.Table | None = None

    def origin(self) -> TakenRows:
        """Where its rows lay in the last finished build."""
        count = self.table.num_rows
        if (self.path / REUSED).exists():
            name = (self.path / REUSED).read_text(encoding="utf-8")
            return TakenRows((name,), np.zeros(count, np.int64), np.arange(count))
        if (self.path / TAKEN).exists():
            segment, row = np.load(self.path / TAKEN)
            return TakenRows(tuple(read_facts(self.path)["taken_from"]), segment, row)
        return TakenRows((), np.full(count, -1), np.full(count, -1))


@dataclass(frozen=True, slots=True)
class TakenRows:
    """Rows that were taken over as they were.

    Attributes:
        names: Segments of the last finished build.
        segment, row: (n,) where each row lay; -1 for one that was made now.
    """

    names: tuple[str, ...]
    segment: I64
    row: I64


@dataclass(frozen=True, slots=True)
class Origin:
    """What a segment was made of, so that the next build can tell what has changed.

    Attributes:
        facts: Figures and remarks, as JSON.
        source: Records of the source, geometry as WKB; None where rows cannot be told apart one by one.
        taken: Rows that were taken over; None where none was.
    """

    facts: Mapping[str, Any]
    source: pa.Table | None = None
    taken: TakenRows | None = None


#: Says which segment one taken over whole was, and the file that says where rows of one lay.
REUSED, TAKEN = "reused", "taken.npy"
#: What a segment was made of.
FACTS, SOURCE = "facts.json", "source.arrow"


def write_segment(
    path: Path, table: pa.Table, footprints: Footprints, raw: pa.Table | None = None, origin: Origin | None = None
) -> None:
    """Writes a segment; it exists only when it is whole."""
    staging = path.with_name(f"{path.name}.{os.getpid()}.part")
    staging.mkdir(parents=True, exist_ok=True)
    for name in _ARRAYS:
        np.save(staging / f"{name}.npy", getattr(footprints, name))
    _write_table(staging / "table.arrow", table)
    if raw is not None:
        _write_table(staging / "raw.arrow", raw)
    if origin is not None:
        _write_origin(staging, origin)
    _settle(staging, path)


def link_segment(old: Path, path: Path) -> None:
    """Takes a finished segment over as it is, without copying a byte of it.

    Raises:
        OSError: It is not there, or lies on another disk.
    """
    staging = path.with_name(f"{path.name}.{os.getpid()}.part")
    staging.mkdir(parents=True, exist_ok=True)
    for file in old.iterdir():
        if file.name not in (REUSED, TAKEN) and not (staging / file.name).exists():
            os.link(file, staging / file.name)
    (staging / REUSED).write_text(old.name, encoding="utf-8")
    _settle(staging, path)


def _settle(staging: Path, path: Path) -> None:
    if path.exists():
        for file in staging.iterdir():
            file.unlink()
        staging.rmdir()
        return
    staging.rename(path)


def _write_origin(staging: Path, origin: Origin) -> None:
    names = {} if origin.taken is None else {"taken_from": origin.taken.names}
    (staging / FACTS).write_text(json.dumps({**origin.facts, **names}), encoding="utf-8")
    if origin.source is not None:
        _write_table(staging / SOURCE, origin.source)
    if origin.taken is not None:
        np.save(staging / TAKEN, np.stack([origin.taken.segment, origin.taken.row]))


def read_facts(path: Path) -> dict[str, Any]:
    """What `Origin.facts` said of a finished segment; empty where nothing was noted."""
    file = path / FACTS
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return found


def read_source(path: Path) -> pa.Table | None:
    """Records a finished segment was made of."""
    return _read_table(path / SOURCE) if (path / SOURCE).exists() else None


def open_segment(path: Path) -> Segment:
    """Opens a segment by memory map."""
    arrays = (np.load(path / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    raw = _read_table(path / "raw.arrow") if (path / "raw.arrow").exists() else None
    return Segment(path, _read_table(path / "table.arrow"), Footprints(*arrays), raw)


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _read_table(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


#: Rows gathered at a time where there are many: the pieces on the way are small then.
_GATHER = 65_536


def gather(segments: list[Segment], segment: I64, row: I64) -> Footprints:
    """Footprints of rows from several segments, in the order asked.

    Args:
        segments: All segments.
        segment: (n,) which segment.
        row: (n,) which row of it.
    """
    if len(row) > _GATHER:
        cuts = range(0, len(row), _GATHER)
        return concat([gather(segments, segment[at : at + _GATHER], row[at : at + _GATHER]) for at in cuts])
    used = np.unique(segment) if len(segment) else np.zeros(1, dtype=np.int64)
    if len(used) == 1:
        only: Footprints = segments[int(used[0])].footprints
        return only.take(row)
    order = np.argsort(segment, kind="stable")
    parts = [segments[number].footprints.take(row[segment == number]) for number in used]
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return concat(parts).take(back)


def gather_columns(segments: list[Segment], segment: I64, row: I64, columns: Iterable[str]) -> pa.Table:
    """Columns of rows from several segments, in the order asked."""
    names = list(columns)
    if len(row) > _GATHER:
        cuts = range(0, len(row), _GATHER)
        pieces = [gather_columns(segments, segment[at : at + _GATHER], row[at : at + _GATHER], names) for at in cuts]
        return pa.concat_tables(pieces).unify_dictionaries().combine_chunks()
    used = np.unique(segment) if len(segment) else np.zeros(1, dtype=np.int64)
    parts = [segments[number].table.select(names).take(pa.array(row[segment == number])) for number in used]
    if len(parts) == 1:
        return parts[0].combine_chunks()
    order = np.argsort(segment, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    joined = pa.concat_tables(parts).unify_dictionaries()
    return joined.take(pa.array(back)).combine_chunks()
