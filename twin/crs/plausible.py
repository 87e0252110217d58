"""Finds, before anything is built, the coordinate mistakes people make most: wrong zone, swapped axes, degrees for metres."""

from __future__ import annotations

from twin.crs.definition import Crs
from twin.report import Issue


def check_plausible(crs: Crs, bounds: tuple[float, float, float, float]) -> list[Issue]:
    """Findings about coordinates that do not fit their CRS."""
    raise NotImplementedError
