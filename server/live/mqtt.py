"""Takes events from an MQTT broker, and acknowledges each message once it is on disk, never before.

The session outlives the connection: what the broker has not been told is safe it sends again, and what comes twice is
known by source and id. So no message is lost whichever of the two, server or broker, is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from server.live.live import Live, LiveBusyError
from server.live.payload import Documents
from twin.errors import MisuseError, StoreError
from twin.live.config import LiveConfig, MqttFeed

_log = logging.getLogger(__name__)
_VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_FOREVER = 0xFFFFFFFF
_QOS = 1
_SLOWEST_S = 30
_ALIVE_S = 30
#: How long to wait before messages that could not be written are tried once more, seconds.
_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a broker.

    Attributes:
        topic: Its topic.
        payload: Its bytes.
        number: Packet identifier, by which it is acknowledged.
        session: Number of the connection it came by; an acknowledgement on another connection would mean another one.
    """

    topic: str
    payload: bytes
    number: int
    session: int


class Mqtt:
    """A feed from a broker.

    Args:
        live: Takes the events.
        feed: Which broker, and how.
        config: Of the project, for paths.
        documents: Makes events of payloads.
        environment: Variables with passwords; those of the process if left out.

    Attributes:
        counts: Messages by what became of them: `received`, `acknowledged`, `refused`.
        subscribed: True while the broker sends us what we asked for.

    Raises:
        MisuseError: The broker is on another machine and nobody is named, a variable or a file is missing.
    """

    def __init__(
        self,
        live: Live,
        feed: MqttFeed,
        config: LiveConfig,
        documents: Documents,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.counts = {"received": 0, "acknowledged": 0, "refused": 0}
        self.subscribed = False
        self._live = live
        self._feed = feed
        self._documents = documents
        self._session = 0
        self._waiting: list[Message] = []
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._client = _client(feed, config, os.environ if environment is None else environment)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    async def start(self) -> None:
        """Connects, and goes on trying for as long as the broker is away."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())
        port = self._feed.port or (8883 if self._feed.ca else 1883)
        if self._feed.version == "5":  # the session is kept by its expiry; a clean start would drop what waits in it
            kept = _kept(self._feed.inflight)
            self._client.connect_async(self._feed.host, port, _ALIVE_S, clean_start=False, properties=kept)
        else:
            self._client.connect_async(self._feed.host, port, _ALIVE_S)
        self._client.loop_start()

    async def stop(self) -> None:
        """Writes and acknowledges what has come, then leaves; the broker keeps what follows."""
        await self._drained()
        await asyncio.to_thread(self._leave)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    async def _drained(self) -> None:
        """Waits a little for what is under way to be written."""
        for _ in range(50):
            if not self._waiting and self.counts["received"] == sum(
                self.counts[name] for name in ("acknowledged", "refused")
            ):
                return
            await asyncio.sleep(0.02)

    def _on_connect(self, client: paho.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        """In the thread of the connection."""
        if reason.is_failure:
            _log.error("the broker of the feed %s refuses us: %s", self._feed.name, reason)
            return
        self._session += 1
        client.subscribe([(topic, _QOS) for topic in self._feed.topics])

    def _on_subscribe(self, _: paho.Client, __: Any, ___: Any, reasons: Any, ____: Any) -> None:
        refused = [topic for topic, reason in zip(self._feed.topics, reasons, strict=False) if reason.is_failure]
        for topic in refused:
            _log.error("the broker of the feed %s does not let us have %s", self._feed.name, topic)
        self.subscribed = not refused

    def _on_disconnect(self, _: paho.Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        self.subscribed = False
        if reason.is_failure:
            _log.warning("the broker of the feed %s is away: %s", self._feed.name, reason)

    def _on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        got = Message(message.topic, bytes(message.payload), message.mid if message.qos else 0, self._session)
        try:
            self._loop.call_soon_threadsafe(self._put, got)
        except RuntimeError:  # the loop was closed between the question and the call: the broker sends it again
            return

    def _put(self, message: Message) -> None:
        self.counts["received"] += 1
        self._waiting.append(message)
        self._wake.set()

    async def _run(self) -> None:
        """Writes what has come, all of it at once, and acknowledges it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            messages, self._waiting = self._waiting, []
            if messages:
                await self._take(messages)

    async def _take(self, messages: Sequence[Message]) -> None:
        bodies = [body for one in messages for body in self._documents.of(one.payload, one.topic)]
        while True:
            try:
                await self._live.take(bodies, way=f"mqtt:{self._feed.name}")
            except (LiveBusyError, StoreError) as error:
                _log.error("messages of the feed %s wait: %s", self._feed.name, error or "too much waits to be written")
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        for one in messages:
            if one.number and one.session == self._session:
                self._client.ack(one.number, _QOS)
            self.counts["acknowledged"] += 1


def _kept(inflight: int) -> Properties:
    """What MQTT 5 is told at the start (§3.1.2.11): keep the session, send so many before the first is acknowledged."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _FOREVER
    properties.ReceiveMaximum = max(1, min(inflight, 65535))
    return properties


def _client(feed: MqttFeed, config: LiveConfig, environment: Mapping[str, str]) -> paho.Client:
    """A client that is not connected yet.

    Raises:
        MisuseError: See `Mqtt`.
    """
    version = _VERSIONS.get(feed.version)
    if version is None:
        raise _wrong(feed, f"version {feed.version!r} is not spoken", f"write one of {', '.join(_VERSIONS)}")
    if feed.host not in _LOCAL and feed.username is None and feed.cert is None:
        raise _wrong(feed, "the broker is on another machine and nobody is named", "give username, or cert and key")
    name = feed.client_id or f"twin-{feed.name}"
    session: dict[str, Any] = {} if feed.version == "5" else {"clean_session": False}
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=version, manual_ack=True, **session)
    client.reconnect_delay_set(1, _SLOWEST_S)
    if feed.username is not None:
        client.username_pw_set(feed.username, _password(feed, environment))
    if feed.ca or feed.cert:
        client.tls_set_context(_tls(feed, config.path))
    return client


def _password(feed: MqttFeed, environment: Mapping[str, str]) -> str | None:
    if feed.password_env is None:
        return None
    if feed.password_env not in environment:
        raise _wrong(feed, f"the environment variable {feed.password_env} is not set", "set it to the password")
    return environment[feed.password_env]


def _tls(feed: MqttFeed, path: Callable[[str], Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if feed.ca is None else str(path(feed.ca)))
        if feed.cert is not None:
            context.load_cert_chain(str(path(feed.cert)), None if feed.key is None else str(path(feed.key)))
    except OSError as error:
        raise _wrong(feed, f"ca, cert or key cannot be read: {error.strerror or error}", "name PEM files") from None
    return context


def _wrong(feed: MqttFeed, what: str, step: str) -> MisuseError:
    return MisuseError(f"[[live.mqtt]] {feed.name}: {what}", next_step=step)
