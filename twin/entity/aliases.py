"""Other names of entities: codes of other systems, by which those systems and people ask for a building (D4).

An alias is written `scheme:value`. The scheme never holds a colon, so the first one separates. Aliases lead to an
entity, they are not its identity: several entities may share one, and one may go over to another entity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from twin.crs import beidou_grid
from twin.entity.sorted_text import SortedText, fold

BEIDOU = "beidou"
"""Scheme of the BeiDou 2D grid code of an entity's place (GB/T 39409-2020)."""

BEIDOU_LEVEL = 8
"""Cells of 1/32 of a second of arc, about 1 m: 16 characters."""

_SHORTEST_BEIDOU = 5  # four characters name a cell of six by four degrees, which says nothing in a district
_HIGHEST_LATITUDE = 88.0


def scheme_of(field: str) -> str:
    """The scheme of a source field's codes: its name, colons as points (`ref:bag` -> `ref.bag`)."""
    return field.strip().replace(":", ".")


def written(scheme: str, values: pa.Array) -> pa.Array:
    """(n,) values as `scheme:value`, null where there is none."""
    return pc.binary_join_element_wise(pa.scalar(scheme), values, ":")


def beidou_aliases(lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> pa.StringArray:
    """(n,) `beidou:<code>` of places in degrees; null where the standard has no code (near the poles, not finite)."""
    with np.errstate(invalid="ignore"):
        known = (np.abs(lon) <= 180.0) & (np.abs(lat) < _HIGHEST_LATITUDE - 1e-9)
    if not known.any():
        return pa.nulls(len(known), pa.string())
    codes = beidou_grid.encode(lon[known], lat[known], BEIDOU_LEVEL)
    letters = codes.view(np.uint32).reshape(len(codes), -1)
    head = np.frombuffer(f"{BEIDOU}:".encode(), np.uint8)
    text = np.empty((len(codes), len(head) + letters.shape[1]), np.uint8)
    text[:, : len(head)] = head
    text[:, len(head) :] = letters
    ends = np.arange(len(text) + 1, dtype=np.int32) * np.int32(text.shape[1])
    array = pa.StringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(text))
    if known.all():
        return array
    return array.take(pa.array(np.cumsum(known) - 1, mask=~known))


def alias_lists(*columns: pa.Array) -> pa.ListArray:
    """One list a row of what stands in the columns, nulls left out.

    Args:
        columns: (n,) `scheme:value` texts, or lists of them.
    """
    rows = np.concatenate([_rows(column) for column in columns])
    values = pa.concat_arrays([_values(column) for column in columns])
    count = len(columns[0])
    if len(values) != count or not np.array_equal(rows, np.arange(count)):
        values = values.take(pa.array(np.argsort(rows, kind="stable")))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values)


def _rows(column: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_list(column.type):
        return np.asarray(pc.list_parent_indices(column), dtype=np.int64)
    return np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))


def _values(column: pa.Array) -> pa.Array:
    return pc.list_flatten(column) if pa.types.is_list(column.type) else column.drop_null()


@dataclass(frozen=True, slots=True)
class AliasTexts:
    """The values of every scheme, folded and sorted, with the rows they stand in."""

    schemes: Mapping[str, SortedText]

    @classmethod
    def build(cls, column: pa.ChunkedArray) -> AliasTexts:
        """Sorts the `aliases` column of an index."""
        lists = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        rows = _rows(lists)
        found: dict[str, tuple[list[pa.Array], list[npt.NDArray[np.int64]]]] = {}
        for scheme, at, values in _by_scheme(_values(lists)):
            texts, places = found.setdefault(fold(scheme), ([], []))
            texts.append(values)
            places.append(rows[at])
        return cls({name: _sorted(texts, places) for name, (texts, places) in sorted(found.items())})

    def equal_to(self, text: str) -> Iterator[int]:
        """Rows with an alias, given as `scheme:value` or as a bare value; letter case and width do not matter."""
        for texts, value in self._readings(text):
            yield from texts.equal_to(value)

    def starting_with(self, text: str) -> Iterator[int]:
        """Rows with an alias that begins with a text, given as `scheme:value` or as a bare value."""
        for texts, value in self._readings(text):
            if texts is not self.schemes.get(BEIDOU) or len(value) >= _SHORTEST_BEIDOU:
                yield from texts.starting_with(value)

    def _readings(self, text: str) -> Iterator[tuple[SortedText, str]]:
        """What a text may mean: a value of the scheme before one of its colons, or a value of any scheme."""
        folded = fold(text)
        for at in (i for i, letter in enumerate(folded) if letter == ":"):
            texts = self.schemes.get(fold(scheme_of(folded[:at])))
            if texts is not None and folded[at + 1 :].strip():
                yield texts, folded[at + 1 :].strip()
        if folded:
            for texts in self.schemes.values():
                yield texts, folded


def _by_scheme(texts: pa.Array) -> Iterator[tuple[str, npt.NDArray[np.int64], pa.Array]]:
    """(scheme, positions, values) of `scheme:value` texts, without a Python loop over them."""
    octets = texts.cast(pa.binary())
    colon = np.asarray(pc.find_substring(octets, b":"))
    for end in np.unique(colon[colon >= 0]).tolist():
        at = np.flatnonzero(colon == end)
        group = octets.take(pa.array(at))
        schemes = pc.binary_slice(group, 0, end).dictionary_encode()
        for number, scheme in enumerate(schemes.dictionary.cast(pa.string()).to_pylist()):
            mine = at[np.asarray(schemes.indices) == number]
            yield scheme, mine, pc.utf8_slice_codeunits(texts.take(pa.array(mine)), len(scheme) + 1)


def _sorted(texts: list[pa.Array], places: list[npt.NDArray[np.int64]]) -> SortedText:
    made = SortedText.build(pa.chunked_array(texts, pa.string()))
    return SortedText(made.texts, np.concatenate(places)[made.rows])
