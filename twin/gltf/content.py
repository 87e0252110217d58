"""Tile content: one mesh of many features with its property table as a GLB, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.errors import MisuseError, StoreError
from twin.geometry.mesh import MeshBatch, Surface
from twin.gltf import glb
from twin.gltf.buffer import BufferReader, BufferWriter
from twin.gltf.order import repeating_order
from twin.metadata.schema import ClassSchema, Property, Schema, schema_from_json
from twin.metadata.table import decode_table, encode_table

#: Largest value a signed 16-bit position may take, so that both signs reach as far.
_REACH = 32767

#: Feature ids above this do not fit UNSIGNED_SHORT and are written as FLOAT, exact to 2**24.
_SHORT_IDS = 65535

_BYTE, _UNSIGNED_BYTE, _SHORT, _UNSIGNED_SHORT, _UNSIGNED_INT, _FLOAT = 5120, 5121, 5122, 5123, 5125, 5126

#: Warm off-white plaster, fully rough: reads as a building under any light and leaves colouring to the client's style.
_MATERIAL = {
    "name": "plaster",
    "pbrMetallicRoughness": {"baseColorFactor": [0.86, 0.84, 0.8, 1.0], "metallicFactor": 0.0, "roughnessFactor": 1.0},
}

_SURFACE_NAMES = {Surface.GROUND: "ground", Surface.ROOF: "roof", Surface.WALL: "wall"}


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How content is written.

    Attributes:
        quantize: Put positions on a grid of 16-bit integers where the tile is small enough, and normals in bytes.
        max_step_m: Upper limit of the grid's step. The step is the largest power of two below it and the grid is the
            same in the whole layer, so that what touches in the source touches across tiles.
        compression: "meshopt" (EXT_meshopt_compression) or "none".
    """

    quantize: bool = True
    max_step_m: float = 0.01
    compression: Literal["meshopt", "none"] = "meshopt"

    @property
    def step_m(self) -> float:
        """Step of the grid: a power of two, so that it is exact in float32 and in JSON."""
        return float(2.0 ** np.floor(np.log2(self.max_step_m)))


@dataclass(frozen=True, slots=True)
class MeshContent:
    """What one tile shows.

    Attributes:
        mesh: Positions in the layer's east-north-up frame; `mesh.feature` counts rows of `rows`.
        schema: Schema with the class `class_id`.
        class_id: Class of the rows.
        rows: One row per feature.
    """

    mesh: MeshBatch
    schema: Schema
    class_id: str
    rows: pa.Table


def encode(content: MeshContent, options: EncodeOptions | None = None) -> bytes:
    """Writes content as a GLB; the same input gives the same bytes. Vertices change their order, triangles do not.

    The scene is y-up as glTF 2.0 demands (3.4); 3D Tiles turns it back (3D Tiles 1.1, "y-up to z-up").

    Raises:
        MisuseError: The mesh or the table is empty, or the mesh names a row the table does not have.
    """
    options = options or EncodeOptions()
    _require(content)
    writer = BufferWriter(options.compression == "meshopt")
    accessors: list[dict[str, Any]] = []
    grid = _grid(content.mesh, options)
    vertices, extremes = _vertices(content.mesh, grid)
    order = _order(vertices, content.mesh.feature)
    attributes = _write_vertices(writer, accessors, _ordered(vertices, order), extremes)
    indices = _write_indices(writer, accessors, _renumbered(content.mesh.triangle, order))
    schema = _with_surface_class(content.schema)
    tables = _write_tables(writer, content, schema)
    primitive = {
        "attributes": attributes,
        "indices": indices,
        "material": 0,
        "mode": 4,
        "extensions": {"EXT_mesh_features": {"featureIds": _feature_ids(content.mesh)}},
    }
    used = ["EXT_mesh_features", "EXT_structural_metadata", *writer.extensions, *grid.extensions]
    required = sorted([*writer.extensions, *grid.extensions])
    document = {
        "asset": {"version": "2.0", "generator": "district-twin"},
        "extensionsUsed": sorted(used),
        **({"extensionsRequired": required} if required else {}),
        "extensions": {"EXT_structural_metadata": {"schema": schema.to_json(), "propertyTables": tables}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **grid.node()}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [_MATERIAL],
        "accessors": accessors,
        "bufferViews": writer.views,
        "buffers": writer.buffers(),
    }
    return glb.pack(document, writer.binary())


