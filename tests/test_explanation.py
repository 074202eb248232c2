"""What an explanation measures, on models and pictures small enough to know the answer."""

import math

import numpy as np
import pytest
import torch
from helpers.videos import FakeBackbone

from action_gru.evaluation.curves import carried_shares, linear_answer, memory_of, stream_curves
from action_gru.evaluation.explain import (
    GRID,
    Occlusion,
    best_frames,
    heat_map,
    hidden_pictures,
    log_odds,
    spread_over,
)
from action_gru.evaluation.explanation_plot import apart
from action_gru.model import ActionClassifier
from action_gru.training.scoring import ClipScores


def build(**options) -> ActionClassifier:
    torch.manual_seed(0)
    options = {
        "projection_size": 6,
        "hidden_size": 5,
        "dropout": 0.0,
        "head_dropout": 0.0,
    } | options
    model = ActionClassifier((4, 3), 3, **options).eval()
    model.fit_statistics(torch.randn(50, 7) * 2 + 1)
    return model


def test_gates_of_constant_value_forget_in_minus_one_over_their_logarithm():
    memory = memory_of([torch.full((200, 3), 0.9, dtype=torch.float64)])
    assert memory.frames == pytest.approx(-1 / math.log(0.9), abs=0.02)
    assert memory.reach_frames[150] == pytest.approx(9.49, abs=0.02)


def test_a_reach_that_the_clip_cuts_is_marked():
    memory = memory_of([torch.full((20, 3), 0.9)])
    assert memory.reach_frames[:3] == (1.0, 2.0, 3.0)
    assert memory.faded == (False,) * 9 + (True,) * 11


def test_a_gate_that_never_closes_has_no_finite_memory():
    memory = memory_of([torch.ones(12, 4)])
    assert memory.frames is None
    assert memory.faded == (False,) * 12


def test_a_closed_gate_forgets_what_came_before_it_only():
    keep = torch.ones(10, 2)
    keep[4] = 0.0
    memory = memory_of([keep])
    whole_steps = [math.floor(frames) for frames in memory.reach_frames]
    assert whole_steps[:4] == [1, 2, 3, 4]  # all of the clip
    assert whole_steps[4:] == [0, 1, 2, 3, 4, 5]  # back to the closed gate


def test_the_backwards_direction_forgets_towards_the_end():
    keep = torch.rand(9, 3)
    forwards, mirrored = memory_of([keep]), memory_of([keep.flip(0)], backwards=True)
    assert mirrored.reach_frames == forwards.reach_frames[::-1]
    assert mirrored.faded == forwards.faded[::-1]


def test_the_carried_share_is_the_product_of_the_gates_since():
    keep = torch.tensor([[0.5, 0.1], [0.2, 0.4], [0.8, 1.0]])
    shares = carried_shares(keep)
    assert shares[2].tolist() == pytest.approx([1, 0.9, (0.16 + 0.4) / 2, (0.08 + 0.04) / 2])
    assert shares[0].tolist() == pytest.approx([1, 0.3, 0, 0])


def test_memory_never_reaches_across_windows():
    keep = torch.full((10, 3), 0.99)
    memory = memory_of([keep[:6], keep[6:]])
    assert memory.reach_frames == (1, 2, 3, 4, 5, 6, 1, 2, 3, 4)


def test_log_odds_of_a_quarter_and_of_certainty():
    made = log_odds(torch.tensor([[0.25, 0.75], [1.0, 0.0]]), 0)
    assert made.tolist() == pytest.approx([math.log(1 / 3), math.log(1e12)], rel=1e-4)


class OneFrame(torch.nn.Module):
    """Class 1 if a frame with a large first value is somewhere in the clip: no order, no noise."""

    def probabilities(self, logits):
        return logits.softmax(-1)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def forward(self, features, lengths):
        top = self.scale * features[..., 0].amax(1)
        return torch.stack([torch.zeros_like(top), top], 1)


