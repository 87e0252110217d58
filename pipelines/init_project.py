"""Decides what `twin init` writes: one source per dataset, rules in the order of their worth, blanks for the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.init_files import Look, TableFacts, overlap, shown_name
from pipelines.init_source import (
    Answers,
    Situation,
    covers,
    lies_in_china,
    shared_ids,
    source_crs,
    source_sections,
    working_crs,
    written_path,
)
from pipelines.init_text import Blank, Entry, Literally, Section
from pipelines.project_keys import KEYS
from twin.errors import MisuseError

_SOME = 10  # fewer polygons than this are a mask or a border rather than a base map

_BUILDING = re.compile(
    r"build|bldg|footprint|house|structure|建筑|房屋|楼|jmd|jzw|fwm|resa|geb(ae|ä)ude|bygg|b(a|â)ti|edific|pand|建物"
    r"|multipolygon",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A `twin.toml` to be.

    Attributes:
        sections: Its tables.
        unused: Files and tables left out, and why.
    """

    sections: tuple[Section, ...]
    unused: tuple[tuple[str, str], ...]


def draft(found: Look, answers: Answers, folder: Path) -> Draft:
    """Decides every key from what was found and what the user said.

    Args:
        found: The files.
        answers: The flags.
        folder: Where `twin.toml` will lie; paths are written relative to it where that is sensible.

    Raises:
        MisuseError: No file holds polygons, or a flag names a field or file that is not there.
    """
    used, unused = choose_tables(found)
    used, copies = without_copies(used)
    unused += copies
    unused += [(item.path.name, item.why) for item in found.rasters if item.role == "unused"]
    unused += [(path.name, why) for path, why in found.unreadable]
    groups = [part for group in group_sheets(used) for part in _unless_numbered_anew(group)]
    lacking = any(group[0].crs is None for group in groups)
    situation = Situation(found.rasters, answers, folder)
    crs = {group[0].label: source_crs(group[0], situation, lacking=lacking) for group in groups}
    main = max(groups, key=lambda group: sum(table.count for table in group))
    suggestion = working_crs(crs[main[0].label], main[0], answers)
    datum = _vertical(found, answers, folder, lies_in_china(crs[main[0].label], main[0]))
    sections = [_project(answers, folder, suggestion, datum)]
    for group, name in zip(groups, _names(groups, folder), strict=True):
        sections += source_sections(group, name, crs[group[0].label], situation)
    placed = {
        item.path for group in groups for item in found.rasters if covers(item, crs[group[0].label].crs, group[0])
    }
    elsewhere = [item for item in found.rasters if item.role in ("dem", "dsm") and item.path not in placed]
    unused += [(item.path.name, "it lies nowhere over the footprints") for item in elsewhere]
    return Draft((*sections, *_tail()), tuple(unused))


# ------------------------------------------------------------------------------------------------- which tables


def choose_tables(found: Look) -> tuple[list[TableFacts], list[tuple[str, str]]]:
    """The tables to build from, and those left out with the reason.

    Raises:
        MisuseError: No table holds polygons.
    """
    surfaces = [table for table in found.tables if table.surfaces]
    unused = [(table.label, f"it holds {_kinds(table)}, no polygons") for table in found.tables if not table.surfaces]
    if not surfaces:
        there = "; ".join(f"{table.label}: {_kinds(table)}" for table in found.tables) or "no base map at all"
        raise MisuseError(
            f"none of the files holds polygons to build from ({there})",
            next_step="name a file with building footprints; a raster alone is not enough",
        )
    likely = [table for table in surfaces if _like_buildings(table)]
    if likely:  # what the user named himself counts, unless it is a mere outline
        meant = found.named
        likely += [
            t for t in surfaces if t not in likely and t.path in meant and t.siblings == 1 and t.surfaces >= _SOME
        ]
    if likely and len(likely) < len(surfaces):
        unused += [
            (t.label, "nothing in it looks like buildings, other tables do") for t in surfaces if t not in likely
        ]
        surfaces = likely
    for path in {table.path for table in surfaces}:
        several = [table for table in surfaces if table.path == path]
        if len(several) > 1 and not likely:
            largest = max(several, key=lambda table: table.surfaces)
            unused += [(t.label, f"table {largest.table} has more polygons") for t in several if t is not largest]
            surfaces = [table for table in surfaces if table.path != path or table is largest]
    return surfaces, unused


def _kinds(table: TableFacts) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in table.kinds.items()) or "no geometry"


def _like_buildings(table: TableFacts) -> bool:
    named = _BUILDING.search(table.table) or _BUILDING.search(table.path.stem)
    return bool(named) or any(role in table.roles for role in ("height", "storeys", "roof_elevation"))


def without_copies(tables: Sequence[TableFacts]) -> tuple[list[TableFacts], list[tuple[str, str]]]:
    """Leaves out tables with the data of one before them in another format: both would stand in one place."""
    kept: list[TableFacts] = []
    copies: list[tuple[str, str]] = []
    for table in tables:
        twin = next((other for other in kept if _same_data(table, other)), None)
        if twin is None:
            kept.append(table)
        else:
            copies.append((table.label, f"it holds the same data as {twin.label}: as many features in the same place"))
    return kept, copies


def _same_data(one: TableFacts, other: TableFacts) -> bool:
    if one.bounds is None or other.bounds is None or one.count != other.count or one.count < 2:
        return False
    return overlap(one.bounds, other.bounds) > 0.9999 and overlap(other.bounds, one.bounds) > 0.9999


