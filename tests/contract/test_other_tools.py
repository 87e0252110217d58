"""Archives judged by 3d-tiles-tools, where it is installed (npm, folder named by TWIN_3D_TILES_TOOLS)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from twin.store.base import precompress
from twin.store.open import open_store, open_writer

CONTENT = {
    "tileset.json": json.dumps({"asset": {"version": "1.1"}, "geometricError": 0, "root": {}}, indent=4).encode(),
    "t/a.glb": b"glTF" + bytes(5000),
    "t/stored.glb": os.urandom(300),
}


@pytest.fixture
def tool() -> list[str]:
    folder = os.environ.get("TWIN_3D_TILES_TOOLS")
    if not folder:
        pytest.skip("3d-tiles-tools not named by TWIN_3D_TILES_TOOLS (folder with node_modules)")
    return [str(Path(folder) / "node_modules" / ".bin" / "3d-tiles-tools"), "convert", "-f"]


def test_our_archive_is_unpacked_by_it_and_its_archive_is_read_by_us(tool: list[str], tmp_path: Path) -> None:
    with open_writer(tmp_path / "ours.3tz", "3tz") as writer:
        for key, data in CONTENT.items():
            writer.put(key, data, precompress(data, ["gzip"]))
        writer.commit()
    for source, target in (("ours.3tz", "plain"), ("plain", "theirs.3tz")):
        subprocess.run([*tool, "-i", source, "-o", target], cwd=tmp_path, check=True, capture_output=True)
    assert {key: (tmp_path / "plain" / key).read_bytes() for key in CONTENT} == CONTENT
    with open_store(tmp_path / "theirs.3tz") as store:
        assert {key: store.read(key) for key in store.keys()} == CONTENT  # noqa: SIM118
