"""docs/project-file.md describes every key as it is, and its examples are read by the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.project import KEYS, Key, parse_project

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "project-file.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
TABLES = {re.split(r"[.\[]", key.dotted)[0] for key in KEYS}


def row(key: Key) -> str:
    default = key.default if key.default in ("required", "none") else f"`{key.default}`"
    kind, description = (text.replace("|", "\\|") for text in (key.type, key.description))
    return f"| `{key.dotted}` | {kind} | {default} | {description} |"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.dotted)
def test_every_key_stands_in_the_docs_with_type_default_and_meaning(key: Key) -> None:
    assert row(key) in TEXT


def test_the_docs_describe_no_key_that_is_not_there() -> None:
    assert re.findall(r"^\| `([^`]+)` \|", TEXT, re.MULTILINE) == [key.dotted for key in KEYS]


def test_every_key_is_shown_in_an_example() -> None:
    shown = set(re.findall(r"^(?:#\s*)?([a-z_0-9]+) =", "\n".join(EXAMPLES), re.MULTILINE))
    assert {key.dotted.rsplit(".", 1)[-1] for key in KEYS} <= shown | {"geoid_undulation_m", "crs"}


def test_the_first_example_is_a_whole_project() -> None:
    assert parse_project(EXAMPLES[0], Path("twin.toml")).project.name == "Changning"


BASE = {
    "project": '[project]\nname="x"\nadmin_code="310105"\nworking_crs="EPSG:4549"\nvertical_datum="ellipsoid"\n',
    "source": '[[source]]\nname="s"\npath="x.shp"\n',
    "ground": '[[source.ground]]\nfrom="constant"\nelevation_m=1\n',
}


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=lambda text: text.split("\n", 1)[0])
def test_each_fragment_fits_into_a_project(example: str) -> None:
    parts = [] if example.startswith("[project]") else [BASE["project"]]
    parts += [] if example.startswith("[[source]]") or example.startswith("[project]") else [BASE["source"]]
    parts += [example]
    parts += [BASE["source"]] if example.startswith("[project]") else []
    after = any(table in example for table in ("[layers", "[output", "[registry"))
    parts = [*parts[:-1], BASE["ground"], parts[-1]] if after else [*parts, BASE["ground"]]
    assert parse_project("\n".join(parts), Path("twin.toml"))
