"""Runs a whole command and watches it with all its children: wall time, processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
        wall_s: From start to end.
        peak_bytes: Largest sum over all its processes of private memory plus a share of what they share (PSS); 0 where
            it was not watched.
        output: What it printed.
    """

    wall_s: float
    peak_bytes: int
    output: str


def run(command: list[str], watch_memory: bool = False) -> Run:
    """Runs a command to its end; its children are found by the session.

    Looking at the memory of large processes takes time from them, so a run is either timed or watched.
    """
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    peak = [0]
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(child.pid, peak, over))
    if watch_memory:
        watcher.start()
    output, errors = child.communicate()
    wall = time.perf_counter() - start
    over.set()
    if watch_memory:
        watcher.join()
    if child.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}: {errors}")
    return Run(wall, peak[0], output)


def _watch(group: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(0.1):
        peak[0] = max(peak[0], sum(_memory(pid) for pid in _members(group)))


def _members(session: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        entry = folder.name
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                found.append(int(entry))
    return found


def _memory(pid: int) -> int:
    """Proportional set size without pages of mapped files, which the system can drop at any time."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:] if line.split()[1].isdigit()}
    return sizes.get("Pss_Anon", sizes.get("Pss", 0)) + sizes.get("Pss_Shmem", 0)
