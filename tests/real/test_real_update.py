"""A part of Brooklyn built, surveyed anew and updated through the command line; what happened to each row is known."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipelines.adopt import versions_of_index
from tests.real.build_case import twin
from tests.real.test_real_changes import features, things
from tests.twin.registry.edition_maker import Script, Thing, Truth, make
from twin.entity.index import EntityIndex
from twin.registry.change import Change, Surveyed
from twin.registry.open import open_history, open_registry
from twin.registry.versions import EditionKind, Window
from twin.store.release import open_current

pytestmark = pytest.mark.real

FILE = "footprints/nyc_brooklyn_osm_heights/nyc_brooklyn_osm_heights.geojsonl.gz"
#: The middle of the data set, metres, EPSG:32618.
CENTRE = (586_700.0, 4_504_200.0)
COUNT = 3_000
#: The thing goes on under its identifier.
KEPT = {Change.UNCHANGED, Change.ATTRIBUTES_CHANGED, Change.MOVED, Change.RESHAPED}
SETTINGS = """
[project]
name = "Brooklyn"
admin_code = "310105"
working_crs = "EPSG:32618"
vertical_datum = "ellipsoid"
[[source]]
name = "houses"
path = "houses.gpkg"
[source.fields]
id = "id"
keep = ["text"]
[[source.height]]
from = "attribute"
field = "height"
[[source.ground]]
from = "constant"
elevation_m = 4.0
[output]
"""


def write(root: Path, edition: Surveyed) -> np.ndarray:
    """An edition as the source of the project; gives its (n,) footprints."""
    shapes = edition.footprints.to_shapely()
    table = pa.table(
        {
            "id": edition.key,
            "height": pa.array(edition.height_m, from_pandas=True),
            "text": edition.attributes,
            "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
        }
    )
    path = root / "houses.gpkg"
    path.unlink(missing_ok=True)
    pyogrio.write_arrow(
        table, path, layer="houses", driver="GPKG", crs="EPSG:32618", geometry_type="Unknown", geometry_name="geometry"
    )
    return shapes


def snapshot(root: Path, number: int) -> pa.Table:
    """What was believed once edition `number` had been written, without what names the edition."""
    with open_history(root / "registry.sqlite", "310105", read_only=True) as history:
        moment = history.editions()[number - 1].recorded_at
        return history.snapshot(Window(as_of=moment)).drop_columns(["edition", "recorded_at", "valid_from"])


def by_place(table: pa.Table, shapes: np.ndarray) -> list[str]:
    """Which entity each footprint became: the one whose centre and area are the same; each is taken once."""
    stored = shapely.from_wkb(table.column("geometry").to_numpy())
    tree = shapely.STRtree(shapely.centroid(stored))
    found = []
    for shape in shapes:
        near = tree.query(shape.centroid, predicate="dwithin", distance=0.01)
        (row,) = [row for row in near if abs(stored[row].area - shape.area) < 0.05]
        found.append(table.column("geid")[int(row)].as_py())
    assert len(set(found)) == len(found) == table.num_rows
    return found


@dataclass(frozen=True)
class Updated:
    """A district after an update in which a person has decided as the script knows it was.

    Attributes:
        root: Its folder.
        truth: What the script did.
        old, new: Geid of each row of the first and the second edition.
        plan: What `twin update --plan` said.
        applied: What `twin update --decisions` said.
        asked: Rows of the second edition and of the first a person was asked about.
        believed: Snapshots before and after.
    """

    root: Path
    truth: Truth
    old: list[str]
    new: list[str]
    plan: dict[str, Any]
    applied: dict[str, Any]
    asked: tuple[set[int], set[int]]
    believed: tuple[pa.Table, pa.Table]

    def rows(self, *kinds: Change) -> list[int]:
        """Rows of the second edition the script made so."""
        return [row for row, (kind, _) in enumerate(self.truth.after) if kind in kinds]

    @property
    def classes(self) -> list[str]:
        """What the bridge file says of each row of the second edition."""
        with (self.root / "bridges" / "2.csv").open(encoding="utf-8", newline="") as stream:
            said = {row["geid"]: row["change"] for row in csv.DictReader(stream)}
        return [said[geid] for geid in self.new]


@pytest.fixture(scope="module")
def first(real_data: Path) -> list[Thing]:
    """The 3,000 buildings nearest to the middle."""
    text = gzip.decompress((real_data / FILE).read_bytes()).decode("utf-8")
    records = things(features(text), "EPSG:32618")
    far = shapely.distance(np.array([one.shape for one in records], dtype=object), shapely.Point(CENTRE))
    return [records[row] for row in np.argsort(far, kind="stable")[:COUNT].tolist()]


@pytest.fixture(scope="module")
def updated(first: list[Thing], tmp_path_factory: pytest.TempPathFactory) -> Updated:
    root = tmp_path_factory.mktemp("brooklyn")
    editions = make(first, 11, Script(sheet_m=700.0))
    (root / "twin.toml").write_text(SETTINGS, encoding="utf-8")
    standing = write(root, editions.before)
    built = twin("build", "-C", root, "--json", "--workers", 1)
    assert built.code in (0, 3) and built.err == ""
    old = by_place(index_of(root), standing)
    surveyed = write(root, editions.after)
    plan = twin("update", "-C", root, "--plan", "--json", "--workers", 1)
    assert plan.code == 3 and plan.err == "" and plan.json["doubtful"] > 0
    assert not (root / "bridges").exists()
    asked = decide(root / "update" / "doubtful.gpkg", editions.truth, old, surveyed)
    words = ("--decisions", root / "update" / "doubtful.csv", "--name", "2026", "--json", "--workers", 1)
    applied = twin("update", "-C", root, *words)
    assert applied.code in (0, 3) and applied.err == "", applied
    believed = snapshot(root, 1), snapshot(root, 2)
    new = by_place(index_of(root), surveyed)  # what is unchanged is believed to be where it was: corners stray
    return Updated(root, editions.truth, old, new, plan.json, applied.json, asked, believed)


def index_of(root: Path) -> pa.Table:
    """The entities of the served release, as versions."""
    return versions_of_index(EntityIndex.open(open_current(root / "out").index).table)


def decide(file: Path, truth: Truth, old: list[str], surveyed: np.ndarray) -> tuple[set[int], set[int]]:
    """Fills in doubtful.csv as the truth is, knowing the rows by their footprints; gives the rows asked about."""
    meta, table = pyogrio.read_arrow(file)
    shapes = shapely.from_wkb(table.column(meta["geometry_name"] or "wkb_geometry").to_numpy())
    asked: tuple[set[int], set[int]] = (set(), set())
    words = {}
    for said, shape in zip(table.select(["row", "geid", "proposed", "before"]).to_pylist(), shapes, strict=True):
        if said["row"].startswith("before:"):
            row = old.index(said["geid"])
            asked[1].add(row)
            words[said["row"]] = "gone"
            continue
        row = alike(surveyed, shape)
        kind, origin = truth.after[row]
        asked[0].add(row)
        right = said["proposed"] == kind.value and set(said["before"].split()) == {old[one] for one in origin}
        words[said["row"]] = "accept" if right else old[min(origin)] if kind in KEPT else "new"
    path = file.with_suffix(".csv")
    lines = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    assert {line["row"] for line in lines} == words.keys()
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(lines[0]))
        writer.writeheader()
        writer.writerows({**line, "decision": words[line["row"]]} for line in lines)
    return asked


def alike(shapes: np.ndarray, shape: shapely.Geometry) -> int:
    """The one footprint with this centre and area."""
    near = np.flatnonzero(shapely.dwithin(shapely.centroid(shapes), shape.centroid, 0.01))
    (row,) = near[np.abs(shapely.area(shapes[near]) - shape.area) < 0.05].tolist()
    return int(row)


def test_every_building_keeps_its_identifier_exactly_where_it_is_still_the_same(updated: Updated) -> None:
    kept = updated.rows(*KEPT)
    assert len(kept) > 2_000
    for row in kept:
        (origin,) = updated.truth.after[row][1]
        assert updated.new[row] == updated.old[origin], updated.truth.edit_after[row]
    fresh = [updated.new[row] for row in updated.rows(*set(Change) - KEPT)]
    assert len(fresh) > 200 and not set(fresh) & set(updated.old)


def test_classes_are_those_of_the_script_and_no_error_is_silent(updated: Updated) -> None:
    known = [kind.value for kind, _ in updated.truth.after]
    wrong = {row for row, (said, true) in enumerate(zip(updated.classes, known, strict=True)) if said != true}
    edited = [row for row, edit in enumerate(updated.truth.edit_after) if edit != "none"]
    assert wrong <= updated.asked[0], [updated.truth.edit_after[row] for row in wrong - updated.asked[0]]
    assert len(wrong) <= 0.01 * len(edited)
    assert len(updated.asked[0]) + len(updated.asked[1]) <= 0.06 * len(edited)
    counts = Counter(updated.classes)
    assert {name: updated.applied["counts"][name] for name in counts} == dict(counts)
    assert updated.applied["decided"] == len(updated.asked[0]) + len(updated.asked[1]) == updated.plan["doubtful"]


def test_what_ended_is_retired_and_leads_to_what_came_after_it(updated: Updated) -> None:
    alive = set(updated.new)
    with (
        open_history(updated.root / "registry.sqlite", "310105", read_only=True) as history,
        open_registry(updated.root / "registry.sqlite", "310105", read_only=True) as registry,
    ):
        for row, (kind, partners) in enumerate(updated.truth.before):
            geid = updated.old[row]
            known = registry.entity(geid)
            assert known is not None and known.retired == (kind not in KEPT) == (geid not in alive)
            if kind in KEPT or row in updated.asked[1] or partners & updated.asked[0]:
                continue
            assert set(history.successors(geid)) == {updated.new[one] for one in partners}, (kind, row)


def test_the_registry_and_the_release_are_whole_after_the_update(updated: Updated) -> None:
    verified = twin("registry", "verify", "-C", updated.root)
    assert verified.code == 0 and verified.err == "", verified
    assert set(index_of(updated.root).column("geid").to_pylist()) == set(updated.new)
    again = twin("update", "-C", updated.root, "--plan", "--json", "--workers", 1)
    assert again.code == 0 and again.json["counts"] == {**again.json["counts"], "unchanged": len(updated.new)}
    assert again.json["asserted"] == 0 == sum(again.json["counts"].values()) - len(updated.new)


def test_undo_brings_back_what_was_believed_to_the_last_byte(updated: Updated) -> None:
    undone = twin("update", "-C", updated.root, "--undo", "--json")
    assert undone.code == 0 and undone.json["undone"] == 2
    assert snapshot(updated.root, 3).equals(updated.believed[0])
    assert not updated.believed[0].equals(updated.believed[1])
    assert twin("registry", "verify", "-C", updated.root).code == 0
    with open_history(updated.root / "registry.sqlite", "310105", read_only=True) as history:
        assert [one.kind for one in history.editions()] == [EditionKind.ADOPT, EditionKind.UPDATE, EditionKind.UNDO]
