"""A moment of the past, built into tiles, is the district of that moment: same ids, same footprints, same heights."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely

from pipelines.adopt import adopt
from pipelines.project import load_project, output_path
from pipelines.project_registry import open_project_history
from pipelines.releases import validate_release
from pipelines.snapshot_build import SnapshotOptions, build_snapshot
from tests.pipelines.district import ORIGIN, District, district, houses
from twin.entity.index import EntityIndex
from twin.errors import MisuseError
from twin.registry.versions import Window
from twin.store.release import open_current

SPRING = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
SUMMER = SPRING + datetime.timedelta(days=90)


def adopted(made: District) -> District:
    """A district whose release is the beginning of its history."""
    made.build()
    project = load_project(made.root)
    history = open_project_history(project)
    assert adopt(project, history, SPRING) is not None
    history.close()
    return made


def past(made: District, out: Path, valid: datetime.datetime = SUMMER) -> pa.Table:
    """The entity index of a snapshot, which must be valid."""
    history = open_project_history(load_project(made.root))
    build_snapshot(load_project(made.root), history, SnapshotOptions(Window(valid=valid), out))
    history.close()
    release = open_current(out)
    assert validate_release(release, None).errors == 0
    return EntityIndex.open(release.index).table


def with_parts(root: Path) -> District:
    """Houses, one of them made of two parts, one without a height, one that hangs over a passage."""
    x, y = ORIGIN
    shapes = [*houses(30), shapely.box(x - 90, y, x - 60, y + 20), shapely.box(x - 90, y, x - 75, y + 20),
              shapely.box(x - 75, y, x - 60, y + 20)]  # fmt: skip
    heights = [*np.linspace(5, 40, 30), 30.0, 12.0, 30.0]
    heights[3] = None
    fields = {
        "id": [str(n) for n in range(33)],
        "height": pa.array(heights, pa.float64()),
        "floor": [*np.zeros(32), 6.0],
        "kind": [*["building"] * 31, *["building:part"] * 2],
        "storeys": pa.array([3, None, 4] * 11, pa.int32()),
        "note": ["naïve 楼", None, "c"] * 11,
    }
    tail = (
        '[source.fields]\nid = "id"\nkind = "kind"\nmin_height = "floor"\nstoreys = "storeys"\n'
        '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
    )
    return District(root, shapes, fields, tail=tail)


SAME = (
    "geid", "layer", "entity_class", "source", "source_key", "parent", "name", "lon", "lat", "height", "west", "south",
    "east", "north", "base_m", "roof_m", "height_m", "storeys", "height_source", "ground_source", "lod", "geometry",
    "aliases", "attr.note", "attr.height", "attr.storeys",
)  # fmt: skip


def test_a_snapshot_of_an_adopted_release_says_the_same_of_every_entity(tmp_path: Path) -> None:
    made = adopted(with_parts(tmp_path / "one"))
    now, then = made.index.table, past(made, tmp_path / "then")
    for name in SAME:
        assert then[name].to_pylist() == now[name].to_pylist(), name
    assert then["tile"].is_null().to_pylist() == now["tile"].is_null().to_pylist()
    assert then["tile"].is_null().to_pylist().count(True) == 1  # the outline of the two parts


def test_neither_the_served_release_nor_the_identities_are_touched(tmp_path: Path) -> None:
    made = adopted(district(tmp_path / "one", count=40))
    files = [path for path in made.root.rglob("*") if path.is_file() and "-shm" not in path.name]
    before = {path: path.read_bytes() for path in files}
    past(made, tmp_path / "then")
    assert {path: path.read_bytes() for path in files} == before


def test_a_snapshot_shows_the_district_of_its_moment_not_that_of_today(tmp_path: Path) -> None:
    made = adopted(district(tmp_path / "one", count=40))
    before = made.index.table
    made.fields["height"][7] += 20.0  # type: ignore[index]
    made.write().build()
    assert past(made, tmp_path / "then")["height_m"].to_pylist() == before["height_m"].to_pylist()


def test_the_same_moment_gives_the_same_release(tmp_path: Path) -> None:
    made = adopted(district(tmp_path / "one", count=40))
    past(made, tmp_path / "a")
    past(made, tmp_path / "b")
    assert open_current(tmp_path / "a").id == open_current(tmp_path / "b").id


def test_a_moment_before_anything_is_recorded_is_refused(tmp_path: Path) -> None:
    made = adopted(district(tmp_path / "one", count=10))
    with pytest.raises(MisuseError, match="nothing at that moment"):
        past(made, tmp_path / "then", SPRING - datetime.timedelta(days=1))


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_the_directory_of_the_project_is_refused(tmp_path: Path, inside: str) -> None:
    made = adopted(district(tmp_path / "one", count=10))
    with pytest.raises(MisuseError, match="never written over"):
        past(made, output_path(load_project(made.root)) / inside)
