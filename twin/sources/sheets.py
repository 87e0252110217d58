"""One raster sheet on disk: what it says of itself, and its cell values read in windows of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._env import set_proj_data_search_path
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from twin.caught import caught_warnings
from twin.crs.reference import parse_crs
from twin.errors import CrsError, SourceError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Values survey programs write for "nothing here", whether or not they also say so in the file. None is an elevation on
#: land. (-3.4e38 and its like are caught by size.)
PLACEHOLDERS = (-9999.0, -99999.0, -32768.0, -32767.0)
_ABSURD = 1e30
_BLOCK = 1024  # cells along the side of the largest window read at once
_OPEN_AT_ONCE = 32
_PROBE = 1024  # cells along the side of the largest sheet that is looked through when it is opened


@dataclass(frozen=True, slots=True)
class Sheet:
    """A raster file by its header; holds no open file, so it can go to another process.

    Attributes:
        path: File.
        crs: CRS as text for `parse_crs`.
        to_cell: Six numbers a, b, c, d, e, f: column = a x + b y + c, row = d x + e y + f.
        to_xy: The inverse, for cell corners.
        width: Columns.
        height: Rows.
        bounds: west, south, east, north in `crs`.
    """

    path: Path
    crs: str = field(repr=False)  # may be a definition that is not public
    to_cell: tuple[float, ...]
    to_xy: tuple[float, ...]
    width: int
    height: int
    bounds: tuple[float, float, float, float]

    @property
    def cell_size(self) -> float:
        """Side of a square as large as one cell, units of `crs`."""
        a, b, _, d, e, _ = self.to_xy
        return float(abs(a * e - b * d) ** 0.5)

    def cells(self, xy: Floats) -> Floats:
        """(n, 2) x, y in `crs` to column, row as fractions, 0 at the outer corner of the first cell."""
        return _affine(self.to_cell, xy)

    def centres(self, row: Ints, column: Ints) -> Floats:
        """(n, 2) x, y of cell centres."""
        return _affine(self.to_xy, np.column_stack([column + 0.5, row + 0.5]))


@dataclass(frozen=True, slots=True)
class Header:
    """What opening a sheet found besides its place: for the notes of the mosaic."""

    sheet: Sheet
    bands: int
    units: str
    placeholder: float | None


def _affine(m: tuple[float, ...], xy: Floats) -> Floats:
    x, y = xy[:, 0], xy[:, 1]
    with np.errstate(invalid="ignore"):  # a point PROJ could not transform stays not finite
        return np.column_stack([m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]])


def read_header(path: Path, crs: str | None) -> Header:
    """Opens one sheet and reads what it says of itself.

    Args:
        path: File GDAL can read.
        crs: CRS that overrides the file's, or None.

    Raises:
        SourceError: It is no raster, or has no place on the ground.
        CrsError: It has no CRS and none is given.
    """
    with opened(path) as data:
        if data.transform.is_identity:
            raise SourceError(
                "the raster is not georeferenced: it has neither a geotransform nor a world file",
                file=path,
                next_step="put the world file (.tfw, .wld) beside it, or export it again as GeoTIFF",
            )
        if data.count == 0:
            raise SourceError(
                "the file holds no raster band of its own", file=path, next_step="name one of its subdatasets"
            )
        to_xy = tuple(data.transform)[:6]
        size = np.array([data.width, data.height], dtype=np.float64)
        corners = _affine(to_xy, size * [[0, 0], [1, 0], [0, 1], [1, 1]])
        (west, south), (east, north) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        sheet = Sheet(
            path,
            crs or _crs_text(data, path),
            tuple(~data.transform)[:6],
            to_xy,
            data.width,
            data.height,
            (west, south, east, north),
        )
        return Header(sheet, data.count, (data.units or ("",))[0] or "", _untagged(data))


def _crs_text(data: Any, path: Path) -> str:
    if not data.crs:
        raise CrsError(
            "the raster has no coordinate reference system",
            file=path,
            next_step='write `raster_crs = "EPSG:..."` beside `raster` in twin.toml; ask the supplier which one it is',
        )
    code = data.crs.to_epsg()
    text = f"EPSG:{code}" if code else data.crs.to_wkt()
    parse_crs(text)
    return str(text)


def _untagged(data: Any) -> float | None:
    """A placeholder among the cells that the file does not declare as nodata; None where a look found none."""
    windows = _look_at(data.width, data.height)
    cells = np.concatenate([data.read(1, window=window, masked=True).compressed() for window in windows])
    found = [value for value in PLACEHOLDERS if (cells == value).any()]
    if found:
        return found[0]
    huge = cells[np.abs(cells.astype(np.float64)) > _ABSURD]
    return float(huge[0]) if len(huge) and np.isfinite(huge[0]) else None


def _look_at(width: int, height: int) -> list[Window]:
    """All of a small sheet; of a large one the corners, where nodata lies, and the middle."""
    if width * height <= _PROBE**2:
        return [Window(0, 0, width, height)]
    wide, high = min(width, _PROBE // 4), min(height, _PROBE // 4)
    places = ((0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5))
    return [Window(int(x * (width - wide)), int(y * (height - high)), wide, high) for x, y in places]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The dataset, open for reading.

    Raises:
        SourceError: GDAL cannot open it, or fails while it is read.
    """
    # that a sheet is not georeferenced is said in our own words by read_header
    with caught_warnings("ignore", NotGeoreferencedWarning), rasterio.Env():
        _use_own_proj()
        try:
            with rasterio.open(path) as data:
                yield data
        except RasterioError as error:
            raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> SourceError:
    """The error for a sheet that cannot be read."""
    return SourceError(
        f"the raster cannot be read: {error}", file=path, next_step="check that the file is whole and a raster"
    )


