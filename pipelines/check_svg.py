"""Drawings of the check report as inline SVG: a map with scale and coordinates, invalid polygons, histograms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Geometries = NDArray[np.object_]
Bounds = tuple[float, float, float, float]

_METRES_PER_DEGREE = 111_320.0
_STATES = ("ok", "missing", "bad", "measured")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where ground coordinates lie on the paper.

    Attributes:
        bounds: west, south, east, north.
        width, height: Paper size in pixels.
        stretch: How much longer one unit of y is than one of x on the ground (degrees away from the equator).
        scale: Pixels for one unit of y.
    """

    bounds: Bounds
    width: float
    height: float
    stretch: float
    scale: float

    def place(self, xy: Floats) -> Floats:
        """(n, 2) ground coordinates to pixels, y downwards."""
        west, south, east, north = self.bounds
        middle = np.array([(west + east) / 2, (south + north) / 2])
        moved = (xy - middle) * [self.scale / self.stretch, -self.scale]
        return np.asarray(moved + np.array([self.width / 2, self.height / 2]), np.float64)


def fit(bounds: Bounds, width: float, height: float, *, degrees: bool, margin: float = 24) -> Frame:
    """The frame that shows the bounds as large as possible.

    Args:
        bounds: What must be seen.
        width: Paper, pixels.
        height: Paper, pixels.
        degrees: Whether the coordinates are longitude and latitude.
        margin: Pixels left free on every side.
    """
    west, south, east, north = bounds
    stretch = 1 / max(math.cos(math.radians(min(89.0, abs(south + north) / 2))), 0.02) if degrees else 1.0
    across, up = max((east - west) / stretch, 1e-12), max(north - south, 1e-12)
    scale = min((width - 2 * margin) / across, (height - 2 * margin) / up)
    return Frame(bounds, width, height, stretch, scale)


def outline(shapes: Geometries, frame: Frame, smallest: float = 0.35) -> str:
    """SVG path data of polygons, simplified to what can be seen.

    Args:
        shapes: (n,) polygons or multipolygons in ground coordinates.
        frame: Where they lie.
        smallest: Pixels below which detail is dropped.
    """
    placed = shapely.transform(shapes, frame.place)
    placed = shapely.simplify(placed, smallest, preserve_topology=False)
    kept = [
        shape if not empty else shapely.envelope(original)
        for shape, original, empty in zip(
            placed, shapely.transform(shapes, frame.place), shapely.is_empty(placed), strict=True
        )
    ]
    polygons = shapely.get_parts(np.array(kept, dtype=object))
    rings = shapely.get_rings(polygons[shapely.get_type_id(polygons) == 3])
    return "".join(_ring(shapely.get_coordinates(ring)) for ring in rings)


def _ring(xy: Floats) -> str:
    points = [f"{x:.1f} {y:.1f}" for x, y in xy[:-1]]
    return f"M{'L'.join(points)}Z"


def district_map(
    drawn: Geometries, state: NDArray[np.uint8], bounds: Bounds, rasters: Sequence[tuple[str, Bounds]], *, degrees: bool
) -> str:
    """A map: footprints by state, extents of rasters, coordinates at the edges, a scale bar.

    Args:
        drawn: (k,) footprints.
        state: (k,) 0 height in a field, 1 none, 2 invalid, 3 height in a surface model.
        bounds: Extent of all footprints.
        rasters: Kind and extent of each raster, in the same coordinates.
        degrees: Whether the coordinates are longitude and latitude.
    """
    boxes = np.array([bounds, *(box for _, box in rasters)])
    whole = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    frame = fit(whole, 860, 520, degrees=degrees, margin=46)
    parts = [f'<svg class="map" viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" aria-label="map">']
    parts += ['<rect class="paper" width="100%" height="100%"/>', *_graticule(frame, degrees=degrees)]
    labels: dict[Bounds, str] = {}
    for kind, box in rasters:
        labels[box] = f"{labels[box]}, {kind}" if box in labels else kind
    parts += [_box(frame, box, "raster", label) for box, label in labels.items()]
    for number, name in enumerate(_STATES):
        chosen = drawn[state == number]
        if len(chosen):
            parts.append(f'<path class="{name}" fill-rule="evenodd" d="{outline(chosen, frame)}"/>')
    parts += [_box(frame, bounds, "extent", ""), *_scale_bar(frame, degrees=degrees), "</svg>"]
    return "".join(parts)


