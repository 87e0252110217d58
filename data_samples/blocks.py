"""Fills street blocks with buildings: lane houses in rows, slabs facing south, towers in green, villas, offices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from data_samples import shapes
from data_samples.plan import ORIGIN, Plan, long_axis

Rng = np.random.Generator
#: Centres of tall buildings, km on the drawing board: reach in km, height of the tallest in storeys.
CENTRES = {
    "中山公园": (7.85, 3.75, 0.55, 72), "虹桥": (6.35, 2.75, 0.65, 64), "古北": (5.6, 2.1, 0.45, 36),
    "临空": (3.05, 4.6, 0.6, 14),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Building:
    """A building before it has an address.

    Attributes:
        shape: Footprint, EPSG:4549.
        kind: Building type.
        storeys: Storeys.
        storey_m: Height of one.
        block: Number of its block; -1 for the airport.
    """

    shape: shapely.Polygon
    kind: str
    storeys: int
    storey_m: float
    block: int


@dataclass(frozen=True, slots=True)
class Site:
    """A block in its own frame: x along its rows, y to the north as nearly as the streets allow.

    Attributes:
        area: Where buildings may stand.
        number: Number of the block.
        rng: Its own random numbers, so that a block looks the same whichever others are built.
        tall: 0 to 1: how near a centre of tall buildings.
        storeys: Storeys of the tallest building of that centre.
    """

    area: shapely.Polygon
    number: int
    rng: Rng
    tall: float
    storeys: int


Found = Iterator[tuple[shapely.Polygon, str, int, float]]


def fill(plan: Plan, seed: int, window: shapely.Polygon | None = None) -> list[Building]:
    """Buildings of all blocks (of those that meet `window`) and of the airport, none on another.

    Args:
        plan: The plan.
        seed: Seed of the district.
        window: Only blocks that meet it.
    """
    found: list[Building] = []
    for number, block in enumerate(plan.blocks):
        if window is None or window.intersects(block):
            found += _fill_block(block, number, np.random.default_rng([seed, 2, number]))
    if window is None or window.intersects(plan.airport):
        found += _airport(plan)
    return _apart(found)


def _fill_block(block: shapely.Polygon, number: int, rng: Rng) -> list[Building]:
    tall, storeys = _tallness(block.centroid)
    kind = _kind(block, tall, rng)
    setback = {"lane": 2.5, "village": 2.5, "office": 7.0, "mall": 6.0}.get(kind, 5.0)
    inner = block.buffer(-setback, join_style="mitre")
    if inner.is_empty:
        return []
    inner = max(shapely.get_parts(inner), key=lambda part: part.area)
    middle, turn = _frame(inner)
    site = Site(_turned(inner, middle, -turn), number, rng, tall, storeys)
    made: list[Building] = []
    for shape, name, floors, storey_m in _filled(site, kind):
        lean = 0.0 if name in ("office", "podium") else rng.normal(0, 0.004)
        moved = shapely.transform(shape, lambda p, a=turn + lean: _spin(p, a) + middle)  # type: ignore[misc]
        made.append(Building(moved, name, floors, storey_m, number))
    return made


def _filled(site: Site, kind: str) -> Found:
    """The block's own buildings, then smaller ones where a large corner was left over."""
    made = []
    for building in _FILL[kind](site):
        made.append(building[0])
        yield building
    if kind in ("villa", "village", "school"):
        return
    rest = site.area.difference(shapely.union_all(shapely.buffer(made, 11)) if made else shapely.Polygon())
    for part in shapely.get_parts(shapely.buffer(shapely.buffer(rest, -9), 9)):
        if part.area > 700:
            left = replace(site, area=part.intersection(site.area))
            yield from _small_offices(left) if site.tall > 0.2 and part.area > 1500 else _shops(left)


def _small_offices(site: Site) -> Found:
    for x, y, w, d in _lots(site, 22, 40, (24, 46), (9, 15)):
        shape = (shapes.ell if site.rng.random() < 0.3 else shapes.box)(w, d)
        yield shapes.place(shape, x, y), "office", int(site.rng.integers(5, 22)), 3.7


def _frame(area: shapely.Polygon) -> tuple[NDArray[np.float64], float]:
    """Middle of a block and the angle of its side nearest to east-west."""
    middle, along, _ = long_axis(area)
    angle = float(np.arctan2(along[1], along[0]))
    return middle, (angle + np.pi / 4) % (np.pi / 2) - np.pi / 4


