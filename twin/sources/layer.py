"""What GDAL says about a table before it is read: name, fields, count and CRS, with GDAL's inventions taken out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.errors
import pyogrio.raw
from numpy.typing import NDArray

from twin.caught import caught_warnings
from twin.errors import MisuseError, SourceError
from twin.sources.container import Located
from twin.sources.encoding import EncodingGuess, decode_value
from twin.sources.text import is_nested, plain_type

# GDAL would leave a file `*.gz.properties` beside every gzipped source, in a folder that is not ours to write to.
pyogrio.set_gdal_config_options({"CPL_VSIL_GZIP_WRITE_PROPERTIES": "NO"})

#: What GDAL and its drivers write where a file states no CRS.
_PLACEHOLDER: Final = re.compile(
    r"^\s*(LOCAL_CS|ENGCRS|ENGINEERINGCRS"
    r'|(GEOGCS|GEOGCRS|PROJCS|PROJCRS)\["(undefined|unknown (geographic|cartesian)))',
    re.I,
)
_PEEK_BYTES: Final = 1 << 16
_PROBE_ROWS: Final = 1000
_ERRORS: Final = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.CRSError,
    pyogrio.errors.FieldError,
    pa.ArrowException,
    ValueError,
    RuntimeError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One table as GDAL describes it.

    Attributes:
        table, driver: Names.
        columns: Attributes as GDAL names them.
        types: Their Arrow types, as they will be after decoding.
        geometry_name: Geometry column in GDAL's Arrow table.
        crs: Authority code or WKT; None where the file states none.
        count: Number of features.
        through_latin1: True where the text is a DBF's, read byte by byte as ISO-8859-1.
        fid_column: Column of row ids that belongs to the data, if any.
        fid_first: First row id where they run without a gap, else None.
    """

    table: str
    driver: str
    columns: tuple[str, ...]
    types: tuple[pa.DataType, ...]
    geometry_name: str
    crs: str | None
    count: int
    through_latin1: bool
    fid_column: str | None
    fid_first: int | None


@contextmanager
def quiet(notes: list[str] | None = None) -> Iterator[None]:
    """Collects GDAL's warnings instead of printing them."""
    with caught_warnings("always") as caught:
        yield
    if notes is not None:
        notes.extend(dict.fromkeys(str(item.message) for item in caught))


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns GDAL's failures into `SourceError`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise SourceError(
            "the file is not in UTF-8, which its format asks for",
            file=file,
            next_step=f'convert it first, for example: iconv -f GB18030 -t UTF-8 "{file.name}" > "utf8-{file.name}"',
        ) from error
    except _ERRORS as error:
        raise SourceError(
            f"the file cannot be read: {error}", file=file, next_step="open it in QGIS and export it again"
        ) from error


def describe(path: Path, located: Located, wanted: str | None, notes: list[str]) -> Layer:
    """Describes the table that is meant.

    Args:
        path: The file, for messages.
        located: How GDAL opens it.
        wanted: Table the user named, if any.
        notes: Receives GDAL's warnings.

    Raises:
        SourceError: GDAL cannot read it.
        MisuseError: It is not plain which table is meant.
    """
    if located.name.startswith("GeoJSONSeq:"):
        return describe_table(path, located, None, notes)  # one table by definition; listing would read the whole file
    with reading(path), quiet(notes):
        tables = pyogrio.list_layers(located.name)
    return describe_table(path, located, choose_table(path, tables, wanted), notes)


def list_tables(path: Path, located: Located) -> list[str]:
    """Names of the tables in a file.

    Raises:
        SourceError: GDAL cannot read it.
    """
    if located.name.startswith("GeoJSONSeq:"):
        return [path.stem]
    with reading(path), quiet():
        return [str(name) for name in pyogrio.list_layers(located.name)[:, 0]]


def describe_table(path: Path, located: Located, table: str | None, notes: list[str]) -> Layer:
    """Describes a table by its name; see `describe`."""
    encoding = "ISO-8859-1" if located.dbf is not None else None
    with reading(path), quiet(notes):
        info = pyogrio.read_info(located.name, layer=table, encoding=encoding, force_feature_count=True)
        with pyogrio.raw.open_arrow(
            located.name, layer=table, encoding=encoding, use_pyarrow=True, return_fids=True, batch_size=_PROBE_ROWS
        ) as (_, stream):
            schema = pa.schema(list(stream.schema)[1:])
            ids = pa.field(stream.schema.names[0], pa.int64())
            probe = next(stream, None) if str(info["driver"]).startswith("GeoJSON") else None
    nested = [item.name for item in schema if item.name != info["geometry_name"] and is_nested(item.type)]
    nested = [name for name in nested if name != "wkb_geometry"]
    if nested:
        notes.append(f"lists, structures and bytes are carried along as JSON text: {', '.join(nested)}")
    geometry_name = info["geometry_name"] or "wkb_geometry"
    fields = [item for item in schema if item.name != geometry_name]
    count = int(info["features"])
    fid_column, fid_first = _row_ids(path, located, info, probe)
    if fid_column is not None and fid_column not in [item.name for item in fields]:
        fields.insert(0, ids)
    return Layer(
        table=str(info["layer_name"]),
        driver=info["driver"],
        columns=tuple(item.name for item in fields),
        types=tuple(plain_type(item.type) for item in fields),
        geometry_name=geometry_name,
        crs=_stated_crs(path, located, info, notes),
        count=count,
        through_latin1=encoding is not None,
        fid_column=fid_column,
        fid_first=fid_first,
    )


