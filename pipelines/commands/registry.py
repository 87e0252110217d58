"""`twin registry`: what an administrator does with identities and history: copy, move, back up, verify, upgrade."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands import options
from twin.errors import MisuseError

if TYPE_CHECKING:
    from pipelines.project import Project

_FINDINGS = 3


class Action(StrEnum):
    """What to do with the registry."""

    EXPORT = "export"
    IMPORT = "import"
    BACKUP = "backup"
    VERIFY = "verify"
    MIGRATE = "migrate"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("registry")(registry)


def registry(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    place: Annotated[
        Path | None, typer.Argument(help="export, import, backup: an SQLite file (.sqlite) or a folder (Parquet).")
    ] = None,
    directory: options.Directory = Path(),
    as_json: options.Json = False,
) -> None:
    """Export, import, back up, verify or migrate the registry: identities and history, wherever they lie.

    The registry is registry.sqlite beside twin.toml, or the PostgreSQL database that TWIN_DATABASE_URL or [registry]
    database_url names. Exit code 3 if `verify` finds something broken.
    """
    from pipelines.project import load_project

    project = load_project(directory)
    if action in (Action.VERIFY, Action.MIGRATE):
        if place is not None:
            raise MisuseError(f"`twin registry {action}` takes no file", next_step="leave it out")
        told = _verify(project) if action is Action.VERIFY else _migrate(project)
    else:
        told = _copy(project, action, _required(action, place))
    typer.echo(json.dumps(told, ensure_ascii=False) if as_json else _sentence(told))
    if told.get("problems"):
        raise typer.Exit(_FINDINGS)


def _required(action: Action, place: Path | None) -> Path:
    if place is None:
        step = f"twin registry {action} FOLDER, or twin registry {action} FILE.sqlite"
        raise MisuseError(f"`twin registry {action}` needs a file or a folder", next_step=step)
    if "://" in str(place) or ":/" in str(place):
        raise MisuseError(
            "an address of a database has no place on the command line: others see it in the list of processes",
            next_step="set TWIN_DATABASE_URL to it; export and backup read that registry, import fills it",
        )
    return place


def _copy(project: Project, action: Action, place: Path) -> dict[str, Any]:
    from pipelines.project_registry import registry_location
    from twin.registry.transfer import back_up, export_registry, import_registry

    where, authority = registry_location(project), project.project.authority
    if action is Action.IMPORT:
        made = import_registry(place, where, authority)
    else:
        copy = export_registry if action is Action.EXPORT else back_up
        made = copy(where, authority, place, _crs(project))
    return {"action": str(action), "place": made.place, "form": made.form, "rows": dict(made.rows)}


def _crs(project: Project) -> dict[str, Any] | None:
    """PROJJSON of the working CRS; None where its definition is confidential."""
    from twin.crs.reference import parse_crs

    crs = parse_crs(project.project.working_crs)
    told: dict[str, Any] | None = crs.pyproj.to_json_dict() if crs.public else None
    return told


def _verify(project: Project) -> dict[str, Any]:
    from pipelines.project_registry import registry_location
    from twin.registry.integrity import verify

    problems = list(verify(registry_location(project), project.project.authority))
    return {"action": "verify", "whole": not problems, "problems": problems}


def _migrate(project: Project) -> dict[str, Any]:
    from pipelines.project_registry import open_project_registry, registry_location
    from twin.registry.open import is_database_url

    where = registry_location(project)
    if not is_database_url(where):
        open_project_registry(project, read_only=True).close()  # says so if it is of another version
        return {"action": "migrate", "before": None, "after": None, "form": "sqlite"}
    from twin.registry.postgres_address import Address
    from twin.registry.postgres_schema import migrate

    before, after = migrate(Address.of(str(where)))
    return {"action": "migrate", "before": before, "after": after, "form": "postgis"}


def _sentence(told: dict[str, Any]) -> str:
    if told["action"] == "verify":
        return "\n".join(told["problems"]) or "the registry and its history are whole"
    if told["action"] == "migrate":
        if told["form"] == "sqlite":
            return "registry.sqlite has the version this program works with"
        same = told["before"] == told["after"]
        return f"the tables have version {told['after']}" + ("" if same else f" now; before: {told['before']}")
    rows = told["rows"]
    what = f"{rows.get('entity', 0)} entities, {rows.get('history_version', 0)} versions"
    return f"{told['action']}: {what} -> {told['place']}"
