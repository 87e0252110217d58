"""A first look at a file, before anything is built: what is in it, what its fields seem to mean, and what is odd."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from twin.crs.reference import parse_crs
from twin.errors import CrsError, MisuseError
from twin.sources.container import locate
from twin.sources.encoding import EncodingGuess
from twin.sources.guess import FieldSummary, Guess, duplicated, guess_fields, summarise, with_confidence
from twin.sources.keys import key_text
from twin.sources.layer import list_tables
from twin.sources.osm import SUFFIXES as OSM_SUFFIXES
from twin.sources.parquet import is_parquet
from twin.sources.vector import ReadOptions, SourceBlock, VectorSource, open_source

SAMPLE_ROWS: Final = 200_000
_SAMPLE_BLOCKS: Final = 10
_KINDS: Final = {3: "polygon", 6: "multipolygon"}


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What the rows with a repeated id look like.

    Attributes:
        count: Rows that repeat an id an earlier row has.
        ids: Ids that occur more than once.
        advice: "first" (the repetitions are copies), "union" (they are touching pieces), or None (they lie apart: the
            field is no id, or the data are wrong).
        why: The grounds, one sentence.
        examples: Up to five of the ids.
    """

    count: int
    ids: int
    advice: str | None
    why: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """One table, looked at.

    Attributes:
        path, table, driver: Where it is and what format it has.
        count: Number of features.
        sampled: Number of features looked at; less than `count` in very large files.
        geometry_types: "polygon", "multipolygon", "other", "empty", "null" to their number among those looked at.
        crs: As `VectorSource.crs`.
        crs_name: For people; None where there is no CRS or it is unknown to PROJ.
        bounds: West, south, east, north in the source CRS; None where no geometry has coordinates.
        has_z: True where some geometry has heights of its own.
        encoding: How the text is encoded, and how that was found.
        fields: What each field holds.
        guesses: Role to its candidates, best first; see `guess.guess_fields`.
        duplicates: Repeated ids of the best "id" guess, counted on the whole column; None without such a guess.
        duplicate_ids: `duplicates.count`, or 0.
        multipart_height_classes: True where the features are classes scattered over the map, not buildings.
        multipart_why: The grounds, and the advice; empty otherwise.
        notes: Oddities, each a sentence.
    """

    path: Path
    table: str
    driver: str
    count: int
    sampled: int
    geometry_types: Mapping[str, int]
    crs: str | None
    crs_name: str | None
    bounds: tuple[float, float, float, float] | None
    has_z: bool
    encoding: EncodingGuess
    fields: tuple[FieldSummary, ...]
    guesses: Mapping[str, tuple[Guess, ...]]
    duplicates: Duplicates | None
    multipart_height_classes: bool
    multipart_why: str
    notes: tuple[str, ...]

    @property
    def duplicate_ids(self) -> int:
        """Rows that repeat an id an earlier row has."""
        return 0 if self.duplicates is None else self.duplicates.count

    def best(self, role: str, at_least: float = 0.5) -> Guess | None:
        """The best candidate of a role, if it is sure enough to be taken without asking."""
        candidates = self.guesses.get(role, ())
        return candidates[0] if candidates and candidates[0].confidence >= at_least else None


@dataclass(frozen=True, slots=True)
class _Look:
    """Blocks put together: attributes and geometry of the sample, statistics of all that was read."""

    attributes: pa.Table
    geometry: NDArray[np.object_]
    kinds: Counter[str]
    bounds: tuple[float, float, float, float] | None
    has_z: bool
    rows: int
    notes: tuple[str, ...]


def inspect(path: Path | str, options: ReadOptions | None = None) -> list[Inspection]:
    """Looks at every table of a vector file, or at the one that is named.

    Args:
        path: The file.
        options: Table, CRS, encoding as they will be read.

    Returns:
        One inspection a table.

    Raises:
        SourceError: The file cannot be read.
        MisuseError: The named table is not there.
    """
    options = options or ReadOptions()
    path = Path(path)
    return [inspect_source(open_source(path, each), each) for each in _tables(path, options)]


