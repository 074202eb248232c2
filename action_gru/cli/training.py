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
    ConfigFile,
    Json,
    OutFolder,
    Overrides,
    Quiet,
    RunPath,
    Seeds,
    make_reporter,
    print_answer,
)
from action_gru.core.machine import only_one_was_meant, process_rank, program
from action_gru.core.progress import is_json
from action_gru.core.text import command_line, counted, name_or_count

if TYPE_CHECKING:
    from action_gru.config import Config
    from action_gru.core.progress import Reporter

SUMMARY = (
    "clips", "sentence", "classes_without_clips", "better_than_guessing", "top1", "top1_interval",
    "mean_class_accuracy", "baselines",
)  # fmt: skip
MANY_SUMMARY = (
    "clips", "sentence", "classes_without_clips", "better_than_guessing", "mean_average_precision",
    "mean_average_precision_interval", "macro_f1", "exact_match", "hamming", "baselines",
)  # fmt: skip
CV_FIGURES = ("top1_mean", "top1_spread", "mean_pooled_top1_mean", "majority_top1_mean")


MANY_CV = (
    "mean_average_precision_mean", "mean_average_precision_spread",
    "mean_pooled_mean_average_precision_mean", "frequency_mean_average_precision_mean",
)  # fmt: skip


def train(
    config: ConfigFile, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Train a model and evaluate it on the test split; the last line is the run folder."""
    from action_gru.apps.checks import check_work

    reporter = make_reporter(quiet)  # first, for a launcher's variables may be wrong
    with reporter.doing("reading the manifest"):
        tree = check_work(config, overrides or [])
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


def resume(
    run: RunPath, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Go on with an interrupted run from its last whole epoch, to the same result."""
    from action_gru.apps.checks import check_begun

    check_begun(run, overrides or [])
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.training import RunFolder
        from action_gru.training import resume as resume_run
        from action_gru.training.refit import is_finished

        found = RunFolder.open(run)
        epochs = found.summary().get("epochs", 0)
    if not overrides and is_finished(found, found.config()):
        again = command_line(*program(), "resume", run, f"training.epochs={2 * epochs}")
        reporter.info(f"nothing is left to do: the run is finished; to train on: {again}")
        print_answer({"run": str(run), "summary": found.summary()}, str(run), json_)
        return
    with reporter.doing("training"):
        resumed = resume_run(run, reporter, overrides or [])
    _finish(resumed, reporter, json_)


def tune(
    config: ConfigFile,
    overrides: Overrides = None,
    out: Annotated[
        Path, Option(metavar="FILE", help="The tuned backbone; for features.weights.")
    ] = Path("tuned.safetensors"),
    epochs: Annotated[int, Option(min=1, help="At most; left-out groups may stop it.")] = 12,
    layers: Annotated[int, Option(min=1, help="How many of the last layers are tuned.")] = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune the backbone on the training clips; it is written only if left-out groups gain."""
    from action_gru.apps.checks import check_target, check_work

    tree, reporter = check_work(config, overrides or []), make_reporter(quiet)
    kept = [config, Path(tree.features.weights)]
    check_target("--out", out, (".safetensors",), kept)
    with reporter.doing("loading"):
        from action_gru.training.tune import tune as tune_backbone
    with reporter.doing("tuning"):
        result = tune_backbone(tree, out, epochs, layers, reporter)
    if result.path:
        reporter.info(
            f"train with features.weights={result.path}; it knows the training clips, so trust the "
            "score on the test split and not 'cv'"
        )
    text = f"{result.sentence}\n{result.path}" if result.path else result.sentence
    print_answer(asdict(result), text, json_)


def _finish(run: Any, reporter: Reporter, as_json: bool) -> None:
    """Evaluate the trained run on its test split and print its folder, in the first process."""
    from action_gru.evaluation.evaluate import evaluate as evaluate_run
    from action_gru.training import leave_processes
    from action_gru.training.refit import refit, wants_refit

    leave_processes()
    if process_rank():
        return
    document: dict[str, Any] = {"run": str(run.path), "summary": run.summary()}
    if run.has_split("test"):
        with reporter.doing("evaluating"), run.naming_interrupts():
            report, folder = evaluate_run(run, reporter)
        if is_json():  # a person reads it on stdout
            reporter.info(f"evaluated: {_score_line(report)}", evaluation=_summary(report))
        document |= {"evaluation": str(folder)} | _summary(report)
        if not as_json:
            print(_score_line(report))
        if wants_refit(run, run.config()):
            with reporter.doing("training on all clips"), run.naming_interrupts():
                refit(run, reporter)
            reporter.info(f"use {run.final}: it was trained on all clips, the test clips included")
    else:
        reporter.info(
            "no clips were kept for a test, so nothing is known of how right the model is on new "
            f"ones; score other clips: action-gru evaluate {run.path} --manifest CSV --root DIR"
        )
    print_answer(document, str(run.path), as_json)


def evaluate(
    run: RunPath,
    overrides: Overrides = None,
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
    """Evaluate a finished run; the last line is the folder of report.json and report.md."""
    from action_gru.apps.checks import check_folder, check_run

    check_run(run, overrides or [], manifest, root, split)
    if out is not None:
        check_folder(f"--out {out}", out)
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.evaluation.evaluate import evaluate as evaluate_run
        from action_gru.training import RunFolder
    with reporter.doing("evaluating"):
        opened = RunFolder.open(run)
        report, folder = evaluate_run(opened, reporter, split, manifest, root, overrides or [], out)
    document = {"folder": str(folder), "run": str(run)} | _summary(report)
    print_answer(document, f"{_score_line(report)}\n{folder}", json_)


def cv(
    config: ConfigFile,
    overrides: Overrides = None,
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
    """Grouped cross-validation; the last line is the folder of report.json and report.md."""
    from action_gru.apps.checks import check_work

    tree, reporter = check_work(config, overrides or []), make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.evaluation.cross_validation import cross_validate, leave_classes_out
    with reporter.doing("cross-validating"):
        if leave_class_out:
            unknown, folder = leave_classes_out(tree, folds, reporter)
            figures = {"auroc": unknown["mean_auroc"]}
            text = f"known against unknown: AUROC {_figure(figures['auroc'])}"
        else:
            _, folder = cross_validate(tree, folds, seeds, reporter, confidence)
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            several = "labels" in report
            figures = {key: report.get(key) for key in (MANY_CV if several else CV_FIGURES)}
            text = "{} {} (spread {}), mean-pooled {}, {} {}".format(
                "mAP" if several else "top-1",
                *map(_figure, list(figures.values())[:3]),
                "frequency" if several else "majority",
                _figure(list(figures.values())[3]),
            )
    print_answer({"folder": str(folder)} | figures, f"{text}\n{folder}", json_)


def compare_cells(
    config: ConfigFile,
    overrides: Overrides = None,
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


def _summary(report: Any) -> dict[str, Any]:
    """What --json prints of a report: the main figures of its report.json."""
    if hasattr(report, "summary"):  # of long videos
        return dict(report.summary)
    whole = report.to_json()
    if "labels" in whole:
        return {key: whole[key] for key in MANY_SUMMARY} | {"quarantined": len(report.quarantined)}
    pooled = whole["timelines"]
    return {key: whole[key] for key in SUMMARY} | {
        "quarantined": len(report.quarantined),
        "timelines": pooled and {key: pooled[key] for key in pooled if key != "per_video"},
        "order": report.order.by_verdict if report.order else None,
    }


def _score_line(report: Any) -> str:
    """The main figures of a report in lines for a person."""
    if hasattr(report, "score_line"):  # of long videos, or several labels a clip
        return f"{report.score_line}\n{report.sentence}"
    metrics, baselines = report.metrics, report.baselines
    names = metrics.classes_without_clips
    text = (
        f"{counted(metrics.clips, 'clip')}: top-1 {metrics.top1:.3f}, mean class accuracy "
        f"{metrics.mean_class_accuracy:.3f} (mean-pooled {_figure(baselines['mean_pooled'])}, "
        f"majority {_figure(baselines['majority'])})"
    ) + (f"; no clip of {name_or_count(names, len(metrics.classes))}" if names else "")
    if pooled := report.to_json()["timelines"]:
        f1, edit = pooled["f1"]["50"], pooled["edit"]
        text += f"\n{pooled['videos']} long videos: F1@50 {f1:.3f}, edit {edit:.3f}"
    if report.warnings:
        scores = report.warnings.scores
        text += (
            f"\nwarnings of the end within {scores['horizon']:g}: at the last rows F1 "
            f"{_figure(scores['f1'])}; over every row F1 {_figure(scores['row_f1'])}, AUROC "
            f"{_figure(scores['row_auroc'])}"
        )
    if report.order:
        text += f"\n{report.order.sentence} {report.order.overall_sentence}".rstrip()
    return f"{text}\n{report.sentence}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
