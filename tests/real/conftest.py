"""Where the real data sets lie; they are read in place and never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Names the folder; stating it is a promise that it is there.
VARIABLE = "TWIN_TEST_DATA"
BESIDE = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets, at `TWIN_TEST_DATA` or beside the clone.

    Skips where it is absent, on CI too, since a clone may stand anywhere; fails where the variable names no folder.
    """
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else BESIDE
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"{VARIABLE} names {folder}, which is not a folder", pytrace=False)
    pytest.skip(f"the real data sets are not at {BESIDE}; {VARIABLE} names another place")
