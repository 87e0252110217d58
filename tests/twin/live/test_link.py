"""A report is tied to what it names, else to what its address or position means, and says how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.live.link_district import SCALE, Thing, index_of, kinds, linker, random_things, report
from twin.entity.areas import AREAS
from twin.entity.index import EntityIndex
from twin.live.link import LEAST, Linker
from twin.live.link_position import HEIGHT_DOUBT_M, MOST_REACH_M, UNSTATED_REACH_M
from twin.live.model import METHODS, Link, Place, Report
from twin.live.sensors import Sensor

HALL = Thing("H-1", (0, 0, 20, 20), address="仙霞路123号", aliases=("ref:70", "post:200050"))
SHOP = Thing("S-2", (40, 0, 60, 20), address="仙霞路125号", aliases=("post:200050",), name="天山百货")
TWIN_A = Thing("A", (100, 0, 110, 10), address="天山路8号")
TWIN_B = Thing("B", (130, 0, 140, 10), address="天山路8号")
LAMP = Thing("L", (24, 10, 25, 11), entity_class="Lamp", layer="lamps", base=10.0, height=8.0)
AREA = Thing("Z", (-500, -500, 500, 500), "AdministrativeArea", "areas", "天山路街道", level="subdistrict", base=None)
CITY = Thing("C", (-900, -900, 900, 900), "AdministrativeArea", "areas", "长宁区", level="district", base=None)
FLAT = Thing("F", (0, 0, 10, 20), entity_class="BuildingPart", parent="H-1", address="仙霞路123号")
DISTRICT = (HALL, SHOP, TWIN_A, TWIN_B, LAMP, AREA, CITY)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> EntityIndex:
    return index_of(tmp_path_factory.mktemp("link") / "e.arrow", DISTRICT)


def one(linked: Linker, asked: Report) -> Link:
    (link,) = linked.link([asked])
    return link


def test_each_way_comes_before_those_that_are_less_sure(index: EntityIndex) -> None:
    sensors = [Sensor("wl-1", geid=SHOP.geid)]
    linked = linker(index, sensors=sensors, learnt={"老百货": TWIN_A.geid})
    ways: dict[str, tuple[Any, Thing]] = {
        "geid": (HALL.geid.upper().replace("-", " "), HALL),
        "code": ("REF:70", HALL),
        "sensor": ("ＷＬ-1", SHOP),
        "address": ("老百货", TWIN_A),
    }
    names = ["geid", "alias", "sensor", "learnt"]
    said: dict[str, Any] = {}
    for (way, (text, meant)), method in reversed([*zip(ways.items(), names, strict=True)]):
        said[way] = text  # one surer way more each time
        link = one(linked, report(x=135.0, y=5.0, **said))
        assert (link.method, link.geid) == (method, meant.geid)
        assert link.distance_m is None, "no position decided"
        assert (link.lon, link.lat) == (135.0 / SCALE, 5.0 / SCALE), "it stays where the source says it is"
    confidence = [one(linked, report(**{way: text})).confidence for way, (text, _) in ways.items()]
    assert confidence == sorted(confidence, reverse=True)
    assert confidence[0] == 1.0
    assert one(linked, report(address="仙霞路125号", x=10.0, y=10.0)).method == "address"
    assert one(linked, report(x=10.0, y=10.0)).method == "contains"
    assert one(linked, report(x=26.0, y=-4.0)).method == "near"


@pytest.mark.parametrize("text", ["7k3m-z9q2-4hdx-p1w8", "x" * 500, "nothing", "REF:", ":", "\ud800", "ref:7"])
def test_a_name_nobody_knows_leaves_the_word_to_the_next_way(index: EntityIndex, text: str) -> None:
    link = one(linker(index), report(geid=text, code=text, sensor=text, x=50.0, y=10.0))
    assert (link.geid, link.method) == (SHOP.geid, "contains")
    assert one(linker(index), report(geid=text, code=text, sensor=text, address=text)) == Link()


def test_a_code_is_looked_up_in_the_index_by_scheme_key_and_bare_value_and_then_in_the_registry(
    index: EntityIndex,
) -> None:
    linked = linker(index, codes={"old:1": TWIN_B.geid, "x": "no such"})
    for text in ("ref:70", "REF:７0", "70", "s:H-1", "H-1"):
        link = one(linked, report(code=text))
        assert (link.geid, link.method, link.confidence) == (HALL.geid, "alias", 0.98)
    assert one(linked, report(code="old:1")).geid == TWIN_B.geid
    assert one(linked, report(code="x")).geid is None


def test_where_two_bear_a_code_the_position_decides_or_what_people_said(index: EntityIndex) -> None:
    half = one(linker(index), report(code="post:200050"))
    assert half.method == "alias"
    assert half.confidence == 0.49
    for at, meant in ((10.0, HALL), (52.0, SHOP)):
        link = one(linker(index), report(code="post:200050", x=at, y=5.0))
        assert (link.geid, link.distance_m) == (meant.geid, 0.0)
        assert 0.9 < link.confidence < 0.98
    taught = one(linker(index, learnt={"POST:200050": SHOP.geid}), report(code="post:200050"))
    assert (taught.geid, taught.method) == (SHOP.geid, "learnt")


def test_what_is_gone_is_linked_to_what_stands_there_today_with_less_confidence(index: EntityIndex) -> None:
    gone = Thing("gone").geid
    single = linker(index, after={gone: [SHOP.geid]}, codes={"old:9": gone})
    link = one(single, report(geid=gone))
    assert (link.geid, link.method, link.confidence) == (SHOP.geid, "geid", 0.8)
    assert one(single, report(code="old:9")).confidence == pytest.approx(0.98 * 0.8, abs=1e-3)
    split = linker(index, after={gone: [TWIN_A.geid, TWIN_B.geid]})
    assert one(split, report(geid=gone)).confidence == 0.4
    link = one(split, report(geid=gone, x=135.0, y=5.0))
    assert (link.geid, link.distance_m) == (TWIN_B.geid, 0.0)
    assert link.confidence > 0.75
    many = linker(index, after={gone: [one.geid for one in (HALL, SHOP, TWIN_A)]})
    assert one(many, report(geid=gone)).geid is None, "a third each is a guess"


def test_two_houses_with_one_address_share_the_confidence_until_a_position_tells_them_apart(index: EntityIndex) -> None:
    unsure = one(linker(index), report(address="天山路8号"))
    assert unsure.confidence == pytest.approx(0.95 / 2, abs=1e-3)
    assert unsure.distance_m is None
    for x, meant in ((104.0, TWIN_A), (136.0, TWIN_B)):
        link = one(linker(index), report(address="天山路8号", x=x, y=12.0, accuracy_m=10.0))
        assert link.geid == meant.geid
        assert link.confidence > 0.9


def test_what_too_many_share_stays_unlinked_and_is_drawn_in_their_middle(tmp_path: Path) -> None:
    row = [Thing(str(i), (i * 30.0, 0, i * 30.0 + 10, 10), address="天山路8号") for i in range(4)]
    link = one(linker(index_of(tmp_path / "e.arrow", row)), report(address="天山路8号"))
    assert (link.geid, link.method, link.confidence) == (None, "none", 0.0)
    assert link.lon == pytest.approx(50 / SCALE)
    assert link.lat == pytest.approx(5 / SCALE)
    far = [Thing(str(i), (i * 9000.0, 0, i * 9000.0 + 10, 10), address="天山路8号") for i in range(4)]
    assert one(linker(index_of(tmp_path / "f.arrow", far)), report(address="天山路8号")) == Link()


def test_parts_of_a_house_leave_its_address_to_the_house_and_its_inside_to_the_part(tmp_path: Path) -> None:
    index = index_of(tmp_path / "e.arrow", [HALL, FLAT])
    link = one(linker(index), report(address="仙霞路123号"))
    assert (link.geid, link.confidence) == (HALL.geid, 0.95)
    link = one(linker(index), report(x=5.0, y=5.0))
    assert (link.geid, link.confidence) == (FLAT.geid, 0.95), "the house around it is no rival"


def test_address_and_position_that_agree_are_surer_than_either_and_the_surer_wins_where_they_do_not(
    index: EntityIndex,
) -> None:
    linked = linker(index)
    address, position = one(linked, report(address="仙霞路123号")), one(linked, report(x=10.0, y=10.0))
    both = one(linked, report(address="仙霞路123号", x=10.0, y=10.0))
    assert both.geid == address.geid == position.geid == HALL.geid
    assert both.confidence > max(address.confidence, position.confidence)
    vague = one(linked, report(address="仙霞路123号", x=52.0, y=25.0, accuracy_m=90.0))
    assert (vague.geid, vague.method) == (HALL.geid, "address"), "a vague position does not overrule an address"
    assert vague.distance_m == pytest.approx(np.hypot(32, 5), abs=1e-3)
    contradicted = one(linked, report(address="仙霞路123号", x=400.0, y=400.0))
    assert contradicted.geid == HALL.geid
    assert contradicted.confidence == pytest.approx(0.95 * 0.6, abs=1e-3)
    strong = one(linked, report(address="仙霞路123号", x=135.0 + 260, y=5.0))
    assert strong.confidence == contradicted.confidence
    guessed = one(linked, report(address="仙侠路125号", x=10.0, y=10.0))
    assert (guessed.geid, guessed.method) == (HALL.geid, "contains"), "a misspelt street is less sure than a position"
    assert one(linked, report(address="仙霞路")).geid is None, "a street is no house"
    assert one(linked, report(address="仙侠路125号")).geid is None, "alone, it may be a street of another district"
    helped = one(linked, report(address="仙侠路125号", x=30.0, y=60.0))
    assert (helped.geid, helped.method) == (SHOP.geid, "address"), "near by, it is not"


def test_areas_count_only_for_kinds_that_prefer_them_and_the_finest_comes_first(index: EntityIndex) -> None:
    nowhere = report("hotline", x=300.0, y=300.0)
    link = one(linker(index), nowhere)
    assert (link.geid, link.method) == (None, "none")
    assert (link.lon, link.lat) == (300 / SCALE, 300 / SCALE), "it stays on the map"
    for words, meant in (
        (["subdistrict"], AREA),
        (["AdministrativeArea"], AREA),
        (["areas"], AREA),
        (["district"], CITY),
        (["district", "subdistrict"], CITY),
    ):
        link = one(linker(index, known=kinds(hotline=words)), nowhere)
        assert (link.geid, link.method, link.distance_m) == (meant.geid, "contains", 0.0), words
        assert link.confidence == 0.95, "areas lie in each other: they are no rivals"
    after_houses = linker(index, known=kinds(hotline=["buildings", "subdistrict"]))
    assert one(after_houses, report("hotline", x=10.0, y=10.0)).geid == HALL.geid
    assert one(after_houses, nowhere).geid == AREA.geid
    assert one(after_houses, report("hotline", x=505.0, y=0.0)).geid is None, "nobody is near a subdistrict"
    assert one(linker(index), report("hotline", address="天山路街道")).geid is None
    assert one(after_houses, report("hotline", address="天山路街道")).geid == AREA.geid
    assert one(linker(index), report("hotline", address="天山路街道天山路8号", x=104.0, y=5.0)).geid == TWIN_A.geid


def test_a_kind_takes_what_it_prefers_although_something_else_holds_the_position(index: EntityIndex) -> None:
    inside = report("maintenance", x=18.0, y=10.5)
    assert one(linker(index), inside).geid == HALL.geid
    for words in (["Lamp"], ["lamps", "buildings"]):
        link = one(linker(index, known=kinds(maintenance=words)), inside)
        assert (link.geid, link.method, link.distance_m) == (LAMP.geid, "near", 6.0)
    only = linker(index, known=kinds(maintenance=["Lamp", "only"]))
    assert one(only, inside).geid == LAMP.geid
    assert one(only, report("maintenance", x=50.0, y=10.0)).geid is None


@pytest.mark.parametrize("kind", ["position", "patrol"])
def test_what_moves_is_tied_to_nothing_by_its_position_but_to_what_it_names(index: EntityIndex, kind: str) -> None:
    link = one(linker(index), report(kind, x=10.0, y=10.0))
    assert link == Link(lon=10 / SCALE, lat=10 / SCALE)
    assert one(linker(index), report(kind, x=10.0, y=10.0, code="ref:70")).geid == HALL.geid


def test_accuracy_is_how_far_is_looked_and_who_is_a_rival(index: EntityIndex) -> None:
    linked = linker(index)
    assert one(linked, report(x=-UNSTATED_REACH_M, y=10.0)).geid == HALL.geid
    assert one(linked, report(x=-UNSTATED_REACH_M - 0.1, y=10.0)).geid is None
    assert one(linked, report(x=-8.0, y=10.0, accuracy_m=7.0)).geid is None
    assert one(linked, report(x=-MOST_REACH_M + 1, y=10.0, accuracy_m=5000.0)).geid == HALL.geid
    assert one(linked, report(x=-MOST_REACH_M - 1, y=10.0, accuracy_m=5000.0)).geid is None
    sure = one(linked, report(x=58.0, y=10.0, accuracy_m=2.0))
    vague = one(linked, report(x=58.0, y=10.0, accuracy_m=60.0))
    assert sure.geid == vague.geid == SHOP.geid
    assert sure.confidence == 0.95
    assert vague.confidence < 0.6 < sure.confidence
    near = [one(linked, report(x=-away, y=10.0, accuracy_m=20.0)).confidence for away in (0.5, 5.0, 15.0)]
    assert near == sorted(near, reverse=True)


def test_heights_tell_things_apart_that_stand_over_each_other(tmp_path: Path) -> None:
    low = Thing("low", (0, 0, 20, 20), base=10.0, height=5.0)
    deck = Thing("deck", (0, 0, 20, 21), base=18.0, height=4.0)
    linked = linker(index_of(tmp_path / "e.arrow", [low, deck]))
    flat = one(linked, report(x=10.0, y=10.0))
    assert flat.confidence == 0.95 / 2, "in plan it may be either"
    for h, meant in ((12.0, low), (20.0, deck)):
        link = one(linked, report(x=10.0, y=10.0, h=h, accuracy_m=1.0))
        assert (link.geid, link.confidence, link.h) == (meant.geid, 0.95, h)
    doubted = one(linked, report(x=10.0, y=10.0, h=22.0 + HEIGHT_DOUBT_M - 1))
    assert (doubted.geid, doubted.confidence) == (deck.geid, 0.475), "heights above the sea are taken for what they are"
    assert one(linked, report(x=10.0, y=10.0, h=22.0 + HEIGHT_DOUBT_M + 1)).geid is None, "that flies"


def test_sensors_are_linked_by_identifier_code_or_the_place_they_hang_at(index: EntityIndex) -> None:
    sensors = [
        Sensor("a", geid=HALL.geid),
        Sensor("b", code="ref:70"),
        Sensor("c", lon=50 / SCALE, lat=10 / SCALE, h=14.0),
        Sensor("d", lon=300 / SCALE, lat=300 / SCALE),
        Sensor("e", geid="no such", lon=50 / SCALE, lat=10 / SCALE),
    ]
    linked = linker(index, sensors=sensors)
    for name, meant in (("a", HALL), ("b", HALL), ("c", SHOP), ("e", SHOP)):
        link = one(linked, report("observation", sensor=name))
        assert (link.geid, link.method) == (meant.geid, "sensor"), name
        assert link.confidence >= 0.9
    assert one(linked, report("observation", sensor="c")).h == 14.0
    assert one(linked, report("observation", sensor="d")) == Link(lon=300 / SCALE, lat=300 / SCALE)
    given = one(linked, report("observation", sensor="c", x=10.0, y=10.0))
    assert (given.geid, given.method) == (HALL.geid, "contains"), "a reading that says where it was taken is believed"


def test_a_link_without_a_position_is_drawn_on_top_of_its_entity(index: EntityIndex) -> None:
    link = one(linker(index), report(geid=HALL.geid))
    assert (link.lon, link.lat, link.h) == (10 / SCALE, 10 / SCALE, 30.0)
    area = one(linker(index), report(geid=AREA.geid))
    assert (area.lon, area.lat, area.h) == (0.0, 0.0, None)


def test_what_is_learnt_counts_at_once_in_any_spelling_and_is_forgotten_when_it_is_taken_back(
    index: EntityIndex,
) -> None:
    linked = linker(index)
    asked = report(address="ｏｌｄ  Market 北门")
    assert one(linked, asked).geid is None
    linked.learn("Old Market北门", SHOP.geid)
    assert one(linked, asked) == Link(SHOP.geid, "learnt", 0.9, None, 50 / SCALE, 10 / SCALE, 30.0)
    linked.learn("old market 北门", TWIN_A.geid)
    assert one(linked, asked).geid == TWIN_A.geid, "the last word counts"
    linked.relearn({})
    assert one(linked, asked).geid is None
    assert one(linker(index, learnt={"old market 北门": "no such"}), asked).geid is None


def test_an_index_that_cannot_project_still_links_by_name_and_address(tmp_path: Path) -> None:
    linked = linker(index_of(tmp_path / "e.arrow", DISTRICT, placed=False))
    assert one(linked, report(x=10.0, y=10.0)) == Link(lon=10 / SCALE, lat=10 / SCALE)
    assert one(linked, report(x=10.0, y=10.0, code="ref:70")).geid == HALL.geid
    assert one(linked, report(address="仙霞路125号")).geid == SHOP.geid


def test_entities_without_footprint_or_an_empty_index_are_no_trouble(tmp_path: Path) -> None:
    bare = index_of(tmp_path / "bare.arrow", [Thing("n", None, address="天山路8号", base=None, height=None)])
    link = one(linker(bare), report(address="天山路8号", x=10.0, y=10.0))
    assert link.geid == Thing("n").geid
    assert (link.distance_m, link.lon) == (None, 10 / SCALE)
    assert one(linker(bare), report(address="天山路8号")) == Link(link.geid, "address", 0.95)
    empty = linker(index_of(tmp_path / "empty.arrow", []))
    assert empty.link([]) == []
    assert one(empty, report(address="天山路8号", geid=HALL.geid, code="x", x=1.0, y=1.0)).geid is None


@pytest.mark.parametrize("lonlat", [(np.nan, 1.0), (500.0, 1.0), (1.0, np.inf), (None, 1.0), (1.0, None)])
def test_half_a_position_or_one_off_the_globe_is_none(
    index: EntityIndex, lonlat: tuple[float | None, float | None]
) -> None:
    place = Place(lon=lonlat[0], lat=lonlat[1], address="仙霞路125号")
    link = one(linker(index), Report("s", "1", "1", "alarm", "created", "low", "t", 0, place=place))
    assert (link.geid, link.method, link.lon) == (SHOP.geid, "address", 50 / SCALE)


def expected(index: EntityIndex, things: list[Thing], asked: Report, prefer: list[str]) -> str | None:
    """What a position means, worked out one entity after the other with shapely."""
    place = asked.place
    assert place.lon is not None
    assert place.lat is not None
    point = shapely.Point(place.lon * SCALE, place.lat * SCALE)
    reach = UNSTATED_REACH_M if place.accuracy_m is None else min(max(place.accuracy_m, 1.0), MOST_REACH_M)
    found = []
    for thing in things:
        is_area = thing.entity_class in AREAS
        words = {thing.layer, thing.entity_class, thing.level if is_area else None}
        named = [at for at, word in enumerate(prefer) if word in words]
        if thing.box is None or (not named and (is_area or "only" in prefer)):
            continue
        shape = shapely.box(*thing.box)
        away, gap = shapely.distance(shape, point), 0.0
        if place.h is not None and thing.base is not None:
            gap = max(thing.base - place.h, place.h - thing.base - (thing.height or 0.0), 0.0)
        if away <= (0.0 if is_area else reach) and gap <= HEIGHT_DOUBT_M:
            rank = named[0] if named else len(prefer)
            found.append((gap > reach + 1.0, rank, round(away, 6), round(shape.area, 6), index.find(thing.geid), thing))
    return min(found)[-1].geid if found else None


WORD = st.sampled_from(["buildings", "things", "Lamp", "Building", "areas", "subdistrict", "only"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(WORD, max_size=3))
def test_positions_mean_what_a_look_at_every_entity_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, words: list[str]
) -> None:
    rng = np.random.default_rng(seed)
    things = random_things(rng, 40)
    index = index_of(tmp_path_factory.mktemp("links") / "e.arrow", things)
    asked = [
        report(
            "alarm",
            *rng.uniform(-150, 150, 2).tolist(),
            h=None if rng.random() < 0.5 else float(rng.uniform(-60, 140)),
            accuracy_m=None if rng.random() < 0.4 else float(rng.choice([0.1, 4.0, 30.0, 90.0, 400.0])),
        )
        for _ in range(80)
    ]
    linked = linker(index, known=kinds(alarm=words), least=0.0)
    for one_report, link in zip(asked, linked.link(asked), strict=True):
        assert link.geid == expected(index, things, one_report, words)
        check(link, LEAST if link.geid is None else 0.0)


def check(link: Link, least: float) -> None:
    """What holds for every link."""
    assert link.method in METHODS
    assert (link.geid is None) == (link.method == "none") == (link.confidence == 0.0)
    assert link.geid is None or least <= link.confidence <= 1.0
    assert link.distance_m is None or 0.0 <= link.distance_m < 1e7
    assert (link.lon is None) == (link.lat is None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_report_is_linked_alike_alone_and_among_others_and_to_what_exists(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    index = index_of(tmp_path_factory.mktemp("links") / "e.arrow", DISTRICT)
    gone = Thing("gone").geid
    hanging, after = [Sensor("x", lon=50 / SCALE, lat=5 / SCALE)], {gone: [TWIN_A.geid, TWIN_B.geid]}
    choices: dict[str, list[object]] = {
        "geid": [None, None, HALL.geid, gone, "7k3m"],
        "code": [None, None, "ref:70", "post:200050", "zz"],
        "sensor": [None, None, "x", "y"],
        "address": [None, None, "天山路8号", "天山路9号", "天山百货", "仙侠路125号", "天山路街道"],
        "accuracy_m": [None, 3.0, 80.0],
    }
    asked = []
    for _ in range(60):
        place: dict[str, Any] = {key: values[int(rng.integers(len(values)))] for key, values in choices.items()}
        xy = rng.uniform(-50, 200, 2).tolist() if rng.random() < 0.6 else [None, None]
        asked.append(report(str(rng.choice(["hotline", "alarm", "patrol", "unheard_of"])), *xy, **place))
    together = linker(index, sensors=hanging, after=after).link(asked)
    alone = linker(index, sensors=hanging, after=after)
    assert together == [one(alone, each) for each in asked]
    assert together == linker(index, sensors=hanging, after=after).link(asked[::-1])[::-1]
    known = {thing.geid for thing in DISTRICT}
    for each, link in zip(asked, together, strict=True):
        check(link, LEAST)
        assert link.geid is None or link.geid in known
        assert each.place.lon is None or link.lon == pytest.approx(each.place.lon, abs=1e-9)
        assert each.place.lat is None or link.lat == pytest.approx(each.place.lat, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.floats(-30, 60), st.floats(-30, 60), st.sampled_from([None, 2.0, 20.0, 80.0]), st.floats(20, 60))
def test_another_house_near_by_never_makes_a_link_surer(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float, accuracy: float | None, at: float
) -> None:
    folder = tmp_path_factory.mktemp("rivals")
    alone = index_of(folder / "one.arrow", [HALL])
    beside = index_of(folder / "two.arrow", [HALL, Thing("new", (at, 0, at + 10, 20))])
    asked = report(x=x, y=y, accuracy_m=accuracy)
    before, after = one(linker(alone, least=0.0), asked), one(linker(beside, least=0.0), asked)
    assert after.geid != HALL.geid or after.confidence <= before.confidence
