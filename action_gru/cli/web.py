"""action-gru web: the page in the browser."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from action_gru.cli.common import Model, Overrides, Quiet, make_reporter


def web(
    model: Model,
    overrides: Overrides = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 7860,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Of one file.")] = 200,
    max_duration_s: Annotated[float, typer.Option(min=1, help="Of one video, seconds.")] = 600.0,
    videos: Annotated[int, typer.Option(min=1, help="Read at the same time.")] = 2,
    cameras: Annotated[int, typer.Option(min=1, help="Followed at the same time.")] = 4,
    quiet: Quiet = False,
) -> None:
    """Serve a page: upload a video or stream a camera. Prints its address; ctrl-C ends it."""
    from action_gru.apps.checks import check_model, need
    from action_gru.apps.web import Limits, free_port

    limits = Limits(max_upload_mb, max_duration_s, videos, cameras)
    need("gradio", "web", "the web page")
    check_model(model, overrides or [], live=True)
    port, reporter = free_port(host, port), make_reporter(quiet)
    with ExitStack() as starting:
        starting.enter_context(reporter.doing("starting the page"))

        def ready(address: str) -> None:
            starting.close()
            print(address, flush=True)
            reporter.say("press ctrl-C to end")

        from action_gru.apps.web import serve

        serve(model, overrides or [], host, port, limits, ready)
