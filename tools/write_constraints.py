"""Writes the versions installed in this Python environment into `constraints.txt`, so that all set-ups are alike.

make constraints        # after the tests have passed with new versions
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "constraints.txt"
#: The project itself, and what `venv` brings.
_PROJECT = "district-twin"
_LEFT_OUT = frozenset({_PROJECT, "pip"})
#: What builds and installs it.
_TOOLS = ("setuptools", "wheel")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HEAD = """\
# Exact versions the tests have passed with; `make` installs these. Written by `make constraints`, never by hand.
# pyproject.toml states the ranges a user may install.
"""


def normalise(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Version of every distribution the project needs in this environment, extras included, by normalised name.

    What somebody has installed beside it for himself is left out.
    """
    there = {normalise(one.metadata["Name"]): one for one in distributions()}
    waiting, needed = [_PROJECT, *_TOOLS], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in needed and name in there:
            needed.add(name)
            # Extras of all: a version too many does no harm, one too few makes set-ups differ.
            waiting += [normalise(_NAME.match(line)[0]) for line in there[name].requires or ()]  # type: ignore[index]
    return {name: there[name].version for name in sorted(needed - _LEFT_OUT)}


def main() -> None:
    """Writes the file."""
    lines = [f"{name}=={version}" for name, version in installed().items()]
    TARGET.write_text(_HEAD + "\n".join(lines) + "\n")
    print(f"{TARGET.name}: {len(lines)} versions")


if __name__ == "__main__":
    main()
