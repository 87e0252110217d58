"""The promises of the tree: each feature once, errors fall, boxes nest, nothing depends on the order of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.tiles.types import Box
from twin.tiling.tree import Content, Extents, PlannedTile, finish, plan, root_box


def features(seed: int, n: int, equal: bool = False, one_place: bool = False) -> Extents:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-3000, 4000, (n, 2)) * (0 if one_place else 1)
    size = np.full(n, 17.0) if equal else rng.lognormal(3, 0.7, n)
    return Extents(centre, size, np.full(n, 100.0))


cases = st.builds(features, st.integers(0, 10**6), st.integers(1, 800), st.booleans(), st.booleans())


def contents(extents: Extents, root: PlannedTile) -> dict[tuple[int, int, int], Content]:
    found = {}
    for node in root.walk():
        if len(node.rows):
            half = extents.size[node.rows, None] / 2
            low, high = (extents.centre[node.rows] - half).min(0), (extents.centre[node.rows] + half).max(0)
            box = Box((*low.tolist(), 0.0), (*high.tolist(), float(half.max())))
            found[node.level, node.x, node.y] = Content(f"{node.level}/{node.x}/{node.y}", box)
    return found


@settings(deadline=None, max_examples=80)
@given(cases, st.floats(150, 20_000))
def test_every_feature_stands_in_exactly_one_tile(extents: Extents, budget: float) -> None:
    _, root = plan(extents, budget)
    held = np.concatenate([node.rows for node in root.walk()])
    assert sorted(held) == list(range(len(extents.weight)))


@settings(deadline=None, max_examples=80)
@given(cases, st.floats(150, 20_000))
def test_errors_fall_strictly_and_boxes_nest(extents: Extents, budget: float) -> None:
    square, planned = plan(extents, budget)
    root = finish(planned, contents(extents, planned))
    for node in root.walk():
        assert (node.geometric_error == 0) == (not node.children)
        for child in node.children:
            assert child.geometric_error < node.geometric_error
            assert node.box.contains(child.box)
    assert root_box(square, root).contains(root.box)


@settings(deadline=None, max_examples=80)
@given(cases, st.floats(150, 20_000))
def test_a_tile_keeps_to_its_budget(extents: Extents, budget: float) -> None:
    _, root = plan(extents, budget)
    assert all(100 * len(node.rows) <= max(100, budget * 1.25) for node in root.walk() if node.level < 24)


@settings(deadline=None, max_examples=40)
@given(cases, st.randoms())
def test_the_tree_does_not_depend_on_the_order_of_rows(extents: Extents, random: object) -> None:
    order = np.arange(len(extents.weight))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Extents(extents.centre[order], extents.size[order], extents.weight[order])
    if len(np.unique(np.column_stack([extents.centre, extents.size]), axis=0)) < len(order):
        return  # features that cannot be told apart: the caller orders them by id
    _, one = plan(extents, 2000)
    _, two = plan(shuffled, 2000)
    assert {(n.level, n.x, n.y): sorted(n.rows) for n in one.walk()} == {
        (n.level, n.x, n.y): sorted(order[n.rows]) for n in two.walk()
    }


def test_the_largest_features_are_seen_first() -> None:
    extents = features(7, 500)
    _, root = plan(extents, 2000)
    size = extents.size
    for node in root.walk():
        for child in node.children:
            for below in child.walk():
                assert size[node.rows].min() >= size[below.rows].max()