def test_hiding_the_one_frame_that_counts_costs_the_answer_and_no_other_does():
    features = torch.zeros(40, 3)
    features[17, 0] = 4.0
    scorer = ClipScores(OneFrame(), [features], 64)
    occlusion = Occlusion(scorer, 1, {"a": 1, "b": 2})
    middles, falls = occlusion.over_time()
    assert occlusion.stretch == 4
    touched = [middle for middle, fall in zip(middles, falls[:, 0], strict=True) if fall > 0.1]
    assert touched == [16, 17, 18, 19]  # their stretches hold frame 17
    assert falls[middles.index(17), 0] == pytest.approx(4.0 - 0.1)  # to the clip's mean
    assert falls[:, 1].tolist() == falls[:, 0].tolist()
    assert falls[:, 2].abs().max() == 0
    assert best_frames(middles, falls[:, 0], occlusion.stretch, 3) == [16]


def test_a_clip_longer_than_the_windows_is_hidden_from_one_of_them_at_a_time():
    model = build(pooling="attention")
    features = torch.randn(25, 7)
    scorer = ClipScores(model, [features], 10)
    assert scorer.windows == [(0, 9), (9, 17), (17, 25)]
    middles, falls = Occlusion(scorer, 0, {"a": 4, "b": 3}).over_time()
    assert middles == list(range(25))
    altered = features.clone()
    altered[12:13] = features.mean(0)  # a tenth of nine frames: one
    again = ClipScores(model, [altered], 10)
    fall = log_odds(scorer.probabilities, 0) - log_odds(again.probabilities, 0)
    assert falls[12, 0] == pytest.approx(float(fall), abs=1e-6)


def test_a_long_clip_is_looked_at_in_a_bounded_number_of_places():
    scorer = ClipScores(OneFrame(), [torch.zeros(1000, 3)], 64)
    middles, falls = Occlusion(scorer, 1, {"a": 3}).over_time()
    assert len(middles) == len(falls) <= 160
    assert max(np.diff(middles)) <= 16


def test_best_frames_lie_apart_and_only_where_hiding_costs():
    falls = torch.tensor([0.1, 0.9, 0.8, 0.0, 0.3, -0.5])
    assert best_frames([0, 1, 2, 3, 4, 5], falls, 2, 4) == [1, 4]


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([70.0, 69.0, 39.0], [70.5, 68.5, 39.0]),
        ([1.0, 5.0, 9.0], [1.0, 5.0, 9.0]),
        ([4.0, 4.0, 3.0, 0.5], [3.875, 5.875, 1.875, -0.125]),
        ([], []),
    ],
)
def test_marks_are_moved_apart_by_as_little_as_it_takes(places, moved):
    assert apart(places, 2.0) == pytest.approx(moved)


def test_each_patch_hides_its_place_and_nothing_else():
    image = np.full((64, 64, 3), 50, np.uint8)
    image[:32] = 90
    hidden = hidden_pictures(image, "motion")
    assert len(hidden) == (GRID - 1) ** 2
    changed = hidden[0] != image
    assert changed[:16, :16].all()
    assert changed.sum() == 16 * 16 * 3
    assert (hidden[0][:16, :16] == 128).all()  # no motion
    assert (hidden_pictures(image, "rgb")[0][:16, :16] == 70).all()  # the mean colour


def test_in_the_focus_view_nothing_moves_in_a_hidden_place():
    image = np.full((64, 64, 4), 200, np.uint8)
    hidden = hidden_pictures(image, "focus")[0]
    assert hidden[0, 0].tolist() == [200, 200, 200, 0]
    assert hidden[-1, -1].tolist() == [200, 200, 200, 200]


def test_hiding_the_one_bright_place_costs_the_answer():
    picture = np.full((32, 32, 3), 40, np.uint8)
    picture[8:16, 20:28] = 240  # places (2, 5) to (3, 6) of 8 by 8
    features = torch.full((5, 6), 40.0)
    features[2] = 52.5  # the mean with the bright square
    scorer = ClipScores(OneFrame(0.1), [features], 64)
    falls = Occlusion(scorer, 1, {"rgb": 6}).over_places(FakeBackbone(), 2, "rgb", picture)
    heat = heat_map(falls)
    assert np.unravel_index(heat.argmax(), heat.shape) in [(2, 5), (2, 6), (3, 5), (3, 6)]
    assert falls.max() == pytest.approx(0.1 * 11.7, abs=0.1)  # 12.5, but for the fill
    assert falls.reshape(7, 7)[5, 1] <= 0


