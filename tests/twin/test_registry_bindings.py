"""Keys and places are given to other entities, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from twin.entity import geid as geids
from twin.errors import MisuseError
from twin.registry.matching import Anchors
from twin.registry.sqlite import Registry


def anchors(*places: tuple[float, float]) -> Anchors:
    """Squares of 10 m around places."""
    xy = np.array(places, dtype=np.float64).reshape(-1, 2)
    return Anchors(xy[:, 0], xy[:, 1], np.full(len(xy), 100.0), *(xy - 5).T, *(xy + 5).T)


def seen(path: Path, keys: list[str | None], where: Anchors, release: str = "r1") -> list[str]:
    """Identifiers after a build."""
    with Registry.open(path, "310105") as registry:
        found = registry.resolve("buildings", "s", pa.array(keys, pa.string()), where)
        registry.record(found)
        registry.commit(release)
        return list(found.geids.to_pylist())


def again(path: Path, keys: list[str | None], where: Anchors) -> list[str]:
    """Identifiers a build would find."""
    with Registry.open(path, "310105") as registry:
        return list(registry.resolve("buildings", "s", pa.array(keys, pa.string()), where).geids.to_pylist())


def test_a_bound_key_stands_for_its_entity_and_the_old_key_still_does(tmp_path: Path) -> None:
    path, where = tmp_path / "r.sqlite", anchors((0, 0), (50, 0))
    first, second = seen(path, ["a", "b"], where)
    with Registry.open(path, "310105") as registry:
        registry.bind("s", ["c"], [first])
        registry.save()
    assert again(path, ["c", "b", "a"], anchors((0, 0), (50, 0), (9, 9))) == [first, second, first]
    with Registry.open(path, "310105", read_only=True) as registry:
        known = registry.entity(first)
        assert known is not None and known.key == "c"
        assert registry.lookup("s:a") == registry.lookup("s:c") == first


def test_a_key_given_to_another_thing_leaves_the_first_one_its_identifier(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    (first,) = seen(path, ["a"], anchors((0, 0)))
    (fresh,) = geids.mint("310105", ["s/a/again"])
    with Registry.open(path, "310105") as registry:
        registry.bind("s", ["a"], [fresh])
        registry.save()
        assert registry.given([first, fresh, geids.mint("310105", ["s/nobody"])[0]]) == {first, fresh}
    assert seen(path, ["a"], anchors((0, 0)), "r2") == [fresh]
    with Registry.open(path, "310105", read_only=True) as registry:
        old, new = registry.entity(first), registry.entity(fresh)
        assert old is not None and old.retired
        assert new is not None and not new.retired and new.key == "a"


def test_a_moved_anchor_is_found_where_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    first, second = seen(path, [None, None], anchors((0, 0), (50, 0)))
    with Registry.open(path, "310105") as registry:
        registry.move("buildings", "s", [first], anchors((100, 100)))
        registry.save()
    found = again(path, [None, None, None], anchors((0, 0), (50, 0), (100, 100)))
    assert found[1:] == [second, first] and found[0] not in (first, second)


def test_a_forgotten_anchor_gives_its_place_free_and_can_be_put_back(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    first, second = seen(path, [None, None], anchors((0, 0), (50, 0)))
    with Registry.open(path, "310105") as registry:
        registry.move("buildings", "s", [first], Anchors.of(np.full((1, 7), np.nan)))
        registry.save()
        assert registry.entity(first) is not None
        other = registry.resolve("buildings", "s", pa.array([None], pa.string()), anchors((0, 0))).geids[0].as_py()
        assert other != second
        registry.move("buildings", "s", [first], anchors((0, 0)))
        registry.save()
    assert again(path, [None, None], anchors((50, 0), (0, 0))) == [second, first]


def test_what_is_not_saved_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    first, second = seen(path, ["a", "b"], anchors((0, 0), (50, 0)))
    with Registry.open(path, "310105") as registry:
        registry.bind("s", ["a"], [second])
        registry.save()
        registry.bind("s", ["b"], [first])
        registry.roll_back()
        registry.save()
    assert again(path, ["a", "b"], anchors((0, 0), (50, 0))) == [second, second]


def test_text_that_is_no_identifier_is_bound_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    (first,) = seen(path, ["a"], anchors((0, 0)))
    with Registry.open(path, "310105") as registry:
        for wrong in ("", "building 7", first.upper()):
            with pytest.raises(MisuseError, match="no identifier"):
                registry.bind("s", ["a"], [wrong])
        with pytest.raises(MisuseError, match="twice"):
            registry.bind("s", ["x", "x"], [first, first])
        with pytest.raises(MisuseError, match="2 anchors"):
            registry.move("buildings", "s", [first], anchors((0, 0), (1, 1)))
