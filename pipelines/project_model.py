"""The keys of `twin.toml`: what each means, its unit, its default and what is allowed."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipelines.toml_position import Place
from twin.errors import ProjectError
from twin.live.config import parse_live

Unit: TypeAlias = Literal["m", "cm", "dm", "ft", "us-ft"]

#: Metres in one unit of length (international foot; US survey foot 1200/3937 m).
METRES_PER_UNIT = MappingProxyType({"m": 1.0, "dm": 0.1, "cm": 0.01, "ft": 0.3048, "us-ft": 1200 / 3937})


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Text: TypeAlias = Annotated[str, Field(min_length=1)]
_Texts: TypeAlias = Annotated[tuple[_Text, ...], Field(strict=False)]
_Paths: TypeAlias = Annotated[tuple[_Text, ...], BeforeValidator(_one_or_many), Field(strict=False, min_length=1)]


class _Table(BaseModel):
    """A table of `twin.toml`: frozen, strict, no unknown key, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True, hide_input_in_errors=True
    )


class ProjectTable(_Table):
    """`[project]`: what the district is and what its coordinates and heights refer to."""

    name: _Text = Field(description="Name of the district, shown in the viewer")
    admin_code: str = Field(pattern=r"^[0-9]{6,12}$", description="Administrative division code, 6 to 12 digits")
    authority: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._:-]{0,64}$",
        description="Who mints the ids; part of every id, so never change it once published; default: `admin_code`",
    )
    working_crs: _Text = Field(
        description="CRS the build computes in: projected, in metres (EPSG code, WKT or PROJ string)"
    )
    vertical_datum: _Text = Field(
        description='What all heights of the sources refer to: EPSG code or name of a vertical CRS, "H85" (EPSG:5737), '
        'or "ellipsoid"',
    )
    geoid_undulation_m: float | None = Field(
        default=None,
        ge=-110,
        le=90,
        description="Ellipsoidal height minus height above the datum, metres; one number for the whole district",
    )
    geoid_grid: _Text | None = Field(
        default=None,
        description="Raster of undulations in metres, instead of `geoid_undulation_m`; path relative to twin.toml",
    )
    outline: _Text | None = Field(
        default=None,
        description="Polygons of the district or its parts, drawn as lines in the viewer; any vector file with a CRS",
    )


class Fields(_Table):
    """`[source.fields]`: which field of the source plays which role."""

    id: _Text | None = Field(
        default=None, description="Field that identifies a building; without one, identity rests on geometry"
    )
    name: _Text | None = Field(default=None, description="Field with the name people know the building by")
    class_: _Text | None = Field(default=None, alias="class", description="Field with the use or class of the building")
    address: _Text | None = Field(default=None, description="Field with the address")
    storeys: _Text | None = Field(default=None, description="Field with the number of storeys above ground")
    min_height: _Text | None = Field(
        default=None, description="Field with the height above ground at which the volume begins (passages, overhangs)"
    )
    min_height_unit: Unit = Field(default="m", description="Unit of the `min_height` field")
    part_of: _Text | None = Field(default=None, description="Field of a building part with the id of its building")
    kind: _Text | None = Field(
        default=None, description="Field that tells a building from a building part (text containing `part`)"
    )
    aliases: _Texts = Field(
        default=(),
        description="Fields with further codes of a building, such as its real-estate number; it is found by them, too",
    )
    keep: _Texts = Field(
        default=("*",), description='Source fields carried into the tiles and the registry; "*" means all'
    )


class AttributeHeight(_Table):
    """`[[source.height]] from = "attribute"`: the height stands in a field."""

    from_: Literal["attribute"] = Field(alias="from", description="Kind of rule")
    field: _Text = Field(description="Field with the height")
    unit: Unit = Field(default="m", description="Unit of the field")
    meaning: Literal["above_ground", "roof_elevation"] = Field(
        "above_ground", description="Height above the ground, or elevation of the roof above the vertical datum"
    )


