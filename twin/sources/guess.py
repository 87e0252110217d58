"""Which field of a source means what: a guess with its reason, from names and values alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.sources.keys import key_text
from twin.sources.text import is_text
from twin.sources.vocabulary import NAMES, NOISE

#: Values that stand for "unknown" in measured fields.
PLACEHOLDERS: Final = (9999.0, -9999.0, 999.0, -999.0, 99999.0, -99999.0, -1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Guess:
    """A field with the meaning it seems to have.

    Attributes:
        field: Its name in the source.
        why: One sentence with the grounds, and what speaks against it.
        confidence: 0 to 1; below 0.5 the user should be asked.
        unit: For heights and elevations: "m", "cm", "dm" or "ft".
    """

    field: str
    why: str
    confidence: float
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """What the values of one field look like.

    Attributes:
        name, type: As in the source.
        null_share: Part that is null or blank text.
        distinct_share: Distinct values by values that are not null; 1 where each occurs once.
        distinct: Number of distinct values.
        minimum, maximum: Of numbers, dates and text; None where there is no value.
        examples: Up to five values.
        placeholders: Value such as 9999, -1 or 0 to how often it occurs (numbers only).
    """

    name: str
    type: str
    null_share: float
    distinct_share: float
    distinct: int
    minimum: Any
    maximum: Any
    examples: tuple[Any, ...]
    placeholders: Mapping[float, int]

    @property
    def constant(self) -> bool:
        """True where there is one value at most."""
        return self.distinct <= 1


def fold(name: str) -> str:
    """A field name without case and punctuation, for comparing."""
    return re.sub(r"[\W_]+", "", name.lower())


def summarise(table: pa.Table) -> tuple[FieldSummary, ...]:
    """Describes each column of a table."""
    return tuple(_summary(name, table.column(name)) for name in table.column_names)


def _summary(name: str, column: pa.ChunkedArray) -> FieldSummary:
    held = _blank_as_null(column).drop_null()
    distinct = pc.unique(held) if len(held) else held
    ordered = not pa.types.is_nested(held.type) and not pa.types.is_null(held.type)
    bounds = pc.min_max(held).as_py() if len(held) and ordered else {"min": None, "max": None}
    values = numbers(column)
    marks = {mark: int((values == mark).sum()) for mark in PLACEHOLDERS} if values is not None else {}
    return FieldSummary(
        name=name,
        type=str(column.type),
        null_share=1 - len(held) / len(column) if len(column) else 1.0,
        distinct_share=len(distinct) / len(held) if len(held) else 0.0,
        distinct=len(distinct),
        minimum=bounds["min"],
        maximum=bounds["max"],
        examples=tuple(distinct[:5].to_pylist()),
        placeholders={mark: count for mark, count in marks.items() if count},
    )


def _blank_as_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not is_text(column.type):
        return column
    blank = pc.equal(pc.utf8_trim_whitespace(column), "")
    return pc.if_else(blank, pa.scalar(None, column.type), column)


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Values of a numeric column, or of a text column that holds numbers almost throughout.

    Returns:
        (n,) values, NaN for null; None where the column is no measurement.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    if not is_text(kind):
        return None
    text = pc.utf8_trim_whitespace(_blank_as_null(column))
    plain = pc.match_substring_regex(text, r"^[+-]?\d+([.,]\d+)?$")
    share = pc.mean(plain.cast(pa.float64())).as_py()
    if share is None or share < 0.9:
        return None
    held = pc.if_else(plain, pc.replace_substring(text, ",", "."), pa.scalar(None, pa.string()))
    return np.asarray(held.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def guess_fields(
    table: pa.Table, summaries: Sequence[FieldSummary], skip: Iterable[str] = ()
) -> dict[str, list[Guess]]:
    """Guesses the meaning of the fields.

    Args:
        table: A sample of the attributes.
        summaries: What `summarise` says of it.
        skip: Fields to leave out (row ids that the file format makes up).

    Returns:
        Role (a key of `vocabulary.NAMES`) to its candidates, best first; a role without one is absent. A field is
        offered for one role at most.
    """
    left_out = set(skip)
    found: dict[str, list[Guess]] = {}
    for summary in summaries:
        if summary.name in left_out or summary.distinct == 0:
            continue
        column = table.column(summary.name)
        for role in NAMES:
            guess = _judge(role, summary, column)
            if guess is not None:
                found.setdefault(role, []).append(guess)
    for guesses in found.values():
        guesses.sort(key=lambda guess: -guess.confidence)
    return _each_field_once(found)


def _each_field_once(found: dict[str, list[Guess]]) -> dict[str, list[Guess]]:
    best: dict[str, tuple[float, str]] = {}
    for role, guesses in found.items():
        for guess in guesses:
            best[guess.field] = max(best.get(guess.field, (0.0, "")), (guess.confidence, role))
    kept = {role: [guess for guess in guesses if best[guess.field][1] == role] for role, guesses in found.items()}
    return {role: guesses for role, guesses in kept.items() if guesses}


def _judge(role: str, summary: FieldSummary, column: pa.ChunkedArray) -> Guess | None:
    hint = NAMES[role].get(fold(summary.name), 0.0)
    if role == "id":
        return _judge_id(summary, column, hint)
    if role == "kind":
        return _judge_kind(summary, column, hint)
    return _judge_named(role, summary, column, hint) if hint else None


def _judge_named(role: str, summary: FieldSummary, column: pa.ChunkedArray, hint: float) -> Guess | None:
    if role in ("height", "min_height", "ground", "roof"):
        return _judge_measure(role, summary, column, hint)
    if role == "storeys":
        return _judge_storeys(summary, column, hint)
    if role == "part_of":
        return Guess(summary.name, "the name says so", hint)
    return _judge_text(role, summary, column, hint)


def _judge_id(summary: FieldSummary, column: pa.ChunkedArray, hint: float) -> Guess | None:
    if summary.constant or fold(summary.name) in NOISE or _has_other_role(summary.name):
        return None
    if not (pa.types.is_integer(column.type) or is_text(column.type) or _whole(column)):
        return None
    unique = summary.distinct_share
    if hint == 0.0:
        if unique < 1 or summary.null_share > 0 or summary.distinct < 10 or not _code_like(column):
            return None
        return Guess(summary.name, "every value occurs once and it looks like a code", 0.45)
    if unique < 0.5:
        return None
    share = "every value occurs once" if unique == 1 else f"{unique:.1%} of the values are distinct"
    remarks = [f"the name is usual for ids and {share}"]
    if summary.null_share:
        remarks.append(f"{summary.null_share:.1%} are empty")
    if fold(summary.name) in ("objectid", "objectid1", "fid", "ogcfid", "gid"):
        remarks.append("GIS software renumbers it on export: prefer a code of your own if there is one")
    confidence = hint * (1.0 if unique == 1 else 0.8 * unique) * (1 - summary.null_share)
    return Guess(summary.name, "; ".join(remarks), round(confidence, 3))


def _has_other_role(name: str) -> bool:
    return any(fold(name) in names for role, names in NAMES.items() if role != "id")


def _whole(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(column.type):
        return False
    values = np.asarray(column.drop_null().to_numpy(), dtype=np.float64)
    return bool(len(values)) and bool((values == np.floor(values)).all())


def _code_like(column: pa.ChunkedArray) -> bool:
    if not is_text(column.type):
        return not pa.types.is_floating(column.type)
    text = column.drop_null()
    codes = pc.match_substring_regex(text, r"^[A-Za-z0-9_.:{}/-]*\d[A-Za-z0-9_.:{}/-]*$")
    dates = pc.match_substring_regex(text, r"^\d{4}-\d\d-\d\d")
    return bool(pc.all(codes).as_py()) and not pc.any(dates).as_py()


def _judge_kind(summary: FieldSummary, column: pa.ChunkedArray, hint: float) -> Guess | None:
    if not is_text(column.type) or summary.distinct > 1000:
        return None
    values = {fold(str(value)) for value in pc.unique(column.drop_null()).to_pylist()}
    if "buildingpart" in values:
        parts = int(pc.sum(pc.equal(column, "building_part")).as_py() or 0)
        return Guess(summary.name, f"it tells building parts from buildings ({parts} parts seen)", 1.0)
    if hint and "building" in values:
        return Guess(summary.name, "the name says so; no building part seen", round(0.5 * hint, 3))
    return None


def _judge_measure(role: str, summary: FieldSummary, column: pa.ChunkedArray, hint: float) -> Guess | None:
    values = numbers(column)
    if values is None:
        return None
    held = values[np.isfinite(values)]
    real = held[~np.isin(held, PLACEHOLDERS)]
    if len(real) == 0:
        return Guess(summary.name, "the name fits, but there is nothing but placeholders in it", 0.05)
    unit, factor = _unit(role, summary.name, real)
    metres = real * factor
    low, high = (-500, 9000) if role in ("ground", "roof") else (0, 1000)
    plausible = float(((metres >= low) & (metres <= high)).mean())
    confidence = hint * plausible
    remarks = [f"the name fits; {np.min(real):g} to {np.max(real):g}, median {np.median(real):g}"]
    if unit != "m":
        remarks.append(f"taken as {unit}, because metres would not be buildings")
    if role == "height" and not 2 <= float(np.median(metres)) <= 300:
        confidence *= 0.4
        remarks.append("that is not how high buildings are")
    if summary.constant:
        confidence *= 0.2
        remarks.append("it is the same for all, so it was hardly measured")
    if len(held) > len(real) and role != "min_height":
        marks = ", ".join(f"{mark:g} ({count})" for mark, count in summary.placeholders.items())
        remarks.append(f"placeholders to leave out: {marks}")
    if summary.null_share:
        remarks.append(f"{summary.null_share:.1%} are empty")
    return Guess(summary.name, "; ".join(remarks), round(confidence, 3), unit)


def _unit(role: str, name: str, values: NDArray[np.float64]) -> tuple[str, float]:
    if re.search(r"(_ft|feet|\(ft\)|_foot)$", name.lower()):
        return "ft", 0.3048
    median = float(np.median(values))
    if role == "height" and median > 300:
        return ("cm", 0.01) if median <= 30_000 else ("mm", 0.001)
    return "m", 1.0


def _judge_storeys(summary: FieldSummary, column: pa.ChunkedArray, hint: float) -> Guess | None:
    values = numbers(column)
    if values is None:
        return None
    held = values[np.isfinite(values)]
    real = held[held > 0]
    if len(real) == 0:
        return None
    plausible = float(((real <= 200) & (real * 2 == np.floor(real * 2))).mean())
    confidence = hint * plausible * (0.2 if summary.constant else 1.0)
    remarks = [f"the name fits; {np.min(real):g} to {np.max(real):g}, median {np.median(real):g}"]
    if summary.constant:
        remarks.append("it is the same for all")
    if len(held) > len(real):
        remarks.append(f"{len(held) - len(real)} are zero or negative")
    if summary.null_share:
        remarks.append(f"{summary.null_share:.1%} are empty")
    return Guess(summary.name, "; ".join(remarks), round(confidence, 3))


def _judge_text(role: str, summary: FieldSummary, column: pa.ChunkedArray, hint: float) -> Guess | None:
    textual = is_text(column.type)
    if role != "class" and not textual:
        return None
    confidence = hint * (0.3 if summary.constant else 1.0)
    if role == "class":
        if pa.types.is_floating(column.type) and not _whole(column):
            return None
        if summary.distinct > 200 or (summary.distinct > 20 and summary.distinct_share > 0.5):
            confidence *= 0.2
        return Guess(summary.name, f"the name fits and there are {summary.distinct} classes", round(confidence, 3))
    return Guess(summary.name, f"the name fits; {1 - summary.null_share:.1%} are filled", round(confidence, 3))


def duplicated(keys: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Rows whose id occurs more than once (all of its rows).

    Args:
        keys: (n,) ids of any type.

    Returns:
        (n,) mask; null ids are never duplicates.
    """
    text = key_text(keys)
    codes = text.dictionary_encode()
    indices = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    counts = np.bincount(indices[indices >= 0], minlength=len(codes.dictionary) + 1)
    return np.asarray((indices >= 0) & (counts[indices] > 1), dtype=np.bool_)


def with_confidence(guess: Guess, factor: float, remark: str) -> Guess:
    """The guess, weaker or stronger, with a further remark."""
    return replace(guess, confidence=round(guess.confidence * factor, 3), why=f"{guess.why}; {remark}")
