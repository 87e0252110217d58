"""Address text to entities: candidates with a score between 0 and 1 and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.entity.address_text import Address, parse

_LEAST_STREET = 0.5
_LEAST_SCORE = 0.35
_MOST_STREETS = 12
_MOST_ROWS = 2_000
_MOST_COMPARED = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity an address may mean.

    Attributes:
        row: Row of the index.
        score: 1 where everything that was written agrees.
        why: Sentences, the strongest first.
        named: True where its name was meant, False where it was found by its street.
    """

    row: int
    score: float
    why: tuple[str, ...]
    named: bool = False


class AddressBook:
    """Addresses and names of an index, by street and number. Made once for a table, then shared by threads.

    Args:
        address: Column of addresses.
        name: Column of names.
    """

    def __init__(self, address: pa.ChunkedArray, name: pa.ChunkedArray) -> None:
        self._parsed: dict[int, Address] = {}
        self._streets: dict[str, dict[str, list[int]]] = {}
        self._names: dict[str, list[int]] = {}
        rows = np.flatnonzero(pc.is_valid(address).to_numpy(zero_copy_only=False)).tolist()
        for row, one in zip(rows, parse(address.drop_null().to_pylist()), strict=True):
            self._parsed[row] = one
            self._streets.setdefault(one.street, {}).setdefault(one.number, []).append(row)
        rows = np.flatnonzero(pc.is_valid(name).to_numpy(zero_copy_only=False)).tolist()
        for row, one in zip(rows, parse(name.drop_null().to_pylist()), strict=True):
            self._names.setdefault(one.text, []).append(row)
        self._similar_streets = _Similar(tuple(one for one in self._streets if one))
        self._similar_names = _Similar(tuple(one for one in self._names if one))

    def find(self, text: str, limit: int = 10, enough: float | None = None) -> list[Candidate]:
        """Candidates, the best first; none where nothing is like it.

        Args:
            text: As people wrote it.
            limit: How many at most.
            enough: Where a street gives a candidate as good as this, names that are merely like the text are not
                looked for, which is most of the work; None: they always are.
        """
        (wanted,) = parse([text])
        found: dict[int, Candidate] = {}
        by_street = self._by_street(wanted)
        settled = enough is not None and any(one.score >= enough for one in by_street)
        for candidate in [*by_street, *([] if settled else self._by_name(wanted))]:
            best = found.get(candidate.row)
            if candidate.score >= _LEAST_SCORE and (best is None or candidate.score > best.score):
                found[candidate.row] = candidate
        return sorted(found.values(), key=lambda one: (-one.score, one.row))[:limit]

    def _by_street(self, wanted: Address) -> list[Candidate]:
        if not wanted.street:
            return []
        exact = [(wanted.street, 1.0)] if wanted.street in self._streets else []
        streets = exact or self._similar_streets.to(wanted.street)
        rows = [
            (row, street, like) for street, like in streets for row in self._rows(self._streets[street], wanted.number)
        ]
        return [self._judged(row, street, like, wanted) for row, street, like in rows[:_MOST_ROWS]]

    @staticmethod
    def _rows(numbers: Mapping[str, list[int]], number: str) -> list[int]:
        """Rows of a street with a number; all of them where no such number is known or none was written."""
        return numbers.get(number) or [row for rows in numbers.values() for row in rows]

    def _judged(self, row: int, street: str, like: float, wanted: Address) -> Candidate:
        known = self._parsed[row]
        why = ["same street" if like == 1.0 else f"street {street!r} is like {wanted.street!r} ({like:.2f})"]
        score = like
        for what, mine, theirs, missing, other in (
            ("lane", wanted.lane, known.lane, 0.75, 0.3),
            ("number", wanted.number, known.number, 0.7, 0.35),
            ("building", wanted.building, known.building, 0.93, 0.6),
        ):
            if mine and mine == theirs:
                why.append(f"same {what} {mine}")
            elif mine and theirs:
                score *= other
                why.append(f"{what} {theirs}, not {mine}")
            elif mine or theirs:
                score *= missing
                why.append(f"{what} {theirs} was not asked for" if theirs else f"{what} {mine} is not known here")
        return Candidate(row, round(score, 3), tuple(why))

    def _by_name(self, wanted: Address) -> list[Candidate]:
        if len(wanted.text) < 2:
            return []
        if wanted.text in self._names:
            return [Candidate(row, 1.0, ("same name",), True) for row in self._names[wanted.text][:_MOST_ROWS]]
        return [
            Candidate(row, round(0.95 * like, 3), (f"the name is like it ({like:.2f})",), True)
            for name, like in self._similar_names.to(wanted.text)
            for row in self._names[name][:_MOST_ROWS]
        ]


class _Similar:
    """Texts by the pairs of letters they hold."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts = texts
        self._sizes = np.zeros(len(texts), dtype=np.int64)
        holders: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            pairs = _pairs(text)
            self._sizes[number] = len(pairs)
            for pair in pairs:
                holders.setdefault(pair, []).append(number)
        self._holders = {pair: np.array(numbers, dtype=np.int64) for pair, numbers in holders.items()}
        self.to = lru_cache(maxsize=4096)(self._to)

    def _to(self, text: str) -> tuple[tuple[str, float], ...]:
        """(text, likeness) of the most similar texts, 1 only for an equal one; an end of another is very like it."""
        pairs = _pairs(text)
        held = [self._holders[pair] for pair in pairs if pair in self._holders]
        if not held:
            return ()
        shared = np.bincount(np.concatenate(held), minlength=len(self._texts))
        likeness = 2 * shared / (len(pairs) + self._sizes)
        scored: dict[int, float] = {int(at): float(likeness[at]) for at in np.flatnonzero(likeness >= _LEAST_STREET)}
        for at in _largest(shared, _MOST_COMPARED):
            other = self._texts[at]
            if min(len(other), len(text)) >= 3 and (text.endswith(other) or other.endswith(text)):
                scored[at] = max(scored.get(at, 0.0), 0.95)
        named = ((self._texts[at], like) for at, like in scored.items())
        told = ((other, min(like, 0.99) if other != text else 1.0) for other, like in named)
        return tuple(sorted(told, key=lambda one: (-one[1], one[0]))[:_MOST_STREETS])


def _largest(shared: np.ndarray, most: int) -> list[int]:
    """Numbers of the largest counts above zero, the same every time."""
    there = np.flatnonzero(shared)
    order = there[np.argsort(-shared[there], kind="stable")]
    return [int(at) for at in order[:most]]


def _pairs(text: str) -> frozenset[str]:
    framed = f" {text} "
    return frozenset(framed[at : at + 2] for at in range(len(framed) - 1))
