"""Applies a plan: identities and history in one transaction, and the bridge between source records and identifiers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.update_match import anchors_of
from pipelines.update_plan import UpdatePlan
from twin.errors import StoreError
from twin.registry.identity import IdentityRegistry
from twin.registry.matching import Anchors
from twin.registry.open import is_database_url
from twin.registry.sqlite import Registry
from twin.registry.versions import TIME, Edition, EditionKind, History, Pen

Ints = NDArray[np.int64]
BRIDGES = "bridges"
_IDENTITY = ("geid", "layer", "entity_class", "source", "source_key")


def apply_plan(plan: UpdatePlan, history: History, where: Path | str, authority: str, after: int) -> Edition:
    """Writes the edition: all of it or nothing.

    Identities and history are written through one connection, so that one commit keeps both, in a file and in a
    database server.

    Args:
        plan: What to do.
        history: Of the project.
        where: Where both lie.
        authority: Who mints.
        after: Number of the last edition the plan knows of.

    Raises:
        StoreError: Somebody else is writing or has written since, or the registry cannot be written; nothing has been
            written then.
    """
    with history.write(EditionKind.UPDATE, plan.name, plan.valid_from, note=f"plan {plan.digest}") as pen:
        if pen.edition.number != after + 1:
            raise StoreError(
                f"edition {pen.edition.number - 1} was written while this update was being planned; nothing is written",
                next_step="run `twin update` again: it compares the survey with what is believed now",
            )
        write_history(plan, pen)
        bind_identities(plan, beside(pen, where, authority))
    return pen.edition


def beside(pen: Pen, where: Path | str, authority: str) -> IdentityRegistry:
    """The identities, written in the transaction of an edition; whoever holds the pen keeps or undoes them."""
    connection = pen.driver_connection  # type: ignore[attr-defined]
    if is_database_url(where):
        from twin.registry.postgres import PostgresRegistry
        from twin.registry.postgres_address import Address

        return PostgresRegistry(connection, Address.of(str(where)), authority)
    return Registry(Path(where), connection, authority)


def write_history(plan: UpdatePlan, pen: Pen) -> None:
    """Asserts what has changed, the lineage of what ended, and the bridge of every record."""
    pen.assert_versions(assertions(plan))
    old = plan.before.column("geid")
    pen.lineage((old[before].as_py(), relation, plan.geids[after]) for before, relation, after in plan.comparison.steps)
    pen.bridge(bridge_of(plan))


def assertions(plan: UpdatePlan) -> pa.Table:
    """`VERSION_FIELDS` of every entity that is not as it was believed to be: its new state, or that it is gone."""
    rows = pa.array(plan.asserted)
    new = plan.edition.versions.take(rows)
    new = _with(new, "geid", pa.array(plan.geids[plan.asserted], pa.string()))
    new = _with(new, "parent", pa.array(plan.parents[plan.asserted], pa.string()))
    gone = plan.before.take(pa.array(plan.ended))
    nothing = {field.name: pa.nulls(gone.num_rows, field.type) for field in new.schema}
    kept = {name: gone.column(name) for name in _IDENTITY}
    absent = pa.table({**nothing, **kept, "present": pa.array(np.zeros(gone.num_rows, dtype=np.bool_))})
    there = _with(new, "present", pa.array(np.ones(new.num_rows, dtype=np.bool_)))
    both = pa.concat_tables([there.cast(there.schema), absent.select(there.column_names).cast(there.schema)])
    since = pa.array([plan.valid_from] * both.num_rows, TIME)
    return _with(_with(both, "valid_from", since), "valid_to", pa.nulls(both.num_rows, TIME))


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.append_column(name, column) if at < 0 else table.set_column(at, name, column)


def bridge_of(plan: UpdatePlan) -> pa.Table:
    """Every record of the edition, then every record of the one before that has no successor under its identifier."""
    new, gone = plan.edition.versions, plan.before.take(pa.array(plan.ended))
    change = pa.array(plan.comparison.after.change, pa.string())
    ended = pa.array(plan.comparison.before.change[plan.ended], pa.string())
    live = {"source": new.column("source"), "source_key": new.column("source_key"), "geid": plan.geids}
    past = {name: gone.column(name) for name in ("source", "source_key", "geid")}
    rows = [
        pa.table({**live, "geid": pa.array(plan.geids, pa.string()), "change": change}),
        pa.table({**past, "change": ended}),
    ]
    return pa.concat_tables([one.cast(_BRIDGE) for one in rows]).combine_chunks()


_BRIDGE = pa.schema([(name, pa.string()) for name in ("source", "source_key", "geid", "change")])


def bind_identities(plan: UpdatePlan, registry: IdentityRegistry) -> None:
    """Tells the registry what keys and places stand for now, so that every later build gives the same identifiers."""
    new = plan.edition.versions
    other = np.array(new.column("geid").to_numpy() != plan.geids, dtype=np.bool_) | ~plan.comparison.after.kept
    keyed = np.flatnonzero(other & ~plan.edition.by_geometry)
    bind_rows(registry, new.take(pa.array(keyed)), plan.geids[keyed])
    blank = np.flatnonzero(plan.edition.by_geometry)
    placed = blank[other[blank] | _moved(plan, blank)]
    move_rows(registry, new.take(pa.array(placed)), plan.geids[placed])
    ended = plan.before.take(pa.array(plan.ended))
    forget_rows(registry, ended.filter(pc.is_null(ended.column("source_key"))))


def _moved(plan: UpdatePlan, rows: Ints) -> NDArray[np.bool_]:
    """(k,) True where the footprint of a row of the new edition is not the very same as before."""
    side = plan.comparison.after
    moved = np.ones(len(rows), dtype=np.bool_)
    kept = np.flatnonzero(side.kept[rows])
    now = plan.edition.versions.column("geometry").take(pa.array(rows[kept])).to_numpy()
    was = plan.before.column("geometry").take(pa.array(side.partner[rows[kept]])).to_numpy()
    moved[kept] = np.array(now != was, dtype=np.bool_)
    return moved


def bind_rows(registry: IdentityRegistry, rows: pa.Table, geids: NDArray[np.object_]) -> None:
    """Binds the keys of rows, source by source."""
    for source, mine in _by(rows, "source"):
        keys = rows.column("source_key").take(pa.array(mine)).to_pylist()
        registry.bind(source, keys, geids[mine].tolist())


def move_rows(registry: IdentityRegistry, rows: pa.Table, geids: NDArray[np.object_]) -> None:
    """Says where rows without key stand."""
    for layer, source, mine in _by_place(rows):
        registry.move(layer, source, geids[mine].tolist(), anchors_of(rows.take(pa.array(mine))))


def forget_rows(registry: IdentityRegistry, rows: pa.Table) -> None:
    """Says that entities without key are found by their place no more."""
    for layer, source, mine in _by_place(rows):
        names = rows.column("geid").take(pa.array(mine)).to_pylist()
        registry.move(layer, source, names, Anchors.of(np.full((len(mine), 7), np.nan)))


def _by(rows: pa.Table, name: str) -> Iterator[tuple[str, Ints]]:
    values = rows.column(name).to_numpy().astype(str)
    for value in np.unique(values).tolist():
        yield value, np.flatnonzero(values == value)


def _by_place(rows: pa.Table) -> Iterator[tuple[str, str, Ints]]:
    for layer, mine in _by(rows, "layer"):
        for source, inner in _by(rows.take(pa.array(mine)), "source"):
            yield layer, source, mine[inner]


def write_bridge(folder: Path, edition: int, bridge: pa.Table) -> tuple[Path, Path]:
    """Writes `<edition>.parquet` and `.csv` of source, source_key, geid and change; a file is there whole or not."""
    import pyarrow.csv
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / f"{edition}.parquet", folder / f"{edition}.csv")
    staged = [path.with_name(f".{path.name}.new") for path in paths]
    pyarrow.parquet.write_table(bridge, staged[0], compression="zstd")
    pyarrow.csv.write_csv(bridge, staged[1])
    for new, path in zip(staged, paths, strict=True):
        new.replace(path)
    return paths
