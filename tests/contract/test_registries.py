"""Every backend of the registry gives the same identifiers and the same answers."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from twin.entity import geid
from twin.errors import MisuseError, StoreError
from twin.registry.identity import IdentityRegistry
from twin.registry.matching import Anchors
from twin.registry.open import open_registry
from twin.registry.postgres import PostgresRegistry

AUTHORITY = "310105"
Opener = Callable[..., IdentityRegistry]


def houses(count: int, step: float = 0.0) -> Anchors:
    """Houses alike to the last digit, 4 m apart, `step` metres east of where they were."""
    x = 500_000 + 4.0 * np.arange(count) + step
    y = np.full(count, 3_450_000.0)
    return Anchors(x, y, np.full(count, 36.0), x - 2, y - 4.5, x + 2, y + 4.5)


def nameless(count: int) -> pa.Array:
    return pa.nulls(count, pa.string())


def build(
    registry: IdentityRegistry, keys: pa.Array, anchors: Anchors, release: str = "r", source: str = "osm", **how: Any
) -> list[str]:
    resolved = registry.resolve("buildings", source, keys, anchors)
    registry.record(resolved, how.get("classes", pa.array(["house"] * len(anchors))), how.get("lineage", ()))
    registry.commit(release, how.get("time"))
    names: list[str] = resolved.geids.to_pylist()
    return names


def at(hour: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, 1, hour, tzinfo=datetime.UTC)


class TestRegistry:
    """What a project may rely on, wherever its registry lies."""

    @pytest.fixture(params=["sqlite", "postgis"])
    def where(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
        if request.param == "sqlite":
            return tmp_path / "registry.sqlite"
        url: str = request.getfixturevalue("postgis_url")
        return url

    @pytest.fixture
    def opened(self, where: Path | str) -> Opener:
        def opener(read_only: bool = False, authority: str = AUTHORITY, patience_s: float = 0.1) -> IdentityRegistry:
            return open_registry(where, authority, read_only, patience_s)

        return opener

    def test_a_key_gives_the_identifier_minted_from_source_and_key_and_is_known_ever_after(
        self, opened: Opener
    ) -> None:
        keys = pa.array(["a", "b", "楼 3号"])
        with opened() as registry:
            first = build(registry, keys, houses(3))
            assert first == geid.mint(AUTHORITY, ["osm/a", "osm/b", "osm/楼 3号"])
        with opened() as registry:
            again = registry.resolve("buildings", "osm", keys.take(pa.array([2, 0, 1])), houses(3))
            assert again.geids.to_pylist() == [first[2], first[0], first[1]]
            assert again.how.to_pylist() == ["known"] * 3

    def test_text_comes_back_as_it_went_in(self, opened: Opener) -> None:
        keys = ["", " ", '"', "'", ",", "a\nb", "a\rb", "\\", "\\N", "\\.", "NULL", "null", "\t", "é", "𠮷", "%s", "?"]
        with opened() as registry:
            names = build(registry, pa.array(keys), houses(len(keys)))
            registry.add_aliases("code", keys, names)
            registry.commit("r2")
        with opened(read_only=True) as registry:
            assert [registry.entity(name).key for name in names] == keys  # type: ignore[union-attr]
            assert [registry.alias("code", key) for key in keys] == names
            assert registry.resolve("b", "osm", pa.array(keys), houses(len(keys))).geids.to_pylist() == names

    def test_features_without_key_are_known_by_their_geometry_though_they_move_a_little(self, opened: Opener) -> None:
        with opened() as registry:
            first = build(registry, nameless(20), houses(20))
            for release in range(1, 4):
                order = np.random.default_rng(release).permutation(20)
                moved = houses(20, step=0.3 * release).take(order)
                resolved = registry.resolve("buildings", "osm", nameless(20), moved)
                assert resolved.how.to_pylist() == ["matched"] * 20
                assert resolved.geids.to_pylist() == [first[at] for at in order]
                registry.record(resolved)
                registry.commit(f"r{release}")

    def test_first_and_last_seen_and_retirement_and_return(self, opened: Opener) -> None:
        keys, rows = pa.array(["a", "b"]), houses(2)
        seen = []
        with opened() as registry:
            for hour, present in enumerate([[0, 1], [0], [0], [0, 1]]):
                some = keys.take(pa.array(present))
                build(registry, some, rows.take(np.array(present)), f"r{hour}", "s", time=at(hour))
                known = registry.entity(geid.mint(AUTHORITY, ["s/b"])[0])
                assert known is not None
                seen.append((known.first_release, known.last_release, known.last_seen, known.retired))
        assert seen == [
            ("r0", "r0", "2026-01-01T00:00:00Z", False),
            ("r0", "r0", "2026-01-01T00:00:00Z", True),
            ("r0", "r0", "2026-01-01T00:00:00Z", True),
            ("r0", "r3", "2026-01-01T03:00:00Z", False),
        ]

    def test_a_changed_class_is_written_and_lineage_kept(self, opened: Opener) -> None:
        keys = pa.array(["7~1", "7~2", "8"])
        with opened() as registry:
            names = build(registry, keys, houses(3))
            steps = [(name, "part_of_feature", "osm:7") for name in names[:2]]
            build(registry, keys, houses(3), "r2", classes=pa.array(["house", "tower", None]), lineage=steps)
            found = [registry.entity(name) for name in names]
        assert [one and (one.entity_class, one.first_release, one.lineage) for one in found] == [
            ("house", "r", (("part_of_feature", "osm:7"),)),
            ("tower", "r", (("part_of_feature", "osm:7"),)),
            (None, "r", ()),
        ]

    def test_aliases_and_lookup(self, opened: Opener) -> None:
        with opened() as registry:
            a, b, c = build(registry, pa.array(["a", "x:1", "c"]), houses(3))
            registry.add_aliases("beidou", ["N51H", "N52H"], [a, a])
            registry.add_aliases("code", ["310105", "shared"], [b, b])
            registry.add_aliases("other", ["shared"], [c])
            registry.commit("r2")
            answers = {
                a.upper(): a,
                f"urn:geid:{a}": a,
                "osm:a": a,
                "osm:x:1": b,
                "beidou:N51H": a,
                "310105": b,
                "shared": None,
                "code:shared": b,
                "": None,
                ":": None,
                "\ud800": None,
                "\x00": None,
                "osm:nothing": None,
                geid.mint("stranger", ["x"])[0]: None,
            }
            assert {text: registry.lookup(text) for text in answers} == answers
            assert registry.named("shared") == tuple(sorted([b, c]))
            assert registry.aliases(a) == (("beidou", "N51H"), ("beidou", "N52H"))
            registry.add_aliases("beidou", ["N51H"], [c])
            assert registry.alias("beidou", "N51H") == c
            assert registry.aliases(a) == (("beidou", "N52H"),)

    def test_an_entity_of_a_later_build_is_told(self, opened: Opener) -> None:
        with opened() as registry:
            (a,) = build(registry, pa.array(["a"]), houses(1), "r1")
            _, b = build(registry, pa.array(["a", "b"]), houses(2), "r2")
            assert [registry.is_later(name, release) for name in (a, b) for release in ("r1", "r2")] == [
                False,
                False,
                True,
                False,
            ]

    def test_a_bound_key_stands_for_another_entity_from_now_on(self, opened: Opener) -> None:
        with opened() as registry:
            a, b = build(registry, pa.array(["a", "b"]), houses(2))
            registry.bind("osm", ["new", "b"], [a, a])
            registry.save()
        with opened() as registry:
            found = registry.resolve("buildings", "osm", pa.array(["new", "b"]), houses(2))
            assert found.geids.to_pylist() == [a, a]
            assert registry.entity(a).key == "new"  # type: ignore[union-attr]
            assert registry.given([a, b, geid.mint("stranger", ["x"])[0]]) == {a, b}
            with pytest.raises(MisuseError, match="twice"):
                registry.bind("osm", ["x", "x"], [a, a])
            with pytest.raises(MisuseError, match="no identifier"):
                registry.bind("osm", ["x"], ["y"])

    def test_a_moved_anchor_is_matched_where_it_stands_now_and_a_forgotten_one_nowhere(self, opened: Opener) -> None:
        with opened() as registry:
            a, b = build(registry, nameless(2), houses(2))
            there = houses(2, step=500.0)
            nowhere = Anchors.of(np.vstack([there.matrix()[:1], np.full((1, 7), np.nan)]))
            registry.move("buildings", "osm", [a, b], nowhere)
            registry.save()
            found = registry.resolve("buildings", "osm", nameless(2), there)
            assert found.geids[0].as_py() == a
            assert found.how.to_pylist() == ["matched", "minted"]
            assert found.geids[1].as_py() != b

    def test_what_is_bound_or_placed_is_alive_and_the_next_record_looks_at_it(self, opened: Opener) -> None:
        with opened() as registry:
            a, b = build(registry, pa.array(["a", None]), houses(2))
            build(registry, pa.array([], pa.string()), houses(0), "r2")
            registry.bind("osm", ["a2"], [a])
            registry.move("buildings", "osm", [b], houses(1, 100.0))
            registry.save()
            assert [registry.entity(name).retired for name in (a, b)] == [False, False]  # type: ignore[union-attr]
            build(registry, pa.array([], pa.string()), houses(0), "r3")
            assert [registry.entity(name).retired for name in (a, b)] == [True, True]  # type: ignore[union-attr]

    def test_what_is_not_committed_is_forgotten(self, opened: Opener) -> None:
        with opened() as registry:
            build(registry, pa.array(["a"]), houses(1))
            registry.record(registry.resolve("buildings", "osm", pa.array(["b"]), houses(1)))
            assert registry.lookup("osm:b") is not None
            registry.roll_back()
            assert registry.lookup("osm:b") is None
            registry.record(registry.resolve("buildings", "osm", pa.array(["b"]), houses(1)))
        with opened() as registry:
            assert registry.lookup("osm:b") is None
            assert registry.lookup("osm:a") is not None

    def test_readers_see_the_last_commit_while_a_build_writes(self, opened: Opener) -> None:
        with opened() as writer:
            build(writer, pa.array(["a"]), houses(1))
            writer.record(writer.resolve("buildings", "osm", pa.array(["d"]), houses(1)))
            with opened(read_only=True) as reader:
                assert reader.lookup("osm:a") is not None
                assert reader.lookup("osm:d") is None

    def test_two_writers_wait_for_each_other_then_one_is_told(self, opened: Opener) -> None:
        with opened() as one, opened() as other:
            one.record(one.resolve("b", "s", pa.array(["a"]), houses(1)))
            with pytest.raises(StoreError, match="another build"):
                other.record(other.resolve("b", "s", pa.array(["b"]), houses(1)))
            one.commit("r")
            other.record(other.resolve("b", "s", pa.array(["b"]), houses(1)))
            other.commit("r2")
        with opened(read_only=True) as reader:
            assert reader.lookup("s:a") is not None
            assert reader.lookup("s:b") is not None

    def test_reading_only_needs_a_registry_and_writes_nothing(self, opened: Opener) -> None:
        with pytest.raises(StoreError, match="no registry yet"):
            opened(read_only=True)
        opened().close()
        with opened(read_only=True) as reader, pytest.raises(StoreError, match="cannot be written"):
            reader.commit("r")

    def test_a_registry_of_another_authority_is_refused(self, opened: Opener) -> None:
        opened().close()
        with pytest.raises(StoreError, match="belongs to the authority '310105'"):
            opened(authority="310106")

    def test_an_empty_source_and_features_that_all_vanish_are_recorded(self, opened: Opener) -> None:
        with opened() as registry:
            (a,) = build(registry, pa.array(["a"]), houses(1))
            build(registry, pa.array([], pa.string()), houses(0), "r2")
            assert registry.entity(a).retired  # type: ignore[union-attr]


def test_both_backends_record_the_same_tables(tmp_path: Path, postgis_url: str) -> None:
    """One seeded story of ten builds, row by row."""
    stories = []
    for where in (tmp_path / "registry.sqlite", postgis_url):
        rng = np.random.default_rng(7)
        with open_registry(where, AUTHORITY) as registry:
            for release in range(10):
                rows = np.sort(rng.permutation(60)[: rng.integers(40, 60)])
                keys = pa.array([None if row % 3 else f"k{row}" for row in rows], pa.string())
                names = build(registry, keys, houses(60, 0.02 * release).take(rows), f"r{release}", time=at(release))
                registry.add_aliases("code", [f"c{row % 50}" for row in rows], names)
            registry.commit("last", at(20))
            tables = {
                "entity": "SELECT geid, layer, entity_class, source, key, first_release, last_release FROM entity"
                " ORDER BY geid",
                "key": "SELECT source, key, geid FROM source_key ORDER BY source, key",
                "alias": "SELECT scheme, value, geid FROM alias ORDER BY scheme, value, geid",
                "anchor": "SELECT geid, layer, source, mint_key, x, y, area, west, south, east, north FROM anchor"
                " ORDER BY geid",
                "seen": "SELECT layer, source, release, digest FROM seen ORDER BY layer, source",
                "release": "SELECT number, id, time FROM release ORDER BY number",
            }
            stories.append({name: registry._rows(sql) for name, sql in tables.items()})  # type: ignore[attr-defined]
    assert stories[0] == stories[1]
    assert len(stories[0]["entity"]) == 60


# PostgreSQL alone --------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_the_history_works_with(postgis_url: str) -> None:
    import psycopg

    from twin.registry.history_tables import TABLES

    open_registry(postgis_url, AUTHORITY).close()
    with psycopg.connect(postgis_url) as connection:
        for table in TABLES:
            sql = (
                "SELECT column_name, data_type, is_nullable, collation_name FROM information_schema.columns"
                " WHERE table_name = %s ORDER BY ordinal_position"
            )
            wanted = [
                (
                    column.name,
                    {"BIGINT": "bigint", "TEXT": "text", "DOUBLE PRECISION": "double precision", "BYTEA": "bytea"}.get(
                        str(column.type.compile(connection_dialect())).split(" COLLATE")[0], "boolean"
                    ),
                    "YES" if column.nullable else "NO",
                    "C" if "COLLATE" in str(column.type.compile(connection_dialect())) else None,
                )
                for column in table.columns
            ]
            assert connection.execute(sql, (table.name,)).fetchall() == wanted


def connection_dialect() -> Any:
    from sqlalchemy.dialects import postgresql

    return postgresql.dialect()


def test_a_first_build_of_many_entities_is_no_work_of_squares_in_postgis(postgis_url: str) -> None:
    """PostgreSQL knows nothing yet of tables a transaction has filled: a plan for a handful of rows never ends."""
    count = 20_000
    keys = pa.array([f"k{number}" for number in range(count)])
    with open_registry(postgis_url, AUTHORITY) as registry:
        assert isinstance(registry, PostgresRegistry)
        registry.connection.execute("SET statement_timeout = '5s'")  # each takes 0.2 s; it took 18 s
        for release in ("r1", "r2"):
            names = build(registry, keys, houses(count), release)
            registry.add_aliases("code", keys.to_pylist(), names)
            registry.commit(release + " codes")
            keys = pa.concat_arrays([keys.slice(1000), pa.array([f"n{number}" for number in range(1000)])])
        registry.bind("osm", [f"b{number}" for number in range(count)], names)
        registry.move("buildings", "osm", names, houses(count))
        registry.save()
        assert registry.lookup("osm:b7") == names[7]
        assert registry.alias("code", "k2000") == names[1000]
