"""A real data set taken through the command line, and what came out, read back as a client would."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from pipelines.cli import run
from twin.geometry.mesh import Surface
from twin.gltf.content import MeshContent, decode

OUTCOMES = ("built", "fallback", "skipped", "failed")
#: `skirt_m` where twin.toml says nothing else.
SKIRT_M = 1.0
NODE_MODULES = Path(__file__).parents[1] / "js"


@dataclass(frozen=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def twin(*words: object) -> Answer:
    """Runs `twin WORDS...` in this process, through the outer rim a user meets."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(stream, "utf-8", write_through=True) for stream in (out, err)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = run([str(word) for word in words])
    return Answer(code, out.getvalue().decode("utf-8"), err.getvalue().decode("utf-8"))


@dataclass(frozen=True)
class Case:
    """A project that has been built.

    Attributes:
        root: Its folder.
        code: Exit code of `twin build`.
        report: What `twin build --json` printed.
    """

    root: Path
    code: int
    report: dict[str, Any]

    @property
    def layer(self) -> dict[str, Any]:
        return self.report["layers"]["buildings"]

    @property
    def outcomes(self) -> dict[str, int]:
        return {name: self.layer[name] for name in OUTCOMES}

    @cached_property
    def entities(self) -> list[dict[str, str]]:
        """The rows of `twin entities --format csv`, all text."""
        file = self.root / "entities.csv"
        assert twin("entities", "-C", self.root, "--format", "csv", "-o", file).code == 0
        with file.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    @cached_property
    def geojson(self) -> dict[str, dict[str, Any]]:
        """The features of `twin entities --format geojson` by geid."""
        file = self.root / "entities.geojson"
        assert twin("entities", "-C", self.root, "--format", "geojson", "-o", file).code == 0
        features = json.loads(file.read_bytes())["features"]
        assert len({row["id"] for row in features}) == len(features)
        return {row["id"]: row for row in features}

    @cached_property
    def info(self) -> dict[str, Any]:
        """What `twin info --json` prints."""
        answer = twin("info", "-C", self.root, "--json")
        assert answer.code == 0
        return answer.json

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """What `twin validate --json` prints."""
        return twin("validate", "-C", self.root, "--json", "--node-modules", NODE_MODULES).json

    @cached_property
    def meshes(self) -> dict[str, Mesh]:
        """Every feature of every tile by geid; a feature that stands in two tiles fails."""
        found: dict[str, Mesh] = {}
        for mesh in self._meshes():
            assert mesh.geid not in found, f"{mesh.geid} stands in two tiles"
            found[mesh.geid] = mesh
        return found

    def _meshes(self) -> Iterator[Mesh]:
        layer = self.info["layers"]["buildings"]
        with contextlib.closing(sqlite3.connect(layer["path"])) as database:
            packed = database.execute("SELECT key, content FROM media")
            media = {key: gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one for key, one in packed}
        matrix = np.array(json.loads(media["tileset.json"])["root"]["transform"]).reshape(4, 4).T
        tiles = [key for key in media if key.endswith(".glb")]
        assert len(tiles) == layer["tiles"]
        for key in tiles:
            content = decode(media[key])
            ecef = np.column_stack([content.mesh.position, np.ones(len(content.mesh.position))]) @ matrix.T
            place = np.column_stack(TO_LONLAT.transform(*ecef.T[:3]))
            yield from _split(content, place)


TO_LONLAT = pyproj.Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)


def _split(content: MeshContent, place: np.ndarray) -> Iterator[Mesh]:
    """The features of a tile one by one."""
    mesh, count = content.mesh, content.rows.num_rows
    order = np.argsort(mesh.feature, kind="stable")
    number = np.empty(len(order), dtype=np.int64)
    edge = np.searchsorted(mesh.feature[order], np.arange(count + 1))
    number[order] = np.arange(len(order)) - edge[mesh.feature[order]]
    owner = mesh.feature[mesh.triangle[:, 0]]
    assert (mesh.feature[mesh.triangle] == owner[:, None]).all(), "a triangle belongs to two features"
    sides = np.argsort(owner, kind="stable")
    side = np.searchsorted(owner[sides], np.arange(count + 1))
    for row, geid in enumerate(content.rows.column("geid").to_pylist()):
        mine = order[edge[row] : edge[row + 1]]
        faces = number[mesh.triangle[sides[side[row] : side[row + 1]]]]
        yield Mesh(geid, place[mine], faces, mesh.surface[mine])


