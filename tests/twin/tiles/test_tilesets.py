"""Both encoders write the same tree, and the check finds every way to spoil it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import MisuseError
from twin.tiles import explicit, implicit
from twin.tiles.check import check_tileset, inspect_tileset
from twin.tiles.types import Box, TileNode, TileTree
from twin.tiles.walk import TilesetWalk

IDENTITY = tuple(float(v) for v in np.eye(4).ravel())


def content_of(box: Box, geids: list[str]) -> bytes:
    """A stand-in for a GLB: what `read_content` gives back."""
    return json.dumps({"corners": [box.low, box.high], "geids": geids}).encode()


def read_content(content: bytes) -> tuple[np.ndarray, list[str]]:
    read = json.loads(content)
    return np.array(read["corners"]), read["geids"]


def make_tree(seed: int, depth: int, keep: float = 0.7, named=implicit.content_key):
    """A random quadtree with tight boxes, falling errors and one content for most nodes."""
    rng = np.random.default_rng(seed)
    side = 1024.0
    contents: dict[str, bytes] = {}

    def node(level: int, x: int, y: int, error: float) -> TileNode:
        size = side / 2**level
        below = []
        if level < depth:
            for dy in (0, 1):
                for dx in (0, 1):
                    if rng.random() < keep:
                        below.append(node(level + 1, 2 * x + dx, 2 * y + dy, error * rng.uniform(0.3, 0.9)))
        low = np.array([x * size, y * size, 0]) + rng.uniform(0, size / 4, 3)
        high = low + rng.uniform(size / 4, size / 2, 3)
        own = Box(tuple(low.tolist()), tuple(high.tolist()))
        has = rng.random() < 0.9 or not below
        box = None if not has else own
        for child in below:
            box = child.box if box is None else box.union(child.box)
        key = named(level, x, y) if has else None
        if key:
            contents[key] = content_of(own, [f"{level}-{x}-{y}-{i}" for i in range(3)])
        return TileNode(level, x, y, box, error if below else 0.0, key, own if has else None, tuple(below))

    root = node(0, 0, 0, 200.0)
    whole = Box((0.0, 0.0, 0.0), (side, side, max(root.box.high[2], 1.0)))
    return TileTree(root, whole.union(root.box), IDENTITY, {"layer": "buildings"}), contents


def getter(files: dict[str, bytes]):
    return files.__getitem__


WRITERS = {
    "explicit": lambda tree: explicit.write(tree, max_tiles=7),
    "explicit, one file": lambda tree: explicit.write(tree, max_tiles=10**6),
    "implicit": lambda tree: implicit.write(tree, levels=3),
    "implicit, one level a subtree": lambda tree: implicit.write(tree, levels=1),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
@given(seed=st.integers(0, 10**6), depth=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_every_tile_content_and_feature_is_found_again_and_no_invariant_breaks(writer, seed, depth):
    tree, contents = make_tree(seed, depth)
    files = dict(writer(tree))
    issues, summary = inspect_tileset(getter({**files, **contents}), read_content=read_content)
    assert issues == []
    assert summary.contents == len(contents)
    assert summary.features == 3 * len(contents)
    assert set(summary.keys) == set(files) | set(contents)
    assert summary.entities == {
        geid: (key, row) for key, content in contents.items() for row, geid in enumerate(read_content(content)[1])
    }


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
def test_boxes_and_errors_come_back_for_every_content(writer):
    tree, contents = make_tree(5, 4)
    walk = TilesetWalk(getter(dict(writer(tree))))
    seen = {tile.content: tile for tile in walk.tiles() if tile.content}
    nodes = {node.content: node for node in tree.root.walk() if node.content}
    assert seen.keys() == nodes.keys() == contents.keys()
    for key, node in nodes.items():
        assert seen[key].geometric_error == node.geometric_error
        assert seen[key].box.contains(node.box, 1e-9)
        assert node.box.contains(seen[key].box, 0.0021), "rounded outward by at most a millimetre and a bit"


def test_no_json_lists_more_tiles_than_allowed_and_unchanged_branches_keep_their_name():
    tree, _ = make_tree(1, 5, keep=0.95)
    files = dict(explicit.write(tree, max_tiles=20))

    def count(tile):
        return 1 + sum(count(child) for child in tile.get("children", []))

    assert len(files) > 10
    assert max(count(json.loads(content)["root"]) for content in files.values()) <= 20
    *rest, last = tree.root.children
    other = replace(tree, root=replace(tree.root, children=(*rest, replace(last, content=None, content_box=None))))
    again = dict(explicit.write(other, max_tiles=20))
    changed = {key for key in files if key.startswith("t/")} - again.keys()
    assert len(changed) <= 2


def test_the_same_tree_gives_the_same_bytes():
    for writer in WRITERS.values():
        tree, _ = make_tree(3, 4)
        assert list(writer(tree)) == list(writer(tree))


def spoilt_documents():
    """Ways to spoil an explicit tileset: what is changed, which finding must tell."""

    def change(path, value):
        def apply(document):
            at = document
            for step in path[:-1]:
                at = at[step]
            if value is None:
                del at[path[-1]]
            else:
                at[path[-1]] = value(at[path[-1]]) if callable(value) else value

        return apply

    child = ("root", "children", 0)
    return {
        "child sticks out": (change((*child, "boundingVolume", "box", 3), lambda v: v * 40), "volume_nesting"),
        "error rises": (change((*child, "geometricError"), 1e6), "error_not_falling"),
        "error stays": (change((*child, "geometricError"), 200.0), "error_not_falling"),
        "REPLACE": (change(("root", "refine"), "REPLACE"), "tile_refine"),
        "no refine": (change(("root", "refine"), None), "tileset_unreadable"),
        "old version": (change(("asset", "version"), "1.0"), "tileset_unreadable"),
        "tileset error too small": (change(("geometricError",), 1.0), "tileset_error"),
        "content lost": (change((*child, "content", "uri"), "9/9/9.glb"), "content_missing"),
        "content outside the store": (change((*child, "content", "uri"), "../x.glb"), "tileset_unreadable"),
        "content drawn twice": (change((*child, "content", "uri"), "0/0/0.glb"), "feature_twice"),
    }  # fmt: skip


@pytest.mark.parametrize(("spoil", "code"), spoilt_documents().values(), ids=spoilt_documents().keys())
def test_the_check_tells_what_is_wrong(spoil, code):
    tree, contents = make_tree(8, 2, keep=1.0)
    files = {**dict(explicit.write(tree)), **contents}
    document = json.loads(files["tileset.json"])
    spoil(document)
    files["tileset.json"] = json.dumps(document).encode()
    assert code in {issue.code for issue in check_tileset(getter(files), read_content=read_content)}


def test_the_check_tells_of_a_position_outside_its_box():
    tree, contents = make_tree(8, 2, keep=1.0)
    far = Box((0.0, 0.0, -50.0), (1.0, 1.0, 1.0))
    files = {**dict(explicit.write(tree)), **contents, "1/0/0.glb": content_of(far, ["a"])}
    assert [issue.code for issue in check_tileset(getter(files), read_content=read_content)] == ["content_outside"]


def test_the_check_tells_of_a_leaf_with_an_error_of_its_own():
    tree, contents = make_tree(8, 1, keep=1.0)
    child = replace(tree.root.children[0], geometric_error=3.0)
    spoilt = replace(tree, root=replace(tree.root, children=(child, *tree.root.children[1:])))
    for writer in WRITERS.values():
        files = {**dict(writer(spoilt)), **contents}
        assert [issue.code for issue in check_tileset(getter(files), read_content=read_content)] == ["leaf_error"]


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
def test_a_tree_whose_error_does_not_fall_is_refused(writer):
    tree, _ = make_tree(8, 2, keep=1.0)
    child = replace(tree.root.children[0], geometric_error=tree.root.geometric_error)
    with pytest.raises(MisuseError, match="error"):
        list(writer(replace(tree, root=replace(tree.root, children=(child,)))))


def test_implicit_tiling_refuses_what_it_cannot_express():
    tree, _ = make_tree(8, 2, keep=1.0)
    named = replace(tree, root=replace(tree.root, content="c/abc.glb"))
    with pytest.raises(MisuseError, match="c/abc"):
        list(implicit.write(named))
    skipped = replace(tree.root.children[0], level=2)
    with pytest.raises(MisuseError, match="quadrant"):
        list(implicit.write(replace(tree, root=replace(tree.root, children=(skipped,)))))


def test_an_implicit_root_says_nothing_it_must_not_say():
    tree, _ = make_tree(8, 2)
    document = json.loads(dict(implicit.write(tree))["tileset.json"])
    assert not {"children", "metadata"} & document["root"].keys()
    assert document["root"]["content"].keys() == {"uri"}
    assert document["schema"]["classes"]["tile"]["properties"]["boundingBox"]["semantic"] == "TILE_BOUNDING_BOX"


def test_contents_are_named_relative_to_the_file_that_names_them():
    tree, contents = make_tree(2, 4, keep=0.9, named=lambda level, x, y: f"c/{level}{x:02}{y:02}.glb")
    files = dict(explicit.write(tree, max_tiles=8))
    uris = {key: set(_uris(json.loads(content)["root"])) for key, content in files.items()}
    assert any(uri.startswith("../c/") for key, found in uris.items() if key != "tileset.json" for uri in found)
    assert any(not uri.startswith(("t/", "../", "c/")) for key, found in uris.items() for uri in found)
    assert check_tileset(getter({**files, **contents}), read_content=read_content) == []


def _uris(tile):
    if "content" in tile:
        yield tile["content"]["uri"]
    for child in tile.get("children", []):
        yield from _uris(child)
