"""`twin id`: checks, normalises and explains an identifier, and mint-checks a source key."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from twin.entity import geid


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("id")(identifier)


def identifier(
    text: Annotated[str, typer.Argument(help="An identifier as it was typed, read out or scanned.")],
    mint: Annotated[
        str | None, typer.Option(help="Authority: TEXT is then SOURCE/KEY, and its identifier is printed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check an identifier: find typing errors, bring it into its written form, say what it is.

    O and 0, I, L and 1 are taken for one another. Exit code 0 if it is an identifier, 2 if it cannot be one.
    """
    if mint is not None:
        text = geid.mint(mint, [text])[0]
    told = geid.explain(text)
    document: dict[str, Any] = {
        "text": text,
        "valid": told.geid is not None,
        "geid": told.geid,
        "problem": told.problem,
        "suggestions": list(told.suggestions),
    }
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    elif told.geid is not None:
        typer.echo(told.geid)
    else:
        typer.echo(f"error: {text!r} is no identifier: {told.problem}", err=True)
        if told.suggestions:
            typer.echo(f"  next: did you mean {' or '.join(told.suggestions[:3])}?", err=True)
    raise typer.Exit(0 if told.geid is not None else 2)
