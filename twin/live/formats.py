"""Reads exports of events - CSV, JSON, NDJSON, Excel - through a column mapping; every row is a report or a refusal."""

from __future__ import annotations

import codecs
import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from twin.errors import MisuseError, SourceError
from twin.live.cloudevents import parse_batch
from twin.live.columns import ColumnMapping, events_of, row_text, value_at
from twin.live.model import Report
from twin.live.payload import marked_encoding, read_json, read_lines, shown
from twin.live.refusals import Refused
from twin.live.rules import ParseRules

_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".epw": "csv",
    ".json": "json",
    ".geojson": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
_DELIMITERS = ",;\t|"
_BLOCK = 1000
_CHUNK = 1 << 20

Row = dict[str, Any]


def read_rows(path: Path | str, mapping: ColumnMapping, rules: ParseRules | None = None) -> Iterator[Report | Refused]:
    """Reads a file of events.

    Args:
        path: The export.
        mapping: What its columns mean; see `twin.live.mapping.read_mapping`.
        rules: Kinds, clock, limits; None takes the usual ones.

    Yields:
        In the order of the file: each report, or why a row gave none (`Refused.body` holds the row). A row may give
        several reports, or none where no condition of the mapping holds.

    Raises:
        SourceError: The file cannot be read.
        MisuseError: A column the mapping names is not in the file, or its format needs what is not installed.
    """
    used = rules or ParseRules()
    for block in _blocks(read_events(path, mapping, used)):
        yield from _checked(block, used)


def parse_rows(rows: Sequence[object], mapping: ColumnMapping, rules: ParseRules) -> list[Report | Refused]:
    """The reports of rows that came another way: payloads of a broker, answers of a service. As `read_rows`."""
    now = rules.now()
    found: list[dict[str, Any] | Refused] = []
    for row in rows:
        taken = _as_row(row)
        found.extend([taken] if isinstance(taken, Refused) else events_of(taken, mapping, now))
    return list(_checked(found, rules))


def _checked(events: Sequence[dict[str, Any] | Refused], rules: ParseRules) -> Iterator[Report | Refused]:
    reports = iter(parse_batch([event for event in events if not isinstance(event, Refused)], rules))
    for event in events:
        report = event if isinstance(event, Refused) else next(reports)
        if isinstance(report, Refused) and not report.body:
            report.body = row_text(event)
        yield report


def read_events(
    path: Path | str, mapping: ColumnMapping, rules: ParseRules | None = None
) -> Iterator[dict[str, Any] | Refused]:
    """The CloudEvents of a file, to be sent to a server that checks them; else as `read_rows`."""
    file, used = Path(path), rules or ParseRules()
    for row in _READERS[format_of(file, mapping)](file, mapping, used):
        if isinstance(row, Refused):
            row.source = row.source or mapping.source
            yield row
        else:
            yield from events_of(row, mapping, used.now())


def format_of(path: Path, mapping: ColumnMapping) -> str:
    """The format the mapping states, else that of the file's name.

    Raises:
        MisuseError: Neither tells it.
    """
    found = mapping.format or _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        hint = "save it as .xlsx" if path.suffix.lower() == ".xls" else "set `format` in the mapping"
        raise MisuseError("the format of the file is not known", file=path, next_step=hint)
    return found


def _blocks(rows: Iterator[dict[str, Any] | Refused]) -> Iterator[list[dict[str, Any] | Refused]]:
    while block := list(itertools.islice(rows, _BLOCK)):
        yield block


def find_encoding(path: Path) -> tuple[str, str]:
    """Encoding of a text file and how to treat what does not fit: the whole file is read through once.

    UTF-8 and GB 18030 are tried strictly. Where neither fits the whole of it, some lines are damaged: the encoding
    that reads further is taken, and what does not fit becomes lone surrogates, by which those lines are known.
    """
    with path.open("rb") as stream:
        marked = marked_encoding(stream.read(4))
    if marked:
        return marked, "surrogateescape" if marked == "utf-8-sig" else "strict"
    reach = {encoding: _reach(path, encoding) for encoding in ("utf-8", "gb18030")}
    whole = next((encoding for encoding, bytes_read in reach.items() if bytes_read is None), None)
    if whole:
        return whole, "strict"
    return max(reach, key=lambda encoding: reach[encoding] or 0), "surrogateescape"


