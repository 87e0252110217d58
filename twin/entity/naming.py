"""Which rows of the index a text names: an identifier, a source's own key, or a code of another scheme."""

from __future__ import annotations

from twin.entity import geid
from twin.entity.index import EntityIndex

LONGEST_GEID = 64
"""A longer text is no identifier, in whatever spelling."""


def rows_named(index: EntityIndex, text: str, limit: int) -> list[int]:
    """Rows a text names: by identifier, in whatever spelling, else by `source:key`, else by alias.

    Args:
        index: The entities.
        text: What was given.
        limit: How many bearers of one alias at most.
    """
    row = index.find(geid.normalise(text)) if len(text) <= LONGEST_GEID and geid.check(text) else None
    for at in (i for i, letter in enumerate(text) if letter == ":"):
        row = index.by_key(text[:at], text[at + 1 :]) if row is None else row
    return [row] if row is not None else index.by_alias(text, limit)
