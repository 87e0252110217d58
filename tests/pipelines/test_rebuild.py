"""A build after a change gives what a cold build gives, byte for byte, and makes only what has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import ingest, kept
from pipelines.project import load_project
from pipelines.run import BuildOptions, build
from tests.pipelines.district import District, district, houses
from twin.errors import StoreError
from twin.store.base import entries_of
from twin.store.release import lock, rollback


def stored(root: Path) -> dict[str, bytes]:
    """Every file of the served release."""
    path = District(root, [], {}).release.path
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


def cold(root: Path, elsewhere: Path) -> dict[str, bytes]:
    """What a first build of the same input and the same identities gives in another folder."""
    shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.copytree(root, elsewhere, ignore=shutil.ignore_patterns("out", ".twin"))
    build(load_project(elsewhere), BuildOptions(workers=1))
    return stored(elsewhere)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 features, so that a small district has several."""
    from pipelines import plan

    monkeypatch.setattr(plan, "BLOCK", 64)
    monkeypatch.setattr(kept, "BLOCK", 64)


def changed(made: District, kind: str) -> None:
    """Changes a district in one way."""
    fields: dict[str, Any] = {name: list(values) for name, values in made.fields.items()}
    shapes = list(made.shapes)
    if kind == "height":
        fields["height"][137] += 0.5
    elif kind == "missing height":
        fields["height"][11] = None
    elif kind == "attribute":
        fields["use"][200] = "b" if fields["use"][200] != "b" else "c"
    elif kind == "moved":
        shapes[90] = shapely.affinity.translate(shapes[90], 0.4, -0.2)
    elif kind == "gone":
        del shapes[5], fields["id"][5], fields["height"][5], fields["use"][5]
    elif kind == "new":
        number = 1 + sum(one.startswith("new") for one in fields["id"])
        shapes.insert(70, shapely.affinity.translate(shapes[0], -50 * number, -50))
        for name, value in (("id", f"new {number}"), ("height", 7.0), ("use", "a")):
            fields[name].insert(70, value)
    elif kind == "swapped ids":
        fields["id"][3], fields["id"][4] = fields["id"][4], fields["id"][3]
    elif kind == "multipolygon":
        shapes[150] = shapely.MultiPolygon([shapes[150], shapely.affinity.translate(shapes[150], 0, 2000)])
    elif kind == "empty":
        shapes[42] = None
    made.shapes, made.fields = shapes, fields
    made.write()


KINDS = ("height", "missing height", "attribute", "moved", "gone", "new", "swapped ids", "multipolygon", "empty")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("store", ["sqlite", "directory", "3tz"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_rebuild_gives_the_bytes_of_a_cold_build(tmp_path: Path, kind: str, store: str) -> None:
    made = district(tmp_path / "one", output=f'store = "{store}"\n')
    made.build()
    changed(made, kind)
    made.build()
    assert stored(made.root) == cold(made.root, tmp_path / "cold")


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(KINDS[:6]), min_size=1, max_size=4), st.booleans())
def test_any_series_of_changes_ends_in_the_bytes_of_a_cold_build(tmp_path: Path, kinds: list[str], ids: bool) -> None:
    root = tmp_path / "series"
    shutil.rmtree(root, ignore_errors=True)
    tail = '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
    made = district(root, **({} if ids else {"tail": tail}))
    made.build()
    for kind in kinds:
        changed(made, kind)
        made.build()
    assert stored(root) == cold(root, tmp_path / "cold")


@pytest.mark.usefixtures("small_blocks")
def test_only_rows_that_changed_are_cleaned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = district(tmp_path)
    made.build()
    cleaned: list[int] = []
    before = ingest._make
    monkeypatch.setattr(ingest, "_make", lambda block, context: (cleaned.append(len(block)), before(block, context))[1])
    changed(made, "new")  # moves every row behind it
    made.build()
    assert sum(cleaned) == 1
    changed(made, "moved")
    made.build()
    assert sum(cleaned) == 2


def test_a_file_with_the_same_bytes_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = district(tmp_path)
    made.build()
    text = (tmp_path / "twin.toml").read_text(encoding="utf-8")
    (tmp_path / "twin.toml").write_text(text.replace('name = "Test"', 'name = "Other"'), encoding="utf-8")
    monkeypatch.setattr("twin.sources.vector.VectorSource.read_block", lambda *_: pytest.fail("read again"))
    assert made.build().tiles_written == 0


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("setting", ["elevation_m = 4.0", "geoid_undulation_m = 10.9", "tile_budget_kib = 16"])
def test_what_was_made_by_other_rules_is_not_taken_over(tmp_path: Path, setting: str) -> None:
    made = district(tmp_path / "one")
    made.build()
    text = (made.root / "twin.toml").read_text(encoding="utf-8")
    name, _, value = setting.partition(" = ")
    other = f"{name} = {float(value) * 2:g}" if "." in value else f"{name} = 24"
    (made.root / "twin.toml").write_text(text.replace(setting, other), encoding="utf-8")
    made.build()
    assert stored(made.root) == cold(made.root, tmp_path / "cold")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("harm", ["gone", "truncated", "no manifest", "foreign"])
