"""What the registry still knows of entities the served release no longer holds, so that a retired id answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server.problem import ProblemError
from twin.errors import TwinError
from twin.registry.known import Known
from twin.registry.open import open_registry

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 0.5


class Registered:
    """Looks into the registry of a project; one that is missing, locked or damaged knows nothing.

    Args:
        where: `registry.sqlite` beside `twin.toml`, or the address of a database; None where neither is known.
    """

    def __init__(self, where: Path | str | None) -> None:
        self._where = where

    def find(self, text: str, release: str, project: Mapping[str, Any]) -> tuple[Known, ...]:
        """Entities a text has ever stood for, without those that came after the served release.

        Args:
            text: An identifier in any spelling, `source:key`, `scheme:value` or a bare alias.
            release: Id of the served release.
            project: `project` of its `release.json`: whose registry it is.
        """
        authority = project.get("authority") or project.get("admin_code")
        where = self._where
        if where is None or not authority or (isinstance(where, Path) and not where.is_file()):
            return ()
        try:
            # Opened anew each time: a build may replace the file, and only what the index does not hold is asked here.
            with open_registry(where, str(authority), read_only=True, patience_s=_PATIENCE_SECONDS) as registry:
                known = [registry.entity(geid) for geid in registry.named(text) if not registry.is_later(geid, release)]
        except TwinError as error:
            _log.warning("the registry cannot be asked: %s", error)
            return ()
        return tuple(one for one in known if one is not None)


NO_REGISTRY = Registered(None)


def gone(known: tuple[Known, ...], successors: Mapping[str, str] | None = None) -> ProblemError:
    """410: the identifier was given once and is never given to anything else.

    Args:
        known: What the registry knows of the entities.
        successors: Identifier to address of what stands there today.
    """
    one = known[0]
    if len(known) > 1:
        told = f"The {len(known)} entities it stood for are no longer part of the district."
    else:
        told = f"The entity {one.geid} is no longer part of the district; its last release was {one.last_release}."
    return retired(told, [_row(each) for each in known], successors or {})


def retired(told: str, rows: Sequence[Mapping[str, Any]], successors: Mapping[str, str]) -> ProblemError:
    """410 with links to what came after (RFC 5829 §3.5)."""
    after = [{"geid": geid, "href": href} for geid, href in successors.items()]
    links = ", ".join(f'<{href}>; rel="successor-version"' for href in successors.values())
    members = {"retired": list(rows), "successors": after}
    return ProblemError(410, "entity_retired", told, {"Link": links} if links else None, members)


def _row(known: Known) -> dict[str, Any]:
    return {
        "geid": known.geid,
        "layer": known.layer,
        "entity_class": known.entity_class,
        "source": known.source,
        "source_key": known.key,
        "first_release": known.first_release,
        "first_seen": known.first_seen,
        "last_release": known.last_release,
        "last_seen": known.last_seen,
        "aliases": [f"{scheme}:{value}" for scheme, value in known.aliases],
    }
