"""Cells compared: what is counted, what is concluded, what is written."""

import json
import re

import numpy as np
import pytest
import torch
from helpers.videos import write_square

from action_gru.cli.training import compare_cells
from action_gru.config import build_config
from action_gru.core.errors import ConfigError, DataError
from action_gru.evaluation.cells_report import (
    FAILS,
    HOLDS,
    LOOKS,
    OPEN,
    comparison_json,
    comparison_markdown,
    findings,
    plot_comparison,
    summary,
)
from action_gru.evaluation.compare_cells import (
    CellComparison,
    CellFigures,
    parameter_count,
    step_milliseconds,
    variants,
)
from action_gru.evaluation.memory_probe import ProbeResult, ProbeSettings
from action_gru.model import ActionClassifier

GROUPS = tuple(f"g{index // 5}" for index in range(40))


def figures(key: str, share: float, **options) -> CellFigures:
    """A cell that names the first `share` of each group's five clips right, in both seeds."""
    right = np.arange(40) % 5 < round(5 * share)
    values = {"cell_parameters": 100, "parameters": 200, "epoch_s": 1.0, "step_ms": 0.5}
    values["right"] = np.stack([right, right])
    return CellFigures(key, **(values | options))


def probed(cell: str, solved: int, before: float, after: float) -> ProbeResult:
    accuracy = {lag: [1.0, 1.0] if lag <= solved else [0.2, 0.4] for lag in (4, 8, 16)}
    norms = ({4: 1.0, 8: before, 16: before}, {4: 1.0, 8: after, 16: after})
    return ProbeResult(cell, accuracy, *norms, trained_lag=8)


def comparison(**options) -> CellComparison:
    values = {
        "data": "clips.csv: 40 clips, 2 folds, 2 seeds",
        "groups": GROUPS,
        "folds": 2,
        "seeds": (0, 1),
        "majority": 0.25,
        "closed_form": False,
        "cells": (
            figures("rnn", 0.4),
            figures("lstm", 0.8, cell_parameters=400, epoch_s=1.5, step_ms=0.51),
            figures("gru", 0.8, cell_parameters=300, parameters=700),
            figures("bigru", 0.6, cell_parameters=600, step_ms=None),
            figures("none", 0.8, cell_parameters=0),
        ),
        "probe_settings": ProbeSettings(lags=(4, 8, 16), seeds=2),
        "probe": (
            probed("rnn", 4, 1e-3, 1e-4),
            probed("lstm", 8, 1e-3, 0.5),
            probed("gru", 16, 2e-3, 0.7),
        ),
    }
    return CellComparison(**(values | options))


def verdicts(made: CellComparison) -> dict[str, str]:
    return {finding.claim: finding.verdict for finding in findings(made)}


def test_each_verdict_follows_its_figures():
    assert verdicts(comparison()) == {
        "A GRU has three quarters of an LSTM's parameters": HOLDS,
        "A GRU trains faster than an LSTM": HOLDS,
        "A GRU's step is cheaper than an LSTM's": OPEN,
        "A GRU is more accurate than a plain RNN": HOLDS,
        "An LSTM is more accurate than a plain RNN": HOLDS,
        "A GRU is more accurate than an LSTM": OPEN,
        "Order matters: a GRU is more accurate than averaging over time": OPEN,
        "Reading backwards too helps": FAILS,
        "Gated cells remember longer than a plain RNN": HOLDS,
        "Before training, gates carry the gradient further than a plain RNN": OPEN,
        "Once trained, gates carry the gradient further than a plain RNN": HOLDS,
    }


def test_other_figures_turn_the_verdicts():
    made = comparison(
        cells=(
            figures("rnn", 0.8),
            figures("lstm", 0.6, cell_parameters=390),
            figures("gru", 0.4, cell_parameters=300, epoch_s=1.2, step_ms=0.9),
            figures("bigru", 0.6),
            figures("none", 0.2),
        ),
        probe=(probed("rnn", 16, 0.1, 0.9), probed("lstm", 16, 0.01, 0.5),
               probed("gru", 16, 0.05, 0.1)),
    )  # fmt: skip
    assert list(verdicts(made).values()) == [
        FAILS, FAILS, FAILS, FAILS, FAILS, FAILS, HOLDS, HOLDS, FAILS, FAILS, FAILS,
    ]  # fmt: skip


