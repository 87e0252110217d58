"""Everything GDAL reads, through pyogrio's Arrow stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.raw
from numpy.typing import NDArray

from twin.sources import dbf, wkb
from twin.sources.block import ReadOptions, SourceBlock, VectorSource, block_from_wkb
from twin.sources.container import Located, locate
from twin.sources.encoding import EncodingGuess, beside, check_encoding, detect_encoding
from twin.sources.layer import Layer, choose_columns, describe, proper_names, quiet, quoted, reading
from twin.sources.text import Decoder, decode_table

#: Drivers whose features can be reached by number without reading the ones before.
_SPLITTABLE: Final = frozenset({"GPKG", "ESRI Shapefile", "FlatGeobuf", "OpenFileGDB"})


@dataclass(frozen=True, slots=True)
class GdalReader:
    """Reads one table through GDAL.

    Attributes:
        path: What GDAL opens (may start with /vsizip/ or /vsigzip/).
        file: What the user named.
        table: Layer name.
        columns: Attributes to read, as GDAL names them.
        encoding: Encoding handed to GDAL, or None.
        count: Number of features.
        geometry_name: Geometry column in GDAL's table.
        names: The attributes' proper names, in the order of `columns`.
        decoder: How text becomes Unicode.
        fid_column: Column of row ids, where the format has one.
        fid_first: First row id where they run without a gap: then a block is a range of ids.
        where: Filter in OGR SQL, if only some features of the table are meant.
        extra: Open options of the driver.
    """

    path: str
    file: Path
    table: str
    columns: tuple[str, ...]
    encoding: str | None
    count: int
    geometry_name: str
    names: tuple[str, ...]
    decoder: Decoder
    fid_column: str | None = None
    fid_first: int | None = None
    where: str | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def read(self, start: int, count: int) -> SourceBlock:
        """See `vector.Reader`."""
        count = min(count, max(self.count - start, 0))
        limits: dict[str, Any] = {"where": self.where, "skip_features": start, "max_features": count}
        if self.fid_first is not None:
            first = self.fid_first + start
            column = quoted(self.fid_column or "fid")
            limits = {"where": f"{column} >= {first} AND {column} < {first + count}"}
        notes: list[str] = []
        with reading(self.file), quiet(notes):
            _, table = pyogrio.raw.read_arrow(self.path, **self._request(), **limits)
        return self._block(start, table, notes)

    def blocks(self, size: int) -> Iterator[SourceBlock]:
        """See `vector.Reader`."""
        if self.fid_first is not None:  # ranges of row ids are the faster way through a GeoPackage
            yield from (self.read(start, size) for start in range(0, self.count, size))
            return
        start = 0
        for table, notes in self._batches(size):
            yield self._block(start, table, notes)
            start += table.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """See `vector.Reader`."""
        index = self.names.index(name)
        alone = replace(self, columns=(self.columns[index],), names=(name,))
        with reading(self.file), quiet():
            _, table = pyogrio.raw.read_arrow(self.path, where=self.where, read_geometry=False, **alone._request())
        attributes, _ = decode_table(alone._named(table), self.decoder)
        return attributes.column(0)

    def _request(self) -> dict[str, Any]:
        return {
            "layer": self.table,
            "columns": [name for name in dict.fromkeys(self.columns) if name != self.fid_column],
            "encoding": self.encoding,
            "return_fids": self.fid_column is not None,
            **dict(self.extra),
        }

    def _batches(self, size: int) -> Iterator[tuple[pa.Table, list[str]]]:
        notes: list[str] = []
        with reading(self.file), quiet(notes):
            stream = pyogrio.raw.open_arrow(
                self.path, batch_size=size, use_pyarrow=True, where=self.where, **self._request()
            )
            _, reader = stream.__enter__()
        try:
            while (batch := _next(reader, self.file, notes)) is not None:
                if batch.num_rows:
                    yield pa.Table.from_batches([batch]), notes
                    notes = []
        finally:
            stream.__exit__(None, None, None)

    def _block(self, start: int, table: pa.Table, notes: list[str]) -> SourceBlock:
        attributes, column = split_geometry(table, self.geometry_name)
        attributes, reasons = decode_table(self._named(attributes), self.decoder)
        if column is None:
            return block_from_wkb(start, attributes, no_geometry(table.num_rows), reasons, notes)
        decoded = wkb.decode(column, lambda rows: self._linear(start, rows))
        return block_from_wkb(start, attributes, decoded, reasons, notes)

    def _named(self, attributes: pa.Table) -> pa.Table:
        """The attributes asked for under their proper names; GDAL gives them in its own order."""
        if len(set(self.columns)) == len(self.columns):
            return attributes.select(self.columns).rename_columns(self.names)
        # a DBF may use a name twice: all columns are read then, in the order of the file
        return attributes.select(
            range(attributes.num_columns - len(self.columns), attributes.num_columns)
        ).rename_columns(self.names)

    def _linear(self, start: int, rows: NDArray[np.int64]) -> list[bytes | None]:
        first, last = int(rows[0]), int(rows[-1])
        with reading(self.file), quiet():
            _, _, geometry, _ = pyogrio.raw.read(
                self.path, layer=self.table, columns=[], skip_features=start + first, max_features=last - first + 1
            )
        return [geometry[row - first] for row in rows]


def _next(reader: Any, file: Path, notes: list[str]) -> pa.RecordBatch | None:
    with reading(file), quiet(notes):
        return next(reader, None)


def no_geometry(count: int) -> wkb.Decoded:
    """The geometry of a table that has none."""
    return wkb.finish(np.full(count, None, dtype=object))


def split_geometry(table: pa.Table, name: str) -> tuple[pa.Table, pa.Array | None]:
    """Attributes and WKB column of a table as GDAL gives it."""
    if name not in table.column_names:
        return table, None
    column = table.column(name)
    chunks = column.chunks
    array = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], pa.binary())
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return table.drop_columns([name]), array


def open_gdal(path: Path, options: ReadOptions) -> VectorSource:
    """Opens a file with GDAL; see `vector.open_source`."""
    located = locate(path, options.table)
    notes = list(located.notes)
    layer = describe(path, located, options.table, notes)
    guess = guess_encoding(located, options)
    names = proper_names(layer.columns, guess if layer.through_latin1 else None)
    chosen = choose_columns(path, names, options.columns)
    if guess.finding:
        notes.append(guess.finding)
    return VectorSource(
        path=path,
        table=layer.table,
        driver=layer.driver,
        fields=pa.schema([(names[index], layer.types[index]) for index in chosen]),
        crs=options.crs or layer.crs,
        count=layer.count,
        encoding=guess.name.upper(),
        splittable=layer.driver in _SPLITTABLE and located.random_access,
        notes=tuple(dict.fromkeys(notes)),
        reader=make_reader(path, located, layer, [(layer.columns[index], names[index]) for index in chosen], guess),
        fid_column=layer.fid_column,
        encoding_guess=guess,
    )


def guess_encoding(located: Located, options: ReadOptions) -> EncodingGuess:
    """The encoding of the text: what the user says, else what the DBF shows, else what GDAL makes of it (UTF-8)."""
    if options.encoding is not None:
        return EncodingGuess(check_encoding(options.encoding), "twin.toml says so", True)
    if located.dbf is not None:
        return detect_encoding(located.dbf)
    return EncodingGuess("utf-8", "the format is always in UTF-8, or says what it is in", True)


def make_reader(
    path: Path, located: Located, layer: Layer, columns: list[tuple[str, str]], guess: EncodingGuess
) -> GdalReader:
    """A reader for the described table.

    Args:
        path: The file, for messages.
        located: How GDAL opens it.
        layer: Its description.
        columns: GDAL's name and proper name of each attribute to read.
        guess: Encoding of the text.
    """
    return GdalReader(
        path=located.name,
        file=path,
        table=layer.table,
        columns=tuple(column for column, _ in columns),
        encoding="ISO-8859-1" if layer.through_latin1 else None,
        count=layer.count,
        geometry_name=layer.geometry_name,
        names=tuple(name for _, name in columns),
        decoder=Decoder(guess.name, layer.through_latin1, _widths(located, [name for _, name in columns])),
        fid_column=layer.fid_column,
        fid_first=layer.fid_first,
    )


def _widths(located: Located, names: list[str]) -> dict[str, int]:
    table = beside(located.dbf, ".dbf") if located.dbf is not None else None
    if table is None:
        return {}
    widths = [item.width for item in dbf.read_header(table).fields]
    return dict(zip(names, widths, strict=False)) if len(widths) == len(names) else {}
