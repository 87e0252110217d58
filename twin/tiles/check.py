"""Our own invariants of a finished tileset, checked on what a client would fetch (promises 5 and 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.errors import StoreError
from twin.report import Issue, Severity
from twin.tiles.types import Box
from twin.tiles.walk import Get, TileRecord, TilesetWalk

#: Reads content: positions (n, 3) in the layer's frame, and the geid of each row (None if nothing shows it).
#: `twin.gltf.content.read_facts` is one.
ReadContent = Callable[[bytes], tuple[NDArray[np.float64], Sequence[str | None]]]

#: How far a position may lie outside its box, metres; the grid of positions has a step of less.
TOLERANCE_M = 0.01

#: How far a box may lie outside its parent's, metres: what writing twelve decimal numbers costs.
_NESTING_M = 0.001


@dataclass(frozen=True, slots=True)
class TilesetSummary:
    """What a tileset holds.

    Attributes:
        tiles: Number of tiles.
        contents: Number of tiles with content.
        features: Number of rows over all contents.
        bytes: Bytes of all contents and of the JSON and subtree files.
        keys: Every key a client may ask for, sorted.
        entities: geid → (content key, row).
    """

    tiles: int
    contents: int
    features: int
    bytes: int
    keys: tuple[str, ...]
    entities: dict[str, tuple[str, int]] = field(default_factory=dict)


def check_tileset(get: Get, root: str = "tileset.json", *, read_content: ReadContent) -> list[Issue]:
    """Findings about a tileset; empty if every invariant holds. See `inspect_tileset`."""
    return inspect_tileset(get, root, read_content=read_content)[0]


def inspect_tileset(
    get: Get, root: str = "tileset.json", *, read_content: ReadContent
) -> tuple[list[Issue], TilesetSummary]:
    """Checks a tileset and says what it holds.

    Invariants: every document can be read and its availability bits agree; a child's volume lies in its parent's; the
    error falls strictly and is 0 exactly at leaves; every content exists, can be decoded and lies in its box; every
    feature (`geid`) stands in exactly one tile.

    Args:
        get: Gives the bytes under a key of the store; KeyError or StoreError if there are none.
        root: Key of the root tileset.
        read_content: Decodes a content, `twin.gltf.content.read_facts`.

    Returns:
        The findings, all of severity ERROR, and the summary of what could be read.
    """
    issues: list[Issue] = []
    sizes: dict[str, int] = {}
    entities: dict[str, tuple[str, int]] = {}

    def counted(key: str) -> bytes:
        content = get(key)
        sizes[key] = len(content)
        return content

    walk = TilesetWalk(counted, root)
    records: list[TileRecord] = []
    features = 0
    try:
        for tile in walk.tiles():
            issues += _check_place(tile, records)
            records.append(tile)
            features += _check_content(tile, counted, read_content, entities, issues)
    except StoreError as error:
        issues.append(_issue("tileset_unreadable", str(error.what), error.file))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # The rim between foreign JSON and our types: a document that has not the form of the standard.
        place = walk.documents[-1] if walk.documents else root
        issues.append(_issue("tileset_unreadable", f"not a tileset: {type(error).__name__}: {error}", place))
    issues += _check_document_errors(walk)
    contents = [tile.content for tile in records if tile.content is not None]
    issues += [_issue("content_shared", "two tiles show one content", key) for key in _repeated(contents)]
    summary = TilesetSummary(len(records), len(contents), features, sum(sizes.values()), tuple(sorted(sizes)), entities)
    return issues, summary


def _issue(code: str, text: str, place: object, detail: dict[str, object] | None = None) -> Issue:
    return Issue(code, Severity.ERROR, text, source=str(place), next_step="build the tiles again", detail=detail or {})


def _check_place(tile: TileRecord, records: Sequence[TileRecord]) -> list[Issue]:
    issues = []
    if tile.refine != "ADD":
        issues.append(_issue("tile_refine", f"refine is {tile.refine}; features would vanish", tile.name))
    if tile.leaf and tile.geometric_error != 0:
        issues.append(_issue("leaf_error", f"the error of a leaf is {tile.geometric_error}, not 0", tile.name))
    if tile.content_box is not None and not tile.box.contains(tile.content_box, _NESTING_M):
        issues.append(_issue("content_volume", "the content's volume is not inside the tile's", tile.name))
    if tile.parent is None:
        return issues
    parent = records[tile.parent]
    if not parent.box.contains(tile.box, _NESTING_M):
        issues.append(_issue("volume_nesting", f"the volume is not inside that of {parent.name}", tile.name))
    if not tile.geometric_error < parent.geometric_error:
        fall = f"{parent.geometric_error} -> {tile.geometric_error}"
        issues.append(_issue("error_not_falling", f"the error does not fall from {parent.name}: {fall}", tile.name))
    return issues


def _check_content(
    tile: TileRecord,
    get: Get,
    read_content: ReadContent,
    entities: dict[str, tuple[str, int]],
    issues: list[Issue],
) -> int:
    """Checks one content; gives the number of its rows."""
    if tile.content is None:
        return 0
    try:
        positions, geids = read_content(get(tile.content))
    except KeyError:
        issues.append(_issue("content_missing", f"the content of {tile.name} is missing", tile.content))
        return 0
    except StoreError as error:
        issues.append(_issue("content_unreadable", f"the content cannot be decoded: {error}", tile.content))
        return 0
    outside = _outside(positions, tile.content_box or tile.box)
    if outside > TOLERANCE_M:
        issues.append(_issue("content_outside", f"a position lies {outside:.3f} m outside its box", tile.content))
    for row, geid in enumerate(geids):
        if geid is None:
            issues.append(_issue("feature_not_shown", f"row {row} has no geid or no triangle", tile.content))
        elif geid in entities:
            issues.append(_issue("feature_twice", f"{geid} also stands in {entities[geid][0]}", tile.content))
        else:
            entities[geid] = (tile.content, row)
    return len(geids)


def _outside(positions: NDArray[np.float64], box: Box) -> float:
    """How far the farthest position lies outside the box, metres; 0 or less if all lie inside."""
    if not len(positions):
        return 0.0
    return float(max((np.array(box.low) - positions.min(0)).max(), (positions.max(0) - np.array(box.high)).max()))


def _check_document_errors(walk: TilesetWalk) -> list[Issue]:
    return [
        _issue("tileset_error", f"the error of the tileset ({above}) is below its root's ({own})", key)
        for key, above, own in walk.root_errors
        if above < own
    ]


def _repeated(keys: Sequence[str]) -> list[str]:
    return sorted(key for key, times in Counter(keys).items() if times > 1)
