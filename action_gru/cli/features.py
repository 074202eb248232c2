"""The commands around the data: check, extract, and cache stats | verify | prune | pack."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from action_gru.cli.common import Json, Quiet, make_reporter, print_answer
from action_gru.cli.help import Command, Group
from action_gru.cli.source import Clips, with_words
from action_gru.core.errors import CacheError, ConfigError
from action_gru.core.paths import kind_of
from action_gru.core.progress import is_json
from action_gru.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from action_gru.config import Config
    from action_gru.core.progress import Reporter
    from action_gru.dataset import Clip
    from action_gru.features import ExtractionReport, FeatureCache

CacheFolder = Annotated[str, Argument(metavar="DIR", help="The cache's folder or URL.")]
FOLDER = "cache/features"
LEFTOVERS = "half-written files, of runs that go on or were killed"

cache_app = typer.Typer(cls=Group, help="Look after the feature cache.", no_args_is_help=True)


@with_words
def check(
    words: Clips,
    out: Annotated[
        Path | None, Option("--out", "-o", metavar="HTML", help="A page with thumbnails as well.")
    ] = None,
    clips: Annotated[int, Option(min=1, help="Look at so many at most, drawn at random.")] = 600,
    strict: Annotated[bool, Option("--strict", help="Advice fails too.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for what spoils a training, before it. Exit code 1 for problems, 0 for advice."""
    from action_gru.apps.checks import check_target

    if out is not None:
        check_target("--out", out, (".html",), [words.source])
    reporter = make_reporter(quiet)
    if kind_of(words.source) == "a run folder":
        words = replace(words, source=words.source / "config.yaml")
    source = words.find()
    with reporter.doing("loading"):
        from action_gru.apps.check import check_data
    report = check_data(words.source, source, reporter, clips)
    if out is not None:
        report.write_page(out)
    page = None if out is None else str(out)
    text = "\n".join([report.text(), *([page] if page else [])])
    print_answer(report.to_json() | {"page": page}, text, json_)
    if report.findings if strict else report.of("problem"):
        raise typer.Exit(1)


