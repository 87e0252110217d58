"""Reports as GeoJSON features, for every map that draws points."""

from __future__ import annotations

from typing import Any

from server.live.asked import from_ms
from twin.live.model import Stored

MEDIA_TYPE = "application/geo+json"


def feature(stored: Stored) -> dict[str, Any]:
    """One report as a point; a report nobody could place has no geometry (RFC 7946 section 3.2)."""
    report, link = stored.report, stored.link
    properties = {
        "source": report.source,
        "case": report.case,
        "kind": report.kind,
        "status": report.status,
        "severity": report.severity,
        "title": report.title,
        "occurred": from_ms(report.occurred_ms),
        "reported": from_ms(report.reported_ms),
        "due": from_ms(report.due_ms),
        "recorded": from_ms(stored.recorded_ms),
        "address": report.place.address,
        "value": report.value,
        "unit": report.unit,
        "geid": link.geid,
        "link_method": link.method,
        "link_confidence": link.confidence,
        "distance_m": link.distance_m,
    }
    return {"type": "Feature", "id": stored.offset, "geometry": point(stored), "properties": properties}


def point(stored: Stored) -> dict[str, Any] | None:
    """Where a report is drawn."""
    link = stored.link
    if link.lon is None or link.lat is None:
        return None
    place = [round(link.lon, 8), round(link.lat, 8)]
    return {"type": "Point", "coordinates": place if link.h is None else [*place, round(link.h, 3)]}
