"""Which tile holds which feature: a quadtree that keeps the largest features highest (decision D1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

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
        size: (n,) diagonal of every feature's box, metres: what the eye misses when it is left out.
        weight: (n,) estimated bytes of a feature in a compressed tile.
    """

    centre: F64
    size: F64
    weight: F64


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
        rows: Features the tile holds, neighbours near one another (Morton order); may be empty.
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
    rows = np.lexsort((extents.centre[:, 1], extents.centre[:, 0], -extents.size))
    return square, _divide(extents, rows, budget, square, (0, 0, 0))


def _divide(extents: Extents, rows: I64, budget: float, square: Square, place: tuple[int, int, int]) -> PlannedTile:
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
                    children.append(_divide(extents, own, budget, square, at))
    left_out = float(extents.size[rest].max()) if len(rest) else 0.0
    return PlannedTile(level, x, y, _along_curve(rows[:keep], extents.centre, square), left_out, tuple(children))


def _along_curve(rows: I64, centre: F64, square: Square) -> I64:
    """Rows in the Morton order of their centres: what lies together in space compresses well together in a tile."""
    cell = np.clip((centre[rows] - (square.x, square.y)) * (65535 / square.side), 0, 65535).astype(np.uint64)
    code = _spread(cell[:, 0]) | (_spread(cell[:, 1]) << np.uint64(1))
    return rows[np.lexsort((rows, code))]


def _spread(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits of 16-bit numbers at every second place."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value


@dataclass(frozen=True, slots=True)
class Content:
    """What a tile became.

    Attributes:
        key: Key in the store.
        box: Tight box of its positions, metres, in the layer's frame.
    """

    key: str
    box: Box


def finish(root: PlannedTile, contents: Mapping[tuple[int, int, int], Content]) -> TileNode:
    """The tree with contents, tight volumes and strictly falling errors.

    Args:
        root: The plan.
        contents: What became of every node that holds features, by (level, x, y).
    """
    return _finish(root, contents, np.inf)


def _finish(node: PlannedTile, contents: Mapping[tuple[int, int, int], Content], above: float) -> TileNode:
    error = min(node.left_out, above * FALL)
    children = tuple(_finish(child, contents, error) for child in node.children)
    own = contents.get((node.level, node.x, node.y))
    box = reduce(Box.union, [*([own.box] if own else []), *(child.box for child in children)])
    return TileNode(
        node.level, node.x, node.y, box, error, own.key if own else None, own.box if own else None, children
    )


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
