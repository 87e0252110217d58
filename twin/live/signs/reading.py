"""Indicators out of TOML: the starter set and what a project lays over it, every mistake told with its place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from twin.entity.areas import LEVELS
from twin.errors import MisuseError, ProjectError
from twin.live.model import SEVERITIES
from twin.live.signs.definition import (
    BETTER,
    CASE_COLUMNS,
    CASE_STATES,
    CASE_TIMES,
    DIMENSIONS,
    ENTITY_COLUMNS,
    PER_STREAM,
    SOURCES,
    STATISTICS,
    TAKES,
    Baseline,
    Indicator,
    Indicators,
    Term,
    Threshold,
)
from twin.live.signs.formula import Formula, parse_formula

ALL = "all"
"""The level of the whole twin, whatever areas it has."""

_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")
_UNIT_MS = {"s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_TOP = ("starter", "alarms", "reach", "stream_reach", "indicators")
_KEYS = ("zh", "en", "dimension", "formula", "terms", "unit", "better", "level", "warn", "alarm", "every", "ticks",
         "feed", "min_coverage", "baseline", "source")  # fmt: skip
_TERM_KEYS = ("of", "take", "column", "kinds", "state", "when", "window", "severities", "where", "linked",
              "per_stream", "limit", "over", "layers", "classes")  # fmt: skip


def starter() -> Indicators:
    """The twenty indicators every twin begins with."""
    return _read(_starter_document(), None)


def read_indicators(path: Path | None) -> Indicators:
    """The indicators of a project: the starter set with a file laid over it, key by key.

    Args:
        path: TOML file; None: the starter set alone.

    Raises:
        ProjectError: The file is missing, no TOML, or something in it cannot be meant.
    """
    if path is None:
        return starter()
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError(f"cannot be read ({error})", file=path, next_step="see docs/indicators.md") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"not valid TOML: {error}", file=path, next_step="correct the line that is named") from None
    return _read(own, path)


def _starter_document() -> dict[str, Any]:
    return tomllib.loads((files("twin.live.signs") / "starter.toml").read_text(encoding="utf-8"))


def _read(own: Mapping[str, Any], file: Path | None) -> Indicators:
    place = _Place(file, "the top of the file")
    place.only(own, _TOP)
    tables = place.table(own, "indicators")
    if place.flag(own, "starter", True) and file is not None:
        tables = _laid_over(_starter_document()["indicators"], tables)
    wanted = {name: table for name, table in tables.items() if table is not False}
    found = {name: _indicator(name, table, _Place(file, f"[indicators.{name}]")) for name, table in wanted.items()}
    made = Indicators(
        found,
        place.span(own, "reach", 35 * _UNIT_MS["d"]),
        place.span(own, "stream_reach", 2 * _UNIT_MS["d"]),
        place.flag(own, "alarms", True),
    )
    both = made.kinds("cases") & made.kinds("streams")
    for one in found.values():
        _check_kinds(one, both, _Place(file, f"[indicators.{one.id}]"))
        _check_reach(one, made, _Place(file, f"[indicators.{one.id}]"))
    return made


def _laid_over(below: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` over `below`: keys of an indicator one by one, its terms as a whole; `false` takes one away."""
    both = dict(below)
    for name, table in own.items():
        known = both.get(name)
        both[name] = {**known, **table} if isinstance(known, Mapping) and isinstance(table, Mapping) else table
    return both


