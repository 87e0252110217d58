"""Looks at the files `twin init` and `twin check` are given: which are base maps, which rasters, and what they tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.init_folder import DEPTH, RASTER_SUFFIXES, data_files, is_folder
from twin.errors import CrsError, MisuseError, SourceError, TwinError

if TYPE_CHECKING:
    from twin.sources.inspect import Inspection

Bounds = tuple[float, float, float, float]
Floats = NDArray[np.float64]
RasterRole = Literal["dem", "dsm", "geoid", "unused"]

_GEOID = re.compile(r"geoid|egm\d*|undulation|似大地水准面|高程异常", re.IGNORECASE)
_ABOVE_GROUND = re.compile(r"ndsm|cdsm|chm|canopy|tdsm|veget", re.IGNORECASE)
_DSM = re.compile(r"(?<![a-z])(dsm|dom|mns|surface|first[_-]?return)(?![a-z])", re.IGNORECASE)
_DEM = re.compile(r"(?<![a-z])(dem|dtm|dgm|mnt|ground|terrain|bare[_-]?earth)(?![a-z])|高程|地形", re.IGNORECASE)
_SAMPLES = 64  # rows and columns looked at in a raster


@dataclass(frozen=True, slots=True)
class Role:
    """A field guessed for a role: which, why, how sure (0 to 1), and for lengths the unit."""

    field: str
    why: str
    confidence: float = 0.5
    unit: str = "m"


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What a look at one field gave."""

    name: str
    type: str
    null_share: float
    distinct_share: float
    low: object = None
    high: object = None
    examples: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table of one file, as `twin.sources.inspect` saw it.

    Attributes:
        path: File.
        table: Name of the table in it.
        siblings: How many tables the file holds.
        driver: Format.
        count: Features.
        kinds: Geometry types and how many of each.
        crs: What the file states, as text for `parse_crs`; may be private.
        crs_name: What may be shown of it.
        bounds: west, south, east, north in that CRS; None where there is no geometry.
        encoding: Encoding of the text.
        encoding_why: How it was found.
        encoding_stated: Whether the file states it, or it was found by looking.
        fields: The attributes.
        roles: Guessed field by role.
        duplicate_ids: Features whose id occurs before.
        duplicates: The policy that fits them, "first" or "union"; None where no id is repeated.
        duplicates_why: The grounds.
        height_classes: The multiparts are height classes rather than buildings.
        height_classes_why: The grounds.
        notes: Oddities, each a sentence.
        doubts: Fields that may play a role but are too uncertain to be taken.
    """

    path: Path
    table: str
    siblings: int
    driver: str
    count: int
    kinds: Mapping[str, int]
    crs: str | None = field(repr=False)
    crs_name: str | None
    bounds: Bounds | None
    encoding: str
    encoding_why: str
    encoding_stated: bool
    fields: tuple[FieldFacts, ...]
    roles: Mapping[str, Role]
    duplicate_ids: int = 0
    duplicates: str | None = None
    duplicates_why: str = ""
    height_classes: bool = False
    height_classes_why: str = ""
    notes: tuple[str, ...] = ()
    doubts: Mapping[str, Role] = field(default_factory=dict)

    @property
    def surfaces(self) -> int:
        """How many features have an area."""
        return sum(number for kind, number in self.kinds.items() if "polygon" in kind)

    @property
    def label(self) -> str:
        """How a message names the table."""
        return self.path.name if self.siblings == 1 else f"{self.path.name}, table {self.table}"


@dataclass(frozen=True, slots=True)
class RasterFacts:
    """One raster: what it is probably, and why.

    Attributes:
        path: File.
        role: What it can serve for.
        why: The reason in one sentence.
        crs: CRS text, None where the file states none; may be private.
        crs_name: What may be shown of it.
        bounds: west, south, east, north in its CRS.
        cell: Side of a cell in its CRS.
        low, high, median: Of a sample of its cells; NaN where all are empty.
    """

    path: Path
    role: RasterRole
    why: str
    crs: str | None = field(repr=False)
    crs_name: str | None
    bounds: Bounds
    cell: float
    low: float = float("nan")
    high: float = float("nan")
    median: float = float("nan")


@dataclass(frozen=True, slots=True)
class Look:
    """Everything found in the files given; `named` are those the user named himself, not found in a folder."""

    tables: tuple[TableFacts, ...]
    rasters: tuple[RasterFacts, ...]
    unreadable: tuple[tuple[Path, str], ...] = ()
    named: frozenset[Path] = frozenset()


def look(files: Sequence[Path], encoding: str | None = None, table: str | None = None) -> Look:
    """Looks at files and folders.

    Args:
        files: Files, or folders whose data files are taken, as far as `init_folder.data_files` enters them.
        encoding: Encoding of the text, overrides what the files state.
        table: Only this table.

    Raises:
        MisuseError: A file does not exist, or none was given.
        SourceError: A file that was named cannot be read.
    """
    tables: list[TableFacts] = []
    rasters: list[RasterFacts] = []
    expanded, closed = _expand(files)
    unreadable = [
        (folder, f"it lies more than {DEPTH} folders deep: name it to have it looked into") for folder in closed
    ]
    for file, named in expanded:
        try:
            if file.suffix.lower() in RASTER_SUFFIXES:
                rasters.append(raster_facts(file))
            else:
                tables += table_facts(file, encoding, table)
        except TwinError as error:
            if named:
                raise
            unreadable.append((file, error.what))
    named_files = frozenset(file for file, named in expanded if named)
    return Look(tuple(tables), tuple(_by_contrast(rasters)), tuple(unreadable), named_files)


def _expand(files: Sequence[Path]) -> tuple[list[tuple[Path, bool]], list[Path]]:
    """The data files, each once, and whether the user named it himself; and the folders that were not entered."""
    found: dict[Path, bool] = {}
    closed: list[Path] = []
    for file in files:
        if not file.exists():
            raise MisuseError("there is no such file or folder", file=file, next_step="check the path")
        if is_folder(file):
            inside = data_files(file)
            if not inside.files:
                raise MisuseError(
                    "the folder holds no file of a known format, nor do the folders inside it",
                    file=file,
                    next_step="name the files themselves",
                )
            found.update({item: found.get(item, False) for item in inside.files})
            closed += inside.closed
        elif file.suffix.lower() in (".dbf", ".shx", ".prj", ".cpg") and file.with_suffix(".shp").exists():
            found[file.with_suffix(".shp")] = True
        else:
            found[file] = True
    return list(found.items()), closed


def table_facts(file: Path, encoding: str | None = None, table: str | None = None) -> list[TableFacts]:
    """What every table of a vector file tells.

    Raises:
        SourceError: The file cannot be read.
    """
    from twin.sources.inspect import inspect
    from twin.sources.vector import ReadOptions

    inspections = inspect(file, ReadOptions(table=table, encoding=encoding))
    return [_facts(inspection, len(inspections)) for inspection in inspections]


def raster_facts(file: Path) -> RasterFacts:
    """What a raster tells.

    Raises:
        SourceError: The file is no raster, or has no place on the ground.
    """
    from twin.sources.sheets import SheetReader, read_header

    try:
        header = read_header(file, None)
        crs: str | None = header.sheet.crs
    except CrsError:
        header, crs = read_header(file, "EPSG:3857"), None
    sheet = header.sheet
    row = np.linspace(0, sheet.height - 1, min(sheet.height, _SAMPLES)).astype(np.int64)
    column = np.linspace(0, sheet.width - 1, min(sheet.width, _SAMPLES)).astype(np.int64)
    grid = np.meshgrid(row, column, indexing="ij")
    with SheetReader() as reader:
        cells = reader.values(sheet, grid[0].ravel(), grid[1].ravel())
    cells = cells[np.isfinite(cells)]
    role, why = _role(file, header.bands, cells)
    spread = (float(cells.min()), float(cells.max()), float(np.median(cells))) if len(cells) else (np.nan,) * 3
    return RasterFacts(file, role, why, crs, shown_name(crs), sheet.bounds, sheet.cell_size, *spread)


def shown_name(crs: str | None) -> str | None:
    """What may be shown of a CRS definition: its code, or that it is private."""
    from twin.crs.reference import parse_crs

    if crs is None:
        return None
    try:
        return parse_crs(crs).name
    except CrsError:
        return "unknown CRS"


_NAMED: tuple[tuple[re.Pattern[str], RasterRole, str], ...] = (
    (_GEOID, "geoid", "its name says geoid undulations"),
    (_ABOVE_GROUND, "unused", "its name says heights above ground (vegetation or normalised), not elevations of roofs"),
    (_DSM, "dsm", "its name says surface model"),
    (_DEM, "dem", "its name says terrain model"),
)


def _role(file: Path, bands: int, cells: Floats) -> tuple[RasterRole, str]:
    if bands >= 3:
        return "unused", f"it has {bands} bands: an image"
    name = file.stem.replace("_", " ")
    named = [(role, why) for pattern, role, why in _NAMED if pattern.search(name)]
    return named[0] if named else _role_by_values(cells)


def _role_by_values(cells: Floats) -> tuple[RasterRole, str]:
    if len(cells) == 0:
        return "unused", "it holds no data where it was looked at"
    if (cells == np.round(cells)).all() and len(np.unique(cells)) <= 24:
        return "unused", "it holds few whole numbers only: classes rather than elevations"
    spread = f"its values ({cells.min():g} to {cells.max():g})"
    if cells.min() < -500 or cells.max() > 9000:
        return "unused", f"{spread} are no elevations in metres"
    return "dem", f"{spread} look like elevations; its name says nothing"


def _by_contrast(rasters: list[RasterFacts]) -> Iterable[RasterFacts]:
    """Of two unnamed elevation rasters over one place the higher one is the surface."""
    unnamed = [item for item in rasters if item.role == "dem" and item.why.endswith("says nothing")]
    named = [item for item in rasters if item.role == "dem" and item not in unnamed]
    for item in rasters:
        lower = [
            other
            for other in (*named, *unnamed)
            if other is not item and overlap(other.bounds, item.bounds) > 0.5 and other.median < item.median - 0.5
        ]
        if item in unnamed and lower:
            yield replace(item, role="dsm", why=f"it lies higher than {lower[0].path.name} over the same place")
        else:
            yield item


def overlap(one: Bounds, other: Bounds) -> float:
    """Share of the area of `other` that lies inside `one`."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    area = (other[2] - other[0]) * (other[3] - other[1])
    return max(0.0, width) * max(0.0, height) / area if area > 0 else 0.0


