"""Outside judges are read by their reports, not by their exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from twin.errors import StoreError
from twin.tiles.external import Judgement, read_tileset_report, validate_gltf, validate_tileset

REPORT = {
    "numErrors": 1,
    "numWarnings": 1,
    "numInfos": 1,
    "issues": [
        {
            "type": "CONTENT_VALIDATION_ERROR",
            "path": "a.glb",
            "message": "bad",
            "severity": "ERROR",
            "causes": [{"type": "UNUSED", "path": "", "message": "view", "severity": "INFO"}],
        },
        {"type": "X", "message": "odd", "severity": "WARNING"},
    ],
}


def program(folder: Path, body: str) -> Path:
    """A stand-in for the validator: a program that takes `-t TILESET -r REPORT`."""
    file = folder / "3d-tiles-validator"
    file.write_text(f"#!{sys.executable}\nimport sys\ntarget = sys.argv[sys.argv.index('-r') + 1]\n{body}\n")
    file.chmod(0o755)
    return file


def test_a_validator_that_exits_with_0_still_tells_of_errors(tmp_path):
    file = program(tmp_path, f"open(target, 'w').write({json.dumps(json.dumps(REPORT))})")
    assert validate_tileset(tmp_path / "tileset.json", str(file)) == Judgement(
        str(tmp_path / "tileset.json"), 1, 1, ("CONTENT_VALIDATION_ERROR: bad (a.glb)", "X: odd ()")
    )


def test_a_validator_that_is_not_installed_says_nothing(tmp_path):
    assert validate_tileset(tmp_path / "tileset.json", str(tmp_path / "absent")) is None


def test_a_validator_that_writes_no_report_or_breaks_is_not_taken_for_content(tmp_path):
    with pytest.raises(StoreError, match="no report"):
        validate_tileset(tmp_path / "tileset.json", str(program(tmp_path, "pass")))
    with pytest.raises(StoreError, match="ran out of luck"):
        validate_tileset(tmp_path / "tileset.json", str(program(tmp_path, "sys.exit('ran out of luck')")))
    with pytest.raises(StoreError, match="no such validator"):
        broken = tmp_path / "node"
        broken.write_text("#!/bin/sh\ncat > /dev/null; echo no such validator >&2; exit 1\n")
        broken.chmod(0o755)
        validate_gltf([tmp_path / "a.glb"], tmp_path, str(broken))


def test_causes_are_gathered_however_deep_they_lie():
    deep = {"type": "A", "message": "a", "severity": "INFO", "causes": [REPORT["issues"][0]]}
    report = {"numErrors": 1, "numWarnings": 0, "issues": [{**deep, "causes": [deep]}]}
    assert read_tileset_report("f", report).messages == ("CONTENT_VALIDATION_ERROR: bad (a.glb)",)
