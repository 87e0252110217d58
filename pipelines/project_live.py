"""The events of a project for the command line: its store, its keys, its tables and its entities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.project import output_path
from pipelines.project_model import Project
from twin.crs.reference import horizontal, parse_crs
from twin.entity.index import EntityIndex
from twin.live.config import EVENTS_FILE, LiveConfig, read_live
from twin.live.kinds import Kinds, read_kinds
from twin.live.rules import ParseRules
from twin.live.times import zone_of
from twin.registry import place
from twin.store.release import open_current

if TYPE_CHECKING:
    from twin.live.link import Linker


def events_location(project: Project) -> Path | str:
    """Where events lie: the stated database, else a file beside `twin.toml`. The answer may hold a password.

    Raises:
        ProjectError: What is stated is no database.
    """
    return place.stated_database(project.registry.database_url) or project.root / EVENTS_FILE


def live_config(project: Project) -> LiveConfig:
    """`[live]`, or its defaults. Raises `ProjectError` where it is wrong."""
    return read_live(project.root) or LiveConfig(project.root)


def live_kinds(config: LiveConfig) -> Kinds:
    """The kinds of events. Raises `MisuseError` where their file is wrong."""
    return read_kinds(None if config.kinds is None else config.path(config.kinds))


def live_rules(config: LiveConfig, kinds: Kinds) -> ParseRules:
    """How reports of a file are read: any number of them, of any age."""
    return ParseRules(
        kinds=kinds,
        crs=config.crs,
        zone=zone_of(config.time_zone),
        max_skew_ms=int(config.max_skew_s * 1000),
        max_bytes=config.max_event_kib << 10,
        max_depth=config.max_depth,
    )


def live_linker(project: Project, config: LiveConfig, kinds: Kinds, learnt: Mapping[str, str]) -> Linker:
    """Ties reports to the entities of the served release; codes of entities that are gone are known to a server only.

    Raises:
        TwinError: Nothing has been built yet, or the table of sensors is wrong.
    """
    from twin.live.link import Linker
    from twin.live.sensors import read_sensors

    into = horizontal(parse_crs("EPSG:4326"), parse_crs(project.project.working_crs))

    def to_xy(lon: Any, lat: Any) -> tuple[Any, Any]:
        xy = into(np.column_stack([np.atleast_1d(lon), np.atleast_1d(lat)]).astype(np.float64))
        return (xy[:, 0], xy[:, 1]) if np.ndim(lon) else (float(xy[0, 0]), float(xy[0, 1]))

    sensors = {} if config.sensors is None else read_sensors(config.path(config.sensors))
    index = EntityIndex.open(open_current(output_path(project)).index, to_xy)
    return Linker(index, lambda _: None, sensors, learnt, kinds)
