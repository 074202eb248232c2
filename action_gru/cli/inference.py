"""The commands that use a trained model: on clips, long videos, live sources, rows, a page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from action_gru.cli.common import (
    INTERRUPTED,
    Follow,
    Json,
    Model,
    Overrides,
    PerPerson,
    Quiet,
    changes_of,
    find_model,
    make_reporter,
    names_and_overrides,
    print_answer,
)
from action_gru.core.errors import ConfigError
from action_gru.core.text import counted


def classify(
    videos: Annotated[
        list[str], Argument(metavar="VIDEO", help="Files, folders, globs; a.b=value.")
    ],
    model: Model = None,
    top: Annotated[int, Option(min=1, help="How many labels to print.")] = 3,
    annotate: Annotated[
        Path | None, Option(metavar="OUT.mp4", help="Write the video with an overlay.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Name the action in each video. Exit code 4 if one cannot be read."""
    from action_gru.apps.checks import VIDEOS, check_model, check_target
    from action_gru.apps.classify import classify_files, fail_if_all_missing, find_videos

    names, overrides = names_and_overrides(videos)
    paths, reporter = find_videos(names), make_reporter(quiet)
    if annotate is not None and len(paths) > 1:
        raise ConfigError(f"--annotate writes one video, and {len(paths)} were given")
    if annotate is not None:
        check_target("--annotate", annotate, VIDEOS, paths)
    run = find_model(model, reporter, of_video=True)
    check_model(run, overrides)
    failed = fail_if_all_missing(paths, json_, reporter)
    failed = failed or classify_files(paths, run, overrides, top, annotate, json_, reporter)
    if failed:
        raise typer.Exit(failed)


