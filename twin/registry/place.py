"""Where the registry of a project lies: the one rule that builds, updates, exports and the server go by."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from twin.errors import ProjectError
from twin.registry.open import DATABASE_VARIABLE, SCHEMES

REGISTRY_FILE = "registry.sqlite"
"""The registry of a project, beside `twin.toml`."""


def stated_database(stated: str | None, environment: Mapping[str, str] | None = None) -> str | None:
    """Address of the database: `TWIN_DATABASE_URL`, else what the project file states; None where neither names one.

    The answer may hold a password: give it to `open_registry`, never to a message or a log.

    Args:
        stated: `[registry] database_url`.
        environment: Variables; those of the process if left out. An empty one counts as none.

    Raises:
        ProjectError: It is something else than the address of a PostgreSQL database.
    """
    told = (os.environ if environment is None else environment).get(DATABASE_VARIABLE, "").strip()
    for name, url in ((DATABASE_VARIABLE, told), ("[registry] database_url", stated or "")):
        if url and not url.startswith(SCHEMES):
            raise ProjectError(
                f"{name} is not the address of a PostgreSQL database",
                next_step=f"begin it with {SCHEMES[0]}, or leave it out to use {REGISTRY_FILE}",
            )
    return told or stated or None


def registry_location(root: Path, stated: str | None, environment: Mapping[str, str] | None = None) -> Path | str:
    """Where the registry and the history of a project lie: the database of `stated_database`, else a file.

    Args:
        root: Folder of the project.
        stated: `[registry] database_url`.
        environment: As `stated_database`.

    Raises:
        ProjectError: As `stated_database`.
    """
    return stated_database(stated, environment) or root / REGISTRY_FILE
