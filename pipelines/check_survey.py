"""Reads every feature of a source once and keeps what a report needs: counts, examples, a sample to draw."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.init_files import Bounds, Look, TableFacts
from pipelines.init_project import choose_tables, group_sheets
from pipelines.progress import Progress, Quiet
from pipelines.project import (
    AttributeHeight,
    DemGround,
    DsmHeight,
    Project,
    StoreysHeight,
    crs_text,
    resolve_paths,
    resolve_rasters,
)
from twin.crs.reference import parse_crs
from twin.errors import CrsError, MisuseError, SourceError
from twin.modelling.numbers import counts, lengths
from twin.sources.keys import key_text
from twin.sources.raster import RasterMosaic
from twin.sources.vector import ReadOptions, SourceBlock, open_source

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Geometries = NDArray[np.object_]
Rule = AttributeHeight | StoreysHeight

#: How many invalid polygons are kept to be drawn, and how many footprints the map shows.
PICTURES = 24
DRAWN = 2500
_SAMPLED = 50_000
_PLACEHOLDERS = (999.0, 9999.0, 99999.0, -999.0, -9999.0)
_PLACE = re.compile(r"\[(-?[\d.eE+-]+) (-?[\d.eE+-]+)")


@dataclass(frozen=True, slots=True)
class RasterUse:
    """Raster sheets that give ground or roofs to a source."""

    kind: str
    paths: tuple[Path, ...]
    crs: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be checked: one dataset and how it is to be read.

    Attributes:
        name: Name of the source.
        files: Its map sheets.
        table, encoding: How to read them.
        crs: CRS definition that overrides the files'; may be private.
        id_field: Field that identifies a feature.
        rules: Rules that take the height from a field, in order.
        rasters: Terrain and surface models.
        max_height_m: A greater height is absurd.
        multipart, duplicates: Policies of the project, None without a project.
    """

    name: str
    files: tuple[Path, ...]
    table: str | None = None
    encoding: str | None = None
    crs: str | None = field(default=None, repr=False)
    id_field: str | None = None
    rules: tuple[Rule, ...] = ()
    storeys_field: str | None = None
    rasters: tuple[RasterUse, ...] = ()
    max_height_m: float = 1000.0
    multipart: str | None = None
    duplicates: str | None = None


@dataclass(frozen=True, slots=True)
class InvalidShape:
    """An invalid polygon: which, why, where (coordinates of the source), and the shape itself."""

    feature: str
    reason: str
    place: tuple[float, float] | None
    shape: shapely.Geometry
    area_change: float


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one height rule found in its field.

    Attributes:
        label: The rule in words.
        values: (k,) usable heights in metres.
        missing: Features without a number.
        refused: Features with zero, a negative, a placeholder or an absurd number.
    """

    label: str
    values: Floats
    missing: int
    refused: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the sampled footprints a raster covers with data."""

    kind: str
    sheets: int
    covered: int
    sampled: int
    low: float
    high: float


