"""`twin update`: a new edition of a survey becomes the next edition of the district, each building under its own id."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipelines.adopt import adopt, published_at
from pipelines.build_result import BuildOptions, BuildResult
from pipelines.inputs import build_key
from pipelines.progress import Progress, Quiet, Stopwatch
from pipelines.project import Project, output_path
from pipelines.project_registry import open_project_registry, registry_location
from pipelines.update_apply import BRIDGES, apply_plan, bridge_of, write_bridge
from pipelines.update_before import believed
from pipelines.update_decisions import decided, read_decisions
from pipelines.update_geids import settle
from pipelines.update_match import compare_editions, rules_of
from pipelines.update_plan import UpdatePlan, plan_digest
from pipelines.update_survey import NewEdition, read_edition
from pipelines.update_undo import undo_last
from twin.entity.areas import is_area
from twin.errors import BuildError, MisuseError
from twin.registry.open import open_history
from twin.registry.versions import Edition, EditionKind, History
from twin.store.release import CURRENT, lock


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """How an update is run.

    Attributes:
        name: Of the edition; "" takes the day.
        valid_from: From when on it is so; None: now.
        decisions: What a person has decided, `doubtful.csv` or `doubtful.gpkg`; None: nothing.
        accept_doubtful: Take undecided doubtful changes as proposed.
        build: Options of the build, whose workers also read the survey.
    """

    name: str = ""
    valid_from: datetime.datetime | None = None
    decisions: Path | None = None
    accept_doubtful: bool = False
    build: BuildOptions = field(default_factory=BuildOptions)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update came to.

    Attributes:
        plan: What was planned.
        edition: What was written; None where doubtful changes are undecided, or the survey says nothing new.
        bridge: Where the bridge files are.
    """

    plan: UpdatePlan
    edition: Edition | None
    bridge: tuple[Path, ...] = ()


def plan_update(project: Project, options: UpdateOptions, tell: tuple[Progress, Stopwatch] | None = None) -> UpdatePlan:
    """Reads the survey and says what an update would do; registry, history and releases are only read.

    Raises:
        MisuseError: Nothing has been built yet, the date lies before the last edition, or decisions do not fit.
        TwinError: See the stages of a build.
    """
    progress, watch = tell or (Quiet(), Stopwatch())
    where, authority = registry_location(project), project.project.authority
    with watch.stage("digest"):
        key = build_key(project)
    with open_history(where, authority, read_only=True) as history:
        return _plan(project, options, (key, history), (progress, watch))


def _plan(
    project: Project, options: UpdateOptions, given: tuple[str, History], tell: tuple[Progress, Stopwatch]
) -> UpdatePlan:
    key, history = given
    watch = tell[1]
    with watch.stage("before"):
        before, since = believed(project, history)
    moment = options.valid_from or datetime.datetime.now(datetime.UTC)
    _refuse_earlier(moment, since)
    with open_project_registry(project, read_only=True) as registry:
        edition = read_edition(project, registry, key, options.build, tell)
        _refuse_broken_areas(before, edition)
        rules = rules_of(project.change)
        digest = plan_digest(key, since, before, rules)
        with watch.stage("compare"):
            comparison = compare_editions(before, edition.versions, rules)
        count = 0
        if options.decisions is not None:
            choices = read_decisions(options.decisions, digest)
            comparison, count = decided(comparison, before, edition, choices)
        with watch.stage("geids"):
            geids = settle(before, edition, comparison, registry, history)
    return UpdatePlan(
        title=project.project.name,
        name=options.name or f"edition of {moment.date().isoformat()}",
        valid_from=moment,
        since=since,
        before=before,
        edition=edition,
        comparison=comparison,
        geids=geids,
        digest=digest,
        decided=count,
    )


def _refuse_earlier(moment: datetime.datetime, since: Edition | None) -> None:
    if since is not None and moment <= since.valid_from:
        raise MisuseError(
            f"the new edition is said to be so from {moment.isoformat()} on, but the one before "
            f"({since.name}) from {since.valid_from.isoformat()} on",
            next_step="state a later --valid-from; what was wrong about an earlier time is a correction, not an update",
        )


def _refuse_broken_areas(before: pa.Table, edition: NewEdition) -> None:
    """An area that is in the file, but whose polygon cannot be read, must not end by that."""
    areas = before.filter(is_area(before))
    known = zip(areas.column("source").to_pylist(), areas.column("source_key").to_pylist(), strict=True)
    broken = sorted(set(known) & edition.areas_refused)
    if broken:
        source, key = broken[0]
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise BuildError(
            f"the polygon of an area that is known cannot be used{more}: the update would say that it is gone",
            file=f'[[area]] "{source}"',
            feature=key,
            next_step="repair the polygon in the file, or take the feature out if the area has really ended",
        )


def run_update(project: Project, options: UpdateOptions, tell: tuple[Progress, Stopwatch] | None = None) -> Applied:
    """Applies the new edition, unless something in it is doubtful and undecided: then nothing is written.

    Raises:
        MisuseError: See `plan_update`.
        StoreError: Somebody else is building or updating, or the registry cannot be written; nothing is written then.
    """
    progress, watch = tell or (Quiet(), Stopwatch())
    where, authority = registry_location(project), project.project.authority
    out = output_path(project)
    with lock(out, options.build.wait_s):
        with watch.stage("digest"):
            key = build_key(project)
        with open_history(where, authority, read_only=True) as reader:
            known = len(reader.editions())
            _mend_bridges(project.root / BRIDGES, reader)
            plan = _plan(project, options, (key, reader), (progress, watch))
        if plan.doubtful and not options.accept_doubtful:
            return Applied(plan, None)
        if plan.empty:
            return Applied(plan, None)
        with watch.stage("apply"), open_history(where, authority) as history:
            if not known and adopt(project, history, _adopted_from(out, plan.valid_from)):
                known = 1
            edition = apply_plan(plan, history, where, authority, known)
        with watch.stage("bridge"):
            paths = write_bridge(project.root / BRIDGES, edition.number, bridge_of(plan))
    return Applied(plan, edition, paths)


def _mend_bridges(folder: Path, history: History) -> None:
    """Writes bridge files an update was stopped before; the history holds what is in them."""
    for one in history.editions():
        if one.kind is EditionKind.UPDATE and not (folder / f"{one.number}.csv").exists():
            write_bridge(folder, one.number, history.bridge(one.number))


def _adopted_from(out: Path, valid_from: datetime.datetime) -> datetime.datetime:
    """From when on the release before was so: since it was published, at least a second before the new edition."""
    return min(published_at(out / CURRENT), valid_from - datetime.timedelta(seconds=1))


def undo_update(project: Project, wait_s: float = 0.0) -> tuple[Edition, Edition]:
    """Takes the last update back; see `pipelines.update_undo.undo_last`.

    Raises:
        MisuseError: There is none.
        StoreError: Somebody else is building or updating.
    """
    where, authority = registry_location(project), project.project.authority
    with lock(output_path(project), wait_s):
        with open_history(where, authority, read_only=True) as reader:
            last = reader.editions()
        if not last:
            raise MisuseError("there is no update to take back", file=project.root, next_step="nothing")
        with open_history(where, authority) as history:
            return undo_last(history, where, authority)


def build_after(project: Project, options: UpdateOptions, progress: Progress) -> BuildResult:
    """Builds and publishes what the update left to be built."""
    from pipelines.run import build

    return build(project, options.build, progress)


__all__ = ["Applied", "UpdateOptions", "build_after", "plan_update", "run_update", "undo_update"]
