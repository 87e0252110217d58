"""Makes a second edition of a survey by a seeded script of edits, so that what happened to every row is known.

The edits are those of practice: corners that stray by 5 cm, map sheets shifted by up to 1 m, single buildings moved,
extended, cut, split, merged, demolished and rebuilt, added, removed; keys lost, renumbered, swapped and given to other
buildings; attributes edited; corners listed from another start or with one more on a straight wall; rows shuffled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa
import shapely
from shapely import affinity
from shapely.geometry import LineString, Polygon, box
from shapely.ops import split

from twin.geometry.footprints import Footprints, from_shapely
from twin.registry.change import Change, Changes, Surveyed, Verdicts

JITTER_M = 0.05


@dataclass(frozen=True)
class Thing:
    """One entity as a survey shows it, and what became of what before (rows of the first edition)."""

    shape: Polygon
    key: str | None
    height: float
    base: float = 4.0
    storeys: float = float("nan")
    text: str = "{}"
    change: Change = Change.UNCHANGED
    origin: tuple[int, ...] = ()
    edit: str = ""


@dataclass(frozen=True)
class Truth:
    """What the script did, row by row: class, and for pairs which row; the kind of edit as a word."""

    after: tuple[tuple[Change, frozenset[int]], ...]
    before: tuple[tuple[Change, frozenset[int]], ...]
    edit_after: tuple[str, ...]
    edit_before: tuple[str, ...]


@dataclass(frozen=True)
class Editions:
    before: Surveyed
    after: Surveyed
    truth: Truth


@dataclass(frozen=True)
class Script:
    """How many of a hundred entities meet with what."""

    attributes: float = 2.0
    moved: float = 2.0
    extended: float = 2.0
    cut: float = 1.5
    split: float = 2.0
    merged: float = 2.0
    rebuilt: float = 2.0
    gone: float = 2.0
    new: float = 2.0
    reused: float = 0.5
    swapped: float = 0.5
    redrawn: float = 2.0
    key_lost: float = 4.0
    key_renumbered: float = 2.0
    jitter_m: float = JITTER_M
    sheet_m: float = 500.0
    sheets_shifted: float = 0.4
    keys: bool = True

    def of(self, percent: float) -> Script:
        """The same edits, of which all of them together meet so many of a hundred; no jitter, no sheet shifts."""
        kinds = ("attributes", "moved", "extended", "cut", "split", "merged", "rebuilt", "gone", "new", "redrawn")
        kinds += ("reused", "swapped", "key_lost", "key_renumbered")
        total = sum(getattr(self, kind) for kind in kinds)
        scaled = {kind: getattr(self, kind) * percent / total for kind in kinds}
        return replace(self, **scaled, jitter_m=0.0, sheets_shifted=0.0)


def surveyed(things: Iterable[Thing], jitter: np.random.Generator | None = None, metres: float = 0.0) -> Surveyed:
    """The rows of an edition; every corner strays by up to so many metres east and north."""
    things = list(things)
    footprints = from_shapely(np.array([thing.shape for thing in things], dtype=object))
    if jitter is not None and metres:
        xy = footprints.xy + jitter.uniform(-metres, metres, footprints.xy.shape)
        footprints = Footprints(xy, footprints.ring, footprints.polygon, footprints.feature)
    return Surveyed(
        pa.array([thing.key for thing in things], pa.string()),
        footprints,
        *(np.array([getattr(thing, name) for thing in things]) for name in ("height", "base", "storeys")),
        pa.array([thing.text for thing in things], pa.string()),
    )


SCRIPT = Script()


# --- first editions ---------------------------------------------------------------------------------------------


def town(rng: np.random.Generator, count: int) -> list[Thing]:
    """Houses of all outlines on plots of 32 m: boxes, L and U forms, round ones, and halves of double houses."""
    side = int(np.ceil(np.sqrt(count * 1.2)))
    plots = rng.permutation(side * side)
    shapes: list[Polygon] = []
    for plot in plots.tolist():
        if len(shapes) >= count:
            break
        centre = np.array([plot % side, plot // side]) * 32.0 + rng.uniform(-1.5, 1.5, 2) + [500_000, 3_450_000]
        shapes += _houses(rng, *centre)
    return [_thing(rng, shape, row) for row, shape in enumerate(shapes)]


def _houses(rng: np.random.Generator, x: float, y: float) -> list[Polygon]:
    width, depth = rng.uniform(6, 17, 2)
    whole = box(x - width / 2, y - depth / 2, x + width / 2, y + depth / 2)
    kind = rng.integers(5)
    shapes = [whole]
    if kind == 1:
        shapes = [whole.difference(box(x, y, x + width, y + depth))]
    elif kind == 2:
        shapes = [whole.difference(box(x - width / 6, y, x + width / 6, y + depth))]
    elif kind == 3:
        shapes = [shapely.Point(x, y).buffer(width / 2, quad_segs=3)]
    elif kind == 4:
        shapes = [box(x - width, y - depth / 2, x, y + depth / 2), box(x, y - depth / 2, x + width, y + depth / 2)]
    angle = rng.uniform(0, 90)
    return [affinity.rotate(shape, angle, origin=(x, y)) for shape in shapes]


def terraces(rng: np.random.Generator, count: int) -> list[Thing]:
    """Rows of houses that share their walls, alike to the last digit within a row, some only 3.6 m wide."""
    shapes: list[Polygon] = []
    street = 0
    while len(shapes) < count:
        length, width, depth = int(rng.integers(6, 21)), rng.choice([3.6, 4.5, 5.0, 6.5]), rng.uniform(8, 12)
        x, y = 500_000 + 170.0 * (street % 8), 3_450_000 + 45.0 * (street // 8)
        row = [box(x + width * k, y, x + width * (k + 1), y + depth) for k in range(length)]
        angle = rng.uniform(-4, 4)
        shapes += [affinity.rotate(house, angle, origin=(x, y)) for house in row]
        street += 1
    return [_thing(rng, shape, row) for row, shape in enumerate(shapes)]


def _thing(rng: np.random.Generator, shape: Polygon, row: int) -> Thing:
    storeys = int(rng.integers(1, 9))
    return Thing(
        shape, f"w{row}", 3.0 * storeys + 0.5, storeys=float(storeys), text=json.dumps({"use": int(rng.integers(9))})
    )


# --- the script of edits ----------------------------------------------------------------------------------------


@dataclass
class Desk:
    """The edition being made."""

    rng: np.random.Generator
    script: Script
    before: list[Thing]
    tree: shapely.STRtree
    free: list[int]  # rows that may be edited in outline: they lie on no other
    near: dict[int, list[int]]  # neighbours with a common wall
    done: set[int] = field(default_factory=set)
    made: list[Thing] = field(default_factory=list)
    fresh: int = 0

    def draw(self, percent: float, good: Callable[[int], bool] = lambda row: True) -> list[int]:
        """Rows for an edit, not used so far."""
        wanted = round(len(self.before) * percent / 100)
        taken: list[int] = []
        unfit: list[int] = []
        while self.free and len(taken) < wanted:
            row = self.free.pop()
            if row not in self.done:
                (taken if good(row) else unfit).append(row)
        self.done.update(taken)
        self.free += unfit[::-1]
        return taken

    def new_key(self) -> str | None:
        self.fresh += 1
        return f"n{self.fresh}" if self.script.keys else None

    def put(self, row: int, change: Change, edit: str, **values: object) -> None:
        """What row `row` became."""
        self.made.append(replace(self.before[row], change=change, origin=(row,), edit=edit, **values))


def make(first: list[Thing], seed: int, script: Script = SCRIPT) -> Editions:
    """The first edition and the one the script makes of it."""
    rng = np.random.default_rng(seed)
    if not script.keys:
        first = [replace(thing, key=None) for thing in first]
    tree = shapely.STRtree(np.array([thing.shape for thing in first], dtype=object))
    desk = Desk(rng, script, first, tree, *_standing(first, rng))
    for edit in EDITS:
        edit(desk)
    for row in set(range(len(first))) - desk.done:
        desk.put(row, Change.UNCHANGED, "none")
    things = _shift_sheets(desk, _lose_keys(desk))
    order = rng.permutation(len(things)).tolist()
    things = [things[k] for k in order]
    return Editions(surveyed(first), surveyed(things, rng, script.jitter_m), _truth(first, things))


def _standing(first: list[Thing], rng: np.random.Generator) -> tuple[list[int], dict[int, list[int]]]:
    """Rows that lie on no other, in random order, and neighbours with whom they share 2 m of wall and more."""
    shapes = np.array([thing.shape for thing in first], dtype=object)
    i, j = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    i, j = i[i != j], j[i != j]
    common = shapely.intersection(shapes[i], shapes[j])
    stacked = set(i[shapely.area(common) > 0.5].tolist())
    near: dict[int, list[int]] = {}
    for a, b, length in zip(i.tolist(), j.tolist(), shapely.length(common).tolist(), strict=True):
        if length > 2 and not stacked & {a, b}:
            near.setdefault(a, []).append(b)
    big = shapely.area(shapes) > 25
    plain = (shapely.get_type_id(shapes) == 3) & (shapely.get_num_interior_rings(shapes) == 0)
    simple = plain & (shapely.area(shapely.convex_hull(shapes)) < 2000)
    rows = [row for row in rng.permutation(len(first)).tolist() if row not in stacked and big[row] and simple[row]]
    return rows, near


def _merge(desk: Desk) -> None:
    def pick(row: int) -> bool:
        return any(other not in desk.done for other in desk.near.get(row, ()))

    for row in desk.draw(desk.script.merged, pick):
        other = next((other for other in desk.near[row] if other not in desk.done), None)
        if other is None:
            desk.done.discard(row)
            continue
        joined = shapely.union(desk.before[row].shape, desk.before[other].shape)
        shares = [desk.before[one].shape.area / joined.area for one in (row, other)]
        if joined.geom_type != "Polygon" or max(shares) > 0.8:
            desk.done.discard(row)
            continue
        desk.done.add(other)
        key = [desk.before[row].key, desk.new_key(), None][desk.rng.integers(3)]
        desk.made.append(
            replace(desk.before[row], shape=joined, key=key, change=Change.MERGED, origin=(row, other), edit="merged")
        )


def _split(desk: Desk) -> None:
    for row in desk.draw(desk.script.split):
        pieces = _pieces(desk.rng, desk.before[row].shape)
        if pieces is None:
            desk.done.discard(row)
            continue
        first = [desk.before[row].key, desk.new_key(), None][desk.rng.integers(3)]
        for number, piece in enumerate(pieces):
            desk.put(row, Change.SPLIT, "split", shape=piece, key=desk.new_key() if number else first)


def _pieces(rng: np.random.Generator, shape: Polygon) -> list[Polygon] | None:
    """Two or three, none under a fifth."""
    cut = shape
    parts = [cut]
    for _ in range(int(rng.integers(1, 3))):
        largest = max(parts, key=lambda part: part.area)
        halves = list(split(largest, _across(rng, largest)).geoms)
        if len(halves) == 2:
            parts = [part for part in parts if part is not largest] + halves
    shares = [part.area / shape.area for part in parts]
    return parts if len(parts) > 1 and min(shares) > 0.2 else None


def _across(rng: np.random.Generator, shape: Polygon, low: float = 0.3, high: float = 0.7) -> LineString:
    """A line across the longer side of the smallest rectangle around it."""
    corners = np.array(shapely.minimum_rotated_rectangle(shape).exterior.coords)[:4]
    long = corners[1] - corners[0], corners[2] - corners[1]
    axis, cross = long if np.hypot(*long[0]) > np.hypot(*long[1]) else long[::-1]
    middle = corners.mean(axis=0) + (rng.uniform(low, high) - 0.5) * axis
    return LineString([middle - cross, middle + cross])


def _cut(desk: Desk) -> None:
    for row in desk.draw(desk.script.cut):
        shape = desk.before[row].shape
        parts = list(split(shape, _across(desk.rng, shape, 0.12, 0.3)).geoms)
        left = max(parts, key=lambda part: part.area)
        if len(parts) != 2 or not 0.68 < left.area / shape.area < 0.95:
            desk.done.discard(row)
            continue
        desk.put(row, Change.RESHAPED, "cut", shape=left)


def _extend(desk: Desk) -> None:
    for row in desk.draw(desk.script.extended):
        shape = _annexed(desk.rng, desk.before[row].shape)
        if shape is None or _meets(desk, row, shape):
            desk.done.discard(row)
            continue
        height = desk.before[row].height + (3.0 if desk.rng.random() < 0.2 else 0.0)
        desk.put(row, Change.RESHAPED, "extended", shape=shape, height=height)


def _annexed(rng: np.random.Generator, shape: Polygon) -> Polygon | None:
    """With an annex along a part of one wall: the same walls otherwise, up to half as much again."""
    corners = np.array(shapely.orient_polygons(shape).exterior.coords)
    walls = np.hypot(*np.diff(corners, axis=0).T)
    start = int(rng.choice(np.flatnonzero(walls >= min(3.0, walls.max()))))
    a, b = corners[start], corners[start + 1]
    out = np.array([b[1] - a[1], a[0] - b[0]]) / walls[start] * rng.uniform(1.0, 4.0)
    a, b = a + rng.uniform(0, 0.3) * (b - a), b - rng.uniform(0, 0.3) * (b - a)
    inner = -0.01 * out
    larger = shapely.union(shape, Polygon([a + inner, a + out, b + out, b + inner]))
    if larger.geom_type != "Polygon" or not 1.04 < larger.area / shape.area < 1.5:
        return None
    return larger


def _meets(desk: Desk, row: int, shape: Polygon) -> bool:
    """Whether a new outline would lie on a neighbour's."""
    ground = shapely.difference(shape, desk.before[row].shape)
    return _crowded(desk, ground, {row})


