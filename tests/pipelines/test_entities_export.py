"""What `twin entities` writes: measures to the millimetre, without the noise of single precision."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.project import load_project
from pipelines.releases import write_csv, write_geojson
from tests.pipelines.district import District, houses

MEASURES = ("height", "base_m", "roof_m", "height_m")
RULES = """[source.fields]
id = "id"
[[source.height]]
from = "attribute"
field = "height"
[[source.ground]]
from = "attribute"
field = "ground"
"""
HEIGHTS: list[float | None] = [12.3, 3.1, 7.77, 100.001, None]
GROUNDS: list[float | None] = [4.2, -0.0001, 0.1, -3.3, 1.7]


@pytest.fixture
def made(tmp_path: Path) -> District:
    def single(values: list[float | None]) -> list[float | None]:
        return [None if value is None else float(np.float32(value)) for value in values]

    fields = {"id": list("abcde"), "height": single(HEIGHTS), "ground": single(GROUNDS)}
    made = District(tmp_path, houses(5), fields, tail=RULES)
    made.build()
    return made


def as_csv(made: District) -> dict[str, dict[str, str]]:
    sink = io.BytesIO()
    write_csv(made.index, sink)
    return {row["source_key"]: row for row in csv.DictReader(sink.getvalue().decode().splitlines())}


def as_geojson(made: District) -> dict[str, dict[str, Any]]:
    sink = io.BytesIO()
    write_geojson(load_project(made.root), made.index, sink)
    return {one["properties"]["source_key"]: one["properties"] for one in json.loads(sink.getvalue())["features"]}


def test_heights_are_written_as_the_survey_wrote_them_not_as_single_precision_has_them(made: District) -> None:
    rows = as_csv(made)
    assert [rows[key]["height_m"] for key in "abcde"] == ["12.3", "3.1", "7.77", "100.001", ""]
    assert [rows[key]["base_m"] for key in "abcde"] == ["4.2", "0", "0.1", "-3.3", "1.7"]
    assert rows["a"]["roof_m"] == "16.5"
    assert rows["a"]["height_confidence"] == "0.9"
    assert all(re.fullmatch(r"-?\d+(\.\d{1,3})?|", row[name]) for row in rows.values() for name in MEASURES)


def test_both_forms_say_the_same_and_no_more_than_a_millimetre_is_lost(made: District) -> None:
    table = {row["source_key"]: row for row in made.index.table.to_pylist()}
    for key, properties in as_geojson(made).items():
        row = as_csv(made)[key]
        for name in MEASURES:
            assert (float(row[name]) if row[name] else None) == properties[name]
            if properties[name] is not None:
                assert properties[name] == pytest.approx(table[key][name], abs=0.0005)
                assert json.dumps(properties[name]) == json.dumps(round(properties[name], 3))
                assert not str(properties[name]).startswith("-0.0")


def test_the_attributes_of_the_source_are_left_as_they_are(made: District) -> None:
    assert as_geojson(made)["a"]["attributes"]["height"] == float(np.float32(12.3))
