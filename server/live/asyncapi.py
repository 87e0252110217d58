"""The AsyncAPI 3.0 document: which messages flow where, for people who generate clients."""

from __future__ import annotations

from typing import Any

from server.context import Context
from server.live.asked import STREAM_TEXTS
from server.live.parcel import REASONS
from twin.live.kinds import Kinds
from twin.live.schema import event_schema

MEDIA_TYPE = "application/vnd.aai.asyncapi+json;version=3.0.0"
_POSITION = {"type": "string", "pattern": "^.+-[0-9]+$", "description": "`<epoch>-<offset>`; give it back to resume"}
_TEXTS = {**STREAM_TEXTS, "last_event_id": "Position to resume after; the header Last-Event-ID overrules it"}


def document(context: Context, kinds: Kinds) -> dict[str, Any]:
    """The document of this server."""
    base = context.settings.base_path
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "District twin: events",
            "version": "1",
            "description": "Reports on entities of the twin, in and out. Each is a CloudEvent 1.0.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "http": {"host": "{host}", "protocol": "http", "pathname": base or "/", "variables": _HOST},
            "ws": {"host": "{host}", "protocol": "ws", "pathname": base or "/", "variables": _HOST},
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": {"event": event_schema(kinds), "query": _query()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "Made by `twin key new`"}},
        },
    }


_HOST = {"host": {"default": "127.0.0.1:8000", "description": "Where the server listens"}}


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


def _channels() -> dict[str, Any]:
    told = {name: _ref("components", "messages", name) for name in ("state", "report", "resync", "heartbeat")}
    ws = {name: _ref("components", "messages", f"{name}Message") for name in told}
    query = _ref("components", "schemas", "query")
    return {
        "stream": {
            "address": "/events/stream",
            "title": "Server-Sent Events",
            "servers": [_ref("servers", "http")],
            "messages": told,
            "bindings": {"http": {"bindingVersion": "0.3.0"}},
            "x-query": query,
        },
        "ws": {
            "address": "/events/ws",
            "title": "WebSocket",
            "servers": [_ref("servers", "ws")],
            "messages": {**ws, "subscribe": _ref("components", "messages", "subscribe")},
            "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
        },
        "intake": {
            "address": "/events",
            "title": "Events in",
            "servers": [_ref("servers", "http")],
            "messages": {"event": _ref("components", "messages", "event")},
        },
        "webhook": {
            "address": None,
            "title": "Webhooks, as `[[live.webhook]]` of twin.toml names them",
            "messages": {"batch": _ref("components", "messages", "batch")},
        },
    }


def _operations() -> dict[str, Any]:
    def operation(action: str, channel: str, summary: str, *names: str) -> dict[str, Any]:
        messages = [_ref("channels", channel, "messages", name) for name in names]
        return {"action": action, "channel": _ref("channels", channel), "summary": summary, "messages": messages}

    told = ("state", "report", "resync", "heartbeat")
    return {
        "tellBySse": operation("send", "stream", "Tells a client what it asked for", *told),
        "tellByWebSocket": operation("send", "ws", "The same over a WebSocket", *told),
        "takeFilter": operation("receive", "ws", "Takes another filter", "subscribe"),
        "takeEvent": {
            **operation("receive", "intake", "Takes an event; answers once it is on disk", "event"),
            "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            "security": [_ref("components", "securitySchemes", "key")],
        },
        "tellWebhook": {
            **operation("send", "webhook", "Posts new reports, signed, until they are taken", "batch"),
            "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
        },
    }


def _messages() -> dict[str, Any]:
    event = _ref("components", "schemas", "event")
    payloads: dict[str, dict[str, Any]] = {
        "state": _object("First: which position the stream begins after.", epoch="string", heartbeat_s="number"),
        "resync": {
            **_object("Reports were left out: take /events/state again.", detail="string"),
            "required": ["position", "reason"],
        },
        "heartbeat": _object("Nothing passed the filter up to this position."),
        "report": {**event},
    }
    payloads["resync"]["properties"]["reason"] = {"enum": list(REASONS)}
    plain = {name: {"name": name, "payload": payload} for name, payload in payloads.items()}
    wrapped = {
        f"{name}Message": {"name": name, "payload": _wrapped(name, payload)} for name, payload in payloads.items()
    }
    return {
        **plain,
        **wrapped,
        "event": {"name": "event", "contentType": "application/cloudevents+json", "payload": event},
        "batch": {
            "name": "batch",
            "contentType": "application/cloudevents-batch+json",
            "headers": _webhook_headers(),
            "payload": {"type": "array", "items": event},
        },
        "subscribe": {"name": "subscribe", "payload": _subscribe()},
    }


def _object(text: str, **types: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"position": _POSITION, **{name: {"type": kind} for name, kind in types.items()}}
    return {"type": "object", "description": text, "required": ["position"], "properties": properties}


def _wrapped(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    properties = {"type": {"const": name}, "id": _POSITION, "data": payload}
    return {"type": "object", "required": ["type", "id", "data"], "properties": properties}


def _query() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": _TEXTS[name]} for name in _TEXTS},
        "additionalProperties": False,
    }


def _subscribe() -> dict[str, Any]:
    query = _query()
    return {**query, "required": ["type"], "properties": {"type": {"const": "subscribe"}, **query["properties"]}}


def _webhook_headers() -> dict[str, Any]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names[:2])}
