"""Reads geoid undulations out of a raster in longitude and latitude, however large, wherever its seam lies.

This is the one place outside `twin/sources/raster.py` that opens a raster: the geoid belongs to the vertical datum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from twin.caught import caught_warnings
from twin.errors import CrsError

FloatArray = npt.NDArray[np.float64]
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class GeoidGrid:
    """A georeferenced grid of undulations.

    Attributes:
        path: The raster; band 1 counts.
        west, north: Longitude and latitude of the first node (centre of the first pixel), degrees.
        step_lon, step_lat: Distance of nodes, degrees; `step_lat` is negative where rows run south.
        columns, rows: Number of nodes.
        stamp: Modification time and size, so that a changed file is read anew.
    """

    path: Path
    west: float
    north: float
    step_lon: float
    step_lat: float
    columns: int
    rows: int
    stamp: tuple[int, int]

    @classmethod
    def open(cls, path: Path) -> GeoidGrid:
        """Reads the georeference of a raster.

        Raises:
            CrsError: It cannot be read, is not georeferenced, rotated, or not in longitude and latitude.
        """
        if not path.is_file():
            raise CrsError(
                "the geoid grid does not exist",
                file=path,
                next_step="correct `geoid_grid`; the path counts from twin.toml",
            )
        try:
            with caught_warnings("error", NotGeoreferencedWarning), rasterio.open(path) as raster:
                return cls._from_raster(path, raster)
        except (RasterioError, NotGeoreferencedWarning) as error:
            raise CrsError(
                f"the geoid grid cannot be used: {error}", file=path, next_step="convert it to a GeoTIFF in EPSG:4326"
            ) from error

    @classmethod
    def _from_raster(cls, path: Path, raster: rasterio.DatasetReader) -> GeoidGrid:
        t = raster.transform
        if raster.crs is not None and not raster.crs.is_geographic:
            raise CrsError(
                "the geoid grid is not in longitude and latitude", file=path, next_step="warp it to EPSG:4326"
            )
        if t.b or t.d or t.a <= 0 or not t.e:
            raise CrsError("the geoid grid is rotated or mirrored", file=path, next_step="warp it to EPSG:4326")
        north, west = t.f + t.e / 2, t.c + t.a / 2
        if abs(north) > 91 or abs(north + (raster.height - 1) * t.e) > 91:
            raise CrsError(
                "the geoid grid does not lie in degrees of latitude", file=path, next_step="warp it to EPSG:4326"
            )
        status = path.stat()
        return cls(path, west, north, t.a, t.e, raster.width, raster.height, (status.st_mtime_ns, status.st_size))

    @property
    def goes_round(self) -> bool:
        """True where the columns go all the way round the Earth, so that the last one is next to the first."""
        return abs(self.columns * self.step_lon - 360.0) < 0.5 * self.step_lon

    def at(self, lon: FloatArray, lat: FloatArray) -> FloatArray:
        """Bilinear undulation in metres, (n,); NaN where a node that counts has no data.

        Longitudes may be given in -180..180 or 0..360, whatever the grid uses. Up to half a step outside the
        outermost nodes (the outer half of the outer pixels) the outermost value holds.

        Raises:
            CrsError: A point lies outside the grid.
        """
        column = np.mod(lon - self.west + 0.5 * self.step_lon, 360.0) / self.step_lon - 0.5
        row = (lat - self.north) / self.step_lat
        tolerance = 0.5 + 1e-9
        outside = (row < -tolerance) | (row > self.rows - 1 + tolerance)
        if not self.goes_round:
            outside |= column > self.columns - 1 + tolerance
        self._refuse(outside, lon, lat)
        return self._bilinear(
            column if self.goes_round else np.clip(column, 0, self.columns - 1), np.clip(row, 0, self.rows - 1)
        )

    def _refuse(self, outside: npt.NDArray[np.bool_], lon: FloatArray, lat: FloatArray) -> None:
        if outside.any():
            first = int(np.argmax(outside))
            south, north = sorted((self.north, self.north + (self.rows - 1) * self.step_lat))
            raise CrsError(
                f"{int(outside.sum())} points lie outside the geoid grid "
                f"(the first at lon {lon[first]:.5f}, lat {lat[first]:.5f}; the grid covers "
                f"{self.west:.3f} to {self.west + (self.columns - 1) * self.step_lon:.3f}, {south:.3f} to {north:.3f})",
                file=self.path,
                next_step="use a grid that covers the project, or `geoid_undulation_m`",
            )

    def _bilinear(self, column: FloatArray, row: FloatArray) -> FloatArray:
        c0, r0 = np.floor(column), np.floor(row)
        fc, fr = column - c0, row - r0
        out = np.zeros(len(column))
        for dc, dr, weight in (
            (0, 0, (1 - fc) * (1 - fr)),
            (1, 0, fc * (1 - fr)),
            (0, 1, (1 - fc) * fr),
            (1, 1, fc * fr),
        ):
            used = weight > 0
            out[used] += weight[used] * self._nodes(
                (c0[used] + dc).astype(np.int64) % self.columns, (r0[used] + dr).astype(np.int64)
            )
        return out

    def _nodes(self, column: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> FloatArray:
        """Values of nodes, block by block, so that memory does not grow with the grid."""
        out = np.empty(len(column))
        blocks = (row // _BLOCK) * (self.columns // _BLOCK + 1) + column // _BLOCK
        for block in np.unique(blocks):
            chosen = blocks == block
            at = divmod(int(block), self.columns // _BLOCK + 1)
            values = _read_block(self.path, self.stamp, *at)
            out[chosen] = values[row[chosen] - at[0] * _BLOCK, column[chosen] - at[1] * _BLOCK]
        return out


@lru_cache(maxsize=64)
def _read_block(path: Path, stamp: tuple[int, int], block_row: int, block_column: int) -> FloatArray:  # noqa: ARG001
    """A window of band 1 in metres, NaN where there is no data; `stamp` is only there to be part of the key."""
    top, left = block_row * _BLOCK, block_column * _BLOCK
    try:
        with rasterio.open(path) as raster:
            window = Window(left, top, min(_BLOCK, raster.width - left), min(_BLOCK, raster.height - top))
            values = raster.read(1, window=window, masked=True)
            scaled = values.astype(np.float64) * raster.scales[0] + raster.offsets[0]
    except RasterioError as error:
        raise CrsError(f"the geoid grid cannot be read: {error}", file=path, next_step="check the file") from error
    filled = np.asarray(scaled.filled(np.nan), np.float64)
    return np.where(np.isfinite(filled), filled, np.nan)
