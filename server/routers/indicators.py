"""Indicators: current numbers, series, rankings and the events behind a number."""

from __future__ import annotations

from fastapi import APIRouter

from server.context import Context


def router(context: Context) -> APIRouter:
    """The endpoints."""
    del context
    return APIRouter(tags=["live"])
