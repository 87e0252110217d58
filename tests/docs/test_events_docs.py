"""docs/events.md says what the reader of events does: codes, members, keys and examples are those of the program."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from twin.live.cloudevents import parse_cloudevent
from twin.live.columns import FIELDS, Cell, ColumnMapping
from twin.live.kinds import Kind, kinds_from, starter_kinds
from twin.live.mapping import mapping_from
from twin.live.refusals import REFUSALS
from twin.live.rules import ParseRules
from twin.live.schema import event_schema
from twin.live.times import read_time

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def table(heading: str, number: int = 0) -> set[str]:
    """The names in the first column of a table under a heading."""
    section = TEXT.split(f" {heading}\n", 1)[1].split("\n#", 1)[0]
    blocks = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    cells = [line.split("|")[1] for line in blocks[number].splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_refusal_code_is_listed_and_no_other() -> None:
    assert table("Refusals") == set(REFUSALS)


def codes_raised(source: str) -> set[str]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Refused" and call.args
        if isinstance(call.args[0], ast.Constant)
    }


def test_every_code_that_the_program_refuses_with_is_in_the_table_of_codes() -> None:
    files = [file for folder in ("twin/live", "server", "pipelines") for file in (ROOT / folder).rglob("*.py")]
    raised = {code: file.name for file in files for code in codes_raised(file.read_text(encoding="utf-8"))}
    assert {code: name for code, name in raised.items() if code not in REFUSALS} == {}
    assert len(raised) > 20


def test_members_and_attributes_are_those_of_the_schema() -> None:
    schema = event_schema()
    data = schema["properties"]["data"]["properties"]
    assert table("The form") - {"ce-<name>"} == set(schema["properties"]) - {
        "data",
        "data_base64",
        "datacontenttype",
        "dataschema",
        "offset",
        "recordedtime",
    }
    assert table("The form", 1) == set(data) - {"link"}
    assert table("Places") == set(data["place"]["anyOf"][0]["properties"])


def test_keys_of_kinds_mappings_and_cells_are_those_that_are_read() -> None:
    assert table("Kinds") == {item.name for item in fields(Kind)} - {"id"}
    read = {item.name for item in fields(ColumnMapping)} - {"file", "steps"} | {"reports"}
    assert table("Column mappings") - {"header = false", "1", "2"} == read
    assert table("Column mappings", 1) == {item.name for item in fields(Cell)} | {"column", "format"}
    listed = TEXT.split("\nFields: ", 1)[1].split("\n", 1)[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(FIELDS)


def test_the_kinds_that_come_with_the_program_are_named() -> None:
    listed = TEXT.split("These come with the program", 1)[1].split("\n", 1)[0]
    assert set(re.findall(r"`(\w+)`", listed)) == {kind.id for kind in starter_kinds()}


def test_the_examples_are_read() -> None:
    kinds, mapping = (tomllib.loads(example) for example in EXAMPLES)
    assert kinds_from(kinds, starter_kinds())["tree_check"].zh == "树木巡检"
    assert len(mapping_from(mapping).steps) == 2
    event = json.loads(re.findall(r"^```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[0])
    report = parse_cloudevent(event, ParseRules(now=lambda: read_time("2026-11-22T08:00:00+08:00")))
    assert (report.kind, report.status, report.severity) == ("hotline", "dispatched", "low")
    assert report.place.geid == event["subject"]


@pytest.mark.parametrize("limit", ["64 KiB", "16 MiB", "10,000 events", "8 deep"])
def test_the_limits_told_are_those_set(limit: str) -> None:
    rules = ParseRules()
    told = {
        "64 KiB": rules.max_bytes == 64 * 1024,
        "16 MiB": rules.max_body_bytes == 16 * 1024**2,
        "10,000 events": rules.max_batch == 10_000,
        "8 deep": rules.max_depth == 8,
    }
    assert limit in TEXT and told[limit]
