"""The one tree of errors that reach a user: each says what, where and what to do next."""

from __future__ import annotations


class TwinError(Exception):
    """A broken world: something the run cannot go on from.

    Args:
        what: One sentence that says what is wrong.
        file: The file (or URL) it is about, if any.
        feature: The feature (source key or row) it is about, if any.
        next_step: What the user should do now.
    """

    exit_code = 1

    def __init__(self, what: str, *, file: object = None, feature: object = None, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.file = None if file is None else str(file)
        self.feature = None if feature is None else str(feature)
        self.next_step = next_step

    def __str__(self) -> str:
        place = ", ".join(
            text for text in (self.file, f"feature {self.feature}" if self.feature is not None else None) if text
        )
        message = f"{place}: {self.what}" if place else self.what
        return f"{message}\n  next: {self.next_step}" if self.next_step else message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.file, self.feature, self.next_step))


def _rebuild(kind: type[TwinError], what: str, file: str | None, feature: str | None, next_step: str) -> TwinError:
    return kind(what, file=file, feature=feature, next_step=next_step)


class MisuseError(TwinError):
    """The user asked for something that cannot be meant: a wrong flag, an unknown key, an unanswered blank."""

    exit_code = 2


class ProjectError(MisuseError):
    """`twin.toml` is missing, wrong or still has a blank in it."""


class CrsError(MisuseError):
    """A coordinate reference system is missing, unknown or does not fit the coordinates."""


class SourceError(TwinError):
    """A source file cannot be read."""


class StoreError(TwinError):
    """A tileset store is damaged, missing or already being written."""


class BuildError(TwinError):
    """A build cannot give a release."""
