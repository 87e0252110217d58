"""How high each building is, and how we know: the height rules in the order the project states them (decision D5).

A rule that gives no valid height passes on to the next. Nothing is invented: a row no rule answered keeps NaN and
a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.errors import MisuseError
from twin.modelling.ground import (
    CONSTANT,
    COVERED_ENOUGH,
    Ground,
    GroundAttribute,
    GroundConstant,
    GroundDem,
    GroundRule,
    ZonalReader,
    column,
    ground,
    raster,
)
from twin.modelling.numbers import counts, lengths

__all__ = [
    "AttributeRule", "DsmRule", "GroundAttribute", "GroundConstant", "GroundDem", "GroundRule", "HeightContext",
    "HeightRule", "Heights", "StoreysRule", "ZonalReader", "evaluate",
]  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: What programs and people write for "unknown". A value that would read as an ordinary height in the unit of its rule
#: (999 cm) is not taken for one; zero and less are invalid anyway.
PLACEHOLDERS = (999.0, 999.9, 999.99, 9999.0, 9999.9, 9999.99, 99999.0, 999999.0, 32767.0, 65535.0)
_ORDINARY_M = 90.0

#: Confidence, 0 to 1, that the height is right to about a storey. Fixed by the kind of evidence, not by its value.
CONFIDENCE_MEASURED = 0.9  # surveyed height, or roof elevation over a ground that is itself known
CONFIDENCE_ROOF_OVER_CONSTANT = 0.7  # roof elevation over one stated ground elevation
CONFIDENCE_DSM = (0.4, 0.8)  # one raster cell .. DSM_CELLS_ENOUGH cells and more inside the footprint
CONFIDENCE_STOREYS = 0.5  # storey heights vary from 2.8 to 4.5 m
DSM_CELLS_ENOUGH = 50


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """Height from an attribute.

    Attributes:
        field: Column.
        unit: m, cm, dm, ft or us-ft, of values that state none themselves.
        meaning: "above_ground", or "roof_elevation" in the vertical datum of the ground.
    """

    field: str
    unit: str = "m"
    meaning: str = "above_ground"

    def __post_init__(self) -> None:
        if self.meaning not in ("above_ground", "roof_elevation"):
            raise MisuseError(
                f'unknown meaning "{self.meaning}" of a height', next_step='write "above_ground" or "roof_elevation"'
            )


@dataclass(frozen=True, slots=True)
class DsmRule:
    """Height from a surface model: a percentile inside the shrunk footprint, less the ground.

    Attributes:
        raster: Key into the rasters of the context.
        percentile: 0 to 100.
        inset_m: How far the footprint is shrunk, so that walls and the trees beside them do not count.
        least_height_m: Below this the surface model shows no building (not yet built, or demolished).
    """

    raster: str
    percentile: float = 75.0
    inset_m: float = 1.0
    least_height_m: float = 0.5


@dataclass(frozen=True, slots=True)
class StoreysRule:
    """Height from the number of storeys.

    Attributes:
        field: Column.
        storey_height_m: Height of one storey.
        by_class: Another one for some values of the class field.
    """

    field: str
    storey_height_m: float
    by_class: Mapping[str, float] = default(default_factory=dict)


HeightRule = AttributeRule | DsmRule | StoreysRule


@dataclass(frozen=True, slots=True)
class HeightContext:
    """What the rules are evaluated in.

    Attributes:
        crs: Working CRS of the polygons, handed to the rasters as it is.
        rasters: Opened rasters by the keys the rules use.
        class_field: Column `by_class` is looked up in.
        min_height_field: Column with the height of the lower end above ground (a bridge house, a part on columns).
        min_height_unit: Its unit.
        max_height_m: Above this a height is a mistake.
        placeholders: Raw values that mean "unknown".
    """

    crs: Any = None
    rasters: Mapping[str, ZonalReader] = default(default_factory=dict)
    class_field: str | None = None
    min_height_field: str | None = None
    min_height_unit: str = "m"
    max_height_m: float = 1000.0
    placeholders: tuple[float, ...] = PLACEHOLDERS


@dataclass(frozen=True, slots=True)
class Heights:
    """Heights of a block of n rows. All elevations in the vertical datum of the sources.

    Attributes:
        base_m: (n,) ground elevation; NaN where no rule gave one. The solid starts at `base_m + min_height_m`.
        height_m: (n,) height of the roof above ground; NaN where no rule gave one.
        roof_m: (n,) `base_m + height_m`.
        min_height_m: (n,) height of the lower end above ground, 0 in the ordinary case.
        source: (n,) dictionary<string>: "attribute:<field>", "dsm", "storeys" or null.
        confidence: (n,) f32, 0 to 1; NaN where there is no height.
        ground_source: (n,) dictionary<string>: "dem", "attribute:<field>", "constant" or null.
        reason_row, reason_code: (k,) rows and reason codes, ordered by row; a row may have several.
    """

    base_m: Floats
    height_m: Floats
    roof_m: Floats
    min_height_m: Floats
    source: pa.DictionaryArray
    confidence: NDArray[np.float32]
    ground_source: pa.DictionaryArray
    reason_row: Ints
    reason_code: NDArray[np.object_]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """(row, code) pairs."""
        return list(zip(self.reason_row.tolist(), self.reason_code.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Block:
    """A block and what is known of its ground."""

    attributes: pa.Table
    polygons: NDArray[np.object_]
    ground: Ground
    context: HeightContext


@dataclass(frozen=True, slots=True)
class _Answer:
    """One rule's answer for some rows.

    Attributes:
        height_m: NaN where it said nothing.
        valid: Whether it can be taken.
        confidence: 0 to 1.
        partly_covered: Where it rests on a part of the footprint; None for a rule that asks no raster.
    """

    height_m: Floats
    valid: Bools
    confidence: Floats
    partly_covered: Bools | None = None


def evaluate(
    attributes: pa.Table,
    polygons: NDArray[np.object_],
    height_rules: Sequence[HeightRule],
    ground_rules: Sequence[GroundRule],
    context: HeightContext,
) -> Heights:
    """Heights of a block of footprints.

    Args:
        attributes: n rows of source attributes.
        polygons: (n,) shapely footprints in the working CRS; only looked at by rules that ask a raster.
        height_rules: In order of precedence.
        ground_rules: In order of precedence.
        context: Rasters, fields and limits.

    Returns:
        Heights with a reason for each row no rule answered: `ground_missing` where there is no ground to stand on (and
        then no other), else `height_missing` where every rule found nothing, `height_invalid` where one found a value
        that cannot be.

    Raises:
        MisuseError: A rule names a field, unit or raster that does not exist.
    """
    polygons = np.asarray(polygons, dtype=object)
    block = _Block(
        attributes, polygons, ground(attributes, polygons, ground_rules, context.rasters, context.crs), context
    )
    count = len(polygons)
    height, confidence = np.full(count, np.nan), np.full(count, np.nan)
    source, spoke = np.full(count, -1, np.int8), np.zeros(count, bool)
    partly = block.ground.partly_covered.copy()
    for number, rule in enumerate(height_rules):
        still = np.flatnonzero(source < 0)
        answer = _ask(rule, block, still)
        got = still[answer.valid]
        height[got], confidence[got] = answer.height_m[answer.valid], answer.confidence[answer.valid]
        source[got] = number
        spoke[still] |= ~np.isnan(answer.height_m)
        if answer.partly_covered is not None:
            partly[got] |= answer.partly_covered[answer.valid]
    lower, wrong = _min_height(block, height)
    remarks = {"raster_partly_covers": partly, "min_height_invalid": wrong}
    rows, codes = _reasons(block.ground, source < 0, spoke, remarks)
    base = block.ground.elevation_m
    return Heights(
        base,
        height,
        base + height,
        lower,
        _named(source, tuple(_name(rule) for rule in height_rules)),
        confidence.astype(np.float32),
        _named(block.ground.source, block.ground.names),
        rows,
        codes,
    )


def _ask(rule: HeightRule, block: _Block, rows: Ints) -> _Answer:
    if isinstance(rule, AttributeRule):
        return _by_attribute(rule, block, rows)
    return _by_storeys(rule, block, rows) if isinstance(rule, StoreysRule) else _by_dsm(rule, block, rows)


def _by_attribute(rule: AttributeRule, block: _Block, rows: Ints) -> _Answer:
    raw, metres = (values[rows] for values in lengths(column(block.attributes, rule.field), rule.unit))
    unknown = _is_placeholder(raw, metres, block.context)
    confidence = np.full(len(rows), CONFIDENCE_MEASURED)
    if rule.meaning == "roof_elevation":
        metres = metres - block.ground.elevation_m[rows]
        stated = [number for number, name in enumerate(block.ground.names) if name == CONSTANT]
        confidence[np.isin(block.ground.source[rows], stated)] = CONFIDENCE_ROOF_OVER_CONSTANT
    return _Answer(metres, _possible(metres, block.context) & ~unknown, confidence)


def _by_storeys(rule: StoreysRule, block: _Block, rows: Ints) -> _Answer:
    number = counts(column(block.attributes, rule.field))[rows]
    metres = number * _storey_height(rule, block)[rows]
    unknown = _is_placeholder(number, metres, block.context)
    return _Answer(metres, _possible(metres, block.context) & ~unknown, np.full(len(rows), CONFIDENCE_STOREYS))


def _storey_height(rule: StoreysRule, block: _Block) -> Floats:
    """(n,) height of one storey: that of the row's class, else the general one."""
    count = len(block.polygons)
    if not rule.by_class:
        return np.full(count, rule.storey_height_m)
    if block.context.class_field is None:
        raise MisuseError(
            "a storeys rule has heights by class, but the source has no class field",
            next_step="name it: `class` under [source.fields]",
        )
    text = pc.cast(column(block.attributes, block.context.class_field), pa.string())
    place = pc.index_in(text, value_set=pa.array(list(rule.by_class), pa.string()))
    index = pc.fill_null(place, len(rule.by_class)).to_numpy().astype(np.int64)
    heights: Floats = np.array([*rule.by_class.values(), rule.storey_height_m], dtype=np.float64)[index]
    return heights


