"""The whole sample district: what its first complete view costs, counted by the browser and by the server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from data_samples.generate import generate_district
from pipelines.project import load_project
from pipelines.run import BuildOptions, build
from tests.e2e.served import Served, serving
from tests.e2e.visit import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]
#: The issue's limits.
MOST_BYTES, MOST_REQUESTS = 6_000_000, 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample district as `twin demo` builds it."""
    toml = generate_district(tmp_path_factory.mktemp("whole"))
    build(load_project(toml.parent), BuildOptions())
    return toml.parent


def answered(served: Served) -> int:
    """Requests the server has answered, by its own count."""
    assert served.metrics is not None
    with urlopen(served.metrics, timeout=10) as page:
        text = page.read().decode()
    counts = re.findall(r"^http_server_request_duration_seconds_count\{.*\} (\S+)$", text, re.MULTILINE)
    return round(sum(map(float, counts)))


def test_the_first_complete_view_keeps_to_the_limits(
    whole: Path, built_viewer: None, visit: Callable[[Served], Visit], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(whole, "--metrics-port", "0") as served:
        page = visit(served).go("")
        traffic = page.traffic()
        assert traffic.requests == answered(served)  # workers and icons, too: nothing escapes the count
        page.screenshot("district")
        with capsys.disabled():
            print(f"\nsample district, first complete view: {traffic}")
        assert page.tiles()
        assert traffic.bytes <= MOST_BYTES
        assert traffic.requests <= MOST_REQUESTS
