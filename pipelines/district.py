"""The Python API: `from twin import District` does in three lines what the command line does."""

from __future__ import annotations

import datetime as clock
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from pipelines.build_result import BuildOptions, BuildResult
from pipelines.export import ExportOptions, ExportResult, Form, export, export_crs
from pipelines.export_history import pin
from pipelines.project import Project, load_project, output_path
from twin.crs.reference import WGS84, horizontal, parse_crs
from twin.entity import geid as geids
from twin.entity.index import EntityIndex
from twin.errors import MisuseError
from twin.export.entities import Entities, Selection, select
from twin.registry.history_areas import placed
from twin.registry.moment import parse_moment
from twin.registry.versions import Edition, History, Time, Window
from twin.store.release import Release, open_current

if TYPE_CHECKING:
    import geopandas

    from pipelines.check_report import CheckReport
    from pipelines.update import Applied
    from pipelines.update_plan import UpdatePlan

Moment = str | clock.datetime
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class EntityView:
    """Entities of the served release, as a table or a frame; nothing is read before it is asked for.

    Attributes:
        project: Whose.
        selection: Which.
    """

    project: Project
    selection: Selection = field(default_factory=Selection)

    def where(
        self,
        bbox: Box | None = None,
        classes: Iterable[str] | None = None,
        layers: Iterable[str] | None = None,
        geids: Iterable[str] | None = None,
    ) -> EntityView:
        """Fewer of them; what is left out stays as it is.

        Args:
            bbox: West, south, east, north in degrees.
            classes: Entity classes, for example `["Building"]`.
            layers: Layers.
            geids: Identifiers.
        """
        given = {"bbox": bbox, "classes": classes, "layers": layers, "geids": geids}
        kept = {name: tuple(value) for name, value in given.items() if value is not None}
        return EntityView(self.project, replace(self.selection, **kept))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._entities())

    def to_arrow(self) -> pa.Table:
        """The columns of the entity index with `geometry` in the working CRS, sorted by geid."""
        entities = self._entities()
        return entities.table.take(pa.array(entities.rows))

    def to_geopandas(self, crs: str = "") -> geopandas.GeoDataFrame:
        """A GeoDataFrame indexed by geid.

        Args:
            crs: CRS of the geometry; "" takes that of an export: the working CRS, or degrees where that is private.
        """
        from twin.export.frame import to_frame

        return to_frame(self._entities(), export_crs(self.project, crs, Form.PARQUET))

    def _entities(self) -> Entities:
        table = EntityIndex.open(open_current(output_path(self.project)).index).table
        return Entities(table, select(table, self.selection), parse_crs(self.project.project.working_crs))


