"""Writes the sample district as a survey office delivers it: map sheets, layers, elevation sheets, a project file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

from data_samples.plan import ORIGIN, Plan
from data_samples.survey import Survey

CRS = "EPSG:4549"
CELL_M = 5.0
NODATA = -9999.0
_OVERLAP_M = 100.0
_DATE = "2024-06-30"
Box = tuple[float, float, float, float]


def write_buildings(survey: Survey, folder: Path, cuts: tuple[list[float], list[float]]) -> dict[str, int]:
    """One Shapefile a map sheet, by centroid; a feature delivered twice goes to the neighbouring sheet too.

    The last sheet has GB18030 attributes and no `.cpg`, as older survey software writes them.

    Args:
        survey: The features.
        folder: Where to.
        cuts: Eastings and northings that part the sheets.

    Returns:
        Number of features by sheet name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame = survey.frame
    middle = shapely.centroid(frame.geometry.to_numpy())
    column = np.searchsorted(cuts[0], np.nan_to_num(shapely.get_x(middle), nan=cuts[0][0]))
    row = np.searchsorted(cuts[1], np.nan_to_num(shapely.get_y(middle), nan=cuts[1][0]))
    number = row * (len(cuts[0]) + 1) + column
    again = frame["FWBH"].duplicated().to_numpy()
    sheets = (len(cuts[0]) + 1) * (len(cuts[1]) + 1)
    number[again] = np.where(number[again] + 1 < sheets, number[again] + 1, number[again] - 1)
    counts = {}
    for sheet in range(sheets):
        name, some = f"FW_{sheet + 1:02d}", frame[number == sheet]
        gbk = sheet == sheets - 1
        _write(some, folder / f"{name}.shp", encoding="GB18030" if gbk else "UTF-8", DBF_DATE_LAST_UPDATE=_DATE)
        if gbk:
            (folder / f"{name}.cpg").unlink(missing_ok=True)
            _forget_code_page(folder / f"{name}.dbf")
        counts[name] = len(some)
    return counts


def _forget_code_page(dbf: Path) -> None:
    """Clears the language driver byte, so that nothing in the file says how its text is encoded."""
    content = bytearray(dbf.read_bytes())
    content[29] = 0
    dbf.write_bytes(content)


def write_layers(plan: Plan, folder: Path, names: tuple[dict[str, str], dict[str, str]], window: Any) -> None:
    """Roads, water, green, the district and its subdistricts as layers of one GeoPackage, the latter as GeoJSON too.

    Args:
        plan: The plan.
        folder: Where to.
        names: Name by code, of the district and of its subdistricts.
        window: Polygon roads, water and green are cut to.
    """
    path = folder / "base.gpkg"
    roads = [(r.name or None, r.kind, round(r.width_m, 1), r.line.intersection(window)) for r in plan.roads]
    roads = [road for road in roads if not road[3].is_empty]
    _layer(
        path,
        "roads",
        {"MC": [r[0] for r in roads], "DJ": [r[1] for r in roads], "KD": [r[2] for r in roads]},
        [shapely.line_merge(r[3]) for r in roads],
    )
    for name, areas in (("water", plan.water), ("green", plan.parks)):
        cut = {key: shape.intersection(window) for key, shape in areas.items()}
        cut = {key: shape for key, shape in cut.items() if not shape.is_empty}
        _layer(path, name, {"MC": list(cut)}, list(cut.values()))
    whole, parts = names
    outline = [shapely.union_all(list(plan.subdistricts.values()))]
    _layer(path, "district", {"QDM": list(whole), "MC": list(whole.values())}, outline)
    codes = list(plan.subdistricts)
    shapes = [plan.subdistricts[code] for code in codes]
    columns = {"JDDM": codes, "MC": [parts[code] for code in codes]}
    _layer(path, "subdistricts", columns, shapes)
    degrees = geopandas.GeoDataFrame(columns, geometry=shapes, crs=CRS).to_crs("EPSG:4490")
    _write(degrees, folder / "subdistricts.geojson", RFC7946="NO", COORDINATE_PRECISION="7")


