"""What is served: the release, its layers, where their tilesets are and which properties they carry."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.context import Context, json_answer
from server.releases import Layer, Pair

#: Of `release.json`; the rest is the build's own business.
_SHOWN = ("outline", "format", "project", "working_crs", "vertical_datum", "frame", "report", "build_key")
_LAYER = ("title", "kind", "digest", "tiles", "features", "bytes", "region", "encoder", "properties")


def describe_layer(context: Context, layer: Layer) -> dict[str, Any]:
    """One layer with its addresses."""
    known = {key: layer.record[key] for key in _LAYER if key in layer.record}
    archive = context.url("archives", layer.name) if layer.path.is_file() else None
    root = str(layer.record.get("tileset", "tileset.json"))
    return {**known, "tileset": context.url("tiles", layer.name, root), "archive": archive}


def describe_release(context: Context, pair: Pair) -> dict[str, Any]:
    """The release as clients see it; `events` stands in it where the server has live events."""
    current = pair.current
    return {
        "release": current.id,
        "previous": None if pair.previous is None else pair.previous.id,
        **{key: current.record[key] for key in _SHOWN if key in current.record},
        "entities": len(current.index),
        **({} if context.live is None else {"events": context.url("events")}),
        "layers": {name: describe_layer(context, layer) for name, layer in current.layers.items()},
    }


def router(context: Context) -> APIRouter:
    """The endpoint `/release`."""
    routes = APIRouter(tags=["service"])

    @routes.get("/release", summary="The release")
    def release(request: Request) -> Response:
        """Ids of this release and the one before, the project, the report and the layers."""
        return json_answer(request, describe_release(context, context.releases.pair))

    return routes
