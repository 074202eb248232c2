"""What the commands share: their options, how they answer, how they end."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from action_gru.cli.arguments import files_are_no_options, refuse_unquoted
from action_gru.cli.stopping import Stopped, command_again, sentence
from action_gru.core.errors import ActionGruError, ConfigError, LostProcessError
from action_gru.core.machine import process_count, process_rank, refuse_several
from action_gru.core.progress import LOGGER, is_json, log, log_as_json

if TYPE_CHECKING:
    from action_gru.core.progress import Reporter

INTERRUPTED = 130
SYSTEM_ERROR = 1
USAGE_ERROR = 2
LOG_JSON = "--log-json"
GRACE_S = 5.0
IN_SEVERAL_PROCESSES = ("train", "resume", "--help", "-h")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[a.b=value ...]", help="Values laid over the config.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON line.")]
Model = Annotated[Path, typer.Option("--model", "-m", metavar="RUN", help="A trained run.")]


def run(app: typer.Typer, arguments: list[str]) -> None:
    """Run a command line; an error of ours is one clear message and its exit code.

    --log-json may stand anywhere before a bare `--`.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold bytes that are no text
            stream.reconfigure(errors="backslashreplace")
    given = arguments
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if LOG_JSON in before:
        log_as_json()
        arguments = [text for text in before if text != LOG_JSON] + arguments[len(before) :]
    try:
        arguments = files_are_no_options(arguments)
        refuse_unquoted(arguments)
        if arguments and arguments[0] not in IN_SEVERAL_PROCESSES:
            refuse_several(arguments[0])
        code = app(arguments, standalone_mode=False)
    except LostProcessError as error:
        if _is_follower():
            _outlast()
            raise SystemExit(error.exit_code) from None
        _fail(str(error), error.exit_code, type(error).__name__)
    except ActionGruError as error:
        _fail(str(error), error.exit_code, type(error).__name__)
    except Stopped as stopped:
        _end_interrupted(given, stopped.__cause__)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # `action-gru ... | head` closed our stdout
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:  # a path that cannot be used and that no closer handler has named
        where = error.filename or "the system says"
        _fail(f"{where}: {error.strerror or error}", SYSTEM_ERROR, type(error).__name__)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line
            if type(error).__name__ == "NoSuchOption":
                error.message += "; a file of such a name is written ./-NAME"  # type: ignore[attr-defined]
            if is_json():
                _fail(error.format_message(), USAGE_ERROR, "UsageError")
            error.show()  # type: ignore[attr-defined]
            raise SystemExit(USAGE_ERROR) from None
        if is_json():
            fields = {"error": type(error).__name__, "exit_code": SYSTEM_ERROR}
            LOGGER.critical("unexpected: %s", error, exc_info=True, extra={"fields": fields})
            raise SystemExit(SYSTEM_ERROR) from None
        raise
    if code == INTERRUPTED:  # a command's own, or typer's, which makes it of an interrupt
        _end_interrupted([], None)
    raise SystemExit(code or 0)


def _end_interrupted(arguments: list[str], stop: BaseException | None) -> NoReturn:
    if _is_follower():  # the launcher ends it because of another, who says why
        raise SystemExit(INTERRUPTED)
    again = command_again(arguments, stop)
    fields = {} if again is None else {"again": again}
    _fail(sentence(again, stop), INTERRUPTED, "KeyboardInterrupt", **fields)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first ctrl-C unwinds and cleans up; a second one ends the process at once."""
    for one in (signal.SIGINT, number):
        signal.signal(one, signal.SIG_DFL)
    raise KeyboardInterrupt


def _is_follower() -> bool:
    """Whether it is one of several processes, and not the first, which speaks for all."""
    with suppress(ConfigError):  # the launcher's variables may be none
        return process_rank() > 0
    return False


def _outlast() -> None:
    """Let the process that failed speak first: a launcher ends all as soon as one has ended."""
    try:
        time.sleep(GRACE_S)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _fail(message: str, code: int, kind: str, **fields: Any) -> NoReturn:
    whose = ""
    if _is_follower():  # the first may have failed the same way
        _outlast()
        whose = f" (process {process_rank()} of {process_count()})"
    if is_json():
        log(logging.ERROR, message + whose, error=kind, exit_code=code, **fields)
    else:
        print(f"error{whose}: {message}", file=sys.stderr)
    raise SystemExit(code)


def make_reporter(quiet: bool) -> Reporter:
    """Of several processes only the first speaks."""
    from action_gru.core.progress import Reporter

    return Reporter(quiet=quiet or process_rank() > 0, mute=process_rank() > 0)


def print_answer(document: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(document) if as_json else text)
