"""The elevation a building stands on, by the ground rules in the order the project states them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.errors import MisuseError
from twin.modelling.numbers import lengths

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Elevations no building on land has, metres; whatever lies beyond is a placeholder or a slip.
GROUND_RANGE_M = (-500.0, 9000.0)
#: Codes for "unknown" that lie inside that range.
GROUND_PLACEHOLDERS = (999.0, 999.9, 999.99)
#: Share of the cells under a footprint that must have data for a raster's answer to be taken without a remark.
COVERED_ENOUGH = 0.9
CONSTANT = "constant"
DEM = "dem"


class ZonalValues(Protocol):
    """What a raster answers about footprints (see `twin.sources.raster.Zonal`)."""

    @property
    def values(self) -> Floats:
        """(n, k) statistics, NaN where there is nothing."""

    @property
    def pixels(self) -> Ints:
        """(n,) cells behind them."""

    @property
    def outside(self) -> Bools:
        """(n,) True where no sheet is near."""

    @property
    def covered(self) -> Floats:
        """(n,) share of the footprint where there are data, 0 to 1."""


class ZonalReader(Protocol):
    """A raster that can be asked about footprints; `twin.sources.raster.RasterMosaic` is one."""

    def zonal(
        self, polygons: NDArray[np.object_], crs: Any, statistics: Sequence[str | float], inset_m: float = 0.0
    ) -> ZonalValues:
        """Statistics of the raster under each polygon."""


@dataclass(frozen=True, slots=True)
class GroundDem:
    """Ground from a terrain model under the footprint.

    Attributes:
        raster: Key into the rasters of the context.
        statistic: "lowest", "median" or a percentile.
    """

    raster: str
    statistic: str | float = "lowest"


@dataclass(frozen=True, slots=True)
class GroundAttribute:
    """Ground from an attribute that holds an elevation.

    Attributes:
        field: Column.
        unit: m, cm, dm, ft or us-ft.
    """

    field: str
    unit: str = "m"


@dataclass(frozen=True, slots=True)
class GroundConstant:
    """One stated elevation for every footprint no earlier rule answered."""

    elevation_m: float


GroundRule = GroundDem | GroundAttribute | GroundConstant


@dataclass(frozen=True, slots=True)
class Ground:
    """Ground elevations of a block.

    Attributes:
        elevation_m: (n,) NaN where no rule gave one.
        source: (n,) index into `names`, -1 where none.
        names: "dem", "attribute:<field>", "constant".
        outside_raster: (n,) True where a terrain model was asked and had nothing.
        partly_covered: (n,) True where the elevation rests on a part of the footprint, the model having no more.
    """

    elevation_m: Floats
    source: NDArray[np.int8]
    names: tuple[str, ...]
    outside_raster: Bools
    partly_covered: Bools


def column(attributes: pa.Table, field: str) -> pa.ChunkedArray:
    """A column by name.

    Raises:
        MisuseError: The source has no such field, or several.
    """
    found = attributes.schema.get_all_field_indices(field)
    if len(found) != 1:
        there = ", ".join(attributes.schema.names) or "none"
        what = f'the source has no field "{field}"' if not found else f'the source has several fields "{field}"'
        raise MisuseError(what, next_step=f"name one of its fields: {there}")
    return attributes.column(found[0])


def raster(rasters: Mapping[str, ZonalReader], key: str) -> ZonalReader:
    """A raster by key.

    Raises:
        MisuseError: No raster was opened under that key.
    """
    if key not in rasters:
        raise MisuseError(f'the raster "{key}" of a rule has not been opened', next_step="check `raster` in twin.toml")
    return rasters[key]


def ground(
    attributes: pa.Table,
    polygons: NDArray[np.object_],
    rules: Sequence[GroundRule],
    rasters: Mapping[str, ZonalReader],
    crs: Any,
) -> Ground:
    """Evaluates the ground rules; each is asked only about the rows those before it left open.

    Args:
        attributes: n rows.
        polygons: (n,) footprints in `crs`.
        rules: In order of precedence.
        rasters: Opened rasters by key.
        crs: CRS of the polygons, passed on to the rasters.

    Raises:
        MisuseError: A field, unit or raster is unknown.
    """
    count = len(polygons)
    elevation, source = np.full(count, np.nan), np.full(count, -1, np.int8)
    outside, partly = np.zeros(count, bool), np.zeros(count, bool)
    for number, rule in enumerate(rules):
        still = np.flatnonzero(source < 0)
        found, covered = _ask(rule, attributes, polygons, still, (rasters, crs))
        good = (found > GROUND_RANGE_M[0]) & (found < GROUND_RANGE_M[1])
        if isinstance(rule, GroundDem):
            outside[still[~good]] = True
            partly[still[good & (covered < COVERED_ENOUGH)]] = True
        elevation[still[good]], source[still[good]] = found[good], number
    return Ground(elevation, source, tuple(_name(rule) for rule in rules), outside, partly)


def _ask(
    rule: GroundRule,
    attributes: pa.Table,
    polygons: NDArray[np.object_],
    rows: Ints,
    world: tuple[Mapping[str, ZonalReader], Any],
) -> tuple[Floats, Floats]:
    """One rule's answer for some rows, and the share of each footprint it rests on."""
    if isinstance(rule, GroundConstant):
        return np.full(len(rows), rule.elevation_m), np.ones(len(rows))
    if isinstance(rule, GroundAttribute):
        raw, metres = lengths(column(attributes, rule.field), rule.unit)
        return np.where(np.isin(raw, GROUND_PLACEHOLDERS), np.nan, metres)[rows], np.ones(len(rows))
    rasters, crs = world
    reader = raster(rasters, rule.raster)
    if not len(rows):
        return np.zeros(0), np.zeros(0)
    found = reader.zonal(polygons[rows], crs, [rule.statistic])
    return found.values[:, 0], found.covered


def _name(rule: GroundRule) -> str:
    if isinstance(rule, GroundAttribute):
        return f"attribute:{rule.field}"
    return DEM if isinstance(rule, GroundDem) else CONSTANT
