"""A tileset in one 3D Tiles Archive (`.3tz`, format 1.4): a ZIP file whose last entry is a sorted index of offsets."""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import zstandard
from isal import isal_zlib

from twin.closing import Closing
from twin.errors import StoreError
from twin.store.base import IDENTITY, Entry, digest, media_type, missing, quoted
from twin.store.spool import PackWriter, Piece

INDEX = "@3dtilesIndex1@"
STORED, DEFLATED, ZSTANDARD = 0, 8, 93

_LOCAL = struct.Struct("<4s5H3I2H")  # APPNOTE.TXT 4.3.7
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_END_64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
_LOCATOR_64 = struct.Struct("<4sIQI")  # 4.3.15
_RECORD = np.dtype([("low", "<u8"), ("high", "<u8"), ("offset", "<u8")])
_DOS_DATE = 0x21  # 1 January 1980, the earliest a ZIP can say: no clock in the bytes
_UTF8 = 0x800
_VERSION = {STORED: 20, DEFLATED: 20, ZSTANDARD: 63}
_ETAG_FIELD = 0x5457  # extra field "WT" of ours: the ETag, so that nobody has to hash content to serve it
_ZIP64_FIELD = 0x0001
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LARGEST = 1 << 32  # bytes of one file inside, by the format


@dataclass(frozen=True, slots=True)
class _Member:
    """A local file header as read."""

    name: str
    method: int
    crc: int
    packed_size: int
    size: int
    start: int
    etag: str | None


class ArchiveStore(Closing):
    """Reads a `.3tz`, ours or another's; entries are found by binary search in the index, the file is mapped."""

    kind = "3tz"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"it cannot be read ({error})", file=path, next_step="build first, or check the path"
            ) from error
        self._names: dict[str, int] | None = None
        self._etags: dict[str, str] = {}
        self._index = self._read_index()

    def _read_index(self) -> npt.NDArray[np.void]:
        offset = self._directory().get(INDEX)
        if offset is None:
            raise StoreError(
                "it has no index, so it is no 3D Tiles Archive", file=self.path, next_step="write it with a 3tz tool"
            )
        member = self._member(offset)
        if member.method != STORED or member.size % _RECORD.itemsize:
            raise self._damaged("its index is not stored plainly")
        return np.frombuffer(self._map[member.start : member.start + member.size], dtype=_RECORD)

    def _directory(self) -> dict[str, int]:
        """Offset of the local header by name, from the central directory; read once."""
        if self._names is None:
            try:
                with zipfile.ZipFile(self.path) as archive:
                    self._names = {info.filename: info.header_offset for info in archive.infolist()}
            except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
                raise self._damaged(str(error)) from error
        return self._names

    def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        member = self._find(key)
        if member is None:
            return None
        etag = member.etag or self._etags.get(key)
        if etag is None:
            etag = self._etags[key] = quoted(digest(self.read(key)))
        encodings = {DEFLATED: ("gzip",), ZSTANDARD: ("zstd",)}.get(member.method, ())
        return Entry(key, media_type(key), member.size, etag, encodings)

    def keys(self) -> Iterator[str]:
        """Every key, sorted; folders and the index are none."""
        return iter(sorted(name for name in self._directory() if name != INDEX and not name.endswith("/")))

    def read(self, key: str, encoding: str = IDENTITY) -> bytes:
        """The bytes in a coding; `StoreError` if they are not there or damaged."""
        member = self._find(key)
        if member is None:
            raise missing(self.path, key)
        packed = self._map[member.start : member.start + member.packed_size]
        if encoding == IDENTITY:
            return self._unpack(key, member, packed)
        if encoding == "gzip" and member.method == DEFLATED:
            return _GZIP_HEADER + packed + struct.pack("<2I", member.crc, member.size & _MAX_32)
        if encoding == "zstd" and member.method == ZSTANDARD:
            return packed
        raise missing(self.path, key, encoding)

    def _unpack(self, key: str, member: _Member, packed: bytes) -> bytes:
        try:
            if member.method == STORED:
                content = packed
            elif member.method == DEFLATED:
                content = isal_zlib.decompress(packed, wbits=-15)
            elif member.method == ZSTANDARD:
                content = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
            else:
                raise self._damaged(f"{key} is packed by method {member.method}, which the format does not allow")
        except (isal_zlib.error, zstandard.ZstdError) as error:  # type: ignore[misc]
            raise self._damaged(f"{key}: {error}") from error
        if len(content) != member.size or zlib.crc32(content) != member.crc:
            raise self._damaged(f"{key} does not match its checksum")
        return content

    def _find(self, key: str) -> _Member | None:
        """Looks a key up in the index; the name in the local header decides, as digests may collide."""
        if key == INDEX or key.endswith("/"):
            return None
        try:
            low, high = struct.unpack("<2Q", md5(key.encode(), usedforsecurity=False).digest())
        except UnicodeEncodeError:
            return None
        position = int(np.searchsorted(self._index["low"], np.uint64(low)))
        while position < len(self._index) and int(self._index["low"][position]) == low:
            record = self._index[position]
            if int(record["high"]) == high:
                member = self._member(int(record["offset"]))
                if member.name == key:
                    return member
            position += 1
        return None

    def _member(self, offset: int) -> _Member:
        if offset + _LOCAL.size > len(self._map):
            raise self._damaged("the index points beyond the end")
        fields = _LOCAL.unpack_from(self._map, offset)
        if fields[0] != b"PK\x03\x04":
            raise self._damaged("the index points at something that is no file header")
        _, _, flags, method, _, _, crc, packed_size, size, name_size, extra_size = fields
        if flags & 0x9:
            raise self._damaged(
                "a file in it is encrypted or has no sizes in its header, which the format does not allow"
            )
        name_at = offset + _LOCAL.size
        extra_at = name_at + name_size
        start = extra_at + extra_size
        name = self._map[name_at:extra_at].decode("utf-8", "replace")
        return _Member(name, method, crc, packed_size, size, start, _etag_in(self._map[extra_at:start]))

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"it is damaged: {what}", file=self.path, next_step="build it again or fetch it again")

    def close(self) -> None:
        """Unmaps the file."""
        self._map.close()


