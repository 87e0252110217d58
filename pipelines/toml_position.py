"""Where each key of a TOML text stands, so that a message about `twin.toml` can name the line (tomllib keeps none)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TypeAlias

#: A place in a parsed TOML document: keys of tables and indices of arrays, from the root.
Place: TypeAlias = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'")
_LONG = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]+")
_SPACE = re.compile(r"[ \t\r]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


def key_lines(text: str) -> dict[Place, int]:
    """Finds the line of every table, key and array element.

    Args:
        text: A TOML text that `tomllib` accepts; for any other text the answer is unspecified, without an error.

    Returns:
        The 1-based line by place. A table opened implicitly (by `[a.b]` or `a.b = 1`) gets the line that opens it.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


def nearest_line(lines: Mapping[Place, int], place: Place) -> int:
    """The line of a place, or of the closest table around it (1 where there is none)."""
    for length in range(len(place), 0, -1):
        line = lines.get(place[:length])
        if line is not None:
            return line
    return 1


class _Scanner:
    """A cursor over a TOML text; every method leaves it behind what it has read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Place, int] = {}
        self._length: dict[Place, int] = {}
        self._line, self._counted = 1, 0

    def document(self) -> None:
        table: Place = ()
        while self._skip(_BLANK) < len(self.text):
            start = self.at
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            if self.at == start:  # not TOML; tomllib has refused it already
                self.at += 1

    def _header(self) -> Place:
        line, array = self._here(), self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self._keys()
        self.at += 2 if array else 1
        place = self._inside((), keys[:-1]) + tuple(keys[-1:])
        if array:
            number = self._length.get(place, 0)
            self._length[place] = number + 1
            self.lines.setdefault(place, line)
            place += (number,)
        self._mark(place, line)
        return place

    def _inside(self, table: Place, keys: list[str]) -> Place:
        """Walks down from a table; the last element of an array of tables stands for the array."""
        place = table
        for key in keys:
            place += (key,)
            if place in self._length:
                place += (self._length[place] - 1,)
        return place

    def _pair(self, table: Place) -> None:
        line = self._here()
        keys = self._keys()
        place = table + tuple(keys)
        for length in range(len(table) + 1, len(place)):
            self.lines.setdefault(place[:length], line)
        self._mark(place, line)
        self._skip(_SPACE)
        if self._peek() == "=":
            self.at += 1
            self._skip(_SPACE)
            self._value(place)

    def _value(self, place: Place) -> None:
        opening = self._peek()
        if opening == "[":
            self._array(place)
        elif opening == "{":
            self._inline_table(place)
        elif opening in ('"', "'"):
            long = self.text.startswith(opening * 3, self.at)
            self._skip(_LONG if long else _QUOTED)
        else:
            self._skip(_SCALAR)

    def _array(self, place: Place) -> None:
        self.at += 1
        number = 0
        while self._skip(_BLANK) < len(self.text) and self._peek() != "]":
            start = self.at
            self._mark((*place, number), self._here())
            self._value((*place, number))
            number += 1
            self._skip(_BLANK)
            if self._peek() == ",":
                self.at += 1
            elif self.at == start:
                return
        self.at += 1

    def _inline_table(self, place: Place) -> None:
        self.at += 1
        while self._skip(_BLANK) < len(self.text) and self._peek() != "}":
            start = self.at
            self._pair(place)
            self._skip(_BLANK)
            if self._peek() == ",":
                self.at += 1
            elif self.at == start:
                return
        self.at += 1

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if self._peek() != ".":
                return keys
            self.at += 1

    def _key(self) -> str:
        found = (_QUOTED if self._peek() in ('"', "'") else _BARE_KEY).match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return _unquote(found.group())

    def _mark(self, place: Place, line: int) -> None:
        """Notes a place that is stated outright, and the tables it opens on the way."""
        for length in range(1, len(place)):
            self.lines.setdefault(place[:length], line)
        self.lines[place] = line

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return self.at

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _here(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line


def _unquote(key: str) -> str:
    if key[:1] == "'":
        return key[1:-1]
    if key[:1] == '"' and "\\" in key:
        try:
            return str(tomllib.loads(f"key = {key}")["key"])
        except tomllib.TOMLDecodeError:
            return key[1:-1]
    return key[1:-1] if key[:1] == '"' else key
