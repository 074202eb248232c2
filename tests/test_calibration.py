import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.models import ARGUMENTS, checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from action_gru.core.errors import CheckpointError
from action_gru.model.calibration import (
    Calibration,
    average_windows,
    calibrate,
    calibrate_many,
    f1_threshold,
    fit_temperature,
    precision_threshold,
    reachable_precision,
)
from action_gru.training import METADATA, load_checkpoint, save_checkpoint

FOUND = Calibration(2.5, "9 clips of the validation split", (0.9,) * 9, (True,) * 9)


def drawn(temperature: float, count: int = 8_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, 3) and labels (N,) drawn from their softmax at a temperature."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, 3, generator=generator)
    chances = (logits / temperature).softmax(-1)
    return logits, torch.multinomial(chances, 1, generator=generator)[:, 0]


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_drew_the_labels_is_found(true):
    logits, labels = drawn(true)
    found = fit_temperature(torch.arange(len(labels)), logits, labels)
    assert found == pytest.approx(true, rel=0.05)


def test_a_model_that_is_always_right_on_few_clips_does_not_become_certain():
    labels = torch.tensor([0, 1] * 10)
    logits = torch.eye(2)[labels] * 4.0
    found = calibrate(torch.arange(20), logits, labels, "x")
    # 20 right of 20 count as 21 of 22.
    assert found.scores[0] == pytest.approx(21 / 22, abs=0.005)
    assert found.right == (True,) * 20


def test_the_probabilities_of_a_clips_windows_are_averaged():
    clips, logits = torch.tensor([0, 1, 0]), torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    found = (logits / 2.0).softmax(-1)
    got = average_windows(clips, found, 2)
    torch.testing.assert_close(got, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    one = average_windows(clips[:2], found[:2], 2)
    assert one[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_the_threshold_is_the_lowest_score_that_keeps_the_precision():
    scores = [0.99 - 0.01 * place for place in range(30)]
    right = [True] * 20 + [False] * 10
    # 20 right of 20, then 20 of 21, ...: (20 + 1) / (n + 2) >= 0.9 holds up to n = 21.
    assert precision_threshold(scores, right, 0.9) == pytest.approx(scores[20])
    # 30 clips could prove it, but 19 right of the first 20 do not: none is sure enough.
    assert precision_threshold(scores, [False, *right[1:]], 0.95) == 1.0


def test_answers_of_one_score_are_kept_or_left_together():
    scores, right = [0.8] * 10 + [0.6] * 10, [True] * 10 + [True] * 5 + [False] * 5
    assert precision_threshold(scores, right, 0.9) == 0.8


@pytest.mark.parametrize("count", [1, 4, 7])
def test_few_clips_are_held_to_what_they_can_prove(count):
    found = Calibration(1.0, f"{count} clips", (0.9,) * count, (True,) * count)
    applied = found.applied_precision(0.9)  # (count + 1) / (count + 2), rounded down
    assert applied == {1: 0.66, 4: 0.83, 7: 0.88}[count]
    assert found.threshold(0.9) == 0.9
    assert f"{count} clips ({count} of {count} right) do not prove" in found.shortfall(0.9)


def test_eight_right_of_eight_prove_nine_in_ten():
    found = Calibration(1.0, "8 clips", (0.9,) * 8, (True,) * 8)
    assert (found.threshold(0.9), found.shortfall(0.9)) == (0.9, None)


def test_where_no_score_proves_the_precision_the_most_that_one_does_is_applied():
    # 4 right of the surest 5 count as 5 of 7; all 10 right of 20 as 11 of 22.
    scores = [0.9] * 5 + [0.4] * 15
    right = [True] * 4 + [False] + [True] * 6 + [False] * 9
    assert reachable_precision(scores, right) == pytest.approx(5 / 7)
    found = Calibration(1.0, "20 training clips", tuple(scores), tuple(right))
    assert found.threshold(0.9) == 0.9  # and not 1, above which no score is
    assert found.shortfall(0.9) == (
        "20 training clips (10 of 20 right) do not prove a precision of 90 %, so 71 % is used, the "
        "most that they prove. Less sure answers are called unsure. More clips may prove more "
        "(calibration.precision)"
    )
    assert found.threshold(0.71) == 0.9
    assert found.brief_shortfall(0.9) == (
        "few clips: 'sure' means 71 % right, not 90 % (the run's report says why)"
    )
    assert found.shortfall(0.71) is found.brief_shortfall(0.71) is None
    assert found.threshold(0.5) == 0.4


def test_clips_that_are_never_right_support_next_to_nothing():
    found = Calibration(1.0, "3 clips", (0.9, 0.8, 0.7), (False,) * 3)
    assert found.applied_precision(0.9) == 0.33
    assert found.threshold(0.9) == 0.9


def test_a_checkpoint_keeps_its_calibration_and_every_score_uses_it(tmp_path):
    plain = checkpoint()
    save_checkpoint(replace(plain, calibration=FOUND), tmp_path / "best.safetensors")
    loaded = load_checkpoint(tmp_path / "best.safetensors")
    assert loaded.calibration == FOUND
    features, lengths = torch.randn(2, 3, 8), torch.tensor([3, 3])
    model = loaded.build()
    logits = plain.build()(features, lengths)
    torch.testing.assert_close(model(features, lengths), logits / 2.5)
    state = None
    for frame in features.unbind(1):
        stepped, state = model.step(frame, state)
    torch.testing.assert_close(stepped, logits / 2.5)


def test_a_checkpoint_from_before_calibration_still_loads(tmp_path):
    path = tmp_path / "best.safetensors"
    save_checkpoint(checkpoint(), path)
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()[METADATA])
    del document["calibration"]
    save_file(load_file(path), path, {METADATA: json.dumps(document)})
    loaded = load_checkpoint(path)
    assert loaded.calibration is None
    assert loaded.build().temperature == 1.0


@pytest.mark.parametrize("true", [0.5, 2.0])
def test_the_temperature_of_several_labels_is_found(true):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4_000, 3, generator=generator)
    labels = torch.bernoulli((logits / true).sigmoid(), generator=generator).to(torch.int8)
    labels[:100, 0] = -100
    assert fit_temperature(torch.arange(4_000), logits, labels) == pytest.approx(true, rel=0.08)


