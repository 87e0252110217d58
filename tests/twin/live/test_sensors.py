"""The table of sensors is read from CSV and TOML alike, and what is wrong in it is told with its place."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import ProjectError
from twin.live.sensors import Datastream, Sensor, by_spelling, read_sensors

CSV = """id,name,geid,code,lon,lat,h,datastream,property,unit,title
WL-01,苏州河水位,,REF:9,121.4,31.2,4.5,level,water_level,m,水位
WL-01,,,,,,,temp,water_temperature,Cel,
AQ-7,,7k3m-z9q2-4hdx-p1w8,,,,,pm25,,ug/m3,

"""
TOML = """
[[sensor]]
id = "WL-01"
name = "苏州河水位"
code = "REF:9"
lon = 121.4
lat = 31.2
h = 4.5
[[sensor.datastream]]
id = "level"
property = "water_level"
unit = "m"
title = "水位"
[[sensor.datastream]]
id = "temp"
property = "water_temperature"
unit = "Cel"
[[sensor]]
id = "AQ-7"
geid = "7k3m-z9q2-4hdx-p1w8"
[[sensor.datastream]]
id = "pm25"
unit = "ug/m3"
"""
EXPECTED = {
    "WL-01": Sensor(
        "WL-01",
        "苏州河水位",
        None,
        "REF:9",
        121.4,
        31.2,
        4.5,
        (
            Datastream("level", "water_level", "m", "水位"),
            Datastream("temp", "water_temperature", "Cel"),
        ),
    ),
    "AQ-7": Sensor("AQ-7", geid="7k3m-z9q2-4hdx-p1w8", datastreams=(Datastream("pm25", "pm25", "ug/m3"),)),
}


def written(folder: Path, text: str, name: str = "sensors.csv", encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_in_any_encoding_of_an_office_says_the_same_as_toml(tmp_path: Path, encoding: str) -> None:
    assert read_sensors(written(tmp_path, CSV, encoding=encoding)) == EXPECTED
    assert read_sensors(written(tmp_path, CSV.replace("\n", "\r\n"), encoding=encoding)) == EXPECTED
    assert read_sensors(written(tmp_path, TOML, "sensors.toml")) == EXPECTED


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@given(st.dictionaries(WORDS, st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.none() | WORDS), max_size=8))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, tuple[float, float, str | None]]
) -> None:
    sensors = {name: Sensor(name, label, lon=lon, lat=lat) for name, (lon, lat, label) in rows.items()}
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(["LON", " id ", "lat", "name"])
    table.writerows([[repr(one.lon), one.id, repr(one.lat), one.name or ""] for one in sensors.values()])
    assert read_sensors(written(tmp_path_factory.mktemp("sensors"), out.getvalue())) == sensors


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,geid\na,b\n", "the column 'id' is missing"),
        ("id,id,geid\na,b,c\n", "comes twice"),
        ("id,geid,colour\na,b,c\n", "unknown column 'colour'"),
        ("id,geid\n,b\n", "line 2 has no id"),
        ("id,geid\na\n", "'a' has neither geid, code nor position"),
        ("id,geid\na,b,c\n", "line 2 has more cells"),
        ("id,lon,lat\na,121,\n", "'a' has half a position"),
        ("id,lon,lat\na,121,91\n", "lat '91' is no number between -90 and 90"),
        ("id,lon,lat\na,121,nan\n", "lat 'nan' is no number"),
        ("id,lon,lat\na,x,31\n", "lon 'x' is no number"),
        ("id,geid\na,b\na,c\n", "geid of sensor 'a' is 'c', but 'b' further up"),
        ("id,geid,datastream,unit\na,b,t,m\na,b,t,Cel\n", "a datastream of sensor 'a' comes twice"),
        ("id,geid,unit\na,b,m\n", "neither an id nor a property"),
        (f"id,geid\n{'x' * 201},b\n", "has no id"),
        (f"id,geid\na,{'x' * 200_000}\n", "it is no CSV"),
    ],
)
def test_what_is_wrong_in_a_csv_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        read_sensors(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[sensor]\n", "not valid TOML"),
        ("[[sensors]]\nid = 'a'\n", "something other than"),
        ("sensor = 3\n", "something other than"),
        ("[[sensor]]\nid = 3\n", "sensor 1 has no id"),
        ("[[sensor]]\nid = 'a'\ngeid = 4\n", "geid is no text"),
        ("[[sensor]]\nid = 'a'\nlon = true\nlat = 1\n", "lon 'True' is no number"),
        ("[[sensor]]\nid = 'a'\nplace = 'b'\n", "unknown key 'place'"),
        ("[[sensor]]\nid = 'a'\ngeid = 'b'\ndatastream = 'c'\n", "no list of tables"),
        ("[[sensor]]\nid = 'a'\ngeid = 'b'\n[[sensor.datastream]]\ncolour = 'c'\n", "unknown key 'colour'"),
    ],
)
def test_what_is_wrong_in_a_toml_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        read_sensors(written(tmp_path, text, "sensors.TOML"))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be read"):
        read_sensors(tmp_path / "none.csv")
    file = tmp_path / "bad.csv"
    file.write_bytes(b"id,geid\n\xff\xff\xff,b\n")
    with pytest.raises(ProjectError, match="neither UTF-8 nor GB18030"):
        read_sensors(file)


def test_a_sensor_is_found_in_any_spelling_unless_two_would_be_meant() -> None:
    sensors = {name: Sensor(name, geid="g") for name in ("WL-1", "aq", "AQ", "ｘ")}
    assert {name: one.id for name, one in by_spelling(sensors).items()} == {"wl-1": "WL-1", "x": "ｘ"}
