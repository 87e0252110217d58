"""Turns what was read into findings: what is wrong, how bad it is, which features, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.check_survey import Survey
from twin.errors import CrsError
from twin.report import REASONS, Issue, Severity

_GEOMETRY = ("geometry_missing", "geometry_empty", "geometry_type", "geometry_read_failed")


def findings(result: Survey) -> list[Issue]:
    """All findings about one source, the loudest first."""
    order = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    found = [*_crs(result), *_geometry(result), *_multiparts(result), *_identity(result), *_heights(result)]
    found += [*_text(result), *_rasters(result)]
    found += [_issue(result, "note", Severity.NOTE, note) for note in dict.fromkeys(result.notes)]
    return sorted(found, key=lambda issue: order.index(issue.severity))


def _issue(
    result: Survey,
    code: str,
    severity: Severity,
    text: str,
    *,
    count: int = 1,
    step: str = "",
    feature: str | None = None,
) -> Issue:
    return Issue(code, severity, text, source=result.subject.name, feature=feature, count=count, next_step=step)


def _of_reason(result: Survey, code: str, count: int, feature: str | None = None) -> Issue:
    reason = REASONS[code]
    return _issue(result, code, reason.severity, reason.text, count=count, step=reason.next_step, feature=feature)


def _crs(result: Survey) -> Iterator[Issue]:
    from twin.crs.reference import check_plausible, parse_crs

    name = result.subject.files[0].name
    if result.crs is None:
        text = f"{name} states no coordinate reference system"
        step = (
            'ask whoever made the file, then write `crs = "EPSG:..."` under [[source]] in twin.toml (or --crs of init)'
        )
        yield _issue(result, "crs_missing", Severity.ERROR, text, count=result.read, step=step)
        return
    try:
        crs = parse_crs(result.crs)
    except CrsError as error:
        yield _issue(result, "crs_unknown", Severity.ERROR, f"{name}: {error.what}", step=error.next_step)
        return
    if result.bounds is not None:
        for issue in check_plausible(crs, result.bounds):
            yield _issue(result, issue.code, issue.severity, issue.text, step=issue.next_step)


def _geometry(result: Survey) -> Iterator[Issue]:
    for code in _GEOMETRY:
        if result.reasons[code]:
            yield _of_reason(result, code, result.reasons[code])
    if result.invalid:
        first = result.pictures[0]
        text = f"invalid polygons, the first: {first.reason.lower()} in {first.feature}"
        step = "the build repairs what it can and says how the area changed; see the pictures"
        yield _issue(
            result, "geometry_invalid", Severity.WARNING, text, count=result.invalid, step=step, feature=first.feature
        )
    if result.read == 0:
        yield _issue(result, "source_empty", Severity.ERROR, "the source holds no feature", step="check the export")


def _multiparts(result: Survey) -> Iterator[Issue]:
    several = sum(count for parts, count in result.parts.items() if parts > 1)
    classes = any(fact.height_classes for fact in result.facts)
    if classes and result.subject.multipart != "explode":
        text = (
            f"{several:,} multipart features look like height classes rather than buildings: "
            "many scattered polygons share one feature"
        )
        step = 'write `multipart = "explode"` under this [[source]]: each polygon becomes an entity of its own'
        yield _issue(result, "multipart_height_classes", Severity.WARNING, text, count=several, step=step)
    elif several:
        yield _issue(result, "multipart", Severity.NOTE, "features of several polygons", count=several)


def _identity(result: Survey) -> Iterator[Issue]:
    subject = result.subject
    if subject.id_field is None:
        text = "no field identifies a building; identity rests on geometry"
        yield _issue(result, "id_field_missing", Severity.NOTE, text, step="name one with `id` under [source.fields]")
    if result.no_id:
        yield _of_reason(result, "id_missing", result.no_id)
    if result.duplicate_ids:
        key, count = result.duplicates[0]
        text = f"features repeat an id that came before; most often {subject.id_field} {key} ({count} times)"
        step = {
            None: 'set `duplicates = "first"` (copies) or "union" (pieces of one thing) in twin.toml',
            "error": 'the build will refuse: set `duplicates = "first"` (copies) or "union" (pieces of one thing)',
            "first": "the first of each is kept, the others are skipped",
            "union": "they are joined into one entity each",
        }[subject.duplicates]
        severity = {None: Severity.WARNING, "error": Severity.ERROR, "first": Severity.WARNING}.get(
            subject.duplicates, Severity.NOTE
        )
        yield _issue(result, "id_duplicate", severity, text, count=result.duplicate_ids, step=step, feature=key)


def _heights(result: Survey) -> Iterator[Issue]:
    measured = any(cover.kind == "dsm" and cover.covered for cover in result.coverage)
    lacking = result.surfaces - result.with_height
    if not result.subject.rules and not measured:
        text = "no rule gives a height: every footprint will be drawn flat (LoD0)"
        step = "name a height or storeys field, or add a surface model (DSM)"
        yield _issue(result, "height_missing", Severity.WARNING, text, count=result.surfaces, step=step)
        return
    if lacking and result.subject.rules:
        severity = Severity.NOTE if measured else Severity.WARNING
        text = "no field gives a height" + (", a surface model may" if measured else "; they will be drawn flat (LoD0)")
        step = "add a height rule, or complete the fields in the source"
        yield _issue(result, "height_missing", severity, text, count=lacking, step=step)
    for rule in result.heights:
        if rule.refused:
            text = f"{rule.label}: zero, negative, a placeholder such as 9999, or absurd"
            step = REASONS["height_invalid"].next_step
            yield _issue(result, "height_invalid", Severity.WARNING, text, count=rule.refused, step=step)


def _text(result: Survey) -> Iterator[Issue]:
    if result.reasons["attribute_unreadable"]:
        text = f"attributes cannot be decoded as {result.encoding}"
        step = 'state the encoding: `encoding = "GB18030"` (or another) under this [[source]]'
        yield _issue(
            result,
            "attribute_unreadable",
            Severity.WARNING,
            text,
            count=result.reasons["attribute_unreadable"],
            step=step,
        )


def _rasters(result: Survey) -> Iterator[Issue]:
    for cover in result.coverage:
        outside = cover.sampled - cover.covered
        if not outside:
            continue
        share = outside / cover.sampled
        sheets = f"{cover.kind.upper()} ({cover.sheets} {'sheet' if cover.sheets == 1 else 'sheets'})"
        text = f"the centres of {share:.1%} of the footprints lie outside the {sheets} or on its nodata"
        step = "add the missing sheets, or a further rule for these places"
        code = "ground_outside_raster" if cover.kind == "dem" else "height_outside_raster"
        yield _issue(result, code, Severity.WARNING, text, count=round(share * result.surfaces), step=step)
