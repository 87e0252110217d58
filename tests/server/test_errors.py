"""Every error is an RFC 9457 problem, and no query makes the server fail."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FIELDS = {"type", "title", "status", "detail", "instance", "code"}


def check_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == FIELDS
    assert problem["status"] == status
    for word in ("Traceback", ".py", "/tmp", "sqlite"):
        assert word not in problem["detail"]
    return problem


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "not_found"),
        ("/entities/", 404, "not_found"),
        ("/entities/nobody", 404, "not_found"),
        ("/archives/nothing", 404, "not_found"),
        ("/viewer/nothing.js", 404, "not_found"),
        ("/tiles", 404, "not_found"),
        ("/release/", 404, "not_found"),
        ("/" + "a" * 5000, 404, "not_found"),
        ("/entities", 400, "invalid_parameter"),
        ("/entities?q=", 400, "invalid_parameter"),
        ("/entities?q=" + "a" * 201, 400, "invalid_parameter"),
        ("/entities?q=a&limit=0", 400, "invalid_parameter"),
        ("/entities?q=a&limit=-1", 400, "invalid_parameter"),
        ("/entities?q=a&limit=x", 400, "invalid_parameter"),
        ("/entities?q=a&limit=" + "9" * 5000, 400, "invalid_parameter"),
        ("/entities?q=a&offset=3", 400, "unknown_parameter"),
        ("/entities?q=a&q=b", 400, "repeated_parameter"),
        ("/livez?x=1", 400, "unknown_parameter"),
        ("/release?f=xml", 400, "unknown_parameter"),
        ("/?f=xml", 400, "invalid_parameter"),
        ("/resolve?lon=121", 400, "invalid_parameter"),
        ("/resolve?lon=181&lat=0", 400, "invalid_parameter"),
        ("/resolve?lon=0&lat=-91", 400, "invalid_parameter"),
        ("/resolve?lon=nan&lat=0", 400, "invalid_parameter"),
        ("/resolve?lon=0&lat=inf", 400, "invalid_parameter"),
        ("/resolve?lon=0&lat=0&h=nan", 400, "invalid_parameter"),
        ("/resolve?lon=0&lat=0&tolerance=-1", 400, "invalid_parameter"),
    ],
)
def test_a_wrong_address_or_parameter_is_told_as_a_problem(get: Any, path: str, status: int, code: str) -> None:
    assert check_problem(get(path), status)["code"] == code


def test_what_is_allowed_is_told(get: Any) -> None:
    assert "limit" in get("/entities?q=a&offset=3").json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path", ["/", "/release", "/entities?q=a", "/viewer/", "/tiles/buildings/tileset.json", "/archives/buildings"]
)
def test_every_method_that_writes_is_refused(get: Any, method: str, path: str) -> None:
    answer = get(path, method)
    check_problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/", "/release", "/entities?q=tower", "/archives/buildings", "/viewer/", "/livez", "/api", "/nothing"]
)
def test_head_is_get_without_its_body(get: Any, path: str) -> None:
    head, whole = get(path, "HEAD"), get(path)
    assert (head.status, head.body) == (whole.status, b"")
    assert head.headers == whole.headers


def test_a_crash_tells_nothing(app: Any, district: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio
    import httpx

    def crash(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(app.releases.pair.current.index, "record", crash)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(f"/entities/{district.buildings[0].geid}")

    response = anyio.run(run)
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "internal_error"
    assert "secret" not in response.text


def test_not_ready_is_a_503_with_a_time_to_come_back(district: Any, serve: Any, ask: Any) -> None:
    built = district.publish("directory")
    app = serve(built.out)
    for file in (built.out / "releases" / built.release / "buildings").rglob("*.glb"):
        file.unlink()
    answer = ask(app, "/readyz")
    assert check_problem(answer, 503)["code"] == "not_ready"
    assert answer.headers["retry-after"] == "5"
    assert ask(app, "/livez").status == 200


VALUES = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.sampled_from(
        ["", "null", "1e999", "-0", "0x10", "1_0", "\0", "٣", "%", "' OR 1=1 --", "../..", "true", "\ud800"]
    ),
)
NAMES = st.sampled_from(["q", "limit", "f", "lon", "lat", "h", "tolerance"])
PATHS = st.sampled_from(
    ["/", "/entities", "/resolve", "/release", "/conformance", "/api", "/docs", "/livez", "/readyz"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS, query=st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_no_query_makes_the_server_fail(get: Any, path: str, query: list[tuple[str, str]]) -> None:
    answer = get(f"{path}?{urlencode(query, errors='surrogatepass')}")
    assert answer.status in {200, 400}
    if answer.status == 400:
        check_problem(answer, 400)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80))
def test_no_identifier_makes_the_server_fail(get: Any, text: str) -> None:
    answer = get(f"/entities/{quote(text, safe='', errors='surrogatepass')}")
    assert answer.status in {200, 404}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    h=st.none() | st.floats(-12_000, 100_000),
    tolerance=st.floats(0, 1e308),
)
def test_every_place_on_earth_can_be_asked_for(
    get: Any, lon: float, lat: float, h: float | None, tolerance: float
) -> None:
    height = "" if h is None else f"&h={h:f}"
    assert get(f"/resolve?lon={lon:f}&lat={lat:f}&tolerance={tolerance:f}{height}").status == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["accept", "accept_encoding", "if_none_match", "range", "if_range", "origin"]),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    path=st.sampled_from(
        ["/", "/release", "/archives/buildings", "/tiles/buildings/tileset.json", "/viewer/", "/entities?q=t"]
    ),
)
def test_no_header_makes_the_server_fail(get: Any, name: str, value: str, path: str) -> None:
    assert get(path, **{name: value}).status < 500