def _box(frame: Frame, box: Bounds, kind: str, label: str) -> str:
    (left, bottom), (right, top) = frame.place(np.array([[box[0], box[1]], [box[2], box[3]]]))
    text = f'<text class="tag" x="{left + 4:.1f}" y="{top + 12:.1f}">{escape(label)}</text>' if label else ""
    size = f'width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" {size}/>{text}'


def nice_step(span: float, wanted: int) -> float:
    """A round step (1, 2 or 5 times a power of ten) that cuts a span into about so many pieces."""
    if not span > 0:
        return 1.0
    raw = span / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999999)


def _ticks(low: float, high: float, wanted: int) -> Iterator[float]:
    step = nice_step(high - low, wanted)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _graticule(frame: Frame, *, degrees: bool) -> Iterator[str]:
    west, south, east, north = frame.bounds
    half_x = frame.width / 2 / frame.scale * frame.stretch
    half_y = frame.height / 2 / frame.scale
    x0, y0 = (west + east) / 2, (south + north) / 2
    for x in _ticks(x0 - half_x, x0 + half_x, 6):
        at = frame.place(np.array([[x, y0]]))[0, 0]
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{frame.height:g}"/>'
        text = _coordinate(x, "EW", degrees=degrees)
        yield f'<text class="tick" x="{at + 3:.1f}" y="{frame.height - 5:g}">{text}</text>'
    for y in _ticks(y0 - half_y, y0 + half_y, 5):
        at = frame.place(np.array([[x0, y]]))[0, 1]
        if at > frame.height - 24:  # where the other axis is written
            continue
        yield f'<line class="grid" y1="{at:.1f}" y2="{at:.1f}" x1="0" x2="{frame.width:g}"/>'
        yield f'<text class="tick" x="4" y="{at - 3:.1f}">{_coordinate(y, "NS", degrees=degrees)}</text>'


def _coordinate(value: float, letters: str, *, degrees: bool) -> str:
    if not degrees:
        return f"{value:.10g}"
    return f"{abs(round(value, 7)):g}°{letters[0] if value >= 0 else letters[1]}"


def _scale_bar(frame: Frame, *, degrees: bool) -> Iterator[str]:
    per_metre = frame.scale / _METRES_PER_DEGREE if degrees else frame.scale
    length = nice_step(180 / per_metre, 1)
    length = length / 2 if length * per_metre > 260 else length
    pixels = length * per_metre
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    right, y = frame.width - 20, frame.height - 26
    place = f'x="{right - pixels - 10:.1f}" y="{y - 20:.1f}"'
    yield f'<rect class="plate" {place} width="{pixels + 20:.1f}" height="30" rx="3"/>'
    yield f'<path class="bar" d="M{right - pixels:.1f} {y - 5:.1f}v5h{pixels:.1f}v-5"/>'
    yield f'<text class="tick" text-anchor="middle" x="{right - pixels / 2:.1f}" y="{y - 7:.1f}">{text}</text>'


def invalid_picture(
    shape: shapely.Geometry, place: tuple[float, float] | None, *, degrees: bool = False, size: int = 170
) -> str:
    """An invalid polygon, whole and (where it has a place) enlarged around what is wrong.

    Args:
        shape: The polygon, any coordinates.
        place: Where it is wrong.
        degrees: Whether the coordinates are longitude and latitude.
        size: Side of each picture in pixels.
    """
    bounds = tuple(float(value) for value in shapely.bounds(shape))
    pictures = [_invalid_view(shape, place, fit(bounds, size, size, degrees=degrees, margin=14))]  # type: ignore[arg-type]
    if place is not None:
        reach = max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / 12
        near = (place[0] - reach, place[1] - reach, place[0] + reach, place[1] + reach)
        pictures.append(_invalid_view(shape, place, fit(near, size, size, degrees=degrees, margin=14)))
    return "".join(pictures)


