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
    for shown in (entity["name"], entity["address"], entity["provenance"]["source_key"]):
        assert shown is None or shown in panel
    assert page.state()["selected"] == entity["geid"]
    assert entity["tile"]["url"] in page.tiles()
    page.screenshot(f"picked-{where}")
