"""The OpenAPI document: what FastAPI knows, made true about errors, and the paths that do not run through FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.context import Context
from server.live.asked import STREAM_TEXTS
from server.problem import MEDIA_TYPE

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
    },
}
_ERROR = {
    "description": "Any error",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_SUCCESS = {
    "/": "application/json",
    "/docs": "text/html",
    "/api": "application/vnd.oai.openapi+json;version=3.1",
    "/asyncapi.json": "application/vnd.aai.asyncapi+json;version=3.0.0",
    "/events/{offset}": "application/cloudevents+json",
    "/archives/{layer}": "application/octet-stream",
    "/collections/{collection}/items": "application/geo+json",
    "/collections/{collection}/items/{id}": "application/geo+json",
    "/collections/{collection}/queryables": "application/schema+json",
    "/collections/{collection}/schema": "application/schema+json",
}


def _parameter(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}


def _get(summary: str, text: str, parameters: list[dict[str, Any]], media_type: str) -> dict[str, Any]:
    return {
        "get": {
            "tags": ["tiles"],
            "summary": summary,
            "description": text,
            "parameters": parameters,
            "responses": {
                "200": {"description": "The content", "content": {media_type: {}}},
                "304": {"description": "The client has it already"},
                "default": _ERROR,
            },
        }
    }


def _stream_parameters() -> list[dict[str, Any]]:
    """What may be asked of a stream."""
    texts = {**STREAM_TEXTS, "last_event_id": "Position to resume after, if there is no header Last-Event-ID"}
    return [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in texts.items()
    ]


def thin_paths() -> dict[str, Any]:
    """The paths that never reach FastAPI."""
    layer = _parameter("layer", "Layer name")
    key = _parameter("key", "Key of the content; may hold slashes")
    return {
        "/tiles/{layer}/tileset.json": _get(
            "Root of a layer's tileset", "3D Tiles 1.1; `no-cache` with an ETag.", [layer], "application/json"
        ),
        "/tiles/{layer}/{key}": _get(
            "Content of a tileset",
            "Tiles, subtrees and external tilesets; immutable below a digest or a release id.",
            [layer, key],
            "model/gltf-binary",
        ),
        "/events/stream": _get(
            "Reports as they come: Server-Sent Events",
            "Resumable by `Last-Event-ID`; docs/events-out.md.",
            _stream_parameters(),
            "text/event-stream",
        ),
        "/events/ws": _get(
            "Reports as they come: WebSocket",
            "The messages of `/events/stream`, for clients that change their filter.",
            _stream_parameters(),
            "application/json",
        ),
        "/viewer/": _get("3D viewer", "The page; its files lie below it.", [], "text/html"),
    }


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Replaces FastAPI's 422 by the problem document and adds the thin paths."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            responses["200"]["content"] = {_SUCCESS.get(path, "application/json"): {}}
            responses["default"] = _ERROR
    document["paths"].update(thin_paths())
    document["components"] = {"schemas": {"Problem": _PROBLEM}}
    return document


def install_openapi(api: FastAPI, context: Context) -> None:
    """Makes `api.openapi()` give the completed document, built once."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            servers = [{"url": context.settings.base_path or "/"}]
            plain = get_openapi(title=api.title, version=api.version, routes=api.routes, servers=servers)
            api.openapi_schema = complete(plain)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]
