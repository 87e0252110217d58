"""What an update would do: every change with its grounds, its counts, and the digest that names exactly this plan."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.update_match import Comparison
from pipelines.update_survey import NewEdition
from twin.entity.areas import is_area
from twin.registry.change_rules import CHANGES, Change, ChangeRules
from twin.registry.versions import Edition

FORMAT = 1
PLAN = "plan.json"
ORDER = tuple(change.value for change in CHANGES)


@dataclass(frozen=True, slots=True)
class Item:
    """One change: what was, what is.

    Attributes:
        number: In the order of the plan, from 1.
        change: Value of `Change`.
        before: Rows of the entities it concerns among those believed so far.
        after: Rows of the new edition.
        score: 0 to 1, the least of its rows.
        doubtful: A person should decide.
        why: Value of `twin.registry.change_rules.Why`.
    """

    number: int
    change: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    score: float
    doubtful: bool
    why: str


@dataclass(frozen=True)
class UpdatePlan:
    """An update before it is applied.

    Attributes:
        title: Name of the district.
        name: Of the edition.
        valid_from: From when on it is so.
        since: The edition it is compared with; None before the first.
        before: What is believed (`VERSION_FIELDS`), sorted by geid.
        edition: What the survey says now.
        comparison: Row for row.
        geids: (n,) identifier of every entity of the new edition.
        digest: 16 hex digits over both editions and the limits; decisions name it.
        decided: How many doubtful rows a person has decided.
    """

    title: str
    name: str
    valid_from: datetime.datetime
    since: Edition | None
    before: pa.Table
    edition: NewEdition
    comparison: Comparison
    geids: NDArray[np.object_]
    digest: str
    decided: int = 0

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every change, by class, then by place in the edition; what is unchanged without doubt is none."""
        return tuple(_items(self.comparison))

    @cached_property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """Every change as plain values: what `plan.json` lists and the page shows."""
        return tuple(item_rows(self))

    @property
    def counts(self) -> dict[str, int]:
        """Entities by class: those of the new edition, and those of the one before that did not go on into it.

        What went up in a thing that was there before is counted, too, since that one goes on as itself.
        """
        return _counted(self.comparison.after.change, self.comparison.before.change[self._left_nothing_new])

    @property
    def area_counts(self) -> dict[str, int]:
        """The same of the areas among them."""
        after, before = (np.asarray(is_area(one).to_numpy()) for one in (self.edition.versions, self.before))
        return _counted(
            self.comparison.after.change[after], self.comparison.before.change[before & self._left_nothing_new]
        )

    @cached_property
    def _left_nothing_new(self) -> NDArray[np.bool_]:
        """(n,) True where what is believed ended, and nothing that is new in this edition has come of it."""
        left = ~self.comparison.before.kept
        kept = self.comparison.after.kept
        left[[before for before, _, after in self.comparison.steps if not kept[after]]] = False
        return np.asarray(left)

    @property
    def doubtful(self) -> int:
        """Rows nobody has decided yet, of both editions."""
        alone = self.comparison.before.doubtful & self.comparison.before.is_(Change.GONE)
        return int(self.comparison.after.doubtful.sum() + alone.sum())

    @cached_property
    def asserted(self) -> NDArray[np.int64]:
        """Rows of the new edition that say something new of an entity."""
        side = self.comparison.after
        still = np.asarray((side.change == Change.UNCHANGED.value) & side.kept & ~side.differs, dtype=np.bool_)
        row = np.flatnonzero(still)
        partner = side.partner[row]
        for column, mine in (("source_key", None), ("parent", self.parents)):
            now = self.edition.versions.column(column).to_numpy() if mine is None else mine
            was = self.before.column(column).to_numpy()
            still[row] &= np.array(now[row] == was[partner], dtype=np.bool_)
        return np.flatnonzero(~still)

    @cached_property
    def parents(self) -> NDArray[np.object_]:
        """(n,) identifier of what each entity of the new edition is a part of, or None."""
        column = self.edition.versions.column("parent")
        if column.null_count == len(column):
            return np.full(len(column), None, dtype=object)
        own = dict(zip(self.edition.versions.column("geid").to_pylist(), self.geids.tolist(), strict=True))
        parent = column.to_pylist()
        return np.array([None if one is None else own.get(one, one) for one in parent] or [], dtype=object)

    @property
    def ended(self) -> NDArray[np.int64]:
        """Rows of what is believed that did not go on."""
        return np.flatnonzero(~self.comparison.before.kept)

    @property
    def empty(self) -> bool:
        """True where the edition says nothing new."""
        return not len(self.asserted) and not len(self.ended)


def _counted(after: NDArray[np.object_], ended: NDArray[np.object_]) -> dict[str, int]:
    found = Counter(after.tolist()) + Counter(ended.tolist())
    return {name: found[name] for name in ORDER}


def plan_digest(key: str, since: Edition | None, before: pa.Table, rules: ChangeRules) -> str:
    """Names a plan by what it rests on: the input, what is believed, and the limits."""
    believed = f"{since.number} {since.recorded_at.isoformat()}" if since else f"release of {before.num_rows}"
    text = f"plan {FORMAT}\n{key}\n{believed}\n{rules!r}"
    return sha256(text.encode()).hexdigest()[:16]


