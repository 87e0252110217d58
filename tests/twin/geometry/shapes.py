"""Strategies for footprints: star-shaped, rectilinear, with courts, in several parts."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import strategies as st


@st.composite
def star(draw: st.DrawFn) -> shapely.Polygon:
    """A star-shaped ring round a centre: simple by construction, concave as it likes."""
    n = draw(st.integers(3, 24))
    radius = draw(st.lists(st.floats(3, 40), min_size=n, max_size=n))
    x, y = draw(st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)))
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    ring = np.column_stack([x + np.array(radius) * np.cos(angle), y + np.array(radius) * np.sin(angle)])
    return shapely.Polygon(ring if draw(st.booleans()) else ring[::-1])


@st.composite
def court(draw: st.DrawFn) -> shapely.Polygon:
    """A block with one to three courts."""
    x, y = draw(st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)))
    holes = draw(st.integers(1, 3))
    shell = shapely.box(x, y, x + 20 * holes + 10, y + 30)
    for k in range(holes):
        shell = shell.difference(shapely.box(x + 20 * k + 10, y + 10, x + 20 * k + 20, y + 20))
    return shell


@st.composite
def parts(draw: st.DrawFn) -> shapely.MultiPolygon:
    """Two houses that do not touch, as one feature."""
    one, two = draw(star()), draw(court())
    west = one.bounds[2] - two.bounds[0] + 10
    return shapely.MultiPolygon([one, shapely.affinity.translate(two, west, 0)])


any_footprint = st.one_of(star(), court(), parts())