#: What `twin.sources.guess` calls a role, and what the project file does.
_ROLES = {"ground": "base", "roof": "roof_elevation"}


def _facts(inspection: Inspection, siblings: int) -> TableFacts:
    """The one place that knows the names of `twin.sources.inspect`."""
    best = {role: inspection.best(role) for role in inspection.guesses}
    roles = {
        _ROLES.get(role, role): Role(guess.field, guess.why, guess.confidence, guess.unit or "m")
        for role, guess in best.items()
        if guess is not None
    }
    repeated = inspection.duplicates
    advice = repeated.advice if repeated is not None and repeated.count and "id" in roles else None
    return TableFacts(
        path=inspection.path,
        table=inspection.table,
        siblings=siblings,
        driver=inspection.driver,
        count=inspection.count,
        kinds={kind: count for kind, count in inspection.geometry_types.items() if count},
        crs=inspection.crs,
        crs_name=shown_name(inspection.crs),
        bounds=inspection.bounds,
        encoding=inspection.encoding.name,
        encoding_why=inspection.encoding.why,
        encoding_stated=inspection.encoding.certain and inspection.encoding.finding is None,
        fields=tuple(
            FieldFacts(f.name, f.type, f.null_share, f.distinct_share, f.minimum, f.maximum, f.examples)
            for f in inspection.fields
        ),
        roles=roles,
        duplicate_ids=inspection.duplicate_ids if advice else 0,
        duplicates=advice,
        duplicates_why=repeated.why if repeated is not None else "",
        height_classes=inspection.multipart_height_classes,
        height_classes_why=inspection.multipart_why,
        notes=inspection.notes,
        doubts={
            role: Role(candidates[0].field, candidates[0].why, candidates[0].confidence)
            for role, candidates in inspection.guesses.items()
            if best[role] is None and candidates
        },
    )


__all__ = [
    "FieldFacts", "Look", "RasterFacts", "Role", "SourceError", "TableFacts",
    "look", "overlap", "raster_facts", "shown_name", "table_facts",
]  # fmt: skip
