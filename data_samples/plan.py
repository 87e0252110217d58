"""The drawing board of the sample district: outline, creek, canal, parks, airport, roads and street blocks.

Drawn by hand after the published facts of Changning (size, place, names, what lies roughly where), not traced from any
map: positions are schematic. All coordinates in metres, EPSG:4549.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Points = list[tuple[float, float]]

#: South-west corner of the drawing board, EPSG:4549 (about 121.33 E, 31.18 N); the drawing below is in km from there.
ORIGIN = (626_700.0, 3_451_750.0)
AREA_KM2 = 37.0

_OUTLINE: Points = [
    (0.35, 1.0), (0.9, 0.45), (2.3, 0.5), (3.2, 0.95), (4.2, 0.85), (5.2, 1.1), (6.5, 1.05), (7.6, 1.5), (8.6, 1.6),
    (9.3, 2.1), (10.15, 2.6), (10.2, 3.7), (9.9, 4.6), (9.2, 5.05), (8.75, 5.65), (8.0, 5.6), (7.3, 4.95), (6.3, 5.2),
    (5.4, 5.75), (4.3, 5.55), (3.4, 5.85), (2.2, 6.15), (1.0, 6.0), (0.45, 5.0), (0.3, 3.0),
]  # fmt: skip
_CREEK: Points = [
    (-0.5, 5.6), (0.7, 5.45), (1.5, 5.75), (2.3, 5.35), (3.0, 5.05), (3.7, 5.35), (4.4, 5.05), (5.0, 4.75), (5.6, 5.1),
    (6.3, 4.75), (6.9, 4.45), (7.35, 4.6), (7.7, 5.15), (8.15, 5.2), (8.45, 4.75), (8.75, 4.45), (9.3, 4.6),
    (9.8, 4.35), (10.8, 4.7),
]  # fmt: skip
_CANAL: Points = [(3.75, 5.3), (3.7, 4.7), (3.85, 4.0), (3.7, 3.2), (3.8, 2.3), (3.65, 1.5), (3.75, 0.2)]
_AIRPORT: Points = [(0.3, 1.2), (0.9, 0.7), (2.15, 0.75), (2.25, 1.6), (2.2, 3.1), (2.1, 4.0), (0.75, 4.05), (0.3, 3.0)]
_LAKE: Points = [(7.86, 4.72), (7.98, 4.66), (8.1, 4.72), (8.06, 4.86), (7.96, 4.82), (7.88, 4.88)]
_SWANS: Points = [(2.9, 2.0), (3.1, 1.95), (3.25, 2.05), (3.2, 1.85), (3.0, 1.75), (2.88, 1.85)]
_PARKS: dict[str, Points] = {
    "中山公园": [(7.62, 4.55), (7.8, 4.28), (8.2, 4.25), (8.5, 4.35), (8.36, 4.66), (8.12, 5.05), (7.82, 5.02)],
    "天山公园": [(5.82, 3.5), (6.18, 3.47), (6.2, 3.24), (5.86, 3.26)],
    "新虹桥中心花园": [(6.5, 2.3), (6.9, 2.32), (6.95, 2.02), (6.55, 1.98)],
    "虹桥公园": [(4.5, 2.15), (4.78, 2.2), (4.8, 1.85), (4.5, 1.9)],
    "上海动物园": [(2.75, 2.25), (3.55, 2.2), (3.6, 1.6), (3.2, 1.4), (2.75, 1.55)],
    "临空滑板公园": [(2.85, 4.75), (3.3, 4.78), (3.4, 4.5), (2.9, 4.45)],
    "华山绿地": [(9.2, 3.05), (9.5, 3.1), (9.55, 2.85), (9.25, 2.8)],
    "海粟绿地": [(8.25, 2.75), (8.5, 2.8), (8.5, 2.6), (8.28, 2.58)],
}
#: name, class, width in metres, points
_ARTERIALS: list[tuple[str, str, float, Points]] = [
    ("延安西路高架", "expressway", 62.0,
     [(2.5, 2.42), (4.5, 2.45), (6.6, 2.42), (7.9, 2.68), (9.2, 3.2), (10.9, 3.35)]),
    ("中山西路内环高架", "expressway", 56.0, [(7.15, 0.3), (7.25, 1.8), (7.42, 3.0), (7.45, 4.0), (7.2, 5.6)]),
    ("外环高速", "expressway", 76.0, [(2.62, -0.2), (2.55, 1.6), (2.45, 3.2), (2.58, 4.6), (2.5, 6.8)]),
    ("长宁路", "arterial", 36.0,
     [(2.5, 4.3), (3.9, 4.32), (5.2, 4.25), (6.4, 4.18), (7.6, 4.12), (8.8, 4.02), (10.8, 4.12)]),
    ("天山路", "arterial", 34.0, [(2.5, 3.7), (4.3, 3.72), (6.0, 3.6), (7.4, 3.52)]),
    ("仙霞路", "arterial", 30.0, [(2.5, 3.05), (4.4, 3.1), (6.0, 3.02), (7.4, 2.92)]),
    ("虹桥路", "arterial", 34.0, [(2.6, 1.35), (4.2, 1.6), (6.0, 1.75), (7.6, 2.05), (8.9, 2.25), (10.6, 2.75)]),
    ("武夷路", "arterial", 24.0, [(7.45, 3.35), (8.4, 3.42), (9.4, 3.62), (10.6, 3.7)]),
    ("新华路", "arterial", 22.0, [(7.4, 2.5), (8.3, 2.35), (9.1, 2.45), (10.4, 2.95)]),
    ("北翟路", "arterial", 40.0, [(-0.4, 4.45), (1.2, 4.5), (2.5, 4.75), (3.7, 4.85), (5.0, 4.5)]),
    ("迎宾一路", "arterial", 30.0, [(2.5, 2.75), (2.3, 2.9), (2.2, 4.2), (1.4, 4.35), (0.2, 4.3)]),
    ("淞虹路", "arterial", 28.0, [(3.2, 6.4), (3.2, 4.9), (3.15, 3.7), (3.25, 2.45)]),
    ("剑河路", "arterial", 28.0, [(4.25, 6.2), (4.2, 4.6), (4.3, 3.2), (4.2, 1.6), (4.25, 0.4)]),
    ("威宁路", "arterial", 30.0, [(5.05, 6.2), (4.95, 4.5), (5.0, 3.1), (5.1, 2.2), (5.0, 0.6)]),
    ("古北路", "arterial", 28.0, [(5.75, 5.9), (5.68, 4.2), (5.75, 3.0), (5.78, 1.8), (5.9, 0.7)]),
    ("娄山关路", "arterial", 26.0, [(6.42, 5.6), (6.38, 4.2), (6.45, 3.0), (6.42, 2.0), (6.6, 0.7)]),
    ("凯旋路", "arterial", 30.0, [(7.78, 1.0), (7.8, 2.2), (7.85, 3.3), (7.68, 4.15), (7.5, 4.6)]),
    ("定西路", "arterial", 24.0, [(8.35, 1.2), (8.3, 2.4), (8.42, 3.4), (8.46, 4.03)]),
    ("江苏路", "arterial", 28.0, [(9.05, 1.6), (8.95, 2.6), (9.02, 3.5), (9.08, 4.3), (9.3, 5.4)]),
    ("镇宁路", "arterial", 22.0, [(9.65, 2.0), (9.58, 3.0), (9.62, 4.0), (9.7, 4.8)]),
]  # fmt: skip
_STREET_NAMES = [
    "安化路",
    "宣化路",
    "愚园路",
    "番禺路",
    "法华镇路",
    "昭化路",
    "延安支路",
    "安西路",
    "华阳支路",
    "汇川路",
    "遵义路",
    "芙蓉江路",
    "水城路",
    "茅台路",
    "玉屏南路",
    "哈密路",
    "北渔路",
    "泉口路",
    "协和路",
    "福泉路",
    "金钟路",
    "平塘路",
    "清池路",
    "新渔路",
    "双流路",
    "青溪路",
    "虹古路",
    "伊犁路",
    "红宝石路",
    "黄金城道",
    "荣华西道",
    "兴义路",
    "紫云路",
    "锦屏路",
    "中山支路",
    "种德桥路",
    "牛桥浜路",
    "幸福路",
    "平武路",
    "香花桥路",
    "利西路",
    "东诸安浜路",
    "西诸安浜路",
    "万航渡路",
    "曹家堰路",
    "长顺路",
    "云雾山路",
    "娄山支路",
    "天中路",
    "仙霞西路",
    "林泉路",
    "可乐路",
    "绥宁路",
    "空港一路",
    "空港六路",
    "蒲松北路",
    "努力路",
    "广顺路",
    "甘溪路",
    "周家桥支路",
]

#: Code, name and a point inside each subdistrict, km (schematic).
_SEATS: dict[str, tuple[float, float]] = {
    "310105001": (8.3, 3.9), "310105002": (9.6, 3.9), "310105004": (8.7, 2.4), "310105005": (6.6, 4.6),
    "310105006": (6.6, 3.3), "310105008": (5.3, 3.3), "310105009": (5.9, 1.9), "310105010": (3.6, 1.6),
    "310105011": (4.1, 4.5), "310105102": (1.9, 3.6),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Road:
    """A road as drawn.

    Attributes:
        name: Name.
        kind: expressway, arterial, street or lane.
        width_m: Width between building plots.
        line: Centre line.
    """

    name: str
    kind: str
    width_m: float
    line: shapely.LineString


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything buildings have to keep clear of, and the blocks they stand in.

    Attributes:
        outline: The district.
        subdistricts: Outline by nine-digit code; they tile the district.
        roads, water, parks: As drawn; water and parks by name.
        airport: Apron and buildings area.
        blocks: Street blocks in a fixed order.
    """

    outline: shapely.Polygon
    subdistricts: dict[str, Any]
    roads: tuple[Road, ...]
    water: dict[str, Any]
    parks: dict[str, Any]
    airport: shapely.Polygon
    blocks: tuple[shapely.Polygon, ...]