def _indicator(name: str, table: object, place: _Place) -> Indicator:
    if not _ID.fullmatch(name):
        raise place.wrong("its id is no plain name", "small letters, digits and _, a letter first, at most 64")
    if not isinstance(table, Mapping):
        raise place.wrong("is no table", "write a table, or false to leave an indicator of the starter set out")
    place.only(table, _KEYS)
    terms = {key: _term(one, place.below(f"terms.{key}")) for key, one in place.table(table, "terms").items()}
    better = place.choice(table, "better", BETTER, "lower")
    return Indicator(
        name,
        place.text(table, "zh"),
        place.text(table, "en"),
        place.choice(table, "dimension", DIMENSIONS),
        _formula(place.text(table, "formula"), terms, place),
        terms,
        place.text(table, "unit", ""),
        better,
        place.choice(table, "level", (ALL, *LEVELS), "subdistrict"),
        _threshold(table, "warn", better, place),
        _threshold(table, "alarm", better, place),
        place.span(table, "every", 300_000),
        int(place.number(table, "ticks", 12, least=1)),
        place.span(table, "feed", (2 if any(one.of == "streams" for one in terms.values()) else 7) * _UNIT_MS["d"]),
        place.number(table, "min_coverage", 0.0, least=0.0),
        _baseline(table, place),
        place.text(table, "source", ""),
    )


def _formula(text: str, terms: Mapping[str, Term], place: _Place) -> Formula:
    try:
        formula = parse_formula(text)
    except MisuseError as error:
        raise place.wrong(error.what, error.next_step) from None
    if formula.names != set(terms):
        odd = sorted(formula.names ^ set(terms))
        raise place.wrong(f"formula and terms do not name the same: {', '.join(odd)}", "name every term in the formula")
    if not terms:
        raise place.wrong("has no terms", "add terms.<name> = { of = ... }")
    return formula


def _threshold(table: Mapping[str, Any], key: str, better: str, place: _Place) -> Threshold | None:
    if key not in table:
        return None
    inner, own = place.below(key), place.table(table, key)
    inner.only(own, ("enter", "leave"))
    made = Threshold(inner.number(own, "enter"), inner.number(own, "leave"))
    if better == "neither":
        raise inner.wrong("has a threshold, but no direction is better", 'state better = "lower" or "higher"')
    if (made.leave > made.enter) if better == "lower" else (made.leave < made.enter):
        raise inner.wrong("`leave` lies beyond `enter`", "it is the value at which the state ends on the way back")
    return made


def _baseline(table: Mapping[str, Any], place: _Place) -> Baseline | None:
    if "baseline" not in table:
        return None
    inner, own = place.below("baseline"), place.table(table, "baseline")
    inner.only(own, ("step", "points"))
    return Baseline(inner.span(own, "step"), int(inner.number(own, "points", least=8)))


def _check_reach(one: Indicator, all_of_them: Indicators, place: _Place) -> None:
    reach = all_of_them.stream_reach_ms if one.uses("streams") else all_of_them.reach_ms
    back = max(one.ticks * one.every_ms, one.baseline.step_ms * one.baseline.points if one.baseline else 0)
    if back > reach:
        key = "stream_reach" if one.uses("streams") else "reach"
        raise place.wrong("looks further back than the running state reaches", f"raise `{key}`, or look less far back")


def _check_kinds(one: Indicator, both: frozenset[str], place: _Place) -> None:
    for kind in sorted(kind for term in one.terms.values() for kind in term.kinds & both if term.of == "cases"):
        raise place.wrong(
            f"the kind {kind!r} is taken both of cases and of streams", "take it of one of them, everywhere"
        )


def _term(table: object, place: _Place) -> Term:
    if not isinstance(table, Mapping):
        raise place.wrong("is no table", "write { of = ... }")
    place.only(table, _TERM_KEYS)
    of = place.choice(table, "of", SOURCES)
    take = place.choice(table, "take", TAKES[of], TAKES[of][0])
    where = place.table(table, "where")
    over = table.get("over")
    made = Term(
        of,
        take,
        _column(table, of, take, place),
        place.texts(table, "kinds"),
        place.choice(table, "state", CASE_STATES, "any"),
        place.choice(table, "when", CASE_TIMES) if "when" in table else None,
        place.span(table, "window", 0),
        place.texts(table, "severities"),
        {key: place.below("where").texts(where, key) for key in where},
        place.flag(table, "linked", False),
        place.choice(table, "per_stream", PER_STREAM, "last"),
        place.text(table, "limit") if "limit" in table else None,
        None if over is None else place.number(table, "over"),
        place.texts(table, "layers"),
        place.texts(table, "classes"),
    )
    _check_term(made, table, place)
    return made


