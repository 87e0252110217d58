"""What a registry of identities answers and writes, whatever database it lies in."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from twin.registry.known import Known
from twin.registry.matching import Anchors
from twin.registry.record import Resolved


class IdentityRegistry(Protocol):
    """The identities of a district. Writing happens in one transaction, from the first write to `commit` or `save`.

    `twin.registry.sqlite.Registry` says what each of these does, in every backend.
    """

    authority: str

    def resolve(self, layer: str, source: str, keys: pa.Array | pa.ChunkedArray, anchors: Anchors) -> Resolved:
        """Finds or mints the identifier of every feature of a source; writes nothing."""

    def record(
        self,
        resolved: Resolved,
        classes: pa.Array | pa.ChunkedArray | None = None,
        lineage: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Notes the entities of a source as seen; kept by `commit`."""

    def add_aliases(self, scheme: str, values: Iterable[str], names: Iterable[str]) -> None:
        """Notes codes of another scheme for entities; kept by `commit`."""

    def bind(self, source: str, keys: Sequence[str], names: Sequence[str]) -> None:
        """Makes keys of a source stand for these identifiers from now on; kept by `save` or `commit`."""

    def move(self, layer: str, source: str, names: Sequence[str], anchors: Anchors) -> None:
        """Says where entities without key stand now; kept by `save` or `commit`."""

    def commit(self, release: str, time: datetime.datetime | None = None) -> None:
        """Keeps what was recorded, as that of a release."""

    def save(self) -> None:
        """Keeps what was bound and moved without a release of its own; does nothing where nothing was."""

    def roll_back(self) -> None:
        """Forgets what was recorded since the last commit."""

    def given(self, names: Sequence[str]) -> set[str]:
        """Those of some identifiers that were ever given to something."""

    def entity(self, geid: str) -> Known | None:
        """What is known of an identifier, retired ones included."""

    def alias(self, scheme: str, value: str) -> str | None:
        """The identifier a code of another scheme stands for; None where that is none, or several."""

    def aliases(self, geid: str) -> tuple[tuple[str, str], ...]:
        """(scheme, value) pairs of an identifier, sorted."""

    def named(self, text: str) -> tuple[str, ...]:
        """All identifiers a text may stand for, sorted."""

    def lookup(self, text: str) -> str | None:
        """The identifier a text stands for; None where that is none, or several."""

    def is_later(self, geid: str, release: str) -> bool:
        """True if an entity was first seen by a build after the last one that gave this release."""

    def close(self) -> None:
        """Closes the connection; what was not committed is forgotten."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
