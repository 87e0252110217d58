"""How much a sender may send: events a second by key, bytes by request; so that one sender cannot starve the others."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic

from server.problem import ProblemError

_MOST_SENDERS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """A token bucket for every sender.

    Args:
        rate: Events a second on the long run.
        burst: Events at once.
        clock: Seconds, never going back.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, sender: str, events: int) -> None:
        """Takes the room for events.

        Raises:
            ProblemError: 429 with `Retry-After`, where there is none now; 413 where there never will be.
        """
        if events > self.burst:
            raise ProblemError(413, "too_many_events", f"Send at most {self.burst} events at once.")
        now = self._clock()
        bucket = self._bucket(sender, now)
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.rate)
        bucket.at = now
        if bucket.tokens < events:
            wait = math.ceil((events - bucket.tokens) / self.rate)
            told = f"This key may send {self.rate:g} events a second and {self.burst} at once; wait {wait} s."
            raise ProblemError(429, "too_fast", told, self._headers(bucket, wait))
        bucket.tokens -= events

    def _bucket(self, sender: str, now: float) -> _Bucket:
        bucket = self._buckets.setdefault(sender, _Bucket(float(self.burst), now))
        self._buckets.move_to_end(sender)
        if len(self._buckets) > _MOST_SENDERS:
            self._buckets.popitem(last=False)
        return bucket

    def _headers(self, bucket: _Bucket, wait: int) -> dict[str, str]:
        """`Retry-After` (RFC 9110 §10.2.3) and the fields of draft-ietf-httpapi-ratelimit-headers-10."""
        policy = f'"events";q={self.burst};w={math.ceil(self.burst / self.rate)}'
        return {
            "Retry-After": str(wait),
            "RateLimit-Policy": policy,
            "RateLimit": f'"events";r={int(bucket.tokens)};t={wait}',
        }


async def bounded(parts: AsyncIterator[bytes], most: int) -> bytes:
    """A request body, unless it is larger than `most` bytes.

    Raises:
        ProblemError: 413.
    """
    read, size = [], 0
    async for part in parts:
        size += len(part)
        if size > most:
            raise ProblemError(413, "too_large", f"The body is larger than {most >> 10} KiB.")
        read.append(part)
    return b"".join(read)


async def lines(parts: AsyncIterator[bytes], most: int) -> AsyncIterator[list[bytes]]:
    """Whole lines of a body, as many at once as have arrived; empty ones left out.

    Raises:
        ProblemError: 413: a line is longer than `most` bytes.
    """
    rest = b""
    async for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        if len(rest) > most or any(len(line) > most for line in whole):
            raise ProblemError(413, "too_large", f"A line is longer than {most >> 10} KiB.")
        if filled := [line for line in whole if line.strip()]:
            yield filled
    if rest.strip():
        yield [rest]
