"""Warnings of libraries caught by one thread at a time: Python keeps the filters once for the whole process."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

_ONE = threading.RLock()


@contextmanager
def caught_warnings(
    action: Literal["always", "ignore", "error"], category: type[Warning] = Warning
) -> Iterator[list[warnings.WarningMessage]]:
    """What is warned of inside is collected, not printed; other threads that want to catch warnings wait meanwhile.

    Args:
        action: `always` collects all, `ignore` none; `error` raises.
        category: Which warnings the action is for.
    """
    with _ONE, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action, category)
        yield caught
