"""A private Mosquitto on a free port, with what it keeps in a folder; stopped, killed and started again at will."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import pytest

_SECONDS = 20


def program() -> str | None:
    """Where Mosquitto is; not on everybody's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Broker:
    """A broker only this machine can reach.

    Attributes:
        folder: What it keeps.
        port: Where it listens.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        found = program()
        assert found is not None
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.folder}/\n"
            "max_queued_messages 100000\nmax_inflight_messages 0\nuser root\n"
        )
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen([found, "-c", str(settings)], stdout=log, stderr=log)
        log.close()
        end = monotonic() + _SECONDS
        while monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                sleep(0.02)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stops it in order: it writes down what it keeps."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_SECONDS)
            self.process = None


def free_port() -> int:
    """A port nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker."""
    if program() is None:
        from tests.conftest import absent

        absent("Mosquitto is not installed: apt-get install mosquitto")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    made = Broker(folder, free_port())
    made.start()
    yield made
    made.stop()
