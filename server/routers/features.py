"""OGC API - Features, parts 1 to 3: collections of entities, asked by place, time and attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from server.context import Context, json_answer, tagged
from server.entity_past import ended, find_or_refuse
from server.features import pages
from server.features.crs import named
from server.features.cursor import read_cursor
from server.features.documents import (
    GEOJSON,
    HTML,
    SCHEMA,
    collection_document,
    collections_document,
    crs_list,
    frame,
    html_link,
    items_links,
    items_url,
    schema_document,
    stream,
)
from server.features.query import (
    LIMIT,
    MOST,
    read_box,
    read_filter,
    read_limit,
    read_moment,
    read_order,
    read_properties,
    read_span,
)  # fmt: skip
from server.features.query import (
    Query as FeatureQuery,
)
from server.features.render import BLOCK, blocks, render
from server.features.select import Page, page
from server.features.views import Moment, Views, claims_on
from server.negotiation import matches
from server.problem import not_found
from server.releases import OpenRelease
from server.routers.landing import PAGE_HEADERS, prefers_html
from twin.entity import geid as geids
from twin.query.crs import CRS84, FeatureCrs
from twin.query.fields import TIMES
from twin.query.view import Rows, View
from twin.store.base import digest, quoted

Format = Annotated[Literal["json", "html"] | None, Query(description="Format; overrules Accept")]
Collection = Annotated[str, Path(description="Collection: a class of entities")]
CrsText = Annotated[str | None, Query(max_length=200, description="CRS of the answer; the collection lists them")]
Time = Annotated[
    str | None,
    Query(max_length=100, description="When it was so: a moment or an interval, RFC 3339, `..` for an open end"),
]
AsOf = Annotated[str | None, Query(alias="as-of", max_length=50, description="What was known then; needs a history")]


def wants_html(request: Request, f: str | None) -> bool:
    """True where a page is asked for."""
    return f == "html" or (f is None and prefers_html(request.headers.get("accept", "")))


def answer_page(request: Request, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """A page with an ETag."""
    return tagged(request, body, f"{HTML}; charset=utf-8", {"Vary": "Accept", **PAGE_HEADERS, **(headers or {})})


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a request for features, as text."""

    limit: int
    bbox: str | None
    bbox_crs: str | None
    datetime: str | None
    as_of: str | None
    crs: str | None
    sortby: str | None
    properties: str | None
    filter: str | None
    filter_lang: str
    filter_crs: str | None
    cursor: str | None

    def moment(self) -> Moment:
        """The pair of times. A filter that asks for the times of a version is for the history."""
        texts = (self.sortby, self.properties, self.filter)
        recorded = any(text is not None and time in text for text in texts for time in TIMES)
        as_of = None if self.as_of is None else read_moment(self.as_of, "as-of")
        return Moment(read_span(self.datetime), as_of, recorded)

    def query(self, view: View, uris: tuple[str, ...]) -> FeatureQuery:
        """The rest. Raises `ProblemError` (400) for what cannot be understood."""
        order = read_order(self.sortby, view.fields)
        condition, condition_crs = read_filter(self.filter, self.filter_lang, self.filter_crs, uris)
        return FeatureQuery(
            crs=named(self.crs or CRS84, uris, "crs"),
            limit=read_limit(self.limit),
            bbox=read_box(self.bbox, self.bbox_crs, uris),
            filter=condition,
            filter_crs=condition_crs,
            sortby=order,
            properties=read_properties(self.properties, view.fields),
            cursor=read_cursor(self.cursor, len(order)),
        )


def router(context: Context) -> APIRouter:
    """The endpoints at and below `/collections`."""
    routes = APIRouter(tags=["features"])
    views = Views(context)
    _documents(routes, context, views)
    _items(routes, context, views)
    _one_item(routes, context, views)
    return routes


def _checked(view: View, collection: str) -> str:
    """Raises `ProblemError` (404) where there is no such collection."""
    if collection not in view.classes:
        raise not_found("No such collection; `/collections` lists them.")
    return collection


def _documents(routes: APIRouter, context: Context, views: Views) -> None:
    @routes.get("/collections", summary="Collections")
    def collections(request: Request, f: Format = None) -> Response:
        """Every class of entities with its extent, CRSs and links."""
        with context.releases.reading() as release:
            document = collections_document(context, views.present(release), context.timeline.editions())
        if wants_html(request, f):
            return answer_page(request, pages.collections_page(context, document))
        return json_answer(request, document, headers={"Vary": "Accept"})

    @routes.get("/collections/{collection}", summary="One collection")
    def one_collection(request: Request, collection: Collection, f: Format = None) -> Response:
        """Extent, CRSs and links of one class of entities."""
        with context.releases.reading() as release:
            view = views.present(release)
            name = _checked(view, collection)
            document = collection_document(context, view, name, context.timeline.editions())
        if wants_html(request, f):
            return answer_page(request, pages.collection_page(context, document))
        return json_answer(request, document, headers={"Vary": "Accept"})

    @routes.get("/collections/{collection}/queryables", summary="What filters may name")
    def queryables(request: Request, collection: Collection, f: Format = None) -> Response:
        """JSON Schema of the properties that `filter` and `sortby` may name."""
        return _schema(request, context, views, collection, "queryables", f)

    @routes.get("/collections/{collection}/schema", summary="Properties of a feature")
    def schema(request: Request, collection: Collection, f: Format = None) -> Response:
        """JSON Schema of the features of a collection."""
        return _schema(request, context, views, collection, "schema", f)


