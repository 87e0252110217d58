"""Elevations from any number of raster sheets: statistics under footprints, and values at points, in bounded memory.

Sheets may overlap, differ in cell size and in CRS. Where several have data at one place the first in path order counts,
so the answer depends neither on the order of the files nor on that of the footprints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.crs.reference import Crs, horizontal, parse_crs
from twin.errors import CrsError, MisuseError, SourceError
from twin.report import Issue, Severity
from twin.sources.batches import batches
from twin.sources.cells import Outlines, cells_inside, cells_touched, outlines
from twin.sources.sheets import Header, Sheet, SheetReader, read_header

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Cells looked at in one batch; a footprint of more than four times as many is read on every k-th row and column.
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Zonal:
    """Raster statistics under footprints.

    Attributes:
        values: (n, k) one column a statistic, NaN where the raster says nothing.
        pixels: (n,) cells the statistics rest on; 0 where a value was interpolated at one point.
        outside: (n,) True where the footprint touches the rectangle of no sheet.
        covered: (n,) share, 0 to 1, of the cell centres inside the footprint where a sheet has data; 0 where there is
            no value, 1 where there is one but the footprint is too small to hold a centre.
    """

    values: Floats
    pixels: Ints
    outside: Bools
    covered: Floats


@dataclass(frozen=True, slots=True)
class _Zone:
    """A batch of footprints in one sheet's cell units."""

    sheet: Sheet
    lines: Outlines
    count: int


