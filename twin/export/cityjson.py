"""CityJSON 2.0 and CityJSONSeq: footprints as LoD 0, solids as LoD 1.2, parts in their buildings.

Two passes over the entities: the first finds the extent, the second writes. Only identifiers and elevations are kept
for the whole; everything else is one block, and vertices wait in a file until the objects are written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from twin.crs.compound import registered_compound
from twin.crs.reference import Crs
from twin.export.about import About
from twin.export.cityjson_families import Families, find_families
from twin.export.cityjson_geometry import Grid, Shapes, quantise
from twin.export.cityjson_objects import city_objects
from twin.export.entities import BLOCK, Entities

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

VERSION = "2.0"
_METRE, _DEGREE = 0.001, 1e-9  # a millimetre; a tenth of one


@dataclass(frozen=True, slots=True)
class Written:
    """What an export could not say in CityJSON's terms.

    Attributes:
        without_geometry: Entities without polygon, or without an elevation to put it at: written without geometry.
        without_parent: Building parts whose building was not chosen: written as buildings.
    """

    without_geometry: int
    without_parent: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """One block, ready to be written."""

    table: pa.Table
    shapes: Shapes
    start: int
    number: I64


def write_cityjson(entities: Entities, crs: Crs, about: About, path: Path, sequence: bool = False) -> Written:
    """Writes CityJSON 2.0, or CityJSONSeq: a header line, then one building with its parts a line.

    Args:
        entities: What to write.
        crs: Horizontal CRS of the file; public. Heights stay in the project's vertical datum, metres.
        about: Facts of the file, in its metadata.
        path: The file.
        sequence: CityJSONSeq.
    """
    families = find_families(entities)
    extent = _extent(entities, families, crs)
    flat = _DEGREE if crs.is_geographic else _METRE
    grid = Grid(np.floor(extent[:3]), np.array([flat, flat, _METRE]))
    header = _header(grid, extent, crs, about)
    pieces = _pieces(entities, families, crs, grid, sequence)
    with path.open("wb") as sink:
        write = _write_sequence if sequence else _write_whole
        missing = write(header, families, pieces, sink, path.parent)
    return Written(missing, families.orphans)


def reference_system(crs: Crs, vertical_epsg: int | None) -> str:
    """URL of a CRS (OGC Name Type Specification), of the registered compound with the vertical datum if there is one.

    Otherwise the horizontal CRS stands alone, and `vertical_datum` in the metadata says what heights refer to.
    """
    name = registered_compound(crs, vertical_epsg) or crs.name
    authority, _, code = name.partition(":")
    return f"https://www.opengis.net/def/crs/{authority}/{'1.3' if authority == 'OGC' else '0'}/{code}"


def _extent(entities: Entities, families: Families, crs: Crs) -> F64:
    """(6,) lowest x, y, z and highest x, y, z; zeros where nothing can be placed."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for start in range(0, len(families.rows), BLOCK):
        part = slice(start, start + BLOCK)
        footprints = entities.block(families.rows[part], crs).footprints
        base, roof = families.base[part], families.roof[part]
        placed = np.isfinite(base) & (footprints.vertex_counts() > 0)
        if placed.any():
            xy = footprints.xy[np.repeat(placed, footprints.vertex_counts())]
            z = np.concatenate([base[placed], roof[placed]])
            low = np.minimum(low, [*xy.min(axis=0), np.nanmin(z)])
            high = np.maximum(high, [*xy.max(axis=0), np.nanmax(z)])
    return np.concatenate([low, high]) if np.isfinite(low).all() else np.zeros(6)


def _header(grid: Grid, extent: F64, crs: Crs, about: About) -> dict[str, Any]:
    metadata = {
        "geographicalExtent": [float(f"{value:.15g}") for value in extent.tolist()],
        "referenceSystem": reference_system(crs, about.vertical_epsg),
        **about.facts(),
    }
    transform = {"scale": grid.scale.tolist(), "translate": grid.translate.tolist()}
    return {"type": "CityJSON", "version": VERSION, "transform": transform, "metadata": metadata}


def _pieces(entities: Entities, families: Families, crs: Crs, grid: Grid, sequence: bool) -> Iterator[_Piece]:
    """Blocks that cut no family; vertices are shared in a block, or in a family."""
    start = 0
    while start < len(families.rows):
        stop = families.end_of_family(start + BLOCK)
        part = slice(start, stop)
        block = entities.block(families.rows[part], crs)
        number = families.number[part]
        group = number if sequence else np.zeros(len(number), dtype=np.int64)
        shapes = quantise(block.footprints, families.base[part], families.roof[part], group, grid)
        yield _Piece(block.table, shapes, start, number)
        start = stop


def _write_whole(
    header: dict[str, Any], families: Families, pieces: Iterator[_Piece], sink: IO[bytes], folder: Path
) -> int:
    """Writes one document; gives how many entities have no geometry."""
    missing = vertices = 0
    lead = b"\n"
    sink.write(orjson.dumps(header)[:-1] + b',"CityObjects":{')
    with tempfile.TemporaryFile(dir=folder) as spool:
        for piece in pieces:
            shift = np.full(len(piece.number), vertices, dtype=np.int64)
            for geid, document in city_objects(piece.table, piece.shapes, families, piece.start, shift):
                sink.write(lead + orjson.dumps(geid) + b":" + document)
                lead = b",\n"
            if len(piece.shapes.vertices):
                spool.write((b",\n" if vertices else b"") + _plain(piece.shapes.vertices)[1:-1])
            vertices += len(piece.shapes.vertices)
            missing += piece.shapes.missing
        sink.write(b'\n},"vertices":[\n')
        spool.seek(0)
        shutil.copyfileobj(spool, sink)
    sink.write(b"\n]}\n")
    return missing


def _plain(vertices: I64) -> bytes:
    return orjson.dumps(np.ascontiguousarray(vertices), option=orjson.OPT_SERIALIZE_NUMPY)


def _write_sequence(
    header: dict[str, Any], families: Families, pieces: Iterator[_Piece], sink: IO[bytes], folder: Path
) -> int:
    """Writes a header and a line a family (CityJSONSeq); gives how many entities have no geometry."""
    del folder
    missing = 0
    sink.write(orjson.dumps({**header, "CityObjects": {}, "vertices": []}) + b"\n")
    for piece in pieces:
        objects = list(city_objects(piece.table, piece.shapes, families, piece.start, -piece.shapes.first))
        heads = np.flatnonzero(np.diff(piece.number, prepend=-1))
        ends = [*heads[1:].tolist(), len(objects)]
        stops = [*piece.shapes.first[heads[1:]].tolist(), len(piece.shapes.vertices)]
        for head, end, stop in zip(heads.tolist(), ends, stops, strict=True):
            vertices = piece.shapes.vertices[piece.shapes.first[head] : stop]
            sink.write(_feature(objects[head:end], vertices))
        missing += piece.shapes.missing
    return missing


def _feature(objects: list[tuple[str, bytes]], vertices: I64) -> bytes:
    geid = orjson.dumps(objects[0][0])
    members = b",".join(orjson.dumps(name) + b":" + document for name, document in objects)
    head = b'{"type":"CityJSONFeature","id":' + geid + b',"CityObjects":{' + members
    return head + b'},"vertices":' + _plain(vertices) + b"}\n"