def _crowded(desk: Desk, shape: Polygon, own: set[int]) -> bool:
    there = [row for row in desk.tree.query(shape).tolist() if row not in own]
    if any(desk.before[row].shape.intersection(shape).area > 0.3 for row in there):
        return True
    return any(one.edit in ("new", "reused", "extended") and one.shape.intersects(shape) for one in desk.made)


def _rebuild(desk: Desk) -> None:
    for row in desk.draw(desk.script.rebuilt):
        old = desk.before[row]
        shape = _other_house(desk, row)
        if shape is None:
            desk.done.discard(row)
            continue
        height = old.height * desk.rng.uniform(1.1, 4.0)
        storeys = float(np.round(height / 3))
        key = [desk.new_key(), desk.new_key(), desk.new_key(), None, old.key][desk.rng.integers(5)]
        text = json.dumps({"use": int(desk.rng.integers(9)), "built": 2026})
        desk.put(row, Change.REPLACED, "rebuilt", shape=shape, height=height, storeys=storeys, key=key, text=text)


def _other_house(desk: Desk, row: int) -> Polygon | None:
    """On the same plot, turned and of other size; where neighbours stand wall to wall, of other depth and set back."""
    rng, old = desk.rng, desk.before[row].shape
    for _ in range(8):
        if row in desk.near:
            front, back = rng.uniform(-3.5, 3.5, 2)
            shape = _deeper(old, front, back)
        else:
            x, y = np.array(old.centroid.coords[0]) + rng.uniform(-3, 3, 2)
            width, depth = rng.uniform(6, 16, 2)
            shape = affinity.rotate(box(x - width, y - depth, x + width, y + depth), rng.uniform(0, 90))
            shape = affinity.scale(shape, 0.5, 0.5)
        overlap = shape.intersection(old).area / shape.union(old).area
        if 0.15 < overlap < 0.7 and not _crowded(desk, shape.difference(old), {row}):
            return shape
    return None


