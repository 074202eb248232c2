"""The commands for long videos, live sources, and rows as they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from action_gru.cli.common import INTERRUPTED, Json, Model, Overrides, Quiet, make_reporter
from action_gru.core.errors import ConfigError

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
    from action_gru.apps.checks import check_detection, check_model
    from action_gru.dataset import check_labels
    from action_gru.timeline import read_segments

    if per_person and reference is not None:
        raise ConfigError(
            "--reference tells of one action at a time; with --per-person there are several: "
            "leave one of the two out"
        )
    if annotate is not None and not per_person:
        raise ConfigError("--annotate needs --per-person; for one clip use classify --annotate")
    targets, changes, reporter = out or [], overrides or [], make_reporter(quiet)
    _check_files(video, targets, reference, annotate, describe)
    document, tree = check_model(model, changes, live=True)
    if reference is not None:
        check_labels(read_segments(reference), str(reference), document.classes)
    check_detection(tree, per_person, describe)
    with reporter.doing("loading"):
        from action_gru.apps.timeline import make_timeline
    with reporter.doing("reading the video"):
        is_whole = make_timeline(
            video,
            model,
            changes,
            targets,
            reporter,
            reference=reference,
            per_person=per_person,
            annotated=annotate,
            as_json=json_,
            in_words=describe,
        )
    if not is_whole:
        raise typer.Exit(INTERRUPTED)


def _check_files(
    video: Path,
    targets: list[Path],
    reference: Path | None,
    annotated: Path | None,
    in_words: bool,
) -> None:
    """Raise where the video cannot be read or a target not be written."""
    from action_gru.apps.checks import (
        VIDEOS,
        check_target,
        check_targets,
        check_video,
        timeline_endings,
    )

    check_video(video)
    read = [video, *([reference] if reference else [])]
    check_targets("--out", targets, timeline_endings(in_words), read)
    if annotated is not None:
        check_target("--annotate", annotated, VIDEOS, [*read, *targets])


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

    from action_gru.apps.checks import (
        VIDEOS,
        check_detection,
        check_display,
        check_model,
        check_sources,
        check_target,
    )

    sources, changes, reporter = source or ["0"], overrides or [], make_reporter(quiet)
    check_sources(sources)
    if record is not None:
        check_target("--record", record, VIDEOS, [Path(name) for name in sources])
    _, tree = check_model(model, changes, live=True)
    check_detection(tree, per_person)
    if window:
        check_display()
    with reporter.doing("loading"):
        from action_gru.apps.webcam import WebcamOptions, run_webcam

    options = WebcamOptions(window, json_, record, pace, loop, max_retries, per_person)
    summary = run_webcam(sources, model, changes, options, reporter)
    if json_:
        print(json.dumps({"summary": summary}))
    reporter.say(
        "{predictions} predictions, {per_second} a second; latency {latency_p50_ms} ms, 95% within "
        "{latency_p95_ms} ms; {dropped} samples dropped, {reconnects} reconnects, {restarts} "
        "restarts; {beside_backbone_ms} ms a prediction beside the backbone".format(**summary)
    )


def watch(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A long CSV, or - for stdin.")],
    model: Model,
    overrides: Overrides = None,
    alarm: Annotated[
        str | None, typer.Option(metavar="CLASS", help="What to warn of; default: soon.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Warn from this score; default: as trained."),
    ] = None,
    max_ids: Annotated[
        int, typer.Option(min=1, help="Ids kept at once; the least recently seen goes first.")
    ] = 10_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Read rows as they arrive and print a line when a warning is raised or cleared."""
    from action_gru.apps.checks import check_rows_model

    check_rows_model(model, overrides or [], source, alarm)
    reporter = make_reporter(quiet)
    with reporter.doing("loading the model"):
        from action_gru.series.recognizer import watch

    done = watch(source, model, overrides or [], reporter, alarm, threshold, max_ids, json_)
    reporter.say(
        f"{done.rows} rows of {done.ids} ids, {done.bad_rows} left out, {done.missing_values} "
        f"values missing; {done.raised} warnings raised, {done.cleared} cleared"
    )
