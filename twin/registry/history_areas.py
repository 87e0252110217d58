"""Answers of a history in which every entity has its area: it is worked out for the moment that was asked about."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from twin.entity.areas import AREA_CLASS, with_area_parents
from twin.registry.versions import History, Window

_BOX = (("west", pc.min), ("south", pc.min), ("east", pc.max), ("north", pc.max))


def placed(history: History, table: pa.Table, window: Window) -> pa.Table:
    """What a history answered, with the area around each entity as `parent` where it states none.

    Args:
        history: Asked for the areas of the moment, unless the answer holds them all.
        table: `RECORDED_FIELDS`.
        window: What was asked.
    """
    everything = window == Window(valid=window.valid, as_of=window.as_of)
    return with_area_parents(table, None if everything else areas_around(history, table, window))


def areas_around(history: History, table: pa.Table, window: Window) -> pa.Table:
    """The areas of a moment that the entities of a table without a parent may lie in."""
    alone = table.filter(table.column("parent").is_null())
    west, south, east, north = (reduce(alone.column(name)).as_py() for name, reduce in _BOX)
    asked = Window(valid=window.valid, as_of=window.as_of, classes=(AREA_CLASS,))
    if west is None:
        return table.slice(0, 0)
    return history.snapshot(replace(asked, bbox=(west, south, east, north)))
