"""Attributes of the entity index, and where they come from, as a history keeps them: a JSON object a row.

The texts are put together by Arrow, a column at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from twin.entity.index_schema import ATTRIBUTE, GEOMETRY
from twin.entity.rows import json_value

_SOURCED = ("name", "address", "storeys")
_SORTED = orjson.OPT_SORT_KEYS
_ESCAPED = r'[\x00-\x1f"\\]'  # what JSON does not take as it is


def attributes_json(table: pa.Table) -> pa.Array:
    """(n,) JSON objects of the columns `attr.*`: keys sorted, values that are null left out."""
    names = sorted(name for name in table.column_names if name.startswith(ATTRIBUTE))
    if not names:
        return pa.nulls(table.num_rows, pa.string())
    members = [
        pc.binary_join_element_wise(f",{_text(name.removeprefix(ATTRIBUTE))}:", _values(_whole(table[name])), "")
        for name in names
    ]
    inside = pc.binary_join_element_wise(*members, "", null_handling="replace", null_replacement="")
    opened = pc.binary_replace_slice(inside, 0, 1, "{")  # in place of the first comma; also where there is no member
    return pc.binary_join_element_wise(opened, "}", "")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _whole(column.cast(kind.value_type))
    return pa.concat_arrays(column.chunks or [pa.nulls(0, kind)])


def _values(column: pa.Array) -> pa.Array:
    """(n,) each value as JSON writes it; null where there is none, or a number that is none."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return _floats(column.cast(pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _strings(column.cast(pa.string()))
    values = (json_value(value) for value in column.to_pylist())
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _floats(column: pa.Array) -> pa.Array:
    finite = pc.fill_null(pc.is_finite(column), False).to_numpy(zero_copy_only=False)
    found = column.filter(pa.array(finite)).to_numpy().tolist()
    texts = pa.array(orjson.dumps(found).decode()[1:-1].split(",") if found else [], pa.string())
    return texts.take(pa.array(np.cumsum(finite) - 1, mask=~finite))


def _strings(column: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return pc.binary_join_element_wise('"', column, '"', "")
    coded = column.dictionary_encode()
    return pa.array([_text(value) for value in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _text(value: Any) -> str:
    return orjson.dumps(value, default=json_value).decode()


def provenance_json(table: pa.Table) -> pa.Array:
    """(n,) JSON objects: which source or rule each attribute of an entity comes from.

    Heights come from the rule that gave them, the base from the rule for the ground, everything else from the source.
    There are few different ones, so each is written once.
    """
    count = table.num_rows
    named = [_codes(table, name, count) for name in ("source", "height_source", "ground_source")]
    given = [_given(table, name, count) for name in (GEOMETRY, *_SOURCED)]
    key = np.zeros(count, dtype=np.int64)
    for codes, _ in named:
        key = key * (int(codes.max(initial=-1)) + 2) + codes + 1
    for flags in given:
        key = key * 2 + flags
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    texts = [_provenance(row, named, given) for row in first.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which.reshape(-1)))


def _codes(table: pa.Table, name: str, count: int) -> tuple[Any, list[str]]:
    """Numbers of the different texts of a column, -1 for null, and the texts."""
    if name not in table.column_names:
        return np.full(count, -1, dtype=np.int64), []
    column = pa.concat_arrays(table[name].cast(pa.string()).chunks or [pa.nulls(0, pa.string())]).dictionary_encode()
    codes = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return codes, column.dictionary.to_pylist()


def _given(table: pa.Table, name: str, count: int) -> Any:
    if name not in table.column_names:
        return np.zeros(count, dtype=np.int64)
    return table[name].is_valid().to_numpy().astype(np.int64)


def _provenance(row: int, named: Sequence[tuple[Any, list[str]]], given: Sequence[Any]) -> str:
    source, height, ground = (texts[codes[row]] if codes[row] >= 0 else None for codes, texts in named)
    found = dict.fromkeys(("height_m", "roof_m"), height) | {"base_m": ground}
    sourced = zip((GEOMETRY, *_SOURCED), given, strict=True)
    found |= {name: source for name, flags in sourced if flags[row]} | {"attributes": source}
    return orjson.dumps({name: text for name, text in found.items() if text}, option=_SORTED).decode()
