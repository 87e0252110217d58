"""Footprint plans of the building types of a Shanghai district, in local metres: x along the front, y to the north."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ring = list[tuple[float, float]]


def box(w: float, d: float) -> shapely.Polygon:
    """A plain rectangle about the origin."""
    return shapely.box(-w / 2, -d / 2, w / 2, d / 2)


def slab(w: float, d: float) -> shapely.Polygon:
    """A six-storey walk-up: stair cores stand out to the north, one every 15 m or so."""
    cores = max(1, round(w / 16))
    pitch, half = w / cores, 2.6
    north: Ring = []
    for k in range(cores):
        x = -w / 2 + pitch * (k + 0.5)
        north += [(x - half, d / 2 - 1.4), (x - half, d / 2), (x + half, d / 2), (x + half, d / 2 - 1.4)]
    west_to_east: Ring = [(-w / 2, -d / 2), (-w / 2, d / 2 - 1.4), *north, (w / 2, d / 2 - 1.4), (w / 2, -d / 2)]
    return shapely.Polygon(west_to_east)


def stepped(w: float, d: float) -> shapely.Polygon:
    """A slab of two parts, one set back."""
    return shapely.Polygon(
        [(-w / 2, -d / 2), (0, -d / 2), (0, -d / 2 + 2.4), (w / 2, -d / 2 + 2.4), (w / 2, d / 2), (0, d / 2),
         (0, d / 2 - 2.4), (-w / 2, d / 2 - 2.4)]
    )  # fmt: skip


def cross(w: float, d: float) -> shapely.Polygon:
    """A point tower with four arms."""
    a, b = w * 0.19, d * 0.19
    return shapely.Polygon(
        [(-a, -d / 2), (a, -d / 2), (a, -b), (w / 2, -b), (w / 2, b), (a, b), (a, d / 2), (-a, d / 2), (-a, b),
         (-w / 2, b), (-w / 2, -b), (-a, -b)]
    )  # fmt: skip


def butterfly(w: float, d: float) -> shapely.Polygon:
    """A tower of two wings turned to the south, the core between them to the north."""
    return shapely.Polygon(
        [(-w * 0.16, -d * 0.12), (-w * 0.42, -d / 2), (-w / 2, -d * 0.28), (-w / 2, d * 0.1), (-w * 0.2, d * 0.26),
         (-w * 0.14, d / 2), (w * 0.14, d / 2), (w * 0.2, d * 0.26), (w / 2, d * 0.1), (w / 2, -d * 0.28),
         (w * 0.42, -d / 2), (w * 0.16, -d * 0.12)]
    )  # fmt: skip


def chamfered(w: float, d: float) -> shapely.Polygon:
    """An office tower with cut corners."""
    c = 0.16 * min(w, d)
    return shapely.Polygon(
        [(-w / 2 + c, -d / 2), (w / 2 - c, -d / 2), (w / 2, -d / 2 + c), (w / 2, d / 2 - c), (w / 2 - c, d / 2),
         (-w / 2 + c, d / 2), (-w / 2, d / 2 - c), (-w / 2, -d / 2 + c)]
    )  # fmt: skip


def round_tower(w: float, d: float) -> shapely.Polygon:
    """An office tower on an oval plan."""
    angle = np.arange(24) * (2 * np.pi / 24)
    return shapely.Polygon(np.column_stack([np.cos(angle) * w / 2, np.sin(angle) * d / 2]))


def ell(w: float, d: float) -> shapely.Polygon:
    """Two wings at a right angle."""
    t = min(w, d) * 0.38
    return shapely.Polygon(
        [
            (-w / 2, -d / 2),
            (w / 2, -d / 2),
            (w / 2, -d / 2 + t),
            (-w / 2 + t, -d / 2 + t),
            (-w / 2 + t, d / 2),
            (-w / 2, d / 2),
        ]
    )


def horseshoe(w: float, d: float) -> shapely.Polygon:
    """Three wings around a yard open to the south: the usual school."""
    t = min(13.0, w * 0.24)
    return shapely.Polygon(
        [(-w / 2, -d / 2), (-w / 2 + t, -d / 2), (-w / 2 + t, d / 2 - t), (w / 2 - t, d / 2 - t), (w / 2 - t, -d / 2),
         (w / 2, -d / 2), (w / 2, d / 2), (-w / 2, d / 2)]
    )  # fmt: skip


def courtyard(w: float, d: float) -> shapely.Polygon:
    """Four wings around a closed yard."""
    t = min(16.0, 0.3 * min(w, d))
    return shapely.Polygon(
        shapely.get_coordinates(box(w, d).exterior), [shapely.get_coordinates(box(w - 2 * t, d - 2 * t).exterior)]
    )


def comb(w: float, d: float) -> shapely.Polygon:
    """A hospital: wings to the south along one corridor."""
    t, spine, wings = w / 7, d * 0.32, []
    for k in (0, 2, 4, 6):
        x = -w / 2 + t * k
        wings += [(x, d / 2 - spine), (x, -d / 2), (x + t, -d / 2), (x + t, d / 2 - spine)]
    return shapely.Polygon([(-w / 2, d / 2), *wings, (w / 2, d / 2)])


def house(w: float, d: float) -> shapely.Polygon:
    """A detached house with a wing set back."""
    return shapely.Polygon(
        [
            (-w / 2, -d / 2),
            (w * 0.12, -d / 2),
            (w * 0.12, -d / 2 + d * 0.22),
            (w / 2, -d / 2 + d * 0.22),
            (w / 2, d / 2),
            (-w / 2, d / 2),
        ]
    )


def row_house(w: float, d: float) -> shapely.Polygon:
    """A lane row: back kitchens stand out behind every other house."""
    houses = max(2, round(w / 8))
    pitch = w / houses
    back: Ring = []
    for k in range(0, houses, 2):
        x = -w / 2 + pitch * k
        back += [
            (x, d / 2),
            (x + pitch * 0.7, d / 2),
            (x + pitch * 0.7, d / 2 - 1.6),
            (min(x + 2 * pitch, w / 2), d / 2 - 1.6),
        ]
    return shapely.Polygon([(-w / 2, -d / 2), *back, (w / 2, -d / 2)])


def place(shape: shapely.Polygon, x: float, y: float, turn: float = 0.0) -> shapely.Polygon:
    """A plan turned by `turn` radians about its origin and set down at x, y."""
    cos, sin = np.cos(turn), np.sin(turn)
    moved: shapely.Polygon = shapely.transform(
        shape, lambda p: np.column_stack([p[:, 0] * cos - p[:, 1] * sin + x, p[:, 0] * sin + p[:, 1] * cos + y])
    )
    return moved
