"""action-gru plan: hours, bytes and cost of many clips, from a short measurement here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from action_gru.cli.common import (
    ConfigFile,
    Json,
    Overrides,
    Quiet,
    make_reporter,
    print_answer,
)

if TYPE_CHECKING:
    from action_gru.planning import Assumptions, Estimate, Measurement, Workload


def plan(
    config: ConfigFile,
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")],
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of each.")],
    overrides: Overrides = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines like this one.")] = 1,
    node_hour: Annotated[float, typer.Option(help="Price of a node-hour.")] = 1.0,
    efficiency: Annotated[float, typer.Option(help="Of several nodes, against one.")] = 0.9,
    bandwidth_gbit: Annotated[float, typer.Option(help="Gbit/s of a node.")] = 10.0,
    store_gbit: Annotated[float, typer.Option(help="Gbit/s of the store.")] = 100.0,
    writes_per_s: Annotated[float, typer.Option(help="Writes the store takes.")] = 3500.0,
    sample: Annotated[int, typer.Option(min=1, help="How many clips to measure.")] = 16,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a few clips here, and say what many take: hours, bytes, cost and the limit."""
    from action_gru.apps.checks import check_network
    from action_gru.config import load_config
    from action_gru.planning import Assumptions, Workload, estimate

    # What cannot be is refused before anything is measured.
    assumed = Assumptions(efficiency, bandwidth_gbit, store_gbit, writes_per_s, node_hour)
    tree = load_config(config, overrides or [])
    check_network(tree)
    training, reporter = tree.training, make_reporter(quiet)
    work = Workload(clips, seconds, nodes, training.epochs, training.batch_size, training.min_steps)
    with reporter.doing("loading"):
        from action_gru.planning import measure_machine
    with reporter.doing("measuring"):
        measured = measure_machine(tree, sample, min(seconds, 60.0), reporter)
    found = estimate(measured, work, assumed)
    document = {
        "measured": asdict(measured),
        "work": asdict(work),
        "assumed": asdict(assumed),
    } | found.to_json()
    print_answer(document, table(measured, work, assumed, found), json_)


def table(measured: Measurement, work: Workload, assumed: Assumptions, found: Estimate) -> str:
    """The plan as lines of name and figure."""
    kind = "drawn clips (the config's are not here)" if measured.drawn else "clips of the config"
    nodes = "1 node" if work.nodes == 1 else f"{work.nodes:,} nodes"
    rows = [
        ("measured here", f"{measured.clips} {kind}"),
        ("  decode and embed", f"{measured.video_rate:.1f} s of video a second"),
        ("  training", f"{measured.step_rate:.1f} steps/s"),
        ("  source", f"{_size(measured.source_rate)} a second of video"),
        ("work", f"{work.clips:,} clips of {work.seconds:g} s on {nodes}"),
        ("  source read", _size(found.source_bytes)),
        ("  cache written", f"{_size(found.cache_bytes)} in {found.entries:,} entries"),
        ("  index, when packed", _size(found.index_bytes)),
        (f"hours, at efficiency {assumed.efficiency:g}", f"{found.extraction_hours:,.2f}"),
        *[
            (f"  {name}", f"{hours:,.2f}" + (" <- the limit" if name == found.limit else ""))
            for name, hours in found.hours.items()
        ],
        ("node-hours", f"{found.node_hours:,.1f}"),
        ("cost", f"{found.cost:,.2f} at {assumed.node_hour:g} a node-hour"),
        (f"training, {work.epochs_run} epochs, one node", f"{found.training_hours:,.2f} hours"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {figure}" for name, figure in rows)


def _size(count: float) -> str:
    """1536 -> 1.5 kB; powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} PB" if count < 1000 else f"{count:,.0f} PB"
