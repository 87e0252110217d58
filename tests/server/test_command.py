"""`twin serve` listens where it may, says where, and stops cleanly."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from server.command import address_of, listen, register
from server.settings import Settings, clean_base_path, is_loopback, release_directory
from twin.errors import MisuseError, ProjectError, TwinError

PROGRAM = (
    "import typer; from server.command import register; app = typer.Typer(); "
    "app.callback()(lambda: None); register(app); app()"
)


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A real server in a process of its own, and the lines it printed until it was up."""
    command = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Serving"):
                break
        try:
            yield process, lines
        finally:
            process.kill()


def port_in(line: str) -> int:
    match = re.search(r":(\d+)/|port (\d+)", line)
    assert match is not None
    return int(match[1] or match[2])


def raw(port: int, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_on_a_free_port_says_which_and_stops_on_a_signal(district: Any, stop: signal.Signals) -> None:
    with serving("-C", str(district.out), "--metrics-port", "0", "--base-path", "twin") as (process, lines):
        metrics, said = lines
        port = port_in(said)
        assert said.startswith(f"Serving http://127.0.0.1:{port}/twin/")
        status, headers, body = raw(port, f"/twin/tiles/buildings/{district.tile}", Accept_Encoding="identity")
        assert (status, body) == (200, district.contents[district.tile])
        assert headers["date"] and headers["server"] is None
        assert raw(port, "/twin/readyz")[0] == 200
        assert len(raw(port, "/twin/archives/buildings", Range="bytes=0-9")[2]) == 10
        for hostile in ("/twin/tiles/buildings/../../release.json", "/twin/tiles/buildings/%2e%2e/x", "/etc/passwd"):
            assert raw(port, hostile)[0] == 404
        exposition = raw(port_in(metrics), "/metrics")[2].decode()
        assert 'http_route="/readyz"' in exposition
        process.send_signal(stop)
        assert process.wait(20) in {0, -stop}
        assert process.stderr is not None and "Traceback" not in process.stderr.read()


def refusal(*arguments: str) -> TwinError:
    """What `twin serve` raises; the rim of the command line turns it into text and an exit code."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    error = CliRunner().invoke(app, ["serve", *arguments]).exception
    assert isinstance(error, TwinError)
    return error


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", "127.0.0.1.example.org"])
def test_an_address_others_can_reach_is_refused(district: Any, host: str) -> None:
    error = refusal("-C", str(district.out), "--host", host)
    assert error.exit_code == 2
    assert "--public" in str(error)


def test_nothing_built_yet_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "twin.toml").write_text('[project]\nname = "x"\n')
    error = refusal("-C", str(tmp_path))
    assert error.exit_code == 1
    assert "nothing has been built yet" in str(error) and "twin build" in str(error)


def test_a_folder_that_is_no_project_is_misuse(tmp_path: Path) -> None:
    error = refusal("-C", str(tmp_path))
    assert error.exit_code == 2
    assert "twin.toml" in str(error)


def test_a_port_in_use_is_told(district: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = refusal("-C", str(district.out), "--port", str(taken.getsockname()[1]))
    assert error.exit_code == 2
    assert "--port" in str(error)


def test_port_zero_gives_a_free_port() -> None:
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_the_release_directory_is_found_from_either_side(tmp_path: Path, district: Any) -> None:
    assert release_directory(district.out) == district.out
    (tmp_path / "twin.toml").write_text('[output]\npath = "elsewhere/out"\n')
    assert release_directory(tmp_path) == tmp_path / "elsewhere/out"
    (tmp_path / "twin.toml").write_text("")
    assert release_directory(tmp_path) == tmp_path / "out"
    for wrong in ("[output", "[output]\npath = 3\n"):
        (tmp_path / "twin.toml").write_text(wrong)
        with pytest.raises(ProjectError):
            release_directory(tmp_path)


def test_only_loopback_counts_as_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "10.0.0.1", "127.0.0.1.evil.example", "127.evil", "::")))


def test_a_prefix_is_cleaned_and_a_strange_one_refused() -> None:
    assert [clean_base_path(text) for text in ("", "/", "twin", "/a//b/")] == ["", "", "/twin", "/a/b"]
    for wrong in ("/a/../b", "/a b", "/%41", "/a?b", "/建筑"):
        with pytest.raises(MisuseError):
            clean_base_path(wrong)


@pytest.mark.parametrize(
    "origin", ["example.org", "https://", "https://a.example/path", "https://a\r\nx: y", "null", ""]
)
def test_what_no_browser_sends_is_no_origin(tmp_path: Path, origin: str) -> None:
    with pytest.raises(MisuseError):
        Settings(tmp_path, cors=(origin,))


def test_the_printed_address_can_be_opened() -> None:
    assert address_of(Settings(Path(), "::1"), 80) == "http://[::1]:80/"
    assert address_of(Settings(Path(), "0.0.0.0", public=True), 80) == "http://127.0.0.1:80/"