class DsmHeight(_Table):
    """`[[source.height]] from = "dsm"`: the roof is measured in a surface model."""

    from_: Literal["dsm"] = Field(alias="from", description="Kind of rule")
    raster: _Paths = Field(description="Surface model sheets in metres above the vertical datum: path, glob or a list")
    raster_crs: _Text | None = Field(
        default=None, description="CRS of the sheets, where they state none or a wrong one"
    )
    percentile: float = Field(
        default=75.0, ge=0, le=100, description="Percentile of the cells inside that gives the roof"
    )
    inset_m: float = Field(default=1.0, ge=0, le=20, description="Strip along the outline that is left out, metres")


class StoreysHeight(_Table):
    """`[[source.height]] from = "storeys"`: storeys times storey height."""

    from_: Literal["storeys"] = Field(alias="from", description="Kind of rule")
    field: _Text = Field(description="Field with the number of storeys; default: `source.fields.storeys`")
    storey_height_m: float = Field(gt=0, le=20, description="Height of one storey, metres")
    by_class: dict[str, Annotated[float, Field(gt=0, le=20)]] = Field(
        default_factory=dict, description="Storey height by value of the class field, metres"
    )


class DemGround(_Table):
    """`[[source.ground]] from = "dem"`: the ground is measured in a terrain model."""

    from_: Literal["dem"] = Field(alias="from", description="Kind of rule")
    raster: _Paths = Field(description="Terrain model sheets in metres above the vertical datum: path, glob or a list")
    raster_crs: _Text | None = Field(
        default=None, description="CRS of the sheets, where they state none or a wrong one"
    )
    statistic: Literal["lowest", "median", "percentile"] = Field(
        default="lowest", description="Which of the cells under the footprint gives the ground"
    )
    percentile: float | None = Field(
        default=None, ge=0, le=100, description='Percentile of the cells; needed with `statistic = "percentile"` only'
    )


class AttributeGround(_Table):
    """`[[source.ground]] from = "attribute"`: the ground elevation stands in a field."""

    from_: Literal["attribute"] = Field(alias="from", description="Kind of rule")
    field: _Text = Field(description="Field with the elevation of the ground above the vertical datum")
    unit: Unit = Field(default="m", description="Unit of the field")


class ConstantGround(_Table):
    """`[[source.ground]] from = "constant"`: one stated elevation."""

    from_: Literal["constant"] = Field(alias="from", description="Kind of rule")
    elevation_m: float = Field(ge=-500, le=9000, description="Elevation of the ground above the vertical datum, metres")


HeightRule: TypeAlias = Annotated[AttributeHeight | DsmHeight | StoreysHeight, Field(discriminator="from_")]
GroundRule: TypeAlias = Annotated[DemGround | AttributeGround | ConstantGround, Field(discriminator="from_")]