def _column(table: Mapping[str, Any], of: str, take: str, place: _Place) -> str | None:
    if take not in STATISTICS or of in ("streams", "area"):
        return None
    return place.choice(table, "column", CASE_COLUMNS if of == "cases" else ENTITY_COLUMNS)


_ONLY_FOR = {"cases": {"state", "when", "linked"}, "streams": {"per_stream", "limit", "over"}}


def _check_term(term: Term, table: Mapping[str, Any], place: _Place) -> None:
    for of, keys in _ONLY_FOR.items():
        for key in keys & set(table) if term.of != of else ():
            raise place.wrong(f"`{key}` means nothing of {term.of}", f"leave it out, or take it of {of}")
    if term.of in ("cases", "streams") and not term.kinds:
        raise place.wrong("names no kinds", 'add kinds = ["hotline"]')
    if term.of == "streams" and not term.window_ms:
        raise place.wrong("has no window", 'add window = "15 min": how old a value may be')
    if term.of == "cases" and bool(term.when) != bool(term.window_ms):
        raise place.wrong("`when` and `window` belong together", 'write when = "opened", window = "24 h", or neither')
    unknown = term.severities - set(SEVERITIES)
    if unknown:
        raise place.wrong(f"there is no severity {sorted(unknown)[0]!r}", f"use {', '.join(SEVERITIES)}")


class _Place:
    """Where in the file something stands, and how to read the values there."""

    def __init__(self, file: Path | None, where: str) -> None:
        self._file, self._where = file, where

    def below(self, name: str) -> _Place:
        return _Place(self._file, f"{self._where} {name}")

    def wrong(self, what: str, step: str) -> ProjectError:
        return ProjectError(f"{self._where}: {what}", file=self._file, next_step=step)

    def only(self, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                raise self.wrong(f"there is no key {key!r}", f"the keys are {', '.join(keys)}")

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._typed(table, key, dict, "a table", {})
        return found

    def flag(self, table: Mapping[str, Any], key: str, default: bool) -> bool:
        return bool(self._typed(table, key, bool, "true or false", default))

    def text(self, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
        return str(self._typed(table, key, str, "text", default))

    def texts(self, table: Mapping[str, Any], key: str) -> frozenset[str]:
        listed = self._typed(table, key, list, "a list of texts", [])
        if not all(isinstance(one, str) for one in listed):
            raise self.wrong(f"`{key}` is no list of texts", f'write {key} = ["..."]')
        return frozenset(listed)

    def choice(self, table: Mapping[str, Any], key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        text = self.text(table, key, default)
        if text not in allowed:
            raise self.wrong(f"`{key}` cannot be {text!r}", f"it is one of {', '.join(allowed)}")
        return text

    def number(
        self, table: Mapping[str, Any], key: str, default: float | None = None, least: float = -float("inf")
    ) -> float:
        given = self._typed(table, key, (int, float), "a number", default)
        if isinstance(given, bool) or not least <= given < float("inf"):
            raise self.wrong(f"`{key}` cannot be {given}", f"write a number, at least {least}")
        return float(given)

    def span(self, table: Mapping[str, Any], key: str, default: int | None = None) -> int:
        if key not in table and default is not None:
            return default
        text = self.text(table, key)
        match = _SPAN.fullmatch(text)
        if match is None or not float(match[1]):
            raise self.wrong(f"`{key}` is no span of time: {text!r}", 'write it as "15 min", "24 h" or "7 d"')
        return int(float(match[1]) * _UNIT_MS[match[2]])

    def _typed(self, table: Mapping[str, Any], key: str, kind: Any, name: str, default: Any) -> Any:
        given = table.get(key, default)
        if given is None:
            raise self.wrong(f"`{key}` is missing", f"add {key}, {name}")
        if not isinstance(given, kind):
            raise self.wrong(f"`{key}` is not {name}", f"write {name} there")
        return given
