"""What goes into a build besides the project, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.errors import TwinError
from twin.registry.place import REGISTRY_FILE
from twin.report import Report
from twin.store.release import Release, current, open_current

#: Work of a project that is not finished.
WORK = ".twin"
#: The registry of a project, beside `twin.toml`.
REGISTRY = REGISTRY_FILE
#: The last report, with seconds, in the release directory.
LAST_BUILD = "last-build.json"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a build is run; none of it changes a byte of the release.

    Attributes:
        workers: Processes; 0 takes the project's number.
        force: Build everything again, taking nothing over.
        wait_s: How long to wait for another build of the same project.
    """

    workers: int = 0
    force: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build gave.

    Attributes:
        release: Id of the release that is served now.
        report: The account of every feature.
        tiles: Tiles with content in the release.
        tiles_written: Of these, how many were made new.
        bytes: Size of the release's tiles as sent over the network (smallest variant).
        unchanged: True if the input was that of the served release and nothing had to be done.
        seconds: By stage, and in total.
        facts: Further figures by layer.
    """

    release: str
    report: Report
    tiles: int
    tiles_written: int
    bytes: int
    unchanged: bool
    seconds: dict[str, float]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report that `twin build --json` prints."""
        return {
            **self.report.to_json(),
            "tiles": self.tiles,
            "tiles_written": self.tiles_written,
            "bytes": self.bytes,
            "seconds": round(self.seconds.get("total", 0.0), 3),
            "stages": {name: round(value, 3) for name, value in self.seconds.items() if name != "total"},
            "release": self.release,
            "unchanged": self.unchanged,
            "exit_code": self.report.exit_code,
            **({"figures": self.facts} if self.facts else {}),
        }


def served_release(out: Path) -> Release | None:
    """The served release; None where there is none or it is not whole, so that a build can mend it."""
    try:
        release = open_current(out) if current(out) is not None else None
        parts = [release.index, *map(release.store_path, release.layers)] if release else []
    except TwinError:
        return None
    return release if all(part.exists() for part in parts) else None
