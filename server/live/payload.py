"""Payloads of feeds as CloudEvents: taken as they are, or made by a column mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin.live.columns import ColumnMapping, events_of, value_at
from twin.live.payload import read_json
from twin.live.refusals import Refused
from twin.live.rules import clock_ms


@dataclass(frozen=True, slots=True)
class Documents:
    """Makes events of payloads.

    Attributes:
        mapping: What the fields of a row mean; None: payloads are CloudEvents.
        source: Who sends, where that is not said.
    """

    mapping: ColumnMapping | None = None
    source: str | None = None

    def of(self, payload: bytes, topic: str | None = None) -> list[Any]:
        """The events of a payload; what cannot be read is refused in its place.

        Args:
            payload: A JSON document: an object, an array, or for a mapping anything.
            topic: Of the message; a mapping knows it as the columns `topic`, `topic.0`, `topic.1`, ...
        """
        try:
            document = read_json(payload)
        except Refused as refused:
            return [refused]
        if self.mapping is None:
            rows = document if isinstance(document, list) else [document]
            return [self._with_source(row) for row in rows]
        rows = self._rows(document)
        told = [_row(row, topic) for row in rows]
        return [event for row in told for event in events_of(row, self.mapping, clock_ms())]

    def _rows(self, document: Any) -> list[Any]:
        path = self.mapping.rows if self.mapping is not None else ""
        found = value_at(document, path) if path and isinstance(document, Mapping) else document
        return found if isinstance(found, list) else [found]

    def _with_source(self, row: Any) -> Any:
        if self.source is None or not isinstance(row, dict) or "source" in row:
            return row
        return {**row, "source": self.source}


def _row(row: Any, topic: str | None) -> dict[str, Any]:
    """A row as a mapping reads it; a bare value is its column `value`."""
    told = dict(row) if isinstance(row, Mapping) else {"value": row}
    if topic is not None:
        told["topic"] = topic
        told |= {f"topic.{at}": part for at, part in enumerate(topic.split("/"))}
    return told
