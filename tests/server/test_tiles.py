"""Tiles carry the right bytes and headers, and no address leads out of the store."""

from __future__ import annotations

import builtins
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.representation import Labels, Resource, represent
from server.tiles import TileCache, parse_address, pin_templates
from twin.store.base import decompress, digest

IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.mark.parametrize("kind", ["sqlite", "directory", "3tz"])
@pytest.mark.parametrize("encoder", ["explicit", "implicit"])
def test_every_key_of_every_kind_of_store_comes_back_byte_for_byte(
    district: Any, serve: Any, ask: Any, kind: str, encoder: str
) -> None:
    built = district.publish(kind, encoder)
    app = serve(built.out)
    for key, content in built.contents.items():
        pinned = key if encoder == "explicit" else f"{built.release}/{key}"
        answer = ask(app, f"/tiles/buildings/{pinned}")
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["cache-control"] == IMMUTABLE
        assert answer.headers["etag"] == f'"{digest(content)}"'
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_stored_variant_decodes_to_the_content_and_has_a_tag_of_its_own(get: Any, district: Any, coding: str) -> None:
    path = f"/tiles/buildings/{district.tile}"
    content = district.contents[district.tile]
    for _ in range(2):  # from the store, then from memory
        answer = get(path, accept_encoding=coding)
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["etag"] == f'"{digest(content)}-{coding}"'
        assert answer.headers["content-type"] == "model/gltf-binary"
        assert decompress(answer.body, coding) == content
    assert get(path, accept_encoding=coding, if_none_match=answer.headers["etag"]).status == 304
    assert get(path, accept_encoding=coding, if_none_match=f'"{digest(content)}"').status == 200


def test_304_has_the_headers_a_cache_needs_and_no_body(get: Any, district: Any) -> None:
    path = f"/tiles/buildings/{district.tile}"
    fresh = get(path)
    answer = get(path, if_none_match=f'"other", W/{fresh.headers["etag"]}')
    assert (answer.status, answer.body) == (304, b"")
    for name in ("etag", "cache-control", "vary"):
        assert answer.headers[name] == fresh.headers[name]
    assert "content-encoding" not in answer.headers


def test_the_root_is_revalidated(get: Any, district: Any) -> None:
    answer = get("/tiles/buildings/tileset.json")
    assert answer.body == district.tileset
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == "application/json"
    assert get("/tiles/buildings/tileset.json", if_none_match=answer.headers["etag"]).status == 304


