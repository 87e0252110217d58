"""What every tileset store answers: an entry by key, its bytes in a content coding, all its keys.

Keys are relative URL paths (`tileset.json`, `t/3f2a.json`, `3/5/2.glb`). Content codings carry their HTTP names:
`identity`, `gzip`, `br`, `zstd`. An ETag is strong, quoted, and made of the digest of the identity content, so that the
same tile has the same ETag in every store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import brotli
import zstandard
from isal import isal_zlib

from twin.errors import MisuseError, StoreError

IDENTITY = "identity"
ENCODINGS = ("gzip", "br", "zstd")
"""Content codings a store may hold besides `identity`."""

SUFFIX = {"gzip": ".gz", "br": ".br", "zstd": ".zst"}
"""File name endings of the variants, as static servers look for them."""

_MEDIA_TYPES = {
    "json": "application/json",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "subtree": "application/octet-stream",
    "b3dm": "application/octet-stream",
    "i3dm": "application/octet-stream",
    "pnts": "application/octet-stream",
    "cmpt": "application/octet-stream",
    "bin": "application/octet-stream",
    "geojson": "application/geo+json",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "ktx2": "image/ktx2",
    "3tz": "application/vnd.maxar.archive.3tz+zip",
    "3dtiles": "application/vnd.sqlite3",
}
_GZIP_LEVEL = 1  # of 0 to 3; those above make nothing smaller here
_GZIP_FORM = 31  # a gzip member, not a zlib stream; its header holds no time
_BROTLI_QUALITY = 5
_ZSTD_LEVEL = 3
_LONGEST_KEY = 1024
_LONGEST_SEGMENT = 200  # a file name may have 255 bytes; a suffix and a temporary ending must fit
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\?#%:*\"<>|\ud800-\udfff]")
_RESERVED = frozenset({"entries.json", "@3dtilesIndex1@"})


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a piece of content without reading it.

    Attributes:
        key: Relative URL path.
        media_type: As sent in `Content-Type`.
        size: Bytes of the identity content.
        etag: Strong ETag of the identity content, quoted, as sent in the header. See `variant_etag`.
        encodings: Stored codings besides `identity`, sorted.
    """

    key: str
    media_type: str
    size: int
    etag: str
    encodings: tuple[str, ...] = ()


@runtime_checkable
class TilesetStore(Protocol):
    """A readable store. It may be shared by threads; content never changes while it is open."""

    kind: str

    def get(self, key: str) -> Entry | None:
        """The entry, or None if there is none, be the key ever so hostile."""

    def keys(self) -> Iterator[str]:
        """Every key, sorted by code point."""

    def read(self, key: str, encoding: str = IDENTITY) -> bytes:
        """The bytes in a coding. Raises `StoreError` if the key or its coding is not there."""

    def close(self) -> None:
        """Releases files."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class StoreWriter(Protocol):
    """Builds a store; nothing is to be seen under its path before `commit`."""

    def put(self, key: str, content: bytes, variants: Mapping[str, bytes] = {}, etag: str | None = None) -> None:
        """Adds content with its pre-compressed variants.

        Args:
            key: Relative URL path; refused with `StoreError` if it is hostile or already there.
            content: Identity bytes.
            variants: Bytes by content coding. A kind that cannot hold one leaves it out.
            etag: Its digest if already known (quoted or not); computed otherwise.
        """

    def put_held(self, key: str, held: Held, etag: str) -> None:
        """Adds content that is read only when it is written: it must lie where it is until after `commit`.

        Args:
            key, etag: As for `put`.
            held: The content.
        """

    def commit(self) -> None:
        """Writes everything and puts it under the final path. Durability is the matter of `release.publish`."""

    def close(self) -> None:
        """Throws away what was not committed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Held(Protocol):
    """Content that lies somewhere already and is read when a writer comes to it."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by content coding, `identity` among them."""

    def read(self, encoding: str) -> bytes:
        """The bytes in a coding."""


def media_type(key: str) -> str:
    """Media type by the ending of a key."""
    return _MEDIA_TYPES.get(key.rsplit(".", 1)[-1].lower(), "application/octet-stream")


def digest(content: bytes) -> str:
    """First 32 hex digits of the SHA-256: names content in keys and ETags."""
    return sha256(content).hexdigest()[:32]


def quoted(etag: str) -> str:
    """An ETag as it stands in the header."""
    return etag if etag.startswith('"') else f'"{etag}"'


def etag_of(content: bytes, etag: str | None = None) -> str:
    """The quoted ETag of content; `etag` saves computing it."""
    return quoted(digest(content) if etag is None else etag)


def variant_etag(etag: str, encoding: str) -> str:
    """ETag of a variant: `"abc"` -> `"abc-gzip"`; RFC 9110 8.8.3 wants another one for another coding."""
    return etag if encoding == IDENTITY else f'{etag[:-1]}-{encoding}"'