def draw(seed: int) -> Plan:
    """Draws the plan.

    Args:
        seed: Where streets divide the blocks depends on it; the hand-drawn parts do not.
    """
    outline: Any = _outline()
    water = {
        "中山公园湖": shapely.Polygon(smooth(_LAKE, 3, closed=True)),
        "动物园天鹅湖": shapely.Polygon(smooth(_SWANS, 3, closed=True)),
        "苏州河": shapely.LineString(smooth(_CREEK, 4)).buffer(26),
        "新泾港": shapely.LineString(smooth(_CANAL, 3)).buffer(9),
    }
    arterials = [Road(name, kind, width, shapely.LineString(smooth(p, 3))) for name, kind, width, p in _ARTERIALS]
    corridors = shapely.union_all([road.line.buffer(road.width_m / 2) for road in arterials])
    airport: Any = shapely.Polygon(smooth(_AIRPORT, 2, closed=True)).intersection(outline)
    wet = shapely.union_all(list(water.values()))
    dry = outline.difference(shapely.union_all([corridors, wet]))
    parks = {name: _park(points, dry.difference(airport)) for name, points in _PARKS.items()}
    taken = shapely.union_all([*parks.values(), airport, wet.buffer(18)])
    large = _ordered(dry.difference(taken.buffer(8)))
    blocks, streets = _divide(large, np.random.default_rng([seed, 1]))
    return Plan(
        outline,
        _subdistricts(outline, [road.line for road in arterials]),
        (*[Road(r.name, r.kind, r.width_m, _within(r.line, outline)) for r in arterials], *streets),
        {name: shape.intersection(outline) for name, shape in water.items()},
        parks,
        airport,
        tuple(blocks),
    )


