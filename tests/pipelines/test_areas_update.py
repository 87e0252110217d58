"""Areas live in time: a new edition renames, re-shapes, joins and ends them, and no building has a version for it."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipelines.district import District as DistrictApi
from pipelines.project import load_project
from pipelines.project_registry import open_project_history
from pipelines.snapshot_build import SnapshotOptions, build_snapshot
from pipelines.update import Applied, UpdateOptions, plan_update, run_update, undo_update
from pipelines.update_html import to_html
from pipelines.update_plan import UpdatePlan, to_json
from tests.pipelines.district import District
from tests.pipelines.test_areas import GRIDS, STREETS, area_table, box, by_key, district, write_areas
from twin.entity.index import EntityIndex
from twin.errors import BuildError
from twin.geometry.footprints import from_shapely
from twin.registry.change_areas import compare_areas
from twin.registry.change_result import Changes, Surveyed
from twin.registry.change_rules import Change, ChangeRules
from twin.registry.history_areas import placed
from twin.registry.open import open_registry
from twin.registry.versions import EditionKind, Relation, Window
from twin.store.release import open_current

Year = int
BOTH = area_table("streets", "subdistrict") + area_table("grids", "community")


def year(number: Year) -> datetime.datetime:
    return datetime.datetime(number, 1, 1, tzinfo=datetime.UTC)


def write_streets(root: Path, **areas: tuple[Any, str | None]) -> None:
    write_areas(root / "streets.gpkg", [shape for shape, _ in areas.values()],
                {"code": list(areas), "name": pa.array([name for _, name in areas.values()], pa.string())})  # fmt: skip


def plan(made: District, at: Year) -> UpdatePlan:
    return plan_update(load_project(made.root), UpdateOptions(valid_from=year(at)))


def update(made: District, at: Year, **options: Any) -> Applied:
    """An update of which nothing is doubtful, and the build after it."""
    applied = run_update(load_project(made.root), UpdateOptions(valid_from=year(at), **options))
    assert applied.edition is not None
    made.build()
    return applied


def recorded(made: District, edition: int) -> set[str]:
    """Identifiers an edition asserts something of."""
    history = open_project_history(load_project(made.root))
    table = history.during()
    history.close()
    return {row["geid"] for row in table.select(["geid", "edition"]).to_pylist() if row["edition"] == edition}


def at(made: District, moment: datetime.datetime, as_of: datetime.datetime | None = None) -> dict[str, dict[str, Any]]:
    """Entities of a moment by their ids, each in its area."""
    history = open_project_history(load_project(made.root))
    window = Window(valid=moment, as_of=as_of)
    table = placed(history, history.snapshot(window), window)
    assert not history.verify()
    history.close()
    return {row["source_key"]: row for row in table.to_pylist()}


def parents(rows: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    """Id of what each entity lies in."""
    key = {row["geid"]: name for name, row in rows.items()}
    return {name: key.get(row["parent"]) for name, row in rows.items()}


def told(of: UpdatePlan) -> list[tuple[str, list[str], list[str]]]:
    """Class, ids before and ids after of every change."""
    rows = to_json(of)["changes"]
    return [(row["change"], *([one["key"] for one in row[side]] for side in ("before", "after"))) for row in rows]


@pytest.fixture
def layered(tmp_path: Path) -> District:
    """Subdistricts s1 and s2, community grids g1, g2 and g9, and houses h0 to h3, built."""
    made = district(tmp_path, BOTH).write()
    write_streets(tmp_path, s1=(STREETS[0], "Xinhua"), s2=(STREETS[1], None))
    write_areas(tmp_path / "grids.gpkg", GRIDS, {"code": ["g1", "g2", "g9"], "name": ["A", "", "far"]})
    made.build()
    return made


def test_the_first_update_after_areas_are_added_writes_the_areas_and_no_building(tmp_path: Path) -> None:
    made = district(tmp_path).write()
    made.build()
    made.fields["height"][0] = 10.0
    made.write().build()
    file = tmp_path / "twin.toml"
    file.write_text(file.read_text(encoding="utf-8") + area_table("streets", "subdistrict"), encoding="utf-8")
    write_streets(tmp_path, s1=(STREETS[0], "Xinhua"), s2=(STREETS[1], None))
    applied = update(made, 2030)
    rows = by_key(made)
    assert applied.edition is not None and applied.edition.number == 2
    assert recorded(made, 2) == {rows[key]["geid"] for key in ("s1", "s2")}
    assert parents(at(made, year(2029))) == dict.fromkeys(["h0", "h1", "h2", "h3"])
    assert parents(at(made, year(2031))) == {
        "h0": "s1", "h1": "s1", "h2": "s2", "h3": None, "s1": None, "s2": None,
    }  # fmt: skip


def test_a_release_with_areas_is_adopted_and_an_update_of_the_same_says_nothing(layered: District) -> None:
    same = plan(layered, 2030)
    assert same.empty and same.counts["unchanged"] == 9 and same.area_counts["unchanged"] == 5
    assert run_update(load_project(layered.root), UpdateOptions(valid_from=year(2030))).edition is None


def test_what_the_history_believes_is_what_the_release_shows_parents_included(layered: District) -> None:
    write_streets(layered.root, s1=(STREETS[0], "New name"), s2=(STREETS[1], None))
    update(layered, 2030)
    index, history = by_key(layered), at(layered, year(2031))
    assert index.keys() == history.keys()
    for key, row in index.items():
        for name in ("geid", "layer", "entity_class", "source", "name", "parent"):
            assert history[key][name] == row[name], (key, name)


def test_a_border_that_moves_is_a_version_of_the_two_areas_and_of_no_building(layered: District) -> None:
    write_streets(layered.root, s1=(box(0, 0, 720, 500), "Xinhua"), s2=(box(720, 0, 1000, 500), None))
    applied = update(layered, 2030)
    rows = by_key(layered)
    assert sorted(told(applied.plan)) == [("reshaped", ["s1"], ["s1"]), ("reshaped", ["s2"], ["s2"])]
    assert recorded(layered, 2) == {rows["s1"]["geid"], rows["s2"]["geid"]}
    assert (parents(at(layered, year(2029)))["h2"], parents(at(layered, year(2031)))["h2"]) == ("s2", "s1")


def test_a_name_that_changes_is_a_change_of_attributes_and_the_old_one_answers_for_its_time(layered: District) -> None:
    write_streets(layered.root, s1=(STREETS[0], "New Xinhua"), s2=(STREETS[1], None))
    applied = update(layered, 2030)
    (change,) = to_json(applied.plan)["changes"]
    assert (change["change"], change["name_before"], change["name"]) == ("attributes_changed", "Xinhua", "New Xinhua")
    assert [at(layered, year(when))["s1"]["name"] for when in (2029, 2031)] == ["Xinhua", "New Xinhua"]


def test_an_area_that_goes_up_in_another_leads_to_it_and_the_other_stays_itself(layered: District) -> None:
    before = by_key(layered)
    write_streets(layered.root, s2=(box(0, 0, 1000, 500), "Union"))
    applied = update(layered, 2030)
    after = by_key(layered)
    assert told(applied.plan) == [("merged", told(applied.plan)[0][1], ["s2"])]
    assert set(told(applied.plan)[0][1]) == {"s1", "s2"}
    assert {name: count for name, count in applied.plan.area_counts.items() if count} == {
        "unchanged": 3, "reshaped": 1, "merged": 1,
    }  # fmt: skip
    assert after["s2"]["geid"] == before["s2"]["geid"] and "s1" not in after
    history = open_project_history(load_project(layered.root))
    (step,) = history.lineage(before["s1"]["geid"])
    assert (step.relation, step.other) == (Relation.MERGED_INTO, before["s2"]["geid"])
    assert history.successors(before["s1"]["geid"]) == (before["s2"]["geid"],)
    (ended,) = history.entity(before["s1"]["geid"], year(2031)).to_pylist()
    history.close()
    assert not ended["present"]


def test_an_area_that_is_cut_up_under_new_ids_leads_to_its_pieces(layered: District) -> None:
    before = by_key(layered)
    grids = [GRIDS[0], box(250, 0, 500, 250), box(250, 250, 500, 500), GRIDS[2]]
    write_areas(layered.root / "grids.gpkg", grids, {"code": ["g1", "g3", "g4", "g9"], "name": ["A", "", "", "far"]})
    applied = update(layered, 2030)
    assert [(one, was, sorted(now)) for one, was, now in told(applied.plan)] == [("split", ["g2"], ["g3", "g4"])]
    after = by_key(layered)
    history = open_project_history(load_project(layered.root))
    assert set(history.successors(before["g2"]["geid"])) == {after["g3"]["geid"], after["g4"]["geid"]}
    history.close()


def test_an_area_that_is_renumbered_keeps_its_identifier_and_both_ids_lead_to_it(layered: District) -> None:
    before = by_key(layered)
    write_streets(layered.root, n1=(STREETS[0], "Xinhua"), s2=(STREETS[1], None))
    update(layered, 2030)
    after = by_key(layered)
    assert after["n1"]["geid"] == before["s1"]["geid"]
    with open_registry(layered.root / "registry.sqlite", "310105", read_only=True) as registry:
        for text in ("streets:s1", "streets:n1"):
            assert registry.lookup(text) == before["s1"]["geid"]


def test_areas_without_ids_are_followed_by_their_ground(tmp_path: Path) -> None:
    made = district(tmp_path, area_table("streets", "subdistrict", 'name = "name"\n')).write()
    write_areas(tmp_path / "streets.gpkg", STREETS, {"name": ["west", "east"]})
    made.build()

    def named() -> dict[str, str]:
        return {row["name"]: row["geid"] for row in made.index.table.to_pylist() if row["layer"] == "areas"}

    before = named()
    shapes = [box(0, 0, 600, 500), box(600, 0, 1000, 500)]
    write_areas(tmp_path / "streets.gpkg", shapes[::-1], {"name": ["east", "west"]})
    update(made, 2030)
    assert named() == before
    made.build(force=True)
    assert named() == before


def test_an_id_that_comes_with_another_name_on_other_ground_waits_for_a_person(layered: District) -> None:
    before = by_key(layered)
    write_streets(layered.root, s1=(box(400, 0, 1400, 500), "Elsewhere"), s2=(STREETS[1], None))
    found = run_update(load_project(layered.root), UpdateOptions(valid_from=year(2030)))
    assert found.edition is None and found.plan.doubtful == 1
    folder = layered.root / "told"
    folder.mkdir()
    from pipelines.update_decisions import write_doubtful

    paths = write_doubtful(found.plan, folder, "EPSG:4549")
    rows = list(csv.DictReader(paths[0].read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["layer"], row["key"], row["before"]) for row in rows] == [("areas", "s1", before["s1"]["geid"])]
    rows[0]["decision"] = "new"
    with paths[0].open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    update(layered, 2030, decisions=paths[0])
    after = by_key(layered)
    assert after["s1"]["geid"] not in {row["geid"] for row in before.values()}
    assert at(layered, year(2031))["s1"]["geid"] == after["s1"]["geid"]


def test_an_area_with_a_broken_polygon_does_not_end_by_it(layered: District) -> None:
    write_streets(layered.root, s1=(shapely.LineString([(0, 0), (1, 1)]), "Xinhua"), s2=(STREETS[1], None))
    with pytest.raises(BuildError, match="cannot be used") as refused:
        plan(layered, 2030)
    assert refused.value.feature == "s1"


def test_areas_that_are_taken_out_of_the_project_end_and_no_building_with_them(layered: District) -> None:
    before = by_key(layered)
    file = layered.root / "twin.toml"
    file.write_text(file.read_text(encoding="utf-8").split("[[area]]")[0], encoding="utf-8")
    update(layered, 2030)
    assert recorded(layered, 2) == {before[key]["geid"] for key in ("s1", "s2", "g1", "g2", "g9")}
    assert set(at(layered, year(2031))) == {"h0", "h1", "h2", "h3"}
    assert set(parents(at(layered, year(2031))).values()) == {None}
    assert parents(at(layered, year(2029)))["h0"] == "g1"


def test_taking_an_update_back_brings_back_areas_and_their_ids_and_what_was_known_then_stays(
    layered: District,
) -> None:
    before = by_key(layered)
    files = {name: (layered.root / name).read_bytes() for name in ("streets.gpkg", "grids.gpkg")}
    write_streets(layered.root, s2=(box(0, 0, 1000, 500), "Union"))
    write_areas(layered.root / "grids.gpkg", GRIDS[:1], {"code": ["n1"], "name": ["A"]})
    applied = update(layered, 2030)
    assert applied.edition is not None
    known = applied.edition.recorded_at
    then = at(layered, year(2031), known)
    assert set(then) == {"s2", "n1", "h0", "h1", "h2", "h3"} and then["n1"]["geid"] == before["g1"]["geid"]
    _, undo = undo_update(load_project(layered.root))
    assert undo.kind is EditionKind.UNDO
    again = at(layered, year(2031))
    assert {key: (row["geid"], row["name"], row["parent"]) for key, row in again.items()} == {
        key: (row["geid"], row["name"], row["parent"]) for key, row in before.items()
    }
    assert at(layered, year(2031), known) == then
    for name, content in files.items():
        (layered.root / name).write_bytes(content)
    layered.build()
    assert {key: row["geid"] for key, row in by_key(layered).items()} == {
        key: row["geid"] for key, row in before.items()
    }


def test_a_snapshot_of_the_past_has_the_areas_and_the_parents_of_then(layered: District, tmp_path: Path) -> None:
    first = layered.index.table
    write_streets(layered.root, s2=(box(0, 0, 1000, 500), "Union"))
    write_areas(layered.root / "grids.gpkg", GRIDS[:1], {"code": ["g1"], "name": ["B"]})
    update(layered, 2030)
    second = layered.index.table
    for when, expected in ((2029, first), (2031, second)):
        project = load_project(layered.root)
        history = open_project_history(project)
        build_snapshot(project, history, SnapshotOptions(Window(valid=year(when)), tmp_path / f"of-{when}"))
        history.close()
        found = EntityIndex.open(open_current(tmp_path / f"of-{when}").index).table
        assert found["geid"].to_pylist() == expected["geid"].to_pylist()
        for name in ("layer", "entity_class", "source", "source_key", "name", "parent", "row", "lon", "lat", "west",
                     "north", "geometry", "attr.level"):  # fmt: skip
            assert found[name].to_pylist() == expected[name].to_pylist(), (when, name)


def test_an_export_and_the_python_api_of_a_past_moment_name_the_areas_of_then(
    layered: District, tmp_path: Path
) -> None:
    write_streets(layered.root, s1=(box(0, 0, 720, 500), "Xinhua"), s2=(box(720, 0, 1000, 500), None))
    update(layered, 2030)
    for when, expected in ((2029, "s2"), (2031, "s1")):
        opened = DistrictApi.open(layered.root)
        table = opened.snapshot(datetime=year(when)).to_pylist()
        (house,) = [row for row in table if row["source_key"] == "h2"]
        bbox = (house["west"], house["south"], house["east"], house["north"])
        small = opened.snapshot(datetime=year(when), bbox=bbox).to_pylist()
        path = tmp_path / f"{when}.parquet"
        opened.export(path, classes=["Building"], datetime=year(when))
        key = {row["geid"]: row["source_key"] for row in table}
        for rows in (table, small, pyarrow.parquet.read_table(path).to_pylist()):
            (parent,) = [row["parent"] for row in rows if row["source_key"] == "h2"]
            assert key[parent] == expected


def test_the_plan_page_draws_areas_as_lines_and_says_what_is_one(layered: District) -> None:
    write_streets(layered.root, s1=(box(0, 0, 720, 500), "Old & new"), s2=(box(720, 0, 1000, 500), None))
    page = to_html(plan(layered, 2030))
    assert '<path class="areas" d="M' in page and 'class="reshaped area"' in page
    assert "area 区划</small> Xinhua → Old &amp; new" in page


def test_a_level_that_buildings_have_as_a_number_does_not_make_versions_of_areas(tmp_path: Path) -> None:
    fields = {"id": ["h0", "h1", "h2", "h3"], "height": [9.0] * 4, "level": [1, 2, 3, 4]}
    made = district(tmp_path, area_table("streets", "subdistrict"), fields=fields).write()
    write_streets(tmp_path, s1=(STREETS[0], "a"), s2=(STREETS[1], "b"))
    made.build()
    assert plan(made, 2030).empty
    write_streets(tmp_path, s1=(STREETS[0], "c"), s2=(STREETS[1], "b"))
    update(made, 2030)
    rows = at(made, year(2031))
    assert json.loads(rows["s1"]["attributes"])["level"] == json.loads(rows["s2"]["attributes"])["level"]
    assert parents(rows)["h0"] == "s1"


SIDE = 4
Labels = list[int]
MAPS = st.lists(st.integers(0, 5), min_size=SIDE * SIDE, max_size=SIDE * SIDE)


def cells(labels: Sequence[int]) -> dict[str, set[int]]:
    """Cells of a chessboard by the id of the area they belong to."""
    return {str(one): {cell for cell, label in enumerate(labels) if label == one} for one in sorted(set(labels))}


def cell_box(cell: int) -> Any:
    row, column = divmod(cell, SIDE)
    return box(100 * column, 100 * row, 100 * (column + 1), 100 * (row + 1))


def surveyed(areas: dict[str, set[int]]) -> Surveyed:
    shapes = [shapely.union_all([cell_box(cell) for cell in sorted(of)]) for of in areas.values()]
    none = np.full(len(areas), np.nan)
    footprints = from_shapely(np.array(shapes, dtype=object))
    return Surveyed(pa.array(list(areas)), footprints, none, none, none, pa.array([""] * len(areas)))


def compared(one: dict[str, set[int]], other: dict[str, set[int]]) -> Changes:
    nameless = (pa.nulls(len(one), pa.string()), pa.nulls(len(other), pa.string()))
    return compare_areas(surveyed(one), surveyed(other), nameless, ChangeRules())


@given(MAPS, MAPS)
def test_every_area_goes_on_or_leads_to_what_covers_its_ground(was: Labels, now: Labels) -> None:
    one, other = cells(was), cells(now)
    changes = compared(one, other)
    before, after = list(one), list(other)
    kept = {before[int(changes.after.partner[row])]: key for row, key in enumerate(after) if changes.after.kept()[row]}
    assert len(kept) == changes.after.kept().sum() == changes.before.kept().sum()
    ground = {(a, b): len(one[a] & other[b]) for a in before for b in after}
    for key in set(before) & set(after):  # the same id with some of its ground: the same area
        if ground[key, key] / min(len(one[key]), len(other[key])) >= 0.15:
            assert kept[key] == key
    steps: dict[str, set[str]] = {}
    for i, _, j in changes.steps():
        steps.setdefault(before[i], set()).add(after[j])
    for key in before:
        heirs = {b for b in after if ground[key, b] / len(one[key]) >= 0.15
                 or ground[key, b] / len(other[b]) >= 0.8}  # fmt: skip
        assert steps.get(key, set()) == (set() if key in kept else heirs)
    for row, key in enumerate(after):
        ancestors = {a for a, b in kept.items() if b == key} | {a for a in steps if key in steps[a]}
        assert bool(ancestors) != changes.after.is_(Change.NEW)[row]


@given(MAPS)
def test_the_same_areas_are_unchanged(labels: Labels) -> None:
    areas = cells(labels)
    changes = compared(areas, areas)
    assert changes.after.is_(Change.UNCHANGED).all() and changes.before.is_(Change.UNCHANGED).all()
    assert not changes.after.doubtful.any() and not list(changes.steps())


@given(MAPS, st.permutations(range(6)))
def test_ids_that_all_change_leave_every_area_what_it_was(labels: Labels, order: list[int]) -> None:
    areas = cells(labels)
    renamed = {f"new {order[int(key)]}": of for key, of in areas.items()}
    changes = compared(areas, dict(sorted(renamed.items())))
    after = sorted(renamed)
    assert changes.after.is_(Change.UNCHANGED).all() and not changes.after.doubtful.any()
    assert {list(areas)[int(changes.after.partner[row])]: key for row, key in enumerate(after)} == {
        key: f"new {order[int(key)]}" for key in areas
    }