def _reach(path: Path, encoding: str) -> int | None:
    """Bytes up to the first that does not fit; None where all fit."""
    decoder, done = codecs.getincrementaldecoder(encoding)("strict"), 0
    with path.open("rb") as stream:
        while True:
            chunk = stream.read(_CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return done + error.start
            if not chunk:
                return None
            done += len(chunk)


def _csv_rows(path: Path, mapping: ColumnMapping, rules: ParseRules) -> Iterator[Row | Refused]:
    try:
        encoding, errors = (mapping.encoding, "surrogateescape") if mapping.encoding else find_encoding(path)
        with path.open(encoding=encoding, errors=errors, newline="") as stream:
            for _ in range(mapping.skip):
                stream.readline()
            yield from _lines(stream, path, mapping, rules)
    except (OSError, LookupError, UnicodeError) as error:
        raise SourceError(f"cannot be read: {error}", file=path, next_step="check the file and `encoding`") from error


def _lines(stream: TextIO, path: Path, mapping: ColumnMapping, rules: ParseRules) -> Iterator[Row | Refused]:
    start = stream.readline()
    lines = csv.reader(itertools.chain([start], stream), delimiter=mapping.delimiter or _delimiter(start))
    names = [name.strip() for name in next(lines, [])] if mapping.header else None
    if names is not None:
        check_columns(names, mapping, path)
    while True:
        try:
            line = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield Refused("bad_row", f"line {lines.line_num} cannot be read: {error}", body=f"line {lines.line_num}")
            continue
        if any(line):
            if names is None:
                names = [str(number + 1) for number in range(len(line))]
                check_columns(names, mapping, path)
            yield _row(line, names, lines.line_num, rules)


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _row(line: Sequence[str], names: Sequence[str], number: int, rules: ParseRules) -> Row | Refused:
    body = ",".join(line)
    if not body.isprintable() and any("\udc80" <= character <= "\udcff" for character in body):
        return Refused(
            "bad_encoding",
            f"line {number} is in another encoding than the rest of the file",
            body=shown(body.encode("utf-8", "surrogateescape")),
        )
    if len(line) != len(names):
        return Refused("bad_row", f"line {number} has {len(line)} columns, the header {len(names)}", body=body)
    if len(body) > rules.max_bytes:
        return Refused("too_large", f"line {number} has {len(body)} characters", body=body[: rules.max_bytes])
    return dict(zip(names, line, strict=True))


def check_columns(names: Sequence[str], mapping: ColumnMapping, path: Path | str) -> None:
    """Raises `MisuseError` where a table lacks a column that the mapping names."""
    named = mapping.used | (set(mapping.keep) - {"*"})
    lacking = sorted(named - set(names))
    if lacking:
        raise MisuseError(
            f"the file has no column {lacking[0]!r}; it has {', '.join(names[:60])}",
            file=path,
            next_step=f"mend the mapping{f' {mapping.file}' if mapping.file else ''}",
        )


def _json_rows(path: Path, mapping: ColumnMapping, _rules: ParseRules) -> Iterator[Row | Refused]:
    try:
        document = read_json(_recoded(path, mapping))
    except Refused as refused:
        raise SourceError(
            refused.reason, file=path, next_step='check the file; NDJSON is `format = "ndjson"`'
        ) from refused
    found = value_at(document, mapping.rows) if mapping.rows and isinstance(document, Mapping) else document
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, list):
        raise MisuseError(
            f"`rows` = {mapping.rows!r} leads to no list in the file", file=path, next_step="set `rows` in the mapping"
        )
    yield from (_as_row(item) for item in found)


def _ndjson_rows(path: Path, mapping: ColumnMapping, rules: ParseRules) -> Iterator[Row | Refused]:
    for item in read_lines(_recoded(path, mapping), rules):
        found = value_at(item, mapping.rows) if mapping.rows and isinstance(item, Mapping) else item
        yield found if isinstance(found, Refused) else _as_row(found)


def _as_row(item: object) -> Row | Refused:
    return item if isinstance(item, dict) else Refused("not_an_object", "a row is no JSON object", body=row_text(item))


def _recoded(path: Path, mapping: ColumnMapping) -> bytes:
    try:
        content = path.read_bytes()
        return content.decode(mapping.encoding).encode() if mapping.encoding else content
    except (OSError, LookupError, UnicodeError) as error:
        raise SourceError(f"cannot be read: {error}", file=path, next_step="check the file and `encoding`") from error


def _excel_rows(path: Path, mapping: ColumnMapping, _rules: ParseRules) -> Iterator[Row | Refused]:
    from twin.live.workbook import sheet_lines

    lines = itertools.islice(sheet_lines(path, mapping.sheet), mapping.skip, None)
    names: list[str] | None = None
    for number, line in enumerate(lines, mapping.skip + 1):
        if all(value is None for value in line):
            continue
        if names is None:
            names = [str(value or "").strip() if mapping.header else str(at + 1) for at, value in enumerate(line)]
            check_columns(names, mapping, path)
            if mapping.header:
                continue
        if len(line) > len(names) and any(value is not None for value in line[len(names) :]):
            yield Refused("bad_row", f"row {number} has more columns than the header", body=row_text(list(line)))
        else:
            yield dict(zip(names, line, strict=False))


_READERS = {"csv": _csv_rows, "json": _json_rows, "ndjson": _ndjson_rows, "excel": _excel_rows}