def test_the_heat_lies_where_the_patches_that_matter_overlap():
    falls = np.zeros((GRID - 1, GRID - 1))
    falls[2:4, 4:6] = 1.0  # the four patches that cover place (3, 5)
    heat = heat_map(falls.ravel())
    assert np.unravel_index(heat.argmax(), heat.shape) == (3, 5)
    assert heat[3, 5] == 1.0
    assert heat[2, 4] == 0.25
    assert heat[7, 0] == 0.0


@pytest.mark.parametrize(
    ("how", "row", "column"), [("squash", 5, 95), ("letterbox", 40, 95), ("crop", 20, 70)]
)
def test_heat_is_laid_where_the_fit_took_it_from(how, row, column):
    """A hot upper right corner, on a frame twice as wide as high."""
    heat = np.zeros((8, 8))
    heat[0, 7] = 1.0
    if how == "letterbox":  # the upper quarter is a grey bar: the corner is the frame's no more
        heat[0, 7], heat[5, 7] = 0.0, 1.0
    laid = spread_over(heat, 50, 100, how)
    assert laid.shape == (50, 100)
    if how == "crop":
        assert laid[:, :25].max() == laid[:, 75:].max() == 0.0
        assert np.unravel_index(laid.argmax(), laid.shape)[1] >= 70
        return
    found = np.unravel_index(laid.argmax(), laid.shape)
    assert abs(found[0] - row) <= 8
    assert abs(found[1] - column) <= 8


def test_streams_tell_their_views_gates_attention_and_answers():
    features = torch.randn(12, 7)
    model = build(num_layers=2, bidirectional=True)
    first, second = stream_curves(ClipScores(model, [features], 64), ["rgb", "motion"])
    assert (first.name, second.name) == ("rgb", "motion")
    assert [(one.layer, one.backwards) for one in first.layers] == [
        (0, False), (0, True), (1, False), (1, True),
    ]  # fmt: skip
    assert set(first.layers[0].curves) == {"reset", "update", "candidate", "hidden"}
    assert first.attention.sum() == pytest.approx(1)
    alone = model.branch_logits(features[None], torch.tensor([12])).softmax(-1)[0]
    np.testing.assert_allclose(second.probabilities, alone[1].detach().numpy(), atol=1e-6)
    low, high = first.layers[0].spread["update"]
    assert (low <= first.layers[0].curves["update"]).all()
    assert (high >= first.layers[0].curves["update"]).all()


def test_each_member_of_an_ensemble_is_a_stream():
    scores = ClipScores(build(ensemble=2), [torch.randn(5, 7)], 64)
    assert [stream.name for stream in stream_curves(scores, ["a", "b"])] == ["a", "b", "a", "b"]


def test_early_fusion_is_one_stream_and_no_cell_has_no_gates():
    features = torch.randn(5, 7)
    (early,) = stream_curves(
        ClipScores(build(fusion="early", cell="lstm"), [features], 64), ["a", "b"]
    )
    assert early.name == "a + b"
    assert early.layers[0].memory.frames is not None
    plain = stream_curves(
        ClipScores(build(cell="none", pooling="mean"), [features], 64), ["a", "b"]
    )
    assert [stream.layers for stream in plain] == [(), ()]
    assert plain[0].attention is None
    (rnn, _) = stream_curves(ClipScores(build(cell="rnn"), [features], 64), ["a", "b"])
    assert rnn.layers[0].memory is None


def test_the_closed_form_classifier_tells_its_share_and_its_own_answer():
    features = torch.randn(6, 7)
    assert linear_answer(ClipScores(build(), [features], 64)) is None
    model = build(closed_form=True)
    model.linear.bias.copy_(torch.tensor([0.0, 2.0, 0.0]))
    model.linear_share.fill_(0.4)
    share, answer = linear_answer(ClipScores(model, [features], 64))
    assert share == pytest.approx(0.4)
    assert answer.tolist() == pytest.approx([0.1065, 0.7870, 0.1065], abs=1e-4)
