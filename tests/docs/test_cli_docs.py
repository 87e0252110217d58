"""docs/cli.md lists every command and every option of the command line, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pipelines.cli import COMMANDS, make_app

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "cli.md").read_text(encoding="utf-8")


#: The command line as click sees it (typer may bring a click of its own, so no type is named).
GROUP: Any = typer.main.get_command(make_app())
#: Name of a command to its section; "" for the options of all commands.
SECTIONS = {
    heading.removeprefix("`twin ").removesuffix("`"): body
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}


def names(command: Any) -> set[str]:
    """Every way to write every option, `--help` left out: it is told once for all."""
    return {
        name
        for option in command.params
        if option.param_type_name == "option" and not option.hidden
        for name in (*option.opts, *option.secondary_opts)
    } - {"--help", "-h"}


def documented(section: str) -> set[str]:
    """What the first column of the section's tables names, without what follows the option."""
    cells = re.findall(r"^\| ((?:`-[^|]*?)) \|", section, re.MULTILINE)
    return {written.split()[0] for cell in cells for written in re.findall(r"`(-[^`]+)`", cell)} - {"--help", "-h"}


def test_there_is_a_section_for_every_command_and_for_no_other() -> None:
    assert set(GROUP.commands) == {*COMMANDS, "serve"}
    assert set(SECTIONS) - {"For all commands"} == set(GROUP.commands)


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_the_section_of_a_command_lists_exactly_its_options(name: str) -> None:
    assert documented(SECTIONS[name]) == names(GROUP.commands[name])


def test_the_options_of_all_commands_are_listed() -> None:
    assert documented(SECTIONS["For all commands"]) == names(GROUP)


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_the_table_at_the_top_names_every_command(name: str) -> None:
    assert f"[`twin {name}`](#twin-{name})" in TEXT


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_the_defaults_the_docs_state_are_those_of_the_program(name: str) -> None:
    for option in GROUP.commands[name].params:
        for row in re.findall(rf"^\| `{re.escape(option.opts[0])}[ `].*$", SECTIONS[name], re.MULTILINE):
            stated = re.search(r"default(?::)? `?([\w.]+)`?", row)
            if stated and stated[1] not in ("here", "standard"):
                assert str(option.default) == stated[1], row


def test_no_document_uses_an_option_that_is_not_there() -> None:
    used = 0
    for document in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        for name, rest in re.findall(r"\btwin ([a-z]+)((?:[^\n`#|]|\\\n)*)", document.read_text(encoding="utf-8")):
            if name not in GROUP.commands:
                continue
            written = {word.split("=")[0] for word in rest.split() if re.match(r"--?[a-zA-Z]", word)}
            used += len(written)
            known = names(GROUP.commands[name]) | names(GROUP) | {"--help", "-h"}
            assert written <= known, (document.name, name, written - known)
    assert used > 30
