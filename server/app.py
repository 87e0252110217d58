"""Wires the server together: a raw dispatcher in front, tiles and viewer on thin paths, everything else in FastAPI."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from time import perf_counter

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.context import Context, refuse_unknown_parameters
from server.cors import Cors
from server.entity_path import EntityPath
from server.live.metrics import LiveMetrics
from server.live.opening import open_live
from server.metrics import Metrics
from server.openapi import install_openapi
from server.problem import ProblemError, method_not_allowed, not_found, render, send_problem
from server.releases import Releases
from server.representation import send_redirect
from server.retired import Registered
from server.routers import (
    archives,
    entities,
    events_in,
    events_out,
    features,
    geovolumes,
    health,
    history,
    indicators,
    landing,
    resolve,
    sensorthings,
)
from server.routers import releases as release_router
from server.settings import Settings, private_crs, registry_location, release_directory
from server.tiles import Tiles
from server.timeline import Timeline
from server.viewer_files import Viewer
from twin.errors import TwinError

_log = logging.getLogger(__name__)
_UNMATCHED = "unmatched"
_LONGEST_PATH = 2048


class Application:
    """The ASGI application.

    Attributes:
        settings: What the server was told.
        releases: What is served.
        live: What is happening; None where events are off.
        metrics: Its counters, with a registry of their own.
        api: The FastAPI application behind the dispatcher.
    """

    def __init__(self, settings: Settings) -> None:
        base = settings.base_path
        self.settings = settings
        self.releases = Releases(release_directory(settings.root), private_crs(settings.root))
        self.metrics = Metrics()
        self._base = base
        self._tiles_prefix = f"{base}/tiles/"
        self._viewer_prefix = f"{base}/viewer"
        self.tiles = Tiles(self.releases, self._tiles_prefix, settings.tile_cache_mib << 20, self.metrics)
        self.viewer = Viewer(settings.viewer, f"{self._viewer_prefix}/", self.metrics)
        registered = Registered(registry_location(settings.root))
        self.timeline = Timeline(registry_location(settings.root), authority_of(self.releases))
        self.live = open_live(settings, self.releases, registered, self.timeline)
        self.context = Context(settings, self.releases, self.viewer.built, registered, self.timeline, self.live)
        if self.live is not None:
            self.metrics.registry.register(LiveMetrics(self.live))
        self._raw = raw_paths(self.context)
        self._entities_prefix = f"{base}/entities/"
        self._entities = EntityPath(self.context, self._entities_prefix, self.metrics)
        self.api = make_api(self.context, self._lifespan)
        self._cors = Cors(settings.cors) if settings.cors else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends a request on its way: tiles first, they are most of the traffic."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        if self._cors is not None:
            answered, send = await self._cors.admit(scope, send)
            if answered:
                return
        if scope["path"].startswith(self._tiles_prefix):
            await self.tiles(scope, receive, send)
        elif scope["path"] in self._raw:
            await self._raw[scope["path"]](scope, receive, send)
        elif not scope["path"].startswith(self._entities_prefix) or not await self._entities.answered(scope, send):
            await self._slow_path(scope, receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._raw.get(scope["path"], _closed)(scope, receive, send)

    async def _slow_path(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == self._base:
            await send_redirect(f"{path}/", scope, send)
        elif path == self._viewer_prefix or path.startswith(f"{self._viewer_prefix}/"):
            await self.viewer(scope, receive, send)
        elif len(path) > _LONGEST_PATH or not path.startswith(f"{self._base}/"):
            await send_problem(not_found(), scope, send)
            self.metrics.observe(scope["method"], _UNMATCHED, 404, 0.0)
        else:
            await self._count(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs FastAPI for one request and counts it; a HEAD is a GET whose body is dropped."""
        begin = perf_counter()
        head = scope["method"] == "HEAD"
        inner = as_get(scope, self._base) if head else {**scope, "root_path": self._base}
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        self.metrics.active += 1
        try:
            await self.api(inner, receive, observe)
        finally:
            self.metrics.active -= 1
            route = getattr(inner.get("route"), "path", _UNMATCHED)
            self.metrics.observe(scope["method"], route, status, perf_counter() - begin)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(self._watch())
        if self.live is not None:
            await self.live.start()
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            if self.live is not None:
                await self.live.stop()
            self.timeline.close()
            self.releases.close()

    async def _watch(self) -> None:
        await asyncio.to_thread(self.releases.pair.current.index.warm)
        while True:
            await asyncio.sleep(self.settings.reload_seconds)
            await self.reload()

    async def reload(self) -> bool:
        """Looks whether another release has been published and serves it; True after a switch.

        The release is opened in a thread; requests go on meanwhile, and those that have begun end on the old one.
        """
        try:
            pair = await asyncio.to_thread(self.releases.prepare)
        except (TwinError, OSError) as error:
            self.metrics.reloads["failed"] += 1
            _log.error("the new release cannot be opened, the old one is served on: %s", error)
            return False
        if pair is None:
            return False
        self.releases.switch(pair)
        self.metrics.reloads["switched"] += 1
        _log.info("release %s is served now", pair.current.id)
        return True