def _require(content: MeshContent) -> None:
    mesh = content.mesh
    if not len(mesh.position) or not len(mesh.triangle):
        raise MisuseError("tile content without a triangle", next_step="write the tile without content")
    if int(mesh.feature.max()) >= content.rows.num_rows:
        raise MisuseError("the mesh names a row the table lacks", next_step="number features by the rows of the tile")
    if int(mesh.triangle.max()) >= len(mesh.position):
        raise MisuseError("a triangle names a vertex the mesh lacks", next_step="number corners by vertex")
    if not np.isfinite(mesh.bounds()).all():
        raise MisuseError("a position is not a finite number", next_step="check the CRS and the heights")


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where positions are measured from and in what.

    Attributes:
        centre: Box centre, east-north-up, metres; on the grid if there is one.
        step: Grid step, metres, or 0 where there is no grid.
        short: True if positions are 16-bit multiples of the step.
    """

    centre: NDArray[np.float64]
    step: float
    short: bool

    @property
    def extensions(self) -> list[str]:
        return ["KHR_mesh_quantization"] if self.step else []

    def node(self) -> dict[str, Any]:
        moved = {"translation": (_y_up(self.centre[None])[0] + 0.0).tolist()}
        return {**moved, "scale": [self.step] * 3} if self.short else moved


def _grid(mesh: MeshBatch, options: EncodeOptions) -> _Grid:
    low, high = mesh.bounds()
    centre = (low + high) / 2
    if not options.quantize:
        return _Grid(centre, 0.0, False)
    step = options.step_m
    centre = np.rint(centre / step) * step
    extent = max(float((high - centre).max()), float((centre - low).max()))
    return _Grid(centre, step, extent / step <= _REACH - 0.5)


def _y_up(xyz: NDArray[Any]) -> NDArray[Any]:
    return np.stack([xyz[:, 0], xyz[:, 2], -xyz[:, 1]], axis=1)


def _z_up(xyz: NDArray[Any]) -> NDArray[Any]:
    return np.stack([xyz[:, 0], -xyz[:, 2], xyz[:, 1]], axis=1)


def _layout(mesh: MeshBatch, grid: _Grid) -> np.dtype[Any]:
    """One interleaved vertex; every attribute begins at a multiple of 4 bytes (glTF 2.0, 3.6.2.4)."""
    feature = "<u2" if int(mesh.feature.max()) <= _SHORT_IDS else "<f4"
    position, place = ("<i2", 8) if grid.short else ("<f4", 12)
    normal, wide = ("i1", 4) if grid.step else ("<f4", 12)
    return np.dtype(
        {
            "names": ["x", "y", "z", "nx", "ny", "nz", "feature", "surface"],
            "formats": [position] * 3 + [normal] * 3 + [feature, "u1"],
            "offsets": [
                *(np.arange(3) * np.dtype(position).itemsize).tolist(),
                *(place + np.arange(3) * np.dtype(normal).itemsize).tolist(),
                place + wide,
                place + wide + 4,
            ],
            "itemsize": place + wide + 8,
        }
    )


def _vertices(mesh: MeshBatch, grid: _Grid) -> tuple[NDArray[Any], dict[str, list[float]]]:
    """Interleaved vertices, y-up, about the centre; and `min` and `max` of their positions."""
    vertices = np.zeros(len(mesh.position), _layout(mesh, grid))
    extremes = _fill_positions(vertices, mesh.position, grid)
    for name, column, sign in (("nx", 0, 1), ("ny", 2, 1), ("nz", 1, -1)):
        values = mesh.normal[:, column] * np.float32(sign)
        vertices[name] = np.rint(values * np.float32(127)) if grid.step else values + np.float32(0)
    vertices["feature"] = mesh.feature
    vertices["surface"] = mesh.surface
    return vertices, extremes


def _order(vertices: NDArray[Any], feature: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The order that compresses best: equal stored positions of one feature count as copies."""
    cells = np.stack([vertices[name] for name in ("x", "y", "z")], axis=1)
    return repeating_order(cells.view(np.int32) if cells.dtype == np.float32 else cells, feature)


