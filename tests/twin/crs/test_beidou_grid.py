"""BeiDou grid codes against the text of GB/T 39409-2020, vendor vectors, and their own inverse."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.crs.beidou_grid import Profile, decode, decode_3d, encode, encode_3d, height_layer, layer_bottom_m
from twin.errors import MisuseError

DATA = Path(__file__).parent / "data"
VECTORS = json.loads((DATA / "beidou_vectors.json").read_text("utf-8"))
TABLE = list(csv.DictReader((DATA / "beidou_vectors.csv").read_text("utf-8").splitlines()))
PROFILES = {
    "standard_mixed_complement": Profile(),
    "standard_mixed_mirror(sign+floor|n|)": Profile("mixed", "mirror_trunc"),
    "opensource_binary_abs_floor(TQtong/ywx001)": Profile("binary", "mirror_floor"),
    "geovis_dms_mirror": Profile("dms", "mirror_trunc"),
}
ALL_PROFILES = [
    Profile(radix, negative)
    for radix in ("mixed", "binary", "dms")
    for negative in ("complement", "mirror_trunc", "mirror_floor")
]
LON, LAT, HEIGHT = st.floats(-180, 180), st.floats(-87.99, 87.99), st.floats(-10_000, 100_000)
#: Degrees and metres by which a point may seem to lie below its cell: boundaries are nudged by a millionth of a cell.
SLACK = 1e-6 / 7_372_800 * 2


def _dms(text: str) -> float:
    degrees, minutes, seconds, letter = text.split()
    value = float(Decimal(degrees) + Decimal(minutes) / 60 + Decimal(seconds) / 3600)
    return -value if letter in "WS" else value


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_every_vector_has_its_codes_at_every_level_and_in_every_profile(vector: dict) -> None:
    lon, lat, h = vector["lon"], vector["lat"], vector["h"]
    assert {level: encode(lon, lat, int(level))[0] for level in vector["code2d"]} == vector["code2d"]
    assert {name: encode_3d(lon, lat, h, 10, PROFILES[name])[0] for name in vector["code3d_level10"]} == vector[
        "code3d_level10"
    ]
    assert height_layer(h)[0] == vector["height_n_level10"]
    cell = decode(vector["code2d"]["10"])
    np.testing.assert_allclose(
        [cell.west[0], cell.south[0], cell.east[0], cell.north[0]], vector["cell10_bounds"], rtol=0, atol=1e-11
    )


def test_every_row_of_the_table_is_reproduced_from_arrays() -> None:
    for level in range(1, 11):
        rows = [row for row in TABLE if int(row["level"]) == level]
        lon, lat, h = (np.array([float(row[key]) for row in rows]) for key in ("lon", "lat", "h"))
        assert encode(lon, lat, level).tolist() == [row["code2d"] for row in rows]
        assert encode_3d(lon, lat, h, level).tolist() == [row["code3d_mixed_complement"] for row in rows]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["vectors_from_standard_text"] if "lon_dms" in v], ids=lambda v: v["lon_dms"]
)
def test_the_examples_of_the_standard_are_reproduced(vector: dict) -> None:
    lon, lat = _dms(vector["lon_dms"]), _dms(vector["lat_dms"])
    if "codes" in vector:
        assert [encode(lon, lat, level)[0] for level in range(1, 9)] == vector["codes"]
    else:
        assert encode(lon, lat, vector["level"])[0] == vector["code"]


def test_table_1_of_the_standard_is_a_cell_on_the_ellipsoid() -> None:
    (code,) = (v["code3d_table1"] for v in VECTORS["vectors_from_standard_text"] if "code3d_table1" in v)
    cell = decode_3d(code)
    assert cell.bottom_m is not None
    assert cell.bottom_m[0] == 0.0
    assert encode_3d((cell.west + cell.east) / 2, (cell.south + cell.north) / 2, 0.001)[0] == code


def test_the_outermost_layers_are_those_of_annex_c() -> None:
    (km,) = (v["C.13_km"] for v in VECTORS["vectors_from_standard_text"] if "C.13_km" in v)
    for degrees in (-256, 255, 256):
        assert layer_bottom_m(degrees * 7_372_800) / 1000 == pytest.approx(km[f"H_{degrees}"], abs=1e-6)


@pytest.mark.parametrize(
    "vector", VECTORS["vectors_from_vendor_GEOVIS_iBEST_DB_6.1"], ids=lambda v: v.get("bgc3d") or v["bgc"]
)
def test_the_vendor_vectors_are_reproduced(vector: dict) -> None:
    lon, lat, level = vector["lon"], vector["lat"], vector["level"]
    if "bgc" in vector:
        assert encode(lon, lat, level)[0] == vector["bgc"]
        return
    profile = PROFILES["geovis_dms_mirror"]
    assert encode_3d(lon, lat, vector["h"], level, profile)[0] == vector["bgc3d"]
    if "zmin" in vector:
        bottom = decode_3d(vector["bgc3d"], profile).bottom_m
        assert bottom is not None
        assert bottom[0] == pytest.approx(vector["zmin"], abs=1e-3)


@pytest.mark.parametrize("row", VECTORS["levels"], ids=lambda row: f"level {row['level']}")
def test_cells_have_the_sizes_and_codes_the_lengths_of_the_standard(row: dict) -> None:
    code, code3d = encode(121.4, 31.2, row["level"]), encode_3d(121.4, 31.2, 0.0, row["level"])
    cell = decode_3d(code3d)
    assert (len(code[0]), len(code3d[0])) == (row["code_len_2d_cumulative"], row["code_len_3d_cumulative"])
    assert (cell.east - cell.west)[0] * 3600 == pytest.approx(row["lon_size_arcsec"])
    assert (cell.north - cell.south)[0] * 3600 == pytest.approx(row["lat_size_arcsec"])
    assert cell.top_m is not None
    assert cell.top_m[0] == pytest.approx(row["height_layer0_thickness_m"], abs=1e-5)


@given(LON, LAT, HEIGHT, st.integers(1, 10), st.sampled_from(ALL_PROFILES))
def test_a_point_lies_in_the_cell_of_its_code_in_every_profile(
    lon: float, lat: float, h: float, level: int, profile: Profile
) -> None:
    code = encode_3d(lon, lat, h, level, profile)
    cell = decode_3d(code, profile)
    assert cell.bottom_m is not None
    assert cell.top_m is not None
    assert cell.level[0] == level
    assert cell.west[0] - SLACK <= (-180.0 if lon == 180.0 else lon) <= cell.east[0] + SLACK
    assert cell.south[0] - SLACK <= lat <= cell.north[0] + SLACK
    assert cell.bottom_m[0] - 1e-6 <= h <= cell.top_m[0] + 1e-6


@given(LON, LAT, HEIGHT, st.integers(2, 10), st.sampled_from(ALL_PROFILES))
def test_cutting_a_code_gives_the_code_of_the_coarser_level(
    lon: float, lat: float, h: float, level: int, profile: Profile
) -> None:
    fine, coarse = encode(lon, lat, level)[0], encode(lon, lat, level - 1)[0]
    assert fine.startswith(coarse)
    assert encode_3d(lon, lat, h, level, profile)[0].startswith(encode_3d(lon, lat, h, level - 1, profile)[0])


@given(LON, LAT, st.integers(1, 10))
def test_the_middle_of_a_cell_has_the_code_of_the_cell(lon: float, lat: float, level: int) -> None:
    code = encode(lon, lat, level)
    cell = decode(code)
    if cell.north[0] < 88 and cell.south[0] > -88:
        assert encode((cell.west + cell.east) / 2, (cell.south + cell.north) / 2, level)[0] == code[0]


@given(st.integers(-179_9999, 179_9999), st.integers(-87_9999, 87_9999))
def test_decimal_degrees_on_a_cell_boundary_belong_to_the_outer_cell(lon4: int, lat4: int) -> None:
    """The exact answer in integers: ten-thousandths of a degree times 7,372,800 cells a degree."""
    column, row = abs(lon4) * 7_372_800 // 10_000, abs(lat4) * 7_372_800 // 10_000
    cell = decode(encode(lon4 / 10_000, lat4 / 10_000))
    west = column if lon4 >= 0 else -column - 1
    south = row if lat4 >= 0 else -row - 1
    assert round(cell.west[0] * 7_372_800) == west
    assert round(cell.south[0] * 7_372_800) == south


@given(st.integers(-7_372_800 * 60, 7_372_800 * 200))
def test_the_lower_face_of_a_layer_lies_in_the_layer(layer: int) -> None:
    assert height_layer(layer_bottom_m(layer))[0] == layer


def test_hemispheres_mirror_each_other() -> None:
    codes = encode([121.4, -121.4, 121.4, -121.4], [31.2, 31.2, -31.2, -31.2])
    assert codes.tolist() == [
        hemisphere + zone + codes[0][3:] for hemisphere, zone in (("N", "51"), ("N", "10"), ("S", "51"), ("S", "10"))
    ]


def test_profiles_agree_between_the_ellipsoid_and_1839_metres_and_differ_beyond() -> None:
    h = np.append(np.linspace(0, 1839.58, 5000), [2000.0, -5.0])
    codes = np.array(
        [encode_3d(np.full(5002, 121.4), np.full(5002, 31.2), h, 10, profile) for profile in PROFILES.values()]
    )
    assert (codes[:, :5000] == codes[0, :5000]).all()
    assert len(set(codes[:, 5000])) > 1
    assert len(set(codes[:, 5001])) == 3


def test_codes_of_mixed_level_and_case_are_read_together() -> None:
    codes = [encode(121.424, 31.2203, level)[0].lower() + " " for level in (10, 3, 7)]
    cells = decode(codes)
    assert cells.level.tolist() == [10, 3, 7]
    assert (np.diff((cells.east - cells.west)[[0, 2, 1]]) > 0).all()
    assert cells.bottom_m is None


@pytest.mark.parametrize(
    ("lon", "lat", "h", "word"),
    [
        (np.nan, 31.0, 0.0, "longitude"), (180.1, 31.0, 0.0, "longitude"), (121.0, np.inf, 0.0, "latitude"),
        (121.0, 88.0, 0.0, "latitude"),
        (121.0, -89.0, 0.0, "latitude"), (121.0, 31.0, np.nan, "height"), (121.0, 31.0, -6.4e6, "height"),
        (121.0, 31.0, 6e8, "height"),
    ],
)  # fmt: skip
def test_what_has_no_code_is_refused_by_name(lon: float, lat: float, h: float, word: str) -> None:
    with pytest.raises(MisuseError, match=word):
        encode_3d([121.4, lon], [31.2, lat], [4.0, h])


def test_the_polar_scheme_is_refused_explicitly() -> None:
    with pytest.raises(MisuseError, match="polar"):
        encode(121.0, 88.5)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("", "length"), ("N51", "length"), ("X51H", "N or S"), ("N61H", "zone"), ("N00H", "zone"), ("N51W", "band"),
        ("NA1H", "character 2"),
        ("N51HC0", "character 5"), ("N51H268", "character 7"), ("N51H263FA", "character 8"),
        ("N51H26é", "character 7"), ("N51H26 ", None),
    ],
)  # fmt: skip
def test_malformed_codes_are_refused_with_the_place_of_the_fault(code: str, word: str | None) -> None:
    if word is None:
        assert decode(code).level[0] == 2
        return
    with pytest.raises(MisuseError, match=re.escape(word)):
        decode(["N51H", code])


@pytest.mark.parametrize("code", ["N251H00", "N051H64", "N051H00260305F0"])
def test_malformed_3d_codes_are_refused(code: str) -> None:
    with pytest.raises(MisuseError):
        decode_3d(code)


def test_unknown_profiles_and_levels_are_refused() -> None:
    with pytest.raises(MisuseError):
        Profile("octal")  # type: ignore[arg-type]
    for level in (0, 11):
        with pytest.raises(MisuseError, match="level"):
            encode(121.0, 31.0, level)


def test_no_points_have_no_codes() -> None:
    assert encode([], []).shape == (0,)
    assert encode_3d([], [], []).shape == (0,)
    assert decode([]).west.shape == (0,)
