"""Outside clients of OGC API Features as judges: GDAL and OWSLib list and read every collection over a real socket."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from tests.server.features_district import COUNT, entity, footprint, publish
from twin.crs.reference import horizontal, parse_crs

ENTITIES = [entity(number) for number in range(COUNT)]
CLASSES = sorted({str(one["entity_class"]) for one in ENTITIES})


_SERVE = """
import sys, uvicorn
from pathlib import Path
from server.app import create_app
from server.settings import Settings
uvicorn.run(create_app(Settings(Path(sys.argv[1]))), port=int(sys.argv[2]), log_level="error")
"""


def answers(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a process of its own: pyogrio keeps the interpreter's lock while it waits for an answer."""
    out = publish(tmp_path_factory.mktemp("clients") / "out").out
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", _SERVE, str(out), str(port)], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not answers(port) and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/"
    server.terminate()
    server.wait(20)


def members(name: str) -> dict[str, Any]:
    return {str(one["geid"]): one for one in ENTITIES if one["entity_class"] == name}


needs_driver = pytest.mark.skipif("OAPIF" not in pyogrio.list_drivers(), reason="this GDAL has no OAPIF driver")


@needs_driver
def test_gdal_lists_every_collection(address: str) -> None:
    assert sorted(name for name, _ in pyogrio.list_layers(f"OAPIF:{address}")) == CLASSES


@needs_driver
@pytest.mark.parametrize("page_size", [7, 1000])
@pytest.mark.parametrize("name", CLASSES)
def test_gdal_reads_every_feature_page_by_page(address: str, name: str, page_size: int) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{address}", layer=name, PAGE_SIZE=page_size, CRS="OGC:CRS84")
    wanted = members(name)
    assert sorted(frame["id"]) == sorted(wanted)
    assert frame["flats"].tolist() == [wanted[one]["attr.flats"] for one in frame["id"]]
    assert frame["listed"].tolist() == [wanted[one]["attr.listed"] for one in frame["id"]]
    for key, shape in zip(frame["id"], frame.geometry, strict=True):
        if wanted[key]["geometry"] is None:
            assert shape is None
        else:
            assert shapely.hausdorff_distance(shape, footprint(int(wanted[key]["source_key"]))) < 1e-8


@needs_driver
@pytest.mark.parametrize("code", [4326, 4490, 4549, 4528, 3857])
def test_gdal_gets_the_axes_of_every_crs_right(address: str, code: int) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{address}", layer="Building", CRS=f"EPSG:{code}")
    assert frame.crs.to_epsg() == code or (code == 4326 and frame.crs.to_string() == "OGC:CRS84")
    shapes = [footprint(int(str(one["source_key"]))) for one in members("Building").values() if one["geometry"]]
    move = horizontal(parse_crs("EPSG:4326"), parse_crs(f"EPSG:{code}"))
    xy = move(shapely.get_coordinates(shapes))
    wanted = np.concatenate([xy.min(axis=0), xy.max(axis=0)])
    assert np.abs(frame.total_bounds - wanted).max() < (1e-7 if code in (4326, 4490) else 2e-3)


@needs_driver
@pytest.mark.parametrize("code", [4326, 4549])
def test_gdal_reads_a_box(address: str, code: int) -> None:
    move = horizontal(parse_crs("EPSG:4326"), parse_crs(f"EPSG:{code}"))
    shapes = {key: footprint(int(one["source_key"])) for key, one in members("Building").items() if one["geometry"]}
    moved = {key: shapely.transform(shape, move) for key, shape in shapes.items()}
    west, south, east, north = shapely.total_bounds(list(moved.values())).tolist()
    box = (west + (east - west) / 3, south + (north - south) / 3, east - (east - west) / 3, north)
    frame = pyogrio.read_dataframe(f"OAPIF:{address}", layer="Building", CRS=f"EPSG:{code}", bbox=box, PAGE_SIZE=10)
    wanted = sorted(key for key, shape in moved.items() if shape.intersects(shapely.box(*box)))
    assert sorted(frame["id"]) == wanted and 10 < len(wanted) < len(shapes)


def test_owslib_reads_collections_pages_boxes_and_filters(address: str) -> None:
    from owslib.ogcapi.features import Features

    client = Features(address)
    assert sorted(client.feature_collections()) == CLASSES
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in client.conformance()["conformsTo"]
    assert client.collection("Building")["itemType"] == "feature"
    assert "flats" in client.collection_queryables("Building")["properties"]
    page = client.collection_items("Building", limit=9)
    assert page["numberReturned"] == len(page["features"]) == 9
    assert client.response_headers["Content-Crs"].endswith("CRS84>")
    found = client.collection_items("Building", limit=1000, filter="flats = 3", bbox=[121.0, 31.0, 122.0, 32.0])
    wanted = sorted(key for key, one in members("Building").items() if one["attr.flats"] == 3 and one["geometry"])
    assert [one["id"] for one in found["features"]] == wanted
    assert client.collection_item("Building", wanted[0])["id"] == wanted[0]
