"""Corners of footprints as whole numbers: vertices that are shared where corners meet, rings that survive rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.geometry.footprints import Footprints

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Grid:
    """`transform` of CityJSON: coordinate = whole number × scale + translate.

    Attributes:
        translate: (3,)
        scale: (3,)
    """

    translate: F64
    scale: F64


@dataclass(frozen=True, slots=True)
class Shapes:
    """n entities with their corners as vertex numbers.

    Attributes:
        ring, polygon, feature: Offsets as in `Footprints`; rings that rounding left without area are gone.
        low: (v,) vertex of every corner at the lower end; -1 where the entity cannot be placed.
        high: (v,) vertex of every corner at the upper end; -1 where the entity is flat.
        vertices: (m, 3) whole numbers.
        first: (n,) the first vertex of the group an entity belongs to; vertices of a group lie together.
        solid: (n,) True for a solid, False for a surface.
        missing: Entities without geometry.
    """

    ring: I64
    polygon: I64
    feature: I64
    low: I64
    high: I64
    vertices: I64
    first: I64
    solid: Bools
    missing: int


def quantise(footprints: Footprints, base: F64, roof: F64, group: I64, grid: Grid) -> Shapes:
    """Rounds corners to the grid and numbers the vertices.

    Corners of one group at one place share a vertex, so that neighbours and the faces of a solid do; a corner that an
    outline passes twice (a courtyard that touches the outside) has a vertex for each passage, so that every edge of a
    solid is used by exactly two faces.

    Args:
        footprints: n entities.
        base: (n,) elevation of the lower end, NaN: cannot be placed.
        roof: (n,) elevation of the upper end, NaN: flat.
        group: (n,) rising numbers of groups.
        grid: What to round to.
    """
    kept, xy = _rounded(footprints, grid)
    z = np.stack([base, roof])
    z = np.round((z - grid.translate[2]) / grid.scale[2])
    solid = z[1] > z[0]  # False with NaN
    counts = kept.vertex_counts()
    owner = np.repeat(np.arange(len(kept)), counts)
    passage = _passages(owner, xy)
    placed, standing = ~np.isnan(z[0])[owner], solid[owner]
    keys = [_keys(group, owner, xy, passage, z[end], mask) for end, mask in ((0, placed), (1, standing))]
    vertices, number, groups = _numbered(np.concatenate(keys))
    low, high = np.full(len(owner), -1, dtype=np.int64), np.full(len(owner), -1, dtype=np.int64)
    low[placed], high[standing] = number[: placed.sum()], number[placed.sum() :]
    empty = (counts == 0) | np.isnan(z[0])
    first = np.searchsorted(groups, group)
    return Shapes(kept.ring, kept.polygon, kept.feature, low, high, vertices, first, solid, int(empty.sum()))


def _rounded(footprints: Footprints, grid: Grid) -> tuple[Footprints, I64]:
    """Footprints on the grid without repeated corners, without rings that have fewer than three left."""
    xy = np.round((footprints.xy - grid.translate[:2]) / grid.scale[:2]).astype(np.int64)
    following = np.arange(1, len(xy) + 1)
    ends = footprints.ring[1:]
    filled = np.diff(footprints.ring) > 0
    following[ends[filled] - 1] = footprints.ring[:-1][filled]
    keep = (xy != xy[following]).any(axis=1) if len(xy) else np.zeros(0, dtype=bool)
    corners = _sums(keep, footprints.ring)
    sound = corners >= _FEWEST
    polygons = len(footprints.polygon) - 1
    shell = np.zeros(len(sound), dtype=bool)
    shell[footprints.polygon[:-1]] = True
    owner = np.repeat(np.arange(polygons), np.diff(footprints.polygon))
    whole = sound[footprints.polygon[:-1]]
    sound &= whole[owner]  # holes go with their shell
    keep &= np.repeat(sound, np.diff(footprints.ring))
    ring = _offsets(corners[sound])
    polygon = _offsets(_sums(sound, footprints.polygon)[whole])
    feature = _offsets(_sums(whole, footprints.feature))
    kept = xy[keep]
    return Footprints(kept.astype(np.float64), ring, polygon, feature), kept


def _sums(flags: Bools, offsets: I64) -> I64:
    """How many flags are set in every span of offsets."""
    total = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(total[offsets[1:]] - total[offsets[:-1]], dtype=np.int64)


def _offsets(counts: I64) -> I64:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _passages(owner: I64, xy: I64) -> I64:
    """(v,) how many corners of the same entity at the same place come before."""
    order = np.lexsort((xy[:, 1], xy[:, 0], owner))
    sorted_keys = np.column_stack([owner, xy])[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_keys[1:] != sorted_keys[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    passage = np.empty(len(order), dtype=np.int64)
    passage[order] = rank
    return passage


def _keys(group: I64, owner: I64, xy: I64, passage: I64, z: F64, mask: Bools) -> I64:
    """(k, 5) what makes two corners one vertex: group, place, passage."""
    rows = owner[mask]
    height = z[rows].astype(np.int64)
    return np.column_stack([group[rows], xy[mask], height, passage[mask]])


def _numbered(keys: I64) -> tuple[I64, I64, I64]:
    """Vertices sorted by group, the vertex of every key, and the group of every vertex."""
    order = np.lexsort(keys.T[::-1])
    ordered = keys[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    distinct = ordered[new]
    return distinct[:, 1:4], number, distinct[:, 0]