def models(
    name: Annotated[str | None, Argument(metavar="NAME", help="Its whole card.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the models that come along: data, score, limits."""
    from action_gru.apps.models import describe_models, models_text, read_card

    found = describe_models(name)
    text = models_text(found) if name is None else read_card(Path(found[0]["card"]))[1].strip()
    print_answer({"models": found}, text, json_)


def explain(
    video: Annotated[Path, Argument(metavar="VIDEO", help="A clip.")],
    model: Model = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="DIR|PNG", help="A picture, or a folder for it and the "
               "values as JSON."),
    ] = None,
    label: Annotated[
        str | None, Option(metavar="CLASS", help="Explain this class, not the answer.")
    ] = None,
    frames: Annotated[int, Option(min=0, max=6, help="Look for places in so many frames.")] = 3,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Show why: the moments and places that decided. Gates and memory, too."""
    from action_gru.apps.checks import check_model, check_picture_or_folder, check_video
    from action_gru.training.document import check_label

    check_video(video)
    if out is not None:
        check_picture_or_folder("--out", out, [video])
    reporter = make_reporter(quiet)
    run = find_model(model, reporter, of_video=True)
    check_label(label, check_model(run, overrides or [])[0].classes)
    with reporter.doing("loading"):
        from action_gru.evaluation.explanation import describe
        from action_gru.evaluation.explanation_plot import plot_explanation
        from action_gru.recognizer import ActionRecognizer
        from action_gru.report.documents import json_text, replace_file
        from action_gru.report.plots import save_figure
    with reporter.doing("explaining"):
        recognizer = ActionRecognizer.load(run, overrides=overrides or [])
        explanation = recognizer.explain(video, label, frames)
        values = explanation.to_json()
        for warning in explanation.warnings:
            reporter.warn(f"{video}: {warning}")
        if out is not None:
            is_picture = bool(out.suffix) and not out.is_dir()
            picture = out if is_picture else out / "explanation.png"
            save_figure(plot_explanation(explanation), picture)
            reporter.info(f"wrote {picture}")
            if not is_picture:
                written = out / "explanation.json"
                replace_file(written, json_text(values).encode())
                reporter.info(f"wrote {written}")
        print_answer(values, f"{video}: {describe(explanation)}", json_)


def timeline(
    video: Annotated[
        Path, Argument(metavar="VIDEO", help="A file or folder of frames, of any length.")
    ],
    model: Model = None,
    overrides: Overrides = None,
    out: Annotated[
        list[Path] | None,
        Option("--out", "-o", metavar="FILE", help="Write it as .json, .csv, .vtt, .srt, .eaf "
               "(ELAN) or .png; repeat for several."),
    ] = None,
    reference: Annotated[
        Path | None,
        Option(metavar="FILE", help="What truly happens, from any annotation tool that `prepare "
               "annotations` reads, or a CSV start_s,end_s,label: adds scores."),
    ] = None,
    per_person: PerPerson = False,
    follow: Follow = None,
    annotate: Annotated[
        Path | None,
        Option(metavar="OUT.mp4", help="With --per-person: a video with everyone marked."),
    ] = None,
    describe: Annotated[
        bool, Option("--describe", help="Tell it in sentences; --out takes .txt, too. "
               "describe.detect=false: without a detector.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Say what happens when in a long video. ctrl-C keeps what was read."""
    from action_gru.apps import checks
    from action_gru.dataset import check_labels
    from action_gru.dataset.cells import frame_clock
    from action_gru.timeline import read_segments

    per_person = per_person or follow is not None
    if per_person and reference is not None:
        raise ConfigError(
            "--reference has one action at a time; with --per-person there are several: "
            "leave one of the two out"
        )
    if annotate is not None and not per_person:
        raise ConfigError("--annotate needs --per-person; for one clip use classify --annotate")
    targets, changes, reporter = out or [], changes_of(overrides, follow), make_reporter(quiet)
    checks.check_video(video)
    kept = [video, *([reference] if reference else [])]
    checks.check_timeline_targets(targets, kept, describe)
    if annotate is not None:
        checks.check_target("--annotate", annotate, checks.VIDEOS, [*kept, *targets])
    run = find_model(model, reporter, of_video=True)
    document, tree = checks.check_model(run, changes, live=True)
    segments = None
    if reference is not None:
        clock, many = frame_clock(video, tree.data.frame_rate), tree.data.labels == "many"
        segments = read_segments(reference, video, clock, overlaps=many)
        check_labels(segments, str(reference), document.classes)
    checks.check_detection(tree, per_person, describe)
    with reporter.doing("loading"):
        from action_gru.apps.timeline import make_timeline
    with reporter.doing("reading the video"):
        is_whole = make_timeline(
            video,
            run,
            changes,
            targets,
            reporter,
            reference=segments,
            per_person=per_person,
            annotated=annotate,
            as_json=json_,
            in_words=describe,
        )
    if not is_whole:
        raise typer.Exit(INTERRUPTED)


def watch(
    source: Annotated[str, Argument(metavar="FILE|-", help="A long CSV, or - for stdin.")],
    model: Model = None,
    overrides: Overrides = None,
    alarm: Annotated[
        str | None, Option(metavar="CLASS", help="What to warn of; default: soon.")
    ] = None,
    threshold: Annotated[
        float | None,
        Option(min=0.001, max=0.999, help="Warn from this score; default: as trained."),
    ] = None,
    max_ids: Annotated[
        int, Option(min=1, help="Ids kept at once; the least recently seen goes first.")
    ] = 10_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read rows of sensors as they arrive, and warn."""
    from action_gru.apps.checks import check_rows_model

    reporter = make_reporter(quiet)
    run = find_model(model, reporter, of_video=False)
    check_rows_model(run, overrides or [], source, alarm)
    with reporter.doing("loading the model"):
        from action_gru.series.watch import watch

    done = watch(source, run, overrides or [], reporter, alarm, threshold, max_ids, json_)
    reporter.info(
        f"{counted(done.rows, 'row')} of {counted(done.ids, 'id')}, {done.bad_rows} left out, "
        f"{counted(done.missing_values, 'value')} missing; {counted(done.raised, 'warning')} "
        f"raised, {done.cleared} cleared"
    )
    if done.interrupted:
        raise typer.Exit(INTERRUPTED)


def web(
    model: Model = None,
    overrides: Overrides = None,
    host: Annotated[str, Option(help="Where to listen; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0: any free port.")] = 7860,
    name: Annotated[
        list[str] | None,
        Option(metavar="HOST", help="By which a proxy passes the page on; repeat."),
    ] = None,
    max_upload_mb: Annotated[int, Option(min=1, help="Of one file.")] = 200,
    max_duration_s: Annotated[float, Option(min=1, help="Of one video, seconds.")] = 600.0,
    videos: Annotated[int, Option(min=1, help="Read at the same time.")] = 2,
    cameras: Annotated[int, Option(min=1, help="Followed at the same time.")] = 4,
    quiet: Quiet = False,
) -> None:
    """Serve a page to try a model: upload or camera. Prints its address; ctrl-C ends it."""
    from action_gru.apps.checks import check_model, need

    for package in ("fastapi", "uvicorn", "websockets"):
        need(package, "web", "the web page")
    reporter = make_reporter(quiet)
    run = find_model(model, reporter, of_video=True)
    classes = check_model(run, overrides or [], live=True)[0].classes
    with ExitStack() as starting:
        starting.enter_context(reporter.doing("loading"))

        def ready(address: str) -> None:
            starting.close()
            print(address, flush=True)
            reporter.info("press ctrl-C to end")

        from action_gru.apps.web.server import Limits, Shown, serve

        limits = Limits(max_upload_mb, max_duration_s, videos, cameras)
        shown = Shown(run.resolve(), tuple(classes))
        serve(shown, overrides or [], host, port, limits, name or [], ready)
    reporter.info("closed")


def export(
    model: Model = None,
    overrides: Overrides = None,
    format_: Annotated[
        Literal["onnx", "openvino", "ncnn", "coreml", "tflite"],
        Option(
            "--format",
            metavar="NAME",
            show_default=False,
            help="onnx; openvino, ncnn, coreml, tflite.",
        ),
    ] = "onnx",
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="DIR", help="Where to; by default RUN/export."),
    ] = None,
    int8: Annotated[bool, Option("--int8", help="In int8; for openvino.")] = False,
    max_loss: Annotated[float, Option(min=0, metavar="POINTS", help="What int8 may lose.")] = 2.0,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the networks for other runtimes and phones. The last line is the folder."""
    from action_gru.apps.checks import check_export, check_folder

    reporter = make_reporter(quiet)
    run = find_model(model, reporter)
    check_export(run, overrides or [], format_, int8)
    if out is not None:
        check_folder(f"--out {out}", out)
    with reporter.doing("loading"):
        from action_gru.apps.export import export_run
    with reporter.doing("exporting"):
        most_loss = max_loss if int8 else None
        folder, names = export_run(run, format_, out, overrides or [], reporter, most_loss)
    reporter.info("wrote " + ", ".join(names))
    print_answer({"folder": str(folder), "files": names}, str(folder), json_)
