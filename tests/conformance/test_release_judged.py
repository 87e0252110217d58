"""Whole releases, as `twin build` publishes them, judged by glTF-Validator and by our own invariants."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.releases import validate_release
from tests.pipelines.district import district


@pytest.mark.parametrize("compression", ["meshopt", "none"])
@pytest.mark.parametrize(("encoder", "store"), [("explicit", "sqlite"), ("implicit", "directory"), ("explicit", "3tz")])
def test_a_release_has_no_error_and_no_warning(
    tmp_path: Path, judges: Path, encoder: str, store: str, compression: str
) -> None:
    settings = f'encoder = "{encoder}"\nstore = "{store}"\ncompression = "{compression}"\n'
    made = district(tmp_path, output=settings)
    made.fields["height"][::7] = float("nan")  # type: ignore[index]
    result = made.build()
    assert result.report.layers[0].reasons["height_missing"] == 43
    verdict = validate_release(made.release, judges / "gltf-validator")
    assert (verdict.errors, verdict.warnings, verdict.issues) == (0, 0, ())
    assert "gltf-validator" in verdict.judgements
    assert verdict.checked["features"] == 300 and verdict.checked["tiles"] > 1
