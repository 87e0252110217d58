"""`twin update`: a new edition of the survey, planned, decided, applied, built; and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.build_result import BuildResult
    from pipelines.project import Project
    from pipelines.update import Applied, UpdateOptions
    from pipelines.update_plan import UpdatePlan
    from twin.registry.versions import Edition

FOLDER = "update"
_FINDINGS = 3


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("update")(update)


def update(
    directory: options.Directory = Path(),
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the edition, e.g. '2026 spring'.")] = "",
    valid_from: Annotated[
        str, typer.Option(metavar="DATE", help="From when on it is so: ISO 8601; without one, now.")
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done, and change nothing.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Where the plan goes; else `update`.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="doubtful.csv or doubtful.gpkg with decisions filled in.")
    ] = None,
    accept_doubtful: Annotated[
        bool, typer.Option("--accept-doubtful", help="Take what is doubtful as proposed.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last update back.")] = False,
    build: Annotated[bool, typer.Option("--build/--no-build", help="Build and publish afterwards.")] = True,
    workers: Annotated[int, typer.Option(min=0, help="Workers; 0 takes what twin.toml says.")] = 0,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for another build of this project.")] = 0.0,
    as_json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Bring a new edition of the survey in: every building keeps its identifier.

    The new edition is what the sources of twin.toml hold now; it is compared with what is believed of the district.
    Exit code 0: done, or nothing to do; 3: something is doubtful and has to be decided first, or the build has
    findings; 1: failed; 2: misuse.
    """
    from pipelines.project import load_project
    from pipelines.update import UpdateOptions, undo_update
    from twin.errors import MisuseError
    from twin.registry.moment import parse_moment

    project = load_project(directory)
    if undo:
        if plan or decisions or valid_from:
            raise MisuseError("--undo stands alone", next_step="leave --plan, --decisions and --valid-from out")
        _print_undo(*undo_update(project, wait), project, as_json)
        return
    from pipelines.build_result import BuildOptions

    given = UpdateOptions(
        name=name,
        valid_from=parse_moment(valid_from) if valid_from else None,
        decisions=decisions,
        accept_doubtful=accept_doubtful,
        build=BuildOptions(workers=workers, wait_s=wait),
    )
    _run(project, given, (plan, build, output or project.root / FOLDER), (as_json, quiet))


def _run(project: Project, given: UpdateOptions, how: tuple[bool, bool, Path], tell: tuple[bool, bool]) -> None:
    from pipelines.progress import Stopwatch, progress_for_terminal
    from pipelines.update import build_after, plan_update, run_update
    from pipelines.update_files import write_plan

    only_plan, wants_build, folder = how
    as_json, quiet = tell
    watch, progress = Stopwatch(), progress_for_terminal(quiet or as_json)
    try:
        if only_plan:
            planned = plan_update(project, given, (progress, watch))
            with watch.stage("write plan"):
                write_plan(planned, folder, project)
            _print_plan(planned, folder, (as_json, watch.seconds))
            raise typer.Exit(_FINDINGS if planned.doubtful else 0)
        applied = run_update(project, given, (progress, watch))
        if applied.edition is None and applied.plan.doubtful and not given.accept_doubtful:
            write_plan(applied.plan, folder, project)
            _print_plan(applied.plan, folder, (as_json, watch.seconds), stopped=True)
            raise typer.Exit(_FINDINGS)
        built = build_after(project, given, progress) if wants_build else None
    finally:
        progress.close()
    _print_applied(project, applied, built, (as_json, watch.seconds))
    raise typer.Exit(built.report.exit_code if built else 0)


def _counts(plan: UpdatePlan) -> str:
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in plan.counts.items() if count]
    return ", ".join(told) or "nothing"


def _print_plan(plan: UpdatePlan, folder: Path, tell: tuple[bool, dict[str, float]], stopped: bool = False) -> None:
    from pipelines.update_decisions import CSV, GPKG
    from pipelines.update_plan import PLAN, json_text, to_json

    as_json, seconds = tell
    if as_json:
        stages = {name: round(value, 3) for name, value in seconds.items()}
        document: dict[str, Any] = {**to_json(plan), "folder": str(folder), "applied": False, "stages": stages}
        typer.echo(json_text(document))
        return
    typer.echo(f"{plan.title}, {plan.name}: {_counts(plan)}")
    if plan.doubtful:
        word = "nothing has been changed: " if stopped else ""
        typer.echo(f"{word}{plan.doubtful:,} of these are doubtful and wait for a decision")
        typer.echo(f"  next: fill the column `decision` in {folder / CSV} or {folder / GPKG}, then")
        typer.echo("        twin update --decisions FILE (or --accept-doubtful to take them as proposed)")
    typer.echo(f"Plan: {folder / 'plan.html'} ({PLAN} says the same to programs)")


def _print_applied(
    project: Project, applied: Applied, built: BuildResult | None, tell: tuple[bool, dict[str, float]]
) -> None:
    from pipelines.summary import print_build

    as_json, seconds = tell
    plan, edition = applied.plan, applied.edition
    if as_json:
        document = {
            "plan": plan.digest,
            "applied": edition is not None,
            "edition": None if edition is None else {"number": edition.number, "name": edition.name},
            "valid_from": plan.valid_from.isoformat().replace("+00:00", "Z"),
            "counts": plan.counts,
            "areas": plan.area_counts,
            "asserted": len(plan.asserted) + len(plan.ended),
            "decided": plan.decided,
            "bridge": [str(path) for path in applied.bridge],
            "stages": {name: round(value, 3) for name, value in seconds.items()},
            "build": None if built is None else built.to_json(),
        }
        typer.echo(json.dumps(document, ensure_ascii=False, indent=1))
        return
    typer.echo(f"{plan.title}, {plan.name}: {_counts(plan)}")
    if edition is None:
        typer.echo("the survey says nothing new: no edition was written")
    else:
        typer.echo(
            f"edition {edition.number} is valid from {edition.valid_from.isoformat()}; bridge: {applied.bridge[0]}"
        )
    if built is None:
        typer.echo(f"  next: twin build -C {project.root}")
    else:
        print_build(project, built, 0)


def _print_undo(last: Edition, undo: Edition, project: Project, as_json: bool) -> None:
    if as_json:
        document = {"undone": last.number, "name": last.name, "edition": undo.number}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=1))
        return
    typer.echo(f"edition {last.number} ({last.name}) is taken back: identifiers and history are as they were before it")
    typer.echo(
        "  next: put the sources of twin.toml back as well, else the next build or update meets them again; then"
    )
    typer.echo(f"        twin build -C {project.root}  (until then `twin rollback` serves the release before)")
