"""A registry goes from database to database and into the open form and back, and not a bit of it changes."""

from __future__ import annotations

import datetime
import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from twin.crs.reference import parse_crs
from twin.entity import geid
from twin.errors import MisuseError, StoreError
from twin.registry.integrity import verify
from twin.registry.matching import Anchors
from twin.registry.open import open_history, open_registry
from twin.registry.transfer import back_up, export_registry, import_registry
from twin.registry.versions import EditionKind, Relation, Window

AUTHORITY = "310105"
COUNT = 60
CRS = parse_crs("EPSG:4549").pyproj.to_json_dict()


def moment(day: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, day, 3, 4, 5, 678901, tzinfo=datetime.UTC)


def fill(where: Path | str) -> list[str]:
    """A registry with everything in it: two builds, aliases, lineage, two editions and one taken back."""
    x = 500_000 + 4.1 * np.arange(COUNT)
    y = np.full(COUNT, 3_450_000.0)
    anchors = Anchors(x, y, np.full(COUNT, 1 / 3), x - 2, y - 4.5, x + 2, y + 4.5)
    keys = pa.array([None if n % 3 else ("", '"', "a\nb", "\\.", "楼,1", "NULL")[n % 6] + str(n) for n in range(COUNT)])
    with open_registry(where, AUTHORITY) as registry:
        for release, rows in (("r1", np.arange(COUNT)), ("r2", np.arange(COUNT - 5))):
            resolved = registry.resolve("buildings", "osm", keys.take(pa.array(rows)), anchors.take(rows))
            registry.record(
                resolved, pa.array(["house"] * len(rows)), [(resolved.geids[0].as_py(), "part_of", "osm:7")]
            )
            registry.add_aliases("code", ["", "c1", "c1"], resolved.geids.to_pylist()[:3])
            registry.commit(release, moment(1))
        names: list[str] = sorted(resolved.geids.to_pylist())
    _tell(where, names)
    return names


def _tell(where: Path | str, names: list[str]) -> None:
    shapes = shapely.to_wkb(shapely.box(np.arange(len(names)), 0, np.arange(len(names)) + 0.5, 1))
    versions = pa.table(
        {
            "geid": names,
            "layer": ["buildings"] * len(names),
            "name": [None, "", 'a "b"\n,'] + ["楼"] * (len(names) - 3),
            "aliases": pa.array([["code:1", "x:y"], [], None] + [["a"]] * (len(names) - 3)),
            "lon": np.linspace(121, 122, len(names)) / 3,
            "west": pa.array([None] + [121.1] * (len(names) - 1)),
            "south": pa.array([None] + [31.1] * (len(names) - 1)),
            "east": pa.array([None] + [121.2] * (len(names) - 1)),
            "north": pa.array([None] + [31.2] * (len(names) - 1)),
            "height_confidence": pa.array(np.linspace(0, 1, len(names)), pa.float32()),
            "attributes": ['{"使用": "住宅"}'] * len(names),
            "geometry": pa.array([None, *shapes[1:]], pa.binary()),
        }
    )
    with open_history(where, AUTHORITY) as history:
        with history.write(EditionKind.ADOPT, "first", moment(2), "note, with 'signs'") as pen:
            pen.assert_versions(versions)
            records = {"source": ["osm"], "source_key": [None], "geid": names[:1], "change": ["new"]}
            pen.bridge(pa.table(records, schema=pa.schema([(name, pa.string()) for name in records])))
        with history.write(EditionKind.UPDATE, "second", moment(3)) as pen:
            pen.assert_versions(pa.table({"geid": names[:1], "present": [False], "valid_to": [moment(9)]}))
            pen.lineage([(names[0], Relation.REPLACED_BY, names[1])])
        history.undo(2)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    place = tmp_path / "registry.sqlite"
    fill(place)
    return place


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_registry_comes_back_from_the_open_form_byte_for_byte(tmp_path: Path, filled: Path) -> None:
    made = export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    assert made.rows["entity"] == COUNT
    assert made.rows["history_version"] > COUNT - 5
    assert made.rows["history_bridge"] == made.rows["history_lineage"] == 1
    import_registry(tmp_path / "one", tmp_path / "again.sqlite", AUTHORITY)
    export_registry(tmp_path / "again.sqlite", AUTHORITY, tmp_path / "two", CRS)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert verify(tmp_path / "again.sqlite", AUTHORITY) == []


