"""The 3D Tiles Archive, judged by the format's rules, by zipfile, and by archives of other make."""

from __future__ import annotations

import json
import struct
import zipfile
from hashlib import md5
from pathlib import Path

import pytest
import zstandard

from pipelines.tile_layer import TakenTile
from twin.errors import StoreError
from twin.store.archive import INDEX, index_records
from twin.store.base import compress, decompress, digest, stored_sizes
from twin.store.open import open_store, open_writer

# Names in the order of the index, from the published description of 3tz 1.4. The bytewise order of the digests differs.
VECTOR = [
    "content/1_1_0.glb",
    "content/1_1_1.glb",
    "content/1_0_0.glb",
    "content/2_0_1.glb",
    "tileset.json",
    "content/2_1_0.glb",
    "schema.json",
    "content/1_0_1.glb",
    "content/2_1_1.glb",
    "subtrees/0_0_0.subtree",
    "content/2_0_0.glb",
]


def names_of(index: bytes, keys: list[str]) -> list[str]:
    by_digest = {md5(key.encode(), usedforsecurity=False).digest(): key for key in keys}
    return [by_digest[index[at : at + 16]] for at in range(0, len(index), 24)]


def test_the_index_is_sorted_as_two_little_endian_numbers() -> None:
    index = index_records(sorted(VECTOR), list(range(len(VECTOR))))
    assert names_of(index, VECTOR) == VECTOR
    assert sorted(VECTOR, key=lambda name: md5(name.encode(), usedforsecurity=False).digest()) != VECTOR


def test_the_index_points_at_the_local_headers(tmp_path: Path) -> None:
    path = tmp_path / "a.3tz"
    with open_writer(path, "3tz") as writer:
        for key in VECTOR:
            writer.put(key, key.encode() * 50, {"gzip": compress(key.encode() * 50, "gzip")})
        writer.commit()
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment == b""
        infos = archive.infolist()
        assert infos[-1].filename == INDEX
        assert infos[-1].compress_type == zipfile.ZIP_STORED
        index = archive.read(INDEX)
        offsets = {info.filename: info.header_offset for info in infos}
        assert {key: archive.read(key) for key in VECTOR} == {key: key.encode() * 50 for key in VECTOR}
        assert not any(info.flag_bits & 0x8 for info in infos)  # no data descriptors
    assert names_of(index, VECTOR) == VECTOR
    for at, key in enumerate(VECTOR):
        (offset,) = struct.unpack_from("<Q", index, at * 24 + 16)
        assert offset == offsets[key]
        assert data[offset : offset + 4] == b"PK\x03\x04"


