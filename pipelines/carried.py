"""Which entities are as they were in the served release: their tiles and their rows of the index are taken over.

The last finished build leaves, beside its segments, what was decided of every entity of a layer. An entity is as it was
when its row was taken over from that build (`pipelines.kept`) and every decision on it is the same again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.layer import LayerEntities

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]
Place = tuple[int, int, int]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Carried:
    """What the last finished build decided on a layer.

    Attributes:
        release: The release it gave.
        fingerprint: What its tiles depend on besides their entities.
        table: Decisions, an entity a row, sorted by geid.
        members: Rows of `table` by place of a tile, in the order of its property table.
        inputs: Input digest by place.
    """

    release: str
    fingerprint: str
    table: pa.Table
    members: Mapping[Place, I64]
    inputs: Mapping[Place, str]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """How the entities of a build compare with those of the last one.

    Attributes:
        carried: The last one.
        old: (k,) row each entity had, -1 for one that was not there.
        same: (k,) True where nothing about it has changed.
    """

    carried: Carried
    old: I64
    same: Bool

    def input_of(self, place: Place, rows: I64, fingerprint: str) -> str | None:
        """Input digest of a tile if it is that of the last build; None where it has to be worked out."""
        before = self.carried.members.get(place)
        if before is None or fingerprint != self.carried.fingerprint or len(before) != len(rows):
            return None
        if not self.same[rows].all() or not np.array_equal(self.old[rows], before):
            return None
        return self.carried.inputs[place]


def decisions(entities: LayerEntities) -> pa.Table:
    """What was decided on every entity, apart from the columns of its segment."""
    identity = entities.identity
    names = pa.array([segment.path.name for segment in entities.segments], pa.string())
    return pa.table(
        {
            "geid": identity.geid,
            "source": identity.source,
            "source_key": identity.source_key,
            "entity_class": identity.entity_class,
            "parent": identity.parent,
            "foot_m": entities.foot_m.view(np.int64),  # bit for bit: NaN equals itself
            "ground_m": entities.ground_m.view(np.int64),
            "eaves_m": entities.eaves_m.view(np.int64),
            "solid": entities.solid,
            "reasons": entities.reasons,
            "segment": names.take(pa.array(entities.segment)),
            "segment_row": entities.row,
        }
    )


#: Columns of `decisions` that have to be the same; where the row lies is compared in another way.
_DECIDED = (
    "geid", "source", "source_key", "entity_class", "parent", "foot_m", "ground_m", "eaves_m", "solid", "reasons",
)  # fmt: skip


def compare(carried: Carried | None, entities: LayerEntities) -> Unchanged | None:
    """Finds what has stayed as it was; None where there is nothing to compare with."""
    if carried is None or not len(carried.table):
        return None
    now = decisions(entities)
    before = carried.table
    if now.schema != before.schema:
        return None
    if now["geid"].equals(before["geid"]):
        old = np.arange(len(now))
    else:
        found = pc.index_in(now["geid"].combine_chunks(), value_set=before["geid"].combine_chunks())
        old = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        before = before.take(pa.array(np.maximum(old, 0)))
    same = (old >= 0) & _rows_taken_over(entities, before)
    for name in _DECIDED:
        same &= _equal(now[name], before[name])
    return Unchanged(carried, old, same)


def _rows_taken_over(entities: LayerEntities, before: pa.Table) -> Bool:
    """True where the row of an entity is the very row it had: not that of a copy elsewhere."""
    origins = [segment.origin() for segment in entities.segments]
    names = sorted({name for origin in origins for name in origin.names})
    number = {name: at for at, name in enumerate(names)}
    places = [np.array([number[name] for name in origin.names] + [-1])[origin.segment] for origin in origins]
    offset = np.cumsum([0, *map(len, places)])
    at = offset[entities.segment] + entities.row
    segment, row = np.concatenate(places)[at], np.concatenate([origin.row for origin in origins])[at]
    had = pc.fill_null(pc.index_in(before["segment"], value_set=pa.array(names, pa.string())), -2).to_numpy()
    return np.asarray((segment >= 0) & (segment == had) & (row == before["segment_row"].to_numpy()))


def _equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Bool:
    if one.equals(other):
        return np.ones(len(one), dtype=bool)
    equal = pc.fill_null(pc.equal(one, other), False)
    return np.asarray(pc.or_(equal, pc.and_(pc.is_null(one), pc.is_null(other))).to_numpy(), dtype=bool)


def write(folder: Path, layer: str, carried: Carried) -> None:
    """Notes what was decided on a layer."""
    places = sorted(carried.members)
    document = {
        "format": _FORMAT,
        "release": carried.release,
        "fingerprint": carried.fingerprint,
        "tiles": [[*place, len(carried.members[place]), carried.inputs[place]] for place in places],
    }
    np.save(folder / f"layer-{layer}.npy", np.concatenate([carried.members[place] for place in places]))
    path, schema = str(folder / f"layer-{layer}.arrow"), carried.table.schema
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(carried.table.combine_chunks())
    (folder / f"layer-{layer}.json").write_text(json.dumps(document), encoding="utf-8")


def read(folder: Path, layer: str) -> Carried | None:
    """What the last build decided on a layer; None where it left nothing that can be used."""
    try:
        document = json.loads((folder / f"layer-{layer}.json").read_bytes())
        if document["format"] != _FORMAT:
            return None
        order = np.load(folder / f"layer-{layer}.npy")
        table = pa.ipc.open_file(pa.memory_map(str(folder / f"layer-{layer}.arrow"))).read_all()
        tiles = document["tiles"]
        ends = np.cumsum([0, *(row[3] for row in tiles)])
        places = [(row[0], row[1], row[2]) for row in tiles]
        members = {place: order[ends[at] : ends[at + 1]] for at, place in enumerate(places)}
        inputs = {place: str(row[4]) for place, row in zip(places, tiles, strict=True)}
        return Carried(document["release"], document["fingerprint"], table, members, inputs)
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowInvalid):
        return None