def _spin(p: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([p[:, 0] * cos - p[:, 1] * sin, p[:, 0] * sin + p[:, 1] * cos])


def _turned(area: shapely.Polygon, middle: NDArray[np.float64], angle: float) -> shapely.Polygon:
    moved: shapely.Polygon = shapely.transform(area, lambda p: _spin(p - middle, angle))
    return moved


def _tallness(place: shapely.Point) -> tuple[float, int]:
    x, y = (place.x - ORIGIN[0]) / 1000, (place.y - ORIGIN[1]) / 1000
    near = [(max(0.0, 1 - np.hypot(x - cx, y - cy) / reach), top) for cx, cy, reach, top in CENTRES.values()]
    best = max(near)
    return float(best[0]), int(best[1])


def _kind(block: shapely.Polygon, tall: float, rng: Rng) -> str:
    """Type of a block: by its place in the district, its size, and chance."""
    x, y = (block.centroid.x - ORIGIN[0]) / 1000, (block.centroid.y - ORIGIN[1]) / 1000
    if block.area < 5000:
        return str(rng.choice(["lane", "shops"])) if x > 4 else "shops"
    if tall > 0.25 and rng.random() < 0.35 + 0.6 * tall:
        return "mall" if rng.random() < 0.18 else "office"
    if x < 2.5:
        odds = {"village": 0.34, "industry": 0.26, "slab": 0.2, "villa": 0.12, "tower": 0.05, "school": 0.03}
    elif x < 4.4:
        odds = {
            "slab": 0.38,
            "tower": 0.17,
            "industry": 0.1,
            "villa": 0.1,
            "village": 0.11,
            "school": 0.06,
            "office": 0.08,
        }
        if y < 2.4:
            odds["villa"], odds["slab"] = 0.45, 0.16
    elif x < 7.5:
        odds = {
            "slab": 0.5, "tower": 0.23, "school": 0.07, "lane": 0.04, "office": 0.04, "villa": 0.04, "industry": 0.03,
            "mall": 0.02, "hospital": 0.02,
        }  # fmt: skip
    else:
        odds = {
            "lane": 0.42,
            "slab": 0.21,
            "tower": 0.14,
            "villa": 0.035,
            "school": 0.06,
            "office": 0.05,
            "hospital": 0.02,
        }
    weight = np.array(list(odds.values()))
    return str(rng.choice(list(odds), p=weight / weight.sum()))


def _lots(
    site: Site, depth: float, pitch: float, width: tuple[float, float], gap: tuple[float, float]
) -> list[tuple[float, float, float, float]]:
    """Centre x, y, width and depth of buildings in rows that fit the block."""
    west, south, east, north = site.area.bounds
    slack = (north - south - depth) % pitch if north - south > depth else 0.0
    lots, y = [], south + depth / 2 + slack / 2
    while y + depth / 2 <= north:
        band = site.area.intersection(shapely.LineString([(west - 1, y), (east + 1, y)]))
        for part in shapely.get_parts(band):
            x, _, end, _ = part.bounds
            x += site.rng.uniform(0, 3)
            while True:
                w = min(site.rng.uniform(*width), end - x)
                if w < width[0] * 0.8:
                    break
                lots.append((x + w / 2, y, w, depth))
                x += w + site.rng.uniform(*gap)
        y += pitch
    return _inside(site, lots)


def _inside(site: Site, lots: list[tuple[float, float, float, float]]) -> list[tuple[float, float, float, float]]:
    if not lots:
        return []
    x, y, w, d = np.array(lots).T
    fits = shapely.contains(site.area, shapely.box(x - w / 2, y - d / 2, x + w / 2, y + d / 2))
    return [lot for lot, good in zip(lots, fits, strict=True) if good]


def _lane(site: Site) -> Found:
    depth, floors = site.rng.uniform(9.5, 11.5), int(site.rng.choice([2, 3], p=[0.6, 0.4]))
    for x, y, w, d in _lots(site, depth, depth + site.rng.uniform(3.2, 4.2), (15, 36), (2.5, 4.5)):
        plan = shapes.row_house if site.rng.random() < 0.6 else shapes.box
        yield shapes.place(plan(w, d), x, y), "lane", floors, 3.3


def _village(site: Site) -> Found:
    for x, y, w, d in _lots(site, 10, 15.5, (9, 14), (3, 7)):
        if site.rng.random() < 0.9:
            d2 = d * site.rng.uniform(0.75, 1.0)
            yield (
                shapes.place(shapes.house(w, d2), x, y, site.rng.normal(0, 0.02)),
                "village",
                int(site.rng.integers(2, 4)),
                3.1,
            )


def _slab(site: Site) -> Found:
    floors = int(site.rng.choice([5, 6, 6, 6, 7]))
    depth, plan = site.rng.uniform(11.5, 13.5), site.rng.choice([0, 0, 1])
    lots = _lots(site, depth, depth + floors * 2.8 * site.rng.uniform(0.85, 1.05), (38, 60), (6, 11))
    for x, y, w, d in lots:
        yield shapes.place((shapes.stepped if plan else shapes.slab)(w, d), x, y), "slab", floors, 2.8
    yield from _sheds(site, [shapes.place(shapes.box(w + 5, d + 5), x, y) for x, y, w, d in lots], 0.55 * len(lots))


def _tower(site: Site) -> Found:
    top = int(site.rng.integers(18, 34))
    plan = site.rng.choice([0, 1, 2])
    size = (24.0, 24.0) if plan == 0 else (33.0, 21.0)
    lots = _lots(site, size[1], size[1] + site.rng.uniform(26, 36), (size[0], size[0] + 2), (15, 26))
    for x, y, w, d in lots:
        shape = (shapes.cross, shapes.butterfly, shapes.slab)[plan](w, d if plan < 2 else 16)
        yield shapes.place(shape, x, y), "tower", max(11, top - int(site.rng.integers(0, 5))), 2.9
    kept = [shapes.place(shapes.box(w + 9, d + 9), x, y) for x, y, w, d in lots]
    yield from _shop_rows(site, kept)
    yield from _sheds(site, kept, 1.2 * len(lots))


def _villa(site: Site) -> Found:
    for x, y, w, d in _lots(site, 12.5, 23, (12, 17), (7, 14)):
        if site.rng.random() < 0.06:
            continue
        plan = shapes.house(w * (1 if site.rng.random() < 0.5 else -1), d * site.rng.uniform(0.8, 1.0))
        yield (
            shapes.place(plan, x, y + site.rng.uniform(-2, 2), site.rng.normal(0, 0.06)),
            "villa",
            int(site.rng.integers(2, 4)),
            3.3,
        )


def _office(site: Site) -> Found:
    lots = _lots(site, 62, 76, (60, 84), (10, 18)) or _lots(site, 36, 50, (34, 52), (10, 16))
    for x, y, w, d in lots:
        if site.rng.random() < 0.08:
            continue
        floors = int(np.clip(site.storeys * (0.3 + 0.7 * site.tall) * site.rng.uniform(0.65, 1.05), 6, 54))
        tower_w, tower_d = min(w * 0.62, site.rng.uniform(34, 44)), min(d * 0.62, site.rng.uniform(30, 42))
        plan = (shapes.chamfered, shapes.box, shapes.round_tower)[site.rng.choice([0, 0, 1, 1, 2])]
        tower = shapes.place(
            plan(tower_w, tower_d), x + site.rng.uniform(-0.12, 0.12) * w, y + site.rng.uniform(-0.1, 0.1) * d
        )
        yield tower, "office", floors, float(site.rng.uniform(3.6, 4.2))
        if d > 50 and site.rng.random() < 0.75:
            base = shapely.Polygon(
                shapely.get_coordinates(shapes.place(shapes.box(w, d), x, y).exterior),
                [shapely.get_coordinates(tower.exterior)],
            )
            yield base, "podium", int(site.rng.integers(3, 6)), 4.8


def _mall(site: Site) -> Found:
    lots = _lots(site, 78, 96, (80, 120), (14, 20)) or _lots(site, 46, 60, (44, 70), (10, 16))
    for x, y, w, d in lots:
        plan = (shapes.courtyard, shapes.horseshoe, shapes.ell, shapes.chamfered)[site.rng.integers(0, 4)]
        yield shapes.place(plan(w, d), x, y), "mall", int(site.rng.integers(4, 8)), 4.6


def _school(site: Site) -> Found:
    lots = _lots(site, 46, 60, (52, 70), (34, 60))
    for number, (x, y, w, d) in enumerate(lots):
        if number % 3 == 2:
            yield shapes.place(shapes.box(min(w, 40), 26), x, y), "gym", 2, 5.5
        else:
            plan = shapes.horseshoe if site.rng.random() < 0.6 else shapes.courtyard
            yield shapes.place(plan(w, d), x, y), "school", int(site.rng.integers(3, 6)), 3.7
    yield from _sheds(site, [shapes.place(shapes.box(w + 5, d + 5), x, y) for x, y, w, d in lots], 2)


def _hospital(site: Site) -> Found:
    lots = _lots(site, 52, 66, (70, 92), (14, 22)) or _lots(site, 20, 34, (40, 60), (10, 14))
    for number, (x, y, w, d) in enumerate(lots):
        shape = shapes.comb(w, d) if number == 0 and d > 40 else shapes.box(w * 0.8, min(d, 24))
        yield shapes.place(shape, x, y), "hospital", int(site.rng.integers(5, 19)), 3.9


def _industry(site: Site) -> Found:
    lots = _lots(site, site.rng.uniform(24, 38), 50, (36, 78), (9, 16))
    for x, y, w, d in lots:
        shape = shapes.ell(w, d) if site.rng.random() < 0.15 else shapes.box(w, d)
        yield shapes.place(shape, x, y), "hall", int(site.rng.choice([1, 1, 1, 2, 3])), 6.5
    yield from _sheds(site, [shapes.place(shapes.box(w + 4, d + 4), x, y) for x, y, w, d in lots], len(lots))


def _shops(site: Site) -> Found:
    for x, y, w, d in _lots(site, 12, 26, (14, 40), (2, 9)):
        yield shapes.place(shapes.box(w, d), x, y), "shop", int(site.rng.integers(1, 4)), 3.9


def _shop_rows(site: Site, kept: list[shapely.Polygon]) -> Found:
    """Shops along the south and north side of a compound."""
    west, south, east, north = site.area.bounds
    for y in (south + 5.5, north - 5.5):
        x = west + 6
        while x < east - 20:
            w = site.rng.uniform(16, 42)
            shape = shapes.place(shapes.box(w, 9), x + w / 2, y)
            if (
                site.rng.random() < 0.6
                and site.area.contains(shape)
                and not any(shape.intersects(other) for other in kept)
            ):
                kept.append(shape)
                yield shape, "shop", int(site.rng.integers(1, 3)), 3.8
            x += w + site.rng.uniform(5, 14)


def _sheds(site: Site, kept: list[shapely.Polygon], number: float) -> Found:
    """Bicycle sheds, gate houses, transformer stations: small things in the gaps."""
    west, south, east, north = site.area.bounds
    tree = shapely.STRtree(kept)
    for _ in range(round(number)):
        w, d = site.rng.uniform(4, 13), site.rng.uniform(3.2, 5.5)
        if site.rng.random() < 0.35:
            w, d = d, w
        shape = shapes.place(shapes.box(w, d), site.rng.uniform(west, east), site.rng.uniform(south, north))
        if site.area.contains(shape) and not len(tree.query(shape, predicate="intersects")):
            yield shape, "shed", 1, 2.9


_FILL: dict[str, Callable[[Site], Found]] = {
    "lane": _lane, "village": _village, "slab": _slab, "tower": _tower, "villa": _villa, "office": _office,
    "mall": _mall, "school": _school, "hospital": _hospital, "industry": _industry, "shops": _shops,
}  # fmt: skip


def _airport(plan: Plan) -> list[Building]:
    """Terminal halls, piers and hangars along the east side of the airfield."""
    made = []
    for x, y, w, d, kind, floors in (
        (1.9, 3.0, 70, 330, "terminal", 3), (1.78, 3.2, 26, 110, "terminal", 2), (1.78, 2.85, 26, 110, "terminal", 2),
        (1.93, 2.42, 64, 260, "terminal", 3), (1.8, 2.42, 28, 90, "terminal", 2), (2.02, 2.7, 60, 60, "parking", 5),
        (1.95, 2.08, 90, 120, "hangar", 1), (1.95, 1.92, 90, 110, "hangar", 1), (1.95, 1.76, 80, 100, "hangar", 1),
        (1.8, 1.55, 110, 60, "hangar", 1), (1.6, 1.3, 60, 40, "hangar", 1), (1.7, 3.6, 120, 50, "cargo", 2),
        (1.5, 3.6, 120, 50, "cargo", 2), (1.3, 3.62, 120, 50, "cargo", 2), (2.05, 3.32, 40, 40, "parking", 4),
        (1.55, 2.2, 12, 12, "control", 12),
    ):  # fmt: skip
        shape = shapes.place(shapes.box(w, d), x * 1000 + ORIGIN[0], y * 1000 + ORIGIN[1], 0.03)
        if plan.airport.contains(shape):
            made.append(
                Building(
                    shape, kind, floors, 7.0 if kind in ("terminal", "cargo") else 3.6 if kind != "hangar" else 22.0, -1
                )
            )
    return made


def _apart(found: list[Building]) -> list[Building]:
    """Leaves out a building that would stand on an earlier one; a tower in its podium shares walls, not ground."""
    shape = np.array([building.shape for building in found], dtype=object)
    one, two = shapely.STRtree(shape).query(shape, predicate="intersects")
    later = one > two
    shared = shapely.area(shapely.intersection(shape[one[later]], shape[two[later]]))
    dropped = set(one[later][shared > 0.05].tolist())
    return [building for number, building in enumerate(found) if number not in dropped]
