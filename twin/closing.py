"""Context management for whatever has to be closed."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Context management on top of `close`."""

    def close(self) -> None:
        """Releases what is held: files, connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
