"""Where the registry of a project lies, and opening it: a file beside `twin.toml`, or the district's database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.project_model import Project
from twin.registry import place
from twin.registry.identity import IdentityRegistry
from twin.registry.open import open_registry

if TYPE_CHECKING:
    from twin.registry.versions import History


def registry_location(project: Project) -> Path | str:
    """Where the registry lies: `TWIN_DATABASE_URL`, else `[registry] database_url`, else the file beside `twin.toml`.

    The answer may hold a password: give it to `open_registry`, never to a message or a log.

    Raises:
        ProjectError: The variable holds something else than the address of a PostgreSQL database.
    """
    return place.registry_location(project.root, project.registry.database_url)


def open_project_registry(project: Project, read_only: bool = False) -> IdentityRegistry:
    """Opens the identities of a project.

    Raises:
        StoreError: As `twin.registry.open.open_registry`.
    """
    return open_registry(registry_location(project), project.project.authority, read_only)


def open_project_history(project: Project) -> History:
    """Opens the history of a project; it lies in the same database as the identities.

    Raises:
        StoreError: As `twin.registry.open.open_history`.
    """
    from twin.registry.open import open_history

    return open_history(registry_location(project), project.project.authority)
