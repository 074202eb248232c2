"""What the commands share: options, file names among the words, errors, interrupts."""

from __future__ import annotations

import io
import json
import logging
import shlex
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from action_gru.cli.help import overview
from action_gru.core.errors import ActionGruError, ConfigError, LostProcessError, RunInterrupted
from action_gru.core.machine import process_count, process_rank, program, refuse_several
from action_gru.core.paths import is_override
from action_gru.core.progress import LOGGER, is_json, log, log_as_json
from action_gru.core.text import harmless

if TYPE_CHECKING:
    from action_gru.core.progress import Reporter

INTERRUPTED = 130
SYSTEM_ERROR = 1
USAGE_ERROR = 2
LOG_JSON = "--log-json"
GRACE_S = 5.0
IN_SEVERAL_PROCESSES = ("train", "resume", "--help", "-h")
KEEPS_FEATURES = ("cv", "compare-cells")  # they read from the cache again, and train anew
ENDLESS = ("watch", "webcam", "web", "studio", "serve")  # what they missed cannot be read again
MOST_WORDS = 8  # of a path without quotes

RunPath = Annotated[
    str | None, Argument(metavar="RUN", help="The same as --model, as a first word.")
]
Overrides = Annotated[
    list[str] | None, Argument(metavar="a.b=value", help="Values laid over the config.")
]
Model = Annotated[
    str | None,
    Option(
        "--model", "-m", metavar="MODEL",
        help="A run, a file, one of `models`; else the newest run.",
    ),
]  # fmt: skip
OutFolder = Annotated[Path | None, Option("--out", "-o", metavar="DIR", help="Where to write.")]
Seeds = Annotated[int, Option(min=1, help="Repeat with so many seeds.")]
PerPerson = Annotated[
    bool, Option("--per-person", help="Follow each person, and tell what each one does.")
]
Follow = Annotated[
    str | None,
    Option("--follow", metavar="WHO", help="One person alone: largest, centre, first, a number."),
]
Json = Annotated[bool, Option("--json", help="Print the answer as one JSON line.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress on stderr.")]


def make_reporter(quiet: bool) -> Reporter:
    """Of several processes only the first one writes."""
    from action_gru.core.progress import Reporter

    return Reporter(quiet=quiet or process_rank() > 0, mute=process_rank() > 0)


def changes_of(overrides: list[str] | None, follow: str | None) -> list[str]:
    """The overrides, with what --follow says, which comes last."""
    return [*(overrides or []), *([f"people.follow={follow}"] if follow else [])]


def print_answer(document: dict[str, Any], text: str, as_json: bool) -> None:
    """The one answer of a command; labels in it steer no terminal."""
    print(json.dumps(document) if as_json else harmless(text))


def find_model(
    name: str | None, reporter: Reporter, finished: bool = True, of_video: bool | None = None
) -> Path:
    """The model that -m names, or the newest run of this place, which is told.

    of_video: which kind of run a command needs.
    """
    from action_gru.training import runs

    path = runs.find_model(name, finished, of_video)
    if name is None:
        reporter.info(f"using {runs.about_run(path)}")
    return path


def find_run(
    run: str | None, model: str | None, overrides: list[str] | None, reporter: Reporter, *,
    finished: bool = True,
) -> tuple[Path, list[str]]:  # fmt: skip
    """The run that a first word or -m names, and the overrides, one of which may be that word."""
    changes = list(overrides or [])
    if run is not None and is_override(run):
        changes, run = [run, *changes], None
    if run is not None and model is not None:
        raise ConfigError(f"two runs are named, {run} and --model {model}; leave one out")
    return find_model(run or model, reporter, finished), changes


def run(app: typer.Typer, arguments: list[str]) -> None:
    """Run a command line; an error of the package is one clear message and its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold bytes that are not text
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(prepared(arguments), standalone_mode=False)
    except ActionGruError as error:
        if isinstance(error, LostProcessError) and _is_follower():
            _wait_for_others()
            raise SystemExit(error.exit_code) from None
        _fail(str(error), error.exit_code, type(error).__name__)
    except Stopped as stopped:
        _end_interrupted(arguments, stopped.__cause__)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # `action-gru ... | head` closed our stdout
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:  # a path that cannot be used and that no other handler named
        where = error.filename or "the system says"
        _fail(f"{where}: {error.strerror or error}", SYSTEM_ERROR, type(error).__name__)
    except Exception as error:
        _end_unexpected(error)
    if code == INTERRUPTED:  # a command's own, or typer's, which makes it of an interrupt
        _end_interrupted([], None)
    raise SystemExit(code or 0)


def prepared(arguments: list[str]) -> list[str]:
    """The words for typer. What follows a bare `--` stays as it is.

    --log-json may be anywhere. `-3abc.mp4`, which `*.mp4` may bring along, becomes
    `./-3abc.mp4` if such a file exists.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if LOG_JSON in arguments[:end]:
        log_as_json()
    words = [
        f"./{text}" if text.startswith("-") and Path(text).suffix and _exists(text) else text
        for text in arguments[:end]
        if text != LOG_JSON
    ] + arguments[end:]
    refuse_unquoted(words)
    if words and words[0] not in IN_SEVERAL_PROCESSES:
        refuse_several(words[0])
    return words


