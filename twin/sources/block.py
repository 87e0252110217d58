"""What every vector format is read into: blocks of Arrow columns and shapely arrays, and the source they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.sources import wkb
from twin.sources.encoding import UTF8, EncodingGuess

DEFAULT_BLOCK = 50_000


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the project file says about reading one source.

    Attributes:
        table: Layer inside the file; needed where a file has several.
        crs: Overrides what the file states; passed through unread.
        encoding: Overrides every guess about the text of a DBF.
        columns: Attributes to read, by their names in the source; None reads all.
    """

    table: str | None = None
    crs: str | None = None
    encoding: str | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """Consecutive features of a source.

    Attributes:
        first_row: Row number of the first feature in the source.
        attributes: (n rows) typed columns, named as in the source.
        geometry: (n,) shapely geometries in the source CRS, 2D and linear; None where null or damaged.
        z_min, z_max: (n,) range of Z in the units of the source; NaN where the geometry is 2D.
        reasons: Row in the block (from 0) to reason code.
        notes: Oddities of this block, each a sentence.
        wkb: The records themselves, where none of them needed any treatment; None otherwise.
    """

    first_row: int
    attributes: pa.Table
    geometry: NDArray[np.object_]
    z_min: NDArray[np.float64]
    z_max: NDArray[np.float64]
    reasons: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    wkb: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.geometry)


class Reader(Protocol):
    """What a format has to offer; picklable, so that workers can open their own."""

    def read(self, start: int, count: int) -> SourceBlock:
        """Features `start` to `start + count` (fewer at the end of the source)."""
        ...

    def blocks(self, size: int) -> Iterator[SourceBlock]:
        """All features in one pass."""
        ...

    def column(self, name: str) -> pa.ChunkedArray:
        """One attribute of all features, without their geometry."""
        ...


@dataclass(frozen=True, slots=True)
class VectorSource:
    """One table of one file, ready to be read.

    Attributes:
        path: The file.
        table: The table in it.
        driver: Name of the format, as GDAL calls it.
        fields: Names and types of the attributes.
        crs: Authority code or WKT, from the options or the file; None where neither states one.
        count: Number of features.
        encoding: Encoding of the text, and how it was found.
        splittable: True where `read_block` is cheap anywhere in the source; otherwise read it with `blocks`.
        notes: Oddities found on opening, each a sentence.
        fid_column: Attribute that holds the row id of the file format itself, if any.
        encoding_guess: How the encoding was found.
    """

    path: Path
    table: str
    driver: str
    fields: pa.Schema
    crs: str | None
    count: int
    encoding: str
    splittable: bool
    notes: tuple[str, ...]
    reader: Reader
    fid_column: str | None = None
    encoding_guess: EncodingGuess = UTF8

    def read_block(self, start: int, count: int) -> SourceBlock:
        """Features `start` to `start + count`.

        Raises:
            SourceError: The file cannot be read any more.
        """
        return self.reader.read(start, count)

    def blocks(self, size: int = DEFAULT_BLOCK) -> Iterator[SourceBlock]:
        """All features in blocks of at most `size`, in the order of the source.

        Raises:
            SourceError: The file cannot be read, or ends early.
        """
        return self.reader.blocks(size)

    def column(self, name: str) -> pa.ChunkedArray:
        """One attribute of all features, without reading geometry where the format allows it.

        Raises:
            SourceError: The file cannot be read.
            KeyError: There is no such attribute in `fields`.
        """
        if name not in self.fields.names:
            raise KeyError(name)
        return self.reader.column(name)


def block_from_wkb(
    first_row: int,
    attributes: pa.Table,
    decoded: wkb.Decoded,
    reasons: Mapping[int, str] | None = None,
    remarks: Sequence[str] = (),
) -> SourceBlock:
    """Puts attributes and decoded geometry together."""
    found = {**(reasons or {}), **decoded.reasons}
    notes = list(dict.fromkeys(remarks))
    if decoded.curved:
        notes.append(f"{decoded.curved} curved geometries were turned into straight segments")
    if decoded.patched:
        notes.append(f"{decoded.patched} surfaces made of patches in space were projected to their footprint")
    return SourceBlock(
        first_row, attributes, decoded.geometry, decoded.z_min, decoded.z_max, found, tuple(notes), decoded.records
    )
