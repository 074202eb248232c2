"""The commands for measured sequences."""

from __future__ import annotations

from typing import Annotated

import typer

from action_gru.cli.common import Json, Model, Overrides, Quiet, make_reporter


def watch(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A long CSV, or - for stdin.")],
    model: Model,
    overrides: Overrides = None,
    alarm: Annotated[
        str | None, typer.Option(metavar="CLASS", help="What to warn of; default: soon.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Warn from this score; default: as trained."),
    ] = None,
    max_ids: Annotated[
        int, typer.Option(min=1, help="Ids kept at once; the least recently seen goes first.")
    ] = 10_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Read rows as they arrive and print a line when a warning is raised or cleared."""
    from action_gru.apps.checks import check_rows_model

    check_rows_model(model, overrides or [], source, alarm)
    reporter = make_reporter(quiet)
    with reporter.doing("loading the model"):
        from action_gru.series.watch import watch

    done = watch(source, model, overrides or [], reporter, alarm, threshold, max_ids, json_)
    reporter.say(
        f"{done.rows} rows of {done.ids} ids, {done.bad_rows} left out, {done.missing_values} "
        f"values missing; {done.raised} warnings raised, {done.cleared} cleared"
    )
