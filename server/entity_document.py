"""Turns a row of the entity index into what a client reads: a short item, a full record, or a GeoJSON feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.context import Context

_PROVENANCE = {
    "source": "source",
    "source_key": "source_key",
    "outcome": "outcome",
    "reasons": "reasons",
    "height_source": "height_source",
    "height_confidence": "confidence",
    "ground_source": "ground_source",
}
_FACTS = ("geid", "layer", "entity_class", "name", "address", "aliases", "parent", "lon", "lat", "height")
_MEASURES = ("base_m", "roof_m", "height_m", "storeys", "lod")
Record = Mapping[str, Any]


def bounding_box(record: Record) -> list[float] | None:
    """West, south, low, east, north, high: degrees and ellipsoidal metres (RFC 7946 §5); 2D without a height."""
    west, south, east, north = (record.get(side) for side in ("west", "south", "east", "north"))
    if west is None or south is None or east is None or north is None:
        return None
    low = record.get("height")
    if low is None:
        return [west, south, east, north]
    return [west, south, low, east, north, low + (record.get("height_m") or 0.0)]


def item(context: Context, record: Record) -> dict[str, Any]:
    """One line of a list of entities."""
    keys = ("geid", "name", "address", "layer", "entity_class", "lon", "lat", "height", "height_m", "source_key")
    facts = {key: record.get(key) for key in keys}
    return {**facts, "bbox": bounding_box(record), "href": context.url("entities", str(record["geid"]))}


def tile_of(context: Context, record: Record, release: str) -> dict[str, Any] | None:
    """Where the entity is drawn: layer, content key, feature row and address; None where it is not drawn."""
    key = record.get("tile")
    if not key:
        return None
    layer = str(record["layer"])
    # A digest names the content for ever; the keys of an implicit tileset mean another content in another release.
    pinned = key if key.startswith("c/") else f"{release}/{key}"
    return {"layer": layer, "key": key, "row": record.get("row"), "url": context.url("tiles", layer, pinned)}


def document(context: Context, record: Record, release: str) -> dict[str, Any]:
    """The full record of one entity.

    Args:
        context: For addresses.
        record: A row of the index.
        release: Release id, part of the tile's address in an implicit tileset.
    """
    return {
        **{key: record.get(key) for key in _FACTS},
        "bbox": bounding_box(record),
        **{key: record.get(key) for key in _MEASURES},
        "attributes": record["attributes"],
        "provenance": {name: record.get(key) for key, name in _PROVENANCE.items()},
        "tile": tile_of(context, record, release),
    }


def feature(full: Mapping[str, Any], geometry: Mapping[str, Any] | None) -> dict[str, Any]:
    """The GeoJSON feature of one entity (RFC 7946).

    Args:
        full: What `document` gives.
        geometry: GeoJSON geometry in degrees.
    """
    properties = {key: value for key, value in full.items() if key != "bbox"}
    return {
        "type": "Feature",
        "id": full["geid"],
        "bbox": full["bbox"],
        "geometry": geometry,
        "properties": properties,
    }