def foreign(path: Path, content: dict[str, bytes], method: int, index: bytes | None = None) -> None:
    """An archive as another tool would write it, through zipfile."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, data in content.items():
            archive.writestr(zipfile.ZipInfo(key), data, compress_type=method)
        if index is None:
            names = [info.filename for info in archive.infolist()]
            index = index_records(names, [info.header_offset for info in archive.infolist()])
        archive.writestr(INDEX, index, compress_type=zipfile.ZIP_STORED)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_of_other_tools_are_read(method: int, tmp_path: Path) -> None:
    content = {key: key.encode() * 30 for key in VECTOR}
    foreign(tmp_path / "a.3tz", content, method)
    with open_store(tmp_path / "a.3tz") as store:
        assert {key: store.read(key) for key in store.keys()} == content  # noqa: SIM118
        entry = store.get("tileset.json")
        assert entry is not None
        assert entry.etag == f'"{digest(content["tileset.json"])}"'
        assert entry.encodings == (("gzip",) if method == zipfile.ZIP_DEFLATED else ())
        for encoding in entry.encodings:
            assert decompress(store.read("tileset.json", encoding), encoding) == content["tileset.json"]


def test_two_names_with_one_digest_are_told_apart_by_the_name_in_the_header(tmp_path: Path) -> None:
    """Real collisions of MD5 are long; here the index is made to claim one."""
    content = {"tileset.json": b"{}", "other.glb": b"other"}
    foreign(tmp_path / "plain.3tz", content, zipfile.ZIP_STORED)
    with zipfile.ZipFile(tmp_path / "plain.3tz") as archive:
        offsets = [archive.getinfo(key).header_offset for key in ("other.glb", "tileset.json")]
    claimed = index_records(["tileset.json", "tileset.json"], offsets)
    foreign(tmp_path / "a.3tz", content, zipfile.ZIP_STORED, claimed)
    with open_store(tmp_path / "a.3tz") as store:
        assert store.read("tileset.json") == b"{}"
    foreign(tmp_path / "b.3tz", content, zipfile.ZIP_STORED, index_records(["tileset.json"], offsets[:1]))
    with open_store(tmp_path / "b.3tz") as store:
        assert store.get("tileset.json") is None


def test_a_zstd_variant_alone_is_stored_as_method_93(tmp_path: Path) -> None:
    content = b"{}" * 400
    with open_writer(tmp_path / "a.3tz", "3tz") as writer:
        writer.put("tileset.json", content, {"zstd": compress(content, "zstd")})
        writer.commit()
    with zipfile.ZipFile(tmp_path / "a.3tz") as archive:
        assert archive.getinfo("tileset.json").compress_type == 93
    with open_store(tmp_path / "a.3tz") as store:
        assert store.read("tileset.json") == content
        assert zstandard.ZstdDecompressor().decompress(store.read("tileset.json", "zstd")) == content


def test_altered_content_is_noticed(tmp_path: Path) -> None:
    foreign(tmp_path / "a.3tz", {"tileset.json": b'{"a":1}'}, zipfile.ZIP_STORED)
    data = (tmp_path / "a.3tz").read_bytes()
    (tmp_path / "a.3tz").write_bytes(data.replace(b'{"a":1}', b'{"a":2}'))
    with open_store(tmp_path / "a.3tz") as store, pytest.raises(StoreError, match="checksum"):
        store.read("tileset.json")


def test_a_plain_zip_is_no_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("tileset.json", "{}")
    with pytest.raises(StoreError, match="no index"):
        open_store(tmp_path / "a.zip")


def test_what_the_format_forbids_is_not_written(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.3tz", "3tz") as writer:
        with pytest.raises(StoreError, match="archive in an archive"):
            writer.put("inner.3tz", b"PK")
        writer.put("a.glb", b"x")
        with pytest.raises(StoreError, match=r"tileset\.json"):
            writer.commit()
    assert list(tmp_path.iterdir()) == []


def test_more_than_65535_files_need_zip64_and_work(tmp_path: Path) -> None:
    keys = [f"t/{number}.json" for number in range(66_000)]
    with open_writer(tmp_path / "a.3tz", "3tz") as writer:
        writer.put("tileset.json", b"{}", etag="e")
        for key in keys:
            writer.put(key, key.encode(), etag="e")
        writer.commit()
    with zipfile.ZipFile(tmp_path / "a.3tz") as archive:
        assert len(archive.infolist()) == 66_002
    with open_store(tmp_path / "a.3tz") as store:
        assert store.read(keys[65_990]) == keys[65_990].encode()
        assert sum(1 for _ in store.keys()) == 66_001  # noqa: SIM118


def test_the_sqlite_pack_has_the_table_other_tools_expect(tmp_path: Path) -> None:
    import sqlite3

    packed = compress(b"{}" * 99, "gzip")
    with open_writer(tmp_path / "a.3dtiles", "sqlite") as writer:
        writer.put("plain.json", b"{}")
        writer.put("tileset.json", b"{}" * 99, {"gzip": packed, "zstd": compress(b"{}" * 99, "zstd")})
        writer.commit()
    database = sqlite3.connect(tmp_path / "a.3dtiles")
    columns = [(name, kind, key) for _, name, kind, _, _, key in database.execute("PRAGMA table_info(media)")]
    assert columns == [("key", "TEXT", 1), ("content", "BLOB", 0)]
    assert database.execute("SELECT * FROM media").fetchall() == [("plain.json", b"{}"), ("tileset.json", packed)]
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_a_pack_of_the_first_format_is_still_read_and_copied_from(tmp_path: Path) -> None:
    import sqlite3

    content = b"{}" * 99
    database = sqlite3.connect(tmp_path / "old.3dtiles")
    database.executescript(
        "CREATE TABLE media (key TEXT PRIMARY KEY, content BLOB);"
        "CREATE TABLE entry (key TEXT PRIMARY KEY, media_type TEXT, size INTEGER, etag TEXT) WITHOUT ROWID;"
        "CREATE TABLE variant (key TEXT, encoding TEXT, content BLOB); PRAGMA user_version = 1"
    )
    database.execute("INSERT INTO media VALUES ('c/a.glb', ?)", (content,))
    database.execute("INSERT INTO entry VALUES ('c/a.glb', 'model/gltf-binary', 198, '\"e\"')")
    database.execute("INSERT INTO variant VALUES ('c/a.glb', 'gzip', ?)", (compress(content, "gzip"),))
    database.commit()
    database.close()
    with open_store(tmp_path / "old.3dtiles") as store:
        with open_writer(tmp_path / "new.3dtiles", "sqlite") as writer:
            writer.put_held("c/b.glb", TakenTile(store, "c/a.glb"), "e")
            writer.commit()
        with open_store(tmp_path / "new.3dtiles") as new:
            for one, key in ((store, "c/a.glb"), (new, "c/b.glb")):
                assert one.read(key) == content
                assert one.read(key, "gzip") == compress(content, "gzip")
                assert stored_sizes(one, key) == {"identity": 198, "gzip": len(compress(content, "gzip"))}


@pytest.mark.parametrize("gzipped", [False, True])
def test_packs_of_other_tools_are_read(gzipped: bool, tmp_path: Path) -> None:
    import sqlite3

    content = json.dumps({"asset": {"version": "1.1"}}).encode()
    database = sqlite3.connect(tmp_path / "a.3dtiles")
    database.execute("CREATE TABLE media (key TEXT PRIMARY KEY, content BLOB)")
    stored = compress(content, "gzip") if gzipped else content
    database.execute("INSERT INTO media VALUES ('tileset.json', ?)", (stored,))
    database.commit()
    database.close()
    with open_store(tmp_path / "a.3dtiles") as store:
        assert store.read("tileset.json") == content
        entry = store.get("tileset.json")
        assert entry is not None
        assert (entry.size, entry.etag, entry.encodings) == (len(content), f'"{digest(content)}"', ())


def test_a_directory_of_another_tool_is_read_and_its_links_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "tiles"
    (root / "t").mkdir(parents=True)
    (root / "tileset.json").write_bytes(b"{}")
    (root / "t" / "a.glb").write_bytes(b"glTF")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link.glb").symlink_to(tmp_path / "secret")
    with open_store(root) as store:
        assert list(store.keys()) == ["t/a.glb", "tileset.json"]
        entry = store.get("t/a.glb")
        assert entry is not None
        assert entry.etag == f'"{digest(b"glTF")}"'
        assert store.get("link.glb") is None
