"""The command that serves models to other programs."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from typer import Option

from action_gru.apps.serving import is_loopback
from action_gru.cli.common import Overrides, Quiet, find_model, make_reporter
from action_gru.core.errors import ConfigError

KEY = "ACTION_GRU_KEY"
SHORTEST_KEY = 8


def serve(
    model: Annotated[
        list[str] | None,
        Option("--model", "-m", metavar="MODEL", help="Repeat for several. Default: newest run."),
    ] = None,
    overrides: Overrides = None,
    host: Annotated[str, Option(help="Where to listen; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0: any free port.")] = 8000,
    key: Annotated[
        str | None, Option(help=f"What requests must bring; better as the variable {KEY}.")
    ] = None,
    key_file: Annotated[
        Path | None, Option(metavar="FILE", help="A key a line; each is good.")
    ] = None,
    no_key: Annotated[bool, Option("--no-key", help="Serve everybody who can connect.")] = False,
    allow_origin: Annotated[
        list[str] | None, Option(metavar="URL", help="Pages of this address may ask; repeat.")
    ] = None,
    queue: Annotated[int, Option(min=1, help="Clips at once; more get a 429.")] = 32,
    streams: Annotated[int, Option(min=1, help="Live streams at once.")] = 8,
    max_upload_mb: Annotated[int, Option(min=1, help="Of one video.")] = 200,
    stop_s: Annotated[float, Option(min=0, help="To finish in when stopped.")] = 20.0,
    quiet: Quiet = False,
) -> None:
    """Answer other programs: HTTP, web sockets, Prometheus."""
    from action_gru.apps.checks import check_model, need

    for package in ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client"):
        need(package, "serve", "the server")
    reporter = make_reporter(quiet)
    keys = find_keys(key, key_file, host, no_key)
    names: list[str | None] = [*model] if model else [None]
    runs = [find_model(name, reporter, of_video=True) for name in names]
    for run in runs:
        check_model(run, overrides or [])
    with ExitStack() as starting:
        starting.enter_context(reporter.doing("loading"))

        def ready(address: str) -> None:
            starting.close()
            print(address, flush=True)
            reporter.info("press ctrl-C to end")

        from action_gru.apps.serve.guard import Rules
        from action_gru.apps.serve.models import check_names
        from action_gru.apps.serve.server import serve as listen
        from action_gru.apps.serve.service import Limits

        check_names(runs)
        origins = tuple(one.rstrip("/") for one in allow_origin or [])
        rules = Rules(host, keys, origins, max_upload_mb * 1_000_000)
        listen(runs, overrides or [], port, rules, Limits(queue, streams, stop_s=stop_s), ready)
    reporter.info("closed")


def find_keys(key: str | None, file: Path | None, host: str, no_key: bool) -> tuple[str, ...]:
    """The keys that are good, from the option, the file or the variable. Raises ConfigError.

    None where the server is for this machine alone, or for everybody.
    """
    given = key if key is not None else os.environ.get(KEY)
    found = [] if given is None else [given]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--key-file {file}: cannot be read ({error})") from error
        found += [line.strip() for line in lines if line.strip()]
        if not found:
            raise ConfigError(f"--key-file {file}: holds no key; write one a line")
    if found and no_key:
        raise ConfigError(f"--no-key, and a key is given; leave one out (the variable is {KEY})")
    if any(len(one) < SHORTEST_KEY or not one.isprintable() or not one.isascii() for one in found):
        raise ConfigError(
            f"a key has at least {SHORTEST_KEY} characters of ASCII without spaces at its ends; "
            "make one with: openssl rand -hex 16"
        )
    if not found and not no_key and not is_loopback(host):
        raise ConfigError(
            f"--host {host} lets other machines in, and no key is set; set the variable {KEY}, "
            "give --key-file FILE, or --no-key to serve everybody who can connect"
        )
    return tuple(found)
