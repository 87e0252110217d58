"""The commands the documents tell a reader to type run, in the order they stand there.

A block that follows the line `<!-- tested -->` is run by bash, a line at a time, in a folder that looks like a clone to
the reader: `data_samples/` is there, and `data/` holds the files of a survey office. `# exit code N` at the end of a
line states an exit code other than 0 or 3.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRACT = ROOT / "data_samples" / "extract"
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "user-guide.md"]
_BLOCK = re.compile(r"<!-- tested -->\n```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_STATED = re.compile(r"# exit code (\d)")


def commands(document: Path) -> list[str]:
    """Command lines in order; a line that ends in a backslash goes on in the next."""
    blocks = _BLOCK.findall(document.read_text(encoding="utf-8"))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def stand_in(folder: Path) -> None:
    """Lays out what a reader has: the clone's sample, and a folder of survey files."""
    shutil.copytree(EXTRACT, folder / "data_samples" / "extract")
    shutil.copytree(EXTRACT / "buildings", folder / "data" / "buildings")
    shutil.copytree(EXTRACT / "dem", folder / "data" / "dem")


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module", params=DOCUMENTS, ids=lambda path: path.name)
def followed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A document and the folder in which its commands have been typed."""
    folder = tmp_path_factory.mktemp(request.param.stem)
    stand_in(folder)
    for line in commands(request.param):
        stated = _STATED.search(line)
        done = run(line, folder)
        assert done.returncode in ({int(stated[1])} if stated else {0, 3}), f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, line
    return request.param, folder


@pytest.mark.slow
def test_the_commands_lead_to_a_district_that_is_served(followed: tuple[Path, Path]) -> None:
    document, folder = followed
    current = json.loads((folder / "district" / "out" / "current.json").read_text())
    assert current["previous"] is not None, f"{document.name} shows a build, a change and the way back"
    done = run("twin info -C district --json", folder)
    facts = json.loads(done.stdout)
    assert facts["release"] == current["release"]
    assert facts["report"]["layers"]["buildings"]["read"] == 716
    assert (folder / "district" / "check.html").stat().st_size > 10_000
    assert (folder / "entities.csv").read_text(encoding="utf-8").count("\n") == facts["entities"] + 1


def test_the_documents_show_every_command_that_ends_by_itself() -> None:
    shown = {word for one in DOCUMENTS for line in commands(one) for word in re.findall(r"\btwin ([a-z]+)", line)}
    assert shown >= {"init", "check", "build", "validate", "entities", "info", "id", "rollback"}


def test_every_document_has_commands_that_are_run() -> None:
    assert all(len(commands(document)) >= 6 for document in DOCUMENTS)
