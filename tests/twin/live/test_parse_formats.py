"""Exports in CSV, JSON, NDJSON and Excel become reports through a mapping; what a row lacks is told, never guessed."""

from __future__ import annotations

import csv
import datetime
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.errors import MisuseError, SourceError
from twin.live.columns import FIELDS, ColumnMapping
from twin.live.formats import parse_rows, read_events, read_rows
from twin.live.mapping import mapping_from, read_mapping
from twin.live.model import Report
from twin.live.refusals import REFUSALS, Refused
from twin.live.rules import ParseRules
from twin.live.times import read_time, zone_of

RULES = ParseRules(now=lambda: read_time("2026-11-22T08:00:00Z"))
TABLE = """
source = "urn:city:12345"
kind = "hotline"
zone = "Asia/Shanghai"
[fields]
case = "工单编号"
title = "标题"
status = "状态"
severity = "等级"
occurred = "时间"
address = "地址"
"""
HEADER = ["工单编号", "标题", "状态", "等级", "时间", "地址", "电话"]
ROW = ["2026-001", "路灯不亮，请尽快修理", "已派单", "紧急", "2026/11/20 9:05", "人民路12号", "13900000000"]


def mapping(text: str = TABLE, more: str = "") -> ColumnMapping:
    return mapping_from(tomllib.loads(more + text))


