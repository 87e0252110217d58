"""A built district with a recorded history: an adopted release, surveys with lineage, a mistake that is taken back."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipelines.adopt import adopt
from pipelines.project import load_project
from server.app import Application
from server.settings import Settings
from tests.pipelines.district import district
from twin.entity import geid
from twin.registry.open import open_history
from twin.registry.versions import VERSION_FIELDS, Edition, EditionKind, History, Relation, Time, Window

AUTHORITY = "310105"
NAMES = [field.name for field in VERSION_FIELDS]
#: A part of the house that was split; it was soon merged into another house.
SHED = geid.mint(AUTHORITY, ["houses/shed"])[0]


def day(text: str) -> Time:
    """The beginning of a day, UTC."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@dataclass
class Recorded:
    """A project folder whose history grows.

    Attributes:
        root: The folder.
        geids: Geid by source key.
    """

    root: Path
    geids: dict[Any, str]

    def history(self) -> History:
        """The open history."""
        return open_history(self.root / "registry.sqlite", AUTHORITY)

    def state(self, history: History, name: str, **changes: Any) -> dict[str, Any]:
        """The latest version of an entity with changed fields, to be asserted anew; `attributes` are merged."""
        (row,) = history.snapshot(Window(geids=(name,))).to_pylist()
        attributes = {**orjson.loads(row["attributes"]), **changes.pop("attributes", {})}
        kept = {key: row[key] for key in NAMES if key not in ("valid_from", "valid_to")}
        return {**kept, "attributes": orjson.dumps(attributes).decode(), **changes}

    def adopt(self) -> Edition:
        """Edition 1: the release, so since the new year."""
        history = self.history()
        try:
            edition = adopt(load_project(self.root), history, day("2026-01-01"))
        finally:
            history.close()
        assert edition is not None
        return edition

    def survey(self) -> Edition:
        """Edition 2, from March on: house 1 is raised, house 2 is split into a shed and house 3."""
        history = self.history()
        try:
            with history.write(EditionKind.UPDATE, "spring survey", day("2026-03-01")) as pen:
                raised = self.state(history, self.geids["H00001"], height_m=99.0, attributes={"use": "hotel"})
                shed = self.state(history, self.geids["H00002"], geid=SHED, source_key="shed", height_m=3.0)
                gone = self.state(history, self.geids["H00002"], present=False)
                pen.assert_versions(_table([raised, shed, gone]))
                split = [SHED, self.geids["H00003"]]
                pen.lineage([(self.geids["H00002"], Relation.SPLIT_INTO, other) for other in split])
            return pen.edition
        finally:
            history.close()

    def merge(self) -> Edition:
        """Edition 3, from April on: the shed has become part of house 4."""
        history = self.history()
        try:
            with history.write(EditionKind.UPDATE, "summer survey", day("2026-04-01")) as pen:
                pen.assert_versions(_table([self.state(history, SHED, present=False)]))
                pen.lineage([(SHED, Relation.MERGED_INTO, self.geids["H00004"])])
            return pen.edition
        finally:
            history.close()

    def mistake(self) -> Edition:
        """Edition 4, from May on: house 5 is said to be 500 m high."""
        history = self.history()
        try:
            with history.write(EditionKind.UPDATE, "mixed up", day("2026-05-01")) as pen:
                pen.assert_versions(_table([self.state(history, self.geids["H00005"], height_m=500.0)]))
            return pen.edition
        finally:
            history.close()

    def undo(self, number: int) -> Edition:
        """Takes an edition back."""
        history = self.history()
        try:
            return history.undo(number)
        finally:
            history.close()

    def app(self) -> Application:
        """A server over the folder."""
        return Application(Settings(self.root))


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(VERSION_FIELDS)).drop_columns(["valid_from", "valid_to"])


def begin(root: Path) -> Recorded:
    """A built district of twelve houses, nothing recorded yet."""
    made = district(root, 12)
    made.build()
    return Recorded(root, made.geids())


def stamp(time: Time) -> str:
    """A moment as a query takes it."""
    return time.isoformat().replace("+00:00", "Z")
