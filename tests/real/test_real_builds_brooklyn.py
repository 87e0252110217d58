"""nyc_brooklyn_osm_heights: buildings in pieces of many map tiles, building parts and outlines, OSM relations."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely

from tests.real.build_case import Case, assert_sound, bytes_beneath, outlines, started, twin
from tests.real.build_case import build as build_case

pytestmark = pytest.mark.real

NAME = "nyc_brooklyn_osm_heights.geojsonl.gz"
TO_UTM = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32618", always_xy=True)
#: Rings below this area are digitising dirt (twin.geometry.clean), buildings below the other one are none.
DIRT_M2, SMALLEST_M2 = 0.01, 1.0


def metric(shapes: np.ndarray) -> np.ndarray:
    return shapely.transform(shapes, lambda xy: np.column_stack(TO_UTM.transform(*xy.T)))


@dataclass(frozen=True)
class Truth:
    """What the file holds, counted with gzip, json and shapely alone.

    Attributes:
        lines: The features, in the order of the file.
        piece: (n,) their shapes, metres.
        members: Rows of `lines` by id.
        whole: Union of the pieces of an id that are more than dirt.
        properties: Of the first piece of an id.
    """

    lines: list[dict]
    piece: np.ndarray
    members: dict[str, list[int]]
    whole: dict[str, shapely.Geometry]
    properties: dict[str, dict]


@pytest.fixture(scope="module")
def truth(real_data: Path) -> Truth:
    text = gzip.decompress((real_data / "footprints/nyc_brooklyn_osm_heights" / NAME).read_bytes()).decode("utf-8")
    lines = [json.loads(line) for line in text.replace("\x1e", "").splitlines() if line.strip()]
    piece = metric(np.array([shapely.geometry.shape(line["geometry"]) for line in lines], dtype=object))
    members = defaultdict(list)
    for row, line in enumerate(lines):
        members[str(line["properties"]["id"])].append(row)
    solid = shapely.area(piece) > DIRT_M2
    whole = {key: shapely.union_all(piece[[row for row in rows if solid[row]]]) for key, rows in members.items()}
    properties = {key: lines[rows[0]]["properties"] for key, rows in members.items()}
    return Truth(lines, piece, dict(members), whole, properties)


@pytest.fixture(scope="module")
def brooklyn(truth: Truth, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The set itself, in a folder of its own so that what is written beside the source shows."""
    root = tmp_path_factory.mktemp("brooklyn")
    (root / "data").mkdir()
    (root / "data" / NAME).write_bytes((real_data / "footprints/nyc_brooklyn_osm_heights" / NAME).read_bytes())
    answer = started(root, root / "data" / NAME, flags=("--vertical", "ellipsoid", "--name", "Brooklyn"))
    assert (answer.code, answer.json["blanks"]) == (0, [])
    return build_case(root)


@pytest.fixture(scope="module")
def by_key(brooklyn: Case) -> dict[str, dict[str, str]]:
    found = {row["source_key"]: row for row in brooklyn.entities}
    assert len(found) == len(brooklyn.entities)
    return found


def is_part(properties: dict) -> bool:
    return "part" in properties["kind"]


def expected_outlines(truth: Truth) -> dict[str, str]:
    """Outline of every part that has a height: the one it names, else the one that holds most of it."""
    keys = [key for key, row in truth.properties.items() if not is_part(row) and truth.whole[key].area >= SMALLEST_M2]
    known, shapes = set(keys), np.array([truth.whole[key] for key in keys], dtype=object)
    tree = shapely.STRtree(shapes)
    found = {}
    for key, row in truth.properties.items():
        shape = truth.whole[key]
        if not is_part(row) or row.get("height") is None or shape.area < SMALLEST_M2:
            continue
        if str(row["root_id"]) in known:
            found[key] = str(row["root_id"])
            continue
        share = {n: shapes[n].intersection(shape).area / shape.area for n in tree.query(shape)}
        near = [n for n, inside in share.items() if inside >= 0.5]
        if near:
            found[key] = keys[min(near, key=lambda n: (-round(share[n], 1), shapes[n].area))]
    return found


def test_the_set_is_what_its_manifest_says(truth: Truth) -> None:
    kinds = Counter(line["properties"]["kind"] for line in truth.lines)
    assert (len(truth.lines), len(truth.members)) == (37355, 35134)
    assert kinds == {"building": 37296, "building_part": 58, "historical": 1}
    assert sum("height" in line["properties"] for line in truth.lines) == 37136


def test_every_polygon_is_accounted_for(brooklyn: Case, truth: Truth) -> None:
    assert_sound(brooklyn, len(truth.lines))
    area = shapely.area(truth.piece)
    dirt = {row for row in range(len(area)) if area[row] <= DIRT_M2}
    small = {key for key, shape in truth.whole.items() if shape.area < SMALLEST_M2}
    small_rows = {row for key in small for row in truth.members[key]}
    parents = set(expected_outlines(truth).values())
    outline_rows = {row for key in parents for row in truth.members[key]} - dirt
    no_height = {row for row, line in enumerate(truth.lines) if line["properties"].get("height") is None}
    skipped = dirt | small_rows | outline_rows
    joined = [[row for row in rows if row not in dirt] for rows in truth.members.values()]
    assert brooklyn.outcomes == {
        "built": len(truth.lines) - len(skipped | no_height),
        "fallback": len(no_height - skipped),
        "skipped": len(skipped),
        "failed": 0,
    }
    reasons = brooklyn.layer["reasons"]
    assert reasons["geometry_degenerate"] == len(dirt | small_rows)
    assert reasons["outline_of_parts"] == len(outline_rows)
    assert reasons["height_missing"] == len(no_height - dirt)
    assert reasons["id_joined"] == sum(len(rows) for rows in joined if len(rows) > 1)
    assert brooklyn.layer["entities"] == len(truth.members) - len(small) - len(parents)
    assert brooklyn.code == 3