def _row_ids(
    path: Path, located: Located, info: dict[str, Any], probe: pa.RecordBatch | None
) -> tuple[str | None, int | None]:
    """The row id column of a GeoPackage, or the integer ids that GeoJSON features carry beside their properties."""
    count = int(info["features"])
    if info["driver"] == "GPKG" and info["fid_column"] and count:
        column = str(info["fid_column"])
        query = f"SELECT min({quoted(column)}) AS low, max({quoted(column)}) AS high FROM {quoted(info['layer_name'])}"  # noqa: S608
        with reading(path), quiet():
            _, found = pyogrio.raw.read_arrow(located.name, sql=query)
        low, high = found.column("low")[0].as_py(), found.column("high")[0].as_py()
        whole = isinstance(low, int) and isinstance(high, int) and high - low + 1 == count
        return column, low if whole else None
    if probe is not None and "id" not in list(info["fields"]):
        ids = probe.column(0).to_numpy()
        if not np.array_equal(ids, np.arange(len(ids))):
            return str(probe.schema.names[0]), None
    return None, None


def quoted(name: str) -> str:
    """A name as SQL and OGR filters take it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _stated_crs(path: Path, located: Located, info: dict[str, Any], notes: list[str]) -> str | None:
    crs = info["crs"]
    if crs is None:
        return None
    if _PLACEHOLDER.match(crs):
        notes.append("the file names a CRS that says nothing (undefined or local); it counts as having none")
        return None
    if info["driver"].startswith("GeoJSON") and crs == "EPSG:4326" and located.random_access:
        member = _crs_member(path)
        if member == "null":
            notes.append('the file says `"crs": null`: the CRS is unknown')
            return None
        if member is None:
            notes.append("the file has no CRS member: WGS 84 longitude and latitude, as RFC 7946 section 4 has it")
    return str(crs)


def _crs_member(path: Path) -> str | None:
    """The beginning of the legacy `crs` member of a GeoJSON file; None where there is none at either end."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(_PEEK_BYTES)
        file.seek(max(path.stat().st_size - _PEEK_BYTES, 0))
        tail = file.read(_PEEK_BYTES)
    found = re.search(rb'"crs"\s*:\s*(null|\{)', head) or re.search(rb'"crs"\s*:\s*(null|\{)', tail)
    return found[1].decode() if found else None


def choose_table(path: Path, tables: NDArray[np.object_], wanted: str | None) -> str:
    """The table to read.

    Args:
        path: The file, for messages.
        tables: (n, 2) names and geometry types.
        wanted: The name the user gave, if any.

    Raises:
        SourceError: The file has no table.
        MisuseError: The name is not there, or none was given and several could be meant.
    """
    names = [str(name) for name in tables[:, 0]]
    if not names:
        raise SourceError("the file has no table", file=path, next_step="check that it is the right file")
    if wanted is not None and wanted in names:
        return wanted
    surfaces = [str(name) for name, kind in tables if kind and ("Polygon" in kind or "Surface" in kind)]
    for candidates in (names, surfaces):
        if len(candidates) == 1 and (wanted is None or path.suffix.lower() == ".zip"):
            return candidates[0]
    if wanted is not None:
        raise MisuseError(f'there is no table "{wanted}"', file=path, next_step=f"use one of: {', '.join(names)}")
    raise MisuseError(
        f"the file has {len(names)} tables and it is not plain which is meant",
        file=path,
        next_step=f'write `table = "..."` in twin.toml with one of: {", ".join(names)}',
    )


def proper_names(columns: Sequence[str], guess: EncodingGuess | None) -> tuple[str, ...]:
    """Field names in proper Unicode, each once.

    Args:
        columns: Names as GDAL gives them.
        guess: Encoding of a DBF read through ISO-8859-1; None where GDAL has decoded the names.
    """
    names: list[str] = []
    for column in columns:
        name = column
        if guess is not None and not column.isascii():
            raw = column.encode("iso8859-1", "replace")
            name = decode_value(raw, guess.name, cut=True) or raw.decode(guess.name, "replace")
        unique, number = name, 2
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return tuple(names)


def choose_columns(path: Path, names: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Positions of the attributes to read, in the order of the source.

    Raises:
        MisuseError: One of them is not there.
    """
    missing = [name for name in wanted or () if name not in names]
    if missing:
        raise MisuseError(
            f"there is no attribute {', '.join(missing)}",
            file=path,
            next_step=f"the attributes are: {', '.join(names) or 'none at all'}",
        )
    return [index for index, name in enumerate(names) if wanted is None or name in wanted]
