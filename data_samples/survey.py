"""The sample buildings as a survey office would record them: attribute columns, and the faults real deliveries have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from data_samples.blocks import Building
from data_samples.plan import Plan, Road

#: Use by building type, in the words of the survey.
USE = {
    "lane": "住宅", "village": "住宅", "slab": "住宅", "tower": "住宅", "villa": "住宅", "office": "办公",
    "podium": "商业", "mall": "商业", "shop": "商业", "school": "学校", "gym": "学校", "hospital": "医院",
    "hall": "工业",
    "shed": "其他", "terminal": "其他", "hangar": "其他", "cargo": "其他", "parking": "其他", "control": "其他",
}  # fmt: skip
_YEARS = {
    "lane": (1912, 1948),
    "village": (1975, 1998),
    "slab": (1979, 1998),
    "tower": (1994, 2016),
    "villa": (1925, 2008),
}
_FIXED = {
    "hangar": "机库",
    "cargo": "货站",
    "parking": "停车楼",
    "control": "塔台",
    "gym": "体育馆",
    "terminal": "航站楼",
}
_FIRST = [
    "天",
    "仙",
    "虹",
    "长",
    "华",
    "安",
    "新",
    "金",
    "银",
    "东",
    "万",
    "嘉",
    "恒",
    "尚",
    "凯",
    "汇",
    "宏",
    "锦",
    "绿",
    "明",
    "国",
    "兴",
]
_SECOND = [
    "山",
    "霞",
    "桥",
    "宁",
    "阳",
    "顺",
    "泰",
    "源",
    "都",
    "丰",
    "瑞",
    "利",
    "茂",
    "信",
    "悦",
    "澜",
    "庭",
    "苑",
    "城",
    "联",
    "达",
    "景",
]
_ENDING = {
    "office": ("大厦", "中心", "国际广场", "商务楼"), "mall": ("购物中心", "百货", "生活广场"), "podium": ("广场裙楼",),
    "school": ("小学", "中学", "幼儿园"), "hospital": ("医院", "卫生服务中心"), "hall": ("厂房", "仓库"),
}  # fmt: skip
#: How many of each fault a full district of 20,000 buildings has; an extract has its share, and at least three.
FAULTS = {
    "ring_crosses_itself": 25, "sliver": 8, "geometry_null": 6, "delivered_twice": 24, "height_placeholder": 16,
    "height_and_storeys_missing": 90,
}  # fmt: skip
_HEIGHT_MISSING = 0.03
_REFERENCE = 20_000


@dataclass(frozen=True, slots=True)
class Survey:
    """The delivered features and what is wrong with them on purpose.

    Attributes:
        frame: Columns FWBH, MC, DZ, CS, JZGD, YT, JGNF, JDDM and geometry (EPSG:4549), in order of FWBH.
        faults: How many features have each fault.
    """

    frame: geopandas.GeoDataFrame
    faults: dict[str, int]


def record(plan: Plan, buildings: list[Building], seed: int) -> Survey:
    """Gives the buildings attributes, then spoils some.

    Args:
        plan: Roads for addresses, outlines for subdistrict codes.
        buildings: As built.
        seed: Seed of the district.
    """
    rng = np.random.default_rng([seed, 3])
    shape = np.array([shapely.set_precision(b.shape, 0.001) for b in buildings], dtype=object)
    storeys = np.array([b.storeys for b in buildings])
    height = storeys * np.array([b.storey_m for b in buildings]) + rng.normal(0.3, 0.25, len(buildings))
    frame = geopandas.GeoDataFrame(
        {
            "FWBH": _ids(buildings),
            "MC": _names(buildings, rng),
            "DZ": _addresses(shape, plan.roads, rng),
            "CS": pd.array(storeys, dtype="Int32"),
            "JZGD": np.round(np.maximum(height, 2.2), 2),
            "YT": [USE[b.kind] for b in buildings],
            "JGNF": pd.array(_built(buildings, rng), dtype="Int32"),
            "JDDM": _subdistrict(shape, plan),
        },
        geometry=shape,
        crs="EPSG:4549",
    )
    return _spoiled(frame, rng)


def _ids(buildings: list[Building]) -> list[str]:
    """District code, number of the block, number in the block."""
    seen: Counter[int] = Counter()
    ids = []
    for building in buildings:
        seen[building.block] += 1
        ids.append(f"310105{building.block + 1:04d}{seen[building.block]:03d}")
    return ids


def _names(buildings: list[Building], rng: np.random.Generator) -> list[str | None]:
    """Compounds and institutions have names, houses on a lane and sheds have none."""
    compound = {
        n: str(rng.choice(_FIRST)) + str(rng.choice(_SECOND)) for n in range(-1, 1 + max(b.block for b in buildings))
    }
    seen: Counter[tuple[int, str]] = Counter()
    names: list[str | None] = []
    for b in buildings:
        seen[b.block, b.kind] += 1
        number, stem = seen[b.block, b.kind], compound[b.block]
        if b.kind in ("slab", "tower"):
            names.append(f"{stem}{'新村' if b.kind == 'slab' else '花园'}{number}号楼")
        elif b.kind in _FIXED:
            names.append(f"{_FIXED[b.kind]}{number}" if b.kind != "control" else "塔台")
        elif b.kind in _ENDING:
            ending = _ENDING[b.kind]
            names.append(
                (stem if number == 1 else rng.choice(_FIRST) + rng.choice(_SECOND)) + ending[rng.integers(len(ending))]
            )
        elif b.kind == "villa" and number == 1:
            names.append(f"{stem}别墅")
        else:
            names.append(None)
    return names


def _addresses(shape: Any, roads: tuple[Road, ...], rng: np.random.Generator) -> list[str | None]:
    """Nearest named road and a number that grows along it, odd on one side and even on the other."""
    named = [road for road in roads if road.name and road.kind != "expressway"]
    line = np.array([road.line for road in named], dtype=object)
    middle = shapely.centroid(shape)
    _, nearest = shapely.STRtree(line).query_nearest(middle, all_matches=False)
    along = shapely.line_locate_point(line[nearest], middle)
    foot = shapely.line_interpolate_point(line[nearest], along)
    ahead = shapely.line_interpolate_point(line[nearest], along + 1)
    left = (shapely.get_x(ahead) - shapely.get_x(foot)) * (shapely.get_y(middle) - shapely.get_y(foot)) > (
        shapely.get_y(ahead) - shapely.get_y(foot)
    ) * (shapely.get_x(middle) - shapely.get_x(foot))
    number = (along / 5).astype(int) * 2 + 10 + left
    lane = rng.random(len(shape)) < 0.35
    return [
        f"{named[road].name}{no}弄{inner}号" if is_lane else f"{named[road].name}{no}号"
        for road, no, is_lane, inner in zip(nearest, number, lane, rng.integers(1, 90, len(shape)), strict=True)
    ]


def _built(buildings: list[Building], rng: np.random.Generator) -> list[int]:
    low, high = np.array([_YEARS.get(b.kind, (1985, 2022)) for b in buildings]).T
    return [int(year) for year in rng.integers(low, high + 1)]


def _subdistrict(shape: Any, plan: Plan) -> list[str]:
    codes = list(plan.subdistricts)
    outline = np.array(list(plan.subdistricts.values()), dtype=object)
    _, nearest = shapely.STRtree(outline).query_nearest(shapely.centroid(shape), all_matches=False)
    return [codes[k] for k in nearest]


def _spoiled(frame: geopandas.GeoDataFrame, rng: np.random.Generator) -> Survey:
    """Puts in every fault, each in features of its own."""
    count = len(frame)
    wanted = {name: max(3, round(number * min(1.0, count / _REFERENCE))) for name, number in FAULTS.items()}
    wanted["height_missing_storeys_known"] = round(_HEIGHT_MISSING * count)
    large = np.flatnonzero(
        (frame.geometry.area.to_numpy() > 150) & (shapely.get_num_interior_rings(frame.geometry) == 0)
    )
    crossing = rng.choice(large, wanted["ring_crosses_itself"], replace=False)
    rest = iter(rng.permutation(np.setdiff1d(np.arange(count), crossing)).tolist())
    chosen = {
        name: crossing if name == "ring_crosses_itself" else np.array([next(rest) for _ in range(number)])
        for name, number in wanted.items()
    }
    shape = frame.geometry.to_numpy().copy()
    shape[crossing] = [crossed(shape[row]) for row in crossing]
    shape[chosen["sliver"]] = [_sliver(shape[row]) for row in chosen["sliver"]]
    shape[chosen["geometry_null"]] = None
    height, storeys = frame["JZGD"].to_numpy().copy(), frame["CS"].to_numpy(dtype=float, na_value=np.nan).copy()
    unknown = chosen["height_placeholder"]
    height[unknown] = np.resize([9999.0, 0.0, -1.0, 9999.0], len(unknown))
    storeys[unknown] = np.nan
    height[chosen["height_missing_storeys_known"]] = np.nan
    height[chosen["height_and_storeys_missing"]] = np.nan
    storeys[chosen["height_and_storeys_missing"]] = np.nan
    spoiled = frame.assign(JZGD=height, CS=pd.array(storeys, dtype="Int32")).set_geometry(
        geopandas.GeoSeries(shape, crs=frame.crs)
    )
    both = pd.concat([spoiled, spoiled.iloc[np.sort(chosen["delivered_twice"])]])
    ordered = both.sort_values("FWBH", kind="stable").reset_index(drop=True)
    return Survey(ordered, {name: len(rows) for name, rows in chosen.items()})


def crossed(shape: shapely.Polygon) -> shapely.Polygon:
    """A ring that crosses itself at one corner, as when two points were digitised in the wrong order."""
    ring = shapely.get_coordinates(shape.exterior)[:-1]
    before, corner, after = ring[-1], ring[0], ring[1]
    on_next = corner + (after - corner) * min(0.3, 1.2 / np.hypot(*(after - corner)))
    on_last = corner + (before - corner) * min(0.3, 1.2 / np.hypot(*(before - corner)))
    return shapely.Polygon(np.round(np.vstack([on_next, on_last, ring[1:]]), 3))


def _sliver(shape: shapely.Polygon) -> shapely.Polygon:
    """What is left between two map sheets: long, and a few millimetres wide."""
    a, b = shapely.get_coordinates(shape.exterior)[:2]
    off = np.array([-(b - a)[1], (b - a)[0]]) / np.hypot(*(b - a)) * 0.004
    return shapely.Polygon(np.vstack([a, b, b + off, a + off]))
