"""Codes named in `twin.toml` become aliases in the index and stay in the registry."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from pipelines.build_result import REGISTRY
from pipelines.project import load_project
from pipelines.releases import write_csv
from pipelines.run import BuildOptions, build
from tests.pipelines.district import District, district
from twin.crs import beidou_grid
from twin.errors import MisuseError
from twin.registry.sqlite import Registry

TAIL = (
    '[source.fields]\nid = "id"\naliases = ["realty", "post:code"]\nkeep = ["use"]\n'
    '[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
)


def with_codes(root: Path, count: int = 40) -> District:
    made = district(root, count, tail=TAIL)
    made.fields = {
        **made.fields,
        "realty": [None if n % 7 == 0 else float(1000 + n) for n in range(count)],  # numbers as a DBF gives them
        "post:code": ["200050" if n % 2 else " " for n in range(count)],
    }
    return made


def test_the_index_holds_stated_codes_and_the_beidou_code_of_every_entity(tmp_path: Path) -> None:
    made = with_codes(tmp_path)
    made.build()
    rows = made.index.table.select(["source_key", "aliases", "lon", "lat"]).to_pylist()
    assert len(rows) == 40
    for row in rows:
        number = int(row["source_key"][1:])
        stated = [] if number % 7 == 0 else [f"realty:{1000 + number}"]
        stated += ["post.code:200050"] if number % 2 else []
        assert row["aliases"] == [*stated, f"beidou:{beidou_grid.encode([row['lon']], [row['lat']], 8)[0]}"]
    assert len(made.index.by_alias("post.code:200050")) == 20
    (row,) = made.index.by_alias("1001")
    assert made.index.record(row)["source_key"] == "H00001"


def test_without_alias_fields_every_entity_has_its_place_alone(tmp_path: Path) -> None:
    made = district(tmp_path, 10)
    made.build()
    assert [[text[:7] for text in row] for row in made.index.table["aliases"].to_pylist()] == [["beidou:"]] * 10
    with Registry.open(tmp_path / REGISTRY, "310105", read_only=True) as registry:
        assert all(registry.aliases(geid) == () for geid in made.index.table["geid"].to_pylist())


def test_the_registry_keeps_codes_that_are_no_longer_stated_and_lets_others_go_over(tmp_path: Path) -> None:
    made = with_codes(tmp_path)
    made.build()
    geids = made.geids()
    realty = list(made.fields["realty"])
    realty[1], realty[2], realty[3] = 9999.0, realty[3], None  # 1001 is given up, 1003 goes from house 3 to house 2
    made.fields = {**made.fields, "realty": realty}
    made.write().build()
    with Registry.open(tmp_path / REGISTRY, "310105", read_only=True) as registry:
        assert registry.alias("realty", "1001") == registry.alias("realty", "9999") == geids["H00001"]
        assert registry.alias("realty", "1003") == geids["H00002"]
        assert registry.named("realty:1002") == (geids["H00002"],)
        assert len(registry.named("200050")) == 20
        assert registry.alias("post.code", "200050") is None and registry.lookup("200050") is None
    assert made.index.by_alias("realty:1001") == []


def test_a_field_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    made = district(tmp_path, 3, tail='[source.fields]\nid = "id"\naliases = ["nowhere"]\n')
    with pytest.raises(MisuseError, match=r'no field "nowhere".*aliases') as caught:
        made.build()
    assert "use" in str(caught.value)


def test_the_csv_export_has_the_codes(tmp_path: Path) -> None:
    made = with_codes(tmp_path)
    made.build()
    sink = io.BytesIO()
    write_csv(made.index, sink)
    rows = {row["source_key"]: row["aliases"] for row in csv.DictReader(sink.getvalue().decode().splitlines())}
    assert rows["H00001"].split("; ")[:2] == ["realty:1001", "post.code:200050"]
    assert len(rows) == 40 and all(text.split("; ")[-1].startswith("beidou:N51H") for text in rows.values())


def test_codes_are_the_same_whatever_the_order_of_rows_and_blocks(tmp_path: Path) -> None:
    one, two = with_codes(tmp_path / "one"), with_codes(tmp_path / "two")
    two.order = list(reversed(range(40)))
    one.build()
    two.write()
    build(load_project(two.root), BuildOptions(workers=2))
    assert one.index.table.equals(two.index.table)