@dataclass(frozen=True)
class Mesh:
    """One feature as a client gets it.

    Attributes:
        geid: Which.
        place: (n, 3) longitude and latitude in degrees, ellipsoidal height in metres.
        triangle: (m, 3) corners.
        surface: (n,) `Surface`.
    """

    geid: str
    place: np.ndarray
    triangle: np.ndarray
    surface: np.ndarray

    @property
    def low(self) -> float:
        return float(self.place[:, 2].min())

    @property
    def high(self) -> float:
        return float(self.place[:, 2].max())

    def roof(self, project: Callable[..., Any]) -> shapely.Geometry:
        """The roof seen from above, in the CRS `project` leads to."""
        xy = np.column_stack(project(*self.place.T[:2]))
        roof = self.triangle[self.surface[self.triangle[:, 0]] == Surface.ROOF]
        faces = shapely.polygons(xy[roof])
        return shapely.union_all(faces, grid_size=0.001)


def started(root: Path, *files: Path, flags: tuple[object, ...] = (), edit: dict[str, str] | None = None) -> Answer:
    """`twin init`; `edit` then changes lines of twin.toml as a user would."""
    answer = twin("init", *files, "-o", root, "--json", *flags)
    target = root / "twin.toml"
    for old, new in (edit or {}).items():
        text = target.read_text(encoding="utf-8")
        assert text.count(old) == 1, (old, text)
        target.write_text(text.replace(old, new), encoding="utf-8")
    return answer


def built(root: Path, *files: Path, flags: tuple[object, ...] = (), edit: dict[str, str] | None = None) -> Case:
    """`twin init` and `twin build`: nothing may be left blank and the build must end in a report."""
    answer = started(root, *files, flags=flags, edit=edit)
    assert (answer.code, answer.err, answer.json["blanks"]) == (0, "", [])
    return build(root)


def build(root: Path) -> Case:
    """`twin build --json` of a project that is there."""
    answer = twin("build", "-C", root, "--json", "--workers", 1)
    assert answer.code in (0, 3), answer.err
    assert answer.err == ""
    report = answer.json
    assert report["exit_code"] == answer.code
    return Case(root, answer.code, report)


def assert_sound(case: Case, features: int) -> None:
    """What holds of every release: all accounted for, valid, in the index as in the tiles, each feature once."""
    layer = case.layer
    assert layer["read"] == features
    assert sum(case.outcomes.values()) == features
    drawn = {row["geid"] for row in case.entities if row["outcome"] in ("built", "fallback")}
    assert len({row["geid"] for row in case.entities}) == len(case.entities)
    assert layer["entities"] == len(drawn)
    assert case.meshes.keys() == drawn
    assert case.geojson.keys() == {row["geid"] for row in case.entities}
    assert case.info["release"] == case.report["release"]
    assert case.info["report"]["layers"]["buildings"] == layer
    assert_valid(case)
    for row in case.entities:
        assert_agrees(row, case)


def assert_valid(case: Case) -> None:
    """No error and no warning of any judge that is installed."""
    verdict = case.verdict
    assert (verdict["errors"], verdict["warnings"], verdict["findings"]) == (0, 0, [])
    assert verdict["checked"]["features"] == case.layer["entities"]
    if (NODE_MODULES / "node_modules" / "gltf-validator").is_dir():
        assert "gltf-validator" in verdict["validators"]


def assert_agrees(row: dict[str, str], case: Case) -> None:
    """The tile shows what the table of entities says."""
    if row["outcome"] in ("skipped", "failed"):
        assert (row["tile"], row["lod"]) == ("", "")
        assert row["reasons"]
        return
    mesh = case.meshes[row["geid"]]
    assert row["tile"]
    assert row["lod"] == ("1.2" if row["outcome"] == "built" else "0")
    if row["outcome"] == "fallback":
        assert row["reasons"]
        assert row["height_m"] == ""
        assert abs(mesh.high - float(row["height"])) < 0.05
        assert mesh.high - mesh.low < 0.05
        return
    above = float(row["roof_m"]) - float(row["base_m"])
    assert abs(float(row["height_m"]) - above) < 0.0016  # each of the three is written to the millimetre
    lower = float(case.geojson[row["geid"]]["properties"]["attributes"].get("min_height") or 0.0)
    lower = lower if lower < above else 0.0
    skirt = 0.0 if lower else SKIRT_M
    assert abs(mesh.high - (float(row["height"]) + above - lower)) < 0.05, row
    assert abs(mesh.low - (float(row["height"]) - skirt)) < 0.05, row


def key_of(case: Case, *columns: str) -> dict[tuple[str, ...], str]:
    """Geid by other columns, which must tell the entities apart."""
    found = {tuple(row[name] for name in columns): row["geid"] for row in case.entities}
    assert len(found) == len(case.entities)
    return found


def reasons_of(case: Case) -> Counter[str]:
    """How often the entities name each reason."""
    return Counter(code for row in case.entities for code in row["reasons"].split())


def outlines(case: Case) -> dict[str, shapely.Geometry]:
    """Footprints by geid as `twin entities --format geojson` gives them, degrees."""
    return {geid: shapely.geometry.shape(row["geometry"]) for geid, row in case.geojson.items()}


def bytes_beneath(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file of a folder, hidden ones too."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
