"""`twin check` reads everything, changes nothing and says what a build will meet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.check_svg import fit, histogram, invalid_picture, nice_step
from pipelines.commands import check as command
from twin.errors import MisuseError, ProjectError

Run = Callable[..., tuple[int, dict[str, Any]]]
X, Y = 500_000.0, 3_450_000.0


def box(x: float, y: float, side: float = 12.0) -> list[list[list[float]]]:
    return [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]


def bow_tie(x: float, y: float) -> list[list[list[float]]]:
    return [[[x, y], [x + 10, y + 10], [x + 10, y], [x, y + 10], [x, y]]]


def geojson(path: Path, features: list[tuple[dict[str, Any] | None, dict[str, Any]]], crs: str | None = "4549") -> Path:
    rows = [{"type": "Feature", "geometry": shape, "properties": fields} for shape, fields in features]
    named = {"crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs}"}}} if crs else {}
    path.write_text(json.dumps({"type": "FeatureCollection", **named, "features": rows}, ensure_ascii=False))
    return path


def polygon(rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": rings}


def messy(path: Path) -> Path:
    """Ten boxes with rising heights; then a bow tie, a null, a point, a missing, a zero and a repeated id."""
    rows = [(polygon(box(X + 40 * i, Y)), {"id": f"B{i}", "height": 10.0 + i, "floors": 3 + i}) for i in range(10)]
    rows += [
        (polygon(bow_tie(X, Y + 50)), {"id": "BAD<1>", "height": 9.0, "floors": 3}),
        (None, {"id": "NULL", "height": 9.0, "floors": 3}),
        ({"type": "Point", "coordinates": [X, Y]}, {"id": "POINT", "height": 9.0, "floors": 3}),
        (polygon(box(X + 80, Y + 50)), {"id": "NOH", "height": None, "floors": None}),
        (polygon(box(X + 120, Y + 50)), {"id": "ZERO", "height": 0.0, "floors": None}),
        (polygon(box(X + 160, Y + 50)), {"id": "B3", "height": 9.0, "floors": 3}),
    ]
    return geojson(path, rows)


PROJECT = """
[project]
name = "长宁 <test> & co"
admin_code = "310105"
working_crs = "EPSG:4549"
vertical_datum = "ellipsoid"
[[source]]
name = "survey"
path = "messy.geojson"
[source.fields]
id = "id"
storeys = "floors"
[[source.height]]
from = "attribute"
field = "height"
[[source.ground]]
from = "constant"
elevation_m = 4
"""


@pytest.fixture
def run() -> Run:
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)

    def call(*words: object) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, ["check", *(str(word) for word in words), "--json"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, json.loads(result.stdout)

    return call


@pytest.fixture
def project(tmp_path: Path) -> Path:
    messy(tmp_path / "messy.geojson")
    (tmp_path / "twin.toml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


def codes(answer: dict[str, Any]) -> dict[str, int]:
    return {row["code"]: row["count"] for row in answer["findings"]}


def test_every_fault_is_counted_once_under_its_code(project: Path, run: Run) -> None:
    code, answer = run("-C", project)
    assert code == answer["exit_code"] == 3
    assert codes(answer) == {
        "geometry_missing": 1,
        "geometry_type": 1,
        "geometry_invalid": 1,
        "id_duplicate": 1,
        "height_missing": 2,
        "height_invalid": 1,
    }
    (source,) = answer["sources"]
    assert source["read"] == 16
    assert source["crs"] == "EPSG:4549"
    assert source["geometry_types"] == {"Point": 1, "Polygon": 14, "null": 1}
    assert sum(source["geometry_types"].values()) == source["read"]
    assert source["with_height"] + source["without_height"] == 14
    (rule,) = source["heights"]
    assert (rule["found"], rule["missing"], rule["refused"]) == (12, 1, 1)
    assert (rule["low"], rule["median"], rule["high"]) == (9.0, 13.5, 19.0)
    assert source["ids"] == {"field": "id", "missing": 0, "repeated": 1, "examples": [{"id": "B3", "times": 2}]}
    assert source["storeys"]["found"] == 12
    assert source["bounds"] == [X, Y, X + 372, Y + 62]


def test_each_finding_says_what_to_do_and_names_source_and_feature(project: Path, run: Run) -> None:
    _, answer = run("-C", project)
    for row in answer["findings"]:
        assert row["source"] == "survey"
        assert row["next_step"]
    invalid = next(row for row in answer["findings"] if row["code"] == "geometry_invalid")
    assert invalid["feature"] == "id BAD<1> (row 10)"
    (example,) = answer["sources"][0]["invalid_examples"]
    assert example["reason"] == "Self-intersection"
    assert example["at"] == [X + 5, Y + 55]


def test_a_refused_duplicate_is_an_error_and_a_joined_one_a_note(project: Path, run: Run) -> None:
    severities = {}
    for policy in ("error", "first", "union"):
        text = PROJECT.replace('path = "messy.geojson"', f'path = "messy.geojson"\nduplicates = "{policy}"')
        (project / "twin.toml").write_text(text, encoding="utf-8")
        _, answer = run("-C", project)
        severities[policy] = next(row["severity"] for row in answer["findings"] if row["code"] == "id_duplicate")
    assert severities == {"error": "error", "first": "warning", "union": "note"}


def test_placeholders_of_the_project_file_are_findings_in_every_form(tmp_path: Path, run: Run) -> None:
    rows = [(polygon(box(X + 40 * i, Y)), {"id": f"B{i}", "height": 10.0 + i, "floors": 3}) for i in range(12)]
    geojson(tmp_path / "messy.geojson", rows)
    (tmp_path / "twin.toml").write_text(PROJECT, encoding="utf-8")
    assert run("-C", tmp_path)[0] == 0
    text = PROJECT.replace("310105", "000000").replace("elevation_m = 4", "elevation_m = 0")
    text = text.replace('"ellipsoid"', '"H85"\ngeoid_undulation_m = 10.9')
    (tmp_path / "twin.toml").write_text(text, encoding="utf-8")
    code, answer = run("-C", tmp_path, "-o", tmp_path / "r.html")
    assert code == answer["exit_code"] == 3
    assert codes(answer) == {"admin_code_placeholder": 1, "ground_placeholder": 1}
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("admin_code_placeholder") == page.count("ground_placeholder") == 1
    assert "Can be built; look at the warnings" in page
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    told = CliRunner().invoke(app, ["check", "-C", str(tmp_path)])
    assert told.exit_code == 3
    assert told.stdout.startswith("twin.toml:\n  warning         1  the administrative code 000000 is a placeholder")


def test_clean_data_give_exit_code_0(tmp_path: Path, run: Run) -> None:
    rows = [(polygon(box(X + 40 * i, Y)), {"id": f"B{i}", "height": 10.0 + i}) for i in range(12)]
    code, answer = run(geojson(tmp_path / "a.geojson", rows))
    assert (code, answer["findings"]) == (0, [])


def test_files_are_checked_without_a_project(tmp_path: Path, run: Run) -> None:
    code, answer = run(messy(tmp_path / "messy.geojson"))
    assert code == 3
    assert answer["sources"][0]["heights"][0]["found"] == 12
    assert codes(answer)["geometry_invalid"] == 1


def test_nothing_but_the_report_is_written(project: Path, run: Run) -> None:
    def state() -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in project.rglob("*") if p.is_file()}

    before = state()
    run("-C", project)
    assert state() == before
    run("-C", project, "-o", project / "r.html")
    assert {k: v for k, v in state().items() if k != "r.html"} == before


def test_a_crs_that_is_missing_is_an_error_with_the_words_to_write(tmp_path: Path, run: Run) -> None:
    import pyogrio.raw

    shapes = shapely.to_wkb(
        np.array([shapely.box(121.4 + i / 1000, 31.2, 121.4 + i / 1000 + 0.0004, 31.201) for i in range(9)])
    )
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.raw.write(tmp_path / "raw.shp", shapes, [np.arange(9)], ["height"], geometry_type="Polygon")
    code, answer = run(tmp_path / "raw.shp")
    assert code == 3
    row = next(row for row in answer["findings"] if row["code"] == "crs_missing")
    assert row["severity"] == "error"
    assert 'crs = "EPSG:' in row["next_step"]


def test_coordinates_that_do_not_fit_the_crs_are_found(tmp_path: Path, run: Run) -> None:
    rows = [(polygon(box(121.4 + i / 1000, 31.2, 0.0004)), {"id": f"B{i}", "height": 9.0 + i}) for i in range(9)]
    _, answer = run(geojson(tmp_path / "a.geojson", rows, "4549"))
    assert "crs_degrees_as_metres" in codes(answer)


def test_a_blank_stops_the_check(project: Path, run: Run) -> None:
    (project / "twin.toml").write_text(PROJECT.replace('"EPSG:4549"', '"FILL-ME: the CRS"'), encoding="utf-8")
    with pytest.raises(ProjectError, match=r"twin\.toml:5: .*FILL|twin\.toml:5: .*is a blank"):
        run("-C", project)


def test_a_field_that_is_not_there_names_those_that_are(project: Path, run: Run) -> None:
    (project / "twin.toml").write_text(PROJECT.replace('field = "height"', 'field = "hight"'), encoding="utf-8")
    with pytest.raises(MisuseError, match='there is no field "hight"') as caught:
        run("-C", project)
    assert "id, height, floors" in str(caught.value)


def test_a_private_crs_appears_nowhere_in_the_report(tmp_path: Path, run: Run) -> None:
    secret = "+proj=tmerc +lat_0=31.235 +lon_0=121.467 +x_0=1234.5 +y_0=-77.25 +ellps=GRS80 +towgs84=0,0,0 +units=m"
    (tmp_path / "local.txt").write_text(secret)
    rows = [(polygon(box(40.0 * i, 0)), {"id": f"B{i}", "height": 9.0 + i}) for i in range(9)]
    geojson(tmp_path / "messy.geojson", rows, None)
    text = PROJECT.replace('path = "messy.geojson"', 'path = "messy.geojson"\ncrs_file = "local.txt"')
    (tmp_path / "twin.toml").write_text(text.replace('storeys = "floors"', ""), encoding="utf-8")
    _, answer = run("-C", tmp_path, "-o", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for part in ("1234.5", "77.25", "tmerc"):
        assert part not in json.dumps(answer)
        assert part not in page
    west = answer["sources"][0]["bounds_lonlat"][0]
    assert 121.4 < west < 121.5


# -------------------------------------------------------------------------------------------------------- the page


class Page(HTMLParser):
    """Collects tags, and checks that they close in order."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(project: Path, run: Run) -> str:
    run("-C", project, "-o", project / "r.html")
    return (project / "r.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_asks_nothing_of_any_host(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    for tag, attributes in parsed.tags:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href", "xlink:href", "onload"} & set(attributes)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_text_from_the_data_is_escaped(page: str) -> None:
    assert "<title>Check: 长宁 &lt;test&gt; &amp; co</title>" in page
    assert "id BAD&lt;1&gt; (row 10)" in page
    assert "<test>" not in page
    assert "BAD<1>" not in page


