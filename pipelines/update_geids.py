"""Which identifier every entity of a new edition bears: the one it had, or one that nothing ever bore."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipelines.update_match import Comparison
from pipelines.update_survey import NewEdition
from twin.entity import geid as geids
from twin.registry.identity import IdentityRegistry
from twin.registry.versions import History

_APART = "\x1fedition\x1f"
"""Keeps keys that were salted apart from source keys: no source key holds it."""
_SAME_OVERLAP = 0.5
"""Least intersection over union with where a thing stood, for something that comes back to be that thing again."""


def settle(
    before: pa.Table, edition: NewEdition, comparison: Comparison, registry: IdentityRegistry, history: History
) -> NDArray[np.object_]:
    """(n,) the identifier of every entity of the new edition.

    What goes on keeps its own, under whatever key it comes now. Anything else gets one that no other thing ever bore:
    that of its key where that has never been given, else one minted from key, place and shape, so that the same edition
    read again (after an undo, on another machine) gives the same. A thing that comes back where it stood is itself.
    """
    old = before.column("geid").to_numpy()
    names = edition.versions.column("geid").to_numpy().astype(object)
    side = comparison.after
    names[side.kept] = old[side.partner[side.kept]]
    fresh = np.flatnonzero(~side.kept)
    if len(fresh):
        undone = frozenset(one.undoes for one in history.editions() if one.undoes is not None)
        names[fresh] = _fresh(fresh, set(old.tolist()), edition, _Past(registry, history, undone))
    return np.asarray(names, dtype=object)


@dataclass(frozen=True, slots=True)
class _Past:
    """What was ever given a name.

    Attributes:
        registry: Knows what was given.
        history: Knows what stood.
        undone: Editions that were taken back.
    """

    registry: IdentityRegistry
    history: History
    undone: frozenset[int]

    def never_stood(self, name: str) -> bool:
        """True where every edition that says it was there has been taken back, and there is one."""
        versions = self.history.versions(name)
        return bool(versions.num_rows > 0 and self._standing(versions).num_rows == 0)

    def is_back(self, name: str, wkb: bytes | None) -> bool:
        """Whether a name that was given may be borne again: its thing stands there again, or never stood.

        A name of which the history knows nothing comes from a build that no update has seen.
        """
        versions = self.history.versions(name)
        standing = self._standing(versions)
        if not standing.num_rows:
            return True
        return bool(_overlap(standing.column("geometry")[standing.num_rows - 1].as_py(), wkb) >= _SAME_OVERLAP)

    def _standing(self, versions: pa.Table) -> pa.Table:
        there = versions.filter(versions.column("present"))
        back = pc.is_in(there.column("edition"), value_set=pa.array(sorted(self.undone), pa.int64()))
        return there.filter(pc.invert(back))


def _fresh(rows: NDArray[np.int64], alive: set[str], edition: NewEdition, past: _Past) -> list[str]:
    some = edition.versions.take(pa.array(rows))
    wanted, places = some.column("geid").to_pylist(), some.column("geometry").to_pylist()
    given = past.registry.given(wanted) - alive
    used: set[str] = set()
    found: list[str] = []
    for at, (name, wkb) in enumerate(zip(wanted, places, strict=True)):
        taken = name in alive or name in used or (name in given and not past.is_back(name, wkb))
        one = _salted(some.slice(at, 1), alive | used, past) if taken else name
        used.add(one)
        found.append(one)
    return found


def _overlap(one: bytes | None, other: bytes | None) -> float:
    if one is None or other is None:
        return 0.0
    a, b = shapely.from_wkb([one, other])
    union = shapely.area(shapely.union(a, b))
    return float(shapely.area(shapely.intersection(a, b)) / union) if union else 0.0


def _salted(entity: pa.Table, taken: set[str], past: _Past) -> str:
    """An identifier minted from key, place and shape of an entity, that nothing else bears or bore."""
    text, attempt = _salted_key(entity), 0
    while True:
        (name,) = geids.mint(past.registry.authority, [text + (f"+{attempt}" if attempt else "")])
        if name not in taken and (not past.registry.given([name]) or past.never_stood(name)):
            return name
        attempt += 1


def _salted_key(entity: pa.Table) -> str:
    """Source, key, and centroid and area in tenths: what it is and where it stands."""
    source, key, wkb = (entity.column(name)[0].as_py() for name in ("source", "source_key", "geometry"))
    place: list[int] = []
    if wkb is not None:
        shape = shapely.from_wkb(wkb)
        centre = shapely.centroid(shape)
        place = [round(value * 10) for value in (centre.x, centre.y, shapely.area(shape))]
    return f"{source}/{key or ''}{_APART}" + ",".join(map(str, place))
