"""Asks an HTTP address for events again and again, politely: conditions, patience after failures, bounds."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from server.live.live import Live, LiveBusyError
from server.live.payload import Documents
from twin.errors import MisuseError, StoreError
from twin.live.config import PollFeed

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 600.0
_AT_ONCE = 5000


class PollError(Exception):
    """The address did not give what can be read."""


class Poll:
    """A feed from an HTTP address.

    Args:
        live: Takes the events.
        feed: Which address, and how.
        documents: Makes events of what it answers.
        environment: Variables with secrets; those of the process if left out.
        transport: Carries the questions; the network if left out.

    Attributes:
        counts: Questions by what came of them: `taken`, `unchanged`, `failed`.

    Raises:
        MisuseError: The address is none, or the variable with the secret is not set.
    """

    def __init__(
        self,
        live: Live,
        feed: PollFeed,
        documents: Documents,
        environment: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.counts = {"taken": 0, "unchanged": 0, "failed": 0}
        self._live = live
        self._feed = feed
        self._documents = documents
        self._secret = _secret(feed, os.environ if environment is None else environment)
        self._transport = transport
        self._conditions: dict[str, str] = {}
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins with a question."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends; what was asked for and not written is asked for again next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with httpx.AsyncClient(
            timeout=self._feed.timeout_s, follow_redirects=False, transport=self._transport, trust_env=False
        ) as client:
            while True:
                await self.ask(client)
                await asyncio.sleep(self.wait_s)

    @property
    def wait_s(self) -> float:
        """Seconds until the next question: longer after every failure."""
        return max(self._feed.every_s, min(self._feed.every_s * 2.0**self._failures, _LONGEST_WAIT_S))

    async def ask(self, client: httpx.AsyncClient) -> None:
        """One question; a failure is logged and counted."""
        try:
            taken = await self._ask(client)
        except (httpx.HTTPError, PollError, LiveBusyError, StoreError) as error:
            self.counts["failed"] += 1
            self._failures = min(self._failures + 1, 20)
            _log.warning("the feed %s gave nothing: %s", self._feed.name, str(error) or type(error).__name__)
            return
        self.counts["taken" if taken else "unchanged"] += 1
        self._failures = 0

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        """True where there was an answer; the conditions for the next question are kept once it is on disk."""
        async with client.stream("GET", self._feed.url, headers={**self._secret, **self._conditions}) as answer:
            if answer.status_code == 304:
                return False
            if answer.status_code != 200:
                raise PollError(f"status {answer.status_code}")
            body = await self._body(answer)
            found = {
                "If-None-Match": answer.headers.get("etag"),
                "If-Modified-Since": answer.headers.get("last-modified"),
            }
        events = await asyncio.to_thread(self._documents.of, body)
        for begin in range(0, len(events), _AT_ONCE):
            await self._live.take(events[begin : begin + _AT_ONCE], way=f"poll:{self._feed.name}")
        self._conditions = {name: value for name, value in found.items() if value}
        return True

    async def _body(self, answer: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > self._feed.most_mib << 20:
                raise PollError(f"the answer is larger than {self._feed.most_mib} MiB")
            parts.append(part)
        return b"".join(parts)


def _secret(feed: PollFeed, environment: Mapping[str, str]) -> dict[str, str]:
    """The header with the secret.

    Raises:
        MisuseError: See `Poll`.
    """
    parts = urlsplit(feed.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise _wrong(feed, "url is no plain http or https address", "put secrets into header and secret_env")
    if not feed.every_s > 0:
        raise _wrong(feed, "every_s must be above 0", "write seconds between two questions")
    if feed.header is None:
        return {}
    value = environment.get(feed.secret_env or "")
    if value is None:
        raise _wrong(feed, "secret_env names no environment variable that is set", "set it to the header's value")
    return {feed.header: value}


def _wrong(feed: PollFeed, what: str, step: str) -> MisuseError:
    return MisuseError(f"[[live.poll]] {feed.name}: {what}", next_step=step)
