"""Explicit tiling: a tree as one small `tileset.json` that refers to further ones, loaded when needed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twin.errors import MisuseError
from twin.metadata.schema import Schema
from twin.tiles.types import Box, TileNode, TileTree

#: Most tiles one JSON lists; about 60 kB of text.
MAX_TILES = 256

_ROOT_KEY = "tileset.json"


def write(
    tree: TileTree, schema: Schema | None = None, max_tiles: int = MAX_TILES, version: str | None = None
) -> Iterator[tuple[str, bytes]]:
    """Writes the tileset JSON of a tree: external tilesets `t/<digest>.json` first, `tileset.json` last.

    The name of an external tileset is the digest of its bytes, so an unchanged branch keeps its name. Errors fall
    strictly along every path, also through the tile that refers to an external tileset, and no client counts that tile
    as drawn: its error lies just under its parent's.

    Args:
        tree: The tree; contents are keys in the store.
        schema: Metadata schema to publish with the tileset.
        max_tiles: Most tiles in one JSON, at least 6.
        version: `asset.tilesetVersion` of the root (3D Tiles 1.1, "Asset"); left out by default.

    Yields:
        (key, bytes) of each JSON.

    Raises:
        MisuseError: `max_tiles` is too small, or the tree's errors do not fall.
    """
    if max_tiles < 6:
        raise MisuseError(f"max_tiles = {max_tiles}: a tile with four children needs at least 6", next_step="raise it")
    written: list[tuple[str, bytes]] = []
    root = _cut(tree.root, max_tiles, written, math.inf)
    tile = _tile(root, "", tree.root.geometric_error)
    tile["transform"] = list(tree.transform)
    document = _tileset(tile, root_error(tree), tree.extras)
    document["asset"] |= versioned(version)
    if schema is not None:
        document["schema"] = schema.to_json()
    yield from written
    yield _ROOT_KEY, dump(document)


def versioned(version: str | None) -> dict[str, str]:
    """The part of `asset` that says which version of the tileset it is."""
    return {} if version is None else {"tilesetVersion": version}


def root_error(tree: TileTree) -> float:
    """Error of drawing nothing of the tree, metres: the diagonal of its box, and more than its root's error."""
    return max(math.dist(tree.root.box.low, tree.root.box.high), tree.root.geometric_error * 1.25, 1.0)


def dump(document: Mapping[str, Any]) -> bytes:
    """The JSON text every client gets: compact, UTF-8, no NaN."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def outward(box: Box) -> Box:
    """The box rounded outward to millimetres: shorter text, and what lies inside still does."""
    low = tuple(math.floor(round(value * 1000, 6)) / 1000 for value in box.low)
    high = tuple(math.ceil(round(value * 1000, 6)) / 1000 for value in box.high)
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def box_json(box: Box) -> dict[str, list[float]]:
    """`boundingVolume` of a box."""
    return {"box": [round(value, 4) + 0.0 for value in outward(box).to_json()]}


@dataclass(slots=True)
class _Branch:
    """A node on its way into a JSON.

    Attributes:
        node: The node.
        children: What stays in the same JSON.
        size: Tiles it takes there.
        external: Key of the tileset it was moved to, or None.
    """

    node: TileNode
    children: list[_Branch]
    size: int
    external: str | None = None


def _cut(node: TileNode, max_tiles: int, written: list[tuple[str, bytes]], above: float) -> _Branch:
    """Builds the branch of a node bottom-up; its largest children move out until it fits."""
    if not node.geometric_error < above:
        raise MisuseError(
            f"the error of tile {node.level}/{node.x}/{node.y} does not fall below its parent's",
            next_step="build the tree again",
        )
    children = [_cut(child, max_tiles, written, node.geometric_error) for child in node.children]
    size = 1 + sum(child.size for child in children)
    for child in sorted(children, key=lambda one: (-one.size, one.node.y, one.node.x)):
        if size <= max_tiles:
            break
        size -= child.size - 1
        _move_out(child, node.geometric_error, written)
    return _Branch(node, children, size)


def _move_out(branch: _Branch, above: float, written: list[tuple[str, bytes]]) -> None:
    document = _tileset(_tile(branch, "../", branch.node.geometric_error), _between(branch, above), {})
    content = dump(document)
    branch.external = f"t/{hashlib.sha256(content).hexdigest()[:32]}.json"
    branch.children, branch.size = [], 1
    written.append((branch.external, content))


def _between(branch: _Branch, above: float) -> float:
    """Error of a tile that refers to an external tileset.

    It shows nothing itself, so what its parent lacks is still lacking: just under the parent's error.
    """
    own = branch.node.geometric_error
    return above - (above - own) / 1024


def _tileset(root: Mapping[str, Any], error: float, extras: Mapping[str, Any]) -> dict[str, Any]:
    asset = {"version": "1.1", "generator": "district-twin", **({"extras": dict(extras)} if extras else {})}
    return {"asset": asset, "geometricError": error, "root": {"refine": "ADD", **root}}


def _tile(branch: _Branch, up: str, error: float) -> dict[str, Any]:
    """JSON of a tile in a document that reaches the store's root by `up`."""
    node = branch.node
    tile: dict[str, Any] = {"boundingVolume": box_json(node.box), "geometricError": error}
    if branch.external is not None:
        tile["content"] = {"uri": _relative(branch.external, up)}
        return tile
    if node.content is not None:
        tile["content"] = {"uri": _relative(node.content, up)}
        if node.content_box is not None and outward(node.content_box) != outward(node.box):
            tile["content"]["boundingVolume"] = box_json(node.content_box)
    if branch.children:
        tile["children"] = [_tile(child, up, _error_below(child, node.geometric_error)) for child in branch.children]
    return tile


def _error_below(branch: _Branch, above: float) -> float:
    return branch.node.geometric_error if branch.external is None else _between(branch, above)


def _relative(key: str, up: str) -> str:
    return key.removeprefix("t/") if up and key.startswith("t/") else up + key
