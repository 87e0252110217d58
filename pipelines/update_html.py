"""A plan for the eye: one page with a map of before and after, counts, and a table of every class of change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.project_check import AREA_LAYER
from pipelines.update_drawing import DECIMETRES, extent, paths
from pipelines.update_match import footprints_of
from pipelines.update_plan import ORDER, Item, UpdatePlan
from twin.entity.areas import is_area
from twin.geometry.footprints import Footprints

PAGE = "plan.html"
LABELS = {
    "unchanged": ("unchanged", "未变化"),
    "attributes_changed": ("attributes changed", "属性变化"),
    "moved": ("moved", "位移"),
    "reshaped": ("reshaped", "轮廓变化"),
    "new": ("new", "新增"),
    "gone": ("gone", "消失"),
    "split": ("split", "拆分"),
    "merged": ("merged", "合并"),
    "replaced": ("replaced", "重建替换"),
}
"""Classes in English and Chinese."""

_MOST_AROUND = 20_000
"""Unchanged footprints drawn for orientation; more are thinned out evenly."""
_MOST_ROWS = 2_000
"""Rows of a table on the page; `plan.json` has them all."""


def to_html(plan: UpdatePlan) -> str:
    """The plan as one page that asks nothing of any other host."""
    folder = files("pipelines").joinpath("templates")
    style = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("check.css", "update.css"))
    script = folder.joinpath("update.js").read_text(encoding="utf-8")
    rows = plan.rows
    body = "".join([*_head(plan), *_map(plan), *_doubtful(rows), *_tables(rows)])
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Update: {escape(plan.title)}, {escape(plan.name)}</title><style>{style}</style></head>"
        f"<body>{body}<script>{script}</script></body></html>\n"
    )


def _head(plan: UpdatePlan) -> Iterator[str]:
    doubtful = plan.doubtful
    words = "Some changes wait for a decision · 有待人工确认" if doubtful else "Can be applied · 可以应用"
    yield f'<header><p class="kicker">twin update · 更新计划</p><h1>{escape(plan.title)}: {escape(plan.name)}</h1>'
    yield f'<p class="verdict {"warning" if doubtful else "note"}">{words}</p><dl class="figures">'
    since = "the served release" if plan.since is None else f"edition {plan.since.number}, {plan.since.name}"
    figures = [
        ("before · 更新前", f"{plan.before.num_rows:,}"),
        ("after · 更新后", f"{plan.edition.versions.num_rows:,}"),
        ("doubtful · 存疑", f"{doubtful:,}"),
    ]
    yield "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in figures)
    yield '</dl><div class="counts">'
    for name, count in plan.counts.items():
        english, chinese = LABELS[name]
        empty = "" if count else " none"
        yield f'<span class="count{empty}"><i class="{name}"></i>{english} {chinese} <b>{count:,}</b></span>'
    moment = plan.valid_from.isoformat(timespec="minutes")
    yield f'</div><p class="quiet">Compared with {escape(since)} · valid from {escape(moment)} · plan '
    yield f"<code>{plan.digest}</code></p></header>"


def _map(plan: UpdatePlan) -> Iterator[str]:
    was, now = footprints_of(plan.before), footprints_of(plan.edition.versions)
    bounds = extent(was, now)
    if bounds is None:
        return
    west, south, east, north = bounds.tolist()
    margin = 0.02 * max(east - west, north - south, 1.0) + 5
    origin = np.array([west - margin, north + margin])
    size = np.array([east - west + 2 * margin, north - south + 2 * margin]) * DECIMETRES
    box = f"0 0 {size[0]:.0f} {size[1]:.0f}"
    yield "<section><h2>Map <small>地图 · wheel or buttons to zoom, drag to move, "
    yield "click a row below to go there</small></h2>"
    yield '<figure class="stage"><div class="tools"><button data-zoom="in">+</button><button data-zoom="out">−</button>'
    yield '<button data-zoom="all">All · 全图</button></div>'
    yield f'<svg id="map" class="map" viewBox="{box}" data-all="{box}" role="img" aria-label="map">'
    areas = is_area(plan.edition.versions).to_numpy()
    yield f'<path class="around" d="{"".join(paths(now.take(_around(plan, areas)), origin))}"/>'
    yield f'<path class="areas" d="{"".join(paths(now.take(np.flatnonzero(areas)), origin))}"/>'
    before = _some_paths(was, [row for item in plan.items for row in item.before], origin)
    after = _some_paths(now, [row for item in plan.items for row in item.after], origin)
    of_areas = {row["item"] for row in plan.rows if row["layer"] == AREA_LAYER}
    for item in sorted(plan.items, key=lambda one: one.number not in of_areas):  # what is small lies on top
        yield _drawn(item, before, after, " area" if item.number in of_areas else "")
    yield "</svg><figcaption>"
    for name in ORDER[1:]:
        yield f'<i class="{name}"></i> {" ".join(LABELS[name])} '
    yield '<span class="dash"></span> before 更新前 <span class="line"></span> after 更新后 '
    yield '<span class="halo"></span> doubtful 存疑 · <span id="scale"></span></figcaption></figure></section>'


def _some_paths(footprints: Footprints, rows: Sequence[int], origin: NDArray[np.float64]) -> dict[int, str]:
    found = paths(footprints.take(np.array(rows, dtype=np.int64)), origin)
    return dict(zip(rows, found, strict=True))


def _around(plan: UpdatePlan, areas: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of buildings that are unchanged, for orientation."""
    told = np.array(areas, dtype=np.bool_)
    told[[row for item in plan.items for row in item.after]] = True
    rest = np.flatnonzero(~told)
    return rest[:: max(1, -(-len(rest) // _MOST_AROUND))]


def _drawn(item: Item, was: dict[int, str], now: dict[int, str], kind: str) -> str:
    english, chinese = LABELS[item.change]
    before, after = "".join(was[row] for row in item.before), "".join(now[row] for row in item.after)
    parts = [f'<g id="m{item.number}" class="{item.change}{kind}{" doubt" if item.doubtful else ""}">']
    parts.append(f"<title>{item.number}: {english} {chinese}, {escape(item.why)}, {item.score:.2f}</title>")
    parts += [f'<path class="after" d="{after}"/>'] if after else []
    parts += [f'<path class="before" d="{before}"/>'] if before else []
    return "".join([*parts, "</g>"])


def _doubtful(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    mine = [row for row in rows if row["doubtful"]]
    if not mine:
        return
    yield f"<section><h2>Doubtful <small>存疑 · {len(mine):,}</small></h2>"
    yield (
        "<p>A person decides: fill the column <code>decision</code> of <code>doubtful.csv</code> or "
        "<code>doubtful.gpkg</code> with <code>accept</code>, <code>same</code>, <code>new</code>, <code>gone</code> "
        "or an identifier, then run <code>twin update --decisions FILE</code>. · "
        "请在 decision 列填写处理结果后再运行更新。</p>"
    )
    yield from _table(mine, with_class=True)
    yield "</section>"


def _tables(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    by_class: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_class[row["change"]].append(row)
    for name in ORDER:
        mine = by_class.get(name, [])
        if mine:
            english, chinese = LABELS[name]
            yield f'<section><details{" open" if len(mine) <= 60 else ""}><summary><h2><i class="{name}"></i> '
            yield f"{english.capitalize()} <small>{chinese} · {len(mine):,}</small></h2></summary>"
            yield from _table(mine, with_class=False)
            yield "</details></section>"


def _table(rows: Sequence[dict[str, Any]], *, with_class: bool) -> Iterator[str]:
    change = "<th>class 类别</th>" if with_class else ""
    yield f'<div class="wide"><table><thead><tr><th class="n">#</th>{change}<th>before 更新前</th><th>after 更新后</th>'
    yield '<th>name 名称</th><th class="n">score 得分</th><th>why 依据</th></tr></thead><tbody>'
    yield "".join(_line(row, with_class) for row in rows[:_MOST_ROWS])
    yield "</tbody></table></div>"
    if len(rows) > _MOST_ROWS:
        yield f'<p class="quiet">and {len(rows) - _MOST_ROWS:,} more in plan.json</p>'


def _line(row: dict[str, Any], with_class: bool) -> str:
    change = f'<td><i class="{row["change"]}"></i> {" ".join(LABELS[row["change"]])}</td>' if with_class else ""
    doubt = ' class="doubt"' if row["doubtful"] else ""
    cells = f"<td>{_entities(row['before'])}</td><td>{_entities(row['after'])}</td><td>{_name(row)}</td>"
    return (
        f'<tr{doubt} data-item="{row["item"]}" tabindex="0"><td class="n">{row["item"]}</td>{change}{cells}'
        f'<td class="n">{row["score"]:.2f}</td><td>{escape(row["why"].replace("_", " "))}</td></tr>'
    )


def _name(row: dict[str, Any]) -> str:
    """The name, with the one before where it has changed; an area is said to be one."""
    area = "<small>area 区划</small> " if row["layer"] == AREA_LAYER else ""
    named = " → ".join(dict.fromkeys(one for one in (row["name_before"], row["name"]) if one))
    return area + escape(named)


def _entities(entities: Sequence[dict[str, Any]]) -> str:
    return "<br>".join(f"{escape(one['key'] or '–')} <code>{one['geid']}</code>" for one in entities) or "–"
