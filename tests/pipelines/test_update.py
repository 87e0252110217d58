"""A new edition of a survey: what goes on keeps its identifier, another thing gets one that nothing ever bore."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from shapely import affinity

from pipelines.cli import run
from pipelines.project import load_project
from pipelines.update import UpdateOptions, run_update, undo_update
from pipelines.update_before import FOREVER
from tests.pipelines.district import District, houses
from twin.errors import MisuseError
from twin.registry.open import open_history, open_registry
from twin.registry.versions import Edition, Window


@dataclass
class Survey:
    """Footprints and columns to be edited."""

    shapes: list[Any] = field(default_factory=lambda: list(houses(80)))
    ids: list[Any] = field(default_factory=lambda: [f"H{number:05d}" for number in range(80)])
    heights: list[float] = field(default_factory=lambda: [8.0 + number % 7 for number in range(80)])

    def write(self, root: Path, order: Sequence[int] | None = None, keyed: bool = True) -> District:
        """The edition as the sources of a project."""
        tail = '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
        fields = {"id": self.ids, "height": self.heights}
        tail = '[source.fields]\nid = "id"\n' + tail if keyed else '[source.fields]\nkeep = ["height"]\n' + tail
        return District(root, self.shapes, fields, tail=tail, order=order).write()

    def drop(self, at: int) -> None:
        for column in (self.shapes, self.ids, self.heights):
            column.pop(at)

    def add(self, shape: Any, key: str, height: float) -> None:
        self.shapes.append(shape)
        self.ids.append(key)
        self.heights.append(height)


def edited() -> Survey:
    """One of each class of change."""
    one = Survey()
    one.heights[0] += 5  # attributes changed
    one.shapes[1] = affinity.translate(one.shapes[1], 0.7, 0.4)  # moved
    west, south, east, north = one.shapes[2].bounds
    middle = (west + east) / 2
    whole = one.shapes[2]
    one.shapes[2] = shapely.intersection(whole, shapely.box(west - 1, south - 1, middle, north + 1))  # split
    one.add(shapely.intersection(whole, shapely.box(middle, south - 1, east + 1, north + 1)), "H00002b", one.heights[2])
    one.ids[3] = "RENUMBERED"
    one.add(affinity.translate(houses(1, seed=9)[0], -100, -100), "N1", 12.0)  # new
    one.drop(4)  # gone
    return one


def believed(root: Path, as_of: Edition | None = None) -> list[dict[str, Any]]:
    with open_history(root / "registry.sqlite", "310105", read_only=True) as history:
        moment = None if as_of is None else as_of.recorded_at
        table = history.snapshot(Window(valid=FOREVER, as_of=moment))
        return list(table.drop_columns(["edition", "recorded_at", "valid_from"]).to_pylist())


def by_key(root: Path) -> dict[str, str]:
    return {row["source_key"]: row["geid"] for row in believed(root)}


def digests(root: Path) -> dict[str, str]:
    paths = [root / "registry.sqlite", *(path for path in sorted((root / "out").rglob("*")) if path.is_file())]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.name != ".lock"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Survey().write(tmp_path / "d").build()
    return tmp_path / "d"


def test_each_class_of_change_keeps_or_ends_identifiers_as_promised(root: Path) -> None:
    old = District(root, [], {}).geids()
    edited().write(root)
    applied = run_update(load_project(root), UpdateOptions("2026"))
    assert applied.edition is not None and applied.plan.doubtful == 0
    counts = {name: count for name, count in applied.plan.counts.items() if count}
    assert counts == {"unchanged": 76, "attributes_changed": 1, "moved": 1, "new": 1, "gone": 1, "split": 2}
    new = by_key(root)
    for key in ("H00000", "H00001", "H00050"):
        assert new[key] == old[key]
    assert new["RENUMBERED"] == old["H00003"]
    pieces = {new["H00002"], new["H00002b"]}
    assert not pieces & set(old.values()) and old["H00004"] not in new.values()
    assert new["N1"] not in old.values() and len(set(new.values())) == 81
    with open_history(root / "registry.sqlite", "310105", read_only=True) as history:
        assert set(history.successors(old["H00002"])) == pieces
        assert list(history.verify()) == []
    district_now = District(root, [], {})
    district_now.written = True
    district_now.build()
    assert district_now.geids() == new
    with open_registry(root / "registry.sqlite", "310105", read_only=True) as registry:
        gone = registry.entity(old["H00002"])
        assert gone is not None and gone.retired
        assert registry.lookup("houses:H00003") == new["RENUMBERED"]


def test_the_bridge_tells_every_record_of_the_edition(root: Path) -> None:
    edited().write(root)
    applied = run_update(load_project(root), UpdateOptions())
    assert [path.name for path in applied.bridge] == ["2.parquet", "2.csv"]
    rows = list(csv.DictReader(applied.bridge[1].read_text("utf-8").splitlines()))
    now = by_key(root)
    assert {row["source_key"]: row["geid"] for row in rows if row["geid"] in set(now.values())} == now
    assert {row["source_key"] for row in rows if row["change"] == "gone"} == {"H00004"}


def test_a_plan_changes_nothing_and_writes_what_it_promises(root: Path) -> None:
    edited().write(root)
    before = digests(root)
    assert run(["update", "-C", str(root), "--plan", "-q"]) == 0
    assert digests(root) == before
    plan = json.loads((root / "update" / "plan.json").read_text("utf-8"))
    assert plan["counts"]["split"] == 2 and len(plan["changes"]) == 5
    page = (root / "update" / "plan.html").read_text("utf-8")
    assert page.count("<g id=") == 5 and "拆分" in page and "http" not in page.replace("http-equiv", "")


def test_shuffled_rows_say_nothing_new(root: Path) -> None:
    Survey().write(root, order=np.random.default_rng(3).permutation(80).tolist())
    applied = run_update(load_project(root), UpdateOptions())
    assert applied.edition is None and applied.plan.empty and not applied.plan.items


def test_an_undone_update_leaves_everything_as_it_was_and_comes_back_the_same(root: Path) -> None:
    edited().write(root)
    applied = run_update(load_project(root), UpdateOptions("2026"))
    after = believed(root)
    with open_history(root / "registry.sqlite", "310105", read_only=True) as history:
        adopted = history.editions()[0]
    undone, _ = undo_update(load_project(root))
    assert applied.edition is not None and undone.number == applied.edition.number
    assert believed(root) == believed(root, adopted)
    old = by_key(root)
    with open_registry(root / "registry.sqlite", "310105", read_only=True) as registry:
        assert all(registry.lookup(f"houses:{key}") == geid for key, geid in old.items())
    assert run_update(load_project(root), UpdateOptions("2026 again")).edition is not None
    assert believed(root) == after
    undo_update(load_project(root))
    with pytest.raises(MisuseError, match="no update to take back"):
        undo_update(load_project(root))


def test_the_old_sources_give_the_old_identifiers_after_an_undo(root: Path) -> None:
    old = District(root, [], {}).geids()
    edited().write(root)
    assert run(["update", "-C", str(root), "-q"]) == 0
    assert run(["update", "-C", str(root), "--undo"]) == 0
    Survey().write(root).build()
    assert District(root, [], {}).geids() == old
    with open_registry(root / "registry.sqlite", "310105", read_only=True) as registry:
        assert all(known is not None and not known.retired for known in map(registry.entity, old.values()))


def test_a_second_update_goes_on_from_the_first(root: Path) -> None:
    edited().write(root)
    run_update(load_project(root), UpdateOptions("one"))
    middle = by_key(root)
    next_one = edited()
    next_one.heights[40] += 4
    next_one.drop(10)
    next_one.write(root)
    applied = run_update(load_project(root), UpdateOptions("two"))
    counts = {name: count for name, count in applied.plan.counts.items() if count}
    assert counts == {"unchanged": 79, "attributes_changed": 1, "gone": 1}
    gone = {key: geid for key, geid in middle.items() if key not in by_key(root)}
    assert by_key(root).items() <= middle.items() and len(gone) == 1


def test_without_ids_geometry_alone_gives_the_same_identifiers(tmp_path: Path) -> None:
    root = tmp_path / "d"
    Survey().write(root, keyed=False).build()
    old = {row["geid"] for row in District(root, [], {}).index.table.to_pylist()}
    edited().write(root, order=np.random.default_rng(5).permutation(81).tolist(), keyed=False)
    applied = run_update(load_project(root), UpdateOptions(accept_doubtful=True))
    counts = {name: count for name, count in applied.plan.counts.items() if count}
    assert counts == {"unchanged": 76, "attributes_changed": 1, "moved": 1, "new": 1, "gone": 1, "split": 2}
    now = {row["geid"] for row in believed(root)}
    assert len(now & old) == 78 and len(now) == 81
    again = edited().write(root, keyed=False)
    again.build()
    assert {row["geid"] for row in again.index.table.to_pylist()} == now
    undo_update(load_project(root))
    back = Survey().write(root, keyed=False)
    back.build()
    assert {row["geid"] for row in back.index.table.to_pylist()} == old


def test_an_earlier_date_than_that_of_the_edition_before_is_refused(root: Path) -> None:
    edited().write(root)
    assert run(["update", "-C", str(root), "--valid-from", "2026-03-01", "--no-build", "-q"]) == 0
    Survey().write(root)
    assert run(["update", "-C", str(root), "--valid-from", "2026-02-01", "--no-build", "-q"]) == 2


def doubtful(root: Path) -> None:
    """A survey in which one building stands far from where its id says."""
    one = Survey()
    one.shapes[5] = affinity.translate(one.shapes[5], -400, -400)
    one.write(root)


@pytest.mark.parametrize("kind", ["doubtful.csv", "doubtful.gpkg"])
def test_decisions_are_read_back_from_either_file(root: Path, kind: str) -> None:
    doubtful(root)
    old = District(root, [], {}).geids()
    before = digests(root)
    assert run(["update", "-C", str(root), "-q"]) == 3
    assert digests(root) == before
    path = root / "update" / kind
    _decide(path, "new")
    assert run(["update", "-C", str(root), "--decisions", str(path), "--no-build", "-q"]) == 0
    new = by_key(root)
    assert new["H00005"] != old["H00005"] and old["H00005"] not in new.values()
    assert {**new, "H00005": ""} == {**old, "H00005": ""}


def test_a_person_can_say_that_it_is_the_same(root: Path) -> None:
    doubtful(root)
    old = District(root, [], {}).geids()
    assert run(["update", "-C", str(root), "-q"]) == 3
    path = root / "update" / "doubtful.csv"
    _decide(path, old["H00005"].upper())
    assert run(["update", "-C", str(root), "--decisions", str(path), "--no-build", "-q"]) == 0
    assert by_key(root) == old


def test_decisions_about_another_input_are_refused(root: Path) -> None:
    doubtful(root)
    run(["update", "-C", str(root), "--plan", "-q"])
    path = root / "update" / "doubtful.csv"
    _decide(path, "accept")
    other = Survey()
    other.shapes[5] = affinity.translate(other.shapes[5], -420, -400)
    other.write(root)
    before = digests(root)
    with pytest.raises(MisuseError, match="have changed since"):
        run_update(load_project(root), UpdateOptions(decisions=path))
    assert digests(root) == before


def _decide(path: Path, word: str) -> None:
    if path.suffix == ".csv":
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
        assert rows
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "decision": word if row["row"].startswith("after") else "accept"} for row in rows)
        return
    meta, table = pyogrio.read_arrow(path)
    rows = table.column("row").to_pylist()
    assert rows
    column = pa.array([word if row.startswith("after") else "accept" for row in rows])
    table = table.set_column(table.column_names.index("decision"), "decision", column)
    table = table.drop_columns([meta["fid_column"]]) if meta["fid_column"] in table.column_names else table
    path.unlink()
    name = meta["geometry_name"] or "geometry"
    pyogrio.write_arrow(
        table, path, layer="doubtful", driver="GPKG", crs="EPSG:4549", geometry_type="Unknown", geometry_name=name
    )


_KILLED = """
import os, signal, sys
import pipelines.update_apply as target
from pathlib import Path
from pipelines.project import load_project
from pipelines.update import UpdateOptions, run_update
point, root = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if point == "before identities":
    target.bind_identities = die
