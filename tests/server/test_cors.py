"""Other origins read nothing unless they are named."""

from __future__ import annotations

from typing import Any

import pytest

PATHS = ["/tiles/buildings/tileset.json", "/release", "/nothing", "/viewer/"]


@pytest.mark.parametrize("path", PATHS)
def test_nobody_is_let_in_by_default(get: Any, path: str) -> None:
    assert "access-control-allow-origin" not in get(path, origin="https://a.example").headers


@pytest.mark.parametrize("path", PATHS)
def test_named_origins_are_let_in_and_caches_keep_them_apart(district: Any, serve: Any, ask: Any, path: str) -> None:
    app = serve(district.out, cors=("https://a.example", "https://b.example:8443"))
    for origin in ("https://a.example", "https://b.example:8443"):
        answer = ask(app, path, origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin
        assert "origin" in answer.headers["vary"].lower()
        assert "ETag" in answer.headers["access-control-expose-headers"]
    for headers in ({"origin": "https://evil.example"}, {}):
        answer = ask(app, path, **headers)
        assert "access-control-allow-origin" not in answer.headers
        assert "origin" in answer.headers["vary"].lower()


def test_a_star_lets_everybody_in(district: Any, serve: Any, ask: Any) -> None:
    app = serve(district.out, cors=("*",))
    assert ask(app, "/release", origin="https://x.example").headers["access-control-allow-origin"] == "*"


def test_a_preflight_is_answered_for_named_origins_only(district: Any, serve: Any, ask: Any) -> None:
    app = serve(district.out, cors=("https://a.example",))
    good = ask(app, "/release", "OPTIONS", origin="https://a.example", access_control_request_method="GET")
    assert (good.status, good.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    bad = ask(app, "/release", "OPTIONS", origin="https://evil.example", access_control_request_method="GET")
    assert bad.status == 405


def test_credentials_are_never_allowed(district: Any, serve: Any, ask: Any) -> None:
    app = serve(district.out, cors=("*",))
    assert "access-control-allow-credentials" not in ask(app, "/release", origin="https://a.example").headers