def _deeper(old: Polygon, front: float, back: float) -> Polygon:
    """Between the same party walls, the front and back walls moved."""
    corners = np.array(shapely.minimum_rotated_rectangle(old).exterior.coords)[:4]
    long = (corners[1] - corners[0], corners[2] - corners[1])
    along = int(np.hypot(*long[1]) > np.hypot(*long[0]))
    a, b, c, d = np.roll(corners, -along, axis=0)
    unit = (b - a) / np.hypot(*(b - a))
    return Polygon([a + front * unit, b + back * unit, c + back * unit, d + front * unit]).buffer(0)


def _remove(desk: Desk) -> None:
    desk.draw(desk.script.gone)


def _add(desk: Desk) -> None:
    for _ in range(round(len(desk.before) * desk.script.new / 100)):
        shape = _somewhere(desk)
        desk.made.append(replace(_thing(desk.rng, shape, 0), key=desk.new_key(), change=Change.NEW, edit="new"))


def _somewhere(desk: Desk) -> Polygon:
    """A house where nothing stands, beside one that does."""
    while True:
        beside = desk.before[int(desk.rng.integers(len(desk.before)))].shape.centroid
        x, y = np.array(beside.coords[0]) + desk.rng.uniform(-40, 40, 2)
        width, depth = desk.rng.uniform(4, 12, 2)
        shape = affinity.rotate(box(x, y, x + width, y + depth), desk.rng.uniform(0, 90))
        if not _crowded(desk, shape.buffer(0.5), set()):
            return shape


