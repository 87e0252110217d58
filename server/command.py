"""`twin serve`: checks what the user asked for, listens, says where, and stops cleanly."""

from __future__ import annotations

import gc
import socket
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from server.app import Application, create_app
from server.settings import Settings
from server.viewer_files import NOT_BUILT
from twin.errors import MisuseError

_GRACE_SECONDS = 10
_LARGEST_MESSAGE = 1 << 16
_HIGHEST_PORT = 65535
_LONGEST_MESSAGE = 1 << 16


def check_access(settings: Settings) -> None:
    """Refuses an address that others can reach, unless the user has said that they may.

    Raises:
        MisuseError: Not loopback and not public.
    """
    if not settings.loopback and not settings.public:
        raise MisuseError(
            f"{settings.host} can be reached from other machines, and everybody there could read everything",
            next_step="add --public if that is meant, or leave --host out and put a proxy with access control before",
        )


def check_keys(app: Application) -> None:
    """Refuses to take events on an address that others can reach while nobody holds a key.

    Raises:
        MisuseError: Not loopback, events on, and no key that is good.
    """
    if app.live is not None and not app.settings.loopback and not app.live.gate.guarded():
        raise MisuseError(
            f"{app.settings.host} can be reached from other machines, and there is no key for events",
            next_step='make one with `twin key new --name "..."`, or leave [live] out of twin.toml',
        )


def listen(host: str, port: int) -> socket.socket:
    """Opens the listening socket; port 0 takes a free one.

    Raises:
        MisuseError: The address is in use, not allowed or not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise MisuseError(
            f"cannot listen on {host} port {port}: {error}", next_step="take another --port, or --port 0 for a free one"
        ) from None


def address_of(settings: Settings, port: int) -> str:
    """What to type into a browser on this machine."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::", ""} else settings.host  # noqa: S104 (compared, not bound)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.base_path}/"


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, app: Application, config: uvicorn.Config, url: str, browser: bool) -> None:
        super().__init__(config)
        self._app = app
        self._url = url
        self._browser = browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then tells."""
        await super().startup(sockets=sockets)
        if self.should_exit:
            return
        settle()
        typer.echo(f"Serving {self._url} (stop with Ctrl-C)")
        if self._browser:
            webbrowser.open(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; streams are ended first, or they would hold the end back for as long as it may take."""
        if self._app.live is not None:
            self._app.live.hub.close()
        await super().shutdown(sockets=sockets)


def settle() -> None:
    """Takes what lives as long as the process out of the garbage collector's sight.

    Modules, routes and the open release are 100,000 objects and more; walking through them all holds every request
    for 80 ms, and finds nothing.
    """
    gc.collect()
    gc.freeze()


def make_server(app: Application, port: int, browser: bool = False) -> Server:
    """The uvicorn server of an application."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=_LARGEST_MESSAGE,
        ws_per_message_deflate=False,  # a compressor a connection would cost 300 KiB each
        interface="asgi3",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return Server(app, config, address_of(app.settings, port), browser)


def run(settings: Settings, browser: bool = False) -> None:
    """Serves until a signal says stop.

    Raises:
        TwinError: The settings, the address or the release do not allow it.
    """
    check_access(settings)
    app = create_app(settings)
    check_keys(app)
    if not app.viewer.built:
        typer.echo(f"note: {NOT_BUILT}", err=True)
    with listen(settings.host, settings.port) as listening:
        if settings.metrics_port is not None:
            _expose_metrics(app, settings.host, settings.metrics_port)
        make_server(app, listening.getsockname()[1], browser).run(sockets=[listening])


def _expose_metrics(app: Application, host: str, port: int) -> None:
    try:
        exposition = app.metrics.expose(host, port)
    except OSError as error:
        raise MisuseError(
            f"cannot listen on {host} port {port}: {error}", next_step="take another --metrics-port"
        ) from None
    typer.echo(f"Metrics on port {exposition.server_port}")


def serve(
    directory: Annotated[Path, typer.Option("--directory", "-C", help="Project or release directory.")] = Path(),
    host: Annotated[
        str, typer.Option(help="Address to listen on; only this machine can reach the default.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=_HIGHEST_PORT, help="Port; 0 takes a free one.")] = 8000,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=_HIGHEST_PORT, help="Port of the Prometheus metrics; off if left out.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody who reaches the address may read everything.")
    ] = False,
    base_path: Annotated[str, typer.Option(help="Path prefix, such as /twin, kept by the proxy in front.")] = "",
    cors: Annotated[
        list[str] | None, typer.Option(help="Origin whose pages may read the answers; repeatable; * for any.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the tiles, the entities and the viewer of a built district."""
    settings = Settings(directory, host, port, metrics_port, public, base_path, tuple(cors or ()))
    try:
        run(settings, browser)
    except KeyboardInterrupt:  # uvicorn has shut down in order and passes the signal on
        typer.echo("Stopped.", err=True)


def register(app: typer.Typer) -> None:
    """Adds `serve` to the command line (entry point `twin.commands`)."""
    app.command("serve")(serve)
