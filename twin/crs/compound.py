"""Whether a horizontal CRS and a vertical datum have one registered code together."""

from __future__ import annotations

from functools import lru_cache

import pyproj
from pyproj.exceptions import CRSError

from twin.crs.definition import Crs


def registered_compound(crs: Crs, vertical_epsg: int | None) -> str | None:
    """Code of the registered compound CRS, for example "EPSG:7415" for EPSG:28992 with NAP; None where there is none.

    Args:
        crs: Horizontal CRS; only public ones with an EPSG code have a compound.
        vertical_epsg: Code of the vertical CRS; None for ellipsoidal heights.
    """
    authority, _, code = crs.name.partition(":")
    if not crs.public or authority != "EPSG" or vertical_epsg is None:
        return None
    return _compound(code, vertical_epsg)


@lru_cache(maxsize=64)
def _compound(horizontal: str, vertical: int) -> str | None:
    try:
        found = pyproj.CRS(f"EPSG:{horizontal}+{vertical}").to_authority("EPSG", min_confidence=100)
    except CRSError:  # not every pair can be put together
        return None
    return ":".join(found) if found else None
