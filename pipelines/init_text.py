"""Writes a `twin.toml` for people: every value with a remark, every guess marked, every blank loud."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.project_check import BLANK
from twin.errors import MisuseError

_WIDTH = 110

_HEAD = f"""\
# twin.toml: what this district is made of. Written by `twin init`; it is yours to edit.
#   GUESS      was guessed from the data for the reason given: check it
#   {BLANK}    nobody can guess this; every command but `init` stops until you write it
# All keys: docs/project-file.md. Next: `twin check`, then `twin build`.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file.

    Attributes:
        key: The key; empty for a remark on a line of its own.
        value: What to write; a `Blank` for what only the user knows.
        note: A remark.
        guess: Why this was guessed; empty where it is certain.
        off: Written as a comment, to be switched on by the user.
    """

    key: str
    value: Any = None
    note: str = ""
    guess: str = ""
    off: bool = False


@dataclass(frozen=True, slots=True)
class Blank:
    """A value only the user knows: what to write."""

    text: str


@dataclass(frozen=True, slots=True)
class Literally:
    """A value that is TOML already."""

    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file: its header and its lines."""

    header: str
    entries: tuple[Entry, ...]
    remark: str = ""


def render(sections: Sequence[Section]) -> str:
    """The text of the whole file."""
    parts = [_HEAD]
    for section in sections:
        lines = ["", *(f"# {line}" for line in section.remark.splitlines())]
        lines += [section.header, *(line for entry in section.entries for line in _lines(entry))]
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def guesses(sections: Iterable[Section]) -> Iterator[tuple[str, str, Any, str]]:
    """(header, key, value, why) of everything that was guessed."""
    for section in sections:
        for entry in section.entries:
            if entry.guess and not entry.off:
                yield section.header, entry.key, entry.value, entry.guess


def toml_value(value: Any) -> str:
    """Writes a value as TOML.

    Raises:
        MisuseError: A file name that is not Unicode.
    """
    if isinstance(value, Blank):
        return toml_value(f"{BLANK}: {value.text}")
    if isinstance(value, Literally):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        inner = ", ".join(toml_value(item) for item in value)
        return f"[{inner}]" if len(inner) < _WIDTH else "[\n" + "".join(f"  {toml_value(v)},\n" for v in value) + "]"
    return repr(float(value)) if isinstance(value, float) else str(value)


def _string(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MisuseError(
            f"the name {text!r} is not valid Unicode and cannot be written into twin.toml", next_step="rename the file"
        ) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(entry: Entry) -> list[str]:
    remark = f"GUESS: {entry.guess}" if entry.guess else ""
    remark = _one_line("; ".join(part for part in (remark, entry.note) if part))
    if not entry.key:
        return [f"# {remark}"]
    text = f"{entry.key} = {toml_value(entry.value)}"
    if entry.off:
        text = "\n".join(f"# {line}" for line in text.split("\n"))
    if not remark:
        return [text]
    if len(text) + len(remark) + 5 <= _WIDTH and "\n" not in text:
        return [f"{text}  # {remark}"]
    return [f"# {remark}", text]


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
