"""Everything that can be wrong with a `twin.toml`, found in one go, with what is allowed and the nearest key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.project_keys import GROUND_MODELS, HEIGHT_MODELS, KEYS, allowed_in, key_names, model_at, toml_text
from pipelines.toml_position import Place
from twin.errors import CrsError

#: The layer all entities of `[[area]]` tables belong to; it has no tiles.
AREA_LAYER = "areas"
#: How a blank begins that `twin init` could not fill.
BLANK = "FILL-ME"
_BLANK_TEXT = "is a blank that only you can fill in"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file: where, and what to do about it in one sentence."""

    place: Place
    text: str


def dotted(place: Place) -> str:
    """Writes a place as people do: `source[1].height[0].unit` (counted from 1)."""
    text = ""
    for step in place:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def blanks(raw: object, place: Place = ()) -> Iterator[Problem]:
    """Finds the blanks that are still to be filled in."""
    if isinstance(raw, str) and _is_blank(raw):
        rest = raw.lstrip()[len(BLANK) :].lstrip(" :").strip()
        yield Problem(place, f"{_BLANK_TEXT}: {rest or 'write the value'}")
    elif isinstance(raw, dict):
        for key, value in raw.items():
            yield from blanks(value, (*place, key))
    elif isinstance(raw, list):
        for number, value in enumerate(raw):
            yield from blanks(value, (*place, number))


def is_blank(problem: Problem) -> bool:
    """Whether a problem is no more than a blank to be filled in."""
    return problem.text.startswith(_BLANK_TEXT)


def from_pydantic(error: ValidationError, raw: dict[str, Any]) -> Iterator[Problem]:
    """Turns pydantic's findings into problems at places of the file."""
    for detail in error.errors(include_url=False, include_context=True):
        place = _place(detail["loc"], raw)
        if not _under_blank(place, raw):
            yield Problem(place, _say(detail, place, raw))


def _place(loc: tuple[int | str, ...], raw: dict[str, Any]) -> Place:
    """Drops the steps pydantic adds for members of unions; the rest is a place in the file."""
    if len(loc) > 4 and loc[0] == "source" and loc[2] in ("height", "ground"):
        loc = (*loc[:4], *loc[5:])
    value: Any = raw
    place: Place = ()
    for step in loc:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            break
        place += (step,)
    return place[:-1] if place and place[-1] == "[key]" else place


def _under_blank(place: Place, raw: Any) -> bool:
    return _is_blank(value_at(raw, place))


def value_at(raw: Any, place: Place) -> Any:
    """The value at a place of the parsed file, None where there is none."""
    for step in place:
        if isinstance(raw, dict):
            raw = raw.get(step)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
        else:
            return None
    return raw


_SECRET = frozenset({"database_url"})  # keys whose value may hold a password: never shown


def _say(detail: ErrorDetails, place: Place, raw: dict[str, Any]) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(place, raw)
    if kind == "missing":
        return f"is missing; allowed: {_allowed(place, raw)}"
    if kind == "union_tag_not_found":
        return f"has no `from`; allowed: {_tags(place)}"
    if kind in ("union_tag_invalid", "literal_error"):
        tagged = kind == "union_tag_invalid"
        told = _wrong_choice(value_at(raw, (*place, "from")), _tag_list(place), "`from` is") if tagged else None
        return told or _wrong_literal(place, raw)
    if kind == "value_error" and place == ("live",):  # said by the one reader of the table, docs/events-in.md
        return str(detail["ctx"]["error"])
    return _of_type(detail, place, raw)


def _of_type(detail: ErrorDetails, place: Place, raw: dict[str, Any]) -> str:
    wrong = "cannot be what it is" if place and place[-1] in _SECRET else _wrong(detail, value_at(raw, place))
    return f"{wrong}; allowed: {_allowed(place, raw)}"


def _unknown_key(place: Place, raw: dict[str, Any]) -> str:
    model = model_at(place[:-1], raw)
    valid = key_names(model) if model is not None else []
    text = f"is not a known key; allowed: {', '.join(valid)}" if valid else "is not a known key"
    near = _nearest(str(place[-1]), valid)
    if near:
        return f'{text}; did you mean "{near}"?'
    elsewhere = [key.dotted for key in KEYS if key.dotted.rsplit(".", 1)[-1] == place[-1]]
    return f"{text}; it belongs to `{elsewhere[0].rsplit('.', 1)[0]}`" if elsewhere else text


