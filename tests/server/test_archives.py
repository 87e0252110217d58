"""Whole layers can be taken away, in pieces too."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def archive(district: Any) -> bytes:
    return (district.out / "releases" / district.release / "buildings.3dtiles").read_bytes()


def test_the_whole_file_comes_back(get: Any, archive: bytes) -> None:
    answer = get("/archives/buildings")
    assert (answer.status, answer.body) == (200, archive)
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == 'attachment; filename="buildings.3dtiles"'
    assert get("/archives/buildings", if_none_match=answer.headers["etag"]).status == 304


@pytest.mark.parametrize(
    ("header", "piece"), [("bytes=0-15", slice(0, 16)), ("bytes=-7", slice(-7, None)), ("bytes=9-", slice(9, None))]
)
def test_one_range_gives_that_piece(get: Any, archive: bytes, header: str, piece: slice) -> None:
    answer = get("/archives/buildings", range=header)
    first, last, _ = piece.indices(len(archive))
    assert (answer.status, answer.body) == (206, archive[piece])
    assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(archive)}"
    assert answer.headers["content-length"] == str(last - first)


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "bytes=0-0," * 2000 + "1-1", "bytes=99999999-"])
def test_several_ranges_and_ranges_outside_are_refused(get: Any, archive: bytes, header: str) -> None:
    answer = get("/archives/buildings", range=header)
    assert answer.status == 416
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-range"] == f"bytes */{len(archive)}"


def test_if_range_decides_between_the_piece_and_the_whole(get: Any, archive: bytes) -> None:
    etag = get("/archives/buildings").headers["etag"]
    assert get("/archives/buildings", range="bytes=0-3", if_range=etag).body == archive[:4]
    assert get("/archives/buildings", range="bytes=0-3", if_range='"old"').body == archive
    assert get("/archives/buildings", range="bytes=0-3", if_none_match=etag).status == 304


def test_a_range_means_nothing_to_head(get: Any, archive: bytes) -> None:
    answer = get("/archives/buildings", "HEAD", range="bytes=0-3")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, str(len(archive)), b"")


def test_a_3tz_has_its_own_media_type_and_loose_files_are_no_archive(district: Any, serve: Any, ask: Any) -> None:
    packed = ask(serve(district.publish("3tz", mark="z").out), "/archives/buildings")
    assert packed.headers["content-type"] == "application/vnd.maxar.archive.3tz+zip"
    loose = serve(district.publish("directory", mark="d").out)
    assert ask(loose, "/archives/buildings").json()["code"] == "no_archive"
    assert ask(loose, "/release").json()["layers"]["buildings"]["archive"] is None
