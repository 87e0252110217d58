"""`District.update` and `District.undo`: a plan changes nothing, an update is recorded, an undo takes it back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pipelines.district import District
from pipelines.update import Applied
from pipelines.update_plan import UpdatePlan
from tests.pipelines.district import district as made
from twin.errors import MisuseError
from twin.registry.versions import EditionKind

_PASSING = (".lock", "-wal", "-shm")


@pytest.fixture
def resurveyed(tmp_path: Path) -> District:
    """A built district whose sources now hold one house less, and one that is higher."""
    before = made(tmp_path / "district", 12)
    before.build()
    after = made(tmp_path / "district", 12)
    after.shapes = after.shapes[:-1]
    after.fields = {name: list(values)[:-1] for name, values in after.fields.items()}
    after.fields["height"][0] += 7.0
    after.write()
    return District.open(tmp_path / "district")


def digests(root: Path) -> dict[str, str]:
    """Of everything but the cache of the build, and what SQLite keeps beside a database while somebody reads it."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    paths = [path for path in files if ".twin" not in path.parts and not path.name.endswith(_PASSING)]
    assert any(path.name == "registry.sqlite" for path in paths)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def heights(district: District, **times: Any) -> dict[str, float]:
    rows = district.snapshot(**times).to_pylist()
    return {row["source_key"]: row["height_m"] for row in rows}


def test_a_plan_says_what_would_be_done_and_changes_nothing(resurveyed: District) -> None:
    root = resurveyed.project.root
    before = digests(root)
    plan = resurveyed.update(plan=True, valid_from="2100-01-01")
    assert isinstance(plan, UpdatePlan)
    assert (len(plan.asserted), len(plan.ended)) == (1, 1)
    assert digests(root) == before


def test_an_update_is_recorded_and_an_undo_takes_it_back(resurveyed: District) -> None:
    with pytest.raises(MisuseError, match="no update"):
        resurveyed.undo()
    done = resurveyed.update(name="second", accept_doubtful=True)
    assert isinstance(done, Applied) and done.edition is not None
    assert done.edition.name == "second"
    after = heights(resurveyed)
    assert len(after) == 11 and "H00011" not in after
    undone = resurveyed.undo()
    assert (undone.kind, undone.undoes) == (EditionKind.UNDO, done.edition.number)
    again = heights(resurveyed)
    assert set(again) - set(after) == {"H00011"}
    assert after["H00000"] == pytest.approx(again["H00000"] + 7.0)
    assert heights(resurveyed, as_of=done.edition.recorded_at) == after
