"""The command that follows live sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from typer import Option

from action_gru.cli.common import (
    Follow,
    Json,
    Model,
    Overrides,
    PerPerson,
    Quiet,
    changes_of,
    find_model,
    make_reporter,
)
from action_gru.core.text import counted


def webcam(
    model: Model = None,
    overrides: Overrides = None,
    source: Annotated[
        list[str] | None,
        Option("--source", "-s", metavar="SOURCE", help="A camera (0), file, rtsp:// or http://; "
               "repeat."),
    ] = None,
    window: Annotated[bool, Option("--window/--no-window", help="Show a window.")] = True,
    record: Annotated[Path | None, Option(metavar="OUT.mp4", help="Record what is shown.")] = None,
    loop: Annotated[bool, Option("--loop", help="Start a file over at its end.")] = False,
    pace: Annotated[
        bool,
        Option("--pace/--no-pace", help="Play a file at its own speed."),
    ] = True,
    max_retries: Annotated[
        int | None, Option(min=0, help="Give up a lost source after so many tries.")
    ] = None,
    per_person: PerPerson = False,
    follow: Follow = None,
    to: Annotated[
        list[str] | None,
        Option("--to", metavar="TARGET", help="Send events to mqtt://HOST/TOPIC, https://..., "
               "a .jsonl, a .csv, FOLDER/ (clips), sound or a .yaml; repeat."),
    ] = None,
    metrics: Annotated[
        int | None,
        Option(min=0, max=65535, metavar="PORT", help="Serve counts at localhost:PORT/metrics."),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Follow cameras or streams live. Keys: q quits, space pauses, r records."""
    from action_gru.apps import checks
    from action_gru.apps.sinks.targets import check_sinks, sinks_of

    sources, changes = source or ["0"], changes_of(overrides, follow)
    reporter, per_person = make_reporter(quiet), per_person or follow is not None
    checks.check_sources(sources)
    if record is not None:
        checks.check_target("--record", record, checks.VIDEOS, [Path(name) for name in sources])
    run = find_model(model, reporter, of_video=True)
    document, tree = checks.check_model(run, changes, live=True)
    checks.check_detection(tree, per_person)
    sinks = (*tree.events.sinks, *(sink for target in to or [] for sink in sinks_of(target)))
    check_sinks(sinks, document.classes, per_person)
    if window:
        checks.check_display()
    if metrics is not None:
        checks.need("prometheus_client", "serve", "--metrics")
    with reporter.doing("loading"):
        from action_gru.apps.webcam import WebcamOptions, run_webcam

    options = WebcamOptions(
        window, json_, record, pace, loop, max_retries, per_person, sinks, metrics
    )
    summary = run_webcam(sources, run, changes, options, reporter)
    if json_:
        print(json.dumps({"summary": summary}))
    nouns = {"predictions": "prediction", "dropped": "sample", "reconnects": "reconnect"}
    nouns["restarts"] = "restart"
    words = {key: counted(int(summary[key]), noun) for key, noun in nouns.items()}
    reporter.info(
        "{predictions}, {per_second} a second; latency {latency_p50_ms} ms, 95% within "
        "{latency_p95_ms} ms; {dropped} dropped, {reconnects}, {restarts}; {beside_backbone_ms} ms "
        "a prediction beside the backbone".format(**summary | words)
    )
    if sinks:
        sent = counted(int(summary["messages_sent"]), "message")
        reporter.info(
            "{0} sent, {messages_waiting} waiting, {messages_dropped} dropped".format(
                sent, **summary
            )
        )
