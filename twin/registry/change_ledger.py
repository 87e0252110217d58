"""What both editions are measured by, and the open book in which their rows are classed one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.registry.change_fit import Outlines
from twin.registry.change_keys import SAME, UNKNOWN, Keys
from twin.registry.change_result import Changes, Surveyed, Verdicts
from twin.registry.change_rules import CHANGES, WHYS, Change, ChangeRules, Why

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Bools = NDArray[np.bool_]

OPEN = -1
CODE = {change: np.int8(code) for code, change in enumerate(CHANGES)}
WHY = {why: np.int8(code) for code, why in enumerate(WHYS)}


@dataclass(frozen=True, slots=True)
class Scene:
    """Both editions, measured once.

    Attributes:
        before, after: The editions.
        one, other: Their outlines.
        keys: Their keys.
        text_before, text_after: (n,) a number for each text of attributes, the same in both.
        rules: Limits.
    """

    before: Surveyed
    after: Surveyed
    one: Outlines
    other: Outlines
    keys: Keys
    text_before: Ints
    text_after: Ints
    rules: ChangeRules

    @classmethod
    def of(cls, before: Surveyed, after: Surveyed, rules: ChangeRules) -> Scene:
        """Measures two editions."""
        text = _numbered(before.attributes, after.attributes)
        return cls(
            before,
            after,
            Outlines.of(before.footprints),
            Outlines.of(after.footprints),
            Keys.of(before.key, after.key),
            text[: len(before)],
            text[len(before) :],
            rules,
        )

    def relation(self, i: Ints, j: Ints) -> Ints:
        """Relation of the keys of pairs; equal keys that are not trusted count as unknown."""
        relation = self.keys.relation(i, j)
        return relation if self.rules.trust_keys else np.where(relation == SAME, UNKNOWN, relation)

    def height_differs(self, i: Ints, j: Ints) -> Bools:
        """Heights or bases of pairs differ by more than the tolerance, or only one is known."""
        limit = self.rules.height_tolerance_m
        return _differs(self.before.height_m[i], self.after.height_m[j], limit) | _differs(
            self.before.base_m[i], self.after.base_m[j], limit
        )

    def height_leaps(self, i: Ints, j: Ints) -> Bools:
        """One is so much higher than the other that it may be another building; False where a height is unknown."""
        one, other = self.before.height_m[i], self.after.height_m[j]
        low, high = np.minimum(one, other), np.maximum(one, other)
        return np.asarray((high - low > 10 * self.rules.height_tolerance_m) & (high > self.rules.height_leap * low))

    def height_unsaid(self, i: Ints, j: Ints) -> Bools:
        """The height of one of both is unknown."""
        return np.isnan(self.before.height_m[i]) | np.isnan(self.after.height_m[j])

    def text_differs(self, i: Ints, j: Ints) -> Bools:
        """Attributes of pairs differ."""
        return np.asarray(self.text_before[i] != self.text_after[j])

    def content_differs(self, i: Ints, j: Ints) -> Bools:
        """Heights, storeys or attributes of pairs differ."""
        storeys = _differs(self.before.storeys[i], self.after.storeys[j], 0.0)
        return self.height_differs(i, j) | storeys | self.text_differs(i, j)


def _numbered(before: pa.StringArray, after: pa.StringArray) -> Ints:
    both = pa.chunked_array([before.cast(pa.string()), after.cast(pa.string())]).combine_chunks()
    indices = both.dictionary_encode().indices.fill_null(-1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _differs(one: Floats, other: Floats, tolerance: float) -> Bools:
    known = np.isnan(one) != np.isnan(other)
    return np.asarray(known | (np.abs(one - other) > tolerance + 1e-9))


@dataclass(frozen=True, slots=True)
class Ledger:
    """Verdicts being made: arrays that are filled in; a row once classed is not classed again."""

    scene: Scene
    before: Verdicts
    after: Verdicts
    steps: list[tuple[Ints, Ints, Codes]]

    @classmethod
    def open(cls, scene: Scene) -> Ledger:
        """Nothing classed yet."""
        return cls(scene, _blank(len(scene.before)), _blank(len(scene.after)), [])

    def open_before(self) -> Bools:
        """(n,) rows before that are not classed."""
        return np.asarray(self.before.change == OPEN)

    def open_after(self) -> Bools:
        """(n,) rows after that are not classed."""
        return np.asarray(self.after.change == OPEN)

    def both_open(self, i: Ints, j: Ints) -> Bools:
        """(p,) pairs of which no row is classed."""
        return self.open_before()[i] & self.open_after()[j]

    def keep(self, i: Ints, j: Ints, change: Codes, why: Why | Codes, score: Floats, doubtful: Bools) -> None:
        """Pairs that are the same entity; `unchanged` becomes `attributes_changed` where the content differs."""
        differs = self.scene.content_differs(i, j)
        still = change == CODE[Change.UNCHANGED]
        change = np.where(still & differs, CODE[Change.ATTRIBUTES_CHANGED], change)
        code = WHY[why] if isinstance(why, Why) else why
        for side, own, other in ((self.before, i, j), (self.after, j, i)):
            _write(side, own, change, other, code, score, doubtful)
            side.attributes_differ[own] = differs

    def succeed(self, i: Ints, j: Ints, change: Change, why: Why | Codes, score: Floats, doubtful: Bools) -> None:
        """Rows `i` that ended and rows `j` after them, pair by pair; a row that stands in several pairs gets as its
        partner the other one of the first of them."""
        code = WHY[why] if isinstance(why, Why) else why
        kind = np.full(len(i), CODE[change])
        for side, own, other in ((self.before, i, j), (self.after, j, i)):
            _write(side, own[::-1], kind, other[::-1], np.broadcast_to(code, len(i))[::-1], score[::-1], doubtful[::-1])
        self.steps.append((i, j, kind))

    def end(self, change: Change, why: Codes, score: Floats, doubtful: Bools) -> None:
        """Everything still open is new, or gone; arrays over all rows of that side."""
        side = self.before if change is Change.GONE else self.after
        rows = np.flatnonzero(side.change == OPEN)
        partner = np.full(len(rows), -1, dtype=np.int64)
        _write(side, rows, np.full(len(rows), CODE[change]), partner, why[rows], score[rows], doubtful[rows])

    def close(self) -> Changes:
        """The finished comparison."""
        columns = [np.concatenate(column) for column in zip(*self.steps, strict=True)] if self.steps else []
        if not columns:
            columns = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8)]
        i, j, kind = columns
        order = np.lexsort([j, i])
        return Changes(self.after, self.before, i[order], j[order], kind[order])


def _blank(count: int) -> Verdicts:
    return Verdicts(
        np.full(count, OPEN, dtype=np.int8),
        np.full(count, -1, dtype=np.int64),
        np.zeros(count),
        np.zeros(count, dtype=bool),
        np.zeros(count, dtype=np.int8),
        np.zeros(count, dtype=bool),
    )


def _write(
    side: Verdicts, rows: Ints, change: Codes, partner: Ints, why: Codes | np.int8, score: Floats, doubt: Bools
) -> None:
    side.change[rows] = change
    side.partner[rows] = partner
    side.why[rows] = why
    side.score[rows] = np.clip(score, 0.0, 1.0)
    side.doubtful[rows] = doubt
