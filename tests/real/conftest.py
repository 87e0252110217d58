"""Where the real data sets lie; they are read in place and never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; skips where it is absent, fails there under CI."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("TWIN_TEST_DATA", beside))
    if not folder.is_dir():
        message = f"real data not found at {folder}; set TWIN_TEST_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
