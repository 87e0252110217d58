"""The open form of a registry: a folder of Parquet files anybody can read, versions as GeoParquet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from twin.errors import StoreError
from twin.registry.transfer_database import Side, from_open, to_open
from twin.registry.transfer_tables import TABLES, StoredTable

MANIFEST = "registry.json"
"""Says whose registry the folder is, and holds the digest of every file."""

FORMAT = "district-twin registry"
_VERSION = 1
_GROUP = 65_536
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_COVER = pa.field("bbox", pa.struct([(name, pa.float64()) for name in _SIDES]))


def write_files(source: Side, folder: Path, crs: Mapping[str, Any] | None) -> dict[str, int]:
    """Writes the open form; the same registry gives the same bytes.

    Args:
        source: What to write.
        folder: A new folder; it appears when everything is in it.
        crs: PROJJSON of the geometries; None where it must not be told.

    Returns:
        Rows of each table.

    Raises:
        StoreError: The folder exists, or cannot be written.
    """
    with appearing(folder) as made:
        made.mkdir()
        counts = {table.name: _write(source, table, made / table.file, crs) for table in source.tables()}
        files = {
            table.file: {"table": table.name, "rows": counts[table.name], "sha256": digest_of(made / table.file)}
            for table in source.tables()
        }
        told = {"format": FORMAT, "version": _VERSION, "authority": source.authority, "files": files}
        text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        (made / MANIFEST).write_text(text, encoding="utf-8")
    return counts


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Where to write what is to appear at a place, whole or not at all.

    Raises:
        StoreError: There is something already, or it cannot be written.
    """
    if target.exists():
        raise StoreError("there is something already", file=target, next_step="name a place that does not exist yet")
    made = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(made)
        yield made
        made.rename(target)
    except OSError as error:
        raise StoreError(f"it cannot be written ({error.strerror or error})", file=target) from error
    finally:
        _remove(made)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write(source: Side, table: StoredTable, path: Path, crs: Mapping[str, Any] | None) -> int:
    metadata = {"geo": json.dumps(_geo(crs), sort_keys=True)} if table.spatial else {}
    schema = table.written.append(_COVER) if table.spatial else table.written
    waiting: list[pa.RecordBatch] = []
    count = 0
    with pq.ParquetWriter(path, schema.with_metadata(metadata), compression="zstd") as writer:
        for batch in source.read(table):
            rows = to_open(table, batch)
            waiting.append((_covered(rows) if table.spatial else rows).replace_schema_metadata(metadata))
            count += len(batch)
            if sum(map(len, waiting)) >= _GROUP:
                writer.write_table(pa.Table.from_batches(waiting), row_group_size=_GROUP)
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting), row_group_size=_GROUP)
    return count


def _covered(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows with the box of each geometry, in its CRS: what readers skip by; made of the geometry, never read back."""
    shapes = shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False))
    boxes = shapely.bounds(shapes)
    none = np.isnan(boxes).any(axis=1)
    sides = [pa.array(boxes[:, at], mask=none) for at in range(len(_SIDES))]
    return rows.append_column(_COVER, pa.StructArray.from_arrays(sides, fields=list(_COVER.type), mask=pa.array(none)))


def _geo(crs: Mapping[str, Any] | None) -> dict[str, Any]:
    """GeoParquet 1.1.0, "Column metadata" and "bbox covering": `crs` null says that it is unknown to the reader."""
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": [], "crs": crs, "edges": "planar"}
    column["covering"] = {"bbox": {name: [_COVER.name, name] for name in _SIDES}}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    state = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


class Files:
    """The open form, to be read.

    Args:
        folder: Where it lies.

    Raises:
        StoreError: It is none, is of a later version, or a file is missing or not as it was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        told = _manifest(folder)
        self.authority = str(told.get("authority", ""))
        self._files: dict[str, Any] = told["files"]
        for name, facts in self._files.items():
            self._check(name, facts)

    def _check(self, name: str, facts: Mapping[str, Any]) -> None:
        path = self._folder / Path(name).name
        if not path.is_file() or digest_of(path) != facts.get("sha256"):
            what = "the file is not as it was written" if path.is_file() else "the file is missing"
            raise StoreError(what, file=path, next_step="take another copy of the whole folder")

    def tables(self) -> tuple[StoredTable, ...]:
        """Those the folder has."""
        return tuple(table for table in TABLES if table.file in self._files)

    def read(self, table: StoredTable) -> Iterator[pa.RecordBatch]:
        """The rows of a table in its order."""
        path = self._folder / table.file
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_GROUP, columns=table.columns.names):
                    yield from_open(table, batch.replace_schema_metadata(None))
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise StoreError(f"the file does not hold what it should ({error})", file=path) from error


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        step = "name a folder that `twin registry export` has written"
        raise StoreError("this is no registry in the open form", file=path, next_step=step) from error
    if not isinstance(told, dict) or told.get("format") != FORMAT or not isinstance(told.get("files"), dict):
        raise StoreError("this is no registry in the open form", file=path)
    if told.get("version") != _VERSION:
        what = f"the folder has version {told.get('version')}, this program knows {_VERSION}"
        raise StoreError(what, file=path, next_step="update this program")
    return told
