"""The versions of one entity on both time axes, what changed from one to the next, and what came before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.entity_past import AsOf, Times, named, require_history
from server.entity_subject import recorded
from server.problem import ProblemError
from server.releases import OpenRelease
from server.routers.entities import Name
from twin.entity.rows import geojson_geometry, json_value
from twin.registry.versions import Edition, Lineage

_NOT_CONTENT = frozenset({"valid_from", "valid_to", "edition", "recorded_at", "geid"})
_SHOWN = ("name", "address", "entity_class", "layer", "source", "source_key", "aliases", "parent", "base_m", "roof_m",
          "height_m", "storeys", "grade", "attributes", "provenance")  # fmt: skip


def changed_fields(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ between two versions; attributes of the source as `attributes.<name>`."""
    if before is None:
        return []
    plain = [key for key in after if key not in _NOT_CONTENT and key != "attributes" and before[key] != after[key]]
    old, new = before["attributes"], after["attributes"]
    return plain + [f"attributes.{key}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _content(versions: pa.Table, row: int) -> dict[str, Any]:
    """A version as comparable values, geometry by its corners."""
    subject = recorded(versions, row)
    shape = [[ring.round(3).tolist() for ring in polygon] for polygon in subject.polygons]
    return {**subject.record, "provenance": subject.sources or {}, "geometry": shape, **(subject.span or {})}


def describe(context: Context, release: OpenRelease, geid: str, versions: pa.Table) -> dict[str, Any]:
    """The whole history of an entity.

    Args:
        context: For addresses and the history.
        release: For its projection.
        geid: Which entity.
        versions: What was asserted of it, oldest first.
    """
    contents = [_content(versions, row) for row in range(len(versions))]
    numbers = {content["edition"] for content in contents}
    told = []
    for at, content in enumerate(contents):
        before = contents[at - 1] if at else None
        told.append(_version(release, content, changed_fields(before, content)))
    return {
        "geid": geid,
        "time_axes": {"datetime": "validity-time", "as-of": "transaction-time"},
        "versions": told,
        "editions": [_edition(one) for one in context.timeline.editions() if one.number in numbers],
        "lineage": [_step(context, one) for one in context.timeline.lineage(geid)],
        "successors": [
            {"geid": one, "href": context.url("entities", one)} for one in context.timeline.successors(geid)
        ],
        "links": [
            context.link("self", "entities", geid, "history"),
            context.link("latest-version", "entities", geid),
        ],
    }


def _version(release: OpenRelease, content: Mapping[str, Any], changed: list[str]) -> dict[str, Any]:
    spans = {key: content[key] for key in ("valid_from", "valid_to", "recorded_at", "edition", "present")}
    shape = None
    if release.projection is not None:
        shape = geojson_geometry(content["geometry"], release.projection.to_lonlat)
    return {**spans, "changed_fields": changed, **{key: content.get(key) for key in _SHOWN}, "geometry": shape}


def _edition(edition: Edition) -> dict[str, Any]:
    return {
        "number": edition.number,
        "kind": edition.kind.value,
        "name": edition.name,
        "recorded_at": json_value(edition.recorded_at),
        "valid_from": json_value(edition.valid_from),
        "note": edition.note,
        "undoes": edition.undoes,
    }


def _step(context: Context, step: Lineage) -> dict[str, Any]:
    known = {"geid": step.geid, "relation": step.relation.value, "other": step.other, "edition": step.edition}
    return {**known, "href": context.url("entities", step.other)}


def router(context: Context) -> APIRouter:
    """The endpoint `/entities/{id}/history`."""
    routes = APIRouter(tags=["entities"])

    @routes.get("/entities/{id:path}/history", summary="The versions of one entity")
    def history(request: Request, id: Name, as_of: AsOf = None) -> Response:
        """What was asserted of an entity, oldest first, with what changed, the editions that say so, and lineage."""
        times = Times.of(None, as_of)
        with context.releases.reading() as release:
            require_history(context)
            names = named(context, release, id)
            if len(names) > 1:
                raise ProblemError(
                    404, "not_found", "Several entities share this alias; ask for one by its identifier."
                )
            versions = context.timeline.versions(names[0], times.as_of)
            if not len(versions):
                raise ProblemError(404, "not_known_then", "The history says nothing of this entity by that time.")
            address = context.url("entities", names[0])
            return json_answer(
                request,
                describe(context, release, names[0], versions),
                headers={"Link": f'<{address}>; rel="latest-version"'},
            )

    return routes
