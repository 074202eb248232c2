"""The commands that train and score: train, resume, tune, evaluate, cv, compare-cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from action_gru.cli.common import (
    Json,
    Model,
    OutFolder,
    Overrides,
    Quiet,
    RunPath,
    Seeds,
    find_run,
    make_reporter,
    print_answer,
)
from action_gru.cli.scores import CV_FIGURES, MANY_CV, figure, score_line, summary_of
from action_gru.cli.source import Clips, Training, with_words
from action_gru.core.machine import only_one_was_meant, process_rank, program
from action_gru.core.progress import is_json
from action_gru.core.text import command_line, harmless

if TYPE_CHECKING:
    from action_gru.config import Config
    from action_gru.core.progress import Reporter


@with_words
def train(
    words: Training,
    save_config: Annotated[
        Path | None, Option(metavar="YAML", help="Write these settings as a config; train later.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn actions from clips, and score the result. The last line is the run's folder."""
    reporter = make_reporter(quiet)  # first, for a launcher's variables may be wrong
    if save_config is not None:
        _save_config(words, save_config, reporter)
        return
    with reporter.doing("reading the manifest"):
        tree = words.read(reporter)
    if only_one_was_meant():
        reporter.warn(
            "accelerate launch --cpu starts one process; for several on the CPU: "
            "torchrun --nproc-per-node N scripts/train.py CONFIG training.device=cpu"
        )
    with reporter.doing("loading"):
        from action_gru.training import train as train_run
    if not reporter.quiet:
        from action_gru.apps.check import first_lines

        for line in first_lines(tree):
            reporter.info(line)
    with reporter.doing("training"):
        run = train_run(tree, reporter)
    _finish(run, reporter, json_)


def _save_config(words: Training, path: Path, reporter: Reporter) -> None:
    from action_gru.apps.checks import check_target
    from action_gru.config import short_yaml
    from action_gru.core.files import write_atomically

    check_target("--save-config", path, (".yaml", ".yml"), [words.source])
    found = words.find()
    text = short_yaml(found.written(), command_line("action-gru", "train", path))
    write_atomically(path, text.encode())
    reporter.info(f"train with it: {command_line(*program(), 'train', path)}")
    print(path)


