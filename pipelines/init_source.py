"""Decides what `twin init` writes for one source: CRS, encoding, fields, policies, height and ground rules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.init_files import RasterFacts, Role, TableFacts, overlap
from pipelines.init_text import Blank, Entry, Section
from pipelines.project_model import METRES_PER_UNIT
from twin.crs.reference import Crs, check_plausible, parse_crs
from twin.crs.suggest import Suggestion, geographic_bounds, in_china, suggest_working_crs
from twin.errors import CrsError, MisuseError
from twin.report import Severity
from twin.sources.keys import key_text
from twin.sources.vector import ReadOptions, open_source

_STOREY_M = 3.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What the user said with flags; None where nothing was said."""

    crs: str | None = None
    vertical: str | None = None
    undulation: str | None = None
    name: str | None = None
    admin_code: str | None = None
    working_crs: str | None = None
    ground: float | None = None
    storey_height: float | None = None
    id: str | None = None
    height: str | None = None
    storeys: str | None = None
    encoding: str | None = None
    table: str | None = None


# ----------------------------------------------------------------------------------------------------------- CRS


@dataclass(frozen=True, slots=True)
class SourceCrs:
    """The CRS of a source: parsed, and the line to write (None: the file says it)."""

    crs: Crs | None
    entry: Entry


@dataclass(frozen=True, slots=True)
class Situation:
    """What surrounds a source: rasters, the user's answers, and the folder of `twin.toml`."""

    rasters: tuple[RasterFacts, ...]
    answers: Answers
    folder: Path


def source_crs(table: TableFacts, situation: Situation, *, lacking: bool) -> SourceCrs:
    """The CRS of a source: --crs answers for files that state none; where all state one, it overrides them all.

    Args:
        table: The first sheet.
        situation: What surrounds it.
        lacking: Whether any source of the project states no CRS.

    Raises:
        CrsError: --crs cannot be understood.
    """
    answer = situation.answers.crs
    if answer and (table.crs is None or not lacking):
        return _given_crs(table, answer, situation.folder)
    if table.crs is not None:
        try:
            crs = parse_crs(table.crs)
        except CrsError as error:
            blank = Blank(f"the CRS of {table.path.name}; what the file states cannot be used: {error.what}")
            return SourceCrs(None, Entry("crs", blank))
        note = f"stated by the file{_china_caution(crs, table)}{_misfit(crs, table)}"
        return SourceCrs(crs, Entry("crs", crs.name, note, off=True))
    return SourceCrs(None, Entry("crs", Blank(_ask_crs(table))))


def _given_crs(table: TableFacts, text: str, folder: Path) -> SourceCrs:
    file = Path(text)
    if len(text) < 1000 and file.is_file():
        crs = parse_crs(file.read_text(encoding="utf-8-sig"))
        return SourceCrs(
            crs, Entry("crs_file", written_path(file, folder), "definition of the coordinates; never logged")
        )
    crs = parse_crs(text)
    stated = f"the file states {table.crs_name}" if table.crs else "the file states none"
    return SourceCrs(crs, Entry("crs", text, f"given with --crs; {stated}{_misfit(crs, table)}"))


def _misfit(crs: Crs, table: TableFacts) -> str:
    """What speaks against a CRS, loudly; empty where the coordinates fit it."""
    if table.bounds is None:
        return ""
    found = [issue for issue in check_plausible(crs, table.bounds) if issue.severity is Severity.ERROR]
    return "".join(f"; !!! {issue.text}: {issue.next_step}" for issue in found)


def _china_caution(crs: Crs, table: TableFacts) -> str:
    if crs.name != "EPSG:4326" or table.bounds is None:
        return ""
    west, south, east, north = table.bounds
    if not in_china((west + east) / 2, (south + north) / 2):
        return ""
    return '; data from a Chinese web map are shifted by some 500 m: then write crs = "gcj02" or "bd09"'


def _looks_like_degrees(table: TableFacts) -> bool:
    if table.bounds is None:
        return False
    west, south, east, north = table.bounds
    return -180 <= west <= east <= 180 and -90 <= south <= north <= 90


