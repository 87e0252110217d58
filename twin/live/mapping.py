"""Reads the TOML file that says how an export's columns become reports, and tells what is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twin.errors import MisuseError
from twin.live.columns import FIELDS, Cell, ColumnMapping, Step, When
from twin.live.kinds import Kinds, starter_kinds
from twin.live.times import zone_of

FORMATS = ("csv", "json", "ndjson", "excel")
_CELL_KEYS = frozenset(
    ["column", "columns", "first", "text", "join", "format", "formats", "scale", "plus", "missing", "words"]
)
_TEXTS = frozenset(["source", "kind", "format", "encoding", "delimiter", "rows", "sheet", "zone", "crs"])
_KEYS = _TEXTS | {"skip", "header", "keep", "fields", "reports", "statuses", "severities"}


def read_mapping(path: Path | str, kinds: Kinds | None = None) -> ColumnMapping:
    """Reads a column mapping.

    Args:
        path: A TOML file; docs/events.md says what stands in it.
        kinds: Known kinds; None takes those that come with the program.

    Raises:
        MisuseError: The file cannot be read, or a key or value of it is wrong.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisuseError(f"the mapping cannot be read: {error}", file=path, next_step="mend the TOML file") from error
    return mapping_from(document, kinds, path)


def mapping_from(
    document: Mapping[str, Any], kinds: Kinds | None = None, file: Path | str | None = None
) -> ColumnMapping:
    """The mapping that a parsed TOML document states; see `read_mapping`."""
    try:
        return _mapping(document, kinds or starter_kinds(), None if file is None else str(file))
    except _WrongError as wrong:
        raise MisuseError(str(wrong), file=file, next_step="see docs/events.md, Column mappings") from None


class _WrongError(Exception):
    """What is wrong with the document, before the file is known."""


def _mapping(document: Mapping[str, Any], kinds: Kinds, file: str | None) -> ColumnMapping:
    _known_keys(document, _KEYS, "the mapping")
    texts = {key: _text(document[key], key) for key in _TEXTS if key in document}
    if not texts.get("source"):
        raise _WrongError("`source` is missing: the URI the reports come from, for example urn:city:12345")
    fields = _cells(document.get("fields", {}), "fields")
    if "kind" not in fields and texts.get("kind") not in kinds:
        raise _WrongError(f"`kind` must be one of {', '.join(kinds.by_id)}, or a field")
    if texts.get("format", "csv") not in FORMATS:
        raise _WrongError(f"`format` is one of {', '.join(FORMATS)}")
    words = {name: _word_table(document.get(name, {}), name) for name in ("statuses", "severities")}
    checked = kinds.with_words(words["statuses"], words["severities"])  # refuses words that stand for nothing
    return ColumnMapping(
        source=texts["source"],
        kind=texts.get("kind", ""),
        fields=fields,
        steps=_steps(document.get("reports", [])),
        keep=_texts(document.get("keep", []), "keep"),
        format=texts.get("format"),
        encoding=texts.get("encoding"),
        delimiter=texts.get("delimiter"),
        skip=_count(document.get("skip", 0), "skip"),
        header=_flag(document.get("header", True), "header"),
        rows=texts.get("rows", ""),
        sheet=texts.get("sheet"),
        zone=zone_of(texts["zone"]) if "zone" in texts else None,
        crs=texts.get("crs"),
        statuses=checked.statuses,
        severities=checked.severities,
        file=file,
    )


def _steps(value: object) -> tuple[Step, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise _WrongError("`reports` is a list of tables: [[reports]]")
    return tuple(_step(entry) for entry in value) or (Step(),)


def _step(entry: Mapping[str, Any]) -> Step:
    cells = _cells({key: value for key, value in entry.items() if key != "when"}, "reports")
    conditions = entry.get("when", [])
    return Step(cells, tuple(_when(item) for item in (conditions if isinstance(conditions, list) else [conditions])))


def _when(item: object) -> When:
    if not isinstance(item, Mapping) or not isinstance(item.get("column"), str):
        raise _WrongError('`when` is { column = "...", in = [...] } or { column = "..." }')
    _known_keys(item, frozenset(["column", "in"]), "`when`")
    return When(item["column"], frozenset(_texts(item["in"], "when.in")) if "in" in item else None)


def _cells(table: object, name: str) -> dict[str, Cell]:
    if not isinstance(table, Mapping):
        raise _WrongError(f"`{name}` is a table")
    strange = sorted(set(table) - set(FIELDS))
    if strange:
        raise _WrongError(f"`{name}` has {strange[0]!r}, which is no field; fields are {', '.join(FIELDS)}")
    return {key: _cell(value, f"{name}.{key}") for key, value in table.items()}


def _cell(value: object, name: str) -> Cell:
    if isinstance(value, str):
        return Cell((value,))
    if not isinstance(value, Mapping):
        raise _WrongError(f'`{name}` is the name of a column, or a table such as {{ text = "..." }}')
    _known_keys(value, _CELL_KEYS, f"`{name}`")
    columns = _texts(value["columns"], name) if "columns" in value else ()
    columns = (_text(value["column"], name), *columns) if "column" in value else columns
    if bool(columns) == ("text" in value):
        raise _WrongError(f"`{name}` needs either `column` (or `columns`) or `text`")
    formats = value.get("formats", value.get("format", []))
    return Cell(
        columns=columns,
        first=_flag(value.get("first", False), name),
        text=_text(value["text"], name) if "text" in value else None,
        join=_text(value.get("join", " "), name),
        formats=_texts([formats] if isinstance(formats, str) else formats, name),
        scale=_number(value.get("scale", 1.0), name),
        plus=_number(value.get("plus", 0.0), name),
        missing=frozenset(_texts(value.get("missing", []), name)),
        words=_word_table(value.get("words", {}), name),
    )


def _known_keys(table: Mapping[str, Any], known: frozenset[str], name: str) -> None:
    strange = sorted(set(table) - known)
    if strange:
        raise _WrongError(f"{name} has no key {strange[0]!r}; it has {', '.join(sorted(known))}")


def _word_table(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(word, str) for word in value.values()):
        raise _WrongError(f"`{name}`: a table of words is text = text")
    return dict(value)


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise _WrongError(f"`{name}` is a list of texts")
    return tuple(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise _WrongError(f"`{name}` is a text")
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongError(f"`{name}`: scale and plus are numbers")
    return float(value)


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _WrongError(f"`{name}` is a whole number, 0 or more")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"`{name}` is true or false")
    return value