def test_the_threshold_of_the_best_f1_lies_between_two_scores():
    scores, shown = [0.9, 0.8, 0.7, 0.4, 0.2], [True, True, False, True, False]
    # F1 from 0.9: 1/2, from 0.8: 4/5, from 0.7: 2/3, from 0.4: 6/7, from 0.2: 3/4.
    assert f1_threshold(scores, shown) == pytest.approx(0.3)
    assert f1_threshold([0.9, 0.2], [False, False]) == 0.5
    assert f1_threshold([0.6, 0.6, 0.1], [True, True, False]) == pytest.approx(0.35)


def test_each_class_has_its_threshold_and_a_scarce_one_that_of_all():
    """Class b scores a third of what a does; c is shown in 2 of 100 clips."""
    labels = torch.zeros(100, 3, dtype=torch.int8)
    labels[:50, 0] = labels[:50, 1] = labels[:2, 2] = 1
    chances = torch.where(labels == 1, 0.9, 0.3) * torch.tensor([1.0, 1 / 3, 1.0])
    found = calibrate_many(torch.arange(100), torch.logit(chances), labels, "x", "abc")
    shown = (torch.logit(chances) / found.temperature).sigmoid()
    for column, name in enumerate("ab"):
        assert ((shown[:, column] >= found.thresholds[name]) == labels[:, column].bool()).all()
    assert found.thresholds["a"] > found.thresholds["b"]
    assert found.note == found.shortfall(0.9)
    assert "Fewer than 5 of these clips show c (2)" in found.note
    assert f"{found.thresholds['c']:.2f}" in found.note


def test_a_class_is_held_to_the_stated_precision_or_to_what_its_clips_prove():
    labels = torch.zeros(40, 2, dtype=torch.int8)
    labels[:20, 0] = labels[:6, 1] = 1
    logits = torch.linspace(3, -3, 40)[:, None].expand(40, 2)
    found = calibrate_many(torch.arange(40), logits, labels, "x", "ab", precision=0.9)
    shown = (logits / found.temperature).sigmoid()[:, 0] >= found.thresholds["a"]
    kept = int(shown.sum())
    assert 20 < kept <= 22  # (20 + 1) / (n + 2) >= 0.9
    assert found.note.startswith("no score of b proves a precision of 90 %")
    assert found.thresholds["b"] > found.thresholds["a"]


def test_thresholds_travel_in_the_checkpoint_and_strange_ones_are_refused(tmp_path):
    saved = checkpoint(model=ARGUMENTS | {"many": True})
    found = Calibration(1.5, "x", (), (), {saved.classes[0]: 0.3}, "a note")
    save_checkpoint(replace(saved, calibration=found), tmp_path / "m.safetensors")
    read = load_checkpoint(tmp_path / "m.safetensors")
    assert read.calibration == found
    assert read.thresholds == (0.3, *[0.5] * (len(read.classes) - 1))
    assert checkpoint().thresholds is None
    strange = replace(found, thresholds={"nobody": 0.3})
    save_checkpoint(replace(saved, calibration=strange), tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="thresholds"):
        load_checkpoint(tmp_path / "m.safetensors")
