"""The one point where it is decided who may write events and who may read them; every way in and out asks here.

Fuller access control (roles, grades of data, audit) replaces `Gate`, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic, time
from typing import Protocol, TypeVar

from starlette.types import Scope

from server.live.limits import Rates
from server.problem import ProblemError
from twin.live.keys import Key, KeyStore, check_key
from twin.live.model import Link, Report

#: How long a key is believed without asking the store again: a revoked key is dead after so many seconds.
TRUST_S = 1.0
_MOST_TRUSTED = 1000
_REALM = 'Bearer realm="events"'

T = TypeVar("T")


class Areas(Protocol):
    """Knows what lies in what."""

    def inside(self, links: Sequence[Link], areas: frozenset[str]) -> Sequence[bool]:
        """Whether each is linked to one of these entities, to something in them, or lies in them."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sender may do.

    Attributes:
        key: Its key; None where none is needed.
        who: Name for the record.
    """

    key: Key | None
    who: str

    def refusals(self, reports: Sequence[Report], links: Sequence[Link], areas: Areas) -> Sequence[str | None]:
        """Why it may not send these reports, linked like this; None where it may, row for row."""
        key = self.key
        if key is None or (key.kinds is None and key.areas is None):
            return [None] * len(reports)
        inside = [True] * len(reports) if key.areas is None else areas.inside(links, key.areas)
        return [self._refusal(key, report.kind, at) for report, at in zip(reports, inside, strict=True)]

    @staticmethod
    def _refusal(key: Key, kind: str, inside: bool) -> str | None:
        if key.kinds is not None and kind not in key.kinds:
            return (
                f"The key {key.id} may not write events of the kind {kind!r}; it may: {', '.join(sorted(key.kinds))}."
            )
        if not inside:
            return f"The key {key.id} may write about some areas only, and this event lies in none of them."
        return None


#: What nobody outside sent, or what somebody sent who is trusted with everything.
EVERYTHING = Grant(None, "")


class Gate:
    """Lets through who holds a key.

    Args:
        keys: The keys that were made.
        rates: How fast each may send.
        loopback: Only this machine can reach the server.
        read_without_key: Reading is open to everybody who reaches the server.

    Attributes:
        rates: How fast each may send.
        counts: Decisions by result: `granted`, `missing`, `invalid`, `denied`.
    """

    def __init__(self, keys: KeyStore, rates: Rates, loopback: bool = True, read_without_key: bool = False) -> None:
        self.rates = rates
        self.counts = {"granted": 0, "missing": 0, "invalid": 0, "denied": 0}
        self._keys = keys
        self._loopback = loopback
        self._open = read_without_key
        self._trusted: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()

    async def require(self, scope: Scope, may: str, kind: str | None = None) -> Grant:
        """Decides about a request.

        Args:
            scope: Of the request; its header `Authorization` counts and nothing else.
            may: `read`, `write` or `admin`.
            kind: Kind of events it is about, where that is known already.

        Raises:
            ProblemError: 401 where there is no valid key, 403 where it may not.
        """
        token = bearer(scope["headers"])
        if token is None:
            return await self._without(may)
        key = await self._key(token)
        if key is None:
            self.counts["invalid"] += 1
            told = "This key is unknown, revoked or has expired; make one with `twin key new`."
            raise ProblemError(401, "key_invalid", told, {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'})
        if not allows(key, may) or (kind is not None and key.kinds is not None and kind not in key.kinds):
            self.counts["denied"] += 1
            headers = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'}
            raise ProblemError(403, "key_not_permitted", f"The key {key.id} may not {may} this.", headers)
        self.counts["granted"] += 1
        return Grant(key, key.name)

    async def _without(self, may: str) -> Grant:
        if may == "read" and (self._open or (self._loopback and not await asyncio.to_thread(self.guarded))):
            return EVERYTHING
        self.counts["missing"] += 1
        told = "Send the header `Authorization: Bearer <key>`; `twin key new` makes a key."
        raise ProblemError(401, "key_missing", told, {"WWW-Authenticate": _REALM})

    def guarded(self) -> bool:
        """True where there is a key that is good."""
        now = _now()
        return any(key.valid(now) for key in self._keys.all())

    async def _key(self, token: str) -> Key | None:
        """The key of a token, if it is good; the store is asked once a second at most."""
        name = sha256(token.encode()).digest()
        found = self._trusted.get(name)
        if found is None or found[1] < monotonic():
            key = await asyncio.to_thread(check_key, self._keys, token, _now())
            self._trusted.pop(name, None)
            if key is None:
                return None
            found = self._trusted[name] = (key, monotonic() + TRUST_S)
            if len(self._trusted) > _MOST_TRUSTED:
                self._trusted.popitem(last=False)
        return found[0] if found[0].valid(_now()) else None


class Guarded(Protocol):
    """What has a gate: the events of a server."""

    gate: Gate


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of `Authorization: Bearer <token>` (RFC 6750 §2.1); None where there is no such header."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else None
    return None


def allows(key: Key, may: str) -> bool:
    """What a key may do; who may administer may do all."""
    return may in key.may or "admin" in key.may


def _now() -> int:
    return int(time() * 1000)


def require_live(live: T | None) -> T:
    """The events of this server.

    Raises:
        ProblemError: 404 where they are off.
    """
    if live is None:
        raise ProblemError(404, "events_off", "Events are off here; a table [live] in twin.toml switches them on.")
    return live


async def require(live: Guarded, scope: Scope, may: str, kind: str | None = None) -> Grant:
    """Decides about a request; see `Gate.require`.

    Raises:
        ProblemError: 401, 403.
    """
    return await live.gate.require(scope, may, kind)
