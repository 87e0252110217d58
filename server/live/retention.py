"""Gives up events that are older than their kind is kept for, once an hour."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import time_ns

from twin.errors import StoreError
from twin.live.kinds import Kinds
from twin.live.model import EventStore

_log = logging.getLogger(__name__)
_DAY_MS = 86_400_000


class Retention:
    """Looks for what is too old.

    Args:
        store: Where events are kept.
        kinds: How long.
        every_s: Seconds between two looks.
    """

    def __init__(self, store: EventStore, kinds: Kinds, every_s: float = 3600.0) -> None:
        self._store = store
        self._kinds = kinds
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins with a look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.give_up, time_ns() // 1_000_000)
            except StoreError as error:
                _log.error("old events cannot be given up: %s", error)
            await asyncio.sleep(self._every_s)

    def give_up(self, now_ms: int) -> int:
        """Gives up what is too old; how many reports."""
        return sum(
            self._store.prune(kind.id, now_ms - kind.keep_days * _DAY_MS) for kind in self._kinds if kind.keep_days
        )
