"""A build that is stopped stops: with a sentence after Ctrl-C, and even when killed without leaving a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.district import district

_PATIENCE_S = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something another process does."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def members(session: int) -> list[str]:
    """Commands of the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            if entry.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, IndexError):
            continue
    return found


PROCESSES = "import pipelines.pool as pool; pool.MOST_THREADS = 1; pool.MANY_FEATURES = 0; "


@pytest.mark.parametrize("workers", ["threads", "processes"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_build_leaves_no_process_behind(tmp_path: Path, how: signal.Signals, workers: str) -> None:
    district(tmp_path, count=3000).write()
    program = "import sys; from pipelines.cli import main; sys.argv = ['twin', *sys.argv[1:]]; main()"
    if workers == "processes":
        program = PROCESSES + program
    child = subprocess.Popen(
        [sys.executable, "-c", program, "build", "-C", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    enough = 4 if workers == "processes" else 1
    staging = tmp_path / "out" / ".staging"
    until(
        lambda: (len(members(child.pid)) >= enough and staging.is_dir()) or child.poll() is not None,
        "the workers did not start",
    )
    assert child.poll() is None, "the build was over before it could be stopped"
    os.kill(child.pid, how)
    if how is signal.SIGINT:
        _, told = child.communicate(timeout=_PATIENCE_S)
        assert child.returncode == 130
        assert "stopped" in told and "Traceback" not in told
    else:
        child.wait(timeout=_PATIENCE_S)
        assert child.stderr is not None
        child.stderr.close()
    until(lambda: not members(child.pid), f"still there: {members(child.pid)}")
    assert not (tmp_path / "out" / "current.json").exists()
