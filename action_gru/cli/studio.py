"""The command that opens the studio."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from action_gru.cli.common import Quiet, make_reporter

NEW_PROJECT = Path("my-actions")


def studio(
    folder: Annotated[
        Path | None,
        Argument(
            metavar="FOLDER",
            help="The project, made if it is not there; by default this folder if it is one, "
            "else my-actions.",
        ),
    ] = None,
    host: Annotated[str, Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int | None, Option(min=0, max=65535, help="0: any free port; by default 7861 if free.")
    ] = None,
    no_browser: Annotated[bool, Option("--no-browser", help="Print the address only.")] = False,
    quiet: Quiet = False,
) -> None:
    """Teach it your own actions, in the browser."""
    from action_gru.apps.checks import need
    from action_gru.apps.serving import usual_port
    from action_gru.prepare.project import is_project

    for package in ("fastapi", "uvicorn", "websockets"):
        need(package, "studio", "the studio")
    reporter = make_reporter(quiet)
    if folder is None:
        folder = Path() if is_project(Path()) else NEW_PROJECT
    with ExitStack() as starting:
        starting.enter_context(reporter.doing("opening"))

        def ready(address: str) -> None:
            starting.close()
            print(address, flush=True)
            reporter.info(f"the project is {folder.resolve()}; press ctrl-C to end")

        from action_gru.apps.studio.server import serve

        chosen = usual_port(host) if port is None else port
        serve(folder, host, chosen, not no_browser, ready)
    reporter.info("closed")
