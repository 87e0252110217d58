"""Takes the last update back: what is believed of the district and what keys stand for are as they were."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.update_apply import beside, bind_rows, forget_rows, move_rows
from pipelines.update_before import FOREVER
from twin.errors import MisuseError
from twin.registry.history_undo import believed_before
from twin.registry.identity import IdentityRegistry
from twin.registry.versions import Edition, EditionKind, History, Window

_TICK = datetime.timedelta(microseconds=1)
_BOUND = ("geid", "layer", "source", "source_key", "geometry")
"""What the registry goes by."""


def undo_last(history: History, where: Path | str, authority: str) -> tuple[Edition, Edition]:
    """Takes back the last update, in one transaction with the identities.

    Returns:
        The edition taken back, and the one that says so.

    Raises:
        MisuseError: There is no update to take back, or something else was written after it.
        StoreError: Somebody else is writing.
    """
    last = last_update(history)
    before = history.snapshot(Window(valid=FOREVER, as_of=last.recorded_at - _TICK), _BOUND)
    after = history.snapshot(Window(valid=FOREVER, as_of=last.recorded_at), _BOUND)
    name = f"undo of {last.name or last.number}"
    with history.write(EditionKind.UNDO, name, last.valid_from, undoes=last.number) as pen:
        pen.assert_versions(believed_before(pen.connection, last.number))  # type: ignore[attr-defined]
        rebind(beside(pen, where, authority), before, after)
    return last, pen.edition


def last_update(history: History) -> Edition:
    """The last edition that stands, if it is an update.

    Raises:
        MisuseError: There is none, or another kind came after it.
    """
    editions = history.editions()
    undone = {one.undoes for one in editions}
    standing = [one for one in editions if one.kind is not EditionKind.UNDO and one.number not in undone]
    if not any(one.kind is EditionKind.UPDATE for one in standing):
        raise MisuseError(
            "there is no update to take back", next_step="see `twin update --plan` for what an update does"
        )
    last = standing[-1]
    if last.kind is not EditionKind.UPDATE:
        raise MisuseError(
            f"edition {last.number} ({last.kind.value}) was written after the last update",
            next_step="take that back first",
        )
    return last


def rebind(registry: IdentityRegistry, before: pa.Table, after: pa.Table) -> None:
    """Lets keys and places stand for what they stood for in `before`, where `after` is what they stand for now."""
    keyed = before.filter(pc.is_valid(before.column("source_key")))
    changed = keyed.filter(pa.array(_other(keyed, after)))
    bind_rows(registry, changed, changed.column("geid").to_numpy())
    placed = before.filter(pc.is_null(before.column("source_key")))
    moved = placed.filter(pa.array(_elsewhere(placed, after)))
    gone = after.filter(pc.is_null(after.column("source_key")))
    lost = pc.invert(pc.is_in(gone.column("geid"), value_set=before.column("geid").combine_chunks()))
    forget_rows(registry, gone.filter(lost))
    move_rows(registry, moved, moved.column("geid").to_numpy())


def _other(keyed: pa.Table, after: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows whose key stands for something else, or for nothing, in `after`."""
    columns = ("source", "source_key", "geid")
    now = set(zip(*(after.column(name).to_pylist() for name in columns), strict=True))
    mine = zip(*(keyed.column(name).to_pylist() for name in columns), strict=True)
    return np.array([row not in now for row in mine], dtype=np.bool_)


def _elsewhere(placed: pa.Table, after: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    now = dict(zip(after.column("geid").to_pylist(), after.column("geometry").to_pylist(), strict=True))
    mine = zip(placed.column("geid").to_pylist(), placed.column("geometry").to_pylist(), strict=True)
    return np.array([geid not in now or now[geid] != wkb for geid, wkb in mine], dtype=np.bool_)
