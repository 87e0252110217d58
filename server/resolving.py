"""Questions about places, codes and addresses, one or ten thousand, to the same answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from server.context import Context
from server.entity_document import item
from server.entity_past import LONGEST, find_rows
from server.problem import ProblemError
from server.releases import OpenRelease, Transform
from twin.crs.datum_cn import bd09_to_wgs84, gcj02_to_wgs84
from twin.crs.reference import horizontal, parse_crs
from twin.entity.areas import AREAS
from twin.entity.index import VERTICAL_SLACK_M, EntityIndex
from twin.errors import TwinError

HIGHEST_TOLERANCE_M = 100.0
MOST_ITEMS = 20
_MOST_STANDING = 4 * MOST_ITEMS
_EPSG = re.compile(r"(?:EPSG:|https?://www\.opengis\.net/def/crs/EPSG/[\d.]+/)(\d{4,6})", re.IGNORECASE)
_KINDS = ("lon", "code", "address")
_LONGEST_CHAIN = 16
_KNOWN = frozenset({"id", "lon", "lat", "h", "tolerance", "code", "address", "limit"})


@dataclass(frozen=True, slots=True)
class Question:
    """One row of a batch, checked.

    Attributes:
        id: What the client calls it.
        lon, lat, h: Place; NaN where it is no question about a place, or no height is given.
        tolerance: Metres.
        text: Code or address.
        kind: `lon`, `code` or `address`.
        limit: How many items at most.
        problem: Why it cannot be answered; None where it can.
    """

    id: Any
    kind: str = ""
    lon: float = math.nan
    lat: float = math.nan
    h: float = math.nan
    tolerance: float = 0.0
    text: str = ""
    limit: int = 5
    problem: str | None = None


def question(row: Any, number: int) -> Question:
    """Reads a row of a batch; one that is wrong says why instead of failing the whole."""
    if not isinstance(row, dict):
        return Question(number, problem="a row must be an object")
    name = row.get("id", number)
    unknown = sorted(str(key) for key in row if key not in _KNOWN)
    kinds = [kind for kind in _KINDS if row.get(kind) is not None]
    if unknown or len(kinds) != 1:
        told = f"unknown member {unknown[0][:40]!r}" if unknown else "give one of: lon with lat, code, address"
        return Question(name, problem=told)
    try:
        limit = min(max(int(_number(row, "limit", 5.0)), 1), MOST_ITEMS)
        if kinds == ["lon"]:
            lon, lat, h = (_number(row, key, math.nan) for key in ("lon", "lat", "h"))
            tolerance = min(max(_number(row, "tolerance", 0.0), 0.0), HIGHEST_TOLERANCE_M)
            problem = None if math.isfinite(lon) and math.isfinite(lat) else "lon and lat must both be numbers"
            return Question(name, "lon", lon, lat, h, tolerance, "", limit, problem)
    except ValueError as error:
        return Question(name, problem=str(error))
    text = row[kinds[0]]
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        return Question(name, problem=f"{kinds[0]} must be text of 1 to {LONGEST} characters")
    return Question(name, kinds[0], text=text, limit=limit)


def _number(row: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = row.get(key)
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        raise ValueError(f"{key} must be a number")
    return float(value)


@dataclass(frozen=True, slots=True)
class Scene:
    """What questions are put to: the served entities, or those of a pair of times.

    Attributes:
        release: For the working CRS.
        index: The entities.
        ended: Text to identifiers it stood for of entities that are gone from the index.
        query: Ending of addresses: the pair of times that is asked about.
    """

    release: OpenRelease
    index: EntityIndex
    ended: Callable[[str], Sequence[str]]
    query: str = ""


def present_scene(context: Context, release: OpenRelease) -> Scene:
    """The entities as they are served."""

    def ended(text: str) -> Sequence[str]:
        known = context.registered.find(text, release.id, release.record.get("project", {}))
        return [one.geid for one in known if release.index.find(one.geid) is None]

    return Scene(release, release.index, ended)


def answers(context: Context, scene: Scene, questions: Sequence[Question], crs: str | None) -> Iterator[dict[str, Any]]:
    """Answers in the order of the questions; all places are looked up together.

    Raises:
        ProblemError: 400 where the CRS cannot be read, 501 where the release keeps its own private.
    """
    places = [at for at, one in enumerate(questions) if one.kind == "lon" and one.problem is None]
    found = _places(scene, [questions[at] for at in places], crs) if places else {}
    standing = dict(zip(places, found, strict=True)) if places else {}
    for at, one in enumerate(questions):
        if one.problem is not None:
            yield {"id": one.id, "error": {"code": "invalid_parameter", "detail": one.problem}}
        elif one.kind == "lon":
            yield {"id": one.id, **place_answer(context, scene, one, standing[at])}
        elif one.kind == "code":
            yield {"id": one.id, **code_answer(context, scene, one.text, one.limit)}
        else:
            yield {"id": one.id, **address_answer(context, scene, one.text, one.limit)}


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Record = Mapping[str, Any]
Find = Callable[[str], Record | None]
Standing = list[tuple[int, float]]
"""(row, distance) of what stands at a place, the best first."""


def _places(scene: Scene, questions: Sequence[Question], crs: str | None) -> list[Standing]:
    xy = working_xy(scene.release, np.array([[one.lon, one.lat] for one in questions], dtype=np.float64), crs)
    h = np.array([one.h for one in questions])
    tolerance = np.array([one.tolerance for one in questions])
    # Found with the widest tolerance, then each by its own: as many passes as there are tolerances would invite abuse.
    hits = scene.index.at_many_xy(xy, h, float(tolerance.max()))
    asker = np.repeat(np.arange(len(questions)), np.diff(hits.offset))
    kept = np.flatnonzero(hits.distance <= tolerance[asker])
    kept = kept[_reached(scene.index, hits.row[kept], h[asker[kept]], tolerance[asker[kept]])]
    begin = np.searchsorted(asker[kept], np.arange(len(questions) + 1))
    spans = [kept[start : min(start + _MOST_STANDING, end)] for start, end in pairwise(begin.tolist())]
    return [list(zip(hits.row[span].tolist(), hits.distance[span].tolist(), strict=True)) for span in spans]


def _reached(index: EntityIndex, rows: Ints, h: Floats, tolerance: Floats) -> NDArray[np.bool_]:
    """(n,) `reaches` for many."""
    taken = index.table.select(["height", "height_m"]).take(pa.array(rows))
    base, height = (pc.fill_null(column, math.nan).to_numpy() for column in taken.columns)
    slack = tolerance + VERTICAL_SLACK_M
    outside: NDArray[np.bool_] = (h < base - slack) | (h > base + np.nan_to_num(height) + slack)
    return ~outside  # what is unknown rules nothing out


def reaches(base: float | None, height: float | None, h: float, tolerance: float) -> bool:
    """True if a height lies between base and roof, or nothing is known of one of them."""
    if not math.isfinite(h) or base is None:
        return True
    slack = tolerance + VERTICAL_SLACK_M
    return bool(base - slack <= h <= base + (height or 0.0) + slack)


def working_xy(release: OpenRelease, places: np.ndarray, crs: str | None) -> np.ndarray:
    """Places (n, 2), x or longitude first, in the working CRS; not finite where it cannot express them.

    Raises:
        ProblemError: 400, 501.
    """
    if release.projection is None:
        raise ProblemError(501, "crs_private", "The working CRS of this release is private; serve the project folder.")
    degrees = places
    try:
        if crs is not None:
            degrees = to_degrees(crs)(places)
        # A place off the globe stands nowhere; PROJ would wrap some of them.
        off = (np.abs(degrees[:, 0]) > 180) | (np.abs(degrees[:, 1]) > 90) | ~np.isfinite(degrees).all(axis=1)
        x, y = release.projection.to_xy(np.where(off, 0.0, degrees[:, 0]), np.where(off, 0.0, degrees[:, 1]))
    except TwinError:
        raise ProblemError(400, "invalid_parameter", "These coordinates cannot be read in that crs.") from None
    xy = np.column_stack([x, y])
    xy[off] = np.nan
    return xy


@lru_cache(maxsize=16)
def to_degrees(crs: str) -> Transform:
    """Coordinates of a CRS to WGS 84 degrees.

    Raises:
        ProblemError: 400, nothing this server reads.
    """
    name = crs.strip().upper().replace("-", "")
    if name in {"CRS84", "OGC:CRS84", "EPSG:4326"}:
        return np.array
    if name in {"GCJ02", "BD09"}:
        return gcj02_to_wgs84 if name == "GCJ02" else bd09_to_wgs84
    found = _EPSG.fullmatch(crs.strip())
    try:
        if found is not None:
            return horizontal(parse_crs(f"EPSG:{found[1]}"), parse_crs("EPSG:4326"))
    except TwinError:
        pass
    raise ProblemError(400, "invalid_parameter", "crs must be EPSG:<code> of a known CRS, CRS84, GCJ-02 or BD-09.")


def place_answer(context: Context, scene: Scene, asked: Question, standing: Standing) -> dict[str, Any]:
    """What stands at a place, and the chain from the storey to the widest area."""
    worth = _worth_telling(scene.index, standing, asked.limit)
    records = [(scene.index.record(row), away) for row, away in worth]

    def find(geid: str) -> Record | None:
        row = scene.index.find(geid)
        return None if row is None else scene.index.record(row)

    return told_of_place(context, asked, records, find, scene.query)


def _worth_telling(index: EntityIndex, standing: Standing, limit: int) -> Standing:
    """As many things as are asked for, one more to know that there are more, and every area."""
    classes = index.table["entity_class"]
    area = [classes[row].as_py() in AREAS for row, _ in standing]
    last = list(accumulate(not one for one in area))
    return [one for one, is_area, count in zip(standing, area, last, strict=True) if is_area or count <= limit + 1]


def told_of_place(
    context: Context, asked: Question, records: Sequence[tuple[Record, float]], find: Find, query: str = ""
) -> dict[str, Any]:
    """The answer about a place.

    Args:
        context: For addresses.
        asked: The question.
        records: What stands there with its distance in metres, the best first, areas included.
        find: Record of another entity by its identifier; None where there is none.
        query: Ending of addresses: the pair of times that is asked about.
    """
    things = [one for one in records if one[0]["entity_class"] not in AREAS]
    areas = [one for one, _ in records if one["entity_class"] in AREAS]
    items = [scored(context, record, *_near(away, asked.tolerance), query) for record, away in things[: asked.limit]]
    chain = _chain(context, things[0][0] if things else None, asked.h, areas, find, query)
    return {**counted(items, len(things) > asked.limit), "chain": chain}


def _near(away: float, tolerance: float) -> tuple[float, list[str]]:
    if away == 0:
        return 1.0, ["its footprint holds the place"]
    return round(1 - 0.5 * away / max(tolerance, away), 3), [f"{away:.2f} m from its footprint"]


def scored(context: Context, record: Record, score: float, why: Sequence[str], query: str = "") -> dict[str, Any]:
    """A short item with how well it answers."""
    short = item(context, record)
    return {**short, "href": short["href"] + query, "score": score, "why": list(why)}


def counted(items: list[dict[str, Any]], truncated: bool) -> dict[str, Any]:
    """Items, how many, and whether there are more."""
    return {"items": items, "numberReturned": len(items), "truncated": truncated}


def _chain(
    context: Context, best: Record | None, h: float, areas: Sequence[Record], find: Find, query: str
) -> list[dict[str, Any]]:
    """From the storey over the building and what it is part of to the areas around it, each once."""
    storey = None if best is None else storey_at(best, h)
    links: dict[str, dict[str, Any]] = {}
    for begin in [*([] if best is None else [best]), *areas]:
        one: Record | None = begin
        while one is not None and str(one["geid"]) not in links and len(links) < _LONGEST_CHAIN:
            links[str(one["geid"])] = _link(context, one, query)
            one = find(str(one["parent"])) if one["parent"] else None
    return [*([] if storey is None else [storey]), *links.values()]


def _link(context: Context, record: Record, query: str) -> dict[str, Any]:
    facts = {key: record[key] for key in ("entity_class", "geid", "name")}
    level = record["attributes"].get("level") if record["entity_class"] in AREAS else None
    facts |= {} if level is None else {"level": level}
    return {**facts, "href": context.url("entities", str(record["geid"])) + query}


def storey_at(record: Record, h: float) -> dict[str, Any] | None:
    """The storey above ground a height lies in, by equal shares of the height; it has no identifier of its own."""
    base, height, storeys = record["height"], record["height_m"], record["storeys"]
    if None in (base, height, storeys) or not math.isfinite(h) or storeys < 1 or height <= 0:
        return None
    if not base <= h <= base + height:
        return None
    count = int(storeys)
    number = min(int((h - base) / (height / count)) + 1, count)
    how = f"height over the base divided by the mean storey height of {height / count:.2f} m"
    return {"entity_class": "Storey", "number": number, "of": record["geid"], "derived": True, "how": how}


def code_answer(context: Context, scene: Scene, text: str, limit: int) -> dict[str, Any]:
    """Entities a code of any scheme stands for; those that have ended are told as such."""
    rows = find_rows(scene.index, text)
    items = [scored(context, scene.index.record(row), 1.0, ["its code"], scene.query) for row in rows[:limit]]
    if items:
        return counted(items, len(rows) > limit)
    return nothing_but(context, scene.ended(text)[:limit])


def nothing_but(context: Context, ended: Sequence[str]) -> dict[str, Any]:
    """The answer where nothing stands; with what is known of entities that are gone."""
    told = [{"geid": name, "successors": list(context.timeline.successors(name))} for name in ended]
    return {**counted([], False), **({"retired": told} if told else {})}


def address_answer(context: Context, scene: Scene, text: str, limit: int) -> dict[str, Any]:
    """Candidates for an address, with score and reasons."""
    found = scene.index.by_address(text, limit + 1)
    items = [scored(context, scene.index.record(one.row), one.score, one.why, scene.query) for one in found[:limit]]
    return counted(items, len(found) > limit)