def test_the_figures_behind_a_finding_are_the_measured_ones():
    texts = {one.claim: one.figures for one in findings(comparison())}
    assert texts["A GRU has three quarters of an LSTM's parameters"].startswith(
        "the cell: 300 to 400, 0.750; the whole model, with its projections and head: 3.500"
    )
    assert texts["A GRU trains faster than an LSTM"].endswith(": 0.67 times as long")
    gain = re.fullmatch(
        r"bidirectional GRU against GRU: -20\.0 points \(95%: (-[\d.]+) to (-[\d.]+)\)",
        texts["Reading backwards too helps"],
    )
    assert float(gain[1]) < -20 < float(gain[2])  # that all groups agree is no certainty
    assert (
        texts["Gated cells remember longer than a plain RNN"]
        == "probe: RNN 4 steps, LSTM 8 steps, GRU 16 steps, the most that was tried"
    )
    assert (
        texts["Once trained, gates carry the gradient further than a plain RNN"]
        == "norm over 8 steps: RNN 1.0e-04, LSTM 5.0e-01, GRU 7.0e-01"
    )


def test_without_a_probe_nothing_is_said_of_memory():
    made = comparison(probe=(), probe_settings=None)
    assert not any("remember" in claim or "gradient" in claim for claim in verdicts(made))
    assert "How far each cell remembers" not in comparison_markdown(made)
    assert len(plot_comparison(made).axes) == 4
    assert len(plot_comparison(comparison()).axes) == 7


def test_cells_that_may_be_guessing_get_no_verdict_on_accuracy_or_order():
    made = comparison(majority=0.75)
    said = {one.claim: one for one in findings(made) if "accurate" in one.claim}
    assert {one.verdict for one in said.values()} == {OPEN}
    order = said["Order matters: a GRU is more accurate than averaging over time"]
    assert order.figures.endswith("; neither is shown to be better than guessing")


def test_one_group_gives_no_verdict_on_accuracy():
    made = comparison(groups=("all",) * 40)
    assert verdicts(made)["A GRU is more accurate than a plain RNN"] == OPEN
    assert "one group of clips gives no interval" in summary(made)


def test_the_interval_of_a_difference_is_wide_where_groups_disagree():
    right = np.zeros((1, 40), dtype=bool)
    right[0, :20] = True  # one cell knows half of the groups, the other the other half
    made = comparison(cells=(figures("gru", 0, right=right), figures("rnn", 0, right=~right)))
    gain, (low, high) = made.difference("gru", "rnn")
    assert gain == 0.0
    assert low < -0.4
    assert high > 0.4


def test_tables_hold_every_cell_and_the_closed_form_is_named():
    text = comparison_markdown(comparison(closed_form=True))
    assert "| GRU | 80.0% | 300 | 700 | 1,200 | 2,800 | 1.00 s | 0.50 ms |" in text
    assert "| bidirectional GRU | 60.0% | 600 | 200 | 2,400 | 800 | 1.00 s | not live |" in text
    assert "| RNN | 100.0% | 30.0% | 30.0% |" in text
    assert "each cell has the same linear classifier beside it" in text
    assert "linear classifier" not in comparison_markdown(comparison())
    document = json.loads(json.dumps(comparison_json(comparison())))
    assert [row["cell"] for row in document["cells"]] == ["rnn", "lstm", "gru", "bigru", "none"]
    assert document["probe"][2]["largest_lag_solved"] == 16


def test_parameters_are_counted_in_the_cell_and_in_all():
    model = ActionClassifier((4,), 3, projection_size=6, hidden_size=5)
    inside = 3 * 5 * (6 + 5 + 2)
    around = 6 * 4 + 3 * 6  # projection and its normalisation
    head = 5 + 1 + 3 * (5 + 6 + 6) + 3  # attention, then the classes
    assert parameter_count(model) == (inside, inside + around + head)


def test_a_step_is_timed_for_what_can_run_live_only():
    models = {
        "gru": ActionClassifier((4,), 2, projection_size=3, hidden_size=3),
        "bigru": ActionClassifier((4,), 2, projection_size=3, hidden_size=3, bidirectional=True),
    }
    taken = step_milliseconds(models, torch.zeros(1, 4))
    assert taken["bigru"] is None
    assert taken["gru"] > 0