def _wrong_literal(place: Place, raw: dict[str, Any]) -> str:
    return _wrong_choice(value_at(raw, place), _literals(place, raw), "is")


def _wrong_choice(value: object, allowed: list[str], words: str) -> str:
    text = f"{words} {_show(value)}; allowed: {' | '.join(toml_text(item) for item in allowed)}"
    near = _nearest(str(value), allowed)
    return f'{text}; did you mean "{near}"?' if near else text


def _literals(place: Place, raw: dict[str, Any]) -> list[str]:
    while place and isinstance(place[-1], int):
        place = place[:-1]
    model = model_at(place[:-1], raw)
    info = model.model_fields.get(_attribute(model, str(place[-1]))) if model else None
    return [str(value) for value in _deep_literals(info.annotation)] if info else []


def _deep_literals(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _deep_literals(part)


def _attribute(model: type[BaseModel], key: str) -> str:
    return next((name for name, info in model.model_fields.items() if (info.alias or name) == key), key)


def _allowed(place: Place, raw: dict[str, Any]) -> str:
    at = place
    while at and isinstance(at[-1], int):
        at = at[:-1]
    for table in (at[:-1], at[:-2]):  # a value inside `by_class` is described by the table around it
        model = model_at(table, raw)
        key = str(at[len(table)]) if len(at) > len(table) else ""
        info = model.model_fields.get(_attribute(model, key)) if model else None
        if info is not None:
            return f"{allowed_in(info.annotation, info.metadata)} ({info.description})"
    return "a table"


def _tag_list(place: Place) -> list[str]:
    return list(HEIGHT_MODELS if place[2:3] == ("height",) else GROUND_MODELS)


def _tags(place: Place) -> str:
    return " | ".join(toml_text(tag) for tag in _tag_list(place))


_KIND = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}


def _wrong(detail: ErrorDetails, value: object) -> str:
    kind = detail["type"]
    if kind == "finite_number":
        return f"is {value}, which is not a finite number"
    if kind.endswith("_type") or kind in ("int_from_float", "dict_type"):
        return f"is {_KIND.get(type(value), 'a date or time')}"
    if kind in ("string_too_short", "too_short"):
        return "is empty"
    return f"is {_show(value)}"


def _show(value: object) -> str:
    text = toml_text(value) if isinstance(value, str | int | float) else _KIND.get(type(value), "something else")
    return text if len(text) <= 60 else text[:57] + "..."


def _nearest(word: str, words: Iterable[str]) -> str | None:
    by_lower = {item.lower(): item for item in words}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def relations(raw: dict[str, Any]) -> Iterator[Problem]:
    """Checks what must hold between keys; tolerates a file whose single values are wrong."""
    project = raw.get("project")
    if isinstance(project, dict):
        yield from _vertical(project)
        yield from _crs(project.get("working_crs"), ("project", "working_crs"), metric=True)
    sources = [source for source in _list(raw.get("source")) if isinstance(source, dict)]
    if raw.get("source") == []:
        yield Problem(("source",), "is empty; write one [[source]] for every dataset")
    yield from _unique_names(sources)
    for number, source in enumerate(sources):
        yield from _source(source, ("source", number))
    yield from _areas(_list(raw.get("area")), sources)
    layers = raw.get("layers")
    used = {source.get("layer", "buildings") for source in sources if isinstance(source.get("layer", ""), str)}
    for name in layers if isinstance(layers, dict) else ():
        if name not in used and sources:
            near = _nearest(name, used)
            hint = f'; did you mean "{near}"?' if near else f"; layers in use: {', '.join(sorted(used))}"
            yield Problem(("layers", name), f"no source has `layer = {toml_text(name)}`{hint}")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _vertical(project: dict[str, Any]) -> Iterator[Problem]:
    number, grid, datum = (project.get(key) for key in ("geoid_undulation_m", "geoid_grid", "vertical_datum"))
    if number is not None and grid is not None:
        yield Problem(("project", "geoid_grid"), "stands beside `geoid_undulation_m`; state exactly one of the two")
    if isinstance(datum, str) and datum and not _is_blank(datum):
        yield from _datum(datum, number, grid)