def _etag_in(extra: bytes) -> str | None:
    at = 0
    while at + 4 <= len(extra):
        field, size = struct.unpack_from("<2H", extra, at)
        if field == _ETAG_FIELD:
            return quoted(extra[at + 4 : at + 4 + size].decode("ascii", "replace"))
        at += 4 + size
    return None


class ArchiveWriter(PackWriter):
    """Writes a `.3tz`; see `PackWriter`.

    One form of each file is kept: the deflate stream of its gzip variant, else its zstd variant, else it is stored.
    """

    def _check(self, key: str, size: int) -> None:
        if size >= _LARGEST:
            raise StoreError(f"{key!r} has 4 GiB or more", file=self.path, next_step="choose the sqlite store")
        if key.lower().endswith(".3tz"):
            raise StoreError(
                f"{key!r} is an archive in an archive", file=self.path, next_step="put its content instead"
            )

    def _check_all(self, pieces: list[Piece]) -> None:
        if not any(piece.entry.key == "tileset.json" for piece in pieces):
            raise StoreError(
                "an archive needs tileset.json at its root", file=self.path, next_step="put it before commit"
            )

    def _write(self, staged: Path, pieces: list[Piece]) -> None:
        with staged.open("wb") as file:
            _write(file, pieces)


def _write(file: IO[bytes], pieces: list[Piece]) -> None:
    central: list[bytes] = []
    offsets: list[int] = []
    for piece in pieces:
        content = piece.read()
        method, packed = _packed(piece, content)
        offsets.append(file.tell())
        central.append(_append(file, piece.entry.key, method, (packed, content), piece.entry.etag[1:-1]))
    index = index_records([piece.entry.key for piece in pieces], offsets)
    central.append(_append(file, INDEX, STORED, (index, index)))
    _end(file, central)


def _packed(piece: Piece, content: bytes) -> tuple[int, bytes]:
    if "gzip" in piece.entry.encodings:
        raw = _deflate_of(piece.read("gzip"))
        if len(raw) < len(content):
            return DEFLATED, raw
    if "zstd" in piece.entry.encodings:
        return ZSTANDARD, piece.read("zstd")
    return STORED, content


def _deflate_of(gzipped: bytes) -> bytes:
    """The deflate stream inside a gzip member (RFC 1952); packed anew if its header holds optional fields."""
    if gzipped[3] == 0:
        return gzipped[10:-8]
    return isal_zlib.compress(isal_zlib.decompress(gzipped, wbits=31), 1, wbits=-15)


def index_records(keys: list[str], offsets: list[int]) -> bytes:
    """The content of the index: MD5 of the path and offset of the local header, 24 bytes each.

    Sorted as two little-endian uint64, the first primary: not the bytewise order of the digests.
    """
    records = np.empty(len(keys), dtype=_RECORD)
    digests = b"".join(md5(key.encode(), usedforsecurity=False).digest() for key in keys)
    halves = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    records["low"], records["high"], records["offset"] = halves[:, 0], halves[:, 1], offsets
    return records[np.lexsort((records["offset"], records["high"], records["low"]))].tobytes()


def _append(file: IO[bytes], key: str, method: int, forms: tuple[bytes, bytes], etag: str = "") -> bytes:
    """Writes one file, given packed and plain; gives its central directory record."""
    (packed, content), name, offset = forms, key.encode(), file.tell()
    extra = struct.pack("<2H", _ETAG_FIELD, len(etag)) + etag.encode("ascii") if etag else b""
    flags = _UTF8 if not key.isascii() else 0
    crc = zlib.crc32(content)
    common = (flags, method, 0, _DOS_DATE, crc, len(packed), len(content), len(name))
    file.write(_LOCAL.pack(b"PK\x03\x04", _VERSION[method], *common, len(extra)) + name + extra)
    file.write(packed)
    long = struct.pack("<2HQ", _ZIP64_FIELD, 8, offset) if offset >= _MAX_32 else b""
    version = 45 if long and method != ZSTANDARD else _VERSION[method]
    tail = (len(long), 0, 0, 0, 0, min(offset, _MAX_32))
    return _CENTRAL.pack(b"PK\x01\x02", version, version, *common, *tail) + name + long


def _end(file: IO[bytes], central: list[bytes]) -> None:
    start = file.tell()
    file.write(b"".join(central))
    size, count = file.tell() - start, len(central)
    if count >= _MAX_16 or start >= _MAX_32 or size >= _MAX_32:
        at = file.tell()
        file.write(_END_64.pack(b"PK\x06\x06", _END_64.size - 12, 45, 45, 0, 0, count, count, size, start))
        file.write(_LOCATOR_64.pack(b"PK\x06\x07", 0, at, 1))
    short = min(count, _MAX_16)
    file.write(_END.pack(b"PK\x05\x06", 0, 0, short, short, min(size, _MAX_32), min(start, _MAX_32), 0))