def _tables(path: Path, options: ReadOptions) -> list[ReadOptions]:
    one = options.table is not None or not path.exists() or path.suffix.lower() in OSM_SUFFIXES or is_parquet(path)
    if one:
        return [options]
    try:
        names = list_tables(path, locate(path))
    except MisuseError:  # a zip that holds several files: open_source says so
        return [options]
    return [replace(options, table=name) for name in names] if len(names) > 1 else [options]


def inspect_source(source: VectorSource, options: ReadOptions | None = None) -> Inspection:
    """Looks at one opened table; see `inspect`."""
    options = options or ReadOptions()
    look = _read(source)
    fields = summarise(look.attributes)
    made_up = [source.fid_column] if source.driver == "GPKG" and source.fid_column else []
    guesses = guess_fields(look.attributes, fields, skip=made_up)
    duplicates = None
    if "id" in guesses:
        duplicates = find_duplicates(source, look, guesses["id"][0].field)
        if duplicates.count and duplicates.advice is None:
            guesses["id"][0] = with_confidence(guesses["id"][0], 0.5, duplicates.why)
    scattered, scattered_why = height_classes(look.geometry)
    return Inspection(
        path=source.path,
        table=source.table,
        driver=source.driver,
        count=source.count,
        sampled=look.rows,
        geometry_types={kind: look.kinds[kind] for kind in ("polygon", "multipolygon", "other", "empty", "null")},
        crs=source.crs,
        crs_name=crs_name(source.crs),
        bounds=look.bounds,
        has_z=look.has_z,
        encoding=source.encoding_guess,
        fields=fields,
        guesses={role: tuple(candidates) for role, candidates in guesses.items()},
        duplicates=duplicates,
        multipart_height_classes=scattered,
        multipart_why=scattered_why,
        notes=tuple(dict.fromkeys((*source.notes, *look.notes))),
    )


def crs_name(crs: str | None) -> str | None:
    """The name of a CRS for people; None where it is missing or PROJ does not know it."""
    if crs is None:
        return None
    try:
        return str(parse_crs(crs).pyproj.name)
    except CrsError:
        return None


def _read(source: VectorSource) -> _Look:
    stride = 1 if source.splittable else max(math.ceil(source.count / SAMPLE_ROWS), 1)
    tables, shapes, kinds, boxes, rows = [], [], Counter[str](), [], 0
    notes: list[str] = []
    has_z = False
    for block in _sample(source):
        rows += len(block)
        kinds.update(count_kinds(block.geometry))
        boxes.append(shapely.total_bounds(block.geometry))
        has_z = has_z or bool(np.isfinite(block.z_min).any())
        notes += block.notes
        notes += _reason_notes(block)
        kept = np.arange(0, len(block), stride)
        tables.append(block.attributes.take(pa.array(kept)) if stride > 1 else block.attributes)
        shapes.append(block.geometry[kept])
    empty = pa.table({item.name: pa.array([], item.type) for item in source.fields}, schema=source.fields)
    return _Look(
        attributes=pa.concat_tables(tables, promote_options="permissive") if tables else empty,
        geometry=np.concatenate(shapes) if shapes else np.empty(0, dtype=object),
        kinds=kinds,
        bounds=_join(boxes),
        has_z=has_z,
        rows=rows,
        notes=tuple(notes),
    )


def _sample(source: VectorSource) -> Iterator[SourceBlock]:
    if not source.splittable or source.count <= SAMPLE_ROWS:
        yield from source.blocks()
        return
    size = SAMPLE_ROWS // _SAMPLE_BLOCKS
    for start in np.linspace(0, source.count - size, _SAMPLE_BLOCKS).astype(np.int64):
        yield source.read_block(int(start), size)


def _reason_notes(block: SourceBlock) -> Iterator[str]:
    for code, count in sorted(Counter(block.reasons.values()).items()):
        row = min(row for row, reason in block.reasons.items() if reason == code)
        yield f"{count} features with {code}, first in row {block.first_row + row}"


