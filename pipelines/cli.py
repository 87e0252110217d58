"""The `twin` command: finds the command asked for, runs it, and turns failures into sentences and exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from pipelines.without import without_pandas
from twin import __version__
from twin.errors import TwinError

#: Commands of this package; each module has `register(app)`. Imported only when asked for, so that `twin id` is quick.
COMMANDS = (
    "init",
    "check",
    "build",
    "diff",
    "validate",
    "info",
    "entities",
    "export",
    "id",
    "rollback",
    "registry",
    "update",
    "events",
    "key",
    "demo",
)
#: Entry-point group in which other packages offer commands (`server` brings `serve`).
GROUP = "twin.commands"

_INTERRUPTED = 130
_DEBUG = "--debug"
_SELDOM = 200_000
"""Objects between two looks for rings of garbage: tables of 100,000 rows make many objects and no rings."""


def make_app(wanted: str | None = None) -> typer.Typer:
    """The command line with one command, or with all of them.

    Args:
        wanted: Name of the only command to load; None loads all.
    """
    app = typer.Typer(
        name="twin",
        help="From a city district's survey data to a live, identified 3D twin.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for name in COMMANDS:
        if wanted in (None, name):
            importlib.import_module(f"pipelines.commands.{name}").register(app)
    if wanted not in COMMANDS:
        for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
            if wanted in (None, point.name):
                point.load()(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"twin {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of a failure.")] = False,
) -> None:
    """From a city district's survey data to a live, identified 3D twin."""
    del version, debug  # the one acts by itself, the other is read from the arguments before anything can fail


def main() -> None:
    """Runs the command line and exits: 0 clean, 1 failed, 2 misuse, 3 finished with findings."""
    _forget_foreign_proj()
    arguments = [argument for argument in sys.argv[1:] if argument != _DEBUG]
    debug = len(arguments) < len(sys.argv) - 1
    if arguments[:1] in (["build"], ["update"]):
        without_pandas()
        gc.set_threshold(_SELDOM)
    code = run(arguments, debug)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the end of the process: taking apart every array and library first would take a third of a second


def run(arguments: list[str], debug: bool = False) -> int:
    """Runs one command line.

    Args:
        arguments: Without the program's name.
        debug: Let tracebacks through.

    Returns:
        The exit code.
    """
    command = next((word for word in arguments if not word.startswith("-")), None)
    known = command if command in COMMANDS else None
    try:
        result = make_app(known)(arguments, prog_name="twin", standalone_mode=True)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return _stopped() if code == _INTERRUPTED else code
    except KeyboardInterrupt:
        return _stopped()
    except TwinError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the outer rim: nothing but a sentence may reach a user
        if debug:
            raise
        typer.echo(f"error: {type(error).__name__}: {error}", err=True)
        typer.echo(
            "  next: this is a fault of the program; run it again with --debug and report what it prints", err=True
        )
        return 1
    return result if isinstance(result, int) else 0


def _stopped() -> int:
    """What Ctrl-C ends in."""
    typer.echo("stopped; what was published before is untouched, and the same command goes on from here", err=True)
    return _INTERRUPTED


def _forget_foreign_proj() -> None:
    """Libraries here bring their own PROJ data; a folder of another PROJ in the environment would break rasterio."""
    for name in ("PROJ_DATA", "PROJ_LIB"):
        os.environ.pop(name, None)
