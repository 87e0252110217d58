"""Answers about other times, over a recorded history: what was so, what was known, what came after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from server import timeline
from server.app import Application
from tests.pipelines.district import district
from tests.server.conftest import Answer, request
from tests.server.recorded_district import SHED, Recorded, begin, stamp
from twin.registry.versions import Edition

EARLY, SPRING, SUMMER, LATE = (f"2026-{month}-15" for month in ("02", "03", "04", "05"))


@dataclass(frozen=True)
class World:
    """A server over a whole history.

    Attributes:
        recorded: The folder.
        editions: 1 adopted, 2 survey, 3 merge, 4 mistake, 5 its undo.
        app: Serves a release without house 2.
        told: (path, answer) for fixed pairs of times, asked right after the edition that was known then.
    """

    recorded: Recorded
    editions: tuple[Edition, ...]
    app: Application
    told: tuple[tuple[str, Answer], ...]

    def geid(self, number: int) -> str:
        return self.recorded.geids[f"H{number:05d}"]

    def get(self, path: str, **headers: str) -> Answer:
        return request(self.app, path, **headers)


def fixed(recorded: Recorded, known: Edition) -> list[str]:
    """Questions with both times given."""
    names = [recorded.geids[f"H{number:05d}"] for number in range(1, 6)] + [SHED]
    return [
        f"/entities/{name}?datetime={valid}&as-of={stamp(known.recorded_at)}&f={form}"
        for name in names
        for valid in (EARLY, SPRING, SUMMER, LATE)
        for form in ("json", "geojson")
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    recorded = begin(tmp_path_factory.mktemp("history") / "district")
    app = recorded.app()
    editions: list[Edition] = []
    told: list[tuple[str, Answer]] = []
    steps: list[Callable[[], Edition]] = [recorded.adopt, recorded.survey, recorded.merge, recorded.mistake]
    steps.append(partial(recorded.undo, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "_FRESH_SECONDS", -1.0)  # an edition is seen at once, not a second later
        for step in steps:
            editions.append(step())
            told += [(path, request(app, path)) for path in fixed(recorded, editions[-1])]
        app.timeline.close()
        app.releases.close()
        rebuild_without_house_2(recorded)
        served = recorded.app()
        yield World(recorded, tuple(editions), served, tuple(told))
        served.timeline.close()
        served.releases.close()


def rebuild_without_house_2(recorded: Recorded) -> None:
    """The next release: house 2 is no longer in the survey."""
    made = district(recorded.root, 12)
    kept = [number for number in range(12) if number != 2]
    made.shapes = [made.shapes[number] for number in kept]
    made.fields = {name: [values[number] for number in kept] for name, values in made.fields.items()}
    made.build()
    assert recorded.geids["H00002"] not in made.geids().values()


def test_a_version_is_that_of_its_moment(world: World) -> None:
    path = f"/entities/{world.geid(1)}"
    now = world.get(path).json()
    before = world.get(f"{path}?datetime={EARLY}").json()
    after = world.get(f"{path}?datetime={SPRING}").json()
    assert before["height_m"] == pytest.approx(now["height_m"])
    assert before["attributes"]["use"] == "b" and after["attributes"]["use"] == "hotel"
    assert after["height_m"] == 99.0
    assert (before["version"]["edition"], after["version"]["edition"]) == (1, 2)
    assert after["version"]["valid_from"].startswith("2026-03-01")
    assert before["tile"] is None and "version" not in now


def test_what_was_not_known_yet_is_not_told(world: World) -> None:
    known = stamp(world.editions[0].recorded_at)
    told = world.get(f"/entities/{world.geid(1)}?datetime={SPRING}&as-of={known}").json()
    assert told["version"]["edition"] == 1 and told["attributes"]["use"] == "b"


def test_before_anything_was_known_or_so_there_is_no_answer(world: World) -> None:
    for query in ("datetime=2025-06-01", "as-of=2001-01-01", f"datetime={SPRING}&as-of=2001-01-01"):
        answer = world.get(f"/entities/{world.geid(1)}?{query}")
        assert (answer.status, answer.json()["code"]) == (404, "not_known_then")


def test_geojson_and_the_page_of_a_past_version_show_that_version(world: World) -> None:
    path = f"/entities/{world.geid(1)}"
    feature = world.get(f"{path}?datetime={SPRING}&f=geojson").json()
    assert feature["properties"]["height_m"] == 99.0 and feature["id"] == world.geid(1)
    present = world.get(f"{path}?f=geojson").json()
    for ring, served in zip(feature["geometry"]["coordinates"], present["geometry"]["coordinates"], strict=True):
        assert ring == [pytest.approx(point) for point in served]
    page = world.get(f"{path}?datetime={SPRING}&f=html").body.decode()
    assert "历史版本" in page and "99 m" in page and "hotel" in page
    assert "历史版本" not in world.get(f"{path}?f=html").body.decode()


def test_a_retired_house_is_410_and_leads_to_what_stands_there_today(world: World) -> None:
    answer = world.get(f"/entities/{world.geid(2)}")
    assert (answer.status, answer.json()["code"]) == (410, "entity_retired")
    after = {one["geid"]: one["href"] for one in answer.json()["successors"]}
    # The shed, too, is gone by now: what stands for it is house 4.
    assert set(after) == {world.geid(3), world.geid(4)}
    for href in after.values():
        assert f'<{href}>; rel="successor-version"' in answer.headers["link"]
        assert world.get(href).status == 200


@pytest.mark.parametrize("form", ["json", "geojson", "html"])
def test_a_retired_house_answers_for_a_time_when_it_stood(world: World, form: str) -> None:
    path = f"/entities/{world.geid(2)}"
    assert world.get(f"{path}?datetime={EARLY}&f={form}").status == 200
    gone = world.get(f"{path}?datetime={SPRING}&f={form}")
    assert gone.status == 410
    assert {one["geid"] for one in gone.json()["successors"]} == {world.geid(3), world.geid(4)}


def test_a_house_that_only_the_history_knows_stood_between_its_surveys(world: World) -> None:
    statuses = [world.get(f"/entities/{SHED}?datetime={valid}").status for valid in (EARLY, SPRING, SUMMER)]
    assert statuses == [404, 200, 410]
    gone = world.get(f"/entities/{SHED}")
    assert gone.status == 410
    assert [one["geid"] for one in gone.json()["successors"]] == [world.geid(4)]


def test_an_edition_that_was_taken_back_is_believed_only_in_between(world: World) -> None:
    def height(query: str) -> float:
        return float(world.get(f"/entities/{world.geid(5)}?{query}").json()["height_m"])

    mistake, undo = world.editions[3:]
    before = height(f"datetime={SUMMER}")
    assert before != 500.0
    assert height(f"datetime={LATE}&as-of={stamp(mistake.recorded_at)}") == 500.0
    assert height(f"datetime={SUMMER}&as-of={stamp(mistake.recorded_at)}") == before
    assert height(f"datetime={LATE}&as-of={stamp(undo.recorded_at)}") == before
    assert height(f"datetime={LATE}") == before


def test_answers_for_a_fixed_pair_never_change(world: World) -> None:
    """Asked anew of another server, after later editions, an undo and another release."""
    assert {before.status for _, before in world.told} == {200, 404, 410}
    # Two forms of two versions of house 1, three of house 5, one of each other house and of the shed.
    assert len({before.body for _, before in world.told if before.status == 200}) == 2 * (2 + 3 + 4)
    for path, before in world.told:
        after = world.get(path)
        assert after.status == before.status, path
        if before.status == 200:  # where it had ended, the answer also leads to what stands today
            assert after.body == before.body, path


def test_the_history_tells_versions_changes_editions_and_lineage(world: World) -> None:
    told = world.get(f"/entities/{world.geid(1)}/history").json()
    first, second = told["versions"]
    assert (first["edition"], second["edition"]) == (1, 2)
    assert first["changed_fields"] == [] and second["changed_fields"] == ["height_m", "attributes.use"]
    assert first["recorded_at"] < second["recorded_at"]
    assert [one["name"] for one in told["editions"]][1:] == ["spring survey"]
    assert told["editions"][1]["kind"] == "update" and told["editions"][1]["undoes"] is None
    assert told["time_axes"] == {"datetime": "validity-time", "as-of": "transaction-time"}
    gone = world.get(f"/entities/{world.geid(2)}/history").json()
    assert [one["present"] for one in gone["versions"]] == [True, False]
    steps = {(one["geid"], one["relation"], one["other"]) for one in gone["lineage"]}
    assert steps == {(world.geid(2), "split_into", SHED), (world.geid(2), "split_into", world.geid(3))}
    assert {one["geid"] for one in gone["successors"]} == {world.geid(3), world.geid(4)}


def test_the_history_of_an_undone_edition_shows_the_way_there_and_back(world: World) -> None:
    told = world.get(f"/entities/{world.geid(5)}/history").json()
    assert [one["edition"] for one in told["versions"]] == [1, 4, 5]
    assert [one["changed_fields"] for one in told["versions"]] == [[], ["height_m"], ["height_m"]]
    assert [one["undoes"] for one in told["editions"]] == [None, None, 4]
    heights = [one["height_m"] for one in told["versions"]]
    assert heights[0] == heights[2] != heights[1]


def test_the_history_as_of_a_moment_is_a_beginning_of_the_whole(world: World) -> None:
    path = f"/entities/{world.geid(5)}/history"
    lengths = []
    whole = world.get(path).json()["versions"]
    for edition in world.editions:
        known = world.get(f"{path}?as-of={stamp(edition.recorded_at)}").json()["versions"]
        assert known == whole[: len(known)]
        lengths.append(len(known))
    assert lengths == [1, 1, 1, 2, 3]
    assert all(one <= other for one, other in pairwise(lengths))


def test_a_key_finds_the_history_and_an_unknown_name_does_not(world: World) -> None:
    by_key = world.get("/entities/houses:H00001/history").json()
    assert by_key == world.get(f"/entities/{world.geid(1)}/history").json()
    assert world.get("/entities/houses:nobody/history").status == 404


def test_times_that_are_none_are_refused(world: World) -> None:
    for query in ("datetime=yesterday", "datetime=2026-01-01T00:00:00", "as-of=2026-13-01", "datetime=9999999-01-01"):
        answer = world.get(f"/entities/{world.geid(1)}?{query}")
        assert (answer.status, answer.json()["code"]) == (400, "invalid_parameter"), query


def test_without_a_history_it_is_said_so(get: Any, district: Any) -> None:
    name = district.buildings[0].geid
    for path in (f"/entities/{name}/history", f"/entities/{name}?datetime={EARLY}"):
        answer: Any = get(path)
        assert (answer.status, answer.json()["code"]) == (404, "no_history")


def inside(world: World, number: int) -> tuple[float, float]:
    """A place in a house, degrees."""
    told = world.get(f"/entities/{world.geid(number)}?datetime={EARLY}").json()
    return told["lon"], told["lat"]


def test_a_place_answers_for_a_pair_of_times(world: World) -> None:
    lon, lat = inside(world, 2)

    def there(query: str) -> set[str]:
        return {one["geid"] for one in world.get(f"/resolve?lon={lon}&lat={lat}&{query}").json()["items"]}

    first, second = (stamp(edition.recorded_at) for edition in world.editions[:2])
    assert there(f"datetime={EARLY}") == {world.geid(2)}
    assert there(f"datetime={SPRING}") == {SHED}
    assert there(f"datetime={SPRING}&as-of={first}") == {world.geid(2)}
    assert there(f"datetime={SUMMER}") == set()
    assert there(f"datetime={SUMMER}&as-of={second}") == {SHED}
    assert there("as-of=2001-01-01") == set()


def test_a_place_in_the_past_is_answered_like_one_in_the_present(world: World) -> None:
    """While nothing has changed the two ways, index and history, must give the same entities, scores and reasons."""
    lon, lat = inside(world, 9)
    for offset, tolerance, h in (
        (0.0, 0, ""),
        (2e-4, 30, ""),
        (1e-4, 100, "&h=15"),
        (0.0, 50, "&h=900"),
        (1e-4, 0, ""),
    ):
        query = f"/resolve?lon={lon + offset}&lat={lat}&tolerance={tolerance}{h}"
        now, then = (world.get(query + times).json() for times in ("", f"&datetime={LATE}"))
        for one in then["items"] + then["chain"]:
            if "href" in one:
                assert one.pop("href").endswith(f"?datetime={LATE}T00:00:00Z")
        for one in now["items"] + now["chain"]:
            one.pop("href", None)
        raised = world.geid(1)  # the release does not know that it was
        same = [[one for one in told["items"] if one["geid"] != raised] for told in (then, now)]
        assert same[0] == same[1]
        assert then["chain"] == now["chain"]


def test_a_code_answers_for_a_pair_of_times_and_its_address_leads_there(world: World) -> None:
    told = world.get(f"/resolve?code={world.geid(2)}&datetime={EARLY}").json()
    (item,) = told["items"]
    assert world.get(item["href"]).json()["version"]["edition"] == 1
    gone = world.get(f"/resolve?code={world.geid(2)}&datetime={SPRING}").json()
    assert gone["items"] == []
    assert set(gone["retired"][0]["successors"]) == {world.geid(3), world.geid(4)}
    assert world.get(f"/resolve?code=nothing&datetime={SPRING}").json()["numberReturned"] == 0
    assert world.get(f"/resolve?address=nothing&datetime={SPRING}").json()["items"] == []
