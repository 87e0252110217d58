"""Source ids as one canonical text, so that the same feature has the same key in every file format."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def key_text(array: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """Renders ids canonically: 12, 12.0 and " 12 " all become "12".

    A DBF turns integers into floats and pads text; the identity of a feature must not depend on that. Text keeps its
    leading zeros and everything else but surrounding white space; "12.0" as text becomes "12" only where every digit
    after the point is a zero.

    Args:
        array: (n,) ids of any type.

    Returns:
        (n,) text; null where the id is null, empty, blank, not a number or infinite.
    """
    flat = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) and array.num_chunks else array
    if isinstance(flat, pa.ChunkedArray):
        return pa.array([], pa.string())
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    kind = flat.type
    if pa.types.is_floating(kind):
        text = _float_text(flat)
    elif pa.types.is_decimal(kind):
        text = pc.replace_substring_regex(flat.cast(pa.string()), r"\.0+$", "")
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        text = flat.cast(pa.string())
    elif pa.types.is_null(kind):
        return pa.nulls(len(flat), pa.string())
    else:
        text = pc.replace_substring_regex(pc.utf8_trim_whitespace(flat.cast(pa.string())), r"^([+-]?\d+)\.0+$", r"\1")
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _float_text(array: pa.Array) -> pa.Array:
    wide = array.cast(pa.float64())
    finite = pc.if_else(pc.is_finite(wide), wide, pa.scalar(None, pa.float64()))
    whole = pc.and_(pc.equal(finite, pc.trunc(finite)), pc.less(pc.abs(finite), 2.0**63))
    integers = pc.if_else(whole, finite, pa.scalar(None, pa.float64())).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.if_else(whole, integers, finite.cast(pa.string()))