async def _closed(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses a WebSocket nobody speaks at."""
    del scope, receive
    await send({"type": "websocket.close", "code": 1000})


def raw_paths(context: Context) -> Mapping[str, ASGIApp]:
    """The paths of live connections, whole, with what answers them; none where nothing is live."""
    if context.live is None:
        return {}
    base = context.settings.base_path
    return {f"{base}{path}": answer for path, answer in events_out.raw_paths(context).items()}


def authority_of(releases: Releases) -> str:
    """Whose identifiers are served: what the project says, else its administrative code."""
    project = releases.pair.current.record.get("project", {})
    return str(project.get("authority") or project.get("admin_code") or "")


def as_get(scope: Scope, base: str) -> Scope:
    """A HEAD request as the GET it stands for; Range has no meaning for HEAD (RFC 9110 §14.2)."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "method": "GET", "headers": headers, "root_path": base}


def make_api(context: Context, lifespan: object) -> FastAPI:
    """The documented endpoints."""
    api = FastAPI(
        title="District twin",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,  # type: ignore[arg-type]
        dependencies=[Depends(refuse_unknown_parameters)],
    )
    live = (events_in, events_out, sensorthings, indicators)
    # `/entities/{id:path}` takes whatever follows: what lies below an entity comes first
    for module in (landing, release_router, archives, history, *live, entities, resolve, features, geovolumes, health):
        api.include_router(module.router(context))
    api.add_exception_handler(ProblemError, _on_problem)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(RequestValidationError, _on_validation)
    api.add_exception_handler(Exception, _on_crash)
    install_openapi(api, context)
    return api


def _respond(request: Request, problem: ProblemError) -> Response:
    headers, body = render(problem, request.scope["path"])
    response = Response(body, problem.status)
    response.raw_headers = headers
    return response


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _respond(request, error)


async def _on_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such route, or the wrong method."""
    status = getattr(error, "status_code", 500)
    if status == 404:
        return _respond(request, not_found())
    if status == 405:
        return _respond(request, method_not_allowed())
    return _respond(request, ProblemError(status, "bad_request", "The request cannot be understood."))


async def _on_validation(request: Request, error: Exception) -> Response:
    """A parameter that is missing or outside its range: 400, never 422 (OGC API Common)."""
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return _respond(request, ProblemError(400, "invalid_parameter", told[:500]))


async def _on_crash(request: Request, error: Exception) -> Response:
    """The rim: the server logs the traceback, the client learns nothing of it."""
    del error
    return _respond(request, ProblemError(500, "internal_error", "The server failed; its log says more."))


def create_app(settings: Settings) -> Application:
    """Opens the release and builds the application.

    Raises:
        TwinError: `root` is no project or release directory, nothing has been built, or the release is damaged.
    """
    return Application(settings)
