"""What a user may write for a CRS, and what must never be said of a private one."""

from __future__ import annotations

import logging
import pickle
import traceback
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pyproj
import pytest

from twin.crs.plausible import check_plausible
from twin.crs.reference import base_geographic, horizontal, is_projected_metric, parse_crs
from twin.errors import CrsError

#: Numbers of a made-up city grid; none of them may ever be shown.
SECRETS = ("121.4667", "31.2354", "-3457.25", "12.345", "-67.89", "krass", "Krassovsky", "Secretville")
PROJ_STRING = (
    "+proj=tmerc +lat_0=31.2354 +lon_0=121.4667 +x_0=-3457.25 +y_0=0 +ellps=krass "
    "+towgs84=12.345,-67.89,3.1,0,0,0,0 +units=m +no_defs"
)
WKT = pyproj.CRS(PROJ_STRING).to_wkt().replace('"unknown"', '"Secretville grid"')
PROJJSON = pyproj.CRS(PROJ_STRING).to_json()


def _texts(*values: object) -> str:
    return "\n".join(form(value) for value in values for form in (repr, str))


def _tells(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    "text",
    [
        "EPSG:4549",
        "epsg:4549",
        "4549",
        " 4549 ",
        "urn:ogc:def:crs:EPSG::4549",
        "urn:ogc:def:crs:EPSG:9.9.1:4549",
        "http://www.opengis.net/def/crs/EPSG/0/4549",
        "https://www.opengis.net/def/crs/EPSG/0/4549",
        "EPSG:4549+5737",
        "+init=epsg:4549",
        "CGCS2000 / 3-degree Gauss-Kruger CM 120E",
        "cgcs2000 / 3-degree gauss-kruger cm 120e",
        "CGCS2000 / 3-degree GK CM 120E",
        "CGCS2000_3_Degree_GK_CM_120E",
    ],
)
def test_every_public_spelling_of_a_crs_is_the_same_crs(text: str) -> None:
    assert parse_crs(text) == parse_crs("EPSG:4549")
    assert parse_crs(text).name == "EPSG:4549"


@pytest.mark.parametrize(
    ("text", "kind"), [("gcj02", "gcj02"), ("GCJ-02", "gcj02"), ("bd09", "bd09"), ("BD-09", "bd09")]
)
def test_web_map_systems_have_their_own_kind(text: str, kind: str) -> None:
    crs = parse_crs(text)
    assert (crs.kind, crs.public, crs.is_geographic) == (kind, True, True)
    assert not is_projected_metric(crs)


@pytest.mark.parametrize("code", [4549, 4528, 4326, 4490, 28992, 3007, 2263, 5179, 2451, 6676, 32651, 3857, 2364, 3879])
@pytest.mark.parametrize("version", ["WKT1_ESRI", "WKT2_2019"])
def test_the_wkt_of_a_registered_crs_is_that_crs(code: int, version: str) -> None:
    crs = parse_crs(pyproj.CRS.from_epsg(code).to_wkt(version))
    assert (crs.name, crs.public) == (f"EPSG:{code}", True)


def test_wkt_that_claims_a_code_but_has_other_parameters_is_private() -> None:
    changed = (
        pyproj.CRS.from_epsg(4549)
        .to_wkt()
        .replace('"Longitude of natural origin",120', '"Longitude of natural origin",120.02')
    )
    assert changed != pyproj.CRS.from_epsg(4549).to_wkt()
    assert not parse_crs(changed).public


def test_three_dimensional_and_compound_systems_keep_their_horizontal_part() -> None:
    assert parse_crs("EPSG:4979").name == "EPSG:4326"
    assert parse_crs("EPSG:4480").name == "EPSG:4490"
    assert parse_crs("EPSG:7415").name == "EPSG:28992"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no coordinate reference system is given"),
        ("FILL-ME: the CRS of the source", "no coordinate reference system is given"),
        ("EPSG:999999", "EPSG:999999"),
        ("EPSG:4978", "geocentric"),
        ("EPSG:5737", "vertical"),
        ("Atlantis grid", "Atlantis grid"),
        ('LOCAL_CS["site",UNIT["m",1]]', "not tied to the Earth"),
        ("+proj=tmerc +k_0=zero", "cannot read"),
    ],
)
def test_what_is_no_horizontal_crs_is_refused_by_name_with_a_next_step(text: str, word: str) -> None:
    with pytest.raises(CrsError, match=word) as refusal:
        parse_crs(text)
    assert "EPSG" in refusal.value.next_step or "PROJCRS" in refusal.value.next_step


