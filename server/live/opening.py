"""Puts the live part of a server together from the project file; nothing where the project has no events."""

from __future__ import annotations

from pathlib import Path

from server.live.credentials import Gate
from server.live.hub import Hub, cloudevent_bytes
from server.live.intake import reader
from server.live.limits import Rates
from server.live.linking import Linking
from server.live.live import Live
from server.live.mqtt import Mqtt
from server.live.payload import Documents
from server.live.poll import Poll
from server.live.retention import Retention
from server.live.webhook import open_webhooks
from server.releases import Releases
from server.retired import Registered
from server.settings import Settings, read_project_file
from server.timeline import Timeline
from twin.live.config import EVENTS_FILE, LiveConfig, read_live
from twin.live.kinds import Kinds, read_kinds
from twin.live.mapping import read_mapping
from twin.live.open import open_events, open_keys
from twin.live.rules import ParseRules
from twin.live.sensors import read_sensors
from twin.live.times import zone_of
from twin.registry import place


def events_location(root: Path) -> Path | str:
    """Where events lie: the stated database, else a file beside `twin.toml`.

    Raises:
        ProjectError: As `twin.registry.place.stated_database`.
    """
    section = (read_project_file(root) or {}).get("registry", {})
    url = section.get("database_url") if isinstance(section, dict) else None
    return place.stated_database(url if isinstance(url, str) else None) or root / EVENTS_FILE


def live_config(root: Path) -> LiveConfig | None:
    """What the project says about events; defaults where it says nothing but has some; None where it has none.

    Raises:
        ProjectError: `twin.toml` cannot be read or is wrong.
    """
    config = read_live(root)
    if config is None and (root / EVENTS_FILE).is_file():
        return LiveConfig(root)
    return config


def open_live(settings: Settings, releases: Releases, registered: Registered, timeline: Timeline) -> Live | None:
    """Opens the events of what is served; None where it has none.

    Raises:
        TwinError: The project file or a table it names is wrong, or the store cannot be opened.
    """
    config = live_config(settings.root)
    if config is None:
        return None
    kinds = read_kinds(None if config.kinds is None else config.path(config.kinds))
    sensors = {} if config.sensors is None else read_sensors(config.path(config.sensors))
    rules = parse_rules(config, kinds)
    where = events_location(settings.root)
    store, keys = open_events(where), open_keys(where)
    tie = Linking(releases, store, sensors, kinds, registered, timeline.successors)
    gate = Gate(keys, Rates(config.rate, config.burst), settings.loopback, config.read_without_key)
    live = Live(store, reader(rules), tie, Hub(store, cloudevent_bytes(settings.base_path)), gate, config, kinds)
    live.feeds.append(Retention(store, kinds))
    live.feeds.append(open_webhooks(config, live.hub, releases))
    live.feeds += [Mqtt(live, one, config, documents(config, kinds, one.mapping, one.source)) for one in config.mqtt]
    live.feeds += [Poll(live, one, documents(config, kinds, one.mapping, one.source)) for one in config.poll]
    return live


def documents(config: LiveConfig, kinds: Kinds, mapping: str | None, source: str | None) -> Documents:
    """How the payloads of a feed are read.

    Raises:
        MisuseError: The mapping is wrong.
    """
    return Documents(None if mapping is None else read_mapping(config.path(mapping), kinds), source)


def parse_rules(config: LiveConfig, kinds: Kinds) -> ParseRules:
    """What the parser of events goes by.

    Raises:
        MisuseError: There is no such time zone.
    """
    return ParseRules(
        kinds=kinds,
        crs=config.crs,
        zone=zone_of(config.time_zone),
        max_skew_ms=int(config.max_skew_s * 1000),
        max_age_ms=int(config.max_age_days * 86_400_000) or None,
        max_bytes=config.max_event_kib << 10,
        max_body_bytes=config.max_body_kib << 10,
        max_batch=config.max_batch,
        max_depth=config.max_depth,
    )
