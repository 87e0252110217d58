"""The committed extract builds, and the report counts each fault that was put in, under its own reason."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import data_samples
from pipelines.cli import run
from pipelines.project import load_project
from pipelines.run import build
from twin.entity.index import EntityIndex

COMMITTED = Path(data_samples.__file__).parent / "extract"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build") / "extract"
    shutil.copytree(COMMITTED, folder)
    return build(load_project(folder)), folder


@pytest.fixture(scope="module")
def expected():
    return json.loads((COMMITTED / "manifest.json").read_text(encoding="utf-8"))["expected"]


def test_every_fault_is_counted_under_its_reason_and_nothing_else_is(built, expected):
    layer = built[0].report.to_json()["layers"]["buildings"]
    assert {key: layer[key] for key in expected if key != "height_source"} == {
        key: value for key, value in expected.items() if key != "height_source"
    }
    assert built[0].report.exit_code == 3


def test_heights_come_from_where_the_manifest_says_and_stand_on_the_terrain(built, expected):
    result, folder = built
    table = EntityIndex.open(folder / "out" / "releases" / result.release / "entities.arrow").table
    rows = table.select(["height_source", "ground_source", "base_m", "height_m", "roof_m", "lod"]).to_pylist()
    sources = Counter(row["height_source"] for row in rows)
    assert sources["storeys"] == expected["height_source"]["storeys"]
    solid = [row for row in rows if row["lod"] == "1.2"]
    assert len(solid) == expected["built"]
    assert {row["ground_source"] for row in solid} == {"dem"}
    base, height, roof = (np.array([row[name] for row in solid]) for name in ("base_m", "height_m", "roof_m"))
    assert ((base > 2) & (base < 6)).all()
    assert ((height > 2) & (height < 230)).all()
    np.testing.assert_allclose(roof, base + height, atol=1e-6)


def test_every_building_lies_in_the_subdistrict_it_names_and_that_in_the_district(built):
    result, folder = built
    table = EntityIndex.open(folder / "out" / "releases" / result.release / "entities.arrow").table
    rows = {row["geid"]: row for row in table.drop_columns(["geometry"]).to_pylist()}
    areas = {row["source_key"]: row for row in rows.values() if row["layer"] == "areas"}
    names = json.loads((Path(data_samples.__file__).parent / "admin.json").read_text(encoding="utf-8"))
    assert {key: row["name"] for key, row in areas.items()} == {
        names["county"]["code"]: names["county"]["zh"],
        **{street["code9"]: street["zh"] for street in names["streets"]},
    }
    district = areas.pop(names["county"]["code"])
    assert district["parent"] is None and {row["parent"] for row in areas.values()} == {district["geid"]}
    houses = [row for row in rows.values() if row["layer"] == "buildings" and row["lon"] is not None]
    assert len(houses) > 500
    assert {rows[row["parent"]]["source_key"] == row["attr.JDDM"] for row in houses} == {True}


def test_the_demo_ends_as_its_build_does(tmp_path, capsys):
    code = run(["demo", "--extract", "--no-serve", "--json", "-o", str(tmp_path / "demo")])
    account = json.loads(capsys.readouterr().out)
    assert code == account["exit_code"] == 3, "the sample holds faults on purpose; they are told like any other's"
    assert account["layers"]["buildings"]["fallback"] > 0
