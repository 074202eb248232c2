"""The commands that show how a model thinks, and how cells compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from action_gru.cli.common import ConfigFile, Json, Model, Overrides, Quiet, make_reporter


def explain(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A clip.")],
    model: Model,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR|PNG", help="A picture, or a folder for it and "
                     "the values as JSON."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Explain this class, not the answer.")
    ] = None,
    frames: Annotated[
        int, typer.Option(min=0, max=6, help="Look for places in so many frames.")
    ] = 3,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Show why a model answers as it does: gates, memory, attention, moments and places."""
    from action_gru.apps.checks import check_model, check_picture_or_folder, check_video
    from action_gru.training.document import check_label

    check_video(video)
    if out is not None:
        check_picture_or_folder("--out", out, [video])
    check_label(label, check_model(model, overrides or [])[0].classes)
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.apps.explain import explain_video
    with reporter.doing("explaining"):
        explain_video(video, model, overrides or [], out, label, frames, json_, reporter)


def compare_cells(
    config: ConfigFile,
    overrides: Overrides = None,
    folds: Annotated[int, typer.Option(min=2, help="Groups held out in so many parts.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Repeat with so many seeds.")] = 3,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write.")] = None,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Test how far each cell remembers.")
    ] = True,
    largest_lag: Annotated[
        int, typer.Option(min=4, max=512, help="The probe's longest memory, steps.")
    ] = 512,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """RNN, LSTM, GRU, both ways, and no cell on your data; the last line is the folder."""
    from action_gru.apps.checks import check_folder, check_work

    changes, reporter = overrides or [], make_reporter(quiet)
    check_work(config, changes)
    if out is not None:
        check_folder(f"--out {out}", out)
    with reporter.doing("loading"):
        from action_gru.apps.compare_cells import run_comparison
    with reporter.doing("comparing"):
        run_comparison(config, changes, folds, seeds, out, probe, largest_lag, json_, reporter)
