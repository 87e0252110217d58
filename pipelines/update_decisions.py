"""Doubtful changes written out for a person to decide, and what was decided read back."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio

from pipelines.update_match import Comparison, Side
from pipelines.update_plan import UpdatePlan
from pipelines.update_survey import NewEdition
from twin.entity import geid as names
from twin.errors import MisuseError
from twin.registry.change_rules import Change
from twin.registry.versions import Relation

CSV, GPKG = "doubtful.csv", "doubtful.gpkg"
COLUMNS = ("row", "plan", "layer", "source", "key", "geid", "proposed", "before", "score", "why", "decision", "note")
"""`row` and `plan` name what is decided; `decision` is what a person fills in, `note` is theirs."""
WORDS = ("accept", "same", "new", "gone")
_DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person decided of one row.

    Attributes:
        row: As `doubtful.csv` names it: `after:` or `before:` and an identifier.
        decision: One of `WORDS`, or an identifier.
    """

    row: str
    decision: str


def doubtful_rows(plan: UpdatePlan) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    """Every doubtful row, with its footprint: those of the new edition, then what may be gone."""
    after, before = plan.comparison.after, plan.comparison.before
    partners = _partners(plan.comparison)
    old = plan.before.column("geid").to_pylist()
    for row in np.flatnonzero(after.doubtful).tolist():
        one = plan.edition.versions.slice(row, 1).to_pylist()[0]
        yield _row(
            plan, f"after:{one['geid']}", one, str(plan.geids[row]), (after, row), [old[at] for at in partners[row]]
        )
    for row in np.flatnonzero(before.doubtful & before.is_(Change.GONE)).tolist():
        one = plan.before.slice(row, 1).to_pylist()[0]
        yield _row(plan, f"before:{one['geid']}", one, one["geid"], (before, row), [one["geid"]])


def _partners(comparison: Comparison) -> dict[int, list[int]]:
    partner = comparison.after.partner
    doubtful = np.flatnonzero(comparison.after.doubtful).tolist()
    found = {row: [int(partner[row])] if partner[row] >= 0 else [] for row in doubtful}
    for before, _, after in comparison.steps:
        if after in found and before not in found[after]:
            found[after].append(before)
    return found


def _row(
    plan: UpdatePlan, row: str, one: dict[str, Any], geid: str, told: tuple[Side, int], before: Sequence[str]
) -> tuple[dict[str, Any], bytes | None]:
    side, at = told
    values = {
        "row": row,
        "plan": plan.digest,
        "layer": one["layer"],
        "source": one["source"],
        "key": one["source_key"] or "",
        "geid": geid,
        "proposed": str(side.change[at]),
        "before": " ".join(before),
        "score": round(float(side.score[at]), 3),
        "why": str(side.why[at]),
        "decision": "",
        "note": "",
    }
    return values, one["geometry"]


def write_doubtful(plan: UpdatePlan, folder: Path, crs: str) -> tuple[Path, Path]:
    """Writes `doubtful.csv` and `doubtful.gpkg`; the column `decision` is empty.

    Args:
        plan: What would be done.
        folder: Where to.
        crs: Definition of the working CRS.
    """
    rows = list(doubtful_rows(plan))
    with (folder / CSV).open("w", encoding="utf-8-sig", newline="") as file:  # spreadsheets know UTF-8 by the mark
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(values for values, _ in rows)
    columns: dict[str, Any] = {name: pa.array([values[name] for values, _ in rows]) for name in COLUMNS}
    columns = {name: one.cast(pa.float64() if name == "score" else pa.string()) for name, one in columns.items()}
    table = pa.table({**columns, "geometry": pa.array([wkb for _, wkb in rows], pa.binary())})
    (folder / GPKG).unlink(missing_ok=True)
    pyogrio.write_arrow(
        table,
        folder / GPKG,
        layer="doubtful",
        driver="GPKG",
        crs=crs,
        geometry_type="Unknown",
        geometry_name="geometry",
    )
    return folder / CSV, folder / GPKG


def read_decisions(path: Path, digest: str) -> tuple[Choice, ...]:
    """Reads decisions back; rows whose `decision` is empty are undecided.

    Raises:
        MisuseError: The file cannot be read, is of another plan, or says what cannot be meant.
    """
    rows = _csv(path) if path.suffix.lower() == ".csv" else _gpkg(path)
    choices = []
    for row in rows:
        if row.get("plan") != digest:
            raise MisuseError(
                f"the decisions are about the plan {row.get('plan') or 'of no number'}, but that of today is {digest}: "
                "the sources, the limits or the history have changed since",
                file=path,
                feature=row.get("row"),
                next_step="run `twin update --plan` again and decide on what it writes",
            )
        word = (row.get("decision") or "").strip()
        if word:
            choices.append(Choice(str(row.get("row")), _meant(word, path, str(row.get("row")))))
    return tuple(choices)


def _meant(word: str, path: Path, row: str) -> str:
    if word.lower() in WORDS:
        return word.lower()
    if names.check(word):
        return names.normalise(word)
    raise MisuseError(
        f"the decision {word!r} means nothing", file=path, feature=row, next_step=f"write {', '.join(WORDS)} or a geid"
    )


