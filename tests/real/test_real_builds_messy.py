"""messy/mapshaper_shapefiles, messy/pyogrio_fixtures: nothing crashes, all ends in a report or a clear refusal."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pipelines.init_folder import RASTER_SUFFIXES, VECTOR_SUFFIXES
from tests.real.build_case import OUTCOMES, Answer, twin

pytestmark = pytest.mark.real

FOLDERS = (
    "mapshaper_shapefiles/csv", "mapshaper_shapefiles/dbf", "mapshaper_shapefiles/features",
    "mapshaper_shapefiles/flatgeobuf", "mapshaper_shapefiles/geojson", "mapshaper_shapefiles/geopackage",
    "mapshaper_shapefiles/geoparquet", "mapshaper_shapefiles/issues", "mapshaper_shapefiles/kml",
    "mapshaper_shapefiles/shapefile", "pyogrio_fixtures",
)  # fmt: skip
SIDECARS = frozenset({".shx", ".prj", ".cpg", ".aux", ".lgpl"})
#: Given where a file states none, so that as many files as can be go all the way.
FLAGS = ("--vertical", "ellipsoid", "--crs", "EPSG:4326", "--name", "messy")


def files_of(folder: Path) -> list[Path]:
    """Everything a user could drop on the command line, sidecars apart."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() not in SIDECARS]


def assert_plain(answer: Answer, file: Path) -> None:
    """One of the four exit codes, no traceback, and a failure says where and what next."""
    assert answer.code in (0, 1, 2, 3), (file, answer)
    assert "Traceback" not in answer.err and "fault of the program" not in answer.err, (file, answer.err)
    if answer.code in (0, 3):
        assert answer.err == "", (file, answer.err)
        return
    assert answer.err.startswith("error: "), (file, answer.err)
    assert re.search(r"(?m)^  next: \S", answer.err), (file, answer.err)


def take_through(file: Path, root: Path) -> str:
    """`twin init`, then `twin build`; gives how it ended."""
    begun = twin("init", file, "-o", root, "--json", *FLAGS)
    assert_plain(begun, file)
    if begun.code:
        assert file.name in begun.err or file.stem in begun.err, (file, begun.err)
        return "refused"
    if begun.json["blanks"]:
        stopped = twin("build", "-C", root, "--json")
        assert_plain(stopped, file)
        assert stopped.code == 2 and "twin.toml:" in stopped.err, (file, stopped.err)
        return "blank"
    ended = twin("build", "-C", root, "--json", "--workers", 1)
    assert_plain(ended, file)
    if ended.code not in (0, 3):
        assert not list(root.glob("out/releases/*/release.json"))
        names = (file.name, "twin.toml", 'layer "buildings"')
        assert any(name in ended.err for name in names), (file, ended.err)
        return "stopped"
    layer = ended.json["layers"]["buildings"]
    assert sum(layer[name] for name in OUTCOMES) == layer["read"] > 0, file
    assert layer["built"] + layer["fallback"] > 0, file
    assert ended.code == (3 if layer["reasons"] else 0) or ended.json["findings"], (file, layer)
    checked = twin("validate", "-C", root, "--json", "--node-modules", root)
    if layer["reasons"].get("mesh_failed"):  # a feature no mesh could be made of leaves its row in the tile
        assert {issue["code"] for issue in checked.json["findings"]} <= {"feature_not_shown"}, (file, checked.out)
        return "built"
    assert (checked.code, checked.json["errors"], checked.json["warnings"]) == (0, 0, 0), (file, checked.out)
    assert checked.json["checked"]["features"] == layer["entities"], file
    return "built"


#: How many files of each folder must at least come through to a release, so that refusing everything does not pass.
BUILT = {
    "mapshaper_shapefiles/features": 20, "mapshaper_shapefiles/flatgeobuf": 1, "mapshaper_shapefiles/geojson": 5,
    "mapshaper_shapefiles/geopackage": 2, "mapshaper_shapefiles/geoparquet": 10, "mapshaper_shapefiles/issues": 14,
    "mapshaper_shapefiles/shapefile": 6, "pyogrio_fixtures": 1,
}  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_messy_file_ends_in_a_report_or_a_refusal(real_data: Path, tmp_path: Path, folder: str) -> None:
    files = files_of(real_data / "messy" / folder)
    assert files
    before = {path: path.stat().st_mtime_ns for path in (real_data / "messy" / folder).rglob("*")}
    ends = {file: take_through(file, tmp_path / f"{number:03d}") for number, file in enumerate(files)}
    counted = Counter(ends.values())
    assert counted["built"] >= BUILT.get(folder, 0), ends
    readable = [file for file in files if file.suffix.lower() in VECTOR_SUFFIXES | RASTER_SUFFIXES]
    assert all(ends[file] == "refused" for file in files if file not in readable and file.suffix.lower() != ".dbf"), (
        ends
    )
    assert {path: path.stat().st_mtime_ns for path in (real_data / "messy" / folder).rglob("*")} == before