def _schema(request: Request, context: Context, views: Views, name: str, leaf: str, f: str | None) -> Response:
    with context.releases.reading() as release:
        view = views.view(release, Moment(recorded=True)) if views.recorded else views.present(release)
        _checked(views.present(release), name)
        document = schema_document(context, view, name, leaf)
    if wants_html(request, f):
        return answer_page(request, pages.schema_page(context, name, document))
    return json_answer(request, document, SCHEMA, {"Vary": "Accept"})


def _items(routes: APIRouter, context: Context, views: Views) -> None:
    @routes.get("/collections/{collection}/items", summary="Features of a collection")
    def items(
        request: Request,
        collection: Collection,
        limit: Annotated[int, Query(ge=1, description=f"How many at most; more than {MOST} counts as {MOST}")] = LIMIT,
        bbox: Annotated[
            str | None, Query(max_length=500, description="West, south, east, north; or six numbers with heights")
        ] = None,
        bbox_crs: Annotated[str | None, Query(alias="bbox-crs", max_length=200, description="CRS of bbox")] = None,
        datetime: Time = None,
        as_of: AsOf = None,
        crs: CrsText = None,
        sortby: Annotated[str | None, Query(max_length=2000, description="Properties, `-` in front: falling")] = None,
        properties: Annotated[str | None, Query(max_length=4000, description="Which properties to write")] = None,
        filter: Annotated[str | None, Query(description="Condition in CQL2")] = None,
        filter_lang: Annotated[
            Literal["cql2-text", "cql2-json"], Query(alias="filter-lang", description="How the filter is written")
        ] = "cql2-text",
        filter_crs: Annotated[
            str | None, Query(alias="filter-crs", max_length=200, description="CRS of geometries in the filter")
        ] = None,
        cursor: Annotated[str | None, Query(description="Where the page begins; out of a `next` link")] = None,
        f: Format = None,
    ) -> Response:
        """Features as GeoJSON or as a page; a long answer is streamed."""
        asked = Asked(
            limit, bbox, bbox_crs, datetime, as_of, crs, sortby, properties, filter, filter_lang, filter_crs, cursor
        )
        return _answer_items(request, context, views, collection, asked, wants_html(request, f))


def _answer_items(
    request: Request, context: Context, views: Views, collection: str, asked: Asked, html: bool
) -> Response:
    """Reads the release and the parameters together, then finds and writes the features."""
    moment = asked.moment()
    with context.releases.reading() as release:
        present = views.present(release)
        name = _known(views, release, moment, collection)
        view = views.view(release, moment)
        uris = crs_list(present, name)
    query = asked.query(view, uris)
    tag = _entity_tag(request, view)
    if tag is not None and _unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"})
    found = page(view, name, query)
    if html:
        return _items_page(request, context, view, name, query, found)
    return _items_json(request, context, _Answer(views, view, name, query, found), tag)


def _one_item(routes: APIRouter, context: Context, views: Views) -> None:
    @routes.get("/collections/{collection}/items/{id}", summary="One feature")
    def item(
        request: Request,
        collection: Collection,
        id: Annotated[str, Path(max_length=64, description="Identifier in any spelling")],
        datetime: Time = None,
        as_of: AsOf = None,
        crs: CrsText = None,
        f: Format = None,
    ) -> Response:
        """One feature as GeoJSON or as a page; 410 with links to its successors once it is retired."""
        span = read_span(datetime)
        moment = Moment(span, None if as_of is None else read_moment(as_of, "as-of"))
        with context.releases.reading() as release:
            geid = _identifier(id)
            view = views.one(release, moment, geid)
            present = views.present(release)
            row = _find(context, release, view, moment, geid)
            name = collection if collection in view.classes else _checked(present, collection)
            if row not in view.classes.get(name, ()):
                raise not_found("No such feature in this collection.")
            target = named(crs or CRS84, crs_list(present, name), "crs")
        return _item(request, context, view, name, row, target, f)


