"""The drawn world: deterministic, moving, and blind to direction within a reversed pair."""

from dataclasses import replace

import numpy as np
import pytest

from action_gru.demo.actions import ACTIONS, CLASSES, REVERSED_PAIRS, STANDING, Move
from action_gru.demo.scenes import Actor, Scene, clip_scene, draw_clip, long_scene

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


def test_idle_comes_last_and_is_no_action() -> None:
    assert len(ACTIONS) == 12
    assert (*ACTIONS, "idle") == CLASSES


def test_a_seed_gives_the_same_scene_on_every_machine() -> None:
    scene = clip_scene("stand_up", 7, person=3)
    actor = scene.actors[0]
    move = actor.moves[0]
    drawn = (move.start_s, move.end_s, actor.view.x_px, actor.view.yaw_deg, scene.gain)
    assert drawn == pytest.approx((0.130418, 1.075475, 157.235320, 45.822175, 1.121602), abs=1e-5)
    assert (scene.noise, len(actor.moves), actor.sway) == (5, 1, 0.0)


@pytest.mark.parametrize("seed", range(6))
def test_an_idle_figure_breathes_and_does_nothing(seed: int) -> None:
    actor = clip_scene("idle", seed, size_px=(32, 24)).actors[0]
    poses = np.stack([actor.pose_at(i / FPS) for i in range(48)])
    travelled = np.abs(poses - poses[0]).max(0)
    assert 0.05 < travelled.max() < 6.0  # degrees
    assert travelled[:2].max() < 0.02  # of the stature


def test_an_idle_clip_hardly_changes() -> None:
    scene = replace(clip_scene("idle", 0), noise=0)
    assert [move.action for move in scene.actors[0].moves] == ["sit_down", "stand_up"]
    first, last = (scene.image_at(time_s).astype(int) for time_s in (0.0, 1.9))
    changed = np.abs(first - last).max(-1) > 25
    assert changed.any()
    assert changed.mean() < 0.02


def test_in_a_pause_a_chair_comes_slowly() -> None:
    base = clip_scene("wave", 0, size_px=(160, 120))
    actor = replace(base.actors[0], moves=(Move("kick", 0.0, 1.0), Move("sit_down", 3.0, 4.0)))
    scene = Scene(base.background, (actor,))
    images = [scene.image_at(time_s).astype(int) for time_s in (1.1, 1.5, 2.0, 2.5, 2.9)]
    shown = [np.abs(image - images[0]).mean() for image in images]
    assert shown[0] == shown[1] == 0.0  # the pose is at rest, the chair not there yet
    assert 0.3 * shown[3] < shown[2] < 0.7 * shown[3]
    assert shown[3] == shown[4] > 0.5


def test_between_two_waves_a_figure_stands_still() -> None:
    actor = clip_scene("wave", 0, size_px=(32, 24)).actors[0]
    actor = replace(actor, moves=(Move("wave", 0.5, 2.0, 2.5), Move("wave", 4.0, 5.5, 2.5)))
    assert np.allclose([actor.pose_at(time_s) for time_s in (2.4, 3.0, 3.6)], STANDING)
    swaying = replace(actor, sway=1.0)
    assert np.array_equal(swaying.pose_at(1.0), actor.pose_at(1.0))
    assert 0.1 < np.abs(swaying.pose_at(3.0) - STANDING).max() < 4.0


@pytest.mark.parametrize("seed", range(4))
def test_a_long_video_never_jumps_nor_leaves_the_picture(seed: int) -> None:
    scene = long_scene(seed, size_px=(64, 36))
    actor = scene.actors[0]
    poses = np.stack([actor.pose_at(i / 48) for i in range(48 * 75)])
    assert np.abs(np.diff(poses[:, 1])).max() < 0.06  # pelvis height in statures a step
    walked = sum(move.travel_at(75.0) for move in actor.moves)
    for view in (actor.view, actor.view.ahead(walked)):
        assert 0.19 * 64 < view.x_px < 0.81 * 64
        assert 0.6 * 36 < view.y_px < 0.98 * 36
        assert 0.62 * 36 <= view.scale_px <= 0.72 * 36
        assert 29 < abs(view.yaw_deg) <= 62


def test_a_long_video_is_a_function_of_its_seed_and_person() -> None:
    first, again, other = (
        long_scene(seed, size_px=(64, 36), duration_s=10.0, person=person)
        for seed, person in ((5, 1), (5, 1), (5, 2))
    )
    assert first.actors[0].moves == again.actors[0].moves == other.actors[0].moves
    assert np.array_equal(first.image_at(4.0), again.image_at(4.0))
    assert not np.array_equal(first.image_at(4.0), other.image_at(4.0))


def test_an_unknown_action_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'fly': not drawn; choose one of sit_down.*, idle"):
        draw_clip("fly", 0)


def test_an_actor_plays_moves_in_turn_without_a_jump() -> None:
    actor = clip_scene("wave", 0, size_px=(160, 120)).actors[0]
    moves = (Move("sit_down", 0.5, 1.5), Move("stand_up", 2.5, 3.5), Move("wave", 4.2, 6.0, 3.0))
    actor = Actor(actor.figure, actor.view, moves)
    poses = np.stack([actor.pose_at(i / 48) for i in range(48 * 7)])
    assert np.abs(np.diff(poses[:, 1])).max() < 0.02  # pelvis height in statures a step
    assert actor.move_at(1.0).track == actor.move_at(3.0).track == "sit"
    assert poses[int(2.0 * 48), 1] == pytest.approx(0.275)  # stays seated in between


def test_a_scene_holds_several_actors() -> None:
    scenes = [clip_scene(action, 4, size_px=(160, 120)) for action in ("wave", "kick")]
    alone = scenes[0].image_at(1.0)
    both = Scene(scenes[0].background, tuple(scene.actors[0] for scene in scenes))
    assert both.image_at(1.0).shape == alone.shape
    assert not np.array_equal(both.image_at(1.0), replace(scenes[0], noise=0).image_at(1.0))
