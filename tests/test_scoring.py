"""The answer to a clip: windows, mirrored copies, and how it stood after each frame."""

import itertools

import numpy as np
import pytest
import torch

from action_gru.features import ClipFeatures
from action_gru.features.sequences import SequenceSet
from action_gru.model import ActionClassifier
from action_gru.training.scoring import ClipScores, score_clips

CELLS_AND_POOLINGS = list(
    itertools.product(["gru", "lstm", "rnn", "none"], ["last", "mean", "attention"])
)


def build(**options) -> ActionClassifier:
    torch.manual_seed(0)
    options = {"projection_size": 6, "hidden_size": 5} | options
    model = ActionClassifier((4, 3), 3, **options).eval()
    model.fit_statistics(torch.randn(50, 7) * 2 + 1)
    return model


def two_copies(frames: int) -> list[torch.Tensor]:
    """Plain and mirrored features, as float16 holds them."""
    torch.manual_seed(1)
    return [torch.randn(frames, 7).half() for _ in range(2)]


@pytest.mark.parametrize("frames", [1, 9, 10, 25])
@pytest.mark.parametrize("flip", [False, True])
def test_one_clip_is_answered_as_the_clips_of_an_evaluation(frames, flip):
    model = build(closed_form=True)
    copies = two_copies(frames)
    entries = [[[ClipFeatures(copy.numpy(), np.arange(frames) / 5, frames, {})]] for copy in copies]
    sequences = SequenceSet(entries[0], [0], entries[1] if flip else None)
    (wanted,) = score_clips(model, sequences, 10, flip=flip)
    made = ClipScores(model, copies[: 1 + flip], 10)
    assert made.probabilities.tolist() == pytest.approx(wanted.tolist(), abs=1e-6)


@pytest.mark.parametrize(("cell", "pooling"), CELLS_AND_POOLINGS)
def test_the_answer_as_it_stood_ends_in_the_answer(cell, pooling):
    model = build(cell=cell, pooling=pooling)
    model.temperature = 3.0
    made = ClipScores(model, two_copies(25), 10)
    assert made.running.shape == (25, 3)
    assert made.running[-1].tolist() == made.probabilities.tolist()
    for seen in (1, 5, 9):  # within the first window: the copies' answers to what was seen
        part = ClipScores(model, [copy[:seen] for copy in made.copies], 10)
        assert made.running[seen - 1].tolist() == pytest.approx(
            part.probabilities.tolist(), abs=1e-5
        )


class Told(torch.nn.Module):
    """Answers class 1 with the odds that the last frame tells."""

    can_stream = True
    instant = False

    def probabilities(self, logits):
        return logits.softmax(-1)

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def running(self, features):
        return torch.stack([torch.zeros_like(features[..., 0]), features[..., 0]], -1)

    def forward(self, features, lengths):
        return self.running(features)[:, -1]


def test_a_window_counts_by_the_share_of_it_that_is_read():
    odds = torch.tensor([9.0, 9.0, 1 / 9, 1 / 9]).log()[:, None]
    made = ClipScores(Told(), [odds], 2)
    assert made.windows == [(0, 2), (2, 4)]
    # 0.9 at first; then 0.9 whole and 0.1 half, (0.9 + 0.05) / 1.5; at last the mean of both
    assert made.running[:, 1].tolist() == pytest.approx([0.9, 0.9, 0.95 / 1.5, 0.5])


def test_a_model_that_reads_backwards_has_no_answer_before_the_end():
    made = ClipScores(build(bidirectional=True), two_copies(25), 10)
    assert made.running is None
    assert float(made.probabilities.sum()) == pytest.approx(1)


def test_another_window_gives_what_another_clip_would():
    model, copies = build(), two_copies(25)
    made = ClipScores(model, copies, 10)
    altered = made.copies[:, 9:17].repeat(2, 1, 1, 1)
    altered[1, :, 3] = 0.0
    other = made.copies.clone()
    other[:, 12] = 0.0
    same, changed = made.with_window(made.window_at(12), altered)
    assert same.tolist() == pytest.approx(made.probabilities.tolist(), abs=1e-6)
    wanted = ClipScores(model, list(other), 10).probabilities
    assert changed.tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
