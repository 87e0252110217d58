"""Answers a filter for many rows at once: Arrow kernels with three-valued logic, where unknown is never a match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.entity.index_schema import GEOMETRY
from twin.query.cql import Node, refused
from twin.query.fields import Field
from twin.query.spatial import SPATIAL, Place, spatial
from twin.query.temporal import TEMPORAL, instant, temporal
from twin.query.view import Rows, View

Value = Any
"""A column, an Arrow scalar, or a Python list of literals."""

_COMPARE: Mapping[str, Callable[..., Any]] = {
    "=": pc.equal, "<>": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
_ACCENTS = r"\p{Mn}"


def _remainder(a: Any, b: Any) -> Any:
    return pc.subtract(a, pc.multiply(b, pc.trunc(pc.divide(a, b))))


_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "+": pc.add, "-": pc.subtract, "*": pc.multiply, "/": pc.divide, "^": pc.power, "%": _remainder,
    "div": lambda a, b: pc.trunc(pc.divide(a, b)),
}  # fmt: skip
_ARRAY = ("a_contains", "a_containedby", "a_equals", "a_overlaps")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One filter over some rows of a view.

    Attributes:
        view: The entities.
        rows: Which of them.
        place: How coordinates in the filter are meant.
    """

    view: View
    rows: Rows
    place: Place

    def field(self, name: str) -> Field:
        """A property. Raises `FilterError` where there is none of this name."""
        found = self.view.fields.get(name)
        if found is None:
            raise refused(f"There is no property {name[:60]!r}; `queryables` lists them.")
        return found

    def column(self, name: str) -> pa.Array:
        """Values of a property for the rows."""
        column = self.view.table[self.field(name).column]
        taken = column if len(self.rows) == len(column) else column.take(pa.array(self.rows))
        flat = taken.combine_chunks()
        flat = pa.concat_arrays(flat.chunks) if isinstance(flat, pa.ChunkedArray) else flat
        return flat.cast(pa.string()) if pa.types.is_null(flat.type) else flat

    def value(self, node: Node) -> Value:
        """What a node stands for."""
        if isinstance(node, dict) and "property" in node:
            return self.column(str(node["property"]))
        if isinstance(node, dict) and "op" in node:
            return self.operation(node)
        if isinstance(node, dict):
            return pa.scalar(instant(node), pa.timestamp("us", tz="UTC"))
        if isinstance(node, list):
            return [self.value(one) for one in node]
        return pa.scalar(node)

    def truth(self, node: Node) -> Any:
        """A condition: booleans, null where it is unknown."""
        value = self.value(node)
        if isinstance(value, list) or not pa.types.is_boolean(value.type):
            raise refused("A condition is expected where the filter has a plain value.")
        return value

    def operation(self, node: Node) -> Value:
        """The result of an operator or a function."""
        name, args = str(node["op"]), node.get("args", [])
        lower = name.lower()
        for names, handle in self._handlers().items():
            if lower in names:
                return handle(lower, args)
        raise refused(f"The function {name[:40]!r} is not known here.")

    def _handlers(self) -> dict[Any, Callable[[str, list[Node]], Value]]:
        return {
            ("and", "or", "not"): self._logic,
            tuple(_COMPARE): lambda op, args: self._compare(op, *_pair(args)),
            ("isnull",): lambda _, args: self._is_null(args),
            ("like",): lambda _, args: self._like(*_pair(args)),
            ("in",): lambda _, args: self._in(*_pair(args)),
            ("between",): lambda _, args: self._between(args),
            ("casei", "accenti"): self._folded,
            tuple(_ARITHMETIC): lambda op, args: self._arithmetic(op, *_pair(args)),
            _ARRAY: lambda op, args: self._array(op, *_pair(args)),
            SPATIAL: lambda op, args: spatial(op, _pair(args), self.view, self.rows, self.place),
            TEMPORAL: lambda op, args: temporal(op, _pair(args), self.column, len(self.rows)),
        }

    def _logic(self, op: str, args: list[Node]) -> Value:
        truths = [self.truth(one) for one in args]
        if op == "not":
            return pc.invert(truths[0]) if len(truths) == 1 else _wrong(op)
        if len(truths) < 2:
            _wrong(op)
        join = pc.and_kleene if op == "and" else pc.or_kleene
        found = truths[0]
        for one in truths[1:]:
            found = join(found, one)
        return found

    def _compare(self, op: str, left: Node, right: Node) -> Value:
        a, b = self.value(left), self.value(right)
        if isinstance(a, list) or isinstance(b, list):
            _wrong(op)
        a, b = _alike(a, b)
        return _run(_COMPARE[op], a, b)

    def _is_null(self, args: list[Node]) -> Value:
        if len(args) != 1:
            _wrong("isNull")
        if args[0] == {"property": GEOMETRY}:
            return pa.array(~np.isfinite(self.view.bounds[self.rows]).all(axis=1))
        return pc.is_null(self.value(args[0]))

    def _like(self, left: Node, right: Node) -> Value:
        texts, pattern = self.value(left), self.value(right)
        if not isinstance(pattern, pa.Scalar) or not pa.types.is_string(pattern.type) or not pattern.is_valid:
            raise refused("LIKE needs a pattern in quotes.")
        return _run(lambda one: pc.match_like(one, pattern.as_py()), texts)

    def _in(self, left: Node, right: Node) -> Value:
        value, choices = self.value(left), self.value(right)
        if not isinstance(choices, list):
            raise refused("IN needs a list of values.")
        found = pa.scalar(False)
        if _plain_strings(value, choices):
            found = pc.is_in(value, value_set=pa.array([one.as_py() for one in choices], pa.string()))
            return pc.if_else(pc.is_valid(value), found, pa.scalar(None, pa.bool_()))
        for one in choices:
            found = pc.or_kleene(found, _run(pc.equal, *_alike(value, one)))
        return found

    def _between(self, args: list[Node]) -> Value:
        if len(args) == 2 and isinstance(args[1], list):  # as drafts of CQL2 had it, and pygeofilter writes it
            args = [args[0], *args[1]]
        if len(args) != 3:
            _wrong("between")
        return pc.and_kleene(self._compare(">=", args[0], args[1]), self._compare("<=", args[0], args[2]))

    def _folded(self, op: str, args: list[Node]) -> Value:
        if len(args) != 1:
            _wrong(op)
        value = self.value(args[0])
        if isinstance(value, list):
            return [_fold(op, one) for one in value]
        return _fold(op, value)

    def _arithmetic(self, op: str, left: Node, right: Node) -> Value:
        a, b = (self._number(one) for one in (left, right))
        return _run(_ARITHMETIC[op], a, b)

    def _number(self, node: Node) -> Value:
        value = self.value(node)
        if isinstance(value, list) or not (pa.types.is_integer(value.type) or pa.types.is_floating(value.type)):
            raise refused("Arithmetic needs numbers on both sides.")
        return value.cast(pa.float64())

    def _array(self, op: str, left: Node, right: Node) -> Value:
        if isinstance(left, list):
            left, right = right, left
            op = {"a_contains": "a_containedby", "a_containedby": "a_contains"}.get(op, op)
        column, wanted = self.value(left), self.value(right)
        if isinstance(column, list) or not pa.types.is_list(column.type) or not isinstance(wanted, list):
            raise refused(f"{op} compares a property that is a list with a list of values.")
        return _lists(op, column, [one.as_py() for one in wanted])


