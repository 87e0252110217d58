"""The header of a DBF and the bytes of its text, which is what an encoding can be judged by."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.errors import SourceError

_CHUNK_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class DbfField:
    """One field descriptor: raw name, type letter, place in the record (bytes)."""

    name: bytes
    kind: str
    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class DbfHeader:
    """What the first block of a DBF says.

    Attributes:
        records: Number of records the file can hold (never more than its size allows).
        header_bytes, record_bytes: Sizes.
        language: Language driver id (byte 29), 0 where the writer left it out.
        fields: Field descriptors in order.
    """

    records: int
    header_bytes: int
    record_bytes: int
    language: int
    fields: tuple[DbfField, ...]


def read_header(path: Path) -> DbfHeader:
    """Reads the header of a DBF.

    Raises:
        SourceError: The file is too short or its header contradicts itself.
    """
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32:
            raise SourceError("the DBF is too short to have a header", file=path, next_step="export the file again")
        records, header_bytes, record_bytes = struct.unpack("<IHH", head[4:12])
        body = file.read(max(header_bytes - 32, 0))
    if record_bytes == 0 or header_bytes < 33:
        raise SourceError("the header of the DBF is damaged", file=path, next_step="export the file again")
    held = max(path.stat().st_size - header_bytes, 0) // record_bytes
    return DbfHeader(min(records, held), header_bytes, record_bytes, head[29], _fields(body))


def _fields(body: bytes) -> tuple[DbfField, ...]:
    fields = []
    offset = 1
    for at in range(0, len(body) - 31, 32):
        if body[at] in (0x0D, 0x00):
            break
        kind, width = chr(body[at + 11]), body[at + 16]
        if kind == "C":
            width += body[at + 17] << 8
        fields.append(DbfField(body[at : at + 11].split(b"\0")[0], kind, offset, width))
        offset += width
    return tuple(fields)


def text_sample(path: Path, header: DbfHeader, limit: int = 4000) -> list[tuple[bytes, bool]]:
    """Distinct text values that are not plain ASCII, from the whole file.

    Args:
        path: The DBF.
        header: Its header.
        limit: At most this many records are taken, spread over the file.

    Returns:
        Value without padding, and whether it fills its field (so that its last character may be cut).
    """
    fields = [item for item in header.fields if item.kind == "C" and item.width]
    records = _records(path, header)
    rows = _rows_beyond_ascii(records)
    if len(rows) > limit:
        rows = rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
    found: dict[bytes, bool] = {}
    for row in rows:
        record = records[row].tobytes()
        for item in fields:
            value = record[item.offset : item.offset + item.width].split(b"\0")[0]
            if not value.isascii():
                found.setdefault(value.strip(b" "), len(value.rstrip(b" ")) == item.width)
    return list(found.items())


def _records(path: Path, header: DbfHeader) -> NDArray[np.uint8]:
    shape = (header.records, header.record_bytes)
    if header.records == 0:
        return np.zeros(shape, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r", offset=header.header_bytes, shape=shape)


def _rows_beyond_ascii(records: NDArray[np.uint8]) -> NDArray[np.int64]:
    step = max(_CHUNK_BYTES // records.shape[1], 1)
    found = [
        np.flatnonzero((records[start : start + step] & 0x80).any(axis=1)) + start
        for start in range(0, len(records), step)
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