def resume(
    run: RunPath = None,
    overrides: Overrides = None,
    model: Model = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with an interrupted run, to the same weights. Default: the newest interrupted one."""
    from action_gru.apps.checks import check_begun

    reporter = make_reporter(quiet)
    path, changes = find_run(run, model, overrides, reporter, finished=False)
    check_begun(path, changes)
    with reporter.doing("loading"):
        from action_gru.training import RunFolder
        from action_gru.training import resume as resume_run
        from action_gru.training.refit import is_finished

        found = RunFolder.open(path)
        epochs = found.summary().get("epochs", 0)
    if not changes and is_finished(found, found.config()):
        again = command_line(*program(), "resume", path, f"training.epochs={2 * epochs}")
        reporter.info(f"nothing is left to do: the run is finished; to train on: {again}")
        print_answer({"run": str(path), "summary": found.summary()}, str(path), json_)
        return
    with reporter.doing("training"):
        resumed = resume_run(path, reporter, changes)
    _finish(resumed, reporter, json_)


@with_words
def tune(
    words: Clips,
    out: Annotated[
        Path, Option("--out", "-o", metavar="FILE", help="The tuned backbone, for --weights.")
    ] = Path("tuned.safetensors"),
    epochs: Annotated[int, Option(min=1, help="At most; left-out groups may stop it.")] = 12,
    layers: Annotated[int, Option(min=1, help="How many of the last layers are tuned.")] = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune the backbone on the training clips; it is written only if left-out groups gain."""
    from action_gru.apps.checks import check_target

    reporter = make_reporter(quiet)
    tree = words.read(reporter)
    kept = [words.source, Path(tree.features.weights)]
    check_target("--out", out, (".safetensors",), kept)
    with reporter.doing("loading"):
        from action_gru.training.tune import tune as tune_backbone
    with reporter.doing("tuning"):
        result = tune_backbone(tree, out, epochs, layers, reporter)
    if result.path:
        reporter.info(
            f"train with --weights {result.path}; it knows the training clips, so trust the "
            "score on the test split and not 'cv'"
        )
    text = f"{result.sentence}\n{result.path}" if result.path else result.sentence
    print_answer(asdict(result), text, json_)


def _finish(run: Any, reporter: Reporter, as_json: bool) -> None:
    """Evaluate the trained run on its test split and print its folder, in the first process."""
    from action_gru.evaluation.evaluate import evaluate as evaluate_run
    from action_gru.training import leave_processes
    from action_gru.training.refit import refit, wants_refit
    from action_gru.training.runs import RUNS, newest_run
    from action_gru.training.tracking import track_result

    leave_processes()
    if process_rank():
        return
    document: dict[str, Any] = {"run": str(run.path), "summary": run.summary()}
    figures, reports = dict[str, Any](), list[Path]()
    if run.has_split("test"):
        with reporter.doing("evaluating"), run.naming_interrupts():
            report, folder = evaluate_run(run, reporter)
        if is_json():  # a person reads it on stdout
            reporter.info(f"evaluated: {score_line(report)}", evaluation=summary_of(report))
        document |= {"evaluation": str(folder)} | summary_of(report)
        figures, reports = report.to_json(), [folder / "report.md"]
        if not as_json:
            print(harmless(score_line(report)))
        if wants_refit(run, run.config()):
            with reporter.doing("training on all clips"), run.naming_interrupts():
                refit(run, reporter)
            reporter.info(f"use {run.final}: it was trained on all clips, the test clips included")
    else:
        reporter.info(
            "no clips were kept for a test, so nothing is known of how right the model is on new "
            f"ones; score other clips: action-gru evaluate -m {run.path} --manifest CSV --root DIR"
        )
    track_result(run, figures, reports, reporter)
    if (data := run.config().data).is_video:
        named = [] if newest_run(RUNS) == run.path else ["-m", run.path]
        verb = "timeline" if data.task == "frames" else "classify"
        reporter.info(f"next: {command_line(*program(), verb, 'VIDEO', *named)}")
    print_answer(document, str(run.path), as_json)


def evaluate(
    run: RunPath = None,
    overrides: Overrides = None,
    model: Model = None,
    manifest: Annotated[
        Path | None, Option(metavar="CSV", help="Other clips than the run's own.")
    ] = None,
    root: Annotated[
        Path | None, Option(metavar="DIR", help="Where the manifest's paths start.")
    ] = None,
    split: Annotated[
        str | None,
        Option(help="train, val or test: by default test, or all clips of --manifest."),
    ] = None,
    out: OutFolder = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a run on its test clips, or on other clips. The last line is the report's folder."""
    from action_gru.apps.checks import check_folder, check_run

    reporter = make_reporter(quiet)
    path, changes = find_run(run, model, overrides, reporter)
    check_run(path, changes, manifest, root, split)
    if out is not None:
        check_folder(f"--out {out}", out)
    with reporter.doing("loading"):
        from action_gru.evaluation.evaluate import evaluate as evaluate_run
        from action_gru.training import RunFolder
    with reporter.doing("evaluating"):
        opened = RunFolder.open(path)
        report, folder = evaluate_run(opened, reporter, split, manifest, root, changes, out)
    document = {"folder": str(folder), "run": str(path)} | summary_of(report)
    print_answer(document, f"{score_line(report)}\n{folder}", json_)


@with_words
def cv(
    words: Training,
    folds: Annotated[int, Option(min=2, help="As many as groups: leave one out.")] = 5,
    seeds: Seeds = 1,
    confidence: Annotated[
        bool, Option("--confidence", help="Calibrate each model too; trains further ones.")
    ] = False,
    leave_class_out: Annotated[
        bool,
        Option("--leave-class-out", help="Instead: do classes never seen score lower? Slow."),
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cross-validate in whole groups. The last line is the report's folder."""
    reporter = make_reporter(quiet)
    tree = words.read(reporter)
    with reporter.doing("loading"):
        from action_gru.evaluation.cross_validation import cross_validate, leave_classes_out
        from action_gru.report.fold_events import events_line
    with reporter.doing("cross-validating"):
        if leave_class_out:
            unknown, folder = leave_classes_out(tree, folds, reporter)
            figures = {"auroc": unknown["mean_auroc"]}
            text = f"known against unknown: AUROC {figure(figures['auroc'])}"
        else:
            _, folder = cross_validate(tree, folds, seeds, reporter, confidence)
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            several = "labels" in report
            figures = {key: report.get(key) for key in (MANY_CV if several else CV_FIGURES)}
            text = "{} {} (spread {}), mean-pooled {}, {} {}".format(
                "mAP" if several else "top-1",
                *map(figure, list(figures.values())[:3]),
                "frequency" if several else "majority",
                figure(list(figures.values())[3]),
            )
            if events := report.get("events"):
                figures["events"] = events
                text += f"\n{events_line(events)}"
    print_answer({"folder": str(folder)} | figures, f"{text}\n{folder}", json_)


@with_words
def compare_cells(
    words: Training,
    folds: Annotated[int, Option(min=2, help="Groups held out in so many parts.")] = 5,
    seeds: Seeds = 3,
    out: OutFolder = None,
    probe: Annotated[
        bool, Option("--probe/--no-probe", help="Test how far each cell remembers.")
    ] = True,
    largest_lag: Annotated[
        int, Option(min=4, max=512, help="The probe's longest memory, steps.")
    ] = 512,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare RNN, LSTM, GRU and no cell on your clips. The last line is the folder."""
    from action_gru.apps.checks import check_folder

    reporter = make_reporter(quiet)
    tree = words.read(reporter)
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
    print_answer(document, f"{summary(comparison)}\n{folder}", json_)


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