def _by_dsm(rule: DsmRule, block: _Block, rows: Ints) -> _Answer:
    reader = raster(block.context.rasters, rule.raster)
    rows_known = np.isfinite(block.ground.elevation_m[rows])
    metres, pixels, covered = np.full(len(rows), np.nan), np.zeros(len(rows)), np.ones(len(rows))
    asked = rows[rows_known]
    if len(asked):
        found = reader.zonal(block.polygons[asked], block.context.crs, [rule.percentile], inset_m=rule.inset_m)
        metres[rows_known] = found.values[:, 0] - block.ground.elevation_m[asked]
        pixels[rows_known], covered[rows_known] = found.pixels, found.covered
    low, high = CONFIDENCE_DSM
    confidence = low + (high - low) * np.minimum(pixels / DSM_CELLS_ENOUGH, 1.0)
    valid = _possible(metres, block.context) & (metres >= rule.least_height_m)
    return _Answer(metres, valid, confidence, covered < COVERED_ENOUGH)


def _possible(metres: Floats, context: HeightContext) -> Bools:
    return (metres > 0) & (metres <= context.max_height_m)


def _is_placeholder(raw: Floats, metres: Floats, context: HeightContext) -> Bools:
    return np.isin(raw, context.placeholders) & (metres >= _ORDINARY_M)


