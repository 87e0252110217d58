"""How far a run is: a bar with rate and time left on a terminal, nothing where output is piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Progress(Protocol):
    """What a run tells while it works."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """A stage begins; `total` units are to be done."""

    def advance(self, done: int) -> None:
        """So many more units are done."""

    def close(self) -> None:
        """The run is over."""


class Quiet:
    """Says nothing."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """See `Progress`."""

    def advance(self, done: int) -> None:
        """See `Progress`."""

    def close(self) -> None:
        """See `Progress`."""


class Bar:
    """A bar on standard error, with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=False,
        )
        self._bar.start()
        self._task: TaskID | None = None

    def stage(self, name: str, total: int, unit: str) -> None:
        """See `Progress`."""
        self._task = self._bar.add_task(name, total=total, unit=unit, rate="")

    def advance(self, done: int) -> None:
        """See `Progress`."""
        if self._task is None:
            return
        self._bar.advance(self._task, done)
        speed = self._bar.tasks[self._task].speed
        self._bar.update(self._task, rate=f"{speed:,.0f}/s" if speed else "")

    def close(self) -> None:
        """See `Progress`."""
        self._bar.stop()


def progress_for_terminal(quiet: bool) -> Progress:
    """A bar where a person looks on, else silence."""
    return Bar() if not quiet and sys.stderr.isatty() else Quiet()


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage, in the order of the stages."""

    seconds: dict[str, float] = field(default_factory=dict)
    _start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a block; several of one name add up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def total(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.perf_counter() - self._start
