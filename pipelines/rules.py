"""From the rules of `twin.toml` to the rules the modeller evaluates, with their rasters opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.project import (
    AttributeGround,
    AttributeHeight,
    ConstantGround,
    DemGround,
    DsmHeight,
    Project,
    Source,
    StoreysHeight,
    resolve_rasters,
)
from twin.crs.reference import Crs
from twin.modelling import heights
from twin.report import Issue

if TYPE_CHECKING:
    from twin.sources.raster import RasterMosaic


@dataclass(frozen=True, slots=True)
class SourceRules:
    """The rules of one source, ready for `heights.evaluate`.

    Attributes:
        height, ground: In order of precedence.
        rasters: Sheets by key.
        raster_crs: What the project says of their CRS, by key.
    """

    height: tuple[heights.HeightRule, ...]
    ground: tuple[heights.GroundRule, ...]
    rasters: dict[str, tuple[Path, ...]]
    raster_crs: dict[str, str | None]

    @property
    def needs_polygons(self) -> bool:
        """True where a rule asks a raster."""
        return bool(self.rasters)


def source_rules(project: Project, source: Source) -> SourceRules:
    """Translates the rules of a source and finds their raster sheets.

    Raises:
        ProjectError: A raster path matches nothing.
    """
    rasters: dict[str, tuple[Path, ...]] = {}
    crs: dict[str, str | None] = {}

    def key(rule: DsmHeight | DemGround, name: str) -> str:
        rasters[name] = tuple(resolve_rasters(project, source, rule))
        crs[name] = rule.raster_crs
        return name

    height: list[heights.HeightRule] = []
    for number, rule in enumerate(source.height):
        if isinstance(rule, AttributeHeight):
            height.append(heights.AttributeRule(rule.field, rule.unit, rule.meaning))
        elif isinstance(rule, StoreysHeight):
            height.append(heights.StoreysRule(rule.field, rule.storey_height_m, rule.by_class))
        else:
            height.append(heights.DsmRule(key(rule, f"height {number}"), rule.percentile, rule.inset_m))
    ground: list[heights.GroundRule] = []
    for number, floor in enumerate(source.ground):
        if isinstance(floor, ConstantGround):
            ground.append(heights.GroundConstant(floor.elevation_m))
        elif isinstance(floor, AttributeGround):
            ground.append(heights.GroundAttribute(floor.field, floor.unit))
        else:
            statistic = floor.percentile if floor.percentile is not None else floor.statistic
            ground.append(heights.GroundDem(key(floor, f"ground {number}"), statistic))
    return SourceRules(tuple(height), tuple(ground), rasters, crs)


@lru_cache(maxsize=64)
def open_mosaic(paths: tuple[Path, ...], crs: str | None) -> RasterMosaic:
    """The sheets read as one; opened once a process."""
    from twin.sources.raster import RasterMosaic  # brings in rasterio, which projects without rasters do not need

    return RasterMosaic.open(list(paths), crs)


def raster_notes(rules: SourceRules) -> tuple[Issue, ...]:
    """What was found on opening the rasters of a source."""
    return tuple(
        note for key, paths in rules.rasters.items() for note in open_mosaic(paths, rules.raster_crs[key]).notes
    )


def height_context(rules: SourceRules, source: Source, crs: Crs, max_height_m: float) -> heights.HeightContext:
    """What the rules of a source are evaluated in."""
    return heights.HeightContext(
        crs=crs,
        rasters={key: open_mosaic(paths, rules.raster_crs[key]) for key, paths in rules.rasters.items()},
        class_field=source.fields.class_,
        min_height_field=source.fields.min_height,
        min_height_unit=source.fields.min_height_unit,
        max_height_m=max_height_m,
    )