def _invalid_view(shape: shapely.Geometry, place: tuple[float, float] | None, frame: Frame) -> str:
    size = round(frame.width)
    rings = shapely.get_rings(shapely.get_parts(shape))
    path = "".join(_ring(np.clip(frame.place(shapely.get_coordinates(ring)), -9999, 9999)) for ring in rings)
    parts = [f'<svg class="invalid" viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img">']
    parts.append(f'<path d="{path}" fill-rule="evenodd"/>')
    corners = np.vstack([shapely.get_coordinates(ring) for ring in rings]) if len(rings) else np.zeros((0, 2))
    dots = frame.place(corners[:400])
    dots = dots[((dots >= 0) & (dots <= size)).all(axis=1)]
    parts += [f'<circle class="corner" cx="{x:.1f}" cy="{y:.1f}" r="1.6"/>' for x, y in dots]
    if place is not None:
        x, y = frame.place(np.array([place]))[0]
        parts.append(f'<circle class="spot" cx="{x:.1f}" cy="{y:.1f}" r="9"/>')
        parts.append(f'<path class="cross" d="M{x - 4:.1f} {y:.1f}h8M{x:.1f} {y - 4:.1f}v8"/>')
    return "".join([*parts, "</svg>"])


def histogram(values: Floats, unit: str, *, whole: bool = False) -> str:
    """A histogram with axis, counts and the median marked.

    Args:
        values: (n,) finite numbers.
        unit: Written after the numbers of the axis.
        whole: One bar a whole number where there are few enough.
    """
    if len(values) == 0:
        return ""
    edges = _edges(values, whole=whole)
    count, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    width, height, base = 420, 190, 160
    across = (width - 50) / (edges[-1] - edges[0])
    tallest = max(int(count.max()), 1)
    parts = [f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="histogram">']
    for number, low, high in zip(count, edges[:-1], edges[1:], strict=True):
        tall = number / tallest * (base - 24)
        if number:
            place = f'x="{40 + (low - edges[0]) * across:.1f}" y="{base - tall:.1f}"'
            size = f'width="{max((high - low) * across - 1, 0.6):.1f}" height="{max(tall, 0.8):.1f}"'
            shown = f"{low + 0.5:g}" if whole and high - low == 1 else f"{low:g} to {high:g}"
            parts.append(f'<rect class="column" {place} {size}><title>{shown} {unit}: {int(number):,}</title></rect>')
    parts.append(f'<path class="axis" d="M40 {base}H{width - 8}"/>')
    parts.append(f'<text class="tick" x="36" y="28" text-anchor="end">{tallest:,}</text>')
    for tick in _ticks(float(edges[0]), float(edges[-1]), 6):
        x = 40 + (tick - edges[0]) * across
        parts.append(f'<text class="tick" text-anchor="middle" x="{x:.1f}" y="{base + 15}">{tick:g}</text>')
    middle = float(np.median(values))
    x = 40 + (min(middle, float(edges[-1])) - edges[0]) * across
    parts.append(f'<path class="median" d="M{x:.1f} 18V{base}"/>')
    parts.append(
        f'<text class="tick" x="{min(x + 4, width - 110):.1f}" y="16">median {middle:.4g} {escape(unit)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _edges(values: Floats, *, whole: bool) -> Floats:
    low, high = float(values.min()), float(np.percentile(values, 99.8))
    high = max(high, low)
    if whole and high - low < 60:
        return np.arange(math.floor(low) - 0.5, math.ceil(high) + 1.5, dtype=np.float64)
    step = nice_step(max(high - low, 1e-9), 40)
    first = math.floor(low / step) * step
    return np.asarray(first + np.arange(max(2, math.ceil((high - first) / step) + 2)) * step, np.float64)
