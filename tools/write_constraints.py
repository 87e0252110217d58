"""Writes the versions installed in this Python environment into `constraints.txt`, so that all set-ups are alike.

make constraints        # after the tests have passed with new versions
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "constraints.txt"
#: The project itself, and what `venv` brings.
_LEFT_OUT = frozenset({"district-twin", "pip"})
_HEAD = """\
# Exact versions the tests have passed with; `make` installs these. Written by `make constraints`, never by hand.
# pyproject.toml states the ranges a user may install.
"""


def normalise(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Version of every distribution in this environment, by normalised name."""
    found = {normalise(one.metadata["Name"]): one.version for one in distributions()}
    return {name: version for name, version in sorted(found.items()) if name not in _LEFT_OUT}


def main() -> None:
    """Writes the file."""
    lines = [f"{name}=={version}" for name, version in installed().items()]
    TARGET.write_text(_HEAD + "\n".join(lines) + "\n")
    print(f"{TARGET.name}: {len(lines)} versions")


if __name__ == "__main__":
    main()
