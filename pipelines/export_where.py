"""`twin export --where`: rows for which a filter in CQL2 holds, by the names and the rules of the server's `filter`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.crs.reference import Crs
from twin.entity.index_schema import GEOMETRY
from twin.errors import MisuseError
from twin.query.cql import JSON, TEXT, Node, parse, properties
from twin.query.crs import CRS84, feature_crs
from twin.query.evaluate import matching
from twin.query.fields import fields_of
from twin.query.spatial import Place
from twin.query.view import View

I64 = NDArray[np.int64]


def read_filter(text: str) -> Node:
    """A filter as a tree: CQL2 JSON where it begins with a brace, else CQL2 text.

    Raises:
        FilterError: It is too long, too deep, or neither.
    """
    return parse(text, JSON if text.lstrip().startswith("{") else TEXT)


def filtered(table: pa.Table, rows: I64, crs: Crs, node: Node) -> I64:
    """Those of some rows for which a filter holds; unknown is no match.

    Args:
        table: Columns of the entity index or of a snapshot of the history.
        rows: Rows of it, ascending.
        crs: The working CRS.
        node: The filter; its coordinates are longitude and latitude (CRS84).

    Raises:
        MisuseError: It names a property that entities do not have, or puts together what does not fit.
    """
    known = fields_of(table.schema)
    strangers = sorted(properties(node) - set(known) - {GEOMETRY})
    if strangers:
        raise MisuseError(
            f"the filter asks for {strangers[0][:60]!r}, which entities do not have",
            next_step=f"they have {', '.join([*known, GEOMETRY])}",
        )
    return matching(View(table, crs, ""), rows, node, Place(feature_crs(CRS84)))
