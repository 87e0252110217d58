"""Collections and features as pages a person can read: no scripts, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from server.context import Context
from server.features.documents import items_url
from server.html_page import page

_MOST_COLUMNS = 12


def _anchor(address: str, text: str) -> str:
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _rows(pairs: Mapping[str, Any]) -> str:
    return "".join(f"<tr><th>{escape(name)}</th><td>{_shown(value)}</td></tr>" for name, value in pairs.items())


def _crumbs(context: Context, *names: str) -> str:
    """The way back."""
    steps = [
        _anchor(f"{context.url('')}?f=html", "Start"),
        _anchor(context.url("collections") + "?f=html", "Collections"),
    ]
    if names:
        steps.append(_anchor(context.url("collections", names[0]) + "?f=html", names[0]))
    return f"<p>{' / '.join(steps)}</p>"


def collections_page(context: Context, document: Mapping[str, Any]) -> bytes:
    """Every collection."""
    rows = "".join(
        f"<tr><td>{_anchor(context.url('collections', one['id']) + '?f=html', one['id'])}</td>"
        f"<td>{escape(one['description'])}</td></tr>"
        for one in document["collections"]
    )
    return page("Collections", f"{_crumbs(context)}<h1>Collections</h1><table>{rows}</table>")


def collection_page(context: Context, document: Mapping[str, Any]) -> bytes:
    """One collection."""
    name = document["id"]
    extent = document["extent"].get("spatial", {}).get("bbox", [[]])[0]
    links = "".join(f"<li>{_anchor(one['href'], one['title'])}</li>" for one in document["links"])
    systems = "".join(f"<li><code>{escape(uri)}</code></li>" for uri in document["crs"])
    facts = _rows({"Extent": [round(one, 6) for one in extent], "Stored in": document.get("storageCrs")})
    see = _anchor(items_url(context, name) + "?f=html", "See the features")
    body = (
        f"{_crumbs(context)}<h1>{escape(name)}</h1><p>{escape(document['description'])} {see}</p>"
        f"<table>{facts}</table><h2>Links</h2><ul>{links}</ul><h2>Coordinate reference systems</h2><ul>{systems}</ul>"
    )
    return page(name, body)


def schema_page(context: Context, name: str, document: Mapping[str, Any]) -> bytes:
    """The properties of a collection."""
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td>{escape(one.get('type', one.get('format', '')))}</td>"
        f"<td>{escape(one['title'])}</td></tr>"
        for key, one in document["properties"].items()
    )
    table = f"<table><tr><th>property</th><th>type</th><th>meaning</th></tr>{rows}</table>"
    return page(name, f"{_crumbs(context, name)}<h1>{escape(name)}: properties</h1>{table}")


def items_page(
    context: Context, name: str, features: Sequence[Mapping[str, Any]], matched: int, following: str | None
) -> bytes:
    """A page of features as a table."""
    columns = _columns(features)
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    rows = "".join(
        f"<tr><td>{_anchor(items_url(context, name, one['id']) + '?f=html', one['id'])}</td>"
        + "".join(f"<td>{_shown(one['properties'].get(column))}</td>" for column in columns)
        + "</tr>"
        for one in features
    )
    more = f"<p>{_anchor(following, 'Next page')}</p>" if following else ""
    told = f"<p>{len(features):,} of {matched:,} features.</p>"
    table = f"<table><tr><th>identifier</th>{head}</tr>{rows}</table>"
    return page(name, f"{_crumbs(context, name)}<h1>{escape(name)}</h1>{told}{table}{more}")


def _columns(features: Sequence[Mapping[str, Any]]) -> list[str]:
    """The first properties that have a value in some feature."""
    filled: dict[str, None] = {}
    for one in features:
        for key, value in one["properties"].items():
            if value not in (None, []) and key not in ("geid", "entity_class", "layer"):
                filled.setdefault(key)
    order = dict.fromkeys(key for one in features[:1] for key in one["properties"])
    return [key for key in order if key in filled][:_MOST_COLUMNS]


def item_page(context: Context, name: str, feature: Mapping[str, Any]) -> bytes:
    """One feature."""
    links = [_anchor(context.url("entities", feature["id"]), "The entity with its provenance and tile")]
    links.append(_anchor(items_url(context, name, feature["id"]) + "?f=json", "As GeoJSON"))
    title = feature["properties"].get("name") or feature["id"]
    body = f"{_crumbs(context, name)}<h1>{escape(str(title))}</h1><table>{_rows(feature['properties'])}</table>"
    return page(str(title), f"{body}<ul>{''.join(f'<li>{one}</li>' for one in links)}</ul>")