elif point == "after identities":
    bind = target.bind_identities
    target.bind_identities = lambda *a: (bind(*a), die())
elif point == "after commit":
    import pipelines.update
    pipelines.update.write_bridge = die
run_update(load_project(Path(root)), UpdateOptions("killed"))
"""


@pytest.mark.parametrize(
    ("point", "kept"), [("before identities", False), ("after identities", False), ("after commit", True)]
)
def test_a_killed_update_is_all_there_or_not_at_all(root: Path, point: str, kept: bool) -> None:
    old = District(root, [], {}).geids()
    edited().write(root)
    done = subprocess.run([sys.executable, "-c", _KILLED, point, str(root)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with open_history(root / "registry.sqlite", "310105", read_only=True) as history:
        kinds = [one.kind.value for one in history.editions()]
        assert kinds == (["adopt", "update"] if kept else ["adopt"])
        assert list(history.verify()) == []
    with open_registry(root / "registry.sqlite", "310105", read_only=True) as registry:
        assert registry.lookup("houses:RENUMBERED") == (old["H00003"] if kept else None)
    again = run_update(load_project(root), UpdateOptions("again"))
    assert (again.edition is None) is kept
    assert by_key(root)["RENUMBERED"] == old["H00003"]
    assert (root / "bridges" / "2.csv").exists() and (root / "bridges" / "2.parquet").exists()