def _reuse(desk: Desk) -> None:
    """The key of one that is gone stands for a new one elsewhere."""
    for row in desk.draw(desk.script.reused):
        thing = _thing(desk.rng, _somewhere(desk), 0)
        desk.made.append(replace(thing, key=desk.before[row].key, change=Change.NEW, edit="reused"))


def _swap(desk: Desk) -> None:
    rows = desk.draw(desk.script.swapped)
    for row, other in zip(rows, np.roll(rows, 1).tolist(), strict=True):
        desk.put(row, Change.UNCHANGED, "swapped", key=desk.before[other].key)


def _move(desk: Desk) -> None:
    for row in desk.draw(desk.script.moved, lambda row: row not in desk.near):
        angle, far = desk.rng.uniform(0, 2 * np.pi), desk.rng.uniform(0.3, 1.0)
        shape = affinity.translate(desk.before[row].shape, far * np.cos(angle), far * np.sin(angle))
        desk.put(row, Change.MOVED, "moved", shape=shape)


def _describe(desk: Desk) -> None:
    for row in desk.draw(desk.script.attributes):
        old = desk.before[row]
        values = [{"text": json.dumps({"use": 10})}, {"height": old.height + 3.0}, {"storeys": old.storeys + 1}]
        kind = 0 if np.isnan(old.storeys) or np.isnan(old.height) else int(desk.rng.integers(3))
        desk.put(row, Change.ATTRIBUTES_CHANGED, "attributes", **values[kind])


