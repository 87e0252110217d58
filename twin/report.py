"""The account of a run: every feature read ends in exactly one outcome, with a reason code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Where a feature that was read ended; exactly one of these (promise 1)."""

    BUILT = "built"
    FALLBACK = "fallback"
    SKIPPED = "skipped"
    FAILED = "failed"


class Severity(StrEnum):
    """How loudly a finding is told. `NOTE` alone never changes the exit code."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason code: what it means, what becomes of the feature, and what the user can do.

    Attributes:
        code: Stable snake_case identifier, the key in every report.
        outcome: Outcome it forces, or None where the feature is still built (a remark on a built feature).
        severity: How loudly it is told.
        text: One sentence.
        next_step: What to do about it.
    """

    code: str
    outcome: Outcome | None
    severity: Severity
    text: str
    next_step: str


def _table(*rows: tuple[str, Outcome | None, Severity, str, str]) -> dict[str, Reason]:
    return {code: Reason(code, outcome, severity, text, step) for code, outcome, severity, text, step in rows}


#: Every reason code of every run. `docs/reason-codes.md` explains each one; a test compares the two.
REASONS: Mapping[str, Reason] = _table(
    # geometry
    (
        "geometry_missing",
        Outcome.SKIPPED,
        Severity.WARNING,
        "the feature has no geometry (null)",
        "complete it in the source",
    ),
    ("geometry_empty", Outcome.SKIPPED, Severity.WARNING, "the geometry is empty", "complete it in the source"),
    (
        "geometry_type",
        Outcome.SKIPPED,
        Severity.WARNING,
        "the geometry is not a surface, so no building can stand on it",
        "send points and lines to another layer",
    ),
    (
        "geometry_degenerate",
        Outcome.SKIPPED,
        Severity.WARNING,
        "the polygon has no area: fewer than three distinct corners, or a sliver",
        "delete or redraw it in the source",
    ),
    (
        "geometry_not_finite",
        Outcome.FAILED,
        Severity.ERROR,
        "a coordinate is not a number, or lies outside what the CRS can express",
        "check the CRS of the source",
    ),
    (
        "geometry_unrepairable",
        Outcome.FAILED,
        Severity.ERROR,
        "the polygon is invalid and repair would lose or add too much area",
        "redraw it in the source",
    ),
    (
        "geometry_repaired",
        None,
        Severity.WARNING,
        "the polygon was invalid and has been repaired; the change of area is recorded",
        "compare with the source",
    ),
    (
        "geometry_read_failed",
        Outcome.FAILED,
        Severity.ERROR,
        "the geometry record is damaged and cannot be decoded",
        "repair the file or export it again",
    ),
    # identity
    (
        "id_missing",
        None,
        Severity.NOTE,
        "the feature has no id; its identity rests on its geometry",
        "name an id field, or accept matching by geometry",
    ),
    (
        "id_duplicate",
        Outcome.SKIPPED,
        Severity.WARNING,
        "another feature of the source has the same id and came first",
        'set `duplicates = "union"` if they are pieces of one thing',
    ),
    (
        "id_joined",
        None,
        Severity.NOTE,
        "pieces with one id were joined into one entity",
        "nothing, if the pieces were clipped at map sheets",
    ),
    (
        "outline_of_parts",
        Outcome.SKIPPED,
        Severity.NOTE,
        "building parts stand in this outline; it is kept as their parent and not drawn",
        "nothing",
    ),
    # heights and ground
    (
        "height_missing",
        Outcome.FALLBACK,
        Severity.WARNING,
        "no height rule gave a height; the footprint is drawn flat (LoD0)",
        "add a height rule or complete the field",
    ),
    (
        "height_invalid",
        Outcome.FALLBACK,
        Severity.WARNING,
        "the height is zero, negative, a placeholder such as 9999, or absurd; the footprint is drawn flat (LoD0)",
        "correct it in the source",
    ),
    (
        "ground_missing",
        Outcome.SKIPPED,
        Severity.WARNING,
        "no ground rule gave an elevation (outside the raster, or nodata)",
        "add a raster sheet or a further ground rule",
    ),
    (
        "ground_outside_raster",
        None,
        Severity.WARNING,
        "the footprint lies outside the ground raster; a later rule gave the elevation",
        "add the missing sheet",
    ),
    (
        "raster_partly_covers",
        None,
        Severity.WARNING,
        "a raster has data under a part of the footprint only; the ground or the height rests on that part",
        "add the missing sheet, or fill the gaps of the raster",
    ),
    (
        "min_height_invalid",
        None,
        Severity.WARNING,
        "the lower height is not below the upper one and was ignored",
        "correct it in the source",
    ),
    # attributes
    (
        "attribute_unreadable",
        None,
        Severity.WARNING,
        "an attribute could not be decoded and is left out",
        "state the encoding of the source",
    ),
    # internal
    (
        "mesh_failed",
        Outcome.FAILED,
        Severity.ERROR,
        "no closed solid could be made from the footprint",
        "report it together with the feature",
    ),
)


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding about data: a reason code (or a check code) with its place.

    Attributes:
        code: Reason or check code.
        severity: How loudly it is told.
        text: What was found, as one sentence.
        layer, source, feature: Where; None where it concerns more than that.
        count: How many features it stands for.
        detail: Further values for the machine-readable report.
    """

    code: str
    severity: Severity
    text: str
    layer: str | None = None
    source: str | None = None
    feature: str | None = None
    count: int = 1
    next_step: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The issue as a row of the report: what is empty is left out."""
        keys = ("code", "text", "layer", "source", "feature", "count", "next_step")
        row = {key: getattr(self, key) for key in keys if getattr(self, key) not in (None, "")}
        return {**row, "severity": self.severity.value, **({"detail": dict(self.detail)} if self.detail else {})}


