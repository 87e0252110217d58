"""Events in: /events, its refusals and corrections."""

from __future__ import annotations

from fastapi import APIRouter

from server.context import Context


def router(context: Context) -> APIRouter:
    """The endpoints."""
    del context
    return APIRouter(tags=["live"])
