"""The promises of a build: every feature accounted for, same input same bytes, ids that stay, nothing torn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipelines import pool
from pipelines.project import load_project
from pipelines.releases import validate_release
from pipelines.run import build
from tests.pipelines.district import ORIGIN, District, district, houses
from twin.errors import BuildError, CrsError, MisuseError, StoreError
from twin.report import Outcome
from twin.store.base import entries_of
from twin.store.release import current


def stored(built: District) -> dict[str, bytes]:
    """Every file of the served release."""
    return {
        str(p.relative_to(built.release.path)): p.read_bytes() for p in built.release.path.rglob("*") if p.is_file()
    }


def test_every_feature_ends_in_one_outcome_with_a_reason(tmp_path: Path) -> None:
    shapes = houses(8)
    shapes[1] = None
    shapes[2] = shapely.Polygon()
    shapes[3] = shapely.Point(ORIGIN)
    shapes[4] = shapely.Polygon([ORIGIN, (ORIGIN[0] + 9, ORIGIN[1]), (ORIGIN[0] + 18, ORIGIN[1])])
    heights = [5.0, 5.0, 5.0, 5.0, 5.0, None, 9999.0, 12.0]
    made = District(tmp_path, shapes, {"id": [str(n) for n in range(8)], "height": heights})
    result = made.build()
    layer = result.report.layers[0]
    assert layer.read == 8
    assert {kind: layer.outcomes[kind] for kind in Outcome} == {
        Outcome.BUILT: 2, Outcome.FALLBACK: 2, Outcome.SKIPPED: 4, Outcome.FAILED: 0,
    }  # fmt: skip
    assert layer.reasons == {
        "geometry_missing": 1, "geometry_empty": 1, "geometry_type": 1, "geometry_degenerate": 1,
        "height_missing": 1, "height_invalid": 1,
    }  # fmt: skip
    assert result.report.exit_code == 3
    flat = [row for row in made.index.table.to_pylist() if row["source_key"] in "56"]
    assert [(row["lod"], row["height_m"], row["outcome"]) for row in flat] == [("0", None, "fallback")] * 2


def test_a_clean_build_is_valid_and_exits_with_zero(tmp_path: Path) -> None:
    made = district(tmp_path)
    result = made.build()
    assert result.report.exit_code == 0
    verdict = validate_release(made.release, None)
    assert (verdict.errors, verdict.warnings) == (0, 0)
    assert verdict.checked["features"] == 300 and verdict.checked["tiles"] > 4


def test_the_same_input_gives_the_same_bytes_elsewhere_and_in_any_order(tmp_path: Path) -> None:
    first = district(tmp_path / "one")
    first.build()
    order = np.random.default_rng(3).permutation(300)
    other = district(tmp_path / "two" / "deeper", order=order)
    other.build(workers=2)
    assert first.release.id == other.release.id
    one, two = stored(first), stored(other)
    assert one.keys() == two.keys()
    different = {name for name in one if one[name] != two[name]}
    assert different == {"release.json"}  # names its input by the bytes of the file, which are shuffled
    copied = tmp_path / "three"
    shutil.copytree(first.root, copied, ignore=shutil.ignore_patterns("out", "registry.sqlite*"))
    build(load_project(copied))
    again = District(copied, [], {})
    assert stored(again) == one


def test_processes_and_threads_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, processes = district(tmp_path / "threads"), district(tmp_path / "processes")
    threads.build(workers=2)
    monkeypatch.setattr(pool, "MOST_THREADS", 1)
    monkeypatch.setattr(pool, "MANY_FEATURES", 0)
    processes.build(workers=2)
    one, two = stored(threads), stored(processes)
    assert {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)} == {"release.json"}


def test_tiles_are_made_again_where_only_their_variants_change(tmp_path: Path) -> None:
    made = district(tmp_path, output='precompress = ["gzip"]\n')
    made.build()
    text = (tmp_path / "twin.toml").read_text(encoding="utf-8")
    (tmp_path / "twin.toml").write_text(text.replace('["gzip"]', '["zstd"]'), encoding="utf-8")
    made.build()
    with made.release.store("buildings") as store:
        tiles = [entry for entry in entries_of(store) if entry.key.endswith(".glb")]
    assert tiles and all(entry.encodings == ("zstd",) for entry in tiles)


def test_an_unchanged_project_is_not_built_again(tmp_path: Path) -> None:
    made = district(tmp_path)
    before = made.build()
    os.utime(tmp_path / "houses.gpkg")
    after = made.build()
    assert after.unchanged and after.tiles_written == 0
    assert (after.release, after.report) == (before.release, before.report)


@pytest.mark.parametrize("store", ["sqlite", "directory", "3tz"])
def test_a_changed_building_rewrites_only_its_tile(tmp_path: Path, store: str) -> None:
    made = district(tmp_path, output=f'store = "{store}"\n')
    first = made.build()
    assert first.tiles_written == first.tiles > 3
    made.fields["height"][137] += 0.5  # type: ignore[index]
    second = made.write().build()
    assert 1 <= second.tiles_written <= 2
    assert validate_release(made.release, None).errors == 0


@pytest.mark.parametrize("wordy", [False, True])
def test_a_tile_is_at_most_twice_its_budget(tmp_path: Path, wordy: bool) -> None:
    rng = np.random.default_rng(5)
    texts = ["".join(chr(0x4E00 + k) for k in rng.integers(0, 8000, 150 if wordy else 2)) for _ in range(900)]
    made = district(tmp_path, count=900)
    made.fields = {**made.fields, "note": texts}
    made.layer = "tile_budget_kib = 64\n"
    made.build()
    with made.release.store("buildings") as store:
        sizes = [len(store.read(key, "gzip")) for key in store.keys() if key.endswith(".glb")]  # noqa: SIM118
    assert max(sizes) <= 2 * 64 * 1024
    assert not wordy or len(sizes) > 4


def test_ids_survive_jitter_shuffling_and_a_new_neighbour_without_any_key(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    first = district(tmp_path, fields={"height": np.full(300, 9.0), "tag": np.arange(300)}, tail=_NO_ID)
    first.build()
    known = first.geids("attr.tag")
    moved = [shapely.affinity.translate(shape, *rng.uniform(-0.05, 0.05, 2)) for shape in houses(300)]
    newcomer = shapely.box(ORIGIN[0] - 60, ORIGIN[1], ORIGIN[0] - 40, ORIGIN[1] + 9)
    second = District(
        tmp_path,
        [*moved, newcomer],
        {"height": np.full(301, 9.0), "tag": np.arange(301)},
        tail=_NO_ID,
        order=rng.permutation(301),
    )
    second.build()
    after = second.geids("attr.tag")
    assert {key: geid for key, geid in after.items() if key in known} == known
    assert after[300,] not in known.values()


_NO_ID = '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'


def test_the_same_ids_come_out_on_another_machine(tmp_path: Path) -> None:
    one, two = district(tmp_path / "one"), district(tmp_path / "two", order=np.arange(300)[::-1])
    one.build()
    two.build()
    assert one.geids() == two.geids()


@pytest.mark.parametrize("policy", ["error", "first", "union"])
def test_duplicate_ids_follow_the_policy(tmp_path: Path, policy: str) -> None:
    x, y = ORIGIN
    pieces = [
        shapely.box(x, y, x + 10, y + 10),
        shapely.box(x + 10, y, x + 30, y + 10),
        shapely.box(x, y + 50, x + 9, y + 60),
    ]
    made = District(
        tmp_path, pieces, {"id": ["A", "A", "B"], "height": [9.0, 9.0, 6.0]}, settings=f'duplicates = "{policy}"\n'
    )
    if policy == "error":
        with pytest.raises(BuildError, match="A"):
            made.build()
        return
    layer = made.build().report.layers[0]
    area = {row["source_key"]: row["geometry"] for row in made.index.table.to_pylist()}
    assert set(area) == {"A", "B"}
    if policy == "first":
        assert layer.outcomes[Outcome.SKIPPED] == 1 and layer.reasons == {"id_duplicate": 1}
        assert shapely.Polygon(area["A"][0][0]).area == pytest.approx(200)
    else:
        assert layer.outcomes[Outcome.BUILT] == 3 and layer.reasons == {"id_joined": 2}
        assert layer.entities == 2
        assert shapely.Polygon(area["A"][0][0]).area == pytest.approx(300)


def test_parts_win_over_their_outline_which_stays_as_their_parent(tmp_path: Path) -> None:
    x, y = ORIGIN
    shapes = [
        shapely.box(x, y, x + 40, y + 20),
        shapely.box(x, y, x + 20, y + 20),
        shapely.box(x + 20, y, x + 40, y + 20),
        shapely.box(x + 100, y, x + 120, y + 20),
    ]
    fields = {
        "id": ["w", "p1", "p2", "alone"],
        "height": [30.0, 10.0, 30.0, 8.0],
        "kind": ["building", "building_part", "building_part", "building"],
    }
    tail = '[source.fields]\nid = "id"\nkind = "kind"\n[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
    made = District(tmp_path, shapes, fields, tail=tail)
    result = made.build()
    rows = {row["source_key"]: row for row in made.index.table.to_pylist()}
    assert rows["w"]["tile"] is None and rows["w"]["reasons"] == ["outline_of_parts"]
    assert rows["p1"]["parent"] == rows["p2"]["parent"] == rows["w"]["geid"]
    assert rows["p1"]["entity_class"] == "BuildingPart" and rows["alone"]["parent"] is None
    assert result.report.layers[0].entities == 3
    assert result.report.exit_code == 0


def test_multiparts_are_kept_or_exploded(tmp_path: Path) -> None:
    x, y = ORIGIN
    two = shapely.MultiPolygon([shapely.box(x, y, x + 10, y + 10), shapely.box(x + 30, y, x + 40, y + 10)])
    turned = shapely.MultiPolygon(list(two.geoms)[::-1])
    for shape, root in ((two, "two"), (turned, "turned")):
        made = District(tmp_path / root, [shape], {"id": ["m"], "height": [9.0]}, settings='multipart = "explode"\n')
        layer = made.build().report.layers[0]
        assert (layer.read, layer.entities) == (1, 2)
        assert set(made.geids()) == {"m~1", "m~2"}
    assert District(tmp_path / "two", [], {}).geids() == made.geids()
    kept = District(tmp_path / "kept", [two], {"id": ["m"], "height": [9.0]})
    assert kept.build().report.layers[0].entities == 1
    assert set(kept.geids()) == {"m"}


def test_heights_reach_the_tiles_and_the_ellipsoid(tmp_path: Path) -> None:
    made = District(tmp_path, houses(1), {"id": ["a"], "height": [12.5]})
    made.build()
    row = made.index.table.to_pylist()[0]
    assert (row["base_m"], row["height_m"], row["roof_m"]) == (4.0, 12.5, 16.5)
    assert row["height"] == pytest.approx(14.9)
    assert (row["height_source"], row["ground_source"]) == ("attribute:height", "constant")
    region = made.release.info["layers"]["buildings"]["region"]
    assert region[4:] == pytest.approx([13.9, 27.4])


def test_a_source_without_crs_stops_with_the_words_to_write(tmp_path: Path) -> None:
    district(tmp_path).write()
    columns = {"id": ["a"], "height": [3.0], "geometry": pa.array(shapely.to_wkb(houses(1)), pa.binary())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyogrio warns that there is no CRS, which is the point
        pyogrio.write_arrow(pa.table(columns), tmp_path / "bare.shp", geometry_type="Polygon", geometry_name="geometry")
    text = (tmp_path / "twin.toml").read_text(encoding="utf-8").replace("houses.gpkg", "bare.shp")
    (tmp_path / "twin.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CrsError, match=r'bare\.shp.*[\s\S]*crs = "EPSG:4549"') as stopped:
        build(load_project(tmp_path))
    assert stopped.value.exit_code == 2


def test_a_field_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = district(tmp_path, tail='[source.fields]\nid = "nr"\n')
    with pytest.raises(MisuseError, match=r'no field "nr"[\s\S]*id, height, use'):
        made.build()


def test_two_builds_of_one_project_do_not_meet(tmp_path: Path) -> None:
    from twin.store.release import lock

    made = district(tmp_path)
    with lock(tmp_path / "out"), pytest.raises(StoreError, match="another build"):
        made.build()


_KILLED = """
import sys
from pipelines import pool
from pipelines.project import load_project
from pipelines.run import BuildOptions, build
build(load_project(sys.argv[1]), BuildOptions(workers=int(sys.argv[2])))
"""


@pytest.mark.slow
def test_a_killed_build_leaves_the_served_release_whole_and_goes_on(tmp_path: Path) -> None:
    made = district(tmp_path, count=900)
    made.build()
    served = stored(made)
    pointer = current(tmp_path / "out")
    made.fields["height"][:] = np.asarray(made.fields["height"]) + 1.0  # type: ignore[index]
    made.write()
    started = time.monotonic()
    reference = district(tmp_path / "reference", count=900, fields=made.fields)
    reference.build()
    span = time.monotonic() - started
    finished = False
    for share in (0.3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 2.0):
        child = subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path), "1"])
        try:
            child.wait(timeout=span * share + 0.3)
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        finished = current(tmp_path / "out") != pointer
        if finished:
            break
        assert stored(made) == served
    made.build()
    assert {name: text for name, text in stored(made).items() if name != "release.json"} == {
        name: text for name, text in stored(reference).items() if name != "release.json"
    }
    assert made.release.id == reference.release.id


def test_an_interrupted_build_takes_up_its_finished_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipelines.stages

    made = district(tmp_path)
    real = pipelines.stages.publish_release
    monkeypatch.setattr(pipelines.stages, "publish_release", _stop)
    with pytest.raises(KeyboardInterrupt):
        made.build()
    monkeypatch.setattr(pipelines.stages, "publish_release", real)
    result = made.build()
    assert result.tiles_written == 0 and result.tiles > 3
    assert validate_release(made.release, None).errors == 0


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("encoder", ["explicit", "implicit"])
@pytest.mark.parametrize("compression", ["meshopt", "none"])
def test_both_encoders_hold_the_same_entities(tmp_path: Path, encoder: str, compression: str) -> None:
    made = district(tmp_path, output=f'encoder = "{encoder}"\ncompression = "{compression}"\n')
    made.build()
    verdict = validate_release(made.release, None)
    assert (verdict.errors, verdict.warnings, verdict.checked["features"]) == (0, 0, 300)


def test_the_report_is_json_and_adds_up(tmp_path: Path) -> None:
    document = json.loads(json.dumps(district(tmp_path).build().to_json()))
    layer = document["layers"]["buildings"]
    assert layer["built"] + layer["fallback"] + layer["skipped"] + layer["failed"] == layer["read"] == 300
    assert {"tiles", "bytes", "seconds", "release"} <= document.keys()


def test_a_release_that_lost_a_file_is_built_again(tmp_path: Path) -> None:
    made = district(tmp_path)
    first = made.build()
    made.release.store_path("buildings").unlink()
    second = made.build()
    assert not second.unchanged and second.release == first.release
    assert validate_release(made.release, None).errors == 0