def test_the_variants_differ_in_the_cell_alone():
    config = build_config({"model": {"bidirectional": True, "hidden_size": 7}})
    made = variants(config)
    assert [(one.model.cell, one.model.bidirectional) for one in made.values()] == [
        ("rnn", False), ("lstm", False), ("gru", False), ("mgu", False), ("gru", True),
        ("none", False), ("none", False),
    ]  # fmt: skip
    assert {one.model.hidden_size for one in made.values()} == {7}
    assert (made["transformer"].model.pooling, made["none"].model.pooling) == (
        "transformer",
        "mean",
    )
    assert {one.training for one in made.values()} == {config.training}


def test_a_further_cell_has_its_own_name_look_and_rows():
    usual = comparison()
    more = comparison(
        cells=(*usual.cells, figures("mgu", 0.6)),
        probe=(*usual.probe, probed("mgu", 8, 1e-3, 0.5)),
    )
    assert "| MGU | 60.0% |" in comparison_markdown(more)
    assert summary(more).splitlines()[5].startswith("MGU                top-1 60.0%")
    assert len(plot_comparison(more).axes) == 7
    assert len({colour for _, colour, _ in LOOKS.values()}) == len(LOOKS)
    assert [one["cell"] for one in comparison_json(more)["probe"]] == ["rnn", "lstm", "gru", "mgu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Eight clips in four groups to choose on, and two for the test."""
    root = tmp_path_factory.mktemp("cells")
    rows = ["path,label,group,split"]
    for index in range(10):
        write_square(root / f"{index}.mp4", 8, seed=index + 100 * (index % 2))
        label, split = ("bright" if index % 2 else "dark"), ("test" if index > 7 else "")
        rows.append(f"{index}.mp4,{label},g{index // 2},{split}")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    (root / "tiny.yaml").write_text(
        f"run: {{folder: {root}/runs, name: tiny}}\n"
        f"data: {{manifest: {root}/clips.csv}}\n"
        "sampling: {fps: 5}\n"
        f"features: {{weights: builtin, image_size: 64, views: [rgb], cache_dir: {root}/cache}}\n"
        "model: {projection_size: 8, hidden_size: 8}\n"
        "training: {epochs: 2, device: cpu, batch_size: 4}\n"
    )
    return root


@pytest.mark.slow
def test_the_command_compares_on_all_but_the_test_clips(place, capsys):
    compare_cells(source=place / "tiny.yaml", folds=2, seeds=2, probe=False, quiet=True)
    printed = capsys.readouterr().out.splitlines()
    folder = place / "runs" / "tiny-cells"
    assert printed[-1] == str(folder)
    assert printed[0].startswith("RNN                top-1 ")
    document = json.loads((folder / "cells.json").read_text())
    assert document["data"].endswith("clips.csv: 8 clips, 2 folds, 2 seeds")
    assert document["majority"] == 0.5
    assert document["closed_form"] is False  # it would make the scores of cells more alike
    assert {len(row["top1_by_seed"]) for row in document["cells"]} == {2}
    sizes = {row["cell"]: row["cell_parameters"] for row in document["cells"]}
    assert sizes == {
        "rnn": 144,
        "lstm": 576,
        "gru": 432,
        "mgu": 288,
        "bigru": 864,
        "transformer": 0,
        "none": 0,
    }
    names = {"cells.json", "cells.md", "cells.png", "config.yaml", "quarantine.csv"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize(
    ("overrides", "folds", "out", "error", "said"),
    [
        ([], 9, None, DataError, "9 folds need as many groups"),
        ([], 2, "clips.csv/x", ConfigError, "clips.csv is a file; choose another folder"),
        (["data.manifest={}/test.csv"], 2, None, DataError, "every clip is a test clip"),
    ],
)
def test_a_mistake_is_named(place, overrides, folds, out, error, said):
    (place / "test.csv").write_text("path,label,split\n0.mp4,dark,test\n1.mp4,bright,test\n")
    overrides = [text.format(place) for text in overrides]
    target = place / out if out else None
    before = sorted(place.glob("runs/*"))
    with pytest.raises(error, match=said):
        compare_cells(
            source=place / "tiny.yaml", overrides=overrides, folds=folds, seeds=1, out=target,
            probe=False, quiet=True,
        )  # fmt: skip
    assert sorted(place.glob("runs/*")) == before  # nothing is left behind


def test_a_cell_that_solves_nothing_says_so():
    failing = probed("rnn", 0, 1.0, 1.0)
    made = comparison(probe=(failing, *comparison().probe[1:]))
    assert "RNN fails at 4 steps already" in summary(made)
