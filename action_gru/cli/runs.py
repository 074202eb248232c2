"""The command that looks after runs: runs, and runs show | rename | delete | compare | pack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from action_gru.cli.common import Json, Quiet, make_reporter, print_answer
from action_gru.cli.help import Command, Group
from action_gru.core.errors import ConfigError
from action_gru.core.text import name_some

if TYPE_CHECKING:
    from action_gru.training.comparison import RunComparison, Scored
    from action_gru.training.library import RunInfo

NAMED_CLASSES = 3  # of a run in the list
Name = Annotated[str, Argument(metavar="NAME", help="A run of ./runs, or a run's folder.")]
Folder = Annotated[Path, Option(metavar="DIR", help="The folder of the runs, or a project.")]

runs_app = typer.Typer(
    cls=Group,
    help="List trained runs; rename, delete, compare, pack.",
    invoke_without_command=True,
    epilog="Example: action-gru runs compare mine mine-2",
)


@runs_app.callback()
def list_all(
    context: typer.Context,
    folder: Folder = Path("runs"),
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """List trained runs; rename, delete, compare, pack."""
    if context.invoked_subcommand is not None:
        if folder != Path("runs") or json_ or quiet:
            raise ConfigError(
                f"options stand after '{context.invoked_subcommand}', and --folder is of the list "
                "alone: there name a run by its path"
            )
        return
    from action_gru.prepare.project import is_project
    from action_gru.training.library import list_runs

    folder = folder / "runs" if is_project(folder) else folder
    found, reporter = list_runs(folder), make_reporter(quiet)
    for run in found:
        if run.problem:
            reporter.warn(f"{run.name}: {run.problem}")
    empty = f"no runs in {folder.absolute()}; action-gru train CLIPS makes one"
    print_answer(
        {"folder": str(folder), "runs": [run.document() for run in found]},
        _table(found) if found else empty,
        json_,
    )


@runs_app.command(cls=Command)
def show(run: Name, json_: Json = False, quiet: Quiet = False) -> None:
    """What one run is: classes, clips, score, settings."""
    from action_gru.config import load_config, short_yaml
    from action_gru.training.library import describe_run, newest_report

    info = describe_run(_find(run))
    report = newest_report(info.path) if info.score is not None else None
    sentence = str((report or {}).get("sentence", ""))
    config = info.path / "config.yaml"
    settings = short_yaml(load_config(config), str(config)) if config.is_file() else ""
    if info.problem:
        make_reporter(quiet).warn(info.problem)
    facts = {
        "run": str(info.path),
        "state": f"{info.state}, {info.when:%Y-%m-%d %H:%M}",
        "classes": ", ".join(info.classes) or "-",
        "clips": "-" if info.clips is None else str(info.clips),
        "score": f"{_score(info)}  {sentence}".strip(),
        "size": _size(info),
    }
    lines = [f"{key:<9}{value}" for key, value in facts.items()]
    print_answer(
        info.document() | {"sentence": sentence or None}, "\n".join([*lines, "", settings]), json_
    )


@runs_app.command(cls=Command)
def rename(
    run: Name,
    name: Annotated[str, Argument(metavar="NEW", help="Letters of any script, digits, _ - and .")],
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give a run another name. The last line is its folder."""
    from action_gru.training.library import rename_run

    target = rename_run(_find(run), name)
    print_answer({"run": str(target)}, str(target), json_)


@runs_app.command(cls=Command)
def delete(
    runs: Annotated[list[str], Argument(metavar="NAME...", help="Runs of ./runs, or folders.")],
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete runs with their models and reports, for good."""
    from action_gru.training.library import delete_run, describe_run

    found = {info.path: info for info in (describe_run(_find(run)) for run in runs)}
    size = sum(info.size_bytes for info in found.values()) / 1e6
    names = name_some([str(path) for path in found])
    if not yes and not _agreed(f"delete {names} ({size:.1f} MB) for good?"):
        print_answer({"deleted": []}, "nothing was deleted", json_)
        raise typer.Exit(1)
    for path in found:
        delete_run(path)
    deleted = [str(path) for path in found]
    print_answer({"deleted": deleted}, f"deleted {names}", json_)


@runs_app.command(cls=Command)
def compare(
    a: Annotated[str, Argument(metavar="A", help="A run.")],
    b: Annotated[str, Argument(metavar="B", help="Another one.")],
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Two runs side by side: scores, classes, settings."""
    from action_gru.training.comparison import compare_runs

    found = compare_runs(_find(a), _find(b))
    print_answer(found.document(), _comparison(found), json_)


@runs_app.command(cls=Command)
def pack(
    run: Name,
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="FILE", help="By default NAME.safetensors, here."),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one file that works alone on another machine. The last line is the file."""
    from action_gru.apps.checks import check_target
    from action_gru.training.document import find_checkpoint
    from action_gru.training.library import pack_run

    path, reporter = _find(run), make_reporter(quiet)
    target = out or Path(f"{path.absolute().name}.safetensors")
    check_target("--out", target, (".safetensors",), [find_checkpoint(path)])
    with reporter.doing("packing"):
        pack_run(path, target)
    size = target.stat().st_size
    reporter.info(f"{size / 1e6:.1f} MB; try it: action-gru classify VIDEO -m {target}")
    print_answer({"file": str(target), "bytes": size}, str(target), json_)


def _find(name: str) -> Path:
    from action_gru.training.runs import RUNS, find_model

    inside = RUNS / name
    return inside if inside.is_dir() else find_model(name)


def _agreed(question: str) -> bool:
    """Raises ConfigError where nobody can answer."""
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody can be asked here; say it with --yes")
    return typer.confirm(question, err=True)


def _table(runs: tuple[RunInfo, ...]) -> str:
    rows = [
        (
            run.name,
            f"{run.when:%Y-%m-%d %H:%M}",
            _classes(run),
            "-" if run.clips is None else str(run.clips),
            _score(run) if run.state == "finished" else run.state,
            _size(run),
        )
        for run in runs
    ]
    return columns([("name", "trained", "classes", "clips", "score", "size"), *rows])


def columns(rows: list[tuple[str, ...]]) -> str:
    """Rows of words in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _classes(run: RunInfo) -> str:
    if not run.classes:
        return "-"
    return f"{len(run.classes)}: {name_some(run.classes, NAMED_CLASSES)}"


def _score(run: RunInfo) -> str:
    return "-" if run.score is None else f"{run.score:.3f} {run.metric}"


def _size(run: RunInfo) -> str:
    return f"{run.size_bytes / 1e6:.1f} MB"


def _comparison(found: RunComparison) -> str:
    def shown(value: Any) -> str:
        return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    def scored(one: Scored) -> str:
        bounds = "" if one.interval is None else " ({:.3f} to {:.3f})".format(*one.interval)
        return f"{shown(one.score)} {one.metric}{bounds}".strip()

    rows = [
        ("", *(run.name for run in found.runs)),
        ("trained", *(f"{run.when:%Y-%m-%d %H:%M}" for run in found.runs)),
        ("clips", *(shown(run.clips) for run in found.runs)),
        ("score", *map(scored, found.scores)),
        ("test clips", *(shown(one.clips) for one in found.scores)),
        *((f"finds {name}", *map(shown, pair)) for name, pair in found.per_class.items()),
        *((key, *map(str, pair)) for key, pair in found.settings.items()),
    ]
    told = f"settings that differ: {len(found.settings)}"
    return f"{columns(rows)}\n{told}\n{found.sentence}"