def test_heights_are_those_of_the_source(by_key: dict[str, dict[str, str]], truth: Truth) -> None:
    for key, row in by_key.items():
        source = truth.properties[key]
        if row["outcome"] == "built":
            assert float(row["height_m"]) == pytest.approx(source["height"], abs=0.0005)
            assert row["height_source"] == "attribute:height"
        elif row["outcome"] == "fallback":
            assert source.get("height") is None
        assert row["entity_class"] == ("BuildingPart" if is_part(source) else "Building")


def test_osm_relations_keep_their_negative_ids(by_key: dict[str, dict[str, str]], truth: Truth) -> None:
    negative = {key for key in truth.members if key.startswith("-")}
    assert len(negative) > 40
    assert negative <= by_key.keys()


def test_pieces_cut_at_tile_borders_are_joined_into_what_they_cover(
    brooklyn: Case, by_key: dict[str, dict[str, str]], truth: Truth
) -> None:
    many = [key for key, rows in truth.members.items() if len(rows) > 1 and key in by_key]
    assert len(many) > 2100
    shapes = outlines(brooklyn)
    ours = metric(np.array([shapes[by_key[key]["geid"]] for key in many], dtype=object))
    theirs = np.array([truth.whole[key] for key in many], dtype=object)
    difference = shapely.area(shapely.symmetric_difference(ours, theirs))
    # Seams of up to 2 cm are closed: no more than that along the outline may differ.
    assert (difference <= 0.02 * shapely.length(theirs)).all()
    assert (np.abs(shapely.area(ours) / shapely.area(theirs) - 1) < 0.005).all()
    assert shapely.get_num_geometries(ours).max() <= 2


def test_single_buildings_stand_where_the_source_says(
    brooklyn: Case, by_key: dict[str, dict[str, str]], truth: Truth
) -> None:
    single = [key for key, rows in truth.members.items() if len(rows) == 1 and key in by_key]
    shapes = outlines(brooklyn)
    ours = np.array([shapes[by_key[key]["geid"]] for key in single], dtype=object)
    source = [shapely.geometry.shape(truth.lines[truth.members[key][0]]["geometry"]) for key in single]
    assert shapely.hausdorff_distance(ours, np.array(source, dtype=object)).max() * 111_320 < 0.01


def test_no_part_and_its_outline_both_stand(by_key: dict[str, dict[str, str]], truth: Truth) -> None:
    expected = expected_outlines(truth)
    assert len(expected) > 20
    geids = {row["geid"]: key for key, row in by_key.items()}
    parents = {key: geids[row["parent"]] for key, row in by_key.items() if row["parent"]}
    assert parents == expected
    assert {key for key, row in by_key.items() if "outline_of_parts" in row["reasons"]} == set(expected.values())
    assert all(by_key[key]["outcome"] == "skipped" for key in expected.values())
    assert all(by_key[key]["outcome"] == "built" for key in expected)


def test_parts_hang_in_the_air_where_they_have_a_min_height(brooklyn: Case, by_key: dict, truth: Truth) -> None:
    hanging = [key for key, row in truth.properties.items() if row.get("min_height") and key in by_key]
    assert len(hanging) > 10
    for key in hanging:
        row, source = by_key[key], truth.properties[key]
        if row["outcome"] == "built" and source["min_height"] < source["height"]:
            mesh = brooklyn.meshes[row["geid"]]
            assert mesh.low == pytest.approx(source["min_height"], abs=0.05)
            assert mesh.high == pytest.approx(source["height"], abs=0.05)


def test_reversed_lines_unpacked_in_another_folder_give_the_same_ids_and_tiles(
    brooklyn: Case, truth: Truth, tmp_path: Path
) -> None:
    lines = [json.dumps(line) for line in reversed(truth.lines)]
    (tmp_path / "other name.geojsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer = started(
        tmp_path, tmp_path / "other name.geojsonl", flags=("--vertical", "ellipsoid", "--name", "Brooklyn")
    )
    assert answer.json["blanks"] == []
    other = build_case(tmp_path)
    assert other.report["release"] == brooklyn.report["release"]
    assert other.entities == brooklyn.entities
    assert {name: other.layer[name] for name in other.layer if name != "examples"} == {
        name: brooklyn.layer[name] for name in brooklyn.layer if name != "examples"
    }


def test_a_second_build_does_nothing(brooklyn: Case) -> None:
    before = dict(bytes_beneath(brooklyn.root / "out" / "releases"))
    again = twin("build", "-C", brooklyn.root, "--json").json
    assert (again["unchanged"], again["tiles_written"], again["layers"]) == (True, 0, brooklyn.report["layers"])
    assert dict(bytes_beneath(brooklyn.root / "out" / "releases")) == before


def test_nothing_is_written_beside_the_gzipped_source(brooklyn: Case) -> None:
    assert [path.name for path in (brooklyn.root / "data").iterdir()] == [NAME]