@dataclass(slots=True)
class Survey:
    """What was found in one source."""

    subject: Subject
    facts: tuple[TableFacts, ...] = ()
    driver: str = ""
    crs: str | None = field(default=None, repr=False)
    encoding: str = ""
    read: int = 0
    bounds: Bounds | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    parts: Counter[int] = field(default_factory=Counter)
    invalid: int = 0
    pictures: list[InvalidShape] = field(default_factory=list)
    heights: list[RuleResult] = field(default_factory=list)
    storeys: Floats = field(default_factory=lambda: np.zeros(0))
    with_height: int = 0
    surfaces: int = 0
    no_id: int = 0
    duplicates: list[tuple[str, int]] = field(default_factory=list)
    duplicate_ids: int = 0
    drawn: Geometries = field(default_factory=lambda: np.zeros(0, object))
    drawn_state: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    coverage: list[Coverage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def subjects_of_project(project: Project) -> Iterator[Subject]:
    """What a project's sources ask to be checked.

    Raises:
        ProjectError: A path matches nothing.
    """
    for source in project.sources:
        rasters = [
            RasterUse(rule.from_, tuple(resolve_rasters(project, source, rule)), rule.raster_crs)
            for rule in (*source.height, *source.ground)
            if isinstance(rule, DsmHeight | DemGround)
        ]
        yield Subject(
            name=source.name,
            files=tuple(resolve_paths(project, source)),
            table=source.table,
            encoding=source.encoding,
            crs=crs_text(project, source),
            id_field=source.fields.id,
            rules=tuple(rule for rule in source.height if isinstance(rule, AttributeHeight | StoreysHeight)),
            storeys_field=source.fields.storeys,
            rasters=tuple(rasters),
            max_height_m=project.layers[source.layer].max_height_m,
            multipart=source.multipart,
            duplicates=source.duplicates,
        )


def subjects_of_files(found: Look) -> Iterator[Subject]:
    """What files without a project ask to be checked: fields are guessed.

    Raises:
        MisuseError: No file holds polygons.
    """
    rasters = tuple(RasterUse(item.role, (item.path,)) for item in found.rasters if item.role in ("dem", "dsm"))
    for group in group_sheets(choose_tables(found)[0]):
        first = group[0]
        fields = {role: guess.field for role, guess in first.roles.items()}
        rules: list[Rule] = []
        if "height" in fields:
            rules.append(AttributeHeight.model_validate({"from": "attribute", "field": fields["height"]}))
        if "storeys" in fields:
            rules.append(
                StoreysHeight.model_validate({"from": "storeys", "field": fields["storeys"], "storey_height_m": 3.0})
            )
        yield Subject(
            name=first.label if len(group) == 1 else f"{first.path.parent.name} ({len(group)} sheets)",
            files=tuple(table.path for table in group),
            table=first.table if first.siblings > 1 else None,
            id_field=fields.get("id"),
            rules=tuple(rules),
            storeys_field=fields.get("storeys"),
            rasters=rasters,
        )


def survey(subject: Subject, facts: Sequence[TableFacts] = (), progress: Progress | None = None) -> Survey:
    """Reads a whole source.

    Args:
        subject: What to read.
        facts: What a first look at its files gave, for the table of fields.
        progress: Told how far the reading is.

    Raises:
        SourceError: A file cannot be read.
    """
    result = Survey(subject, tuple(facts))
    gathered = _Gathered()
    for file in subject.files:
        _read(file, result, gathered, progress or Quiet())
    _heights(result, gathered)
    _identity(result, gathered)
    _coverage(result, gathered)
    return result


@dataclass(slots=True)
class _Gathered:
    """Columns collected over all blocks; a few numbers a feature."""

    raw: list[list[Floats]] = field(default_factory=list)
    metres: list[list[Floats]] = field(default_factory=list)
    storeys: list[Floats] = field(default_factory=list)
    surface: list[Bools] = field(default_factory=list)
    ids: list[pa.Array] = field(default_factory=list)
    points: list[Floats] = field(default_factory=list)
    drawn: list[Geometries] = field(default_factory=list)
    drawn_row: list[NDArray[np.int64]] = field(default_factory=list)
    drawn_bad: list[Bools] = field(default_factory=list)


def _read(file: Path, result: Survey, gathered: _Gathered, progress: Progress) -> None:
    subject = result.subject
    source = open_source(file, ReadOptions(table=subject.table, crs=subject.crs, encoding=subject.encoding))
    result.driver, result.encoding = source.driver, source.encoding
    if result.crs is None:
        result.crs = source.crs
    elif source.crs is not None and source.crs != result.crs:
        result.notes.append(f"{file.name} states another CRS than the sheets before it")
    result.notes += [f"{file.name}: {note}" for note in source.notes]
    named = {
        "id": subject.id_field,
        "storeys": subject.storeys_field,
        **{f"rule {rule.from_}": rule.field for rule in subject.rules},
    }
    for role, name in named.items():
        if name is not None and name not in source.fields.names:
            raise MisuseError(
                f'there is no field "{name}" (for: {role})',
                file=file,
                next_step=f"fields: {', '.join(source.fields.names) or 'none'}",
            )
    step = max(1, source.count * len(subject.files) // DRAWN)
    progress.stage("check", source.count, f"features of {file.name}")
    for block in source.blocks():
        _block(block, result, gathered, step)
        progress.advance(len(block))
        result.notes += [f"{file.name}: {note}" for note in block.notes if note not in result.notes]


def _block(block: SourceBlock, result: Survey, gathered: _Gathered, step: int) -> None:
    shapes = block.geometry
    first = result.read
    result.read += len(shapes)
    result.reasons.update(block.reasons.values())
    missing, empty = shapely.is_missing(shapes), shapely.is_empty(shapes)
    known = np.zeros(len(shapes), bool)
    known[list(block.reasons)] = True
    result.reasons["geometry_missing"] += int((missing & ~known).sum())
    result.reasons["geometry_empty"] += int((empty & ~missing).sum())
    kind = shapely.get_type_id(shapes)
    for number, count in zip(*np.unique(kind, return_counts=True), strict=True):
        result.kinds["null" if number < 0 else shapely.GeometryType(number).name.title()] += int(count)
    surface = np.isin(kind, (3, 6)) & ~empty
    result.reasons["geometry_type"] += int((~surface & ~missing & ~empty).sum())
    result.surfaces += int(surface.sum())
    for number, count in zip(*np.unique(shapely.get_num_geometries(shapes[surface]), return_counts=True), strict=True):
        result.parts[int(number)] += int(count)
    _extent(shapes[surface], result)
    bad = surface & ~shapely.is_valid(shapes)
    result.invalid += int(bad.sum())
    for row in np.flatnonzero(bad)[: max(0, PICTURES - len(result.pictures))].tolist():
        result.pictures.append(_picture(shapes[row], _feature(block, row, first, result.subject.id_field)))
    _columns(block.attributes, result.subject, gathered)
    gathered.surface.append(surface)
    point = np.full((len(shapes), 2), np.nan)
    point[surface] = shapely.get_coordinates(shapely.centroid(shapes[surface]))
    gathered.points.append(point)
    rows = np.flatnonzero(surface & ((np.arange(len(shapes)) + first) % step == 0))
    gathered.drawn.append(shapes[rows])
    gathered.drawn_row.append(rows + first)
    gathered.drawn_bad.append(bad[rows])


def _extent(shapes: Geometries, result: Survey) -> None:
    if len(shapes) == 0:
        return
    west, south, east, north = (float(value) for value in shapely.total_bounds(shapes))
    if not np.isfinite([west, south, east, north]).all():
        return
    old = result.bounds or (west, south, east, north)
    result.bounds = (min(old[0], west), min(old[1], south), max(old[2], east), max(old[3], north))


def _feature(block: SourceBlock, row: int, first: int, id_field: str | None) -> str:
    name = key_text(block.attributes.column(id_field).slice(row, 1))[0].as_py() if id_field else None
    return f"row {first + row}" if name is None else f"{id_field} {name} (row {first + row})"


def _picture(shape: shapely.Geometry, feature: str) -> InvalidShape:
    reason = str(shapely.is_valid_reason(shape))
    found = _PLACE.search(reason)
    place = (float(found[1]), float(found[2])) if found else None
    repaired = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    before, after = abs(shapely.area(shape)), shapely.area(repaired)
    change = abs(after - before) / max(before, after) if max(before, after) > 0 else 0.0
    return InvalidShape(feature, reason.split("[", 1)[0].strip(), place, shape, float(change))


def _columns(table: pa.Table, subject: Subject, gathered: _Gathered) -> None:
    if not gathered.raw:
        gathered.raw = [[] for _ in subject.rules]
        gathered.metres = [[] for _ in subject.rules]
    for number, rule in enumerate(subject.rules):
        if isinstance(rule, AttributeHeight):
            raw, metres = lengths(table.column(rule.field), rule.unit)
        else:
            raw = counts(table.column(rule.field))
            metres = raw * rule.storey_height_m
        gathered.raw[number].append(raw)
        gathered.metres[number].append(metres)
    if subject.storeys_field is not None:
        gathered.storeys.append(counts(table.column(subject.storeys_field)))
    if subject.id_field is not None:
        gathered.ids.append(key_text(table.column(subject.id_field)))


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def _heights(result: Survey, gathered: _Gathered) -> None:
    surface = np.concatenate(gathered.surface) if gathered.surface else np.zeros(0, bool)
    found = np.zeros(len(surface), bool)
    for rule, raws, metres in zip(result.subject.rules, gathered.raw, gathered.metres, strict=True):
        raw, value = _joined(raws), _joined(metres)
        missing = surface & ~np.isfinite(value)
        elevation = isinstance(rule, AttributeHeight) and rule.meaning == "roof_elevation"
        wrong = np.isin(raw, _PLACEHOLDERS) | (value > result.subject.max_height_m) | ((value <= 0) & (not elevation))
        refused = surface & ~missing & wrong
        usable = surface & ~missing & ~wrong
        found |= usable
        result.heights.append(RuleResult(_label(rule), value[usable], int(missing.sum()), int(refused.sum())))
    storeys = _joined(gathered.storeys)
    result.storeys = storeys[np.isfinite(storeys) & surface[: len(storeys)]]
    result.with_height = int(found.sum())
    rows = np.concatenate(gathered.drawn_row) if gathered.drawn_row else np.zeros(0, np.int64)
    result.drawn = np.concatenate(gathered.drawn) if gathered.drawn else result.drawn
    bad = np.concatenate(gathered.drawn_bad) if gathered.drawn_bad else np.zeros(0, bool)
    result.drawn_state = np.where(bad, 2, np.where(found[rows], 0, 1)).astype(np.uint8)


def _label(rule: Rule) -> str:
    if isinstance(rule, StoreysHeight):
        return f"{rule.field} x {rule.storey_height_m:g} m"
    return f"{rule.field} ({rule.unit}, {rule.meaning.replace('_', ' ')})"


def _identity(result: Survey, gathered: _Gathered) -> None:
    if not gathered.ids:
        return
    ids = pa.chunked_array(gathered.ids, pa.string())
    result.no_id = ids.null_count
    tally = pc.value_counts(ids.drop_null().combine_chunks())
    many = tally.filter(pc.greater(tally.field("counts"), 1))
    repeated = sorted(((row["counts"], row["values"]) for row in many.to_pylist()), key=lambda row: (-row[0], row[1]))
    result.duplicate_ids = sum(count - 1 for count, _ in repeated)
    result.duplicates = [(key, count) for count, key in repeated[:20]]


def _coverage(result: Survey, gathered: _Gathered) -> None:
    points = np.concatenate(gathered.points) if gathered.points else np.zeros((0, 2))
    points = points[np.isfinite(points).all(axis=1)]
    points = points[:: max(1, len(points) // _SAMPLED)]
    if result.crs is None or len(points) == 0:
        return
    for use in result.subject.rasters:
        try:
            mosaic = RasterMosaic.open(list(use.paths), use.crs)
            value = mosaic.sample(points[:, 0], points[:, 1], parse_crs(result.crs))
        except (CrsError, SourceError) as error:
            result.notes.append(f"{use.kind} {use.paths[0].name}: {error.what}")
            continue
        if use.kind == "dsm":
            _mark_measured(result, mosaic)
        known = value[np.isfinite(value)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (float("nan"), float("nan"))
        result.coverage.append(Coverage(use.kind, len(use.paths), len(known), len(points), low, high))


def _mark_measured(result: Survey, mosaic: RasterMosaic) -> None:
    """Footprints to be drawn whose height can be measured in the surface model."""
    assert result.crs is not None
    x, y = shapely.get_coordinates(shapely.centroid(result.drawn)).T if len(result.drawn) else np.zeros((2, 0))
    measured = np.isfinite(mosaic.sample(x, y, parse_crs(result.crs)))
    result.drawn_state[measured & (result.drawn_state == 1)] = 3
