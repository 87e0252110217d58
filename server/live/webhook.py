"""`[[live.webhook]]`: posts new reports to an address, signed, again and again until they are taken or given up.

A webhook follows the log by a position of its own, kept in a file beside the events: what was recorded while the server
was down is told when it is up again, and a report is told at least once. The receiver knows repeats by `webhook-id`.
Signature and headers are those of Standard Webhooks, the body is a batch of CloudEvents.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import orjson

from server.live.asked import area_region, inside
from server.live.hub import Hub, read_position, write_position
from server.live.parcel import REASONS, Item, Reports, Resync
from server.live.select import Selection
from server.problem import ProblemError
from server.releases import Releases
from twin.errors import ProjectError, TwinError
from twin.live.config import LiveConfig, Webhook
from twin.live.model import Filter

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/cloudevents-batch+json"
_BATCH = 100
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 600.0
_MARKED = "whsec_"  # how Standard Webhooks marks a key in base64
_GONE = 410
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
#: Where positions are kept, beside `twin.toml`.
FOLDER = "events.webhooks"


@dataclass(slots=True)
class Counts:
    """What became of the deliveries of a webhook: reports taken, attempts that failed, reports given up."""

    taken: int = 0
    failed: int = 0
    given_up: int = 0


class Caller:
    """Tells one webhook.

    Args:
        hook: Whom to tell.
        hub: Where reports come from.
        selection: Which reports.
        folder: Where its position and what was given up are kept.
        client: Speaks HTTP; follows no redirects.
        secret: Key of the signature; None: unsigned.
        first_wait_s: Before the second attempt; doubles with each.
    """

    def __init__(
        self,
        hook: Webhook,
        hub: Hub,
        selection: Selection,
        folder: Path,
        client: httpx.AsyncClient,
        secret: bytes | None = None,
        first_wait_s: float = _FIRST_WAIT_S,
    ) -> None:
        self.counts = Counts()
        self._hook = hook
        self._hub = hub
        self._selection = selection
        self._place = folder / f"{hook.name}.json"
        self._dead = folder / f"{hook.name}.dead.ndjson"
        self._client = client
        self._secret = secret
        self._first_wait_s = first_wait_s

    async def run(self) -> None:
        """Follows the log until it is cancelled, the hub closes, or the receiver says it is gone for good (410)."""
        position = await asyncio.to_thread(self._kept)
        if position is None:
            position = write_position(self._hub.epoch, self._hub.position)
            await asyncio.to_thread(self._keep, position)
        while position is not None and self._hub.running:
            position = await self._follow(position)

    async def _follow(self, position: str) -> str | None:
        """Tells what comes after a position; where to go on, None where the receiver wants nothing more.

        While the receiver is slow the hub's queue may run over: then the log is read again from where it stands.
        """
        with self._hub.subscribe(self._selection, position, patient=True) as subscription:
            async for told in subscription:
                if isinstance(told, Resync) and told.reason == "slow":
                    return position
                if isinstance(told, Resync):
                    await asyncio.to_thread(self._bury, REASONS[told.reason], position, told.position)
                elif isinstance(told, Reports):
                    for first in range(0, len(told.items), _BATCH):
                        if not await self._deliver(told.items[first : first + _BATCH]):
                            return None
                position = write_position(self._hub.epoch, told.position)
                await asyncio.to_thread(self._keep, position)
        return position

    async def _deliver(self, items: Sequence[Item]) -> bool:
        """Tells some reports; False where the receiver wants nothing more."""
        body = b"[" + b",".join(item.json for item in items) + b"]"
        name = f"{write_position(self._hub.epoch, items[0].offset)}-{items[-1].offset}"
        why = ""
        for attempt in range(self._hook.attempts):
            status, why, wait = await self._post(name, body)
            if 200 <= status < 300:
                self.counts.taken += len(items)
                return True
            self.counts.failed += 1
            if status == _GONE:
                _log.error("webhook %s: the receiver is gone (410); it is told nothing more", self._hook.name)
                return False
            if attempt + 1 < self._hook.attempts:
                await asyncio.sleep(wait if wait is not None else self._wait(attempt))
        self.counts.given_up += len(items)
        first, last = items[0].offset, items[-1].offset
        await asyncio.to_thread(self._bury, why, write_position(self._hub.epoch, first - 1), last)
        return True

    async def _post(self, name: str, body: bytes) -> tuple[int, str, float | None]:
        """One attempt: the status (0 where there was none), what went wrong, and how long the receiver asks to wait."""
        now = int(time.time())
        headers = {"Content-Type": MEDIA_TYPE, **signed(self._secret, name, now, body)}
        try:
            answer = await self._client.post(
                self._hook.url, content=body, headers=headers, timeout=self._hook.timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, f"{type(error).__name__}: {error}", None
        return answer.status_code, f"status {answer.status_code}", retry_after(answer.headers)

    def _wait(self, attempt: int) -> float:
        """Doubling, and spread, so that nobody is met by everything at once when it comes back."""
        longest = min(self._first_wait_s * 2.0**attempt, _LONGEST_WAIT_S)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _kept(self) -> str | None:
        """The position that was kept; None where nothing was told yet."""
        try:
            told = orjson.loads(self._place.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        position = told.get("position") if isinstance(told, dict) else None
        return position if isinstance(position, str) and read_position(position)[1] is not None else None

    def _keep(self, position: str) -> None:
        """Writes the position in one step."""
        self._place.parent.mkdir(parents=True, exist_ok=True)
        staged = self._place.with_suffix(".writing")
        staged.write_bytes(orjson.dumps({"position": position}))
        staged.replace(self._place)

    def _bury(self, why: str, after: str | None, last: int) -> None:
        """Notes which stretch of the log was not told, and why; the reports themselves stay in the log."""
        told = {"at": int(time.time() * 1000), "why": why[:300], "after": after, "last": last}
        _log.error("webhook %s: reports up to %d were not taken: %s", self._hook.name, last, why)
        self._dead.parent.mkdir(parents=True, exist_ok=True)
        with self._dead.open("ab") as file:
            file.write(orjson.dumps(told) + b"\n")


def signed(secret: bytes | None, name: str, now_s: int, body: bytes) -> Mapping[str, str]:
    """Headers of Standard Webhooks: HMAC-SHA256 of id, time and body with dots between.

    Args:
        secret: Key of the signature; None: the headers without one.
        name: Of the delivery; the same in every attempt.
        now_s: Seconds since 1970.
        body: What is posted.
    """
    headers = {"webhook-id": name, "webhook-timestamp": str(now_s)}
    if secret is not None:
        mark = hmac.new(secret, f"{name}.{now_s}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(mark).decode()}"
    return headers


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a receiver asks to wait, bounded; dates are not understood."""
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT_S) if text.isascii() and text.isdigit() and len(text) < 8 else None