def _redraw(desk: Desk) -> None:
    """Corners listed from another start, and one more on a straight wall."""
    for row in desk.draw(desk.script.redrawn):
        corners = np.array(desk.before[row].shape.exterior.coords)[:-1]
        corners = np.roll(corners, int(desk.rng.integers(1, len(corners))), axis=0)
        extra = corners[0] + 0.4 * (corners[1] - corners[0])
        desk.put(row, Change.UNCHANGED, "redrawn", shape=Polygon([corners[0], extra, *corners[1:]]))


EDITS = (_merge, _split, _rebuild, _extend, _cut, _remove, _reuse, _add, _move, _swap, _redraw, _describe)


def _lose_keys(desk: Desk) -> list[Thing]:
    """Keys lost and renumbered, whatever else happened to the entity."""

    def fate(thing: Thing) -> Thing:
        chance = desk.rng.random() * 100
        if thing.edit in ("reused", "swapped") or not thing.origin or thing.change in (Change.SPLIT, Change.REPLACED):
            return thing
        if chance < desk.script.key_lost:
            return replace(thing, key=None, edit=f"{thing.edit}, key lost")
        if chance < desk.script.key_lost + desk.script.key_renumbered:
            return replace(thing, key=desk.new_key(), edit=f"{thing.edit}, renumbered")
        return thing

    return [fate(thing) for thing in desk.made]


