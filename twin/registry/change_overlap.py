"""How much of what one edition shows lies on what the other shows, once the common shift of the place is taken off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from twin.registry.change_fit import shifted
from twin.registry.change_ledger import Ledger
from twin.registry.change_place import certain, common_shift

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Shapes = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of open rows that overlap.

    Attributes:
        i, j: (p,) rows before and after.
        shape_before, shape_after: (p,) their polygons, those of the later edition with the common shift taken off.
        of_before, of_after: (p,) shared area as a share of each.
        iou: (p,) shared area over the area of both together.
    """

    i: Ints
    j: Ints
    shape_before: Shapes
    shape_after: Shapes
    of_before: Floats
    of_after: Floats
    iou: Floats

    def __len__(self) -> int:
        return len(self.i)

    def take(self, rows: Ints | Bools) -> Overlaps:
        """Some of them."""
        return Overlaps(
            self.i[rows],
            self.j[rows],
            self.shape_before[rows],
            self.shape_after[rows],
            self.of_before[rows],
            self.of_after[rows],
            self.iou[rows],
        )


def overlaps(ledger: Ledger) -> Overlaps:
    """All pairs of open rows of which one is covered by the other to more than `overlap_touch`.

    The later edition is laid on the earlier one by the common shift of the neighbours. Where these do not agree, as at
    the edge of a map sheet, it is laid both ways, and more walls on walls decide.
    """
    scene = ledger.scene
    rows_i = np.flatnonzero(ledger.open_before() & (scene.one.area > 0))
    rows_j = np.flatnonzero(ledger.open_after() & (scene.other.area > 0))
    expected = common_shift(ledger, certain(ledger), scene.other.centre()[rows_j])
    found = _laid(ledger, rows_i, rows_j, expected.shift)
    torn = np.hypot(*(expected.other - expected.shift).T) > 3 * scene.rules.jitter_m
    if not torn.any():
        return found
    second = _laid(ledger, rows_i, rows_j[torn], expected.other[torn])
    better = _walls_by_row(ledger, second) > _walls_by_row(ledger, found) + 1e-6
    return _joined(found.take(~better[found.j]), second.take(better[second.j]))


def _walls_by_row(ledger: Ledger, pairs: Overlaps) -> Floats:
    """(n,) best share of walls on walls of each row after."""
    rules = ledger.scene.rules
    best = np.zeros(len(ledger.scene.after))
    np.maximum.at(best, pairs.j, np.maximum(*walls_kept(pairs, rules.wall_m + rules.jitter_m)))
    return best


def _joined(one: Overlaps, other: Overlaps) -> Overlaps:
    columns = ([getattr(part, name) for part in (one, other)] for name in Overlaps.__slots__)
    return Overlaps(*(np.concatenate(column) for column in columns))


def _laid(ledger: Ledger, rows_i: Ints, rows_j: Ints, shift: Floats) -> Overlaps:
    """Pairs that overlap with the shift of each row after taken off."""
    scene = ledger.scene
    before = _valid(scene.before.footprints.take(rows_i).to_shapely())
    after = _valid(shifted(scene.after.footprints.take(rows_j), -shift).to_shapely())
    j, i = shapely.STRtree(before).query(after, predicate="intersects")
    shared = shapely.area(shapely.intersection(before[i], after[j]))
    area_i, area_j = shapely.area(before)[i], shapely.area(after)[j]
    of_before, of_after = shared / area_i, shared / area_j
    found = Overlaps(
        rows_i[i], rows_j[j], before[i], after[j], of_before, of_after, shared / (area_i + area_j - shared)
    )
    return found.take(np.maximum(of_before, of_after) >= scene.rules.overlap_touch)


def _valid(shapes: Shapes) -> Shapes:
    broken = ~shapely.is_valid(shapes)
    if broken.any():  # footprints of a build are valid; those of other makers need not be
        shapes = shapes.copy()
        shapes[broken] = shapely.buffer(shapes[broken], 0)
    return shapes


def walls_kept(pairs: Overlaps, tolerance_m: float) -> tuple[Floats, Floats]:
    """Share of the walls of each of both that stand where the other has a wall.

    A house that was extended keeps most of its walls, one that was built anew keeps few.

    Returns:
        (p,) share of the walls before, and of those after.
    """
    one, other = shapely.boundary(pairs.shape_before), shapely.boundary(pairs.shape_after)
    return _along(one, other, tolerance_m), _along(other, one, tolerance_m)


def _along(one: Shapes, other: Shapes, tolerance_m: float) -> Floats:
    near = shapely.buffer(other, tolerance_m, quad_segs=2, join_style="mitre")
    length = np.maximum(shapely.length(one), 1e-9)
    return np.asarray(shapely.length(shapely.intersection(one, near)) / length)