def smooth(points_km: Points, rounds: int, closed: bool = False) -> Floats:
    """Corner cutting (Chaikin): a hand-drawn line in km to a smooth one in EPSG:4549."""
    line = np.array(points_km) * 1000 + ORIGIN
    for _ in range(rounds):
        after = np.roll(line, -1, axis=0) if closed else line[1:]
        before = line if closed else line[:-1]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        line = cut if closed else np.vstack([line[:1], cut, line[-1:]])
    return line


def _outline() -> shapely.Polygon:
    line = smooth(_OUTLINE, 2, closed=True)
    shape = shapely.Polygon(line)
    middle = np.array([shape.centroid.x, shape.centroid.y])
    factor = [1.0, AREA_KM2 * 1e6 / shape.area]  # the width is a fact, so only north-south gives
    return shapely.Polygon((line - middle) * factor + middle)


def _within(line: Any, outline: Any) -> Any:
    return line.intersection(outline)


def _park(points: Points, dry: Any) -> Any:
    return max(_ordered(shapely.Polygon(smooth(points, 2, closed=True)).intersection(dry)), key=lambda part: part.area)


def _ordered(shape: Any) -> list[shapely.Polygon]:
    """Polygons of a geometry in an order that rests on their place alone."""
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return sorted(parts, key=lambda part: (round(part.centroid.x), round(part.centroid.y)))


