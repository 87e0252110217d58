"""The line of every key is found, in whatever style the file is written."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.toml_position import key_lines, nearest_line

KEY = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_-]{0,5}", fullmatch=True),
    st.sampled_from(["工业", "a.b", "with space", 'quo"te', "#no", "[x]", "=", ""]),
)
SCALAR = st.one_of(
    st.integers(-999, 999),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\x7f"), max_size=8),
    st.sampled_from(["]", "}", ",", "# no comment", '"""', "'''", "a\nb\n[c]\nd = 1", "\\"]),
)
TREE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEY, inner, max_size=3)),
    max_leaves=12,
)


class Writer:
    """Writes a document in drawn styles and notes the line of every key as it goes: the oracle."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.place: dict[tuple[str | int, ...], int] = {}
        self.text = ""

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def key(self, key: str) -> str:
        bare = key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()
        quotes = [json.dumps(key, ensure_ascii=False)]
        quotes += [key] if bare else []
        quotes += [f"'{key}'"] if "'" not in key else []
        return self.draw(st.sampled_from(quotes))

    def scalar(self, value: Any) -> None:
        if isinstance(value, str) and self.draw(st.booleans()):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            escaped = "".join(c if c == "\n" or ord(c) >= 32 else f"\\u{ord(c):04x}" for c in escaped)
            self.text += f'"""\n{escaped}"""'
        elif isinstance(value, str):
            self.text += json.dumps(value, ensure_ascii=False)
        else:
            self.text += json.dumps(value)

    def value(self, value: Any, place: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for number, (key, item) in enumerate(value.items()):
                self.text += ", " if number else ""
                self.place[(*place, key)] = self.line
                self.text += f"{self.key(key)} = "
                self.value(item, (*place, key))
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for number, item in enumerate(value):
                self.text += self.draw(st.sampled_from(["", "\n", " # ] } ,\n\n  "]))
                self.place[(*place, number)] = self.line
                self.value(item, (*place, number))
                self.text += self.draw(st.sampled_from([",", " ,", "\n,"]))
            self.text += "]"
        else:
            self.scalar(value)

    def table(self, table: dict[str, Any], place: tuple[str | int, ...], names: list[str]) -> None:
        later = []
        for key, value in table.items():
            tables = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
            if (isinstance(value, dict) or tables) and self.draw(st.booleans()):
                later.append((key, value))
                continue
            self.text += self.draw(st.sampled_from(["", "\n", "# key = 1\n", "  "]))
            self.place[(*place, key)] = self.line
            self.text += f"{self.key(key)} = "
            self.value(value, (*place, key))
            self.text += self.draw(st.sampled_from(["\n", "  # comment\n", "\r\n"]))
        for key, value in later:
            items = [value] if isinstance(value, dict) else value
            for number, item in enumerate(items):
                head = [*names, self.key(key)]
                inside = (*place, key) if isinstance(value, dict) else (*place, key, number)
                self.place.setdefault((*place, key), self.line)
                self.place[inside] = self.line
                dotted = ".".join(head)
                self.text += f"[{dotted}]\n" if isinstance(value, dict) else f"[[ {dotted} ]] # x\n"
                self.table(item, inside, head)


@st.composite
def documents(draw: Any) -> Writer:
    writer = Writer(draw)
    writer.document = draw(st.dictionaries(KEY, TREE, max_size=4))  # type: ignore[attr-defined]
    writer.table(writer.document, (), [])  # type: ignore[attr-defined]
    return writer


@given(documents())
def test_every_key_and_element_is_found_in_its_line(writer: Any) -> None:
    assert tomllib.loads(writer.text) == writer.document
    assert key_lines(writer.text) == writer.place


@given(st.text(alphabet="a.=[]{}\"'\\#\n, 1_\t", max_size=60))
def test_any_text_ends_without_an_error(text: str) -> None:
    key_lines(text)


def test_dotted_keys_open_their_tables_in_the_same_line() -> None:
    lines = key_lines("x = 1\nfruit . apple.'smooth' = true\nfruit.pear = 2\n")
    assert lines[("fruit",)] == lines[("fruit", "apple")] == lines[("fruit", "apple", "smooth")] == 2
    assert lines[("fruit", "pear")] == 3


def test_rules_belong_to_the_last_source_before_them() -> None:
    lines = key_lines(
        "[[source]]\n[[source.height]]\n[[source]]\n[source.fields]\nid='A'\n[[source.height]]\nfrom='x'\n"
    )
    assert lines[("source", 0, "height", 0)] == 2
    assert lines[("source", 1, "fields", "id")] == 5
    assert lines[("source", 1, "height", 0, "from")] == 7


def test_a_missing_key_is_told_at_the_table_around_it() -> None:
    lines = key_lines("\n[project]\nname = 'x'\n")
    assert nearest_line(lines, ("project", "admin_code")) == 2
    assert nearest_line(lines, ("nowhere",)) == 1
