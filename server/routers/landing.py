"""The way in: the landing page, the conformance declaration, the OpenAPI document and a page to read it."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from server.context import Context, json_answer, tagged
from server.features.conformance import FEATURES
from server.html_page import page
from server.routers.geovolumes import RELATION
from server.viewer_files import STATIC_POLICY

#: Only what `tests/server/test_conformance.py` and `tests/server/test_features_conformance.py` prove.
CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    *FEATURES,
)
OPENAPI_TYPE = "application/vnd.oai.openapi+json;version=3.1"
PAGE_HEADERS = {"Content-Security-Policy": STATIC_POLICY, "Referrer-Policy": "no-referrer"}


def prefers_html(accept: str) -> bool:
    """True if a browser is asking: `text/html` stands in Accept with a higher weight than JSON."""
    weights = {"text/html": 0.0, "application/json": 0.0}
    for element in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in element.split(";"))
        if media_type in weights:
            text = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            weights[media_type] = float(text) if text.replace(".", "", 1).isdecimal() and len(text) < 6 else 0.0
    return weights["text/html"] > weights["application/json"]


def _links(context: Context) -> list[dict[str, str]]:
    links = [
        context.link("self", "", title="This document"),
        context.link("service-desc", "api", media_type=OPENAPI_TYPE, title="OpenAPI document"),
        context.link("service-doc", "docs", media_type="text/html", title="Documentation of the endpoints"),
        context.link("conformance", "conformance", title="Conformance declaration"),
        context.link("http://www.opengis.net/def/rel/ogc/1.0/conformance", "conformance"),
        context.link("data", "collections", title="Collections of features"),
        context.link("http://www.opengis.net/def/rel/ogc/1.0/data", "collections"),
        context.link(RELATION, "geovolumes", title="3D containers: OGC API - 3D GeoVolumes, draft 22-029"),
        context.link("describedby", "release", title="The release: layers, tilesets and their properties"),
        context.link("search", "entities", title="Entities by name, address or identifier"),
    ]
    if context.live is not None:
        links.append(context.link("hub", "events", "stream", media_type="text/event-stream", title="Events"))
        asyncapi = "application/vnd.aai.asyncapi+json;version=3.0.0"
        links.append(context.link("service-desc", "asyncapi.json", media_type=asyncapi, title="AsyncAPI document"))
    if context.viewer:
        links.append(context.link("alternate", "viewer/", media_type="text/html", title="3D viewer"))
    return links


def describe_operation(path: str, method: str, operation: dict[str, Any]) -> str:
    """One endpoint as HTML."""
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{'required' if p.get('required') else ''}</td><td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    table = f"<table><tr><th>parameter<th>in<th><th>meaning</tr>{rows}</table>" if rows else ""
    text = escape(operation.get("description") or operation.get("summary", ""))
    return f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{text}</p>{table}</section>"


def router(context: Context) -> APIRouter:
    """The endpoints `/`, `/conformance`, `/api` and `/docs`."""
    routes = APIRouter(tags=["service"])

    @routes.get("/", summary="Landing page")
    def landing(
        request: Request,
        f: Annotated[Literal["json", "html"] | None, Query(description="Format; overrules Accept")] = None,
    ) -> Response:
        """Links to everything else. A browser is sent to the viewer, where there is one."""
        html = f == "html" or (f is None and prefers_html(request.headers.get("accept", "")))
        if html and f is None and context.viewer:
            return RedirectResponse(context.url("viewer/"), 307, {"Vary": "Accept", "Cache-Control": "no-cache"})
        with context.releases.reading() as release:
            title = release.record.get("project", {}).get("name", "District twin")
        links = _links(context)
        if not html:
            document = {"title": title, "description": "A district as a 3D twin.", "links": links}
            return json_answer(request, document, headers={"Vary": "Accept"})
        items = "".join(
            f'<li><a href="{escape(link["href"])}">{escape(link["title"])}</a></li>'
            for link in links
            if "title" in link
        )
        body = page(title, f"<h1>{escape(title)}</h1><ul>{items}</ul>")
        return tagged(request, body, "text/html; charset=utf-8", {"Vary": "Accept", **PAGE_HEADERS})

    @routes.get("/conformance", summary="Conformance declaration")
    def conformance(request: Request) -> Response:
        """The conformance classes that the tests of this project prove."""
        return json_answer(request, {"conformsTo": CONFORMANCE})

    @routes.get("/api", summary="OpenAPI document")
    def api(request: Request) -> Response:
        """The OpenAPI 3.1 document of this server."""
        return tagged(request, orjson.dumps(request.app.openapi()), OPENAPI_TYPE)

    @routes.get("/docs", summary="Documentation page")
    def docs(request: Request) -> Response:
        """The OpenAPI document as a page without scripts and without any outside request."""
        document = request.app.openapi()
        sections = (
            describe_operation(path, method, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        )
        body = page("Endpoints", f"<h1>{escape(document['info']['title'])}</h1>{''.join(sections)}")
        return tagged(request, body, "text/html; charset=utf-8", PAGE_HEADERS)

    return routes