def read_secret(hook: Webhook) -> bytes | None:
    """The key of the signature out of the environment: `whsec_` and base64, or any text.

    Raises:
        ProjectError: The variable that is named is not there, or is no base64 after `whsec_`.
    """
    if hook.secret_env is None:
        return None
    text = os.environ.get(hook.secret_env, "")
    try:
        plain = text.startswith(_MARKED)
        secret = base64.b64decode(text[len(_MARKED) :], validate=True) if plain else text.encode()
    except ValueError:
        secret = b""
    if not secret:
        raise ProjectError(
            f"[[live.webhook]] {hook.name!r}: the environment variable {hook.secret_env} holds no key",
            next_step="set it before the server starts, to whsec_ and base64 or to any text",
        )
    return secret


class Webhooks:
    """All webhooks of a server, as a feed that is started and stopped with the live part.

    Only one process at a time tells: the others wait for its lock, and take over when it is gone.

    Args:
        hooks: Whom to tell, each with what it wants.
        hub: Where reports come from.
        folder: Where positions are kept.
    """

    def __init__(self, hooks: Sequence[tuple[Webhook, Selection]], hub: Hub, folder: Path) -> None:
        self._secrets = [read_secret(hook) for hook, _ in hooks]
        self._hooks = hooks
        self._hub = hub
        self._folder = folder
        self._task: asyncio.Task[None] | None = None
        self.callers: list[Caller] = []

    async def start(self) -> None:
        """Begins to tell."""
        if self._hooks:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends; what was not taken yet is told after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        lock = await self._alone()
        try:
            async with httpx.AsyncClient(follow_redirects=False) as client:
                self.callers = [
                    Caller(hook, self._hub, selection, self._folder, client, secret)
                    for (hook, selection), secret in zip(self._hooks, self._secrets, strict=True)
                ]
                await asyncio.gather(*(self._call(one) for one in self.callers))
        finally:
            os.close(lock)

    async def _call(self, caller: Caller) -> None:
        try:
            await caller.run()
        except (TwinError, OSError) as error:
            _log.error("a webhook has ended: %s", error)

    async def _alone(self) -> int:
        """Waits until no other process tells; the lock is gone with its process, however that ends."""
        import fcntl

        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(1.0)
            else:
                return handle


def open_webhooks(config: LiveConfig, hub: Hub, releases: Releases) -> Webhooks:
    """The webhooks of a project.

    Raises:
        ProjectError: An address is none, a key is missing, or an area is not part of the release.
    """
    hooks = [(hook, _selection(hook, releases)) for hook in config.webhooks]
    return Webhooks(hooks, hub, config.path(FOLDER))


def _selection(hook: Webhook, releases: Releases) -> Selection:
    where = f"[[live.webhook]] {hook.name!r}"
    if urlsplit(hook.url).scheme not in ("http", "https") or not _NAME.fullmatch(hook.name):
        raise ProjectError(
            f"{where}: the address is no http address, or the name is no plain word",
            next_step='write url = "https://..." and a name of letters, digits, - and _',
        )
    wanted = Filter(kinds=frozenset(hook.kinds) or None, severities=frozenset(hook.severities) or None)
    if hook.area is None:
        return Selection(wanted)
    try:
        with releases.reading() as release:
            return inside(Selection(wanted), area_region(release, [hook.area]))
    except ProblemError as problem:
        raise ProjectError(f"{where}: {problem.detail}", next_step="write the geid of an area") from None
