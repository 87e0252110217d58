"""Where each entity is: geid to layer, tile, row, place and attributes, without loading a tile (promise 5).

An Arrow IPC file, sorted by geid and mapped into memory: opening costs nothing, a look-up by geid reads a few pages,
and what other look-ups need is made when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import file_digest
from pathlib import Path
from threading import RLock
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from twin.entity import geid as geids
from twin.entity.address import AddressBook, Candidate
from twin.entity.aliases import AliasTexts
from twin.entity.index_schema import ATTRIBUTE, GEOMETRY, INDEX_FIELDS, index_schema, sorted_table
from twin.entity.level_grid import LevelGrid
from twin.entity.positions import Hits, Outlines
from twin.entity.positions import find as find_positions
from twin.entity.rows import exterior_bounds, geojson_geometry, json_value, polygons
from twin.entity.sorted_text import SortedText, fold
from twin.errors import MisuseError, StoreError

__all__ = ["INDEX_FIELDS", "EntityIndex", "ToLonLat", "ToXY", "index_schema"]

ToXY = Callable[[Any, Any], tuple[Any, Any]]
"""Longitude and latitude in degrees to x, y in the working CRS: two numbers to two numbers, for `at_many` arrays."""

ToLonLat = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""x, y arrays in the working CRS to longitude and latitude in degrees."""

_Columns = list[tuple[str, pa.Array]]

VERTICAL_SLACK_M = 1.0
"""How far below its base or above its roof a point still counts to an entity (foundation skirt, inexact picking)."""

_CERTAIN_GEID = 8  # so many characters are hardly typed by chance: identifiers come first then


