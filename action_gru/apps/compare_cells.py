"""The compare-cells command: every cell on the user's data, as text, tables and a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from action_gru.comparison import ProbeSettings, compare_cells, summary, write_comparison
from action_gru.comparison.probe import LAGS
from action_gru.comparison.report import comparison_json
from action_gru.config import load_config
from action_gru.errors import ConfigError
from action_gru.progress import Reporter
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
    folder = _folder(out) if out is not None else RunFolder.create(config, "-cells").path
    settings = replace(ProbeSettings(), lags=tuple(lag for lag in LAGS if lag <= largest_lag))
    comparison = compare_cells(config, folds, seeds, reporter, folder, settings if probe else None)
    write_comparison(comparison, folder)
    if as_json:
        print(json.dumps({"folder": str(folder)} | comparison_json(comparison)))
    else:
        print(f"{summary(comparison)}\n{folder}")


def _folder(out: Path) -> Path:
    """Make the folder before the work, not after. Raises ConfigError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--out {out}: no folder can be made there ({error.strerror}); name another"
        ) from error
    return out