class Source(_Table):
    """`[[source]]`: one dataset. Several files matched by `path` are map sheets of it and share one space of ids."""

    name: str = Field(
        default="",
        pattern=r"^[^\x00-\x1f]{0,100}$",
        description="Unique name, part of every source key, so never change it; default: the file's stem",
    )
    layer: str = Field(default="buildings", pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Layer the features go to")
    path: _Paths = Field(description="File, glob or list of files, relative to twin.toml")
    table: _Text | None = Field(
        default=None, description="Table (layer) inside the file; needed where it holds several"
    )
    crs: _Text | None = Field(
        default=None,
        description='CRS of the coordinates, overrides the file: EPSG code, WKT, PROJ string, "gcj02" or "bd09"',
    )
    crs_file: _Text | None = Field(
        default=None, description="File with the CRS definition (WKT or PROJ string), instead of `crs`; never logged"
    )
    encoding: _Text | None = Field(default=None, description='Encoding of the text, overrides the file, e.g. "GB18030"')
    multipart: Literal["keep", "explode"] = Field(
        default="keep", description="A feature of several polygons is one entity, or one entity a polygon"
    )
    duplicates: Literal["error", "first", "union"] = Field(
        default="error",
        description="Features with one id: refuse, keep the first, or join them (pieces clipped at sheets)",
    )
    fields: Fields = Field(default_factory=Fields, description="Which field plays which role")
    height: Annotated[tuple[HeightRule, ...], Field(strict=False)] = Field(
        default=(), description="Height rules, tried in this order; none applies: drawn flat and reported"
    )
    ground: Annotated[tuple[GroundRule, ...], Field(strict=False)] = Field(
        default=(), description="Ground rules, tried in this order; at least one"
    )


class AreaFields(_Table):
    """`[area.fields]`: which field of the area file plays which role."""

    id: _Text | None = Field(
        default=None, description="Field that identifies an area; without one, identity rests on geometry"
    )
    name: _Text | None = Field(
        default=None, description="Field with the name of the area; where it is empty, the area has none"
    )


class Area(_Table):
    """`[[area]]`: polygons of one level of administration, in which buildings and finer areas lie."""

    name: str = Field(
        pattern=r"^[^\x00-\x1f]{1,100}$",
        description="Unique name, also among the sources; part of every source key, so never change it",
    )
    path: _Paths = Field(description="File, glob or list of files with polygons, relative to twin.toml")
    table: _Text | None = Field(
        default=None, description="Table (layer) inside the file; needed where it holds several"
    )
    crs: _Text | None = Field(
        default=None,
        description='CRS of the coordinates, overrides the file: EPSG code, WKT, PROJ string, "gcj02" or "bd09"',
    )
    encoding: _Text | None = Field(default=None, description='Encoding of the text, overrides the file, e.g. "GB18030"')
    level: Literal["district", "subdistrict", "community", "block"] = Field(
        description="What the polygons are, from coarse to fine; an area lies in one of a coarser level"
    )
    fields: AreaFields = Field(default_factory=AreaFields, description="Which field plays which role")


class Layer(_Table):
    """`[layers.NAME]`: how a layer is built."""

    title: str = Field(default="", max_length=200, description="Title in the viewer; default: the name of the layer")
    skirt_m: float = Field(
        default=1.0, ge=0, le=100, description="Depth of the walls below the ground elevation, metres"
    )
    tile_budget_kib: int = Field(default=512, ge=16, le=65536, description="Size of a tile's content to aim at, KiB")
    max_height_m: float = Field(
        default=1000.0, gt=0, le=10000, description="A greater height is refused as absurd, metres"
    )
    min_area_m2: float = Field(
        default=1.0, ge=0, le=1e6, description="A smaller footprint is refused as degenerate, m²"
    )
    repair_max_area_change: float = Field(
        default=0.5, ge=0, le=1, description="Share of its area an invalid polygon may change by when repaired, 0 to 1"
    )


class Output(_Table):
    """`[output]`: where and how releases are written."""

    path: _Text = Field(default="out", description="Release directory, relative to twin.toml")
    store: Literal["sqlite", "directory", "3tz"] = Field(default="sqlite", description="How the tiles are stored")
    encoder: Literal["explicit", "implicit"] = Field(
        default="explicit", description="Nested tilesets, or implicit subtrees"
    )
    compression: Literal["meshopt", "none"] = Field(default="meshopt", description="Compression of the meshes")
    precompress: Annotated[tuple[Literal["gzip", "br", "zstd"], ...], Field(strict=False)] = Field(
        default=("gzip", "zstd"), description="Content encodings prepared at build time"
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Workers to build with (threads or processes, as suits the build); 0: one per core",
    )
    keep_work: bool = Field(
        default=True, description="Keep the cleaned blocks of the last build in .twin, so that the next is quick"
    )
    keep_releases: int = Field(default=2, ge=1, le=1000, description="Releases to keep, the served one included")


class RegistryTable(_Table):
    """`[registry]`: where identities and history lie."""

    database_url: str | None = Field(
        default=None,
        pattern=r"^postgres(ql)?://\S+$",
        repr=False,
        description="PostgreSQL database with PostGIS (`postgresql://…`) that holds identities and history; "
        "`TWIN_DATABASE_URL` beats it; default: `registry.sqlite` beside this file",
    )


class ChangeTable(_Table):
    """`[change]`: by which limits `twin update` tells what a new edition of a survey did to each building."""

    trust_keys: bool = Field(
        default=True, description="An id stands for the same building in both editions unless its geometry contradicts"
    )
    jitter_m: float = Field(
        default=0.05,
        ge=0,
        le=10,
        description="How far a corner may stray, east and north each, without having moved, metres",
    )
    shift_m: float = Field(
        default=1.5, ge=0, le=100, description="Farthest shift of an outline that is followed, metres"
    )
    search_m: float = Field(
        default=15.0,
        ge=0,
        le=1000,
        description="How far around the same outline is looked for before a building counts as new or gone, metres",
    )
    neighbour_m: float = Field(
        default=80.0, ge=0, le=10000, description="Neighbours whose common shift is taken for that of the place, metres"
    )
    overlap_same: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Least overlap (intersection over union) of one building with another outline",
    )
    overlap_sure: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="From this overlap on it is the same building also without an id, if the height agrees",
    )
    overlap_touch: float = Field(
        default=0.15, ge=0, le=1, description="Less overlap than this share of the smaller building is none"
    )
    inside: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Least share of a piece inside the whole, and of the whole its pieces fill, when split or merged",
    )
    dominant: float = Field(
        default=0.88, ge=0, le=1, description="A piece with this share of the whole is the whole, with another outline"
    )
    walls_same: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Least share of walls that stand where they stood, of one and the same building",
    )
    wall_m: float = Field(
        default=0.15, ge=0, le=10, description="How far a wall may stray from where it stood, beside `jitter_m`, metres"
    )
    height_tolerance_m: float = Field(
        default=0.1, ge=0, le=100, description="Heights that differ by no more are equal, metres"
    )
    height_leap: float = Field(
        default=1.3, ge=1, le=100, description="Ratio of heights from which on it may be another building"
    )
    doubt: float = Field(
        default=0.06, ge=0, le=1, description="Width of the doubtful band on either side of the limits for shares"
    )


