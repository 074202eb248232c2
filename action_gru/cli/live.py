"""The commands for long videos and live sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from action_gru.cli.common import INTERRUPTED, Json, Model, Overrides, Quiet, make_reporter
from action_gru.errors import ConfigError

PerPerson = Annotated[
    bool, typer.Option("--per-person", help="Follow each person, and tell what each one does.")
]


def timeline(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A file of any length.")],
    model: Model,
    overrides: Overrides = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", "-o", metavar="FILE",
            help="Write it as .json, .csv, .vtt, .srt, .eaf (ELAN) or .png; repeat for several.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="What truly happens (start_s,end_s,label): adds scores."),
    ] = None,
    per_person: PerPerson = False,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="OUT.mp4", help="With --per-person: a video with everyone marked."),
    ] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Tell it in sentences; --out takes .txt, too.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Say what happens when in a long video. ctrl-C keeps what was read."""
    from action_gru.apps.timeline import make_timeline

    reporter = make_reporter(quiet)
    if per_person:
        if reference is not None:
            raise ConfigError(
                "--reference tells of one action at a time; with --per-person there are several: "
                "leave one of the two out"
            )
        from action_gru.apps.people_timeline import make_people_timeline

        targets, changes = out or [], overrides or []
        if not make_people_timeline(
            video, model, changes, targets, annotate, json_, reporter, describe
        ):
            raise typer.Exit(INTERRUPTED)
        return
    if annotate is not None:
        raise ConfigError("--annotate needs --per-person; for one clip use classify --annotate")
    targets, changes = out or [], overrides or []
    if not make_timeline(video, model, changes, targets, reference, json_, reporter, describe):
        raise typer.Exit(INTERRUPTED)


def webcam(
    model: Model,
    overrides: Overrides = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", "-s", metavar="SOURCE",
            help="A camera (0), a file, rtsp:// or http://; repeat for several. Default: 0.",
        ),
    ] = None,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show a window.")] = True,
    record: Annotated[
        Path | None, typer.Option(metavar="OUT.mp4", help="Record what is shown.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start a file over at its end.")] = False,
    pace: Annotated[
        bool,
        typer.Option(
            "--pace/--no-pace", help="Play a file like a camera, or as fast as it can be read."
        ),
    ] = True,
    max_retries: Annotated[
        int | None, typer.Option(min=0, help="Give up a lost source after so many tries.")
    ] = None,
    per_person: PerPerson = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Watch cameras or streams live. Keys: q quits, space pauses, r records."""
    import json

    from action_gru.apps.webcam import WebcamOptions, run_webcam

    reporter = make_reporter(quiet)
    options = WebcamOptions(window, json_, record, pace, loop, max_retries, per_person)
    summary = run_webcam(source or ["0"], model, overrides or [], options, reporter)
    if json_:
        print(json.dumps({"summary": summary}))
    reporter.say(
        "{predictions} predictions, {per_second} a second; latency {latency_p50_ms} ms, 95% within "
        "{latency_p95_ms} ms; {dropped} samples dropped, {reconnects} reconnects, {restarts} "
        "restarts; {beside_backbone_ms} ms a prediction beside the backbone".format(**summary)
    )
