"""The notebooks run from the first cell to the last, draw a picture, and are committed without outputs."""

from __future__ import annotations

import base64
import io
import os
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert [one.name for one in NOTEBOOKS] == ["district.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda one: one.name)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda one: one.name)
def test_a_notebook_runs_and_shows_a_picture(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    book = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's own libraries
        NotebookClient(
            book, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
        ).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for number, picture in enumerate(pictures):
        content = base64.b64decode(picture)
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50, "the picture is empty"
        if folder := os.environ.get("TWIN_KEEP_PICTURES"):
            (Path(folder) / f"{path.stem}-{number}.png").write_bytes(content)
