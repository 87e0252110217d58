"""A small release written with the real writers, and a client that talks to the server without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import numpy as np
import pyarrow as pa
import pytest

from server.app import Application, create_app
from server.settings import Settings
from twin.crs.reference import horizontal, parse_crs
from twin.entity import geid
from twin.entity.index import EntityIndex
from twin.store import release as on_disk
from twin.store.base import digest, layer_digest, precompress
from twin.store.open import FILE_NAME, open_store, open_writer

CRS = "EPSG:4549"
#: South-west corner of the sample, about 121.4 E, 31.2 N.
ORIGIN = np.array(
    horizontal(parse_crs("EPSG:4326"), parse_crs(CRS))(np.array([[121.4, 31.2]], dtype=np.float64))[0], dtype=np.float64
)
SQUARE = [[0.0, 0.0], [20.0, 0.0], [20.0, 20.0], [0.0, 20.0], [0.0, 0.0]]
COURTYARD = [[5.0, 5.0], [5.0, 15.0], [15.0, 15.0], [15.0, 5.0], [5.0, 5.0]]


def degrees(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude of a place given in metres from the sample's corner."""
    lon, lat = horizontal(parse_crs(CRS), parse_crs("EPSG:4326"))(ORIGIN[None, :] + [[x, y]])[0]
    return float(lon), float(lat)


@dataclass(frozen=True)
class Building:
    """A building of the sample; corners in metres from the sample's corner."""

    key: str
    name: str
    rings: list[list[list[float]]]
    height: float = 30.0
    base: float = 15.0

    @property
    def geid(self) -> str:
        return geid.mint("310105", [f"survey/{self.key}"])[0]


BUILDINGS = (
    Building("1", "Courtyard House", [SQUARE, COURTYARD]),
    Building("2", "Tower 东方", [[[x + 100, y] for x, y in SQUARE]], height=120.0),
    Building("way/3", "Annex, Courtyard Street", [[[x + 121, y] for x, y in SQUARE]]),
)


@dataclass(frozen=True)
class District:
    """A release directory and what is in it."""

    out: Path
    contents: Mapping[str, bytes]
    tileset: bytes

    buildings = BUILDINGS
    degrees = staticmethod(degrees)

    @property
    def tile(self) -> str:
        """Key of the one content."""
        return next(key for key in self.contents if key.endswith(".glb"))

    def publish(self, kind: str = "sqlite", encoder: str = "explicit", mark: str = "") -> District:
        """Publishes another release into the same directory."""
        return publish(self.out, kind, encoder, mark)

    @property
    def release(self) -> str:
        pointer = on_disk.current(self.out)
        assert pointer is not None
        return pointer.release