def _shift_sheets(desk: Desk, things: list[Thing]) -> list[Thing]:
    """Some map sheets lie up to 1 m elsewhere than before, with all that is on them."""
    shifts: dict[tuple[int, int], tuple[float, float]] = {}

    def place(thing: Thing) -> Thing:
        # the sheet of what was there: a common wall lies on one sheet
        standing = desk.before[thing.origin[0]].shape if thing.origin else thing.shape
        sheet = tuple(int(value // desk.script.sheet_m) for value in standing.centroid.coords[0])
        if sheet not in shifts:
            angle, far = desk.rng.uniform(0, 2 * np.pi), desk.rng.uniform(0.2, 1.0)
            far *= desk.rng.random() < desk.script.sheets_shifted
            shifts[sheet] = (far * np.cos(angle), far * np.sin(angle))
        east, north = shifts[sheet]
        if east == north == 0.0 or thing.edit.startswith("moved"):
            return thing
        same = thing.change in (Change.UNCHANGED, Change.ATTRIBUTES_CHANGED)
        return replace(
            thing,
            shape=affinity.translate(thing.shape, east, north),
            change=Change.MOVED if same else thing.change,
            edit=f"{thing.edit}, sheet shifted",
        )

    return [place(thing) for thing in things]


# --- truth ------------------------------------------------------------------------------------------------------


def _truth(first: list[Thing], things: list[Thing]) -> Truth:
    change = [Change.GONE] * len(first)
    partners: list[set[int]] = [set() for _ in first]
    edit = ["gone"] * len(first)
    for row, thing in enumerate(things):
        for origin in thing.origin:
            change[origin], edit[origin] = thing.change, thing.edit
            partners[origin].add(row)
    return Truth(
        tuple((thing.change, frozenset(thing.origin)) for thing in things),
        tuple((kind, frozenset(rows)) for kind, rows in zip(change, partners, strict=True)),
        tuple(thing.edit for thing in things),
        tuple(edit),
    )


def answers(side: Verdicts, own: np.ndarray, other: np.ndarray) -> list[tuple[Change, frozenset[int]]]:
    """What a comparison says of one side, in the form of the truth."""
    steps: dict[int, set[int]] = {}
    for a, b in zip(own.tolist(), other.tolist(), strict=True):
        steps.setdefault(a, set()).add(b)
    kept = side.kept().tolist()
    return [
        (Change(label), frozenset({partner} if kept[row] else steps.get(row, ())))
        for row, (label, partner) in enumerate(zip(side.labels().to_pylist(), side.partner.tolist(), strict=True))
    ]


@dataclass(frozen=True)
class Marks:
    """How well a comparison did; a row is right if its class and all its partners are."""

    cases: int
    right: int
    doubtful: int
    silent: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.right / max(self.cases, 1)


def mark(editions: Editions, found: Changes, edited_only: bool = True) -> Marks:
    """Compares what was found with the truth, over the rows of both editions that the script touched, or over all."""
    truth = editions.truth
    said = [
        *answers(found.after, found.step_after, found.step_before),
        *answers(found.before, found.step_before, found.step_after),
    ]
    known = [*truth.after, *truth.before]
    edits = [*truth.edit_after, *truth.edit_before]
    doubt = [*found.after.doubtful.tolist(), *found.before.doubtful.tolist()]
    why = [*found.after.reasons().to_pylist(), *found.before.reasons().to_pylist()]
    rows = [row for row in range(len(known)) if not edited_only or edits[row] != "none"]
    wrong = [row for row in rows if said[row] != known[row]]
    tell = partial(_tell, said, known, edits, why)
    return Marks(
        len(rows),
        len(rows) - len(wrong),
        sum(doubt[row] for row in rows),
        tuple(tell(row) for row in wrong if not doubt[row]),
        tuple(tell(row) for row in wrong),
    )


def _tell(said: list, known: list, edits: list[str], why: list[str], row: int) -> str:
    (truth, partners), (answer, found) = known[row], said[row]
    return f"row {row} ({edits[row]}): {truth} {sorted(partners)}, but {answer} {sorted(found)} by {why[row]}"
