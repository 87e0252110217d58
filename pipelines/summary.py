"""What a person reads at the end of a build."""

from __future__ import annotations

import typer

from pipelines.build_result import BuildResult
from pipelines.project import Project, output_path
from twin.report import REASONS, LayerReport, Outcome, Severity


def print_build(project: Project, result: BuildResult, verbose: int) -> None:
    """Prints the account of every layer, the findings, the release and the next step."""
    for layer in result.report.layers:
        _print_layer(layer, verbose)
    for issue in result.report.issues:
        if issue.severity is not Severity.NOTE or verbose:
            place = f"{issue.source}: " if issue.source else ""
            typer.echo(f"  {issue.severity.value}: {place}{issue.text}")
            if issue.next_step:
                typer.echo(f"    next: {issue.next_step}")
    if verbose > 1:
        for name, seconds in result.seconds.items():
            typer.echo(f"  {name:<10} {seconds:8.3f} s")
    state = (
        "unchanged, nothing to do" if result.unchanged else f"{result.tiles_written} of {result.tiles} tiles written"
    )
    typer.echo(
        f"release {result.release}: {result.tiles} tiles, {_size(result.bytes)}, {state},"
        f" {result.seconds.get('total', 0.0):.1f} s -> {output_path(project)}"
    )
    typer.echo(f"  next: twin serve -C {project.root}")


def _print_layer(layer: LayerReport, verbose: int) -> None:
    parts = ", ".join(f"{layer.outcomes.get(kind, 0):,} {_WORDS[kind]}" for kind in Outcome)
    typer.echo(f"{layer.layer}: {layer.read:,} features read = {parts}; {layer.entities:,} entities drawn")
    for code, count in sorted(layer.reasons.items(), key=lambda row: (-row[1], row[0])):
        reason = REASONS[code]
        if reason.severity is Severity.NOTE and reason.outcome is None and not verbose:
            continue  # a remark on a built feature; what was not built is always told, so that the account adds up
        shown = layer.examples.get(code, ())
        examples = f" (e.g. {', '.join(shown[:3])})" if shown else ""
        typer.echo(f"  {count:>8,} {code}: {reason.text}{examples}")
        typer.echo(f"           next: {reason.next_step}")


_WORDS = {
    Outcome.BUILT: "built",
    Outcome.FALLBACK: "with fallback",
    Outcome.SKIPPED: "skipped",
    Outcome.FAILED: "failed",
}


def _size(count: int) -> str:
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}"