def _ask_crs(table: TableFacts) -> str:
    text = f"the CRS of {table.path.name}, which states none"
    if table.bounds is None:
        return text
    west, south, east, north = table.bounds
    text += f" (x {west:.6g} to {east:.6g}, y {south:.6g} to {north:.6g}"
    if not _looks_like_degrees(table):
        return text + ': metres of some projection?), e.g. "EPSG:4549"; ask whoever made the file'
    if in_china((west + east) / 2, (south + north) / 2):
        return text + ': degrees, in China?): "EPSG:4490", "EPSG:4326", "gcj02" or "bd09"; ask whoever made the file'
    return text + ': degrees?), e.g. "EPSG:4326"; ask whoever made the file'


def lies_in_china(source: SourceCrs, table: TableFacts) -> bool | None:
    """Whether the middle of a source lies in China; None where nothing tells where it lies."""
    if table.bounds is None:
        return None
    box = table.bounds if source.crs is None and _looks_like_degrees(table) else None
    try:
        box = geographic_bounds(source.crs, table.bounds) if source.crs is not None else box
    except CrsError:
        return None
    return None if box is None else in_china((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def working_crs(source: SourceCrs, table: TableFacts, answers: Answers) -> Entry:
    """The line with the CRS to compute in."""
    note = "the build measures in it"
    if answers.working_crs:
        return Entry("working_crs", answers.working_crs, note)
    suggestion = _suggest(source, table)
    if suggestion.text is None:
        return Entry(
            "working_crs",
            Blank(
                'a projected CRS in metres for this place, e.g. "EPSG:4549" (CGCS2000 / 3-degree Gauss-Kruger CM 120E)'
            ),
            suggestion.why,
        )
    return Entry("working_crs", suggestion.text, note, suggestion.why)


def _suggest(source: SourceCrs, table: TableFacts) -> Suggestion:
    if table.bounds is None:
        return Suggestion(None, "no coordinates were found")
    if source.crs is None and not _looks_like_degrees(table):
        return Suggestion(None, "the CRS of the source is unknown")
    try:
        return suggest_working_crs(source.crs, table.bounds)
    except CrsError as error:
        return Suggestion(None, error.what)


# ------------------------------------------------------------------------------------------------------ [[source]]


def source_sections(group: Sequence[TableFacts], name: str, crs: SourceCrs, situation: Situation) -> list[Section]:
    """The tables of one source.

    Args:
        group: Its map sheets.
        name: Its name.
        crs: Its CRS.
        situation: What surrounds it.

    Raises:
        MisuseError: A flag names a field that is not there.
    """
    first, answers, folder = group[0], situation.answers, situation.folder
    roles = _roles(group, answers)
    entries = [
        Entry("name", name, "part of every source key: never change it once published"),
        Entry("path", _path(group, folder), f"{len(group)} map sheets of one dataset" if len(group) > 1 else ""),
    ]
    if first.siblings > 1:
        entries.append(Entry("table", first.table, guess=f"one of {first.siblings} tables; {first.surfaces} polygons"))
    entries += [crs.entry, *_encoding(first, answers), *_policies(group, shared_ids(group))]
    sections = [Section("[[source]]", tuple(entries), _summary(group))]
    if fields := list(_fields(roles, first.doubts)):
        sections.append(Section("[source.fields]", tuple(fields)))
    placed = [item for item in situation.rasters if covers(item, crs.crs, first)]
    heights = list(_heights(roles, placed, crs, situation))
    grounds = list(_grounds(roles, placed, crs, situation))
    if not heights:
        remark = Entry("", note="no height rule: nothing gives a height, so every footprint is drawn flat and reported")
        sections[-1] = Section(sections[-1].header, (*sections[-1].entries, remark), sections[-1].remark)
    return [*sections, *heights, *grounds]


def _summary(group: Sequence[TableFacts]) -> str:
    count = sum(table.count for table in group)
    kinds: dict[str, int] = {}
    for table in group:
        for kind, number in table.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + number
    listed = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
    return f"{count:,} features ({listed}); {group[0].driver}; CRS {group[0].crs_name or 'not stated'}"


def written_path(path: Path, folder: Path) -> str:
    """How a path is written: relative to the folder where at most two steps up lead to it, else absolute."""
    full, base = path.resolve(), folder.resolve()
    try:
        relative = Path(os.path.relpath(full, base))
    except ValueError:  # another drive
        return full.as_posix()
    up = sum(part == ".." for part in relative.parts)
    shared = Path(os.path.commonpath([full, base]))
    return relative.as_posix() if up == 0 or (up <= 2 and len(shared.parts) > 1) else full.as_posix()


def _path(group: Sequence[TableFacts], folder: Path) -> str | list[str]:
    paths = [table.path for table in group]
    parents = {path.resolve().parent for path in paths}
    pattern = f"*{paths[0].suffix}"
    if len(paths) > 1 and len(parents) == 1 and len(list(paths[0].parent.glob(pattern))) == len(paths):
        return written_path(paths[0].parent / pattern, folder)
    written = [written_path(path, folder) for path in paths]
    return written[0] if len(written) == 1 else written


def _roles(group: Sequence[TableFacts], answers: Answers) -> dict[str, Role]:
    first = group[0]
    roles = {name: role for name, role in first.roles.items() if role.unit in METRES_PER_UNIT}
    names = [field.name for field in first.fields]
    for role, given in (("id", answers.id), ("height", answers.height), ("storeys", answers.storeys)):
        if given is None:
            continue
        if given not in names:
            near = next((name for name in names if name.lower() == given.lower()), None)
            hint = f'did you mean "{near}"? ' if near else ""
            raise MisuseError(
                f'--{role} {given}: there is no field "{given}"',
                file=first.path,
                next_step=f"{hint}fields: {', '.join(names) or 'none'}",
            )
        roles[role] = Role(given, "", 1.0)
    return roles


def _encoding(table: TableFacts, answers: Answers) -> Iterator[Entry]:
    if answers.encoding:
        yield Entry("encoding", answers.encoding, "given with --encoding")
    elif not table.encoding_stated and table.encoding.upper().replace("-", "") not in ("", "UTF8", "ASCII"):
        yield Entry("encoding", table.encoding, guess=table.encoding_why)


def shared_ids(group: Sequence[TableFacts]) -> int:
    """How many ids occur in more than one sheet of a dataset.

    Raises:
        SourceError: A sheet cannot be read any more.
    """
    if len(group) < 2 or any("id" not in table.roles for table in group):
        return 0
    ids = [_ids(table).unique().drop_null() for table in group]
    every = pa.chunked_array(ids, pa.string())
    return len(every) - len(every.unique())


def _ids(table: TableFacts) -> pa.StringArray:
    field = table.roles["id"].field
    options = ReadOptions(table=table.table if table.siblings > 1 else None, columns=(field,))
    return key_text(open_source(table.path, options).column(field))


def _policies(group: Sequence[TableFacts], across: int) -> Iterator[Entry]:
    classes = [table for table in group if table.height_classes]
    if classes:
        yield Entry("multipart", "explode", "one entity a polygon", classes[0].height_classes_why)
    repeated = [table for table in group if table.duplicates]
    if across:
        why = f"{across:,} ids occur in several sheets: pieces clipped at the edge of a sheet"
        yield Entry("duplicates", "union", "error | first | union", why)
    elif repeated:
        count = sum(table.duplicate_ids for table in repeated)
        union = any(table.duplicates == "union" for table in repeated)
        why = f"{count:,} features repeat an id; {repeated[0].duplicates_why}"
        yield Entry("duplicates", "union" if union else "first", "error | first | union", why)


def _fields(roles: dict[str, Role], doubts: Mapping[str, Role]) -> Iterator[Entry]:
    for role in ("id", "name", "class", "address", "storeys", "min_height", "part_of", "kind"):
        if role in roles:
            yield Entry(role, roles[role].field, guess=roles[role].why)
    if "min_height" in roles and roles["min_height"].unit != "m":
        yield Entry("min_height_unit", roles["min_height"].unit, guess="its values")
    for role in ("id", "height", "storeys"):
        if role in doubts and role not in roles:
            doubt = doubts[role]
            yield Entry("", note=f'not taken as {role}: "{doubt.field}" ({doubt.why})')
    if "id" not in roles:
        yield Entry("", note='no id = "FIELD": identity rests on geometry, which is matched when you build again')


def _rule(kind: str, *entries: Entry, remark: str = "") -> Section:
    which, source = kind.split(" ")
    return Section(f"[[source.{which}]]", (Entry("from", source), *entries), remark)


def _heights(
    roles: dict[str, Role], rasters: Sequence[RasterFacts], crs: SourceCrs, situation: Situation
) -> Iterator[Section]:
    for role, meaning in (("height", "above_ground"), ("roof_elevation", "roof_elevation")):
        if role in roles:
            yield _rule("height attribute", *_attribute(roles[role], meaning))
    surfaces = [item for item in rasters if item.role == "dsm"]
    if surfaces:
        yield _rule(
            "height dsm",
            *_raster_entries(surfaces, crs, situation.folder),
            Entry("percentile", 75, "of the cells inside"),
            Entry("inset_m", 1.0, "strip along the outline left out"),
        )
    if "storeys" in roles:
        given = situation.answers.storey_height
        why = "" if given else f"{_STOREY_M:g} m a storey is usual for housing; measure some buildings"
        height = Entry("storey_height_m", given or _STOREY_M, "by_class = { ... } sets it by use", why)
        yield _rule("height storeys", Entry("field", roles["storeys"].field, guess=roles["storeys"].why), height)


def _attribute(role: Role, meaning: str) -> Iterator[Entry]:
    yield Entry("field", role.field, guess=role.why)
    yield Entry("unit", role.unit, "m | dm | cm | ft | us-ft", "metres are usual" if role.unit == "m" else "its values")
    other = "roof_elevation" if meaning == "above_ground" else "above_ground"
    yield Entry("meaning", meaning, f"or {other}", "the usual one" if meaning == "above_ground" else role.why)


def _grounds(
    roles: dict[str, Role], rasters: Sequence[RasterFacts], crs: SourceCrs, situation: Situation
) -> Iterator[Section]:
    terrain = [item for item in rasters if item.role == "dem"]
    if terrain:
        yield _rule(
            "ground dem",
            *_raster_entries(terrain, crs, situation.folder),
            Entry("statistic", "lowest", "of the cells under the footprint"),
        )
    if "base" in roles:
        base = roles["base"]
        yield _rule("ground attribute", Entry("field", base.field, guess=base.why), Entry("unit", base.unit))
    if situation.answers.ground is not None:
        yield _rule("ground constant", Entry("elevation_m", float(situation.answers.ground), "given with --ground"))
    elif not terrain and "base" not in roles:
        warning = (
            "!!! The ground elevation is NOT known: 0.0 m is a placeholder so that the build runs.\n"
            '!!! Replace it: a terrain model (from = "dem", raster = ...), a field, or the true elevation.'
        )
        why = "nothing given tells the ground; all buildings stand at this elevation"
        yield _rule("ground constant", Entry("elevation_m", 0.0, "REPLACE THIS", why), remark=warning)


def _raster_entries(rasters: Sequence[RasterFacts], crs: SourceCrs, folder: Path) -> Iterator[Entry]:
    paths = [written_path(item.path, folder) for item in rasters]
    yield Entry("raster", paths[0] if len(paths) == 1 else paths, guess=rasters[0].why)
    if any(item.crs is None for item in rasters):
        if crs.crs is not None and crs.crs.public:
            why = "the raster states none and lies where the footprints lie in this CRS"
            yield Entry("raster_crs", crs.crs.name, guess=why)
        else:
            yield Entry("raster_crs", Blank(f"the CRS of {rasters[0].path.name}, which states none"))


def covers(raster: RasterFacts, crs: Crs | None, table: TableFacts) -> bool:
    """Whether a raster lies over the footprints, as far as that can be told."""
    if table.bounds is None or crs is None or raster.role not in ("dem", "dsm"):
        return raster.role in ("dem", "dsm")
    if raster.crs is None:
        return overlap(table.bounds, raster.bounds) > 0 or overlap(raster.bounds, table.bounds) > 0
    try:
        one = geographic_bounds(parse_crs(raster.crs), raster.bounds)
        other = geographic_bounds(crs, table.bounds)
    except CrsError:
        return True
    return one is None or other is None or overlap(one, other) > 0
