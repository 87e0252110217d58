"""`twin.toml` is read strictly, and whatever is wrong is told with line, allowed values and nearest key."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.project import (
    KEYS,
    AttributeHeight,
    DemGround,
    DsmHeight,
    Project,
    crs_text,
    load_project,
    output_path,
    parse_project,
    project_digest,
    resolve_grid,
    resolve_paths,
    resolve_rasters,
)
from twin.errors import ProjectError

GOOD = """\
[project]
name = "Changning"
admin_code = "310105"
working_crs = "EPSG:4549"
vertical_datum = "EPSG:5737"
geoid_undulation_m = 10.9

[[source]]
name = "survey"
path = "data/*.shp"
crs = "EPSG:4326"
fields = { id = "OBJECTID", storeys = "FLOOR" }
[[source.height]]
from = "attribute"
field = "height"
[[source.height]]
from = "storeys"
storey_height_m = 3
by_class = { "工业" = 4.5 }
[[source.ground]]
from = "dem"
raster = "dem.tif"
[layers.buildings]
skirt_m = 2
[output]
workers = 2
"""
FILE = Path("/district/twin.toml")


def parse(text: str) -> Project:
    return parse_project(text, FILE)


def refused(text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        parse(text)
    assert caught.value.next_step
    return [line.removeprefix(f"{FILE}:") for line in caught.value.what.splitlines()]


def edited(line: int, text: str) -> str:
    lines = GOOD.splitlines()
    lines[line - 1] = text
    return "\n".join(lines)


def test_a_good_file_gives_typed_frozen_tables() -> None:
    project = parse(GOOD)
    assert project.root == FILE.parent
    source = project.sources[0]
    assert source.fields.id == "OBJECTID"
    assert [type(rule).__name__ for rule in source.height] == ["AttributeHeight", "StoreysHeight"]
    assert source.height[1].field == "FLOOR"
    assert source.height[1].storey_height_m == 3.0
    assert isinstance(source.ground[0], DemGround)
    assert source.ground[0].raster == ("dem.tif",)
    with pytest.raises(ValueError, match="frozen"):
        source.name = "x"  # type: ignore[misc]


def test_defaults_that_depend_on_other_keys_are_filled_in() -> None:
    text = GOOD.replace('name = "survey"\npath = "data/*.shp"', 'path = "a/楼.geojson.gz"\nlayer = "campus"')
    project = parse(text.replace("[layers.buildings]", "[layers.campus]"))
    assert project.project.authority == "310105"
    assert project.sources[0].name == "楼"
    assert project.layers["campus"].title == "Campus"
    assert parse(GOOD.replace("[layers.buildings]\nskirt_m = 2\n", "")).layers["buildings"].skirt_m == 1.0


def test_a_project_survives_the_way_to_a_worker() -> None:
    project = parse(GOOD)
    assert pickle.loads(pickle.dumps(project)) == project


BAD = [
    (2, "nam = 'x'", 2, r"`project\.nam`: is not a known key; allowed: name, admin_code.*did you mean \"name\"\?"),
    (2, "nam = 'x'", 1, r"`project\.name`: is missing; allowed: text \(Name of the district"),
    (2, "name = 3", 2, r"`project\.name`: is a whole number; allowed: text"),
    (2, "name = ''", 2, r"`project\.name`: is empty"),
    (3, "admin_code = 310105", 3, r"`project\.admin_code`: is a whole number; allowed: text"),
    (3, "admin_code = '3101'", 3, r"`project\.admin_code`: is \"3101\"; allowed: .*6 to 12 digits"),
    (4, "working_crs = 'EPSG:4326'", 4, r"`project\.working_crs`: must be projected, in metres"),
    (4, "working_crs = 'EPSG:2272'", 4, r"`project\.working_crs`: must be projected, in metres"),
    (4, "working_crs = 'gcj02'", 4, r"`project\.working_crs`: must be projected, in metres"),
    (4, "working_crs = 'EPSG:nope'", 4, r"`project\.working_crs`: "),
    (4, "working_crs = 'FILL-ME: the CRS'", 4, r"`project\.working_crs`: is a blank that only you can .*: the CRS"),
    (5, "vertical_datum = 'mean sea'", 5, r"`project\.vertical_datum`: no vertical datum is called 'mean sea'"),
    (5, "vertical_datum = 'EPSG:4549'", 5, r"`project\.vertical_datum`: .* is no vertical datum"),
    (5, "vertical_datum = 'ellipsoid'", 6, r"`project\.geoid_undulation_m`: has no meaning"),
    (6, "", 5, r"`project\.vertical_datum`: heights above a geoid need `geoid_undulation_m"),
    (6, "geoid_undulation_m = nan", 6, r"`project\.geoid_undulation_m`: is nan, which is not a finite number"),
    (6, "geoid_undulation_m = -inf", 6, r"`project\.geoid_undulation_m`: is -inf, which is not a finite"),
    (6, "geoid_undulation_m = 1e6", 6, r"`project\.geoid_undulation_m`: is 1000000\.0; allowed: number from -110"),
    (6, "geoid_undulation_m = '10'", 6, r"`project\.geoid_undulation_m`: is text; allowed: number"),
    (6, "geoid_undulation_m = true", 6, r"`project\.geoid_undulation_m`: is true or false; allowed: number"),
    (6, "geoid_undulation_m = 1979-05-27", 6, r"`project\.geoid_undulation_m`: is a date or time"),
    (6, "geoid_undulation_m = 1\ngeoid_grid = 'g.tif'", 7, r"`project\.geoid_grid`: .*exactly one of the two"),
    (10, "path = 3", 10, r"`source\[1\]\.path`: is a whole number; allowed: text or list of texts"),
    (10, "path = ['a.shp', 3]", 10, r"`source\[1\]\.path\[2\]`: is a whole number; allowed: text or list"),
    (10, "path = []", 10, r"`source\[1\]\.path`: is empty"),
    (9, "", 8, r"`source\[1\]`: needs a `name`"),
    (11, "multipart = 'explod'", 11, r"`source\[1\]\.multipart`: is \"explod\".*did you mean \"explode\"\?"),
    (11, "crs = 'nonsense'", 11, r"`source\[1\]\.crs`: "),
    (11, "crs = 'gcj02'\ncrs_file = 'x.wkt'", 12, r"`source\[1\]\.crs_file`: stands beside `crs`"),
    (11, "Encoding = 'GBK'", 11, r"`source\[1\]\.Encoding`: .*did you mean \"encoding\"\?"),
    (11, "working_crs = 'EPSG:4549'", 11, r"`source\[1\]\.working_crs`: is not a known key.*it belongs to `project`"),
    (12, "fields = { id = 1 }", 12, r"`source\[1\]\.fields\.id`: is a whole number; allowed: text"),
    (12, "fields = { stories = 'F' }", 12, r"`source\[1\]\.fields\.stories`: .*did you mean \"storeys\"\?"),
    (12, "fields = 'id'", 12, r"`source\[1\]\.fields`: is text; allowed: table"),
    (14, "from = 'attribut'", 13, r"`source\[1\]\.height\[1\]`: `from` is \"attribut\".*did you mean \"attribute\"\?"),
    (14, "", 13, r"`source\[1\]\.height\[1\]`: has no `from`; allowed: \"attribute\" \| \"dsm\" \| \"storeys\""),
    (15, "feild = 'height'", 15, r"`source\[1\]\.height\[1\]\.feild`: .*did you mean \"field\"\?"),
    (15, "field = 'h'\nunit = 'km'", 16, r"`source\[1\]\.height\[1\]\.unit`: is \"km\"; allowed: \"m\" \| \"cm\""),
    (18, "", 16, r"`source\[1\]\.height\[2\]\.storey_height_m`: is missing; allowed: number, above 0, to 20"),
    (18, "storey_height_m = 0", 18, r"`source\[1\]\.height\[2\]\.storey_height_m`: is 0; allowed: number, above 0"),
    (19, "by_class = { a = -1 }", 19, r"`source\[1\]\.height\[2\]\.by_class\.a`: is -1; allowed: .*above 0"),
    (21, "from = 'dsm'", 20, r"`source\[1\]\.ground\[1\]`: `from` is \"dsm\"; allowed: \"dem\" \| \"attribute\""),
    (22, "raster = 'd'\npercentile = 5", 23, r"`source\[1\]\.ground\[1\]\.percentile`: has a meaning only with"),
    (22, "raster = 'd'\nstatistic = 'percentile'", 23, r"`source\[1\]\.ground\[1\]\.statistic`: .*state which one"),
    (23, "[layers.building]", 23, r"`layers\.building`: no source has .*did you mean \"buildings\"\?"),
    (24, "skirt = 2", 24, r"`layers\.buildings\.skirt`: .*did you mean \"skirt_m\"\?"),
    (26, "workers = 1.5", 26, r"`output\.workers`: is a number; allowed: whole number from 0 to 1024"),
    (26, "workers = 2\nprecompress = ['gzip', 'zst']", 27, r"`output\.precompress\[2\]`: .*did you mean \"zstd\"\?"),
    (25, "[outputs]", 25, r"`outputs`: is not a known key.*did you mean \"output\"\?"),
]


@pytest.mark.parametrize(("line", "text", "told_at", "words"), BAD, ids=[f"{row[0]}-{row[1][:30]}" for row in BAD])
def test_what_is_wrong_is_told_at_its_line(line: int, text: str, told_at: int, words: str) -> None:
    told = refused(edited(line, text))
    assert any(row.startswith(f"{told_at}: ") and re.search(words, row) for row in told), told


def test_nothing_but_the_wrong_thing_is_told() -> None:
    assert len(refused(edited(11, "multipart = 'explod'"))) == 1
    assert len(refused(edited(5, "vertical_datum = 'FILL-ME: say which'"))) == 1
    assert len(refused(edited(6, "geoid_undulation_m = 'FILL-ME: metres'"))) == 1


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    told = refused(edited(2, "nam = 1").replace("unit", "x").replace('"gzip"', "1").replace("workers", "wrokers"))
    numbers = [int(row.split(":", 1)[0]) for row in told]
    assert numbers == sorted(numbers)
    assert {1, 2, 26} <= set(numbers)


def test_a_source_without_a_ground_rule_is_refused() -> None:
    text = GOOD.replace('[[source.ground]]\nfrom = "dem"\nraster = "dem.tif"\n', "")
    assert refused(text)[0].startswith("8: key `source[1]`: has no ground rule")


def test_names_of_sources_are_unique() -> None:
    second = '[[source]]\nname = "survey"\npath = "b.shp"\n[[source.ground]]\nfrom = "constant"\nelevation_m = 1\n'
    told = refused(GOOD.replace("[layers.buildings]", second + "[layers.buildings]"))
    assert len(told) == 1
    assert re.match(r'24: key `source\[2\]\.name`: "survey" is already the name of source 1', told[0])


def test_a_file_without_sources_is_refused() -> None:
    head = GOOD.split("[[source]]", maxsplit=1)[0]
    assert any("`source`: is missing" in row for row in refused(head))
    assert any("`source`: is empty" in row for row in refused("source = []\n" + head))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[project]\nname = Changning\n", "2:8", "not valid TOML: invalid value"),
        ("[project]\nname = 'a'\nname = 'b'\n", "3:11", "cannot overwrite a value"),
        ("[project\n", "1:9", "not valid TOML"),
        ('[project]\nname = "a\n', "2:10", "not valid TOML"),
        ("a = [1,\n2\n", "2", "not valid TOML"),
    ],
)
def test_a_syntax_error_is_told_with_line_and_column(text: str, place: str, words: str) -> None:
    (told,) = refused(text)
    assert told.startswith(f"{place}: ")
    assert words in told


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no project file here") as caught:
        load_project(tmp_path)
    assert "twin init" in caught.value.next_step


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "twin.toml").write_bytes(b'[project]\nname = "' + "长宁".encode("gb18030") + b'"\n')
    with pytest.raises(ProjectError, match=r"twin\.toml:2: the file is not UTF-8"):
        load_project(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "twin.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_project(tmp_path / "twin.toml").sources == parse(GOOD).sources


def test_a_private_crs_is_not_repeated_in_a_message() -> None:
    secret = "+proj=tmerc +lat_0=31.2353 +lon_0=121.4667 +x_0=zero +y_0=-3457147.81"
    told = "\n".join(refused(edited(11, f"crs = '{secret}'\nmultipart = 'both'")))
    assert "121.4667" not in told
    assert "3457147" not in told


# ---------------------------------------------------------------------------------------------------------- digest


def test_comments_spaces_order_and_written_out_defaults_do_not_change_the_digest() -> None:
    digest = project_digest(parse(GOOD))
    assert project_digest(parse(GOOD.replace("\n", "  # why\n\n"))) == digest
    assert project_digest(parse(edited(11, 'duplicates = "error"\ncrs = "EPSG:4326"'))) == digest
    assert project_digest(parse(edited(2, 'admin_code="310105"').replace('admin_code = "310105"', "name='Changning'")))
    assert project_digest(parse(edited(26, "workers = 7"))) == digest
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("line", "text"), [(2, "name = 'Y'"), (6, "geoid_undulation_m = 10.8"), (24, "skirt_m = 3"), (22, "raster = 'e'")]
)
def test_a_changed_value_changes_the_digest(line: int, text: str) -> None:
    assert project_digest(parse(edited(line, text))) != project_digest(parse(GOOD))


# ----------------------------------------------------------------------------------------------------------- paths


def at(tmp_path: Path, text: str = GOOD) -> Project:
    return parse_project(text, tmp_path / "twin.toml")


def test_globs_give_each_file_once_in_order(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("b.shp", "a.shp", "a.dbf"):
        (tmp_path / "data" / name).touch()
    project = at(tmp_path, edited(10, 'path = ["data/*.shp", "data/a.shp"]'))
    assert [path.name for path in resolve_paths(project, project.sources[0])] == ["a.shp", "b.shp"]


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "sheet[1].shp").touch()
    project = at(tmp_path, edited(10, 'path = "sheet[1].shp"'))
    assert resolve_paths(project, project.sources[0]) == [tmp_path / "sheet[1].shp"]


def test_a_glob_that_matches_nothing_names_its_line(tmp_path: Path) -> None:
    project = at(tmp_path)
    with pytest.raises(ProjectError, match=r'twin\.toml:10: key `source\[1\]\.path`: "data/\*\.shp" matches no file'):
        resolve_paths(project, project.sources[0])


def test_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "buildings.gpkg").touch()
    project = at(tmp_path, edited(10, 'path = "bulidings.gpkg"'))
    with pytest.raises(ProjectError, match=r':10: .*did you mean "buildings\.gpkg"\?'):
        resolve_paths(project, project.sources[0])


def test_rasters_and_grids_are_found_or_told_with_their_line(tmp_path: Path) -> None:
    text = edited(6, 'geoid_grid = "geoid.tif"').replace(
        'from = "attribute"\nfield = "height"', 'from = "dsm"\nraster = "s*.tif"'
    )
    project = at(tmp_path, text)
    (height, _), (ground,) = project.sources[0].height, project.sources[0].ground
    assert isinstance(height, DsmHeight)
    assert isinstance(ground, DemGround)
    for call, line in (
        (lambda: resolve_rasters(project, project.sources[0], height), 15),
        (lambda: resolve_rasters(project, project.sources[0], ground), 22),
        (lambda: resolve_grid(project), 6),
    ):
        with pytest.raises(ProjectError, match=rf"twin\.toml:{line}: "):
            call()
    for name in ("geoid.tif", "s1.tif", "dem.tif"):
        (tmp_path / name).touch()
    assert resolve_grid(project) == tmp_path / "geoid.tif"
    assert resolve_rasters(project, project.sources[0], height) == [tmp_path / "s1.tif"]
    assert output_path(project) == tmp_path / "out"


def test_a_crs_file_is_read_when_asked_for(tmp_path: Path) -> None:
    project = at(tmp_path, edited(11, 'crs_file = "local.wkt"'))
    with pytest.raises(ProjectError, match=r"twin\.toml:11: "):
        crs_text(project, project.sources[0])
    (tmp_path / "local.wkt").write_text("+proj=tmerc +lon_0=121\n")
    assert crs_text(project, project.sources[0]) == "+proj=tmerc +lon_0=121"
    assert crs_text(at(tmp_path), at(tmp_path).sources[0]) == "EPSG:4326"


# ------------------------------------------------------------------------------------------------------------ fuzz

VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "nan",
        "inf",
        "''",
        "'x'",
        "[]",
        "{}",
        "[[1]]",
        "{a.b = 1}",
        "true",
        "1979-05-27",
        "'FILL-ME: x'",
        "[{}]",
    ]
)
HEADERS = ["[{}]", "[[{}]]", "[source.{}]", "[[source.{}]]", "[layers.{}]"]
WORDS = sorted({key.dotted.rsplit(".", 1)[-1] for key in KEYS} | {"source", "project", "layers", "height", "x", "from"})


@st.composite
def mangled(draw: st.DrawFn) -> str:
    lines = GOOD.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        renamed = lines[number].split("=")[0]
        word = draw(st.sampled_from(WORDS))
        lines[number] = draw(
            st.one_of(
                VALUES.map(lambda value, renamed=renamed: f"{renamed}= {value}"),
                VALUES.map(lambda value, word=word: f"{word} = {value}"),
                st.sampled_from(
                    [f"[{word}]", f"[[{word}]]", f"[source.{word}]", f"[[source.{word}]]", f"[layers.{word}]"]
                ),
                st.text(max_size=5),
            )
        )
    return "\n".join(lines)


@settings(max_examples=300, deadline=None)
@given(mangled())
def test_a_mangled_file_is_read_or_refused_with_lines_but_never_breaks(text: str) -> None:
    try:
        project = parse(text)
    except ProjectError as error:
        assert all(re.match(rf"{FILE}:[0-9]+(:[0-9]+)?: ", line) for line in error.what.splitlines()), error
    else:
        assert isinstance(project.sources[0].height, tuple)
        assert project_digest(project) == project_digest(parse(text))


def test_every_key_has_a_sentence_and_a_type() -> None:
    assert len({key.dotted for key in KEYS}) == len(KEYS) > 50
    for key in KEYS:
        assert len(key.description) > 10, key
        assert key.type not in ("", "table"), key


def test_lengths_in_keys_state_their_unit() -> None:
    numbers = [key for key in KEYS if "number" in key.type and "whole" not in key.type]
    shares = r"change\.(overlap_\w+|inside|dominant|walls_same|height_leap|doubt)"
    named = re.compile(rf"(_m|_m2|percentile|_change|by_class|{shares})$")
    assert [key.dotted for key in numbers if not named.search(key.dotted)] == []


def test_attribute_heights_know_their_unit() -> None:
    rule = parse(edited(15, 'field = "h"\nunit = "us-ft"\nmeaning = "roof_elevation"')).sources[0].height[0]
    assert isinstance(rule, AttributeHeight)
    assert (rule.unit, rule.meaning) == ("us-ft", "roof_elevation")
