"""Generates the footprints every build benchmark uses: street blocks of rectilinear houses, about 13 corners each.

usage: python benchmarks/footprints.py COUNT OUT.gpkg    deterministic; EPSG:4549, heights by attribute, an id a row
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
import shapely

SEED = 20260101
#: West and south corner of the district, EPSG:4549, metres.
ORIGIN = (625_000.0, 3_452_000.0)
PITCH_M = 40.0


def outlines(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 13, 2) rings: a rectangle with a notch in each of two sides and a cut corner, turned a little."""
    width, depth = rng.uniform(14, 30, count), rng.uniform(10, 26, count)
    notch = rng.uniform(1.5, 3.0, (count, 4))
    u = np.stack(
        [
            np.zeros(count), 0.35 * width, 0.35 * width, 0.65 * width, 0.65 * width, width, width,
            width - notch[:, 1], width - notch[:, 1], width, width, 0.2 * width, np.zeros(count),
        ],
        axis=1,
    )  # fmt: skip
    v = np.stack(
        [
            np.zeros(count), np.zeros(count), notch[:, 0], notch[:, 0], np.zeros(count), np.zeros(count), 0.3 * depth,
            0.3 * depth, 0.6 * depth, 0.6 * depth, depth, depth, depth - notch[:, 2],
        ],
        axis=1,
    )  # fmt: skip
    angle = rng.normal(0.1, 0.08, count)[:, None]
    x, y = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    columns = int(np.ceil(np.sqrt(count)))
    place = np.stack([np.arange(count) % columns, np.arange(count) // columns], axis=1) * PITCH_M + ORIGIN
    return np.stack([x, y], axis=2) + place[:, None, :]


def write(count: int, path: Path) -> None:
    """Writes `count` footprints as a GeoPackage, a block at a time."""
    rng = np.random.default_rng(SEED)
    append = False
    for start in range(0, count, 250_000):
        rows = min(250_000, count - start)
        ring = outlines(count, rng)[start : start + rows] if count <= 250_000 else _slice(count, start, rows)
        height = np.round(rng.lognormal(2.7, 0.6, rows) + 3, 1)
        table = pa.table(
            {
                "geometry": shapely.to_wkb(shapely.polygons(ring)),
                "id": pa.array([f"B{number:07d}" for number in range(start, start + rows)]),
                "height": height,
                "storeys": np.maximum(1, height // 3).astype(np.int32),
                "use": pa.array(np.array(["住宅", "办公", "商业", "工业"])[rng.integers(0, 4, rows)]),
            }
        )
        pyogrio.write_arrow(
            table, path, layer="buildings", driver="GPKG", crs="EPSG:4549", geometry_type="Polygon",
            geometry_name="geometry", append=append,
        )  # fmt: skip
        append = True


def _slice(count: int, start: int, rows: int) -> np.ndarray:
    """Outlines of some rows of a large file, made for themselves so that memory stays small."""
    rng = np.random.default_rng(SEED + start)
    columns = int(np.ceil(np.sqrt(count)))
    ring = outlines(rows, rng)
    own = int(np.ceil(np.sqrt(rows)))
    number = np.arange(rows)
    here = np.stack([number % own, number // own], axis=1) * PITCH_M
    there = np.stack([(start + number) % columns, (start + number) // columns], axis=1) * PITCH_M
    return ring + (there - here)[:, None, :]


if __name__ == "__main__":
    write(int(sys.argv[1]), Path(sys.argv[2]))