@dataclass(frozen=True)
class RasterMosaic:
    """Raster sheets read as one; holds no open file, so it can be pickled and used in a worker process.

    Attributes:
        sheets: In path order, which is the order of precedence.
        crs: CRS of `bounds` and of `sample`, as text: the one given, else that of the first sheet.
        notes: What was found when the sheets were opened.
    """

    sheets: tuple[Sheet, ...]
    crs: str = field(repr=False)  # may be a definition that is not public
    notes: tuple[Issue, ...] = ()

    @classmethod
    def open(cls, paths: Sequence[Path | str], crs: str | None = None) -> RasterMosaic:
        """Reads the headers of all sheets.

        Args:
            paths: Files GDAL can read, in any order; each is read once even if named twice.
            crs: CRS of all sheets, overriding what the files say; needed where they say nothing.

        Raises:
            SourceError: No sheet, or one that is no georeferenced raster.
            CrsError: A sheet has no CRS and none is given.
        """
        unique = sorted({Path(path) for path in paths})
        if not unique:
            raise SourceError("no raster sheet was found", next_step="check the path or glob after `raster`")
        if crs is not None:
            _parsed(crs)
        headers = [read_header(path, crs) for path in unique]
        return cls(tuple(h.sheet for h in headers), headers[0].sheet.crs, tuple(_notes(headers)))

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all sheets in the mosaic's CRS (outlines are followed, not only corners)."""
        boxes = np.vstack([self._sheet_bounds(sheet) for sheet in self.sheets])
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def zonal(
        self,
        polygons: NDArray[np.object_],
        crs: Crs | str | None = None,
        statistics: Sequence[str | float] = ("median",),
        inset_m: float = 0.0,
    ) -> Zonal:
        """Statistics of the cells whose centre lies inside each footprint.

        A footprint shrunk to nothing by the inset is used whole. One that holds no cell centre takes the cells it
        touches; failing that, the value interpolated at a point on its surface.

        Args:
            polygons: (n,) shapely polygons or multipolygons; None gives NaN.
            crs: CRS of the polygons; None for the mosaic's own.
            statistics: Each "lowest", "median" or a percentile from 0 to 100 (linear between cells).
            inset_m: Distance the footprints are shrunk by first, in units of a projected `crs`.

        Raises:
            MisuseError: An unknown statistic, or an inset in a CRS that is not projected.
            SourceError: A sheet cannot be read.
        """
        frame = self._frame(crs)
        levels = [_percentile(statistic) for statistic in statistics]
        shapes = _inset(np.asarray(polygons, dtype=object), inset_m, frame)
        count = len(shapes)
        result = Zonal(
            np.full((count, len(levels)), np.nan), np.zeros(count, np.int64), np.ones(count, bool), np.zeros(count)
        )
        box, size = self._extents(shapes, frame)
        with SheetReader() as reader:
            for rows in batches(box, size, _CELLS_AT_ONCE):
                self._zonal_batch(reader, shapes[rows], frame, levels, (rows, result))
        return result

    def sample(self, x: Floats, y: Floats, crs: Crs | str | None = None) -> Floats:
        """Bilinear values at points; NaN where no sheet has data.

        The first sheet with data in all four cells around a point counts, then the first with data in any of them.

        Args:
            x: (n,) east or longitude.
            y: (n,) north or latitude.
            crs: CRS of the points; None for the mosaic's own.
        """
        with SheetReader() as reader:
            return self._sample(reader, np.column_stack([x, y]).astype(np.float64), self._frame(crs))

    def _frame(self, crs: Crs | str | None) -> Crs:
        return crs if isinstance(crs, Crs) else _parsed(self.crs if crs is None else crs)

    def _sheet_bounds(self, sheet: Sheet) -> Floats:
        edge = shapely.segmentize(shapely.box(*sheet.bounds), max(np.ptp(sheet.bounds[::2]), 1e-9) / 20)
        xy = _transform(_parsed(sheet.crs), _parsed(self.crs))(shapely.get_coordinates(edge))
        return np.concatenate([np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)])

    def _extents(self, shapes: NDArray[np.object_], frame: Crs) -> tuple[Floats, Floats]:
        """Bounding boxes (n, 4), and (n,) how many cells of the finest sheet each holds."""
        box = shapely.bounds(shapes)
        cells = np.zeros(len(shapes))
        for sheet in _one_of_each_grid(self.sheets):
            corner = shapely.get_coordinates(shapely.box(*np.nan_to_num(box).T)).reshape(-1, 5, 2)[:, :3]
            place = sheet.cells(_transform(frame, _parsed(sheet.crs))(corner.reshape(-1, 2))).reshape(-1, 3, 2)
            with np.errstate(invalid="ignore", over="ignore"):
                area = np.prod(np.abs(np.ptp(place, axis=1)) + 1, axis=1)
            cells = np.fmax(cells, np.where(np.isfinite(area), area, 0))
        return box, cells

    def _zonal_batch(
        self, reader: SheetReader, shapes: NDArray[np.object_], frame: Crs, levels: list[float], out: tuple[Ints, Zonal]
    ) -> None:
        rows, result = out
        zones, met = self._zones(outlines(shapes), len(shapes), frame)
        feature, value, whole = self._pairs(reader, zones, cells_inside, len(shapes))
        values, pixels = _statistics(feature, value, len(shapes), levels)
        bare = met & (pixels == 0)
        if bare.any():
            some = [_Zone(zone.sheet, zone.lines.of(bare), zone.count) for zone in zones]
            feature, value, _ = self._pairs(reader, some, cells_touched, len(shapes))
            touched, count = _statistics(feature, value, len(shapes), levels)
            values[bare], pixels[bare] = touched[bare], count[bare]
        bare &= pixels == 0
        if bare.any():
            point = shapely.get_coordinates(shapely.point_on_surface(shapes[bare]))
            values[bare] = self._sample(reader, point, frame)[:, None]
        known = np.isfinite(values[:, 0])
        result.covered[rows] = np.where(known, self._covered(reader, zones, known & ~whole), 0.0)
        result.values[rows], result.pixels[rows], result.outside[rows] = values, pixels, ~met

    def _zones(self, lines: Outlines, count: int, frame: Crs) -> tuple[list[_Zone], Bools]:
        """The batch as each sheet sees it, for the sheets it meets; and which features meet any."""
        moved: dict[str, Outlines] = {}
        boxes: dict[str, Floats] = {}
        zones, met = [], np.zeros(count, bool)
        for sheet in self.sheets:
            if sheet.crs not in moved:
                moved[sheet.crs] = lines.moved(_transform(frame, _parsed(sheet.crs)))
                boxes[sheet.crs] = moved[sheet.crs].bounds(count)
            box = boxes[sheet.crs]
            west, south, east, north = sheet.bounds
            meets = (box[:, 0] < east) & (box[:, 2] > west) & (box[:, 1] < north) & (box[:, 3] > south)
            meets &= np.isfinite(box).all(axis=1)
            if meets.any():
                met |= meets
                zones.append(_Zone(sheet, moved[sheet.crs].of(meets).moved(sheet.cells), count))
        return zones, met

    def _pairs(
        self,
        reader: SheetReader,
        zones: list[_Zone],
        find: Callable[[Outlines, int, int], tuple[Ints, Ints, Ints]],
        count: int,
    ) -> tuple[Ints, Floats, Bools]:
        """Feature and value of every cell with data, each place once; and which features one sheet covers wholly."""
        found: list[tuple[Ints, Floats]] = []
        whole = np.zeros(count, bool)
        for index, zone in enumerate(zones):
            feature, row, column = _find(zone, find)
            value = reader.values(zone.sheet, row, column)
            fresh = np.isfinite(value)
            lacking = np.bincount(feature[~fresh], minlength=count).astype(bool)
            whole |= _within(zone) & ~lacking
            for earlier in zones[:index]:
                if _overlap(earlier.sheet, zone.sheet):
                    place = zone.sheet.centres(row[fresh], column[fresh])
                    fresh[fresh] = ~_has_data(reader, earlier.sheet, place, zone.sheet.crs)
            found.append((feature[fresh], value[fresh]))
        return (
            np.concatenate([feature for feature, _ in found] or [np.zeros(0, np.int64)]),
            np.concatenate([value for _, value in found] or [np.zeros(0)]),
            whole,
        )

    def _covered(self, reader: SheetReader, zones: list[_Zone], wanted: Bools) -> Floats:
        """Share of the cell centres inside each wanted feature where any sheet has data; 1 for all others.

        The centres are those of the first sheet a feature meets, its grid going on beyond its edges. Only features at
        the edge of a sheet or over nodata come here.
        """
        share, left = np.ones(len(wanted)), wanted.copy()
        for zone in zones:
            mine = left & np.isfinite(zone.lines.bounds(zone.count)[:, 0])
            if not mine.any():
                continue
            left &= ~mine
            feature, place = _centres(zone, mine)
            known = np.zeros(len(place), bool)
            for other in zones:
                known[~known] = _has_data(reader, other.sheet, place[~known], zone.sheet.crs)
            total = np.bincount(feature, minlength=len(wanted))
            some = total > 0
            share[some] = np.bincount(feature[known], minlength=len(wanted))[some] / total[some]
        return share

    def _sample(self, reader: SheetReader, xy: Floats, frame: Crs) -> Floats:
        whole, partial = np.full(len(xy), np.nan), np.full(len(xy), np.nan)
        for sheet in self.sheets:
            place = sheet.cells(_transform(frame, _parsed(sheet.crs))(xy))
            within = (place >= 0).all(axis=1) & (place <= (sheet.width, sheet.height)).all(axis=1) & np.isnan(whole)
            value, full = _bilinear(reader, sheet, place[within])
            whole[within] = np.where(full, value, np.nan)
            partial[within] = np.where(np.isnan(partial[within]), value, partial[within])
        return np.where(np.isnan(whole), partial, whole)


