"""What a comparison of two editions must hold, whatever is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from tests.twin.registry.edition_maker import Script, Thing, answers, make, surveyed, terraces, town
from twin.errors import MisuseError
from twin.registry.change import Change, ChangeRules, Changes, Surveyed, compare
from twin.registry.versions import Relation

SEEDS = st.integers(0, 2**32 - 1)
MAKERS = st.sampled_from([town, terraces])
HOUSE = box(0, 0, 10, 8)
USUAL = ChangeRules()
SMALL_SHEETS = Script(sheet_m=120.0)


def edited(maker, seed: int, count: int = 120, script: Script = SMALL_SHEETS):
    """A small pair of editions with many edits."""
    busy = replace(script, split=6, merged=6, rebuilt=6, gone=6, new=6, extended=6, reused=3, swapped=3)
    return make(maker(np.random.default_rng(seed), count), seed, busy)


def both_sides(found: Changes) -> list:
    return [
        *answers(found.after, found.step_after, found.step_before),
        *answers(found.before, found.step_before, found.step_after),
    ]


def one(before: list[Thing], after: list[Thing], rules: ChangeRules = USUAL) -> Changes:
    return compare(surveyed(before), surveyed(after), rules)


def house(shape: Polygon = HOUSE, key: str | None = "a", height: float = 6.0, text: str = "{}") -> Thing:
    return Thing(shape, key, height, text=text)


def moved(shape: Polygon, east: float, north: float = 0.0) -> Polygon:
    return shapely.affinity.translate(shape, east, north)


# --- properties -------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(MAKERS, SEEDS)
def test_an_edition_compared_with_itself_is_unchanged_in_every_row(maker, seed: int) -> None:
    edition = surveyed(maker(np.random.default_rng(seed), 150))
    found = compare(edition, edition)
    assert found.after.counts() == {"unchanged": len(edition)} == found.before.counts()
    assert found.after.partner.tolist() == list(range(len(edition)))
    assert not found.after.doubtful.any()
    assert not len(found.step_before)
    assert (found.after.score == 1.0).all()


@settings(max_examples=15, deadline=None)
@given(MAKERS, SEEDS, st.booleans())
def test_rows_in_another_order_are_classed_alike(maker, seed: int, keys: bool) -> None:
    editions = edited(maker, seed, script=Script(sheet_m=120.0, keys=keys))
    found = compare(editions.before, editions.after)
    rng = np.random.default_rng(seed)
    i, j = rng.permutation(len(editions.before)), rng.permutation(len(editions.after))
    again = compare(editions.before.take(i), editions.after.take(j))
    for name in ("change", "doubtful", "why", "attributes_differ"):
        assert np.array_equal(getattr(found.after, name)[j], getattr(again.after, name)), name
        assert np.array_equal(getattr(found.before, name)[i], getattr(again.before, name)), name
    assert np.allclose(found.after.score[j], again.after.score)
    steps = {(int(i[a]), relation, int(j[b])) for a, relation, b in again.steps()}
    assert steps == set(found.steps())
    kept = again.after.kept()
    assert np.array_equal(i[again.after.partner[kept]], found.after.partner[j][kept])


@settings(max_examples=25, deadline=None)
@given(MAKERS, SEEDS, st.booleans(), st.booleans())
def test_every_row_is_accounted_for_once(maker, seed: int, keys: bool, trust: bool) -> None:
    editions = edited(maker, seed, script=Script(sheet_m=120.0, keys=keys))
    found = compare(editions.before, editions.after, ChangeRules(trust_keys=trust))
    assert len(found.after) == len(editions.after)
    assert len(found.before) == len(editions.before)
    assert sum(found.after.counts().values()) == len(editions.after)
    assert not found.after.is_(Change.GONE).any()
    assert not found.before.is_(Change.NEW).any()
    assert ((found.after.score >= 0) & (found.after.score <= 1)).all()
    # what goes on does so one to one, under one class on both sides
    kept = np.flatnonzero(found.after.kept())
    partner = found.after.partner[kept]
    assert len(set(partner.tolist())) == len(kept) == found.before.kept().sum()
    assert np.array_equal(found.before.partner[partner], kept)
    for name in ("change", "doubtful", "why"):
        assert np.array_equal(getattr(found.before, name)[partner], getattr(found.after, name)[kept])
    # new and gone have no partner, all others have one
    assert np.array_equal(found.after.partner < 0, found.after.is_(Change.NEW))
    assert np.array_equal(found.before.partner < 0, found.before.is_(Change.GONE))


@settings(max_examples=25, deadline=None)
@given(MAKERS, SEEDS)
def test_splits_and_merges_keep_their_members_together(maker, seed: int) -> None:
    editions = edited(maker, seed)
    found = compare(editions.before, editions.after)
    steps = list(found.steps())
    assert len(set(steps)) == len(steps)
    for side, own, change, relation in (
        (found.before, 0, Change.SPLIT, Relation.SPLIT_INTO),
        (found.after, 2, Change.MERGED, Relation.MERGED_INTO),
    ):
        members = [step[own] for step in steps if step[1] is relation]
        wholes, counts = np.unique(members, return_counts=True)
        assert (counts >= 2).all()
        assert np.array_equal(wholes, np.flatnonzero(side.is_(change)))
    for side, own, relation in (
        (found.after, 2, Relation.SPLIT_INTO),
        (found.before, 0, Relation.MERGED_INTO),
        (found.before, 0, Relation.REPLACED_BY),
        (found.after, 2, Relation.REPLACED_BY),
    ):
        members = sorted(step[own] for step in steps if step[1] is relation)
        change = {"split_into": Change.SPLIT, "merged_into": Change.MERGED, "replaced_by": Change.REPLACED}
        assert members == np.flatnonzero(side.is_(change[relation.value])).tolist()
    for a, _, b in steps:
        assert found.before.change[a] == found.after.change[b]


@settings(max_examples=15, deadline=None)
@given(MAKERS, SEEDS)
@example(town, 3_333_590_026)
def test_the_way_back_turns_new_into_gone_and_splits_into_merges(maker, seed: int) -> None:
    # The common shift is asked for where a row lies after; with none at all the two ways ask for the same.
    editions = edited(maker, seed, script=Script(sheets_shifted=0.0, jitter_m=0.0))
    there, back = compare(editions.before, editions.after), compare(editions.after, editions.before)
    mirror = {Change.NEW: Change.GONE, Change.SPLIT: Change.MERGED}
    mirror |= {other: change for change, other in mirror.items()}
    for side, other in ((there.after, back.before), (there.before, back.after)):
        assert [mirror.get(Change(one), Change(one)) for one in side.labels().to_pylist()] == other.labels().to_pylist()
        # A pair may be judged by another score on the way back (evidence is weighed where a row lies after).
        alike = np.isclose(side.score, other.score)
        assert np.array_equal(side.doubtful[alike], other.doubtful[alike])
    assert {(b, a) for a, _, b in there.steps()} == {(a, b) for a, _, b in back.steps()}


@settings(max_examples=15, deadline=None)
@given(MAKERS, SEEDS, st.booleans())
def test_a_script_of_edits_is_read_back_or_doubted(maker, seed: int, keys: bool) -> None:
    editions = edited(maker, seed, script=Script(sheet_m=120.0, keys=keys))
    found = compare(editions.before, editions.after)
    doubt = [*found.after.doubtful.tolist(), *found.before.doubtful.tolist()]
    for said, known, flagged in zip(
        both_sides(found), [*editions.truth.after, *editions.truth.before], doubt, strict=True
    ):
        assert said == known or flagged


# --- cases ------------------------------------------------------------------------------------------------------


def verdict(found: Changes, row: int = 0) -> tuple[str, str, bool]:
    side = found.after
    return side.labels()[row].as_py(), side.reasons()[row].as_py(), bool(side.doubtful[row])


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (house(), ("unchanged", "key_and_place", False)),
        (house(moved(HOUSE, 0.05, -0.05)), ("unchanged", "key_and_place", False)),
        (house(key=None), ("unchanged", "place", False)),
        (house(key="b"), ("unchanged", "renumbered", False)),
        (house(height=6.05), ("unchanged", "key_and_place", False)),
        (house(height=6.2), ("attributes_changed", "key_and_place", False)),
        (house(height=float("nan")), ("attributes_changed", "key_and_place", False)),
        (house(text='{"use": 1}'), ("attributes_changed", "key_and_place", False)),
        (house(moved(HOUSE, 0.2)), ("moved", "key_and_shape", False)),
        (house(moved(HOUSE, 1.0), key=None), ("moved", "shape_nearby", False)),
        (house(moved(HOUSE, 100.0)), ("moved", "key_only", True)),
        (house(moved(HOUSE, 8.0), key=None), ("new", "like_nearby", True)),
        (house(moved(HOUSE, 100.0), key=None), ("new", "nothing_there", False)),
        (house(box(100, 0, 104, 3)), ("new", "key_reused", False)),
        (house(box(0, 0, 12, 8)), ("reshaped", "key_and_overlap", False)),
        (house(box(0, 0, 12, 8), key=None), ("reshaped", "overlap", False)),
        (house(box(0, 0, 14, 8), key=None), ("reshaped", "overlap", True)),
        (house(box(3, 2, 16, 13), key="b", height=20.0), ("replaced", "other_outline", False)),
        (house(box(3, 2, 16, 13), height=20.0), ("replaced", "other_outline", True)),
        (house(key="b", height=20.0), ("replaced", "other_height", True)),
        (house(key=None, height=20.0), ("attributes_changed", "place", True)),
    ],
)
def test_one_house_becomes_another(after: Thing, expected: tuple[str, str, bool]) -> None:
    assert verdict(one([house()], [after])) == expected


def test_corners_listed_from_another_start_and_one_more_on_a_wall_change_nothing() -> None:
    redrawn = Polygon([(10, 8), (4, 8), (0, 8), (0, 0), (10, 0)])
    assert verdict(one([house()], [house(redrawn)])) == ("unchanged", "key_and_place", False)
    assert verdict(one([house()], [house(moved(redrawn, 0.6))])) == ("moved", "key_and_shape", False)


def test_a_courtyard_that_was_roofed_is_another_outline() -> None:
    ring = HOUSE.difference(box(4, 3, 6, 5))
    assert verdict(one([house(ring)], [house()]))[0] == "reshaped"
    assert verdict(one([house()], [house(ring)]))[0] == "reshaped"


def test_a_house_cut_in_two_leaves_lineage_even_if_one_piece_keeps_the_key() -> None:
    found = one([house()], [house(box(0, 0, 4, 8)), house(box(4, 0, 10, 8), key="b")])
    assert found.after.labels().to_pylist() == ["split", "split"]
    assert not found.after.doubtful.any()
    assert list(found.steps()) == [(0, Relation.SPLIT_INTO, 0), (0, Relation.SPLIT_INTO, 1)]
    assert found.before.partner.tolist() in ([0], [1])


def test_a_shed_cut_off_is_no_split() -> None:
    found = one([house()], [house(box(0, 0, 9.7, 8)), house(box(9.7, 0, 10, 8), key="b")])
    assert found.after.labels().to_pylist() == ["reshaped", "new"]


def test_storeys_drawn_on_each_other_are_no_pieces() -> None:
    storeys = [house(HOUSE, key=f"s{k}") for k in range(3)]
    found = one([house(box(0, 0, 10.5, 8))], storeys)
    assert not found.after.is_(Change.SPLIT).any()
    assert found.after.kept().sum() <= 1


def test_parts_on_each_other_are_told_apart_by_what_is_known_of_them() -> None:
    parts = [house(key=None, height=6.0), house(key=None, height=12.0), house(key=None, height=30.0)]
    found = one(parts, parts[::-1])
    assert found.after.counts() == {"unchanged": 3}
    assert found.after.partner.tolist() == [2, 1, 0]
    assert not found.after.doubtful.any()


def test_twins_that_nothing_tells_apart_are_doubtful() -> None:
    twins = [house(key=None)] * 2
    found = one(twins, twins)
    assert found.after.counts() == {"unchanged": 2}
    assert found.after.doubtful.all()


def test_a_key_that_stands_twice_is_no_key() -> None:
    pair = [house(key="a"), house(moved(HOUSE, 30), key="a")]
    found = one(pair, [house(moved(HOUSE, 30), key="a"), house(key="b")])
    assert found.after.labels().to_pylist() == ["unchanged", "unchanged"]
    assert found.after.partner.tolist() == [1, 0]


def test_a_terrace_of_narrow_garages_shifts_as_a_whole_without_keys() -> None:
    garages = [house(box(1.4 * k, 0, 1.4 * (k + 1), 6), key=None, height=3.0) for k in range(12)]
    others = [house(box(20 * k, 20, 20 * k + 9, 30 + k), key=f"h{k}") for k in range(5)]
    away = [replace(thing, shape=moved(thing.shape, 0.9)) for thing in [*garages, *others]]
    found = one([*garages, *others], away)
    assert found.after.counts() == {"moved": 17}
    wrong = found.after.partner != np.arange(17)
    assert not (wrong & ~found.after.doubtful).any()
    assert wrong.sum() == 0


def test_keys_that_are_not_trusted_prove_nothing_by_themselves() -> None:
    far = [house(moved(HOUSE, 100.0))]
    assert verdict(one([house()], far, ChangeRules(trust_keys=False)))[0] == "new"
    assert verdict(one([house()], [house()], ChangeRules(trust_keys=False))) == ("unchanged", "key_and_place", False)


def test_an_edition_may_be_empty() -> None:
    nothing = surveyed([house()]).take(np.empty(0, dtype=np.int64))
    full = surveyed([house(), house(moved(HOUSE, 30), key=None)])
    assert compare(nothing, full).after.counts() == {"new": 2}
    assert compare(full, nothing).before.counts() == {"gone": 2}
    assert compare(nothing, nothing).after.counts() == {}


def test_rows_without_a_polygon_are_known_by_their_keys_alone() -> None:
    bare = [Thing(None, "a", 6.0), Thing(None, None, 6.0), house(key="c")]
    found = one(bare, [Thing(None, "a", 7.0), house(moved(HOUSE, 50), key=None), Thing(None, "c", 6.0)])
    assert found.after.labels().to_pylist() == ["attributes_changed", "new", "reshaped"]
    assert found.after.doubtful.tolist() == [False, False, True]
    assert found.before.labels().to_pylist() == ["attributes_changed", "gone", "reshaped"]


def test_columns_of_unequal_length_are_refused() -> None:
    good = surveyed([house()])
    with pytest.raises(ValueError, match="differ in length"):
        Surveyed(pa.array(["a", "b"]), good.footprints, good.height_m, good.base_m, good.storeys, good.attributes)


@pytest.mark.parametrize(
    "wrong",
    [{"overlap_same": 1.2}, {"jitter_m": -1.0}, {"height_leap": 0.5}, {"shift_m": 0.01}, {"doubt": float("nan")}],
)
def test_limits_that_cannot_be_meant_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(MisuseError, match=next(iter(wrong))):
        ChangeRules(**wrong)
