"""action-gru extract: on this machine, or by the workers of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from action_gru.cli.common import (
    ConfigFile,
    Json,
    Overrides,
    Quiet,
    make_reporter,
    print_answer,
)
from action_gru.core.errors import ConfigError
from action_gru.core.progress import is_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from action_gru.config import Config
    from action_gru.core.progress import Reporter
    from action_gru.dataset import Clip
    from action_gru.features import ExtractionReport


def extract(
    config: ConfigFile,
    overrides: Overrides = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: on a cluster (extra ray).")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A running Ray cluster, or auto; ray only."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="At most so many workers; ray only.")
    ] = None,
    cores_per_worker: Annotated[
        int | None, typer.Option(min=1, help="Cores of a worker, by default 4; ray only.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring the features of all clips into the cache."""
    from action_gru.apps.checks import check_work, need

    given = {"address": address, "workers": workers, "cores-per-worker": cores_per_worker}
    if engine == "local" and any(value is not None for value in given.values()):
        names = ", ".join(f"--{name}" for name, value in given.items() if value is not None)
        raise ConfigError(f"{names} is for --engine ray; the engine here is local")
    if engine == "ray":
        need("ray", "ray", "--engine ray")
    tree, reporter = check_work(config, overrides or []), make_reporter(quiet)
    document: dict[str, Any] = {}
    with reporter.doing("loading"):
        from action_gru.training import read_clips
    with reporter.doing("extracting"):
        clips = read_clips(tree)
        if engine == "ray":
            report, document = _on_cluster(
                tree, clips, reporter, address, cores_per_worker, workers
            )
        else:
            from action_gru.features.source import data_source

            report = data_source(tree).features(clips, reporter).report
    document = report.counts() | {"cache_dir": tree.features.cache_dir} | document
    text = f"{report.sentence()}; features in {tree.features.cache_dir}"
    if is_json():  # a person reads it on stdout
        reporter.say(f"summary: {text}", summary=document)
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
    reporter.say(
        f"{found.workers} workers on {found.nodes} nodes, {found.lost_workers} lost; "
        f"{found.again} clips handed out again, {found.redone} of them redone; "
        f"{found.seconds:.1f} s"
    )
    with report_on_error(found.extraction, reporter):
        check_extraction(config, clips, found.extraction, reporter)
    names = ("workers", "nodes", "lost_workers", "again", "redone", "seconds")
    return found.extraction, {name: getattr(found, name) for name in names}