def _items(comparison: Comparison) -> Iterator[Item]:
    found = [*_alone(comparison), *_groups(comparison)]
    found.sort(key=lambda row: (ORDER.index(row[0]), row[2] or row[1]))
    for number, (change, before, after) in enumerate(found, 1):
        sides = [(comparison.before, row) for row in before] + [(comparison.after, row) for row in after]
        score = min(float(side.score[row]) for side, row in sides)
        doubtful = any(bool(side.doubtful[row]) for side, row in sides)
        side, row = next(((s, r) for s, r in reversed(sides) if s.doubtful[r]), sides[-1])
        yield Item(number, change, before, after, score, doubtful, str(side.why[row]))


_Rows = tuple[int, ...]


def _alone(comparison: Comparison) -> Iterator[tuple[str, _Rows, _Rows]]:
    """Entities that go on changed, are new, or gone; and what is unchanged with a doubt."""
    side, steps = comparison.after, comparison.steps
    grouped = {step[2] for step in steps}
    told = ~side.is_(Change.UNCHANGED) | side.doubtful | side.differs
    for row in np.flatnonzero(told).tolist():
        if row not in grouped:
            yield str(side.change[row]), (int(side.partner[row]),) if side.kept[row] else (), (row,)
    ended = {step[0] for step in steps}
    for row in np.flatnonzero(~comparison.before.kept).tolist():
        if row not in ended:
            yield str(comparison.before.change[row]), (row,), ()


def _groups(comparison: Comparison) -> Iterator[tuple[str, _Rows, _Rows]]:
    """Splits, mergers and replacements: what hangs together by steps."""
    leader: dict[tuple[int, int], tuple[int, int]] = {}

    def find(one: tuple[int, int]) -> tuple[int, int]:
        while leader.setdefault(one, one) != one:
            leader[one] = leader[leader[one]]
            one = leader[one]
        return one

    for before, _, after in comparison.steps:
        leader[find((1, after))] = find((0, before))
    members: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for one in leader:
        members[find(one)].append(one)
    for group in members.values():
        new = tuple(sorted(row for side, row in group if side == 1))
        absorbing = {int(comparison.after.partner[row]) for row in new if comparison.after.kept[row]}
        old = tuple(sorted({row for side, row in group if side == 0} | absorbing))
        classes = Counter(str(comparison.after.change[row]) for row in new if not comparison.after.kept[row])
        classes.update(str(comparison.before.change[row]) for row in old if not comparison.before.kept[row])
        yield max(sorted(classes), key=classes.__getitem__), old, new


def to_json(plan: UpdatePlan) -> dict[str, Any]:
    """The plan for scripts."""
    return {
        "format": FORMAT,
        "plan": plan.digest,
        "project": plan.title,
        "edition": plan.name,
        "valid_from": plan.valid_from.isoformat().replace("+00:00", "Z"),
        "compared_with": None if plan.since is None else {"edition": plan.since.number, "name": plan.since.name},
        "entities": {"before": plan.before.num_rows, "after": plan.edition.versions.num_rows},
        "counts": plan.counts,
        "areas": plan.area_counts,
        "asserted": len(plan.asserted) + len(plan.ended),
        "doubtful": plan.doubtful,
        "decided": plan.decided,
        "changes": list(plan.rows),
    }


def item_rows(plan: UpdatePlan) -> Iterator[dict[str, Any]]:
    """Every change as plain values."""
    old = plan.before.select(["geid", "layer", "source", "source_key", "name"])
    new = plan.edition.versions.select(["layer", "source", "source_key", "name"])
    was = dict(_picked(old, [row for item in plan.items for row in item.before]))
    now = dict(_picked(new, [row for item in plan.items for row in item.after]))
    for item in plan.items:
        first = now[item.after[0]] if item.after else was[item.before[0]]
        yield {
            "item": item.number,
            "change": item.change,
            "layer": first["layer"],
            "source": first["source"],
            "name": first["name"],
            "name_before": was[item.before[0]]["name"] if len(item.before) == 1 else None,
            "before": [{"geid": was[row]["geid"], "key": was[row]["source_key"]} for row in item.before],
            "after": [{"geid": str(plan.geids[row]), "key": now[row]["source_key"]} for row in item.after],
            "score": round(item.score, 3),
            "doubtful": item.doubtful,
            "why": item.why,
        }


def _picked(table: pa.Table, rows: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    return zip(rows, table.take(pa.array(rows, pa.int64())).to_pylist(), strict=True)


def plan_text(plan: UpdatePlan) -> str:
    """`plan.json`."""
    return json_text(to_json(plan)) + "\n"


def json_text(document: dict[str, Any]) -> str:
    """What `json.dumps(document, ensure_ascii=False, indent=1)` gives, several times faster."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    except TypeError:  # a path may hold what is no text; orjson is strict there
        return json.dumps(document, ensure_ascii=False, indent=1)
    return _INDENT.sub(lambda found: b" " * (len(found[0]) // 2), text).decode()


_INDENT = re.compile(rb"^ +", re.MULTILINE)  # strings hold no line breaks: JSON writes them as \n
