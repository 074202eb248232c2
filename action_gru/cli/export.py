"""action-gru export: a run for other runtimes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from action_gru.cli.common import Json, Model, Overrides, Quiet, make_reporter, print_answer


class Format(StrEnum):
    ONNX = "onnx"
    OPENVINO = "openvino"


def export(
    model: Model,
    overrides: Overrides = None,
    format_: Annotated[Format, typer.Option("--format", help="Whose files.")] = Format.ONNX,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; by default RUN/export.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the feature network and the one-step classifier as files for other runtimes."""
    from action_gru.apps.checks import check_export, check_folder

    check_export(model, overrides or [], format_.value)
    if out is not None:
        check_folder(f"--out {out}", out)
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.apps.export import export_run
    with reporter.doing("exporting"):
        folder, names = export_run(model, format_.value, out, overrides or [], reporter)
    reporter.say("wrote " + ", ".join(names))
    print_answer({"folder": str(folder), "files": names}, str(folder), json_)
