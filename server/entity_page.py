"""The page of one entity that a person reads: Chinese and English side by side, a drawing, nothing from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

LABELS: Mapping[str, str] = {
    "geid": "标识码 Identifier",
    "layer": "图层 Layer",
    "entity_class": "类别 Class",
    "name": "名称 Name",
    "address": "地址 Address",
    "aliases": "其他编码 Other codes",
    "parent": "所属 Part of",
    "lon": "经度 Longitude",
    "lat": "纬度 Latitude",
    "height": "底面大地高 Ellipsoidal height of the base",
    "base_m": "底面高程 Base",
    "roof_m": "顶面高程 Roof",
    "height_m": "高度 Height",
    "storeys": "层数 Storeys",
    "lod": "细节层次 Level of detail",
    "source": "数据来源 Source",
    "source_key": "来源编号 Source key",
    "outcome": "建模结果 Outcome",
    "reasons": "备注 Remarks",
    "height_source": "高度来源 Source of the height",
    "confidence": "高度可信度 Confidence of the height",
    "ground_source": "地面来源 Source of the ground",
    "valid_from": "有效自 Valid from",
    "valid_to": "有效至 Valid to",
    "edition": "版次 Edition",
    "recorded_at": "记录于 Recorded at",
}
_UNITS = {"height": "m", "base_m": "m", "roof_m": "m", "height_m": "m", "lon": "°", "lat": "°"}
_DIGITS = {"lon": 7, "lat": 7, "confidence": 2}
_CLASSES = {
    "Building": "建筑 Building",
    "BuildingPart": "建筑部分 Building part",
    "AdministrativeArea": "行政区域 Administrative area",
    "Road": "道路 Road",
    "CityFurniture": "城市部件 City furniture",
}
_STYLE = """
:root{color-scheme:light dark;--ink:#16202b;--soft:#5a6a7a;--line:#d8dfe6;--page:#f4f6f8;--card:#fff;--on:#d9822b;
--on1:#b5651a;--on2:#f0a55a;--roof:#e7ecf1;--w0:#aab6c2;--w1:#b9c4cf;--w2:#c8d2db;--w3:#d5dde5;--sky:#eef3f7;--link:#0b62a8}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#93a3b3;--line:#2c3843;--page:#0e141a;--card:#161e26;
--roof:#3d4c5a;--w0:#222c36;--w1:#28343f;--w2:#2f3c48;--w3:#374552;--sky:#111920;--link:#6cb6ff}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.55 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}a{color:var(--link)}
header p{margin:0;color:var(--soft)}h1{font-size:1.75rem;line-height:1.2;margin:.15rem 0 .35rem;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 .5rem}code{font:13px ui-monospace,Menlo,Consolas,monospace}
.grid{display:grid;grid-template-columns:minmax(0,7fr) minmax(0,5fr);gap:1rem;margin-top:1rem;align-items:start}
@media(max-width:52rem){.grid{grid-template-columns:minmax(0,1fr)}}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.1rem;overflow:hidden}
.stack{display:grid;gap:1rem}.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(7rem,1fr));
gap:.75rem;margin-top:1rem}
.figures div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.6rem .8rem}
.figures b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.figures span{color:var(--soft);font-size:.8rem}
table{border-collapse:collapse;width:100%}th,td{border-top:1px solid var(--line);padding:.35rem 0;text-align:left;
vertical-align:top;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}tr:first-child>*{border-top:0}
th{font-weight:400;color:var(--soft);width:46%;padding-right:1rem}
.view{padding:0}.view svg{display:block;width:100%;height:auto}
.view p{margin:0;padding:.7rem 1.1rem;border-top:1px solid var(--line);display:flex;flex-wrap:wrap;gap:.4rem 1.2rem}
.note{border-color:var(--on);margin-top:1rem}svg .sky{fill:var(--sky)}svg .r{fill:var(--roof);fill-rule:evenodd}
svg .w0{fill:var(--w0)}svg .w1{fill:var(--w1)}svg .w2{fill:var(--w2)}svg .w3{fill:var(--w3)}
svg .b path,svg .b polygon{stroke:var(--line);stroke-width:.6;stroke-linejoin:round}
svg .on .r{fill:var(--on2)}svg .on .w0,svg .on .w1{fill:var(--on1)}svg .on .w2,svg .on .w3{fill:var(--on)}
svg .on path,svg .on polygon{stroke:#7a420d}svg .bar{fill:none;stroke:var(--soft);stroke-width:1.5}
svg text{fill:var(--soft);font-size:12px}svg a:hover .r{fill:var(--line)}
"""


def page(
    full: Mapping[str, Any], drawing: str, links: Iterable[tuple[str, str]], chain: Iterable[Mapping[str, Any]] = ()
) -> bytes:
    """The whole page.

    Args:
        full: What `entity_document.document` gives, perhaps with `version`.
        drawing: SVG; "" for none.
        links: (address, text) pairs below the drawing.
        chain: What it is part of, the nearest first: `name`, `geid`, `href`.
    """
    title = str(full.get("name") or full.get("address") or full["geid"])
    above = " › ".join(
        f'<a href="{escape(str(one["href"]))}">{escape(str(one["name"] or one["geid"]))}</a>' for one in chain
    )
    kind = _CLASSES.get(str(full["entity_class"]), str(full["entity_class"] or ""))
    body = (
        f"<main><header><p>{escape(kind)}{' · ' + above if above else ''}</p><h1>{escape(title)}</h1>"
        f"<p><code>{escape(str(full['geid']))}</code></p></header>{_note(full)}{_figures(full)}"
        f'<div class="grid"><div class="stack">{_view(drawing, links)}{_attributes(full)}</div>'
        f'<div class="stack">{_facts(full)}{_provenance(full)}</div></div></main>'
    )
    return (
        f'<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>"
    ).encode()


def _note(full: Mapping[str, Any]) -> str:
    version = full.get("version")
    if not version:
        return ""
    rows = "".join(_row(key, version.get(key)) for key in ("valid_from", "valid_to", "edition", "recorded_at"))
    return f'<section class="note"><h2>历史版本 A version from the history</h2><table>{rows}</table></section>'


def _figures(full: Mapping[str, Any]) -> str:
    shown = [(key, full.get(key)) for key in ("height_m", "storeys", "base_m", "roof_m")]
    boxes = "".join(
        f"<div><b>{escape(written(key, value))}</b><span>{LABELS[key]}</span></div>"
        for key, value in shown
        if value is not None
    )
    return f'<div class="figures">{boxes}</div>' if boxes else ""


def _view(drawing: str, links: Iterable[tuple[str, str]]) -> str:
    row = "".join(f'<a href="{escape(href)}">{escape(text)}</a>' for href, text in links)
    return f'<section class="view">{drawing}<p>{row}</p></section>'


def _facts(full: Mapping[str, Any]) -> str:
    keys = ("name", "address", "layer", "aliases", "parent", "lon", "lat", "height", "lod")
    return _section("概况 Facts", (_row(key, full.get(key)) for key in keys))


def _provenance(full: Mapping[str, Any]) -> str:
    return _section("数据依据 Provenance", (_row(key, value) for key, value in full["provenance"].items()))


def _attributes(full: Mapping[str, Any]) -> str:
    found = full["attributes"].items()
    return _section("属性 Attributes", (_row(str(key), value) for key, value in found))


def _section(title: str, rows: Iterable[str]) -> str:
    told = "".join(rows)
    return f"<section><h2>{title}</h2><table>{told}</table></section>" if told else ""


def _row(key: str, value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    return f"<tr><th>{escape(LABELS.get(key, key))}</th><td>{escape(written(key, value))}</td></tr>"


def written(key: str, value: Any) -> str:
    """A value for people: numbers without noise, with their unit."""
    match value:
        case bool():
            return "是 yes" if value else "否 no"
        case float() | int():
            text = (
                f"{value:.{_DIGITS.get(key, 3)}f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            )
            unit = _UNITS.get(key)
            return f"{text} {unit}" if unit and unit != "°" else text + (unit or "")
        case list():
            return ", ".join(str(one) for one in value)
        case dict():
            return "; ".join(f"{name}: {one}" for name, one in value.items())
    return str(value)
