"""Gives every entity of a layer its identifier, and brings the layer into the order of identifiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.project import Project
from pipelines.resolve import Resolved as ResolvedFeatures
from twin.entity.geid import TEXT_LENGTH
from twin.registry.identity import IdentityRegistry
from twin.registry.matching import Anchors
from twin.registry.record import Resolved

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Identified:
    """The entities of a layer, k of them, sorted by geid.

    Attributes:
        candidate: (k,) candidate of each entity.
        geid, source_key: (k,) text; the key is null where the source has no usable id.
        source: (k,) number of the `[[source]]`.
        entity_class: (k,) "Building" or "BuildingPart" (CityGML 3.0).
        parent: (k,) geid of the building a part belongs to, or null.
        resolved: What the registry said, a source each, to be recorded when the build is published.
        classes: Entity classes row for row with `resolved`.
        lineage: (geid, relation, other) rows for the registry.
    """

    candidate: I64
    geid: pa.StringArray
    source_key: pa.StringArray
    source: I64
    entity_class: pa.StringArray
    parent: pa.StringArray
    resolved: tuple[Resolved, ...]
    classes: tuple[pa.StringArray, ...]
    lineage: tuple[tuple[str, str, str], ...]


def identify(registry: IdentityRegistry, project: Project, layer: str, features: ResolvedFeatures) -> Identified:
    """Finds or mints the identifier of every entity; the registry is only read."""
    candidates = features.candidates
    keys = entity_keys(features)
    places, resolved, classes, lineage = [], [], [], []
    for number in np.unique(candidates.source[features.entity]):
        rows = features.entity[candidates.source[features.entity] == number]
        columns = ("x", "y", "area_m2", "west", "south", "east", "north")
        anchors = Anchors(*(candidates.number[name][rows] for name in columns))
        found = registry.resolve(layer, project.sources[number].name, keys.take(pa.array(rows)), anchors)
        places.append(rows)
        resolved.append(found)
        classes.append(_classes(candidates.is_part[rows]))
        lineage += _exploded(project.sources[number].name, features, rows, found.geids)
    names = pa.concat_arrays([one.geids for one in resolved])
    row = np.concatenate(places)
    sequence = np.argsort(_sortable(names), kind="stable")
    order = row[sequence]
    geid = names.take(pa.array(sequence))
    parent = _parents(features, order, row, names)
    known = parent.is_valid()
    whole = zip(geid.filter(known).to_pylist(), parent.filter(known).to_pylist(), strict=True)
    lineage += [(part, "part_of", building) for part, building in whole]
    return Identified(
        candidate=order,
        geid=geid,
        source_key=keys.take(pa.array(order)),
        source=candidates.source[order],
        entity_class=_classes(candidates.is_part[order]),
        parent=parent,
        resolved=tuple(resolved),
        classes=tuple(classes),
        lineage=tuple(lineage),
    )


def _sortable(names: pa.StringArray) -> NDArray[np.bytes_]:
    """Identifiers as bytes, which sort as their texts do and much sooner: all of them are ASCII and of one length."""
    fixed = names.cast(pa.binary()).cast(pa.binary(TEXT_LENGTH))
    return np.asarray(fixed.to_numpy(zero_copy_only=False), f"S{TEXT_LENGTH}")


def _parents(features: ResolvedFeatures, order: I64, row: I64, names: pa.StringArray) -> pa.StringArray:
    """Identifier of the building each candidate of `order` is a part of, or null; `names` are those of `row`."""
    above = features.parent[order]
    if not (above >= 0).any():
        return pa.nulls(len(order), pa.string())
    at = np.full(len(features.candidates) + 1, -1, np.int64)  # the last one is where "no parent" (-1) looks
    at[row] = np.arange(len(row))
    return names.take(pa.array(at[above], mask=at[above] < 0))


def entity_keys(features: ResolvedFeatures) -> pa.StringArray:
    """Source keys of all candidates: the id, with the number of the polygon where a feature was exploded."""
    candidates = features.candidates
    key = candidates.key
    if candidates.is_part.any():
        # A part may bear the id of its building (OSM: a way that is both); the two are two things.
        taken = pc.is_in(key, value_set=pc.drop_null(key.filter(pa.array(~candidates.is_part))))
        twin = pc.and_(taken, pa.array(candidates.is_part))
        key = pc.if_else(twin, pc.binary_join_element_wise(key, "part", "#"), key)
    if (candidates.part > 0).any():
        number = pa.array(candidates.part).cast(pa.string())
        key = pc.if_else(pa.array(candidates.part > 0), pc.binary_join_element_wise(key, number, "~"), key)
    return key


def _exploded(source: str, features: ResolvedFeatures, rows: I64, geids: pa.StringArray) -> list[tuple[str, str, str]]:
    """Which source feature each polygon of an exploded feature came from."""
    mine = np.flatnonzero(features.candidates.part[rows] > 0)
    keys = features.candidates.key.take(pa.array(rows[mine])).to_pylist()
    named = zip(mine.tolist(), keys, strict=True)
    return [(geids[at].as_py(), "part_of_feature", f"{source}:{key}") for at, key in named if key is not None]


def _classes(is_part: NDArray[np.bool_]) -> pa.StringArray:
    return _CLASSES.take(pa.array(is_part.astype(np.int8)))


_CLASSES = pa.array(["Building", "BuildingPart"], pa.string())
