"""The tile tree as plain frozen data; encoders turn it into 3D Tiles JSON or subtrees (decision D1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned box in the layer's east-north-up frame, metres (3D Tiles `boundingVolume.box`).

    Attributes:
        low, high: (x, y, z) corners.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def union(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            (min(self.low[0], other.low[0]), min(self.low[1], other.low[1]), min(self.low[2], other.low[2])),
            (max(self.high[0], other.high[0]), max(self.high[1], other.high[1]), max(self.high[2], other.high[2])),
        )

    def contains(self, other: Box, tolerance: float = 0.0) -> bool:
        """True if `other` lies inside, to `tolerance` metres."""
        return all(a - tolerance <= b for a, b in zip(self.low, other.low, strict=True)) and all(
            a + tolerance >= b for a, b in zip(self.high, other.high, strict=True)
        )

    def to_json(self) -> list[float]:
        """The 12 numbers of `boundingVolume.box`: centre, then three half axes."""
        (x0, y0, z0), (x1, y1, z1) = self.low, self.high
        return [
            (x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2,
            (x1 - x0) / 2, 0.0, 0.0,
            0.0, (y1 - y0) / 2, 0.0,
            0.0, 0.0, (z1 - z0) / 2,
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class TileNode:
    """One node of the tree.

    Attributes:
        level, x, y: Quadtree coordinates in the root square (x to the east, y to the north).
        box: Tight union of the node's own content and of all its descendants.
        geometric_error: Metres; the size of the largest feature this node leaves to its descendants, 0 on leaves.
        content: Key of the content in the store, or None for a node without content.
        content_box: Tight box of the content alone.
        children: Up to four nodes, ordered by (y, x).
    """

    level: int
    x: int
    y: int
    box: Box
    geometric_error: float
    content: str | None = None
    content_box: Box | None = None
    children: tuple[TileNode, ...] = ()

    def walk(self) -> Iterator[TileNode]:
        """This node, then every descendant, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class TileTree:
    """A layer's tree with its frame.

    Attributes:
        root: Root node.
        root_box: The whole square the quadtree divides, with the height range of the content; holds `root.box`.
        transform: 16 numbers, column-major, east-north-up to ECEF (EPSG:4978); goes on the root tile only.
        extras: JSON-ready values for `asset.extras`.
    """

    root: TileNode
    root_box: Box
    transform: tuple[float, ...]
    extras: Mapping[str, Any] = field(default_factory=dict)