def _join(boxes: list[NDArray[np.float64]]) -> tuple[float, float, float, float] | None:
    finite = [box for box in boxes if np.isfinite(box).all()]
    if not finite:
        return None
    stacked = np.stack(finite)
    low, high = stacked[:, :2].min(axis=0), stacked[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def count_kinds(geometry: NDArray[np.object_]) -> Counter[str]:
    """How many geometries are polygons, multipolygons, other, empty and null; each counted once."""
    codes = shapely.get_type_id(geometry)
    missing, empty = shapely.is_missing(geometry), shapely.is_empty(geometry)
    held = codes[~missing & ~empty]
    found = Counter({"null": int(missing.sum()), "empty": int(empty.sum())})
    for code, count in zip(*np.unique(held, return_counts=True), strict=True):
        found[_KINDS.get(int(code), "other")] += int(count)
    return found


def find_duplicates(source: VectorSource, look: _Look, field: str) -> Duplicates:
    """Counts repeated ids on the whole column and looks at the geometry of those in the sample."""
    whole = look.attributes.column(field) if look.attributes.num_rows == source.count else source.column(field)
    repeated = duplicated(whole)
    keys = key_text(whole).filter(pa.array(repeated)) if repeated.any() else pa.array([], pa.string())
    ids = keys.unique()
    advice, why = _advice(look, field) if len(ids) else (None, "every id occurs once")
    if len(ids) == 0:
        return Duplicates(0, 0, None, why, ())
    return Duplicates(len(keys) - len(ids), len(ids), advice, why, tuple(ids[:5].to_pylist()))


def _advice(look: _Look, field: str) -> tuple[str | None, str]:
    seen = np.flatnonzero(duplicated(look.attributes.column(field)))
    if len(seen) == 0:
        return None, "ids are repeated, but none of the repetitions is in the sample"
    codes = key_text(look.attributes.column(field).take(pa.array(seen))).dictionary_encode().indices
    order = np.argsort(codes.to_numpy(), kind="stable")
    groups, rows = codes.to_numpy()[order], seen[order]
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    leader = np.repeat(first, np.diff(np.append(first, len(groups))))
    later = np.setdiff1d(np.arange(len(groups)), first)
    here, there = look.geometry[rows[later]], look.geometry[rows[leader[later]]]
    same = shapely.equals(shapely.normalize(here), shapely.normalize(there))
    gap = shapely.distance(here, there)
    size = np.sqrt(np.maximum(shapely.area(here), 0.0))
    touching = np.nan_to_num(gap, nan=np.inf) <= 0.05 * np.maximum(size, 1e-9)
    copies, pieces = float(same.mean()), float((touching | same).mean())
    if copies >= 0.95:
        return "first", f"{copies:.0%} of the repetitions are copies of the first"
    if pieces >= 0.9:
        return "union", f"{pieces:.0%} of the repetitions touch or overlap the first: pieces of one thing"
    return None, f"only {pieces:.0%} of the repetitions touch the first: the field is hardly an id"


def height_classes(geometry: NDArray[np.object_]) -> tuple[bool, str]:
    """Tells a table of height classes (each a multipolygon scattered over the map) from a table of buildings.

    Args:
        geometry: (n,) geometries.

    Returns:
        Whether it is one, and why.
    """
    shapes = geometry[~shapely.is_missing(geometry) & ~shapely.is_empty(geometry)]
    shapes = shapes[shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON]
    parts = shapely.get_num_geometries(shapes)
    many = parts >= 5
    if not many.any() or parts.sum() < 0.8 * len(geometry) + 4 * many.sum() or many.sum() < 0.5 * len(geometry):
        return False, ""
    hulls = shapely.area(shapely.envelope(shapes[many]))
    fill = float(np.median(shapely.area(shapes[many]) / np.where(hulls > 0, hulls, np.inf)))
    if fill > 0.2:
        return False, ""
    return True, (
        f"{int(many.sum())} of {len(geometry)} features have {int(np.median(parts[many]))} parts each (median) that "
        f'cover {fill:.0%} of their extent: classes, not buildings. Set `multipart = "explode"`'
    )
