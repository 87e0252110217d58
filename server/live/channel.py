"""What a hub is made of: its bounds, its counts, a stretch of the log, and those who want the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.live.parcel import Item, Reports
from server.live.select import Match


@dataclass(frozen=True, slots=True)
class HubLimits:
    """What one hub may hold.

    Attributes:
        queue_reports, queue_bytes: Of one client, before it is asked to take the state again.
        clients: At most; one more is refused.
        recent: Reports kept in memory for those who come back after a short cut.
        replay: How many reports a client may lie behind before the state is the shorter way.
        page: Reports read from the store at once.
        linger_s: Shortest time between two rounds to all clients; a report after a pause goes out at once.
        poll_s: How often the store is looked at, should word of what other processes wrote have been lost.
        heartbeat_s: A client that was told nothing for so long is told the position.
    """

    queue_reports: int = 1000
    queue_bytes: int = 1 << 20
    clients: int = 10_000
    recent: int = 2000
    replay: int = 100_000
    page: int = 1000
    linger_s: float = 0.01
    poll_s: float = 0.5
    heartbeat_s: float = 15.0


@dataclass(slots=True)
class Counts:
    """What a hub has done since it began, for the metrics."""

    published: int = 0
    delivered: int = 0
    dropped: int = 0
    subscribed: int = 0
    refused: int = 0
    resyncs: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the log.

    Attributes:
        items: Its reports.
        position: Offset up to which it reaches.
        expired: True where reports of the stretch have been given up.
    """

    items: Sequence[Item]
    position: int
    expired: bool = False


class Member(Protocol):
    """Who is told."""

    def push(self, parcel: Reports) -> None:
        """Puts reports into its queue."""


class Channel:
    """Everybody who wants the same."""

    __slots__ = ("match", "members")

    def __init__(self, match: Match) -> None:
        self.match = match
        self.members: dict[Member, None] = {}
