"""Small made-up content for the tests of tiles: prisms with every kind of property."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from twin.geometry.mesh import MeshBatch, Surface
from twin.gltf.content import MeshContent
from twin.metadata.schema import Schema, class_from_arrow, integer_ranges

HEIGHT_SOURCES = ["attribute", "dsm", "storeys"]


def prism(centre: np.ndarray, radius: float, corners: int, height: float) -> tuple[np.ndarray, ...]:
    """A regular prism: positions, normals, triangles, surfaces."""
    angle = np.arange(corners) * 2 * np.pi / corners
    ring = centre[:2] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low = np.column_stack([ring, np.full(corners, centre[2])])
    high = low + np.array([0, 0, height])
    fan = np.array([[0, i, i + 1] for i in range(1, corners - 1)])
    after = np.roll(np.arange(corners), -1)
    walls = np.stack([low, low[after], high[after], high], axis=1).reshape(-1, 3)
    edge = low[after] - low
    out = np.column_stack([edge[:, 1], -edge[:, 0], np.zeros(corners)])
    out /= np.linalg.norm(out, axis=1)[:, None]
    first = 2 * corners + 4 * np.arange(corners)[:, None]
    triangles = [fan[:, ::-1], fan + corners, first + np.array([0, 1, 2]), first + np.array([0, 2, 3])]
    normals = [np.tile([0, 0, -1.0], (corners, 1)), np.tile([0, 0, 1.0], (corners, 1)), np.repeat(out, 4, axis=0)]
    surface = np.repeat([Surface.GROUND, Surface.ROOF, Surface.WALL], [corners, corners, 4 * corners])
    return np.concatenate([low, high, walls]), np.concatenate(normals), np.concatenate(triangles), surface


def prisms(count: int, span: float = 300.0, seed: int = 0, corners: int = 5) -> MeshBatch:
    """`count` prisms spread over a square of `span` metres, far from the origin."""
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[], [], [], [], []]
    start = 0
    for feature in range(count):
        centre = np.append(rng.uniform(0, span, 2) + np.array([1234.5, -987.25]), rng.uniform(-5, 20))
        position, normal, triangle, surface = prism(centre, rng.uniform(2, 9), corners, rng.uniform(3, 90))
        row = np.full(len(position), feature)
        for part, values in zip(parts, (position, normal, triangle + start, row, surface), strict=True):
            part.append(values)
        start += len(position)
    kinds = (np.float64, np.float32, np.uint32, np.uint32, np.uint8)
    return MeshBatch(*(np.concatenate(part).astype(kind) for part, kind in zip(parts, kinds, strict=True)))


def rows(count: int, seed: int = 0) -> pa.Table:
    """A table with every kind of column, nulls in most, names in Chinese."""
    rng = np.random.default_rng(seed)

    def some(values, kind=None):
        return pa.array([None if i % 3 == 1 else value for i, value in enumerate(values)], kind)

    return pa.table(
        {
            "geid": pa.array([f"{seed:04}-{i:04}-aaaa-bbbb" for i in range(count)]),
            "名称": some([f"长宁路{i}号" for i in range(count)]),
            "height_m": some(rng.uniform(3, 90, count).tolist(), pa.float32()),
            "base_m": some(rng.uniform(-3, 9, count).tolist(), pa.float64()),
            "FLOOR": some(rng.integers(1, 40, count).tolist(), pa.int32()),
            "objectid": some((rng.integers(0, 2**40, count) + 2**40).tolist(), pa.int64()),
            "tiny": some(rng.integers(-128, 128, count).tolist(), pa.int8()),
            "listed": some((rng.random(count) < 0.5).tolist(), pa.bool_()),
            "height_source": some(rng.choice(HEIGHT_SOURCES, count).tolist()).dictionary_encode(),
            "reasons": some([["a", "长"][: i % 3] for i in range(count)], pa.list_(pa.string())),
        }
    )


def content(count: int = 12, span: float = 300.0, seed: int = 0) -> MeshContent:
    """Whole content of a tile."""
    table = rows(count, seed)
    cls, enums = class_from_arrow(
        "building", table.schema, {"height_m": "高度"}, {"height_source": HEIGHT_SOURCES}, integer_ranges(table)
    )
    return MeshContent(prisms(count, span, seed), Schema("twin", (cls,), enums), "building", table)
