"""The documents of OGC API - Features: collections, their schemas, and the frame around features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from server.context import Context
from server.features.crs import offered
from server.features.query import LIMIT
from twin.entity.index_schema import GEOMETRY
from twin.query.crs import CRS84, CRS84H, uri_of
from twin.query.fields import schema_of
from twin.query.view import View
from twin.registry.versions import Edition

GEOJSON = "application/geo+json"
SCHEMA = "application/schema+json"
HTML = "text/html"
_QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
_SCHEMA = "http://www.opengis.net/def/rel/ogc/1.0/schema"


def crs_list(view: View, name: str) -> tuple[str, ...]:
    """The CRSs of a collection, the default first."""
    extent = view.extents.get(name)
    flat = None if extent is None else [*extent[:2], *extent[len(extent) // 2 :][:2]]
    return offered(view.crs, flat)


def items_url(context: Context, collection: str, *more: str) -> str:
    """Address of the features of a collection, or of one of them."""
    return context.url("collections", collection, "items", *more)


def collection_document(context: Context, view: View, name: str, editions: Sequence[Edition]) -> dict[str, Any]:
    """One collection (OGC API Features §7.14, Part 2 §6.2)."""
    rows = view.classes[name]
    extent = view.extents[name]
    uris = crs_list(view, name)
    own = None if view.crs is None or not view.crs.public else uri_of(view.crs.name)
    begin = min(one.valid_from for one in editions).strftime("%Y-%m-%dT%H:%M:%SZ") if editions else None
    spatial = {} if extent is None else {
        "spatial": {"bbox": [extent], "crs": CRS84 if len(extent) == 4 else CRS84H}
    }  # fmt: skip
    return {
        "id": name,
        "title": name,
        "description": f"{len(rows):,} entities of the class {name}.",
        "itemType": "feature",
        "extent": {**spatial, "temporal": {"interval": [[begin, None]]}},
        "crs": list(uris),
        **({"storageCrs": own} if own in uris else {}),
        "links": collection_links(context, name),
    }


def collection_links(context: Context, name: str) -> list[dict[str, str]]:
    """Where to go from a collection."""
    place = ("collections", name)
    return [
        context.link("self", *place, title=name),
        html_link(context.url(*place)),
        context.link("items", *place, "items", media_type=GEOJSON, title=f"{name} as GeoJSON"),
        {**html_link(items_url(context, name)), "rel": "items"},
        context.link(_QUERYABLES, *place, "queryables", media_type=SCHEMA, title="What filters may name"),
        context.link(_SCHEMA, *place, "schema", media_type=SCHEMA, title="Properties of a feature"),
        context.link("http://www.opengis.net/def/rel/ogc/1.0/conformance", "conformance", title="Conformance"),
    ]


def html_link(address: str) -> dict[str, str]:
    """The same as a page."""
    joint = "&" if "?" in address else "?"
    return {"href": f"{address}{joint}f=html", "rel": "alternate", "type": HTML, "title": "As a page"}


def collections_document(context: Context, view: View, editions: Sequence[Edition]) -> dict[str, Any]:
    """Every collection (§7.13)."""
    every = [collection_document(context, view, name, editions) for name in view.classes]
    links = [context.link("self", "collections", title="Collections"), html_link(context.url("collections"))]
    return {"links": links, "crs": [CRS84, CRS84H], "collections": every}


def schema_document(context: Context, view: View, name: str, leaf: str) -> dict[str, Any]:
    """JSON Schema of the properties (Part 3 §6, Part 5)."""
    geometry = {
        "title": "Footprint; at the height of its base in a CRS with heights",
        "x-ogc-role": "primary-geometry",
        "format": "geometry-multipolygon",
    }
    rest = {one.name: schema_of(one) for one in view.fields.values()}
    rest["geid"] = {**rest["geid"], "x-ogc-role": "id"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": context.url("collections", name, leaf),
        "type": "object",
        "title": name,
        "properties": {GEOMETRY: geometry, **rest},
        "additionalProperties": False,
    }


def with_query(address: str, parameters: Mapping[str, str]) -> str:
    """An address with parameters."""
    return f"{address}?{urlencode(parameters)}" if parameters else address


def items_links(context: Context, name: str, given: Mapping[str, str], cursor: str | None) -> list[dict[str, str]]:
    """`self`, `alternate`, `next` and `collection` of a page of features."""
    address = items_url(context, name)
    plain = {key: value for key, value in given.items() if key != "f"}
    links = [
        {"href": with_query(address, given), "rel": "self", "type": GEOJSON, "title": "This page"},
        html_link(with_query(address, plain)),
        context.link("collection", "collections", name, title=name),
    ]
    if cursor is not None:
        following = with_query(address, {"limit": str(LIMIT), **plain, "cursor": cursor})
        links.append({"href": following, "rel": "next", "type": GEOJSON, "title": "Next page"})
    return links


def frame(links: list[dict[str, str]], matched: int, returned: int) -> bytes:
    """The beginning of a feature collection, up to its features (§7.16)."""
    head = {
        "type": "FeatureCollection",
        "timeStamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "numberMatched": matched,
        "numberReturned": returned,
        "links": links,
    }
    return orjson.dumps(head)[:-1] + b',"features":['


def stream(head: bytes, blocks: Iterator[list[bytes]]) -> Iterator[bytes]:
    """A feature collection a block of features at a time."""
    begin = head
    for texts in blocks:
        yield begin + b",".join(texts)
        begin = b","
    yield b"]}" if begin == b"," else begin + b"]}"
