"""The command line as one app, and the commands that need no model: config, prepare, demo.

Heavy packages are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from action_gru.cli import features, inference, live, plan, runs, training
from action_gru.cli.common import Commands, Json, Overrides, Quiet, make_reporter, print_answer
from action_gru.cli.help import Command
from action_gru.cli.serve import serve
from action_gru.cli.source import Clips
from action_gru.cli.studio import studio
from action_gru.core.errors import ConfigError
from action_gru.core.progress import log_as_json

if TYPE_CHECKING:
    from action_gru.prepare import PreparedAnnotations, PreparedDataset

app = typer.Typer(
    cls=Commands,
    help="Action recognition from video: frozen YOLO features, cached once, read by a GRU.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
FIRST_STEPS = """\
action-gru studio            teach your own actions, in the browser
action-gru train CLIPS       learn from a folder of clips: CLIPS/CLASS/*.mp4
action-gru classify VIDEO    name the action in a video, by the newest run
action-gru --help            every command; COMMAND --help shows an example"""


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"action-gru {version('action_gru')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
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
    if context.invoked_subcommand is None:
        print(FIRST_STEPS)


def config(
    source: Annotated[
        Path | None, Argument(metavar="SOURCE", help="A config, a folder of clips or a CSV.")
    ] = None,
    overrides: Overrides = None,
    schema: Annotated[
        Path | None, Option(metavar="FILE", help="Write the JSON Schema for editors.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print every key of a config as it will be used."""
    from action_gru.apps.checks import check_target
    from action_gru.config import json_schema, to_yaml

    if source is None and schema is None:
        raise ConfigError("name a config, a folder of clips or a CSV, or --schema FILE")
    if schema is not None:
        check_target("--schema", schema, (".json",), [source] if source else [])
        schema.write_text(json_schema(), encoding="utf-8")
    if source is not None:
        tree = Clips(source, overrides).find().config
        print_answer(tree.to_tree(), to_yaml(tree).rstrip(), json_)


def prepare(
    dataset: Annotated[
        str,
        Argument(
            help="annotations, folder, ucf101, hmdb51, kth, fights, kinetics, something, jester, "
            "ava, charades, falls, gesture_phases, cmapss."
        ),
    ],
    source: Annotated[
        list[Path], Argument(help="The data set's folder, unpacked; of annotations their files.")
    ],
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
    follow_links: Annotated[
        bool, Option("--follow-links", help="Read through links in the folder.")
    ] = False,
    videos: Annotated[
        Path | None, Option(metavar="DIR", help="Of annotations: the folder of the videos.")
    ] = None,
    form: Annotated[
        str | None,
        Option("--format", metavar="NAME", help="Of annotations: their form, if it isn't found."),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        Option("--map", metavar="OLD=NEW", help="Of annotations: write a label as another, or "
               "leave it out (OLD=); repeat for several."),
    ] = None,
    complete: Annotated[
        bool,
        Option("--complete", help="Of annotations: where no label is, nothing happens."),
    ] = False,
    frame_rate: Annotated[
        float | None,
        Option(min=0.001, help="Of annotations: pictures a second of folders of frames."),
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a manifest.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write the manifest of a public data set, of annotations or a folder."""
    from action_gru.apps.checks import check_target
    from action_gru.prepare import Options, prepare_annotations
    from action_gru.prepare import prepare as write_manifest

    reporter = make_reporter(quiet)
    if out is not None:
        check_target("--out", out, (".csv",), source)
    made: PreparedDataset | PreparedAnnotations
    if dataset == "annotations":
        if videos is None:
            raise ConfigError("annotations need --videos DIR, the folder of the videos")
        names = _label_names(renamed or [])
        made = prepare_annotations(
            source,
            videos,
            out,
            form=form,
            renamed=names,
            complete=complete,
            frame_rate=frame_rate,
            follow_links=follow_links,
            overwrite=overwrite,
        )
    else:
        _refuse_for(dataset, source, videos, form, renamed, complete, frame_rate)
        choices = Options(split, subset, splits, follow_links)
        made = write_manifest(dataset, source[0], out, choices, overwrite=overwrite)
    for warning in made.warnings():
        reporter.warn(warning)
    for sentence in made.sentences():
        reporter.info(sentence)
    print_answer(made.document(), str(made.manifest), json_)


def _label_names(words: list[str]) -> dict[str, str]:
    """['walking=walk', 'noise='] -> {'walking': 'walk', 'noise': ''}. Raises ConfigError."""
    for word in words:
        if not word.partition("=")[0].strip() or "=" not in word:
            raise ConfigError(f"--map {word}: write OLD=NEW, or OLD= to leave a label out")
    return {old.strip(): new.strip() for old, _, new in (word.partition("=") for word in words)}


def _refuse_for(dataset: str, source: list[Path], *given: object) -> None:
    """Raise ConfigError for what only annotations take."""
    if any(given):
        raise ConfigError(
            f"--videos, --format, --map, --complete and --frame-rate are not for {dataset}"
        )
    if len(source) > 1:
        raise ConfigError(f"{dataset} is one folder, got {len(source)} paths; pass one")


def demo(
    overrides: Overrides = None,
    folder: Annotated[Path, Option(metavar="DIR", help="Where to work.")] = Path(),
    quiet: Quiet = False,
) -> None:
    """Draw clips, learn from them, name a new one. Needs no network."""
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


# In the order of --help: panel -> command and an example.
PANELS: dict[str, dict[Callable[..., None], str]] = {
    "Start": {
        studio: "studio my-actions",
        training.train: "train clips --epochs 20",
        inference.classify: "classify new.mp4",
        demo: "demo",
        inference.models: "models fights",
    },
    "Understand": {
        features.check: "check clips --out check.html",
        training.evaluate: "evaluate --manifest other.csv --root other",
        inference.explain: "explain new.mp4 --out why.png",
    },
    "Deploy": {
        inference.timeline: "timeline match.mp4 --out match.vtt",
        live.webcam: "webcam --source 0",
        serve: "serve -m clips --port 8000",
        inference.watch: "watch - --model engines < rows.csv",
        inference.export: "export --format openvino",
    },
    "Advanced": {
        prepare: "prepare ucf101 UCF-101",
        config: "config clips training.epochs=20",
        features.extract: "extract clips",
        training.resume: "resume runs/clips",
        training.tune: "tune clips --layers 2",
        training.cv: "cv clips --folds 5",
        training.compare_cells: "compare-cells clips",
        inference.web: "web --port 7860",
        plan.plan: "plan clips --clips 100000 --seconds 10",
    },
}
for panel, commands in PANELS.items():
    for command, example in commands.items():
        epilog = f"Example: action-gru {example}"
        app.command(cls=Command, rich_help_panel=panel, epilog=epilog)(command)
app.add_typer(runs.runs_app, name="runs", rich_help_panel="Start")
app.add_typer(features.cache_app, name="cache", rich_help_panel="Advanced")
