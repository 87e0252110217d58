"""The answer about one entity: its document, its links, and the ready bytes of the present one."""

from __future__ import annotations

from typing import Any

import orjson

from server.context import Context
from server.entity_document import document, feature
from server.entity_subject import Subject
from server.releases import OpenRelease, Projection
from twin.entity.rows import geojson_geometry

_FORMS = (("geojson", "application/geo+json"), ("cityjson", "application/city+json"), ("html", "text/html"))


def entity_document(context: Context, release: OpenRelease, subject: Subject) -> dict[str, Any]:
    """The full record; that of a past version also says which one it is, and has no tile."""
    full = document(context, subject.record, release.id)
    if subject.span is None:
        return full
    return {**full, "version": {**subject.span, "sources": subject.sources or {}}}


def feature_of(full: dict[str, Any], subject: Subject, projection: Projection) -> dict[str, Any]:
    """The GeoJSON feature of an entity."""
    rings = [[ring.tolist() for ring in polygon] for polygon in subject.polygons]
    return feature(full, geojson_geometry(rings, projection.to_lonlat))


def link_header(context: Context, full: dict[str, Any]) -> str:
    """Links of an entity: itself, its other forms, its history, and its tile with the row it has there."""
    address = context.url("entities", str(full["geid"]))
    links = [f'<{address}>; rel="canonical"']
    links += [f'<{address}?f={form}>; rel="alternate"; type="{media_type}"' for form, media_type in _FORMS]
    links.append(f'<{address}/history>; rel="version-history"; type="application/json"')
    tile = full["tile"]
    if isinstance(tile, dict):
        links.append(f'<{tile["url"]}>; rel="enclosure"; type="model/gltf-binary"; row="{tile["row"]}"')
    return ", ".join(links)


def present_answer(context: Context, release: OpenRelease, row: int) -> tuple[bytes, str]:
    """Body and `Link` of an entity as it is served."""
    full = document(context, release.index.record(row), release.id)
    return orjson.dumps(full, option=orjson.OPT_NON_STR_KEYS), link_header(context, full)
