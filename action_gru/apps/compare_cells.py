"""The compare-cells command: every cell on the user's data, as text, tables and a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from action_gru.apps.checks import folder_for
from action_gru.config import Config, load_config
from action_gru.core.progress import Reporter
from action_gru.evaluation.cells_report import comparison_json, summary, write_comparison
from action_gru.evaluation.compare_cells import compare_cells
from action_gru.evaluation.memory_probe import LAGS, ProbeSettings
from action_gru.training import RunFolder


def run_comparison(
    path: Path,
    overrides: Sequence[str],
    folds: int,
    seeds: int,
    out: Path | None,
    probe: bool,
    largest_lag: int,
    as_json: bool,
    reporter: Reporter,
) -> None:
    """Compare, write cells.json, cells.png and cells.md, print the answer and their folder."""
    config = load_config(path, overrides)
    settings = replace(ProbeSettings(), lags=tuple(lag for lag in LAGS if lag <= largest_lag))
    with _place(config, out) as folder:
        comparison = compare_cells(
            config, folds, seeds, reporter, folder, settings if probe else None
        )
        write_comparison(comparison, folder)
    if as_json:
        print(json.dumps({"folder": str(folder)} | comparison_json(comparison)))
    else:
        print(f"{summary(comparison)}\n{folder}")


@contextmanager
def _place(config: Config, out: Path | None) -> Iterator[Path]:
    """The folder named, or a new run folder; neither is left behind empty."""
    if out is not None:
        with folder_for("--out", out) as folder:
            yield folder
        return
    run = RunFolder.create(config, "-cells")
    try:
        yield run.path
    except BaseException:
        run.discard_if_empty()
        raise
    run.take_name()
