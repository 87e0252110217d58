"""The viewer comes from memory, with a policy that forbids every outside origin."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

from server.viewer_files import POLICY


def test_the_page_is_revalidated_and_guarded(get: Any) -> None:
    answer = get("/viewer/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert get("/viewer/index.html").body == answer.body
    assert get("/viewer/", if_none_match=answer.headers["etag"]).status == 304


def test_the_policy_names_no_outside_origin_and_no_eval() -> None:
    words = {word for directive in POLICY.split("; ") for word in directive.split()[1:]}
    assert words <= {"'none'", "'self'", "'unsafe-inline'", "'wasm-unsafe-eval'", "blob:", "data:"}
    directives = dict(directive.split(" ", 1) for directive in POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert "unsafe-inline" not in directives["script-src"]
    assert not re.search(r"https?:|\*", POLICY)


def test_hashed_files_are_immutable_and_others_are_not(get: Any) -> None:
    assert "immutable" in get("/viewer/assets/index-Ab3dEf9h.js").headers["cache-control"]
    assert get("/viewer/icon.svg").headers["cache-control"] == "no-cache"


def test_variants_of_the_build_are_used_and_gzip_is_made_otherwise(get: Any, viewer: Path) -> None:
    path = "/viewer/assets/index-Ab3dEf9h.js"
    plain = (viewer / "assets" / "index-Ab3dEf9h.js").read_bytes()
    built = get(path, accept_encoding="gzip, br")
    assert (built.headers["content-encoding"], built.body) == ("br", b"brotli bytes")
    made = get(path, accept_encoding="gzip")
    assert made.headers["content-encoding"] == "gzip"
    assert gzip.decompress(made.body) == plain
    assert get(path).body == plain
    assert len({built.headers["etag"], made.headers["etag"], get(path).headers["etag"]}) == 3
    assert get(f"{path}.br").status == 404


def test_media_types_are_what_browsers_insist_on(get: Any) -> None:
    assert get("/viewer/assets/decoder-0a1b2c3d.wasm").headers["content-type"] == "application/wasm"
    assert get("/viewer/assets/index-Ab3dEf9h.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert get("/viewer/icon.svg").headers["content-type"] == "image/svg+xml"


def test_everything_works_below_a_prefix(district: Any, serve: Any, ask: Any) -> None:
    app = serve(district.out, base_path="/city/twin")
    assert ask(app, "/city/twin/viewer/").status == 200
    assert ask(app, "/city/twin/viewer?x=1").headers["location"] == "/city/twin/viewer/?x=1"
    assert ask(app, "/city/twin").headers["location"] == "/city/twin/"
    assert ask(app, "/city/twin/tiles/buildings/tileset.json").body == district.tileset
    assert ask(app, "/city/twin/release").json()["layers"]["buildings"]["tileset"].startswith("/city/twin/tiles/")
    for link in ask(app, "/city/twin/").json()["links"]:
        target = link["href"] + ("?q=a" if link["rel"] == "search" else "")
        assert ask(app, target).status == 200, link
    tile = ask(app, f"/city/twin/entities/{district.buildings[0].geid}").json()["tile"]
    assert ask(app, tile["url"]).status == 200
    assert ask(app, "/city/twin/api").json()["servers"] == [{"url": "/city/twin"}]
    for outside in ("/viewer/", "/tiles/buildings/tileset.json", "/release", "/", "/city/twinx/release"):
        assert ask(app, outside, x_forwarded_prefix="/city/twin").status == 404


def test_without_a_built_viewer_the_rest_is_served(district: Any, serve: Any, ask: Any, tmp_path: Path) -> None:
    app = serve(district.out, viewer=tmp_path / "none")
    answer = ask(app, "/viewer/")
    assert answer.status == 404
    assert "make viewer" in answer.json()["detail"]
    page = ask(app, "/", accept="text/html")
    assert page.status == 200
    assert b"Sample &lt;District&gt;" in page.body
    assert all("viewer" not in link["href"] for link in ask(app, "/").json()["links"])


def test_a_browser_is_sent_to_the_viewer(get: Any) -> None:
    answer = get("/", accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (answer.status, answer.headers["location"], answer.headers["vary"]) == (307, "/viewer/", "Accept")
    assert get("/?f=html").headers["content-type"] == "text/html; charset=utf-8"
    assert get("/?f=json", accept="text/html").headers["content-type"] == "application/json"


def test_pages_ask_for_nothing_else(get: Any) -> None:
    for path in ("/docs", "/?f=html"):
        answer = get(path)
        assert not re.search(rb"<script|<link|<img|<iframe|@import|url\(|src=", answer.body)
        assert b"http://" not in answer.body and b"https://" not in answer.body
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
