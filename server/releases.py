"""The release being served and the one before it: opened together, switched at once, closed when nobody reads them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.crs.reference import horizontal, parse_crs
from twin.entity.index import EntityIndex
from twin.errors import CrsError, StoreError, TwinError
from twin.store import release as on_disk
from twin.store.base import TilesetStore

_log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
#: Plane coordinates (n, 2) from one CRS to another.
Transform = Callable[[FloatArray], FloatArray]
WGS84 = "EPSG:4326"


@dataclass(frozen=True, slots=True)
class Projection:
    """Between the working CRS and WGS 84 longitude and latitude in degrees.

    Attributes:
        forward: Working coordinates (n, 2) to longitude and latitude.
        inverse: The other way.
    """

    forward: Transform
    inverse: Transform

    @classmethod
    def of(cls, working_crs: str) -> Projection:
        """The projection of a CRS written as in `twin.toml`. Raises `CrsError` where it cannot be read."""
        working, wgs84 = parse_crs(working_crs), parse_crs(WGS84)
        return cls(horizontal(working, wgs84), horizontal(wgs84, working))

    def to_lonlat(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Working coordinates (n,), (n,) to degrees."""
        degrees = self.forward(np.column_stack([np.asarray(x, float), np.asarray(y, float)]))
        return degrees[:, 0], degrees[:, 1]

    def to_xy(self, lon: Any, lat: Any) -> tuple[Any, Any]:
        """Degrees to working coordinates, numbers or arrays; not finite where the CRS cannot express the place."""
        degrees = np.column_stack([np.atleast_1d(lon), np.atleast_1d(lat)]).astype(np.float64)
        try:
            xy = self.inverse(degrees)
        except CrsError:
            xy = np.full(degrees.shape, np.nan)
        return (xy[:, 0], xy[:, 1]) if np.ndim(lon) else (float(xy[0, 0]), float(xy[0, 1]))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a release.

    Attributes:
        name: Its key in `release.json`.
        record: Its entry there.
        path: The store on disk.
        store: The open store.
    """

    name: str
    record: Mapping[str, Any]
    path: Path
    store: TilesetStore


class OpenRelease:
    """An open release. It closes itself once it is retired and the last request that reads it has ended.

    Attributes:
        id: Release id.
        record: The content of `release.json`.
        layers: By name.
        index: The entity index.
        projection: Of the working CRS; None where that is private and unknown here.

    Args:
        folder: The release directory.
        working_crs: Definition of the working CRS where the release keeps it private; None if unknown.

    Raises:
        TwinError: Something in it cannot be opened.
    """

    def __init__(self, folder: Path, working_crs: str | None) -> None:
        stored = on_disk.Release.open(folder)
        self.id = stored.id
        self.record = stored.info
        with ExitStack() as opened:
            self.layers = {name: _open_layer(stored, name, opened) for name in stored.layers}
            text = stored.info.get("working_crs") or working_crs
            self.projection = None if text is None else Projection.of(text)
            to_xy = None if self.projection is None else self.projection.to_xy
            self.index = EntityIndex.open(stored.index, to_xy)
            self._opened = opened.pop_all()
        self._lock = Lock()
        self._readers = 0
        self._retired = False

    def enter(self) -> None:
        """Keeps the release open."""
        with self._lock:
            self._readers += 1

    def leave(self) -> None:
        """Ends what `enter` began."""
        with self._lock:
            self._readers -= 1
            unused = self._retired and not self._readers
        if unused:
            self._opened.close()

    def retire(self) -> None:
        """Nothing new will be read from it."""
        with self._lock:
            unused = not self._retired and not self._readers
            self._retired = True
        if unused:
            self._opened.close()


def _open_layer(stored: on_disk.Release, name: str, opened: ExitStack) -> Layer:
    return Layer(name, stored.info["layers"][name], stored.store_path(name), opened.enter_context(stored.store(name)))


@dataclass(frozen=True, slots=True)
class Pair:
    """What is served at one moment; replaced as a whole, so that a request never sees half of a switch.

    Attributes:
        current: The published release.
        previous: The one before, whose tiles a page that is already open still asks for.
    """

    current: OpenRelease
    previous: OpenRelease | None

    @property
    def releases(self) -> tuple[OpenRelease, ...]:
        """Current first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


class Releases:
    """Follows `current.json` of one release directory.

    Args:
        out: Folder with `current.json` and `releases/`.
        working_crs: See `OpenRelease`.

    Raises:
        StoreError: Nothing has been built yet, or the published release cannot be opened.
    """

    def __init__(self, out: Path, working_crs: str | None = None) -> None:
        self._out = out
        self._working_crs = working_crs
        self._pointer = out / on_disk.CURRENT
        self._lock = Lock()
        self._stamp = self._read_stamp()
        self.pair = self._open()

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._pointer.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _open(self) -> Pair:
        """Opens both releases anew: one that was built again under the same id may have been rewritten."""
        pointer = on_disk.current(self._out)
        if pointer is None:
            raise StoreError(
                "nothing has been built yet", file=self._out, next_step="run `twin build`, then `twin serve`"
            )
        current = OpenRelease(self._out / on_disk.RELEASES / pointer.release, self._working_crs)
        return Pair(current, self._open_previous(pointer))

    def _open_previous(self, pointer: on_disk.ReleasePointer) -> OpenRelease | None:
        """The release before; one that has been deleted or damaged is no reason not to serve the new one."""
        if pointer.previous is None or pointer.previous == pointer.release:
            return None
        try:
            return OpenRelease(self._out / on_disk.RELEASES / pointer.previous, self._working_crs)
        except TwinError as error:
            _log.warning("the previous release is not served: %s", error)
            return None

    @contextmanager
    def reading(self) -> Iterator[OpenRelease]:
        """The current release, kept open for one request whatever is published meanwhile."""
        with self.reading_both() as pair:
            yield pair.current

    @contextmanager
    def reading_both(self) -> Iterator[Pair]:
        """The current release and the one before, kept open for one request."""
        with self._lock:
            pair = self.pair
            for release in pair.releases:
                release.enter()
        try:
            yield pair
        finally:
            for release in pair.releases:
                release.leave()

    def prepare(self) -> Pair | None:
        """Opens what `current.json` names now; None if it has not changed. Safe in any thread.

        Raises:
            TwinError: It cannot be opened. The served release stays; it is tried again when the file changes once more.
        """
        stamp = self._read_stamp()
        if stamp is None or stamp == self._stamp:
            return None
        self._stamp = stamp
        pair = self._open()
        pair.current.index.warm()
        return pair

    def switch(self, pair: Pair) -> None:
        """Serves another pair from now on. Belongs to the thread of the event loop, where tiles are read."""
        with self._lock:
            old, self.pair = self.pair, pair
        for release in old.releases:
            release.retire()

    def refresh(self) -> bool:
        """`prepare` and `switch` in one; True after a switch."""
        pair = self.prepare()
        if pair is not None:
            self.switch(pair)
        return pair is not None

    def close(self) -> None:
        """Closes everything."""
        for release in self.pair.releases:
            release.retire()
