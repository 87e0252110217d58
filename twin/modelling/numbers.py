"""Numbers out of attribute columns of any type: 12, "12 m", "12,5" and "40 ft" are the same kind of thing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.errors import MisuseError

Floats = NDArray[np.float64]

#: Metres of each unit a rule can state.
METRES: dict[str, float] = {"m": 1.0, "dm": 0.1, "cm": 0.01, "ft": 0.3048, "us-ft": 1200 / 3937}
_WRITTEN = {
    **dict.fromkeys(("m", "m.", "metre", "metres", "meter", "meters", "米"), 1.0),
    **dict.fromkeys(("dm", "分米"), 0.1),
    **dict.fromkeys(("cm", "厘米"), 0.01),
    **dict.fromkeys(("ft", "ft.", "feet", "foot", "'"), 0.3048),
}
_NUMBER = r"^(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?P<unit>[^\d\s.+-][^\d\s]*)?$"
_STOREY_WORDS = ("", "f", "层", "层楼", "storey", "storeys", "story", "stories", "floor", "floors", "fl")


def lengths(column: pa.ChunkedArray | pa.Array, unit: str) -> tuple[Floats, Floats]:
    """A column of lengths as written and in metres.

    A unit written in a text value counts before the unit of the rule.

    Args:
        column: Numbers, or text such as "12", "12 m", "12,5", "40 ft" (full-width digits too).
        unit: Unit of values that state none: m, cm, dm, ft or us-ft.

    Returns:
        raw, metres: (n,) as written, and in metres; NaN where there is no number.

    Raises:
        MisuseError: The unit is unknown, or the column holds something that cannot be a length.
    """
    if unit not in METRES:
        raise MisuseError(f'unknown unit "{unit}"', next_step=f"write one of {', '.join(METRES)}")
    raw, word = _parsed(column)
    if word is None:
        return raw, raw * METRES[unit]
    factor = np.full(len(raw), np.nan)
    factor[_equal(word, "")] = METRES[unit]
    for text, metres in _WRITTEN.items():
        factor[_equal(word, text)] = metres
    return np.where(np.isnan(factor), np.nan, raw), raw * factor


def counts(column: pa.ChunkedArray | pa.Array) -> Floats:
    """A column of numbers of storeys, as numbers or text such as "6", "6F", "6层"; NaN where there is none."""
    raw, word = _parsed(column)
    if word is None:
        return raw
    known = np.zeros(len(raw), bool)
    for text in _STOREY_WORDS:
        known |= _equal(word, text)
    return np.where(known, raw, np.nan)


def _parsed(column: pa.ChunkedArray | pa.Array) -> tuple[Floats, pa.Array | None]:
    """Numbers, and for text columns the word after each number ("" where there is none)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        raw, word = _parsed(array.dictionary)
        index = pc.fill_null(array.indices, 0)
        null = array.is_null().to_numpy(zero_copy_only=False)
        if len(raw) == 0:
            return np.full(len(array), np.nan), word if word is None else pa.array([""] * len(array))
        return np.where(null, np.nan, raw[index.to_numpy()]), None if word is None else word.take(index)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return _from_text(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan), None
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type)):
        raise MisuseError(f"a column of type {array.type} holds no numbers", next_step="name another field")
    plain = pc.cast(array, pa.float64(), safe=False)
    return pc.fill_null(plain, np.nan).to_numpy(zero_copy_only=False).astype(np.float64), None


def _from_text(array: pa.Array) -> tuple[Floats, pa.Array]:
    text = pc.utf8_normalize(pc.cast(array, pa.string()), form="NFKC")
    text = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    both = pc.and_(pc.match_substring(text, ","), pc.match_substring(text, "."))
    text = pc.if_else(both, pc.replace_substring(text, ",", ""), pc.replace_substring(text, ",", "."))
    found = pc.extract_regex(text, pattern=_NUMBER)
    number = pc.cast(pc.struct_field(found, "number"), pa.float64())
    # a row that did not match is null as a whole, but its children may read "" instead of null
    number = pc.if_else(pc.is_valid(found), number, None) if found.null_count else number
    word = pc.fill_null(pc.struct_field(found, "unit"), "")
    return pc.fill_null(number, np.nan).to_numpy(zero_copy_only=False).astype(np.float64), word


def _equal(word: pa.Array, text: str) -> NDArray[np.bool_]:
    return np.asarray(pc.equal(word, text).to_numpy(zero_copy_only=False), dtype=bool)
