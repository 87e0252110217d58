"""What the commands that look at a release need: find it, check it, list its entities."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipelines.build_result import LAST_BUILD
from pipelines.columns import ATTRIBUTE
from pipelines.project import Project, load_project, output_path
from twin.crs.reference import parse_crs, to_wgs84_lonlat
from twin.entity.index import EntityIndex
from twin.gltf.content import read_facts
from twin.report import Issue, Severity
from twin.store.base import TilesetStore, entries_of, etag_of
from twin.store.release import Release, open_current
from twin.tiles.check import inspect_tileset
from twin.tiles.external import Judgement, find_node, validate_gltf, validate_tileset


def served_release(directory: Path) -> tuple[Project, Release]:
    """The project of a folder and the release it serves.

    Raises:
        ProjectError: There is no project there.
        StoreError: Nothing has been built yet, or it is damaged.
    """
    project = load_project(directory)
    return project, open_current(output_path(project))


def release_facts(project: Project, release: Release) -> dict[str, Any]:
    """The release, its layers, tiles and digests, as `twin info --json` prints them."""
    last = output_path(project) / LAST_BUILD
    built = json.loads(last.read_bytes()) if last.exists() else {}
    index = EntityIndex.open(release.index)
    return {
        "release": release.id,
        "project": release.info["project"],
        "build_key": release.info["build_key"],
        "path": str(release.path),
        "entities": len(index),
        "layers": {
            name: {**release.info["layers"][name], "path": str(release.store_path(name))} for name in release.layers
        },
        "report": release.info["report"],
        "last_build": {key: built.get(key) for key in ("finished", "seconds", "tiles_written", "unchanged")},
    }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a release came to.

    Attributes:
        issues: Findings of our own invariants.
        judgements: What outside validators said, by the name of the program.
        absent: Outside validators that are not installed.
        checked: Counts of what was looked at.
    """

    issues: tuple[Issue, ...]
    judgements: dict[str, Judgement]
    absent: tuple[str, ...]
    checked: dict[str, int]

    @property
    def errors(self) -> int:
        """Errors of all judges."""
        own = sum(issue.severity is Severity.ERROR for issue in self.issues)
        return own + sum(one.errors for one in self.judgements.values())

    @property
    def warnings(self) -> int:
        """Warnings of all judges."""
        own = sum(issue.severity is Severity.WARNING for issue in self.issues)
        return own + sum(one.warnings for one in self.judgements.values())

    def to_json(self) -> dict[str, Any]:
        """As `twin validate --json` prints it."""
        return {
            "errors": self.errors,
            "warnings": self.warnings,
            "checked": self.checked,
            "findings": [issue.to_json() for issue in self.issues],
            "validators": {
                name: {"errors": one.errors, "warnings": one.warnings, "messages": list(one.messages[:50])}
                for name, one in self.judgements.items()
            },
            "not_installed": list(self.absent),
        }


def validate_release(release: Release, gltf_validator: Path | None) -> Verdict:
    """Runs our own invariants over every layer of a release, then the outside validators that are there.

    Args:
        release: The release.
        gltf_validator: Folder of the npm package `gltf-validator`, None where it is not installed.
    """
    issues: list[Issue] = []
    judgements: dict[str, Judgement] = {}
    absent: set[str] = set()
    checked = {"tiles": 0, "features": 0, "bytes": 0, "entities": 0}
    index = EntityIndex.open(release.index)
    for name in release.layers:
        with release.store(name) as store:
            found, summary = inspect_tileset(store.read, read_content=read_facts)
            issues += found
            issues += _index_agrees(index, name, summary.entities)
            issues += _digests_agree(store)
            checked["tiles"] += summary.tiles
            checked["features"] += summary.features
            checked["bytes"] += summary.bytes
            _outside(store, gltf_validator, judgements, absent)
    checked["entities"] = len(index)
    return Verdict(tuple(issues), judgements, tuple(sorted(absent)), checked)


def _index_agrees(index: EntityIndex, layer: str, drawn: dict[str, tuple[str, int]]) -> Iterator[Issue]:
    """The index and the tiles must say the same of every entity."""
    table = index.table.select(["geid", "layer", "tile", "row"])
    rows = table.filter(pa.compute.equal(table["layer"], layer)).to_pylist()
    stated = {row["geid"]: (row["tile"], row["row"]) for row in rows if row["tile"] is not None}
    for geid in sorted(set(stated) ^ set(drawn)):
        where = "index but in no tile" if geid in stated else "tile but not in the index"
        yield Issue("index_disagrees", Severity.ERROR, f"{geid} stands in the {where}", layer, feature=geid)
    for geid in sorted(set(stated) & set(drawn)):
        if stated[geid] != drawn[geid]:
            text = f"{geid} is said to be {stated[geid]} and is {drawn[geid]}"
            yield Issue("index_disagrees", Severity.ERROR, text, layer, feature=geid)


