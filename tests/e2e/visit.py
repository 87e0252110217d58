"""A page as somebody at the screen has it, with everything it asked for and complained about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Request, Response

from tests.e2e.served import Served, ecef

SCREENSHOTS = Path(__file__).parent / "screenshots"
PATIENCE_MS = 90_000
_ON_SCREEN = """([x, y, z]) => {
  const { scene, canvas } = window.twin.viewer;
  const at = scene.cartesianToCanvasCoordinates({ x, y, z });
  if (!at) return null;
  const box = canvas.getBoundingClientRect();
  const [left, top] = [at.x + box.left, at.y + box.top];
  return document.elementFromPoint(left, top) === canvas ? [left, top] : null;
}"""
_FEATURE_AT = """([left, top]) => {
  const { scene, canvas } = window.twin.viewer;
  const box = canvas.getBoundingClientRect();
  const feature = scene.pick({ x: left - box.left, y: top - box.top });
  return feature?.getProperty?.("geid") ?? null;
}"""
#: Nothing is left to load over several frames; a single frame may fall between two waves of requests.
_STEADY = """() => new Promise((done) => {
  let steady = 0;
  const look = () => {
    window.twin.viewer.scene.requestRender();
    steady = window.twin.state().tilesLoaded ? steady + 1 : 0;
    if (steady > 5) done(true); else requestAnimationFrame(look);
  };
  look();
})"""


@dataclass(frozen=True)
class Traffic:
    """What a page cost: answers with their headers, as they went over the wire."""

    requests: int
    bytes: int
    tiles: int
    tile_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.bytes / 1e6:.2f} MB in {self.requests} requests, {self.tile_bytes / 1e6:.2f} MB of them "
            f"in {self.tiles} tiles"
        )


@dataclass
class Visit:
    """One open page.

    Attributes:
        page: Playwright's page.
        served: What it shows.
        requests: Everything it asked for, in order.
        complaints: Errors of the console, of scripts, of the content security policy, and failed answers.
    """

    page: Page
    served: Served
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        page = self.page
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            " (e) => console.error(`CSP ${e.violatedDirective} ${e.blockedURI}`))"
        )

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the viewer takes back what it no longer needs
            self.complaints.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def go(self, rest: str = "?quality=low") -> Visit:
        """Opens the page and waits for its first complete view."""
        self.page.goto(self.served.viewer + rest)
        self.page.wait_for_function("() => window.twin?.ready.then(() => true)")
        return self

    def settle(self) -> Visit:
        """Waits until every tile of the view is there."""
        self.page.evaluate(_STEADY)
        return self

    def state(self) -> Any:
        """What the page says of itself."""
        return self.page.evaluate("() => window.twin.state()")

    def wait_for_state(self, condition: str) -> Any:
        """Waits until a condition on `s`, the state, holds; draws meanwhile. Gives the state."""
        self.page.wait_for_function(
            f"() => {{ window.twin.viewer.scene.requestRender(); const s = window.twin.state(); return {condition}; }}"
        )
        return self.state()

    def roof(self, entity: Any) -> list[float] | None:
        """Where on the screen the middle of a roof is; None where something else lies over the map there."""
        place = ecef(entity["lon"], entity["lat"], entity["height"] + (entity["height_m"] or 0.0))
        found: list[float] | None = self.page.evaluate(_ON_SCREEN, place)
        return found

    def feature_at(self, point: list[float]) -> str | None:
        """The geid the tiles hold of what is drawn at a point of the screen, asked of CesiumJS itself."""
        found: str | None = self.page.evaluate(_FEATURE_AT, point)
        return found

    def panel_geid(self) -> str | None:
        """The identifier the panel shows, waiting for the panel."""
        self.page.wait_for_selector(".panel:not([hidden]) code[data-geid]")
        return self.page.get_attribute(".panel code[data-geid]", "data-geid")

    def tiles(self) -> set[str]:
        """Paths of the contents asked for so far."""
        return {request.url.removeprefix(self.served.origin) for request in self.requests if ".glb" in request.url}

    def traffic(self) -> Traffic:
        """What was asked for until now; waits for what is under way, but for the stream of events, which never ends."""
        asked = [one for one in self.requests if one.url.startswith("http") and "/events/stream" not in one.url]
        sizes = [request.sizes() for request in asked]
        sent = [size["responseHeadersSize"] + size["responseBodySize"] for size in sizes]
        tiles = [size for request, size in zip(asked, sent, strict=True) if ".glb" in request.url]
        return Traffic(len(asked), sum(sent), len(tiles), sum(tiles))

    def screenshot(self, name: str) -> None:
        """Keeps a picture for people."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def check(self) -> None:
        """Holds for every page at any time: nobody else was asked, nothing went wrong."""
        outside = [
            request.url
            for request in self.requests
            if not request.url.startswith((self.served.url, "data:", f"blob:{self.served.origin}"))
        ]
        assert not outside, f"asked others: {outside}"
        assert not self.complaints, f"complaints: {self.complaints}"
        errors = self.page.evaluate("() => window.twin?.state().errors ?? []")
        assert not errors, f"the page says: {errors}"
