"""The whole way, in a real browser: tiles on screen, a building picked, its identifier known to the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.served import Served
from tests.e2e.visit import Visit

pytestmark = pytest.mark.browser
Open = Callable[[Served], Visit]


def in_sight(page: Visit) -> tuple[Any, list[float]]:
    """A building whose roof is on the screen, as the server describes it, and where."""
    for geid in page.served.tallest(12):
        entity = page.served.entity(geid)
        point = page.roof(entity)
        if point is not None:
            return entity, point
    raise AssertionError("no tall building is on the screen")


@pytest.mark.parametrize("where", ["plain", "prefixed"])
def test_a_click_on_a_building_shows_the_identifier_the_server_knows(
    where: str, visit: Open, request: pytest.FixtureRequest
) -> None:
    page = visit(request.getfixturevalue(where)).go()
    assert page.state()["tilesLoaded"] and page.tiles()
    entity, point = in_sight(page)
    assert page.feature_at(point) == entity["geid"]
    page.page.mouse.click(*point)
    assert page.panel_geid() == entity["geid"]
    page.wait_for_state("s.highlighted")
    page.page.wait_for_selector(".panel section.provenance")
    panel = page.page.inner_text(".panel")
    for shown in (entity["name"], entity["address"], entity["provenance"]["source_key"], *entity["aliases"]):
        assert shown is None or shown in panel
    assert page.state()["selected"] == entity["geid"]
    assert entity["tile"]["url"] in page.tiles()
    page.screenshot(f"picked-{where}")


def test_the_panel_names_the_areas_a_building_lies_in_and_leads_there(visit: Open, plain: Served) -> None:
    page = visit(plain).go("?lang=en")
    entity, point = in_sight(page)
    street = plain.entity(entity["parent"])
    district = plain.entity(street["parent"])
    page.page.mouse.click(*point)
    page.page.wait_for_selector(".panel nav.above button")
    assert page.page.locator(".panel nav.above button").all_inner_texts() == [district["name"], street["name"]]
    page.screenshot("areas")
    page.page.click(f".panel nav.above button:has-text('{street['name']}')")
    page.wait_for_state(f"s.selected === '{street['geid']}'")
    page.page.wait_for_selector(f".panel h2:has-text('{street['name']}')")
    assert page.page.locator(".panel nav.above button").all_inner_texts() == [district["name"]]
    assert page.page.locator(".panel .notice").count() == 0, "an area is not drawn, and nothing is wrong with that"


def far_away(page: Visit, column: str) -> Any:
    """An entity with a name or address of its own whose tile has not been asked for."""
    loaded = page.tiles()
    for row in page.served.rows("geid", column, "tile"):
        text = row[column]
        if text is None or row["tile"] is None or any(path.endswith(row["tile"]) for path in loaded):
            continue
        if [item["geid"] for item in page.served.find(text)] == [row["geid"]]:
            return page.served.entity(row["geid"])
    raise AssertionError(f"every {column} stands in a tile that is already here")


def corner(page: Visit) -> str:
    """A view straight down on the south-western corner of the district: most tiles are out of sight."""
    west, south, *_ = page.served.get("release")["layers"]["buildings"]["region"]
    return f"#view={west + 0.0005},{south + 0.0005},180,0,-90"


def is_there(entity: Any) -> str:
    """The building is lit, and the camera is no further than about a kilometre."""
    near = f"Math.abs(s.camera.lon - {entity['lon']}) < 0.01 && Math.abs(s.camera.lat - {entity['lat']}) < 0.01"
    return f"s.selected === '{entity['geid']}' && s.highlighted && {near}"


def test_the_search_flies_to_an_entity_whose_tile_was_not_loaded(visit: Open, plain: Served) -> None:
    page = visit(plain)
    page.go(f"?quality=low{corner(page)}").settle()
    for column in ("name", "address"):
        entity = far_away(page, column)
        assert entity["tile"]["url"] not in page.tiles()
        page.page.fill("input[type=search]", entity[column])
        page.page.wait_for_selector(f"#search-list li[role=option]:has-text('{entity['geid']}')")
        page.page.press("input[type=search]", "Enter")
        state = page.wait_for_state(is_there(entity))
        assert page.panel_geid() == state["selected"] == entity["geid"]
        assert entity["tile"]["url"] in page.tiles()
        assert page.page.input_value("input[type=search]") in (entity["name"], entity["address"])
        page.settle()
        assert page.feature_at(page.roof(entity) or [0, 0]) == entity["geid"]
        page.screenshot(f"found-by-{column}")
        page.page.goto(plain.viewer + "?quality=low" + corner(page))  # a change of the hash alone: the page stays
        page.wait_for_state("s.selected === undefined")


def test_an_alias_is_found_by_the_search_box(visit: Open, plain: Served) -> None:
    page = visit(plain).go()
    geid, code = next(
        (row["geid"], alias)
        for row in plain.rows("geid", "aliases", "tile")
        for alias in row["aliases"]
        if alias.startswith("beidou:") and row["tile"] and len(plain.find(alias)) == 1
    )
    page.page.fill("input[type=search]", code.removeprefix("beidou:").lower())
    page.page.wait_for_selector("#search-list li[role=option]")
    assert page.page.inner_text("#search-list li[role=option] code") == geid
    page.page.click("#search-list li[role=option]")
    assert page.panel_geid() == geid
    page.page.keyboard.press("Escape")
    page.page.evaluate("(alias) => window.twin.select(alias)", code)
    assert page.panel_geid() == page.state()["selected"] == geid


def test_the_page_can_ask_nobody_else_and_a_try_is_noticed(visit: Open, plain: Served) -> None:
    page = visit(plain).go()
    elsewhere = plain.url.replace("127.0.0.1", "localhost") + "release"
    with page.page.expect_console_message(lambda message: message.text.startswith("CSP connect-src")):
        refused = page.page.evaluate("(url) => fetch(url).then(() => 'answered', (error) => error.name)", elsewhere)
    assert refused == "TypeError"
    with pytest.raises(AssertionError, match=r"localhost|CSP connect-src"):
        page.check()
    page.complaints.clear()
    page.requests[:] = [request for request in page.requests if request.url != elsewhere]


def test_a_shared_link_restores_view_selection_colour_and_language(visit: Open, plain: Served) -> None:
    page = visit(plain).go()
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=plain.origin)
    entity, _ = in_sight(page)
    page.page.evaluate("(geid) => window.twin.select(geid)", entity["geid"])
    page.wait_for_state(is_there(entity))
    page.page.select_option(".side select, #side select", value="storeys")
    page.page.click(".languages button[lang=zh-CN]")
    page.settle()
    sent = page.state()
    page.page.click(".panel .actions button:nth-of-type(2)")
    page.page.wait_for_function("async () => (await navigator.clipboard.readText()).includes('#view=')")
    link = page.page.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(plain.viewer)
    other = visit(plain)
    other.go(link.removeprefix(plain.viewer))
    got = other.wait_for_state(f"s.selected === '{entity['geid']}' && s.highlighted")
    assert {key: got[key] for key in ("selected", "colour", "language", "release")} == {
        "selected": entity["geid"],
        "colour": "storeys",
        "language": "zh",
        "release": plain.get("release")["release"],
    }
    assert got["camera"] == pytest.approx(sent["camera"], abs=0.2)
    assert got["camera"]["lon"] == pytest.approx(sent["camera"]["lon"], abs=2e-7)
    assert other.panel_geid() == entity["geid"]
    other.screenshot("shared")


def test_the_language_changes_at_once_and_stays(visit: Open, plain: Served) -> None:
    page = visit(plain).go()

    def read() -> tuple[str, str, str]:
        lang = page.page.get_attribute("html", "lang") or ""
        return page.state()["language"], lang[:2], page.page.get_attribute("input[type=search]", "placeholder") or ""

    english = read()
    page.page.click(".languages button[lang=zh-CN]")
    chinese = read()
    assert (english[:2], chinese[:2]) == (("en", "en"), ("zh", "zh"))
    assert english[2].isascii() and not chinese[2].isascii()
    page.page.wait_for_function("() => location.hash.includes('lang=zh')")
    page.page.reload()
    page.page.wait_for_function("() => window.twin?.ready.then(() => true)")
    assert read() == chinese
    page.screenshot("chinese")


def test_everything_works_from_the_keyboard(visit: Open, plain: Served) -> None:
    page = visit(plain).go()
    keys, focused = page.page.keyboard, "() => document.activeElement?.matches('input[type=search]')"
    geid = plain.tallest(1)[0]
    keys.press("/")
    assert page.page.evaluate(focused)
    keys.type(geid)
    page.page.wait_for_selector("#search-list li[role=option]")
    keys.press("Escape")
    page.page.wait_for_selector("#search-list", state="hidden")
    keys.press("Escape")
    assert not page.page.evaluate(focused)
    keys.press("/")
    keys.press("Enter")
    assert page.panel_geid() == geid
    assert not page.page.evaluate(focused)
    keys.press("Escape")
    page.page.wait_for_selector(".panel", state="hidden")
    assert page.state().get("selected") is None
    keys.press("h")
    page.settle()
    before = page.state()["camera"]["height"]
    keys.press("+")
    page.wait_for_state(f"s.camera.height < {before - 20}")


def test_the_first_view_of_the_extract_is_small(visit: Open, plain: Served, capsys: pytest.CaptureFixture[str]) -> None:
    traffic = visit(plain).go("").traffic()
    with capsys.disabled():
        print(f"\nextract, first complete view: {traffic}")
    assert traffic.bytes <= 2_000_000 and traffic.requests <= 60
