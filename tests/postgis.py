"""A private PostgreSQL cluster with PostGIS: made for a run of the tests, reached by a socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

_USER = "postgres"
_TEMPLATE = "twin_template"
_SECONDS = 120
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "40"}


@dataclass(frozen=True)
class Cluster:
    """A running server.

    Attributes:
        programs: Folder of `initdb`, `pg_ctl`.
        folder: What it writes, its socket included.
    """

    programs: Path
    folder: Path

    def url(self, database: str, user: str = _USER) -> str:
        """The address of a database."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.folder), safe='')}"

    def run(self, program: str, *arguments: str) -> None:
        """Runs a program as the user the server runs as: it refuses root."""
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _USER, "--", *command]
        log = self.folder / "programs.log"  # not a pipe: the server would hold it open
        with log.open("ab") as sink:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=self.folder,
                timeout=_SECONDS,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{log.read_text()[-2000:]}")

    def create(self) -> None:
        """Makes the files of the server."""
        data = str(self.folder / "data")
        self.run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def start(self, durable: bool = False) -> None:
        """Starts it; only this machine can reach it, by a socket in its folder. Not durable, it is quicker."""
        given = {**({} if durable else _SETTINGS), "listen_addresses": "", "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in given.items())
        log = str(self.folder / "server.log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stops it; `immediate` is what a power cut is."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def execute(self, database: str, *statements: str) -> None:
        """Runs statements, each by itself."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def _programs() -> Path | None:
    """The newest PostgreSQL of the system that has what a cluster needs."""
    named = shutil.which("pg_ctl")
    folders = [one for pattern in _PLACES for one in sorted(Path("/").glob(pattern[1:]), key=_version)]
    folders += [Path(named).resolve().parent] if named else []
    return next((one for one in reversed(folders) if (one / "initdb").exists() and (one / "pg_ctl").exists()), None)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in "".join(c if c.isdigit() else " " for c in folder.parent.name).split())


def _cannot() -> str | None:
    """Why no cluster can be made here; None if one can."""
    try:
        import psycopg
    except ImportError:
        return "psycopg is not installed: pip install -e '.[postgis]'"
    del psycopg
    if _programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql postgresql-postgis"
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            return "PostgreSQL refuses root, and there is no `runuser`"
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            return f"PostgreSQL refuses root, and there is no user {_USER}"
    return None


@pytest.fixture(scope="session")
def postgis_cluster() -> Iterator[Cluster]:
    """A running server with a template that has PostGIS; a test that stops it starts it again."""
    from tests.conftest import absent

    reason = _cannot()
    if reason:
        absent(reason)
    folder = Path(tempfile.mkdtemp(prefix="twin-pg-"))  # short: the path of a socket holds 107 bytes at most
    try:
        with own_cluster(folder) as cluster:
            _make_template(cluster)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_cluster(folder: Path, durable: bool = False) -> Iterator[Cluster]:
    """A running server whose files lie in a folder, made where there are none; stopped at the end, its files kept.

    Raises:
        RuntimeError: None can be made here.
    """
    programs = _programs()
    if programs is None:
        raise RuntimeError(_cannot())
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
    cluster = Cluster(programs, folder)
    if not (folder / "data").exists():
        cluster.create()
    cluster.start(durable)
    try:
        yield cluster
    finally:
        cluster.stop("fast" if durable else "immediate")


def _make_template(cluster: Cluster) -> None:
    import psycopg

    from tests.conftest import absent

    cluster.execute("postgres", f"CREATE DATABASE {_TEMPLATE}")
    try:
        cluster.execute(_TEMPLATE, "CREATE EXTENSION postgis")
    except psycopg.Error as error:
        absent(f"PostGIS is not installed: apt-get install postgresql-postgis ({str(error).splitlines()[0]})")


@pytest.fixture
def postgis_url(postgis_cluster: Cluster) -> Iterator[str]:
    """The address of an empty database with PostGIS, dropped after the test."""
    name = f"twin_{os.urandom(6).hex()}"
    postgis_cluster.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    yield postgis_cluster.url(name)
    postgis_cluster.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