def _csv(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise MisuseError(f"cannot be read: {error.strerror}", file=path, next_step="name the file") from error
    for encoding in ("utf-8-sig", "gb18030"):  # a spreadsheet may have saved it in the code page of the machine
        try:
            lines = text.decode(encoding).splitlines()
            break
        except UnicodeDecodeError:
            continue
    else:
        raise MisuseError("the text is neither UTF-8 nor GB 18030", file=path, next_step="save it as UTF-8")
    mark = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    rows = list(csv.DictReader(lines, delimiter=mark))
    return _with_columns(rows, list(rows[0]) if rows else list(COLUMNS), path)


def _gpkg(path: Path) -> list[dict[str, Any]]:
    try:
        meta, table = pyogrio.read_arrow(path, read_geometry=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise MisuseError(f"cannot be read: {error}", file=path, next_step="give doubtful.csv or .gpkg") from error
    del meta
    return _with_columns(table.to_pylist(), table.column_names, path)


def _with_columns(rows: list[dict[str, Any]], there: Sequence[str], path: Path) -> list[dict[str, Any]]:
    lacking = [name for name in ("row", "plan", "decision") if name not in there]
    if lacking:
        raise MisuseError(f"there is no column {lacking[0]!r}", file=path, next_step="keep the columns as written")
    return rows


def decided(
    comparison: Comparison, before: pa.Table, edition: NewEdition, choices: Sequence[Choice]
) -> tuple[Comparison, int]:
    """A comparison as a person has decided it.

    Returns:
        The comparison, in which what was decided is doubtful no more, and how many rows that were.

    Raises:
        MisuseError: A row is not there, an identifier is not among those believed, or is claimed twice.
    """
    draft = _Draft(comparison, before, edition)
    for choice in choices:
        draft.apply(choice)
    return draft.close(), len(choices)


class _Draft:
    """A comparison while decisions are put into it."""

    def __init__(self, comparison: Comparison, before: pa.Table, edition: NewEdition) -> None:
        self._before, self._after = _copied(comparison.before), _copied(comparison.after)
        self._steps = set(comparison.steps)
        self._old = {name: row for row, name in enumerate(before.column("geid").to_pylist())}
        self._new = {name: row for row, name in enumerate(edition.versions.column("geid").to_pylist())}

    def apply(self, choice: Choice) -> None:
        """Puts one decision in."""
        side, _, name = choice.row.partition(":")
        rows = {"after": self._new, "before": self._old}.get(side, {})
        if name not in rows:
            raise MisuseError(
                f"there is no row {choice.row!r} in this plan",
                feature=choice.row,
                next_step="keep the column as written",
            )
        row = rows[name]
        if choice.decision == "accept":
            (self._after if side == "after" else self._before).doubtful[row] = False
        elif side == "before":
            self._decide_before(row, choice)
        else:
            self._decide_after(row, choice)

    def _decide_before(self, row: int, choice: Choice) -> None:
        if choice.decision != "gone":
            raise MisuseError(
                f"{choice.decision!r} cannot be said of something that may be gone",
                feature=choice.row,
                next_step="write accept or gone, or write its identifier at the row of the feature it has become",
            )
        self._before.doubtful[row] = False

    def _decide_after(self, row: int, choice: Choice) -> None:
        if choice.decision in ("new", "gone"):
            self._loosen(row)
            return
        target = int(self._after.partner[row]) if choice.decision == "same" else self._old.get(choice.decision, -1)
        if target < 0:
            raise MisuseError(
                f"{choice.decision!r} names nothing that is believed to stand",
                feature=choice.row,
                next_step="write an identifier of the column `before`, or `new`",
            )
        self._keep(row, target, choice)

    def _loosen(self, row: int) -> None:
        """The feature is a new thing; what it was taken for is gone, unless something else comes of it."""
        old = int(self._after.partner[row]) if self._after.kept[row] else -1
        ended = {step[0] for step in self._steps if step[2] == row} | ({old} if old >= 0 else set())
        self._steps = {step for step in self._steps if step[2] != row}
        self._set(self._after, row, Change.NEW, -1, False)
        for one in ended:
            if self._kept_by(one) < 0 and not any(step[0] == one for step in self._steps):
                self._set(self._before, one, Change.GONE, -1, False)

    def _keep(self, row: int, target: int, choice: Choice) -> None:
        """The feature is this entity."""
        holder = self._kept_by(target)
        if holder >= 0 and holder != row and not self._after.doubtful[holder]:
            raise MisuseError(
                f"the entity of {choice.decision!r} goes on in another feature already",
                feature=choice.row,
                next_step="decide on that feature first, or write `new`",
            )
        if holder >= 0 and holder != row:
            self._loosen(holder)
        same = self._after.kept[row] and self._after.partner[row] == target
        change = str(self._after.change[row]) if same else Change.RESHAPED.value
        if not same:
            self._loosen(row)
        pieces = {step for step in self._steps if step[0] == target}
        self._steps -= pieces
        for _, _, piece in pieces:
            if not any(step[2] == piece for step in self._steps):
                self._set(self._after, piece, Change.NEW, -1, bool(self._after.doubtful[piece]))
        self._set(self._after, row, Change(change), target, True)
        self._set(self._before, target, Change(change), row, True)

    def _kept_by(self, target: int) -> int:
        holder = int(self._before.partner[target]) if self._before.kept[target] else -1
        return holder if holder >= 0 and self._after.kept[holder] and self._after.partner[holder] == target else -1

    @staticmethod
    def _set(side: Side, row: int, change: Change, partner: int, kept: bool) -> None:
        side.change[row], side.partner[row], side.kept[row] = change.value, partner, kept
        side.why[row], side.score[row], side.doubtful[row] = _DECIDED, 1.0, False

    def close(self) -> Comparison:
        """The comparison as it is now."""
        order = sorted(self._steps, key=lambda step: (step[0], Relation(step[1]).value, step[2]))
        return Comparison(self._before, self._after, tuple(order))


def _copied(side: Side) -> Side:
    arrays = {name: getattr(side, name).copy() for name in Side.__dataclass_fields__}
    return replace(side, **arrays)
