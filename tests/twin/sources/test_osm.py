"""OpenStreetMap: areas with a building tag, their lengths in metres, and an account of the rest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import MisuseError
from twin.sources import osm
from twin.sources.vector import ReadOptions, open_source


def way(number: int, nodes: list[int], **tags: str) -> str:
    refs = "".join(f'<nd ref="{node}"/>' for node in nodes)
    return f'<way id="{number}" version="1">{refs}{marks(tags)}</way>'


def marks(tags: dict[str, str]) -> str:
    return "".join(f'<tag k="{key.replace("__", ":")}" v="{value}"/>' for key, value in tags.items())


@pytest.fixture
def extract(tmp_path: Path) -> Path:
    corners = [(0, 0), (4, 0), (4, 4), (0, 4), (1, 1), (2, 1), (2, 2), (1, 2)]
    nodes = "".join(
        f'<node id="{i}" lat="{31 + y / 1000}" lon="{121 + x / 1000}" version="1"/>'
        for i, (x, y) in enumerate(corners, 1)
    )
    node = f'<node id="9" lat="31.1" lon="121.1" version="1">{marks({"building": "entrance"})}</node>'
    outer, inner = [1, 2, 3, 4, 1], [5, 6, 7, 8, 5]
    relation = (
        '<relation id="30" version="1">'
        '<member type="way" ref="20" role="outer"/><member type="way" ref="21" role="inner"/>'
        + marks({"type": "multipolygon", "building": "school", "building__levels": "4", "height": "40 ft"})
        + "</relation>"
    )
    path = tmp_path / "a.osm"
    path.write_text(
        '<?xml version="1.0"?><osm version="0.6">'
        + nodes
        + node
        + way(10, outer, building="yes", height="12,5 m", name="长宁大楼", addr__street="虹桥路", colour="red")
        + way(11, inner, building__part="yes", height="40'6&quot;", min_height="3")
        + way(12, outer, building="no")
        + way(13, [1, 2, 3], building="yes")
        + way(14, outer, landuse="residential")
        + way(15, inner, building="house", height="two floors", building__levels="1;2")
        + way(20, outer)
        + way(21, inner)
        + relation
        + "</osm>"
    )
    return path


def test_ways_and_relations_become_buildings_and_parts(extract: Path) -> None:
    source = open_source(extract)
    blocks = list(source.blocks())
    rows = {row["id"]: row for block in blocks for row in block.attributes.to_pylist()}
    assert source.count == len(rows) == sum(map(len, blocks)) == 4
    assert set(rows) == {"way/10", "way/11", "way/15", "relation/30"}
    assert {key: row["kind"] for key, row in rows.items() if row["kind"] != "building"} == {"way/11": "building_part"}
    assert rows["way/10"]["height"] == 12.5
    assert (rows["way/10"]["name"], rows["way/10"]["addr:street"]) == ("长宁大楼", "虹桥路")
    assert "red" in rows["way/10"]["other_tags"]
    assert rows["way/11"]["height"] == pytest.approx(40.5 * 0.3048)
    assert rows["way/11"]["min_height"] == 3
    assert rows["relation/30"]["height"] == pytest.approx(40 * 0.3048)
    assert rows["relation/30"]["building:levels"] == 4


def test_a_relation_keeps_its_courtyard(extract: Path) -> None:
    block = next(open_source(extract).blocks())
    shapes = dict(zip(block.attributes.column("id").to_pylist(), block.geometry, strict=True))
    assert shapely.area(shapes["relation/30"]) == pytest.approx(15e-6)
    assert shapely.area(shapes["way/10"]) == pytest.approx(16e-6)


def test_what_is_left_out_or_unreadable_is_told(extract: Path) -> None:
    source = open_source(extract)
    assert any(note.startswith("1 nodes") for note in source.notes)
    assert any(note.startswith("1 ways") for note in source.notes)
    notes = [note for block in source.blocks() for note in block.notes]
    assert any('"two floors"' in note for note in notes)
    assert any('"1;2"' in note for note in notes)


def test_only_named_attributes_are_given(extract: Path) -> None:
    source = open_source(extract, ReadOptions(columns=("height", "id")))
    assert next(source.blocks()).attributes.schema.equals(source.fields)
    assert set(source.fields.names) == {"id", "height"}
    assert sorted(source.column("id").to_pylist()) == ["relation/30", "way/10", "way/11", "way/15"]
    with pytest.raises(MisuseError, match="no attribute"):
        open_source(extract, ReadOptions(columns=("hoehe",)))


def test_other_layers_of_the_extract_can_still_be_named(extract: Path) -> None:
    assert open_source(extract, ReadOptions(table="points")).table == "points"


def lengths(*texts: str | None) -> list[float | None]:
    return osm.length_m(pa.chunked_array([pa.array(texts, pa.string())])).to_pylist()


@given(st.decimals(0, 999, places=2), st.sampled_from(["", " m", "m", " meters", " metre", " 米"]), st.booleans())
def test_metres_are_read_however_they_are_written(value: object, unit: str, comma: bool) -> None:
    text = f"{value}{unit}"
    assert lengths(text.replace(".", ",") if comma else text) == [pytest.approx(float(str(value)))]


@pytest.mark.parametrize(
    ("text", "metres"),
    [("40'", 12.192), ("40 ft", 12.192), ("6'6\"", 1.9812), ("~15", 15), ("-3", -3), ("12-15", None), ("5;7", None),
     ("", None), (None, None), ("high", None), ("12 km", None), ("1.2.3", None)],
)  # fmt: skip
def test_lengths_that_are_no_single_number_are_null(text: str | None, metres: float | None) -> None:
    assert lengths(text) == [metres if metres is None else pytest.approx(metres)]