def _known(views: Views, release: OpenRelease, moment: Moment, collection: str) -> str:
    """A collection of now or of the moment. Raises `ProblemError` (404) where it is neither."""
    if collection in views.present(release).classes:
        return collection
    return _checked(views.view(release, moment), collection)


def _identifier(text: str) -> str:
    """An identifier as `mint` writes it. Raises `ProblemError` (404) where it can be none."""
    if not geids.check(text):
        raise not_found("No such feature; features are named by their identifier.")
    return geids.normalise(text)


def _find(context: Context, release: OpenRelease, view: View, moment: Moment, geid: str) -> int:
    """Row of a feature.

    Raises:
        ProblemError: 404 where it is not there, 410 where it is retired.
    """
    row = view.position(geid)
    if row < view.table.num_rows and view.table["geid"][row].as_py() == geid:
        return row
    if moment.span is None and moment.as_of is None:
        find_or_refuse(context, release, geid)
    elif len(claims_on(context.timeline, geid, moment.span, moment.as_of)):
        raise ended(context, [geid], "at that time")
    raise not_found("No such feature.")


def _entity_tag(request: Request, view: View) -> str | None:
    """A weak tag, because `timeStamp` differs from answer to answer; None for a now that moves on by itself."""
    if not view.mark:
        return None
    parts = (view.mark, str(request.url.query), str(prefers_html(request.headers.get("accept", ""))))
    return "W/" + quoted(digest("\n".join((request.scope["path"], *parts)).encode()))


def _unchanged(request: Request, tag: str) -> bool:
    condition = ",".join(request.headers.getlist("if-none-match"))
    return bool(condition) and matches(condition.encode("latin-1"), tag.encode())


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a page of features is made of."""

    views: Views
    view: View
    name: str
    query: FeatureQuery
    page: Page

    def texts(self, rows: Rows) -> list[bytes]:
        """Features as JSON; from memory where all properties are asked for."""
        if self.query.properties is None:
            return self.views.fragments(self.view, self.query.crs).texts(rows)
        return render(self.view, rows, self.query.crs, self.query.properties)


def _items_json(request: Request, context: Context, answer: _Answer, tag: str | None) -> Response:
    found = answer.page
    cursor = None if found.cursor is None else found.cursor.write()
    links = items_links(context, answer.name, dict(request.query_params), cursor)
    headers = {"Content-Crs": f"<{answer.query.crs.uri}>", "Cache-Control": "no-cache", "Vary": "Accept"}
    headers["Link"] = ", ".join(f'<{one["href"]}>; rel="{one["rel"]}"; type="{one["type"]}"' for one in links)
    if tag is not None:
        headers["ETag"] = tag
    head = frame(links, found.matched, len(found.rows))
    parts = stream(head, _texts(answer))
    if len(found.rows) <= BLOCK:
        return Response(b"".join(parts), media_type=GEOJSON, headers=headers)
    return StreamingResponse(parts, media_type=GEOJSON, headers=headers)


def _texts(answer: _Answer) -> Iterator[list[bytes]]:
    """A large answer is rendered past the memory of features, which it would only empty."""
    large = len(answer.page.rows) > 10 * BLOCK
    for rows in blocks(answer.page.rows):
        yield render(answer.view, rows, answer.query.crs, answer.query.properties) if large else answer.texts(rows)


def _items_page(
    request: Request, context: Context, view: View, name: str, query: FeatureQuery, found: Page
) -> Response:
    rows = found.rows[:LIMIT] if query.limit > BLOCK else found.rows
    features = [orjson.loads(text) for text in render(view, rows, query.crs, query.properties)]
    links = items_links(context, name, dict(request.query_params), found.cursor.write() if found.cursor else None)
    following = next((html_link(one["href"])["href"] for one in links if one["rel"] == "next"), None)
    body = pages.items_page(context, name, features, found.matched, following)
    return answer_page(request, body, {"Content-Crs": f"<{query.crs.uri}>"})


def _item(
    request: Request, context: Context, view: View, name: str, row: int, target: FeatureCrs, f: str | None
) -> Response:
    rows = view.classes[name][view.classes[name] == row]
    feature: dict[str, Any] = orjson.loads(render(view, rows, target)[0])
    crs_header = {"Content-Crs": f"<{target.uri}>"}
    if wants_html(request, f):
        return answer_page(request, pages.item_page(context, name, feature), crs_header)
    address = items_url(context, name, feature["id"])
    feature["links"] = [
        {"href": address, "rel": "self", "type": GEOJSON, "title": "This feature"},
        html_link(address),
        context.link("collection", "collections", name, title=name),
        context.link("canonical", "entities", feature["id"], title="The entity"),
    ]
    link = ", ".join(f'<{one["href"]}>; rel="{one["rel"]}"; type="{one["type"]}"' for one in feature["links"])
    return json_answer(request, feature, GEOJSON, {**crs_header, "Link": link, "Vary": "Accept"})
