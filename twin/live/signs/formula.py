"""Arithmetic over the terms of an indicator, written as text and read without ever running it as a program."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.errors import MisuseError

Floats = NDArray[np.float64]

_MOST_SIGNS = 400
_BINARY: dict[type[ast.operator], Callable[[Floats, Floats], Floats]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLS: dict[str, Callable[..., Floats]] = {"min": np.minimum, "max": np.maximum}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that can be worked out.

    Attributes:
        text: As it was written.
        names: The terms in it.
    """

    text: str
    names: frozenset[str]
    _tree: ast.expr = field(repr=False, compare=False)

    def __call__(self, terms: Mapping[str, Floats]) -> Floats:
        """(n,) values; NaN where a term is NaN, or something is divided by nothing.

        Args:
            terms: (n,) of every name.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.asarray(_worked_out(self._tree, terms), dtype=np.float64)
        return np.where(np.isfinite(found), found, np.nan)


def parse_formula(text: str) -> Formula:
    """Reads a formula: numbers, names, `+ - * /`, brackets, `min(a, b)`, `max(a, b)`.

    Raises:
        MisuseError: It is too long, no expression, or holds anything else.
    """
    if len(text) > _MOST_SIGNS:
        raise _refused(text[:40] + "...", f"is longer than {_MOST_SIGNS} characters")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refused(text, "is no expression") from None
    names: set[str] = set()
    _check(tree, text, names)
    return Formula(text, frozenset(names), tree)


def _check(node: ast.expr, text: str, names: set[str]) -> None:
    match node:
        case ast.Name(id=name):
            names.add(name)
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            pass
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            _check(left, text, names)
            _check(right, text, names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, text, names)
        case ast.Call(func=ast.Name(id=name), args=[left, right], keywords=[]) if name in _CALLS:
            _check(left, text, names)
            _check(right, text, names)
        case _:
            raise _refused(text, f"holds {ast.unparse(node)[:40]!r}, which is no arithmetic over terms")


def _worked_out(node: ast.expr, terms: Mapping[str, Floats]) -> Floats:
    match node:
        case ast.Name(id=name):
            return terms[name]
        case ast.Constant(value=int() | float() as number):
            return np.asarray(number, dtype=np.float64)
        case ast.BinOp(left=left, op=sign, right=right):
            return _BINARY[type(sign)](_worked_out(left, terms), _worked_out(right, terms))
        case ast.UnaryOp(operand=operand):
            return -_worked_out(operand, terms)
        case ast.Call(func=ast.Name(id=name), args=[left, right]):
            return _CALLS[name](_worked_out(left, terms), _worked_out(right, terms))
    raise AssertionError(ast.dump(node))  # `parse_formula` lets nothing else through


def _refused(text: str, what: str) -> MisuseError:
    step = "write numbers, names of terms, + - * /, brackets, min(a, b) and max(a, b)"
    return MisuseError(f"the formula {text!r} {what}", next_step=step)
