"""Finds what a project file says that `twin init` put there only so that it runs: nobody has stated it yet."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.project import ConstantGround, Project
from pipelines.toml_position import Place
from twin.crs.vertical import parse_vertical
from twin.report import Issue, Severity


def project_notes(project: Project) -> tuple[Issue, ...]:
    """Findings about the project file itself: placeholders that a build would take at their word.

    Args:
        project: A project that has passed every check.

    Returns:
        Warnings `admin_code_placeholder` and, for each source, `ground_placeholder`; none where all is stated.
    """
    return (*_admin_code(project), *_grounds(project))


def _admin_code(project: Project) -> Iterator[Issue]:
    code = project.project.admin_code
    if code.strip("0"):
        return
    minted = "; every identifier is minted from it" if project.project.authority in ("", code) else ""
    yield Issue(
        "admin_code_placeholder",
        Severity.WARNING,
        f"the administrative code {code} is a placeholder{minted}",
        next_step=f"write the true code before you publish{_where(project, ('project', 'admin_code'))}",
    )


def _grounds(project: Project) -> Iterator[Issue]:
    datum = parse_vertical(project.project.vertical_datum)
    if datum.is_ellipsoidal:
        return
    for number, source in enumerate(project.sources):
        rules = source.ground
        if len(rules) != 1 or not isinstance(rules[0], ConstantGround) or rules[0].elevation_m != 0.0:
            continue
        place = _where(project, ("source", number, "ground", 0, "elevation_m"))
        yield Issue(
            "ground_placeholder",
            Severity.WARNING,
            f"all buildings stand at elevation 0 of {datum}: nothing states the ground",
            source.layer,
            source.name,
            next_step=f"state the ground: a terrain model, a field, or the true elevation{place}; "
            "if it truly is 0, write 0.001",
        )


def _where(project: Project, place: Place) -> str:
    line = project.lines.get(place)
    return "" if line is None else f" ({project.file.name}, line {line})"
