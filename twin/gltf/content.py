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
from twin.gltf.interleave import Facts, columns, facts_of, fill_normals, fill_positions, renumbered
from twin.gltf.order import repeating_order
from twin.metadata.schema import ClassSchema, Property, Schema, schema_from_json
from twin.metadata.table import decode_table, encode_table

#: Largest value a signed 16-bit position may take, so that both signs reach as far.
_REACH = 32767

#: Feature ids above this do not fit UNSIGNED_SHORT and are written as FLOAT, exact to 2**24.
_SHORT_IDS = 65535

_INT8, _INT16, _FLOAT32 = "i1", "<i2", "<f4"

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
    facts = _require(content)
    writer = BufferWriter(options.compression == "meshopt")
    accessors: list[dict[str, Any]] = []
    grid = _grid(facts, options)
    layout = _layout(facts, grid)
    rows, extremes = _vertices(content.mesh, grid, layout)
    order = _order(rows, layout, content.mesh.feature)
    attributes = _write_vertices(writer, accessors, np.take(rows, order, axis=0), layout, extremes)
    indices = _write_indices(writer, accessors, renumbered(content.mesh.triangle, order))
    schema = _with_surface_class(content.schema)
    tables = _write_tables(writer, content, schema)
    primitive = {
        "attributes": attributes,
        "indices": indices,
        "material": 0,
        "mode": 4,
        "extensions": {"EXT_mesh_features": {"featureIds": _feature_ids(facts)}},
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


def _require(content: MeshContent) -> Facts:
    """What is to be known of the mesh, unless it cannot be written."""
    mesh = content.mesh
    if not len(mesh.position) or not len(mesh.triangle):
        raise MisuseError("tile content without a triangle", next_step="write the tile without content")
    facts = facts_of(mesh)
    if facts.last_feature >= content.rows.num_rows:
        raise MisuseError("the mesh names a row the table lacks", next_step="number features by the rows of the tile")
    if facts.last_vertex >= len(mesh.position):
        raise MisuseError("a triangle names a vertex the mesh lacks", next_step="number corners by vertex")
    if not np.isfinite([facts.low, facts.high]).all():
        raise MisuseError("a position is not a finite number", next_step="check the CRS and the heights")
    return facts


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


def _grid(facts: Facts, options: EncodeOptions) -> _Grid:
    centre = (facts.low + facts.high) / 2
    if not options.quantize:
        return _Grid(centre, 0.0, False)
    step = options.step_m
    centre = np.rint(centre / step) * step
    extent = max(float((facts.high - centre).max()), float((centre - facts.low).max()))
    return _Grid(centre, step, extent / step <= _REACH - 0.5)


def _y_up(xyz: NDArray[Any]) -> NDArray[Any]:
    return np.stack([xyz[:, 0], xyz[:, 2], -xyz[:, 1]], axis=1)


def _z_up(xyz: NDArray[Any]) -> NDArray[Any]:
    return np.stack([xyz[:, 0], -xyz[:, 2], xyz[:, 1]], axis=1)


@dataclass(frozen=True, slots=True)
class _Layout:
    """One interleaved vertex; every attribute begins at a multiple of 4 bytes (glTF 2.0, 3.6.2.4).

    Attributes:
        position, normal, feature: Types of their numbers, little-endian.
    """

    position: str
    normal: str
    feature: str

    @property
    def offsets(self) -> tuple[int, int, int, int, int]:
        """Where position, normal, feature and surface begin, and the bytes of a vertex."""
        normal = 8 if self.position == _INT16 else 12
        feature = normal + (4 if self.normal == _INT8 else 12)
        return 0, normal, feature, feature + 4, feature + 8


def _layout(facts: Facts, grid: _Grid) -> _Layout:
    feature = "<u2" if facts.last_feature <= _SHORT_IDS else _FLOAT32
    return _Layout(_INT16 if grid.short else _FLOAT32, _INT8 if grid.step else _FLOAT32, feature)


def _vertices(mesh: MeshBatch, grid: _Grid, layout: _Layout) -> tuple[NDArray[np.uint8], dict[str, list[float]]]:
    """Interleaved vertices, y-up, about the centre; and `min` and `max` of their positions."""
    _, normal, feature, surface, stride = layout.offsets
    rows = np.zeros((len(mesh.position), stride), np.uint8)
    low, high = np.empty(3), np.empty(3)
    fill_positions(mesh.position, grid.centre, grid.step, columns(rows, 0, layout.position, 3), low, high)
    fill_normals(mesh.normal, columns(rows, normal, layout.normal, 3))
    columns(rows, feature, layout.feature, 1)[:, 0] = mesh.feature
    rows[:, surface] = mesh.surface
    number = int if grid.short else float
    return rows, {"min": [number(one) for one in low], "max": [number(one) for one in high]}


def _order(rows: NDArray[np.uint8], layout: _Layout, feature: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The order that compresses best: equal stored positions of one feature count as copies."""
    return repeating_order(columns(rows, 0, "<i2" if layout.position == _INT16 else "<i4", 3), feature)


def _write_vertices(
    writer: BufferWriter,
    accessors: list[dict[str, Any]],
    rows: NDArray[np.uint8],
    layout: _Layout,
    extremes: dict[str, list[float]],
) -> dict[str, int]:
    view = writer.add_vertices(rows)
    _, normal, feature, surface, _ = layout.offsets
    base = {"bufferView": view, "count": len(rows)}
    byte_normal = {"componentType": _BYTE, "normalized": True}
    accessors += [
        {**base, "componentType": _SHORT if layout.position == _INT16 else _FLOAT, "type": "VEC3", **extremes},
        {
            **base,
            "byteOffset": normal,
            **(byte_normal if layout.normal == _INT8 else {"componentType": _FLOAT}),
            "type": "VEC3",
        },
        {
            **base,
            "byteOffset": feature,
            "componentType": _FLOAT if layout.feature == _FLOAT32 else _UNSIGNED_SHORT,
            "type": "SCALAR",
        },
        {**base, "byteOffset": surface, "componentType": _UNSIGNED_BYTE, "type": "SCALAR"},
    ]
    return {"POSITION": 0, "NORMAL": 1, "_FEATURE_ID_0": 2, "_FEATURE_ID_1": 3}


def _write_indices(writer: BufferWriter, accessors: list[dict[str, Any]], triangle: NDArray[np.uint32]) -> int:
    short = int(triangle.max()) < _SHORT_IDS  # 65535 itself would restart the primitive
    view = writer.add_triangles(triangle, 2 if short else 4)
    kind = _UNSIGNED_SHORT if short else _UNSIGNED_INT
    accessors.append({"bufferView": view, "componentType": kind, "count": triangle.size, "type": "SCALAR"})
    return len(accessors) - 1


def _feature_ids(facts: Facts) -> list[dict[str, Any]]:
    return [
        {"featureCount": facts.features, "attribute": 0, "propertyTable": 0, "label": "entity"},
        {"featureCount": facts.surfaces, "attribute": 1, "propertyTable": 1, "label": "surface"},
    ]


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
