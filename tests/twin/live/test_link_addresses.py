"""Addresses as callers and clerks write them lead to the right house, and those of another district to none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import data_samples
from data_samples.blocks import fill
from data_samples.plan import draw
from data_samples.survey import record
from tests.twin.live.address_forms import FORMS, numeral
from tests.twin.live.link_district import linker, report
from twin.entity import geid
from twin.entity.address_text import spelled
from twin.entity.index import EntityIndex
from twin.entity.index_schema import POLYGONS
from twin.live.link_text import readings
from twin.live.model import Link

HOUSES = 500
#: Streets of other districts of the same city, many of them a letter away from one of ours.
ELSEWHERE = (
    "南京西路 淮海中路 四川北路 陆家嘴环路 世纪大道 张杨路 漕溪北路 肇嘉浜路 衡山路 复兴中路 延安中路 西藏中路 福州路 "
    "北京西路 武宁路 曹杨路 宜山路 田林路 龙华路 沪闵路 长寿路 江宁路 胶州路 康定路 新闸路 兴国路 泰安路 天平路 天目路 "
    "天宝路 安福路 安亭路 新乐路 长阳路"
)


class Houses:
    """The sample district, surveyed: which house has which address and name."""

    def __init__(self, path: Path) -> None:
        plan = draw(310105)
        frame = record(plan, fill(plan, 310105, None), 310105).frame
        frame = frame[~frame.geometry.isna()].drop_duplicates("FWBH")
        self.geid = geid.mint("310105", [f"buildings/{key}" for key in frame["FWBH"]])
        self.address = frame["DZ"].tolist()
        self.name = [name if isinstance(name, str) else None for name in frame["MC"]]
        boxes = frame.geometry.bounds.to_numpy()
        rings = [[[[[w, s], [e, s], [e, n], [w, n], [w, s]]]] for w, s, e, n in boxes.tolist()]
        self.xy = (boxes[:, :2] + boxes[:, 2:]) / 2
        table = pa.table(
            {
                "geid": self.geid,
                "layer": ["buildings"] * len(frame),
                "entity_class": ["Building"] * len(frame),
                "name": pa.array(self.name, pa.string()),
                "address": self.address,
                "geometry": pa.array(rings, POLYGONS),
            }
        )
        EntityIndex.write(path, table)
        self.index = EntityIndex.open(path, to_xy=lambda lon, lat: (lon * 1e5, lat * 1e5))
        self.linker = linker(self.index)
        self.streets = {address[: address.index("路") + 1] for address in self.address if "路" in address}

    def alone(self, texts: list[str | None], seed: int) -> list[int]:
        """Some houses whose address or name no other house has."""
        count = Counter(texts)
        rows = [row for row, text in enumerate(texts) if text is not None and count[text] == 1]
        return [int(row) for row in np.random.default_rng(seed).choice(rows, HOUSES, replace=False)]

    def linked(self, texts: list[str]) -> list[Link]:
        """Links of address texts alone."""
        return self.linker.link([report("hotline", address=text) for text in texts])


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Houses:
    return Houses(tmp_path_factory.mktemp("houses") / "e.arrow")


@pytest.fixture(scope="module")
def subdistricts() -> list[str]:
    file = Path(data_samples.__file__).with_name("admin.json")
    return [street["zh"] for street in json.loads(file.read_text(encoding="utf-8"))["streets"]]


def test_messy_addresses_are_linked_right(
    houses: Houses, subdistricts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows, rng = houses.alone(houses.address, 1), np.random.default_rng(2)
    right, wrong = {}, {}
    for name, write in FORMS.items():
        texts = [write(houses.address[row], str(rng.choice(subdistricts)), rng) for row in rows]
        links = houses.linked(texts)
        right[name] = sum(link.geid == houses.geid[row] for link, row in zip(links, rows, strict=True)) / HOUSES
        wrong[name] = sum(link.geid not in {None, houses.geid[row]} for link, row in zip(links, rows, strict=True))
    total = sum(right.values()) / len(right)
    with capsys.disabled():
        print(f"\naddresses linked right: {total:.1%} of {HOUSES} houses in {len(right)} forms")
        print("\n".join(f"  {right[name]:6.1%} right, {wrong[name]} wrong: {name}" for name in right))
    assert total >= 0.95
    misspelt = "one letter of the street wrong"
    assert min(share for name, share in right.items() if name != misspelt) >= 0.99
    assert right[misspelt] >= 0.5
    assert sum(wrong.values()) <= 0.002 * HOUSES * len(FORMS), "an address that is not understood is left unlinked"


def test_a_misspelt_street_is_found_with_a_position_near_by(houses: Houses) -> None:
    rows, rng = houses.alone(houses.address, 3), np.random.default_rng(4)
    write = FORMS["one letter of the street wrong"]
    asked = []
    for row in rows:
        lon, lat = (houses.xy[row] + rng.normal(0, 25, 2)) / 1e5
        asked.append(report("hotline", address=write(houses.address[row], "", rng), lon=lon, lat=lat, accuracy_m=60.0))
    links = houses.linker.link(asked)
    assert sum(link.geid == houses.geid[row] for link, row in zip(links, rows, strict=True)) >= 0.85 * HOUSES


def test_streets_of_another_district_lead_to_no_house(houses: Houses) -> None:
    rng = np.random.default_rng(5)
    streets = [street for street in ELSEWHERE.split() if street not in houses.streets]
    assert len(streets) > 25
    numbers = [(street, int(rng.integers(1, 900)), int(rng.integers(1, 60))) for street in streets for _ in range(30)]
    texts = [f"{street}{no}弄{inner}号" if inner % 3 else f"{street}{no}号" for street, no, inner in numbers]
    assert sum(link.geid is not None for link in houses.linked(texts)) <= 0.01 * len(texts)


def test_names_are_found_by_block_and_without_door_and_story(houses: Houses) -> None:
    rows = [row for row in houses.alone(houses.name, 6) if not (houses.name[row] or "号").endswith(tuple("0123456789"))]
    ways = {
        "{name}": 1.0,
        "{name}1202室": 1.0,
        "市民反映长宁区{name}门口有积水": 0.98,
        "{name}3楼大厅内": 1.0,
        "上海市长宁区 {name}": 0.98,
    }
    for way, least in ways.items():
        links = houses.linked([way.format(name=houses.name[row]) for row in rows])
        assert sum(link.geid == houses.geid[row] for link, row in zip(links, rows, strict=True)) >= least * len(rows), (
            way
        )
    blocks = [row for row in rows if str(houses.name[row]).endswith("号楼")]
    assert len(blocks) > 100
    for word in ("栋", "幢", "号", "座"):
        links = houses.linked([str(houses.name[row]).replace("号楼", word) for row in blocks])
        assert [link.geid for link in links] == [houses.geid[row] for row in blocks], word


@pytest.mark.parametrize(
    "text", ["仙霞路天山路路口", "长宁路与定西路交叉口", "仙霞路近天山路路口", "（）", "  ", "？", "号", "路", "仙霞路"]
)
def test_a_crossing_or_nothing_is_no_house(houses: Houses, text: str) -> None:
    assert houses.linked([text]) == [Link()]


def test_opposite_a_house_is_less_sure_than_at_it(houses: Houses) -> None:
    row = houses.alone(houses.address, 7)[0]
    at, opposite = houses.linked([houses.address[row], f"{houses.address[row]}对面"])
    assert at.geid == opposite.geid == houses.geid[row]
    assert opposite.confidence <= 0.7 * at.confidence + 1e-3


@pytest.mark.parametrize("number", [1, 10, 11, 20, 105, 110, 123, 205, 999, 1000, 1005, 1010, 1234, 9999])
def test_the_numerals_of_the_forms_are_numerals(number: int) -> None:
    assert spelled(numeral(number)) == number


def test_the_longest_and_strangest_texts_are_read_in_bounded_time() -> None:
    for text in ("路" * 10_000, "1号" * 5_000, "（" * 10_000, "反映" * 5_000, "近" * 10_000, "\0\ud800", "a1" * 5_000):
        assert len(list(readings(text))) <= 10
