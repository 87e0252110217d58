"""The versions of one entity on both time axes, what changed from one to the next, and what came before and after."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.entity_past import AsOf, Times, named, require_history
from server.entity_subject import Subject, recorded
from server.problem import ProblemError
from server.releases import OpenRelease
from server.routers.entities import Name
from twin.entity.rows import geojson_geometry, json_value
from twin.registry.history_changes import changed_fields
from twin.registry.versions import Edition, Lineage

_SHOWN = ("name", "address", "entity_class", "layer", "source", "source_key", "aliases", "parent", "base_m", "roof_m",
          "height_m", "storeys", "grade", "attributes", "provenance")  # fmt: skip


def describe(context: Context, release: OpenRelease, geid: str, versions: pa.Table) -> dict[str, Any]:
    """The whole history of an entity.

    Args:
        context: For addresses and the history.
        release: For its projection.
        geid: Which entity.
        versions: What was asserted of it, oldest first.
    """
    rows = versions.to_pylist()
    numbers = {row["edition"] for row in rows}
    changed = [changed_fields(before, after) for before, after in zip([None, *rows[:-1]], rows, strict=True)]
    told = [_version(release, recorded(versions, at), changed[at]) for at in range(len(rows))]
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


def _version(release: OpenRelease, subject: Subject, changed: list[str]) -> dict[str, Any]:
    spans = {**(subject.span or {}), "present": subject.record["present"]}
    content = {**subject.record, "provenance": subject.sources or {}}
    shape = None
    if release.projection is not None:
        polygons = [[ring.tolist() for ring in polygon] for polygon in subject.polygons]
        shape = geojson_geometry(polygons, release.projection.to_lonlat)
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
