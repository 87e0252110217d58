"""Reads a filter in CQL2 text or JSON: the library parses, this guards it against hostile nesting.

The parser is a recursive one in compiled code; a few thousand brackets overflow its stack and end the process, so
what it gets is measured first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import cql2
import orjson

from twin.errors import MisuseError

TEXT, JSON = "cql2-text", "cql2-json"
LONGEST = 8000
DEEPEST = 50
_MOST_NODES = 3000
_LITERAL = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_OPERATOR = re.compile(r"\b(?:AND|OR|NOT)\b|[-+*/%^]|\bdiv\b", re.IGNORECASE)
_MOST_OPERATORS = 200

Node = Any
"""A node of the CQL2 JSON encoding: an object with `op` and `args`, a property, a literal, or a list of nodes."""


class FilterError(MisuseError):
    """A filter that cannot be answered."""


def refused(told: str) -> FilterError:
    """The error that says why."""
    return FilterError(told)


def parse(text: str, language: str) -> Node:
    """A filter as CQL2 JSON.

    Args:
        text: The filter.
        language: `cql2-text` or `cql2-json`.

    Raises:
        FilterError: It is too long, too deep, or not CQL2.
    """
    if len(text) > LONGEST:
        raise refused(f"A filter has at most {LONGEST} characters.")
    source = _guarded_text(text) if language == TEXT else _guarded_json(text)
    try:
        node = cql2.Expr(source).to_json()
    except Exception as error:  # the library raises bare ones for what it cannot parse, and does nothing but parse
        raise refused(f"The filter is not {language}: {_reason(error)}") from None
    if depth(node) > 2 * _MOST_OPERATORS:
        raise refused("The filter is nested too deeply.")
    return node


def _reason(error: Exception) -> str:
    """The first words of what the parser says, on one line, without what it repeats of the filter."""
    return " ".join(str(error).split())[:200] or "it cannot be read."


def _guarded_text(text: str) -> str:
    """The text itself, once its brackets and operators have been counted; what stands in quotes does not count."""
    bare = _LITERAL.sub("''", text)
    level = deepest = 0
    for letter in bare:
        level += (letter == "(") - (letter == ")")
        deepest = max(deepest, level)
    if deepest > DEEPEST or len(_OPERATOR.findall(bare)) > _MOST_OPERATORS:
        raise refused(f"A filter has at most {DEEPEST} levels of brackets and {_MOST_OPERATORS} operators.")
    return text


def _guarded_json(text: str) -> Any:
    try:
        node = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise refused("The filter is not JSON.") from None
    if depth(node) > DEEPEST or sum(1 for _ in walk(node)) > _MOST_NODES:
        raise refused(f"A filter has at most {DEEPEST} levels and {_MOST_NODES} parts.")
    if not isinstance(node, dict | bool):
        raise refused("A filter in CQL2 JSON is an object.")
    return node


def _children(node: Node) -> list[Node]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def depth(node: Node) -> int:
    """How deep objects and lists lie inside each other, counted without recursion."""
    level, found = [node], 0
    while level:
        level = [child for one in level for child in _children(one)]
        found += 1
    return found


def walk(node: Node) -> Iterator[Node]:
    """Every part of a filter."""
    left = [node]
    while left:
        one = left.pop()
        yield one
        left.extend(_children(one))


def properties(node: Node) -> set[str]:
    """Names of the properties a filter mentions."""
    return {one["property"] for one in walk(node) if isinstance(one, dict) and isinstance(one.get("property"), str)}
