"""The published schema is a schema, knows the kinds it is made of, and says no where the parser would."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from twin.live.kinds import kinds_from, starter_kinds
from twin.live.schema import event_schema

GOOD = {
    "specversion": "1.0",
    "id": "1",
    "source": "urn:a",
    "type": "twin.hotline.created",
    "traceparent": "00",
    "data": {"place": {"address": "x", "storey": 3}, "photos": []},
}


def test_it_is_a_schema_and_is_named_by_its_address() -> None:
    schema = event_schema(url="https://twin.example/")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "https://twin.example/events/schema"
    assert "$id" not in event_schema()
    jsonschema.validate(GOOD, schema)


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"id": None},
        {"source": ["urn:a"]},
        {"type": "twin.ufo.created"},
        {"type": "twin.hotline.observed"},
        {"type": "twin."},
        {"data": "text"},
        {"data": {"place": 7}},
        {"data": {"place": {"lon": True}}},
        {"data": {"title": ["a"]}},
        {"data": {"occurred": {}}},
        {"data_base64": "AAAA"},
        {"Upper": 1},
    ],
)
def test_it_says_no_to_what_is_refused_for_its_form(change: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(event_schema()).is_valid({**GOOD, **change})


def test_a_kind_of_a_district_s_own_is_in_it() -> None:
    document = {**GOOD, "type": "twin.tree_check.created"}
    kinds = kinds_from({"kinds": {"tree_check": {"zh": "树", "en": "Tree"}}}, starter_kinds())
    assert not jsonschema.Draft202012Validator(event_schema()).is_valid(document)
    jsonschema.validate(document, event_schema(kinds))