def test_damaged_work_of_the_last_build_costs_time_only(tmp_path: Path, harm: str) -> None:
    made = district(tmp_path / "one")
    made.build()
    folder = made.root / ".twin" / kept.KEPT
    if harm == "gone":
        shutil.rmtree(folder)
    elif harm == "no manifest":
        (folder / "files.json").unlink()
    elif harm == "foreign":
        (folder / "files.json").write_text('{"a": 1}', encoding="utf-8")
    else:
        for path in [*folder.rglob("*.arrow"), *folder.rglob("*.npy")]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    changed(made, "height")
    made.build()
    assert stored(made.root) == cold(made.root, tmp_path / "cold")


def test_one_generation_is_kept_or_none(tmp_path: Path) -> None:
    made = district(tmp_path)
    for kind in ("height", "moved", "gone"):
        made.build()
        assert [path.name for path in (tmp_path / ".twin").iterdir()] == [kept.KEPT]
        changed(made, kind)
    made.output = "keep_work = false\n"
    made.write().build()
    assert list((tmp_path / ".twin").iterdir()) == []


def test_a_rollback_does_not_mislead_the_next_build(tmp_path: Path) -> None:
    made = district(tmp_path / "one")
    made.build()
    changed(made, "height")
    made.build()
    rollback(made.root / "out")
    changed(made, "moved")
    made.build()
    assert stored(made.root) == cold(made.root, tmp_path / "cold")


def test_tiles_that_stay_keep_their_digests(tmp_path: Path) -> None:
    made = district(tmp_path)
    made.build()
    with made.release.store("buildings") as store:
        before = {entry.key: entry.etag for entry in entries_of(store)}
    changed(made, "height")
    result = made.build()
    with made.release.store("buildings") as store:
        after = {entry.key: entry.etag for entry in entries_of(store)}
    tiles = {key for key in before if key.endswith(".glb")}
    assert len(tiles - set(after)) == result.tiles_written < len(tiles)
    assert all(after[key] == before[key] for key in tiles & set(after))


@pytest.mark.parametrize("encoder", ["explicit", "implicit"])
def test_the_tileset_version_changes_exactly_when_the_layer_does(tmp_path: Path, encoder: str) -> None:
    made = district(tmp_path, output=f'encoder = "{encoder}"\n')

    def version() -> str:
        made.build()
        with made.release.store("buildings") as store:
            return str(json.loads(store.read("tileset.json"))["asset"]["tilesetVersion"])

    first = version()
    text = (tmp_path / "twin.toml").read_text(encoding="utf-8")
    (tmp_path / "twin.toml").write_text(text.replace('name = "Test"', 'name = "Other"'), encoding="utf-8")
    assert version() == first
    before = list(made.fields["use"])
    changed(made, "attribute")
    assert version() != first
    made.fields = {**made.fields, "use": before}
    made.write()
    assert version() == first


def test_more_releases_are_kept_where_the_project_says_so(tmp_path: Path) -> None:
    made = district(tmp_path, count=20, output="keep_releases = 3\n")
    made.fields = {**made.fields, "height": list(made.fields["height"])}
    releases = []
    for _ in range(5):
        made.fields["height"][7] += 1.0
        releases.append(made.write().build().release)
    assert {path.name for path in (tmp_path / "out" / "releases").iterdir()} == set(releases[-3:])


def test_a_second_build_refuses_and_one_that_waits_gets_its_turn(tmp_path: Path) -> None:
    made = district(tmp_path, count=20).write()
    with lock(tmp_path / "out"):
        with pytest.raises(StoreError, match="another build"):
            made.build()
        with pytest.raises(StoreError, match="another build"):
            made.build(wait_s=0.3)
    assert made.build(wait_s=5).tiles_written > 0


def test_houses_are_none_like_another() -> None:
    assert len({shapely.to_wkb(shape) for shape in houses(300)}) == 300
    assert np.unique([shape.area for shape in houses(300)]).size == 300


def test_tiles_of_an_archive_are_not_passed_on_without_their_variants(tmp_path: Path) -> None:
    made = district(tmp_path / "one", output='store = "3tz"\n')
    made.build()
    made.output = 'store = "sqlite"\n'
    made.write().build()
    assert stored(made.root) == cold(made.root, tmp_path / "cold")


def test_files_of_unchanged_tiles_are_the_same_files(tmp_path: Path) -> None:
    made = district(tmp_path, output='store = "directory"\n')
    made.build()
    before = {path.name: path.stat().st_ino for path in made.release.store_path("buildings").rglob("*.glb*")}
    changed(made, "height")
    result = made.build()
    after = {path.name: path.stat().st_ino for path in made.release.store_path("buildings").rglob("*.glb*")}
    shared = before.keys() & after.keys()
    assert all(before[name] == after[name] for name in shared)
    assert len({name for name in shared if name.endswith(".glb")}) == result.tiles - result.tiles_written