def write(path: Path, rows: list[list[str]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)
    return path


def read(path: Path, how: ColumnMapping) -> list[Report | Refused]:
    return list(read_rows(path, how, RULES))


def codes(rows: list[Report | Refused]) -> list[str]:
    return [row.code if isinstance(row, Refused) else "" for row in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_in_whatever_encoding_and_with_whatever_delimiter(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    (report,) = read(write(tmp_path / "a.csv", [HEADER, ROW], encoding, delimiter), mapping())
    assert isinstance(report, Report)
    assert (report.case, report.title, report.status, report.severity) == ("2026-001", ROW[1], "dispatched", "high")
    assert report.occurred_ms == read_time("2026-11-20T01:05:00Z")
    assert report.place.address == "人民路12号"
    assert report.data == {}, "columns nobody asked for stay where they are: they may be somebody's telephone number"


def test_columns_are_kept_by_name_or_all_that_are_not_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [[*HEADER, "空"], [*ROW, ""]])
    for keep in ('keep = ["电话"]\n', 'keep = ["*"]\n'):
        (report,) = read(path, mapping(more=keep))
        assert isinstance(report, Report) and report.data == {"电话": "13900000000"}


def test_reading_an_export_again_gives_the_same_ids_and_a_new_status_a_new_one(tmp_path: Path) -> None:
    first = read(write(tmp_path / "a.csv", [HEADER, ROW]), mapping())
    later = [*ROW[:2], "已办结", *ROW[3:]]
    second = read(write(tmp_path / "b.csv", [HEADER, ROW, later]), mapping())
    ids = [row.id for row in [*first, *second] if isinstance(row, Report)]
    assert ids[0] == ids[1] != ids[2]


def test_times_without_zone_in_the_mapping_are_those_of_the_twin(tmp_path: Path) -> None:
    how = mapping_from(
        {
            "source": "urn:a",
            "kind": "alarm",
            "fields": {"case": "c", "occurred": "t", "reported": {"column": "u", "format": "%H:%M %d.%m.%Y"}},
        }
    )
    path = write(tmp_path / "a.csv", [["c", "t", "u"], ["1", "2026/1/2 8:00", "09:00 02.01.2026"]])
    (unknown,) = read(path, how)
    assert isinstance(unknown, Refused) and unknown.code == "bad_time"
    (report,) = list(read_rows(path, how, replace(RULES, zone=zone_of("Asia/Shanghai"))))
    assert isinstance(report, Report)
    assert (report.occurred_ms, report.reported_ms) == (
        read_time("2026-01-02T00:00:00Z"),
        read_time("2026-01-02T01:00:00Z"),
    )


def test_rows_without_a_case_are_told_apart_by_all_they_say(tmp_path: Path) -> None:
    how = mapping_from({"source": "urn:a", "kind": "alarm", "zone": "UTC", "fields": {"occurred": "t", "title": "x"}})
    path = write(tmp_path / "a.csv", [["t", "x"], ["2026-01-01", "a"], ["2026-01-01", "b"], ["2026-01-01", "a"]])
    one, other, again = (row.id for row in read(path, how) if isinstance(row, Report))
    assert one == again != other


def test_measurements_without_a_time_are_as_many_as_came() -> None:
    how = mapping_from({"source": "urn:a", "kind": "observation", "fields": {"value": "v"}})
    clock = iter([1_000, 2_000, 3_000, 4_000])
    rules = ParseRules(now=lambda: next(clock))
    ids = {row.id for _ in range(2) for row in parse_rows([{"v": 1.5}], how, rules) if isinstance(row, Report)}
    assert len(ids) == 2


def test_every_bad_line_is_refused_by_itself_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = ",".join(ROW).encode()
    lines = [
        ",".join(HEADER).encode(),
        good,
        good.replace("路灯".encode(), "路灯".encode("gbk")),
        b"2026-002,short",
        good + b",too,long",
        good.replace("已派单".encode(), "飞了".encode()),
        good.replace(b"2026/11/20 9:05", b""),
        good.replace(b"2026/11/20", b"2027/11/20"),
        b"",
        good.replace(b"2026-001", b"2026-003"),
    ]
    path.write_bytes(b"\r\n".join(lines))
    rows = read(path, mapping())
    assert codes(rows) == ["", "bad_encoding", "bad_row", "bad_row", "unknown_status", "missing", "event_in_future", ""]
    for row in rows:
        if isinstance(row, Refused):
            assert row.source in {"urn:city:12345"}
            assert "2026-00" in row.body


def test_a_line_break_within_quotes_is_part_of_the_text(tmp_path: Path) -> None:
    (report,) = read(write(tmp_path / "a.csv", [HEADER, [ROW[0], "第一行\n第二行", *ROW[2:]]]), mapping())
    assert isinstance(report, Report) and report.title == "第一行 第二行"


CELLS = st.text(st.characters(codec="utf-8", blacklist_characters="\0"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=7, max_size=7), max_size=5))
def test_any_table_gives_reports_and_refusals_as_many_as_rows(tmp_path: Path, lines: list[list[str]]) -> None:
    rows = read(write(tmp_path / "a.csv", [HEADER, *lines]), mapping(more='encoding = "utf-8"\n'))
    assert len(rows) == sum(any(line) for line in lines)
    assert {row.code for row in rows if isinstance(row, Refused)} <= set(REFUSALS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_after_the_header_give_reports_or_refusals(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(",".join(HEADER).encode() + b"\n" + tail)
    try:
        rows = read(path, mapping(more='delimiter = ","\n'))
    except MisuseError as error:
        assert "no column" in str(error)  # the bytes made another encoding of the header likelier
    else:
        assert {row.code for row in rows if isinstance(row, Refused)} <= set(REFUSALS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_as_lines_of_json_give_reports_or_refusals(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(content)
    assert all(isinstance(row, Refused) for row in read(path, mapping()))


JSON_FIELDS = {
    "case": "properties.id",
    "title": {"text": "{properties.type}：{properties.note}"},
    "occurred": "properties.at",
    "lon": "geometry.coordinates.0",
    "lat": "geometry.coordinates.1",
}
FEATURE = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [121.4, 31.2]},
    "properties": {"id": 17, "type": "噪声", "note": "夜间施工", "at": "2026-11-20T22:00:00+08:00"},
}


def geojson_mapping(**more: Any) -> ColumnMapping:
    return mapping_from({"source": "urn:a", "kind": "hotline", "fields": JSON_FIELDS, **more})


def check_feature(row: Report | Refused) -> None:
    assert isinstance(row, Report)
    assert (row.case, row.title, row.place.lon, row.place.lat) == ("17", "噪声：夜间施工", 121.4, 31.2)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_json_is_read_from_the_list_that_rows_leads_to(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    document = {"result": {"features": [FEATURE, 7, FEATURE]}}
    path.write_bytes(json.dumps(document, ensure_ascii=False).encode(encoding))
    first, odd, second = read(path, geojson_mapping(rows="result.features"))
    check_feature(first)
    check_feature(second)
    assert isinstance(odd, Refused) and odd.code == "not_an_object"
    with pytest.raises(MisuseError, match="leads to no list"):
        read(path, geojson_mapping(rows="result.items"))


def test_lines_of_json_are_read_each_in_its_encoding_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    text = json.dumps(FEATURE, ensure_ascii=False)
    path.write_bytes(b"\n".join([text.encode(), text.encode("gbk"), b'{"a":', b"", text.encode()]))
    first, second, broken, last = read(path, geojson_mapping())
    for row in (first, second, last):
        check_feature(row)
    assert isinstance(broken, Refused) and (broken.code, broken.body) == ("not_json", '{"a":')


def test_json_that_is_none_is_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match=r"a\.json"):
        read(path, geojson_mapping())
    with pytest.raises(SourceError, match=r"absent\.json"):
        read(tmp_path / "absent.json", geojson_mapping())
    with pytest.raises(SourceError, match=r"absent\.csv"):
        read(tmp_path / "absent.csv", mapping())


def test_a_workbook_gives_its_dates_and_numbers(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "工单"
    sheet.append(["导出于 2026-11-22"])
    sheet.append(HEADER)
    sheet.append([20260001, "漏水", "办结", "一般", datetime.datetime(2026, 11, 20, 9, 5), "人民路12号", 139])
    sheet.append([None] * 7)
    sheet.append([20260002, "停电", "办结", "一般", None, "人民路14号", 139])
    book.create_sheet("empty")
    book.save(tmp_path / "a.xlsx")
    first, second = read(tmp_path / "a.xlsx", mapping(more='skip = 1\nsheet = "工单"\nkeep = ["电话"]\n'))
    assert isinstance(first, Report)
    assert (first.case, first.status, first.data) == ("20260001", "closed", {"电话": 139})
    assert first.occurred_ms == read_time("2026-11-20T01:05:00Z")
    assert isinstance(second, Refused) and second.code == "missing"
    with pytest.raises(MisuseError, match="there is no sheet"):
        read(tmp_path / "a.xlsx", mapping(more='sheet = "别的"\n'))
    (tmp_path / "b.xlsx").write_bytes(b"no workbook")
    with pytest.raises(SourceError, match="no workbook"):
        read(tmp_path / "b.xlsx", mapping())


def test_a_row_gives_one_report_for_each_step_whose_conditions_hold(tmp_path: Path) -> None:
    how = mapping_from(
        {
            "source": "urn:a",
            "kind": "work_order",
            "zone": "+08:00",
            "fields": {"case": "no"},
            "reports": [
                {"status": {"text": "created"}, "occurred": "made"},
                {"status": {"text": "closed"}, "occurred": "done", "when": {"column": "done"}},
                {"status": {"text": "reopened"}, "occurred": "again", "when": [{"column": "s", "in": ["返工"]}]},
            ],
        }
    )
    lines = [["no", "made", "done", "again", "s"], ["1", "2026-01-01", "2026-01-02", "2026-01-03", "返工"]]
    lines += [["2", "2026-01-01", "", "", "新建"], ["3", "2026-01-01", "", "", "返工"]]
    rows = read(write(tmp_path / "a.csv", lines), how)
    told = [(row.case, row.status) if isinstance(row, Report) else row.code for row in rows]
    steps = [("1", "created"), ("1", "closed"), ("1", "reopened"), ("2", "created"), ("3", "created")]
    assert told == [*steps, "missing"]


def test_cells_join_choose_scale_translate_and_forget(tmp_path: Path) -> None:
    how = mapping_from(
        {
            "source": "urn:a",
            "kind": "observation",
            "zone": "UTC",
            "crs": "gcj02",
            "statuses": {"正常": "observed"},
            "fields": {
                "case": {"columns": ["a", "b"], "join": "/"},
                "title": {"columns": ["b", "a"], "first": True},
                "occurred": {"columns": ["d", "t"], "formats": ["%d.%m.%y %H:%M", "%Y%m%d %H"]},
                "value": {"column": "v", "scale": 0.1, "plus": -10, "missing": ["-99"]},
                "severity": {"column": "level", "words": {"III": "medium"}},
                "status": "state",
                "unit": {"text": "Cel"},
                "lon": "x",
                "lat": "y",
            },
        }
    )
    header = ["a", "b", "d", "t", "v", "level", "state", "x", "y"]
    lines = [
        ["s", "", "01.02.26", "03:04", "250", "III", "正常", "121.4", "31.2"],
        ["s", "7", "20260201", "24", "-99", "III", "正常", "", ""],
        ["s", "7", "20260201", "23", "warm", "III", "正常", "", ""],
    ]
    first, second, third = read(write(tmp_path / "a.csv", [header, *lines]), how)
    assert isinstance(first, Report)
    assert (first.case, first.title, first.value, first.severity) == ("s", "s", 15.0, "medium")
    assert first.occurred_ms == read_time("2026-02-01T03:04Z")
    assert first.place.lon is not None and 121.39 < first.place.lon < 121.4
    assert first.data["place"]["given"]["crs"] == "gcj02"
    assert isinstance(second, Refused) and second.code == "incomplete"
    assert isinstance(third, Refused) and third.code == "bad_number"


def test_events_of_a_file_are_cloudevents_for_a_server_to_check(tmp_path: Path) -> None:
    (event,) = read_events(write(tmp_path / "a.csv", [HEADER, ROW]), mapping(), RULES)
    assert isinstance(event, dict)
    assert event["type"] == "twin.hotline" and event["data"]["status"] == "dispatched"
    assert event["data"]["occurred"] == "2026-11-20T01:05:00.000Z"


BASE: dict[str, Any] = {"source": "urn:a", "kind": "hotline", "fields": {"case": "a"}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": ""}, "`source` is missing"),
        ({"kind": "ufo"}, "`kind` must be one of"),
        ({"format": "xml"}, "`format` is one of"),
        ({"columns": {}}, "no key 'columns'"),
        ({"fields": {"titel": "a"}}, "'titel', which is no field"),
        ({"fields": {"case": 7}}, "name of a column"),
        ({"fields": {"case": {"colum": "a"}}}, "no key 'colum'"),
        ({"fields": {"case": {}}}, "either `column`"),
        ({"fields": {"case": {"column": "a", "text": "b"}}}, "either `column`"),
        ({"fields": {"case": {"column": "a", "scale": "x"}}}, "are numbers"),
        ({"fields": {"case": {"column": "a", "words": {"a": 1}}}}, "text = text"),
        ({"reports": {"status": "a"}}, "list of tables"),
        ({"reports": [{"when": "a"}]}, "`when` is"),
        ({"reports": [{"when": {"column": "a", "is": "b"}}]}, "no key 'is'"),
        ({"keep": "a"}, "list of texts"),
        ({"skip": -1}, "whole number"),
        ({"header": "no"}, "true or false"),
        ({"statuses": {"x": "gone"}}, "must stand for one of"),
        ({"zone": "Moon"}, "no time zone"),
    ],
)
def test_a_wrong_mapping_is_misuse_and_says_where(change: dict[str, Any], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        mapping_from({**BASE, **change}, file="m.toml")


def test_a_column_that_is_not_in_the_file_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no column '地址'; it has 工单编号"):
        read(write(tmp_path / "a.csv", [[name for name in HEADER if name != "地址"], ROW[:-1]]), mapping())


def test_an_old_workbook_and_a_strange_name_ask_for_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"save it as \.xlsx"):
        read(tmp_path / "a.xls", mapping())
    with pytest.raises(MisuseError, match="set `format`"):
        read(tmp_path / "a.dat", mapping())


def test_a_mapping_that_is_no_toml_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("fields = [", encoding="utf-8")
    with pytest.raises(MisuseError, match=r"m\.toml"):
        read_mapping(tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text(TABLE, encoding="utf-8")
    assert set(read_mapping(tmp_path / "m.toml").fields) <= set(FIELDS)
