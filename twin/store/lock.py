"""One build at a time: the lock of an output directory, which a killed build gives back by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twin.errors import StoreError

FILE = ".lock"
_PAUSE_S = 0.1


@contextmanager
def lock(out: Path, timeout_s: float = 0.0) -> Iterator[None]:
    """Holds the output directory for this process.

    Args:
        out: The output directory; made if missing.
        timeout_s: How long to wait for another build; 0 refuses at once.

    Raises:
        StoreError: If another process still holds it, with its number.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"the output directory cannot be written ({error.strerror})", file=out, next_step="check rights"
        ) from error
    try:
        _acquire(handle, out, timeout_s)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)  # gives the lock back


def _acquire(handle: int, out: Path, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not _try(handle):
        left = end - time.monotonic()
        if left <= 0:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            what = f"another build is writing here (process {holder})"
            raise StoreError(what, file=out, next_step="wait until it is done, or stop it")
        time.sleep(min(_PAUSE_S, left))


def _try(handle: int) -> bool:
    import fcntl  # POSIX only; reading a release must work without it

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