def test_a_registry_goes_through_postgis_and_back_byte_for_byte(tmp_path: Path, filled: Path, postgis_url: str) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    import_registry(filled, postgis_url, AUTHORITY)
    assert verify(postgis_url, AUTHORITY) == []
    export_registry(postgis_url, AUTHORITY, tmp_path / "two", CRS)
    export_registry(postgis_url, AUTHORITY, tmp_path / "back.sqlite", CRS)
    export_registry(tmp_path / "back.sqlite", AUTHORITY, tmp_path / "three", CRS)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two") == bytes_of(tmp_path / "three")
    with open_history(filled, AUTHORITY) as here, open_history(postgis_url, AUTHORITY) as there:
        assert here.snapshot() == there.snapshot()
        assert here.editions() == there.editions()
        name = here.snapshot()["geid"][0].as_py()
        assert here.versions(name) == there.versions(name)
        assert here.lineage(name) == there.lineage(name)
        assert here.bridge(1) == there.bridge(1)


def test_the_versions_are_geoparquet_that_others_read(tmp_path: Path, filled: Path) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    frame = geopandas.read_parquet(tmp_path / "one" / "versions.parquet")
    assert frame.crs.to_epsg() == 4549
    assert frame.geometry.notna().sum() >= COUNT - 6
    assert str(frame.valid_from.dtype).startswith("datetime64")
    assert frame.valid_to.isna().any()
    geo = json.loads(pq.read_schema(tmp_path / "one" / "versions.parquet").metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")


def test_the_versions_carry_the_box_of_each_geometry_and_readers_skip_by_it(tmp_path: Path, filled: Path) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    path = tmp_path / "one" / "versions.parquet"
    geo = json.loads(pq.read_schema(path).metadata[b"geo"])
    cover = geo["columns"]["geometry"]["covering"]["bbox"]
    assert cover == {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}
    table = pq.read_table(path)
    bounds = shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy()))
    boxes = [[np.nan] * 4 if box is None else list(box.values()) for box in table["bbox"].to_pylist()]
    assert np.array_equal(np.array(boxes), bounds, equal_nan=True)
    assert np.isnan(bounds[:, 0]).any(), "a version without geometry has no box"
    window = (9.2, 0.2, 11.2, 0.4)
    whole = geopandas.read_parquet(path)
    touching = whole[whole.geometry.notna() & whole.intersects(shapely.box(*window))]
    assert 0 < len(touching) < len(whole) / 2
    assert sorted(geopandas.read_parquet(path, bbox=window)["id"]) == sorted(touching["id"])


def test_what_was_exported_before_boxes_were_written_is_still_read(tmp_path: Path, filled: Path) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    path, manifest = tmp_path / "one" / "versions.parquet", tmp_path / "one" / "registry.json"
    pq.write_table(pq.read_table(path).drop_columns(["bbox"]), path)
    told = json.loads(manifest.read_text())
    told["files"]["versions.parquet"]["sha256"] = sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(told))
    import_registry(tmp_path / "one", tmp_path / "again.sqlite", AUTHORITY)
    with open_history(filled, AUTHORITY) as here, open_history(tmp_path / "again.sqlite", AUTHORITY) as there:
        assert here.snapshot() == there.snapshot()


