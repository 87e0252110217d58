"""Implicit tiling: a tree as a short `tileset.json` and binary subtrees that carry each tile's tight box and error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from twin.errors import MisuseError
from twin.metadata.schema import ClassSchema, Property, Schema
from twin.metadata.table import EncodedTable, encode_table
from twin.tiles.explicit import box_json, dump, outward, root_error, versioned
from twin.tiles.subtree import Subtree, encode, level_offset, tile_bit
from twin.tiles.types import TileNode, TileTree

#: Levels a subtree holds: 341 tiles at most, so that one request opens a whole quarter.
SUBTREE_LEVELS = 5

CONTENT_TEMPLATE = "{level}/{x}/{y}.glb"
SUBTREE_TEMPLATE = "subtrees/{level}/{x}/{y}.subtree"

#: Class of tiles; the semantics make CesiumJS use the tight box and error instead of the halved ones.
TILE_CLASS = ClassSchema(
    "tile",
    (
        Property(
            "boundingBox", "", "SCALAR", "FLOAT64", array=True, count=12, semantic="TILE_BOUNDING_BOX",
            description="Tight box around the tile and everything below it, in the frame of the root tile",
        ),
        Property(
            "geometricError", "", "SCALAR", "FLOAT64", semantic="TILE_GEOMETRIC_ERROR",
            description="Size of the largest feature left to the tiles below, metres",
        ),
    ),
)  # fmt: skip

_Place = tuple[int, int, int]


def content_key(level: int, x: int, y: int) -> str:
    """Key of the content of a tile."""
    return CONTENT_TEMPLATE.format(level=level, x=x, y=y)


def subtree_key(level: int, x: int, y: int) -> str:
    """Key of the subtree whose root is that tile."""
    return SUBTREE_TEMPLATE.format(level=level, x=x, y=y)


def write(
    tree: TileTree, schema: Schema | None = None, levels: int = SUBTREE_LEVELS, version: str | None = None
) -> Iterator[tuple[str, bytes]]:
    """Writes `tileset.json` and the subtrees of a tree (3D Tiles 1.1, "Implicit Tiling", quadtree).

    Args:
        tree: The tree. Contents must be called `content_key(level, x, y)`; each node's level is its parent's plus one.
        schema: Metadata schema to publish; the class of tiles is added to it.
        levels: Levels a subtree holds.
        version: `asset.tilesetVersion` (3D Tiles 1.1, "Asset"); left out by default.

    Yields:
        (key, bytes): subtrees in order of level, x, y, then `tileset.json`.

    Raises:
        MisuseError: The tree is not a quadtree from level 0, its errors do not fall, or a content is called otherwise.
    """
    nodes = _index(tree)
    full = _with_tile_class(schema)
    for place in sorted(key for key in nodes if key[0] % levels == 0):
        yield subtree_key(*place), encode(_subtree(nodes, place, levels, full))
    root: dict[str, Any] = {
        "boundingVolume": box_json(tree.root_box),
        "geometricError": tree.root.geometric_error,
        "refine": "ADD",
        "content": {"uri": CONTENT_TEMPLATE},
        "implicitTiling": {
            "subdivisionScheme": "QUADTREE",
            "subtreeLevels": levels,
            "availableLevels": max(level for level, _, _ in nodes) + 1,
            "subtrees": {"uri": SUBTREE_TEMPLATE},
        },
        "transform": list(tree.transform),
    }
    extras = {"extras": dict(tree.extras)} if tree.extras else {}
    document = {
        "asset": {"version": "1.1", "generator": "district-twin", **versioned(version), **extras},
        "geometricError": root_error(tree),
        "schema": full.to_json(),
        "root": root,
    }
    yield "tileset.json", dump(document)


def _with_tile_class(schema: Schema | None) -> Schema:
    if schema is None:
        return Schema("tiles", (TILE_CLASS,))
    return Schema(schema.id, (*schema.classes, TILE_CLASS), schema.enums)


def _index(tree: TileTree) -> dict[_Place, TileNode]:
    """Nodes by place; refuses what implicit tiling cannot express."""
    if (tree.root.level, tree.root.x, tree.root.y) != (0, 0, 0) or not tree.root_box.contains(tree.root.box, 1e-6):
        raise MisuseError("the tree does not begin at 0/0/0 inside its root box", next_step="build the tree again")
    nodes = {}
    for node in tree.root.walk():
        place = (node.level, node.x, node.y)
        for child in node.children:
            if (child.level, child.x >> 1, child.y >> 1) != (node.level + 1, node.x, node.y):
                raise MisuseError(f"tile {place} has a child in another quadrant", next_step="build the tree again")
            if not child.geometric_error < node.geometric_error:
                raise MisuseError(f"the error does not fall below tile {place}", next_step="build the tree again")
        if node.content not in (None, content_key(*place)):
            raise MisuseError(
                f"content {node.content}: implicit tiling calls it {content_key(*place)}",
                next_step="name contents by `content_key`",
            )
        nodes[place] = node
    return nodes


def _subtree(nodes: dict[_Place, TileNode], root: _Place, levels: int, schema: Schema) -> Subtree:
    tiles, contents = np.zeros(level_offset(levels), bool), np.zeros(level_offset(levels), bool)
    children = np.zeros(4**levels, bool)
    held: list[tuple[int, TileNode]] = []
    pending = [nodes[root]]
    while pending:
        node = pending.pop()
        depth = node.level - root[0]
        local = node.x - (root[1] << depth), node.y - (root[2] << depth)
        bit = tile_bit(depth, *local)
        if depth == levels:
            children[bit - level_offset(levels)] = True
            continue
        tiles[bit], contents[bit] = True, node.content is not None
        held.append((bit, node))
        pending.extend(node.children)
    ordered = [node for _, node in sorted(held, key=lambda one: one[0])]
    return Subtree(tiles, contents, children, _metadata(ordered, schema))


def _metadata(nodes: list[TileNode], schema: Schema) -> EncodedTable:
    boxes = np.array([outward(node.box).to_json() for node in nodes])
    rows = pa.table(
        {
            "boundingBox": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 12),
            "geometricError": pa.array([node.geometric_error for node in nodes], pa.float64()),
        }
    )
    return encode_table(TILE_CLASS, schema, rows)