def _min_height(block: _Block, height: Floats) -> tuple[Floats, Bools]:
    """(n,) lower ends, 0 where unstated or wrong; and where they were wrong."""
    name = block.context.min_height_field
    if name is None:
        return np.zeros(len(height)), np.zeros(len(height), bool)
    _, metres = lengths(column(block.attributes, name), block.context.min_height_unit)
    wrong = (metres < 0) | (metres >= height)
    return np.where((metres > 0) & ~wrong, metres, 0.0), wrong


def _reasons(
    ground_found: Ground, unanswered: Bools, spoke: Bools, remarks: Mapping[str, Bools]
) -> tuple[Ints, NDArray[np.object_]]:
    standing = ground_found.source >= 0
    cases = {
        "ground_missing": ~standing,
        "ground_outside_raster": standing & ground_found.outside_raster,
        "height_invalid": standing & unanswered & spoke,
        "height_missing": standing & unanswered & ~spoke,
        **remarks,
    }
    found = [np.flatnonzero(rows) for rows in cases.values()]
    row = np.concatenate(found)
    code = np.repeat(np.array(list(cases), dtype=object), [len(rows) for rows in found])
    order = np.argsort(row, kind="stable")
    return row[order], code[order]


def _named(index: NDArray[np.int8], names: tuple[str, ...]) -> pa.DictionaryArray:
    """Dictionary array with each name once, sorted, so that blocks with the same rules unify cheaply."""
    unique = sorted(set(names))
    number = np.array([unique.index(name) for name in names] + [0], dtype=np.int8)[index]
    return pa.DictionaryArray.from_arrays(pa.array(number, mask=index < 0), pa.array(unique, pa.string()))


def _name(rule: HeightRule) -> str:
    if isinstance(rule, AttributeRule):
        return f"attribute:{rule.field}"
    return "storeys" if isinstance(rule, StoreysRule) else "dsm"