@lru_cache(maxsize=64)
def _parsed(crs: str) -> Crs:
    return parse_crs(crs)


def _notes(headers: list[Header]) -> Iterator[Issue]:
    for header in headers:
        if header.placeholder is not None:
            yield Issue(
                "raster_nodata_untagged",
                Severity.WARNING,
                f"the sheet holds {header.placeholder:g}, which it does not declare as nodata; such cells are left out",
                source=str(header.sheet.path),
                next_step=f"declare it: gdal_edit.py -a_nodata {header.placeholder:g} FILE",
            )
        if header.bands > 1:
            text = f"the sheet has {header.bands} bands; the first is read as elevation"
            yield Issue("raster_bands", Severity.NOTE, text, source=str(header.sheet.path))
        if header.units and header.units.lower() not in ("m", "metre", "meter", "metres", "meters"):
            yield Issue(
                "raster_unit",
                Severity.WARNING,
                f'the sheet declares the unit "{header.units}"; its values are read as metres',
                source=str(header.sheet.path),
                next_step="convert the sheet to metres",
            )
    names = {header.sheet.crs for header in headers}
    if len(names) > 1:
        yield Issue("raster_crs_differs", Severity.NOTE, f"the sheets stand in {len(names)} different CRSs")
    sizes = {round(header.sheet.cell_size, 6) for header in headers}
    if len(sizes) > 1 and len(names) == 1:
        text = f"the sheets have cells of {len(sizes)} sizes, from {min(sizes):g} to {max(sizes):g}"
        yield Issue("raster_cell_sizes", Severity.NOTE, text)


def _percentile(statistic: str | float) -> float:
    named = {"lowest": 0.0, "median": 50.0}.get(statistic) if isinstance(statistic, str) else float(statistic)
    if named is None or not 0 <= named <= 100:
        raise MisuseError(
            f"unknown raster statistic {statistic!r}",
            next_step='write "lowest", "median" or a percentile from 0 to 100',
        )
    return named


def _inset(polygons: NDArray[np.object_], inset_m: float, frame: Crs) -> NDArray[np.object_]:
    """Polygons shrunk by `inset_m`; whole where nothing would remain."""
    if inset_m <= 0:
        return polygons
    if not frame.pyproj.is_projected:
        raise CrsError(
            f"an inset in metres needs footprints in a projected CRS, not {frame.name}",
            next_step="state a projected working_crs",
        )
    inner = shapely.buffer(polygons, -inset_m, join_style="mitre", mitre_limit=2.0)
    return np.where(shapely.is_empty(inner) | shapely.is_missing(inner), polygons, inner)


def _transform(source: Crs, target: Crs) -> Callable[[Floats], Floats]:
    if source is target or (source.name == target.name and source.kind == target.kind and source.public):
        return lambda xy: xy
    return horizontal(source, target)


