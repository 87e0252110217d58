"""Reading a tileset back: every tile of an explicit or implicit tileset, through external tilesets and subtrees."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import StoreError
from twin.metadata.schema import Schema, schema_from_json
from twin.metadata.table import decode_table
from twin.tiles.subtree import Subtree, decode, level_offset, tile_bit
from twin.tiles.types import Box

#: Gives the bytes under a key; raises KeyError or StoreError if there are none.
Get = Callable[[str], bytes]

_IDENTITY = tuple(float(value) for value in np.eye(4).ravel())


@dataclass(frozen=True, slots=True)
class TileRecord:
    """One tile as a client sees it.

    Attributes:
        name: Where it stands, for messages.
        box: Its volume in the frame of the root tile.
        geometric_error: Metres.
        content: Key of its content, or None; never an external tileset.
        content_box: Volume of the content, if it has one of its own.
        parent: Number of its parent in the order of the walk, or None.
        leaf: True if nothing hangs below it.
        refine: ADD or REPLACE, inherited where it is not said.
    """

    name: str
    box: Box
    geometric_error: float
    content: str | None
    content_box: Box | None
    parent: int | None
    leaf: bool
    refine: str


def resolve(base: str, uri: str) -> str:
    """Key of `uri` as the document under the key `base` means it; raises StoreError if it leaves the store."""
    key = posixpath.normpath(posixpath.join(posixpath.dirname(base), uri.split("?", maxsplit=1)[0]))
    if "://" in uri or key.startswith(("..", "/")):
        raise StoreError(f"{uri} leads out of the store", file=base, next_step="build the tiles again")
    return key


def read_json(get: Get, key: str) -> dict[str, Any]:
    """The JSON under a key; raises StoreError if it is missing or is no JSON object."""
    try:
        document = json.loads(get(key))
    except KeyError as error:
        raise StoreError("the file is missing", file=key, next_step="build the tiles again") from error
    except ValueError as error:  # also UnicodeDecodeError
        raise StoreError(f"not JSON: {error}", file=key, next_step="build the tiles again") from error
    if not isinstance(document, dict):
        raise StoreError("not a JSON object", file=key, next_step="build the tiles again")
    return document


class TilesetWalk:
    """Visits the tiles of a tileset, parents before children.

    Attributes:
        documents: Keys of the JSON and subtree files read, in order.
        root_errors: (tileset.geometricError, root.geometricError) of each JSON.
    """

    def __init__(self, get: Get, root: str = "tileset.json") -> None:
        self._get = get
        self._root = root
        self._number = 0
        self.documents: list[str] = []
        self.root_errors: list[tuple[str, float, float]] = []

    def tiles(self) -> Iterator[TileRecord]:
        """Every tile; raises StoreError where a document cannot be read."""
        yield from self._document(self._root, None, "REPLACE")

    def _document(self, key: str, parent: int | None, refine: str) -> Iterator[TileRecord]:
        if key in self.documents:
            raise StoreError("the tileset refers to itself", file=key, next_step="build the tiles again")
        document = read_json(self._get, key)
        self.documents.append(key)
        version = document.get("asset", {}).get("version")
        if version != "1.1":
            raise StoreError(f"asset.version is {version}", file=key, next_step="build the tiles again")
        root = document["root"]
        self.root_errors.append((key, float(document["geometricError"]), float(root["geometricError"])))
        if parent is None and "refine" not in root:
            raise StoreError("the root tile says no refine", file=key, next_step="build the tiles again")
        if parent is not None and tuple(root.get("transform", _IDENTITY)) != _IDENTITY:
            raise StoreError("an external tileset has a transform", file=key, next_step="put it on the root tile")
        if "implicitTiling" in root:
            yield from self._implicit(key, document, parent)
        else:
            yield from self._explicit(key, root, parent, root.get("refine", refine), "root")

    def _explicit(
        self, key: str, tile: Mapping[str, Any], parent: int | None, refine: str, name: str
    ) -> Iterator[TileRecord]:
        content = tile.get("content")
        target = None if content is None else resolve(key, content["uri"])
        external = target if target is not None and target.endswith(".json") else None
        children = tile.get("children", [])
        own_box = None if content is None or "boundingVolume" not in content else _box(content["boundingVolume"], key)
        refine = tile.get("refine", refine)
        leaf = not children and external is None
        number = self._next()
        place = f"{key}#{name}"
        box = _box(tile["boundingVolume"], key)
        shown = None if external else target
        yield TileRecord(place, box, float(tile["geometricError"]), shown, own_box, parent, leaf, refine)
        if external is not None:
            yield from self._document(external, number, refine)
        for at, child in enumerate(children):
            yield from self._explicit(key, child, number, refine, f"{name}/{at}")

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _implicit(self, key: str, document: Mapping[str, Any], parent: int | None) -> Iterator[TileRecord]:
        root = document["root"]
        tiling = root["implicitTiling"]
        if tiling["subdivisionScheme"] != "QUADTREE":
            raise StoreError("only quadtrees are read", file=key, next_step="build the tiles again")
        forbidden = {"children", "metadata"} & root.keys()
        if forbidden:
            raise StoreError(f"an implicit root must not have {sorted(forbidden)}", file=key)
        schema = schema_from_json(document["schema"]) if "schema" in document else None
        walk = _ImplicitWalk(self, key, root, schema)
        yield from walk.subtree((0, 0, 0), parent)

    def read_subtree(self, key: str, levels: int) -> Subtree:
        """Reads a subtree and notes its key."""
        try:
            subtree = decode(self._get(key), levels)
        except KeyError as error:
            raise StoreError("the subtree is missing", file=key, next_step="build the tiles again") from error
        self.documents.append(key)
        return subtree


@dataclass(frozen=True, slots=True)
class _ImplicitWalk:
    walk: TilesetWalk
    key: str
    root: Mapping[str, Any]
    schema: Schema | None

    def subtree(self, place: tuple[int, int, int], parent: int | None) -> Iterator[TileRecord]:
        tiling = self.root["implicitTiling"]
        levels = int(tiling["subtreeLevels"])
        uri = tiling["subtrees"]["uri"].format(level=place[0], x=place[1], y=place[2])
        file = resolve(self.key, uri)
        read = self.walk.read_subtree(file, levels)
        _require_consistent(read, file)
        known = self._metadata(read)
        yield from self._tile(read, known, place, (0, 0, 0), parent)

    def _metadata(self, read: Subtree) -> dict[int, tuple[Box, float]]:
        """Tight box and error by bit, where the subtree gives them."""
        if self.schema is None or "tileMetadata" not in read.document:
            return {}
        table = read.document["propertyTables"][read.document["tileMetadata"]]
        rows = decode_table(self.schema, table, read.view)
        by_semantic = {one.semantic: one.source for one in self.schema.find_class(table["class"]).properties}
        boxes = rows[by_semantic["TILE_BOUNDING_BOX"]].combine_chunks().flatten().to_numpy().reshape(-1, 12)
        errors = rows[by_semantic["TILE_GEOMETRIC_ERROR"]].to_numpy()
        bits = np.flatnonzero(read.tiles)
        if len(bits) != len(boxes):
            raise StoreError("the tile metadata has not one row a tile", file=self.key)
        return {int(bit): (_box_of(box), float(error)) for bit, box, error in zip(bits, boxes, errors, strict=True)}

    def _tile(
        self,
        read: Subtree,
        known: Mapping[int, tuple[Box, float]],
        root: tuple[int, int, int],
        local: tuple[int, int, int],
        parent: int | None,
    ) -> Iterator[TileRecord]:
        depth, x, y = local
        bit = tile_bit(*local)
        level, at_x, at_y = root[0] + depth, (root[1] << depth) + x, (root[2] << depth) + y
        box, error = known.get(bit) or self._implied(level, at_x, at_y)
        below = [(depth + 1, 2 * x + dx, 2 * y + dy) for dy in (0, 1) for dx in (0, 1)]
        deeper = [one for one in below if depth + 1 < read.levels and read.tiles[tile_bit(*one)]]
        outside = [one for one in below if depth + 1 == read.levels and read.children[_child_bit(one)]]
        content = None
        if read.contents[bit]:
            uri = self.root["content"]["uri"].format(level=level, x=at_x, y=at_y)
            content = resolve(self.key, uri)
        number = self.walk._next()
        leaf = not deeper and not outside
        yield TileRecord(
            f"{level}/{at_x}/{at_y}", box, error, content, None, parent, leaf, self.root.get("refine", "REPLACE")
        )
        for one in deeper:
            yield from self._tile(read, known, root, one, number)
        for _, child_x, child_y in outside:
            place = (level + 1, (root[1] << depth + 1) + child_x, (root[2] << depth + 1) + child_y)
            yield from self.subtree(place, number)

    def _implied(self, level: int, x: int, y: int) -> tuple[Box, float]:
        whole = _box(self.root["boundingVolume"], self.key)
        size = [(whole.high[axis] - whole.low[axis]) / 2**level for axis in (0, 1)]
        low = (whole.low[0] + x * size[0], whole.low[1] + y * size[1], whole.low[2])
        box = Box(low, (low[0] + size[0], low[1] + size[1], whole.high[2]))
        return box, float(self.root["geometricError"]) / 2**level


def _child_bit(local: tuple[int, int, int]) -> int:
    return tile_bit(*local) - level_offset(local[0])


def _require_consistent(read: Subtree, file: str) -> None:
    """Content needs its tile, a tile its parent, a subtree its parent tile (3D Tiles 1.1, "Availability")."""
    # In Morton order the four children of a tile follow each other, level after level: repeating gives their parents.
    parents = np.concatenate([[True], np.repeat(read.tiles, 4)])
    if not read.tiles[0]:
        raise StoreError("the root of the subtree is not available", file=file, next_step="build the tiles again")
    if (read.contents & ~read.tiles).any():
        raise StoreError("a content is available where its tile is not", file=file)
    if (read.tiles & ~parents[: len(read.tiles)]).any():
        raise StoreError("a tile is available where its parent is not", file=file)
    if (read.children & ~parents[len(read.tiles) :]).any():
        raise StoreError("a subtree is available where its parent tile is not", file=file)


def _box(volume: Mapping[str, Any], file: str) -> Box:
    if "box" not in volume:
        raise StoreError("a volume is no box", file=file, next_step="only tilesets of this toolkit are checked")
    return _box_of(np.asarray(volume["box"], np.float64))


def _box_of(numbers: NDArray[np.float64]) -> Box:
    """Axis-aligned box of the 12 numbers."""
    centre, half = numbers[:3], np.abs(numbers[3:].reshape(3, 3)).sum(axis=0)
    low, high = centre - half, centre + half
    return Box((float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2])))
