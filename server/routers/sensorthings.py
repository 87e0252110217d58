"""The read subset of SensorThings 1.1 over observations."""

from __future__ import annotations

from fastapi import APIRouter

from server.context import Context


def router(context: Context) -> APIRouter:
    """The endpoints."""
    del context
    return APIRouter(tags=["live"])
