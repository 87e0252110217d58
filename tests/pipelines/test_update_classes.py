"""What becomes of identifiers where buildings are merged, replaced or reshaped, and where an id is given away."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
import shapely
from shapely import affinity

from pipelines.project import load_project
from pipelines.update import Applied, UpdateOptions, run_update, undo_update
from tests.pipelines.district import District, houses
from tests.pipelines.test_update import Survey, by_key
from twin.registry.open import open_history, open_registry
from twin.registry.versions import Relation


def terrace() -> Survey:
    """Eighty houses, and two that share a wall: T1 and T2."""
    one = Survey()
    west, south, east, north = shapely.union_all(one.shapes).bounds
    del west, north
    one.add(shapely.box(east + 50, south, east + 60, south + 12), "T1", 9.0)
    one.add(shapely.box(east + 60, south, east + 68, south + 12), "T2", 9.0)
    return one


@pytest.fixture
def root(tmp_path: Path) -> Path:
    terrace().write(tmp_path / "d").build()
    return tmp_path / "d"


def applied(root: Path, survey: Survey, keyed: bool = True) -> Applied:
    survey.write(root, keyed=keyed)
    return run_update(load_project(root), UpdateOptions("next", accept_doubtful=True))


def told(done: Applied) -> dict[str, int]:
    return {name: count for name, count in done.plan.counts.items() if count}


def assert_retired(root: Path, geid: str, steps: set[tuple[Relation, str]]) -> None:
    """It is retired, and the history says what came after it."""
    with (
        open_history(root / "registry.sqlite", "310105", read_only=True) as history,
        open_registry(root / "registry.sqlite", "310105", read_only=True) as registry,
    ):
        assert {(one.relation, one.other) for one in history.lineage(geid) if one.geid == geid} == steps
        assert set(history.successors(geid)) == {other for _, other in steps}
        assert list(history.verify()) == []
        known = registry.entity(geid)
        assert known is not None and known.retired


def assert_alive(root: Path, geid: str, key: str) -> None:
    with open_registry(root / "registry.sqlite", "310105", read_only=True) as registry:
        known = registry.entity(geid)
        assert known is not None and not known.retired
        assert registry.lookup(f"houses:{key}") == geid


def rebuilt(root: Path) -> dict[str, str]:
    """Geids by key of a build that follows."""
    district = District(root, [], {})
    district.written = True
    district.build()
    return district.geids()


@pytest.mark.parametrize("key", ["T1", "T-NEW"])
def test_two_that_are_merged_end_in_one_that_bears_a_new_identifier(root: Path, key: str) -> None:
    old = by_adopted(root)
    survey = terrace()
    joined = shapely.union(survey.shapes[80], survey.shapes[81])
    survey.drop(81)
    survey.shapes[80], survey.ids[80] = joined, key
    done = applied(root, survey)
    assert told(done) == {"unchanged": 80, "merged": 1}
    new = by_key(root)
    assert new[key] not in old.values()
    assert {**new, key: ""} == {**{k: g for k, g in old.items() if k not in ("T1", "T2")}, key: ""}
    assert rebuilt(root) == new
    for gone in ("T1", "T2"):
        assert_retired(root, old[gone], {(Relation.MERGED_INTO, new[key])})
    assert_alive(root, new[key], key)
    changes = Counter(row["change"] for row in bridge(done))
    assert changes == {"unchanged": 80, "merged": 3}


def by_adopted(root: Path) -> dict[str, str]:
    return District(root, [], {}).geids()


def bridge(done: Applied) -> list[dict[str, str]]:
    return list(csv.DictReader(done.bridge[1].read_text("utf-8").splitlines()))


@pytest.mark.parametrize("key", ["H00007", "REBUILT"])
def test_another_building_in_its_place_bears_a_new_identifier_even_under_the_old_id(root: Path, key: str) -> None:
    old = by_adopted(root)
    survey = terrace()
    plot = survey.shapes[7]
    survey.shapes[7] = affinity.scale(affinity.rotate(plot, 40), 0.75, 0.6)
    survey.ids[7], survey.heights[7] = key, 61.0
    done = applied(root, survey)
    assert told(done) == {"unchanged": 81, "replaced": 1}
    new = by_key(root)
    assert new[key] not in old.values() and old["H00007"] not in new.values()
    assert rebuilt(root) == new
    assert_retired(root, old["H00007"], {(Relation.REPLACED_BY, new[key])})
    assert_alive(root, new[key], key)
    undo_update(load_project(root))
    assert_alive(root, old["H00007"], "H00007")
    assert by_key(root) == old


@pytest.mark.parametrize("key", ["T1", "RENUMBERED"])
def test_an_annex_reshapes_a_building_that_stays_itself(root: Path, key: str) -> None:
    old = by_adopted(root)
    survey = terrace()
    west, south, _, north = survey.shapes[80].bounds
    annex = shapely.box(west - 3, south + 2, west, north - 3)
    survey.shapes[80], survey.ids[80] = shapely.union(survey.shapes[80], annex), key
    done = applied(root, survey)
    assert told(done) == {"unchanged": 81, "reshaped": 1}
    new = by_key(root)
    assert new[key] == old["T1"]
    assert rebuilt(root) == new
    assert_alive(root, old["T1"], key)
    with open_history(root / "registry.sqlite", "310105", read_only=True) as history:
        first, last = history.versions(old["T1"]).column("geometry").to_pylist()
        areas = shapely.area(shapely.from_wkb([first, last]))
        assert areas[1] - areas[0] == pytest.approx(annex.area, abs=0.01)
        assert not list(history.lineage(old["T1"]))


def test_an_id_given_to_another_building_stands_for_that_one_under_an_identifier_of_its_own(root: Path) -> None:
    old = by_adopted(root)
    survey = terrace()
    survey.drop(12)
    survey.add(affinity.translate(houses(1, seed=9)[0], -140, -140), "H00012", 31.0)
    done = applied(root, survey)
    assert told(done) == {"unchanged": 81, "new": 1, "gone": 1}
    new = by_key(root)
    assert new["H00012"] not in old.values() and old["H00012"] not in new.values()
    assert rebuilt(root) == new
    assert_retired(root, old["H00012"], set())
    assert_alive(root, new["H00012"], "H00012")


def test_two_that_swap_their_ids_keep_their_identifiers(root: Path) -> None:
    old = by_adopted(root)
    survey = terrace()
    survey.ids[20], survey.ids[50] = survey.ids[50], survey.ids[20]
    done = applied(root, survey)
    assert told(done) == {"unchanged": 82}
    new = by_key(root)
    assert (new["H00020"], new["H00050"]) == (old["H00050"], old["H00020"])
    assert rebuilt(root) == new
    assert_alive(root, old["H00050"], "H00020")


def test_a_building_that_comes_back_is_itself(root: Path) -> None:
    old = by_adopted(root)
    without = terrace()
    without.drop(30)
    applied(root, without)
    assert "H00030" not in by_key(root)
    done = applied(root, terrace())
    assert told(done) == {"unchanged": 81, "new": 1}
    assert by_key(root) == old == rebuilt(root)
    assert_alive(root, old["H00030"], "H00030")
