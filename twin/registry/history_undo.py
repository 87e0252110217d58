"""Works out what was believed before an edition, for exactly the entities and spans it speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, select

from twin.errors import MisuseError
from twin.registry import history_query as query
from twin.registry.history_rows import recorded_table, span_micros
from twin.registry.history_tables import FOREVER, VERSION, edition_table
from twin.registry.versions import TIME, Edition, EditionKind

_IDENTITY = ("geid", "layer", "entity_class", "source", "source_key")

Span = tuple[int, int]
Claim = tuple[int, int, int]
"""Begin, end, row: an earlier assertion."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an edition's spans.

    Attributes:
        span: Microseconds.
        row: The earlier assertion that counted in it; -1: none did.
        touched: The assertion of the edition it is a piece of.
    """

    span: Span
    row: int
    touched: int


def refuse_undo(editions: Sequence[Edition], number: int) -> None:
    """Raises `MisuseError` where an edition is not the last one that is not undone."""
    undone = {one.undoes for one in editions if one.undoes is not None}
    standing = [one.number for one in editions if one.kind is not EditionKind.UNDO and one.number not in undone]
    asked = next((one for one in editions if one.number == number), None)
    if asked is None:
        raise MisuseError(f"there is no edition {number}", next_step="list the editions")
    if asked.kind is EditionKind.UNDO:
        what = f"edition {number} is itself an undo, and an undo is not undone"
        raise MisuseError(what, next_step="write the edition it took back again")
    if number in undone:
        raise MisuseError(f"edition {number} is undone already", next_step="nothing")
    if number != standing[-1]:
        what = f"edition {number} is not the last one: edition {standing[-1]} came after it"
        raise MisuseError(what, next_step=f"undo edition {standing[-1]} first")


def believed_before(connection: Connection, number: int) -> pa.Table:
    """The versions that bring back what was believed before an edition: `VERSION_FIELDS`.

    Where nothing was known before, the entity is asserted not to have been there.
    """
    c = edition_table.c
    first, count = connection.execute(select(c.first_version, c.versions).where(c.number == number)).one()
    touched = recorded_table(connection.execute(query.of_edition(first, count)).cursor.fetchall())
    earlier = recorded_table(connection.execute(query.before_edition(first, count, number)).cursor.fetchall())
    pieces = list(_pieces(touched, earlier))
    known = [piece for piece in pieces if piece.row >= 0]
    unknown = [piece for piece in pieces if piece.row < 0]
    again = _spanned(earlier.take(pa.array([piece.row for piece in known], pa.int64())), known)
    never = _absent(touched.take(pa.array([piece.touched for piece in unknown], pa.int64())))
    return pa.concat_tables([again, _spanned(never, unknown)])


def _pieces(touched: pa.Table, earlier: pa.Table) -> Iterator[Piece]:
    claims = _claims(earlier)
    start, end = span_micros(touched)
    spans = zip(touched["geid"].to_pylist(), start.tolist(), end.tolist(), strict=True)
    for row, (geid, begin, until) in enumerate(spans):
        for span, claim in paint((begin, until), claims.get(geid, ())):
            yield Piece(span, claim, row)


def _claims(earlier: pa.Table) -> dict[str, list[Claim]]:
    """Earlier assertions by entity, the latest edition first, as they are sorted."""
    found: dict[str, list[Claim]] = {}
    start, end = span_micros(earlier)
    for row, geid in enumerate(earlier["geid"].to_pylist()):
        found.setdefault(geid, []).append((int(start[row]), int(end[row]), row))
    return found


def paint(span: Span, claims: Sequence[Claim]) -> list[tuple[Span, int]]:
    """Cuts a span into pieces by the claim that counts in each: the first one that holds it; -1 where none does."""
    begin, end = span
    cuts = {begin, end} | {cut for claim in claims for cut in claim[:2] if begin < cut < end}
    edges = sorted(cuts)
    painted: list[tuple[Span, int]] = []
    for low, high in pairwise(edges):
        row = next((claim[2] for claim in claims if claim[0] <= low and claim[1] >= high), -1)
        if painted and painted[-1][1] == row:
            painted[-1] = ((painted[-1][0][0], high), row)
        else:
            painted.append(((low, high), row))
    return painted


def _spanned(rows: pa.Table, pieces: Sequence[Piece]) -> pa.Table:
    start = np.array([piece.span[0] for piece in pieces], dtype=np.int64)
    end = np.array([piece.span[1] for piece in pieces], dtype=np.int64)
    columns = {name: rows[name] for name in VERSION.names}
    columns["valid_from"] = pa.array(start).cast(TIME)
    columns["valid_to"] = pa.array(end, pa.int64(), mask=end == FOREVER).cast(TIME)
    return pa.table(columns, schema=VERSION)


def _absent(rows: pa.Table) -> pa.Table:
    """Only who they are, and that they were not there."""
    nothing = {field.name: pa.nulls(rows.num_rows, field.type) for field in VERSION}
    identity = {name: rows[name] for name in _IDENTITY}
    gone = pa.array(np.zeros(rows.num_rows, dtype=np.bool_))
    return pa.table({**nothing, **identity, "present": gone}, schema=VERSION)
