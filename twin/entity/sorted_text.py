"""Finding rows by the beginning or a piece of a text, whatever its case and width."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def fold(text: str) -> str:
    """The form texts are compared in: full-width letters narrowed, lower case."""
    return unicodedata.normalize("NFKC", text).lower().strip()


@dataclass(frozen=True, slots=True)
class SortedText:
    """A column's texts, folded and sorted by code point, with the rows they stand in; nulls left out.

    Attributes:
        texts: Sorted; equal texts by row.
        rows: Row of each text.
    """

    texts: pa.StringArray
    rows: NDArray[np.int64]

    @classmethod
    def build(cls, column: pa.ChunkedArray, folded: bool = True) -> SortedText:
        """Sorts a string column; `folded=False` keeps the texts as they are, for exact look-ups."""
        rows = np.flatnonzero(pc.is_valid(column).to_numpy(zero_copy_only=False))
        texts = column.drop_null()
        if folded:
            texts = pc.utf8_trim_whitespace(pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC")))
        table = pa.table({"text": texts, "row": rows})
        order = pc.sort_indices(table, sort_keys=[("text", "ascending"), ("row", "ascending")])
        ordered = table.take(order).combine_chunks()
        texts = ordered["text"]
        flat = texts.chunk(0) if texts.num_chunks else pa.array([], pa.string())
        return cls(flat, ordered["row"].to_numpy())

    def starting_with(self, text: str) -> Iterator[int]:
        """Rows whose text begins with `text` (already folded), in the order of the texts."""
        at = self._position(text)
        while at < len(self.texts) and self.texts[at].as_py().startswith(text):
            yield int(self.rows[at])
            at += 1

    def equal_to(self, text: str) -> Iterator[int]:
        """Rows whose text is `text`."""
        at = self._position(text)
        while at < len(self.texts) and self.texts[at].as_py() == text:
            yield int(self.rows[at])
            at += 1

    def containing(self, text: str) -> Iterator[int]:
        """Rows whose text holds `text`, in the order of the texts; reads every text once."""
        hits = pc.match_substring(self.texts, text).to_numpy(zero_copy_only=False)
        yield from self.rows[np.flatnonzero(hits)].tolist()

    def _position(self, text: str) -> int:
        return bisect_left(range(len(self.texts)), text, key=lambda at: str(self.texts[at].as_py()))