def test_the_page_shows_map_histograms_and_the_invalid_polygon(page: str) -> None:
    drawings = re.findall(r'<svg class="(\w+)"', page)
    assert drawings.count("map") == 1
    assert drawings.count("histogram") == 2
    assert drawings.count("invalid") == 2
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
    district = re.search(r'<svg class="map".*?</svg>', page, re.DOTALL)
    assert district is not None
    counts = {
        name: len(re.findall("M", d))
        for name, d in re.findall(r'<path class="(ok|missing|bad)"[^>]*d="([^"]*)"', district[0])
    }
    assert counts == {"ok": 11, "missing": 2, "bad": 1}
    assert ">100 m<" in district[0]
    assert "°E" in district[0]


def test_the_same_data_give_the_same_page(project: Path, run: Run) -> None:
    pages = []
    for _ in range(2):
        run("-C", project, "-o", project / "r.html")
        pages.append((project / "r.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_report_never_replaces_the_project_file(project: Path, run: Run) -> None:
    with pytest.raises(MisuseError, match="cannot replace the project file"):
        run("-C", project, "-o", project / "twin.toml")
    assert (project / "twin.toml").read_text(encoding="utf-8") == PROJECT


# ---------------------------------------------------------------------------------------------------------- drawing


@given(st.floats(1e-6, 1e9), st.integers(1, 60))
def test_a_nice_step_is_round_and_near_what_is_wanted(span: float, wanted: int) -> None:
    step = nice_step(span, wanted)
    assert re.fullmatch(r"[125]e[+-]\d+", f"{step:.0e}")
    assert 0.39 * wanted <= span / step <= wanted * 1.00001


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=60), st.booleans())
def test_a_histogram_shows_every_value_once(values: list[float], whole: bool) -> None:
    drawn = histogram(np.array(values), "m", whole=whole)
    ElementTree.fromstring(drawn)
    shown = re.findall(r"m: ([\d,]+)</title>", drawn)
    assert sum(int(number.replace(",", "")) for number in shown) == len(values)


@given(
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    st.tuples(st.floats(1e-3, 1e5), st.floats(1e-3, 1e5)),
)
def test_everything_within_the_bounds_is_on_the_paper(low: tuple[float, float], size: tuple[float, float]) -> None:
    bounds = (*low, low[0] + size[0], low[1] + size[1])
    frame = fit(bounds, 800, 500, degrees=False)
    corners = frame.place(np.array([[bounds[0], bounds[1]], [bounds[2], bounds[3]]]))
    assert (corners >= 23.9).all()
    assert (corners <= [776.1, 476.1]).all()


def test_the_place_of_the_fault_is_marked_in_both_views() -> None:
    shape = shapely.Polygon(bow_tie(0, 0)[0])
    drawn = invalid_picture(shape, (5.0, 5.0))
    spots = re.findall(r'class="spot" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert spots == [("85.0", "85.0"), ("85.0", "85.0")]
