"""The commands: each reads its arguments, calls the package, prints the answer.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from action_gru.cli import classify, export, extraction, insight, live, plan, web
from action_gru.cli.cache import cache_app
from action_gru.cli.common import (
    ConfigFile,
    Json,
    Overrides,
    Quiet,
    RunPath,
    make_reporter,
    print_answer,
)
from action_gru.cli.stopping import Commands
from action_gru.core.errors import ConfigError
from action_gru.core.machine import only_one_was_meant, process_rank
from action_gru.core.progress import is_json, log_as_json
from action_gru.core.text import name_or_count

if TYPE_CHECKING:
    from action_gru.core.progress import Reporter

app = typer.Typer(
    cls=Commands,
    help="Action recognition from video: frozen YOLO features, cached once, read by a GRU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cache_app, name="cache")
app.command()(extraction.extract)
app.command()(plan.plan)
app.command()(classify.classify)
app.command()(classify.demo)
app.command()(live.timeline)
app.command()(live.webcam)
app.command()(web.web)
app.command()(export.export)
app.command()(insight.explain)
app.command("compare-cells")(insight.compare_cells)
app.command()(live.watch)


@app.callback()
def options(
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log lines on stderr as JSON; may stand anywhere.")
    ] = False,
) -> None:
    if log_json:
        log_as_json()


@app.command()
def config(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="A YAML file.")] = None,
    overrides: Overrides = None,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the JSON Schema for editors.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the whole config as it will be used: defaults, file and overrides."""
    from action_gru.apps.checks import check_target
    from action_gru.config import json_schema, load_config, to_yaml

    if schema is not None:
        check_target("--schema", schema, (".json",), [config] if config else [])
    if schema is not None:
        schema.write_text(json_schema(), encoding="utf-8")
    if config is not None:
        tree = load_config(config, overrides or [])
        print_answer(tree.to_tree(), to_yaml(tree).rstrip(), json_)
    elif schema is None:
        raise ConfigError("name a config file, or --schema FILE")


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="folder, ucf101, hmdb51, kth, fights, cmapss.")],
    source: Annotated[Path, typer.Argument(help="The data set's folder, unpacked.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Default: ROOT/manifest.csv; of cmapss ROOT/SUBSET.csv."),
    ] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Which official split.")] = 1,
    subset: Annotated[str, typer.Option(help="Which part of cmapss, such as FD001.")] = "FD001",
    splits: Annotated[
        bool | None,
        typer.Option(
            "--splits/--no-splits",
            help="Of folder: folders called train, val or test are splits, or are classes.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a manifest.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the manifest of a data set: a folder per class, or a public one as it comes."""
    from action_gru.apps.checks import check_target
    from action_gru.prepare import Options
    from action_gru.prepare import prepare as write_manifest

    if out is not None:
        check_target("--out", out, (".csv",), [source])
    options = Options(split, subset, splits)
    made = write_manifest(dataset, source, out, options, overwrite=overwrite)
    reporter = make_reporter(quiet)
    for sentence in made.sentences():
        reporter.say(sentence)
    print_answer(made.document(), str(made.manifest), json_)


@app.command()
def train(
    config: ConfigFile, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Train a model and evaluate it on the test split; the last line is the run folder."""
    from action_gru.apps.checks import check_work

    reporter = make_reporter(quiet)  # first, for a launcher's variables may be wrong
    tree = check_work(config, overrides or [])
    if only_one_was_meant():
        reporter.warn(
            "accelerate launch --cpu starts one process; for several on the CPU: "
            "torchrun --nproc-per-node N scripts/train.py CONFIG training.device=cpu"
        )
    with reporter.doing("loading"):
        from action_gru.training import train as train_run
    with reporter.doing("training"):
        run = train_run(tree, reporter)
    _finish(run, reporter, json_)


@app.command()
def resume(
    run: RunPath, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Go on with an interrupted run from its last whole epoch, to the same result."""
    from action_gru.apps.checks import check_begun

    check_begun(run, overrides or [])
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.training import resume as resume_run
    with reporter.doing("training"):
        resumed = resume_run(run, reporter, overrides or [])
    _finish(resumed, reporter, json_)


def _finish(run: Any, reporter: Reporter, as_json: bool) -> None:
    """Evaluate what training left on its test split, and name the run: once, by one process."""
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
            reporter.say(f"evaluated: {_score_line(report)}", evaluation=_summary(report))
        document |= {"evaluation": str(folder)} | _summary(report)
        if not as_json:
            print(_score_line(report))
        if wants_refit(run, run.config()):
            with reporter.doing("training on all clips"), run.naming_interrupts():
                refit(run, reporter)
            reporter.say(f"{run.final} is trained on all clips, the test clips too; use it")
    else:
        reporter.say(
            "no clips were kept for a test, so nothing is known of how right the model is on new "
            f"ones: action-gru evaluate {run.path} --manifest CSV --root DIR tells"
        )
    print_answer(document, str(run.path), as_json)


@app.command()
def evaluate(
    run: RunPath,
    overrides: Overrides = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Other clips than the run's own.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the manifest's paths start.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, val or test: by default test, or all clips of --manifest."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write.")] = None,
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
    if not json_:
        print(_score_line(report))
    print_answer({"folder": str(folder), "run": str(run)} | _summary(report), str(folder), json_)


@app.command()
def cv(
    config: ConfigFile,
    overrides: Overrides = None,
    folds: Annotated[int, typer.Option(min=2, help="As many as groups: leave one out.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Repeat with so many seeds.")] = 1,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Calibrate each model too; trains further ones.")
    ] = False,
    leave_class_out: Annotated[
        bool,
        typer.Option(
            "--leave-class-out",
            help="Instead: do classes never seen score lower? Slow.",
        ),
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
        else:
            _, folder = cross_validate(tree, folds, seeds, reporter, confidence)
    if leave_class_out:
        if not json_:
            print(f"known against unknown: AUROC {_figure(unknown['mean_auroc'])}")
        print_answer({"folder": str(folder), "auroc": unknown["mean_auroc"]}, str(folder), json_)
        return
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    keys = ("top1_mean", "top1_spread", "mean_pooled_top1_mean", "majority_top1_mean")
    figures = {key: document.get(key) for key in keys}
    if not json_:
        print(
            f"top-1 {_figure(figures['top1_mean'])} (spread {_figure(figures['top1_spread'])}), "
            f"mean-pooled {_figure(figures['mean_pooled_top1_mean'])}, "
            f"majority {_figure(figures['majority_top1_mean'])}"
        )
    print_answer({"folder": str(folder)} | figures, str(folder), json_)


def _summary(report: Any) -> dict[str, Any]:
    metrics = report.metrics
    return {
        "clips": metrics.clips,
        "sentence": report.sentence,
        "classes_without_clips": list(metrics.classes_without_clips),
        "better_than_guessing": report.beats_guessing,
        "top1": metrics.top1,
        "top1_interval": report.top1_interval,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "baselines": dict(report.baselines),
        "quarantined": len(report.quarantined),
        "timelines": _timeline_figures(report),
        "order": report.order.by_verdict if report.order else None,
    }


def _timeline_figures(report: Any) -> dict[str, Any] | None:
    """The pooled scores of the run's long videos, without those of each."""
    pooled: dict[str, Any] | None = report.to_json()["timelines"]
    return pooled and {key: value for key, value in pooled.items() if key != "per_video"}


def _score_line(report: Any) -> str:
    metrics = report.metrics
    baselines = report.baselines
    timelines = _timeline_figures(report)
    long = (
        f"\n{timelines['videos']} long videos: F1@50 {timelines['f1']['50']:.3f}, "
        f"edit {timelines['edit']:.3f}"
        if timelines
        else ""
    )
    names = metrics.classes_without_clips
    absent = f"; no clip of {name_or_count(names, len(metrics.classes))}" if names else ""
    order = (
        f"\n{report.order.sentence} {report.order.overall_sentence}".rstrip()
        if report.order
        else ""
    )
    return (
        f"{metrics.clips} clips: top-1 {metrics.top1:.3f}, mean class accuracy "
        f"{metrics.mean_class_accuracy:.3f} (mean-pooled {_figure(baselines['mean_pooled'])}, "
        f"majority {_figure(baselines['majority'])}){absent}{long}{order}\n{report.sentence}"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
