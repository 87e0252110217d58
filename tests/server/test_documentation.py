"""The routes, the OpenAPI document and docs/api.md list the same endpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from server.openapi import thin_paths
from server.problem import MEDIA_TYPE

FOLDER = Path(__file__).parents[2] / "docs"
#: What the endpoints are described in; each on one of these pages.
PAGES = ("api.md", "events-in.md", "events-out.md", "indicators.md", "sensorthings.md")
TEXT = "\n".join(page.read_text(encoding="utf-8") for name in PAGES if (page := FOLDER / name).exists())

HEADING = re.compile(r"^### `(GET|POST) (\S+)`", re.MULTILINE)


def routes(app: Any) -> set[str]:
    def walk(router: Any) -> set[str]:
        found = set()
        for route in router.routes:
            if isinstance(route, APIRoute):
                found.add(route.path_format)
            elif getattr(route, "original_router", None) is not None:
                found |= walk(route.original_router)
        return found

    return walk(app.api.router) | set(thin_paths())


def test_openapi_lists_every_route_and_no_other(app: Any, get: Any) -> None:
    assert set(get("/api").json()["paths"]) == routes(app)
    assert len(routes(app)) >= 15


def test_the_docs_list_every_route_and_no_other(app: Any) -> None:
    headings = HEADING.findall(TEXT)
    assert len(headings) == len(set(headings))
    assert {path for _, path in headings} == routes(app)


def test_the_docs_describe_every_method_of_what_can_only_be_sent_to(get: Any) -> None:
    headings = set(HEADING.findall(TEXT))
    for path, operations in get("/api").json()["paths"].items():
        if path.startswith("/events"):
            assert {(method.upper(), path) for method in operations} <= headings


def test_the_docs_name_every_query_parameter(get: Any) -> None:
    for path, operations in get("/api").json()["paths"].items():
        for method, operation in operations.items():
            asked = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            if not asked:
                continue
            heading = f"### `{method.upper()} {path}`"
            section = TEXT.split(heading if heading in TEXT else f"### `GET {path}`")[1].split("\n### ")[0]
            for name in asked:
                assert f"`{name}`" in section, (method, path, name)


def test_the_docs_name_every_problem_code() -> None:
    server = Path(__file__).parents[2] / "server"
    sources = [*server.glob("*.py"), *(server / "routers").glob("*.py"), *(server / "live").glob("*.py")]
    codes = {
        code
        for source in sources
        for code in re.findall(
            r"ProblemError\(\s*(?:\d{3}|status),\s*\"([a-z_]+)\"", source.read_text(encoding="utf-8")
        )
    }
    assert len(codes) > 8
    for code in codes:
        assert f"`{code}`" in TEXT, code


def test_every_operation_promises_problems_and_never_422(get: Any) -> None:
    document = get("/api").json()
    for operations in document["paths"].values():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert MEDIA_TYPE in operation["responses"]["default"]["content"]
    assert set(document["components"]["schemas"]) == {"Problem"}


def test_the_documentation_page_shows_every_endpoint(app: Any, get: Any) -> None:
    page = get("/docs").body.decode()
    for path, operations in get("/api").json()["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}</code>" in page