@dataclass(frozen=True, slots=True)
class LayerReport:
    """The account of one layer. Invariant: `built + fallback + skipped + failed == read`."""

    layer: str
    read: int
    outcomes: Mapping[Outcome, int]
    reasons: Mapping[str, int]
    entities: int
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(self.outcomes.values()) != self.read:
            raise AssertionError(f"layer {self.layer}: {dict(self.outcomes)} does not add up to {self.read} read")

    def to_json(self) -> dict[str, Any]:
        """Outcomes of one layer, by name."""
        return {
            "read": self.read,
            **{outcome.value: int(self.outcomes.get(outcome, 0)) for outcome in Outcome},
            "entities": self.entities,
            "reasons": dict(sorted(self.reasons.items())),
            "examples": {code: list(keys) for code, keys in sorted(self.examples.items())},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The account of a whole run."""

    layers: tuple[LayerReport, ...]
    issues: tuple[Issue, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 clean, 1 nothing built or something failed to be built at all, 3 finished with findings."""
        read = sum(layer.read for layer in self.layers)
        drawn = sum(layer.outcomes.get(o, 0) for layer in self.layers for o in (Outcome.BUILT, Outcome.FALLBACK))
        if read and not drawn:
            return 1
        loud = any(issue.severity is not Severity.NOTE for issue in self.issues)
        remarks = any(REASONS[code].severity is not Severity.NOTE for layer in self.layers for code in layer.reasons)
        return 3 if loud or remarks else 0

    def to_json(self) -> dict[str, Any]:
        """The report as `twin build --json` prints it."""
        return {
            "layers": {layer.layer: layer.to_json() for layer in self.layers},
            "findings": [issue.to_json() for issue in self.issues],
        }


def count_reasons(codes: Iterable[str]) -> Counter[str]:
    """Counts reason codes; refuses one that is not in `REASONS`."""
    counted = Counter(codes)
    unknown = set(counted) - set(REASONS)
    if unknown:
        raise KeyError(f"reason codes without a definition: {sorted(unknown)}")
    return counted
