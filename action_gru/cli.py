"""The command line: each command reads its arguments, calls the package, prints the answer.

Progress goes to stderr, the answer alone to stdout. Heavy packages are imported inside the
commands, so that --help answers at once.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from action_gru.errors import ActionGruError, ConfigError

if TYPE_CHECKING:
    from action_gru.progress import Reporter

app = typer.Typer(
    help="Action recognition from video: frozen YOLO features, cached once, read by a GRU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache_app = typer.Typer(help="Look after the feature cache.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")

INTERRUPTED = 130
OVERRIDE = re.compile(r"^[a-z_]+(\.[a-z_]+)+=")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[a.b=value ...]", help="Values laid over the config.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON line.")]
Model = Annotated[Path, typer.Option("--model", "-m", metavar="RUN", help="A trained run.")]


def main() -> None:
    """Run a command; an error of ours is one clear message and its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app(standalone_mode=False)
    except ActionGruError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; what was finished is kept", INTERRUPTED)
    except typer.Exit as stop:
        raise SystemExit(stop.exit_code) from None
    except BrokenPipeError:  # `action-gru ... | head` closed our stdout
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line
            error.show()  # type: ignore[attr-defined]
            raise SystemExit(2) from None
        raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first ctrl-C unwinds and cleans up; a second one ends the process at once."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def _reporter(quiet: bool) -> Reporter:
    from action_gru.progress import Reporter

    return Reporter(quiet=quiet)


def _answer(document: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(document) if as_json else text)


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
    from action_gru.config import json_schema, load_config, to_yaml

    if schema is not None:
        schema.write_text(json_schema(), encoding="utf-8")
    if config is not None:
        tree = load_config(config, overrides or [])
        _answer(tree.to_tree(), to_yaml(tree).rstrip(), json_)
    elif schema is None:
        raise ConfigError("name a config file, or --schema FILE")


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="folder, ucf101, hmdb51, kth or fights.")],
    source: Annotated[Path, typer.Argument(help="The data set's folder or archive.")],
    out: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Manifest; by default ROOT/manifest.csv.")
    ] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Which official split.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a manifest.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the manifest of a data set: a folder per class, or a public one as it comes."""
    from action_gru.prepare import prepare as write_manifest

    made = write_manifest(dataset, source, out, split=split, overwrite=overwrite)
    _reporter(quiet).say(
        f"{made.clips} clips, {made.classes} classes, {made.groups or 'no'} groups; "
        f"next: action-gru train CONFIG data.manifest={made.manifest} data.root={made.root}"
    )
    document = {
        "manifest": str(made.manifest),
        "root": str(made.root),
        "clips": made.clips,
        "classes": made.classes,
        "groups": made.groups,
        "splits": made.splits,
    }
    _answer(document, str(made.manifest), json_)


@app.command()
def extract(
    config: ConfigFile, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Bring the features of all clips into the cache."""
    from action_gru.config import load_config
    from action_gru.features import extract_features
    from action_gru.training import read_clips

    tree = load_config(config, overrides or [])
    report = extract_features(tree, read_clips(tree), _reporter(quiet)).report
    for clip, reason in report.quarantined.items():
        _reporter(quiet).warn(f"left out {clip}: {reason}")
    document = {
        "clips": report.clips,
        "frames": report.frames,
        "cached": report.cached,
        "quarantined": len(report.quarantined),
        "cache_dir": str(tree.features.cache_dir),
    }
    text = (
        f"{report.clips} clips: {report.frames} frames decoded, {report.cached} clips already "
        f"cached, {len(report.quarantined)} left out; features in {tree.features.cache_dir}"
    )
    _answer(document, text, json_)


