"""action-gru cache stats | verify | prune | pack."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from action_gru.cli.common import Json, Quiet, make_reporter, print_answer

if TYPE_CHECKING:
    from action_gru.features import FeatureCache

Where = Annotated[str, typer.Argument(metavar="DIR", help="The cache's folder or URL.")]

REMOVABLE = ("damaged", "old", "leftovers")

cache_app = typer.Typer(help="Look after the feature cache.", no_args_is_help=True)


@cache_app.command()
def stats(
    folder: Where = "cache/features",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count entries and bytes."""
    counts = _existing(folder).stats()
    text = f"{counts['entries']} entries, {counts['bytes'] / 1e6:.1f} MB in {folder}"
    if counts["packed"]:
        text += f"; {counts['packed']} of them in shards"
    print_answer(counts, text + _leftovers(counts), json_)


def _existing(folder: str) -> FeatureCache:
    """The cache. A mistyped folder must not look like an empty, healthy one."""
    from action_gru.core.errors import CacheError
    from action_gru.features import FeatureCache

    cache = FeatureCache(folder)
    if not cache.exists():
        raise CacheError(
            f"{folder}: no such folder; give features.cache_dir of the config, or extract first"
        )
    return cache


def _leftovers(counts: dict[str, int]) -> str:
    count = counts["leftovers"]
    return f"; {count} half-written files, of runs that go on or were killed" if count else ""


@cache_app.command()
def verify(
    folder: Where = "cache/features",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every entry whole; exit code 6 when one is damaged."""
    from action_gru.core.errors import CacheError

    cache = _existing(folder)
    problems = cache.verify()
    for problem in problems:
        make_reporter(quiet).warn(problem)
    counts = cache.stats()
    text = f"{counts['entries']} entries, {len(problems)} damaged{_leftovers(counts)}"
    answer = {"entries": counts["entries"], "damaged": problems, "leftovers": counts["leftovers"]}
    print_answer(answer, text, json_)
    if problems:
        raise typer.Exit(CacheError.exit_code)


@cache_app.command()
def prune(
    folder: Where = "cache/features",
    older_than_days: Annotated[
        float | None, typer.Option(min=0.0, help="Also what was not used for so long.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove damaged entries and what killed processes left, and old entries on request."""
    age_s = None if older_than_days is None else older_than_days * 86_400
    removed = _existing(folder).prune(age_s)
    text = "removed " + ", ".join(f"{removed[kind]} {kind}" for kind in REMOVABLE)
    if removed["unreadable"]:
        text += (
            f"; {removed['unreadable']} cannot be read and were left ('cache verify' names them)"
        )
    print_answer(removed, text, json_)


@cache_app.command()
def pack(
    folder: Where = "cache/features",
    shard_mb: Annotated[float, typer.Option(min=0.001, help="Size of a shard.")] = 1000.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the single files too.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pack the entries into shards with an index: for many thousands of clips."""
    from action_gru.features import pack_entries

    if not math.isfinite(shard_mb):
        raise typer.BadParameter(
            f"'{shard_mb}' is no size; give megabytes", param_hint="--shard-mb"
        )
    tell = make_reporter(quiet).warn
    counts = pack_entries(_existing(folder), int(shard_mb * 1e6), keep, tell)
    text = f"{counts['packed']} entries packed into {counts['shards']} shards of {folder}"
    if counts["already"]:
        text += f"; {counts['already']} were there already"
    if counts["damaged"]:
        text += f"; {counts['damaged']} damaged ones left out ('cache prune' removes them)"
    if counts["unreadable"]:
        text += f"; {counts['unreadable']} cannot be read and were left"
    print_answer(counts, text, json_)
