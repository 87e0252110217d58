"""Promise 8: a publish is atomic, a crash is resumable. Judged with real processes and real kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import StoreError
from twin.store.base import ENCODINGS, compress
from twin.store.open import open_writer
from twin.store.release import (
    Release,
    ReleasePointer,
    Staging,
    current,
    lock,
    open_current,
    publish,
    release_id,
    release_json,
    rollback,
)


def stage(out: Path, release: str, content: bytes = b"{}", kind: str = "sqlite", report: str = "") -> Staging:
    staging = Staging.open(out, f"build-{release}")
    name = "buildings" if kind == "directory" else "buildings.3dtiles"
    with open_writer(staging.release_path / name, kind) as writer:
        writer.put("tileset.json", content)
        writer.commit()
    (staging.release_path / "entities.arrow").write_bytes(b"index")
    info = {
        "format": 1,
        "release": release,
        "index": "entities.arrow",
        "report": report,
        "layers": {"buildings": {"store": name, "kind": kind}},
    }
    (staging.release_path / "release.json").write_bytes(release_json(info))
    return staging


def served(out: Path) -> bytes:
    release = open_current(out)
    assert release.index.read_bytes() == b"index"
    with release.store("buildings") as store:
        return store.read("tileset.json")


def test_before_the_first_release_there_is_none(tmp_path: Path) -> None:
    assert current(tmp_path) is None
    with pytest.raises(StoreError, match="twin build"):
        open_current(tmp_path)
    with pytest.raises(StoreError, match="no earlier release"):
        rollback(tmp_path)


def test_publishing_serves_the_new_and_keeps_one_before(tmp_path: Path) -> None:
    for number in range(4):
        publish(tmp_path, stage(tmp_path, f"r{number}", b"%d" % number), f"r{number}")
        assert served(tmp_path) == b"%d" % number
    assert current(tmp_path) == ReleasePointer("r3", "r2")
    assert sorted(p.name for p in (tmp_path / "releases").iterdir()) == ["r2", "r3"]
    assert list((tmp_path / ".staging").iterdir()) == []


def test_rollback_serves_the_one_before_and_a_second_undoes_it(tmp_path: Path) -> None:
    for name in ("old", "new"):
        publish(tmp_path, stage(tmp_path, name, name.encode()), name)
    assert rollback(tmp_path) == ReleasePointer("old", "new")
    assert served(tmp_path) == b"old"
    assert rollback(tmp_path) == ReleasePointer("new", "old")
    assert served(tmp_path) == b"new"


def test_publishing_the_same_release_again_keeps_the_way_back(tmp_path: Path) -> None:
    for name in ("old", "new", "new"):
        publish(tmp_path, stage(tmp_path, name, name.encode(), report=name), name)
    assert current(tmp_path) == ReleasePointer("new", "old")
    assert served(tmp_path) == b"new"


def test_publishing_after_a_rollback_goes_back_to_what_was_served(tmp_path: Path) -> None:
    for name in ("a", "b"):
        publish(tmp_path, stage(tmp_path, name, name.encode()), name)
    rollback(tmp_path)
    publish(tmp_path, stage(tmp_path, "c", b"c"), "c")
    assert current(tmp_path) == ReleasePointer("c", "a")


def test_the_same_release_in_another_kind_of_store_takes_its_place_without_leftovers(tmp_path: Path) -> None:
    publish(tmp_path, stage(tmp_path, "r", b"x", "sqlite"), "r")
    publish(tmp_path, stage(tmp_path, "r", b"x", "directory", report="second"), "r")
    assert served(tmp_path) == b"x"
    assert open_current(tmp_path).info["report"] == "second"
    names = sorted(
        p.relative_to(tmp_path / "releases" / "r").as_posix() for p in (tmp_path / "releases" / "r").rglob("*")
    )
    assert names == ["buildings", "buildings/entries.json", "buildings/tileset.json", "entities.arrow", "release.json"]
    publish(tmp_path, stage(tmp_path, "r", b"x", "sqlite"), "r")
    assert not (tmp_path / "releases" / "r" / "buildings").exists()


def test_an_incomplete_staging_is_not_published(tmp_path: Path) -> None:
    publish(tmp_path, stage(tmp_path, "good"), "good")
    staging = stage(tmp_path, "bad")
    (staging.release_path / "release.json").unlink()
    with pytest.raises(StoreError, match=r"release\.json"):
        publish(tmp_path, staging, "bad")
    assert current(tmp_path) == ReleasePointer("good")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "..", "/abs"])
def test_a_release_id_that_leaves_the_directory_is_refused(name: str, tmp_path: Path) -> None:
    staging = stage(tmp_path, "x")
    with pytest.raises(StoreError, match="release id"):
        publish(tmp_path, staging, name)
    (tmp_path / "current.json").write_text(json.dumps({"release": name, "previous": None}))
    with pytest.raises(StoreError, match="does not name"):
        current(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"release": 5}', '{"release": "a", "previous": 7}'])
def test_a_damaged_pointer_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text(text)
    with pytest.raises(StoreError, match=r"current\.json"):
        current(tmp_path)


def test_a_release_of_a_later_format_or_with_a_hostile_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text('{"format": 2, "layers": {}}')
    with pytest.raises(StoreError, match="format 2"):
        Release.open(tmp_path)
    (tmp_path / "release.json").write_text('{"format": 1, "layers": {"b": {"store": "../../etc"}}}')
    with pytest.raises(StoreError, match="plain file name"):
        Release.open(tmp_path).store("b")
    with pytest.raises(StoreError, match="no layer 'c'"):
        Release.open(tmp_path).store("c")


def test_the_release_id_depends_on_content_only() -> None:
    one = release_id({"a": "1", "b": "2"}, "i")
    assert one == release_id({"b": "2", "a": "1"}, "i")
    assert len(one) == 16
    assert len({one, release_id({"a": "1"}, "i"), release_id({"a": "1", "b": "2"}, "j"), release_id({}, "i")}) == 4


# Staging ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(content=st.binary(), codings=st.sets(st.sampled_from(ENCODINGS)), note=st.binary())
def test_a_finished_piece_comes_back(
    content: bytes, codings: set[str], note: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out")
    variants = {coding: compress(content, coding) for coding in codings}
    Staging.open(out, "b").put("t/a.glb", content, variants, note)
    piece = Staging.open(out, "b").get("t/a.glb")
    assert piece is not None
    assert (piece.content, piece.variants, piece.note) == (content, variants, note)
    held = Staging.open(out, "b").held("t/a.glb")
    assert held is not None
    whole = {"identity": content, **variants}
    assert held.sizes == {coding: len(data) for coding, data in whole.items()}
    assert {coding: held.read(coding) for coding in whole} == whole


def test_staging_for_other_input_is_thrown_away(tmp_path: Path) -> None:
    Staging.open(tmp_path, "one").put("a.glb", b"1")
    assert Staging.open(tmp_path, "one").has("a.glb")
    assert not Staging.open(tmp_path, "two").has("a.glb")
    assert not Staging.open(tmp_path, "one").has("a.glb")


def test_a_torn_or_altered_piece_counts_as_unfinished(tmp_path: Path) -> None:
    staging = Staging.open(tmp_path, "b")
    staging.put("a.glb", b"content" * 10, {"zstd": b"z"}, b"note")
    (file,) = (staging.path / "pieces").iterdir()
    whole = file.read_bytes()
    for damaged in [whole[:n] for n in range(len(whole))] + [whole[:-1] + b"?"]:
        file.write_bytes(damaged)
        assert not staging.has("a.glb")
    file.write_bytes(whole)
    assert staging.has("a.glb")


# Locks and kills --------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from twin.store.release import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_build_is_refused_with_the_number_of_the_first_and_a_kill_frees_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {first.pid}"), lock(tmp_path):
            pass
        with pytest.raises(StoreError, match=f"process {first.pid}"), lock(tmp_path, timeout_s=0.15):
            pass
        first.kill()
        first.wait()
        with lock(tmp_path, timeout_s=5):
            assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    with lock(tmp_path):
        pass


# Run as a process of its own, without threads, so that it may fork. Each child kills itself with SIGKILL right before
# its n-th call that changes the file system; the parent then looks at what is served and builds again.
KILLS = """
import os, pathlib, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_release as t
from twin.store import release as module

