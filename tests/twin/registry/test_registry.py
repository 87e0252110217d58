"""Promise 4: an id is for ever. Shuffled rows, 5 cm of jitter, a new neighbour, another machine: every geid stays."""

from __future__ import annotations

import datetime
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.entity import geid
from twin.errors import MisuseError, StoreError
from twin.geometry.footprints import from_shapely
from twin.registry.matching import Anchors, match, mint_keys
from twin.registry.sqlite import Registry, Resolved

AUTHORITY = "310105"
SEEDS = st.integers(0, 2**32 - 1)


def boxes(centre: np.ndarray, size: np.ndarray) -> Anchors:
    """Anchors of rectangles."""
    (x, y), (w, h) = centre.T, size.T
    return Anchors(x, y, w * h, x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def row_houses(count: int) -> Anchors:
    """Houses alike to the last digit, 4 m apart."""
    centre = np.column_stack([500_000 + 4.0 * np.arange(count), np.full(count, 3_450_000.0)])
    return boxes(centre, np.tile([4.0, 9.0], (count, 1)))


def city(rng: np.random.Generator, count: int) -> Anchors:
    """Rectangles of 3 to 40 m on a grid of 45 m, so that none meet."""
    cell = rng.permutation(400)[:count]
    centre = np.column_stack([cell % 20, cell // 20]) * 45.0 + rng.uniform(-2, 2, (count, 2)) + [500_000, 3_450_000]
    return boxes(centre, rng.uniform(3, 40, (count, 2)))


def jittered(anchors: Anchors, rng: np.random.Generator, metres: float = 0.05) -> Anchors:
    """Every side moved on its own by up to so many metres."""
    west, south, east, north = (
        side + rng.uniform(-metres, metres, len(side))
        for side in (anchors.west, anchors.south, anchors.east, anchors.north)
    )
    area = (east - west) * (north - south)
    return Anchors((west + east) / 2, (south + north) / 2, area, west, south, east, north)


def joined(one: Anchors, other: Anchors) -> Anchors:
    return Anchors.of(np.concatenate([one.matrix(), other.matrix()]))


def nameless(count: int) -> pa.Array:
    return pa.nulls(count, pa.string())


def new_registry(folder: Path, name: str = "registry") -> Registry:
    return Registry.open(folder / f"{name}.sqlite", AUTHORITY)


def build(registry: Registry, keys: pa.Array, anchors: Anchors, release: str = "r", source: str = "osm") -> list[str]:
    resolved = registry.resolve("buildings", source, keys, anchors)
    registry.record(resolved, pa.array(["house"] * len(anchors)))
    registry.commit(release)
    names: list[str] = resolved.geids.to_pylist()
    return names


def how(resolved: Resolved) -> list[str]:
    labels: list[str] = resolved.how.to_pylist()
    return labels


ROWS = row_houses(3)


# Features with a source key ---------------------------------------------------------------------------------------


def test_a_key_gives_the_identifier_minted_from_source_and_key(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        resolved = registry.resolve("buildings", "survey", pa.array(["a", "b", "c"]), ROWS)
        assert resolved.geids.to_pylist() == geid.mint(AUTHORITY, ["survey/a", "survey/b", "survey/c"])
        assert how(resolved) == ["minted"] * 3


@settings(deadline=None, max_examples=20)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), unique=True, max_size=12), SEEDS)
def test_keys_in_any_order_on_any_machine_give_the_same_identifiers(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("r")
    order = np.random.default_rng(seed).permutation(len(keys))
    with new_registry(folder, "here") as here, new_registry(folder, "there") as there:
        first = dict(zip(keys, build(here, pa.array(keys, pa.string()), row_houses(len(keys))), strict=True))
        shuffled = [keys[i] for i in order]
        for registry in (here, there):
            again = registry.resolve("buildings", "osm", pa.array(shuffled, pa.string()), row_houses(len(keys)))
            assert dict(zip(shuffled, again.geids.to_pylist(), strict=True)) == first
            assert set(how(again)) <= {"known" if registry is here else "minted"}


def test_a_known_key_keeps_what_the_registry_says_whatever_minting_would_give(tmp_path: Path) -> None:
    """The registry decides, not the digest: an identifier is minted once."""
    (other,) = geid.mint("elsewhere", ["x"])
    with new_registry(tmp_path) as registry:
        build(registry, pa.array(["a", "b", "c"]), ROWS)
        registry._database.execute("UPDATE source_key SET geid = ? WHERE key = 'b'", (other,))
        assert registry.resolve("buildings", "osm", pa.array(["b"]), row_houses(1)).geids.to_pylist() == [other]


def test_the_same_key_in_another_source_is_another_thing(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        assert not set(build(registry, pa.array(["a", "b", "c"]), ROWS, source="one")) & set(
            build(registry, pa.array(["a", "b", "c"]), ROWS, source="two")
        )


def test_a_key_that_stands_twice_is_refused_by_name(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry, pytest.raises(MisuseError, match="'a' twice"):
        registry.resolve("buildings", "survey", pa.array(["a", "b", "a"]), ROWS)
    with new_registry(tmp_path) as registry, pytest.raises(MisuseError, match="2 keys but 3"):
        registry.resolve("buildings", "survey", pa.array(["a", "b"]), ROWS)


# Features without usable key --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 60), st.booleans())
def test_jitter_of_5_cm_and_shuffled_rows_keep_every_identifier(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, alike: bool
) -> None:
    rng = np.random.default_rng(seed)
    anchors = row_houses(count) if alike else city(rng, count)
    with new_registry(tmp_path_factory.mktemp("r")) as registry:
        first = build(registry, nameless(count), anchors)
        assert len(set(first)) == count
        for release in range(3):
            anchors, order = jittered(anchors, rng), rng.permutation(count)
            again = registry.resolve("buildings", "osm", nameless(count), anchors.take(order))
            assert again.geids.to_pylist() == [first[i] for i in order]
            assert how(again) == ["matched"] * count
            registry.record(again)
            registry.commit(f"r{release}")  # anchors follow the footprints: jitter may add up over the years


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 60), st.booleans())
def test_unchanged_input_gives_the_same_identifiers_on_a_machine_with_an_empty_registry(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, alike: bool
) -> None:
    rng = np.random.default_rng(seed)
    anchors, order, folder = (
        row_houses(count) if alike else city(rng, count),
        rng.permutation(count),
        tmp_path_factory.mktemp("r"),
    )
    with new_registry(folder, "here") as here, new_registry(folder, "there") as there:
        first = build(here, nameless(count), anchors)
        second = build(there, nameless(count), anchors.take(order))
        assert second == [first[i] for i in order]


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(2, 40))
def test_neighbours_that_come_and_go_change_nobody_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    """Row houses, jittered, one pulled down, one built at the end of the row: with and without a registry."""
    rng = np.random.default_rng(seed)
    houses, gone = row_houses(count + 1), int(rng.integers(count))
    stay = np.delete(np.arange(count + 1), gone)
    folder = tmp_path_factory.mktemp("r")
    with new_registry(folder, "here") as here, new_registry(folder, "there") as there:
        first = build(here, nameless(count), houses.take(np.arange(count)))
        expected = [first[i] for i in stay if i < count]
        moved = here.resolve("buildings", "osm", nameless(count), jittered(houses, rng).take(stay))
        assert moved.geids.to_pylist()[:-1] == expected
        assert how(moved) == ["matched"] * (count - 1) + ["minted"]
        assert moved.geids.to_pylist()[-1] not in first
        fresh = there.resolve("buildings", "osm", nameless(count), houses.take(stay))
        assert fresh.geids.to_pylist()[:-1] == expected


def test_features_with_and_without_key_live_in_one_source(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        first = build(registry, pa.array(["a", None, None]), ROWS)
        again = registry.resolve("buildings", "osm", pa.array([None, "a", None]), ROWS.take(np.array([2, 0, 1])))
        assert again.geids.to_pylist() == [first[2], first[0], first[1]]
        assert how(again) == ["matched", "known", "matched"]


def test_a_house_built_where_an_older_one_moved_away_from_gets_its_own_identifier(tmp_path: Path) -> None:
    """Its geometry derives the very key the older one was minted from."""

    def house(step: float) -> Anchors:
        return boxes(np.array([[500_000 + step, 3_450_000.0]]), np.array([[4.0, 9.0]]))

    with new_registry(tmp_path) as registry:
        (old,) = build(registry, nameless(1), house(0.0))
        for step in (0.9, 1.8, 2.7, 3.6):  # surveys that correct it bit by bit
            assert build(registry, nameless(1), house(step)) == [old]
        pair = registry.resolve("buildings", "osm", nameless(2), joined(house(0.0), house(3.6)))
        assert how(pair) == ["minted", "matched"]
        assert pair.geids.to_pylist()[1] == old
        assert pair.geids.to_pylist()[0] != old


def test_a_house_of_another_size_in_the_same_place_is_another_house(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        (old,) = build(registry, nameless(1), boxes(np.array([[0.0, 0.0]]), np.array([[4.0, 9.0]])))
        (new,) = build(registry, nameless(1), boxes(np.array([[0.0, 0.0]]), np.array([[30.0, 40.0]])))
    assert old != new


def test_identical_footprints_get_an_identifier_each_and_keep_the_set(tmp_path: Path) -> None:
    same = boxes(np.zeros((3, 2)), np.full((3, 2), 8.0))
    with new_registry(tmp_path) as registry:
        first = build(registry, nameless(3), same)
        assert len(set(first)) == 3
        assert sorted(build(registry, nameless(3), same)) == sorted(first)


def test_a_tie_tells_identical_footprints_apart_in_any_order(tmp_path: Path) -> None:
    same = boxes(np.zeros((3, 2)), np.full((3, 2), 8.0))
    with new_registry(tmp_path) as registry:
        one = registry.resolve("b", "osm", nameless(3), replace(same, tie=np.array(["x", "y", "z"])))
        other = registry.resolve("b", "osm", nameless(3), replace(same, tie=np.array(["z", "x", "y"])))
    assert other.geids.to_pylist() == one.geids.take(pa.array([2, 0, 1])).to_pylist()


def test_a_feature_with_neither_key_nor_place_is_refused(tmp_path: Path) -> None:
    nowhere = Anchors.of(np.full((1, 7), np.nan))
    with new_registry(tmp_path) as registry:
        assert len(registry.resolve("b", "osm", pa.array(["a"]), nowhere).geids) == 1
        with pytest.raises(MisuseError, match="neither an id nor a geometry"):
            registry.resolve("b", "osm", nameless(1), nowhere)


# Matching ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(0, 30), st.integers(0, 30))
def test_matching_is_one_to_one_and_does_not_depend_on_the_order(seed: int, known: int, fresh: int) -> None:
    """Crowded on purpose: everything lies within a few metres of everything."""
    rng = np.random.default_rng(seed)
    a, b = (boxes(rng.uniform(0, 12, (n, 2)).round(1), rng.uniform(3, 6, (n, 2)).round(1)) for n in (known, fresh))
    partner = match(a, b)
    taken = partner[partner >= 0]
    assert len(set(taken.tolist())) == len(taken)
    order_a, order_b = rng.permutation(known), rng.permutation(fresh)
    shuffled = match(a.take(order_a), b.take(order_b))
    back = np.where(shuffled >= 0, order_a[shuffled] if known else -1, -1)
    rows_a, rows_b = a.matrix(), b.matrix()
    for row, at in zip(order_b, back, strict=True):
        assert (at < 0) == (partner[row] < 0)
        if at >= 0:
            assert np.array_equal(rows_a[at], rows_a[partner[row]])
    assert len(rows_b) == fresh


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 30))
def test_what_has_not_changed_is_matched_with_itself(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    a = boxes(rng.uniform(0, 12, (count, 2)), rng.uniform(3, 6, (count, 2)))
    extra = boxes(rng.uniform(0, 12, (5, 2)), rng.uniform(3, 6, (5, 2)))
    partner = match(a, joined(extra, a))
    assert partner[5:].tolist() == list(range(count))
    assert np.all(partner[:5] == -1)


def test_anchors_are_taken_from_footprints() -> None:
    shapes = np.array([shapely.box(10, 20, 14, 29), shapely.box(0, 0, 1, 1)])
    assert np.allclose(
        Anchors.from_footprints(from_shapely(shapes)).matrix(),
        [[12, 24.5, 36, 10, 20, 14, 29], [0.5, 0.5, 1, 0, 0, 1, 1]],
    )


def test_mint_keys_are_numbered_where_they_agree() -> None:
    same = boxes(np.zeros((2, 2)), np.ones((2, 2)))
    assert sorted(mint_keys("b", same)) == ["b@0,0,10", "b@0,0,10#1"]
    assert mint_keys("b", Anchors.empty()) == []


# The record -------------------------------------------------------------------------------------------------------


def at(hour: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, 1, hour, tzinfo=datetime.UTC)


def test_first_and_last_seen_and_retirement_and_return(tmp_path: Path) -> None:
    keys, rows = pa.array(["a", "b"]), row_houses(2)
    with new_registry(tmp_path) as registry:
        seen = []
        for hour, present in enumerate([[0, 1], [0], [0], [0, 1]]):
            resolved = registry.resolve("buildings", "s", keys.take(pa.array(present)), rows.take(np.array(present)))
            registry.record(resolved, pa.array(["house"] * len(present)))
            registry.commit(f"r{hour}", at(hour))
            known = registry.entity(geid.mint(AUTHORITY, ["s/b"])[0])
            assert known is not None
            seen.append((known.first_release, known.last_release, known.last_seen, known.retired))
    assert seen == [
        ("r0", "r0", "2026-01-01T00:00:00Z", False),
        ("r0", "r0", "2026-01-01T00:00:00Z", True),
        ("r0", "r0", "2026-01-01T00:00:00Z", True),
        ("r0", "r3", "2026-01-01T03:00:00Z", False),
    ]


def test_a_build_that_changes_nothing_writes_no_entity(tmp_path: Path) -> None:
    keys = pa.array(["a", None, "c"])
    with new_registry(tmp_path) as registry:
        build(registry, keys, ROWS)
        before = registry._database.total_changes
        build(registry, keys, ROWS, "r2")
        assert registry._database.total_changes - before == 2  # the release, and which one was the last
        assert registry.entity(geid.mint(AUTHORITY, ["osm/a"])[0]).last_release == "r2"  # type: ignore[union-attr]


def test_a_changed_class_is_written_and_the_rest_kept(tmp_path: Path) -> None:
    keys = pa.array(["a", "b", "c"])
    with new_registry(tmp_path) as registry:
        build(registry, keys, ROWS)
        resolved = registry.resolve("buildings", "osm", keys, ROWS)
        registry.record(resolved, pa.array(["house", "tower", "house"]))
        registry.commit("r2")
        classes = [registry.entity(name) for name in resolved.geids.to_pylist()]
        assert [known and (known.entity_class, known.first_release) for known in classes] == [
            ("house", "r"),
            ("tower", "r"),
            ("house", "r"),
        ]


def test_what_is_not_committed_is_forgotten(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        resolved = registry.resolve("buildings", "osm", pa.array(["a", "b", "c"]), ROWS)
        registry.record(resolved)
    with new_registry(tmp_path) as registry:
        assert registry.entity(resolved.geids[0].as_py()) is None


def test_aliases_and_lookup(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        a, b, c = build(registry, pa.array(["a", "x:1", "c"]), ROWS)
        registry.add_aliases("beidou", ["N51H", "N52H"], [a, a])
        registry.add_aliases("code", ["310105", "shared"], [b, b])
        registry.add_aliases("other", ["shared"], [c])
        registry.commit("r2")
        assert registry.alias("beidou", "N51H") == a
        assert registry.aliases(a) == (("beidou", "N51H"), ("beidou", "N52H"))
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
            "osm:nothing": None,
            geid.mint("stranger", ["x"])[0]: None,
        }
        assert {text: registry.lookup(text) for text in answers} == answers
        registry.add_aliases("beidou", ["N51H"], [c])
        assert registry.alias("beidou", "N51H") == c


def test_lineage_is_kept(tmp_path: Path) -> None:
    with new_registry(tmp_path) as registry:
        resolved = registry.resolve("buildings", "osm", pa.array(["7~1", "7~2", "8"]), ROWS)
        names = resolved.geids.to_pylist()
        registry.record(resolved, lineage=[(name, "part_of_feature", "osm:7") for name in names[:2]])
        registry.commit("r")
        known = registry.entity(names[1])
        assert known is not None
        assert known.lineage == (("part_of_feature", "osm:7"),)


# A broken world ---------------------------------------------------------------------------------------------------


def test_a_registry_of_another_authority_is_refused(tmp_path: Path) -> None:
    new_registry(tmp_path).close()
    with pytest.raises(StoreError, match="belongs to the authority '310105'"):
        Registry.open(tmp_path / "registry.sqlite", "310106")


def test_a_later_version_a_foreign_database_and_damage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    new_registry(tmp_path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="version 99"):
        new_registry(tmp_path)
    database = sqlite3.connect(tmp_path / "other.sqlite")
    database.execute("CREATE TABLE t (a)")
    database.close()
    with pytest.raises(StoreError, match="something else"):
        new_registry(tmp_path, "other")
    (tmp_path / "broken.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreError, match="damaged"):
        new_registry(tmp_path, "broken")


def test_a_locked_registry_is_told(tmp_path: Path) -> None:
    with new_registry(tmp_path) as one, new_registry(tmp_path) as other:
        other._database.execute("PRAGMA busy_timeout = 0")
        one.record(one.resolve("b", "s", pa.array(["a", "b", "c"]), ROWS))
        with pytest.raises(StoreError, match="another build"):
            other.record(other.resolve("b", "s", pa.array(["a", "b", "c"]), ROWS))
        one.commit("r")
        other.record(other.resolve("b", "s", pa.array(["a", "b", "c"]), ROWS))
        other.commit("r2")


def test_reading_only_needs_a_registry_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no registry yet"):
        Registry.open(tmp_path / "registry.sqlite", AUTHORITY, read_only=True)
    with new_registry(tmp_path) as registry:
        names = build(registry, pa.array(["a", "b", "c"]), ROWS)
    with Registry.open(tmp_path / "registry.sqlite", AUTHORITY, read_only=True) as reader:
        assert reader.lookup("osm:a") == names[0]
        with pytest.raises(StoreError, match="cannot be written"):
            reader.commit("r")


def test_readers_see_the_last_commit_while_a_build_writes(tmp_path: Path) -> None:
    with new_registry(tmp_path) as writer:
        build(writer, pa.array(["a", "b", "c"]), ROWS)
        writer.record(writer.resolve("buildings", "osm", pa.array(["d"]), row_houses(1)))
        with Registry.open(tmp_path / "registry.sqlite", AUTHORITY, read_only=True) as reader:
            assert reader.lookup("osm:a") is not None
            assert reader.lookup("osm:d") is None
