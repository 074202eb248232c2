"""The commands that show how a model thinks, and how cells compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from action_gru.cli.common import Json, Model, Overrides, Quiet, make_reporter


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
    from action_gru.apps.explain import explain_video

    reporter = make_reporter(quiet)
    explain_video(video, model, overrides or [], out, label, frames, json_, reporter)
