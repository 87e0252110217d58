"""An export: which entities of release or history, in which format and CRS; a file is whole or not there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.export_history import Moment, pin, snapshot_table
from pipelines.export_where import filtered, read_filter
from pipelines.project import FILE_NAME, Project, output_path
from twin import __version__
from twin.crs.reference import Crs, base_geographic, parse_crs
from twin.crs.vertical import parse_vertical
from twin.entity.index import EntityIndex
from twin.errors import MisuseError, StoreError
from twin.export.about import About
from twin.export.entities import Entities, Selection, select
from twin.registry.versions import Time, Window
from twin.store.release import open_current


class Form(StrEnum):
    """Formats of an export."""

    GPKG = "gpkg"
    PARQUET = "parquet"
    CITYJSON = "cityjson"
    CITYJSONSEQ = "cityjsonseq"
    GEOJSONSEQ = "geojsonseq"


#: Endings of file names and what they stand for; the longest that fits counts.
ENDINGS = {
    ".gpkg": Form.GPKG,
    ".parquet": Form.PARQUET,
    ".geoparquet": Form.PARQUET,
    ".city.json": Form.CITYJSON,
    ".city.jsonl": Form.CITYJSONSEQ,
    ".geojsonl": Form.GEOJSONSEQ,
    ".geojsons": Form.GEOJSONSEQ,
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported.

    Attributes:
        form: Format; None takes it from the ending of the file.
        selection: Which entities.
        where: A filter in CQL2, text or JSON, that they must meet as well; coordinates in degrees. "" is none.
        datetime: Moment in the world; with it or `as_of` the history is asked, else the served release.
        as_of: What was known then.
        crs: CRS to write; "" takes the working CRS, or degrees where that is private.
        force: Replace the file.
    """

    form: Form | None = None
    selection: Selection = field(default_factory=Selection)
    datetime: Time | None = None
    as_of: Time | None = None
    crs: str = ""
    force: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written.

    Attributes:
        path: The file.
        form: Its format.
        entities: How many entities it holds.
        crs: Its CRS.
        bytes: Its size.
        about: Release, or moment, and what else the file says of itself.
        notes: Counts of what the format could not say: `without_geometry`, `without_parent`.
    """

    path: Path
    form: Form
    entities: int
    crs: str
    bytes: int
    about: About
    notes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As `twin export --json` prints it."""
        return {
            "file": str(self.path),
            "format": self.form.value,
            "entities": self.entities,
            "crs": self.crs,
            "bytes": self.bytes,
            **self.about.facts(),
            **self.notes,
        }


def export(project: Project, path: Path, options: ExportOptions | None = None) -> ExportResult:
    """Writes entities to a file; the same selection gives the same bytes.

    Raises:
        MisuseError: The format is not known, the file exists, the CRS may not be written, the history is empty, or the
            filter cannot be answered.
        StoreError: Nothing has been built yet, or the disk refuses.
        CrsError: The CRS is unknown, or its datum has no good link to that of the project.
    """
    options = options or ExportOptions()
    form = options.form or form_of(path)
    _check_target(project, path, options.force)
    crs = export_crs(project, options.crs, form)
    staged = path.with_name(f".writing-{path.name}")
    try:
        with open_entities(project, options) as (entities, about):
            staged.unlink(missing_ok=True)
            notes = _write(entities, crs, about, (form, staged))
            count = len(entities)
        staged.replace(path)
    except OSError as error:
        next_step = "free disk space, check the folder and the rights"
        raise StoreError(f"cannot be written ({error.strerror or error})", file=path, next_step=next_step) from error
    finally:
        for left in (staged, staged.with_name(staged.name + "-journal")):
            left.unlink(missing_ok=True)
    return ExportResult(path, form, count, crs.name, path.stat().st_size, about, notes)


def form_of(path: Path) -> Form:
    """The format that the ending of a file name stands for.

    Raises:
        MisuseError: It stands for none.
    """
    name = path.name.casefold()
    fitting = [ending for ending in ENDINGS if name.endswith(ending)]
    if not fitting:
        endings = ", ".join(ENDINGS)
        raise MisuseError("the ending tells no format", file=path, next_step=f"use --format, or one of {endings}")
    return ENDINGS[max(fitting, key=len)]


def _check_target(project: Project, path: Path, force: bool) -> None:
    if path.is_dir():
        raise MisuseError("it is a folder", file=path, next_step="name a file in it")
    if path.exists() and (not force or path.resolve() == project.file.resolve() or path.name == FILE_NAME):
        raise MisuseError("the file exists", file=path, next_step="choose another name, or --force to replace it")


