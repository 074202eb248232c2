"""The command line as one app, and the commands that need no model: config, prepare, demo.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from action_gru.cli import features, inference, plan, training
from action_gru.cli.common import Commands, Json, Overrides, Quiet, make_reporter, print_answer
from action_gru.core.errors import ConfigError
from action_gru.core.progress import log_as_json

app = typer.Typer(
    cls=Commands,
    help="Action recognition from video: frozen YOLO features, cached once, read by a GRU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"action-gru {version('action_gru')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        Option("--version", is_eager=True, callback=_print_version, help="Print the version."),
    ] = False,
    log_json: Annotated[
        bool, Option("--log-json", help="Log lines on stderr as JSON; may be anywhere.")
    ] = False,
) -> None:
    if log_json:
        log_as_json()


def config(
    config: Annotated[Path | None, Argument(metavar="CONFIG", help="A YAML file.")] = None,
    overrides: Overrides = None,
    schema: Annotated[
        Path | None, Option(metavar="FILE", help="Write the JSON Schema for editors.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the whole config as it will be used: defaults, file and overrides."""
    from action_gru.apps.checks import check_target
    from action_gru.config import json_schema, load_config, to_yaml

    if config is None and schema is None:
        raise ConfigError("name a config file, or --schema FILE")
    if schema is not None:
        check_target("--schema", schema, (".json",), [config] if config else [])
        schema.write_text(json_schema(), encoding="utf-8")
    if config is not None:
        tree = load_config(config, overrides or [])
        print_answer(tree.to_tree(), to_yaml(tree).rstrip(), json_)


def prepare(
    dataset: Annotated[str, Argument(help="folder, ucf101, hmdb51, kth, fights, cmapss.")],
    source: Annotated[Path, Argument(help="The data set's folder, unpacked.")],
    out: Annotated[
        Path | None,
        Option(metavar="CSV", help="Default: ROOT/manifest.csv; of cmapss ROOT/SUBSET.csv."),
    ] = None,
    split: Annotated[int, Option(min=1, max=3, help="Which official split.")] = 1,
    subset: Annotated[str, Option(help="Which part of cmapss, such as FD001.")] = "FD001",
    splits: Annotated[
        bool | None,
        Option(
            "--splits/--no-splits",
            help="Of folder: folders called train, val or test are splits, or are classes.",
        ),
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a manifest.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the manifest of a data set: a folder per class, or a public one as published."""
    from action_gru.apps.checks import check_target
    from action_gru.prepare import Options
    from action_gru.prepare import prepare as write_manifest

    if out is not None:
        check_target("--out", out, (".csv",), [source])
    choices = Options(split, subset, splits)
    made = write_manifest(dataset, source, out, choices, overwrite=overwrite)
    reporter = make_reporter(quiet)
    for sentence in made.sentences():
        reporter.info(sentence)
    print_answer(made.document(), str(made.manifest), json_)


def demo(
    overrides: Overrides = None,
    folder: Annotated[Path, Option(metavar="DIR", help="Where to work.")] = Path(),
    quiet: Quiet = False,
) -> None:
    """Draw a small data set, train on it and classify a fresh clip; needs no network."""
    from action_gru.apps.checks import check_folder
    from action_gru.config import build_config
    from action_gru.demo import DEMO_CONFIG

    build_config(DEMO_CONFIG, overrides or [])
    check_folder(f"--folder {folder}", folder)
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.apps.demo import run_demo
    with reporter.doing("making the demo"):
        screen = run_demo(folder, reporter, overrides or [])
    print(screen)


# In the order of a first use, as --help lists them.
for command in (
    config, demo, prepare, features.check, features.extract, plan.plan,
    training.train, training.resume, training.tune, training.evaluate, training.cv,
    training.compare_cells, inference.models,
    inference.classify, inference.explain, inference.timeline, inference.webcam,
    inference.watch, inference.web, inference.export,
):  # fmt: skip
    app.command()(command)
app.add_typer(features.cache_app, name="cache")
