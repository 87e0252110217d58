"""Single values of a report, checked: texts that every store keeps, finite numbers, JSON of bounded depth and size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from twin.live.refusals import Refused

#: Texts are cut nowhere: what is longer is refused.
TEXT_LIMIT = 2000
_WIDEST_INTEGER = 2**63


def text_of(value: object, name: str, limit: int = TEXT_LIMIT) -> str | None:
    """A text without outer spaces; numbers are written out; None where there is nothing.

    Raises:
        Refused: `wrong_type`, `too_long`, `bad_text`.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused("wrong_type", f"`{name}` is no text")
        value = str(number_of(value, name) if isinstance(value, float) else whole_of(value, name))
    text = value.strip()
    if len(text) > limit:
        raise Refused("too_long", f"`{name}` has {len(text)} characters, {limit} are allowed")
    if not text.isprintable():
        check_text(text, name)
    return text or None


def check_text(text: str, name: str) -> None:
    """Raises `Refused` (`bad_text`) for a text that a database cannot keep."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused("bad_text", f"`{name}` holds NUL or half a surrogate pair: mend the text at its source")


def number_of(value: object, name: str) -> float | None:
    """A finite number, of a number or of a text that is one; None where there is nothing.

    Raises:
        Refused: `wrong_type`, `bad_number`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refused("wrong_type", f"`{name}` is no number")
    if isinstance(value, str) and not value.strip():
        return None
    try:
        number = math.nan if isinstance(value, str) and "_" in value else float(value)
    except (ValueError, OverflowError) as error:
        shown = repr(value[:40]) if isinstance(value, str) else "what it holds"
        raise Refused("bad_number", f"`{name}`: {shown} is no number that can be kept") from error
    if not math.isfinite(number):
        raise Refused("bad_number", f"`{name}` is not a finite number")
    return number


def whole_of(value: int, name: str) -> int:
    """A whole number of 64 bits; raises `Refused` (`bad_number`) for others."""
    if -_WIDEST_INTEGER <= value < _WIDEST_INTEGER:
        return value
    raise Refused("bad_number", f"`{name}` is beyond 64 bits: send it as text")


def check_json(value: object, name: str, depth: int, size: int) -> None:
    """Makes sure that a value is JSON that may be kept.

    Args:
        value: Of a parsed document.
        name: Of the field, for messages.
        depth: Levels of nesting allowed.
        size: Characters and values allowed, all together.

    Raises:
        Refused: `too_deep`, `too_large`, `bad_text`, `bad_number`, `wrong_type`.
    """
    waiting: list[tuple[object, int]] = [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        size -= 1 + (len(item) if isinstance(item, str) else 0)
        if level > depth + 1:
            raise Refused("too_deep", f"`{name}` is nested deeper than {depth} levels")
        if size < 0:
            raise Refused("too_large", f"`{name}` makes the report larger than allowed")
        if isinstance(item, Mapping):
            for key in item:
                size -= _key_size(key, name)
            waiting.extend((part, level + 1) for part in item.values())
        elif isinstance(item, list | tuple):
            waiting.extend((part, level + 1) for part in item)
        else:
            check_scalar(item, name)


def _key_size(key: object, name: str) -> int:
    if not isinstance(key, str):
        raise Refused("wrong_type", f"`{name}` has a key that is no text")
    if not key.isprintable():
        check_text(key, name)
    return len(key)


def check_scalar(value: Any, name: str) -> None:
    """Raises `Refused` for what is no JSON text, number, truth value or null that a store can keep."""
    if isinstance(value, str):
        if not value.isprintable():
            check_text(value, name)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        whole_of(value, name)
    elif not isinstance(value, float):
        raise Refused("wrong_type", f"`{name}` holds what is no JSON")
    elif not math.isfinite(value):
        raise Refused("bad_number", f"`{name}` is not finite")