def entries_of(store: TilesetStore) -> Iterator[Entry]:
    """Every entry of a store, in the order of its keys."""
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        entry = store.get(key)
        if entry is not None:
            yield entry


def layer_digest(entries: Iterable[Entry]) -> str:
    """SHA-256 over the sorted `key etag` lines: names a layer by its content, however it is stored."""
    lines = sorted(f"{entry.key} {entry.etag}\n" for entry in entries)
    return sha256("".join(lines).encode()).hexdigest()


def stored_sizes(store: TilesetStore, key: str) -> Mapping[str, int]:
    """Bytes of an entry by content coding, `identity` among them; not read where the store knows them."""
    known = getattr(store, "sizes", None)
    if known is not None:
        found: Mapping[str, int] = known(key)
        return found
    entry = store.get(key)
    if entry is None:
        raise missing(store, key)
    return {IDENTITY: entry.size, **{coding: len(store.read(key, coding)) for coding in entry.encodings}}


def check_variants(encodings: Iterable[str]) -> None:
    """Refuses content codings that no store holds, with `StoreError`."""
    unknown = set(encodings) - set(ENCODINGS)
    if unknown:
        raise StoreError(f"unknown content codings {sorted(unknown)}", next_step=f"use {', '.join(ENCODINGS)}")


def put_whole(writer: StoreWriter, key: str, held: Held, etag: str) -> None:
    """Puts held content at once, for writers that gain nothing from waiting."""
    variants = {encoding: held.read(encoding) for encoding in sorted(held.sizes) if encoding != IDENTITY}
    writer.put(key, held.read(IDENTITY), variants, etag)


def precompress(content: bytes, encodings: Iterable[str]) -> dict[str, bytes]:
    """Compresses content; a variant is kept only where it is smaller. Same content, same bytes: no clock inside.

    Args:
        content: Identity bytes.
        encodings: Of `gzip`, `br`, `zstd`.

    Raises:
        MisuseError: If a coding is unknown.
    """
    made = ((encoding, compress(content, encoding)) for encoding in encodings if encoding != IDENTITY)
    return {encoding: packed for encoding, packed in made if len(packed) < len(content)}


def compress(content: bytes, encoding: str) -> bytes:
    """Content in one coding."""
    match encoding:
        case "gzip":
            return isal_zlib.compress(content, _GZIP_LEVEL, wbits=_GZIP_FORM)
        case "br":
            return bytes(brotli.compress(content, quality=_BROTLI_QUALITY))
        case "zstd":
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True).compress(content)
    raise _unknown(encoding)


def decompress(packed: bytes, encoding: str) -> bytes:
    """Identity bytes of a variant.

    Raises:
        StoreError: If the bytes are damaged.
        MisuseError: If the coding is unknown.
    """
    try:
        match encoding:
            case "identity":
                return packed
            case "gzip":
                return isal_zlib.decompress(packed, wbits=_GZIP_FORM)
            case "br":
                return bytes(brotli.decompress(packed))
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    except (isal_zlib.error, brotli.error, zstandard.ZstdError) as error:  # type: ignore[misc]
        raise StoreError(f"stored {encoding} bytes are damaged ({error})", next_step="build again") from error
    raise _unknown(encoding)


def _unknown(encoding: str) -> MisuseError:
    return MisuseError(f"unknown content coding {encoding!r}", next_step=f"use one of {', '.join(ENCODINGS)}")


def key_problem(key: str) -> str | None:
    """Why a key is refused, or None if it is sound.

    A sound key means the same in a URL, in a file system and in an archive, and never leaves the store.
    """
    if not key:
        return "it is empty"
    if len(key) > _LONGEST_KEY:
        return f"it has more than {_LONGEST_KEY} characters"
    if _UNSAFE.search(key):
        return "it holds a character that is not safe in paths or URLs"
    segments = key.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return "it is not a plain relative path"
    if any(len(segment.encode()) > _LONGEST_SEGMENT for segment in segments):
        return f"a part of it has more than {_LONGEST_SEGMENT} bytes"
    return None


def check_key(key: str) -> str:
    """A key fit for writing.

    Raises:
        StoreError: If it is hostile, reserved, or has the ending of a compressed variant.
    """
    problem = key_problem(key)
    if problem is None and key in _RESERVED:
        problem = "the name is reserved"
    if problem is None and key.endswith(tuple(SUFFIX.values())):
        problem = "its ending is kept for compressed variants"
    if problem is not None:
        raise StoreError(f"the key {key[:80]!r} is refused: {problem}", next_step="use a plain relative path")
    return key


def missing(store: object, key: str, encoding: str = IDENTITY) -> StoreError:
    """The error of reading what is not there."""
    what = "there is no content" if encoding == IDENTITY else f"there is no {encoding} variant"
    return StoreError(f"{what} under the key {key[:80]!r}", file=store, next_step="ask `keys` for what is there")
