"""Credentials of those who send and read events: made here, kept as hashes, scoped, and taken back at once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from twin.closing import Closing
from twin.errors import MisuseError
from twin.live.database import Database

PREFIX = "twk_"
"""How every key begins, so that scanners for leaked secrets can know one."""

MAY = frozenset({"write", "read", "admin"})
"""What a key may allow; `admin` is corrections, refusals and keys."""

_ID_BYTES, _SECRET_BYTES = 6, 32
_NOBODY = "0" * 64
_COLUMNS = "id, name, kinds, areas, may, created_ms, expires_ms, revoked_ms"


@dataclass(frozen=True, slots=True)
class Key:
    """A credential, without its secret.

    Attributes:
        id: Public part: stands in lists and logs.
        name: Whose it is, for people.
        may: Of `MAY`.
        kinds: Kinds of events it is for; None: all.
        areas: Identifiers of the areas it is for; None: all.
        created_ms, expires_ms, revoked_ms: When it was made, ends by itself, and was taken back.
    """

    id: str
    name: str
    may: frozenset[str]
    kinds: frozenset[str] | None = None
    areas: frozenset[str] | None = None
    created_ms: int = 0
    expires_ms: int | None = None
    revoked_ms: int | None = None

    def valid(self, now_ms: int) -> bool:
        """Whether it opens anything at a moment."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


class KeyStore(Protocol):
    """Where keys are kept. Safe to share by threads."""

    def add(self, key: Key, secret_hash: str) -> None:
        """Keeps a key."""

    def find(self, key_id: str) -> tuple[Key, str] | None:
        """A key and the hash of its secret."""

    def revoke(self, key_id: str) -> bool:
        """Takes a key back from now on; False where there is none, or it was taken back before."""

    def all(self) -> Sequence[Key]:
        """Every key ever made, the oldest first."""

    def close(self) -> None:
        """Releases the database."""


def new_key(
    name: str,
    may: Iterable[str] = ("write",),
    kinds: Iterable[str] | None = None,
    areas: Iterable[str] | None = None,
    expires_ms: int | None = None,
    now_ms: int | None = None,
) -> tuple[Key, str]:
    """Makes a key: what is kept of it, and the text its owner is given, once.

    Args:
        name: Whose it is.
        may, kinds, areas: What it is for; None: no limit.
        expires_ms: When it ends by itself.
        now_ms: When it is made; now if left out.

    Returns:
        The key and `twk_<id>_<secret>`.

    Raises:
        MisuseError: It would allow nothing, or something that is not there.
    """
    allowed = frozenset(may)
    if not allowed or allowed - MAY:
        wrong = ", ".join(sorted(allowed - MAY)) or "nothing"
        raise MisuseError(f"a key cannot be made for {wrong}", next_step=f"choose of {', '.join(sorted(MAY))}")
    if not name.strip():
        raise MisuseError("a key needs a name", next_step="say whose it is, so that it can be found and taken back")
    moment = int(time.time() * 1000) if now_ms is None else now_ms
    kinds_of, areas_of = (None if these is None else frozenset(these) for these in (kinds, areas))
    key = Key(secrets.token_hex(_ID_BYTES), name.strip(), allowed, kinds_of, areas_of, moment, expires_ms)
    return key, f"{PREFIX}{key.id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def split_key(text: str) -> tuple[str, str] | None:
    """Id and secret of `twk_<id>_<secret>`; None where it is no key."""
    begin, found, secret = text.removeprefix(PREFIX).partition("_")
    return (begin, secret) if found and text.startswith(PREFIX) and begin and secret and text.isascii() else None


def secret_hash(text: str) -> str:
    """What is kept of a key's text: SHA-256 of its secret, hexadecimal.

    One round is enough, and scrypt would be harm: the secret is 256 random bits, not a word somebody chose, so there
    is nothing to guess, while every request would pay for the slowness that only guessers should.

    Raises:
        MisuseError: It is no key.
    """
    parts = split_key(text)
    if parts is None:
        raise MisuseError("this is no key", next_step=f"keys begin with {PREFIX}; make one with `twin key new`")
    return hashlib.sha256(parts[1].encode()).hexdigest()


def check_key(store: KeyStore, text: str, now_ms: int) -> Key | None:
    """The key a text opens; None where it is unknown, wrong, ended or taken back.

    An unknown id takes as long as a wrong secret, and how much of a secret is right cannot be told from the time.
    """
    parts = split_key(text)
    found = None if parts is None else store.find(parts[0])
    kept = _NOBODY if found is None else found[1]
    given = hashlib.sha256((parts[1] if parts else "").encode()).hexdigest()
    same = hmac.compare_digest(given, kept)
    return found[0] if found is not None and same and found[0].valid(now_ms) else None


class SqlKeys(Closing):
    """Keys in the database of the events.

    Args:
        database: An open one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: Key, secret_hash: str) -> None:
        """Keeps a key.

        Raises:
            StoreError: It cannot be written, or there is one of this id.
        """
        row = (*_row(key), secret_hash)
        with self._database.writing() as run:
            run(f"INSERT INTO live_key ({_COLUMNS}, secret_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)  # noqa: S608

    def find(self, key_id: str) -> tuple[Key, str] | None:
        """A key and the hash of its secret."""
        sql = f"SELECT {_COLUMNS}, secret_hash FROM live_key WHERE id = ?"  # noqa: S608
        with self._database.reading() as run:
            found = run(sql, key_id) if "\x00" not in key_id else []
        return (_key(found[0]), str(found[0][8])) if found else None

    def revoke(self, key_id: str) -> bool:
        """Takes a key back from now on; False where there is none, or it was taken back before.

        Raises:
            StoreError: It cannot be written.
        """
        sql = "UPDATE live_key SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL RETURNING id"
        with self._database.writing() as run:
            return bool(run(sql, int(time.time() * 1000), key_id))

    def all(self) -> Sequence[Key]:
        """Every key ever made, the oldest first."""
        with self._database.reading() as run:
            return [_key(row) for row in run(f"SELECT {_COLUMNS} FROM live_key ORDER BY created_ms, id")]  # noqa: S608

    def close(self) -> None:
        """Releases the database."""
        self._database.close()


def _row(key: Key) -> tuple[Any, ...]:
    kinds, areas, may = (
        None if these is None else orjson.dumps(sorted(these)).decode() for these in (key.kinds, key.areas, key.may)
    )
    return (key.id, key.name, kinds, areas, may, key.created_ms, key.expires_ms, key.revoked_ms)


def _key(row: Sequence[Any]) -> Key:
    kinds, areas, may = (None if text is None else frozenset(orjson.loads(text)) for text in row[2:5])
    return Key(row[0], row[1], may or frozenset(), kinds, areas, row[5], row[6], row[7])
