"""What may become of an entity between two editions of a survey, and by which limits that is decided."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from twin.errors import MisuseError


class Change(StrEnum):
    """What a new edition did to an entity."""

    UNCHANGED = "unchanged"
    ATTRIBUTES_CHANGED = "attributes_changed"  # same footprint; heights, storeys or attributes differ
    MOVED = "moved"  # same outline, elsewhere
    RESHAPED = "reshaped"  # the same thing with another outline
    NEW = "new"
    GONE = "gone"
    SPLIT = "split"  # before: it was cut up; after: one of the pieces
    MERGED = "merged"  # before: it went up in a larger one; after: what several became
    REPLACED = "replaced"  # another thing at the same place: demolished and rebuilt


CHANGES: tuple[Change, ...] = tuple(Change)
"""Position = code in the arrays of `Changes`."""

KEPT = frozenset({Change.UNCHANGED, Change.ATTRIBUTES_CHANGED, Change.MOVED, Change.RESHAPED})
"""The classes in which an entity goes on: its geid stays."""


class Why(StrEnum):
    """On what evidence a row was classed."""

    KEY_AND_PLACE = "key_and_place"  # same key, outline in place
    PLACE = "place"  # outline in place; a key is missing, not unique or not trusted
    RENUMBERED = "renumbered"  # outline in place under another key
    KEY_AND_SHAPE = "key_and_shape"  # same key and outline, shifted
    SHAPE_NEARBY = "shape_nearby"  # same outline nearby, no other comes into question
    COMMON_SHIFT = "common_shift"  # same outline, shifted like its neighbours
    KEY_AND_OVERLAP = "key_and_overlap"  # same key, outlines overlap
    OVERLAP = "overlap"  # outlines overlap and share walls
    KEY_ONLY = "key_only"  # same key, far from where it was or without a footprint
    PIECES = "pieces"  # several lie inside one and fill it
    OTHER_OUTLINE = "other_outline"  # another outline at the same place
    OTHER_HEIGHT = "other_height"  # same outline under a new key, much higher or lower
    NOTHING_THERE = "nothing_there"  # nothing of the other edition stands there
    KEY_REUSED = "key_reused"  # its key stands for another thing now
    LIKE_NEARBY = "like_nearby"  # nothing stands there, but the same outline came or went nearby
    OVERLAPS_OTHER = "overlaps_other"  # overlaps something that was matched otherwise


WHYS: tuple[Why, ...] = tuple(Why)
"""Position = code in the arrays of `Changes`."""


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """Limits of change detection. Lengths in metres, shares from 0 to 1.

    Attributes:
        trust_keys: Source keys stand for the same thing in both editions unless geometry contradicts them. False: a key
            is a hint among others.
        jitter_m: How far a corner may stray, east and north each, without being moved.
        shift_m: Farthest shift of an outline that is still found without a key, and taken for sure with one.
        search_m: How far around a row of the same outline is looked for before it counts as new or gone without doubt.
        neighbour_m: Neighbours whose common shift is taken for that of the place.
        overlap_same: Least intersection over union of what may be the same thing with another outline.
        overlap_sure: From this overlap on it is the same thing also without a key, if the height agrees.
        overlap_leap: Below this overlap a leap in height makes it another thing.
        overlap_touch: Less overlap than this share of the smaller one is none: walls that stray over a boundary.
        inside: Least share of a piece inside the whole, and of the whole that its pieces fill, in splits and merges.
        dominant: A piece with this share of the whole is the whole, reshaped.
        walls_same: Least share of walls that stand where they stood, of one and the same thing.
        walls_sure: From this share on the walls alone are proof, whatever the height says.
        wall_m: How far a wall may stray from where it stood, beside `jitter_m`.
        height_tolerance_m: Heights, bases: differences up to this are none.
        height_leap: Ratio of heights from which on it may be another thing.
        doubt: Width of the doubtful band on either side of the limits for shares.
    """

    trust_keys: bool = True
    jitter_m: float = 0.05
    shift_m: float = 1.5
    search_m: float = 15.0
    neighbour_m: float = 80.0
    overlap_same: float = 0.5
    overlap_sure: float = 0.8
    overlap_leap: float = 0.7
    overlap_touch: float = 0.15
    inside: float = 0.8
    dominant: float = 0.88
    walls_same: float = 0.5
    walls_sure: float = 0.8
    wall_m: float = 0.15
    height_tolerance_m: float = 0.1
    height_leap: float = 1.3
    doubt: float = 0.06

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            least, most = (1.0, math.inf) if name == "height_leap" else (0.0, math.inf if name.endswith("_m") else 1.0)
            if not (least <= value <= most and math.isfinite(value)):
                raise MisuseError(
                    f"change rule {name} = {value} must lie between {least:g} and {most:g}",
                    next_step=f"correct `{name}` under [change] in twin.toml, or leave it out",
                )
        if self.shift_m < self.jitter_m:
            raise MisuseError(
                f"change rule shift_m = {self.shift_m} is less than jitter_m = {self.jitter_m}",
                next_step="make shift_m the larger one",
            )