def _layer(path: Path, layer: str, columns: dict[str, list[Any]], shapes: list[Any]) -> None:
    kind = "MultiLineString" if shapes and shapes[0].geom_type.endswith("LineString") else "MultiPolygon"
    frame = geopandas.GeoDataFrame(
        columns, geometry=shapely.set_precision(np.array(shapes, dtype=object), 0.001), crs=CRS
    )
    _write(frame, path, layer=layer, geometry_type=kind, promote_to_multi=True)


def _write(frame: geopandas.GeoDataFrame, path: Path, **options: Any) -> None:
    """Writes without a clock: GeoPackage would note the time of the run."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{_DATE}T00:00:00.000Z"})
    try:
        pyogrio.write_dataframe(frame, path, **options)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def write_terrain(plan: Plan, folder: Path, box: Box, cover: Any, sheets: int) -> list[str]:
    """Elevation sheets (GeoTIFF, 5 m, H85) side by side from west to east, overlapping by 100 m.

    Args:
        plan: Water and parks shape the ground.
        folder: Where to.
        box: west, south, east, north to cover.
        cover: Polygon beyond which there is no data.
        sheets: How many.

    Returns:
        File names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    west, south, east, north = (np.round(np.array(box) / CELL_M) * CELL_M).tolist()
    columns, rows = round((east - west) / CELL_M), round((north - south) / CELL_M)
    elevation = ground(plan, west, north, (rows, columns), cover)
    edges = np.linspace(0, columns, sheets + 1).round().astype(int)
    spare = round(_OVERLAP_M / 2 / CELL_M)
    names = []
    for number in range(sheets):
        start, stop = max(0, edges[number] - spare), min(columns, edges[number + 1] + spare)
        names.append(f"DEM_{number + 1:02d}.tif")
        with rasterio.open(
            folder / names[-1], "w", driver="GTiff", width=stop - start, height=rows, count=1, dtype="float32", crs=CRS,
            transform=Affine(CELL_M, 0, west + start * CELL_M, 0, -CELL_M, north), nodata=NODATA, compress="deflate",
            predictor=3, tiled=True, blockxsize=256, blockysize=256,
        ) as out:  # fmt: skip
            out.write(elevation[:, start:stop], 1)
    return names


def ground(plan: Plan, west: float, north: float, shape: tuple[int, int], cover: Any) -> NDArray[np.float32]:
    """H85 elevation of a river plain: 2.5 to 5.5 m, park hills a little higher, creek beds below sea level."""
    to_xy = Affine(CELL_M, 0, west, 0, -CELL_M, north)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    x, y = (west + (x + 0.5) * CELL_M - ORIGIN[0]) / 1000, (north - (y + 0.5) * CELL_M - ORIGIN[1]) / 1000
    level = (
        3.9
        + 0.55 * np.sin(0.7 * x + 0.4 * y)
        + 0.35 * np.cos(1.3 * y - 0.5 * x)
        + 0.18 * np.sin(5.1 * x) * np.cos(4.3 * y)
    )
    level += 0.05 * np.sin(43 * x + 3 * np.sin(31 * y)) + 0.04 * np.cos(57 * y + 2 * np.sin(47 * x))

    def inside(shapes: list[Any]) -> NDArray[np.bool_]:
        solid = [one for one in shapes if not one.is_empty]
        return np.asarray(rasterize(solid, out_shape=shape, transform=to_xy, fill=0, default_value=1), dtype=bool)

    parks = list(plan.parks.values())
    for depth in (10, 25, 40, 60, 80):
        level += 0.35 * inside([park.buffer(-depth) for park in parks] or [shapely.Point(0, 0).buffer(1)])
    water = list(plan.water.values())
    for spread, drop in ((6, 0.9), (0, 1.1), (-5, 1.6), (-12, 0.9)):
        level -= drop * inside([one.buffer(spread) for one in water])
    return np.where(inside([cover]), np.round(level, 2), NODATA).astype(np.float32)


def write_json(path: Path, content: Any) -> None:
    """JSON for people: indented, Chinese as it is."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