def _digests_agree(store: TilesetStore) -> Iterator[Issue]:
    """Every stored ETag must be the digest of the content it stands for."""
    for entry in entries_of(store):
        if etag_of(store.read(entry.key)) != entry.etag:
            text = f"the content of {entry.key} does not fit its digest"
            yield Issue("digest_disagrees", Severity.ERROR, text, feature=entry.key)


def _outside(
    store: TilesetStore,
    gltf_validator: Path | None,
    judgements: dict[str, Judgement],
    absent: set[str],
) -> None:
    with tempfile.TemporaryDirectory(prefix="twin-validate-") as folder:
        files = _unpack(store, Path(folder))
        if gltf_validator is None or find_node() is None:
            absent.add("gltf-validator")
        else:
            glbs = [file for file in files if file.suffix == ".glb"]
            for one in validate_gltf(glbs, gltf_validator):
                _add(judgements, "gltf-validator", one)
        judged = validate_tileset(Path(folder) / "tileset.json")
        if judged is None:
            absent.add("3d-tiles-validator")
        else:
            _add(judgements, "3d-tiles-validator", judged)


def _unpack(store: TilesetStore, folder: Path) -> list[Path]:
    files = []
    for entry in entries_of(store):
        file = folder / entry.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.read(entry.key))
        files.append(file)
    return files


def _add(judgements: dict[str, Judgement], name: str, one: Judgement) -> None:
    before = judgements.get(name, Judgement(name, 0, 0, ()))
    judgements[name] = Judgement(
        name, before.errors + one.errors, before.warnings + one.warnings, (*before.messages, *one.messages)
    )


#: Columns of `twin entities`, before the attributes of the source.
ENTITY_COLUMNS = (
    "geid", "layer", "entity_class", "source", "source_key", "parent", "name", "address", "aliases", "lon", "lat",
    "height", "base_m", "roof_m", "height_m", "min_height_m", "storeys", "height_source", "height_confidence",
    "ground_source", "lod", "outcome", "reasons", "tile", "row",
)  # fmt: skip

#: Columns of lists, and what their items are joined by: an alias may hold a space.
_LISTS = {"aliases": "; ", "reasons": " "}

#: Decimals a measure is written with: millimetres. The rest is noise of single precision (4.199999809), as in rasters.
_DECIMALS = dict.fromkeys(("height", "base_m", "roof_m", "height_m", "min_height_m", "height_confidence"), 3)
#: Added to a rounded measure so that -0.0001 becomes 0, not -0.
_NO_SIGN = pa.scalar(0.0)


def write_csv(index: EntityIndex, sink: IO[bytes]) -> None:
    """All entities as CSV (UTF-8, one header line), attributes of the source after our own columns."""
    attributes = [name for name in index.table.column_names if name.startswith(ATTRIBUTE)]
    for number, batch in enumerate(index.batches(50_000)):
        table = batch.select([*ENTITY_COLUMNS, *attributes])
        for column, separator in _LISTS.items():
            text = pa.compute.binary_join(table[column], separator)
            table = table.set_column(table.schema.get_field_index(column), column, text)
        for column, decimals in _DECIMALS.items():
            rounded = pa.compute.add(pa.compute.round(table[column], decimals), _NO_SIGN.cast(table[column].type))
            table = table.set_column(table.schema.get_field_index(column), column, rounded)
        pa_csv.write_csv(table, sink, pa_csv.WriteOptions(include_header=number == 0))


def write_geojson(project: Project, index: EntityIndex, sink: IO[bytes]) -> None:
    """All entities as one GeoJSON FeatureCollection (RFC 7946), footprints in WGS 84 degrees."""
    import orjson

    step = to_wgs84_lonlat(parse_crs(project.project.working_crs))

    def to_lonlat(x: Any, y: Any) -> tuple[Any, Any]:
        lonlat = step(np.column_stack([x, y]))
        return lonlat[:, 0], lonlat[:, 1]

    sink.write(b'{"type":"FeatureCollection","features":[')
    for row in range(len(index)):
        sink.write(b"\n" if row == 0 else b",\n")
        feature = index.geojson(row, to_lonlat)
        facts = feature["properties"]
        facts.update({name: round(facts[name], n) + 0.0 for name, n in _DECIMALS.items() if facts[name] is not None})
        sink.write(orjson.dumps(feature))
    sink.write(b"\n]}\n")


def find_gltf_validator(places: Sequence[Path]) -> Path | None:
    """The npm package `gltf-validator` in the first of some `node_modules` folders."""
    candidates = [place / "node_modules" / "gltf-validator" for place in places]
    return next((path for path in candidates if (path / "package.json").is_file()), None)
