"""What a parser of reports goes by: the kinds, the clock, and how much a sender may ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo

from twin.live.kinds import Kinds, starter_kinds


def clock_ms() -> int:
    """Milliseconds since 1970 by the clock of this machine."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class ParseRules:
    """How reports are read.

    Attributes:
        kinds: Known kinds and words.
        crs: Of positions that name none; as `twin.crs.reference.parse_crs` reads it. x (lon) is east.
        zone: Of times without an offset; None refuses them.
        now: The clock, milliseconds since 1970.
        max_skew_ms: How far a report may lie in the future.
        max_age_ms: How old a report may be; None takes any age.
        max_bytes: Of one report.
        max_body_bytes: Of a body with any number of reports.
        max_batch: Reports in one body.
        max_depth: Nesting within `data`, itself being 1.
    """

    kinds: Kinds = field(default_factory=starter_kinds)
    crs: str = "EPSG:4326"
    zone: tzinfo | None = None
    now: Callable[[], int] = clock_ms
    max_skew_ms: int = 300_000
    max_age_ms: int | None = None
    max_bytes: int = 65_536
    max_body_bytes: int = 16_777_216
    max_batch: int = 10_000
    max_depth: int = 8
