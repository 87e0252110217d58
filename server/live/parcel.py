"""What travels from the hub to a client: reports that pass a filter, a beat, or word that something was lost.

A parcel is made once for everybody who has the same filter, and every form of it (SSE, WebSocket) is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from twin.live.model import Stored

#: A report as JSON text, the form in which it leaves (a CloudEvent).
Encode = Callable[[Stored], bytes]


class Item:
    """One report on its way out; its JSON is written when the first client wants it, and never again.

    Attributes:
        offset: Of the report.
        stored: The report.
    """

    __slots__ = ("_encode", "_json", "offset", "stored")

    def __init__(self, stored: Stored, encode: Encode) -> None:
        self.offset = stored.offset
        self.stored = stored
        self._encode = encode
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The report as it is sent."""
        if self._json is None:
            self._json = self._encode(self.stored)
        return self._json


@dataclass(slots=True)
class Reports:
    """Reports that pass a filter, in the order of their offsets.

    Attributes:
        items: At least one.
        position: Offset up to which the client knows everything it asked for, once it has these.
    """

    items: Sequence[Item]
    position: int
    _forms: dict[str, bytes] = field(default_factory=dict, repr=False)
    _size: int = -1

    def form(self, name: str, write: Callable[[Reports], bytes]) -> bytes:
        """The parcel in one form, written once."""
        found = self._forms.get(name)
        if found is None:
            found = self._forms[name] = write(self)
        return found

    @property
    def size(self) -> int:
        """Bytes of the reports as JSON, counted once."""
        if self._size < 0:
            self._size = sum(len(item.json) for item in self.items)
        return self._size


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing passed the filter; the client may resume from here all the same.

    Attributes:
        position: Offset up to which the client knows everything it asked for.
    """

    position: int


@dataclass(frozen=True, slots=True)
class Resync:
    """Reports were left out: take the state again, then go on from its position.

    Attributes:
        reason: Of `REASONS`.
        position: Where the stream goes on.
    """

    reason: str
    position: int


#: Why a client has to take the state again.
REASONS = {
    "slow": "The client read too slowly; reports it had not taken were dropped.",
    "unknown_epoch": "The position is one of another store.",
    "unknown_position": "The position lies ahead of the store, or cannot be read.",
    "expired": "Reports after the position are no longer kept.",
    "far_behind": "Too many reports lie after the position; the state is shorter than the way to it.",
}

Delivery = Reports | Beat | Resync