@app.command()
def train(
    config: ConfigFile, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Train a model and evaluate it on the test split; the last line is the run folder."""
    from action_gru.config import load_config
    from action_gru.training import train as train_run

    reporter = _reporter(quiet)
    run = train_run(load_config(config, overrides or []), reporter)
    _finish(run, reporter, json_)


@app.command()
def resume(
    run: RunPath, overrides: Overrides = None, json_: Json = False, quiet: Quiet = False
) -> None:
    """Go on with an interrupted run from its last whole epoch, to the same result."""
    from action_gru.training import resume as resume_run

    reporter = _reporter(quiet)
    _finish(resume_run(run, reporter, overrides or []), reporter, json_)


def _finish(run: Any, reporter: Reporter, as_json: bool) -> None:
    """Evaluate what training left on its test split, and name the run."""
    from action_gru.training import evaluate as evaluate_run

    document: dict[str, Any] = {"run": str(run.path)}
    if run.has_split("test"):
        report, folder = evaluate_run(run, reporter)
        document |= {"evaluation": str(folder)} | _summary(report)
        if not as_json:
            print(_score_line(report))
    else:
        reporter.say("no test split: evaluate the run with --manifest CSV --root DIR")
    _answer(document, str(run.path), as_json)


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
    split: Annotated[str, typer.Option(help="train, val or test of the run.")] = "test",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a finished run; the last line is the folder of report.json and report.md."""
    from action_gru.training import RunFolder
    from action_gru.training import evaluate as evaluate_run

    opened = RunFolder.open(run)
    report, folder = evaluate_run(
        opened, _reporter(quiet), split, manifest, root, overrides or [], out
    )
    if not json_:
        print(_score_line(report))
    _answer({"folder": str(folder), "run": str(run)} | _summary(report), str(folder), json_)


@app.command()
def cv(
    config: ConfigFile,
    overrides: Overrides = None,
    folds: Annotated[int, typer.Option(min=2, help="As many as groups: leave one out.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Repeat with so many seeds.")] = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Grouped cross-validation; the last line is the folder of report.json and report.md."""
    from action_gru.config import load_config
    from action_gru.training import cross_validate

    tree = load_config(config, overrides or [])
    _, folder = cross_validate(tree, folds, seeds, _reporter(quiet))
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    keys = ("top1_mean", "top1_spread", "mean_pooled_top1_mean", "majority_top1_mean")
    figures = {key: document.get(key) for key in keys}
    if not json_:
        print(
            f"top-1 {_figure(figures['top1_mean'])} (spread {_figure(figures['top1_spread'])}), "
            f"mean-pooled {_figure(figures['mean_pooled_top1_mean'])}, "
            f"majority {_figure(figures['majority_top1_mean'])}"
        )
    _answer({"folder": str(folder)} | figures, str(folder), json_)


@app.command()
def classify(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO... [a.b=value ...]", help="Files, folders, globs.")
    ],
    model: Model,
    top: Annotated[int, typer.Option(min=1, help="How many labels to print.")] = 3,
    annotate: Annotated[
        Path | None, typer.Option(metavar="OUT.mp4", help="Write the video with an overlay.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Name the action in each video. A file that cannot be read sets the exit code to 4."""
    from action_gru.apps.classify import classify_files, find_videos

    overrides = [text for text in videos if OVERRIDE.match(text)]
    paths = find_videos([text for text in videos if not OVERRIDE.match(text)])
    failed = classify_files(paths, model, overrides, top, annotate, json_, _reporter(quiet))
    if failed:
        raise typer.Exit(failed)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where to work.")] = Path(),
    quiet: Quiet = False,
) -> None:
    """Draw a small data set, train on it and classify a fresh clip; needs no network."""
    from action_gru.apps.demo import run_demo

    run_demo(folder, _reporter(quiet))


@cache_app.command()
def stats(
    folder: Annotated[Path, typer.Argument(help="The cache folder.")] = Path("cache/features"),
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count entries and bytes."""
    from action_gru.cache import FeatureCache

    counts = FeatureCache(folder).stats()
    text = f"{counts['entries']} entries, {counts['bytes'] / 1e6:.1f} MB in {folder}"
    if counts["leftovers"]:
        text += f"; {counts['leftovers']} half-written leftovers ('cache prune' removes them)"
    _answer(counts, text, json_)


@cache_app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The cache folder.")] = Path("cache/features"),
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every entry whole; exit code 6 when one is damaged."""
    from action_gru.cache import FeatureCache
    from action_gru.errors import CacheError

    cache = FeatureCache(folder)
    problems = cache.verify()
    for problem in problems:
        _reporter(quiet).warn(problem)
    entries = cache.stats()["entries"]
    text = f"{entries} entries, {len(problems)} damaged"
    _answer({"entries": entries, "damaged": problems}, text, json_)
    if problems:
        raise typer.Exit(CacheError.exit_code)


@cache_app.command()
def prune(
    folder: Annotated[Path, typer.Argument(help="The cache folder.")] = Path("cache/features"),
    older_than_days: Annotated[
        float | None, typer.Option(min=0.0, help="Also what was not used for so long.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove damaged entries and stale leftovers, and old entries on request."""
    from action_gru.cache import FeatureCache

    age_s = None if older_than_days is None else older_than_days * 86_400
    removed = FeatureCache(folder).prune(age_s)
    text = "removed " + ", ".join(f"{count} {kind}" for kind, count in removed.items())
    _answer(removed, text, json_)


def _summary(report: Any) -> dict[str, Any]:
    metrics = report.metrics
    return {
        "clips": metrics.clips,
        "top1": metrics.top1,
        "mean_class_accuracy": metrics.mean_class_accuracy,
        "baselines": dict(report.baselines),
        "quarantined": len(report.quarantined),
    }


def _score_line(report: Any) -> str:
    metrics = report.metrics
    baselines = report.baselines
    return (
        f"{metrics.clips} clips: top-1 {metrics.top1:.3f}, mean class accuracy "
        f"{metrics.mean_class_accuracy:.3f} (mean-pooled {_figure(baselines['mean_pooled'])}, "
        f"majority {_figure(baselines['majority'])})"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
