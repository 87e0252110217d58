"""What every tileset store keeps to, whatever its kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.errors import MisuseError, StoreError
from twin.store.base import (
    ENCODINGS,
    StoreWriter,
    TilesetStore,
    decompress,
    digest,
    layer_digest,
    precompress,
    variant_etag,
)
from twin.store.memory import MemoryWriter
from twin.store.open import open_store, open_writer

KINDS = ("memory", "directory", "sqlite", "3tz")
ON_DISK = KINDS[1:]
HOSTILE = (
    "",
    "/tileset.json",
    "../tileset.json",
    "t/../../tileset.json",
    "..",
    ".",
    "t//a.glb",
    "t/./a.glb",
    "t/",
    "t\\..\\a.glb",
    "C:/a.glb",
    "a\0.glb",
    "a\n.glb",
    "%2e%2e/a.glb",
    "a?x",
    "a#x",
    "\ud800",
    "x" * 201,
    "/".join("x" * 100 for _ in range(20)),
    "file:///etc/passwd",
)
CONTENT = {
    "tileset.json": b'{"asset":{"version":"1.1"}}' * 20,
    "t/3f2a.json": b"{}",
    "3/5/2.glb": bytes(range(256)) * 64,
    "3/5/10.glb": b"",
    "subtrees/0/0/0.subtree": b"subt" + bytes(900),
    "图层/瓦片.glb": "长宁区".encode() * 100,
}


def build(path: Path, kind: str, content: dict[str, bytes], encodings: tuple[str, ...] = ENCODINGS) -> TilesetStore:
    with open_writer(path, kind) as writer:
        for key, data in content.items():
            writer.put(key, data, precompress(data, encodings))
        writer.commit()
        if isinstance(writer, MemoryWriter):
            assert writer.store is not None
            return writer.store
    return open_store(path)


def files_of(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
class TestStoreContract:
    def test_what_is_put_comes_back(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store:
            assert store.kind == kind
            assert isinstance(store, TilesetStore)
            assert {key: store.read(key) for key in store.keys()} == CONTENT  # noqa: SIM118

    def test_keys_come_sorted(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store:
            assert list(store.keys()) == sorted(CONTENT)

    def test_every_listed_variant_decodes_to_the_content(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store:
            for key, data in CONTENT.items():
                entry = store.get(key)
                assert entry is not None
                given_variants = precompress(data, ENCODINGS)
                assert set(entry.encodings) <= set(given_variants)
                assert list(entry.encodings) == sorted(entry.encodings)
                assert bool(entry.encodings) == bool(given_variants)  # at least one is kept
                for encoding in entry.encodings:
                    assert decompress(store.read(key, encoding), encoding) == data
                    assert len(store.read(key, encoding)) < len(data)

    def test_all_variants_are_kept_byte_for_byte_where_the_kind_can(self, kind: str, tmp_path: Path) -> None:
        data = CONTENT["3/5/2.glb"]
        variants = precompress(data, ENCODINGS)
        with build(tmp_path / "s", kind, CONTENT) as store:
            kept = store.get("3/5/2.glb")
            assert kept is not None
            assert kept.encodings == (("gzip",) if kind == "3tz" else tuple(sorted(ENCODINGS)))
            for encoding in kept.encodings:
                assert store.read("3/5/2.glb", encoding) == variants[encoding]

    def test_the_etag_is_the_quoted_digest_of_the_content(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store:
            for key, data in CONTENT.items():
                entry = store.get(key)
                assert entry is not None
                assert entry.etag == f'"{digest(data)}"'
                assert entry.size == len(data)

    def test_media_types_follow_the_ending(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store:
            types = {key: getattr(store.get(key), "media_type", None) for key in CONTENT}
        assert types["tileset.json"] == "application/json"
        assert types["3/5/2.glb"] == "model/gltf-binary"
        assert types["subtrees/0/0/0.subtree"] == "application/octet-stream"

    def test_a_missing_key_is_none_and_reading_it_is_an_error(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store:
            assert store.get("nothing.glb") is None
            assert store.get("t") is None
            for encoding in ("identity", "gzip"):
                with pytest.raises(StoreError, match=r"nothing\.glb"):
                    store.read("nothing.glb", encoding)

    def test_a_missing_variant_is_an_error(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT, encodings=()) as store:
            with pytest.raises(StoreError, match="gzip"):
                store.read("tileset.json", "gzip")
            with pytest.raises(StoreError):
                store.read("tileset.json", "rot13")

    @pytest.mark.parametrize("key", HOSTILE)
    def test_hostile_keys_are_not_found_and_not_written(self, kind: str, key: str, tmp_path: Path) -> None:
        (tmp_path / "secret.glb").write_bytes(b"secret")
        with build(tmp_path / "s", kind, CONTENT) as store:
            assert store.get(key) is None
            with pytest.raises(StoreError):
                store.read(key)
        before = sorted(p.name for p in tmp_path.rglob("*"))
        with open_writer(tmp_path / "w", kind) as writer, pytest.raises(StoreError):
            writer.put(key, b"x")
        assert sorted(p.name for p in tmp_path.rglob("*")) == before

    @pytest.mark.parametrize("key", ["entries.json", "@3dtilesIndex1@", "a.glb.gz", "a.glb.br", "a.glb.zst"])
    def test_reserved_names_are_refused(self, kind: str, key: str, tmp_path: Path) -> None:
        with open_writer(tmp_path / "w", kind) as writer, pytest.raises(StoreError, match="refused"):
            writer.put(key, b"x")

    def test_a_key_put_twice_is_refused(self, kind: str, tmp_path: Path) -> None:
        with open_writer(tmp_path / "w", kind) as writer:
            writer.put("a.glb", b"1")
            with pytest.raises(StoreError, match="twice"):
                writer.put("a.glb", b"1")

    def test_unknown_codings_are_refused(self, kind: str, tmp_path: Path) -> None:
        with open_writer(tmp_path / "w", kind) as writer, pytest.raises(StoreError, match="coding"):
            writer.put("a.glb", b"1", {"rot13": b"2"})

    def test_a_given_etag_is_stored_quoted_or_not(self, kind: str, tmp_path: Path) -> None:
        etag = digest(b"{}")
        with open_writer(tmp_path / "s", kind) as writer:
            writer.put("tileset.json", b"{}", etag=etag)
            writer.put("b.json", b"{}", etag=f'"{etag}"')
            writer.commit()
            store = writer.store if isinstance(writer, MemoryWriter) else open_store(tmp_path / "s")
        assert store is not None
        with store:
            assert {getattr(store.get(key), "etag", None) for key in ("tileset.json", "b.json")} == {f'"{etag}"'}

    def test_the_layer_digest_does_not_depend_on_the_kind(self, kind: str, tmp_path: Path) -> None:
        with build(tmp_path / "s", kind, CONTENT) as store, build(tmp_path / "m", "memory", CONTENT, ()) as plain:
            digests = [layer_digest(e for k in s.keys() if (e := s.get(k))) for s in (store, plain)]  # noqa: SIM118
        assert digests[0] == digests[1]


@pytest.mark.parametrize("kind", ON_DISK)
class TestStoreOnDisk:
    def test_the_same_content_in_any_order_gives_the_same_bytes(self, kind: str, tmp_path: Path) -> None:
        build(tmp_path / "a" / "s", kind, CONTENT).close()
        build(tmp_path / "b" / "s", kind, dict(reversed(CONTENT.items()))).close()
        assert files_of(tmp_path / "a" / "s") == files_of(tmp_path / "b" / "s")

    def test_nothing_is_seen_before_commit_and_nothing_is_left_without(self, kind: str, tmp_path: Path) -> None:
        with open_writer(tmp_path / "s", kind) as writer:
            writer.put("tileset.json", b"{}" * 20_000_000 if kind == "sqlite" else b"{}")
            assert not (tmp_path / "s").exists()
        assert list(tmp_path.iterdir()) == []

    def test_committing_replaces_an_older_store(self, kind: str, tmp_path: Path) -> None:
        build(tmp_path / "s", kind, CONTENT).close()
        with build(tmp_path / "s", kind, {"tileset.json": b"new"}) as store:
            assert list(store.keys()) == ["tileset.json"]
        assert [p.name for p in tmp_path.iterdir()] == ["s"]

    def test_it_can_be_read_while_another_process_has_it_open(self, kind: str, tmp_path: Path) -> None:
        build(tmp_path / "s", kind, CONTENT).close()
        code = (
            "import sys; from twin.store.open import open_store\n"
            f"store = open_store({str(tmp_path / 's')!r}); store.read('tileset.json')\n"
            "print('open', flush=True); sys.stdin.read(1); print(len(store.read('3/5/2.glb')))"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with open_store(tmp_path / "s") as store:
                assert store.read("3/5/2.glb") == CONTENT["3/5/2.glb"]
            out, _ = other.communicate("x")
        assert out == f"{len(CONTENT['3/5/2.glb'])}\n"

    def test_an_open_store_outlives_its_replacement(self, kind: str, tmp_path: Path) -> None:
        if kind == "directory":
            pytest.skip("plain files are opened by name; releases never replace a directory in place")
        with build(tmp_path / "s", kind, CONTENT) as old:
            build(tmp_path / "s", kind, {"tileset.json": b"new"}).close()
            assert old.read("3/5/2.glb") == CONTENT["3/5/2.glb"]

    def test_a_read_only_store_in_a_read_only_folder_can_be_read(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "f" / "s"
        path.parent.mkdir()
        build(path, kind, CONTENT).close()
        for place in (path, path.parent):
            place.chmod(0o555)
        try:
            with open_store(path) as store:
                assert store.read("tileset.json") == CONTENT["tileset.json"]
        finally:
            for place in (path.parent, path):
                place.chmod(0o755)

    def test_damage_is_told_with_the_file(self, kind: str, tmp_path: Path) -> None:
        build(tmp_path / "s", kind, CONTENT).close()
        file = tmp_path / "s" / "entries.json" if kind == "directory" else tmp_path / "s"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(StoreError, match="next:"), open_store(tmp_path / "s") as store:
            for key in list(store.keys()):
                store.read(key)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.dictionaries(
        st.from_regex(r"[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}\.(glb|json|subtree)", fullmatch=True),
        st.binary(max_size=300),
    )
)
def test_any_content_survives(kind: str, content: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    content = {**content, "tileset.json": b"{}"}
    with build(tmp_path_factory.mktemp("any") / "s", kind, content) as store:
        assert {key: store.read(key) for key in store.keys()} == content  # noqa: SIM118
        assert all(getattr(store.get(key), "etag", None) == f'"{digest(data)}"' for key, data in content.items())


def test_precompression_keeps_only_what_is_smaller_and_is_deterministic() -> None:
    text = b"the same text over and over " * 100
    packed = precompress(text, ENCODINGS)
    assert set(packed) == set(ENCODINGS)
    assert packed == precompress(text, reversed(ENCODINGS))
    assert precompress(b"x", ENCODINGS) == {}
    assert packed["gzip"][4:8] == bytes(4)  # no time
    with pytest.raises(MisuseError):
        precompress(text, ["rot13"])


def test_variant_etags_differ_by_coding() -> None:
    etags = {variant_etag('"abc"', encoding) for encoding in ("identity", *ENCODINGS)}
    assert etags == {'"abc"', '"abc-gzip"', '"abc-br"', '"abc-zstd"'}


@pytest.mark.parametrize("write", [lambda p: p.write_bytes(b"neither"), lambda p: p.mkdir(), lambda p: None])
def test_what_is_no_tileset_is_refused(write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / "x")
    with pytest.raises(StoreError, match="next:"):
        open_store(tmp_path / "x")


def test_an_unknown_kind_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="sqlite"):
        open_writer(tmp_path / "x", "zip")


def test_writers_satisfy_the_protocol(tmp_path: Path) -> None:
    for kind in KINDS:
        with open_writer(tmp_path / kind, kind) as writer:
            assert isinstance(writer, StoreWriter)
