"""An entity in its four forms, and the thin path that gives the same bytes as the long one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np


def test_the_city_model_is_a_closed_solid_of_the_right_volume(get: Any, district: Any) -> None:
    document = get(f"/entities/{district.buildings[0].geid}?f=cityjson").json()
    (solid,) = document["CityObjects"][district.buildings[0].geid]["geometry"]
    xyz = np.array(document["vertices"]) * document["transform"]["scale"] + document["transform"]["translate"]
    edges: dict[tuple[int, int], int] = {}
    volume = 0.0
    for face in solid["boundaries"][0]:
        for ring in face:
            for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
                edges[a, b] = edges.get((a, b), 0) + 1
            for b, c in pairwise(ring[1:]):
                local = xyz - xyz[0]
                volume += np.dot(local[ring[0]], np.cross(local[b], local[c])) / 6
    assert all(count == 1 and (b, a) in edges for (a, b), count in edges.items())
    assert abs(volume - (400 - 100) * 30) < 1
    assert document["metadata"]["referenceSystem"].endswith("/4549")


def test_the_page_asks_for_nothing_and_shows_the_entity(get: Any, district: Any) -> None:
    answer = get(f"/entities/{district.buildings[1].geid}", accept="text/html")
    page = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert "script" not in page.lower() and "http" not in page and "<svg" in page
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_thin_path_gives_what_the_long_one_gives(get: Any, district: Any) -> None:
    for building in district.buildings:
        for name in (building.geid, f"survey:{building.key}"):
            thin, long = get(f"/entities/{name}"), get(f"/entities/{name}?f=json")
            assert (thin.status, thin.body, thin.headers) == (long.status, long.body, long.headers)


def test_without_a_history_a_question_about_the_past_says_so(get: Any, district: Any) -> None:
    name = district.buildings[0].geid
    for path in (
        f"/entities/{name}/history",
        f"/entities/{name}?datetime=2020-01-01",
        f"/entities/{name}?as-of=2020-01-01",
    ):
        assert get(path).json()["code"] == "no_history"
    for wrong in ("x", "2020-13-01", "2020-01-01T00:00:00", "9999-12-31T23:59:59-23:00"):
        assert get(f"/entities/{name}?datetime={wrong}").status == 400
