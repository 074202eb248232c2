"""The plan of a clip and of a long video: possible, paused, and the same for a seed."""

from itertools import pairwise

import numpy as np
import pytest

from action_gru.demo.actions import (
    ACTIONS,
    IDLE,
    STANDING,
    Move,
    clip_moves,
    followers,
    long_moves,
    sway_at,
)

UNDOES = {"stand_up": "sit_down", "put_down": "pick_up", "lower_arms": "raise_arms"}


def _plan(seed: int, duration_s: float = 75.0) -> tuple[Move, ...]:
    return long_moves(np.random.default_rng(seed), duration_s)


def test_who_sits_can_only_stand_up() -> None:
    assert followers("sit_down") == ("stand_up",)
    assert followers("pick_up") == ("put_down",)
    assert followers("raise_arms") == ("lower_arms",)
    standing = followers("kick")
    assert followers(None) == followers("stand_up") == standing
    assert len(standing) == 9
    assert not set(standing) & set(UNDOES)


@pytest.mark.parametrize("seed", range(8))
def test_every_move_of_a_long_video_is_possible_after_the_one_before(seed: int) -> None:
    actions = [move.action for move in _plan(seed)]
    assert actions[0] not in UNDOES
    for before, after in pairwise(actions):
        assert UNDOES.get(after, before) == before
        assert before not in UNDOES.values() or UNDOES.get(after) == before
        assert before != after


@pytest.mark.parametrize("seed", range(8))
def test_pauses_and_lengths_are_those_of_people(seed: int) -> None:
    moves = _plan(seed)
    spans = [move.span_s for move in moves]
    pauses = [after[0] - before[1] for before, after in pairwise(spans)]
    assert 0.5 <= min(pauses) < max(pauses) <= 3.0
    assert 0.5 <= spans[0][0] <= 3.0
    assert spans[-1][1] <= 74.5
    for move, (start_s, end_s) in zip(moves, spans, strict=True):
        cyclic = move.action in ("wave", "clap", "punch", "walk")
        low, high = (1.5, 4.0) if cyclic else (0.85, 1.4)
        assert low <= end_s - start_s <= high, move


@pytest.mark.parametrize("seed", range(8))
def test_a_chair_has_time_to_come_and_go(seed: int) -> None:
    for before, after in pairwise(_plan(seed)):
        if before.prop != after.prop:
            assert after.span_s[0] - before.span_s[1] >= 1.0


def test_a_long_video_shows_every_action_about_as_often() -> None:
    actions = [move.action for move in _plan(3)]
    counts = {action: actions.count(action) for action in ACTIONS}
    assert 16 <= len(actions) <= 26
    assert set(counts.values()) <= {1, 2, 3}
    assert counts["walk"] <= 2


def test_a_plan_is_a_function_of_its_seed_and_no_shorter_than_a_pause_and_an_action() -> None:
    assert _plan(5) == _plan(5) != _plan(6)
    assert len(_plan(5, 8.0)) >= 1
    with pytest.raises(ValueError, match="duration_s: got 7; at least 8"):
        _plan(5, 7.0)


@pytest.mark.parametrize("seed", range(8))
def test_an_idle_clip_lies_between_two_moves_that_may_follow_each_other(seed: int) -> None:
    before, after = clip_moves(IDLE, np.random.default_rng(seed), 47 / 24)
    assert after.action in followers(before.action)
    assert -0.5 <= before.span_s[1] <= 0.0
    assert 47 / 24 <= after.span_s[0] <= 47 / 24 + 0.5
    assert before.action != "walk"


def test_idle_clips_hold_every_pose_in_which_an_action_starts_or_ends() -> None:
    pauses = [clip_moves(IDLE, np.random.default_rng(seed), 2.0) for seed in range(200)]
    befores = [before.action for before, _ in pauses]
    share = {action: befores.count(action) / 200 for action in ("sit_down", "pick_up")}
    assert share["sit_down"] == pytest.approx(0.2, abs=0.08)
    assert share["pick_up"] == pytest.approx(0.2, abs=0.08)
    assert set(befores) == set(ACTIONS) - {"walk"}
    assert {after.action for _, after in pauses} == set(ACTIONS)


def test_a_cyclic_action_is_seen_while_the_figure_gets_into_it() -> None:
    wave, kick = Move("wave", 1.0, 3.0, 3.0), Move("kick", 1.0, 2.0)
    assert wave.span_s == pytest.approx((0.65, 3.35))
    assert np.allclose(wave.pose_at(0.65), STANDING)
    assert np.abs(wave.pose_at(0.9) - STANDING).max() > 20  # degrees: an arm goes up
    assert kick.span_s == (1.0, 2.0)
    assert (wave.distance_s(0.5), wave.distance_s(4.0)) == pytest.approx((0.15, 0.65))
    assert wave.distance_s(2.0) < 0


def test_swaying_is_small_and_leaves_the_feet_alone() -> None:
    drift = np.stack([sway_at(i / 24) for i in range(2400)])
    assert np.abs(drift[:, :2]).max() < 0.005  # of the stature
    assert 1.0 < np.abs(drift[:, 2:12]).max() < 3.0  # degrees
    assert not drift[:, 12:].any()
