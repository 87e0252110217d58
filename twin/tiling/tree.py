"""Which tile holds which feature: a quadtree that keeps the largest features highest (decision D1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.tiles.types import Box, TileNode

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: A node this deep keeps whatever is left: features that share one centre cannot be told apart by dividing squares.
MAX_LEVEL = 24
#: Where no more than this share of the budget would be left over, the node keeps it too: no crumbs.
ABSORB = 0.25
#: A child's error is at most this share of its parent's, so that errors fall strictly even among equal features.
FALL = 0.95


@dataclass(frozen=True, slots=True)
class Extents:
    """What the tree needs to know of n features, in the layer's east-north-up frame.

    Attributes:
        centre: (n, 2) metres; decides the quadrant.
        low, high: (n, 3) corners of tight boxes, metres.
        weight: (n,) estimated bytes of a feature in a compressed tile.
    """

    centre: F64
    low: F64
    high: F64
    weight: F64

    def size(self) -> F64:
        """(n,) diagonal of every box, metres: what the eye misses when the feature is left out."""
        span = self.high - self.low
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", span, span)))


@dataclass(frozen=True, slots=True)
class Square:
    """The square a quadtree divides: south-west corner and side, metres."""

    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class PlannedTile:
    """A node before its content exists.

    Attributes:
        level, x, y: Quadtree coordinates.
        rows: Features the tile holds, in ascending order; may be empty.
        left_out: Diagonal of the largest feature held by descendants, metres; 0 on leaves.
        children: Planned children, ordered by (y, x).
    """

    level: int
    x: int
    y: int
    rows: I64
    left_out: float
    children: tuple[PlannedTile, ...]

    def walk(self) -> Iterator[PlannedTile]:
        """This node, then every descendant, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


def root_square(centre: F64) -> Square:
    """The smallest square on a power-of-two grid around all centres; it stays when a few features come or go."""
    west, south = centre.min(axis=0)
    east, north = centre.max(axis=0)
    side = 2.0 ** np.ceil(np.log2(max(east - west, north - south, 64.0)))
    while True:
        step = side / 4
        x, y = np.floor(west / step) * step, np.floor(south / step) * step
        if east < x + side and north < y + side:
            return Square(float(x), float(y), float(side))
        side *= 2


def plan(extents: Extents, budget: float, square: Square | None = None) -> tuple[Square, PlannedTile]:
    """Plans the tree of a layer.

    Args:
        extents: At least one feature.
        budget: Bytes a tile should hold, by `Extents.weight`.
        square: Square to divide; by default the one around the centres.

    Returns:
        The square, and the root: every feature stands in exactly one node.
    """
    square = square or root_square(extents.centre)
    size = extents.size()
    rows = np.lexsort((extents.centre[:, 1], extents.centre[:, 0], -size))
    return square, _divide(extents, size, rows, budget, square, (0, 0, 0))


def _divide(
    extents: Extents, size: F64, rows: I64, budget: float, square: Square, place: tuple[int, int, int]
) -> PlannedTile:
    level, x, y = place
    total = np.cumsum(extents.weight[rows])
    keep = len(rows)
    if level < MAX_LEVEL and total[-1] > budget * (1 + ABSORB):
        keep = max(1, int(np.searchsorted(total, budget, side="right")))
    rest = rows[keep:]
    children = []
    if len(rest):
        side = square.side / 2 ** (level + 1)
        # A centre is compared with the middle of the node, so that rounding can never put it outside its parent.
        east = extents.centre[rest, 0] >= square.x + (2 * x + 1) * side
        north = extents.centre[rest, 1] >= square.y + (2 * y + 1) * side
        for down in (False, True):
            for right in (False, True):
                own = rest[(north == down) & (east == right)]
                if len(own):
                    at = (level + 1, 2 * x + right, 2 * y + down)
                    children.append(_divide(extents, size, own, budget, square, at))
    left_out = float(size[rest].max()) if len(rest) else 0.0
    return PlannedTile(level, x, y, np.sort(rows[:keep]), left_out, tuple(children))


def finish(
    root: PlannedTile, extents: Extents, content: Mapping[tuple[int, int, int], str], margin_m: float = 0.02
) -> TileNode:
    """The tree with contents, volumes and errors.

    Args:
        root: The plan.
        extents: The features it was made of.
        content: Content key of every node that holds features, by (level, x, y).
        margin_m: Added around every box, for the rounding of quantised positions.
    """
    return _finish(root, extents, content, margin_m, np.inf)


def _finish(
    node: PlannedTile, extents: Extents, content: Mapping[tuple[int, int, int], str], margin: float, above: float
) -> TileNode:
    error = min(node.left_out, above * FALL)
    children = tuple(_finish(child, extents, content, margin, error) for child in node.children)
    own = _box(extents, node.rows, margin) if len(node.rows) else None
    boxes = [*([own] if own else []), *(child.box for child in children)]
    key = content.get((node.level, node.x, node.y))
    return TileNode(node.level, node.x, node.y, _union(boxes), error, key, own if key else None, children)


def _box(extents: Extents, rows: I64, margin: float) -> Box:
    low = extents.low[rows].min(axis=0) - margin
    high = extents.high[rows].max(axis=0) + margin
    return Box((float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2])))


def _union(boxes: Sequence[Box]) -> Box:
    joined = boxes[0]
    for box in boxes[1:]:
        joined = joined.union(box)
    return joined


def root_box(square: Square, root: TileNode) -> Box:
    """The volume an implicit tileset divides: the square with the height range of the content.

    It is widened where a large feature stands over the edge of the square; the quadrants that follow from it are then
    not the ones that placed the features, which is why tiles state their own boxes.
    """
    low, high = root.box.low, root.box.high
    return Box(
        (min(square.x, low[0]), min(square.y, low[1]), low[2]),
        (max(square.x + square.side, high[0]), max(square.y + square.side, high[1]), high[2]),
    )