def _pair(args: list[Node]) -> tuple[Node, Node]:
    if len(args) != 2:
        raise refused("An operator or function of the filter has the wrong number of arguments.")
    return args[0], args[1]


def _wrong(op: str) -> Any:
    raise refused(f"{op!r} is used with arguments it cannot take.")


def _run(kernel: Callable[..., Any], *values: Value) -> Any:
    """A kernel over values; types that do not fit each other are the client's mistake."""
    try:
        return kernel(*values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError):
        kinds = " and ".join(str(getattr(one, "type", "a list")) for one in values)
        raise refused(f"The filter puts {kinds} together, which cannot be done.") from None


def _alike(a: Value, b: Value) -> tuple[Value, Value]:
    """Both sides in one type: moments beside dates become moments, numbers beside decimals numbers."""
    kinds = (a.type, b.type)
    if any(pa.types.is_timestamp(kind) for kind in kinds):
        return _moments(a), _moments(b)
    if any(pa.types.is_decimal(kind) for kind in kinds):
        return tuple(_run(lambda one: one.cast(pa.float64()), one) for one in (a, b))
    text = [pa.types.is_string(kind) for kind in kinds]
    if text[0] != text[1] and not any(pa.types.is_null(kind) for kind in kinds):
        raise refused(f"The filter compares {kinds[0]} with {kinds[1]}.")
    return a, b


def _moments(value: Value) -> Value:
    if pa.types.is_date(value.type) or pa.types.is_timestamp(value.type):
        return value.cast(pa.timestamp("us", tz="UTC"))
    raise refused(f"The filter compares a time with {value.type}.")


def _plain_strings(value: Value, choices: list[Value]) -> bool:
    return all(not isinstance(one, list) and pa.types.is_string(one.type) for one in (value, *choices)) and all(
        isinstance(one, pa.Scalar) for one in choices
    )


def _fold(op: str, text: Value) -> Value:
    """Text without the difference of capitals, or of accents."""
    if isinstance(text, list):
        _wrong(op)
    if op == "casei":
        return _run(pc.utf8_lower, text)
    return _run(lambda one: pc.replace_substring_regex(pc.utf8_normalize(one, "NFD"), _ACCENTS, ""), text)


def _lists(op: str, column: pa.ListArray, wanted: list[Any]) -> pa.Array:
    """Lists as sets against a list: how many different wanted values each holds, and whether it holds others."""
    n = len(column)
    owner = pc.list_parent_indices(column).to_numpy()
    values = pc.list_flatten(column).to_numpy(zero_copy_only=False)
    choices = set(wanted)
    hits = np.zeros(n, np.int64)
    others = np.zeros(n, bool)
    known = np.zeros(len(values), bool)
    for choice in choices:
        same: NDArray[np.bool_] = np.asarray(values == choice, bool)
        hits[np.unique(owner[same])] += 1
        known |= same
    others[owner[~known]] = True
    result = {
        "a_contains": hits == len(choices),
        "a_containedby": ~others,
        "a_equals": (hits == len(choices)) & ~others,
        "a_overlaps": hits > 0,
    }[op]
    return pc.if_else(column.is_valid(), pa.array(result), pa.scalar(None, pa.bool_()))


def matching(view: View, rows: Rows, node: Node, place: Place) -> Rows:
    """The rows for which a filter holds.

    Raises:
        FilterError: The filter names what does not exist, or puts together what does not fit.
    """
    truth = Evaluation(view, rows, place).truth(node)
    if isinstance(truth, pa.Scalar):
        return rows if truth.as_py() else rows[:0]
    held: NDArray[np.bool_] = pc.fill_null(truth, False).to_numpy(zero_copy_only=False)
    return rows[held]
