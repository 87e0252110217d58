"""What `twin diff` says of two releases is what was changed between them, no more and no less."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import shapely

from pipelines.cli import run
from pipelines.diff import Diff, diff_releases, find_release
from tests.pipelines.district import District, district
from twin.errors import MisuseError


def build(root: Path, **changes: object) -> District:
    """A district of 60 houses, built."""
    made = district(root, count=60, **changes)
    made.build()
    return made


def difference(made: District, names: Sequence[str] = ("previous", "current")) -> Diff:
    """The two releases of a district compared."""
    out = made.root / "out"
    return diff_releases(find_release(out, names[0]), find_release(out, names[1]))


def geid(made: District, key: str) -> str:
    """The identifier of a house."""
    return made.geids()[key]


def test_added_removed_changed_and_moved_houses_are_told_with_their_fields(tmp_path: Path) -> None:
    made = build(tmp_path)
    before = made.geids()
    shapes = list(made.shapes)
    fields = {name: list(values) for name, values in made.fields.items()}
    fields["height"][7] += 2.0
    fields["use"][9] = "z"
    shapes[11] = shapely.affinity.translate(shapes[11], 3.0, 4.0)
    fields["id"][20] = "NEW"
    made.shapes, made.fields = shapes, fields
    made.write().build()
    found = difference(made).entities
    assert found.added == (geid(made, "NEW"),) and found.removed == (before["H00020"],)
    assert found.changed[before["H00007"]] == ("attr.height", "height_m", "roof_m")
    assert found.changed[before["H00009"]] == ("attr.use",)
    assert "geometry" in found.changed[before["H00011"]]
    assert set(found.changed) == {before[key] for key in ("H00007", "H00009", "H00011")}
    assert found.moved_m == {before["H00011"]: pytest.approx(5.0, abs=1e-3)}
    assert found.kept == 60 - 1 - 3


def test_a_value_that_comes_or_goes_is_a_change_and_two_nulls_are_none(tmp_path: Path) -> None:
    made = district(tmp_path, count=60)
    made.fields = {**made.fields, "note": [None] * 30 + ["x"] * 30}
    made.build()
    before = made.geids()
    made.fields = {**made.fields, "note": [None] * 29 + ["y", None] + ["x"] * 29}
    made.write().build()
    changed = difference(made).entities.changed
    assert changed == {before["H00029"]: ("attr.note",), before["H00030"]: ("attr.note",)}


def test_a_release_does_not_differ_from_itself(tmp_path: Path) -> None:
    made = build(tmp_path)
    found = difference(made, ("current", "current"))
    assert found.entities.changed == {} and found.entities.added == found.entities.removed == ()
    assert found.entities.kept == 60
    assert all(not one.added and not one.removed and one.kept for one in found.layers)


def test_tiles_kept_are_those_with_the_same_bytes(tmp_path: Path) -> None:
    made = district(tmp_path)
    made.build()
    made.fields["height"][137] += 0.5  # type: ignore[index]
    result = made.write().build()
    (layer,) = difference(made).layers
    tiles = [key for key in layer.added if key.endswith(".glb")]
    assert len(tiles) == result.tiles_written == len([key for key in layer.removed if key.endswith(".glb")])
    assert len([key for key in layer.kept if key.endswith(".glb")]) == result.tiles - result.tiles_written
    assert all(size > 0 for sizes in (layer.added, layer.removed, layer.kept) for size in sizes.values())


def test_a_release_is_found_by_id_by_role_and_by_folder(tmp_path: Path) -> None:
    made = build(tmp_path / "one")
    out, release = made.root / "out", made.release
    for name in (release.id, "current", str(release.path), str(out)):
        assert find_release(out, name).id == release.id
    for name in ("previous", "nonsense", str(tmp_path)):
        with pytest.raises(MisuseError, match=release.id):
            find_release(out, name)


def test_releases_of_two_districts_can_be_compared(tmp_path: Path) -> None:
    one, two = build(tmp_path / "one"), district(tmp_path / "two", count=70)
    two.build()
    found = difference(one, ("current", str(two.release.path))).entities
    assert len(found.added) == 10 and not found.removed


def test_the_command_prints_a_table_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build(tmp_path)
    made.fields["height"][7] += 2.0  # type: ignore[index]
    made.write().build()
    assert run(["diff", "-C", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "1 changed, 59 unchanged" in told and f"~ {geid(made, 'H00007')}  attr.height, height_m, roof_m" in told
    assert run(["diff", "previous", "current", "-C", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["entities"]["changed"] == {
        geid(made, "H00007"): {"fields": ["attr.height", "height_m", "roof_m"], "moved_m": None}
    }
    assert document["layers"]["buildings"]["added"].keys() >= {"tileset.json"}
    assert run(["diff", "previous", "nonsense", "-C", str(tmp_path)]) == 2
