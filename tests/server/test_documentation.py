"""The routes, the OpenAPI document and docs/api.md list the same endpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from server.openapi import thin_paths
from server.problem import MEDIA_TYPE

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


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
    headings = re.findall(r"^### `GET (\S+)`", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == routes(app)


def test_the_docs_name_every_query_parameter(get: Any) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for path, operations in get("/api").json()["paths"].items():
        section = text.split(f"### `GET {path}`")[1].split("\n### ")[0]
        for parameter in operations["get"].get("parameters", ()):
            if parameter["in"] == "query":
                assert f"`{parameter['name']}`" in section, (path, parameter["name"])


def test_the_docs_name_every_problem_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    server = Path(__file__).parents[2] / "server"
    sources = [*server.glob("*.py"), *(server / "routers").glob("*.py")]
    codes = {
        code
        for source in sources
        for code in re.findall(
            r"ProblemError\(\s*(?:\d{3}|status),\s*\"([a-z_]+)\"", source.read_text(encoding="utf-8")
        )
    }
    assert len(codes) > 8
    for code in codes:
        assert f"`{code}`" in text, code


def test_every_operation_promises_problems_and_never_422(get: Any) -> None:
    document = get("/api").json()
    for operations in document["paths"].values():
        responses = operations["get"]["responses"]
        assert "422" not in responses
        assert MEDIA_TYPE in responses["default"]["content"]
    assert set(document["components"]["schemas"]) == {"Problem"}


def test_the_documentation_page_shows_every_endpoint(app: Any, get: Any) -> None:
    page = get("/docs").body.decode()
    for path in routes(app):
        assert f"GET {path}</code>" in page
