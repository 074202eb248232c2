"""Trainings side by side give what they give one after another, and fail together."""

import threading
from functools import partial

import numpy as np
import pytest
import torch

from action_gru.config.learning import TrainingSection
from action_gru.core.progress import Reporter, SharedBar
from action_gru.features import ClipFeatures
from action_gru.features.sequences import SequenceSet
from action_gru.model import ActionClassifier
from action_gru.training.loop import Trainer
from action_gru.training.side_by_side import DRAWING, side_by_side, stop_if_asked


@pytest.fixture
def two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_trainings_at_once_end_in_the_weights_of_trainings_in_turn(two_cores):
    rows = np.random.default_rng(0).normal(size=(8, 5, 4)).astype(np.float16)
    clips = SequenceSet([[ClipFeatures(row, np.arange(5.0))] for row in rows], [0, 1] * 4)

    def trained(seed):
        with DRAWING:
            torch.manual_seed(seed)
            model = ActionClassifier([4], 2, projection_size=8, hidden_size=8)
        settings = TrainingSection(epochs=2, batch_size=4, device="cpu")
        trainer = Trainer(model, clips, None, settings, 64, seed)
        trainer.fit(lambda trainer, row: None)
        return trainer.bare_model.state_dict()

    tasks = [partial(trained, seed) for seed in range(3)]
    together = side_by_side(tasks, 2)
    torch.set_num_threads(1)
    in_turn = [task() for task in tasks]
    torch.set_num_threads(2)
    for at_once, alone in zip(together, in_turn, strict=True):
        assert all(torch.equal(at_once[name], alone[name]) for name in alone)


def test_an_error_stops_the_others_and_is_raised(two_cores):
    begun = threading.Event()

    def fails():
        begun.wait()
        raise ValueError("diverged")

    def goes_on():
        begun.set()
        while True:
            stop_if_asked()

    with pytest.raises(ValueError, match="diverged"):
        side_by_side([goes_on, fails, goes_on], 2)
    stop_if_asked()  # nothing stops what comes after


def test_results_stand_in_the_order_of_their_tasks(two_cores):
    assert side_by_side([lambda n=n: n for n in range(5)], 2) == [0, 1, 2, 3, 4]
    assert side_by_side([threading.get_ident, threading.get_ident], 2)[0] == threading.get_ident()


def test_one_bar_counts_the_steps_of_all_and_notes_the_first(capsys):
    with SharedBar(Reporter(quiet=False), "train", 2) as shared:
        with shared.bar("train", 2) as first, shared.bar("calibrate", 3) as second:
            first(note="acc 0.50")
            second(2, note="acc 0.10")
        shared.warn("too loud")
    told = capsys.readouterr().err
    assert "warning: too loud" in told
    assert "train: 3 of 5, acc 0.50, 0 s" in told
