"""What stands under the reports: areas, what lies in which of them, and how much floor there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from twin.entity.areas import LEVELS, is_area, smallest_around
from twin.entity.index import EntityIndex, ToXY
from twin.entity.index_schema import ATTRIBUTE, GEOMETRY
from twin.entity.rows import multipolygons, ragged
from twin.live.signs.reading import ALL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_DEEPEST = 12  # parents above each other; a circle of parents ends here
_LEVEL_COLUMNS = (f"{ATTRIBUTE}level", f"{ATTRIBUTE}area.level")


@dataclass(frozen=True, slots=True)
class Groups:
    """The areas of one level.

    Attributes:
        geids: (g,) of the areas; (None,) of the level `all`.
        names: (g,) as the source has them; None where it has none.
        km2: (g,) their size in the working CRS.
        of_area: (a + 1,) group of every area row, its own or that of the area above it; -1 none. The last is for -1.
    """

    geids: tuple[str | None, ...]
    names: tuple[str | None, ...]
    km2: Floats
    of_area: Ints

    def __len__(self) -> int:
        return len(self.geids)

    def group(self, areas: Ints) -> Ints:
        """(n,) group of area rows, -1 where there is none."""
        return self.of_area[areas]  # -1 reads the last


@dataclass(frozen=True, slots=True)
class Ground:
    """Areas and entities of one release as columns.

    Attributes:
        mark: Changes with the release.
        index: Its entities.
        area: (n,) for each entity the row, among the areas, of the finest area around it; -1 none.
        footprint: (n,) m² in the working CRS; 0 where nothing is drawn and of areas.
        floor: (n,) m²: footprint times storeys; NaN where the storeys are unknown.
        levels: Groups by level; `all` and the levels there are.
    """

    mark: str
    index: EntityIndex
    area: Ints
    footprint: Floats
    floor: Floats
    levels: Mapping[str, Groups]
    _shapes: NDArray[np.object_]
    _level: Ints
    _to_xy: ToXY | None

    @classmethod
    def of(cls, index: EntityIndex, to_xy: ToXY | None = None, mark: str = "") -> Ground:
        """The ground of a release.

        Args:
            index: Its entities.
            to_xy: Degrees to the working CRS; None: reports that have a position alone lie in no area.
            mark: See above.
        """
        table = index.table
        rows = np.flatnonzero(is_area(table).to_numpy())
        level = _levels(table, rows)
        rows, level = rows[level >= 0], level[level >= 0]
        parent = _parents(table)
        above = _areas_above(parent, rows, len(table))
        size = _footprints(table)
        km2 = size[rows] / 1e6
        known = size.copy()
        known[np.flatnonzero(is_area(table).to_numpy())] = 0.0
        shapes = multipolygons(table[GEOMETRY].take(pa.array(rows)))
        levels = _groups(table, rows, level, _above_areas(above, parent, rows), km2)
        floor = _floors(table, known, parent)
        footprint = _without_parts(known, parent, rows)
        return cls(mark, index, above, footprint, floor, levels, shapes, level, to_xy)

    def rows_of(self, geids: Iterable[str | None]) -> Ints:
        """(n,) rows of entities; -1 where the release has none of that name."""
        found = (None if one is None else self.index.find(one) for one in geids)
        return np.fromiter((-1 if one is None else one for one in found), dtype=np.int64)

    def areas_at(self, lon: Floats, lat: Floats) -> Ints:
        """(n,) row of the finest area around positions in degrees; -1 none, or not finite."""
        found = np.full(len(lon), -1, dtype=np.int64)
        here = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
        if self._to_xy is None or not len(self._shapes) or not len(here):
            return found
        x, y = self._to_xy(lon[here], lat[here])
        sound = np.isfinite(x) & np.isfinite(y)
        found[here[sound]] = smallest_around(self._shapes, self._level, shapely.points(x[sound], y[sound]))
        return found

    def chosen(self, layers: frozenset[str], classes: frozenset[str]) -> Flags:
        """(n,) entities of these layers and classes, areas never; empty sets choose all."""
        table = self.index.table
        chosen = ~pc.fill_null(pc.equal(table["layer"], "areas"), False).to_numpy() & ~is_area(table).to_numpy()
        for column, wanted in (("layer", layers), ("entity_class", classes)):
            if wanted:
                chosen &= pc.is_in(table[column], value_set=pa.array(sorted(wanted))).to_numpy()
        return np.asarray(chosen, dtype=np.bool_)


def _levels(table: pa.Table, rows: Ints) -> Ints:
    """(a,) index into `LEVELS` of areas; -1 where none is stated."""
    found = np.full(len(rows), -1, dtype=np.int64)
    for name in _LEVEL_COLUMNS:
        if name in table.column_names:
            texts = table[name].take(pa.array(rows)).to_pylist()
            stated = np.array([LEVELS.index(one) if one in LEVELS else -1 for one in texts], dtype=np.int64)
            found = np.where(found < 0, stated, found)
    return found


def _parents(table: pa.Table) -> Ints:
    """(n,) row of the parent; -1 none, or one that is not in the index."""
    found = pc.index_in(table["parent"], value_set=table["geid"].combine_chunks(), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def _areas_above(parent: Ints, rows: Ints, count: int) -> Ints:
    """(n,) position in `rows` of the nearest area above each entity; that of an area is itself; -1 none."""
    number = np.full(count + 1, -1, dtype=np.int64)  # the last is for "no parent"
    number[rows] = np.arange(len(rows))
    up = np.arange(count)
    found = number[up]
    for _ in range(_DEEPEST):
        todo = np.flatnonzero((found < 0) & (up >= 0))
        if not len(todo):
            break
        up[todo] = parent[up[todo]]
        found[todo] = number[up[todo]]
    return found


def _above_areas(above: Ints, parent: Ints, rows: Ints) -> Ints:
    """(a,) area above each area, itself where there is none."""
    up = np.where(parent[rows] >= 0, above[parent[rows]], -1)
    return np.where(up >= 0, up, np.arange(len(rows)))


def _groups(table: pa.Table, rows: Ints, level: Ints, above: Ints, km2: Floats) -> dict[str, Groups]:
    """Groups of every level there is.

    Args:
        above: (a,) area above each, itself at the top.
    """
    geids = table["geid"].take(pa.array(rows)).to_pylist()
    names = table["name"].take(pa.array(rows)).to_pylist()
    everything = np.zeros(len(rows) + 1, dtype=np.int64)
    whole = float(km2[level == level.min()].sum()) if len(rows) else np.nan
    found = {ALL: Groups((None,), (None,), np.array([whole]), everything)}
    for number, name in enumerate(LEVELS):
        mine = np.flatnonzero(level == number)
        if not len(mine):
            continue
        group = np.full(len(rows) + 1, -1, dtype=np.int64)
        group[mine] = np.arange(len(mine))
        of_area, up = group[:-1].copy(), np.arange(len(rows))
        for _ in LEVELS:  # an area below this level belongs to the one it lies in
            up = above[up]
            of_area = np.where(of_area < 0, group[up], of_area)
        group[:-1] = of_area
        found[name] = Groups(tuple(geids[i] for i in mine), tuple(names[i] for i in mine), km2[mine], group)
    return found


def _footprints(table: pa.Table) -> Floats:
    """(n,) m² of the footprints: exteriors less their holes; 0 where nothing is drawn."""
    xy, (ring, polygon, row) = ragged(table[GEOMETRY])
    if not len(xy):
        return np.zeros(len(table))
    near = xy - xy[0]
    cross = np.zeros(len(xy))
    cross[:-1] = near[:-1, 0] * near[1:, 1] - near[1:, 0] * near[:-1, 1]
    cross[ring[1:][ring[1:] > ring[:-1]] - 1] = 0.0  # the step from one ring to the next is none of its sides
    size = np.abs(_sums(cross, ring)) / 2
    first = polygon[:-1][polygon[1:] > polygon[:-1]]
    sign = np.full(len(size), -1.0)
    sign[first] = 1.0
    return _sums(_sums(size * sign, polygon), row)


def _sums(values: Floats, offset: Ints) -> Floats:
    """Sums of the pieces between offsets; 0 of empty ones."""
    found = np.zeros(len(offset) - 1)
    filled = np.flatnonzero(offset[1:] > offset[:-1])
    if len(filled):
        found[filled] = np.add.reduceat(values[: offset[-1]], offset[:-1][filled])
    return found


def _floors(table: pa.Table, footprint: Floats, parent: Ints) -> Floats:
    """(n,) m² of floor: footprint times storeys; of a building that states none, the sum over its parts."""
    storeys = pc.fill_null(table["storeys"], np.nan).to_numpy()
    own = footprint * storeys
    part = _is_part(footprint, parent)
    known = part & np.isfinite(own)
    inside = np.bincount(parent[known], weights=own[known], minlength=len(own))
    floor = np.where(np.isfinite(own), own, np.where(inside > 0, inside, np.nan))
    floor[part] = 0.0  # counted with the building it belongs to
    return floor


def _is_part(footprint: Floats, parent: Ints) -> Flags:
    """(n,) True of what belongs to something that has a footprint itself, or of whose kind there are no areas."""
    part = parent >= 0
    part[part] = footprint[parent[part]] > 0
    return part


def _without_parts(footprint: Floats, parent: Ints, rows: Ints) -> Floats:
    """(n,) footprints in which a part does not count again; areas count nothing."""
    counted = np.where(_is_part(footprint, parent), 0.0, footprint)
    counted[rows] = 0.0
    return counted
