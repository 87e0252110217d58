"""Brooklyn and Suzhou surveyed twice: a seeded script makes the second edition, so what happened is known."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.twin.registry.edition_maker import Editions, Script, Thing, make, mark
from twin.crs.reference import horizontal, parse_crs
from twin.registry.change import compare

pytestmark = pytest.mark.real

Record = tuple[str | None, shapely.Geometry, dict]


def things(records: Iterable[Record], working_crs: str) -> list[Thing]:
    """Entities as a build knows them: pieces of one key joined, the outline in metres, heights as numbers."""
    pieces: dict[str, list[shapely.Geometry]] = defaultdict(list)
    values: dict[str, dict] = {}
    for key, shape, properties in records:
        pieces[key].append(shape)
        values.setdefault(key, properties)
    project = horizontal(parse_crs("EPSG:4326"), parse_crs(working_crs))
    shapes = np.array([shapely.union_all(parts) for parts in pieces.values()], dtype=object)
    shapes = shapely.transform(shapes, project)
    good = shapely.is_valid(shapes) & (shapely.area(shapes) > 1) & np.isin(shapely.get_type_id(shapes), (3, 6))
    return [
        Thing(
            shape,
            key,
            number(values[key], "height"),
            number(values[key], "min_height"),
            number(values[key], "levels", "Floor"),
            json.dumps(values[key], sort_keys=True),
        )
        for key, shape, usable in zip(pieces, shapes, good, strict=True)
        if usable
    ]


def number(properties: dict, *names: str) -> float:
    value = next((properties[name] for name in names if name in properties), None)
    try:
        return float("nan") if value is None else float(value)
    except ValueError:
        return float("nan")


def features(text: str) -> Iterable[Record]:
    for line in text.replace("\x1e", "").splitlines():
        if line.strip():
            feature = json.loads(line)
            yield str(feature["properties"]["id"]), shapely.geometry.shape(feature["geometry"]), feature["properties"]


@pytest.fixture(scope="module")
def brooklyn(real_data: Path) -> list[Thing]:
    """35,000 buildings: terraces wall to wall, outlines with parts stacked on each other."""
    file = real_data / "footprints/nyc_brooklyn_osm_heights/nyc_brooklyn_osm_heights.geojsonl.gz"
    return things(features(gzip.decompress(file.read_bytes()).decode("utf-8")), "EPSG:32618")


@pytest.fixture(scope="module")
def suzhou(real_data: Path) -> list[Thing]:
    """3,076 buildings, of which we take the row as key: the file has Id = 0 throughout."""
    document = json.loads((real_data / "footprints/suzhou_floor/suzhou_buildings.geojson").read_bytes())
    rows = enumerate(document["features"])
    return things(
        ((f"r{row}", shapely.geometry.shape(one["geometry"]), one["properties"]) for row, one in rows), "EPSG:4549"
    )


def assert_met(editions: Editions, least: float, doubts: float) -> None:
    """Of the edited rows so many are right, none is wrong silently, few are doubtful; all others stay what they are."""
    found = compare(editions.before, editions.after)
    edited, whole = mark(editions, found), mark(editions, found, edited_only=False)
    assert edited.cases >= 2000
    assert whole.silent == ()
    assert edited.share >= least, "\n".join(edited.wrong)
    assert whole.doubtful <= doubts * edited.cases


def test_brooklyn_surveyed_anew_is_read_back(brooklyn: list[Thing]) -> None:
    assert len(brooklyn) > 34_000
    assert_met(make(brooklyn, 1, Script(sheet_m=1000.0)), 0.995, 0.05)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_suzhou_surveyed_anew_is_read_back(suzhou: list[Thing], seed: int) -> None:
    assert len(suzhou) > 3_000
    assert_met(make(suzhou, seed, Script(sheet_m=1000.0)), 0.995, 0.05)


def test_suzhou_without_a_single_key_is_read_back(suzhou: list[Thing]) -> None:
    """As the file comes: its Id is 0 in every row."""
    assert_met(make(suzhou, 5, Script(sheet_m=1000.0, keys=False)), 0.99, 0.1)


def test_brooklyn_compared_with_itself_is_unchanged(brooklyn: list[Thing]) -> None:
    editions = make(brooklyn, 6, Script().of(0.0))
    found = compare(editions.before, editions.after)
    assert found.after.counts() == {"unchanged": len(brooklyn)} == found.before.counts()
    assert not found.after.doubtful.any()