def names_and_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """The words apart; a file named like an override, `a.b=c.mp4`, is a name."""
    overrides = [text for text in words if is_override(text)]
    return [text for text in words if text not in overrides], overrides


def refuse_unquoted(arguments: list[str]) -> None:
    """Raise ConfigError if words joined by spaces name a path, and the first word does not."""
    for first, text in enumerate(arguments[1:], start=1):
        start = text.partition("=")[2] or text  # data.manifest=my clips/manifest.csv
        if text.startswith("-") or _exists(start):
            continue
        for last in range(first + 2, min(first + MOST_WORDS, len(arguments)) + 1):
            whole = " ".join([start, *arguments[first + 1 : last]])
            if _exists(whole):
                raise ConfigError(
                    f"'{whole}' is one path, and its spaces divided it into {last - first} words; "
                    "write it in quotes"
                )


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or no text
        return False


class Stopped(BaseException):
    """ctrl-C in a command. Typer turns a KeyboardInterrupt into an exit code, without its cause."""


class Commands(TyperGroup):
    """Commands that raise `Stopped` for an interrupt, and whose help fits a small terminal."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A path where a command should stand is told as what it is."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if hasattr(error, "message") and args and _exists(args[0]):
                error.message += f" To learn from it: train {shlex.quote(args[0])}"
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(overview(self, ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Stopped from stop


def command_again(arguments: list[str], stop: BaseException | None) -> str | None:
    """The command that continues: `resume` for a run that has begun, else the same; or None."""
    command = _command(arguments)
    if command is None or command in ENDLESS:
        return None
    if isinstance(stop, RunInterrupted) and command != "resume":
        arguments = ["resume", str(stop.run)]
    return shlex.join([*program(), *arguments])


def _command(arguments: list[str]) -> str | None:
    return next((text for text in arguments if not text.startswith("-")), None)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first ctrl-C unwinds and cleans up; a second one ends the process at once."""
    for one in (signal.SIGINT, number):
        signal.signal(one, signal.SIG_DFL)
    raise KeyboardInterrupt


def _end_interrupted(arguments: list[str], stop: BaseException | None) -> NoReturn:
    if _is_follower():  # the launcher ends it because another failed, which reports why
        raise SystemExit(INTERRUPTED)
    kept = "what was finished is kept"
    if (command := _command(arguments)) in KEEPS_FEATURES:
        kept = "features that were read are kept, what was trained is not"
    elif command == "tune":
        kept = "nothing of it is kept"
    text, again = f"interrupted; {kept}", command_again(arguments, stop)
    if again is None:
        _fail(text, INTERRUPTED, "KeyboardInterrupt")
    how = "go on with" if isinstance(stop, RunInterrupted) else "run the same command again"
    several = ", under the same launcher" if process_count() > 1 else ""
    text += f"; {how}{several}:\n  {again}"
    _fail(text, INTERRUPTED, "KeyboardInterrupt", again=again)


def _end_unexpected(error: Exception) -> NoReturn:
    """End with a usage error's message, or with the traceback of an unexpected error."""
    if hasattr(error, "format_message"):  # typer's, of a command line that is wrong
        if type(error).__name__ == "NoSuchOption":
            error.message += "; a file of such a name is written ./-NAME"  # type: ignore[attr-defined]
        if is_json():
            _fail(error.format_message(), USAGE_ERROR, "UsageError")
        error.show()  # type: ignore[attr-defined]
        raise SystemExit(USAGE_ERROR) from None
    if not is_json():
        raise error
    fields = {"error": type(error).__name__, "exit_code": SYSTEM_ERROR}
    LOGGER.critical("unexpected: %s", error, exc_info=True, extra={"fields": fields})
    raise SystemExit(SYSTEM_ERROR) from None


def _is_follower() -> bool:
    """Whether this is one of several processes but not the first, which reports for all."""
    with suppress(ConfigError):  # the launcher's variables may be wrong
        return process_rank() > 0
    return False


def _wait_for_others() -> None:
    """Let the process that failed write first: a launcher ends all as soon as one has ended."""
    try:
        time.sleep(GRACE_S)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _fail(message: str, code: int, kind: str, **fields: Any) -> NoReturn:
    whose = ""
    if _is_follower():  # the first may have failed the same way
        _wait_for_others()
        whose = f" (process {process_rank()} of {process_count()})"
    if is_json():
        log(logging.ERROR, message + whose, error=kind, exit_code=code, **fields)
    else:
        print(harmless(f"error{whose}: {message}"), file=sys.stderr)
    raise SystemExit(code)
