"""action-gru plan: hours, bytes and cost of many clips, from a short measurement here."""

from __future__ import annotations

from typing import Annotated

import typer

from action_gru.cli.common import (
    ConfigFile,
    Json,
    Overrides,
    Quiet,
    make_reporter,
    print_answer,
)
from action_gru.errors import ConfigError

LEAST, MOST = 1e-6, 1e12  # of any amount: beyond, a figure is a typing error, or overflows


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

    work = {"clips": clips, "seconds": seconds, "nodes": nodes}
    assumed = {"efficiency": efficiency, "bandwidth_gbit": bandwidth_gbit, "store_gbit": store_gbit}
    assumed |= {"writes_per_s": writes_per_s, "node_hour": node_hour}
    for name, value in (work | assumed).items():
        check_amount(name, value)
    tree = load_config(config, overrides or [])
    check_network(tree)
    work |= tree.training.model_dump(include={"epochs", "batch_size", "min_steps"})
    reporter = make_reporter(quiet)
    with reporter.doing("loading"):
        from action_gru.apps.plan import estimate, measure_machine, table
    with reporter.doing("measuring"):
        measured = measure_machine(tree, sample, reporter)
    document = estimate(measured, work, assumed)
    print_answer(document, table(document), json_)


def check_amount(name: str, value: float) -> None:
    """Raise ConfigError for what cannot be, before anything is measured."""
    option = "--" + name.replace("_", "-")
    if name == "efficiency" and value > 1:
        raise ConfigError(f"{option}: {value:g} is more than all; give a share such as 0.9")
    is_free = name == "node_hour" and value == 0
    if not (LEAST <= value <= MOST or is_free):  # nan is neither
        shown = f"{value:g}" if isinstance(value, float) else str(value)[:40]
        raise ConfigError(
            f"{option}: {shown} is no amount; give a number above 0, from {LEAST:g} to {MOST:g}"
        )