@pytest.mark.parametrize("database", ["sqlite", "postgis"])
def test_an_import_leaves_the_indexes_and_what_the_database_is_asked_by(
    tmp_path: Path, filled: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """Indexes are dropped while rows go in; all of them stand again, and answer."""
    where: Path | str = tmp_path / "again.sqlite"
    if database == "postgis":
        where = str(request.getfixturevalue("postgis_url"))
    with open_history(where, AUTHORITY):
        pass
    before = _indexes(where)
    assert {"alias_geid", "alias_value", "history_version_geid", "history_lineage_other"} <= set(before)
    import_registry(filled, where, AUTHORITY)
    assert _indexes(where) == before
    box = (121.15, 31.0, 121.15, 32.0)
    with open_history(filled, AUTHORITY) as here, open_history(where, AUTHORITY) as there:
        assert here.snapshot(Window(bbox=box)).num_rows > COUNT / 2
        assert here.snapshot(Window(bbox=box)) == there.snapshot(Window(bbox=box))


def _indexes(where: Path | str) -> dict[str, str]:
    if isinstance(where, Path):
        with closing(sqlite3.connect(where)) as database:
            return dict(database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOTNULL"))
    import psycopg

    with psycopg.connect(where) as connection:
        found = connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
        return dict(found.fetchall())


def test_a_confidential_crs_stays_out_of_the_file(tmp_path: Path, filled: Path) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", None)
    geo = json.loads(pq.read_schema(tmp_path / "one" / "versions.parquet").metadata[b"geo"])
    assert geo["columns"]["geometry"]["crs"] is None


def test_a_registry_without_history_travels_too(tmp_path: Path, postgis_url: str) -> None:
    open_registry(tmp_path / "r.sqlite", AUTHORITY).close()
    made = export_registry(tmp_path / "r.sqlite", AUTHORITY, tmp_path / "one", CRS)
    assert set(made.rows.values()) == {0}
    import_registry(tmp_path / "one", tmp_path / "again.sqlite", AUTHORITY)
    import_registry(tmp_path / "one", postgis_url, AUTHORITY)
    assert verify(postgis_url, AUTHORITY) == []


def test_a_backup_is_taken_while_a_build_writes_and_holds_the_last_commit(
    tmp_path: Path, filled: Path, postgis_url: str
) -> None:
    import_registry(filled, postgis_url, AUTHORITY)
    for number, where in enumerate((filled, postgis_url)):
        with open_registry(where, AUTHORITY) as registry:
            registry.add_aliases("late", ["x"], [geid.mint(AUTHORITY, ["osm/x"])[0]])
            for name in (f"b{number}.sqlite", f"b{number}"):
                assert back_up(where, AUTHORITY, tmp_path / name, CRS).rows["alias"] == 3
            registry.roll_back()
    assert verify(tmp_path / "b1.sqlite", AUTHORITY) == []


def test_two_registries_are_never_mixed_and_nothing_is_overwritten(tmp_path: Path, filled: Path) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    with pytest.raises(StoreError, match="not empty"):
        import_registry(tmp_path / "one", filled, AUTHORITY)
    with pytest.raises(StoreError, match="something already"):
        export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    with pytest.raises(MisuseError, match="into itself"):
        import_registry(filled, filled, AUTHORITY)
    with pytest.raises(StoreError, match="belongs to the authority"):
        import_registry(tmp_path / "one", tmp_path / "new.sqlite", "999999")


def test_a_damaged_copy_is_refused_and_leaves_nothing_behind(tmp_path: Path, filled: Path, postgis_url: str) -> None:
    export_registry(filled, AUTHORITY, tmp_path / "one", CRS)
    victim = tmp_path / "one" / "entities.parquet"
    victim.write_bytes(victim.read_bytes()[:-1] + b"X")
    for target in (tmp_path / "new.sqlite", postgis_url):
        with pytest.raises(StoreError, match="not as it was written"):
            import_registry(tmp_path / "one", target, AUTHORITY)
    with pytest.raises(StoreError, match="no registry in the open form"):
        import_registry(tmp_path, tmp_path / "new.sqlite", AUTHORITY)


def test_an_import_that_fails_halfway_is_forgotten(tmp_path: Path, filled: Path, postgis_url: str) -> None:
    """The last table holds a row twice: everything before it had been written."""
    database = sqlite3.connect(filled)
    database.execute("DROP TRIGGER history_bridge_UPDATE")
    database.execute("UPDATE history_bridge SET geid = 'a' || char(0)")  # what PostgreSQL cannot keep
    database.commit()
    database.close()
    with pytest.raises(StoreError):
        import_registry(filled, postgis_url, AUTHORITY)
    with open_registry(postgis_url, AUTHORITY, read_only=True) as registry:
        assert registry.rows("SELECT count(*) FROM entity") == [(0,)]  # type: ignore[attr-defined]


def test_verify_finds_what_was_broken_by_hand(tmp_path: Path, filled: Path, postgis_url: str) -> None:
    import psycopg

    import_registry(filled, postgis_url, AUTHORITY)
    assert verify(filled, AUTHORITY) == []
    harm = [
        "UPDATE entity SET first_release = 99 WHERE geid = (SELECT min(geid) FROM entity)",
        "DELETE FROM source_key WHERE key = '6'",
        "UPDATE alias SET geid = 'nobody' WHERE value = ''",
        "UPDATE seen SET release = 77",
    ]
    database = sqlite3.connect(filled, isolation_level=None)
    with psycopg.connect(postgis_url, autocommit=True) as connection:
        for statement in harm:
            database.execute(statement)
            connection.execute(statement)  # type: ignore[call-overload]
    database.close()
    for where in (filled, postgis_url):
        told = "\n".join(verify(where, AUTHORITY))
        for words in (
            "first seen by a release",
            "leads nowhere",
            "entity nobody knows",
            "last seen by",
            "no identifier",
        ):
            assert words in told
