"""The first complete view of the sample district in Chromium: bytes and requests until every tile in view is drawn.

usage: python benchmarks/first_view.py [DIR]    DIR: a built demo (default: built now); prints one JSON document
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from machine import hardware, load

_FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_WAIT_S = 180


def main() -> None:
    """Runs the benchmark."""
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        root = Path(sys.argv[1]) if len(sys.argv) > 1 else _demo(Path(folder))
        server = subprocess.Popen(
            [_program(), "serve", "-C", str(root), "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            line = server.stdout.readline() if server.stdout else ""
            found = re.search(r"http://\S+", line)
            if found is None:
                raise SystemExit(f"the server did not start: {line}")
            views = {size: _view(found[0] + "viewer/", size) for size in ((1280, 720), (1920, 1080), (3840, 1080))}
        finally:
            server.terminate()
            server.wait()
    rows = {f"{width}x{height}": figures for (width, height), figures in views.items()}
    print(json.dumps({"views": rows, "load_before": round(load(), 2), "machine": hardware()}, indent=1))


def _program() -> str:
    return str(Path(sys.executable).with_name("twin"))


def _demo(folder: Path) -> Path:
    subprocess.run([_program(), "demo", "--no-serve", "-o", str(folder / "demo")], check=False, capture_output=True)
    return folder / "demo"


def _view(url: str, size: tuple[int, int]) -> dict[str, Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_FLAGS)
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, bypass_csp=True)
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        sizes: list[int] = []
        session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
        start = time.perf_counter()
        page.goto(url)
        steady, last = 0, -1
        while steady < 5 and time.perf_counter() - start < _WAIT_S:
            state = page.evaluate(
                "() => { window.twin?.viewer?.scene?.requestRender(); return window.twin?.state?.() }"
            )
            loaded = bool(state and state.get("tilesLoaded"))
            steady = steady + 1 if loaded and len(sizes) == last else 0
            last = len(sizes)
            page.wait_for_timeout(500)
        seconds = time.perf_counter() - start
        browser.close()
    return {
        "bytes": sum(sizes),
        "requests": len(sizes),
        "complete": steady >= 5,
        "seconds_software_gl": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
