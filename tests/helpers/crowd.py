"""Draws several people side by side, each doing something of their own, for tests and benchmarks.

Knows where everyone truly is: `person_box` gives the box a perfect detector would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from action_gru.demo.actions import CYCLE_S, IDLE, WALK_TRAVEL, Move, track_of
from action_gru.demo.figures import random_figure, skeleton
from action_gru.demo.scenes import Actor, Scene, draw_background
from action_gru.demo.shapes import View

_WALKERS_SHARE = 2.5  # of the picture, where others have 1
_REACH = 0.085  # of the stature: limbs are round, and a skull lies around its joint
_REST_S = 0.3  # between two goes of an action that does not repeat by itself
_ONE_SHOT_S = 1.1


def crowd_scene(
    actions: Sequence[str],
    seed: int,
    *,
    size_px: tuple[int, int] = (960, 360),
    duration_s: float = 8.0,
) -> Scene:
    """One person for each action, from left to right, each doing it from start to end.

    Who walks crosses the strip of picture that is theirs; too long a scene makes them slow.
    """
    rng = np.random.default_rng((seed, len(actions)))
    background, horizon = draw_background(rng, size_px)
    width, height = size_px
    shares = [_WALKERS_SHARE if action == "walk" else 1.0 for action in actions]
    edges_px = np.cumsum([0.0, *shares]) / sum(shares) * width
    actors = []
    for action, (left_px, right_px) in zip(actions, pairwise(edges_px), strict=True):
        strip_px = float(right_px - left_px)
        scale_px = float(min(height * rng.uniform(0.52, 0.62), 1.1 * width / sum(shares)))
        yaw_deg = float(rng.uniform(30, 60) * rng.choice((-1.0, 1.0)))
        floor_px = horizon + height * rng.uniform(0.1, 0.3)
        y_px = float(np.clip(floor_px, 0.84 * height, 0.95 * height))
        view = View(float(left_px + right_px) / 2, y_px, scale_px, yaw_deg)
        moves = constant_moves(action, duration_s, float(rng.uniform(0.85, 1.15)))
        if action == "walk":
            moves, view = _walk_across(view, duration_s, 0.75 * strip_px)
        actors.append(
            Actor(
                random_figure(rng),
                view,
                moves,
                prop_colour=random_figure(rng).shirt,
                sway=float(rng.uniform(0.5, 1.5)),
                sway_from_s=float(rng.uniform(0, 1000)),
            )
        )
    return Scene(background, tuple(actors), noise=int(rng.integers(1, 5)), seed=seed)


def constant_moves(action: str, duration_s: float, speed: float) -> tuple[Move, ...]:
    """The same action all the time; idle: nothing before, during and after."""
    if action == IDLE:
        return (Move("wave", -20.0, -15.0, 4.0),)
    track, _ = track_of(action)
    if track in CYCLE_S:
        return (Move(action, -1.0, duration_s + 1.0, speed * (duration_s + 2.0) / CYCLE_S[track]),)
    step_s = _ONE_SHOT_S / speed + _REST_S
    starts = np.arange(-0.5, duration_s + 1.0, step_s)
    return tuple(Move(action, float(s), float(s) + _ONE_SHOT_S / speed) for s in starts)


def _walk_across(view: View, duration_s: float, room_px: float) -> tuple[tuple[Move, ...], View]:
    """As many steps as the room lasts for, around where the view stands."""
    reach = abs(view.ahead(1.0).x_px - view.x_px)
    seconds = duration_s + 2.0
    cycles = min(seconds / CYCLE_S["walk"], room_px / max(reach, 1.0) / WALK_TRAVEL)
    move = Move("walk", -1.0, duration_s + 1.0, cycles)
    return (move,), view.ahead(-cycles * WALK_TRAVEL / 2)


def person_box(actor: Actor, time_s: float) -> NDArray[np.float32]:
    """Left, top, right, bottom in px of a drawn person, (4,)."""
    view = actor.view.ahead(sum(move.travel_at(time_s) for move in actor.moves))
    joints = skeleton(actor.pose_at(time_s))
    points = np.stack([point for name, point in joints.items() if name != "face"])
    pixels, _ = view.project(points)
    reach_px = _REACH * view.scale_px
    low, high = pixels.min(0) - reach_px / 2, pixels.max(0) + reach_px / 2
    low[1] = min(low[1], pixels[list(joints).index("head")][1] - reach_px)
    return np.array([*low, *high], np.float32)


def actor_at(scene: Scene, box: NDArray[np.float32], time_s: float) -> int:
    """Which actor a box (4,) shows: the one whose own box has the nearest middle."""
    truth = np.stack([person_box(actor, time_s) for actor in scene.actors])
    middles = (truth[:, :2] + truth[:, 2:]) / 2
    return int(np.argmin(np.linalg.norm(middles - (box[:2] + box[2:]) / 2, axis=1)))


def moved(scene: Scene, actor: int, by_px: tuple[float, float]) -> Scene:
    """The scene with one person elsewhere."""
    actors = list(scene.actors)
    view = actors[actor].view
    actors[actor] = replace(
        actors[actor], view=replace(view, x_px=view.x_px + by_px[0], y_px=view.y_px + by_px[1])
    )
    return replace(scene, actors=tuple(actors))
