"""The account `twin check` gives: one self-contained HTML page for people, and the same as JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import shapely

from pipelines.check_findings import findings
from pipelines.check_survey import Survey
from pipelines.check_svg import Bounds, district_map, histogram, invalid_picture
from pipelines.init_files import FieldFacts, shown_name
from twin.crs.reference import horizontal, parse_crs
from twin.crs.suggest import geographic_bounds
from twin.errors import CrsError, SourceError
from twin.report import Issue, Severity
from twin.sources.raster import RasterMosaic

_BARS = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        title: What was checked.
        surveys: One a source.
        issues: Findings about each source, in the same order.
        unused: Files and tables that were not looked into, and why.
        notes: Findings about the project file itself.
    """

    title: str
    surveys: tuple[Survey, ...]
    issues: tuple[tuple[Issue, ...], ...]
    unused: tuple[tuple[str, str], ...] = ()
    notes: tuple[Issue, ...] = ()

    @property
    def findings(self) -> tuple[Issue, ...]:
        """All of them, those about the project file first."""
        return (*self.notes, *(issue for row in self.issues for issue in row))

    @property
    def exit_code(self) -> int:
        """0 clean or notes only, 3 with findings."""
        return 3 if any(issue.severity is not Severity.NOTE for issue in self.findings) else 0


def report_of(
    title: str, surveys: Sequence[Survey], unused: Sequence[tuple[str, str]] = (), notes: Sequence[Issue] = ()
) -> CheckReport:
    """Puts surveys and their findings together, and those about the project file."""
    issues = tuple(tuple(findings(survey)) for survey in surveys)
    return CheckReport(title, tuple(surveys), issues, tuple(unused), tuple(notes))


# ----------------------------------------------------------------------------------------------------------- JSON


def to_json(report: CheckReport) -> dict[str, Any]:
    """The report for scripts; private CRS definitions are left out."""
    return {
        "title": report.title,
        "exit_code": report.exit_code,
        "sources": [_source_json(survey) for survey in report.surveys],
        "findings": [issue.to_json() for issue in report.findings],
        "unused": [{"file": label, "why": why} for label, why in report.unused],
    }