def _datum(text: str, number: object, grid: object) -> Iterator[Problem]:
    from twin.crs.vertical import parse_vertical

    place: Place = ("project", "vertical_datum")
    try:
        datum = parse_vertical(text)
    except CrsError as error:
        yield _crs_refused(error, place)
        return
    stated = "geoid_grid" if grid is not None else "geoid_undulation_m" if number is not None else None
    if datum.is_ellipsoidal and stated:
        yield Problem(("project", stated), "has no meaning with ellipsoidal heights: delete it, or name the datum")
    if not datum.is_ellipsoidal and not stated:
        yield Problem(
            place,
            "heights above a geoid need `geoid_undulation_m = N` (ellipsoidal minus normal height, metres) "
            'or `geoid_grid = "FILE"`; without either the district would float or sink by tens of metres',
        )


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().upper().startswith(BLANK)


def _crs(text: object, place: Place, *, metric: bool = False) -> Iterator[Problem]:
    """Checks a CRS definition; says nothing of its text, which may be private."""
    from twin.crs.reference import is_projected_metric, parse_crs

    if not isinstance(text, str) or not text or _is_blank(text):
        return
    try:
        crs = parse_crs(text)
    except CrsError as error:
        yield _crs_refused(error, place)
        return
    if metric and not is_projected_metric(crs):
        yield Problem(
            place,
            "must be projected, in metres: the build measures in it; "
            'e.g. "EPSG:4549" (CGCS2000 / 3-degree Gauss-Kruger CM 120E) or the UTM zone of the place',
        )


def _crs_refused(error: CrsError, place: Place) -> Problem:
    return Problem(place, f"{error.what}{f'; {error.next_step}' if error.next_step else ''}")


def _unique_names(sources: list[dict[str, Any]]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for number, source in enumerate(sources):
        name = source.get("name")
        if not isinstance(name, str) or not name:
            continue
        if name in seen:
            yield Problem(
                ("source", number, "name"),
                f"{toml_text(name)} is already the name of source {seen[name] + 1}; "
                "every source needs a name of its own (`name = ...`), because it is part of every source key",
            )
        seen.setdefault(name, number)


def _areas(areas: list[Any], sources: list[dict[str, Any]]) -> Iterator[Problem]:
    """Areas share the space of names with sources, and have the layer `areas` to themselves."""
    taken = {name for source in sources if isinstance(name := source.get("name"), str)}
    for number, area in enumerate(areas):
        if not isinstance(area, dict):
            continue
        name = area.get("name")
        if isinstance(name, str) and name in taken:
            text = "is already the name of a source or of another area; names are part of the keys, so each is unique"
            yield Problem(("area", number, "name"), f"{toml_text(name)} {text}")
        if isinstance(name, str):
            taken.add(name)
        yield from _crs(area.get("crs"), ("area", number, "crs"))
    for number, source in enumerate(sources):
        if areas and source.get("layer") == AREA_LAYER:
            text = f"{toml_text(AREA_LAYER)} is the layer of the [[area]] tables; choose another name"
            yield Problem(("source", number, "layer"), text)


def _source(source: dict[str, Any], place: Place) -> Iterator[Problem]:
    if not source.get("name") and "path" in source:
        yield Problem(place, "needs a `name`: `path` is a glob or a list, so the file name cannot serve")
    if source.get("crs") is not None and source.get("crs_file") is not None:
        yield Problem((*place, "crs_file"), "stands beside `crs`; state at most one of the two")
    yield from _crs(source.get("crs"), (*place, "crs"))
    if not source.get("ground"):
        yield Problem(
            place,
            "has no ground rule, so nothing says how high it stands; write [[source.ground]] with "
            '`from = "dem"`, `from = "attribute"` or `from = "constant"`',
        )
    for kind in ("height", "ground"):
        for number, rule in enumerate(_list(source.get(kind))):
            if isinstance(rule, dict):
                yield from _rule(rule, (*place, kind, number))


def _rule(rule: dict[str, Any], place: Place) -> Iterator[Problem]:
    yield from _crs(rule.get("raster_crs"), (*place, "raster_crs"))
    if rule.get("from") != "dem":
        return
    if rule.get("statistic") == "percentile" and rule.get("percentile") is None:
        yield Problem((*place, "statistic"), 'is "percentile": state which one, e.g. `percentile = 10`')
    if rule.get("statistic") != "percentile" and rule.get("percentile") is not None:
        yield Problem((*place, "percentile"), 'has a meaning only with `statistic = "percentile"`')
