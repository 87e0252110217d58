"""Events out: lists, state, streams."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.types import ASGIApp

from server.context import Context


def router(context: Context) -> APIRouter:
    """The endpoints."""
    del context
    return APIRouter(tags=["live"])


def raw_paths(context: Context) -> Mapping[str, ASGIApp]:
    """What answers below the server's prefix without the framework, by whole path, such as `/events/stream`.

    HTTP and WebSocket requests alike; never called where the server has no live intake.
    """
    del context
    return {}