def test_head_gives_the_headers_of_get(get: Any, district: Any) -> None:
    path = f"/tiles/buildings/{district.tile}"
    head = get(path, "HEAD", accept_encoding="br")
    assert head.body == b""
    assert head.headers == get(path, accept_encoding="br").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_other_methods_are_refused(get: Any, district: Any, method: str) -> None:
    answer = get(f"/tiles/buildings/{district.tile}", method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json()["code"] == "method_not_allowed"


def test_a_client_that_refuses_every_coding_gets_406(get: Any, district: Any) -> None:
    answer = get(f"/tiles/buildings/{district.tile}", accept_encoding="*;q=0")
    assert answer.status == 406
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


def test_the_root_of_an_implicit_layer_points_to_its_release(district: Any, serve: Any, ask: Any) -> None:
    built = district.publish(encoder="implicit")
    app = serve(built.out)
    answer = ask(app, "/tiles/buildings/tileset.json")
    tile = answer.json()["root"]
    assert tile["content"]["uri"] == f"{built.release}/{{level}}/{{x}}/{{y}}.glb"
    assert tile["implicitTiling"]["subtrees"]["uri"] == f"{built.release}/subtrees/{{level}}/{{x}}/{{y}}.subtree"
    assert answer.headers["etag"] == f'"{digest(answer.body)}"'
    content = tile["content"]["uri"].format(level=0, x=0, y=0)
    assert ask(app, f"/tiles/buildings/{content}").body == built.contents["0/0/0.glb"]
    unpinned = ask(app, "/tiles/buildings/0/0/0.glb")
    assert unpinned.headers["cache-control"] == "no-cache"
    assert ask(app, f"/tiles/buildings/{built.release}/tileset.json").body == built.tileset


def test_only_templates_are_pinned() -> None:
    explicit = json.dumps({"root": {"content": {"uri": "c/{x}.glb"}, "children": [{"content": {"uri": "a"}}]}}).encode()
    assert pin_templates(explicit, "r") is explicit
    nested = {
        "root": {"children": [{"implicitTiling": {"subtrees": {"uri": "s/{x}"}}, "contents": [{"uri": "{x}.glb"}]}]}
    }
    (child,) = json.loads(pin_templates(json.dumps(nested).encode(), "r"))["root"]["children"]
    assert child["contents"][0]["uri"] == "r/{x}.glb"
    assert child["implicitTiling"]["subtrees"]["uri"] == "r/s/{x}"


HOSTILE = [
    "../release.json",
    "%2e%2e/release.json",
    "..%2frelease.json",
    "c/../../../../etc/passwd",
    "c/..%5c..%5crelease.json",
    "c\\x.glb",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "tileset.json%00.glb",
    "%00",
    "%ff%fe",
    "c/%c0%ae%c0%ae/x",
    "c/" + "a" * 5000,
    "a/" * 900,
    ".hidden",
    "c/.",
    "c//x.glb",
    "tileset.json/",
    "",
    "entries.json.gz",
    "tileset.json;v=1",
    "tileset%2ejson",
    "C:/windows/win.ini",
    "con",
]


@pytest.mark.parametrize("kind", ["sqlite", "directory", "3tz"])
def test_hostile_paths_give_404_and_touch_no_file(
    district: Any, serve: Any, ask: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = serve(district.publish(kind).out)
    ask(app, "/tiles/buildings/tileset.json")
    touched: list[object] = []

    def spy(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            touched.append(arguments[0])
            return real(*arguments, **options)

        return call

    answers = []
    with monkeypatch.context() as patch:
        for module, name in (
            (builtins, "open"),
            (io, "open"),
            (os, "open"),
            (os, "stat"),
            (os, "lstat"),
            (os, "scandir"),
        ):
            patch.setattr(module, name, spy(getattr(module, name)))
        patch.setattr(Path, "open", spy(Path.open))
        patch.setattr(Path, "stat", spy(Path.stat))
        for tail in HOSTILE:
            for prefix in ("/tiles/buildings/", "/tiles/nothing/", "/tiles/", "/archives/", "/viewer/", "/entities/"):
                answers.append((prefix + tail, ask(app, prefix + tail)))
    for path, answer in answers:
        if path in ("/viewer/", "/entities/con"):
            continue
        assert answer.status == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
    # anyio and asyncio look at their own machinery, never at a path of ours.
    ours = [path for path in touched if isinstance(path, str | Path) and str(district.out.parent) in str(path)]
    outside = [path for path in touched if "passwd" in str(path) or "win.ini" in str(path)]
    assert ours == [] and outside == []


@given(st.binary(max_size=300))
def test_an_address_that_is_accepted_is_plain(tail: bytes) -> None:
    address = parse_address(tail)
    if address is not None:
        segments = address[1].split("/")
        assert all(segment and not segment.startswith(".") and segment.isascii() for segment in segments)
        assert not set(address[1]) & set("\\%:\0")


def test_a_layer_name_may_be_escaped() -> None:
    assert parse_address("建筑".encode() + b"/c/a.glb") == ("建筑", "c/a.glb")
    assert parse_address(b"%E5%BB%BA%E7%AD%91/c/a.glb") == ("建筑", "c/a.glb")


def held(size: int) -> Resource:
    """A resource of which one coding has been read."""
    one = represent(b"x" * size, "identity", '"e"', Labels("a/b", b"c"))
    return Resource(("identity",), lambda _: one, {"identity": one})


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4000)), max_size=80))
def test_the_cache_never_holds_more_than_its_bound_and_counts_right(steps: list[tuple[int, int]]) -> None:
    cache = TileCache(20_000)
    for name, size in steps:
        cache.account(str(name).encode(), held(size))
        assert cache.size <= 20_000
        assert cache.size == sum(size for _, size in cache._found.values())


def test_the_tile_not_used_for_longest_is_dropped_first() -> None:
    cache = TileCache(3 * 3000)
    for name in (b"a", b"b", b"c"):
        cache.account(name, held(1000))
        cache.get(b"a")
    cache.account(b"d", held(1000))
    assert cache.get(b"a") is not None
    assert cache.get(b"b") is None


def test_a_damaged_store_is_a_500_problem_without_a_path(district: Any, serve: Any, ask: Any) -> None:
    built = district.publish("directory")
    app = serve(built.out)
    for file in (built.out / "releases" / built.release / "buildings").rglob("*.glb"):
        file.unlink()
    answer = ask(app, f"/tiles/buildings/{built.tile}")
    assert answer.status == 500
    assert answer.json()["code"] == "store_damaged"
    assert str(built.out) not in answer.body.decode()


def test_a_second_request_does_not_read_the_store(app: Any, get: Any, district: Any) -> None:
    path = f"/tiles/buildings/{district.tile}"
    first = get(path, accept_encoding="gzip")
    app.releases.pair.current.layers["buildings"].store.close()
    assert get(path, accept_encoding="gzip") == first
    assert app.metrics.cache == {"hit": 1, "miss": 1, "not_found": 0}