def _live(table: dict[str, Any] | None) -> dict[str, Any] | None:
    """`[live]` as it stands, if `twin.live.config` can read it."""
    if table is not None:
        try:
            parse_live(table, Path())
        except ProjectError as error:
            raise ValueError(error.what) from None
    return table


class ProjectFile(_Table):
    """The whole of `twin.toml`."""

    project: ProjectTable = Field(description="What the district is")
    sources: Annotated[tuple[Source, ...], Field(strict=False)] = Field(alias="source", description="The datasets")
    areas: Annotated[tuple[Area, ...], Field(strict=False)] = Field(
        default=(), alias="area", description="Administrative areas the buildings lie in"
    )
    layers: dict[str, Layer] = Field(default_factory=dict, description="How each layer is built")
    output: Output = Field(default_factory=Output, description="Where and how releases are written")
    registry: RegistryTable = Field(default_factory=RegistryTable, description="Where identities and history lie")
    change: ChangeTable = Field(default_factory=ChangeTable, description="How editions of a survey are compared")
    live: Annotated[dict[str, Any] | None, AfterValidator(_live)] = Field(
        default=None, description="Events; `twin.live.config` reads its keys, docs/events-in.md describes them"
    )


class Project(_Table):
    """A project file that has passed every check.

    Attributes:
        root: Folder of `twin.toml`, absolute; every relative path starts here.
        file: The project file itself.
        project: `[project]`.
        sources: `[[source]]`, in file order.
        areas: `[[area]]`, in file order.
        layers: `[layers.NAME]`, one for every layer a source names.
        output: `[output]`.
        registry: `[registry]`.
        change: `[change]`.
        lines: 1-based line by place in the file, for messages.
    """

    root: Path
    file: Path
    project: ProjectTable
    sources: tuple[Source, ...]
    layers: dict[str, Layer]
    output: Output
    registry: RegistryTable = Field(default_factory=RegistryTable, repr=False)
    change: ChangeTable = Field(default_factory=ChangeTable)
    areas: tuple[Area, ...] = ()
    lines: dict[Place, int] = Field(default_factory=dict, repr=False)
