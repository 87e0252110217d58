"""Puts the live part of a server together from the project file; nothing where the project has no events."""

from __future__ import annotations

from pathlib import Path

from server.live.live import Live
from server.releases import Releases
from server.settings import Settings, read_project_file
from twin.errors import MisuseError
from twin.live.config import EVENTS_FILE, LiveConfig, read_live
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


def open_live(settings: Settings, releases: Releases) -> Live | None:
    """Opens the events of what is served.

    Raises:
        TwinError: The project file is wrong, or the store cannot be opened.
    """
    config = live_config(settings.root)
    if config is None:
        return None
    del releases
    raise MisuseError("events are not served yet", next_step="leave [live] out of twin.toml")