@with_words
def extract(
    words: Clips,
    engine: Annotated[
        Literal["local", "ray"], Option(help="ray: on a cluster (extra ray).")
    ] = "local",
    address: Annotated[
        str | None, Option(metavar="HOST:PORT", help="A running Ray cluster, or auto; ray only.")
    ] = None,
    workers: Annotated[int | None, Option(min=1, help="At most so many workers; ray only.")] = None,
    cores_per_worker: Annotated[
        int | None, Option(min=1, help="Cores of a worker, by default 4; ray only.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring the features of all clips into the cache."""
    from action_gru.apps.checks import need

    if engine == "ray":
        need("ray", "ray", "--engine ray")
    else:
        given = {"address": address, "workers": workers, "cores-per-worker": cores_per_worker}
        if names := ", ".join(f"--{name}" for name, value in given.items() if value is not None):
            raise ConfigError(f"{names} is for --engine ray; the engine here is local")
    reporter = make_reporter(quiet)
    with reporter.doing("reading the manifest"):
        tree = words.read(reporter)
    cluster: dict[str, Any] = {}
    with reporter.doing("loading"):
        from action_gru.training import read_clips
    with reporter.doing("extracting"):
        clips = read_clips(tree)
        if engine == "ray":
            report, cluster = _on_cluster(tree, clips, reporter, address, cores_per_worker, workers)
        else:
            from action_gru.features.source import data_source

            report = data_source(tree).features(clips, reporter).report
    document = report.counts() | {"cache_dir": tree.features.cache_dir} | cluster
    text = f"{report.sentence()}; features in {tree.features.cache_dir}"
    if is_json():  # a person reads it on stdout
        reporter.info(f"summary: {text}", summary=document)
    print_answer(document, text, json_)


def _on_cluster(
    config: Config,
    clips: Sequence[Clip],
    reporter: Reporter,
    address: str | None,
    cores_each: int | None,
    most_workers: int | None,
) -> tuple[ExtractionReport, dict[str, Any]]:
    from action_gru.features import extract_on_cluster, report_on_error
    from action_gru.features.source import check_extraction, make_extractor

    if not config.data.is_video:
        raise ConfigError(
            f"data.kind: {config.data.kind} is read, not extracted; leave --engine ray out"
        )
    found = extract_on_cluster(
        make_extractor,
        config.to_tree(),
        clips,
        reporter,
        address,
        cores_each=cores_each,
        most_workers=most_workers,
    )
    names = ("workers", "nodes", "lost_workers", "again", "redone", "seconds")
    counts = {name: getattr(found, name) for name in names}
    reporter.info(
        "{workers} workers on {nodes} nodes, {lost_workers} lost; {again} clips handed out again, "
        "{redone} of them redone; {seconds:.1f} s".format(**counts)
    )
    with report_on_error(found.extraction, reporter):
        check_extraction(config, clips, found.extraction, reporter)
    return found.extraction, counts


def _existing(folder: str) -> FeatureCache:
    """The cache. A mistyped folder must not look like an empty cache."""
    from action_gru.features import FeatureCache

    cache = FeatureCache(folder)
    if not cache.exists():
        raise CacheError(
            f"{folder}: no such folder; give features.cache_dir of the config, or extract first"
        )
    return cache


def _with_notes(text: str, *notes: tuple[int, str]) -> str:
    """The text, and each note whose count is not zero."""
    return "; ".join([text, *(f"{count} {note}" for count, note in notes if count)])


@cache_app.command(cls=Command)
def stats(folder: CacheFolder = FOLDER, json_: Json = False, quiet: Quiet = False) -> None:
    """Count entries and bytes."""
    counts = _existing(folder).stats()
    text = _with_notes(
        f"{counted(counts['entries'], 'entry')}, {counts['bytes'] / 1e6:.1f} MB in {folder}",
        (counts["packed"], "of them in shards"),
        (counts["leftovers"], LEFTOVERS),
    )
    print_answer(counts, text, json_)


@cache_app.command(cls=Command)
def verify(folder: CacheFolder = FOLDER, json_: Json = False, quiet: Quiet = False) -> None:
    """Read every entry whole; exit code 6 when one is damaged."""
    cache, reporter = _existing(folder), make_reporter(quiet)
    problems = cache.verify()
    for problem in problems:
        reporter.warn(problem)
    counts = cache.stats()
    answer = {"entries": counts["entries"], "damaged": problems, "leftovers": counts["leftovers"]}
    text = f"{counted(counts['entries'], 'entry')}, {len(problems)} damaged"
    print_answer(answer, _with_notes(text, (counts["leftovers"], LEFTOVERS)), json_)
    if problems:
        raise typer.Exit(CacheError.exit_code)


@cache_app.command(cls=Command)
def prune(
    folder: CacheFolder = FOLDER,
    older_than_days: Annotated[
        float | None, Option(min=0.0, help="Also what was not used for so long.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove damaged entries and what killed processes left, and old entries on request."""
    age_s = None if older_than_days is None else older_than_days * 86_400
    removed = _existing(folder).prune(age_s)
    text = "removed {damaged} damaged, {old} old, {leftovers} leftovers".format(**removed)
    left = "cannot be read and were left ('cache verify' names them)"
    print_answer(removed, _with_notes(text, (removed["unreadable"], left)), json_)


@cache_app.command(cls=Command)
def pack(
    folder: CacheFolder = FOLDER,
    shard_mb: Annotated[float, Option(min=0.001, help="Size of a shard.")] = 1000.0,
    keep: Annotated[bool, Option("--keep", help="Leave the single files too.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pack the entries into shards with an index: for many thousands of clips."""
    from action_gru.features import pack_entries

    if not math.isfinite(shard_mb):
        raise typer.BadParameter(
            f"'{shard_mb}' is no size; give megabytes", param_hint="--shard-mb"
        )
    warn = make_reporter(quiet).warn
    counts = pack_entries(_existing(folder), int(shard_mb * 1e6), keep, warn)
    text = _with_notes(
        f"{counted(counts['packed'], 'entry')} packed into {counted(counts['shards'], 'shard')} of "
        f"{folder}",
        (counts["already"], "were there already"),
        (counts["damaged"], "damaged ones left out ('cache prune' removes them)"),
        (counts["unreadable"], "cannot be read and were left"),
    )
    print_answer(counts, text, json_)
