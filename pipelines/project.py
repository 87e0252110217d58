"""Reads `twin.toml`, the one file that says what a district is made of, and says in which line it is wrong."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.project_check import Problem, blanks, dotted, from_pydantic, is_blank, relations
from pipelines.project_keys import KEYS, Key
from pipelines.project_model import (
    METRES_PER_UNIT,
    Area,
    AttributeGround,
    AttributeHeight,
    ConstantGround,
    DemGround,
    DsmHeight,
    Fields,
    GroundRule,
    HeightRule,
    Layer,
    Output,
    Project,
    ProjectFile,
    ProjectTable,
    Source,
    StoreysHeight,
)
from pipelines.toml_position import Place, key_lines, nearest_line
from twin.errors import CrsError, ProjectError

__all__ = [
    "FILE_NAME",
    "KEYS",
    "METRES_PER_UNIT",
    "Area",
    "AttributeGround",
    "AttributeHeight",
    "ConstantGround",
    "DemGround",
    "DsmHeight",
    "Fields",
    "GroundRule",
    "HeightRule",
    "Key",
    "Layer",
    "Output",
    "Project",
    "ProjectTable",
    "Source",
    "StoreysHeight",
    "crs_text",
    "load_project",
    "open_blanks",
    "output_path",
    "parse_project",
    "project_digest",
    "resolve_areas",
    "resolve_grid",
    "resolve_outline",
    "resolve_paths",
    "resolve_rasters",
]

#: Name of the project file.
FILE_NAME = "twin.toml"

_WILD = re.compile(r"[*?\[]")
_MAX_BYTES = 10_000_000
#: Keys of `[output]` that change no byte of a release.
_OF_THE_PLACE = ("workers", "path", "keep_work", "keep_releases")


def load_project(path: str | Path) -> Project:
    """Reads and checks a project file.

    Args:
        path: `twin.toml` itself, or the folder it lies in.

    Returns:
        The project, with every default filled in.

    Raises:
        ProjectError: The file is missing, is not TOML, has a key or value that is not allowed, or has a blank left.
            All problems are told at once, each with its line.
    """
    file = Path(path)
    if file.is_dir():
        file = file / FILE_NAME
    return parse_project(_read(file), file)


def parse_project(text: str, file: Path) -> Project:
    """Checks the text of a project file; see `load_project`.

    Args:
        text: The TOML text.
        file: Where it stands; its folder is where relative paths start.

    Raises:
        ProjectError: As `load_project`.
    """
    examined = _examine(text, file)
    if examined.problems or examined.checked is None:
        raise _refusal(file, examined.problems, examined.lines)
    checked = examined.checked
    return Project(
        root=file.parent.resolve(),
        file=file.resolve(),
        project=checked.project,
        sources=checked.sources,
        layers=checked.layers,
        output=checked.output,
        registry=checked.registry,
        change=checked.change,
        areas=checked.areas,
        lines=examined.lines,
    )


def open_blanks(text: str, file: Path) -> list[tuple[int, str, str]]:
    """The blanks left in a project file whose every other line is right.

    Returns:
        (line, key, what to write) of each blank.

    Raises:
        ProjectError: Something else is wrong with it.
    """
    examined = _examine(text, file)
    empty = [problem for problem in examined.problems if is_blank(problem)]
    if len(empty) < len(examined.problems):
        raise _refusal(file, examined.problems, examined.lines)
    return [(nearest_line(examined.lines, p.place), dotted(p.place), p.text.split(": ", 1)[-1]) for p in empty]


@dataclass(frozen=True, slots=True)
class _Examined:
    problems: list[Problem]
    checked: ProjectFile | None
    lines: dict[Place, int]


def _examine(text: str, file: Path) -> _Examined:
    raw = _toml(text, file)
    full = _with_defaults(raw)
    problems = [*blanks(raw)]
    checked: ProjectFile | None = None
    try:
        checked = ProjectFile.model_validate(full)
    except ValidationError as error:
        problems += from_pydantic(error, full)
    problems += relations(full)
    return _Examined(problems, checked, key_lines(text))


def _read(file: Path) -> str:
    next_step = f"run `twin init FILE... -o {file.parent}` to write one, or name its folder with -C"
    if not file.is_file():
        raise ProjectError("there is no project file here", file=file, next_step=next_step)
    if file.stat().st_size > _MAX_BYTES:
        raise ProjectError("this is too large for a project file", file=file, next_step=next_step)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise ProjectError(
            f"{file}:{line}: the file is not UTF-8", next_step="save it as UTF-8 in your editor"
        ) from error
    except OSError as error:
        raise ProjectError(f"the file cannot be read: {error.strerror}", file=file) from error


_TOML_PLACE = re.compile(r"^(?P<what>.*) \((?:at line (?P<line>\d+), column (?P<column>\d+)|at end of document)\)$")


def _toml(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_PLACE.match(str(error))
        what = found["what"] if found else str(error)
        last = text.rstrip("\n").count("\n") + 1
        line, column = (found["line"] or last, found["column"]) if found else (last, None)
        place = f"{file}:{line}" + (f":{column}" if column else "")
        raise ProjectError(
            f"{place}: not valid TOML: {what[:1].lower()}{what[1:]}",
            next_step="texts stand in double quotes, a key is followed by `=`, a table by `[name]`",
        ) from error
    except (RecursionError, ValueError) as error:
        raise ProjectError(
            f"{file}:1: not valid TOML: {error or 'too deeply nested'}", next_step="simplify the file"
        ) from error


def _with_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """Fills in the defaults that depend on other keys: authority, source names, storeys fields, layers."""
    full = dict(raw)
    project = raw.get("project")
    if isinstance(project, dict) and isinstance(project.get("admin_code"), str):
        full["project"] = {"authority": project["admin_code"], **project} if "authority" not in project else project
    if isinstance(raw.get("source"), list):
        full["source"] = [_source_defaults(source) for source in raw["source"]]
    layers = raw.get("layers", {})
    if isinstance(layers, dict):
        names = {**layers, **{name: {} for name in _layers_used(full) if name not in layers}}
        full["layers"] = {
            name: {"title": name.capitalize(), **layer} if isinstance(layer, dict) else layer
            for name, layer in names.items()
        }
    return full


def _layers_used(full: dict[str, Any]) -> Iterable[str]:
    sources = full.get("source")
    for source in sources if isinstance(sources, list) else ():
        name = source.get("layer", "buildings") if isinstance(source, dict) else None
        if isinstance(name, str):
            yield name


def _source_defaults(source: object) -> object:
    if not isinstance(source, dict):
        return source
    full = dict(source)
    path = source.get("path")
    only = path[0] if isinstance(path, list) and len(path) == 1 else path
    if "name" not in source and isinstance(only, str) and not _WILD.search(only):
        full["name"] = Path(only).name.split(".", 1)[0]
    fields = source.get("fields")
    storeys = fields.get("storeys") if isinstance(fields, dict) else None
    if isinstance(storeys, str) and isinstance(source.get("height"), list):
        full["height"] = [
            {"field": storeys, **rule} if isinstance(rule, dict) and rule.get("from") == "storeys" else rule
            for rule in source["height"]
        ]
    return full


def _refusal(file: Path, problems: Sequence[Problem], lines: dict[Place, int]) -> ProjectError:
    """One error for all problems, in the order of the file, each told once."""
    told = {(nearest_line(lines, problem.place), _sentence(problem)): None for problem in problems}
    rows = [f"{file}:{line}: {sentence}" for line, sentence in sorted(told, key=lambda row: row[0])]
    if all(is_blank(problem) for problem in problems):
        step = f"write the {'value' if len(rows) == 1 else f'{len(rows)} values'} into {file} and run the command again"
    else:
        step = f"correct {file}; every key is described in docs/project-file.md"
    return ProjectError("\n".join(rows), next_step=step)


def _sentence(problem: Problem) -> str:
    place = dotted(problem.place)
    return f"key `{place}`: {problem.text}" if place else problem.text


def resolve_paths(project: Project, source: Source) -> list[Path]:
    """The files of a source: absolute, each once, in order of their paths.

    Raises:
        ProjectError: A path or glob matches nothing; names the line.
    """
    return _resolve(project, source.path, ("source", _number(project, source), "path"))


def resolve_rasters(project: Project, source: Source, rule: DsmHeight | DemGround) -> list[Path]:
    """The sheets of a raster rule: absolute, each once, in order of their paths.

    Raises:
        ProjectError: A path or glob matches nothing; names the line.
    """
    kind = "height" if isinstance(rule, DsmHeight) else "ground"
    rules: tuple[object, ...] = source.height if kind == "height" else source.ground
    number = next((index for index, other in enumerate(rules) if other is rule or other == rule), 0)
    return _resolve(project, rule.raster, ("source", _number(project, source), kind, number, "raster"))


def resolve_areas(project: Project, area: Area) -> list[Path]:
    """The files of an `[[area]]`: absolute, each once, in order of their paths.

    Raises:
        ProjectError: A path or glob matches nothing; names the line.
    """
    return _resolve(project, area.path, ("area", project.areas.index(area), "path"))


def resolve_grid(project: Project) -> Path | None:
    """The raster of geoid undulations, or None where the project states a number or ellipsoidal heights.

    Raises:
        ProjectError: The file does not exist; names the line.
    """
    grid = project.project.geoid_grid
    return None if grid is None else _resolve(project, (grid,), ("project", "geoid_grid"))[0]


def resolve_outline(project: Project) -> Path | None:
    """The file with the outline of the district, or None where the project names none.

    Raises:
        ProjectError: The file does not exist; names the line.
    """
    outline = project.project.outline
    return None if outline is None else _resolve(project, (outline,), ("project", "outline"))[0]


def output_path(project: Project) -> Path:
    """The release directory, absolute."""
    return (project.root / project.output.path).resolve()


def crs_text(project: Project, source: Source) -> str | None:
    """The CRS definition a source states, from `crs` or `crs_file`; None leaves it to the file.

    The text may be confidential: give it to `twin.crs.reference.parse_crs`, never to a message or a log.

    Raises:
        ProjectError: `crs_file` does not exist, is not text or holds no CRS.
    """
    from twin.crs.reference import parse_crs

    if source.crs_file is None:
        return source.crs
    place: Place = ("source", _number(project, source), "crs_file")
    file = _resolve(project, (source.crs_file,), place)[0]
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
        parse_crs(text)
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(project.file, [Problem(place, f"{file} cannot be read as text")], project.lines) from error
    except CrsError as error:
        found = [Problem(place, f"{file}: {error.what}; {error.next_step}")]
        raise _refusal(project.file, found, project.lines) from None
    return text


def _number(project: Project, source: Source) -> int:
    return next(index for index, other in enumerate(project.sources) if other.name == source.name)


def _resolve(project: Project, patterns: Sequence[str], place: Place) -> list[Path]:
    problems: list[Problem] = []
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = _matches(project.root, pattern)
        if not files:
            problems.append(Problem(place, _nothing(project.root, pattern)))
        found.update(dict.fromkeys(files))
    if problems:
        raise _refusal(project.file, problems, project.lines)
    return sorted(found)


def _matches(root: Path, pattern: str) -> list[Path]:
    exact = root / pattern
    if exact.exists():  # before globbing: a real name may hold brackets
        return [exact.resolve()]
    # not Path.glob: that refuses absolute patterns
    names = glob.glob(pattern, root_dir=root, recursive=True) if _WILD.search(pattern) else []  # noqa: PTH207
    return sorted((root / name).resolve() for name in names)


def _nothing(root: Path, pattern: str) -> str:
    if _WILD.search(pattern):
        return f'"{pattern}" matches no file in {root}'
    parent = (root / pattern).parent
    near = _near_file(parent, Path(pattern).name)
    return f'there is no file "{pattern}" in {root}' + (f'; did you mean "{near}"?' if near else "")


def _near_file(folder: Path, name: str) -> str | None:
    import difflib

    names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)


def project_digest(project: Project) -> str:
    """A digest of what the file says: comments, whitespace, order of keys and defaults written out do not change it.

    Left out: where releases and the registry lie, how many workers build and what is kept, none of which changes a byte
    of a release.

    Returns:
        64 hex digits (sha256).
    """
    content = project.model_dump(mode="json", by_alias=True, exclude={"root", "file", "lines", "registry", "change"})
    if not project.areas:
        del content["areas"]  # a project without areas is the project it was before there were any
    content["output"] = {key: value for key, value in content["output"].items() if key not in _OF_THE_PLACE}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
