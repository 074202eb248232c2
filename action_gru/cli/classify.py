"""action-gru classify, and the demo that classifies what it has drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from action_gru.cli.arguments import names_and_overrides
from action_gru.cli.common import Json, Model, Overrides, Quiet, make_reporter
from action_gru.core.errors import ConfigError


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
    from action_gru.apps.checks import VIDEOS, check_model, check_target
    from action_gru.apps.classify import classify_files, fail_if_all_missing, find_videos

    names, overrides = names_and_overrides(videos)
    paths, reporter = find_videos(names), make_reporter(quiet)
    if annotate is not None and len(paths) > 1:
        raise ConfigError(f"--annotate writes one video, and {len(paths)} were given")
    if annotate is not None:
        check_target("--annotate", annotate, VIDEOS, paths)
    check_model(model, overrides)
    failed = fail_if_all_missing(paths, json_, reporter)
    failed = failed or classify_files(paths, model, overrides, top, annotate, json_, reporter)
    if failed:
        raise typer.Exit(failed)


def demo(
    overrides: Overrides = None,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where to work.")] = Path(),
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
