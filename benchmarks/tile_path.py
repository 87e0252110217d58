"""The thin tile path against nginx: a 10 kB tile, one process each on core 0, wrk on core 1, runs alternating.

usage: python benchmarks/tile_path.py [RUNS] [SECONDS]    needs nginx and wrk; prints one JSON document
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from footprints import write
from machine import hardware, load

from twin.store.release import open_current

_CONNECTIONS = 32
_TARGET_BYTES = 10_000
_NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=100;
  client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root}; uwsgi_temp_path {root};
  scgi_temp_path {root};
  server {{ listen 127.0.0.1:{port}; root {root}; etag on; add_header Cache-Control "public, immutable"; }} }}
"""


def main() -> None:
    """Runs the benchmark."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(folder)
        key, tile = _tile(root)
        (root / "tile.glb").write_bytes(tile)
        with _nginx(root) as nginx, _twin(root) as twin:
            ours, theirs = f"{twin}/tiles/buildings/{key}", f"{nginx}/tile.glb"
            rates: dict[str, list[float]] = {"twin": [], "nginx": []}
            for _ in range(runs):
                rates["twin"].append(_wrk(ours, seconds))
                rates["nginx"].append(_wrk(theirs, seconds))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(
        json.dumps(
            {
                "tile_bytes": len(tile),
                "connections": _CONNECTIONS,
                "requests_per_s": {name: round(value) for name, value in medians.items()},
                "all": {name: [round(value) for value in values] for name, values in rates.items()},
                "share_of_nginx": round(medians["twin"] / medians["nginx"], 3),
                "load_before": round(load(), 2),
                "machine": hardware(),
            },
            indent=1,
        )
    )


def _tile(root: Path) -> tuple[str, bytes]:
    """Builds a small district and gives the tile whose size is nearest to 10 kB."""
    write(2_000, root / "footprints.gpkg")
    (root / "twin.toml").write_text(
        '[project]\nname = "Bench"\nadmin_code = "310105"\nworking_crs = "EPSG:4549"\nvertical_datum = "ellipsoid"\n'
        '[[source]]\nname = "bench"\npath = "footprints.gpkg"\n[source.fields]\nid = "id"\n'
        '[[source.height]]\nfrom = "attribute"\nfield = "height"\n[[source.ground]]\nfrom = "constant"\n'
        "elevation_m = 4.0\n"
        '[layers.buildings]\ntile_budget_kib = 16\n[output]\nprecompress = []\ncompression = "meshopt"\n',
        encoding="utf-8",
    )
    subprocess.run([_program("twin"), "build", "-C", str(root), "-q"], check=True, capture_output=True)
    with open_current(root / "out").store("buildings") as store:
        tiles = {key: store.read(key) for key in store.keys() if key.endswith(".glb")}  # noqa: SIM118
    key = min(tiles, key=lambda one: abs(len(tiles[one]) - _TARGET_BYTES))
    return key, tiles[key]


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _nginx(root: Path) -> Iterator[str]:
    port = _free_port()
    (root / "nginx.conf").write_text(_NGINX.format(root=root, port=port), encoding="utf-8")
    root.chmod(0o755)
    with _pinned(["nginx", "-p", str(root), "-c", str(root / "nginx.conf")], f"http://127.0.0.1:{port}/tile.glb"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _twin(root: Path) -> Iterator[str]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with _pinned([_program("twin"), "serve", "-C", str(root), "--port", str(port)], f"{url}/livez"):
        yield url


@contextmanager
def _pinned(command: list[str], probe: str) -> Iterator[None]:
    child = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(probe, timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        child.terminate()
        child.wait()


def _wrk(url: str, seconds: int) -> float:
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    if found is None or "Non-2xx" in done.stdout:
        raise SystemExit(done.stdout)
    return float(found[1])


if __name__ == "__main__":
    main()
