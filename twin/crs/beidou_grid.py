"""Writes and reads BeiDou grid location codes (GB/T 39409-2020), by which other Chinese systems look a place up.

The code is a cell of CGCS2000 longitude, latitude and, in three dimensions, ellipsoidal height. Clause numbers are
those of the standard. The polar scheme (beyond 88 degrees of latitude) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from twin.errors import MisuseError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.str_]

Radix = Literal["mixed", "binary", "dms"]
Negative = Literal["complement", "mirror_trunc", "mirror_floor"]

LEVELS = 10
#: Cells of level 10 in a degree, for all three axes: 2048 in an arc second.
_PER_DEGREE = 3600 * 2048
#: A cell boundary given in decimal degrees lies up to this far below it in binary; 2813 of 72,000 four-decimal
#: boundaries do.
_NUDGE = 1e-6
_DIGITS = np.array([ord(c) for c in "0123456789ABCDEF"], np.uint32)
_VALUES = np.full(128, -1, np.int64)
_VALUES[_DIGITS] = np.arange(16)

#: Columns and rows in which each level divides its parent (clause 5.1; level 1: 6 x 4 degrees of the globe).
_COLUMNS = (60, 12, 2, 15, 15, 2, 8, 8, 8, 8)
_ROWS = (22, 8, 3, 10, 15, 2, 8, 8, 8, 8)
#: Levels whose cell in the parent is one digit, row * 2 + column (clause 5.1: levels 3 and 6).
_ONE_DIGIT = (3, 6)
#: Layers in which each level divides its parent, as digits allow (clause 6.2); "binary" and "dms" pack into bit
#: fields (C.3, C.4).
_LAYERS = (64, 8, 2, 15, 15, 2, 8, 8, 8, 8)
_LAYER_BITS = (6, 3, 1, 4, 4, 1, 3, 3, 3, 3)
_LENGTH_2D = (4, 6, 7, 9, 11, 12, 14, 16, 18, 20)
_LENGTH_3D = (7, 10, 12, 15, 18, 20, 23, 26, 29, 32)

_R0 = 6378137.0
_LOG_STEP = np.log1p(np.pi / 180)


@dataclass(frozen=True, slots=True)
class Profile:
    """How to read the standard where its text allows several readings; belongs beside every stored 3D code.

    Attributes:
        radix: "mixed" keeps to the digits 0 to E that clauses 6.2 and C.5 allow at levels 4 and 5; "binary"
            (open-source TypeScript and Java) takes bit fields and writes the digit F from 1839.6 m upwards; "dms"
            (GEOVIS iBEST-DB) packs degrees, minutes and seconds. All three agree from 0 to 1839.58 m.
        negative: Layers below the ellipsoid: "complement" (C.3 to C.6 read literally; codes nest when cut),
            "mirror_trunc" (sign, then the depth as if it were a height: GeoSOT, GEOVIS), "mirror_floor" (sign, then
            the layer number: open source).
    """

    radix: Radix = "mixed"
    negative: Negative = "complement"

    def __post_init__(self) -> None:
        if self.radix not in ("mixed", "binary", "dms") or self.negative not in (
            "complement",
            "mirror_trunc",
            "mirror_floor",
        ):
            raise MisuseError(
                f"no BeiDou grid profile is called {self.radix!r}, {self.negative!r}", next_step="see `Profile`"
            )


STANDARD = Profile()


@dataclass(frozen=True, slots=True)
class Cells:
    """Bounds of cells, each (n,): degrees on CGCS2000, and for 3D codes metres above its ellipsoid (else None).

    A cell holds its boundary nearest the equator and the prime meridian, and its lower face.
    """

    west: FloatArray
    south: FloatArray
    east: FloatArray
    north: FloatArray
    level: IntArray
    bottom_m: FloatArray | None = None
    top_m: FloatArray | None = None


def encode(lon: npt.ArrayLike, lat: npt.ArrayLike, level: int = LEVELS) -> CodeArray:
    """2D codes of points.

    Args:
        lon: CGCS2000 (or WGS 84) longitudes in degrees, -180 to 180, (n,).
        lat: Latitudes in degrees, within 88 of the equator, (n,).
        level: 1 (6 x 4 degrees) to 10 (1/2048 second, about 1.5 cm).

    Returns:
        (n,) strings of 4 to 20 characters. A point on a boundary belongs to the cell farther from the equator and the
        prime meridian; 180 degrees east is 180 degrees west; latitude 0 is north, longitude 0 east.

    Raises:
        MisuseError: A value is not finite or out of range, or the level does not exist.
    """
    _check_level(level)
    text = _Text(*_plane(lon, lat), _LENGTH_2D[level - 1])
    for at in range(1, level + 1):
        text.write_plane(at)
    return text.codes()


def encode_3d(
    lon: npt.ArrayLike, lat: npt.ArrayLike, h: npt.ArrayLike, level: int = LEVELS, profile: Profile = STANDARD
) -> CodeArray:
    """3D codes of points: like `encode`, with the height digits of each level after its plane digits.

    Args:
        lon: See `encode`.
        lat: See `encode`.
        h: Ellipsoidal heights in metres, (n,).
        level: See `encode`.
        profile: Reading of the ambiguous clauses; state it beside the codes.

    Returns:
        (n,) strings of 7 to 32 characters.

    Raises:
        MisuseError: As `encode`, or a height outside -6302 km to 528,680 km.
    """
    _check_level(level)
    east, north, lon_index, lat_index = _plane(lon, lat)
    below, digits = _height_digits(h, profile)
    east, north, lon_index, lat_index, below, *digits = np.broadcast_arrays(
        east, north, lon_index, lat_index, below, *digits
    )
    text = _Text(east, north, lon_index, lat_index, _LENGTH_3D[level - 1])
    text.write(_DIGITS[below.astype(np.int64)])
    for at in range(1, level + 1):
        text.write_plane(at)
        if at == 1:
            text.write(_DIGITS[digits[0] // 10])
            text.write(_DIGITS[digits[0] % 10])
        else:
            text.write(_DIGITS[digits[at - 1]])
    return text.codes()


def height_layer(h: npt.ArrayLike) -> IntArray:
    """Number of the level-10 layer that holds each height (formula C.8): 0 lies on the ellipsoid, -1 just below."""
    heights = _heights(h)
    exact = _PER_DEGREE * np.log1p(heights / _R0) / _LOG_STEP
    return np.asarray(np.floor(exact + _NUDGE), np.int64)


def layer_bottom_m(layer: npt.ArrayLike) -> FloatArray:
    """Ellipsoidal height of the lower face of level-10 layers (formula C.9), metres."""
    return np.asarray(_R0 * np.expm1(np.asarray(layer, np.float64) / _PER_DEGREE * _LOG_STEP), np.float64)


def _heights(h: npt.ArrayLike) -> FloatArray:
    heights = np.atleast_1d(np.asarray(h, np.float64))
    low, high = layer_bottom_m(-256 * _PER_DEGREE), layer_bottom_m(256 * _PER_DEGREE)
    _refuse(~(heights >= low) | ~(heights < high), heights, "height", f"{low:.0f} m to {high:.0f} m")
    return heights


def _check_level(level: int) -> None:
    if not 1 <= level <= LEVELS:
        raise MisuseError(f"BeiDou grid level {level} does not exist", next_step="use 1 to 10")


def _refuse(bad: npt.NDArray[np.bool_], values: FloatArray, what: str, allowed: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        step = f"allowed is {allowed}" + (
            "; beyond it the standard has a polar scheme, which is not supported" if what == "latitude" else ""
        )
        raise MisuseError(
            f"{int(bad.sum())} {what} values have no BeiDou grid code, the first is {values.flat[first]}",
            next_step=step,
        )


def _plane(
    lon: npt.ArrayLike, lat: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], IntArray, IntArray]:
    """East? north? and the level-10 column and row counted from the equator and the prime meridian."""
    lon, lat = np.broadcast_arrays(
        np.atleast_1d(np.asarray(lon, np.float64)), np.atleast_1d(np.asarray(lat, np.float64))
    )
    _refuse(~(np.abs(lon) <= 180.0), lon, "longitude", "-180 to 180 degrees")
    row = _index(lat)
    _refuse(~(np.abs(lat) < 88.0) | (row >= 88 * _PER_DEGREE), lat, "latitude", "-88 to 88 degrees (exclusive)")
    column = np.minimum(_index(lon), 180 * _PER_DEGREE - 1)
    return (lon >= 0) & (lon < 180), lat >= 0, column, row


def _index(degrees: FloatArray) -> IntArray:
    with np.errstate(invalid="ignore"):
        return np.floor(np.abs(degrees) * _PER_DEGREE + _NUDGE).astype(np.int64)


def _cells_per(divisions: tuple[int, ...], level: int) -> int:
    """Level-10 cells along one axis of a cell of `level`."""
    return int(np.prod(divisions[level:], dtype=np.int64))


class _Text:
    """A matrix of code points that is filled column by column."""

    def __init__(
        self,
        east: npt.NDArray[np.bool_],
        north: npt.NDArray[np.bool_],
        lon_index: IntArray,
        lat_index: IntArray,
        length: int,
    ) -> None:
        self._matrix = np.empty((len(east), length), np.uint32)
        self._at = 0
        self._east, self._lon, self._lat = east, lon_index, lat_index
        self.write(np.where(north, ord("N"), ord("S")))

    def write(self, characters: npt.NDArray[np.generic]) -> None:
        self._matrix[:, self._at] = characters
        self._at += 1

    def write_plane(self, level: int) -> None:
        """The plane characters of one level (clause 5.2)."""
        column = self._lon // _cells_per(_COLUMNS, level)
        row = self._lat // _cells_per(_ROWS, level)
        if level == 1:
            zone = np.where(self._east, 31 + column, 30 - column)
            self.write(_DIGITS[zone // 10])
            self.write(_DIGITS[zone % 10])
            self.write(row + ord("A"))
            return
        column, row = column % _COLUMNS[level - 1], row % _ROWS[level - 1]
        if level in _ONE_DIGIT:
            self.write(_DIGITS[row * 2 + column])
        else:
            self.write(_DIGITS[column])
            self.write(_DIGITS[row])

    def codes(self) -> CodeArray:
        length = self._matrix.shape[1]
        return np.ascontiguousarray(self._matrix).view(f"<U{length}").reshape(-1).astype(f"U{length}", copy=False)


# heights


def _height_digits(h: npt.ArrayLike, profile: Profile) -> tuple[npt.NDArray[np.bool_], list[IntArray]]:
    """Below the ellipsoid? and the digit of each level (annex C)."""
    layer = height_layer(h)
    below = layer < 0
    number = np.where(below, _below(layer, profile), layer)
    if profile.radix == "mixed":
        return below, [number // _cells_per(_LAYERS, at) % _LAYERS[at - 1] for at in range(1, LEVELS + 1)]
    bits = _dms(number) if profile.radix == "dms" else number
    return below, [bits >> sum(_LAYER_BITS[at:]) & ((1 << _LAYER_BITS[at - 1]) - 1) for at in range(1, LEVELS + 1)]


def _below(layer: IntArray, profile: Profile) -> IntArray:
    """The number written for layers below the ellipsoid."""
    if profile.negative == "complement":
        return layer + (2**31 if profile.radix == "binary" else 256 * _PER_DEGREE)
    return -layer - 1 if profile.negative == "mirror_trunc" else -layer


def _negative_layers(first: IntArray, past: IntArray, profile: Profile) -> tuple[IntArray, IntArray]:
    """The layers (first, past the last) for which one of the numbers from `first` to before `past` is written."""
    if profile.negative == "complement":
        turn = 2**31 if profile.radix == "binary" else 256 * _PER_DEGREE
        return first - turn, past - turn
    return (-past, -first) if profile.negative == "mirror_trunc" else (1 - past, 1 - np.maximum(first, 1))


def _dms(number: IntArray) -> IntArray:
    """Degrees, minutes, seconds and 1/2048 seconds in bit fields of 8, 6, 6 and 11."""
    seconds, fraction = np.divmod(number, 2048)
    minutes, seconds = np.divmod(seconds, 60)
    degrees, minutes = np.divmod(minutes, 60)
    return np.asarray(degrees << 23 | minutes << 17 | seconds << 11 | fraction, np.int64)


def _from_dms(bits: IntArray) -> IntArray:
    """The inverse; a field of ones, which stands for "to the end", counts as 59."""
    degrees, minutes, seconds = bits >> 23, np.minimum(bits >> 17 & 63, 59), np.minimum(bits >> 11 & 63, 59)
    return np.asarray(((degrees * 60 + minutes) * 60 + seconds) * 2048 + (bits & 2047), np.int64)


# reading


def decode(codes: Sequence[str] | CodeArray | str) -> Cells:
    """Cells of 2D codes of any level, mixed levels too.

    Raises:
        MisuseError: A code is malformed; the message names it and what is wrong.
    """
    return _decode(codes, _LENGTH_2D, None)


def decode_3d(codes: Sequence[str] | CodeArray | str, profile: Profile = STANDARD) -> Cells:
    """Cells of 3D codes of any level, mixed levels too; the profile must be the one they were written with.

    Raises:
        MisuseError: A code is malformed; the message names it and what is wrong.
    """
    return _decode(codes, _LENGTH_3D, profile)


def _decode(codes: Sequence[str] | CodeArray | str, lengths: tuple[int, ...], profile: Profile | None) -> Cells:
    text = np.char.strip(np.atleast_1d(np.asarray(codes, np.str_)))
    size = np.char.str_len(text)
    _refuse_codes(~np.isin(size, lengths), text, f"its length is none of {lengths}")
    out = np.full((7, len(text)), np.nan)
    for level, length in enumerate(lengths, 1):
        rows = np.flatnonzero(size == length)
        if len(rows):
            out[:, rows] = _Reader(text[rows], length, level, profile).cells()
    west, south, east, north, bottom, top, level_of = out
    heights = (None, None) if profile is None else (bottom, top)
    return Cells(west, south, east, north, level_of.astype(np.int64), *heights)


def _refuse_codes(bad: npt.NDArray[np.bool_], text: CodeArray, why: str) -> None:
    if bad.any():
        first = str(text[int(np.argmax(bad))])
        raise MisuseError(
            f"{first[:40]!r} is no BeiDou grid code: {why}", next_step="check the code and whether it is 2D or 3D"
        )


class _Reader:
    """Reads codes of one level, character by character."""

    def __init__(self, text: CodeArray, length: int, level: int, profile: Profile | None) -> None:
        self._text, self._level, self._profile = text, level, profile
        matrix = np.ascontiguousarray(text.astype(f"<U{length}")).view(np.uint32).reshape(len(text), length)
        self._matrix = np.where((matrix >= ord("a")) & (matrix <= ord("z")), matrix - 32, matrix)
        self._at = 0

    def _character(self) -> npt.NDArray[np.uint32]:
        self._at += 1
        return self._matrix[:, self._at - 1]

    def _digit(self, below: int) -> IntArray:
        """The next character as a number less than `below`."""
        character = self._character()
        found = _VALUES[np.minimum(character, 127)]
        allowed = "".join(map(chr, _DIGITS[:below]))
        self._check((found >= 0) & (found < below), f"character {self._at} must be one of {allowed}")
        return found

    def _check(self, good: npt.NDArray[np.bool_], why: str) -> None:
        _refuse_codes(~good, self._text, why)

    def cells(self) -> FloatArray:
        """(7, n): west, south, east, north, bottom, top, level."""
        first = self._character()
        self._check((first == ord("N")) | (first == ord("S")), "it must begin with N or S")
        sign = self._digit(2) if self._profile is not None else None
        column, row, number = (np.zeros(len(self._text), np.int64) for _ in range(3))
        east = np.zeros(len(self._text), bool)
        for at in range(1, self._level + 1):
            if at == 1:
                east, column, row = self._zone()
            else:
                column, row = self._next_plane(at, column, row)
            if self._profile is not None:
                number = self._next_layer(at, number)
        lon, lat = self._span(column, _COLUMNS, east), self._span(row, _ROWS, first == ord("N"))
        bottom = top = np.full(len(east), np.nan)
        if sign is not None and self._profile is not None:
            bottom, top = self._faces(number, sign == 1, self._profile)
        return np.stack([lon[0], lat[0], lon[1], lat[1], bottom, top, np.full(len(east), float(self._level))])

    def _zone(self) -> tuple[npt.NDArray[np.bool_], IntArray, IntArray]:
        zone = self._digit(10) * 10 + self._digit(10)
        self._check((zone >= 1) & (zone <= 60), "the zone must be 01 to 60")
        row = self._character().astype(np.int64) - ord("A")
        self._check((row >= 0) & (row < 22), "the latitude band must be A to V")
        return zone > 30, np.where(zone > 30, zone - 31, 30 - zone), row

    def _next_plane(self, level: int, column: IntArray, row: IntArray) -> tuple[IntArray, IntArray]:
        columns, rows = _COLUMNS[level - 1], _ROWS[level - 1]
        if level in _ONE_DIGIT:
            y, x = np.divmod(self._digit(columns * rows), 2)
        else:
            x, y = self._digit(columns), self._digit(rows)
        return column * columns + x, row * rows + y

    def _next_layer(self, level: int, number: IntArray) -> IntArray:
        if level == 1:
            first = self._digit(10) * 10 + self._digit(10)
            self._check(first < 64, "the height digits of level 1 must be 00 to 63")
            return first
        if self._profile is not None and self._profile.radix != "mixed":
            return (number << _LAYER_BITS[level - 1]) + self._digit(1 << _LAYER_BITS[level - 1])
        return number * _LAYERS[level - 1] + self._digit(_LAYERS[level - 1])

    def _span(self, index: IntArray, divisions: tuple[int, ...], positive: npt.NDArray[np.bool_]) -> FloatArray:
        """(2, n): lower and upper bound in degrees of cells counted outward."""
        size = _cells_per(divisions, self._level) / _PER_DEGREE
        near, far = index * size, (index + 1) * size
        return np.where(positive, [near, far], [-far, -near])

    def _faces(self, number: IntArray, below: npt.NDArray[np.bool_], profile: Profile) -> tuple[FloatArray, FloatArray]:
        """Lower and upper face in metres."""
        first, past = self._written(number, profile)
        under = _negative_layers(first, past, profile)
        first, past = np.where(below, under[0], first), np.where(below, under[1], past)
        self._check(first < past, "no height is written so")
        return layer_bottom_m(first), layer_bottom_m(past)

    def _written(self, number: IntArray, profile: Profile) -> tuple[IntArray, IntArray]:
        """Level-10 numbers, first and past the last, whose digits begin with those read."""
        if profile.radix == "mixed":
            span = _cells_per(_LAYERS, self._level)
            return number * span, (number + 1) * span
        shift = sum(_LAYER_BITS[self._level :])
        first, last = number << shift, (number + 1 << shift) - 1
        return (first, last + 1) if profile.radix == "binary" else (_from_dms(first), _from_dms(last) + 1)
