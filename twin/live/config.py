"""What `[live]` of `twin.toml` says, read by the command line and the server alike: one reader, one set of defaults."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.errors import ProjectError

PROJECT_FILE = "twin.toml"
EVENTS_FILE = "events.sqlite"
"""Where events lie beside `twin.toml`, unless a database is stated."""


@dataclass(frozen=True, slots=True)
class MqttFeed:
    """`[[live.mqtt]]`: a broker to listen to.

    Attributes:
        name: Of the feed; part of the client id, so that the broker keeps what comes while the server is down.
        host, port: Of the broker; port 0 takes 8883 with TLS, else 1883.
        topics: Topic filters to subscribe to, with QoS 1.
        version: Of the protocol.
        username: For the broker; None asks as nobody, which only a broker on this machine is asked.
        password_env: Environment variable with the password; it never stands in a file.
        ca, cert, key: PEM files, relative to the project file: whom to trust, and who the client is. `ca` turns TLS on.
        client_id: Instead of `twin-<name>`.
        mapping: TOML file that says which field of a payload means what; None: payloads are CloudEvents.
        source: Who sends, where the payload does not say so.
        inflight: How many messages may be on their way before the first is acknowledged.
    """

    name: str
    host: str
    topics: tuple[str, ...]
    port: int = 0
    version: str = "5"
    username: str | None = None
    password_env: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    client_id: str | None = None
    mapping: str | None = None
    source: str | None = None
    inflight: int = 2000


@dataclass(frozen=True, slots=True)
class PollFeed:
    """`[[live.poll]]`: an HTTP address that is asked again and again.

    Attributes:
        name: Of the feed.
        url: http or https.
        every_s: Seconds between two questions.
        mapping: TOML file that says which field of a row means what; None: the answer holds CloudEvents.
        source: Who sends, where a row does not say so.
        header: Name of a header that carries a secret, such as `Authorization`.
        secret_env: Environment variable with its value.
        timeout_s: How long an answer may take, seconds.
        most_mib: How large an answer may be, MiB.
    """

    name: str
    url: str
    every_s: float = 60.0
    mapping: str | None = None
    source: str | None = None
    header: str | None = None
    secret_env: str | None = None
    timeout_s: float = 30.0
    most_mib: int = 16


@dataclass(frozen=True, slots=True)
class Webhook:
    """`[[live.webhook]]`: an address that is told about events.

    Attributes:
        name: Of the webhook.
        url: http or https.
        secret_env: Environment variable with the key of the signature.
        kinds, severities: Only these; empty: all.
        area: Only reports linked to this entity or to what lies in it (geid).
        attempts: How often one delivery is tried before it is given up.
        timeout_s: How long an answer may take, seconds.
    """

    name: str
    url: str
    secret_env: str | None = None
    kinds: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    area: str | None = None
    attempts: int = 8
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """`[live]`.

    Attributes:
        root: Folder of the project file; relative paths start here.
        kinds: TOML file with kinds of events beside those that are known.
        sensors: CSV or TOML file with the table of fixed sensors.
        indicators: TOML file with indicators beside the starter set.
        time_zone: Zone of times written without one.
        crs: Reference system of positions that name none: EPSG code, "gcj02", "bd09".
        max_event_kib: Largest event, KiB.
        max_body_kib: Largest request body, KiB; a stream of lines may be longer.
        max_batch: Most events in one request; a stream of lines may hold more.
        max_depth: Deepest nesting of an event's JSON.
        max_skew_s: How far ahead of the clock an event may lie, seconds.
        max_age_days: How old an event may be, days; 0: any age.
        rate: Events a second one key may send on the long run.
        burst: Events one key may send at once.
        read_without_key: Anybody who reaches the server may read events; without it reading needs a key where there
            are keys.
        rotate_s: A stream is closed after so many seconds and taken up again by the client.
        mqtt, poll, webhooks: Feeds in, and who is told.
    """

    root: Path
    kinds: str | None = None
    sensors: str | None = None
    indicators: str | None = None
    time_zone: str = "Asia/Shanghai"
    crs: str = "EPSG:4326"
    max_event_kib: int = 64
    max_body_kib: int = 16384
    max_batch: int = 10_000
    max_depth: int = 8
    max_skew_s: float = 300.0
    max_age_days: float = 0.0
    rate: float = 50_000.0
    burst: int = 100_000
    read_without_key: bool = False
    rotate_s: float = 600.0
    mqtt: tuple[MqttFeed, ...] = ()
    poll: tuple[PollFeed, ...] = ()
    webhooks: tuple[Webhook, ...] = field(default=(), metadata={"key": "webhook"})

    def path(self, name: str) -> Path:
        """A path of the project file, absolute."""
        return self.root / name


def read_live(root: Path) -> LiveConfig | None:
    """Reads `[live]` of the project file in a folder.

    Returns:
        None where there is no project file, or no such table in it.

    Raises:
        ProjectError: The file is not TOML, or a key of the table is unknown, missing or of the wrong type.
    """
    file = root / PROJECT_FILE
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"not valid TOML: {error}", file=file, next_step="correct the line that is named") from None
    return None if "live" not in document else parse_live(document["live"], root)


def parse_live(table: object, root: Path) -> LiveConfig:
    """The table as a record.

    Raises:
        ProjectError: A key is unknown, missing or of the wrong type; two feeds of one kind have one name.
    """
    config: LiveConfig = _record(LiveConfig, table, "live", root / PROJECT_FILE, {"root": root})
    for key, feeds in (("mqtt", config.mqtt), ("poll", config.poll), ("webhook", config.webhooks)):
        names = [feed.name for feed in feeds]
        for name in {name for name in names if names.count(name) > 1}:
            raise _wrong(config.path(PROJECT_FILE), f"[[live.{key}]]: two are called {name!r}", "name them apart")
    return config


def _record(model: type[Any], table: object, where: str, file: Path, given: Mapping[str, Any]) -> Any:
    """A frozen dataclass from a TOML table whose keys are its fields."""
    if not isinstance(table, Mapping):
        raise _wrong(file, f"[{where}] is no table", f"write [{where}] and keys below it")
    fields = {str(one.metadata.get("key", one.name)): one for one in dataclasses.fields(model) if one.name not in given}
    types_of = typing.get_type_hints(model)
    for key in table:
        if key not in fields:
            raise _wrong(file, f"[{where}] has no key {key!r}", f"it has: {', '.join(fields)}")
    for key, one in fields.items():
        if key not in table and one.default is dataclasses.MISSING:
            raise _wrong(file, f"[{where}] lacks {key!r}", "add it; docs/events-in.md says what belongs there")
    read = {
        fields[key].name: _value(types_of[fields[key].name], value, f"{where}.{key}", file)
        for key, value in table.items()
    }
    return model(**given, **read)


def _value(wanted: Any, value: object, where: str, file: Path) -> Any:
    """A TOML value as the type a field has."""
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        listed = [value] if isinstance(value, str) and inner is str else value
        if not isinstance(listed, list):
            raise _wrong(file, f"{where} is no list", f"write {where} = [ ... ]")
        return tuple(_value(inner, one, where, file) for one in listed)
    if typing.get_origin(wanted) is types.UnionType:
        wanted = next(one for one in typing.get_args(wanted) if one is not type(None))
    if dataclasses.is_dataclass(wanted):
        return _record(typing.cast("type[Any]", wanted), value, where, file, {})
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        name = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[wanted]
        raise _wrong(file, f"{where} is not {name}", f"write {name} there")
    return value


def _wrong(file: Path, what: str, step: str) -> ProjectError:
    return ProjectError(what, file=file, next_step=step)
