"""Events over HTTP: taken once, answered when they are on disk, refused with a reason that can be mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.server.conftest import BUILDINGS, District
from tests.server.live_district import BATCH, NDJSON, Sender, at, event, make_key, running, write_project
from twin.errors import StoreError
from twin.live.model import Filter
from twin.live.open import open_events


@pytest.fixture
def root(district: District) -> Path:
    """A project with events on."""
    folder = district.out.parent
    write_project(folder)
    return folder


@pytest.fixture
def sender(root: Path, serve: Callable[..., Any]) -> Iterator[Sender]:
    """Speaks with a key that may do everything."""
    _, key = make_key(root, "admin")
    app = serve(root)
    with running(app) as client:
        yield Sender(client, key, app)


def stored(sender: Sender) -> list[Any]:
    return list(sender.app.live.store.after(0, 10_000))  # type: ignore[union-attr]


def test_an_event_is_on_disk_when_it_is_answered(sender: Sender, root: Path) -> None:
    answer = sender.post(event(id="a", case="W-1"))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["fresh"] and told["geid"] == BUILDINGS[0].geid and told["method"] == "geid"
    with open_events(root / "events.sqlite") as other:  # type: ignore[attr-defined]
        (one,) = other.after(0)
    assert (one.offset, one.report.case, one.link.geid) == (told["offset"], "W-1", BUILDINGS[0].geid)
    assert told["position"] == f"{other.epoch}-{one.offset}"


def test_an_event_sent_twice_is_taken_once(sender: Sender) -> None:
    first, second = (sender.post(event(id="a")).json() for _ in range(2))
    assert (first["fresh"], second["fresh"]) == (True, False)
    assert first["offset"] == second["offset"]
    assert len(stored(sender)) == 1


def test_a_batch_takes_its_good_rows_and_says_what_is_wrong_with_the_others(sender: Sender) -> None:
    rows = [event(id="a"), {"specversion": "1.0"}, event(id="b", type="twin.nonsense.created"), event(id="a"), 7]
    told = sender.post(rows, BATCH).json()
    assert (told["taken"], told["known"], told["refused"]) == (1, 1, 3)
    assert [row.get("code") for row in told["rows"]] == [None, "missing", "unknown_kind", None, "not_an_object"]
    assert told["rows"][0]["offset"] == told["rows"][3]["offset"]
    kept = sender.get("/events/refusals").json()["refusals"]
    assert {one["number"] for one in kept} == {row["refusal"] for row in told["rows"] if "refusal" in row}


def test_count_in_is_linked_and_unlinked_and_refused(sender: Sender) -> None:
    rows = [
        event(id="linked"),
        event(id="inside", place=at(110, 10)),
        event(id="nowhere", place={"lon": 100.0, "lat": 10.0}),
        event(id="silent", place={}),
        {"id": "bad"},
    ]
    assert sender.post(rows, "application/json").status_code == 200
    counts = sender.app.live.store.counts()  # type: ignore[union-attr]
    assert (counts["linked"], counts["unlinked"], counts["refused"]) == (2, 2, 1)
    assert counts["linked"] + counts["unlinked"] + counts["refused"] == len(rows)


def test_lines_are_taken_as_they_come(sender: Sender) -> None:
    rows = [event(id=f"n{number}") for number in range(2500)]
    rows[7] = {"no": "event"}
    body = b"\n".join(orjson.dumps(row) for row in rows) + b"\n\n{broken\n"
    told = sender.post(body, NDJSON).json()
    assert (told["taken"], told["known"], told["refused"]) == (2499, 0, 2)
    assert [(row["row"], row["code"]) for row in told["rows"]] == [(7, "spec_version"), (2500, "not_json")]
    again = sender.post(body, NDJSON).json()
    assert (again["taken"], again["known"]) == (0, 2499)


def test_the_order_of_the_store_is_that_of_the_sender(sender: Sender) -> None:
    sender.post([event(id=f"{number}") for number in range(300)], BATCH)
    assert [one.report.id for one in stored(sender)] == [f"{number}" for number in range(300)]


def test_binary_mode_reads_attributes_from_headers(sender: Sender) -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "b1", "ce-source": "urn:test:%E4%B8%AD", "ce-type": "twin.hotline.created",
    }  # fmt: skip
    data = {"title": "积水", "occurred": "2026-03-01T08:00:00Z", "place": {"geid": BUILDINGS[1].geid}}
    answer = sender.post(data, "application/json", **headers)
    assert answer.status_code == 200, answer.text
    (one,) = stored(sender)
    assert (one.report.id, one.report.source, one.report.title) == ("b1", "urn:test:中", "积水")


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_other_encodings_are_found_out(sender: Sender, encoding: str) -> None:
    body = orjson.dumps(event(title="静安区 路灯")).decode().encode(encoding)
    assert sender.post(body).status_code == 200
    assert stored(sender)[0].report.title == "静安区 路灯"


def test_what_is_no_json_is_kept_as_it_came(sender: Sender) -> None:
    answer = sender.post(b"title=\xff\x00;broken")
    assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
    (kept,) = sender.get("/events/refusals").json()["refusals"]
    assert kept["number"] == answer.json()["refusal"] and kept["body"].startswith("title=")


def test_a_refused_event_is_mended_and_sent_again(sender: Sender) -> None:
    bad = event(id="m", type="twin.work_order.broken")
    number = sender.post(bad).json()["refusal"]
    assert sender.post(bad, path=f"/events/refusals/{number}").status_code == 400
    good = sender.post({**bad, "type": "twin.work_order.created"}, path=f"/events/refusals/{number}")
    assert good.status_code == 200, good.text
    pending = sender.get("/events/refusals").json()["refusals"]
    assert number not in {one["number"] for one in pending}
    everything = sender.get("/events/refusals?pending=false").json()["refusals"]
    assert {one["number"]: one["mended_by"] for one in everything}[number] == good.json()["offset"]
    again = sender.post(bad, path=f"/events/refusals/{number}")
    assert (again.status_code, again.json()["code"]) == (409, "mended_already")


def test_a_refused_event_is_sent_again_as_it_was_once_the_tables_are_right(
    root: Path, serve: Callable[..., Any]
) -> None:
    _, key = make_key(root, "admin")
    with running(app := serve(root)) as client:
        number = Sender(client, key, app).post(event(id="x", type="twin.flood.created")).json()["refusal"]
    (root / "kinds.toml").write_text('[kinds.flood]\nzh = "内涝"\nen = "Flood"\n', encoding="utf-8")
    write_project(root, 'kinds = "kinds.toml"')
    with running(app := serve(root)) as client:
        answer = Sender(client, key, app).post(b"", path=f"/events/refusals/{number}")
        assert answer.status_code == 200, answer.text
        assert app.live.store.get(answer.json()["offset"]).report.kind == "flood"


def test_refusals_are_paged(sender: Sender) -> None:
    sender.post([{"n": number} for number in range(25)], BATCH)
    path, seen = "/events/refusals?limit=10", []
    while path:
        page = sender.get(path).json()
        seen += [one["number"] for one in page["refusals"]]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert seen == sorted(set(seen), reverse=True) and len(seen) == 25


def test_a_correction_ties_the_case_and_what_follows(sender: Sender) -> None:
    tower, house = BUILDINGS[1].geid, BUILDINGS[0].geid
    sender.post(event(id="1", source="urn:a/b", case="W/1", place=at(2, 2)))
    path = "/events/cases/urn:a%2Fb/W%2F1/link"
    told = sender.post({"geid": tower, "note": "对面那栋"}, "application/json", path)
    assert told.status_code == 200, told.text
    assert (told.json()["geid"], told.json()["method"]) == (tower, "person")
    after = sender.post(event(id="2", source="urn:a/b", case="W/1", type="twin.work_order.closed", place=at(2, 2)))
    assert (after.json()["geid"], after.json()["method"]) == (tower, "person")
    other = sender.post(event(id="3", source="urn:a/b", case="W/2", place=at(2, 2)))
    assert other.json()["geid"] == house
    life = sender.app.live.store.case("urn:a/b", "W/1")  # type: ignore[union-attr]
    assert [(one.report.status, one.link.method) for one in life] == [
        ("created", "contains"), ("created", "person"), ("closed", "person"),
    ]  # fmt: skip
    state, _ = sender.app.live.store.state(Filter(open=True))  # type: ignore[union-attr]
    assert [one.report.case for one in state] == ["W/2"]


def test_a_correction_teaches_the_address_unless_told_not_to(sender: Sender) -> None:
    tower = BUILDINGS[1].geid
    for number, (address, learn) in enumerate({"老王家门口": True, "那个角落": False}.items()):
        sender.post(event(id=f"a{number}", case=f"A{number}", place={"address": address}))
        path = f"/events/cases/urn:test:dispatch/A{number}/link"
        sender.post({"geid": tower, "learn": learn}, "application/json", path)
        told = sender.post(event(id=f"b{number}", place={"address": address})).json()
        assert (told["geid"], told["method"]) == ((tower, "learnt") if learn else (None, "none"))


def test_a_case_can_be_untied(sender: Sender) -> None:
    sender.post(event(id="1", case="C"))
    path = "/events/cases/urn:test:dispatch/C/link"
    assert sender.post({"geid": None}, "application/json", path).json()["geid"] is None
    assert sender.post(event(id="2", case="C")).json()["geid"] is None


def test_corrections_of_nothing_are_refused(sender: Sender) -> None:
    path = "/events/cases/urn:test:dispatch/C/link"
    assert sender.post({"geid": BUILDINGS[0].geid}, "application/json", path).status_code == 404
    sender.post(event(id="1", case="C"))
    assert sender.post({"geid": "no-such"}, "application/json", path).status_code == 404
    for body in ({}, [], {"geid": 7}, {"geid": None, "learn": "yes"}, {"geid": None, "x": 1}, b"{"):
        assert sender.post(body, "application/json", path).json()["code"] == "no_correction"


def test_nothing_is_taken_where_the_disk_fails(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(rows: Any) -> Any:
        raise StoreError("the disk is full")

    live = sender.app.live
    assert live is not None
    with monkeypatch.context() as patch:
        patch.setattr(live.store, "append", full)
        answer = sender.post(event(id="f"))
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert "retry-after" in answer.headers
    assert sender.post(event(id="f")).json()["fresh"]
    assert live.counts["failed"] == 1


def test_a_server_without_the_table_answers_that_events_are_off(district: District, ask: Any, serve: Any) -> None:
    app = serve(district.out)
    answer = ask(app, "/events", "POST", content_type="application/json")
    assert (answer.status, answer.json()["code"]) == (404, "events_off")


def test_the_schema_knows_the_kinds(sender: Sender) -> None:
    answer = sender.get("/events/schema")
    assert answer.headers["content-type"] == "application/schema+json"
    assert "work_order" in answer.text


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("text/plain", b"{}", 415, "unsupported_media_type"),
        (BATCH, b"{}", 400, "no_batch"),
        ("application/json", b" ", 400, "no_events"),
        ("application/json", b"[]", 200, None),
    ],
)
def test_bodies_that_cannot_be_meant(sender: Sender, kind: str, body: bytes, status: int, code: str | None) -> None:
    answer = sender.post(body, kind)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_a_compressed_body_is_refused(sender: Sender) -> None:
    assert sender.post(event(), content_encoding="gzip").status_code == 415