def group_sheets(tables: Sequence[TableFacts]) -> list[list[TableFacts]]:
    """Tables with the same fields, CRS and format are map sheets of one dataset."""
    groups: dict[tuple[object, ...], list[TableFacts]] = {}
    for table in tables:
        names = frozenset(field.name for field in table.fields)
        inside = table.table if table.siblings > 1 else None
        same = (names, shown_name(table.crs), table.path.suffix.lower(), inside) if names else (table.path, inside)
        groups.setdefault(same, []).append(table)
    return list(groups.values())


def _unless_numbered_anew(group: list[TableFacts]) -> list[list[TableFacts]]:
    """Sheets whose ids start anew in each are datasets of their own: an id means a building only within its sheet."""
    fewest = min(table.count for table in group)
    return [[table] for table in group] if fewest and shared_ids(group) > 0.5 * fewest else [group]


def _names(groups: Sequence[Sequence[TableFacts]], folder: Path) -> list[str]:
    """Source names: part of every identifier, so the only dataset is not named after a file whose name will change."""
    if len(groups) == 1:
        return ["buildings"]
    names: list[str] = []
    for group in groups:
        stems = [table.path.name.split(".", 1)[0] for table in group]
        shared = _shared_start(stems).strip(" _-0123456789") if len(stems) > 1 else stems[0]
        base = shared or group[0].path.parent.name or folder.resolve().name or "source"
        if group[0].siblings > 1:
            base = f"{base} {group[0].table}"
        number = sum(name == base or name.startswith(f"{base} (") for name in names)
        names.append(f"{base} ({number + 1})" if number else base)
    return names


def _shared_start(words: Sequence[str]) -> str:
    low, high = min(words), max(words)
    return low[: next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]


# ----------------------------------------------------------------------------------------------------- [project]


def _note(dotted: str) -> str:
    return next(key.description for key in KEYS if key.dotted == dotted)


def _project(answers: Answers, folder: Path, working: Entry, datum: Iterator[Entry]) -> Section:
    name = answers.name or folder.resolve().name or "District"
    entries = [
        Entry("name", name, _note("project.name"), "" if answers.name else "the name of the folder"),
        Entry("admin_code", answers.admin_code, "administrative division code")
        if answers.admin_code
        else Entry(
            "admin_code",
            "000000",
            "6 to 12 digits. Every id is minted from it: write the true code before you publish",
            "a placeholder, no flag --admin-code was given",
        ),
        working,
        *datum,
    ]
    return Section("[project]", tuple(entries))


#: What may stand for a vertical datum, by whether the data lie in China.
_DATUMS = {
    True: '"EPSG:5737" (China 1985, "H85"), another EPSG vertical CRS',
    False: "the EPSG code or name of the vertical CRS they were surveyed in (ask whoever made the data)",
    None: 'the EPSG code or name of a vertical CRS (in China nearly always "EPSG:5737", "H85")',
}


def _vertical(found: Look, answers: Answers, folder: Path, china: bool | None) -> Iterator[Entry]:
    if answers.vertical:
        yield Entry("vertical_datum", answers.vertical, "what all heights refer to")
    else:
        words = f'what the heights of the sources refer to: {_DATUMS[china]}, or "ellipsoid" (GNSS heights)'
        yield Entry("vertical_datum", Blank(words))
    if answers.vertical and _is_ellipsoid(answers.vertical):
        if answers.undulation:
            raise MisuseError(
                "--undulation has no meaning with ellipsoidal heights", next_step="leave one of the two out"
            )
        return
    yield _undulation(found, answers, folder)


def _is_ellipsoid(text: str) -> bool:
    from twin.crs.vertical import parse_vertical

    return bool(parse_vertical(text).is_ellipsoidal)


def _undulation(found: Look, answers: Answers, folder: Path) -> Entry:
    if answers.undulation:
        try:
            return Entry("geoid_undulation_m", float(answers.undulation), _note("project.geoid_undulation_m"))
        except ValueError:
            path = Path(answers.undulation)
        if not path.is_file():
            raise MisuseError(
                f"--undulation {answers.undulation} is neither a number nor a file",
                next_step="give metres (e.g. 10.9) or the path of a raster of undulations",
            )
        return Entry("geoid_grid", written_path(path, folder), _note("project.geoid_grid"))
    grids = [item for item in found.rasters if item.role == "geoid"]
    if grids:
        return Entry("geoid_grid", written_path(grids[0].path, folder), guess=grids[0].why)
    return Entry(
        "geoid_undulation_m",
        Blank(
            "ellipsoidal height minus height above the datum here, in metres, as a number without quotes (e.g. 10.9); "
            'or write geoid_grid = "FILE.tif" instead; with ellipsoidal heights delete the line'
        ),
    )


def _tail() -> list[Section]:
    def defaults(prefix: str) -> tuple[Entry, ...]:
        keys = [key for key in KEYS if key.dotted.startswith(prefix) and key.default not in ("none", "required")]
        return tuple(
            Entry(key.dotted.removeprefix(prefix), Literally(key.default), key.description, off=True) for key in keys
        )

    return [
        Section(
            "[layers.buildings]",
            defaults("layers.NAME."),
            "What follows are the defaults: remove the # in front of one to change it.",
        ),
        Section("[output]", defaults("output.")),
    ]
