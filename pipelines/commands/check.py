"""`twin check`: reads everything, changes nothing, and says what a build will meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.check_report import CheckReport, report_of, to_html, to_json
from pipelines.check_survey import Survey, subjects_of_files, subjects_of_project, survey
from pipelines.init_files import TableFacts, look, table_facts
from pipelines.init_project import choose_tables
from pipelines.progress import Progress, progress_for_terminal
from pipelines.project import FILE_NAME, load_project
from pipelines.project_notes import project_notes
from twin.errors import MisuseError
from twin.report import Issue, Severity


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("check")(check)


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="Files to look at; without any, the project is read."),
    ] = None,
    project_dir: Annotated[
        Path, typer.Option("-C", "--directory", metavar="DIR", help="Folder of twin.toml, or the file itself.")
    ] = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="HTML", help="Where to write the report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read everything and write an HTML report of what was found; exit code 3 where something needs a look."""
    progress = progress_for_terminal(as_json)
    try:
        report = _check_files(files, progress) if files else _check_project(project_dir, progress)
    finally:
        progress.close()
    folder = project_dir if project_dir.is_dir() else project_dir.parent
    target = output or (None if as_json else (Path() if files else folder) / "check.html")
    if target is not None:
        _write(target, to_html(report))
    if as_json:
        typer.echo(json.dumps(to_json(report), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(_lines(report, target)))
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _check_project(folder: Path, progress: Progress) -> CheckReport:
    project = load_project(folder)
    surveys: list[Survey] = []
    for subject in subjects_of_project(project):
        surveys.append(survey(subject, table_facts(subject.files[0], subject.encoding, subject.table), progress))
    return report_of(project.project.name, surveys, notes=project_notes(project))


def _check_files(files: list[Path], progress: Progress) -> CheckReport:
    found = look(files)
    used, unused = choose_tables(found)
    by_path: dict[tuple[Path, str], TableFacts] = {(table.path, table.table): table for table in used}
    surveys = []
    for subject in subjects_of_files(found):
        facts = [fact for (path, _), fact in by_path.items() if path in subject.files]
        surveys.append(survey(subject, facts, progress))
    unused += [(item.path.name, item.why) for item in found.rasters if item.role == "unused"]
    unused += [(path.name, why) for path, why in found.unreadable]
    return report_of(", ".join(path.name for path in files[:3]) + (" ..." if len(files) > 3 else ""), surveys, unused)


def _write(target: Path, text: str) -> None:
    if target.name == FILE_NAME:
        raise MisuseError("a report cannot replace the project file", file=target, next_step="choose another -o HTML")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MisuseError(
            f"the report cannot be written: {error.strerror}", file=target, next_step="choose another -o HTML"
        ) from error


_MARKS = {Severity.ERROR: "error  ", Severity.WARNING: "warning", Severity.NOTE: "note   "}


def _lines(report: CheckReport, target: Path | None) -> list[str]:
    lines = [f"{FILE_NAME}:"] if report.notes else []
    lines += [line for issue in report.notes for line in _finding(issue)]
    for found, issues in zip(report.surveys, report.issues, strict=True):
        lines.append(f"{found.subject.name}: {found.read:,} features, {found.with_height:,} with a height in a field")
        lines += [line for issue in issues for line in _finding(issue)]
    lines += [f"not looked into: {label}: {why}" for label, why in report.unused]
    return [*lines, f"Report: {target}"] if target is not None else lines


def _finding(issue: Issue) -> list[str]:
    told = f"  {_MARKS[issue.severity]} {issue.count:>9,}  {issue.text} [{issue.code}]"
    return [told, f"{'':21}next: {issue.next_step}"] if issue.next_step else [told]