root, name, kind = Path(sys.argv[2]), sys.argv[3], sys.argv[4]

def publish_and_die(out, deadly):
    staging = t.stage(out, name, name.encode(), kind, "again")
    calls = 0
    def deadly_before(function):
        def wrapped(*values, **named):
            nonlocal calls
            calls += 1
            if calls == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*values, **named)
        return wrapped
    for method in ("fsync", "rmdir", "unlink"):
        setattr(os, method, deadly_before(getattr(os, method)))
    for method in ("rename", "replace", "unlink", "rmdir", "mkdir"):
        setattr(pathlib.Path, method, deadly_before(getattr(pathlib.Path, method)))
    module.publish(out, staging, name)

deadly, killed = 0, True
while killed:
    deadly += 1
    out = root / str(deadly)
    for release in ("oldest", "before", "served"):
        t.publish(out, t.stage(out, release, release.encode()), release)
    child = os.fork()
    if not child:
        publish_and_die(out, deadly)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    t.check_whole(out, name)
    t.publish(out, t.stage(out, name, name.encode(), kind, "again"), name)
    assert t.served(out) == name.encode()
    assert len(list((out / "releases").iterdir())) == 2
print(deadly - 1)
"""


def check_whole(out: Path, name: str) -> None:
    assert served(out) in (b"served", name.encode())
    pointer = current(out)
    assert pointer is not None
    assert pointer.previous is not None
    with Release.open(out / "releases" / pointer.previous).store("buildings") as store:
        assert store.read("tileset.json") == pointer.previous.encode()


@pytest.mark.parametrize(("name", "kind"), [("new", "sqlite"), ("served", "directory")])
def test_killed_at_any_point_the_served_release_is_whole_and_the_next_build_succeeds(
    name: str, kind: str, tmp_path: Path
) -> None:
    """Publishing a new release, and publishing the served one again in another kind of store."""
    command = [sys.executable, "-c", KILLS, str(Path(__file__).parent), str(tmp_path), name, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 8  # it died at that many places