def _use_own_proj() -> None:
    """Points rasterio's PROJ at the files it came with: a PROJ_DATA meant for another PROJ would break its CRSs."""
    own = Path(rasterio.__file__).parent / "proj_data"
    if own.is_dir():
        set_proj_data_search_path(str(own))


class SheetReader:
    """Cell values of sheets by position; keeps a few files open, reads at most a block at a time."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, Any] = OrderedDict()

    def __enter__(self) -> SheetReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def values(self, sheet: Sheet, row: Ints, column: Ints) -> Floats:
        """Values of cells that lie inside the sheet; NaN where there is no data.

        Args:
            sheet: The sheet.
            row: (n,) rows, 0 at the top.
            column: (n,) columns.
        """
        found = np.full(len(row), np.nan)
        block = (row // _BLOCK) * (sheet.width // _BLOCK + 1) + column // _BLOCK
        order = np.argsort(block, kind="stable")
        cut = np.flatnonzero(np.diff(block[order])) + 1
        for some in np.split(order, cut) if len(order) else ():
            found[some] = self._window(sheet, row[some], column[some])
        return found

    def _window(self, sheet: Sheet, row: Ints, column: Ints) -> Floats:
        top, left = int(row.min()), int(column.min())
        window = Window(left, top, int(column.max()) - left + 1, int(row.max()) - top + 1)
        data = self._dataset(sheet.path)
        try:
            cells = data.read(1, window=window, masked=True)
        except RasterioError as error:
            raise unreadable(sheet.path, error) from error
        return _plain(cells[row - top, column - left], data.scales[0], data.offsets[0])

    def _dataset(self, path: Path) -> Any:
        if path not in self._open:
            if len(self._open) >= _OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()
            try:
                self._open[path] = rasterio.open(path)
            except RasterioError as error:
                raise unreadable(path, error) from error
        self._open.move_to_end(path)
        return self._open[path]


def _plain(cells: np.ma.MaskedArray[Any, Any], scale: float, offset: float) -> Floats:
    """Float64 in the unit the file declares, NaN for nodata, placeholders and absurd values."""
    raw = np.ma.filled(cells.astype(np.float64), np.nan)
    nothing = np.isin(raw, PLACEHOLDERS) | ~(np.abs(raw) < _ABSURD)
    return np.where(nothing, np.nan, raw * scale + offset)
