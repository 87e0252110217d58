"""Finding an entity by whatever names it, now or at a pair of times, and refusing with what is known instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

import pyarrow as pa
from fastapi import Query

from server.context import Context
from server.entity_subject import Subject, recorded
from server.problem import ProblemError, not_found
from server.releases import OpenRelease
from server.retired import gone, retired
from twin.entity import geid
from twin.entity.index import EntityIndex
from twin.entity.naming import LONGEST_GEID, rows_named
from twin.errors import MisuseError
from twin.registry.moment import parse_moment
from twin.registry.versions import Time

LIMIT = 100
LONGEST = 200

ValidTime = Annotated[
    str | None,
    Query(alias="datetime", max_length=64, description="When it was so: RFC 3339 moment, or a date; left out: now"),
]
AsOf = Annotated[
    str | None,
    Query(alias="as-of", max_length=64, description="What was known then: RFC 3339 moment, or a date; left out: all"),
]


@dataclass(frozen=True, slots=True)
class Times:
    """A pair of times; both None is the present, as it is served.

    Attributes:
        valid: When it was so.
        as_of: When it was known.
    """

    valid: Time | None
    as_of: Time | None

    @classmethod
    def of(cls, valid: str | None, as_of: str | None) -> Times:
        """Reads two parameters.

        Raises:
            ProblemError: 400.
        """
        return cls(_moment("datetime", valid), _moment("as-of", as_of))

    @property
    def given(self) -> bool:
        """True if the history is asked."""
        return self.valid is not None or self.as_of is not None

    @property
    def query(self) -> str:
        """The pair as the query of an address, `?` included; "" for the present."""
        given = {"datetime": self.valid, "as-of": self.as_of}
        stated = {key: time.isoformat().replace("+00:00", "Z") for key, time in given.items() if time is not None}
        return f"?{urlencode(stated, safe=':')}" if stated else ""


def _moment(name: str, text: str | None) -> Time | None:
    try:
        return None if text is None else parse_moment(text)
    except MisuseError:
        told = f"{name} must be one moment such as 2026-05-01T08:00:00Z, or a date such as 2026-05-01."
        raise ProblemError(400, "invalid_parameter", told) from None


def find_rows(index: EntityIndex, text: str) -> list[int]:
    """Rows a text names: by identifier, in whatever spelling, else by `source:key`, else by alias."""
    return rows_named(index, text, LIMIT + 1)


def find_or_refuse(context: Context, release: OpenRelease, text: str) -> list[int]:
    """Rows a text names now or, where that is none, the entities it was once noted for.

    Raises:
        ProblemError: 410 where they are all retired, 404 where nothing is known of it.
    """
    if len(text) > LONGEST:
        raise absent(text)
    rows = find_rows(release.index, text)
    if rows:
        return rows
    known = context.registered.find(text, release.id, release.record.get("project", {}))
    there = [row for one in known if (row := release.index.find(one.geid)) is not None]
    if there:
        return there
    if known:
        raise gone(known, successors(context, [one.geid for one in known]))
    written = _written(text)
    last = context.timeline.entity(written) if written is not None else None
    if written is not None and last is not None and len(last) and not last["present"][0].as_py():
        raise ended(context, [written], "now")
    raise absent(text)


def _written(text: str) -> str | None:
    return geid.normalise(text) if len(text) <= LONGEST_GEID and geid.check(text) else None


def named(context: Context, release: OpenRelease, text: str) -> list[str]:
    """Identifiers a text stands for or once stood for.

    Raises:
        ProblemError: 404 where nothing is known of it.
    """
    rows = find_rows(release.index, text) if len(text) <= LONGEST else []
    if rows:
        return [str(release.index.table["geid"][row].as_py()) for row in rows]
    known = context.registered.find(text, release.id, release.record.get("project", {})) if len(text) <= LONGEST else ()
    written = _written(text)
    names = [one.geid for one in known] or [name for name in [written] if name and len(context.timeline.versions(name))]
    if not names:
        raise absent(text)
    return names


def past(context: Context, release: OpenRelease, text: str, times: Times) -> list[Subject]:
    """Entities a text names, as they were at a pair of times.

    Raises:
        ProblemError: 404 where nothing is known of it or of that time, 410 where it had ended by then.
    """
    require_history(context)
    names = named(context, release, text)
    found = {name: context.timeline.entity(name, times.valid, times.as_of) for name in names[: LIMIT + 1]}
    there = [recorded(table) for table in found.values() if len(table) and table["present"][0].as_py()]
    if there:
        return there
    if any(len(table) for table in found.values()):
        raise ended(context, list(found), "at that time")
    raise ProblemError(404, "not_known_then", "The history says nothing of this entity for that pair of times.")


def require_history(context: Context) -> None:
    """Refuses where nothing is recorded.

    Raises:
        ProblemError: 404 `no_history`.
    """
    if not context.timeline.recorded:
        told = "No history is kept of this district: it begins with the first `twin update`; serve the project folder."
        raise ProblemError(404, "no_history", told)


def successors(context: Context, names: Sequence[str]) -> dict[str, str]:
    """Identifier to address of what stands today for entities that have ended."""
    after = [geid for name in names for geid in context.timeline.successors(name)]
    return {geid: context.url("entities", geid) for geid in after}


def ended(context: Context, names: Sequence[str], when: str) -> ProblemError:
    """410 of entities that only the history knows."""
    told = f"{'The entity' if len(names) == 1 else 'Each entity'} it stands for was not there {when}."
    return retired(told, [_last(context, name) for name in names], successors(context, names))


def _last(context: Context, name: str) -> dict[str, Any]:
    versions: pa.Table = context.timeline.versions(name)
    there = [row for row in versions.to_pylist() if row["present"]]
    known = {key: there[-1][key] for key in ("layer", "entity_class", "source", "source_key")} if there else {}
    return {"geid": name, **known, "history": context.url("entities", name, "history")}


def absent(text: str) -> ProblemError:
    """404, with the identifiers that were perhaps meant."""
    if len(text) > LONGEST_GEID or ":" in text:
        return not_found("No such entity.")
    meant = geid.explain(text).suggestions[:3]
    return not_found(f"No such entity. Did you mean {' or '.join(meant)}?" if meant else "No such entity.")
