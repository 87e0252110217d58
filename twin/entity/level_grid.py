"""Finding boxes by place without an object a box: boxes sorted by the cell of a grid that fits their size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FINEST_M = 32.0
_LEVELS = 16  # the coarsest cell is over a thousand kilometres wide
_BITS = 29
_MASK = (1 << _BITS) - 1


@dataclass(frozen=True, slots=True)
class LevelGrid:
    """Boxes by level, row and column of the cell their centre is in; a box is no wider than a cell of its level.

    Attributes:
        bounds: (n, 4) f64 west, south, east, north; NaN for rows without a box.
        codes: Sorted cell codes of the rows that have a box.
        rows: Rows in the order of `codes`.
        levels: Levels that occur.
    """

    bounds: NDArray[np.float64]
    codes: NDArray[np.int64]
    rows: NDArray[np.int64]
    levels: tuple[int, ...]

    @classmethod
    def build(cls, bounds: NDArray[np.float64]) -> LevelGrid:
        """Sorts boxes.

        Args:
            bounds: (n, 4) west, south, east, north in metres; NaN where there is none.
        """
        rows = np.flatnonzero(np.isfinite(bounds).all(axis=1))
        box = bounds[rows]
        extent = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
        ratio = np.maximum(extent / _FINEST_M, 1.0)
        level = np.minimum(np.ceil(np.log2(ratio)).astype(np.int64), _LEVELS - 1)
        size = _FINEST_M * 2.0**level
        column = np.floor((box[:, 0] + box[:, 2]) / 2 / size).astype(np.int64)
        line = np.floor((box[:, 1] + box[:, 3]) / 2 / size).astype(np.int64)
        codes = _code(level, line, column)
        order = np.lexsort((rows, codes))
        return cls(bounds, codes[order], rows[order], tuple(np.unique(level).tolist()))

    def near(self, x: float, y: float, tolerance: float) -> NDArray[np.int64]:
        """Rows whose box lies within `tolerance` metres of a point along both axes, ascending."""
        found = [self._in_level(level, x, y, tolerance) for level in self.levels]
        rows = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        west, south, east, north = self.bounds[rows].T
        inside = (west - tolerance <= x) & (x <= east + tolerance) & (south - tolerance <= y) & (y <= north + tolerance)
        return np.sort(rows[inside])

    def near_many(
        self, x: NDArray[np.float64], y: NDArray[np.float64], tolerance: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(point, row) pairs of `near` for many points, finite ones, in no particular order."""
        found = [pair for level in self.levels for pair in self._pairs(level, x, y, tolerance)]
        point = np.concatenate([one for one, _ in found]) if found else np.empty(0, dtype=np.int64)
        rows = np.concatenate([one for _, one in found]) if found else np.empty(0, dtype=np.int64)
        west, south, east, north = self.bounds[rows].T
        px, py = x[point], y[point]
        inside = (west - tolerance <= px) & (px <= east + tolerance)
        inside &= (south - tolerance <= py) & (py <= north + tolerance)
        return point[inside], rows[inside]

    def _pairs(
        self, level: int, x: NDArray[np.float64], y: NDArray[np.float64], tolerance: float
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Pairs of one level, a line of cells at a time."""
        size = _FINEST_M * 2.0**level
        reach = tolerance + size / 2
        first, last = (_cell(x, -reach, size), _cell(x, reach, size))
        low, high = (_cell(y, -reach, size), _cell(y, reach, size))
        begin, end = np.searchsorted(self.codes, [level << (2 * _BITS), (level + 1) << (2 * _BITS)])
        codes, rows = self.codes[begin:end], self.rows[begin:end]
        for step in range(int((high - low).max(initial=-1)) + 1):
            line = low + step
            start = np.searchsorted(codes, _code(np.int64(level), line, first), side="left")
            past = np.searchsorted(codes, _code(np.int64(level), line, last), side="right")
            counts = np.where(line <= high, np.maximum(past - start, 0), 0)
            point = np.repeat(np.arange(len(x), dtype=np.int64), counts)
            at = np.arange(len(point), dtype=np.int64) - (np.cumsum(counts) - counts - start)[point]
            yield point, rows[at]

    def _in_level(self, level: int, x: float, y: float, tolerance: float) -> NDArray[np.int64]:
        size = _FINEST_M * 2.0**level
        reach = tolerance + size / 2  # centres of boxes that may touch lie within
        first, last = int((x - reach) // size), int((x + reach) // size)
        lines = np.arange(int((y - reach) // size), int((y + reach) // size) + 1)
        start = np.searchsorted(self.codes, _code(np.int64(level), lines, np.int64(first)), side="left")
        end = np.searchsorted(self.codes, _code(np.int64(level), lines, np.int64(last)), side="right")
        pieces = [self.rows[a:b] for a, b in zip(start.tolist(), end.tolist(), strict=True) if a < b]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _cell(place: NDArray[np.float64], shift: float, size: float) -> NDArray[np.int64]:
    """Number of the cell a shifted place lies in; places off any map are kept where numbers still fit."""
    half = 1 << (_BITS - 1)
    return np.clip(np.floor((place + shift) / size), -half, half - 1).astype(np.int64)


def _code(
    level: NDArray[np.int64] | np.int64, line: NDArray[np.int64], column: NDArray[np.int64] | np.int64
) -> NDArray[np.int64]:
    """One sortable number: level, then line, then column, each made positive."""
    half = 1 << (_BITS - 1)
    line_bits, column_bits = (line + half) & _MASK, (column + half) & _MASK
    return np.asarray((level << np.int64(2 * _BITS)) | (line_bits << _BITS) | column_bits, dtype=np.int64)