@dataclass(frozen=True, slots=True)
class District:
    """A project folder: its data, its releases, its history.

    Attributes:
        project: What `twin.toml` says.
    """

    project: Project

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens a project.

        Args:
            path: `twin.toml`, or its folder.

        Raises:
            ProjectError: It is missing or has mistakes; all are told at once.
        """
        return cls(load_project(path))

    @property
    def name(self) -> str:
        """Name of the district."""
        return self.project.project.name

    @property
    def release(self) -> Release:
        """The served release.

        Raises:
            StoreError: Nothing has been built yet.
        """
        return open_current(output_path(self.project))

    @property
    def entities(self) -> EntityView:
        """Every entity of the served release; narrow it with `where`, take it with `to_arrow` or `to_geopandas`."""
        return EntityView(self.project)

    def check(self) -> CheckReport:
        """Reads all sources and tells what a build will meet, like `twin check`; writes nothing."""
        from pipelines.check_report import report_of
        from pipelines.check_survey import subjects_of_project, survey
        from pipelines.init_files import table_facts
        from pipelines.progress import Quiet
        from pipelines.project_notes import project_notes

        surveys = [
            survey(one, table_facts(one.files[0], one.encoding, one.table), Quiet())
            for one in subjects_of_project(self.project)
        ]
        return report_of(self.name, surveys, notes=project_notes(self.project))

    def build(self, workers: int = 0, force: bool = False) -> BuildResult:
        """Builds and publishes a release, like `twin build`; the account is in `.report`.

        Args:
            workers: How many; 0 takes what `twin.toml` says.
            force: Make every tile again.

        Raises:
            TwinError: It cannot be built; what was served before is untouched.
        """
        from pipelines.run import build

        return build(self.project, BuildOptions(workers=workers, force=force))

    def update(
        self,
        plan: bool = False,
        name: str = "",
        valid_from: Moment | None = None,
        decisions: str | Path | None = None,
        accept_doubtful: bool = False,
        workers: int = 0,
    ) -> UpdatePlan | Applied:
        """Brings a new edition of the survey in, like `twin update --no-build`; call `build` afterwards.

        Args:
            plan: Only say what would be done; registry, history and releases stay as they are.
            name: Of the edition; "" takes the day.
            valid_from: From when on it is so; None: now.
            decisions: What a person has decided, `doubtful.csv` or `doubtful.gpkg`.
            accept_doubtful: Take undecided doubtful changes as proposed.
            workers: How many read the survey; 0 takes what `twin.toml` says.

        Returns:
            The plan where only that was asked; else what came of it, whose `edition` is None where nothing is new or
            something doubtful is undecided: then nothing has been written.

        Raises:
            MisuseError: Nothing has been built yet, the date lies before the last edition, or decisions do not fit.
            StoreError: Somebody else is building or updating; nothing is written then.
        """
        from pipelines.update import UpdateOptions, plan_update, run_update

        options = UpdateOptions(
            name=name,
            valid_from=_time(valid_from),
            decisions=None if decisions is None else Path(decisions),
            accept_doubtful=accept_doubtful,
            build=BuildOptions(workers=workers),
        )
        return plan_update(self.project, options) if plan else run_update(self.project, options)

    def undo(self) -> Edition:
        """Takes the last update back, like `twin update --undo`; put the sources back as well, then `build`.

        Returns:
            The edition that says so; `undoes` is the number of the one taken back.

        Raises:
            MisuseError: There is none.
            StoreError: Somebody else is building or updating.
        """
        from pipelines.update import undo_update

        return undo_update(self.project)[1]

    def entity(self, geid: str) -> dict[str, Any]:
        """Everything known of an entity of the served release but its geometry.

        Args:
            geid: In any spelling.

        Raises:
            MisuseError: There is none.
        """
        index = self._index()
        row = index.find(geid)
        if row is None:
            raise MisuseError(
                f"no entity of the served release is called {geid[:40]!r}",
                next_step="check it with `twin id`; one that is gone answers to `history`",
            )
        return index.record(row)

    def at(self, lon: float, lat: float, h: float | None = None, tolerance_m: float = 0.0) -> list[dict[str, Any]]:
        """What stands at a place, the smallest first.

        Args:
            lon: Longitude, degrees.
            lat: Latitude, degrees.
            h: Ellipsoidal height, metres; None takes every height.
            tolerance_m: How far outside a footprint still counts.
        """
        index = self._index()
        return [index.record(row) for row in index.at(lon, lat, h, tolerance_m)]

    def find(self, text: str, limit: int = 20) -> list[dict[str, Any]]:
        """Entities by geid, source key, alias, or the beginning of a name or address."""
        index = self._index()
        return [index.record(row) for row in index.prefix(text, limit)]

    def history(self, geid: str, as_of: Moment | None = None) -> pa.Table:
        """Every version of an entity that was recorded, oldest first; empty where nothing is.

        Args:
            geid: In any spelling.
            as_of: Only what was known then.

        Raises:
            MisuseError: That is no identifier.
        """
        written = geids.normalise(geid)
        history = self._history()
        try:
            return history.versions(written, _time(as_of))
        finally:
            history.close()

    def snapshot(
        self, datetime: Moment | None = None, as_of: Moment | None = None, bbox: Box | None = None
    ) -> pa.Table:
        """The district at a pair of times, sorted by geid.

        Args:
            datetime: When it was so; None: at the moment of the knowledge.
            as_of: When we knew; None: all that is recorded.
            bbox: West, south, east, north in degrees; None: everywhere.

        Raises:
            MisuseError: Nothing has been recorded.
        """
        history = self._history()
        try:
            moment = pin(history, _time(datetime), _time(as_of))
            window = Window(valid=moment.valid, as_of=moment.as_of, bbox=bbox)
            return placed(history, history.snapshot(window), window)
        finally:
            history.close()

    def export(
        self,
        path: str | Path,
        bbox: Box | None = None,
        classes: Iterable[str] | None = None,
        datetime: Moment | None = None,
        as_of: Moment | None = None,
        crs: str = "",
        force: bool = False,
        where: str = "",
    ) -> ExportResult:
        """Writes entities to a file, like `twin export`; its ending tells the format.

        Args:
            path: The file: .gpkg, .parquet, .city.json, .city.jsonl or .geojsonl.
            bbox: West, south, east, north in degrees.
            classes: Entity classes.
            datetime: As it was then (history).
            as_of: As it was known then (history).
            crs: CRS to write; "" takes the working CRS, or degrees where that is private.
            force: Replace the file.
            where: A filter in CQL2, for example `"height_m > 30"`.

        Raises:
            TwinError: See `pipelines.export.export`.
        """
        chosen = Selection(bbox, None if classes is None else tuple(classes))
        options = ExportOptions(None, chosen, _time(datetime), _time(as_of), crs, force, where)
        return export(self.project, Path(path), options)

    def serve(self, *options: str) -> None:
        """Serves tiles, entities and viewer until it is interrupted, like `twin serve`.

        Args:
            options: As on the command line, for example `"--port", "0"`.

        Raises:
            SystemExit: It could not serve; the exit code is that of the command.
        """
        from pipelines.cli import run

        code = run(["serve", "-C", str(self.project.root), *options])
        if code:
            raise SystemExit(code)

    def _index(self) -> EntityIndex:
        into = horizontal(WGS84, parse_crs(self.project.project.working_crs))

        def to_xy(lon: float, lat: float) -> tuple[float, float]:
            x, y = into(np.array([[lon, lat]]))[0]
            return float(x), float(y)

        return EntityIndex.open(self.release.index, to_xy)

    def _history(self) -> History:
        from pipelines.project_registry import registry_location
        from twin.registry.open import open_history

        return open_history(registry_location(self.project), self.project.project.authority, read_only=True)


def _time(moment: Moment | None) -> Time | None:
    if moment is None:
        return None
    return parse_moment(moment if isinstance(moment, str) else moment.isoformat())
