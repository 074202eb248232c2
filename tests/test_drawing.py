"""The drawn world: deterministic, moving, and blind to direction within a reversed pair."""

from dataclasses import replace

import numpy as np
import pytest

from action_gru.apps.drawing import (
    ACTIONS,
    REVERSED_PAIRS,
    Actor,
    Move,
    Scene,
    clip_scene,
    draw_clip,
)

FPS = 24.0


def _clean_frames(action: str, seed: int) -> np.ndarray:
    scene = replace(clip_scene(action, seed, size_px=(160, 120), fps=FPS), noise=0)
    return np.stack([scene.image_at(i / FPS) for i in range(48)])


def test_a_clip_has_the_size_and_length_asked_for() -> None:
    clip = draw_clip("wave", 3, size_px=(160, 96), fps=10.0, duration_s=1.5)
    assert clip.shape == (15, 96, 160, 3)
    assert clip.dtype == np.uint8


def test_the_same_seed_draws_the_same_pixels() -> None:
    first, again, other = (draw_clip("kick", seed, size_px=(96, 72), fps=6.0) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("forward", "backward"), REVERSED_PAIRS)
def test_a_pair_is_each_others_reversal(forward: str, backward: str) -> None:
    frames, reversed_frames = _clean_frames(forward, 11), _clean_frames(backward, 11)[::-1]
    difference = np.abs(frames.astype(int) - reversed_frames.astype(int))
    # Rounding of times may move an edge by a sixteenth of a pixel, no more.
    assert difference.mean() < 0.01
    assert np.abs(frames[0].astype(int) - frames[-1].astype(int)).mean() > 0.3


@pytest.mark.parametrize(("forward", "backward"), REVERSED_PAIRS)
def test_start_and_end_pauses_of_a_pair_are_alike(forward: str, backward: str) -> None:
    def phases(action: str) -> np.ndarray:
        moves = [
            clip_scene(action, seed, size_px=(32, 24)).actors[0].moves[0] for seed in range(60)
        ]
        return np.array([[move.phase_at(i / FPS) for i in range(48)] for move in moves]).mean(1)

    assert phases(forward).mean() == pytest.approx(phases(backward).mean(), abs=1e-9)
    assert phases(forward).mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_moves_a_visible_figure(action: str) -> None:
    frames = _clean_frames(action, 2).astype(int)
    changed = (np.abs(frames - frames[:1]).max(-1) > 25).any(0).mean()
    assert 0.005 < changed < 0.5  # of the picture: limbs move, the room does not


def test_an_unknown_action_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'fly': not drawn; choose one of sit_down"):
        draw_clip("fly", 0)


def test_an_actor_plays_moves_in_turn_without_a_jump() -> None:
    actor = clip_scene("wave", 0, size_px=(160, 120)).actors[0]
    moves = (Move("sit_down", 0.5, 1.5), Move("stand_up", 2.5, 3.5), Move("wave", 4.2, 6.0, 3.0))
    actor = Actor(actor.figure, actor.view, moves)
    poses = np.stack([actor.pose_at(i / 48) for i in range(48 * 7)])
    assert np.abs(np.diff(poses[:, 1])).max() < 0.02  # pelvis height in statures a step
    assert actor.moment_at(1.0).track == actor.moment_at(3.0).track == "sit"
    assert poses[int(2.0 * 48), 1] == pytest.approx(0.275)  # stays seated in between


def test_a_scene_holds_several_actors() -> None:
    scenes = [clip_scene(action, 4, size_px=(160, 120)) for action in ("wave", "kick")]
    alone = scenes[0].image_at(1.0)
    both = Scene(scenes[0].background, tuple(scene.actors[0] for scene in scenes))
    assert both.image_at(1.0).shape == alone.shape
    assert not np.array_equal(both.image_at(1.0), replace(scenes[0], noise=0).image_at(1.0))
