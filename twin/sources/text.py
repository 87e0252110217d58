"""Attribute text of a source as proper Unicode, and attribute types that a registry can hold."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.sources.encoding import decode_value

_LOSSLESS: Final = "iso8859-1"


@dataclass(frozen=True, slots=True)
class Decoder:
    """How the bytes behind an Arrow string column become text.

    Attributes:
        codec: Python codec of the source.
        through_latin1: True where GDAL was told ISO-8859-1, which keeps every byte as one character.
        widths: Field name to its width in bytes: a value that fills it may end in half a character.
    """

    codec: str
    through_latin1: bool
    widths: dict[str, int]

    def column(self, name: str, column: pa.ChunkedArray | pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
        """Decodes one string column.

        Returns:
            The text, null where it is not in the encoding, and the rows where that is so.
        """
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
        if is_ascii(array) or not (self.through_latin1 or broken(array)):
            return array, np.empty(0, dtype=np.int64)
        stored = array.cast(pa.binary()).dictionary_encode()
        width = self.widths.get(name)
        texts = pa.array([self._text(value.as_py(), width) for value in stored.dictionary], pa.string())
        decoded = texts.take(stored.indices)
        lost = pc.and_(array.is_valid(), decoded.is_null()).to_numpy(zero_copy_only=False)
        return decoded, np.flatnonzero(lost)

    def _text(self, value: bytes, width: int | None) -> str | None:
        if self.through_latin1:
            value = value.decode("utf-8").encode(_LOSSLESS, "replace")
        return decode_value(value, self.codec, width is not None and len(value) >= width - 1)


def is_ascii(array: pa.Array) -> bool:
    """True where no value of a string column has a byte beyond ASCII."""
    _, offsets, data = array.buffers()
    if data is None or len(array) == 0:
        return True
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    ends = np.frombuffer(offsets, dtype=width)[[array.offset, array.offset + len(array)]]
    return not (np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[1]] & 0x80).any()


def broken(array: pa.Array) -> bool:
    """True where a string column holds bytes that are not UTF-8."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return True
    return False


def decode_table(table: pa.Table, decoder: Decoder) -> tuple[pa.Table, dict[int, str]]:
    """Decodes every text column of a table and turns nested columns into JSON text.

    Returns:
        The table and the rows in which a value was unreadable, with their reason.
    """
    reasons: dict[int, str] = {}
    for index, item in enumerate(table.schema):
        if isinstance(item.type, pa.BaseExtensionType):
            stored = pa.chunked_array([chunk.storage for chunk in table.column(index).chunks], item.type.storage_type)
            table = table.set_column(index, pa.field(item.name, stored.type), stored)
            item = table.schema.field(index)  # noqa: PLW2901
        if is_text(item.type):
            column, lost = decoder.column(item.name, table.column(index))
            reasons.update(dict.fromkeys(lost.tolist(), "attribute_unreadable"))
        elif is_nested(item.type):
            column = nested_to_json(table.column(index))
        else:
            continue
        table = table.set_column(index, pa.field(item.name, column.type), column)
    return table, reasons


def is_text(kind: pa.DataType) -> bool:
    """True for string columns."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_nested(kind: pa.DataType) -> bool:
    """True for columns that no single value can express: lists, structs, maps, bytes."""
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type a column has once it is decoded."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return pa.string() if is_nested(kind) else kind


def nested_to_json(column: pa.ChunkedArray) -> pa.Array:
    """Lists, structs and bytes as JSON text (bytes in base64)."""
    texts = [
        None if value is None else json.dumps(value, default=_plain, ensure_ascii=False) for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