def _ordered(vertices: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """The vertices in that order; as bytes, because numpy leaves padding between fields undefined in copies."""
    layout = vertices.dtype
    return np.take(vertices.view(np.uint8).reshape(-1, layout.itemsize), order, axis=0).view(layout).ravel()


def _renumbered(triangle: NDArray[np.uint32], order: NDArray[np.int64]) -> NDArray[np.uint32]:
    place = np.empty(len(order), np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    return place[triangle]


def _write_vertices(
    writer: BufferWriter, accessors: list[dict[str, Any]], vertices: NDArray[Any], extremes: dict[str, list[float]]
) -> dict[str, int]:
    layout = vertices.dtype
    view = writer.add_vertices(vertices.view(np.uint8).reshape(len(vertices), layout.itemsize))
    offsets = {name: int(field[1]) for name, field in (layout.fields or {}).items()}
    base = {"bufferView": view, "count": len(vertices)}
    byte_normal = {"componentType": _BYTE, "normalized": True}
    accessors += [
        {**base, "componentType": _SHORT if layout["x"].kind == "i" else _FLOAT, "type": "VEC3", **extremes},
        {
            **base,
            "byteOffset": offsets["nx"],
            **(byte_normal if layout["nx"].kind == "i" else {"componentType": _FLOAT}),
            "type": "VEC3",
        },
        {
            **base,
            "byteOffset": offsets["feature"],
            "componentType": _UNSIGNED_SHORT if layout["feature"].kind == "u" else _FLOAT,
            "type": "SCALAR",
        },
        {**base, "byteOffset": offsets["surface"], "componentType": _UNSIGNED_BYTE, "type": "SCALAR"},
    ]
    return {"POSITION": 0, "NORMAL": 1, "_FEATURE_ID_0": 2, "_FEATURE_ID_1": 3}


def _fill_positions(vertices: NDArray[Any], position: NDArray[np.float64], grid: _Grid) -> dict[str, list[float]]:
    """Writes the y-up positions about the centre; gives `min` and `max` of the accessor."""
    low, high = [], []
    for name, column, sign in (("x", 0, 1.0), ("y", 2, 1.0), ("z", 1, -1.0)):
        values = (position[:, column] - grid.centre[column]) * sign
        if grid.step:
            values *= 1 / grid.step
            np.rint(values, out=values)
            if not grid.short:
                values *= grid.step
        vertices[name] = values + 0.0
        low.append(vertices[name].min().item())
        high.append(vertices[name].max().item())
    return {"min": low, "max": high}


def _write_indices(writer: BufferWriter, accessors: list[dict[str, Any]], triangle: NDArray[np.uint32]) -> int:
    short = int(triangle.max()) < _SHORT_IDS  # 65535 itself would restart the primitive
    view = writer.add_triangles(triangle, 2 if short else 4)
    kind = _UNSIGNED_SHORT if short else _UNSIGNED_INT
    accessors.append({"bufferView": view, "componentType": kind, "count": triangle.size, "type": "SCALAR"})
    return len(accessors) - 1


def _feature_ids(mesh: MeshBatch) -> list[dict[str, Any]]:
    return [
        {"featureCount": _distinct(mesh.feature), "attribute": 0, "propertyTable": 0, "label": "entity"},
        {"featureCount": _distinct(mesh.surface), "attribute": 1, "propertyTable": 1, "label": "surface"},
    ]


def _distinct(values: NDArray[Any]) -> int:
    seen = np.zeros(int(values.max()) + 1, bool)
    seen[values] = True
    return int(np.count_nonzero(seen))


def _surface_class(schema: Schema) -> str:
    """Id of the class of surfaces: `surface`, unless the caller's schema uses it."""
    taken = {one.id for one in schema.classes}
    chosen = "surface"
    while chosen in taken:
        chosen += "_"
    return chosen


def _with_surface_class(schema: Schema) -> Schema:
    kind = Property("kind", "kind", "STRING", description="ground, roof or wall")
    return replace(schema, classes=(*schema.classes, ClassSchema(_surface_class(schema), (kind,))))


def _write_tables(writer: BufferWriter, content: MeshContent, schema: Schema) -> list[dict[str, Any]]:
    surfaces = pa.table({"kind": [_SURFACE_NAMES[one] for one in Surface]})
    tables = []
    for cls, rows in (
        (schema.find_class(content.class_id), content.rows),
        (schema.classes[-1], surfaces),
    ):
        table = encode_table(cls, schema, rows)
        tables.append(table.shifted(len(writer.views)))
        for view in table.views:
            writer.add_bytes(view)
    return tables


def decode(content: bytes) -> MeshContent:
    """Reads content that `encode` wrote: positions in the layer's frame, vertices and rows in stored order.

    Raises:
        StoreError: The GLB is damaged or is none of ours.
    """
    document, binary = glb.unpack(content)
    try:
        return _decode(document, BufferReader(document, binary))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MisuseError) as error:
        # The rim between foreign bytes and our types: whatever does not fit means the same to the caller.
        raise StoreError(
            f"the tile content is damaged, or is none of this toolkit ({type(error).__name__}: {error})",
            next_step="build the tiles again",
        ) from error


def _decode(document: dict[str, Any], reader: BufferReader) -> MeshContent:
    node = document["nodes"][document["scenes"][document.get("scene", 0)]["nodes"][0]]
    primitive = document["meshes"][node["mesh"]]["primitives"][0]
    attributes = {name: reader.accessor(index) for name, index in primitive["attributes"].items()}
    scale, move = node.get("scale", [1.0] * 3), node.get("translation", [0.0] * 3)
    position = _z_up(attributes["POSITION"].astype(np.float64) * scale + move)
    normal = attributes["NORMAL"]
    if normal.dtype == np.int8:
        normal = np.maximum(normal.astype(np.float32) / np.float32(127), np.float32(-1))
    mesh = MeshBatch(
        position,
        _z_up(normal.astype(np.float32)),
        reader.accessor(primitive["indices"]).astype(np.uint32).reshape(-1, 3),
        attributes["_FEATURE_ID_0"].astype(np.uint32).ravel(),
        attributes["_FEATURE_ID_1"].astype(np.uint8).ravel(),
    )
    if mesh.triangle.size and int(mesh.triangle.max()) >= mesh.vertices:
        raise ValueError("a triangle names a vertex the mesh lacks")
    metadata = document["extensions"]["EXT_structural_metadata"]
    schema = schema_from_json(metadata["schema"])
    table = metadata["propertyTables"][0]
    surface = metadata["propertyTables"][1]["class"]
    if int(mesh.feature.max()) >= int(table["count"]):
        raise ValueError("a feature id names a row the table lacks")
    own = replace(schema, classes=tuple(one for one in schema.classes if one.id != surface))
    return MeshContent(mesh, own, table["class"], decode_table(schema, table, reader.view))


def read_facts(content: bytes) -> tuple[NDArray[np.float64], list[str | None]]:
    """What a check of a tileset asks of content: positions (n, 3) in the layer's frame, and the `geid` of each row.

    A row no triangle shows, or a table without `geid`, gives None in its place.
    """
    read = decode(content)
    count = read.rows.num_rows
    geids = read.rows["geid"].to_pylist() if "geid" in read.rows.schema.names else [None] * count
    shown = np.zeros(count, bool)
    shown[read.mesh.feature[read.mesh.triangle.ravel()]] = True
    return read.mesh.position, [geid if seen else None for geid, seen in zip(geids, shown, strict=True)]