def test_a_name_that_nearly_fits_is_answered_with_the_right_code() -> None:
    with pytest.raises(CrsError) as refusal:
        parse_crs("CGCS2000 / 3-degree Gauss-Kruger CM 120")
    assert "EPSG:4549" in refusal.value.next_step


@pytest.mark.parametrize("definition", [PROJ_STRING, WKT, PROJJSON], ids=["proj", "wkt", "projjson"])
def test_a_private_definition_shows_in_no_text_form(definition: str) -> None:
    crs = parse_crs(definition)
    again = pickle.loads(pickle.dumps(crs))
    parts = [crs, again, crs.pyproj, again.pyproj, base_geographic(crs), base_geographic(crs).pyproj]
    assert not crs.public
    assert again == crs
    assert not _tells(_texts(*parts, [crs], {"crs": crs}, horizontal(crs, parse_crs("4549"))))


@pytest.mark.parametrize(
    "broken",
    [
        PROJ_STRING.replace("+proj=tmerc", "+proj=nosuch"),
        PROJ_STRING.replace("31.2354", "31.2354degrees"),
        PROJ_STRING.replace("+ellps=krass", "+ellps=krass +k_0=0"),
        WKT[:-3],
        "tmerc 31.2354 121.4667 krass -3457.25",
        WKT.replace("METHOD", "METHODD"),
        PROJJSON[:-2],
        PROJ_STRING.replace("+towgs84=12.345,-67.89,3.1,0,0,0,0", "+nadgrids=Secretville.gsb"),
        PROJ_STRING.replace(" +towgs84=12.345,-67.89,3.1,0,0,0,0", ""),
    ],
    ids=[
        "projection",
        "number",
        "scale",
        "cut wkt",
        "bare numbers",
        "wkt word",
        "cut json",
        "grid missing",
        "no shift",
    ],
)
def test_no_error_log_or_traceback_quotes_a_private_definition(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        crs = parse_crs(broken)
        horizontal(crs, parse_crs("EPSG:4549"))(np.zeros((1, 2)))
    except CrsError as error:
        told = "".join(traceback.format_exception(error)) + _texts(error, error.args, error.__dict__)
        assert error.__cause__ is None
        assert error.__context__ is None
    else:
        pytest.skip("PROJ reads it after all")
    assert not _tells(told.replace(__file__, ""))
    assert not _tells(caplog.text)


def test_findings_about_a_private_crs_do_not_give_it_away() -> None:
    crs = parse_crs(PROJ_STRING)
    for bounds in (
        (121.3, 31.1, 121.5, 31.3),
        (40e6, 3e6, 40.1e6, 3.1e6),
        (3e6, 5e5, 3.1e6, 5.1e5),
        (1e7, 1e7, 1.1e7, 1.1e7),
    ):
        for issue in check_plausible(crs, bounds):
            assert not _tells(str(issue.to_json()))


def test_a_crs_is_frozen_and_hashable() -> None:
    crs = parse_crs("4549")
    with pytest.raises(FrozenInstanceError):
        crs.name = "other"  # type: ignore[misc]
    assert len({crs, parse_crs("EPSG:4549"), replace(crs, name="x")}) == 2


@pytest.mark.parametrize(
    ("code", "metric"), [(4549, True), (4528, True), (28992, True), (2263, False), (4326, False), (2053, False)]
)
def test_a_working_crs_runs_east_and_north_in_metres(code: int, metric: bool) -> None:
    assert is_projected_metric(parse_crs(str(code))) is metric
