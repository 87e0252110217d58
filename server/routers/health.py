"""Liveness and readiness, for whatever restarts or routes; neither tells a version."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from server.context import Context
from server.problem import ProblemError
from server.releases import OpenRelease
from twin.errors import TwinError

_log = logging.getLogger(__name__)


def prove_ready(release: OpenRelease) -> None:
    """Reads one entity and one tile of every layer.

    Raises:
        TwinError: Something cannot be read.
        OSError: A file is gone or damaged.
    """
    first: dict[str, Any] = release.index.record(0) if len(release.index) else {}
    for layer in release.layers.values():
        layer.store.read(str(layer.record.get("tileset", "tileset.json")), "identity")
    home = release.layers.get(first.get("layer", ""))
    if home is not None and first.get("tile"):
        home.store.read(first["tile"], "identity")


def router(context: Context) -> APIRouter:
    """The endpoints `/livez` and `/readyz`."""
    routes = APIRouter(tags=["health"])
    fresh = {"Cache-Control": "no-store"}

    @routes.get("/livez", summary="Liveness")
    async def livez() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "alive"}, headers=fresh)

    @routes.get("/readyz", summary="Readiness")
    def readyz() -> JSONResponse:
        """The release is open, an entity and a tile have just been read; otherwise 503."""
        try:
            with context.releases.reading() as release:
                prove_ready(release)
        except (TwinError, OSError) as error:
            _log.error("not ready: %s", error)
            raise ProblemError(503, "not_ready", "The release cannot be read.", {"Retry-After": "5"}) from None
        return JSONResponse({"status": "ready"}, headers=fresh)

    return routes
