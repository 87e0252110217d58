"""OGC API - 3D GeoVolumes, draft 22-029: the layers as containers with a 3D extent and links to their tilesets.

What its requirements ask of a container is met; its conformance classes are not declared. /req/core and the abstract
tests want containers as collections below `/collections`, where the classes of entities are, and a `bbox` there;
/req/core/collections wants `application/json+3dtiles`, /req/3dtiles/tileset `application/3dtiles+json` for one tileset.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.problem import not_found
from server.releases import Layer, OpenRelease

#: The draft names two media types for a tileset and contradicts itself; 3D Tiles 1.1 itself says this one.
TILESET_TYPE = "application/json"
RELATION = "http://www.opengis.net/def/rel/ogc/1.0/3d-geovolumes"
CRS84H = "http://www.opengis.net/def/crs/OGC/0/CRS84h"


def describe(context: Context, release: OpenRelease, layer: Layer) -> dict[str, Any]:
    """One container: what it holds, where it lies, and where its tiles are."""
    address = ("geovolumes", layer.name)
    root = str(layer.record.get("tileset", "tileset.json"))
    tiles = context.link("item", "tiles", layer.name, root, media_type=TILESET_TYPE, title="3D Tiles 1.1")
    return {
        "id": layer.name,
        "title": str(layer.record.get("title", layer.name)),
        "description": f"Layer {layer.name} of {release.record.get('project', {}).get('name', 'the district')}.",
        "collectionType": "3d-container",
        **_extent(layer.record.get("region")),
        "content": [tiles],
        "links": [
            context.link("self", *address, title="This container"),
            {**tiles, "rel": RELATION},
            context.link("collection", "geovolumes", title="All containers"),
        ],
    }


def _extent(region: object) -> dict[str, Any]:
    """West, south, low, east, north, high: degrees and ellipsoidal metres; nothing where the build states none."""
    if not isinstance(region, list) or len(region) != 6:
        return {}
    west, south, east, north, low, high = region
    return {"extent": {"spatial": {"bbox": [[west, south, low, east, north, high]], "crs": CRS84H}}}


def router(context: Context) -> APIRouter:
    """The endpoints `/geovolumes` and `/geovolumes/{layer}`."""
    routes = APIRouter(tags=["geovolumes (draft)"])

    @routes.get("/geovolumes", summary="3D containers (OGC draft 22-029)")
    def geovolumes(request: Request) -> Response:
        """Every layer as a 3D container, after the draft OGC API - 3D GeoVolumes."""
        with context.releases.reading() as release:
            found = [describe(context, release, layer) for layer in release.layers.values()]
        links = [context.link("self", "geovolumes", title="This document")]
        return json_answer(request, {"collections": found, "links": links})

    @routes.get("/geovolumes/{layer}", summary="One 3D container (OGC draft 22-029)")
    def geovolume(request: Request, layer: Annotated[str, Path(description="Layer name")]) -> Response:
        """One layer with its 3D extent and its tileset."""
        with context.releases.reading() as release:
            found = release.layers.get(layer)
            if found is None:
                raise not_found("No such container.")
            return json_answer(request, describe(context, release, found))

    return routes