class EntityIndex:
    """An open index. It may be shared by threads.

    Args:
        path: The file.
        table: Its columns, mapped.
        to_xy: Needed for `at` alone.
    """

    def __init__(self, path: Path, table: pa.Table, to_xy: ToXY | None = None) -> None:
        self.path = path
        self.table = table
        self._to_xy = to_xy
        self._geids = _fixed_width(table["geid"], path)
        self._lazy: dict[str, Any] = {}
        self._lock = RLock()

    @classmethod
    def open(cls, path: Path | str, to_xy: ToXY | None = None) -> Self:
        """Maps a file.

        Args:
            path: `entities.arrow` of a release.
            to_xy: Longitude and latitude to x, y in the working CRS; `at` needs it.

        Raises:
            StoreError: If it is missing, damaged, or no entity index.
        """
        place = Path(path)
        try:
            table = pa.ipc.open_file(pa.memory_map(str(place))).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(
                f"the entity index cannot be read ({error})", file=place, next_step="build again"
            ) from error
        lacking = [field.name for field in INDEX_FIELDS if field.name not in table.column_names]
        if lacking:
            what = f"it is no entity index: the column {lacking[0]!r} is missing"
            raise StoreError(what, file=place, next_step="build again with this version")
        return cls(place, table, to_xy)

    @staticmethod
    def write(path: Path | str, table: pa.Table) -> str:
        """Writes an index: the same rows in any order give the same bytes.

        Args:
            path: The file; replaced in one step.
            table: Columns as in `index_schema`; columns that are missing are written as null.

        Returns:
            SHA-256 of the file, hexadecimal.

        Raises:
            StoreError: If a geid is missing, malformed or repeated, a column is unknown, or the disk refuses.
        """
        place = Path(path)
        ordered = sorted_table(table, place)
        staged = place.with_name(place.name + ".writing")
        try:
            with pa.OSFile(str(staged), "wb") as sink, pa.ipc.new_file(sink, ordered.schema) as writer:
                writer.write_table(ordered)
            with staged.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StoreError(
                f"cannot be written ({error})", file=place, next_step="free disk space, check rights"
            ) from error
        staged.replace(place)
        return digest

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def to_xy(self) -> ToXY | None:
        """Degrees to the working CRS, as it was opened with."""
        return self._to_xy

    def find(self, geid: str) -> int | None:
        """Row of an identifier in any spelling, or None; a binary search in the mapped column."""
        written = geids.partial(geid)
        if written is None or len(written) != geids.TEXT_LENGTH:
            return None
        wanted = np.bytes_(written.encode("ascii"))
        row = int(np.searchsorted(self._geids, wanted))
        return row if row < len(self._geids) and self._geids[row] == wanted else None

    def find_many(self, written: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """(n,) rows of identifiers in written form, nulls among them; -1 where there is none."""
        texts = pc.fill_null(written, "").to_numpy(zero_copy_only=False).astype(f"U{geids.TEXT_LENGTH + 1}")
        wanted = np.char.encode(texts, "ascii", "replace").astype(f"S{geids.TEXT_LENGTH + 1}")
        row = np.searchsorted(self._geids, wanted)
        there = row < len(self._geids)
        there[there] = self._geids[row[there]] == wanted[there]
        return np.where(there, row, -1).astype(np.int64)

    def by_key(self, source: str, key: str) -> int | None:
        """Row of a source key, or None."""
        sources = self.table["source"]
        return next((row for row in self._keys().equal_to(key) if sources[row].as_py() == source), None)

    def bearing_key(self, key: str, limit: int = 100) -> list[int]:
        """Rows with a source key, whatever the source."""
        return _first(self._keys().equal_to(key), limit)

    def by_alias(self, text: str, limit: int = 100) -> list[int]:
        """Rows that have an alias, given as `scheme:value` or as a bare value; case and width of letters do not matter.

        An alias may stand for several entities: all of them are given, up to `limit`.
        """
        return _first(self._aliases().equal_to(text), limit)

    def prefix(self, text: str, limit: int) -> list[int]:
        """Rows whose source key, name, address or geid begins with a text; then those whose name or address holds it.

        An alias that is the text counts as a key, one that only begins with it comes last. Case and width of letters do
        not matter, nor dashes in a geid. The order is the same every time.
        """
        wanted = fold(text)
        return _first(self._hits(wanted), limit) if wanted else []

    def _hits(self, text: str) -> Iterator[int]:
        start = geids.partial(text)
        sure = start is not None and len(start.replace("-", "")) >= _CERTAIN_GEID
        if start is not None and sure:
            yield from self._geids_from(start)
        keys, name, address = (self._text(column) for column in ("source_key", "name", "address"))
        yield from keys.equal_to(text)
        yield from self._aliases().equal_to(text)
        for texts in (name, address, keys):
            yield from texts.starting_with(text)
        if start is not None and not sure:
            yield from self._geids_from(start)
        for texts in (name, address):
            yield from texts.containing(text)
        yield from self._aliases().starting_with(text)

    def _geids_from(self, start: str) -> range:
        low = int(np.searchsorted(self._geids, np.bytes_(start.encode())))
        high = int(np.searchsorted(self._geids, np.bytes_(start.encode() + b"~")))
        return range(low, high)

    def at(self, lon: float, lat: float, h: float | None = None, tolerance_m: float = 0.0) -> list[int]:
        """Rows at a place in degrees; see `at_xy`.

        Raises:
            MisuseError: If the index was opened without `to_xy`.
        """
        if self._to_xy is None:
            raise MisuseError("the index was opened without `to_xy`", next_step="pass it to `open`, or use `at_xy`")
        x, y = self._to_xy(lon, lat)
        return self.at_xy(x, y, h, tolerance_m)

    def at_xy(self, x: float, y: float, h: float | None = None, tolerance_m: float = 0.0) -> list[int]:
        """Rows at a place in the working CRS.

        Args:
            x: To the east, metres.
            y: To the north, metres.
            h: Ellipsoidal height in metres; rows that do not reach it (to `VERTICAL_SLACK_M`) are left out.
            tolerance_m: How far outside a footprint still counts.

        Returns:
            Rows whose footprint holds the point, the smallest first, then rows within the tolerance, the nearest first.
        """
        if not (np.isfinite(x) and np.isfinite(y)):
            return []
        rows = self._grid().near(x, y, tolerance_m)
        if h is not None:
            rows = rows[self._reaches(rows, h, tolerance_m + VERTICAL_SLACK_M)]
        shapes = polygons(self.table[GEOMETRY], rows)
        distance = shapely.distance(shapes, shapely.Point(x, y))
        area = shapely.area(shapes)
        order = np.lexsort((rows, area, distance))
        return [int(rows[i]) for i in order if distance[i] <= tolerance_m]

    def at_many(
        self,
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
        h: NDArray[np.float64] | None = None,
        tolerance_m: float = 0.0,
    ) -> Hits:
        """Rows at many places in degrees; see `at_many_xy`. `to_xy` is called once, with arrays.

        Raises:
            MisuseError: If the index was opened without `to_xy`.
        """
        if self._to_xy is None:
            raise MisuseError(
                "the index was opened without `to_xy`", next_step="pass it to `open`, or use `at_many_xy`"
            )
        x, y = self._to_xy(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
        return self.at_many_xy(np.column_stack([x, y]), h, tolerance_m)

    def at_many_xy(
        self, xy: NDArray[np.float64], h: NDArray[np.float64] | None = None, tolerance_m: float = 0.0
    ) -> Hits:
        """Rows at many places: for each of them what `at_xy` gives, found together.

        Args:
            xy: (n, 2) working CRS, metres.
            h: (n,) ellipsoidal heights in metres; NaN where the height does not matter.
            tolerance_m: How far outside a footprint still counts.
        """

        def keep(query: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            if h is None:
                return np.ones(len(rows), dtype=np.bool_)
            return self._reaches(rows, np.asarray(h, np.float64)[query], tolerance_m + VERTICAL_SLACK_M)

        return find_positions(self._outlines(), self._grid(), np.asarray(xy, np.float64), tolerance_m, keep)

    def by_address(self, text: str, limit: int = 10, enough: float | None = None) -> list[Candidate]:
        """Entities whose address or name is like a text people wrote, the best first, with score and reasons.

        A street that gives a candidate as good as `enough` spares the search for names that are merely like the text.
        """
        made: AddressBook = self._made("addresses", lambda: AddressBook(self.table["address"], self.table["name"]))
        return made.find(text, limit, enough)

    def _outlines(self) -> Outlines:
        made: Outlines = self._made("outlines", lambda: Outlines.of(self.table[GEOMETRY]))
        return made

    def _reaches(self, rows: NDArray[np.int64], h: float | NDArray[np.float64], slack: float) -> NDArray[np.bool_]:
        base, top = self._vertical()
        low, high = base[rows], top[rows]
        return ~((h < low - slack) | (h > high + slack))  # unknown heights rule nothing out

    def record(self, row: int) -> dict[str, Any]:
        """Everything known of a row but its geometry, ready for JSON; the source's attributes under `attributes`."""
        self._checked(row)
        facts, own = self._made("shown", self._make_shown)
        # Column by column: a third of what `to_pylist` of a slice takes.
        record = {name: json_value(column[row].as_py()) for name, column in facts}
        return {**record, "attributes": {name: json_value(column[row].as_py()) for name, column in own}}

    def _make_shown(self) -> tuple[_Columns, _Columns]:
        """Facts, and attributes without their prefix: what `record` tells of a row."""
        shown = self.table.drop_columns([GEOMETRY]).to_batches()[0]
        named = list(zip(shown.schema.names, shown.columns, strict=True))
        facts = [(name, column) for name, column in named if not name.startswith(ATTRIBUTE)]
        own = [(name.removeprefix(ATTRIBUTE), column) for name, column in named if name.startswith(ATTRIBUTE)]
        return facts, own

    def geojson(self, row: int, to_lonlat: ToLonLat) -> dict[str, Any]:
        """A row as GeoJSON feature (RFC 7946): degrees, outline only."""
        geometry = self.table[GEOMETRY][self._checked(row)].as_py()
        record = self.record(row)
        shape = geojson_geometry(geometry, to_lonlat)
        return {"type": "Feature", "id": record["geid"], "geometry": shape, "properties": record}

    def rows(self, start: int = 0, stop: int | None = None) -> pa.Table:
        """Rows as they lie in the file, without copying; for exports in batches."""
        end = len(self) if stop is None else min(stop, len(self))
        return self.table.slice(start, max(end - start, 0))

    def batches(self, size: int = 10_000) -> Iterator[pa.Table]:
        """All rows, `size` at a time."""
        return (self.rows(start, start + size) for start in range(0, len(self), size))

    def _checked(self, row: int) -> int:
        if not 0 <= row < len(self):
            raise MisuseError(f"there is no row {row} in the index", next_step=f"rows are 0 to {len(self) - 1}")
        return row

    def warm(self) -> None:
        """Makes now what look-ups by key, text and place need, so that the first of them need not wait.

        About four seconds of work for a million rows; a server calls it in a thread before it switches releases.
        """
        self._keys(), self._grid(), self._vertical(), self._aliases()
        for column in ("source_key", "name", "address"):
            self._text(column)

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if name not in self._lazy:
                self._lazy[name] = make()
            return self._lazy[name]

    def _keys(self) -> SortedText:
        made: SortedText = self._made("keys", lambda: SortedText.build(self.table["source_key"], folded=False))
        return made

    def _aliases(self) -> AliasTexts:
        made: AliasTexts = self._made("aliases", lambda: AliasTexts.build(self.table["aliases"]))
        return made

    def _text(self, column: str) -> SortedText:
        made: SortedText = self._made(f"text {column}", lambda: SortedText.build(self.table[column]))
        return made

    def _grid(self) -> LevelGrid:
        made: LevelGrid = self._made("grid", lambda: LevelGrid.build(exterior_bounds(self.table[GEOMETRY])))
        return made

    def _vertical(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ellipsoidal height of base and top of every row, NaN where unknown."""
        made: tuple[NDArray[np.float64], NDArray[np.float64]] = self._made("vertical", self._make_vertical)
        return made

    def _make_vertical(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        base, height = (pc.fill_null(self.table[name], float("nan")).to_numpy() for name in ("height", "height_m"))
        return base, np.where(np.isfinite(height), base + height, base)


def _first(rows: Iterator[int], limit: int) -> list[int]:
    """The first different rows."""
    found: dict[int, None] = {}
    for row in rows:
        if len(found) >= limit:
            break
        found.setdefault(row)
    return list(found)


def _fixed_width(column: pa.ChunkedArray, path: Path) -> NDArray[np.bytes_]:
    """The geid column as fixed-width bytes, without copying it out of the mapped file."""
    width = geids.TEXT_LENGTH
    if len(column) == 0:
        return np.empty(0, dtype=f"S{width}")
    damaged = StoreError("its geid column is damaged", file=path, next_step="build again")
    if column.num_chunks != 1 or column.null_count or column.type != pa.string():
        raise damaged
    array = column.chunk(0)
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    if data is None or data.size < ends[-1] or ends[-1] - ends[0] != width * len(array):
        raise damaged
    texts: NDArray[np.bytes_] = np.frombuffer(data, dtype=f"S{width}", count=len(array), offset=int(ends[0]))
    return texts