def _one_of_each_grid(sheets: tuple[Sheet, ...]) -> list[Sheet]:
    return list({(sheet.crs, sheet.to_cell[0], sheet.to_cell[4]): sheet for sheet in sheets}.values())


def _find(zone: _Zone, find: Callable[[Outlines, int, int], tuple[Ints, Ints, Ints]]) -> tuple[Ints, Ints, Ints]:
    """Cells of a zone; on every k-th row and column where it holds more than memory allows."""
    sheet = zone.sheet
    box = np.clip(zone.lines.bounds(zone.count), 0, [sheet.width, sheet.height] * 2)
    size = np.nansum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))
    every = max(1, int(np.ceil((size / (4 * _CELLS_AT_ONCE)) ** 0.5)))
    lines = zone.lines.moved(lambda xy: xy / every)
    feature, row, column = find(lines, -(-sheet.width // every), -(-sheet.height // every))
    row, column = row * every + every // 2, column * every + every // 2
    inside = (row < sheet.height) & (column < sheet.width)
    return feature[inside], row[inside], column[inside]


def _within(zone: _Zone) -> Bools:
    """(n,) whether a feature lies inside the rectangle of the sheet; False where it does not meet it."""
    box = zone.lines.bounds(zone.count)
    inside: Bools = np.all((box[:, :2] >= 0) & (box[:, 2:] <= (zone.sheet.width, zone.sheet.height)), axis=1)
    return inside


def _centres(zone: _Zone, wanted: Bools) -> tuple[Ints, Floats]:
    """Feature and place of all cell centres inside features, as if the sheet had no end; thinned as in `_find`."""
    lines = zone.lines.of(wanted)
    box = lines.bounds(zone.count)
    size = np.nansum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))
    every = max(1, int(np.ceil((size / (4 * _CELLS_AT_ONCE)) ** 0.5)))
    corner = np.floor(np.nanmin(box[:, :2], axis=0)).astype(np.int64)
    width, height = np.ceil((np.nanmax(box[:, 2:], axis=0) - corner) / every).astype(np.int64).tolist()
    feature, row, column = cells_inside(lines.moved(lambda xy: (xy - corner) / every), width, height)
    row, column = row * every + every // 2 + corner[1], column * every + every // 2 + corner[0]
    return feature, zone.sheet.centres(row, column)


def _overlap(one: Sheet, other: Sheet) -> bool:
    if one.crs != other.crs:
        return True  # decided cell by cell
    (west, south, east, north), box = one.bounds, other.bounds
    return west < box[2] and east > box[0] and south < box[3] and north > box[1]


def _has_data(reader: SheetReader, sheet: Sheet, xy: Floats, crs: str) -> Bools:
    """Whether the cell of `sheet` at each point has data."""
    place = sheet.cells(_transform(_parsed(crs), _parsed(sheet.crs))(xy))
    within: Bools = np.all((place >= 0) & (place < (sheet.width, sheet.height)), axis=1)
    cell = np.floor(place[within]).astype(np.int64)
    within[within] = np.isfinite(reader.values(sheet, cell[:, 1], cell[:, 0]))
    return within


def _bilinear(reader: SheetReader, sheet: Sheet, place: Floats) -> tuple[Floats, Bools]:
    """Value at fractional cells, and whether all four neighbours had data (else the mean of those that had)."""
    corner = np.floor(place - 0.5).astype(np.int64)
    part = place - 0.5 - corner
    total, weight = np.zeros(len(place)), np.zeros(len(place))
    full = np.ones(len(place), bool)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = corner[:, 0] + right, corner[:, 1] + down
        share = np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1])
        inside = (column >= 0) & (column < sheet.width) & (row >= 0) & (row < sheet.height)
        value = np.full(len(place), np.nan)
        value[inside] = reader.values(sheet, row[inside], column[inside])
        known = np.isfinite(value)
        full &= known | (share == 0)
        total += np.where(known, value, 0) * share
        weight += np.where(known, share, 0)
    return np.divide(total, weight, out=np.full(len(place), np.nan), where=weight > 0), full


def _statistics(feature: Ints, value: Floats, count: int, levels: list[float]) -> tuple[Floats, Ints]:
    """(count, k) percentiles and (count,) numbers of values per feature."""
    value = value[np.lexsort((value, feature))]
    pixels = np.bincount(feature, minlength=count).astype(np.int64)
    start = np.cumsum(pixels) - pixels
    values = np.full((count, len(levels)), np.nan)
    some = pixels > 0
    for column, level in enumerate(levels):
        rank = (pixels[some] - 1) * level / 100
        low = np.floor(rank).astype(np.int64)
        high = np.minimum(low + 1, pixels[some] - 1)
        below, above = value[start[some] + low], value[start[some] + high]
        values[some, column] = below + (above - below) * (rank - low)
    return values, pixels