def tile(mark: str, size: int = 10_000) -> bytes:
    """Content that compresses a little."""
    noise = np.random.default_rng(len(mark)).bytes(size // 2)
    return f"glTF {mark} ".encode() + noise + b"a" * (size // 2)


def keys_and_contents(encoder: str, mark: str) -> tuple[dict[str, bytes], bytes]:
    if encoder == "implicit":
        root = {
            "asset": {"version": "1.1"},
            "root": {
                "content": {"uri": "{level}/{x}/{y}.glb"},
                "implicitTiling": {"subtrees": {"uri": "subtrees/{level}/{x}/{y}.subtree"}},
            },
        }
        return {"0/0/0.glb": tile(mark), "subtrees/0/0/0.subtree": b"subt" + mark.encode()}, json.dumps(root).encode()
    content = tile(mark)
    key = f"c/{digest(content)}.glb"
    external = json.dumps({"asset": {"version": "1.1"}, "root": {"content": {"uri": f"../{key}"}}}).encode()
    nested = f"t/{digest(external)}.json"
    root = {"asset": {"version": "1.1"}, "root": {"content": {"uri": nested}}}
    return {key: content, nested: external}, json.dumps(root).encode()


def index_table(tile_key: str) -> pa.Table:
    rows = []
    for row, building in enumerate(BUILDINGS):
        corners = np.array(building.rings[0])
        lon, lat = degrees(*corners[:4].mean(axis=0))
        west, south = degrees(*corners.min(axis=0))
        east, north = degrees(*corners.max(axis=0))
        shape = [[[[x + ORIGIN[0], y + ORIGIN[1]] for x, y in ring] for ring in building.rings]]
        rows.append(
            {
                "geid": building.geid, "layer": "buildings", "entity_class": "Building", "source": "survey",
                "source_key": building.key, "name": building.name, "address": f"{row} Yan'an Road", "parent": None,
                "tile": tile_key, "row": row, "lon": lon, "lat": lat, "height": building.base,
                "west": west, "south": south, "east": east, "north": north,
                "base_m": 4.0, "roof_m": 4.0 + building.height, "height_m": building.height, "storeys": 10.0,
                "height_source": "attribute", "height_confidence": 0.9, "ground_source": "dem", "lod": "1.2",
                "outcome": "built", "reasons": ["geometry_repaired"], "geometry": shape, "attr.USE": "住宅",
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows)


def publish(out: Path, kind: str = "sqlite", encoder: str = "explicit", mark: str = "") -> District:
    """Writes a release with one layer and makes it the served one."""
    contents, tileset = keys_and_contents(encoder, mark)
    staging = on_disk.Staging.open(out, digest(f"{kind}{encoder}{mark}".encode()))
    place = staging.release_path / FILE_NAME[kind].format(layer="buildings")
    with open_writer(place, kind) as writer:
        for key, content in {**contents, "tileset.json": tileset}.items():
            writer.put(key, content, precompress(content, ["gzip", "br", "zstd"]))
        writer.commit()
    with open_store(place) as store:
        entries = [entry for entry in map(store.get, store.keys()) if entry]
    content_key = next(key for key in contents if key.endswith(".glb"))
    index = EntityIndex.write(staging.release_path / "entities.arrow", index_table(content_key))
    layers = {"buildings": layer_digest(entries)}
    release = on_disk.release_id(layers, index)
    layer = {
        "title": "Buildings", "store": place.name, "kind": kind, "tileset": "tileset.json",
        "digest": layers["buildings"], "tiles": 1, "features": len(BUILDINGS), "bytes": 1, "encoder": encoder,
        "region": [121.4, 31.2, 121.41, 31.21, 10, 150],
        "properties": [{"id": "height_m", "name": "height", "type": "SCALAR"}],
    }  # fmt: skip
    info = {
        "format": 1, "release": release, "project": {"name": "Sample <District>", "admin_code": "310105"},
        "working_crs": CRS, "vertical_datum": "EPSG:5737", "index": "entities.arrow",
        "frame": {"lon": 121.4, "lat": 31.2, "h": 0.0}, "report": {}, "build_key": "k",
        "layers": {"buildings": layer},
    }  # fmt: skip
    (staging.release_path / "release.json").write_bytes(on_disk.release_json(info))
    on_disk.publish(out, staging, release)
    return District(out, contents, tileset)


@pytest.fixture
def district(tmp_path: Path) -> District:
    """One published release in `tmp_path/out`."""
    return publish(tmp_path / "out")


@pytest.fixture
def viewer(tmp_path: Path) -> Path:
    """A built viewer of a few files."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><script type=module src=./assets/index-Ab3dEf9h.js></script>")
    (dist / "assets" / "index-Ab3dEf9h.js").write_text("export const answer = 42;\n" * 100)
    (dist / "assets" / "index-Ab3dEf9h.js.br").write_bytes(b"brotli bytes")
    (dist / "assets" / "decoder-0a1b2c3d.wasm").write_bytes(b"\0asm" * 1000)
    (dist / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return dist


@pytest.fixture
def serve(viewer: Path) -> Iterator[Callable[..., Application]]:
    """Makes applications and closes them."""
    made: list[Application] = []

    def start(root: Path, **options: object) -> Application:
        made.append(create_app(Settings(root, **{"viewer": viewer, **options})))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for app in made:
        app.releases.close()


@pytest.fixture
def app(district: District, serve: Callable[..., Application]) -> Application:
    """The application over the district."""
    return serve(district.out)


@dataclass(frozen=True)
class Answer:
    """A response as it went over the wire; nothing decoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(app: Application, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request with exactly this raw path and these headers; underscores in their names stand for dashes.

    It makes the scope uvicorn would make: HTTP clients clean paths such as `/a/../b` before they send them.
    """
    target, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("server", 80),
        "client": ("client", 1),
    }
    sent: list[Any] = []

    received = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        """The empty body, then nothing: the client stays connected until it is cancelled."""
        for message in received:
            return message
        return await anyio.sleep_forever()

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(app, scope, receive, send)
    start, *rest = sent
    merged: dict[str, str] = {}
    for name, value in start["headers"]:
        text = value.decode("latin-1")
        merged[name.decode()] = f"{merged[name.decode()]}, {text}" if name.decode() in merged else text
    return Answer(start["status"], merged, b"".join(message.get("body", b"") for message in rest))


@pytest.fixture
def get(app: Application) -> Callable[..., Answer]:
    """`get(path, method="GET", **headers)` on the application over the district."""
    return lambda path, method="GET", **headers: request(app, path, method, **headers)


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """`ask(app, path, method="GET", **headers)` on any application."""
    return request