def _source_json(survey: Survey) -> dict[str, Any]:
    return {
        "name": survey.subject.name,
        "files": [str(path) for path in survey.subject.files],
        "table": survey.subject.table,
        "driver": survey.driver,
        "crs": shown_name(survey.crs),
        "bounds": survey.bounds,
        "bounds_lonlat": lonlat_bounds(survey),
        "encoding": survey.encoding,
        "read": survey.read,
        "geometry_types": dict(sorted(survey.kinds.items())),
        "invalid": survey.invalid,
        "invalid_examples": [
            {"feature": item.feature, "reason": item.reason, "at": item.place, "area_change": item.area_change}
            for item in survey.pictures
        ],
        "multiparts": {str(parts): count for parts, count in sorted(survey.parts.items()) if parts > 1},
        "reasons": {code: count for code, count in sorted(survey.reasons.items()) if count},
        "with_height": survey.with_height,
        "without_height": survey.surfaces - survey.with_height,
        "heights": [
            {"rule": rule.label, **_spread(rule.values), "missing": rule.missing, "refused": rule.refused}
            for rule in survey.heights
        ],
        "storeys": _spread(survey.storeys) if len(survey.storeys) else None,
        "ids": {
            "field": survey.subject.id_field,
            "missing": survey.no_id,
            "repeated": survey.duplicate_ids,
            "examples": [{"id": key, "times": count} for key, count in survey.duplicates],
        },
        "rasters": [
            {
                "kind": c.kind,
                "sheets": c.sheets,
                "covered": c.covered,
                "sampled": c.sampled,
                "low": _number(c.low),
                "high": _number(c.high),
            }
            for c in survey.coverage
        ],
        "fields": [
            {"name": f.name, "type": f.type, "null_share": f.null_share, "distinct_share": f.distinct_share}
            for fact in survey.facts[:1]
            for f in fact.fields
        ],
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _spread(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    if len(values) == 0:
        return {"found": 0, "low": None, "median": None, "high": None}
    return {
        "found": len(values),
        "low": float(values.min()),
        "median": float(np.median(values)),
        "high": float(values.max()),
    }


def lonlat_bounds(survey: Survey) -> Bounds | None:
    """Extent in longitude and latitude, None where the CRS is unknown or the coordinates do not fit it."""
    if survey.crs is None or survey.bounds is None:
        return None
    try:
        return geographic_bounds(parse_crs(survey.crs), survey.bounds)
    except CrsError:
        return None


# ----------------------------------------------------------------------------------------------------------- HTML


def to_html(report: CheckReport) -> str:
    """The report as one page that asks nothing of any other host."""
    style = files("pipelines").joinpath("templates/check.css").read_text(encoding="utf-8")
    loud = {severity: sum(issue.severity is severity for issue in report.findings) for severity in _BARS}
    body = "".join(
        [
            *_head(report, loud),
            *_summary(report),
            *(_section(s, i) for s, i in zip(report.surveys, report.issues, strict=True)),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Check: {escape(report.title)}</title><style>{style}</style></head><body>{body}</body></html>\n"
    )


def _head(report: CheckReport, loud: dict[Severity, int]) -> Iterator[str]:
    worst = next((severity for severity in _BARS if loud[severity]), Severity.NOTE)
    verdict = {
        Severity.ERROR: "Must be settled before a build",
        Severity.WARNING: "Can be built; look at the warnings",
        Severity.NOTE: "Ready to be built",
    }[worst]
    read = sum(survey.read for survey in report.surveys)
    yield f'<header><p class="kicker">twin check</p><h1>{escape(report.title)}</h1>'
    yield f'<p class="verdict {worst.value}">{verdict}</p><dl class="figures">'
    tall = sum(survey.with_height for survey in report.surveys)
    figures = [("sources", len(report.surveys)), ("features read", read), ("with a height in a field", tall)]
    figures += [(f"{severity.value}s", loud[severity]) for severity in _BARS]
    yield "".join(f"<div><dt>{label}</dt><dd>{value:,}</dd></div>" for label, value in figures)
    yield "</dl></header>"


def _summary(report: CheckReport) -> Iterator[str]:
    rows = sorted(report.findings, key=lambda issue: _BARS.index(issue.severity))
    yield "<section><h2>Findings</h2>"
    if not rows:
        yield '<p class="quiet">Nothing was found.</p>'
    else:
        yield '<table class="findings"><thead><tr><th></th><th>source</th><th class="n">features</th><th>what</th>'
        yield "<th>what to do</th></tr></thead><tbody>"
        yield "".join(_finding(issue) for issue in rows)
        yield "</tbody></table>"
    if report.unused:
        yield "<h3>Not looked into</h3><ul>"
        yield "".join(f"<li><b>{escape(label)}</b>: {escape(why)}</li>" for label, why in report.unused) + "</ul>"
    yield "</section>"


def _finding(issue: Issue) -> str:
    return (
        f'<tr class="{issue.severity.value}"><td><span class="badge">{issue.severity.value}</span></td>'
        f"<td>{escape(issue.source or '')}</td><td class='n'>{issue.count:,}</td>"
        f"<td>{escape(issue.text)}<br><code>{escape(issue.code)}</code></td><td>{escape(issue.next_step)}</td></tr>"
    )


def _section(survey: Survey, issues: Sequence[Issue]) -> str:
    loud = sum(issue.severity is not Severity.NOTE for issue in issues)
    parts = [f'<section><h2>{escape(survey.subject.name)} <small>{loud} to look at</small></h2><div class="cards">']
    parts += [_facts(survey), _heights_card(survey), "</div>", _map(survey), *_histograms(survey)]
    parts += [*_pictures(survey), *_duplicates(survey), *_rasters(survey), *_fields(survey), "</section>"]
    return "".join(parts)


def _card(title: str, rows: Sequence[tuple[str, str]]) -> str:
    inner = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in rows)
    return f'<div class="card"><h3>{escape(title)}</h3><dl>{inner}</dl></div>'


def _facts(survey: Survey) -> str:
    names = [path.name for path in survey.subject.files]
    bounds = ", ".join(f"{value:.8g}" for value in survey.bounds) if survey.bounds else "none"
    rows = [
        ("files", ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")),
        ("format", survey.driver + (f", table {survey.subject.table}" if survey.subject.table else "")),
        ("CRS", shown_name(survey.crs) or "NOT STATED"),
        ("extent", bounds),
        ("encoding", survey.encoding),
        ("features", f"{survey.read:,}"),
        ("geometry", ", ".join(f"{count:,} {kind}" for kind, count in survey.kinds.most_common())),
        ("invalid", f"{survey.invalid:,}"),
    ]
    return _card("Source", rows)


def _heights_card(survey: Survey) -> str:
    rows = [("with a height", f"{survey.with_height:,} of {survey.surfaces:,}")]
    for rule in survey.heights:
        rows.append((rule.label, f"{len(rule.values):,} usable, {rule.missing:,} missing, {rule.refused:,} refused"))
    rows += [("without any rule", "no height or storeys field")] if not survey.heights else []
    repeated = f"{survey.duplicate_ids:,} repeated, {survey.no_id:,} missing"
    rows.append(("ids", f"{survey.subject.id_field}: {repeated}" if survey.subject.id_field else "no id field"))
    several = {parts: count for parts, count in survey.parts.items() if parts > 1}
    rows.append(("multiparts", f"{sum(several.values()):,}, up to {max(several)} polygons" if several else "none"))
    return _card("Heights and identity", rows)


def _map(survey: Survey) -> str:
    if survey.bounds is None or len(survey.drawn) == 0:
        return ""
    drawn, bounds, degrees = survey.drawn, survey.bounds, False
    lonlat = lonlat_bounds(survey)
    if lonlat is not None:
        drawn, bounds, degrees = _to_lonlat(survey), lonlat, True
    shown = np.isfinite(shapely.bounds(drawn)).all(axis=1)
    rasters = _raster_boxes(survey) if degrees else []
    shades = [("ok", "height in a field"), ("measured", "height in the surface model")]
    shades += [("missing", "no height"), ("bad", "invalid")]
    legend = "".join(f'<i class="{name}"></i> {text} ' for name, text in shades)
    share = f"{len(drawn):,} of {survey.surfaces:,} footprints are drawn"
    picture = district_map(drawn[shown], survey.drawn_state[shown], bounds, rasters, degrees=degrees)
    where = "WGS 84 longitude, latitude" if degrees else "coordinates as in the file, CRS unknown"
    return f"<figure>{picture}<figcaption>{legend} &middot; {share} &middot; {where}</figcaption></figure>"


def _to_lonlat(survey: Survey) -> np.ndarray[Any, Any]:
    assert survey.crs is not None
    move = horizontal(parse_crs(survey.crs), parse_crs("EPSG:4326"))
    return np.asarray(shapely.transform(survey.drawn, move), dtype=object)


def _raster_boxes(survey: Survey) -> list[tuple[str, Bounds]]:
    boxes: list[tuple[str, Bounds]] = []
    for use in survey.subject.rasters:
        try:
            mosaic = RasterMosaic.open(list(use.paths), use.crs)
            box = geographic_bounds(parse_crs(mosaic.crs), mosaic.bounds)
        except (CrsError, SourceError):  # told among the findings
            continue
        if box is not None:
            boxes.append((use.kind, box))
    return boxes


def _histograms(survey: Survey) -> Iterator[str]:
    drawn = [(f"Heights: {rule.label}", histogram(rule.values, "m")) for rule in survey.heights if len(rule.values)]
    if len(survey.storeys):
        drawn.append((f"Storeys: {survey.subject.storeys_field}", histogram(survey.storeys, "storeys", whole=True)))
    if drawn:
        yield '<div class="cards">'
        yield "".join(f'<figure class="card"><h3>{escape(title)}</h3>{picture}</figure>' for title, picture in drawn)
        yield "</div>"


def _pictures(survey: Survey) -> Iterator[str]:
    if not survey.pictures:
        return
    degrees = _is_geographic(survey)
    shown = f"{len(survey.pictures)} of {survey.invalid:,} shown"
    yield f"<h3>Invalid polygons <small>{shown}</small></h3><div class='gallery'>"
    for item in survey.pictures:
        at = f" at {item.place[0]:.9g}, {item.place[1]:.9g}" if item.place else ""
        text = f"{escape(item.reason)}{at}; repair changes its area by {item.area_change:.2%}"
        picture = invalid_picture(item.shape, item.place, degrees=degrees)
        yield f"<figure class='card'><b>{escape(item.feature)}</b>{picture}"
        yield f"<figcaption>{text}</figcaption></figure>"
    yield "</div>"


def _is_geographic(survey: Survey) -> bool:
    try:
        return survey.crs is not None and parse_crs(survey.crs).is_geographic
    except CrsError:
        return False


def _table(titles: str, rows: Sequence[Sequence[str]]) -> str:
    """A table; a title that starts with # heads a column of numbers."""
    names = titles.split("|")
    classes = [' class="n"' if name.startswith("#") else "" for name in names]
    head = "".join(f"<th{kind}>{name.lstrip('#')}</th>" for name, kind in zip(names, classes, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _duplicates(survey: Survey) -> Iterator[str]:
    if survey.duplicates:
        yield f"<h3>Repeated ids <small>{survey.duplicate_ids:,} features</small></h3>"
        yield _table("id|#times", [(key, f"{count:,}") for key, count in survey.duplicates])


def _rasters(survey: Survey) -> Iterator[str]:
    if survey.coverage:
        yield "<h3>Rasters</h3>"
        rows = [
            (c.kind.upper(), f"{c.sheets}", f"{c.covered / c.sampled:.1%}", f"{c.low:.2f} m", f"{c.high:.2f} m")
            for c in survey.coverage
        ]
        yield _table("kind|#sheets|#footprints covered|#lowest under a footprint|#highest", rows)


def _fields(survey: Survey) -> Iterator[str]:
    for fact in survey.facts[:1]:
        roles = {role.field: name for name, role in fact.roles.items()}
        yield f"<h3>Fields <small>{len(fact.fields)}</small></h3>"
        yield _table(
            "field|type|#empty|#distinct|range|examples|looks like",
            [_field(f, roles.get(f.name, "")) for f in fact.fields],
        )


def _field(facts: FieldFacts, role: str) -> tuple[str, ...]:
    span = f"{_short(facts.low)} to {_short(facts.high)}" if facts.low is not None else ""
    examples = ", ".join(_short(value) for value in facts.examples[:4])
    shares = f"{facts.null_share:.1%}", f"{facts.distinct_share:.1%}"
    return facts.name, facts.type, *shares, span, examples, role


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else text[:23] + "…"