def _divide(large: list[shapely.Polygon], rng: np.random.Generator) -> tuple[list[shapely.Polygon], list[Road]]:
    """Cuts areas between arterials into street blocks; the cuts are streets."""
    blocks: list[shapely.Polygon] = []
    streets: list[Road] = []
    waiting = list(large)
    while waiting:
        area = waiting.pop()
        target = rng.uniform(24_000, 52_000)
        if area.area < target:
            if area.area > 1200:
                blocks.append(area)
            continue
        kind, width = ("street", rng.uniform(16, 22)) if area.area > 130_000 else ("lane", rng.uniform(9, 14))
        line = _cut(area, rng)
        parts = _ordered(area.difference(line.buffer(width / 2, cap_style="flat")))
        if len(parts) < 2:
            blocks.append(area)
            continue
        if kind == "street":
            name = _STREET_NAMES[len(streets) % len(_STREET_NAMES)]
            streets += [Road(name, kind, width, piece) for piece in shapely.get_parts(line.intersection(area))]
        else:
            streets += [Road("", kind, width, piece) for piece in shapely.get_parts(line.intersection(area))]
        waiting += parts
    return sorted(blocks, key=lambda b: (round(b.centroid.x), round(b.centroid.y))), streets


def _cut(area: shapely.Polygon, rng: np.random.Generator) -> shapely.LineString:
    """A line across the long side of an area, a little off the middle and off the right angle."""
    middle, along, length = long_axis(area)
    turn = rng.normal(0, 0.03)
    across = np.array([-along[1], along[0]])
    across = across * np.cos(turn) + along * np.sin(turn)
    at = middle + along * length * rng.uniform(-0.12, 0.12)
    return shapely.LineString([at - across * 3000, at + across * 3000])


def long_axis(area: Any) -> tuple[Floats, Floats, float]:
    """Middle, unit vector along, and length of the long side of the smallest rectangle around an area."""
    box = shapely.get_coordinates(shapely.minimum_rotated_rectangle(area))
    sides = np.diff(box[:3], axis=0)
    length = np.hypot(sides[:, 0], sides[:, 1])
    longest = int(np.argmax(length))
    return box[:4].mean(axis=0), sides[longest] / length[longest], float(length[longest])


def _subdistricts(outline: shapely.Polygon, lines: list[shapely.LineString]) -> dict[str, Any]:
    """Areas between arterials, each given to the nearest seat."""
    cells = _ordered(
        shapely.polygonize(list(shapely.get_parts(shapely.node(shapely.union_all([*lines, outline.boundary])))))
    )
    cells = [cell for cell in cells if outline.contains(cell.representative_point())]
    codes = list(_SEATS)
    seat = np.array(list(_SEATS.values())) * 1000 + ORIGIN
    place = np.array([[cell.centroid.x, cell.centroid.y] for cell in cells])
    nearest = np.argmin(((place[:, None] - seat) ** 2).sum(axis=2), axis=1)
    return {
        code: shapely.union_all([c for c, k in zip(cells, nearest, strict=True) if k == i])
        for i, code in enumerate(codes)
    }
