"""A small 3D view of an entity among its neighbours as SVG: no script, no request, printable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from server.entity_cityjson import oriented
from server.entity_subject import Polygons

WIDTH, HEIGHT = 640, 420
_MARGIN = 26
_TURN = np.radians(32)
_TILT = np.sin(np.radians(38))
_UP = np.cos(np.radians(38))
_LIGHT = np.array([-0.8, -0.6])
_NICE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass(frozen=True, slots=True)
class Block:
    """A prism to draw.

    Attributes:
        polygons: Footprint, metres.
        base, roof: Metres over one and the same level.
        chosen: It is the one the page is about.
        title: What hovering over it tells.
        href: Where a click leads.
    """

    polygons: Polygons
    base: float
    roof: float
    chosen: bool = False
    title: str = ""
    href: str = ""


def draw(blocks: Sequence[Block], label: str) -> str:
    """An `<svg>` of prisms seen from the south-west and above; "" where there is nothing to draw.

    Args:
        blocks: The chosen one is kept in the middle, its neighbours may be cut by the frame.
        label: Text for people who do not see it.
    """
    chosen = [block for block in blocks if block.chosen and block.polygons]
    if not chosen:
        return ""
    frame = np.concatenate([_corners(block) for block in chosen])
    middle, extent = (frame.min(axis=0) + frame.max(axis=0)) / 2, np.ptp(frame, axis=0)
    room = np.array([WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN - 20]) * (0.62 if len(blocks) > 1 else 0.9)
    scale = float(min(room / np.maximum(extent, 1.0)))

    def place(points: np.ndarray) -> str:
        at = (points - middle) * scale * [1, -1] + [WIDTH / 2, HEIGHT / 2 + 6]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in at.tolist())

    shapes = "".join(_block(block, place) for block in sorted(blocks, key=_depth, reverse=True))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}"><rect class="sky" width="{WIDTH}"'
        f' height="{HEIGHT}"/>{shapes}{_scale_bar(scale)}{_north()}</svg>'
    )


def _turned(xy: np.ndarray) -> np.ndarray:
    """Plan coordinates seen along the line of sight: to the right, and away."""
    cos, sin = np.cos(_TURN), np.sin(_TURN)
    return np.column_stack([xy[:, 0] * cos - xy[:, 1] * sin, xy[:, 0] * sin + xy[:, 1] * cos])


def _flat(xy: np.ndarray, z: float) -> np.ndarray:
    """Picture coordinates in metres, up positive."""
    seen = _turned(xy)
    return np.column_stack([seen[:, 0], seen[:, 1] * _TILT + z * _UP])


def _corners(block: Block) -> np.ndarray:
    outside = np.concatenate([polygon[0] for polygon in block.polygons])
    return np.concatenate([_flat(outside, block.base), _flat(outside, block.roof)])


def _depth(block: Block) -> float:
    return float(_turned(np.concatenate([polygon[0] for polygon in block.polygons]))[:, 1].mean())


def _block(block: Block, place: object) -> str:
    assert callable(place)
    parts: list[str] = []
    for polygon in oriented(block.polygons):
        if block.roof > block.base:
            parts.extend(_walls(polygon, block, place))
        rings = "".join(f"M{place(_flat(ring[:-1], block.roof))}Z" for ring in polygon)
        parts.append(f'<path class="r" d="{rings}"/>')
    kind = "b on" if block.chosen else "b"
    drawn = f'<g class="{kind}"><title>{escape(block.title)}</title>{"".join(parts)}</g>'
    return f'<a href="{escape(block.href)}">{drawn}</a>' if block.href else drawn


def _walls(polygon: list[np.ndarray], block: Block, place: object) -> Iterable[str]:
    """Walls that face the eye, the farthest first, shaded by the light."""
    assert callable(place)
    edges = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in polygon])
    along = edges[:, 1] - edges[:, 0]
    length = np.maximum(np.hypot(*along.T), 1e-9)
    normal = np.column_stack([along[:, 1], -along[:, 0]]) / length[:, None]
    away = _turned(edges.mean(axis=1))[:, 1]
    for number in np.argsort(-away, kind="stable").tolist():
        if _turned(normal[number : number + 1])[0, 1] < 0:  # it looks towards the eye
            shade = min(3, int((1 + float(normal[number] @ _LIGHT)) * 2))
            a, b = edges[number]
            quad = np.concatenate([_flat(np.array([a, b]), block.base), _flat(np.array([b, a]), block.roof)])
            yield f'<polygon class="w{shade}" points="{place(quad)}"/>'


def _scale_bar(scale: float) -> str:
    """A bar of a round number of metres; lengths along it are true to the right, shorter away from the eye."""
    metres = next((one for one in reversed(_NICE) if one * scale <= 140), _NICE[0])
    left, y, right = _MARGIN, HEIGHT - 18, _MARGIN + metres * scale
    bar = f'<path class="bar" d="M{left} {y - 5}V{y}H{right:.1f}V{y - 5}"/>'
    return f'{bar}<text x="{right + 8:.1f}" y="{y}">{metres} m</text>'


def _north() -> str:
    tip = _flat(np.array([[0.0, 22.0]]), 0.0)[0]
    x, y = WIDTH - 44, HEIGHT - 30
    return (
        f'<path class="bar" d="M{x} {y}l{tip[0]:.1f} {-tip[1]:.1f}"/>'
        f'<text x="{x + tip[0] * 1.5 - 4:.1f}" y="{y - tip[1] * 1.5 + 4:.1f}">N</text>'
    )
