"""The commands that show how a model thinks, and how cells compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from action_gru.cli.common import ConfigFile, Json, Model, Overrides, Quiet, make_reporter

if TYPE_CHECKING:
    from action_gru.config import Config


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
        from action_gru.evaluation.explanation import describe
        from action_gru.evaluation.explanation_plot import plot_explanation
        from action_gru.recognizer import ActionRecognizer
        from action_gru.report.files import json_text, replace_file
        from action_gru.report.plots import save_figure
    with reporter.doing("explaining"):
        recognizer = ActionRecognizer.load(model, overrides=overrides or [])
        explanation = recognizer.explain(video, label, frames)
        values = explanation.to_json()
        for warning in explanation.warnings:
            reporter.warn(f"{video}: {warning}")
        if out is not None:
            is_picture = bool(out.suffix) and not out.is_dir()
            picture = out if is_picture else out / "explanation.png"
            save_figure(plot_explanation(explanation), picture)
            reporter.say(f"wrote {picture}")
            if not is_picture:
                written = out / "explanation.json"
                replace_file(written, json_text(values).encode())
                reporter.say(f"wrote {written}")
        print(json.dumps(values) if json_ else f"{video}: {describe(explanation)}")


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

    tree, reporter = check_work(config, overrides or []), make_reporter(quiet)
    if out is not None:
        check_folder(f"--out {out}", out)
    with reporter.doing("loading"):
        from action_gru.evaluation import compare_cells as cells
        from action_gru.evaluation.cells_report import comparison_json, summary, write_comparison
        from action_gru.evaluation.memory_probe import LAGS, ProbeSettings
    lags = tuple(lag for lag in LAGS if lag <= largest_lag)
    settings = replace(ProbeSettings(), lags=lags) if probe else None
    with reporter.doing("comparing"), _place(tree, out) as folder:
        comparison = cells.compare_cells(tree, folds, seeds, reporter, folder, settings)
        write_comparison(comparison, folder)
    document = {"folder": str(folder)} | comparison_json(comparison)
    print(json.dumps(document) if json_ else f"{summary(comparison)}\n{folder}")


@contextmanager
def _place(config: Config, out: Path | None) -> Iterator[Path]:
    """The folder named, or a new run folder; neither is left behind empty."""
    from action_gru.training import RunFolder

    run = RunFolder.create(config, "-cells") if out is None else None
    folder = run.path if run else out
    assert folder is not None
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        if run is not None:
            run.discard_if_empty()
        elif is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    if run is not None:
        run.take_name()