def export_crs(project: Project, text: str, form: Form) -> Crs:
    """The CRS of the file.

    Raises:
        MisuseError: It is private, or the format has another one fixed.
        CrsError: It is unknown.
    """
    working = parse_crs(project.project.working_crs)
    if form is Form.GEOJSONSEQ:
        if text and parse_crs(text).name not in ("EPSG:4326", "OGC:CRS84"):
            raise MisuseError("GeoJSON is always in WGS 84 degrees", next_step="leave --crs out, or take --format gpkg")
        return parse_crs("EPSG:4326")
    crs = parse_crs(text) if text else working if working.public else _degrees(working)
    if not crs.public or crs.kind != "proj":
        raise MisuseError(
            f"{crs.name} cannot be written into a file that says what its coordinates are",
            next_step="write a code such as EPSG:4490 (CGCS2000 degrees) or EPSG:4549",
        )
    return crs


def _degrees(working: Crs) -> Crs:
    """Longitude and latitude for a working CRS that must not be shown: CGCS2000 where it rests on that, else WGS 84."""
    datum = base_geographic(working).pyproj.datum
    chinese = datum is not None and datum.name.casefold().replace("_", " ").startswith(("china 2000", "cgcs"))
    return parse_crs("EPSG:4490" if chinese else "EPSG:4326")


@contextmanager
def open_entities(project: Project, options: ExportOptions) -> Iterator[tuple[Entities, About]]:
    """The chosen entities of the served release, or of the history where a time is given.

    Raises:
        StoreError: Nothing has been built, or it is damaged.
        MisuseError: A time is given and the history is empty, or the filter cannot be answered.
    """
    working = parse_crs(project.project.working_crs)
    node = read_filter(options.where) if options.where.strip() else None

    def chosen(table: pa.Table) -> Entities:
        rows = select(table, options.selection)
        return Entities(table, rows if node is None else filtered(table, rows, working, node), working)

    if options.datetime is None and options.as_of is None:
        release = open_current(output_path(project))
        table = EntityIndex.open(release.index).table
        about = replace(_about(project), release=release.id)
        yield chosen(table), about
        return
    with tempfile.TemporaryDirectory(prefix="twin-export-", ignore_cleanup_errors=True) as folder:
        table, moment = _snapshot(project, options, Path(folder))
        about = replace(_about(project), datetime=moment.valid.isoformat(), as_of=moment.as_of.isoformat())
        yield chosen(table), about


def _snapshot(project: Project, options: ExportOptions, folder: Path) -> tuple[Any, Moment]:
    from pipelines.lower_end import lower_ends
    from pipelines.project_registry import registry_location
    from twin.registry.open import open_history

    wanted = options.selection
    history = open_history(registry_location(project), project.project.authority, read_only=True)
    try:
        moment = pin(history, options.datetime, options.as_of)
        window = Window(
            valid=moment.valid, as_of=moment.as_of, bbox=wanted.bbox, classes=wanted.classes, geids=wanted.geids
        )
        table = snapshot_table(history, window, folder)
        return table.append_column("min_height_m", pa.array(lower_ends(project, table))), moment
    finally:
        history.close()


def _about(project: Project) -> About:
    facts = project.project
    datum = parse_vertical(facts.vertical_datum)
    return About(
        title=facts.name,
        admin_code=facts.admin_code,
        authority=facts.authority or facts.admin_code,
        vertical_datum=datum.name,
        vertical_epsg=datum.code,
        program=f"twin {__version__}",
    )


def _write(entities: Entities, crs: Crs, about: About, target: tuple[Form, Path]) -> dict[str, int]:
    """Calls the writer of a format; gives the counts of what it could not say."""
    form, path = target
    if form is Form.GPKG:
        from twin.export.geopackage import write_geopackage

        write_geopackage(entities, crs, about, path)
    elif form is Form.PARQUET:
        from twin.export.geoparquet import write_geoparquet

        write_geoparquet(entities, crs, about, path)
    elif form is Form.GEOJSONSEQ:
        from twin.export.geojsonseq import write_geojsonseq

        write_geojsonseq(entities, path)
    else:
        from twin.export.cityjson import write_cityjson

        told = write_cityjson(entities, crs, about, path, sequence=form is Form.CITYJSONSEQ)
        return {"without_geometry": told.without_geometry, "without_parent": told.without_parent}
    return {}
