"""Writes a plan as files: for programs, for the eye, and for a person to decide on."""

from __future__ import annotations

from pathlib import Path

from pipelines.project import Project
from pipelines.update_decisions import write_doubtful
from pipelines.update_html import PAGE, to_html
from pipelines.update_plan import PLAN, UpdatePlan, plan_text
from twin.errors import MisuseError


def write_plan(plan: UpdatePlan, folder: Path, project: Project) -> None:
    """Writes `plan.json`, `plan.html`, `doubtful.csv` and `doubtful.gpkg`.

    Raises:
        MisuseError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLAN).write_text(plan_text(plan), encoding="utf-8")
        (folder / PAGE).write_text(to_html(plan), encoding="utf-8")
        write_doubtful(plan, folder, project.project.working_crs)
    except OSError as error:
        raise MisuseError(
            f"the plan cannot be written: {error.strerror}", file=folder, next_step="choose another -o FOLDER"
        ) from error
